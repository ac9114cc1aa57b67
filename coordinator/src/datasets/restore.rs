//! Bringing back what was there before: the catalog from the object store, the datasets onto the shards.

use super::found::Found;
use super::{DEFAULT_TENANT, Datasets, shard_error};
use crate::catalog::CatalogState;
use crate::error::{Error, Result};
use crate::upgrade;
use crate::view::{Resident, View};
use exec::plan::TableRef;
use flight_proto::catalog::{Change, CreateSchema, Dataset, DropDataset, Restored};
use flight_proto::manifest::Manifest;
use planner::catalog::{Partitioning, Table};
use shard::schema::columns_from_stored;
use std::sync::Arc;
use std::time::Duration;
use storage::TableStatistics;

/// How long changes of the catalog gather before it is copied to the object store.
const COPY_DELAY: Duration = Duration::from_millis(500);

impl Datasets {
    /// Brings the catalog up to what the object store holds, and every dataset onto the shards. A dataset
    /// that cannot be read stays absent, with the reason kept for those who query it.
    pub(crate) async fn restore(&self) -> Result<()> {
        let mut ids = self.manifests.datasets(DEFAULT_TENANT).await?;
        self.see(&ids);
        self.take_over_copy(&ids).await?;
        let found = self.find(&ids).await?;
        let state = self.catalog().snapshot();
        ids.extend(state.datasets(DEFAULT_TENANT).iter().map(|dataset| dataset.id));
        ids.sort_unstable();
        ids.dedup();
        for id in ids {
            let known = self.catalog().snapshot().dataset(DEFAULT_TENANT, id).cloned();
            let Err(error) = self.restore_dataset(id, known.as_ref(), &found).await else { continue };
            match known {
                Some(dataset) => {
                    let why = format!("table '{}' could not be brought in: {error}", dataset.name);
                    tracing::warn!("{why}");
                    match absent(&dataset, why) {
                        Ok(resident) => self.seat(None, resident),
                        Err(error) => tracing::warn!("{error}"),
                    }
                }
                None => tracing::warn!("dataset {id} of the object store is left out: {error}"),
            }
        }
        self.restored().await?;
        self.show();
        for shard in self.shards().here().into_iter().flat_map(|here| here.shards()) {
            // Left-overs cost disk, not answers.
            if let Err(error) = shard.sweep() {
                tracing::warn!("old segments could not be deleted: {error}");
            }
        }
        Ok(())
    }

    /// Has a catalog that is empty filled from the object store: at first by the copy there, which may be behind the
    /// manifests of `ids`.
    pub(super) async fn take_over_copy(&self, ids: &[u64]) -> Result<()> {
        if !self.catalog().snapshot().is_empty() {
            return Ok(());
        }
        let copy = match self.manifests.catalog().await? {
            Some(bytes) => CatalogState::from_bytes(&bytes)?,
            None if ids.is_empty() => return Ok(()),
            None => CatalogState::default(),
        };
        // What a version has brought is read by nodes of that version alone.
        let (copied, speaks) = (copy.cluster_version(), self.catalog().speaks());
        if let Some(why) = speaks.refusal(copied).filter(|_| copied > speaks.most) {
            return Err(Error::Environment(format!(
                "the catalog in the object store cannot be taken over: {why}"
            )));
        }
        if copied > self.catalog().snapshot().cluster_version() {
            upgrade::upgrade(self.catalog(), self.shards()).await?;
        }
        tracing::info!("the catalog is rebuilt from the object store");
        self.propose(Change::Restore(copy.stored().clone())).await.map(drop)
    }

    /// The catalog has what the object store has.
    pub(super) async fn restored(&self) -> Result<()> {
        match self.catalog().snapshot().is_restoring() {
            true => self.propose(Change::Restored(Restored {})).await.map(drop),
            false => Ok(()),
        }
    }

