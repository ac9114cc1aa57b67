//! Keeping in step: queries see what the catalog has and the shards hold, whichever coordinator brought it about; and the
//! catalog has what the object store has.

use super::found::{Found, is_known};
use super::restore::absent;
use super::{Datasets, resident, shard_error};
use crate::catalog::CatalogState;
use crate::error::{Error, Result};
use crate::shards::nodes::Nodes;
use flight_proto::catalog::Dataset;
use flight_proto::manifest::Manifest;
use flight_proto::node::VersionName;
use shard::VersionId;
use shard::schema::columns_from_stored;
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Datasets {
    /// Takes in versions that others have switched on; `false`: some are not there yet.
    pub(crate) async fn catch_up(&self, nodes: &Nodes, snapshot: &CatalogState) -> bool {
        let mut whole = true;
        let datasets = snapshot.datasets(&self.tenant);
        for dataset in &datasets {
            let Some(version) = dataset.version.map(|version| version.number) else { continue };
            let known = self.state.lock().residents.get(&dataset.id).cloned();
            if known.is_some_and(|known| known.table.version >= version && known.shards.is_ok()) {
                continue;
            }
            if let Err(error) = self.take_in(nodes, dataset, version).await {
                whole = false;
                match absent(&self.tenant, dataset, format!("table '{}': {error}", dataset.name)) {
                    Ok(resident) => self.seat(None, resident),
                    Err(error) => tracing::warn!("{error}"),
                }
            }
        }
        let mut state = self.state.lock();
        state.residents.retain(|id, _| datasets.iter().any(|dataset| dataset.id == *id));
        state.heads.retain(|id, _| datasets.iter().any(|dataset| dataset.id == *id));
        drop(state);
        self.show();
        whole
    }

    async fn take_in(&self, nodes: &Nodes, dataset: &Dataset, version: u64) -> Result<()> {
        let id = VersionId { tenant: self.tenant.to_string(), dataset: dataset.id, version };
        let columns = columns_from_stored(&dataset.columns).map_err(shard_error)?;
        let brought = nodes.describe(&id, &columns).await?;
        // What was the latest manifest is not any longer.
        let mut state = self.state.lock();
        if state.heads.get(&dataset.id).is_some_and(|head| head.version < version) {
            state.heads.remove(&dataset.id);
        }
        drop(state);
        self.seat(None, resident(&self.tenant, dataset, columns, brought));
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

    /// Numbers of datasets that are taken.
    pub(crate) fn see(&self, ids: &[u64]) {
        let highest = ids.iter().copied().max().unwrap_or(0);
        self.ground.shared.highest_seen.fetch_max(highest, Ordering::Relaxed);
    }

    /// Brings the catalog up to what the object store has of this tenant: of these datasets.
    pub(crate) async fn reconcile(&self, ids: &[u64]) -> Result<()> {
        // What was dropped before gives its name to what was created afterwards.
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        let found = self.find(&ids).await?;
        for (id, schema, name) in &found.different {
            match self.reconcile_dataset(*id, schema, name, &found).await {
                Ok(()) => {}
                // It may pass, and a name must not be given away before.
                Err(
                    error @ (Error::Environment(_)
                    | Error::Denied(_)
                    | Error::Unavailable(_)
                    | Error::Conflict(_)),
                ) if self.is_restoring_for(&error) => {
                    return Err(error);
                }
                Err(error) => tracing::warn!("dataset {id} of the object store is left as it is: {error}"),
            }
        }
        Ok(())
    }

    /// Whether a catalog that is being filled has to wait until that error is gone: not for a store that one tenant alone
    /// reaches.
    fn is_restoring_for(&self, error: &Error) -> bool {
        let snapshot = self.catalog().snapshot();
        let is_own = snapshot.policy().has_credentials(&self.tenant)
            && matches!(error, Error::Environment(_) | Error::Denied(_));
        snapshot.is_restoring() && !is_own
    }

    async fn reconcile_dataset(&self, id: u64, schema: &str, name: &str, found: &Found) -> Result<()> {
        // Whoever changes the table at the moment is about to tell the catalog.
        let _turn = self.turn(schema, name).await;
        let Some(manifest) = self.manifests.latest(&self.tenant, id).await? else { return Ok(()) };
        let snapshot = self.catalog().snapshot();
        let known = snapshot.dataset(&self.tenant, id);
        if is_known(&manifest, known) {
            return Ok(());
        }
        if manifest.tombstone {
            return self.tell_dropped(id, manifest.version).await;
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
