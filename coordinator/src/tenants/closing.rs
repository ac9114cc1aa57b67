//! Tenants that are not served any more: what runs of them ends, and what they had goes.

use super::Tenants;
use crate::catalog::Closed;
use crate::coordinator::Coordinator;
use crate::datasets::Datasets;
use std::sync::Arc;

/// Acts on the policy that the catalog has, for as long as it is polled.
pub(crate) async fn follow(coordinator: Arc<Coordinator>) {
    let tenants = &coordinator.tenants;
    let mut changes = tenants.catalog().changes();
    let mut acted_on = None;
    loop {
        let policy = changes.borrow_and_update().policy().clone();
        if acted_on.as_ref().is_none_or(|known| !Arc::ptr_eq(known, &policy)) {
            for datasets in tenants.all() {
                let closed = policy.closed(datasets.tenant());
                if closed.is_some() {
                    coordinator.cancel_all(datasets.tenant());
                }
                if closed == Some(Closed::Unknown) {
                    tenants.clear(&datasets).await;
                }
            }
            acted_on = Some(policy);
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

impl Tenants {
    /// Drops what a tenant had that is no more: here, and by its tombstones in the object store.
    async fn clear(&self, datasets: &Datasets) {
        datasets.forget_dropped();
        if !self.catalog().leadership().leads || self.catalog().snapshot().is_restoring() {
            return;
        }
        let buried = match self.manifests.datasets(datasets.tenant()).await {
            Ok(ids) => datasets.reconcile(&ids).await,
            Err(error) => Err(error),
        };
        if let Err(error) = buried {
            tracing::warn!("datasets of the tenant '{}' are not dropped yet: {error}", datasets.tenant());
        }
    }
}
