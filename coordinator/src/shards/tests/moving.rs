//! What becomes of shards and data while tenants go from one pool to another.

use super::tests::{catalog, id, node, shard};
use super::*;
use crate::catalog::{CatalogStore, Leadership, MemberState, RaftStatus, Reply};
use crate::credentials::TenantCredentials;
use flight_proto::catalog::{Command, Shard};
use flight_proto::node::{Held, Holdings, Orders, PlacementKind, Speaks};
use flight_proto::pool::in_message;
use flight_proto::sealed::SecretKeys;
use futures::FutureExt;
use futures::future::BoxFuture;
use network::{MemoryNetwork, Peers, Versions};
use parking_lot::Mutex;
use shard::hydrate::Options;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

const ALL: &[u32] = &[0, 1, 2, 3];

/// A catalog that is what the test says.
struct Told(Mutex<Arc<CatalogState>>);

fn refused<T: Send + 'static>() -> BoxFuture<'static, Result<T>> {
    async { Err(Error::Refused("this catalog takes nothing".into())) }.boxed()
}

impl CatalogStore for Told {
    fn propose(&self, _: Command) -> BoxFuture<'_, Result<Reply>> {
        refused()
    }
    fn snapshot(&self) -> Arc<CatalogState> {
        self.0.lock().clone()
    }
    fn changes(&self) -> watch::Receiver<Arc<CatalogState>> {
        watch::channel(self.snapshot()).1
    }
    fn linearize(&self) -> BoxFuture<'_, Result<()>> {
        refused()
    }
    fn status(&self) -> RaftStatus {
        let (leader, state) = (Some(1), MemberState::Leader);
        RaftStatus { id: 1, leader, term: 1, last_applied: None, members: Vec::new(), state }
    }
    fn leadership(&self) -> Leadership {
        Leadership { term: 1, leads: true }
    }
    fn speaks(&self) -> Versions {
        Versions { least: 1, most: 2 }
    }
    fn versions(&self) -> BoxFuture<'_, BTreeMap<u64, Option<Versions>>> {
        async { BTreeMap::new() }.boxed()
    }
    fn add_member<'a>(&'a self, _: u64, _: &'a str) -> BoxFuture<'a, Result<()>> {
        refused()
    }
    fn remove_member(&self, _: u64) -> BoxFuture<'_, Result<()>> {
        refused()
    }
    fn hand_over(&self, _: u64) -> BoxFuture<'_, Result<()>> {
        refused()
    }
    fn close(&self) -> BoxFuture<'_, Result<()>> {
        refused()
    }
}

fn options() -> NodeOptions {
    let hydration = Options { slices: 4, ..Options::default() };
    let (silence, down_after) = (Duration::from_secs(5), Duration::from_secs(30));
    NodeOptions { replicas: 1, silence, down_after, hydration }
}

struct Cluster {
    catalog: Arc<Told>,
    nodes: Nodes,
}

impl Cluster {
    /// Of shards, and of the tenant `acme` in a pool, with a dataset.
    fn new(shards: &[(u64, &str, ShardStatus)], pool: &str) -> Cluster {
        let catalog = Arc::new(Told(Mutex::new(Arc::new(state(shards, pool)))));
        let peers = Peers::new(MemoryNetwork::new().node("coordinator"), Duration::from_secs(1));
        let credentials = Arc::new(TenantCredentials::new(catalog.clone(), SecretKeys::default()));
        let nodes = Nodes::new(catalog.clone(), Arc::new(peers), options(), credentials);
        Cluster { catalog, nodes }
    }

    fn set(&self, shards: &[(u64, &str, ShardStatus)], pool: &str) {
        *self.catalog.0.lock() = Arc::new(state(shards, pool));
    }

