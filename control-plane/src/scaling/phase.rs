//! Where a node is in its life: a pure function of what its target and its coordinators say, and of what it went through.

use super::policy::ScalePolicy;
use super::target::Instance;
use super::view::ShardSeen;
use crate::json::{Phase, PoolNode};

const SECOND_US: i64 = 1_000_000;
/// How long a node that was ready may be silent, as while it is restarted.
const SILENT_US: i64 = 60 * SECOND_US;
/// A shard that takes part and has nothing to bring in for so long is ready, though no bucket is its own.
const SETTLED_US: i64 = 10 * SECOND_US;

/// The phase of a node, and what is to be said of it. `hears`: the coordinators hear of some shard, so that silence means something.
pub(crate) fn phase_of(
    node: &PoolNode,
    instance: &Instance,
    shard: Option<&ShardSeen>,
    policy: &ScalePolicy,
    hears: bool,
    now_us: i64,
) -> (Phase, String) {
    if let Some(why) = &instance.gone {
        return (Phase::Failed, why.clone());
    }
    let was_ready = node.steps.iter().any(|step| step.phase == Phase::Ready);
    // One that was given up for its silence may come back before it is ended.
    let is_back = was_ready && shard.is_some_and(|shard| shard.by_any && shard.status == "active");
    if node.phase == Phase::Failed && !is_back {
        return (Phase::Failed, String::new());
    }
    let limit_us = i64::try_from(policy.launch_limit_s).unwrap_or(i64::MAX / SECOND_US) * SECOND_US;
    let launched_us = node.steps.first().map_or(now_us, |first| first.at_us);
    let late = hears && now_us - launched_us > limit_us;
    let comes = |phase: Phase| match late {
        true => (Phase::Failed, format!("it was not ready within {} s", policy.launch_limit_s)),
        false => (phase, String::new()),
    };
    let Some(shard) = shard else {
        return match was_ready {
            true => silent(node, hears, now_us),
            false => comes(Phase::Launching),
        };
    };
    match shard.status.as_str() {
        // The coordinators have dealt its buckets to others; it may be they that are cut off.
        "down" if was_ready => silent(node, hears, now_us),
        "drained" if shard.buckets == 0 => (Phase::Drained, String::new()),
        "draining" | "drained" if shard.by_any => (Phase::Draining, String::new()),
        _ if !shard.by_any && was_ready => silent(node, hears, now_us),
        _ if !shard.by_any => comes(Phase::Launching),
        _ if was_ready => (Phase::Ready, String::new()),
        // Where data change all the time there is always something to bring in.
        "active" if late && shard.by_all && shard.buckets > 0 => (Phase::Ready, "it serves".into()),
        "active" => match shard.brings {
            Some((0, _)) => comes(Phase::Fetching),
            Some((done, all)) if done < all => comes(Phase::Loading),
            Some(_) => comes(Phase::Statistics),
            None if shard.by_all && shard.buckets > 0 => (Phase::Ready, String::new()),
            None if shard.by_all && settled(node, now_us) => (Phase::Ready, "no bucket is its own".into()),
            None => comes(Phase::Fetching),
        },
        _ => comes(Phase::Launching),
    }
}

/// Of a node that was ready and is not heard of.
fn silent(node: &PoolNode, hears: bool, now_us: i64) -> (Phase, String) {
    let last = node.steps.last().filter(|last| last.phase == Phase::Silent);
    let since_us = last.map_or(0, |last| now_us - last.at_us);
    match hears && since_us > SILENT_US {
        true => (Phase::Failed, format!("it was not heard of for {} s", SILENT_US / SECOND_US)),
        false => (Phase::Silent, String::new()),
    }
}

