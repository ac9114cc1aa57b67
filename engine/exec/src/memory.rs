//! The memory budget: everything that grows reserves here before it allocates.

use crate::error::{Error, Result};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The bytes of a node that queries and residents share. When a reservation does not fit, whoever registered
/// as reclaimer (the cache of resident columns) is asked to give some back; then the reservation fails.
pub struct MemoryPool {
    limit_bytes: u64,
    /// What is taken here is taken there as well.
    parent: Option<Arc<MemoryPool>>,
    used_bytes: AtomicU64,
    peak_bytes: AtomicU64,
    reclaimer: Mutex<Option<Reclaimer>>,
}

/// Frees up to the given number of bytes of this pool's reservations and returns how many it freed.
pub type Reclaimer = Arc<dyn Fn(u64) -> u64 + Send + Sync>;

/// Bytes held of a pool, given back when dropped.
pub struct Reservation {
    pool: Arc<MemoryPool>,
    what: &'static str,
    bytes: u64,
}

impl MemoryPool {
    pub fn new(limit_bytes: u64) -> Arc<MemoryPool> {
        Arc::new(MemoryPool {
            limit_bytes,
            parent: None,
            used_bytes: AtomicU64::new(0),
            peak_bytes: AtomicU64::new(0),
            reclaimer: Mutex::new(None),
        })
    }

    /// A part of this pool with a limit and counts of its own: a query's share, or an operator's account.
    pub fn child(self: &Arc<Self>, limit_bytes: u64) -> Arc<MemoryPool> {
        Arc::new(MemoryPool {
            limit_bytes,
            parent: Some(self.clone()),
            used_bytes: AtomicU64::new(0),
            peak_bytes: AtomicU64::new(0),
            reclaimer: Mutex::new(None),
        })
    }

    /// A pool without a limit, for tests and tools.
    pub fn unlimited() -> Arc<MemoryPool> {
        MemoryPool::new(u64::MAX)
    }

    pub fn set_reclaimer(&self, reclaimer: Reclaimer) {
        *self.reclaimer.lock() = Some(reclaimer);
    }

    pub fn limit_bytes(&self) -> u64 {
        self.limit_bytes
    }

    pub fn used_bytes(&self) -> u64 {
        self.used_bytes.load(Ordering::Relaxed)
    }

    pub fn peak_bytes(&self) -> u64 {
        self.peak_bytes.load(Ordering::Relaxed)
    }

    /// An empty reservation; `what` names its owner in errors.
    pub fn reservation(self: &Arc<Self>, what: &'static str) -> Reservation {
        Reservation { pool: self.clone(), what, bytes: 0 }
    }

    /// Takes `bytes` here and from every pool above, or nowhere; where it fails, asks that pool's reclaimer
    /// and tries once more.
    fn take(&self, what: &'static str, bytes: u64) -> Result<()> {
        if !self.try_take(bytes) {
            let reclaimer = self.reclaimer.lock().clone();
            let freed = reclaimer.map_or(0, |reclaim| reclaim(bytes));
            if freed == 0 || !self.try_take(bytes) {
                return Err(Error::Memory {
                    what,
                    wanted_bytes: bytes,
                    used_bytes: self.used_bytes(),
                    limit_bytes: self.limit_bytes,
                });
            }
        }
        if let Some(parent) = &self.parent {
            parent.take(what, bytes).inspect_err(|_| self.give_back_here(bytes))?;
        }
        self.peak_bytes.fetch_max(self.used_bytes(), Ordering::Relaxed);
        Ok(())
    }

    fn try_take(&self, bytes: u64) -> bool {
        let taken = self.used_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(bytes).filter(|&sum| sum <= self.limit_bytes)
        });
        taken.is_ok()
    }

    fn give_back(&self, bytes: u64) {
        self.give_back_here(bytes);
        if let Some(parent) = &self.parent {
            parent.give_back(bytes);
        }
    }

    fn give_back_here(&self, bytes: u64) {
        self.used_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Reservation {
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reserves `bytes` more, or fails and reserves nothing.
    pub fn grow(&mut self, bytes: u64) -> Result<()> {
        self.pool.take(self.what, bytes)?;
        self.bytes += bytes;
        Ok(())
    }

    /// Reserves or gives back what is missing to `bytes`.
    pub fn resize(&mut self, bytes: u64) -> Result<()> {
        match bytes.checked_sub(self.bytes) {
            Some(more) => self.grow(more),
            None => {
                self.shrink(self.bytes - bytes);
                Ok(())
            }
        }
    }

    /// Gives `bytes` back, at most what is held.
    pub fn shrink(&mut self, bytes: u64) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.pool.give_back(bytes);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.shrink(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_takes_from_its_parent_and_gives_back() {
        let node = MemoryPool::new(100);
        let query = node.child(80);
        let operator = query.child(u64::MAX);
        let mut held = operator.reservation("test");
        held.grow(60).unwrap();
        assert_eq!((node.used_bytes(), query.used_bytes(), operator.used_bytes()), (60, 60, 60));
        assert!(matches!(held.grow(30), Err(Error::Memory { limit_bytes: 80, .. })));
        let mut other = node.reservation("other");
        other.grow(30).unwrap();
        assert!(matches!(held.grow(15), Err(Error::Memory { limit_bytes: 100, .. })));
        assert_eq!((node.used_bytes(), query.used_bytes(), operator.used_bytes()), (90, 60, 60));
        drop(held);
        assert_eq!((node.used_bytes(), query.used_bytes(), operator.used_bytes()), (30, 0, 0));
        assert_eq!((node.peak_bytes(), operator.peak_bytes()), (90, 60));
    }

    #[test]
    fn a_reclaimer_is_asked_before_a_reservation_fails() {
        let pool = MemoryPool::new(100);
        let cache = Arc::new(Mutex::new(pool.reservation("cache")));
        cache.lock().grow(90).unwrap();
        let reclaimed = cache.clone();
        pool.set_reclaimer(Arc::new(move |bytes| {
            let mut cache = reclaimed.lock();
            let before = cache.bytes();
            cache.shrink(bytes);
            before - cache.bytes()
        }));
        let mut held = pool.reservation("query");
        held.grow(50).unwrap();
        assert_eq!(cache.lock().bytes(), 40);
        assert!(held.grow(200).is_err());
    }
}
