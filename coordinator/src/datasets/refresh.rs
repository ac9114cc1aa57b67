//! Refreshing: taking in what has changed of a dataset's files, or of its manifests, without a statement that says how.

use super::changes::{check_columns, check_declared};
use super::found::{Found, is_known};
use super::{COMMIT_ATTEMPTS, Datasets, shard_error, too_many_writers};
use crate::error::{Error, Result};
use crate::manifests::Commit;
use flight_proto::catalog::{Change, Dataset, Refresh, RefreshMode, SetRefresh};
use flight_proto::manifest::{File, Manifest};
use planner::RefreshOptions;
use planner::catalog::Table;
use shard::schema::{columns_from_stored, columns_to_stored, type_before};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use storage::ColumnSchema;
use tokio::time::Instant;

/// What a refresh has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refreshed {
    /// The files are those of the version that queries see.
    Unchanged,
    /// They are those of this version, which was made, or was still to be switched on.
    Version { version: u64, files_changed: u64 },
}

impl Datasets {
    /// Changes when an external table is refreshed, and how.
    pub(crate) async fn set_refresh(&self, table: &Table, options: &RefreshOptions) -> Result<()> {
        let set = SetRefresh {
            dataset: table.dataset,
            every_us: options.every.map(|every| every.map_or(0, |every| every.as_micros() as u64)),
            mode: options.mode.map(|mode| mode_of(mode).into()),
        };
        let dataset = self.catalog().snapshot().dataset(&self.tenant, table.dataset).cloned();
        let dataset = dataset.ok_or_else(|| dropped(&table.name))?;
        if dataset.location.is_empty() {
            return Err(Error::Statement(format!(
                "table '{}' cannot be refreshed by the clock: statements fill it, and it has no files of others to look for",
                table.name
            )));
        }
        self.propose(Change::SetRefresh(set)).await.map(drop)
    }

    /// Lists the files of a dataset anew, and switches to them where they have changed or are all to be read anew. Within
    /// `limit` there is to be a version to commit; bringing it in takes as long as it takes.
    pub(crate) async fn refresh(
        &self,
        dataset: u64,
        mode: RefreshMode,
        limit: Option<Duration>,
    ) -> Result<Refreshed> {
        let until = limit.map(|limit| (limit, Instant::now() + limit));
        let known = self.catalog().snapshot().dataset(&self.tenant, dataset).cloned();
        let known = known.ok_or_else(|| Error::NotFound(format!("dataset {dataset} was dropped")))?;
        let turn = async { Ok(self.turn(&known.schema, &known.name).await) };
        let _turn = in_time(until, turn).await?;
        if self.catalog().snapshot().dataset(&self.tenant, dataset).is_none() {
            return Err(dropped(&known.name));
        }
        // Known before the files are: what others commit meanwhile may have newer ones.
        let mut head = in_time(until, self.head(dataset)).await?;
        if known.location.is_empty() {
            // Its files are known; it may have to be brought in again.
            return self.bring_in_again(&head).await;
        }
        self.check_location(&known.location)?;
        for _ in 0..COMMIT_ATTEMPTS {
            let next = match in_time(until, self.next(&known, &head, mode)).await? {
                None => return self.bring_in_again(&head).await,
                Some(next) => Arc::new(next),
            };
            match self.manifests.commit(&next).await? {
                Commit::Done => {
                    self.state.lock().heads.insert(dataset, next.clone());
                    self.switch(&next).await?;
                    let files_changed = files_changed(&head.files, &next.files);
                    return Ok(Refreshed::Version { version: next.version, files_changed });
                }
                Commit::Conflict => {
                    head = Arc::new(self.manifests.read(&self.tenant, dataset, next.version).await?);
                }
            }
        }
        Err(too_many_writers(&head))
    }

    /// The version after `head` with the files that there are; `None`: those of `head`.
    async fn next(
        &self,
        known: &Dataset,
        head: &Arc<Manifest>,
        mode: RefreshMode,
    ) -> Result<Option<Manifest>> {
        let mut next = self.after(head).await?;
        let generation = head.files.iter().map(|file| file.generation).max().unwrap_or(0);
        let full = mode == RefreshMode::Full;
        // What was committed by a refresh that failed afterwards has not been read yet.
        let unread = full && self.is_behind(head);
        let (mut files, mut inferred) =
            self.list(&known.location, generation + u64::from(full && !unread)).await?;
        if unread && files != head.files {
            (files, inferred) = self.list(&known.location, generation + 1).await?;
        }
        if files == head.files {
            return Ok(None);
        }
        let columns = match head.columns_declared {
            true => {
                let declared = columns_from_stored(&head.columns).map_err(shard_error)?;
                check_declared(&declared, &inferred, &known.location)?
            }
            false => kept_types(inferred, &columns_from_stored(&head.columns).map_err(shard_error)?),
        };
        check_columns(&columns, self.catalog().snapshot().cluster_version())?;
        next.columns = columns_to_stored(&columns).map_err(shard_error)?;
        next.partition_span = self.next_span(head, &files).await?;
        next.files = files;
        Ok(Some(next))
    }

