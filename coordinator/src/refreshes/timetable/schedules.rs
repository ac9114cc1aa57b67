//! The schedules of a timetable: moments of the calendar, by the clock on the wall. Two that are due at once are one run,
//! of the fuller mode. What failed is tried again as the schedule says.

use super::{Begun, Entry, Now, TAKE_OVER_US, Task, Timetable, spread};
use crate::catalog::TableSchedule;
use flight_proto::catalog::RefreshMode;
use flight_proto::node::RefreshCause;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A moment does not come a second time if the clock on the wall is put back by less than this.
const PUT_BACK_US: i64 = 2 * 3_600_000_000;

/// A schedule of a dataset.
pub(super) struct Planned {
    schedule: Arc<TableSchedule>,
    /// Its next moment, in microseconds since 1970; absent: it runs, none comes, or another coordinator leads.
    due_us: Option<i64>,
    /// The last moment that has come.
    done_us: i64,
    /// When it was looked at last.
    seen_us: i64,
}

impl Planned {
    fn next(&self, now: Now) -> Option<i64> {
        let put_back = (self.done_us > now.wall_us).then(|| self.done_us.saturating_sub(now.wall_us));
        let after_us = if put_back.is_some_and(|by| by < PUT_BACK_US) { self.done_us } else { now.wall_us };
        self.schedule.next(after_us)
    }
}

/// A run that comes beside a schedule's moments: after a failure, or as an operator asks for it.
pub(super) struct Again {
    at: Duration,
    schedule: Arc<TableSchedule>,
    cause: RefreshCause,
    attempt: u32,
}

impl Timetable {
    /// Takes in the schedules of datasets; to be called after [`Timetable::follow`]. `last_us` tells when a schedule ran
    /// last on whatever coordinator, where that is known.
    pub(in crate::refreshes) fn follow_schedules(
        &mut self,
        schedules: &BTreeMap<u64, Vec<Arc<TableSchedule>>>,
        now: Now,
        last_us: impl Fn(&TableSchedule) -> Option<i64>,
    ) {
        for &dataset in schedules.keys() {
            self.entries.entry(Task::Refresh(dataset)).or_default();
        }
        for (task, entry) in &mut self.entries {
            if let Task::Refresh(dataset) = task {
                let wanted = schedules.get(dataset).map_or(&[][..], Vec::as_slice);
                entry.plan(wanted, self.leads, now);
                if self.took_over {
                    entry.take_over(*dataset, now, &last_us);
                }
            }
        }
    }

    /// Has a schedule run now, whether it is paused or not.
    pub(in crate::refreshes) fn run(&mut self, dataset: u64, schedule: Arc<TableSchedule>, now: Now) {
        let entry = self.entries.entry(Task::Refresh(dataset)).or_default();
        entry.again = Some(Again { at: now.running, schedule, cause: RefreshCause::Operator, attempt: 1 });
    }

    /// The next moment of a schedule, as far as it is known here.
    pub(in crate::refreshes) fn due_of(&self, dataset: u64, schedule: &TableSchedule) -> Option<i64> {
        let entry = self.entries.get(&Task::Refresh(dataset))?;
        entry.schedules.iter().find(|planned| planned.schedule.is(schedule))?.due_us
    }
}

impl Entry {
    fn plan(&mut self, wanted: &[Arc<TableSchedule>], leads: bool, now: Now) {
        let mut before = std::mem::take(&mut self.schedules);
        for schedule in wanted {
            let known = before.iter().position(|planned| planned.schedule == *schedule);
            let mut planned = known.map(|at| before.swap_remove(at)).unwrap_or_else(|| Planned {
                schedule: schedule.clone(),
                due_us: None,
                done_us: i64::MIN,
                seen_us: now.wall_us,
            });
            // A clock that was put back has other moments before it.
            if !leads || now.wall_us < planned.seen_us {
                planned.due_us = None;
            }
            planned.seen_us = now.wall_us;
            if leads && planned.due_us.is_none() && !self.has_run(schedule) {
                planned.due_us = planned.next(now);
            }
            self.schedules.push(planned);
        }
        if let Some(again) = &mut self.again {
            let by_operator = again.cause == RefreshCause::Operator;
            match wanted.iter().find(|schedule| schedule.is(&again.schedule)) {
                Some(schedule) if by_operator || leads && !schedule.schedule.paused => {
                    again.schedule = schedule.clone();
                }
                // What an operator asks for may be of a document that is on its way.
                None if by_operator => {}
                _ => self.again = None,
            }
        }
    }

