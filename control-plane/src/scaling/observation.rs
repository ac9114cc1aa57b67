//! What is seen of a pool at a time, and what it needed in the days before, minute by minute.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Microseconds of a minute.
pub(crate) const MINUTE_US: i64 = 60_000_000;
/// How long minutes are kept: the same hour a week ago, and what lay around it.
pub(crate) const KEPT_US: i64 = 8 * 24 * 60 * MINUTE_US;
/// Statements that wait count as demand up to so many times of those that run: what waits in one burst is done one
/// after the other, and says little of how many nodes are needed for long.
const BACKLOG_MOST: f64 = 2.0;

/// A pool at a time. What is measured over time is of the time since the observation before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Observation {
    /// Microseconds since 1970.
    pub(crate) at_us: i64,
    /// Nodes that take part in queries.
    pub(crate) ready: u32,
    /// Of these, how many nodes' processors were busy.
    pub(crate) busy: f64,
    /// Statements that run.
    pub(crate) running: f64,
    /// Statements that wait for their turn.
    pub(crate) queued: f64,
    /// How long those that got their turn, or still wait, have waited, in milliseconds.
    pub(crate) queue_ms: f64,
    /// Of segments on all nodes.
    pub(crate) resident_bytes: u64,
    /// What all nodes together may hold.
    pub(crate) memory_bytes: u64,
}

impl Observation {
    /// How many nodes would have been busy, had those that waited run as well.
    pub(crate) fn demand(&self) -> f64 {
        let backlog = if self.running > 0.0 { self.queued / self.running } else { 0.0 };
        self.busy * (1.0 + backlog.min(BACKLOG_MOST))
    }
}

/// What was needed in the last days, as means over minutes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Minutes {
    /// By the minute since 1970: the sum of demand, and of how many observations.
    minutes: BTreeMap<i64, (f64, u32)>,
}

impl Minutes {
    pub(crate) fn add(&mut self, observation: &Observation) {
        let of = self.minutes.entry(observation.at_us.div_euclid(MINUTE_US)).or_default();
        *of = (of.0 + observation.demand(), of.1 + 1);
        let first = (observation.at_us - KEPT_US).div_euclid(MINUTE_US);
        while self.minutes.first_key_value().is_some_and(|(&minute, _)| minute < first) {
            self.minutes.pop_first();
        }
    }

    /// Takes a minute's mean over, as it was kept.
    pub(crate) fn put(&mut self, minute: i64, demand: f64) {
        self.minutes.insert(minute, (demand, 1));
    }

    /// The mean of a minute.
    pub(crate) fn get(&self, minute: i64) -> Option<f64> {
        self.minutes.get(&minute).map(|&(sum, count)| sum / f64::from(count))
    }

    /// The means of the minutes in a time, both ends included; `None` where less than half of them are known.
    pub(crate) fn between(&self, from_us: i64, to_us: i64) -> Option<Vec<f64>> {
        let (from, to) = (from_us.div_euclid(MINUTE_US), to_us.div_euclid(MINUTE_US));
        let found = self.minutes.range(from..=to.max(from));
        let found: Vec<f64> = found.map(|(_, &(sum, count))| sum / f64::from(count)).collect();
        let all = to.max(from) - from + 1;
        (i64::try_from(found.len()).ok()? * 2 >= all).then_some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_are_means_and_end() {
        let mut minutes = Minutes::default();
        for (at_us, busy) in [(0, 1.0), (30_000_000, 3.0), (MINUTE_US, 5.0)] {
            minutes.add(&Observation { at_us, busy, ..Observation::default() });
        }
        assert_eq!(minutes.between(0, MINUTE_US), Some(vec![2.0, 5.0]));
        assert_eq!(minutes.between(MINUTE_US, 4 * MINUTE_US), None, "too few are known");
        minutes.add(&Observation { at_us: KEPT_US + MINUTE_US, ..Observation::default() });
        assert_eq!((minutes.get(0), minutes.get(1)), (None, Some(5.0)));
    }

    #[test]
    fn what_waits_is_demand_within_bounds() {
        let seen = Observation { busy: 2.0, running: 4.0, queued: 2.0, ..Observation::default() };
        assert_eq!(seen.demand(), 3.0);
        assert_eq!(Observation { queued: 4_000.0, ..seen }.demand(), 6.0);
        assert_eq!(Observation { running: 0.0, ..seen }.demand(), 2.0);
    }
}
