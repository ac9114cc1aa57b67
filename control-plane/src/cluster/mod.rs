//! The cluster that decisions are published to, as its coordinators show it.

mod http;
mod memory;
mod pool;
mod usage;

pub use http::HttpCluster;
pub use memory::MemoryCluster;

use crate::error::Result;
use crate::json::Coordinator;
use flight_proto::admin::{PastRefresh, Policy, Published, RunSchedule};
use flight_proto::policy::Signed;
use flight_proto::usage::Usage;
use futures::future::BoxFuture;
use std::collections::BTreeMap;

/// Where documents are published. It takes those that are later than what it has, and refuses the others.
pub trait Cluster: Send + Sync {
    /// What it acts on.
    fn policy(&self) -> BoxFuture<'_, Result<Policy>>;

    /// Has it take documents, in this order. An error where it took none or where that is not known: publish them again.
    fn publish(&self, documents: Vec<Signed>) -> BoxFuture<'_, Result<Published>>;

    /// What all of its nodes speak.
    fn version(&self) -> BoxFuture<'_, Result<u32>>;

    /// What was used, of each coordinator that answers; `taken` has the last batch that was kept of each of their starts.
    fn usage(&self, taken: BTreeMap<String, u64>) -> BoxFuture<'_, Vec<Usage>>;

    /// Has it run a schedule now. It knows those that were published.
    fn run_schedule(&self, wanted: RunSchedule) -> BoxFuture<'_, Result<()>>;

    /// What has been refreshed of a tenant's tables lately, the latest first, `limit` at most.
    fn past_refreshes(&self, tenant: String, limit: usize) -> BoxFuture<'_, Result<Vec<PastRefresh>>>;

    /// Its coordinators, as they were when they were asked last.
    fn coordinators(&self) -> Vec<Coordinator>;
}
