//! Versions on their way onto the shards of a cluster, and what they are once they are there.

use super::Brought;
use super::nodes::Nodes;
use super::pools::no_shard_of;
use crate::error::{Error, Result};
use flight_proto::manifest::Manifest;
use flight_proto::node::{Held, Hydrate, Service, Summaries, Summarize, VersionName};
use flight_proto::{Message, trace};
use futures::future::{join_all, try_join_all};
use shard::{Placement, VersionId};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use storage::{ColumnFacts, ColumnSchema, TableStatistics};

/// How long a version may take to be brought onto the shards.
const HYDRATION: Duration = Duration::from_secs(4 * 3600);
/// How long a summary may take.
const SUMMARY: Duration = Duration::from_secs(60);
/// How often a version is brought in that not all shards turn out to hold, and after which pause.
const BRINGING_TRIES: u32 = 4;
const BRINGING_AGAIN: Duration = Duration::from_millis(500);
/// How long it may take until shards tell of what they have brought in.
const TELLING: Duration = Duration::from_secs(10);

impl Nodes {
    /// Has shards keep a version until the result is dropped.
    fn bringing(&self, id: &VersionId) -> impl Drop {
        struct Bringing<'a>(&'a Nodes, VersionId);
        impl Drop for Bringing<'_> {
            fn drop(&mut self) {
                let mut bringing = self.0.bringing.lock();
                if let Some(place) = bringing.iter().position(|id| *id == self.1) {
                    bringing.swap_remove(place);
                }
            }
        }
        self.bringing.lock().push(id.clone());
        Bringing(self, id.clone())
    }

    /// Brings a version onto all shards that live, and tells what it is there.
    pub(crate) async fn bring_in(&self, manifest: &Manifest, columns: &[ColumnSchema]) -> Result<Brought> {
        let mut tries = 1..BRINGING_TRIES;
        loop {
            match self.bring_in_once(manifest, columns).await {
                // A shard that was silent for a moment was not asked, and takes part again.
                Err(Error::Unavailable(why)) if tries.next().is_some() => {
                    tracing::debug!(
                        "version {} of '{}' is brought in again: {why}",
                        manifest.version,
                        manifest.name
                    );
                    tokio::time::sleep(BRINGING_AGAIN).await;
                }
                brought => return brought,
            }
        }
    }

    async fn bring_in_once(&self, manifest: &Manifest, columns: &[ColumnSchema]) -> Result<Brought> {
        let id = VersionId {
            tenant: manifest.tenant.clone(),
            dataset: manifest.dataset,
            version: manifest.version,
        };
        let _bringing = self.bringing(&id);
        // A shard that was lost meanwhile, or refused, may have been one too many: whether all rows are there shows below.
        let (mut asked, mut lost) = (BTreeSet::new(), None);
        let mut brought = Vec::new();
        loop {
            let snapshot = self.catalog.snapshot();
            let mut nodes = self.bringers(&snapshot, &id);
            if nodes.is_empty() && asked.is_empty() {
                let why = no_shard_of(snapshot.pool_of(&id.tenant));
                return Err(Error::Unavailable(format!("{why}; try again once there is one")));
            }
            // Meanwhile its tenant may have come to be read in another pool.
            nodes.retain(|(node, _)| asked.insert(node.id));
            if nodes.is_empty() {
                break;
            }
            let calls = nodes.iter().map(|(node, dealing)| async {
                let request = Hydrate {
                    epoch: self.catalog.leadership().term,
                    manifest: Some(manifest.clone()),
                    dealing: Some(dealing.clone()),
                    traceparent: trace::sent(&trace::current()),
                    access: self.credentials.told(&snapshot, &manifest.tenant),
                };
                let request = request.encode_to_vec().into();
                let held = self.call(&node.address, Service::Hydrate, request, HYDRATION).await?;
                Held::decode(held).map_err(|error| Error::Internal(error.to_string()))
            });
            for ((node, _), answer) in nodes.iter().zip(join_all(calls).await) {
                match answer {
                    Ok(_) => brought.push(node.id),
                    Err(error) => lost = Some(error),
                }
            }
        }
        let told = async {
            let mut changes = self.changes();
            loop {
                let alive = self.alive();
                let mut holders = alive.iter().filter(|node| brought.contains(&node.id));
                if holders.all(|node| node.holdings.contains_key(&id)) {
                    return;
                }
                if changes.changed().await.is_err() {
                    return;
                }
            }
        };
        if tokio::time::timeout(TELLING, told).await.is_err() {
            tracing::warn!("shards have not told of version {} of dataset {}", id.version, id.dataset);
        }
        match self.describe(&id, columns).await {
            Err(Error::Unavailable(why)) => Err(lost.unwrap_or(Error::Unavailable(why))),
            described => described,
        }
    }

    /// What a version is on the shards that hold it; an error where not all of its rows are held.
    pub(crate) async fn describe(&self, id: &VersionId, columns: &[ColumnSchema]) -> Result<Brought> {
        let seating = self.seating(&id.tenant, std::slice::from_ref(id), None);
        let seated = seating.share_of(id)?;
        let name = VersionName::from(id);
        let calls = seating.nodes.iter().zip(&seated.shares).map(|((_, address), buckets)| {
            let request = Summarize { version: Some(name.clone()), buckets: buckets.clone() };
            async move {
                let summary =
                    self.call(address, Service::Summarize, request.encode_to_vec().into(), SUMMARY).await?;
                Summaries::decode(summary).map_err(|error| Error::Internal(error.to_string()))
            }
        });
        let replicated = seated.placement == Placement::Replicated;
        let calls: Vec<_> = calls.take(if replicated { 1 } else { usize::MAX }).collect();
        let mut buckets: BTreeMap<u32, storage::Summary> = BTreeMap::new();
        for (summaries, numbers) in try_join_all(calls).await?.into_iter().zip(&seated.shares) {
            if summaries.buckets.len() != numbers.len() {
                return Err(Error::Internal("a shard summarised other buckets".into()));
            }
            for (&number, bytes) in numbers.iter().zip(&summaries.buckets) {
                let summary = storage::Summary::decode(bytes, columns);
                buckets.insert(number, summary.map_err(|error| Error::Internal(error.to_string()))?);
            }
        }
        let statistics = buckets.values().map(|summary| &summary.statistics);
        let empty = TableStatistics::empty(columns.len());
        let statistics = statistics.fold(empty, |known, one| known.merge(one));
        let facts = (0..columns.len()).map(|column| {
            let parts = buckets.values().filter_map(|summary| summary.facts.get(column));
            ColumnFacts::merge(parts.copied())
        });
        Ok(Brought {
            placement: seated.placement.clone(),
            facts: facts.collect(),
            statistics,
            shards: Vec::new(),
        })
    }

    /// Calls a shard; one that is not reached is suspected.
    async fn call(
        &self,
        address: &str,
        service: Service,
        request: bytes::Bytes,
        timeout: Duration,
    ) -> Result<bytes::Bytes> {
        let service = network::Service(service as u16);
        match self.peers.call(address, service, request, timeout).await {
            Ok(answer) => Ok(answer),
            Err(network::Error::Refused(why)) => Err(Error::Environment(why)),
            Err(error) => {
                self.suspect(address);
                Err(Error::Unavailable(error.to_string()))
            }
        }
    }
}