    /// A shard that tells what it holds of the tenant's dataset; `None`: it does not tell yet.
    fn hear(&self, number: u64, pool: &str, incarnation: u64, held: Option<&[u32]>) -> Result<Orders> {
        let versions = held.filter(|held| !held.is_empty()).map(|held| Held {
            version: Some(VersionName::from(&id(1))),
            placement: PlacementKind::Spread.into(),
            buckets: ALL.len() as u32,
            numbers: held.to_vec(),
            rows: vec![100; held.len()],
            ..Held::default()
        });
        let heartbeat = Heartbeat {
            shard: number,
            incarnation,
            address: format!("node{number}"),
            weight: 3,
            holdings_revision: 1,
            holdings: held.is_some().then(|| Holdings { versions: versions.into_iter().collect() }),
            speaks: Some(Speaks { least: 1, most: 2 }),
            pool: in_message(pool).into(),
            ..Heartbeat::default()
        };
        self.nodes.heartbeat(heartbeat, Vec::new())
    }

    fn stranded(&self, pool: &str) -> usize {
        self.nodes.stranded_in(&self.catalog.snapshot(), pool).len()
    }
}

fn state(shards: &[(u64, &str, ShardStatus)], pool: &str) -> CatalogState {
    let shards: BTreeMap<u64, Shard> =
        shards.iter().map(|&(number, pool, status)| (number, shard(pool, status))).collect();
    catalog(&shards, &[("acme", pool)])
}

const ACTIVE: ShardStatus = ShardStatus::Active;

/// Whom a version is brought in by, and the members that its buckets are dealt to there.
fn brought(state: &CatalogState, alive: &[NodeView]) -> Vec<(u64, Vec<u64>)> {
    let next = VersionId { version: 8, ..id(1) };
    let bringers = bringers(state, alive, &next, &options());
    let members = |dealing: Dealing| dealing.shards.iter().map(|member| member.id).collect();
    bringers.into_iter().map(|(node, dealing)| (node.id, members(dealing))).collect()
}

/// Else what is dealt to those that were not asked would be on no shard.
#[test]
fn what_is_inserted_meanwhile_is_dealt_to_those_that_are_asked() {
    let state = state(&[(1, "default", ACTIVE), (2, "default", ACTIVE), (3, "acme", ACTIVE)], "acme");
    let newcomer = node(2, "default", &[]);
    let moves = [node(1, "default", &[(1, ALL)]), newcomer.clone(), node(3, "acme", &[])];
    assert_eq!(brought(&state, &moves), [(1, vec![1])]);
    let both = [node(1, "default", &[(1, ALL)]), newcomer.clone(), node(3, "acme", &[(1, &[0])])];
    assert_eq!(brought(&state, &both), [(3, vec![3]), (1, vec![1])]);
    let moved = [node(1, "default", &[(1, ALL)]), newcomer, node(3, "acme", &[(1, ALL)])];
    assert_eq!(brought(&state, &moved), [(3, vec![3])], "read in its own pool");
}

#[tokio::test]
async fn a_shard_is_drained_once_it_is_known_what_it_has() {
    let drains = [(1, "acme", ShardStatus::Draining), (2, "default", ACTIVE), (3, "beta", ACTIVE)];
    let cluster = Cluster::new(&drains, "beta");
    assert!(cluster.nodes.emptied().is_empty(), "it was not heard of");
    cluster.hear(1, "acme", 1, None).unwrap();
    assert!(cluster.nodes.emptied().is_empty(), "it has not told");
    cluster.hear(1, "acme", 1, Some(ALL)).unwrap();
    cluster.hear(3, "beta", 1, Some(&[0, 1])).unwrap();
    assert!(cluster.nodes.emptied().is_empty(), "nobody else has it");
    cluster.hear(3, "beta", 1, Some(ALL)).unwrap();
    assert_eq!(cluster.nodes.emptied(), [1]);
}

#[tokio::test]
async fn old_shards_keep_what_the_new_pool_lacks() {
    let cluster = Cluster::new(&[(1, "default", ACTIVE), (3, "acme", ACTIVE)], "acme");
    let unmoved = |shard| cluster.nodes.unmoved(&cluster.catalog.snapshot(), shard);
    let wanted = [VersionName::from(&id(1))];
    cluster.hear(1, "default", 1, None).unwrap();
    assert_eq!(unmoved(1), wanted, "whatever it has");
    cluster.hear(1, "default", 1, Some(ALL)).unwrap();
    cluster.hear(3, "acme", 1, Some(&[0])).unwrap();
    assert_eq!(unmoved(1), wanted);
    assert!(unmoved(3).is_empty(), "it is of the tenant's pool");
    cluster.hear(3, "acme", 1, Some(ALL)).unwrap();
    assert!(unmoved(1).is_empty());
}

