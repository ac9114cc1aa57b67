use super::*;

const MINUTE_US: u64 = 60_000_000;

/// A timetable and the time, which goes on as told.
struct Clock {
    timetable: Timetable,
    datasets: BTreeMap<u64, Refresh>,
    leads: bool,
    now: Now,
}

fn every(every_us: u64) -> Refresh {
    Refresh { every_us, mode: RefreshMode::Full.into() }
}

impl Clock {
    fn new(datasets: &[(u64, u64)]) -> Clock {
        let datasets = datasets.iter().map(|&(dataset, every_us)| (dataset, every(every_us))).collect();
        let now = Now { running: Duration::ZERO, wall_us: 1_800_000_000_000_000 };
        Clock { timetable: Timetable::default(), datasets, leads: true, now }
    }

    fn follow(&mut self) {
        self.timetable.follow(&self.datasets, self.leads, self.now, |_| None);
    }

    fn go(&mut self, by: Duration) {
        self.now.running += by;
        self.now.wall_us += by.as_micros() as i64;
    }

    /// Goes on until something is begun, within a day.
    fn next(&mut self) -> Vec<Begun> {
        self.follow();
        let Some(next) = self.timetable.next(self.now) else { return Vec::new() };
        self.go(next.saturating_sub(self.now.running));
        self.timetable.begin(self.now)
    }

    fn end(&mut self, dataset: u64, succeeded: bool) -> u32 {
        self.timetable.ended(Task::Refresh(dataset), succeeded, self.now)
    }
}

fn refreshed(begun: &[Begun]) -> Vec<(Task, RefreshCause, RefreshMode)> {
    begun.iter().map(|begun| (begun.task, begun.cause, begun.mode)).collect()
}

#[test]
fn an_interval_is_kept_by_the_clock_on_the_wall() {
    let mut clock = Clock::new(&[(7, MINUTE_US)]);
    let mut times = Vec::new();
    for _ in 0..3 {
        assert_eq!(refreshed(&clock.next()), [(Task::Refresh(7), RefreshCause::Schedule, RefreshMode::Full)]);
        times.push(clock.now.wall_us);
        clock.go(Duration::from_secs(5));
        assert!(clock.timetable.begin(clock.now).is_empty() && clock.timetable.next(clock.now).is_none());
        assert_eq!(clock.end(7, true), 0);
    }
    assert_eq!(times[1] - times[0], MINUTE_US as i64);
    assert_eq!(times[2] - times[1], MINUTE_US as i64);
    // Another that leads has the same moments.
    let mut other = Clock::new(&[(7, MINUTE_US)]);
    other.go(Duration::from_secs(1_000_007));
    other.next();
    assert_eq!((other.now.wall_us - times[0]) % MINUTE_US as i64, 0);
}

#[test]
fn what_was_missed_is_not_made_up() {
    let mut clock = Clock::new(&[(7, MINUTE_US)]);
    clock.next();
    let first = clock.now.wall_us;
    clock.go(Duration::from_secs(301));
    clock.end(7, true);
    assert_eq!(clock.next().len(), 1);
    assert_eq!(clock.now.wall_us - first, 6 * MINUTE_US as i64);
}

#[test]
fn datasets_of_one_interval_are_spread_over_it() {
    let mut clock = Clock::new(&(1..=60).map(|dataset| (dataset, MINUTE_US)).collect::<Vec<_>>());
    clock.follow();
    let mut by_ten_seconds = [0; 6];
    for dataset in 1..=60 {
        let wait = clock.timetable.next_of(dataset, clock.now).unwrap() - clock.now.wall_us;
        assert!((1..=MINUTE_US as i64).contains(&wait));
        by_ten_seconds[(wait as usize - 1) / 10_000_000] += 1;
    }
    assert!(by_ten_seconds.iter().all(|&count| (3..=20).contains(&count)), "{by_ten_seconds:?}");
}

#[test]
fn events_are_joined_and_one_more_comes_after_what_runs() {
    let mut clock = Clock::new(&[(7, 0)]);
    for _ in 0..100 {
        clock.timetable.ask(Task::Refresh(7), clock.now);
        clock.go(Duration::from_millis(5));
    }
    assert!(clock.timetable.begin(clock.now).is_empty(), "others may come");
    let event = [(Task::Refresh(7), RefreshCause::Event, RefreshMode::Incremental)];
    assert_eq!(refreshed(&clock.next()), event);
    assert_eq!(clock.now.running, JOINED);
    for _ in 0..100 {
        clock.timetable.ask(Task::Refresh(7), clock.now);
        clock.go(Duration::from_millis(50));
        assert!(clock.timetable.begin(clock.now).is_empty(), "one at a time");
    }
    clock.end(7, true);
    assert_eq!(refreshed(&clock.next()), event);
    clock.end(7, true);
    assert!(clock.next().is_empty(), "one after it is enough");
}

