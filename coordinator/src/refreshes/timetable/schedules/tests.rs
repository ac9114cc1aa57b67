use super::*;
use crate::refreshes::timetable::ATTEMPTS;
use flight_proto::catalog::Refresh;
use flight_proto::policy::Schedule;

const MINUTE_US: i64 = 60_000_000;
/// 2027-01-15 08:00 UTC.
const START_US: i64 = 1_800_000_000_000_000;

/// A timetable with schedules of the dataset 7, and the time, which goes on as told.
struct Clock {
    timetable: Timetable,
    every_us: u64,
    schedules: Vec<Arc<TableSchedule>>,
    leads: bool,
    now: Now,
}

fn schedule(name: &str, cron: &str, mode: RefreshMode) -> Schedule {
    let (schema, table) = ("main".into(), "t".into());
    let (name, cron, mode) = (name.into(), cron.into(), mode.into());
    Schedule { schema, table, name, cron, mode, ..Schedule::default() }
}

fn of(schedule: Schedule) -> Arc<TableSchedule> {
    Arc::new(TableSchedule::new("acme".into(), schedule))
}

impl Clock {
    fn new(schedules: Vec<Schedule>) -> Clock {
        let now = Now { running: Duration::ZERO, wall_us: START_US };
        let schedules = schedules.into_iter().map(of).collect();
        Clock { timetable: Timetable::default(), every_us: 0, schedules, leads: true, now }
    }

    fn follow(&mut self) {
        self.follow_since(|_| None);
    }

    fn follow_since(&mut self, last_us: impl Fn(&TableSchedule) -> Option<i64>) {
        let datasets = [(7, Refresh { every_us: self.every_us, mode: 0 })].into();
        self.timetable.follow(&datasets, self.leads, self.now, |_| None);
        let schedules = [(7, self.schedules.clone())].into();
        self.timetable.follow_schedules(&schedules, self.now, last_us);
    }

    fn go(&mut self, by: Duration) {
        self.now.running += by;
        self.now.wall_us += by.as_micros() as i64;
    }

    /// Goes on until something is begun. Gives after how many seconds, and what.
    fn next(&mut self) -> Option<(u64, String)> {
        self.follow();
        let since = self.now.running;
        let next = self.timetable.next(self.now)?;
        self.go(next.saturating_sub(self.now.running));
        let begun = self.timetable.begin(self.now);
        assert_eq!(begun.len(), 1, "it is due");
        let Begun { cause, mode, schedule, attempt, .. } = &begun[0];
        let name = schedule.as_ref().map_or("-", |one| &one.schedule.name);
        Some(((self.now.running - since).as_secs(), format!("{cause:?} {name} {mode:?} {attempt}")))
    }

    fn end(&mut self, succeeded: bool) -> u32 {
        self.timetable.ended(Task::Refresh(7), succeeded, self.now)
    }
}

fn told(after_s: u64, what: &str) -> Option<(u64, String)> {
    Some((after_s, what.into()))
}

#[test]
fn moments_come_one_after_the_other() {
    let mut clock = Clock::new(vec![schedule("often", "*/10 * * * *", RefreshMode::Incremental)]);
    for _ in 0..3 {
        assert_eq!(clock.next(), told(600, "Schedule often Incremental 1"));
        clock.follow();
        assert_eq!(clock.timetable.next(clock.now), None, "it runs");
        clock.end(true);
    }
    // What was missed while it ran is not made up.
    clock.next();
    clock.go(Duration::from_secs(25 * 60));
    clock.end(true);
    assert_eq!(clock.next(), told(300, "Schedule often Incremental 1"));
}

#[test]
fn two_that_are_due_at_once_are_one_run_of_the_fuller_mode() {
    let often = schedule("often", "*/10 * * * *", RefreshMode::Incremental);
    let hourly = schedule("hourly", "@hourly", RefreshMode::Full);
    let mut clock = Clock::new(vec![often, hourly]);
    for _ in 0..5 {
        assert_eq!(clock.next(), told(600, "Schedule often Incremental 1"));
        clock.end(true);
    }
    assert_eq!(clock.next(), told(600, "Schedule hourly Full 1"));
    clock.end(true);
    assert_eq!(clock.next(), told(600, "Schedule often Incremental 1"));
    // One that becomes due while another runs comes after it.
    clock.go(Duration::from_secs(55 * 60));
    clock.end(true);
    assert_eq!(clock.next(), told(0, "Schedule hourly Full 1"));
}

#[test]
fn a_failure_is_tried_again_as_the_schedule_says() {
    let daily =
        Schedule { retries: 2, retry_pause_s: 300, ..schedule("daily", "0 9 * * *", RefreshMode::Full) };
    let mut clock = Clock::new(vec![daily]);
    assert_eq!(clock.next(), told(3_600, "Schedule daily Full 1"));
    assert_eq!(clock.end(false), 1);
    assert_eq!(clock.next(), told(300, "Schedule daily Full 2"));
    assert_eq!(clock.end(false), 2);
    assert_eq!(clock.next(), told(300, "Schedule daily Full 3"));
    assert_eq!(clock.end(false), 3);
    assert_eq!(clock.next(), told(86_400 - 600, "Schedule daily Full 1"));
    clock.end(false);
    // A schedule that is paused or removed is not tried again.
    clock.schedules = vec![of(Schedule { paused: true, ..clock.schedules[0].schedule.clone() })];
    assert_eq!(clock.next(), None);
    clock.schedules = vec![];
    assert_eq!(clock.next(), None);
}

