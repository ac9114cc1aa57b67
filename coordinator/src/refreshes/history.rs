//! What has been refreshed lately, on whatever coordinator, since this one started: the latest runs of each table.

use crate::catalog::{CatalogState, TableSchedule};
use flight_proto::node::{RefreshOutcome, RefreshRun};
use std::collections::VecDeque;

/// Runs that are kept, and of these of one table.
const RUNS: (usize, usize) = (1_000, 50);
/// The most characters of an error.
const ERROR_MOST: usize = 2_000;

#[derive(Default)]
pub(super) struct History {
    /// In the order in which they ended.
    runs: VecDeque<RefreshRun>,
}

impl History {
    /// Adds a run that has ended; others are not of the past.
    pub(super) fn add(&mut self, mut run: RefreshRun) {
        match &mut run.outcome {
            None => return,
            Some(RefreshOutcome::Failed(why)) => {
                if let Some((at, _)) = why.char_indices().nth(ERROR_MOST) {
                    why.truncate(at);
                }
            }
            Some(_) => {}
        }
        let of_table = |one: &RefreshRun| one.dataset == run.dataset;
        if self.runs.iter().filter(|one| of_table(one)).count() >= RUNS.1
            && let Some(oldest) = self.runs.iter().position(of_table)
        {
            self.runs.remove(oldest);
        }
        if self.runs.len() >= RUNS.0 {
            self.runs.pop_front();
        }
        self.runs.push_back(run);
    }

    /// The latest first.
    pub(super) fn latest(&self) -> impl Iterator<Item = &RefreshRun> {
        self.runs.iter().rev()
    }

    /// The last run that a schedule had.
    pub(super) fn last_of(&self, schedule: &TableSchedule) -> Option<&RefreshRun> {
        let (tenant, wanted) = (&schedule.tenant, &schedule.schedule);
        self.latest().find(|run| {
            run.schedule == wanted.name
                && run.tenant == *tenant
                && run.schema.eq_ignore_ascii_case(&wanted.schema)
                && run.table.eq_ignore_ascii_case(&wanted.table)
        })
    }

    /// When a schedule ran last, in microseconds since 1970.
    pub(super) fn last_us(&self, schedule: &TableSchedule) -> Option<i64> {
        self.last_of(schedule).map(|run| run.began_us)
    }

    /// Forgets what was of tenants that are no more: one that has such a name later is another.
    pub(super) fn forget_deleted(&mut self, snapshot: &CatalogState) {
        self.runs.retain(|run| run.dataset > snapshot.deleted_up_to(&run.tenant));
    }
}

/// A run with the names of its table, where it has none yet.
pub(super) fn with_names(run: RefreshRun, snapshot: &CatalogState) -> RefreshRun {
    match snapshot.find(run.dataset).filter(|_| run.tenant.is_empty()) {
        None => run,
        Some((tenant, known)) => RefreshRun {
            tenant: tenant.into(),
            schema: known.schema.clone(),
            table: known.name.clone(),
            ..run
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(dataset: u64, began_us: i64) -> RefreshRun {
        let outcome = Some(RefreshOutcome::Unchanged(true));
        RefreshRun { dataset, began_us, outcome, tenant: "acme".into(), ..RefreshRun::default() }
    }

    #[test]
    fn the_latest_are_kept_of_each_table_and_of_all() {
        let mut history = History::default();
        history.add(RefreshRun { outcome: None, ..run(1, 0) });
        assert_eq!(history.latest().count(), 0, "it runs");
        history.add(run(2, 0));
        for at in 1..=60 {
            history.add(run(1, at));
        }
        let of_one: Vec<i64> =
            history.latest().filter(|run| run.dataset == 1).map(|run| run.began_us).collect();
        assert_eq!(of_one, (11..=60).rev().collect::<Vec<_>>());
        assert_eq!(history.latest().count(), 51);
        for dataset in 3..2_000 {
            history.add(run(dataset, 100));
        }
        assert_eq!(history.latest().count(), 1_000);
        assert_eq!(history.latest().next().unwrap().dataset, 1_999);
    }

    #[test]
    fn long_errors_are_cut() {
        let mut history = History::default();
        history.add(RefreshRun { outcome: Some(RefreshOutcome::Failed("é".repeat(3_000))), ..run(1, 0) });
        let Some(RefreshOutcome::Failed(why)) = &history.latest().next().unwrap().outcome else { panic!() };
        assert_eq!(why.chars().count(), ERROR_MOST);
    }
}
