//! Shards of this process.

use super::nodes::NodeSummary;
use super::{Brought, Holdings};
use crate::datasets::shard_error;
use crate::error::Result;
use flight_proto::node::StoreUse;
use flight_proto::pool::DEFAULT_POOL;
use network::Versions;
use shard::{
    Counts, Holding, Hydrating, Hydration, Hydrations, Placement, Shard, ShardSet, Version, VersionId,
    hydrate,
};
use std::sync::Arc;
use storage::ColumnFacts;

/// All shards are here, and each bucket lies on one.
pub(crate) struct ShardsHere {
    shards: Vec<Arc<Shard>>,
    set: ShardSet,
    options: hydrate::Options,
    /// One a shard.
    hydrations: Vec<Arc<Hydrations>>,
    /// The shard of each slice of the hashes.
    slices: Vec<usize>,
}

impl ShardsHere {
    /// `shards` are numbered from 0.
    pub(crate) fn new(shards: Vec<Arc<Shard>>, options: hydrate::Options) -> ShardsHere {
        let count = shards.len();
        let options =
            hydrate::Options { buckets: if count > 1 { count * 4 } else { 1 }, slices: count, ..options };
        let set = ShardSet::even(count);
        let holders = set.deal(0, &shard::slices(count));
        let hydrations = shards.iter().map(|_| Arc::default()).collect();
        let slices = holders.into_iter().filter_map(|of| of.first().copied()).collect();
        ShardsHere { shards, set, options, hydrations, slices }
    }

    pub(crate) fn shards(&self) -> &[Arc<Shard>] {
        &self.shards
    }

    pub(crate) fn slices(&self) -> &[usize] {
        &self.slices
    }

    /// Brings a version onto the shards and tells what it is there.
    pub(crate) async fn bring_in(&self, version: &Version) -> Result<Brought> {
        let hydrating: Vec<Hydrating> = self.hydrations.iter().map(|of| of.begin(&version.id)).collect();
        let progress: Vec<_> = hydrating.iter().map(|one| one.progress().clone()).collect();
        let hydrated = hydrate(&self.shards, &self.set, version, &self.options, &progress).await;
        hydrating.into_iter().for_each(|one| one.end(&hydrated));
        hydrated.map_err(shard_error)?;
        let mut brought: Option<Brought> = None;
        for shard in &self.shards {
            let Some(Holding { placement, held, .. }) = shard.holding(&version.id) else { continue };
            let buckets: Vec<u32> = held.iter().map(|&(bucket, _)| bucket).collect();
            let table = shard.share(&version.id, &buckets)?;
            let statistics = || shard.statistics(&version.id, &buckets);
            match &mut brought {
                None => {
                    let statistics = statistics()?;
                    brought = Some(Brought { placement, statistics, facts: Vec::new(), shards: vec![table] });
                }
                Some(known) => {
                    if placement != Placement::Replicated {
                        known.statistics = known.statistics.merge(&statistics()?);
                    }
                    known.shards.push(table);
                }
            }
        }
        let mut brought =
            brought.ok_or_else(|| crate::Error::Internal("a version that no shard holds".into()))?;
        brought.facts = match brought.placement {
            Placement::Replicated => facts(brought.shards.get(..1).unwrap_or_default()),
            Placement::Spread | Placement::Hash(_) | Placement::Ranges { .. } => facts(&brought.shards),
        };
        Ok(brought)
    }

    pub(crate) fn summaries(&self) -> Vec<NodeSummary> {
        let summary = |(id, held): &(u64, Holdings)| {
            let buckets = held.values().flat_map(|holding| &holding.held);
            NodeSummary {
                id: *id,
                address: String::new(),
                pool: DEFAULT_POOL.into(),
                alive: true,
                status: "active",
                buckets: buckets.clone().count(),
                rows: buckets.map(|&(_, rows)| rows).sum(),
                versions: Some(Versions::OWN),
                load: None,
            }
        };
        self.holdings().iter().map(summary).collect()
    }

    pub(crate) fn hydrations(&self) -> Vec<(u64, Vec<Hydration>)> {
        let each = self.shards.iter().zip(&self.hydrations);
        each.map(|(shard, hydrations)| (shard.id(), hydrations.list())).collect()
    }

    /// What all hydrations since the start have done.
    /// What each shard has asked of the object store, by tenant.
    pub(crate) fn store_use(&self) -> Vec<(String, Vec<StoreUse>)> {
        let of_shard = |(place, hydrations): (usize, &Arc<Hydrations>)| {
            let by_tenant = hydrations.by_tenant().into_iter();
            let used = by_tenant.map(|(tenant, counts)| StoreUse {
                tenant,
                requests: counts.requests,
                bytes: counts.bytes_read,
            });
            (place.to_string(), used.collect())
        };
        self.hydrations.iter().enumerate().map(of_shard).collect()
    }

    pub(crate) fn counts(&self) -> Counts {
        self.hydrations.iter().map(|of| of.counts()).fold(Counts::default(), Counts::plus)
    }

    pub(crate) fn holdings(&self) -> Vec<(u64, Holdings)> {
        let holdings = self.shards.iter().map(|shard| {
            let versions = shard.versions().into_iter();
            let held = versions.filter_map(|id| shard.holding(&id).map(|holding| (id, holding)));
            (shard.id(), Arc::new(held.collect()))
        });
        holdings.collect()
    }

    pub(crate) fn let_go(&self, id: &VersionId) {
        self.shards.iter().for_each(|shard| shard.drop_version(id));
    }
}

/// What is proven of the columns of a table, of which every shard holds a part.
fn facts(parts: &[Arc<storage::Table>]) -> Vec<ColumnFacts> {
    let Some(first) = parts.first() else { return Vec::new() };
    let segments = parts.iter().flat_map(|part| &part.segments).cloned().collect();
    let whole = storage::Table { schema: first.schema.clone(), segments };
    (0..whole.schema.len() as u32).map(|column| whole.column_facts(column)).collect()
}
