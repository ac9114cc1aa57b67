//! A policy, as flags.

use clap::Args;
use control_plane::scaling::{ScalePolicy, Window};

/// Flags that were given change something.
#[derive(Args)]
pub(super) struct Settings {
    /// The fewest nodes; 0: none while no statement needs them, and the next one waits until they are launched
    #[arg(long, value_name = "N")]
    minimum: Option<u32>,
    /// The most nodes, those on their way included
    #[arg(long, value_name = "N")]
    maximum: Option<u32>,
    /// How much of the nodes' memory segments are to take at most, in percent; 0: not looked at
    #[arg(long, value_name = "PERCENT")]
    resident: Option<u32>,
    /// How busy processors are to be, in percent; 0: not looked at
    #[arg(long, value_name = "PERCENT")]
    processor: Option<u32>,
    /// How long statements are to wait for their turn, in milliseconds; 0: not looked at
    #[arg(long, value_name = "MS")]
    queue: Option<u64>,
    /// Between two decisions for more nodes, in seconds
    #[arg(long, value_name = "SECONDS")]
    cooldown_out: Option<u64>,
    /// How long fewer nodes must have been enough before there are fewer, in seconds
    #[arg(long, value_name = "SECONDS")]
    cooldown_in: Option<u64>,
    /// How long a node takes until it takes part in queries, in seconds: so far ahead it is looked
    #[arg(long, value_name = "SECONDS")]
    launch: Option<u64>,
    /// A node that has not come after this many seconds is replaced
    #[arg(long, value_name = "SECONDS")]
    launch_limit: Option<u64>,
    /// Launch for what is to be expected, by trend and by what the same time needed before
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set)]
    predict: Option<bool>,
    /// With --minimum 0: after how long without a statement that needs nodes all of them end, such as 900s, 15m or 2h
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    idle_after: Option<u64>,
    /// Hours (UTC) in which there are more nodes at least, such as 'mon-fri 08:00-18:00=6'; in place of those before, '' for none
    #[arg(long, value_name = "WINDOW", value_parser = window)]
    window: Vec<Option<Window>>,
    /// Decide and launch nothing
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set)]
    paused: Option<bool>,
}

// A type of its own, since clap takes `Option` for a flag that may be left out.
type MaybeWindow = Option<Window>;

fn window(text: &str) -> Result<MaybeWindow, String> {
    match text {
        "" => Ok(None),
        text => text.parse().map(Some),
    }
}

/// A time in seconds: `900`, `900s`, `15m`, `2h`.
fn seconds(text: &str) -> Result<u64, String> {
    let wrong = || format!("expected a time such as 900s, 15m or 2h, got '{text}'");
    let digits = text.trim_end_matches(|letter: char| !letter.is_ascii_digit());
    let each = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3_600,
        _ => return Err(wrong()),
    };
    digits.parse::<u64>().ok().and_then(|count| count.checked_mul(each)).ok_or_else(wrong)
}

impl Settings {
    /// A policy with what was given in place of what was there.
    pub(super) fn over(self, mut policy: ScalePolicy) -> ScalePolicy {
        fn take<T>(place: &mut T, given: Option<T>) {
            if let Some(given) = given {
                *place = given;
            }
        }
        take(&mut policy.minimum, self.minimum);
        take(&mut policy.maximum, self.maximum);
        take(&mut policy.resident_percent, self.resident);
        take(&mut policy.processor_percent, self.processor);
        take(&mut policy.queue_ms, self.queue);
        take(&mut policy.cooldown_out_s, self.cooldown_out);
        take(&mut policy.cooldown_in_s, self.cooldown_in);
        take(&mut policy.launch_s, self.launch);
        take(&mut policy.launch_limit_s, self.launch_limit);
        take(&mut policy.predict, self.predict);
        take(&mut policy.idle_after_s, self.idle_after);
        take(&mut policy.paused, self.paused);
        if !self.window.is_empty() {
            policy.windows = self.window.into_iter().flatten().collect();
        }
        policy
    }
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn times_have_units() {
        let read: Vec<_> =
            ["90", "90s", "15m", "2h"].into_iter().map(|text| seconds(text).unwrap()).collect();
        assert_eq!(read, [90, 90, 900, 7_200]);
        for wrong in ["", "m", "-1", "1.5h", "15min", "9999999999999999999h", "1d"] {
            assert!(seconds(wrong).unwrap_err().contains("15m"), "{wrong}");
        }
    }
}
