//! What a coordinator of a cluster does all the time: queries see what the catalog has and the shards hold,
//! whichever coordinator brought it about; and the one that leads brings the catalog up to what the object store
//! has.

use super::found::{Found, is_known};
use super::restore::absent;
use super::{DEFAULT_TENANT, Datasets, resident, shard_error};
use crate::catalog::CatalogState;
use crate::error::{Error, Result};
use crate::shards::nodes::Nodes;
use flight_proto::catalog::{Change, Dataset, DropDataset};
use flight_proto::manifest::Manifest;
use flight_proto::node::VersionName;
use shard::VersionId;
use shard::schema::columns_from_stored;
use std::sync::Arc;
use std::time::Duration;

/// How soon what could not be seen is looked at again.
const AGAIN: Duration = Duration::from_millis(100);

impl Datasets {
    /// Keeps the view in step with the catalog and the shards, for as long as it is polled.
    pub(crate) async fn follow(self: Arc<Datasets>) {
        let Some(nodes) = self.shards().nodes().cloned() else { return };
        let (mut catalog, mut shards) = (self.catalog().changes(), nodes.changes());
        loop {
            let snapshot = catalog.borrow_and_update().clone();
            shards.borrow_and_update();
            let whole = self.catch_up(&nodes, &snapshot).await;
            self.show();
            self.followed.send_replace(snapshot.revision());
            tokio::select! {
                biased;
                changed = catalog.changed() => if changed.is_err() { return },
                changed = shards.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(AGAIN), if !whole => {}
            }
        }
    }

    /// Takes in versions that others have switched on; `false`: some are not there yet.
    async fn catch_up(&self, nodes: &Nodes, snapshot: &CatalogState) -> bool {
        let mut whole = true;
        let datasets = snapshot.datasets(DEFAULT_TENANT);
        for dataset in &datasets {
            let Some(version) = dataset.version.map(|version| version.number) else { continue };
            let known = self.state.lock().residents.get(&dataset.id).cloned();
            if known.is_some_and(|known| known.table.version >= version && known.shards.is_ok()) {
                continue;
            }
            if let Err(error) = self.take_in(nodes, dataset, version).await {
                whole = false;
                match absent(dataset, format!("table '{}': {error}", dataset.name)) {
                    Ok(resident) => self.seat(None, resident),
                    Err(error) => tracing::warn!("{error}"),
                }
            }
        }
        let mut state = self.state.lock();
        state.residents.retain(|id, _| datasets.iter().any(|dataset| dataset.id == *id));
        state.heads.retain(|id, _| datasets.iter().any(|dataset| dataset.id == *id));
        whole
    }

    async fn take_in(&self, nodes: &Nodes, dataset: &Dataset, version: u64) -> Result<()> {
        let id = VersionId { tenant: DEFAULT_TENANT.into(), dataset: dataset.id, version };
        let columns = columns_from_stored(&dataset.columns).map_err(shard_error)?;
        let brought = nodes.describe(&id, &columns).await?;
        // What was the latest manifest is not any longer.
        let mut state = self.state.lock();
        if state.heads.get(&dataset.id).is_some_and(|head| head.version < version) {
            state.heads.remove(&dataset.id);
        }
        drop(state);
        self.seat(None, resident(dataset, columns, brought));
        Ok(())
    }

    /// The manifest of a version, for a shard that is to bring it in.
    pub(crate) async fn manifest(&self, name: &VersionName) -> Result<Arc<Manifest>> {
        let known = self.state.lock().heads.get(&name.dataset).cloned();
        match known.filter(|head| head.version == name.version && head.tenant == name.tenant) {
            Some(head) => Ok(head),
            None => self.manifests.read(&name.tenant, name.dataset, name.version).await.map(Arc::new),
        }
    }

    /// Brings the catalog up to what the object store has, whenever this coordinator leads, for as long as it is
    /// polled. What was committed and not switched on is, and what was dropped goes.
    pub(crate) async fn reconcile(self: Arc<Datasets>, every: Duration) {
        let mut catalog = self.catalog().changes();
        loop {
            if self.catalog().leadership().leads {
                if let Err(error) = self.reconcile_now().await {
                    tracing::warn!("the catalog could not be compared with the object store: {error}");
                }
                tokio::time::sleep(every).await;
            } else {
                tokio::time::sleep(AGAIN).await;
            }
            catalog.mark_unchanged();
        }
    }

    /// Waits until the catalog has what the object store has, where it is new: whoever leads brings it in.
    pub(crate) async fn begin(&self) -> Result<()> {
        loop {
            match self.catalog().linearize().await {
                Err(Error::Conflict(why)) => {
                    tracing::info!("the catalog is not ready yet: {why}");
                    continue;
                }
                other => other?,
            }
            let ids = self.manifests.datasets(DEFAULT_TENANT).await;
            if let Ok(ids) = &ids {
                self.see(ids);
            }
            let snapshot = self.catalog().snapshot();
            if snapshot.is_empty() {
                if ids?.is_empty() && self.manifests.catalog().await?.is_none() {
                    return Ok(());
                }
            } else if !snapshot.is_restoring() {
                return Ok(());
            }
            if self.catalog().leadership().leads {
                match self.reconcile_now().await {
                    Ok(()) => return Ok(()),
                    Err(error) => tracing::warn!("the catalog is not rebuilt yet: {error}"),
                }
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Numbers of datasets that are taken.
    pub(super) fn see(&self, ids: &[u64]) {
        let mut state = self.state.lock();
        state.highest_seen = state.highest_seen.max(ids.iter().copied().max().unwrap_or(0));
    }

    async fn reconcile_now(&self) -> Result<()> {
        self.catalog().linearize().await?;
        let mut ids = self.manifests.datasets(DEFAULT_TENANT).await?;
        self.see(&ids);
        self.take_over_copy(&ids).await?;
        // What was dropped before gives its name to what was created afterwards.
        ids.sort_unstable();
        let found = self.find(&ids).await?;
        for (id, schema, name) in &found.different {
            match self.reconcile_dataset(*id, schema, name, &found).await {
                Ok(()) => {}
                // It may pass, and a name must not be given away before.
                Err(error @ (Error::Environment(_) | Error::Unavailable(_) | Error::Conflict(_)))
                    if self.catalog().snapshot().is_restoring() =>
                {
                    return Err(error);
                }
                Err(error) => tracing::warn!("dataset {id} of the object store is left as it is: {error}"),
            }
        }
        self.restored().await
    }

    async fn reconcile_dataset(&self, id: u64, schema: &str, name: &str, found: &Found) -> Result<()> {
        // Whoever changes the table at the moment is about to tell the catalog.
        let _turn = self.turn(schema, name).await;
        let Some(manifest) = self.manifests.latest(DEFAULT_TENANT, id).await? else { return Ok(()) };
        let snapshot = self.catalog().snapshot();
        let known = snapshot.dataset(DEFAULT_TENANT, id);
        if is_known(&manifest, known) {
            return Ok(());
        }
        if manifest.tombstone {
            let dropped = DropDataset { dataset: id, version: manifest.version };
            return self.propose(Change::DropDataset(dropped)).await.map(drop);
        }
        if known.is_none() {
            if self.bury(&manifest, found).await? {
                return Ok(());
            }
            self.restore_schema(&manifest.schema).await?;
        }
        self.switch_on(&manifest).await
    }
}
