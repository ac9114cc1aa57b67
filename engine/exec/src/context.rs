//! Who asks, on whose account, for how long, with how much.

use crate::error::{Error, Result};
use crate::memory::MemoryPool;
use crate::meter::Meter;
use crate::runtime::waiters::Waiters;
use parking_lot::Mutex;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;
use std::time::Duration;
use tracing::Span;

/// The identity and the limits of one query. Every call that works for it carries this.
#[derive(Clone)]
pub struct QueryContext {
    pub query_id: u128,
    pub tenant: String,
    pub principal: String,
    pub roles: Vec<String>,
    /// The share of the node that the query runs in.
    pub workload_group: String,
    /// Fences calls of a coordinator that has been replaced.
    pub epoch: u64,
    /// On [`QueryContext::now`]'s clock.
    pub deadline: Option<Duration>,
    pub cancel: Cancel,
    pub memory: Arc<MemoryPool>,
    /// What it uses on this node.
    pub meter: Arc<Meter>,
    pub settings: Settings,
    /// Time since an arbitrary start; monotonic, given from above.
    pub clock: Arc<dyn Fn() -> Duration + Send + Sync>,
    /// What fragments and pipelines are told below, where its trace is kept; else none.
    pub span: Span,
}

/// What may be varied without changing an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Rows a batch, 1 to [`columnar::BATCH_ROWS`].
    pub batch_rows: usize,
    /// The most tasks a pipeline runs as.
    pub parallelism: usize,
    /// A seed makes sources and sinks block, and state be evicted and reloaded, at random: for tests.
    pub disturb: Option<u64>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { batch_rows: columnar::BATCH_ROWS, parallelism: usize::MAX, disturb: None }
    }
}

impl Settings {
    /// How many rows make a piece of work: `rows`, or few under a disturbance, so that small inputs are cut.
    pub(crate) fn piece_rows(&self, rows: usize) -> usize {
        if self.disturb.is_some() { rows.min(50) } else { rows }
    }
}

/// A flag that ends a query, wherever it runs.
#[derive(Clone, Default, Debug)]
pub struct Cancel(Arc<CancelState>);

#[derive(Default, Debug)]
struct CancelState {
    cancelled: AtomicBool,
    waiters: Mutex<Waiters>,
}

impl Cancel {
    pub fn cancel(&self) {
        let waiters = {
            let mut waiters = self.0.waiters.lock();
            self.0.cancelled.store(true, Ordering::Release);
            waiters.take()
        };
        waiters.wake();
    }

    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::Acquire)
    }

    /// Wakes `waker` once cancelled; at once where it is already.
    pub fn on_cancel(&self, waker: &Waker) {
        let mut waiters = self.0.waiters.lock();
        if self.is_cancelled() {
            drop(waiters);
            waker.wake_by_ref();
        } else {
            waiters.add(waker);
        }
    }

    /// Forgets `waker`.
    pub fn forget(&self, waker: &Waker) {
        self.0.waiters.lock().remove(waker);
    }
}

impl QueryContext {
    /// A context of tenant `default` without a deadline; callers replace what they know better.
    pub fn new(query_id: u128, memory: Arc<MemoryPool>) -> QueryContext {
        let start = std::time::Instant::now();
        QueryContext {
            query_id,
            tenant: "default".into(),
            principal: "default".into(),
            roles: Vec::new(),
            workload_group: "default".into(),
            epoch: 0,
            deadline: None,
            cancel: Cancel::default(),
            memory,
            meter: Arc::default(),
            settings: Settings::default(),
            clock: Arc::new(move || start.elapsed()),
            span: Span::none(),
        }
    }

    pub fn now(&self) -> Duration {
        (self.clock)()
    }

    /// An error once the query is cancelled or past its deadline.
    pub fn check(&self) -> Result<()> {
        if self.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        match self.deadline {
            Some(deadline) if self.now() > deadline => Err(Error::DeadlineExceeded),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for QueryContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "query {:032x} of {}", self.query_id, self.tenant)
    }
}
