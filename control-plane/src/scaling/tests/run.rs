//! The loop, against a pool and a target in memory.

use super::super::target::{Instance, ScaleTarget};
use super::super::view::Look;
use super::super::view::tests::{look, shard};
use super::*;
use crate::config::Intervals;
use crate::tests::databases::{Place, on_both_databases};
use flight_proto::admin::{Load, Loads, PoolRest, PoolState, PoolUse, ShardLoad};
use flight_proto::pool::DEFAULT_POOL as POOL;
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;

/// A cluster and its machines.
#[derive(Default)]
struct World {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Shards by number: status, whether it is heard of, whether it is launched by the target.
    shards: BTreeMap<u32, (String, bool, bool)>,
    /// Launched nodes never come up.
    barren: bool,
    /// Launched nodes end at once.
    crashes: bool,
    away: bool,
    refuses: bool,
    next: u32,
    looks: u64,
    /// The part of workers that is busy, in percent.
    busy: u64,
    launched: u32,
    drained: Vec<String>,
    forgotten: Vec<String>,
    /// What coordinators tell of statements.
    load: Load,
    /// A statement begins as the pool is about to close.
    late: bool,
    told: Vec<PoolRest>,
    /// The pools of launched nodes.
    pools: BTreeMap<u32, String>,
    /// What launch templates forget to name: nodes are of the default pool, and known by their addresses.
    astray: bool,
    /// What coordinators tell of statements of other pools.
    loads: BTreeMap<String, Load>,
    /// Shards that were forgotten with buckets that no other has.
    forced: u32,
}

impl World {
    fn names(&self) -> Vec<u32> {
        self.state.lock().shards.iter().filter(|(_, one)| one.2).map(|(number, _)| *number).collect()
    }
}

impl PoolView for World {
    fn look(&self) -> BoxFuture<'_, (usize, Vec<Look>)> {
        async move {
            let mut state = self.state.lock();
            if state.away {
                return (1, Vec::new());
            }
            state.looks += 1;
            let (looks, busy, barren) = (state.looks, state.busy, state.barren);
            let launched: Vec<u32> =
                state.shards.iter().filter(|(_, one)| one.2).map(|(number, _)| *number).collect();
            let seen = state.shards.iter().filter(|(_, one)| !barren || !one.2);
            let shards = seen.map(|(number, (status, alive, _))| {
                let load = ShardLoad {
                    uptime_us: looks * 1_000_000,
                    processor_us: looks * 10_000 * busy,
                    threads: 1,
                    segment_bytes: 1,
                    memory_bytes: 100,
                };
                let mut shard = shard(&number.to_string(), status, *alive);
                if status == "drained" {
                    shard.buckets = 0;
                }
                if launched.contains(number) && !state.astray {
                    shard.pool.clone_from(&state.pools[number]);
                }
                flight_proto::admin::Shard { load: Some(load), ..shard }
            });
            let look = look("a", looks, shards.collect());
            let mut pools = state.loads.clone();
            pools.insert(POOL.into(), state.load);
            let load = Loads { all: state.load, pools };
            (1, vec![Look { load, ..look }])
        }
        .boxed()
    }

    fn drain<'a>(&'a self, shard: &'a str, drain: bool) -> BoxFuture<'a, Result<()>> {
        let mut state = self.state.lock();
        state.drained.push(shard.into());
        let status = if drain { "drained" } else { "active" };
        state.shards.get_mut(&shard.parse().unwrap()).unwrap().0 = status.into();
        async { Ok(()) }.boxed()
    }

    fn tell<'a>(&'a self, pool: &'a str, told: PoolState) -> BoxFuture<'a, (usize, Vec<PoolUse>)> {
        let mut state = self.state.lock();
        if pool != POOL {
            let in_use = state.loads.get(pool).and_then(|load| load.in_use).unwrap_or(0);
            return async move { (1, vec![PoolUse { in_use }]) }.boxed();
        }
        if state.told.last() != Some(&told.rest) {
            state.told.push(told.rest);
        }
        if told.rest == PoolRest::Closing && std::mem::take(&mut state.late) {
            state.load = Load { in_use: Some(1), idle_ms: Some(0), ..state.load };
        }
        let in_use = state.load.in_use.unwrap_or(0);
        async move { (1, vec![PoolUse { in_use }]) }.boxed()
    }

    fn forget<'a>(&'a self, shard: &'a str, force: bool) -> BoxFuture<'a, Result<()>> {
        let mut state = self.state.lock();
        state.forced += u32::from(force);
        state.forgotten.push(shard.into());
        state.shards.remove(&shard.parse().unwrap());
        async { Ok(()) }.boxed()
    }
}

