//! The memory budget: everything that grows reserves here before it allocates.

use crate::error::{Error, Result};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The bytes of a node that queries and residents share. When a reservation does not fit, whoever registered
/// as reclaimer (the cache of resident columns) is asked to give some back; then the reservation fails.
pub struct MemoryPool {
    limit_bytes: u64,
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

    fn try_take(&self, bytes: u64) -> bool {
        let taken = self.used_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(bytes).filter(|&sum| sum <= self.limit_bytes)
        });
        if let Ok(before) = taken {
            self.peak_bytes.fetch_max(before + bytes, Ordering::Relaxed);
        }
        taken.is_ok()
    }
}

impl Reservation {
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reserves `bytes` more, or fails and reserves nothing.
    pub fn grow(&mut self, bytes: u64) -> Result<()> {
        let pool = &self.pool;
        if !pool.try_take(bytes) {
            let reclaimer = pool.reclaimer.lock().clone();
            let freed = reclaimer.map_or(0, |reclaim| reclaim(bytes));
            if freed == 0 || !pool.try_take(bytes) {
                return Err(Error::Memory {
                    what: self.what,
                    wanted_bytes: bytes,
                    used_bytes: pool.used_bytes(),
                    limit_bytes: pool.limit_bytes,
                });
            }
        }
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
        self.pool.used_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.shrink(self.bytes);
    }
}
