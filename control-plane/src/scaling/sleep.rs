//! Whether a pool that may have no node is to sleep or to be woken: a pure function of its policy, of what was decided before,
//! of how quiet it is, and of the time.

use super::decide::{Pool, nodes_for_memory};
use super::observation::Observation;
use super::plan::{Act, Member, stays};
use super::policy::ScalePolicy;
use super::view::View;
use crate::json::Phase;
use flight_proto::admin::PoolRest;

const SECOND_US: i64 = 1_000_000;

/// What a node has last gone through that was ended since its pool sleeps.
pub(super) const SLEEPS: &str = "the pool sleeps";

/// How quiet a pool is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Quiet {
    /// Statements that need shards, whether they run or wait.
    pub(crate) in_use: u64,
    /// For how long there was none on any coordinator; `None`: not all of them tell.
    pub(crate) idle_us: Option<i64>,
    /// Until the next refresh is due.
    pub(crate) refresh_us: Option<i64>,
    /// Nodes that are there or on their way, and how many of them were started by somebody else.
    pub(crate) present: u32,
    pub(crate) others: u32,
    /// Nodes are launched from here.
    pub(crate) launches: bool,
}

/// What becomes of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Turn {
    /// It stays as it is; why one that might sleep does not.
    Stay(Option<String>),
    /// Its nodes are to be ended, and why.
    Sleep(String),
    /// Nodes are to be launched, and why.
    Wake(String),
}

impl Quiet {
    pub(crate) fn of(view: &View, members: &[Member], unnamed: u32, launches: bool) -> Quiet {
        let loads = || view.loads.values();
        let micros = |millis: u64| i64::try_from(millis.saturating_mul(1_000)).unwrap_or(i64::MAX);
        let all_tell = view.loads.len() == view.asked && loads().all(|load| load.idle_ms.is_some());
        let idle_ms = loads().filter_map(|load| load.idle_ms).min();
        let here = || members.iter().filter(|member| stays(member.phase) || member.phase == Phase::Draining);
        Quiet {
            in_use: loads().filter_map(|load| load.in_use).sum(),
            idle_us: idle_ms.filter(|_| all_tell).map(micros),
            refresh_us: loads().filter_map(|load| load.refresh_in_ms).min().map(micros),
            present: here().count() as u32 + unnamed,
            others: here().filter(|member| member.instance.is_none()).count() as u32,
            launches,
        }
    }
}