    async fn restore_dataset(&self, id: u64, known: Option<&Dataset>, found: &Found) -> Result<()> {
        let Some(manifest) = self.manifests.latest(DEFAULT_TENANT, id).await? else {
            let why = "its manifest is gone from the object store, and with it its data";
            return Err(Error::NotFound(why.into()));
        };
        if manifest.tombstone {
            if known.is_some() {
                let drop = DropDataset { dataset: id, version: manifest.version };
                self.propose(Change::DropDataset(drop)).await?;
            }
            return Ok(());
        }
        if known.is_none() {
            if self.bury(&manifest, found).await? {
                return Ok(());
            }
            self.restore_schema(&manifest.schema).await?;
        }
        self.switch_again(&Arc::new(manifest)).await
    }

    /// Creates the schema of a dataset that a catalog does not know which is filled from the object store.
    pub(super) async fn restore_schema(&self, name: &str) -> Result<()> {
        let snapshot = self.catalog().snapshot();
        match snapshot.is_restoring() && !snapshot.has_schema(DEFAULT_TENANT, name) {
            true => self.propose(Change::CreateSchema(CreateSchema { name: name.into() })).await.map(drop),
            false => Ok(()),
        }
    }

    /// Hydrates the latest version of a dataset, and switches it on where it is not yet: it was committed, but
    /// the process ended before.
    pub(super) async fn switch_again(&self, manifest: &Arc<Manifest>) -> Result<()> {
        let resident = self.hydrate(manifest).await?;
        let snapshot = self.catalog().snapshot();
        let known = snapshot.dataset(DEFAULT_TENANT, manifest.dataset);
        let switched_on = known.and_then(|dataset| dataset.version).map(|version| version.number);
        if switched_on == Some(manifest.version) {
            self.seat(Some(manifest.clone()), resident);
            self.show();
            return Ok(());
        }
        self.publish(manifest, resident).await
    }

    /// Builds again, beside whatever runs, what a table has lost of its segments.
    pub(crate) fn mend(self: &Arc<Datasets>, view: &View, table: &TableRef) {
        let Some(lost) = view.resident_of(table).map(|resident| resident.table.clone()) else { return };
        let datasets = self.clone();
        tokio::spawn(async move {
            let _turn = datasets.turn(&lost.schema, &lost.name).await;
            if !datasets.is_absent(lost.dataset) {
                return;
            }
            tracing::warn!("table '{}' has lost segments and is brought in again", lost.name);
            let mended = match datasets.head(lost.dataset).await {
                Ok(head) if head.tombstone => Ok(()),
                Ok(head) => datasets.switch_again(&head).await,
                Err(error) => Err(error),
            };
            if let Err(error) = mended {
                tracing::warn!("table '{}' could not be brought in again: {error}", lost.name);
            }
        });
    }

    /// Copies the catalog to the object store after each change, until the catalog is closed.
    pub(crate) async fn copy_catalog(self: Arc<Datasets>) {
        let mut changes = self.catalog().changes();
        while changes.changed().await.is_ok() {
            tokio::time::sleep(COPY_DELAY).await;
            changes.mark_unchanged();
            if let Err(error) = self.copy_catalog_now().await {
                tracing::warn!("the catalog could not be copied to the object store: {error}");
            }
        }
    }

    pub(crate) async fn copy_catalog_now(&self) -> Result<()> {
        let state = self.catalog().snapshot();
        // Of several coordinators the one that leads does it.
        if state.is_empty() || !self.catalog().leadership().leads {
            return Ok(());
        }
        self.manifests.put_catalog(state.revision(), state.to_bytes()).await.map(drop)
    }
}

/// A dataset that is known but not there.
pub(super) fn absent(dataset: &Dataset, why: String) -> Result<Arc<Resident>> {
    let table = Table {
        tenant: DEFAULT_TENANT.into(),
        schema: dataset.schema.clone(),
        name: dataset.name.clone(),
        dataset: dataset.id,
        version: dataset.version.map_or(0, |version| version.number),
        columns: columns_from_stored(&dataset.columns).map_err(shard_error)?,
        statistics: Arc::new(TableStatistics::default()),
        facts: Vec::new(),
        partitioning: Partitioning::Spread,
    };
    Ok(Arc::new(Resident { table: Arc::new(table), shards: Err(why) }))
}
