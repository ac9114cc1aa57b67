//! What nodes are launched on.

mod group;
mod local;
mod pools;
mod processes;

pub use group::{AutoScalingGroup, GroupOptions};
pub use local::{LocalOptions, LocalProcesses};
pub use pools::{Groups, LocalPools, NoTargets, ScaleTargets};

use crate::error::Result;
use futures::future::BoxFuture;

/// Launches and ends nodes. What it lists is the truth: a control plane that was started again counts by that.
pub trait ScaleTarget: Send + Sync {
    /// What it is called in reports.
    fn name(&self) -> String;

    /// The nodes that there are.
    fn list(&self) -> BoxFuture<'_, Result<Listing>>;

    /// Has so many nodes, those on their way included; never ends any. Where there are as many already, nothing happens, so
    /// that it may be asked twice.
    fn grow(&self, to: u32) -> BoxFuture<'_, Result<()>>;

    /// Ends a node, and has one less. Of one that is gone, what is left of it is removed.
    fn terminate<'a>(&'a self, instance: &'a str) -> BoxFuture<'a, Result<()>>;
}

/// The nodes of a target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    pub instances: Vec<Instance>,
    /// How many run once all are there that were asked for; at least as many as run.
    pub expected: u32,
}

/// A node, as its target knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Instance {
    pub name: String,
    /// Why it does not run any more; `None`: it runs, or comes up.
    pub gone: Option<String>,
    /// The number of its shard, where the target knows it.
    pub shard: Option<String>,
    /// The address of its machine, where that has no other shard.
    pub host: Option<String>,
}
