//! Runs fragments: a pool of workers, pipelines lowered from plans, exchanges between fragments.
//!
//! [`run`] starts a fragment and returns at once; the rows of a root fragment are taken from the
//! [`RunningFragment`], those of the others leave through the [`Exchange`]. Nothing here waits on a thread:
//! whoever waits leaves a [`std::task::Waker`].

pub mod exchange;
pub mod fragment;
pub mod profile;
pub mod waiters;
pub mod workers;

pub use exchange::{Exchange, Received, Topology};
pub use fragment::{RunningFragment, run};
pub use profile::{NodeProfile, Profile, WorkDone};
pub use workers::Workers;

use crate::context::QueryContext;
use std::sync::Arc;

/// The tables that a shard holds.
pub trait Tables: Send + Sync {}

/// What a fragment runs with on one shard.
#[derive(Clone)]
pub struct FragmentEnvironment {
    pub query: Arc<QueryContext>,
    pub workers: Arc<Workers>,
    pub tables: Arc<dyn Tables>,
    pub exchange: Arc<dyn Exchange>,
    /// Which shard this is, of those the topology counts.
    pub shard: usize,
}
