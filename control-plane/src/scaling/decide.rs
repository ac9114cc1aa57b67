//! How many nodes a pool is to have: a pure function of its policy, of what was observed, and of the time.
//!
//! Each rule asks for a number of nodes and says why; the highest counts, within the policy's bounds. More nodes come at
//! once, but for a cool-down; fewer only when they would have been enough for a while, and a part at a time.

use super::observation::{MINUTE_US, Minutes, Observation};
use super::policy::ScalePolicy;
use serde::{Deserialize, Serialize};

const SECOND_US: i64 = 1_000_000;
/// Observations of so long are kept, or of the cool-down.
const RECENT_S: i64 = 3_600;
const DAY_US: i64 = 24 * 60 * MINUTE_US;
/// Load is a mean over so long: shorter, and chance decides.
const MEAN_US: i64 = 60 * SECOND_US;
/// A trend is seen in so long, and in so many observations at least.
const TREND_US: i64 = 10 * MINUTE_US;
const TREND_POINTS: usize = 6;
/// A line must explain so much of what was observed to count as a trend (its r²).
const TREND_FIT: f64 = 0.6;
/// Of today against the same time then: over so long, and within these bounds.
const LEVEL_US: i64 = 30 * MINUTE_US;
const LEVEL: (f64, f64) = (0.5, 2.0);
/// Of nodes that are too many, the part that goes at once.
const SHRINK: u32 = 4;

/// What is remembered of a pool from one decision to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Pool {
    /// The number of nodes that was decided last.
    pub(crate) wanted: u32,
    /// When it was raised and lowered last, in microseconds since 1970.
    pub(crate) out_us: Option<i64>,
    pub(crate) in_us: Option<i64>,
    /// Since when it sleeps; `None`: it does not.
    pub(crate) asleep_us: Option<i64>,
    /// When it was woken last, and whether nodes are still to come since.
    pub(crate) woke_us: Option<i64>,
    pub(crate) is_waking: bool,
    /// How many nodes it is woken to: as many as its segments needed.
    pub(crate) wake_nodes: u32,
}

/// What is decided, and why.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Decision {
    pub(crate) wanted: u32,
    /// What rules ask for, in words; the first decides.
    pub(crate) reasons: Vec<String>,
}

/// What a rule asks for.
struct Need {
    nodes: u32,
    why: String,
}

/// Decides by what was observed of late, the last one last, and by the days before. Without an observation nothing changes.
pub(crate) fn decide(
    policy: &ScalePolicy,
    pool: &Pool,
    recent: &[Observation],
    days: &Minutes,
    now_us: i64,
) -> Decision {
    let wanted = pool.wanted.clamp(policy.floor(), policy.maximum);
    let Some(last) = recent.last().filter(|last| last.ready > 0) else {
        return Decision {
            wanted,
            reasons: vec!["no node takes part yet: what is needed is not known".into()],
        };
    };
    let mut needs = needs(policy, recent, last, days, now_us);
    needs.sort_by_key(|need| std::cmp::Reverse(need.nodes));
    let most = needs.first().map_or(policy.floor(), |need| need.nodes);
    let mut reasons: Vec<String> = needs.into_iter().map(|need| need.why).collect();
    if most > policy.maximum {
        reasons.push(format!("{most} nodes are more than the maximum of {}", policy.maximum));
    }
    let target = most.clamp(policy.floor(), policy.maximum);
    let told = |wanted, reasons| Decision { wanted, reasons };
    if target > wanted {
        let since = pool.out_us.map(|out| now_us - out);
        if let Some(left) = left(since, policy.cooldown_out_s) {
            reasons.push(format!("{target} nodes are wanted, {left} s after the cool-down ends"));
            return told(wanted, reasons);
        }
        return told(target, reasons);
    }
    if target < wanted {
        let changed = pool.out_us.max(pool.in_us);
        if let Some(left) = left(changed.map(|changed| now_us - changed), policy.cooldown_in_s) {
            reasons.push(format!("{target} nodes are enough; fewer come in {left} s at the soonest"));
            return told(wanted, reasons);
        }
        let cooldown_us = i64::try_from(policy.cooldown_in_s).unwrap_or(i64::MAX / SECOND_US) * SECOND_US;
        if recent.first().is_none_or(|first| first.at_us > now_us.saturating_sub(cooldown_us)) {
            reasons.push(format!(
                "{target} nodes are enough; that is seen for less than {} s",
                policy.cooldown_in_s
            ));
            return told(wanted, reasons);
        }
        let past = past_need(policy, recent, now_us).max(target);
        let fewer = past.max(wanted - (wanted / SHRINK).max(1));
        if fewer < wanted {
            return told(fewer, reasons);
        }
        reasons.push(format!("{past} nodes were needed in the last {} s", policy.cooldown_in_s));
    }
    told(wanted, reasons)
}