#[test]
fn what_is_scheduled_does_what_was_asked_for() {
    let mut clock = Clock::new(&[(7, MINUTE_US)]);
    clock.follow();
    let due = clock.timetable.next(clock.now).unwrap();
    clock.go(due - Duration::from_millis(1));
    clock.timetable.ask(Task::Refresh(7), clock.now);
    assert_eq!(clock.next()[0].cause, RefreshCause::Schedule);
    clock.end(7, true);
    clock.next();
    assert!(clock.now.running > due + Duration::from_secs(59));
}

#[test]
fn failures_are_tried_again_with_growing_pauses() {
    let mut clock = Clock::new(&[(7, 10 * MINUTE_US)]);
    clock.next();
    let mut pauses = Vec::new();
    for failures in 1..=8 {
        assert_eq!(clock.end(7, false), failures);
        let ended = clock.now.running;
        assert_eq!(clock.next()[0].cause, RefreshCause::Schedule);
        pauses.push((clock.now.running - ended).as_secs());
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128]);
    assert_eq!(clock.end(7, true), 0);
    // Not beyond a short interval.
    let mut clock = Clock::new(&[(7, 3_000_000)]);
    clock.next();
    for _ in 0..6 {
        clock.end(7, false);
        let ended = clock.now.running;
        clock.next();
        assert!(clock.now.running - ended <= Duration::from_secs(3));
    }
}

#[test]
fn what_an_event_asked_for_is_given_up_at_last() {
    let mut clock = Clock::new(&[(7, 0)]);
    clock.timetable.ask(Task::Refresh(7), clock.now);
    let mut attempts = 0;
    while !clock.next().is_empty() {
        attempts += 1;
        clock.end(7, false);
    }
    assert_eq!(attempts, ATTEMPTS);
    // Another event begins anew.
    clock.timetable.ask(Task::Refresh(7), clock.now);
    assert_eq!(clock.next().len(), 1);
}

#[test]
fn settings_of_the_catalog_count() {
    let mut clock = Clock::new(&[(7, MINUTE_US)]);
    clock.follow();
    clock.datasets.insert(7, every(MINUTE_US * 60));
    clock.next();
    assert_eq!((clock.now.wall_us as u64 - spread(7) % (60 * MINUTE_US)) % (60 * MINUTE_US), 0);
    clock.end(7, true);
    clock.datasets.insert(7, every(0));
    assert!(clock.next().is_empty(), "RESET");
    clock.datasets.insert(7, every(MINUTE_US));
    assert_eq!(clock.next().len(), 1);
    clock.datasets.clear();
    clock.follow();
    clock.end(7, true);
    assert!(clock.next().is_empty(), "DROP");
    assert!(clock.timetable.entries.is_empty());
}

#[test]
fn one_that_does_not_lead_runs_what_it_accepted_alone() {
    let mut clock = Clock::new(&[(7, MINUTE_US), (8, MINUTE_US)]);
    clock.leads = false;
    assert!(clock.next().is_empty());
    clock.timetable.ask(Task::Refresh(7), clock.now);
    clock.timetable.ask(Task::Reconcile(9), clock.now);
    let begun = clock.next();
    assert_eq!(
        begun.iter().map(|begun| begun.task).collect::<Vec<_>>(),
        [Task::Refresh(7), Task::Reconcile(9)]
    );
    clock.end(7, true);
    clock.timetable.ended(Task::Reconcile(9), true, clock.now);
    assert!(clock.next().is_empty());
    clock.leads = true;
    assert_eq!(clock.next().len(), 1);
}

#[test]
fn who_takes_over_does_what_the_former_leader_missed() {
    let clock = Clock::new(&[(7, 60 * MINUTE_US), (8, 60 * MINUTE_US)]);
    let mut timetable = Timetable::default();
    // The last moment of 7 has passed without a run.
    let last = |dataset| {
        let tick = next_tick(dataset, 60 * MINUTE_US, clock.now.wall_us) - 60 * MINUTE_US as i64;
        Some(if dataset == 7 { tick - 1_000_000 } else { tick })
    };
    timetable.follow(&clock.datasets, true, clock.now, last);
    let wait = |dataset| timetable.next_of(dataset, clock.now).unwrap() - clock.now.wall_us;
    assert!(wait(7) <= TAKE_OVER_US as i64);
    assert_eq!(wait(8), next_tick(8, 60 * MINUTE_US, clock.now.wall_us) - clock.now.wall_us);
}

#[test]
fn no_moment_is_out_of_reach() {
    for every_us in [1_000_000, MINUTE_US, 366 * 24 * 60 * MINUTE_US] {
        for at_us in [i64::MIN, -1, 0, 1, 1_800_000_000_000_000, i64::MAX] {
            assert!((1..=every_us).contains(&until_tick(3, every_us, at_us)));
        }
    }
    assert_eq!(next_tick(3, MINUTE_US, i64::MAX), i64::MAX);
}
