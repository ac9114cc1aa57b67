//! What is decided, rule by rule.

use super::*;
use crate::scaling::window::Window;

const NOW: i64 = 1_578_268_800_000_000 + 7 * DAY_US;

fn policy() -> ScalePolicy {
    ScalePolicy { minimum: 2, maximum: 10, predict: false, ..ScalePolicy::default() }
}

/// Observations of each 10 s until now: 20 minutes, of a load by the seconds that are left until now.
fn seen(ready: u32, busy: impl Fn(f64) -> f64) -> Vec<Observation> {
    let of = |back: i64| Observation {
        at_us: NOW - back * 10 * SECOND_US,
        ready,
        busy: busy(back as f64 * 10.0),
        running: 4.0,
        resident_bytes: 10,
        memory_bytes: 100,
        ..Observation::default()
    };
    (0..120).rev().map(of).collect()
}

fn decided(policy: &ScalePolicy, wanted: u32, recent: &[Observation]) -> Decision {
    decide(policy, &Pool { wanted, ..Pool::default() }, recent, &Minutes::default(), NOW)
}

#[test]
fn processors_memory_and_the_queue_ask_for_nodes() {
    let quiet = seen(4, |_| 1.2);
    assert_eq!(decided(&policy(), 2, &quiet).wanted, 2);
    let busy = decided(&policy(), 4, &seen(4, |_| 3.6));
    assert_eq!(busy.wanted, 6, "{busy:?}");
    assert!(busy.reasons[0].contains("90 % busy"), "{busy:?}");
    let mut full = quiet.clone();
    full.iter_mut().for_each(|one| one.resident_bytes = 90);
    assert_eq!(decided(&policy(), 4, &full).wanted, 6, "4 nodes 90 % full at 70 %");
    let mut queued = quiet.clone();
    let last = queued.last_mut().unwrap();
    (last.queued, last.queue_ms) = (2.0, 501.0);
    let more = decided(&policy(), 4, &queued);
    assert_eq!(more.wanted, 6, "{more:?}");
    let last = queued.last_mut().unwrap();
    (last.queued, last.queue_ms) = (1e9, 1e9);
    assert_eq!(decided(&policy(), 4, &queued).wanted, 8, "twice at most");
    let last = queued.last_mut().unwrap();
    (last.queued, last.queue_ms) = (2.0, 500.0);
    assert_eq!(decided(&policy(), 2, &queued).wanted, 2, "as long as may be");
}

#[test]
fn bounds_hold_whatever_is_seen() {
    for load in [0.0, 5.0, 1e12, f64::INFINITY, f64::NAN] {
        let wanted = decided(&policy(), 7, &seen(4, |_| load)).wanted;
        assert!((2..=10).contains(&wanted), "{load}: {wanted}");
    }
    let nothing = Decision { wanted: 7, ..decided(&policy(), 7, &[]) };
    assert_eq!(decided(&policy(), 7, &[]), nothing);
    assert_eq!(decided(&policy(), 99, &[]).wanted, 10);
    let unseen = [Observation { at_us: NOW, ready: 0, ..Observation::default() }];
    assert_eq!(decided(&policy(), 7, &unseen).wanted, 7, "without a view nothing is decided");
}

