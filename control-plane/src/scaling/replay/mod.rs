//! A replay of a day's demand against policies, in simulation: what each costs, and how often it misses the service level.
//!
//! Decisions are those of [`decide`](super::decide::decide), as the instance that leads makes them. The days before the one
//! that is reported are replayed as well, so that a policy may know them. The same seed gives the same figures.

mod demand;
mod pool;

use super::policy::ScalePolicy;
use super::window::Window;
use crate::error::{Error, Result};
use demand::{Burst, Demand};
use pool::{Done, Outcome};
use serde::Serialize;

const DAY_S: f64 = 86_400.0;
const MINUTE_S: f64 = 60.0;
const HOUR_S: f64 = 3_600.0;

/// What is replayed, and the figures that it stands on.
#[derive(Clone, Debug, Serialize)]
pub struct Scenario {
    /// Days from a Monday on; the last one is reported.
    pub days: u32,
    /// At the height of a day, bursts apart.
    pub peak_queries_per_s: f64,
    pub bursts_per_day: u32,
    /// What queries take one node alone, on average, in seconds: most are small, a part is large.
    pub small_work_s: f64,
    pub large_work_s: f64,
    pub large_share: f64,
    /// By how much of itself work grows with each node beyond the first.
    pub work_per_further_node: f64,
    /// Queries that run at once.
    pub concurrency: usize,
    /// From the launch of a node to its process. Assumed.
    pub launch_s: f64,
    /// What all nodes hold together, all copies counted.
    pub segment_bytes: u64,
    pub node_memory_bytes: u64,
    /// What a node fetches, decodes and indexes in a second.
    pub load_bytes_per_s: f64,
    /// Before a node that has loaded takes part. Assumed.
    pub warm_up_s: f64,
    /// How long a node is away that is restarted. Assumed.
    pub restart_s: f64,
    /// Between two decisions.
    pub look_s: f64,
    /// 95 of 100 queries of a minute are to be answered within so many seconds.
    pub level_s: f64,
}

impl Default for Scenario {
    /// The last of eight days is a Monday: the day before was a Sunday, and the same day of the week is known.
    fn default() -> Scenario {
        Scenario {
            days: 8,
            peak_queries_per_s: 2.5,
            bursts_per_day: 4,
            small_work_s: 1.0,
            large_work_s: 4.0,
            large_share: 0.2,
            // 1.38 times the work on eight shards, 1.18 on four: docs/scaling.md.
            work_per_further_node: 0.054,
            concurrency: 16,
            launch_s: 60.0,
            segment_bytes: 200_000_000_000,
            node_memory_bytes: 128_000_000_000,
            // 52.8 MB/s on two cores (tests/cluster/recovery-sf1.json), on 16 cores.
            load_bytes_per_s: 52.8e6 / 2.0 * 16.0,
            warm_up_s: 10.0,
            restart_s: 30.0,
            look_s: 15.0,
            level_s: 10.0,
        }
    }
}

/// Replays of several seeds.
#[derive(Debug, Serialize)]
pub struct Report {
    pub scenario: Scenario,
    pub seeds: Vec<SeedReport>,
    /// Means over the seeds.
    pub means: Vec<Figures>,
}

#[derive(Debug, Serialize)]
pub struct SeedReport {
    pub seed: u64,
    /// On the day that is reported, in seconds since the first day began.
    pub failure_s: f64,
    pub deploy_s: f64,
    pub bursts: Vec<Burst>,
    pub policies: Vec<Figures>,
}

/// What a policy gave on the day that is reported.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    pub policy: String,
    pub node_hours: f64,
    pub nodes_mean: f64,
    pub nodes_most: f64,
    pub queries: f64,
    /// Queries that took longer than the level, in percent.
    pub late_percent: f64,
    /// Minutes in which more than 5 of 100 queries did.
    pub minutes_over: f64,
    pub median_s: f64,
    pub p95_s: f64,
    pub p99_s: f64,
    pub launches: f64,
    pub removals: f64,
    /// Queries that lost what they had done, as a node failed or restarted.
    pub restarted_queries: f64,
}

