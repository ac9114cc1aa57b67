//! How far a hydration is.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters that a hydration moves and anyone may read.
#[derive(Debug, Default)]
pub struct Progress {
    rows_total: AtomicU64,
    rows_done: AtomicU64,
    bytes_read: AtomicU64,
    requests: AtomicU64,
}

/// What a [`Progress`] shows at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows of all files, once their footers are read.
    pub rows_total: u64,
    /// Rows that lie in segments; those found on local disk included.
    pub rows_done: u64,
    /// Bytes fetched from the object store.
    pub bytes_read: u64,
    /// Requests that these took.
    pub requests: u64,
}

impl Counts {
    pub fn plus(self, other: Counts) -> Counts {
        Counts {
            rows_total: self.rows_total + other.rows_total,
            rows_done: self.rows_done + other.rows_done,
            bytes_read: self.bytes_read + other.bytes_read,
            requests: self.requests + other.requests,
        }
    }
}

impl Progress {
    pub fn counts(&self) -> Counts {
        Counts {
            rows_total: self.rows_total.load(Ordering::Relaxed),
            rows_done: self.rows_done.load(Ordering::Relaxed),
            bytes_read: self.bytes_read.load(Ordering::Relaxed),
            requests: self.requests.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn expect_rows(&self, rows: u64) {
        self.rows_total.fetch_add(rows, Ordering::Relaxed);
    }

    pub(crate) fn add_rows(&self, rows: u64) {
        self.rows_done.fetch_add(rows, Ordering::Relaxed);
    }

    pub(crate) fn add_request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn add_bytes(&self, bytes: u64) {
        self.bytes_read.fetch_add(bytes, Ordering::Relaxed);
    }
}