/// As where its name was typed wrongly.
#[tokio::test]
async fn a_pool_without_shards_takes_nothing_from_that_which_is_read() {
    let two = [(1, "default", ACTIVE), (2, "default", ACTIVE)];
    let cluster = Cluster::new(&two, "acmee");
    assert_eq!((cluster.stranded("default"), cluster.stranded("acmee")), (0, 0), "nobody has it");
    cluster.hear(1, "default", 1, Some(ALL)).unwrap();
    cluster.hear(2, "default", 1, Some(&[])).unwrap();
    assert_eq!((cluster.stranded("default"), cluster.stranded("zeta")), (1, 0));
    // The last one that has it is started again, and is to bring it in.
    cluster.hear(2, "default", 2, None).unwrap();
    assert_eq!(cluster.stranded("default"), 1);
    cluster.nodes.seating("acme", &[id(1)], None);
    cluster.hear(1, "default", 2, None).unwrap();
    cluster.set(&[(1, "default", ACTIVE), (2, "default", ShardStatus::Down)], "acmee");
    assert_eq!(cluster.stranded("default"), 1);
    let further = [(1, "default", ACTIVE), (4, "acmee", ShardStatus::Draining)];
    cluster.set(&further, "acmee");
    assert_eq!(cluster.stranded("default"), 1, "what drains takes nothing over");
    cluster.set(&[(1, "default", ACTIVE), (4, "acmee", ACTIVE)], "acmee");
    assert_eq!(cluster.stranded("default"), 0, "it moves");
}

/// What is left there for a while is not read any more, so that nobody has to be awake for it.
#[tokio::test]
async fn what_has_moved_is_not_read_in_the_old_pool() {
    let cluster =
        Cluster::new(&[(1, "default", ACTIVE), (2, "default", ACTIVE), (3, "acme", ACTIVE)], "acme");
    let seated = |but| {
        let seating = cluster.nodes.seating("acme", &[id(1)], but);
        (seating.pool.clone(), seating.nodes.iter().map(|(id, _)| *id).collect::<Vec<_>>())
    };
    for shard in [1, 2] {
        cluster.hear(shard, "default", 1, Some(ALL)).unwrap();
    }
    cluster.hear(3, "acme", 1, Some(&[0])).unwrap();
    assert_eq!(seated(None), ("default".into(), vec![1, 2]));
    // The second attempt of a query is of the same pool, also once the other has everything.
    cluster.hear(3, "acme", 1, Some(ALL)).unwrap();
    assert_eq!(seated(Some(("default", 1))), ("default".into(), vec![2]));
    assert_eq!(seated(None), ("acme".into(), vec![3]));
    assert_eq!(seated(Some(("acme", 3))), ("acme".into(), vec![]), "it has one shard");
    cluster.hear(3, "acme", 2, None).unwrap();
    assert_eq!(seated(None).0, "acme", "its shard was started again");
    // And back.
    cluster.set(&[(1, "default", ACTIVE), (2, "default", ACTIVE), (3, "acme", ACTIVE)], "default");
    assert_eq!(seated(None), ("default".into(), vec![1, 2]));
}

#[tokio::test]
async fn shards_of_pools_come_to_a_cluster_that_knows_of_them() {
    let cluster = Cluster::new(&[(1, "acme", ACTIVE)], "acme");
    let other = cluster.hear(1, "zeta", 1, None).unwrap_err().to_string();
    assert!(other.contains("is of pool 'acme', not 'zeta'"), "{other}");
    *cluster.catalog.0.lock() = Arc::new(CatalogState::default());
    let early = cluster.hear(2, "acme", 1, None).unwrap_err().to_string();
    assert!(early.contains("at version 1, which knows of no pools"), "{early}");
    cluster.hear(2, "default", 1, None).unwrap();
}
