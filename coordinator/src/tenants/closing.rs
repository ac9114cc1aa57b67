//! Tenants that are not served any more: what runs of them ends, and what they had goes.

use crate::catalog::Closed;
use crate::coordinator::Coordinator;
use crate::datasets::Datasets;
use crate::error::Result;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::Tenants;

/// How soon tombstones that could not be written are tried again.
const AGAIN: Duration = Duration::from_secs(30);

/// Acts on the policy that the catalog has, for as long as it is polled.
pub(crate) async fn follow(coordinator: Arc<Coordinator>) {
    let tenants = &coordinator.tenants;
    let mut changes = tenants.catalog().changes();
    let mut acted_on = None;
    // Up to which number a deleted tenant's datasets are buried.
    let mut buried: BTreeMap<Arc<str>, u64> = BTreeMap::new();
    // The same, of whom what was refused is forgotten.
    let mut forgotten: BTreeMap<Arc<str>, u64> = BTreeMap::new();
    loop {
        let snapshot = changes.borrow_and_update().clone();
        let policy = snapshot.policy();
        if acted_on.as_ref().is_none_or(|known| !Arc::ptr_eq(known, policy)) {
            let all = tenants.all();
            let closed = all.iter().filter(|datasets| policy.closed(datasets.tenant()).is_some());
            closed.for_each(|datasets| coordinator.cancel_all(datasets.tenant()));
            for datasets in &all {
                let up_to = snapshot.deleted_up_to(datasets.tenant());
                if forgotten.insert(datasets.tenant().clone(), up_to).is_some_and(|known| known != up_to) {
                    coordinator.quarantine.forget(datasets.tenant());
                    coordinator.usage.forget_tenant(datasets.tenant());
                    coordinator.trail.forget(datasets.tenant());
                    tenants.forget_routes(datasets.tenant());
                }
            }
            tenants.forget_dropped();
            acted_on = Some(policy.clone());
        }
        let leads = tenants.catalog().leadership().leads && !snapshot.is_restoring();
        let mut failed = false;
        for datasets in tenants.all().into_iter().filter(|_| leads) {
            let (tenant, up_to) = (datasets.tenant(), snapshot.deleted_up_to(datasets.tenant()));
            let is_gone = policy.closed(tenant) == Some(Closed::Unknown);
            if !is_gone || buried.get(tenant).is_some_and(|&known| known >= up_to) {
                continue;
            }
            match tenants.bury(&datasets).await {
                Ok(()) => drop(buried.insert(tenant.clone(), up_to)),
                Err(error) => {
                    failed = true;
                    tracing::warn!("datasets of the tenant '{tenant}' are not dropped yet: {error}");
                }
            }
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(AGAIN), if failed => {}
        }
    }
}

impl Tenants {
    /// Gives the datasets that a tenant had their tombstones in the object store.
    async fn bury(&self, datasets: &Datasets) -> Result<()> {
        let ids = self.manifests.datasets(datasets.tenant()).await?;
        datasets.reconcile(&ids).await
    }
}
