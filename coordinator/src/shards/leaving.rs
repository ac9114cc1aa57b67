//! Shards that leave at an operator's word: they drain until the others hold what they hold, or are forgotten.
//!
//! A shard that drains is dealt nothing and takes part in queries with what it holds. Once those that its buckets are
//! dealt to hold them, whoever leads has the catalog say that it is drained: coordinators read nothing there any
//! more, and it lets go of everything.

use super::nodes::{Known, Nodes};
use crate::catalog::CatalogState;
use crate::error::{Error, Result};
use flight_proto::catalog::{Change, RemoveShard, SetShardStatus, Shard, ShardStatus};
use flight_proto::pool::named;
use shard::VersionId;

impl Nodes {
    /// Shards that drain, and whose buckets are all held by those that these are dealt to now.
    pub(super) fn emptied(&self) -> Vec<u64> {
        let snapshot = self.catalog.snapshot();
        let shards = snapshot.shards().iter();
        let draining = shards.filter(|(_, shard)| shard.status() == ShardStatus::Draining);
        // Of one that was not heard of since this coordinator began, it is not known what it has.
        let is_known = |id: &u64| {
            let known = self.known.lock();
            known.get(id).is_some_and(|node| !node.alive || node.has_told())
        };
        let done = draining.filter(|(id, shard)| {
            is_known(id)
                && self.have_hydrated(&snapshot, named(&shard.pool), shard.ordered_revision)
                && self.only_at(&snapshot, **id) == 0
        });
        done.map(|(&id, _)| id).collect()
    }

    /// Buckets of wanted versions that no other shard holds which lives and is not drained: of its pool, or of the tenant's.
    fn only_at(&self, snapshot: &CatalogState, shard: u64) -> usize {
        let known = self.known.lock();
        let Some(node) = known.get(&shard) else { return 0 };
        let stays = |id: u64, node: &Known| id != shard && node.alive && !is_drained(snapshot, id);
        let others: Vec<&Known> =
            known.iter().filter(|(id, node)| stays(**id, node)).map(|(_, node)| node).collect();
        let held_elsewhere = |version: &VersionId, bucket: u32| {
            let pool = snapshot.pool_of(&version.tenant);
            let others = others.iter().filter(|other| other.pool == node.pool || *other.pool == *pool);
            others
                .filter_map(|node| node.holdings.get(version))
                .any(|holding| holding.held.binary_search_by_key(&bucket, |&(number, _)| number).is_ok())
        };
        let is_wanted = |version: &VersionId| {
            let dataset = snapshot.dataset(&version.tenant, version.dataset);
            dataset.and_then(|dataset| dataset.version).is_some_and(|known| known.number == version.version)
        };
        let holdings = node.holdings.iter().filter(|(version, _)| is_wanted(version));
        let buckets =
            holdings.flat_map(|(version, held)| held.held.iter().map(move |&(bucket, _)| (version, bucket)));
        buckets.filter(|(version, bucket)| !held_elsewhere(version, *bucket)).count()
    }

    /// Has a shard drain, or take buckets again.
    pub(crate) async fn drain(&self, shard: u64, drain: bool) -> Result<()> {
        let to = if drain { ShardStatus::Draining } else { ShardStatus::Active };
        let known = self.catalog.snapshot().shards().get(&shard).map(Shard::status);
        // What is drained, or takes part, already is as it is to be.
        let done = match known {
            Some(ShardStatus::Drained) => drain,
            Some(ShardStatus::Down) => !drain,
            _ => false,
        };
        if done {
            return Ok(());
        }
        self.propose(order(shard, to)).await
    }

    /// Forgets a shard that is gone; with `force` also one with buckets that no other has yet.
    pub(crate) async fn remove(&self, shard: u64, force: bool) -> Result<()> {
        let snapshot = self.catalog.snapshot();
        if self.known.lock().get(&shard).is_some_and(|node| node.alive) {
            return Err(Error::Conflict(format!(
                "shard {shard:016x} lives, and would be known again at once: drain it, stop it, then remove it"
            )));
        }
        let only = self.only_at(&snapshot, shard);
        if only > 0 && !force {
            return Err(Error::Conflict(format!(
                "no other shard holds {only} buckets of shard {shard:016x} yet: try again when they were brought onto \
                 others, or force it to have them read from the object store while queries of them wait"
            )));
        }
        self.propose(Change::RemoveShard(RemoveShard { shard })).await?;
        self.known.lock().remove(&shard);
        Ok(())
    }

    /// Whether a shard is to hold nothing, and takes part in no query.
    pub(crate) fn is_drained(&self, shard: u64) -> bool {
        is_drained(&self.catalog.snapshot(), shard)
    }
}

pub(super) fn is_drained(snapshot: &CatalogState, shard: u64) -> bool {
    snapshot.shards().get(&shard).is_some_and(|shard| shard.status() == ShardStatus::Drained)
}

pub(super) fn order(shard: u64, status: ShardStatus) -> Change {
    Change::SetShardStatus(SetShardStatus { shard, status: status.into() })
}
