//! What a coordinator has of one tenant.

use crate::datasets::Datasets;
use crate::plans::Plans;
use crate::routing::Routing;
use std::sync::Arc;

/// One tenant, as its sessions have it.
pub(crate) struct Tenant {
    pub(crate) datasets: Arc<Datasets>,
    pub(crate) plans: Plans,
    pub(crate) routing: Routing,
}

impl Tenant {
    pub(super) fn new(datasets: Datasets) -> Tenant {
        Tenant { datasets: Arc::new(datasets), plans: Plans::default(), routing: Routing::default() }
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        self.datasets.tenant()
    }
}
