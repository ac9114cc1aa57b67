//! What a coordinator has of one tenant.

use crate::datasets::Datasets;
use crate::plans::Plans;
use crate::routing::Routing;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Statements of a tenant that are planned at once on a coordinator: the others wait, and hold up no other tenant.
fn planned_at_once() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Of those that define or remove something, which the catalog takes one after the other, so many at once.
const DEFINED_AT_ONCE: usize = 4;

/// One tenant, as its sessions have it.
pub(crate) struct Tenant {
    pub(crate) datasets: Arc<Datasets>,
    pub(crate) plans: Plans,
    pub(crate) routing: Routing,
    pub(crate) planning: Semaphore,
    pub(crate) defining: Semaphore,
}

impl Tenant {
    pub(super) fn new(datasets: Datasets) -> Tenant {
        Tenant {
            datasets: Arc::new(datasets),
            plans: Plans::default(),
            routing: Routing::default(),
            planning: Semaphore::new(planned_at_once()),
            defining: Semaphore::new(DEFINED_AT_ONCE),
        }
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        self.datasets.tenant()
    }
}