/// Takes observations away that no decision looks at any more.
pub(crate) fn forget_old(recent: &mut Vec<Observation>, policy: &ScalePolicy, now_us: i64) {
    // One more look than the cool-down lasts.
    let seconds = i64::try_from(policy.cooldown_in_s).unwrap_or(i64::MAX).saturating_add(120).max(RECENT_S);
    let first = now_us.saturating_sub(seconds.saturating_mul(SECOND_US));
    let old = recent.partition_point(|one| one.at_us < first);
    recent.drain(..old);
}

/// The seconds that are left of a cool-down.
fn left(since_us: Option<i64>, cooldown_s: u64) -> Option<i64> {
    let cooldown_us = i64::try_from(cooldown_s).unwrap_or(i64::MAX / SECOND_US) * SECOND_US;
    // A clock that was put back lets nothing wait for longer than the cool-down.
    let left = cooldown_us - since_us.filter(|since| *since >= 0)?;
    (left > 0).then(|| (left + SECOND_US - 1) / SECOND_US)
}

fn needs(
    policy: &ScalePolicy,
    recent: &[Observation],
    last: &Observation,
    days: &Minutes,
    now_us: i64,
) -> Vec<Need> {
    let ahead_us = i64::try_from(policy.launch_s).unwrap_or(i64::MAX / SECOND_US) * SECOND_US;
    let mut needs =
        vec![Need { nodes: policy.minimum, why: format!("the policy's minimum is {}", policy.minimum) }];
    for window in &policy.windows {
        let why = match (window.holds(now_us), window.holds(now_us + ahead_us)) {
            (true, _) => format!("the window '{window}' has {} at least", window.minimum),
            (_, true) => format!("the window '{window}' begins within {} s", policy.launch_s),
            _ => continue,
        };
        needs.push(Need { nodes: window.minimum, why });
    }
    needs.extend(of_memory(policy, last));
    needs.extend(of_queue(policy, last));
    if policy.processor_percent > 0 {
        needs.extend(of_processors(policy, recent, now_us));
        if policy.predict {
            needs.extend(of_trend(policy, recent, now_us, ahead_us));
            needs.extend(of_days(policy, days, now_us, ahead_us));
        }
    }
    needs
}

/// How many nodes a load busies as much as the policy wants.
fn nodes_for(policy: &ScalePolicy, load: f64) -> u32 {
    let percent = f64::from(policy.processor_percent.max(1));
    // A thousandth too much is no node.
    whole(load * 100.0 / percent - 0.001)
}

/// How many nodes the segments of a pool need.
pub(crate) fn nodes_for_memory(policy: &ScalePolicy, last: &Observation) -> u32 {
    // Where memory is not looked at, what fits is enough.
    let percent = if policy.resident_percent == 0 { 90 } else { policy.resident_percent };
    let policy = ScalePolicy { resident_percent: percent, ..policy.clone() };
    of_memory(&policy, last).map_or(last.ready, |need| need.nodes).max(1)
}

fn whole(nodes: f64) -> u32 {
    // A number that is none, or beyond all bounds, becomes the nearest one.
    nodes.ceil().clamp(0.0, 1e6) as u32
}

fn of_memory(policy: &ScalePolicy, last: &Observation) -> Option<Need> {
    if policy.resident_percent == 0 || last.memory_bytes == 0 {
        return None;
    }
    let share = last.resident_bytes as f64 / last.memory_bytes as f64;
    let nodes = whole(f64::from(last.ready) * share * 100.0 / f64::from(policy.resident_percent) - 0.001);
    let why = format!(
        "segments take {:.0} % of memory, up to {} % are wanted: {nodes} nodes",
        share * 100.0,
        policy.resident_percent
    );
    Some(Need { nodes, why })
}

fn of_queue(policy: &ScalePolicy, last: &Observation) -> Option<Need> {
    if policy.queue_ms == 0 || last.queue_ms <= policy.queue_ms as f64 || last.queued <= 0.0 {
        return None;
    }
    // Twice as many at most: how fast the queue shortens then is seen next.
    let backlog = (last.queued / last.running.max(1.0)).min(1.0);
    let nodes = whole(f64::from(last.ready) * (1.0 + backlog)).max(last.ready + 1);
    let why = format!(
        "{:.0} statements wait, {:.0} ms where {} are wanted: {nodes} nodes",
        last.queued, last.queue_ms, policy.queue_ms
    );
    Some(Need { nodes, why })
}