/// Replays the demand of each seed against a policy with its predictions and windows, one with predictions alone, one that
/// goes by thresholds alone, and pools of a fixed size: the mean and the most that the first one had.
pub fn replay(scenario: &Scenario, policy: &ScalePolicy, seeds: &[u64]) -> Result<Report> {
    policy.check()?;
    if policy.minimum == 0 {
        let why = "minimum is 0: the demand that is replayed never pauses, and no pool sleeps in it; give 1 or more";
        return Err(Error::Invalid(why.into()));
    }
    let seeds: Vec<SeedReport> = seeds.iter().map(|&seed| of_seed(scenario, policy, seed)).collect();
    let count = seeds.len().max(1) as f64;
    let first = seeds.first().map_or(&[][..], |first| &first.policies);
    let means = first.iter().enumerate().map(|(at, first)| {
        let mean = |figure: &dyn Fn(&Figures) -> f64| {
            rounded(seeds.iter().filter_map(|seed| seed.policies.get(at)).map(figure).sum::<f64>() / count)
        };
        Figures {
            policy: first.policy.clone(),
            node_hours: mean(&|one| one.node_hours),
            nodes_mean: mean(&|one| one.nodes_mean),
            nodes_most: mean(&|one| one.nodes_most),
            queries: mean(&|one| one.queries),
            late_percent: mean(&|one| one.late_percent),
            minutes_over: mean(&|one| one.minutes_over),
            median_s: mean(&|one| one.median_s),
            p95_s: mean(&|one| one.p95_s),
            p99_s: mean(&|one| one.p99_s),
            launches: mean(&|one| one.launches),
            removals: mean(&|one| one.removals),
            restarted_queries: mean(&|one| one.restarted_queries),
        }
    });
    let means = means.collect();
    Ok(Report { scenario: scenario.clone(), seeds, means })
}

/// The policy that is replayed unless another one is given.
pub fn default_policy() -> ScalePolicy {
    let window = |from: &str, to: &str, minimum| Window {
        days: "mon-fri".into(),
        from: from.into(),
        to: to.into(),
        minimum,
    };
    ScalePolicy {
        minimum: 2,
        maximum: 16,
        windows: vec![window("08:00", "18:00", 4)],
        ..ScalePolicy::default()
    }
}

fn of_seed(scenario: &Scenario, policy: &ScalePolicy, seed: u64) -> SeedReport {
    let demand = Demand::new(scenario, seed);
    let run =
        |name: &str, policy: &ScalePolicy| figures(name, scenario, &pool::run(scenario, policy, &demand));
    let fixed = |size: f64| ScalePolicy {
        minimum: size as u32,
        maximum: size as u32,
        windows: Vec::new(),
        ..policy.clone()
    };
    let whole = run("policy", policy);
    let without_windows = ScalePolicy { windows: Vec::new(), ..policy.clone() };
    let thresholds = ScalePolicy { predict: false, ..without_windows.clone() };
    let (mean, most) = (whole.nodes_mean.round().max(1.0), whole.nodes_most.max(1.0));
    let policies = vec![
        run("prediction without windows", &without_windows),
        run("thresholds only", &thresholds),
        run("fixed, as many as the policy had on average", &fixed(mean)),
        run("fixed, as many as the policy had at most", &fixed(most)),
    ];
    let policies = std::iter::once(whole).chain(policies).collect();
    let today_s = f64::from(scenario.days.saturating_sub(1)) * DAY_S;
    let bursts = demand.bursts.iter().filter(|burst| burst.from_s >= today_s).copied().collect();
    SeedReport { seed, failure_s: demand.failure_s, deploy_s: demand.deploy_s, bursts, policies }
}