/// Decides whether the pool sleeps.
pub(crate) fn turn(policy: &ScalePolicy, pool: &Pool, quiet: &Quiet, now_us: i64) -> Turn {
    let micros = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX / SECOND_US) * SECOND_US;
    let (idle_after_us, launch_us) = (micros(policy.idle_after_s), micros(policy.launch_s));
    // A node that is launched now is there as the window begins.
    let begins_within = |ahead_us: i64| {
        policy.windows.iter().find(|window| {
            let mut at_us = now_us;
            // Windows are at least a minute long.
            while at_us < now_us.saturating_add(ahead_us) && !window.holds(at_us) {
                at_us = at_us.saturating_add(60 * SECOND_US);
            }
            window.holds(at_us.min(now_us.saturating_add(ahead_us)))
        })
    };
    if pool.asleep_us.is_some() {
        let why = if quiet.in_use > 0 {
            format!("{} statements wait for shards", quiet.in_use)
        } else if policy.minimum > 0 {
            format!("the policy's minimum is {}", policy.minimum)
        } else if quiet.others > 0 {
            "there are shards that somebody else started".into()
        } else if let Some(window) = begins_within(launch_us) {
            format!("the window '{window}' holds, or begins within {} s", policy.launch_s)
        } else if let Some(due_us) = quiet.refresh_us.filter(|due_us| *due_us <= launch_us) {
            format!("a table is to be refreshed in {} s", due_us / SECOND_US)
        } else {
            return Turn::Stay(None);
        };
        return Turn::Wake(why);
    }
    if policy.minimum > 0 {
        return Turn::Stay(None);
    }
    let stay = |why: String| Turn::Stay(Some(format!("the pool does not sleep: {why}")));
    let since_us = |at_us: Option<i64>| at_us.map(|at_us| now_us - at_us).filter(|since_us| *since_us >= 0);
    let changed_of_late = |at_us, us| since_us(at_us).is_some_and(|since_us| since_us < us);
    // A refresh that it was woken for comes up to `launch_s` later.
    let soon_us = idle_after_us.max(launch_us.saturating_mul(2));
    let Some(idle_us) = quiet.idle_us else {
        return stay("not all coordinators tell whether statements need shards".into());
    };
    if !quiet.launches {
        return stay("nothing would wake it, since no nodes are launched from here".into());
    }
    if quiet.others > 0 {
        return stay("there are shards that somebody else started".into());
    }
    if quiet.in_use > 0 {
        return stay(format!("{} statements need shards", quiet.in_use));
    }
    if let Some(window) = begins_within(soon_us) {
        return stay(format!("the window '{window}' holds, or begins within {} s", soon_us / SECOND_US));
    }
    if let Some(due_us) = quiet.refresh_us.filter(|due_us| *due_us <= soon_us) {
        return stay(format!("a table is to be refreshed in {} s", due_us / SECOND_US));
    }
    if quiet.present == 0 && pool.wanted == 0 {
        return Turn::Sleep("no node is there, and none is needed".into());
    }
    if idle_us < idle_after_us {
        let (idle_s, after_s) = (idle_us / SECOND_US, policy.idle_after_s);
        return stay(format!("no statement needed shards for {idle_s} s, of {after_s}"));
    }
    if changed_of_late(pool.woke_us, idle_after_us.max(launch_us))
        || changed_of_late(pool.out_us, micros(policy.cooldown_in_s))
    {
        return stay("nodes were launched a short while ago".into());
    }
    Turn::Sleep(format!("no statement needed shards for {} s", idle_us / SECOND_US))
}

impl Pool {
    /// What coordinators are told of it.
    pub(crate) fn rest(&self) -> PoolRest {
        match (self.asleep_us, self.is_waking) {
            (Some(_), _) => PoolRest::Asleep,
            (None, true) => PoolRest::Waking,
            (None, false) => PoolRest::Awake,
        }
    }

    pub(crate) fn fall_asleep(&mut self, policy: &ScalePolicy, last: Option<&Observation>, now_us: i64) {
        // A pool that never had a node has no idea of how many it needs.
        let known = last.map(|last| nodes_for_memory(policy, last));
        self.wake_nodes = known.unwrap_or(self.wake_nodes).clamp(1, policy.maximum);
        (self.asleep_us, self.is_waking, self.wanted) = (Some(now_us), false, 0);
        self.in_us = Some(now_us);
    }

    pub(crate) fn wake(&mut self, policy: &ScalePolicy, now_us: i64) {
        let windows = policy.windows.iter().filter(|window| window.holds(now_us));
        let least = windows.map(|window| window.minimum).fold(policy.minimum, u32::max);
        self.wanted = self.wake_nodes.max(least).clamp(1, policy.maximum);
        (self.asleep_us, self.is_waking) = (None, true);
        (self.woke_us, self.out_us) = (Some(now_us), Some(now_us));
    }

    /// Ends waking once the nodes are there, or have not come for so long that nobody should wait for them.
    pub(crate) fn follow_waking(&mut self, policy: &ScalePolicy, ready: u32, now_us: i64) {
        let limit_us = i64::try_from(policy.launch_limit_s).unwrap_or(i64::MAX / SECOND_US) * SECOND_US;
        let is_late = self.woke_us.is_none_or(|woke_us| now_us - woke_us > limit_us);
        self.is_waking &= ready < self.wanted.max(1) && !is_late;
    }
}

/// What is to be done while the pool sleeps: whatever was launched from here ends.
pub(crate) fn ends(members: &[Member]) -> Vec<Act> {
    let own = members.iter().filter_map(|member| member.instance.clone());
    own.map(Act::Terminate).collect()
}

#[cfg(test)]
#[path = "tests/sleep.rs"]
mod tests;
