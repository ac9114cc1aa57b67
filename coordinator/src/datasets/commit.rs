//! Committing versions whose rows others change at the same time.
//!
//! Rows that are added go on top of any version. Rows that were changed go on top of one in which their files still
//! are and none of them is gone yet: what is deleted of a file are rows of something that never changes, so that sets
//! of two versions can be compared and united. Otherwise what was computed is out of date, and the statement runs again.

use super::{COMMIT_ATTEMPTS, Datasets, not_brought_in, shard_error, too_many_writers};
use crate::error::{Error, Result};
use crate::manifests::Commit;
use bytes::Bytes;
use columnar::RowSet;
use flight_proto::manifest::{Deletes, File, Manifest};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::{ObjectStoreExt, PutPayload};
use planner::catalog::Table;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A set of at most so many bytes is kept in the manifest.
const INLINE_BYTES: usize = 512;

/// Sets that are fetched at once.
const PARALLEL: usize = 16;

/// Rows by the URLs of their files.
type Rows = BTreeMap<String, RowSet>;

/// What a statement makes of the version that it read.
pub(crate) struct Rewrite {
    pub(crate) base: Arc<Manifest>,
    /// Rows that go, by the places of their files in `base`.
    pub(crate) marked: BTreeMap<usize, RowSet>,
    pub(crate) files: Vec<Bytes>,
    /// The number of the statement.
    pub(crate) statement: u128,
    /// Rows are added since others were not there: what others added meanwhile may be these.
    pub(crate) exact: bool,
}

/// What became of it.
#[derive(Debug)]
pub(crate) enum Rewritten {
    Done,
    /// Others changed the same rows: nothing was committed. This version has what they did.
    Overtaken {
        version: u64,
    },
}

/// Somebody else changed the same rows, or the columns.
#[derive(Debug, PartialEq, Eq)]
struct Overtaken;

/// The rows that are gone after `marked` of `base` go on top of `head`, of the files of which any is marked; `held` is
/// what `head` has deleted of these. All marked rows were there in `base`.
fn rebase(
    base: &Manifest,
    head: &Manifest,
    marked: &Rows,
    held: &Rows,
) -> std::result::Result<Rows, Overtaken> {
    if head.tombstone || head.columns != base.columns {
        return Err(Overtaken);
    }
    let mut gone = Rows::new();
    for (url, rows) in marked {
        if !head.files.iter().any(|file| file.url == *url) {
            return Err(Overtaken);
        }
        let mut rows = rows.clone();
        if let Some(held) = held.get(url) {
            if held.intersects(&rows) {
                return Err(Overtaken);
            }
            rows.unite(held);
        }
        gone.insert(url.clone(), rows);
    }
    Ok(gone)
}

/// Has a manifest be without these rows; files that have no others leave it. `told` says where the sets lie.
fn take_away(manifest: &mut Manifest, gone: &Rows, told: &BTreeMap<String, Deletes>) {
    manifest.files.retain(|file| gone.get(&file.url).is_none_or(|rows| rows.len() < file.rows));
    for file in &mut manifest.files {
        if let Some(deletes) = told.get(&file.url) {
            file.deletes = Some(deletes.clone());
        }
    }
}

impl Datasets {
    /// Commits a version with further files, and brings it onto the shards meanwhile. `Conflict`: it was not, since
    /// another has its number.
    pub(super) async fn commit_shown(&self, next: Arc<Manifest>) -> Result<Commit> {
        if self.shards().nodes().is_some() {
            // Not before it is known to be ours: shards know versions by number, and another coordinator's of the
            // same number may be the one that is committed.
            let commit = self.manifests.commit(&next).await?;
            if commit == Commit::Done
                && let Err(error) = self.bring_in_committed(&next).await?
            {
                tracing::warn!("{error}");
            }
            return Ok(commit);
        }
        let (commit, hydrated) = tokio::join!(self.manifests.commit(&next), self.hydrate(&next));
        if let Ok(Commit::Done) = commit {
            self.state.lock().heads.insert(next.dataset, next.clone());
            let resident = hydrated.map_err(|error| not_brought_in(&next, &error))?;
            self.publish_soon(&next, resident);
            return Ok(Commit::Done);
        }
        if let Ok(resident) = hydrated {
            self.let_go(&resident);
        }
        commit
    }

    /// The manifest of the version that a table is.
    pub(crate) async fn manifest_of(&self, table: &Table) -> Result<Arc<Manifest>> {
        let known = self.state.lock().heads.get(&table.dataset).cloned();
        match known.filter(|head| head.version == table.version) {
            Some(head) => Ok(head),
            None => self.manifests.read(&self.tenant, table.dataset, table.version).await.map(Arc::new),
        }
    }

