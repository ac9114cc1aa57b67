//! What is to be done so that a pool has the nodes that were decided: a pure function of the nodes there are.
//!
//! The maximum holds always: it counts nodes on their way, on their way out, and such as the target has not named yet.

use super::policy::ScalePolicy;
use crate::json::Phase;

/// How long after failures the next node is launched: after two within an hour, doubled with each further one, up to the most.
const PAUSE_US: (i64, i64) = (10_000_000, 600_000_000);

/// A node of the pool.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Member {
    /// What the target calls it; `None`: somebody else started it.
    pub(crate) instance: Option<String>,
    pub(crate) shard: Option<String>,
    pub(crate) phase: Phase,
    pub(crate) launched_us: i64,
    /// Where it failed: its target says that it ended, or it never served.
    pub(crate) is_lost: bool,
}

/// One thing to do; in the order in which they are given.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Act {
    /// Have a shard give its buckets to others.
    Drain(String),
    /// Have a shard take buckets again.
    Undrain(String),
    /// End a node.
    Terminate(String),
    /// Have the target have so many nodes.
    Grow(u32),
}

/// Nodes that take part in queries or will, without being asked to: what `wanted` counts.
pub(crate) fn stays(phase: Phase) -> bool {
    use Phase::{Fetching, Launching, Loading, Ready, Silent, Statistics};
    matches!(phase, Launching | Fetching | Loading | Statistics | Ready | Silent)
}

/// `unnamed`: nodes that were asked for, and that the target does not list yet. `held`: no node is launched yet, after failures.
/// `measured`: what is wanted is of today, so that nodes may go.
pub(crate) fn plan(
    policy: &ScalePolicy,
    wanted: u32,
    members: &[Member],
    unnamed: u32,
    held: bool,
    measured: bool,
) -> Vec<Act> {
    let mut acts = Vec::new();
    let own = || members.iter().filter_map(|member| Some((member.instance.as_ref()?, member)));
    // Where most are silent it is rather those who listen that are cut off; else one is ended at a time for its silence.
    let is_silent = |member: &Member| {
        matches!(member.phase, Phase::Failed | Phase::Silent) && !member.is_lost && member.instance.is_some()
    };
    let silent = members.iter().filter(|member| is_silent(member)).count();
    let mut one_silent = silent * 2 <= members.len();
    for (instance, member) in own() {
        let ends = match member.phase {
            Phase::Drained => true,
            Phase::Failed if member.is_lost => true,
            Phase::Failed => std::mem::take(&mut one_silent),
            _ => false,
        };
        if ends {
            acts.push(Act::Terminate(instance.clone()));
        }
    }
    // What somebody else has stopped is counted as there, and as none that could do the work.
    let present = members.iter().filter(|member| stays(member.phase)).count() as u32 + unnamed;
    if present < wanted {
        let mut missing = wanted - present;
        // One that is about to go is there sooner than a new one.
        for (_, member) in own().filter(|(_, member)| member.phase == Phase::Draining) {
            if let Some(shard) = member.shard.clone().filter(|_| missing > 0) {
                acts.push(Act::Undrain(shard));
                missing -= 1;
            }
        }
        let all = members.len() as u32 + unnamed;
        let more = missing.min(policy.maximum.saturating_sub(all));
        if more > 0 && !held {
            let running = own().filter(|(_, member)| !matches!(member.phase, Phase::Failed | Phase::Drained));
            acts.push(Act::Grow(running.count() as u32 + unnamed + more));
        }
    } else if measured && unnamed == 0 && has_too_many(policy, wanted, members) {
        acts.extend(fewer(own().map(|(_, member)| member), members));
    }
    acts
}

/// Whether more serve than are wanted, and none is on its way or may be lost.
fn has_too_many(policy: &ScalePolicy, wanted: u32, members: &[Member]) -> bool {
    let serve = members.iter().filter(|member| member.phase == Phase::Ready).count() as u32;
    let is_settled = |member: &Member| match member.phase {
        Phase::Ready | Phase::Draining | Phase::Drained | Phase::Gone => true,
        // Of a dead one that somebody else started nothing more comes.
        Phase::Failed => member.instance.is_none(),
        _ => false,
    };
    serve > wanted.max(policy.minimum) && members.iter().all(is_settled)
}

/// The node that is to go next: one at a time, the latest first. One that is not heard of yet is waited for, since it may be heard
/// of already and only not known by its name; one that is silent may come back with buckets that nobody else has.
fn fewer<'a>(own: impl Iterator<Item = &'a Member>, members: &[Member]) -> Option<Act> {
    if members.iter().any(|member| member.phase == Phase::Draining) {
        return None;
    }
    let mut own: Vec<&Member> = own.filter(|member| stays(member.phase)).collect();
    own.sort_by_key(|member| std::cmp::Reverse(member.launched_us));
    let heard_of = own.into_iter().filter(|member| member.phase != Phase::Silent);
    heard_of.filter_map(|member| member.shard.clone()).next().map(Act::Drain)
}