    /// Has what the former leader missed come soon.
    fn take_over(&mut self, dataset: u64, now: Now, last_us: impl Fn(&TableSchedule) -> Option<i64>) {
        for planned in &mut self.schedules {
            let missed = last_us(&planned.schedule).and_then(|last_us| planned.schedule.next(last_us));
            if missed.is_some_and(|missed_us| missed_us < now.wall_us) {
                let wait_us = i64::try_from(spread(dataset) % TAKE_OVER_US).unwrap_or(0);
                let soon_us = now.wall_us.saturating_add(wait_us);
                planned.due_us = planned.due_us.map(|due_us| due_us.min(soon_us));
            }
        }
    }

    fn has_run(&self, schedule: &TableSchedule) -> bool {
        let begun = self.running.as_ref().and_then(|running| running.begun.schedule.as_ref());
        begun.is_some_and(|running| running.is(schedule))
    }

    /// Takes what is due, that of an operator first.
    pub(super) fn take_schedules(
        &mut self,
        now: Now,
        begin: impl Fn(RefreshCause, RefreshMode, Option<Arc<TableSchedule>>, u32) -> Begun,
    ) -> Vec<Begun> {
        let mut due = Vec::new();
        let again = self.again.take_if(|again| again.at <= now.running);
        for planned in &mut self.schedules {
            let Some(due_us) = planned.due_us.filter(|&due_us| due_us <= now.wall_us) else { continue };
            (planned.due_us, planned.done_us) = (None, due_us);
            due.push(begin(
                RefreshCause::Schedule,
                planned.schedule.mode(),
                Some(planned.schedule.clone()),
                1,
            ));
        }
        if let Some(again) = again {
            // A moment of its own begins anew.
            let is_due =
                due.iter().any(|begun| begun.schedule.as_deref().is_some_and(|one| one.is(&again.schedule)));
            let by_operator = again.cause == RefreshCause::Operator;
            if by_operator || !is_due {
                let mode = again.schedule.mode();
                due.insert(0, begin(again.cause, mode, Some(again.schedule), again.attempt));
            }
        }
        due
    }

    /// A run has ended: what failed is tried again, and the next moments are known.
    pub(super) fn schedule_ended(&mut self, begun: &Begun, succeeded: bool, leads: bool, now: Now) {
        if let Some(schedule) = &begun.schedule
            && !succeeded
            && begun.attempt <= schedule.schedule.retries
        {
            let at = now.running + schedule.pause();
            let (schedule, cause, attempt) = (schedule.clone(), begun.cause, begun.attempt + 1);
            self.again.get_or_insert(Again { at, schedule, cause, attempt });
        }
        for planned in &mut self.schedules {
            if leads && planned.due_us.is_none() {
                planned.due_us = planned.next(now);
            }
        }
    }

    /// When a schedule has it run next, by the clock that only goes forward.
    pub(super) fn next_scheduled(&self, now: Now) -> Option<Duration> {
        let due_us = self.schedules.iter().filter_map(|planned| planned.due_us).min();
        let wait_us = due_us.map(|due_us| due_us.saturating_sub(now.wall_us).max(0).unsigned_abs());
        let due = wait_us.map(|wait_us| now.running + Duration::from_micros(wait_us));
        due.into_iter().chain(self.again.as_ref().map(|again| again.at)).min()
    }
}

#[cfg(test)]
mod tests;