#[test]
fn a_moment_begins_anew_what_was_to_be_tried_again() {
    let often =
        Schedule { retries: 9, retry_pause_s: 600, ..schedule("often", "*/10 * * * *", RefreshMode::Full) };
    let mut clock = Clock::new(vec![often]);
    clock.next();
    clock.end(false);
    assert_eq!(clock.next(), told(600, "Schedule often Full 1"));
    clock.end(true);
    assert_eq!(clock.next(), told(600, "Schedule often Full 1"));
}

#[test]
fn an_operator_has_one_run_now() {
    let paused = Schedule { paused: true, retries: 1, ..schedule("daily", "@daily", RefreshMode::Full) };
    let mut clock = Clock::new(vec![paused]);
    assert_eq!(clock.next(), None);
    let schedule = clock.schedules[0].clone();
    clock.timetable.run(7, schedule.clone(), clock.now);
    assert_eq!(clock.next(), told(0, "Operator daily Full 1"));
    // Once more, while it runs: afterwards.
    clock.timetable.run(7, schedule, clock.now);
    clock.end(true);
    assert_eq!(clock.next(), told(0, "Operator daily Full 1"));
    clock.end(false);
    assert_eq!(clock.next(), told(60, "Operator daily Full 2"));
    clock.end(false);
    assert_eq!(clock.next(), None);
}

#[test]
fn intervals_and_events_go_on_beside_schedules() {
    let mut clock = Clock::new(vec![schedule("hourly", "@hourly", RefreshMode::Full)]);
    clock.every_us = 3 * 3_600_000_000;
    clock.follow();
    // An event that comes just before a moment is done by it.
    clock.go(Duration::from_millis(3_599_500));
    clock.timetable.ask(Task::Refresh(7), clock.now);
    assert_eq!(clock.next(), told(0, "Schedule hourly Full 1"));
    // Where that fails, and is not tried again, what the event asked for is.
    clock.end(false);
    assert_eq!(clock.next(), told(1, "Event - Incremental 1"));
    for _ in 0..ATTEMPTS {
        clock.end(true);
        if clock.next().unwrap().1.starts_with("Schedule -") {
            return;
        }
    }
    panic!("the interval never came");
}

#[test]
fn one_that_does_not_lead_has_no_moments() {
    let mut clock = Clock::new(vec![schedule("often", "*/10 * * * *", RefreshMode::Full)]);
    clock.leads = false;
    assert_eq!(clock.next(), None);
    clock.leads = true;
    assert_eq!(clock.next(), told(600, "Schedule often Full 1"));
    clock.end(false);
    clock.leads = false;
    assert_eq!(clock.next(), None);
}

#[test]
fn who_takes_over_does_what_the_former_leader_missed() {
    let hourly = schedule("hourly", "@hourly", RefreshMode::Full);
    let mut clock = Clock::new(vec![hourly.clone()]);
    clock.go(Duration::from_secs(60));
    clock.follow_since(|_| Some(START_US - 10 * MINUTE_US));
    let due_us = clock.timetable.due_of(7, &clock.schedules[0]).unwrap();
    assert!(due_us < clock.now.wall_us + TAKE_OVER_US as i64, "the moment of 08:00 was missed");
    let mut clock = Clock::new(vec![hourly]);
    clock.go(Duration::from_secs(60));
    clock.follow_since(|_| Some(START_US));
    let due_us = clock.timetable.due_of(7, &clock.schedules[0]).unwrap();
    assert_eq!(due_us, START_US + 60 * MINUTE_US);
}

#[test]
fn a_clock_that_is_put_back_brings_no_moment_twice() {
    let mut clock = Clock::new(vec![schedule("hourly", "@hourly", RefreshMode::Full)]);
    clock.next();
    clock.end(true);
    clock.now.wall_us -= 30 * MINUTE_US;
    assert_eq!(clock.next(), told(90 * 60, "Schedule hourly Full 1"));
    clock.end(true);
    // By days it was wrong before.
    clock.now.wall_us -= 48 * 60 * MINUTE_US;
    assert_eq!(clock.next(), told(3_600, "Schedule hourly Full 1"));
    clock.end(true);
    // One that is put forward has what was missed run once.
    clock.follow();
    clock.now.wall_us += 5 * 60 * MINUTE_US;
    assert_eq!(clock.next(), told(0, "Schedule hourly Full 1"));
    clock.end(true);
    assert_eq!(clock.next(), told(3_600, "Schedule hourly Full 1"));
}