/// The machines of a pool.
struct MachinesOf {
    world: Arc<World>,
    pool: String,
}

impl ScaleTarget for MachinesOf {
    fn name(&self) -> String {
        "memory".into()
    }

    fn list(&self) -> BoxFuture<'_, Result<Listing>> {
        let state = self.world.state.lock();
        let own = state.shards.iter().filter(|(number, one)| one.2 && state.pools[number] == self.pool);
        let instances: Vec<Instance> = own
            .map(|(number, (_, alive, _))| Instance {
                name: format!("node-{number}"),
                gone: (!alive).then(|| "it ended".into()),
                shard: (!state.astray).then(|| number.to_string()),
                host: state.astray.then(|| format!("10.0.0.{number}")),
            })
            .collect();
        let listing = Listing { expected: 0, instances };
        let listing = Listing { expected: running(&listing), ..listing };
        async move { Ok(listing) }.boxed()
    }

    fn grow(&self, to: u32) -> BoxFuture<'_, Result<()>> {
        let mut state = self.world.state.lock();
        if state.refuses {
            return async { Err(Error::Environment("no machines".into())) }.boxed();
        }
        let runs = |(number, one): &(&u32, &(String, bool, bool))| {
            one.2 && one.1 && state.pools[*number] == self.pool
        };
        let running = state.shards.iter().filter(runs).count() as u32;
        for _ in running..to {
            state.next += 1;
            state.launched += 1;
            let (number, alive) = (100 + state.next, !state.crashes);
            state.shards.insert(number, ("active".into(), alive, true));
            state.pools.insert(number, self.pool.clone());
        }
        async { Ok(()) }.boxed()
    }

    fn terminate<'a>(&'a self, instance: &'a str) -> BoxFuture<'a, Result<()>> {
        let number: u32 = instance.trim_start_matches("node-").parse().unwrap();
        let mut state = self.world.state.lock();
        assert_eq!(state.pools[&number], self.pool, "a machine of another pool");
        // The cluster remembers a shard that has ended.
        if let Some(one) = state.shards.get_mut(&number) {
            *one = (one.0.clone(), false, false);
        }
        async { Ok(()) }.boxed()
    }
}

struct Machines(Arc<World>);

impl ScaleTargets for Machines {
    fn of(&self, pool: &str) -> Result<Option<Arc<dyn ScaleTarget>>> {
        Ok(Some(Arc::new(MachinesOf { world: self.0.clone(), pool: pool.into() })))
    }
}

async fn scaler(place: &Place, world: &Arc<World>) -> Scaler {
    let database = place.open().await;
    let lease = Arc::new(Lease::new(database.clone(), &Intervals::default()).unwrap());
    let (view, targets) = (world.clone() as Arc<dyn PoolView>, Arc::new(Machines(world.clone())));
    Scaler::new(POOL, database, lease, Scaling { view, targets, look: Duration::ZERO })
}

fn policy(minimum: u32, maximum: u32) -> ScalePolicy {
    ScalePolicy {
        minimum,
        maximum,
        cooldown_out_s: 0,
        cooldown_in_s: 0,
        predict: false,
        ..ScalePolicy::default()
    }
}

async fn set(scaler: &Scaler, policy: ScalePolicy) {
    pools::put(&scaler.database, "ann", POOL, policy, None).await.unwrap();
}

/// A cluster with one shard that nobody launched from here.
fn world() -> Arc<World> {
    let world = World::default();
    world.state.lock().shards.insert(1, ("active".into(), true, false));
    Arc::new(world)
}

