//! What operators want of a pool: how few and how many nodes, and what they are to be used to.

use super::window::Window;
use crate::error::{Error, Result};
use flight_proto::pool::check_pool_name;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The most nodes that a policy may allow.
const NODES_MOST: u32 = 1_000;
const WINDOWS_MOST: usize = 100;
const DAY_S: u64 = 86_400;
/// A node must have so long to come up before another one takes its place.
const LAUNCH_S_LEAST: u64 = 1;

/// How many nodes a pool is to have. What is left out is as by default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ScalePolicy {
    /// The fewest nodes; 0: none while nothing needs them, see `idle_after_s`.
    pub minimum: u32,
    /// The most nodes, those on their way included.
    pub maximum: u32,
    /// How much of the nodes' memory segments are to take at most, in percent; 0: not looked at.
    pub resident_percent: u32,
    /// How busy processors are to be, in percent; 0: not looked at.
    pub processor_percent: u32,
    /// How long statements are to wait for their turn, in milliseconds; 0: not looked at.
    pub queue_ms: u64,
    /// Between two decisions for more nodes, in seconds.
    pub cooldown_out_s: u64,
    /// How long fewer nodes must have been enough before there are fewer, in seconds.
    pub cooldown_in_s: u64,
    /// How long a node takes from its launch until it takes part in queries, in seconds: so far ahead it is looked.
    pub launch_s: u64,
    /// A node that has not come after this many seconds is replaced.
    pub launch_limit_s: u64,
    /// Launch for what is to be expected: by the trend of the load, and by what the same time needed before.
    pub predict: bool,
    /// Where the minimum is 0: after so long without a statement that needs nodes all of them end, in seconds. The next
    /// statement waits until they are there again.
    pub idle_after_s: u64,
    /// Hours in which there are more nodes at least.
    pub windows: Vec<Window>,
    /// Decide and launch nothing.
    pub paused: bool,
}

impl Default for ScalePolicy {
    fn default() -> ScalePolicy {
        ScalePolicy {
            minimum: 1,
            maximum: 4,
            resident_percent: 70,
            processor_percent: 60,
            queue_ms: 500,
            cooldown_out_s: 60,
            cooldown_in_s: 600,
            launch_s: 180,
            launch_limit_s: 900,
            predict: true,
            idle_after_s: 900,
            windows: Vec::new(),
            paused: false,
        }
    }
}

impl ScalePolicy {
    /// The fewest nodes of a pool that does not sleep.
    pub(crate) fn floor(&self) -> u32 {
        self.minimum.max(1)
    }

    /// Refuses what cannot be meant, with what is to be written instead.
    pub fn check(&self) -> Result<()> {
        let refuse = |why: String| Err(Error::Invalid(why));
        if self.maximum < self.floor() || self.maximum > NODES_MOST {
            let (minimum, maximum) = (self.minimum, self.maximum);
            return refuse(format!(
                "maximum is {maximum}: expected at least 1 and the minimum, which is {minimum}, up to {NODES_MOST}"
            ));
        }
        for (name, percent) in
            [("resident_percent", self.resident_percent), ("processor_percent", self.processor_percent)]
        {
            if percent > 95 || (1..5).contains(&percent) {
                return refuse(format!(
                    "{name} is {percent}: expected 5 to 95, or 0 where it is not to be looked at"
                ));
            }
        }
        let times = [
            ("queue_ms", self.queue_ms, 0, DAY_S * 1_000),
            ("cooldown_out_s", self.cooldown_out_s, 0, DAY_S),
            ("cooldown_in_s", self.cooldown_in_s, 0, DAY_S),
            ("launch_s", self.launch_s, LAUNCH_S_LEAST, DAY_S),
            ("launch_limit_s", self.launch_limit_s, self.launch_s, DAY_S),
            ("idle_after_s", self.idle_after_s, 1, DAY_S),
        ];
        for (name, value, least, most) in times {
            if !(least..=most).contains(&value) {
                return refuse(format!("{name} is {value}: expected {least} to {most}"));
            }
        }
        if self.windows.len() > WINDOWS_MOST {
            return refuse(format!(
                "there are {} windows; at most {WINDOWS_MOST} are taken",
                self.windows.len()
            ));
        }
        for (at, window) in self.windows.iter().enumerate() {
            let place = format!("window {} ('{window}')", at + 1);
            window.check().map_err(|why| Error::Invalid(format!("{place}: {why}")))?;
            if !(self.minimum..=self.maximum).contains(&window.minimum) {
                let (least, most) = (self.minimum, self.maximum);
                return refuse(format!(
                    "{place}: its minimum lies outside of {least} to {most}, which the pool may have"
                ));
            }
        }
        Ok(())
    }
}

/// Refuses what can be no pool's name.
pub(crate) fn check_pool(pool: &str) -> Result<()> {
    check_pool_name(pool).map_err(|error| Error::Invalid(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_meant_is_refused_where_it_stands() {
        let good = ScalePolicy { minimum: 2, maximum: 8, ..ScalePolicy::default() };
        good.check().unwrap();
        ScalePolicy::default().check().unwrap();
        ScalePolicy { minimum: 0, maximum: 1, ..good.clone() }.check().unwrap();
        let window = |text: &str| vec![text.parse::<Window>().unwrap()];
        let wrong = [
            (ScalePolicy { minimum: 0, maximum: 0, ..good.clone() }, "maximum"),
            (ScalePolicy { idle_after_s: 0, ..good.clone() }, "idle_after_s"),
            (ScalePolicy { maximum: 1, ..good.clone() }, "maximum"),
            (ScalePolicy { maximum: 1_001, ..good.clone() }, "maximum"),
            (ScalePolicy { processor_percent: 96, ..good.clone() }, "processor_percent"),
            (ScalePolicy { resident_percent: 4, ..good.clone() }, "resident_percent"),
            (ScalePolicy { queue_ms: u64::MAX, ..good.clone() }, "queue_ms"),
            (ScalePolicy { launch_s: 0, ..good.clone() }, "launch_s"),
            (ScalePolicy { launch_limit_s: 10, ..good.clone() }, "launch_limit_s"),
            (ScalePolicy { windows: window("daily 00:00-24:00=9"), ..good.clone() }, "window 1"),
        ];
        for (policy, place) in wrong {
            let why = policy.check().unwrap_err().to_string();
            assert!(why.contains(place), "{place}: {why}");
        }
        assert!(serde_json::from_str::<ScalePolicy>(r#"{"minimun": 1}"#).is_err(), "a name that nobody has");
        assert!(check_pool("acme").is_ok() && check_pool("a pool").is_err());
    }
}
