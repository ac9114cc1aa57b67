//! Pools: each shard is of one, and a tenant's data are dealt to the shards of one alone, which run its queries.
//!
//! Where a tenant is to be in another pool than its data, these are brought in there at the pace of its shards, as the
//! catalog wants, and read where they were until the other pool holds all of them. No query reads from two pools.

use super::nodes::{Known, Nodes};
use super::seating::{NodeView, Seating, seat};
use crate::catalog::CatalogState;
use crate::error::{Error, Result};
use flight_proto::catalog::ShardStatus;
use flight_proto::node::{Dealing, Heartbeat, VersionName};
use flight_proto::pool::{DEFAULT_POOL, check_pool_name, named};
use shard::service::words::dealing_of;
use shard::{Member, ShardSet, VersionId};
use std::collections::{BTreeMap, BTreeSet};

/// Nodes of a cluster at an earlier version know of no pools.
const SINCE: u16 = 2;

/// Those of a pool that buckets are dealt to, and those that drain.
pub(super) fn members(snapshot: &CatalogState, pool: &str, replicas: usize) -> ShardSet {
    let own = snapshot.shards().iter().filter(|(_, shard)| named(&shard.pool) == pool);
    let members = own.filter_map(|(&id, shard)| match shard.status() {
        ShardStatus::Active => Some(Member { id, weight: shard.weight.max(1) }),
        ShardStatus::Draining => Some(Member { id, weight: 0 }),
        ShardStatus::Down | ShardStatus::Drained | ShardStatus::Unknown => None,
    });
    ShardSet { shards: members.collect(), replicas }
}

/// The latest versions of a tenant.
fn latest<'a>(snapshot: &'a CatalogState, tenant: &'a str) -> impl Iterator<Item = VersionId> + 'a {
    snapshot.datasets(tenant).into_iter().filter_map(move |dataset| {
        let version = dataset.version?.number;
        Some(VersionId { tenant: tenant.into(), dataset: dataset.id, version })
    })
}

/// What the shards of a pool are to hold.
pub(super) fn wanted_in(snapshot: &CatalogState, pool: &str) -> Vec<VersionName> {
    let tenants = snapshot.tenants().filter(|tenant| snapshot.pool_of(tenant) == pool);
    tenants.flat_map(|tenant| latest(snapshot, tenant)).map(|id| VersionName::from(&id)).collect()
}

/// Seats queries of these versions, which are of one tenant, in its pool. While that does not hold all of them, they are
/// seated in the one that holds the most.
pub(super) fn seat_in_pool(
    alive: Vec<NodeView>,
    pool: &str,
    versions: &[VersionId],
    slices: usize,
) -> Seating {
    let mut pools: BTreeMap<String, Vec<NodeView>> = BTreeMap::from([(pool.to_string(), Vec::new())]);
    for node in alive {
        let is_own = *node.pool == *pool;
        if is_own || versions.iter().any(|id| node.holdings.contains_key(id)) {
            pools.entry(node.pool.to_string()).or_default().push(node);
        }
    }
    let own = pools.remove(pool).unwrap_or_default();
    let mut best = seat(own, versions, slices).of_pool(pool);
    for (other, nodes) in pools {
        if best.lacks() == 0 {
            break;
        }
        let seating = seat(nodes, versions, slices).of_pool(&other);
        if seating.lacks() < best.lacks() {
            best = seating;
        }
    }
    best
}

/// Why a pool without shards is of no use.
pub(crate) fn no_shard_of(pool: &str) -> String {
    match pool {
        DEFAULT_POOL => "no shard is up".into(),
        pool => format!("no shard of pool '{pool}' is up"),
    }
}

impl Nodes {
    /// Refuses a shard of another pool than it was of: buckets that were dealt to it would be nobody's.
    pub(super) fn check_pool(&self, snapshot: &CatalogState, heartbeat: &Heartbeat) -> Result<()> {
        let (pool, id) = (named(&heartbeat.pool), heartbeat.shard);
        let refuse = |why: String| Err(Error::Environment(why));
        if let Err(error) = check_pool_name(pool) {
            return refuse(error.to_string());
        }
        if pool != DEFAULT_POOL && snapshot.cluster_version() < SINCE {
            let version = snapshot.cluster_version();
            return refuse(format!(
                "shard {id:016x} is to be of pool '{pool}', and the cluster is at version {version}, which knows of no \
                 pools: raise it (tundra admin upgrade) first"
            ));
        }
        match snapshot.shards().get(&id).map(|shard| named(&shard.pool)) {
            Some(known) if known != pool => refuse(format!(
                "shard {id:016x} is of pool '{known}', not '{pool}': start it with --pool {known}, or drain it, stop it, \
                 and remove it (tundra admin remove-shard {id:016x}) before it is started with --pool {pool}"
            )),
            _ => Ok(()),
        }
    }