async fn turns(scaler: &mut Scaler, count: usize) {
    for _ in 0..count {
        scaler.turn().await;
    }
}

on_both_databases! {
    load_brings_nodes_and_quiet_takes_them_away,
    a_pool_is_scaled_by_its_own_shards,
    a_pool_sleeps_by_its_own_statements,
    machines_that_come_into_another_pool_are_told_of_and_left_alone,
    an_empty_pool_comes_to_its_minimum,
    a_restart_launches_nothing_twice,
    a_node_that_ends_is_replaced,
    a_policy_that_is_set_again_begins_with_what_there_is,
    the_maximum_holds_while_nodes_flap,
    without_a_view_nothing_is_done,
    what_the_target_refuses_is_told_and_tried_again_later,
    an_idle_pool_sleeps_and_is_woken,
    a_statement_that_comes_as_it_closes_keeps_it_awake,
    whoever_leads_next_lets_it_sleep_and_wakes_it,
}

async fn load_brings_nodes_and_quiet_takes_them_away(place: &Place) {
    let world = world();
    let mut scaler = scaler(place, &world).await;
    turns(&mut scaler, 2).await;
    assert_eq!(world.state.lock().launched, 0, "no policy, nothing to follow");
    set(&scaler, policy(1, 3)).await;
    world.state.lock().busy = 100;
    turns(&mut scaler, 2).await;
    assert_eq!(world.names().len(), 1, "100 % of one node at 60 %: two");
    // Both are as busy: more are wanted than may be.
    turns(&mut scaler, 4).await;
    assert_eq!(world.names().len(), 2);
    let status = super::super::status::read(&scaler.database).await.unwrap().remove(0);
    assert_eq!((status.wanted, status.ready, status.coming, status.leaving), (3, 3, 0, 0));
    assert!(status.reasons[0].contains("busy"), "{status:?}");
    assert_eq!(status.nodes.len(), 2);
    assert!(status.nodes.iter().all(|node| node.phase == Phase::Ready), "{status:?}");

    world.state.lock().busy = 0;
    // Load is a mean over a minute: what was observed so far is forgotten.
    scaler.recent.clear();
    turns(&mut scaler, 8).await;
    {
        let state = world.state.lock();
        assert_eq!(state.drained.len(), 2, "one after the other");
        assert_eq!(state.forgotten, state.drained, "they are drained before they are ended, then forgotten");
        assert_eq!(state.shards.keys().collect::<Vec<_>>(), [&1], "the one that is not from here stays");
    }
    let history = scaler.database.scale_history(100).await.unwrap();
    let actions: Vec<&str> = history.iter().rev().map(|row| row.action.as_str()).collect();
    assert_eq!(actions[..3], ["scale policy", "scale decide", "scale launch"], "{actions:?}");
    assert!(actions.contains(&"scale drain") && actions.contains(&"scale terminate"), "{actions:?}");
    assert!(scaler.database.verify_audit().await.unwrap().broken.is_none());
}

async fn an_empty_pool_comes_to_its_minimum(place: &Place) {
    let world = Arc::new(World::default());
    let mut scaler = scaler(place, &world).await;
    set(&scaler, policy(2, 3)).await;
    turns(&mut scaler, 3).await;
    assert_eq!((world.names().len(), scaler.kept.pool.wanted), (2, 2));
}

async fn a_restart_launches_nothing_twice(place: &Place) {
    let world = world();
    let mut first = scaler(place, &world).await;
    set(&first, policy(3, 5)).await;
    world.state.lock().barren = true;
    turns(&mut first, 3).await;
    assert_eq!(world.state.lock().launched, 2);
    // Another instance leads; what is on its way is counted.
    let mut second = scaler(place, &world).await;
    turns(&mut second, 5).await;
    assert_eq!(world.state.lock().launched, 2);
    assert_eq!(second.kept.status.coming, 2);
    assert_eq!(second.nodes.len(), 2);
}