/// The figures of the last day.
fn figures(name: &str, scenario: &Scenario, outcome: &Outcome) -> Figures {
    let from_s = f64::from(scenario.days.saturating_sub(1)) * DAY_S;
    let to_s = f64::from(scenario.days) * DAY_S;
    let today: Vec<&Done> = outcome.done.iter().filter(|done| done.came_s >= from_s).collect();
    let mut minutes = vec![(0_u32, 0_u32); (DAY_S / MINUTE_S) as usize];
    for done in &today {
        if let Some(minute) = minutes.get_mut(((done.came_s - from_s) / MINUTE_S) as usize) {
            *minute = (minute.0 + 1, minute.1 + u32::from(done.took_s > scenario.level_s));
        }
    }
    let late: u32 = minutes.iter().map(|minute| minute.1).sum();
    let over = minutes.iter().filter(|(all, late)| late * 20 > *all).count();
    let mut took: Vec<f64> = today.iter().map(|done| done.took_s).collect();
    took.sort_by(f64::total_cmp);
    let at = |part: f64| took.get((took.len() as f64 * part) as usize).copied().unwrap_or(0.0);
    let (mut node_s, mut most) = (0.0, 0);
    for (place, &(since_s, nodes)) in outcome.sizes.iter().enumerate() {
        let until_s = outcome.sizes.get(place + 1).map_or(to_s, |next| next.0);
        let span_s = until_s - since_s.max(from_s);
        if span_s > 0.0 {
            node_s += span_s * nodes as f64;
            most = most.max(nodes);
        }
    }
    Figures {
        policy: name.into(),
        node_hours: rounded(node_s / HOUR_S),
        nodes_mean: rounded(node_s / (to_s - from_s)),
        nodes_most: most as f64,
        queries: today.len() as f64,
        late_percent: rounded(100.0 * f64::from(late) / (today.len() as f64).max(1.0)),
        minutes_over: over as f64,
        median_s: rounded(at(0.5)),
        p95_s: rounded(at(0.95)),
        p99_s: rounded(at(0.99)),
        launches: outcome.launches.into(),
        removals: outcome.removals.into(),
        restarted_queries: outcome.restarted_queries as f64,
    }
}

/// To hundredths.
fn rounded(figure: f64) -> f64 {
    (figure * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short() -> Scenario {
        Scenario { days: 2, ..Scenario::default() }
    }

    #[test]
    fn a_seed_gives_the_same_figures() {
        let policy = default_policy();
        let one = replay(&short(), &policy, &[7]).unwrap();
        let same = replay(&short(), &policy, &[7]).unwrap();
        assert_eq!(one.means, same.means);
        assert_ne!(one.means, replay(&short(), &policy, &[8]).unwrap().means);
    }

    #[test]
    fn nodes_are_counted_and_bounded() {
        let policy = default_policy();
        let report = replay(&short(), &policy, &[3]).unwrap();
        let [whole, _, _, mean, most] = &report.means[..] else { panic!("{report:?}") };
        assert!(whole.nodes_most <= f64::from(policy.maximum) && whole.nodes_mean >= 2.0, "{whole:?}");
        // A fixed pool costs its size all day, but for the node that failed and was replaced at the next look.
        let hours = mean.nodes_mean.round() * 24.0;
        assert!((mean.node_hours - hours).abs() < 0.1, "{mean:?}");
        assert!(mean.node_hours < most.node_hours && mean.late_percent >= most.late_percent, "{report:?}");
        assert_eq!(mean.launches, 1.0, "the node that failed");
        assert!(whole.queries > 1_000.0 && whole.queries == most.queries, "{report:?}");
    }

    /// A pool that no work overloads answers as fast as its work takes, and a queue forms where work is more than nodes do.
    #[test]
    fn queues_form_where_work_is_more_than_nodes_do() {
        let figures = |peak_queries_per_s: f64, size| {
            let scenario = Scenario { peak_queries_per_s, ..short() };
            let fixed = ScalePolicy { minimum: size, maximum: size, ..ScalePolicy::default() };
            replay(&scenario, &fixed, &[1]).unwrap().means.remove(0)
        };
        let idle = figures(0.01, 4);
        assert!(idle.p99_s < 15.0 && idle.median_s < 0.5, "{idle:?}");
        let overloaded = figures(20.0, 2);
        assert!(overloaded.late_percent > 90.0 && overloaded.minutes_over > 1_000.0, "{overloaded:?}");
    }

    #[test]
    fn bad_policies_are_refused() {
        let policy = ScalePolicy { minimum: 0, ..ScalePolicy::default() };
        assert!(replay(&short(), &policy, &[1]).is_err());
    }
}
