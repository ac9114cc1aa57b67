//! Workload groups: how many queries run at once. The others queue, first come, first served.

use crate::error::{Error, Result};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The workload group of those that name none.
pub(crate) const DEFAULT_GROUP: &str = "default";

/// A workload group.
pub(crate) struct WorkloadGroup {
    slots: Arc<Semaphore>,
}

/// The right to run, given back when dropped.
pub(crate) struct Slot {
    _permit: OwnedSemaphorePermit,
    _running: Gauge,
}

/// Counts itself in a gauge while it lives.
struct Gauge(&'static str);

impl Gauge {
    fn enter(name: &'static str) -> Gauge {
        metrics::gauge!(name, "group" => DEFAULT_GROUP).increment(1.0);
        Gauge(name)
    }
}

impl Drop for Gauge {
    fn drop(&mut self) {
        metrics::gauge!(self.0, "group" => DEFAULT_GROUP).decrement(1.0);
    }
}

impl WorkloadGroup {
    pub(crate) fn new(concurrency: usize) -> WorkloadGroup {
        WorkloadGroup { slots: Arc::new(Semaphore::new(concurrency.clamp(1, Semaphore::MAX_PERMITS))) }
    }

    /// Waits for its turn. Dropping the future leaves the queue.
    pub(crate) async fn enter(&self) -> Result<Slot> {
        let queued = Gauge::enter("tundra_queries_queued");
        let permit = self.slots.clone().acquire_owned().await.map_err(|_| Error::ShuttingDown)?;
        drop(queued);
        Ok(Slot { _permit: permit, _running: Gauge::enter("tundra_queries_running") })
    }

    /// A slot that is free at the moment.
    pub(crate) fn try_enter(&self) -> Option<Slot> {
        let permit = self.slots.clone().try_acquire_owned().ok()?;
        Some(Slot { _permit: permit, _running: Gauge::enter("tundra_queries_running") })
    }

    /// Lets nobody in any more.
    pub(crate) fn close(&self) {
        self.slots.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test]
    async fn the_others_wait_their_turn() {
        let group = WorkloadGroup::new(1);
        let first = group.enter().await.unwrap();
        let mut second = Box::pin(group.enter());
        assert!(second.as_mut().now_or_never().is_none() && group.try_enter().is_none());
        drop(first);
        let second = second.await.unwrap();
        let third = group.enter();
        group.close();
        assert!(third.await.is_err());
        drop(second);
        assert!(group.try_enter().is_none());
    }
}
