//! Runs fragments: a pool of workers, pipelines lowered from plans, exchanges between fragments.
//!
//! [`run`] starts a fragment and returns at once; the rows of a root fragment are taken from the
//! [`RunningFragment`], those of the others leave through the [`Exchange`]. Nothing here waits on a thread:
//! whoever waits leaves a [`std::task::Waker`].

pub(crate) mod disturb;
pub mod exchange;
pub mod fragment;
pub mod local;
mod lower;
mod pipeline;
pub mod profile;
mod spans;
pub mod waiters;
pub mod wanted;
pub mod workers;

pub use exchange::{Edge, Exchange, Received, Topology};
pub use fragment::{RunningFragment, run};
pub use local::{LocalExchange, RunningQuery};
pub use profile::{NodeProfile, Profile, WorkDone};
pub use workers::{STACK_BYTES, Workers};

use crate::{context::QueryContext, error::Result, plan::TableRef};
use std::sync::Arc;

/// The tables that a shard holds.
pub trait Tables: Send + Sync {
    /// The segments of the version on this shard, pinned for as long as the result lives; an error where the
    /// shard does not hold it.
    fn table(&self, table: &TableRef) -> Result<Arc<storage::Table>>;
}

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

#[cfg(test)]
mod tests;
