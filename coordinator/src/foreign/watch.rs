//! Ends what a foreign server does for a query that has ended.

use crate::error::{Error, Result};
use crate::query::cancelled;
use adbc_core::CancelHandle;
use exec::context::Cancel;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tracing::{Instrument, Span};

/// How soon a server is told again that a statement is not wanted: one that is just about to begin misses it.
const AGAIN: Duration = Duration::from_millis(50);
/// How often, at most.
const TIMES: usize = 200;

/// What a thread does for a query at a server, and whether it is wanted.
pub(super) struct Watch {
    cancel: Cancel,
    /// Ends the statement that runs.
    running: Mutex<Option<Arc<dyn CancelHandle>>>,
    is_over: AtomicBool,
    /// Told then.
    ends: Arc<Notify>,
}

impl Watch {
    /// Watches until [`Watch::is_over`]: the server is told once `cancel` is set.
    pub(super) fn start(cancel: &Cancel) -> Arc<Watch> {
        let watch = Arc::new(Watch {
            cancel: cancel.clone(),
            running: Mutex::new(None),
            is_over: AtomicBool::new(false),
            ends: Arc::default(),
        });
        let ends = watch.ends.clone();
        let watching = Arc::downgrade(&watch);
        let cancel = cancel.clone();
        let ending = async move {
            tokio::select! {
                () = cancelled(&cancel) => {}
                () = ends.notified() => return,
            }
            for _ in 0..TIMES {
                let Some(watch) = watching.upgrade().filter(|watch| !watch.is_over.load(Ordering::Acquire))
                else {
                    return;
                };
                let running = watch.running.lock().clone();
                drop(watch);
                if let Some(running) = running {
                    // It speaks with the server, which may not answer.
                    let (done, wait) = tokio::sync::oneshot::channel::<()>();
                    let span = Span::current();
                    let told = std::thread::Builder::new().name("foreign-cancel".into()).spawn(move || {
                        let _entered = span.enter();
                        if let Err(error) = running.try_cancel() {
                            tracing::debug!(
                                "a statement of a foreign server is not cancelled: {}",
                                error.message
                            );
                        }
                        drop(done);
                    });
                    if told.is_err() {
                        return;
                    }
                    // Nothing is sent: the thread is done.
                    let _ = wait.await;
                }
                tokio::time::sleep(AGAIN).await;
            }
        };
        tokio::spawn(ending.in_current_span());
        watch
    }

    /// A statement begins.
    pub(super) fn begins(&self, handle: Arc<dyn CancelHandle>) -> Result<()> {
        *self.running.lock() = Some(handle);
        self.check()
    }

    /// It has given all its rows.
    pub(super) fn ends(&self) {
        *self.running.lock() = None;
    }

    /// Ends the statement that runs, from the thread that began it.
    pub(super) fn cancel_now(&self) {
        let running = self.running.lock().take();
        if let Some(Err(error)) = running.map(|running| running.try_cancel()) {
            tracing::debug!("a statement of a foreign server is not cancelled: {}", error.message);
        }
    }

    /// An error once the query has ended.
    pub(super) fn check(&self) -> Result<()> {
        match self.cancel.is_cancelled() {
            true => Err(exec::error::Error::Cancelled.into()),
            false => Ok(()),
        }
    }

    /// The thread is done.
    pub(super) fn over(&self) {
        self.ends();
        self.is_over.store(true, Ordering::Release);
        self.ends.notify_one();
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // Whoever watches need not any longer.
        self.ends.notify_one();
    }
}

impl From<&Error> for exec::error::Error {
    /// What a query fails with whose rows do not come.
    fn from(error: &Error) -> exec::error::Error {
        match error {
            Error::Execution(error) => error.clone(),
            Error::Refused(message) | Error::Environment(message) | Error::Denied(message) => {
                exec::error::Error::Storage(message.clone())
            }
            other => exec::error::Error::Storage(other.to_string()),
        }
    }
}