async fn a_node_that_ends_is_replaced(place: &Place) {
    let world = world();
    let mut scaler = scaler(place, &world).await;
    set(&scaler, policy(2, 2)).await;
    turns(&mut scaler, 4).await;
    let before = world.names();
    assert_eq!(before.len(), 1);
    world.state.lock().shards.get_mut(&before[0]).unwrap().1 = false;
    turns(&mut scaler, 4).await;
    let after = world.names();
    assert_eq!(after.len(), 1);
    assert_ne!(after, before);
    let nodes = scaler.database.pool_nodes(POOL, 0).await.unwrap();
    let lost = nodes.iter().find(|node| node.instance == format!("node-{}", before[0])).unwrap();
    let phases: Vec<Phase> = lost.steps.iter().map(|step| step.phase).collect();
    assert!(phases.ends_with(&[Phase::Ready, Phase::Failed, Phase::Gone]), "{phases:?}");
    assert!(lost.steps.iter().any(|step| step.detail == "it ended"));
    assert_eq!(world.state.lock().forgotten, [before[0].to_string()]);
}

async fn a_policy_that_is_set_again_begins_with_what_there_is(place: &Place) {
    let world = world();
    let mut scaler = scaler(place, &world).await;
    set(&scaler, policy(3, 3)).await;
    turns(&mut scaler, 4).await;
    assert_eq!(world.names().len(), 2);
    pools::delete(&scaler.database, "ann", POOL).await.unwrap();
    turns(&mut scaler, 2).await;
    // An operator ends both meanwhile.
    world.state.lock().shards.retain(|_, one| !one.2);
    set(&scaler, policy(1, 3)).await;
    turns(&mut scaler, 4).await;
    assert_eq!((world.names().len(), scaler.kept.pool.wanted), (0, 1));
}

async fn the_maximum_holds_while_nodes_flap(place: &Place) {
    let world = world();
    let mut scaler = scaler(place, &world).await;
    set(&scaler, policy(3, 3)).await;
    world.state.lock().crashes = true;
    for _ in 0..20 {
        scaler.turn().await;
        assert!(world.names().len() <= 2);
    }
    // Two at once, which both fail, and then a pause that grows.
    assert!(world.state.lock().launched <= 4, "{}", world.state.lock().launched);
}

async fn without_a_view_nothing_is_done(place: &Place) {
    let world = world();
    let mut scaler = scaler(place, &world).await;
    set(&scaler, policy(2, 4)).await;
    world.state.lock().away = true;
    turns(&mut scaler, 3).await;
    assert_eq!(world.state.lock().launched, 0);
    let failure = scaler.kept.status.failure.clone().unwrap();
    assert!(failure.contains("0 of 1 coordinators"), "{failure}");
    world.state.lock().away = false;
    turns(&mut scaler, 3).await;
    assert_eq!((world.state.lock().launched, scaler.kept.status.failure.as_ref()), (1, None));
    set(&scaler, ScalePolicy { paused: true, ..policy(4, 4) }).await;
    turns(&mut scaler, 3).await;
    assert_eq!(world.state.lock().launched, 1, "the policy is paused");
}

async fn what_the_target_refuses_is_told_and_tried_again_later(place: &Place) {
    let world = world();
    let mut scaler = scaler(place, &world).await;
    set(&scaler, policy(2, 2)).await;
    world.state.lock().refuses = true;
    turns(&mut scaler, 10).await;
    assert_eq!(scaler.kept.status.failure.as_deref(), Some("no machines"));
    let history = scaler.database.scale_history(100).await.unwrap();
    assert!(history.len() < 6, "it is not tried each turn: {}", history.len());
    world.state.lock().refuses = false;
    scaler.act_at = Instant::now();
    turns(&mut scaler, 2).await;
    assert_eq!((world.names().len(), scaler.kept.status.failure.as_ref()), (1, None));
}

/// A pool of nodes from here alone, two of which are ready.
async fn two_nodes(scaler: &mut Scaler, world: &World) {
    set(scaler, ScalePolicy { idle_after_s: 60, launch_s: 1, ..policy(2, 3) }).await;
    turns(scaler, 4).await;
    assert_eq!(world.names().len(), 2);
    world.state.lock().load = quiet(0, 100);
    set(scaler, ScalePolicy { idle_after_s: 60, launch_s: 1, ..policy(0, 3) }).await;
}