    /// Waits until no other statement of this coordinator changes rows of the dataset.
    pub(crate) async fn change_turn(&self, dataset: u64) -> tokio::sync::OwnedMutexGuard<()> {
        // No table has a name like that.
        self.turn("", &format!("{dataset}/rows")).await
    }

    /// Commits a version without some rows of the one that was read, and with others.
    pub(crate) async fn rewrite(&self, rewrite: Rewrite) -> Result<Rewritten> {
        let Rewrite { base, marked, files, statement, exact } = rewrite;
        let mut by_url = Rows::new();
        for (place, rows) in marked {
            let file = base.files.get(place).filter(|file| rows.last().is_none_or(|last| last < file.rows));
            let file = file.ok_or_else(|| Error::Internal("an address that no row has".into()))?;
            by_url.insert(file.url.clone(), rows);
        }
        let added = self.put(base.dataset, files).await?;
        let _turn = self.turn(&base.schema, &base.name).await;
        let mut head = self.head(base.dataset).await?;
        for _ in 0..COMMIT_ATTEMPTS {
            let mut next = self.after(&head).await?;
            let held = self.held_of(&head, &by_url).await?;
            let overtaken = Rewritten::Overtaken { version: head.version };
            if exact && head.version != base.version {
                return Ok(overtaken);
            }
            let Ok(gone) = rebase(&base, &head, &by_url, &held) else { return Ok(overtaken) };
            let told = self.put_sets(&next, &gone).await?;
            take_away(&mut next, &gone, &told);
            next.files.extend(added.iter().cloned());
            next.format = next.format_needed();
            next.statement = statement.to_be_bytes().to_vec();
            let version = next.version;
            // From here on no error is one after which a statement runs again.
            match self.commit_shown(Arc::new(next)).await {
                Ok(Commit::Done) => return Ok(Rewritten::Done),
                Ok(Commit::Conflict) => {
                    head = Arc::new(self.manifests.read(&self.tenant, base.dataset, version).await?);
                }
                Err(Error::Unavailable(why)) => {
                    return Err(Error::Environment(format!(
                        "version {version} of table '{}' may be committed: {why}",
                        base.name
                    )));
                }
                Err(error) => return Err(error),
            }
        }
        Err(too_many_writers(&head))
    }

    /// What is deleted already of the files of which any row is in `wanted`.
    async fn held_of(&self, head: &Manifest, wanted: &Rows) -> Result<Rows> {
        let stores = self.stores();
        let touched = head.files.iter().filter(|file| wanted.contains_key(&file.url));
        let loads: Vec<_> = touched
            .filter_map(|file| Some((file, file.deletes.as_ref()?)))
            .map(|(file, told)| {
                let stores = &stores;
                async move {
                    let rows = shard::read_deletes(stores, told, file).await.map_err(shard_error)?;
                    Ok::<_, Error>((file.url.clone(), rows))
                }
            })
            .collect();
        stream::iter(loads).buffered(PARALLEL).try_collect().await
    }

    /// Puts the sets where `next` is to find them; those of files that leave it are not needed.
    async fn put_sets(&self, next: &Manifest, gone: &Rows) -> Result<BTreeMap<String, Deletes>> {
        let is_left = |file: &&File| gone.get(&file.url).is_some_and(|rows| rows.len() < file.rows);
        let mut told = BTreeMap::new();
        let mut object: Vec<u8> = Vec::new();
        for file in next.files.iter().filter(is_left) {
            let rows = &gone[&file.url];
            let bytes = rows.encode().ok_or_else(|| Error::Internal("a row that no file has".into()))?;
            let mut deletes = Deletes { rows: rows.len(), ..Deletes::default() };
            if bytes.len() <= INLINE_BYTES {
                deletes.inline = bytes;
            } else {
                (deletes.offset, deletes.length) = (object.len() as u64, bytes.len() as u64);
                deletes.checksum = storage::checksum::xxh64(&bytes, 0);
                object.extend(bytes);
            }
            told.insert(file.url.clone(), deletes);
        }
        if object.is_empty() {
            return Ok(told);
        }
        let (version, name) = (next.version, (self.ground.random)()?);
        let path = format!("{}/{}/deletes/{version:020}-{name:032x}.rows", self.tenant, next.dataset);
        let place = self.stores().again(&self.root().join(&path)).map_err(shard_error)?;
        let url = place.url();
        let put = place.store.put(&place.path, PutPayload::from(object)).await;
        let etag =
            put.map_err(|error| Error::Environment(format!("{url}: {error}")))?.e_tag.unwrap_or_default();
        for deletes in told.values_mut().filter(|deletes| deletes.length > 0) {
            (deletes.url, deletes.etag) = (url.clone(), etag.clone());
        }
        Ok(told)
    }
}

#[cfg(test)]
mod tests;
