//! Statements that change rows: they run again where others changed the same rows meanwhile.

use super::{Call, Planned, Session};
use crate::datasets::{Rewrite, Rewritten, to_the_end};
use crate::error::{Error, Result};
use crate::progress::Stage;
use crate::result::Rows;
use crate::write::changes::{Written, collect_changes};
use planner::Statement;
use std::time::Duration;

/// How often a statement runs before it gives up.
const ATTEMPTS: usize = 32;
/// How long it waits to see what others committed, and how soon it looks.
const SEEING: (Duration, Duration) = (Duration::from_secs(60), Duration::from_millis(20));
/// After so long this coordinator brings it in itself.
const OWN: Duration = Duration::from_secs(5);

impl Session {
    /// Nothing of an attempt is kept but what is committed, and that is the last one.
    pub(super) async fn change_rows(&self, mut planned: Planned, call: &Call) -> Result<Rows> {
        let datasets = self.tenant.datasets.clone();
        let dataset = dataset_of(&planned)?;
        let turn = {
            let datasets = datasets.clone();
            async move { Ok(datasets.change_turn(dataset).await) }
        };
        // Those of this coordinator do not overtake each other.
        let _turn = self.in_time(call, turn).await?;
        for _ in 0..ATTEMPTS {
            // It may have waited, or have been overtaken.
            planned = self.plan_numbered(&planned.sql, planned.parameters).await?;
            let statement = planned.routed.statement.clone();
            self.rights()?.check(&statement, planned.routed.reads.as_deref())?;
            let Statement::Change(change) = &*statement else { return Err(another()) };
            datasets.check_writable(&change.table, change.kind.words())?;
            self.need_shards_to_change(&statement, call)?;
            call.listed.progress().comes_to(Stage::Running);
            let base = datasets.manifest_of(&change.table).await?;
            let mut started = self.start(&change.query, &planned.view, call).await?;
            let written = collect_changes(&mut started.running, change, &started.memory).await?;
            drop(started);
            if written.rows == 0 {
                return Rows::written(0);
            }
            // Rows may go also where a tenant has more than it may have.
            if !written.files.is_empty() {
                self.check_resident(written.files.iter().map(|file| file.len() as u64).sum())?;
            }
            call.account.add_files(&written.files);
            self.rights()?.check(&statement, planned.routed.reads.as_deref())?;
            let (rows, statement) = (written.rows, self.coordinator.random()?);
            let Written { files, marked, memory: _memory, .. } = written;
            let rewrite = Rewrite { base, marked, files, statement, exact: change.kind.inserts() };
            let owned = datasets.clone();
            match to_the_end(async move { owned.rewrite(rewrite).await }).await? {
                Rewritten::Done => return Rows::written(rows),
                Rewritten::Overtaken { version } => {
                    metrics::counter!("tundra_changes_overtaken_total").increment(1);
                    self.in_time(call, self.sees(change.table.dataset, version)).await?;
                }
            }
        }
        Err(Error::Conflict(format!(
            "the table was changed by others {ATTEMPTS} times while this statement ran; try again"
        )))
    }

    /// Waits until queries see that version of a dataset, or a later one.
    async fn sees(&self, dataset: u64, version: u64) -> Result<()> {
        let datasets = &self.tenant.datasets;
        let begun = tokio::time::Instant::now();
        let mut tried = false;
        loop {
            datasets.current_view().await?;
            if datasets.version_of(dataset).is_none_or(|seen| seen >= version) {
                return Ok(());
            }
            if begun.elapsed() >= SEEING.0 {
                return Err(Error::Conflict(format!(
                    "version {version} of the table, which others committed, is not seen yet; try again"
                )));
            }
            if !tried && begun.elapsed() >= OWN {
                tried = true;
                if let Err(error) = datasets.reconcile_one(dataset).await {
                    tracing::debug!("{error}");
                }
            }
            tokio::time::sleep(SEEING.1).await;
        }
    }
}

fn dataset_of(planned: &Planned) -> Result<u64> {
    match &*planned.routed.statement {
        Statement::Change(change) => Ok(change.table.dataset),
        _ => Err(another()),
    }
}

fn another() -> Error {
    Error::Internal("a statement that changes no rows".into())
}