fn quiet(in_use: u64, idle_s: u64) -> Load {
    let idle_ms = Some(if in_use > 0 { 0 } else { idle_s * 1_000 });
    Load { in_use: Some(in_use), idle_ms, ..Load::default() }
}

async fn an_idle_pool_sleeps_and_is_woken(place: &Place) {
    let world = Arc::new(World::default());
    let mut scaler = scaler(place, &world).await;
    two_nodes(&mut scaler, &world).await;
    assert_eq!(world.state.lock().told, [], "of a pool that never sleeps nothing is said");
    world.state.lock().load = quiet(0, 59);
    turns(&mut scaler, 3).await;
    // One may be scaled in meanwhile, as ever.
    let nodes = world.names().len();
    assert!(nodes > 0, "it is idle for too short a time");
    world.state.lock().load = quiet(0, 61);
    scaler.turn().await;
    let status = super::super::status::read(&scaler.database).await.unwrap().remove(0);
    assert_eq!((status.rest.as_str(), status.wanted), ("asleep", 0), "{status:?}");
    assert!(status.asleep_us.is_some() && status.reasons[0].contains("61 s"), "{status:?}");
    turns(&mut scaler, 3).await;
    {
        let state = world.state.lock();
        assert!(state.shards.is_empty(), "all are ended and forgotten: {:?}", state.shards);
        let expected = (u32::try_from(nodes).unwrap(), 2 - nodes);
        assert_eq!((state.forced, state.drained.len()), expected, "nobody takes their buckets over");
        assert_eq!(state.told, [PoolRest::Awake, PoolRest::Closing, PoolRest::Asleep]);
    }
    turns(&mut scaler, 3).await;
    assert_eq!(world.state.lock().launched, 2, "it sleeps on");

    // A statement wakes it within the turn that sees it.
    world.state.lock().load = quiet(1, 0);
    world.state.lock().barren = true;
    scaler.turn().await;
    assert_eq!((world.state.lock().launched, scaler.kept.status.rest.as_str()), (3, "waking"));
    turns(&mut scaler, 2).await;
    assert_eq!((world.state.lock().launched, scaler.kept.status.coming), (3, 1), "one is on its way");
    world.state.lock().barren = false;
    turns(&mut scaler, 2).await;
    assert_eq!((scaler.kept.status.rest.as_str(), scaler.kept.status.ready), ("awake", 1));
    assert_eq!(world.state.lock().told.last(), Some(&PoolRest::Awake));
    // As it is idle again at once, it stays for as long as `idle_after_s` all the same.
    world.state.lock().load = quiet(0, 9_999);
    turns(&mut scaler, 5).await;
    assert_eq!(world.names().len(), 1);
    assert!(scaler.kept.status.reasons.iter().any(|why| why.contains("a short while ago")));
    let history = scaler.database.scale_history(100).await.unwrap();
    let decided: Vec<&str> = history.iter().map(|row| row.action.as_str()).collect();
    assert_eq!(decided.iter().filter(|action| **action == "scale terminate").count(), 2, "{decided:?}");
}

async fn a_statement_that_comes_as_it_closes_keeps_it_awake(place: &Place) {
    let world = Arc::new(World::default());
    let mut scaler = scaler(place, &world).await;
    two_nodes(&mut scaler, &world).await;
    world.state.lock().late = true;
    turns(&mut scaler, 3).await;
    let state = world.state.lock();
    assert!(!state.shards.is_empty() && state.forced == 0, "not all are ended");
    assert_eq!(state.told, [PoolRest::Closing, PoolRest::Awake], "statements go on at once");
}

