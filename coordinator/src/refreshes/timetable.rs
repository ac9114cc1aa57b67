//! When which dataset is to be refreshed: a function of the settings, of what was asked and of the time it is given.
//!
//! A dataset of an interval is due at certain moments of the clock on the wall, which follow from the interval and the
//! dataset's number alone: all who lead one after the other know the same ones, and datasets of one interval are spread
//! over it. Schedules ([`schedules`]) come beside it. Moments that were missed are not made up.

mod schedules;

use crate::catalog::TableSchedule;
use flight_proto::catalog::{Refresh, RefreshMode};
use flight_proto::node::RefreshCause;
use schedules::{Again, Planned};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What comes within this time of an event is joined with it.
pub(super) const JOINED: Duration = Duration::from_secs(1);
/// How soon what failed is tried again, at first, and at most where no interval is shorter.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));
/// How often what an event asked for is tried where no interval brings it about anyway.
const ATTEMPTS: u32 = 10;
/// Whoever takes over refreshes what was missed within this time.
const TAKE_OVER_US: u64 = 5_000_000;

/// A moment, by the clock that only goes forward and by the one on the wall.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    pub(super) running: Duration,
    /// Microseconds since 1970.
    pub(super) wall_us: i64,
}

/// What is to be done for a dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Task {
    Refresh(u64),
    /// Its latest manifest is to be looked at.
    Reconcile(u64),
}

impl Task {
    pub(super) fn dataset(self) -> u64 {
        match self {
            Task::Refresh(dataset) | Task::Reconcile(dataset) => dataset,
        }
    }
}

/// What is to be done now.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Begun {
    pub(super) task: Task,
    pub(super) cause: RefreshCause,
    pub(super) mode: RefreshMode,
    /// The schedule that has it run, where one does.
    pub(super) schedule: Option<Arc<TableSchedule>>,
    /// From 1; of what is no schedule's it is always that.
    pub(super) attempt: u32,
}

#[derive(Default)]
pub(super) struct Timetable {
    entries: BTreeMap<Task, Entry>,
    leads: bool,
    /// Since the last look.
    took_over: bool,
}

#[derive(Default)]
struct Entry {
    refresh: Refresh,
    /// When the interval has it run; absent where this coordinator does not lead.
    scheduled: Option<Duration>,
    /// When it runs since an event asked for it.
    asked: Option<Duration>,
    schedules: Vec<Planned>,
    /// What a schedule has run beside its moments.
    again: Option<Again>,
    running: Option<Running>,
    failures: u32,
}

/// What runs, and what else it does at once.
struct Running {
    begun: Begun,
    /// The interval's moment had come.
    interval: bool,
    /// An event had asked for it.
    event: bool,
}

impl Entry {
    fn pause(&self) -> Duration {
        let most = match self.refresh.every_us {
            0 => AGAIN.1,
            every_us => Duration::from_micros(every_us).min(AGAIN.1),
        };
        AGAIN.0.saturating_mul(1 << self.failures.saturating_sub(1).min(16)).min(most)
    }

    /// When it runs next, by the clock that only goes forward.
    fn next(&self, now: Now) -> Option<Duration> {
        [self.scheduled, self.asked, self.next_scheduled(now)].into_iter().flatten().min()
    }

    fn has_interval_run(&self) -> bool {
        self.running.as_ref().is_some_and(|running| running.interval)
    }

    fn is_idle(&self) -> bool {
        self.scheduled.is_none() && self.asked.is_none() && self.running.is_none()
    }
}

impl Timetable {
    /// Takes in the datasets of the catalog with their settings, and whether this coordinator leads. `last_us` tells
    /// when a dataset was last refreshed by whoever, where that is known.
    pub(super) fn follow(
        &mut self,
        datasets: &BTreeMap<u64, Refresh>,
        leads: bool,
        now: Now,
        last_us: impl Fn(u64) -> Option<i64>,
    ) {
        self.entries.retain(|task, entry| match task {
            Task::Refresh(dataset) => datasets.contains_key(dataset) || entry.running.is_some(),
            Task::Reconcile(_) => !entry.is_idle(),
        });
        let took_over = leads && !self.leads;
        (self.leads, self.took_over) = (leads, took_over);
        for (&dataset, &refresh) in datasets {
            if refresh.every_us == 0 && !self.entries.contains_key(&Task::Refresh(dataset)) {
                continue;
            }
            let entry = self.entries.entry(Task::Refresh(dataset)).or_default();
            let changed = std::mem::replace(&mut entry.refresh, refresh).every_us != refresh.every_us;
            if !leads || refresh.every_us == 0 {
                entry.scheduled = None;
            } else if changed || entry.scheduled.is_none() && !entry.has_interval_run() {
                let missed = last_us(dataset).is_some_and(|last| {
                    took_over && next_tick(dataset, refresh.every_us, last) < now.wall_us
                });
                let wait_us = match missed {
                    true => spread(dataset) % TAKE_OVER_US.min(refresh.every_us),
                    false => until_tick(dataset, refresh.every_us, now.wall_us),
                };
                entry.scheduled = Some(now.running + Duration::from_micros(wait_us));
            }
        }
    }

