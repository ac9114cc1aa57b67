//! What a coordinator of a cluster does all the time: queries see what the catalog has and the shards hold,
//! whichever coordinator brought it about; and the one that leads brings the catalog up to what the object store
//! has.

use super::Tenants;
use super::restore::ids_of;
use crate::error::{Error, Result};
use std::sync::Arc;
use std::time::Duration;

/// How soon what could not be seen is looked at again.
const AGAIN: Duration = Duration::from_millis(100);

impl Tenants {
    /// Keeps the views in step with the catalog and the shards, for as long as it is polled.
    pub(crate) async fn follow(self: Arc<Tenants>) {
        let Some(nodes) = self.shards().nodes().cloned() else { return };
        let (mut catalog, mut shards) = (self.catalog().changes(), nodes.changes());
        loop {
            let snapshot = catalog.borrow_and_update().clone();
            shards.borrow_and_update();
            let all = self.all();
            let caught_up = all.iter().map(|datasets| datasets.catch_up(&nodes, &snapshot));
            let whole = futures::future::join_all(caught_up).await.into_iter().all(|whole| whole);
            self.ground.shared.followed.send_replace(snapshot.revision());
            tokio::select! {
                biased;
                changed = catalog.changed() => if changed.is_err() { return },
                changed = shards.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(AGAIN), if !whole => {}
            }
        }
    }

    /// Brings the catalog up to what the object store has, whenever this coordinator leads, for as long as it is
    /// polled. What was committed and not switched on is, and what was dropped goes.
    pub(crate) async fn reconcile(self: Arc<Tenants>, every: Duration) {
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
            let stored = self.stored().await;
            let snapshot = self.catalog().snapshot();
            if snapshot.is_empty() {
                // Where there is a copy, what cannot be read may be by the credentials that it has.
                if self.manifests.catalog().await?.is_none() && stored?.values().all(Vec::is_empty) {
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

    async fn reconcile_now(&self) -> Result<()> {
        self.catalog().linearize().await?;
        let stored = self.filled().await?;
        for datasets in self.with_stored(&stored) {
            datasets.reconcile(ids_of(&stored, datasets.tenant())).await?;
        }
        self.restored().await
    }
}