async fn whoever_leads_next_lets_it_sleep_and_wakes_it(place: &Place) {
    let world = Arc::new(World::default());
    let mut first = scaler(place, &world).await;
    two_nodes(&mut first, &world).await;
    turns(&mut first, 3).await;
    assert!(world.names().is_empty());
    let mut second = scaler(place, &world).await;
    turns(&mut second, 3).await;
    assert_eq!((world.state.lock().launched, second.kept.status.rest.as_str()), (2, "asleep"));
    world.state.lock().load = quiet(1, 0);
    second.turn().await;
    assert_eq!(world.state.lock().launched, 3);
    // A minimum wakes it, too.
    world.state.lock().load = quiet(0, 0);
    set(&second, ScalePolicy { idle_after_s: 60, ..policy(2, 3) }).await;
    turns(&mut second, 3).await;
    assert_eq!(world.names().len(), 2);
}

/// Shards of another pool count for nothing, and nothing is done to them.
async fn a_pool_is_scaled_by_its_own_shards(place: &Place) {
    let world = world();
    let mut scaler = scaler(place, &world).await;
    scaler.pool = "acme".into();
    pools::put(&scaler.database, "ann", "acme", policy(2, 3), None).await.unwrap();
    turns(&mut scaler, 4).await;
    let status = &scaler.kept.status;
    assert_eq!((status.pool.as_str(), status.ready, status.wanted), ("acme", 2, 2));
    let done = |state: &State| (state.launched, state.drained.len());
    assert_eq!(done(&world.state.lock()), (2, 0));
    // Each pool has a state of its own.
    let status = super::super::status::read(&scaler.database).await.unwrap();
    assert_eq!(
        status.iter().map(|one| (one.pool.as_str(), one.nodes.len())).collect::<Vec<_>>(),
        [("acme", 2)]
    );
    pools::put(&scaler.database, "ann", POOL, policy(1, 1), None).await.unwrap();
    let mut other = Scaler::new(POOL, scaler.database.clone(), scaler.lease.clone(), scaler.scaling.clone());
    turns(&mut other, 4).await;
    let status = &other.kept.status;
    assert_eq!((status.pool.as_str(), status.ready, status.wanted), (POOL, 1, 1));
    assert_eq!(super::super::status::read(&scaler.database).await.unwrap().len(), 2);
    assert_eq!(done(&world.state.lock()), (2, 0), "it has its shard");
    assert_eq!(world.names().len(), 2);
}

/// Those of others neither wake it nor keep it awake.
async fn a_pool_sleeps_by_its_own_statements(place: &Place) {
    let world = Arc::new(World::default());
    let mut scaler = scaler(place, &world).await;
    scaler.pool = "acme".into();
    let of = |minimum| ScalePolicy { idle_after_s: 60, launch_s: 1, ..policy(minimum, 2) };
    pools::put(&scaler.database, "ann", "acme", of(1), None).await.unwrap();
    turns(&mut scaler, 4).await;
    assert_eq!(world.names().len(), 1);
    pools::put(&scaler.database, "ann", "acme", of(0), None).await.unwrap();
    // Statements of the default pool run all the time.
    world.state.lock().load = quiet(5, 0);
    world.state.lock().loads = [("acme".to_string(), quiet(0, 100))].into();
    turns(&mut scaler, 3).await;
    assert_eq!((world.names().len(), scaler.kept.status.rest.as_str()), (0, "asleep"));
    turns(&mut scaler, 2).await;
    assert_eq!(world.state.lock().launched, 1);
    world.state.lock().loads = [("acme".to_string(), quiet(1, 0))].into();
    turns(&mut scaler, 2).await;
    assert_eq!(world.state.lock().launched, 2);
}

/// They have the other pool's data by then.
async fn machines_that_come_into_another_pool_are_told_of_and_left_alone(place: &Place) {
    let world = world();
    world.state.lock().astray = true;
    let mut scaler = scaler(place, &world).await;
    scaler.pool = "acme".into();
    pools::put(&scaler.database, "ann", "acme", policy(1, 2), None).await.unwrap();
    turns(&mut scaler, 4).await;
    let why = scaler.kept.status.failure.clone().unwrap();
    assert!(why.contains("was launched for the pool 'acme', and is of the pool 'default'"), "{why}");
    assert_eq!((world.names().len(), world.state.lock().launched), (1, 1));
}