    /// The pool that a shard is of.
    pub(super) fn pool_of_shard(&self, snapshot: &CatalogState, shard: u64) -> String {
        let known = snapshot.shards().get(&shard).map(|shard| named(&shard.pool).to_string());
        let heard = || self.known.lock().get(&shard).map(|node| node.pool.to_string());
        known.or_else(heard).unwrap_or_else(|| DEFAULT_POOL.into())
    }

    /// Whether a tenant's data are to be where that shard is.
    pub(crate) fn is_of_pool_of(&self, shard: u64, tenant: &str) -> bool {
        let snapshot = self.catalog.snapshot();
        self.pool_of_shard(&snapshot, shard) == snapshot.pool_of(tenant)
    }

    /// The latest versions that a shard, which is of another pool than their tenants, keeps until all of a tenant's are
    /// held in its own. Of a shard that has not told yet what it holds: all that it might.
    pub(super) fn unmoved(&self, snapshot: &CatalogState, shard: u64) -> Vec<VersionName> {
        let pool = self.pool_of_shard(snapshot, shard);
        let known = self.known.lock();
        let Some(node) = known.get(&shard) else { return Vec::new() };
        let tenants: BTreeSet<&str> = match node.has_told() {
            true => node.holdings.keys().map(|id| id.tenant.as_str()).collect(),
            false => snapshot.tenants().collect(),
        };
        let foreign = tenants.into_iter().filter(|tenant| snapshot.pool_of(tenant) != pool);
        let unmoved = foreign.filter(|tenant| {
            let own = snapshot.pool_of(tenant);
            let there: Vec<&Known> = known.values().filter(|node| node.alive && *node.pool == *own).collect();
            latest(snapshot, tenant).any(|id| !is_whole(&there, &id))
        });
        unmoved.flat_map(|tenant| latest(snapshot, tenant)).map(|id| VersionName::from(&id)).collect()
    }

    /// The shards that are to bring a version in before queries see it, each with how buckets are dealt in its pool. While
    /// its tenant's data are read in another pool than they are to be in, those of both.
    pub(super) fn bringers(&self, snapshot: &CatalogState, id: &VersionId) -> Vec<(NodeView, Dealing)> {
        let (pool, alive) = (snapshot.pool_of(&id.tenant).to_string(), self.alive());
        let of_tenant = |node: &&NodeView| node.holdings.keys().any(|held| held.tenant == id.tenant);
        let mut read_in = pool.clone();
        if alive.iter().filter(of_tenant).any(|node| *node.pool != *pool) {
            let versions: Vec<VersionId> = latest(snapshot, &id.tenant).collect();
            let seating = seat_in_pool(alive.clone(), &pool, &versions, self.options.hydration.slices);
            read_in = seating.pool;
        }
        let had = |node: &NodeView| {
            let mut held = node.holdings.keys();
            held.any(|other| (&other.tenant, other.dataset) == (&id.tenant, id.dataset))
        };
        let moves = read_in != pool;
        let mut bringers = Vec::new();
        for pool in BTreeSet::from([&pool, &read_in]) {
            let set = self.set(snapshot, pool);
            let dealing = dealing_of(&set, &self.options.hydration);
            let takes_part = |node: &&NodeView| *node.pool == **pool && set.position(node.id).is_some();
            let mut nodes: Vec<&NodeView> = alive.iter().filter(takes_part).collect();
            let is_read_here = *pool == read_in;
            // A shard that has nothing of the dataset yet brings it in at its own pace.
            if nodes.iter().any(|node| had(node)) || !is_read_here {
                nodes.retain(|node| had(node));
            } else if moves {
                nodes.retain(of_tenant);
            }
            bringers.extend(nodes.into_iter().map(|node| (node.clone(), dealing.clone())));
        }
        bringers
    }
}

/// Whether some of these hold each bucket of a version.
fn is_whole(nodes: &[&Known], id: &VersionId) -> bool {
    let holdings: Vec<_> = nodes.iter().filter_map(|node| node.holdings.get(id)).collect();
    let Some(first) = holdings.first() else { return false };
    let is_held = |bucket: u32| {
        let of = |held: &[(u32, u64)]| held.binary_search_by_key(&bucket, |&(number, _)| number).is_ok();
        holdings.iter().any(|holding| of(&holding.held))
    };
    (0..first.buckets as u32).all(is_held)
}

#[cfg(test)]
#[path = "tests/pools.rs"]
mod tests;