/// Observations of a time until now.
fn since(recent: &[Observation], from_us: i64) -> &[Observation] {
    let first = recent.partition_point(|one| one.at_us < from_us);
    &recent[first..]
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    (count > 0.0).then(|| sum / count)
}

fn of_processors(policy: &ScalePolicy, recent: &[Observation], now_us: i64) -> Option<Need> {
    let of = since(recent, now_us - MEAN_US);
    let busy = mean(of.iter().map(|one| one.busy))?;
    let ready = mean(of.iter().map(|one| f64::from(one.ready)))?;
    let nodes = nodes_for(policy, busy);
    let why = format!(
        "processors are {:.0} % busy, {} % are wanted: {nodes} nodes",
        100.0 * busy / ready.max(1.0),
        policy.processor_percent
    );
    Some(Need { nodes, why })
}

/// The line through what was needed of late (least squares), as far ahead as a node takes to come.
fn of_trend(policy: &ScalePolicy, recent: &[Observation], now_us: i64, ahead_us: i64) -> Option<Need> {
    let of = since(recent, now_us - TREND_US);
    let spans = of.first().is_some_and(|first| now_us - first.at_us >= TREND_US / 2);
    if of.len() < TREND_POINTS || !spans {
        return None;
    }
    let seconds = |one: &Observation| (one.at_us - now_us) as f64 / SECOND_US as f64;
    let (at, load) = (mean(of.iter().map(seconds))?, mean(of.iter().map(Observation::demand))?);
    let sum = |value: &dyn Fn(f64, f64) -> f64| -> f64 {
        of.iter().map(|one| value(seconds(one) - at, one.demand() - load)).sum()
    };
    let (xx, xy, yy) = (sum(&|x, _| x * x), sum(&|x, y| x * y), sum(&|_, y| y * y));
    if xx <= 0.0 || yy <= 0.0 || xy <= 0.0 || xy * xy / (xx * yy) < TREND_FIT {
        return None;
    }
    let expected = load + xy / xx * (ahead_us as f64 / SECOND_US as f64 - at);
    let nodes = nodes_for(policy, expected);
    let why = format!("the load rises: {nodes} nodes are needed in {} s", policy.launch_s);
    Some(Need { nodes, why })
}

/// What the same time needed a week ago, or else yesterday, from now until a node would be there, at today's level.
fn of_days(policy: &ScalePolicy, days: &Minutes, now_us: i64, ahead_us: i64) -> Option<Need> {
    [(7, "a week ago"), (1, "yesterday")].into_iter().find_map(|(count, when)| {
        let then = now_us - count * DAY_US;
        let needed = days.between(then, then + ahead_us)?;
        let before = mean(days.between(then - LEVEL_US, then - MINUTE_US)?.into_iter())?;
        let today = mean(days.between(now_us - LEVEL_US, now_us - MINUTE_US)?.into_iter())?;
        let level = if before > 0.0 { (today / before).clamp(LEVEL.0, LEVEL.1) } else { 1.0 };
        let most = needed.into_iter().fold(0.0, f64::max) * level;
        let nodes = nodes_for(policy, most);
        let why = format!("the same time {when} needed as much as {nodes} nodes of today's level");
        Some(Need { nodes, why })
    })
}

/// The most nodes that were needed while a cool-down lasts.
fn past_need(policy: &ScalePolicy, recent: &[Observation], now_us: i64) -> u32 {
    let cooldown_us = i64::try_from(policy.cooldown_in_s).unwrap_or(i64::MAX / SECOND_US) * SECOND_US;
    let of = since(recent, now_us.saturating_sub(cooldown_us));
    // Who was admitted since the look before may have waited, though nobody does at the moment.
    let waited = |one: &Observation| policy.queue_ms > 0 && one.queue_ms > policy.queue_ms as f64;
    let queue = of.iter().filter_map(|one| match of_queue(policy, one) {
        Some(need) => Some(need.nodes),
        None => waited(one).then_some(one.ready),
    });
    let queue = queue.max();
    let means = of.iter().map(|one| {
        // As busy as the minute until then.
        let until = recent.partition_point(|other| other.at_us <= one.at_us);
        let minute = since(&recent[..until], one.at_us - MEAN_US);
        nodes_for(policy, mean(minute.iter().map(|one| one.busy)).unwrap_or(0.0))
    });
    let processors = if policy.processor_percent > 0 { means.max() } else { None };
    queue.unwrap_or(0).max(processors.unwrap_or(0))
}

#[cfg(test)]
#[path = "tests/decide.rs"]
mod tests;
