//! Counters of a running fragment, one set for each node of its plan.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What a fragment has done so far, as `EXPLAIN ANALYZE` shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// One a node of the fragment's plan, in preorder ([`crate::Plan::inputs`] gives the order of inputs).
    pub nodes: Vec<NodeProfile>,
}

impl Profile {
    /// Adds what the same fragment has done on another shard.
    pub fn add(&mut self, other: &Profile) {
        self.nodes.resize(self.nodes.len().max(other.nodes.len()), NodeProfile::default());
        for (node, other) in self.nodes.iter_mut().zip(&other.nodes) {
            node.rows += other.rows;
            node.batches += other.batches;
            node.time += other.time;
            node.memory_peak_bytes += other.memory_peak_bytes;
        }
    }
}

/// What one operator of the plan has done so far, over all its tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeProfile {
    /// Rows it gave.
    pub rows: u64,
    pub batches: u64,
    /// Time spent in it, summed over tasks.
    pub time: Duration,
    /// The most memory it held at once, in bytes.
    pub memory_peak_bytes: u64,
}

/// How far the scans of a fragment are, in morsels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkDone {
    pub done: u64,
    pub total: u64,
}

/// The live counters behind a [`NodeProfile`].
#[derive(Debug, Default)]
pub(crate) struct NodeCounters {
    rows: AtomicU64,
    batches: AtomicU64,
    nanos: AtomicU64,
}

impl NodeCounters {
    pub(crate) fn add_batch(&self, rows: usize) {
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
        self.batches.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn add_time(&self, time: Duration) {
        self.nanos.fetch_add(time.as_nanos() as u64, Ordering::Relaxed);
    }

    pub(crate) fn read(&self, memory_peak_bytes: u64) -> NodeProfile {
        NodeProfile {
            rows: self.rows.load(Ordering::Relaxed),
            batches: self.batches.load(Ordering::Relaxed),
            time: Duration::from_nanos(self.nanos.load(Ordering::Relaxed)),
            memory_peak_bytes,
        }
    }
}

/// Morsels of all scans of a fragment, live.
#[derive(Debug, Default)]
pub struct MorselCount {
    done: AtomicU64,
    total: AtomicU64,
}

impl MorselCount {
    pub(crate) fn add_total(&self, morsels: usize) {
        self.total.fetch_add(morsels as u64, Ordering::Relaxed);
    }

    pub(crate) fn add_done(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> WorkDone {
        WorkDone { done: self.done.load(Ordering::Relaxed), total: self.total.load(Ordering::Relaxed) }
    }
}