    /// Notes an event.
    pub(super) fn ask(&mut self, task: Task, now: Now) {
        let entry = self.entries.entry(task).or_default();
        let at = now.running + JOINED;
        entry.asked = Some(entry.asked.map_or(at, |asked| asked.min(at)));
    }

    /// Begins what is due and not running.
    pub(super) fn begin(&mut self, now: Now) -> Vec<Begun> {
        let mut begun = Vec::new();
        for (&task, entry) in &mut self.entries {
            if entry.running.is_some() {
                continue;
            }
            let is_due = |at: Option<Duration>| at.is_some_and(|at| at <= now.running);
            let (interval, asked) = (is_due(entry.scheduled), is_due(entry.asked));
            let begin = |cause, mode, schedule, attempt| Begun { task, cause, mode, schedule, attempt };
            let mut due: Vec<Begun> = entry.take_schedules(now, begin);
            if interval {
                due.push(begin(RefreshCause::Schedule, entry.refresh.mode(), None, 1));
            }
            if asked {
                let cause = match task {
                    Task::Refresh(_) => RefreshCause::Event,
                    Task::Reconcile(_) => RefreshCause::Manifest,
                };
                due.push(begin(cause, RefreshMode::Incremental, None, 1));
            }
            // One does for all, if it is the fullest.
            let fullest = due.iter().position(|begun| begun.mode == RefreshMode::Full).unwrap_or(0);
            if due.is_empty() {
                continue;
            }
            let chosen = due.swap_remove(fullest);
            if interval {
                entry.scheduled = None;
            }
            let event = entry.asked.take().is_some();
            entry.running = Some(Running { begun: chosen.clone(), interval, event });
            begun.push(chosen);
        }
        begun
    }

    /// What was begun has ended. Gives how many have failed one after the other.
    pub(super) fn ended(&mut self, task: Task, succeeded: bool, now: Now) -> u32 {
        let leads = self.leads;
        let Some(entry) = self.entries.get_mut(&task) else { return 0 };
        let Some(running) = entry.running.take() else { return entry.failures };
        entry.failures = if succeeded { 0 } else { entry.failures + 1 };
        let again = now.running + entry.pause();
        if let Task::Refresh(dataset) = task
            && running.interval
            && leads
            && entry.refresh.every_us > 0
        {
            let wait_us = until_tick(dataset, entry.refresh.every_us, now.wall_us);
            let tick = now.running + Duration::from_micros(wait_us);
            entry.scheduled = Some(if succeeded { tick } else { tick.min(again) });
        } else if running.event && !succeeded && entry.failures < ATTEMPTS {
            entry.asked.get_or_insert(again);
        }
        entry.schedule_ended(&running.begun, succeeded, leads, now);
        entry.failures
    }

    /// When there is something to do next.
    pub(super) fn next(&self, now: Now) -> Option<Duration> {
        let waiting = self.entries.values().filter(|entry| entry.running.is_none());
        waiting.filter_map(|entry| entry.next(now)).min()
    }

    /// As [`Timetable::next`], of these datasets.
    pub(super) fn next_of_any(&self, now: Now, is_of: impl Fn(u64) -> bool) -> Option<Duration> {
        let waiting =
            self.entries.iter().filter(|(task, entry)| entry.running.is_none() && is_of(task.dataset()));
        waiting.filter_map(|(_, entry)| entry.next(now)).min()
    }

    /// Whether anything runs for these datasets that was begun here.
    pub(super) fn is_running(&self, is_of: impl Fn(u64) -> bool) -> bool {
        self.entries.iter().any(|(task, entry)| entry.running.is_some() && is_of(task.dataset()))
    }

    /// When a dataset is refreshed next, by the clock on the wall, as far as it is known here.
    pub(super) fn next_of(&self, dataset: u64, now: Now) -> Option<i64> {
        let entry = self.entries.get(&Task::Refresh(dataset))?;
        let next = entry.next(now)?;
        let wait = next.saturating_sub(now.running).as_micros();
        now.wall_us.checked_add(i64::try_from(wait).ok()?)
    }
}

/// The first moment after `after_us` at which the interval has a dataset refreshed.
pub(super) fn next_tick(dataset: u64, every_us: u64, after_us: i64) -> i64 {
    let wait = i64::try_from(until_tick(dataset, every_us, after_us)).unwrap_or(i64::MAX);
    after_us.saturating_add(wait)
}

/// From 1 to `every_us`.
fn until_tick(dataset: u64, every_us: u64, at_us: i64) -> u64 {
    let phase = spread(dataset) % every_us;
    let into = (i128::from(at_us) - i128::from(phase)).rem_euclid(i128::from(every_us));
    every_us - into as u64
}

/// Numbers that follow each other become ones that lie far from each other (SplitMix64, Steele, Lea and Flood, 2014).
fn spread(dataset: u64) -> u64 {
    let mut mixed = dataset.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests;
