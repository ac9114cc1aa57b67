use super::*;
use crate::catalog::{Refusal, Reply};
use flight_proto::catalog::{self as stored, Change, Command, Dataset, SetShardStatus, Shard, Version};
use flight_proto::policy::{self, Document, Signed, Subject, TenantStatus, tenant_document};
use flight_proto::pool::in_message;
use shard::{Holding, Placement};
use std::sync::Arc;

const POOLS: [&str; 3] = ["acme", "default", "zeta"];

/// Numbers that look drawn, the same for each seed.
struct Drawn(u64);

impl Drawn {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

pub(super) fn shard(pool: &str, status: ShardStatus) -> Shard {
    Shard { weight: 3, status: status.into(), pool: in_message(pool).into(), ..Shard::default() }
}

/// Tenants, each of a pool and with a dataset of the same number as it has.
pub(super) fn catalog(shards: &BTreeMap<u64, Shard>, tenants: &[(&str, &str)]) -> CatalogState {
    let (shards, cluster_version) = (shards.clone(), 2);
    let mut state = stored::CatalogState { shards, cluster_version, ..stored::CatalogState::default() };
    for (number, (name, pool)) in (1..).zip(tenants) {
        let version = Some(Version { number: 7, ..Version::default() });
        let dataset =
            Dataset { id: number, schema: "main".into(), name: "t".into(), version, ..Dataset::default() };
        let tables = [("t".to_string(), number)].into();
        let main = stored::Schema { name: "main".into(), tables, ..stored::Schema::default() };
        let (schemas, datasets) = ([("main".into(), main)].into(), [(number, dataset)].into());
        state
            .tenants
            .insert((*name).into(), stored::Tenant { schemas, datasets, ..stored::Tenant::default() });
        let (status, pool) = (TenantStatus::Active.into(), in_message(pool).into());
        let tenant = policy::Tenant { name: (*name).into(), status, pool, ..policy::Tenant::default() };
        let subject = Some(Subject::of_tenant(tenant));
        let document = Document { name: tenant_document(name), version: number, decided_at_us: 1, subject };
        state.policy.insert(document.name.clone(), document.sign(&[7; 32], |_| Vec::new()));
    }
    assert!(state.policy.values().all(|signed: &Signed| signed.read().is_ok()));
    CatalogState::from_stored(state)
}

fn drawn_shards(drawn: &mut Drawn) -> BTreeMap<u64, Shard> {
    let statuses = [ShardStatus::Active, ShardStatus::Active, ShardStatus::Draining, ShardStatus::Down];
    let count = 1 + drawn.below(9);
    let one = |id: u64| {
        let pool = POOLS[drawn.below(3) as usize];
        (id * 3, shard(pool, statuses[drawn.below(4) as usize]))
    };
    (1..=count).map(one).collect()
}

/// Who is dealt which bucket, as numbers of shards.
fn dealt(state: &CatalogState, pool: &str) -> Vec<Vec<u64>> {
    let set = members(state, pool, 2);
    let buckets: Vec<(u64, u64)> = (0..64).map(|bucket| (bucket, 100)).collect();
    let holders = set.deal(5, &buckets).into_iter();
    holders.map(|of| of.into_iter().map(|place| set.shards[place].id).collect()).collect()
}

#[test]
fn buckets_are_dealt_within_a_pool_and_move_within_it_alone() {
    let tenants = [("acme", "acme"), ("both", "acme"), ("default", "default"), ("zeta", "zeta")];
    for seed in 0..300 {
        let mut drawn = Drawn(seed);
        let mut shards = drawn_shards(&mut drawn);
        let before = catalog(&shards, &tenants);
        for pool in POOLS {
            for holder in dealt(&before, pool).into_iter().flatten() {
                assert_eq!(named(&shards[&holder].pool), pool, "seed {seed}");
            }
            let wanted = wanted_in(&before, pool).into_iter().map(|version| version.tenant);
            let own = tenants.iter().filter(|(_, of)| *of == pool).map(|(name, _)| name.to_string());
            assert_eq!(wanted.collect::<Vec<_>>(), own.collect::<Vec<_>>(), "seed {seed}, {pool}");
        }
        // One comes, or one goes.
        let changed = POOLS[drawn.below(3) as usize];
        let gone = shards.iter().find(|(_, shard)| named(&shard.pool) == changed).map(|(&id, _)| id);
        match gone.filter(|_| drawn.below(2) == 0) {
            Some(id) => drop(shards.remove(&id)),
            None => drop(shards.insert(1_000, shard(changed, ShardStatus::Active))),
        }
        let after = catalog(&shards, &tenants);
        for pool in POOLS.into_iter().filter(|pool| *pool != changed) {
            assert_eq!(dealt(&before, pool), dealt(&after, pool), "seed {seed}, {pool}");
        }
    }
}

#[test]
fn a_tenant_without_a_document_is_of_the_default_pool() {
    let state = catalog(&BTreeMap::new(), &[("acme", "acme")]);
    assert_eq!((state.pool_of("acme"), state.pool_of("default")), ("acme", "default"));
    assert!(members(&state, "acme", 2).shards.is_empty() && dealt(&state, "acme").concat().is_empty());
}

pub(super) fn id(dataset: u64) -> VersionId {
    VersionId { tenant: "acme".into(), dataset, version: 7 }
}

pub(super) fn node(number: u64, pool: &str, held: &[(u64, &[u32])]) -> NodeView {
    let holdings = held.iter().map(|(dataset, held)| {
        let held = held.iter().map(|&bucket| (bucket, 100)).collect();
        (id(*dataset), Holding { placement: Placement::Spread, buckets: 4, held })
    });
    let address = format!("node{number}");
    NodeView { id: number, address, pool: pool.into(), holdings: Arc::new(holdings.collect()) }
}

fn seated(nodes: &[NodeView], versions: &[VersionId]) -> (String, Vec<u64>) {
    let seating = seat_in_pool(nodes.to_vec(), "acme", versions, 4);
    (seating.pool, seating.nodes.into_iter().map(|(id, _)| id).collect())
}

/// Queries go from the old pool to the new one in a step, once that has everything.
#[test]
fn a_tenant_that_moves_is_read_in_one_pool_at_a_time() {
    let all = &[0, 1, 2, 3][..];
    let old = [node(1, "default", &[(1, all), (2, &[0, 1])]), node(2, "default", &[(1, &[]), (2, &[2, 3])])];
    let both = [id(1), id(2)];
    let (default, acme) = (("default".to_string(), vec![1, 2]), ("acme".to_string(), vec![3, 4]));
    let with = |new: [NodeView; 2]| [&old[..], &new[..]].concat();
    let steps = [
        (with([node(3, "acme", &[]), node(4, "acme", &[])]), &default),
        (with([node(3, "acme", &[(1, all)]), node(4, "acme", &[(1, &[])])]), &default),
        (with([node(3, "acme", &[(1, all), (2, &[0])]), node(4, "acme", &[(1, &[]), (2, &[1])])]), &default),
        (
            with([node(3, "acme", &[(1, all), (2, &[0])]), node(4, "acme", &[(1, &[]), (2, &[1, 2, 3])])]),
            &acme,
        ),
    ];
    for (at, (nodes, expected)) in steps.iter().enumerate() {
        assert_eq!(&seated(nodes, &both), *expected, "step {at}");
    }
    // What is nowhere else is not looked for there.
    let seating = seat_in_pool(old.to_vec(), "acme", &[id(3)], 4);
    assert_eq!((seating.pool.as_str(), seating.nodes.len()), ("acme", 0));
    let why = seating.share_of(&id(3)).unwrap_err().to_string();
    assert!(why.contains("no shard of pool 'acme' is up"), "{why}");
}

/// Also where it reads no tables, and where all shards of its pool are lost.
#[test]
fn no_query_runs_in_the_pool_of_others() {
    let others = [node(1, "default", &[]), node(2, "zeta", &[])];
    assert_eq!(seated(&others, &[]), ("acme".into(), vec![]));
    assert_eq!(seated(&others, &[id(1)]), ("acme".into(), vec![]));
    let own = [&others[..], &[node(3, "acme", &[])]].concat();
    assert_eq!(seated(&own, &[]), ("acme".into(), vec![3]));
}

#[test]
fn the_default_pool_is_not_named_in_errors() {
    assert_eq!(no_shard_of("default"), "no shard is up");
    let seating = seat_in_pool(Vec::new(), "default", &[id(1)], 4);
    let why = seating.share_of(&id(1)).unwrap_err().to_string();
    assert!(why.contains("no shard is up that holds all tables; try again"), "{why}");
}

/// The last one of a pool stays while tenants have data there.
#[test]
fn a_pool_that_is_needed_keeps_a_shard() {
    let active = |pool: &str| shard(pool, ShardStatus::Active);
    let shards = [(1, active("acme")), (2, active("default")), (3, active("idle"))].into();
    let mut state = catalog(&shards, &[("acme", "acme")]);
    let drain = |state: &mut CatalogState, shard| {
        let status = ShardStatus::Draining.into();
        let change = Some(Change::SetShardStatus(SetShardStatus { shard, status }));
        state.apply(&Command { at_us: 1, tenant: "default".into(), change })
    };
    assert_eq!(drain(&mut state, 1), Reply::Refused(Refusal::LastShard(1)), "the others are of other pools");
    assert_eq!(drain(&mut state, 2), Reply::Refused(Refusal::LastShard(2)));
    assert_eq!(drain(&mut state, 3), Reply::Done);
    let shards = [(1, active("acme")), (4, active("acme"))].into();
    let mut state = catalog(&shards, &[("acme", "acme")]);
    assert_eq!(drain(&mut state, 1), Reply::Done);
    assert_eq!(drain(&mut state, 4), Reply::Refused(Refusal::LastShard(4)));
}
