//! Starting a fragment, and what is held of it while it runs.

use super::{FragmentEnvironment, Profile, WorkDone};
use crate::error::{Error, Result};
use crate::plan::Fragment;
use columnar::Batch;
use std::task::{Poll, Waker};

/// Starts `fragment` on this shard and returns without waiting for any of it.
pub fn run(fragment: &Fragment, environment: FragmentEnvironment) -> Result<RunningFragment> {
    let _ = (fragment, environment);
    Err(Error::Unsupported("running fragments".into()))
}

/// A fragment that runs. Dropping it ends it.
pub struct RunningFragment {}

impl RunningFragment {
    /// The next rows of a root fragment, at the canonical widths of their types and without a selection;
    /// `None` once it is done. A fragment that is not the root gives no batch, only its end. While `Pending`,
    /// `waker` is woken when there may be something.
    pub fn poll_next(&mut self, waker: &Waker) -> Poll<Option<Result<Batch>>> {
        let _ = waker;
        Poll::Ready(None)
    }

    /// Ends it with [`Error::Cancelled`].
    pub fn cancel(&self) {}

    /// The counters so far.
    pub fn profile(&self) -> Profile {
        Profile::default()
    }

    /// How far its scans are.
    pub fn progress(&self) -> WorkDone {
        WorkDone::default()
    }
}
