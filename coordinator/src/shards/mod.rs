//! The shards as a coordinator has them: in this process ([`here`]), or nodes of a cluster ([`nodes`]), of which
//! [`seating`] says who reads what and [`there`] runs queries on them.

mod bring;
pub(crate) mod here;
mod leaving;
pub(crate) mod nodes;
pub(crate) mod pools;
pub(crate) mod seating;
pub(crate) mod there;
pub(crate) mod words;

use crate::error::Result;
use flight_proto::manifest::Manifest;
use here::ShardsHere;
use nodes::{NodeSummary, Nodes};
use shard::{Holding, Hydration, Placement, Version, VersionId};
use std::collections::HashMap;
use std::sync::Arc;
use storage::{ColumnFacts, TableStatistics};

/// What a shard holds.
pub(crate) type Holdings = Arc<HashMap<VersionId, Holding>>;

/// Where versions are brought to.
pub(crate) enum Shards {
    Here(ShardsHere),
    Nodes(Arc<Nodes>),
}

/// A version as the shards have it.
pub(crate) struct Brought {
    pub(crate) placement: Placement,
    pub(crate) statistics: TableStatistics,
    pub(crate) facts: Vec<ColumnFacts>,
    /// What each shard of this process has.
    pub(crate) shards: Vec<Arc<storage::Table>>,
}

impl Shards {
    /// Brings a version onto the shards and tells what it is there.
    pub(crate) async fn bring_in(&self, manifest: &Manifest, version: &Version) -> Result<Brought> {
        match self {
            Shards::Here(shards) => shards.bring_in(version).await,
            Shards::Nodes(nodes) => nodes.bring_in(manifest, &version.schema).await,
        }
    }

    /// Gives a version up; nodes notice by themselves that nobody uses it.
    pub(crate) fn let_go(&self, id: &VersionId) {
        if let Shards::Here(shards) = self {
            shards.let_go(id);
        }
    }

    /// All shards that are known, for operators.
    pub(crate) fn summaries(&self) -> Vec<NodeSummary> {
        match self {
            Shards::Here(here) => here.summaries(),
            Shards::Nodes(nodes) => nodes.summaries(),
        }
    }

    /// What each shard that lives holds, by number.
    pub(crate) fn holdings(&self) -> Vec<(u64, Holdings)> {
        match self {
            Shards::Here(here) => here.holdings(),
            Shards::Nodes(nodes) => nodes.holdings(),
        }
    }

    /// What each shard brings in, or has brought in, by number.
    pub(crate) fn hydrations(&self) -> Vec<(u64, Vec<Hydration>)> {
        match self {
            Shards::Here(here) => here.hydrations(),
            Shards::Nodes(nodes) => nodes.hydrations(),
        }
    }

    /// The nodes, where shards are such.
    pub(crate) fn nodes(&self) -> Option<&Arc<Nodes>> {
        match self {
            Shards::Here(_) => None,
            Shards::Nodes(nodes) => Some(nodes),
        }
    }

    /// The shards of this process.
    pub(crate) fn here(&self) -> Option<&ShardsHere> {
        match self {
            Shards::Here(shards) => Some(shards),
            Shards::Nodes(_) => None,
        }
    }
}