/// It takes part, and has nothing to do, for a while.
fn settled(node: &PoolNode, now_us: i64) -> bool {
    let last = node.steps.last().filter(|last| last.phase == Phase::Fetching);
    last.is_some_and(|last| now_us - last.at_us > SETTLED_US)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Step;

    fn node(phases: &[(Phase, i64)]) -> PoolNode {
        let step =
            |&(phase, at_s): &(Phase, i64)| Step { phase, at_us: at_s * SECOND_US, detail: String::new() };
        let steps: Vec<Step> = phases.iter().map(step).collect();
        let phase = steps.last().unwrap().phase;
        PoolNode { instance: "a".into(), shard: String::new(), phase, steps }
    }

    fn seen(status: &str, alive: bool, buckets: u64, brings: Option<(u64, u64)>) -> ShardSeen {
        let status = status.into();
        ShardSeen { status, by_any: alive, by_all: alive, buckets, brings, ..ShardSeen::default() }
    }

    #[test]
    fn a_node_goes_through_its_life() {
        let policy = ScalePolicy { launch_s: 100, launch_limit_s: 100, ..ScalePolicy::default() };
        let runs = Instance::default();
        let gone = Instance { gone: Some("it ended".into()), ..Instance::default() };
        let launched = node(&[(Phase::Launching, 0)]);
        let of = |node: &PoolNode, shard: Option<ShardSeen>, at_s: i64| {
            phase_of(node, &runs, shard.as_ref(), &policy, true, at_s * SECOND_US).0
        };
        assert_eq!(of(&launched, None, 50), Phase::Launching);
        assert_eq!(of(&launched, None, 101), Phase::Failed, "it has not come");
        assert_eq!(of(&launched, Some(seen("joining", true, 0, None)), 5), Phase::Launching);
        assert_eq!(of(&launched, Some(seen("active", true, 0, Some((0, 9)))), 5), Phase::Fetching);
        assert_eq!(of(&launched, Some(seen("active", true, 0, Some((3, 9)))), 5), Phase::Loading);
        assert_eq!(of(&launched, Some(seen("active", true, 2, Some((9, 9)))), 5), Phase::Statistics);
        assert_eq!(
            of(&launched, Some(seen("active", true, 0, Some((3, 9)))), 101),
            Phase::Failed,
            "too slow"
        );
        assert_eq!(
            of(&launched, Some(seen("active", true, 2, Some((3, 9)))), 101),
            Phase::Ready,
            "it serves"
        );
        assert_eq!(of(&launched, Some(seen("active", true, 2, None)), 5), Phase::Ready);
        assert_eq!(of(&launched, Some(seen("active", true, 0, None)), 5), Phase::Fetching);
        let waits = node(&[(Phase::Launching, 0), (Phase::Fetching, 5)]);
        assert_eq!(of(&waits, Some(seen("active", true, 0, None)), 16), Phase::Ready, "nothing is its own");
        assert_eq!(phase_of(&launched, &gone, None, &policy, true, 0), (Phase::Failed, "it ended".into()));

        let ready = node(&[(Phase::Launching, 0), (Phase::Ready, 9)]);
        assert_eq!(of(&ready, Some(seen("active", true, 2, Some((0, 9)))), 500), Phase::Ready, "more data");
        assert_eq!(of(&ready, Some(seen("active", false, 2, None)), 500), Phase::Silent);
        assert_eq!(of(&ready, Some(seen("down", false, 0, None)), 500), Phase::Silent);
        let silent = node(&[(Phase::Ready, 9), (Phase::Silent, 500)]);
        assert_eq!(of(&silent, Some(seen("active", true, 2, None)), 530), Phase::Ready, "it was restarted");
        assert_eq!(of(&silent, None, 560), Phase::Silent);
        assert_eq!(of(&silent, None, 561), Phase::Failed);
        let cut_off = |node: &PoolNode| phase_of(node, &runs, None, &policy, false, 900 * SECOND_US).0;
        assert_eq!((cut_off(&silent), cut_off(&launched)), (Phase::Silent, Phase::Launching), "no witness");
        assert_eq!(of(&ready, Some(seen("draining", true, 2, None)), 500), Phase::Draining);
        assert_eq!(of(&ready, Some(seen("drained", true, 1, None)), 500), Phase::Draining);
        assert_eq!(of(&ready, Some(seen("drained", true, 0, None)), 500), Phase::Drained);
        let failed = node(&[(Phase::Ready, 9), (Phase::Failed, 20)]);
        assert_eq!(of(&failed, Some(seen("active", true, 2, None)), 21), Phase::Ready, "it is back");
        assert_eq!(of(&failed, Some(seen("down", false, 0, None)), 21), Phase::Failed);
        assert_eq!(phase_of(&failed, &gone, None, &policy, true, SECOND_US).0, Phase::Failed);
        let late = node(&[(Phase::Launching, 0), (Phase::Failed, 101)]);
        assert_eq!(of(&late, Some(seen("active", true, 2, None)), 102), Phase::Failed, "given up for good");
    }
}