#[test]
fn cool_downs_are_waited_for() {
    let policy = policy();
    let at = |out_s: Option<i64>, in_s: Option<i64>, wanted| Pool {
        wanted,
        out_us: out_s.map(|s| NOW - s * SECOND_US),
        in_us: in_s.map(|s| NOW - s * SECOND_US),
        ..Pool::default()
    };
    let busy = seen(4, |_| 3.6);
    let decided =
        |pool: Pool, recent: &[Observation]| decide(&policy, &pool, recent, &Minutes::default(), NOW);
    let held = decided(at(Some(59), None, 4), &busy);
    assert_eq!(held.wanted, 4);
    assert!(held.reasons.iter().any(|why| why.contains("1 s after the cool-down")), "{held:?}");
    assert_eq!(decided(at(Some(60), None, 4), &busy).wanted, 6);
    assert_eq!(decided(at(Some(-5), None, 4), &busy).wanted, 6, "a clock that was put back");
    let quiet = seen(8, |_| 1.2);
    assert_eq!(decided(at(Some(599), Some(900), 8), &quiet).wanted, 8);
    assert_eq!(decided(at(Some(900), Some(599), 8), &quiet).wanted, 8);
    assert_eq!(decided(at(Some(900), Some(600), 8), &quiet).wanted, 6, "a quarter at once");
    assert_eq!(decided(at(Some(900), Some(600), 8), &quiet[61..]).wanted, 8, "not seen for long enough");
    // Nobody waits at the moment, and those who were admitted since the look before did.
    let mut between = quiet.clone();
    (between.last_mut().unwrap().queued, between.last_mut().unwrap().queue_ms) = (0.0, 501.0);
    assert_eq!(decided(at(Some(900), Some(600), 8), &between).wanted, 8);
    // Five minutes ago there was more to do.
    let fell = seen(8, |back| if (300.0..400.0).contains(&back) { 3.6 } else { 1.2 });
    assert_eq!(decided(at(None, None, 8), &fell).wanted, 6);
    assert_eq!(decided(at(None, None, 6), &fell).wanted, 6);
}

#[test]
fn a_rising_load_is_met_before_it_is_there() {
    let rising = seen(4, |back| 2.3 - back / 600.0);
    assert_eq!(decided(&policy(), 4, &rising).wanted, 4);
    let foresees = ScalePolicy { predict: true, ..policy() };
    let ahead = decided(&foresees, 4, &rising);
    assert_eq!(ahead.wanted, 5, "2.3 and 180 s of a node each 600 s: {ahead:?}");
    assert!(ahead.reasons[0].contains("the load rises"), "{ahead:?}");
    let shaking = seen(4, |back| if (back / 10.0) as i64 % 2 == 0 { 2.3 } else { 1.3 });
    assert_eq!(decided(&foresees, 4, &shaking).wanted, 4, "chance is no trend");
}

#[test]
fn the_same_time_before_is_met_at_todays_level() {
    let foresees = ScalePolicy { predict: true, ..policy() };
    let quiet = seen(4, |_| 1.2);
    let mut days = Minutes::default();
    let minute = |at_us: i64| at_us.div_euclid(MINUTE_US);
    // Today is twice as busy as yesterday was until now, and two minutes later yesterday needed 3 nodes' work.
    for back in 0..60 {
        days.put(minute(NOW) - back, 1.2);
        days.put(minute(NOW - DAY_US) - back, 0.6);
    }
    for ahead in 1..30 {
        days.put(minute(NOW - DAY_US) + ahead, if ahead >= 2 { 1.8 } else { 0.6 });
    }
    let pool = Pool { wanted: 4, ..Pool::default() };
    let ahead = decide(&foresees, &pool, &quiet, &days, NOW);
    assert_eq!(ahead.wanted, 6, "1.8 * 2 at 60 %: {ahead:?}");
    assert!(ahead.reasons[0].contains("yesterday"), "{ahead:?}");
    // What was a week ago counts instead where it is known.
    for around in -60..30 {
        days.put(minute(NOW - 7 * DAY_US) + around, 1.2);
    }
    assert_eq!(decide(&foresees, &pool, &quiet, &days, NOW).wanted, 3);
}

#[test]
fn windows_are_met_before_they_begin() {
    let windows: Vec<Window> = vec!["mon 00:02-18:00=7".parse().unwrap()];
    let quiet = seen(4, |_| 1.2);
    let soon = ScalePolicy { windows: windows.clone(), ..policy() };
    assert_eq!(decided(&soon, 2, &quiet).wanted, 7, "it is Monday, midnight");
    let later = ScalePolicy { launch_s: 60, ..soon };
    assert_eq!(decided(&later, 2, &quiet).wanted, 2);
}
