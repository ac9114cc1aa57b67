//! Pools: each shard is of one, and a tenant's data are dealt to the shards of one alone, which run its queries.
//!
//! Where a tenant is to be in another pool than its data, these are brought in there at the pace of its shards, as the
//! catalog wants, and read where they were until the other pool holds all of them. No query reads from two pools.

use super::leaving::is_drained;
use super::nodes::{Known, NodeOptions, Nodes};
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

    /// Those that live and that a tenant's data may be read on: once all of them were read in its own pool, those of that.
    pub(super) fn readable(&self, snapshot: &CatalogState, tenant: &str) -> Vec<NodeView> {
        let pool = snapshot.pool_of(tenant);
        let has_moved = self.read_in.lock().get(tenant).is_some_and(|read_in| read_in == pool);
        let mut nodes = self.alive();
        nodes.retain(|node| !is_drained(snapshot, node.id) && (!has_moved || *node.pool == *pool));
        nodes
    }

    /// Keeps in which pool a tenant is read, where that has all of its data.
    pub(super) fn note_read_in(&self, snapshot: &CatalogState, tenant: &str, seating: &Seating) {
        let mut versions = latest(snapshot, tenant).peekable();
        let has_data = versions.peek().is_some();
        if !has_data || !versions.all(|id| seating.share_of(&id).is_ok()) {
            return;
        }
        let mut read_in = self.read_in.lock();
        if read_in.get(tenant) != Some(&seating.pool) {
            read_in.insert(tenant.into(), seating.pool.clone());
        }
    }

    /// What the shards of a pool are to hold beside what [`wanted_in`] says: data of tenants that are read there while their
    /// own pool has no shard that could take them over.
    pub(super) fn stranded_in(&self, snapshot: &CatalogState, pool: &str) -> Vec<VersionName> {
        let slices = self.options.hydration.slices;
        let is_read_here = |tenant: &&str| {
            let known = self.read_in.lock().get(*tenant).cloned();
            let nodes = || self.readable(snapshot, tenant);
            known.unwrap_or_else(|| read_in(snapshot, &nodes(), tenant, slices)) == pool
        };
        let tenants = snapshot.tenants().filter(|tenant| {
            let own = snapshot.pool_of(tenant);
            own != pool && !takes_over(snapshot, own)
        });
        let stranded = tenants.filter(is_read_here).flat_map(|tenant| latest(snapshot, tenant));
        stranded.map(|id| VersionName::from(&id)).collect()
    }

    /// The shards that are to bring a version in before queries see it, each with how buckets are dealt in its pool. While
    /// its tenant's data are read in another pool than they are to be in, those of both.
    pub(super) fn bringers(&self, snapshot: &CatalogState, id: &VersionId) -> Vec<(NodeView, Dealing)> {
        bringers(snapshot, &self.readable(snapshot, &id.tenant), id, &self.options)
    }
}

/// Whether a pool has shards that data can be brought onto.
fn takes_over(snapshot: &CatalogState, pool: &str) -> bool {
    let mut shards = snapshot.shards().values();
    shards.any(|shard| named(&shard.pool) == pool && shard.status() == ShardStatus::Active)
}

/// The pool that a tenant is read in, of those that these are of.
fn read_in(snapshot: &CatalogState, nodes: &[NodeView], tenant: &str, slices: usize) -> String {
    let pool = snapshot.pool_of(tenant);
    let has_some = |node: &&NodeView| node.holdings.keys().any(|held| held.tenant == tenant);
    if !nodes.iter().filter(has_some).any(|node| *node.pool != *pool) {
        return pool.into();
    }
    let versions: Vec<VersionId> = latest(snapshot, tenant).collect();
    seat_in_pool(nodes.to_vec(), pool, &versions, slices).pool
}

fn bringers(
    snapshot: &CatalogState,
    alive: &[NodeView],
    id: &VersionId,
    options: &NodeOptions,
) -> Vec<(NodeView, Dealing)> {
    let pool = snapshot.pool_of(&id.tenant).to_string();
    let read_in = read_in(snapshot, alive, &id.tenant, options.hydration.slices);
    let of_tenant = |node: &&NodeView| node.holdings.keys().any(|held| held.tenant == id.tenant);
    let had = |node: &NodeView| {
        let mut held = node.holdings.keys();
        held.any(|other| (&other.tenant, other.dataset) == (&id.tenant, id.dataset))
    };
    let moves = read_in != pool;
    let mut bringers = Vec::new();
    for pool in BTreeSet::from([&pool, &read_in]) {
        let mut set = members(snapshot, pool, options.replicas);
        let takes_part = |node: &&NodeView| *node.pool == **pool && set.position(node.id).is_some();
        let mut nodes: Vec<&NodeView> = alive.iter().filter(takes_part).collect();
        let is_read_here = *pool == read_in;
        // A shard that has nothing of the dataset yet brings it in at its own pace.
        if nodes.iter().any(|node| had(node)) || !is_read_here {
            nodes.retain(|node| had(node));
        } else if moves {
            nodes.retain(of_tenant);
        }
        if moves && is_read_here {
            // No other shard of the pool that the tenant leaves is going to bring in what is dealt to it.
            set.shards.retain(|member| nodes.iter().any(|node| node.id == member.id));
        }
        let dealing = dealing_of(&set, &options.hydration);
        bringers.extend(nodes.into_iter().map(|node| (node.clone(), dealing.clone())));
    }
    bringers
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

#[cfg(test)]
#[path = "tests/moving.rs"]
mod moving;
