//! Which columns of segments stay in memory.
//!
//! Segments are mapped files, so any column may leave memory at any time and is read again from local disk
//! when it is next touched. What was touched counts as resident and is reserved from the node's memory; when
//! queries need that memory, or the resident columns outgrow it, the least recently used ones go.

use exec::memory::{MemoryPool, Reservation};
use parking_lot::Mutex;
use std::sync::{Arc, Weak};
use std::time::Duration;
use storage::Segment;

/// Keeps the resident columns of all segments within a pool. One a pool: it is the pool's reclaimer.
pub struct Residency {
    memory: Arc<MemoryPool>,
    held: Mutex<Held>,
}

struct Held {
    segments: Vec<Weak<Segment>>,
    reservation: Reservation,
}

/// A resident column.
struct Column {
    segment: Arc<Segment>,
    column: u32,
    last_used: u64,
    bytes: u64,
}

/// How often what scans have touched is counted.
const INTERVAL: Duration = Duration::from_millis(100);
/// A query that wants memory waits no longer than this for another that is being served.
const PATIENCE: Duration = Duration::from_millis(50);

impl Residency {
    /// Watches over `memory`; where that has a limit, on a thread of its own until this is dropped.
    pub fn new(memory: &Arc<MemoryPool>) -> Arc<Residency> {
        let reservation = memory.reservation("resident columns");
        let held = Mutex::new(Held { segments: Vec::new(), reservation });
        let residency = Arc::new(Residency { memory: memory.clone(), held });
        if memory.limit_bytes() < u64::MAX {
            let weak = Arc::downgrade(&residency);
            let reclaimer = weak.clone();
            memory.set_reclaimer(Arc::new(move |wanted| {
                reclaimer.upgrade().map_or(0, |residency| residency.reclaim(wanted))
            }));
            let watch = move || {
                while let Some(residency) = weak.upgrade() {
                    residency.balance();
                    drop(residency);
                    std::thread::sleep(INTERVAL);
                }
            };
            if let Err(error) = std::thread::Builder::new().name("residency".into()).spawn(watch) {
                tracing::warn!(%error, "resident columns are counted only when queries start");
            }
        }
        residency
    }

    pub(crate) fn add(&self, segment: &Arc<Segment>) {
        self.held.lock().segments.push(Arc::downgrade(segment));
    }

    /// Bytes of columns that are reserved as resident.
    pub fn resident_bytes(&self) -> u64 {
        self.held.lock().reservation.bytes()
    }

    /// Counts what is resident, reserves it, and lets go what does not fit.
    pub fn balance(&self) {
        let mut held = self.held.lock();
        let mut columns = held.columns();
        let total: u64 = columns.iter().map(|column| column.bytes).sum();
        let reserved = held.reservation.bytes();
        let used_by_others = self.memory.used_bytes().saturating_sub(reserved);
        let room = self.memory.limit_bytes().saturating_sub(used_by_others);
        let kept = total - release(&mut columns, total.saturating_sub(room));
        if let Err(error) = held.reservation.resize(kept) {
            // Queries took the room meanwhile; the next round lets more go.
            tracing::debug!(%error, "resident columns are not all reserved");
        }
    }

    /// Lets go at least `wanted` bytes of what is reserved, if there is as much; gives what it was.
    fn reclaim(&self, wanted: u64) -> u64 {
        // Not while `balance` itself asks.
        let Some(mut held) = self.held.try_lock_for(PATIENCE) else { return 0 };
        let mut columns = held.columns();
        let total: u64 = columns.iter().map(|column| column.bytes).sum();
        let reserved = held.reservation.bytes();
        let target = reserved.saturating_sub(wanted);
        let kept = total - release(&mut columns, total.saturating_sub(target));
        let freed = reserved.saturating_sub(kept);
        held.reservation.shrink(freed);
        freed
    }
}

impl Held {
    fn columns(&mut self) -> Vec<Column> {
        self.segments.retain(|segment| segment.strong_count() > 0);
        let segments = self.segments.iter().filter_map(Weak::upgrade);
        let columns = segments.flat_map(|segment| {
            let columns = 0..segment.schema().len() as u32;
            columns
                .map(|column| Column {
                    column,
                    last_used: segment.last_used(column),
                    bytes: segment.resident_bytes(column),
                    segment: segment.clone(),
                })
                .collect::<Vec<_>>()
        });
        columns.filter(|column| column.bytes > 0).collect()
    }
}

/// Lets columns go, least recently used first, until `wanted` bytes are free; gives how many are.
fn release(columns: &mut [Column], wanted: u64) -> u64 {
    if wanted == 0 {
        return 0;
    }
    columns.sort_by_key(|column| column.last_used);
    let mut freed = 0;
    for column in columns.iter() {
        if freed >= wanted {
            break;
        }
        freed += column.segment.release(column.column);
    }
    freed
}
