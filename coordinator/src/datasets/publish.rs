//! Making a hydrated version the one that queries see, and telling the catalog.
//!
//! A version that adds rows is seen at once and the catalog learns of it soon after: what keeps the version is
//! its manifest, and a start switches on what was committed. Versions that wait for the catalog replace each
//! other. Everything else, and on a cluster all of it, is seen when the catalog has it: other coordinators learn
//! of versions from nothing else.

use super::Datasets;
use crate::catalog::{Refusal, Reply};
use crate::error::Result;
use crate::view::Resident;
use flight_proto::catalog::{Change, Dataset, SwitchVersion, Version};
use flight_proto::manifest::Manifest;
use std::sync::Arc;

impl Datasets {
    /// Switches a hydrated version on.
    pub(super) async fn publish(&self, manifest: &Arc<Manifest>, resident: Arc<Resident>) -> Result<()> {
        let _telling = self.telling.lock().await;
        self.state.lock().unpublished.remove(&manifest.dataset);
        self.switch_on(manifest).await?;
        self.seat(Some(manifest.clone()), resident);
        self.show();
        Ok(())
    }

    /// Has the catalog say that a version is the one to be seen, unless it has a later one already, which builds upon
    /// this.
    pub(super) async fn switch_on(&self, manifest: &Manifest) -> Result<()> {
        self.check_files(manifest)?;
        let change = Change::SwitchVersion(SwitchVersion { dataset: Some(dataset_of(manifest)) });
        match self.try_propose(change).await? {
            Reply::Refused(Refusal::StaleVersion { .. }) if self.shards().nodes().is_some() => Ok(()),
            reply => reply.accepted().map(drop),
        }
    }

    /// Lets queries see a hydrated version that only adds rows; `Tenants::publish_all` tells the catalog.
    pub(super) fn publish_soon(&self, manifest: &Arc<Manifest>, resident: Arc<Resident>) {
        self.seat(Some(manifest.clone()), resident);
        self.show();
        self.state.lock().unpublished.insert(manifest.dataset, dataset_of(manifest));
        self.ground.shared.unpublished.notify_one();
    }

    /// Tells the catalog of every version that waits.
    pub(crate) async fn publish_pending(&self) {
        let _telling = self.telling.lock().await;
        let pending = std::mem::take(&mut self.state.lock().unpublished);
        for dataset in pending.into_values() {
            let name = dataset.name.clone();
            let switch = SwitchVersion { dataset: Some(dataset) };
            if let Err(error) = self.propose(Change::SwitchVersion(switch)).await {
                tracing::warn!("the catalog was not told of the latest version of '{name}': {error}");
            }
        }
    }
}

/// A version as the catalog knows it.
pub(super) fn dataset_of(manifest: &Manifest) -> Dataset {
    Dataset {
        id: manifest.dataset,
        schema: manifest.schema.clone(),
        name: manifest.name.clone(),
        columns: manifest.columns.clone(),
        location: manifest.location.clone(),
        partition_by: manifest.partition_by.clone(),
        version: Some(Version {
            number: manifest.version,
            rows: manifest.rows(),
            size_bytes: manifest.size_bytes(),
            published_at_us: 0,
        }),
        refresh: manifest.refresh,
        grants: None,
    }
}