/// When the next node may be launched, by when others failed within the last hour.
pub(crate) fn launch_at_us(failures_us: &[i64]) -> i64 {
    let Some(&last) = failures_us.iter().max() else { return i64::MIN };
    let Some(further) = failures_us.len().checked_sub(2) else { return i64::MIN };
    let pause = PAUSE_US.0.saturating_mul(1 << further.min(16)).min(PAUSE_US.1);
    last.saturating_add(pause)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, phase: Phase, launched_us: i64) -> Member {
        let own = name.starts_with('n').then(|| name.to_string());
        let shard = (phase != Phase::Launching).then(|| format!("s-{name}"));
        Member { instance: own, shard, phase, launched_us, is_lost: false }
    }

    fn planned(wanted: u32, members: &[Member]) -> Vec<Act> {
        let policy = ScalePolicy { minimum: 1, maximum: 4, ..ScalePolicy::default() };
        plan(&policy, wanted, members, 0, false, true)
    }

    #[test]
    fn nodes_on_their_way_count() {
        use Phase::{Launching, Loading, Ready};
        let fixed = member("fixed", Ready, 0);
        assert_eq!(planned(3, std::slice::from_ref(&fixed)), [Act::Grow(2)]);
        let coming = [fixed.clone(), member("n1", Loading, 1), member("n2", Launching, 2)];
        assert_eq!(planned(3, &coming), []);
        assert_eq!(planned(4, &coming), [Act::Grow(3)]);
        assert_eq!(planned(9, &coming), [Act::Grow(3)], "the maximum holds");
        let policy = ScalePolicy { maximum: 4, ..ScalePolicy::default() };
        assert_eq!(plan(&policy, 4, &coming, 1, false, true), [], "one that is not named yet");
        assert_eq!(plan(&policy, 4, &coming, 0, true, true), [], "after failures");
    }

    #[test]
    fn the_maximum_counts_those_that_go() {
        use Phase::{Draining, Failed, Ready};
        let down = Member { phase: Failed, ..member("fixed", Ready, 0) };
        let members = [down, member("n1", Ready, 1), member("n2", Ready, 2), member("n3", Failed, 3)];
        assert_eq!(planned(4, &members), [Act::Terminate("n3".into())], "its place is free once it is gone");
        let members = [member("n1", Ready, 1), member("n2", Draining, 2), member("n3", Draining, 3)];
        let acts = [Act::Undrain("s-n2".into())];
        assert_eq!(planned(2, &members), acts, "sooner there than a new one");
    }

    #[test]
    fn the_latest_goes_first_and_one_at_a_time() {
        use Phase::{Drained, Draining, Launching, Ready, Silent};
        let members = [member("fixed", Ready, 9), member("n1", Ready, 1), member("n2", Ready, 2)];
        assert_eq!(planned(2, &members), [Act::Drain("s-n2".into())]);
        assert_eq!(planned(1, &members), [Act::Drain("s-n2".into())]);
        let drains = [member("fixed", Ready, 9), member("n1", Ready, 1), member("n2", Draining, 2)];
        assert_eq!(planned(1, &drains), [], "it waits for the one before");
        let drained = [member("fixed", Ready, 9), member("n1", Ready, 1), member("n2", Drained, 2)];
        assert_eq!(planned(1, &drained), [Act::Terminate("n2".into()), Act::Drain("s-n1".into())]);
        let coming = [member("fixed", Ready, 9), member("n1", Launching, 1)];
        assert_eq!(planned(1, &coming), [], "it is waited for");
        let silent = [member("fixed", Ready, 9), member("n1", Silent, 1)];
        assert_eq!(planned(1, &silent), []);
        assert_eq!(planned(1, &[member("fixed", Ready, 0), member("other", Ready, 0)]), [], "not its own");
    }

    #[test]
    fn nodes_that_serve_stay_while_others_are_on_their_way() {
        use Phase::{Failed, Launching, Ready, Silent};
        let ready = || (1..=3).map(|at| member(&format!("n{at}"), Ready, at));
        for phase in [Launching, Silent] {
            let others = (4..=6).map(|at| member(&format!("n{at}"), phase, at));
            assert_eq!(planned(3, &ready().chain(others).collect::<Vec<_>>()), [], "{phase:?}");
        }
        let policy = ScalePolicy { minimum: 1, maximum: 4, ..ScalePolicy::default() };
        let three: Vec<Member> = ready().collect();
        assert_eq!(plan(&policy, 1, &three, 2, false, true), [], "some have no name yet");
        assert_eq!(plan(&policy, 1, &three, 0, false, false), [], "nothing was measured");
        assert_eq!(plan(&policy, 1, &three, 0, false, true), [Act::Drain("s-n3".into())]);
        let dead = Member { phase: Failed, ..member("fixed", Ready, 0) };
        assert_eq!(planned(2, &ready().chain([dead]).collect::<Vec<_>>()), [Act::Drain("s-n3".into())]);
    }

    #[test]
    fn silence_of_most_ends_none_and_else_one_at_a_time() {
        use Phase::{Failed, Ready};
        let of = |silent: i64, ready: i64| {
            let silent = (0..silent).map(|at| member(&format!("n{at}"), Failed, at));
            let ready = (0..ready).map(|at| member(&format!("n1{at}"), Ready, at));
            let members: Vec<Member> = silent.chain(ready).collect();
            let policy = ScalePolicy { minimum: 1, maximum: 9, ..ScalePolicy::default() };
            let acts = plan(&policy, 1, &members, 0, true, true);
            acts.iter().filter(|act| matches!(act, Act::Terminate(_))).count()
        };
        assert_eq!((of(8, 0), of(5, 4), of(4, 4), of(2, 6)), (0, 0, 1, 1));
        let ended = Member { is_lost: true, ..member("n1", Failed, 0) };
        assert_eq!(planned(1, &[ended.clone(), Member { instance: Some("n2".into()), ..ended }]).len(), 3);
    }

    #[test]
    fn failures_are_waited_for() {
        let at = |seconds: &[i64]| {
            launch_at_us(&seconds.iter().map(|second| second * 1_000_000).collect::<Vec<_>>())
        };
        assert_eq!((at(&[]), at(&[5])), (i64::MIN, i64::MIN));
        assert_eq!(at(&[5, 9]), 19_000_000);
        assert_eq!(at(&[9, 5, 7]), 29_000_000);
        assert_eq!(at(&[9; 100]), 609_000_000);
    }
}
