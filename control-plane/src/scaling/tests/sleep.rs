//! When a pool sleeps, and what wakes it.

use super::*;
use crate::scaling::window::Window;

/// A Monday at noon.
const NOW: i64 = 1_578_268_800_000_000 + 12 * 3_600 * SECOND_US;

fn policy() -> ScalePolicy {
    ScalePolicy { minimum: 0, idle_after_s: 900, launch_s: 180, cooldown_in_s: 600, ..ScalePolicy::default() }
}

/// Of two nodes that nobody needs for an hour.
fn idle() -> Quiet {
    let idle_us = Some(3_600 * SECOND_US);
    Quiet { in_use: 0, idle_us, refresh_us: None, present: 2, others: 0, launches: true }
}

fn awake() -> Pool {
    Pool { wanted: 2, ..Pool::default() }
}

fn asleep() -> Pool {
    Pool { asleep_us: Some(NOW - SECOND_US), woke_us: Some(NOW - 9), wake_nodes: 3, ..Pool::default() }
}

fn stays(policy: &ScalePolicy, pool: &Pool, quiet: &Quiet) -> String {
    match turn(policy, pool, quiet, NOW) {
        Turn::Stay(why) => why.unwrap_or_default(),
        other => panic!("{other:?}"),
    }
}

fn wakes(policy: &ScalePolicy, quiet: &Quiet) -> String {
    match turn(policy, &asleep(), quiet, NOW) {
        Turn::Wake(why) => why,
        other => panic!("{other:?}"),
    }
}

fn window(text: &str) -> Vec<Window> {
    vec![text.parse().unwrap()]
}

#[test]
fn an_idle_pool_sleeps() {
    assert!(matches!(turn(&policy(), &awake(), &idle(), NOW), Turn::Sleep(why) if why.contains("3600 s")));
    let just = Quiet { idle_us: Some(900 * SECOND_US), ..idle() };
    assert!(matches!(turn(&policy(), &awake(), &just, NOW), Turn::Sleep(_)));
    let empty = Quiet { idle_us: Some(0), present: 0, ..idle() };
    assert!(matches!(turn(&policy(), &Pool::default(), &empty, NOW), Turn::Sleep(_)), "it has no node");
}

#[test]
fn one_that_is_needed_stays() {
    let refused = [
        (Quiet { idle_us: Some(899 * SECOND_US), ..idle() }, "899 s, of 900"),
        (Quiet { in_use: 1, ..idle() }, "1 statements"),
        (Quiet { idle_us: None, ..idle() }, "not all coordinators"),
        (Quiet { others: 1, ..idle() }, "somebody else"),
        (Quiet { launches: false, ..idle() }, "no nodes are launched"),
        (Quiet { refresh_us: Some(0), ..idle() }, "refreshed in 0 s"),
        (Quiet { refresh_us: Some(900 * SECOND_US), ..idle() }, "refreshed in 900 s"),
    ];
    for (quiet, place) in refused {
        let why = stays(&policy(), &awake(), &quiet);
        assert!(why.contains(place), "{place}: {why}");
    }
    let later = Quiet { refresh_us: Some(901 * SECOND_US), ..idle() };
    assert!(matches!(turn(&policy(), &awake(), &later, NOW), Turn::Sleep(_)), "the refresh is far off");
    assert_eq!(stays(&ScalePolicy { minimum: 1, ..policy() }, &awake(), &idle()), "");
    for text in ["daily 11:00-13:00=1", "daily 12:14-13:00=1"] {
        let why = stays(&ScalePolicy { windows: window(text), ..policy() }, &awake(), &idle());
        assert!(why.contains("window"), "{text}: {why}");
    }
    let later = ScalePolicy { windows: window("daily 12:16-13:00=1"), ..policy() };
    assert!(matches!(turn(&later, &awake(), &idle(), NOW), Turn::Sleep(_)), "the window is far off");
}

#[test]
fn it_does_not_flap() {
    let ago = |seconds: i64| Some(NOW - seconds * SECOND_US);
    for pool in [
        Pool { woke_us: ago(899), ..awake() },
        Pool { out_us: ago(599), woke_us: ago(5_000), ..awake() },
        Pool { is_waking: true, woke_us: ago(1), out_us: ago(1), ..awake() },
    ] {
        assert!(stays(&policy(), &pool, &idle()).contains("a short while ago"), "{pool:?}");
    }
    let settled = Pool { woke_us: ago(900), out_us: ago(600), in_us: ago(1), ..awake() };
    assert!(matches!(turn(&policy(), &settled, &idle(), NOW), Turn::Sleep(_)));
    // One that is woken for a refresh is there still when that comes.
    let short = ScalePolicy { idle_after_s: 10, launch_s: 180, cooldown_in_s: 0, ..policy() };
    let pool = Pool { woke_us: ago(179), ..awake() };
    assert!(stays(&short, &pool, &idle()).contains("a short while ago"));
    // A clock that was put back lets nothing wait.
    let ahead = Pool { woke_us: Some(NOW + 9_000 * SECOND_US), ..awake() };
    assert!(matches!(turn(&policy(), &ahead, &idle(), NOW), Turn::Sleep(_)));
}

