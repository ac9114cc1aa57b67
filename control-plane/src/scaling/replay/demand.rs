//! The demand that is replayed: queries over days, with the curve of an office's day, bursts by chance, a nightly load,
//! a node that fails and a deploy. The same seed gives the same demand.

use super::Scenario;
use serde::Serialize;

const DAY_S: f64 = 86_400.0;
const HOUR_S: f64 = 3_600.0;

/// Numbers by chance from a seed: SplitMix64 (Steele, Lea, Flood 2014).
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Random {
        Random(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 up to 1.
    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(super) fn between(&mut self, least: f64, most: f64) -> f64 {
        least + (most - least) * self.unit()
    }

    /// Exponentially distributed around a mean.
    fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }
}

/// One query.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Arrival {
    /// Seconds since the first day began.
    pub(super) at_s: f64,
    /// What it takes one node alone, in seconds.
    pub(super) work_s: f64,
}

/// A time of further queries.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Burst {
    /// Seconds since the first day began.
    pub from_s: f64,
    pub to_s: f64,
    /// Queries a second that come in addition.
    pub queries_per_s: f64,
}

/// All that happens to a pool.
pub(super) struct Demand {
    pub(super) arrivals: Vec<Arrival>,
    pub(super) bursts: Vec<Burst>,
    /// When a node fails, on the day that is reported.
    pub(super) failure_s: f64,
    /// When nodes are restarted, one after the other.
    pub(super) deploy_s: f64,
}

impl Demand {
    pub(super) fn new(scenario: &Scenario, seed: u64) -> Demand {
        let mut random = Random::new(seed);
        let levels: Vec<f64> = (0..scenario.days).map(|_| random.between(0.9, 1.1)).collect();
        let mut bursts = Vec::new();
        for day in 0..scenario.days {
            for _ in 0..scenario.bursts_per_day {
                let from_s = f64::from(day) * DAY_S + random.between(7.0, 22.0) * HOUR_S;
                let to_s = from_s + random.between(300.0, 900.0);
                let queries_per_s = scenario.peak_queries_per_s * random.between(0.6, 1.2);
                bursts.push(Burst { from_s, to_s, queries_per_s });
            }
        }
        let today_s = f64::from(scenario.days.saturating_sub(1)) * DAY_S;
        let failure_s = today_s + random.between(9.0, 12.0) * HOUR_S;
        let deploy_s = today_s + 14.0 * HOUR_S;
        let rate = |at_s: f64| {
            let further = bursts.iter().filter(|burst| (burst.from_s..burst.to_s).contains(&at_s));
            let day = (at_s / DAY_S) as usize;
            let level = levels.get(day).copied().unwrap_or(1.0);
            let curve = day_curve(day, at_s % DAY_S / HOUR_S);
            let bursts: f64 = further.map(|burst| burst.queries_per_s).sum();
            scenario.peak_queries_per_s * level * curve + bursts
        };
        // Thinning (Lewis, Shedler 1979): candidates at the highest rate, of which each is taken by the rate of its time.
        let highest = scenario.peak_queries_per_s * 6.0;
        let (mut arrivals, mut at_s) = (Vec::new(), 0.0);
        loop {
            at_s += random.exponential(1.0 / highest);
            if at_s >= f64::from(scenario.days) * DAY_S {
                break;
            }
            let (taken, large, size) = (random.unit(), random.unit(), random.exponential(1.0));
            if taken * highest < rate(at_s) {
                let large = large < scenario.large_share;
                let mean = if large { scenario.large_work_s } else { scenario.small_work_s };
                arrivals.push(Arrival { at_s, work_s: size * mean });
            }
        }
        Demand { arrivals, bursts, failure_s, deploy_s }
    }
}

/// Queries of an hour of the day as a part of the peak's; days count from a Monday.
fn day_curve(day: usize, hour: f64) -> f64 {
    let hump = |at: f64, width: f64| (-((hour - at) / width).powi(2)).exp();
    let office = 0.12 + 0.85 * hump(10.5, 1.8) + 0.75 * hump(15.0, 2.0);
    let weekend = day % 7 >= 5;
    let nightly = if (2.0..2.7).contains(&hour) { 0.5 } else { 0.0 };
    office * if weekend { 0.35 } else { 1.0 } + nightly
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_demand() {
        let scenario = Scenario { days: 2, ..Scenario::default() };
        let (one, same, other) =
            (Demand::new(&scenario, 1), Demand::new(&scenario, 1), Demand::new(&scenario, 2));
        assert_eq!(one.arrivals, same.arrivals);
        assert_ne!(one.arrivals.len(), other.arrivals.len());
        assert!(one.arrivals.is_sorted_by(|one, next| one.at_s <= next.at_s));
        let in_hour = |hour: f64| {
            let (from, to) = (hour * HOUR_S, (hour + 1.0) * HOUR_S);
            one.arrivals.iter().filter(|arrival| (from..to).contains(&arrival.at_s)).count()
        };
        assert!(in_hour(10.0) > 3 * in_hour(5.0), "mornings are busier than nights");
    }
}