    /// Brings a committed version in where queries do not see it, or its data were lost.
    async fn bring_in_again(&self, head: &Arc<Manifest>) -> Result<Refreshed> {
        if !self.is_behind(head) {
            return Ok(Refreshed::Unchanged);
        }
        self.switch_again(head).await?;
        Ok(Refreshed::Version { version: head.version, files_changed: 0 })
    }

    /// Whether queries do not see what was committed.
    fn is_behind(&self, head: &Manifest) -> bool {
        let resident = self.state.lock().residents.get(&head.dataset).cloned();
        resident.is_none_or(|resident| resident.table.version < head.version) || self.is_absent(head.dataset)
    }

    /// Takes in what others have committed of one dataset: its latest manifest.
    pub(crate) async fn reconcile_one(&self, dataset: u64) -> Result<Refreshed> {
        self.catalog().linearize().await?;
        let Some(manifest) = self.manifests.latest(&self.tenant, dataset).await? else {
            return Ok(Refreshed::Unchanged);
        };
        self.see(&[dataset]);
        let snapshot = self.catalog().snapshot();
        if snapshot.is_restoring() {
            return Err(Error::Unavailable("the catalog is being brought back from the object store".into()));
        }
        let found = match snapshot.dataset(&self.tenant, dataset) {
            Some(_) => Found::default(),
            // Which of several of a name can be is told by all of them.
            None => self.find(&self.manifests.datasets(&self.tenant).await?).await?,
        };
        let _turn = self.turn(&manifest.schema, &manifest.name).await;
        // What this process has committed meanwhile is no news.
        self.publish_pending().await;
        let Some(manifest) = self.manifests.latest(&self.tenant, dataset).await? else {
            return Ok(Refreshed::Unchanged);
        };
        let known = self.catalog().snapshot().dataset(&self.tenant, dataset).cloned();
        if is_known(&manifest, known.as_ref()) {
            return Ok(Refreshed::Unchanged);
        }
        let taken = Refreshed::Version { version: manifest.version, files_changed: 0 };
        if manifest.tombstone {
            self.tell_dropped(dataset, manifest.version).await?;
            self.forget(dataset);
            return Ok(taken);
        }
        if known.is_none() && self.bury(&manifest, &found).await? {
            return Ok(Refreshed::Unchanged);
        }
        // Queries do not see it before the shards have it.
        self.switch(&Arc::new(manifest)).await?;
        Ok(taken)
    }
}

/// Runs what only looks until a moment, and gives it up then.
async fn in_time<T>(until: Option<(Duration, Instant)>, work: impl Future<Output = Result<T>>) -> Result<T> {
    let Some((limit, until)) = until else { return work.await };
    let late = |_| {
        let limit_s = limit.as_secs();
        Error::Unavailable(format!(
            "its files were not listed and read within {limit_s} s, the limit of its schedule"
        ))
    };
    tokio::time::timeout_at(until, work).await.map_err(late)?
}

/// The columns of files, of which those keep their types that a table had before files' types were told apart better: what is
/// computed with them goes on as it did.
fn kept_types(mut inferred: Vec<ColumnSchema>, before: &[ColumnSchema]) -> Vec<ColumnSchema> {
    for column in &mut inferred {
        let known = before.iter().find(|known| known.name.to_lowercase() == column.name.to_lowercase());
        let known = known.filter(|known| known.data_type == type_before(column.data_type));
        column.data_type = known.map_or(column.data_type, |known| known.data_type);
    }
    inferred
}

/// How many files were added, replaced or removed.
fn files_changed(before: &[File], after: &[File]) -> u64 {
    let known: HashMap<&str, &File> = before.iter().map(|file| (file.url.as_str(), file)).collect();
    let changed = after.iter().filter(|file| known.get(file.url.as_str()) != Some(file)).count();
    let kept = after.iter().filter(|file| known.contains_key(file.url.as_str())).count();
    (changed + known.len().saturating_sub(kept)) as u64
}

/// What a `CREATE` sets.
pub(super) fn of_options(options: &RefreshOptions) -> Option<Refresh> {
    let refresh = Refresh {
        every_us: options.every.flatten().map_or(0, |every| every.as_micros() as u64),
        mode: options.mode.map_or(0, |mode| mode_of(mode).into()),
    };
    Some(refresh).filter(|refresh| *refresh != Refresh::default())
}

fn mode_of(mode: planner::RefreshMode) -> RefreshMode {
    match mode {
        planner::RefreshMode::Incremental => RefreshMode::Incremental,
        planner::RefreshMode::Full => RefreshMode::Full,
    }
}

fn dropped(name: &str) -> Error {
    Error::NotFound(format!("table '{name}' was dropped"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use columnar::DataType;

    #[test]
    fn columns_of_before_keep_their_types() {
        let column = |name: &str, data_type| ColumnSchema { name: name.into(), data_type, nullable: true };
        let before = [column("A", DataType::Int16), column("b", DataType::Int32)];
        let types = [DataType::UInt8, DataType::UInt8, DataType::UInt8];
        let inferred = ["a", "b", "c"].iter().zip(types).map(|(name, of)| column(name, of)).collect();
        let kept: Vec<DataType> =
            kept_types(inferred, &before).iter().map(|column| column.data_type).collect();
        assert_eq!(kept, [DataType::Int16, DataType::UInt8, DataType::UInt8]);
    }
}