#[test]
fn what_needs_nodes_wakes_it_at_once() {
    let quiet = Quiet { present: 0, ..idle() };
    assert_eq!(stays(&policy(), &asleep(), &quiet), "");
    // Whether all coordinators tell is of no matter.
    let asked = Quiet { in_use: 2, idle_us: None, ..quiet };
    assert_eq!(wakes(&policy(), &asked), "2 statements wait for shards");
    assert!(wakes(&ScalePolicy { minimum: 1, ..policy() }, &quiet).contains("minimum is 1"));
    assert!(wakes(&policy(), &Quiet { others: 1, ..quiet }).contains("somebody else"));
    assert!(wakes(&policy(), &Quiet { refresh_us: Some(180 * SECOND_US), ..quiet }).contains("refreshed"));
    let later = Quiet { refresh_us: Some(181 * SECOND_US), ..quiet };
    assert_eq!(stays(&policy(), &asleep(), &later), "");
    let soon = ScalePolicy { windows: window("daily 12:03-13:00=2"), ..policy() };
    assert!(wakes(&soon, &quiet).contains("window"));
    let later = ScalePolicy { windows: window("daily 12:04-13:00=2"), ..policy() };
    assert_eq!(stays(&later, &asleep(), &quiet), "");
}

#[test]
fn it_is_woken_to_what_its_segments_need() {
    let policy = ScalePolicy { maximum: 4, resident_percent: 70, ..policy() };
    let seen = |resident_bytes| Observation {
        ready: 3,
        resident_bytes,
        memory_bytes: 300,
        ..Observation::default()
    };
    let nodes = |policy: &ScalePolicy, last: Option<&Observation>| {
        let mut pool = awake();
        pool.fall_asleep(policy, last, NOW);
        assert_eq!((pool.rest(), pool.wanted), (PoolRest::Asleep, 0));
        pool.wake(policy, NOW + 7);
        assert_eq!(
            (pool.rest(), pool.woke_us, pool.out_us),
            (PoolRest::Waking, Some(NOW + 7), Some(NOW + 7))
        );
        pool.wanted
    };
    assert_eq!(nodes(&policy, Some(&seen(150))), 3, "150 of 100 each at 70 %");
    assert_eq!(nodes(&policy, Some(&seen(10))), 1);
    assert_eq!(nodes(&policy, Some(&seen(900))), 4, "the maximum");
    assert_eq!(nodes(&policy, None), 1);
    let anyhow = ScalePolicy { resident_percent: 0, ..policy.clone() };
    assert_eq!(nodes(&anyhow, Some(&seen(150))), 2);
    let windowed = ScalePolicy { windows: window("daily 11:00-13:00=4"), ..policy.clone() };
    assert_eq!(nodes(&windowed, None), 4);
    // What it knew before counts where it slept again before anything was measured.
    let mut pool = Pool { wake_nodes: 3, ..awake() };
    pool.fall_asleep(&policy, None, NOW);
    pool.wake(&policy, NOW);
    assert_eq!(pool.wanted, 3);
}

#[test]
fn waking_ends_when_nodes_are_there_or_do_not_come() {
    let policy = ScalePolicy { launch_limit_s: 900, ..policy() };
    let after = |ready, seconds: i64| {
        let mut pool = Pool { wanted: 2, is_waking: true, woke_us: Some(NOW), ..Pool::default() };
        pool.follow_waking(&policy, ready, NOW + seconds * SECOND_US);
        pool.rest()
    };
    assert_eq!((after(0, 5), after(1, 900)), (PoolRest::Waking, PoolRest::Waking));
    assert_eq!((after(2, 5), after(0, 901)), (PoolRest::Awake, PoolRest::Awake));
}

#[test]
fn only_its_own_nodes_end() {
    let member = |instance: Option<&str>| Member {
        instance: instance.map(str::to_string),
        shard: Some("s".into()),
        phase: Phase::Ready,
        launched_us: 0,
        is_lost: false,
    };
    let acts = ends(&[member(Some("n1")), member(None), member(Some("n2"))]);
    assert_eq!(acts, [Act::Terminate("n1".into()), Act::Terminate("n2".into())]);
}
