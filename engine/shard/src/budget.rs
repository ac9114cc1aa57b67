//! What the jobs of a hydration may hold: within a limit of their own, and reserved from the node's memory.
//!
//! A job that finds no room waits for the others, so that little memory costs time. One that finds none while
//! no other runs fails.

use crate::{Error, Result};
use exec::memory::{MemoryPool, Reservation};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, SemaphorePermit};

/// The limit is counted in these.
const UNIT_BYTES: u64 = 64 << 10;
/// Less than this is not worth a reservation.
const COUNTED_BYTES: u64 = 1 << 20;
/// How long the only job waits for queries to give memory back.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a job that waits looks for room.
const PAUSE: Duration = Duration::from_millis(20);

/// The memory of one hydration.
pub(crate) struct Budget {
    node: Arc<MemoryPool>,
    /// A permit a unit of the hydration's own limit.
    units: Semaphore,
    units_max: u32,
    /// Jobs that hold a reservation.
    running: AtomicUsize,
    patience: Duration,
}

/// What one job may hold, given back when dropped.
pub(crate) struct Share<'a> {
    budget: &'a Budget,
    reservation: Option<Reservation>,
    _units: SemaphorePermit<'a>,
}

impl Budget {
    pub(crate) fn new(node: &Arc<MemoryPool>, limit_bytes: u64) -> Budget {
        let units_max = (limit_bytes / UNIT_BYTES).clamp(1, u64::from(u32::MAX >> 4)) as u32;
        let units = Semaphore::new(units_max as usize);
        Budget { node: node.clone(), units, units_max, running: AtomicUsize::new(0), patience: PATIENCE }
    }

    /// Waits until `bytes` fit.
    pub(crate) async fn reserve(&self, bytes: u64) -> Result<Share<'_>> {
        let units = bytes.div_ceil(UNIT_BYTES).clamp(1, u64::from(self.units_max)) as u32;
        let closed = |_| Error::Internal("a hydration's limits are gone".into());
        let units = self.units.acquire_many(units).await.map_err(closed)?;
        let mut alone_since = None;
        let reservation = loop {
            if bytes < COUNTED_BYTES {
                break None;
            }
            let mut reservation = self.node.reservation("hydration");
            if reservation.grow(bytes).is_ok() {
                break Some(reservation);
            }
            if self.running.load(Ordering::Acquire) > 0 {
                alone_since = None;
            } else if alone_since.get_or_insert_with(Instant::now).elapsed() > self.patience {
                let free_bytes = self.node.limit_bytes().saturating_sub(self.node.used_bytes());
                return Err(Error::Memory { wanted_bytes: bytes, free_bytes });
            }
            tokio::time::sleep(PAUSE).await;
        };
        if reservation.is_some() {
            self.running.fetch_add(1, Ordering::AcqRel);
        }
        Ok(Share { budget: self, reservation, _units: units })
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        if self.reservation.take().is_some() {
            self.budget.running.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test]
    async fn jobs_wait_for_each_other_and_not_for_ever() {
        let node = MemoryPool::new(100 << 20);
        let budget = Budget { patience: Duration::from_millis(50), ..Budget::new(&node, u64::MAX) };
        let first = budget.reserve(60 << 20).await.unwrap();
        assert_eq!(node.used_bytes(), 60 << 20);
        let mut second = Box::pin(budget.reserve(60 << 20));
        assert!(second.as_mut().now_or_never().is_none());
        drop(first);
        let second = second.await.unwrap();
        drop(second);
        assert_eq!(node.used_bytes(), 0);
        let mut query = node.reservation("query");
        query.grow(80 << 20).unwrap();
        let error = budget.reserve(60 << 20).await.map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("60 MiB") && error.contains("20 MiB"), "{error}");
    }

    #[tokio::test]
    async fn a_job_larger_than_the_limit_runs_alone() {
        let node = MemoryPool::unlimited();
        let budget = Budget::new(&node, 1 << 20);
        let large = budget.reserve(50 << 20).await.unwrap();
        assert!(budget.reserve(1).now_or_never().is_none());
        drop(large);
        assert!(budget.reserve(1).now_or_never().is_some());
    }
}
