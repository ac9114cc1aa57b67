//! What one statement uses, from the moment it is listed until its rows are read, however it ends.

use super::{Usage, Who};
use crate::error::Error;
use crate::foreign::Moved;
use bytes::Bytes;
use exec::context::Cancel;
use exec::meter::Meter;
use flight_proto::node::{Done, Used};
use flight_proto::usage::Measures;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// The account of a statement; who holds it may still add to it. What was added is summed up now and then, and when the
/// last of them lets go.
pub(crate) struct Account {
    pub(super) usage: Arc<Usage>,
    pub(super) number: u64,
    pub(super) who: Who,
    pub(super) begun: Instant,
    cancel: Cancel,
    /// What it uses in this process.
    meter: Arc<Meter>,
    there: There,
    returned_rows: AtomicU64,
    returned_bytes: AtomicU64,
    store_requests: AtomicU64,
    store_bytes: AtomicU64,
    foreign: Mutex<Vec<Arc<Moved>>>,
    settled: Mutex<Measures>,
    /// It was let in though a budget is spent.
    small: AtomicBool,
    /// No budget holds it up.
    exempt: AtomicBool,
    /// Why it was ended, where a budget did that.
    stopped: OnceLock<String>,
}

/// What shards tell.
#[derive(Default)]
struct There {
    processor_us: AtomicU64,
    scanned_bytes: AtomicU64,
    exchanged_bytes: AtomicU64,
}

impl Account {
    pub(super) fn new(usage: &Arc<Usage>, number: u64, who: Who, cancel: Cancel) -> Account {
        Account {
            usage: usage.clone(),
            number,
            who,
            begun: Instant::now(),
            cancel,
            meter: Arc::default(),
            there: There::default(),
            returned_rows: AtomicU64::new(0),
            returned_bytes: AtomicU64::new(0),
            store_requests: AtomicU64::new(0),
            store_bytes: AtomicU64::new(0),
            foreign: Mutex::default(),
            settled: Mutex::default(),
            small: AtomicBool::new(false),
            exempt: AtomicBool::new(false),
            stopped: OnceLock::new(),
        }
    }

    /// Counts what runs in this process.
    pub(crate) fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }

    /// Lets it run for a moment though a budget is spent.
    pub(crate) fn let_in(&self) {
        self.small.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_small(&self) -> bool {
        self.small.load(Ordering::Relaxed)
    }

    /// Lets it run though a budget is spent, for as long as it takes.
    pub(crate) fn exempt(&self) {
        self.exempt.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_exempt(&self) -> bool {
        self.exempt.load(Ordering::Relaxed)
    }

    pub(crate) fn who(&self) -> &Who {
        &self.who
    }

    /// Takes in what a shard has used so far, of which `before` was taken in already.
    pub(crate) fn shard_used(&self, before: &mut Used, now: Used) {
        let add = |counter: &AtomicU64, before: u64, now: u64| {
            counter.fetch_add(now.saturating_sub(before), Ordering::Relaxed);
        };
        add(&self.there.processor_us, before.processor_us, now.processor_us);
        add(&self.there.scanned_bytes, before.scanned_bytes, now.scanned_bytes);
        add(&self.there.exchanged_bytes, before.exchanged_bytes, now.exchanged_bytes);
        *before = now;
    }

    /// Takes in the last word of a shard, which may be of a release that tells nothing else.
    pub(crate) fn shard_done(&self, before: &mut Used, done: &Done) {
        if *before != Used::default() {
            return;
        }
        let nodes = done.profiles.iter().flat_map(|profile| &profile.nodes);
        let processor_us = nodes.map(|node| node.nanoseconds).sum::<u64>() / 1_000;
        let used = Used { processor_us, scanned_bytes: 0, exchanged_bytes: done.exchanged_bytes };
        self.shard_used(before, used);
    }

    /// Rows on their way to the client.
    pub(crate) fn add_returned(&self, rows: u64, bytes: u64) {
        self.returned_rows.fetch_add(rows, Ordering::Relaxed);
        self.returned_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Files that are written to the object store: a request each, and one for their manifest.
    pub(crate) fn add_files(&self, files: &[Bytes]) {
        let (requests, bytes) = (files.len() as u64 + 1, files.iter().map(|file| file.len() as u64).sum());
        self.store_requests.fetch_add(requests, Ordering::Relaxed);
        self.store_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// What is asked of other engines for it.
    pub(crate) fn add_foreign(&self, moved: &[Arc<Moved>]) {
        if !moved.is_empty() {
            self.foreign.lock().extend_from_slice(moved);
        }
    }

    /// What was used so far.
    pub(crate) fn measures(&self) -> Measures {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let here_us = u64::try_from(self.meter.processor().as_micros()).unwrap_or(u64::MAX);
        let mut used = Measures {
            processor_us: here_us + read(&self.there.processor_us),
            scanned_bytes: self.meter.scanned_bytes() + read(&self.there.scanned_bytes),
            exchanged_bytes: read(&self.there.exchanged_bytes),
            returned_rows: read(&self.returned_rows),
            returned_bytes: read(&self.returned_bytes),
            store_requests: read(&self.store_requests),
            store_bytes: read(&self.store_bytes),
            ..Measures::default()
        };
        for moved in &*self.foreign.lock() {
            used.foreign_us += u64::try_from(moved.asked_for().as_micros()).unwrap_or(u64::MAX);
            used.foreign_rows += moved.rows();
            used.foreign_bytes += moved.bytes();
        }
        used
    }

    /// Adds what it has used since the last time to what is known of its tenant.
    pub(super) fn settle(&self, ended: bool) {
        let mut settled = self.settled.lock();
        let now = Measures { statements: ended.into(), ..self.measures() };
        let used = now.since(&settled);
        if !used.is_nothing() {
            *settled = now;
            self.usage.add(&self.who, &used);
        }
    }

    /// Ends the statement, which then fails with `why`; whether that is new.
    pub(super) fn stop(&self, why: &str) -> bool {
        let is_new = self.stopped.set(why.into()).is_ok();
        if is_new {
            self.cancel.cancel();
        }
        is_new
    }

    /// What a statement fails with, where the budget was the cause of it.
    pub(crate) fn cause(&self, error: Error) -> Error {
        match self.stopped.get() {
            Some(why) => Error::Overloaded(why.clone()),
            None => error,
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.settle(true);
        self.usage.forget(self.number);
    }
}
