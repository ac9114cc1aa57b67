//! Bringing back what was there before: the datasets of a tenant onto the shards.

use super::found::Found;
use super::{Datasets, shard_error};
use crate::error::{Error, Result};
use crate::view::{Resident, View};
use exec::plan::TableRef;
use flight_proto::catalog::{Change, CreateSchema, Dataset};
use flight_proto::manifest::Manifest;
use planner::catalog::{Partitioning, Table};
use shard::schema::columns_from_stored;
use std::sync::Arc;
use storage::TableStatistics;

impl Datasets {
    /// Brings the catalog up to what the object store holds of this tenant, and every dataset onto the shards. One that
    /// cannot be read stays absent, with the reason kept for those who query it.
    pub(crate) async fn restore(&self, ids: &[u64]) -> Result<()> {
        let found = self.find(ids).await?;
        let state = self.catalog().snapshot();
        let known = state.datasets(&self.tenant).into_iter().map(|dataset| dataset.id);
        let mut ids: Vec<u64> = ids.iter().copied().chain(known).collect();
        ids.sort_unstable();
        ids.dedup();
        for id in ids {
            let known = self.catalog().snapshot().dataset(&self.tenant, id).cloned();
            let Err(error) = self.restore_dataset(id, known.as_ref(), &found).await else { continue };
            match known {
                Some(dataset) => {
                    let why = format!("table '{}' could not be brought in: {error}", dataset.name);
                    tracing::warn!("{why}");
                    match absent(&self.tenant, &dataset, why) {
                        Ok(resident) => self.seat(None, resident),
                        Err(error) => tracing::warn!("{error}"),
                    }
                }
                None => tracing::warn!("dataset {id} of the object store is left out: {error}"),
            }
        }
        self.show();
        Ok(())
    }

    async fn restore_dataset(&self, id: u64, known: Option<&Dataset>, found: &Found) -> Result<()> {
        let Some(manifest) = self.manifests.latest(&self.tenant, id).await? else {
            let why = "its manifest is gone from the object store, and with it its data";
            return Err(Error::NotFound(why.into()));
        };
        if manifest.tombstone {
            if known.is_some() {
                self.tell_dropped(id, manifest.version).await?;
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
        match snapshot.is_restoring() && !snapshot.has_schema(&self.tenant, name) {
            true => {
                let create = CreateSchema { name: name.into(), owner: String::new() };
                self.propose(Change::CreateSchema(create)).await.map(drop)
            }
            false => Ok(()),
        }
    }

    /// Hydrates the latest version of a dataset, and switches it on where it is not yet: it was committed, but
    /// the process ended before.
    pub(super) async fn switch_again(&self, manifest: &Arc<Manifest>) -> Result<()> {
        let resident = self.hydrate(manifest).await?;
        let snapshot = self.catalog().snapshot();
        let known = snapshot.dataset(&self.tenant, manifest.dataset);
        let switched_on = known.and_then(|dataset| dataset.version).map(|version| version.number);
        if switched_on == Some(manifest.version) {
            self.seat(Some(manifest.clone()), resident);
            self.show();
            return Ok(());
        }
        self.publish(manifest, resident).await
    }

    /// Brings in what is absent, by credentials that the tenant has got meanwhile.
    pub(crate) async fn bring_absent(&self) {
        let unread = self.ground.shared.unread.lock().contains(&*self.tenant);
        if unread {
            let listed = self.manifests.datasets(&self.tenant).await;
            let found = match listed {
                Ok(ids) => {
                    self.see(&ids);
                    self.reconcile(&ids).await
                }
                Err(error) => Err(error),
            };
            if let Err(error) = found {
                tracing::warn!("what the tenant '{}' has is not known yet: {error}", self.tenant);
            }
        }
        for dataset in self.catalog().snapshot().datasets(&self.tenant) {
            let _turn = self.turn(&dataset.schema, &dataset.name).await;
            if !self.is_absent(dataset.id) {
                continue;
            }
            let brought = match self.head(dataset.id).await {
                Ok(head) if head.tombstone => Ok(()),
                Ok(head) => self.switch_again(&head).await,
                Err(error) => Err(error),
            };
            match brought {
                Ok(()) => tracing::info!("table '{}' is brought in by the new credentials", dataset.name),
                Err(error) => {
                    let why = format!("table '{}' could not be brought in: {error}", dataset.name);
                    tracing::warn!("{why}");
                    if let Ok(resident) = absent(&self.tenant, dataset, why) {
                        self.seat(None, resident);
                        self.show();
                    }
                }
            }
        }
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
}

/// A dataset that is known but not there.
pub(super) fn absent(tenant: &str, dataset: &Dataset, why: String) -> Result<Arc<Resident>> {
    let table = Table {
        tenant: tenant.into(),
        schema: dataset.schema.clone(),
        name: dataset.name.clone(),
        dataset: dataset.id,
        version: dataset.version.map_or(0, |version| version.number),
        columns: columns_from_stored(&dataset.columns).map_err(shard_error)?,
        statistics: Arc::new(TableStatistics::default()),
        facts: Vec::new(),
        partitioning: Partitioning::Spread,
        foreign: None,
        addressed: false,
    };
    Ok(Arc::new(Resident { table: Arc::new(table), shards: Err(why) }))
}
