//! The loop, against a pool and a target in memory.

use super::super::target::Instance;
use super::super::view::Look;
use super::super::view::tests::{look, shard};
use super::*;
use crate::config::Intervals;
use crate::tests::databases::{Place, on_both_databases};
use flight_proto::admin::{Load, ShardLoad};
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
                flight_proto::admin::Shard { load: Some(load), ..shard }
            });
            let look = look("a", looks, shards.collect());
            (1, vec![Look { load: Load::default(), ..look }])
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

    fn forget<'a>(&'a self, shard: &'a str) -> BoxFuture<'a, Result<()>> {
        let mut state = self.state.lock();
        state.forgotten.push(shard.into());
        state.shards.remove(&shard.parse().unwrap());
        async { Ok(()) }.boxed()
    }
}

impl ScaleTarget for World {
    fn name(&self) -> String {
        "memory".into()
    }

    fn list(&self) -> BoxFuture<'_, Result<Listing>> {
        let state = self.state.lock();
        let own = state.shards.iter().filter(|(_, one)| one.2);
        let instances: Vec<Instance> = own
            .map(|(number, (_, alive, _))| Instance {
                name: format!("node-{number}"),
                gone: (!alive).then(|| "it ended".into()),
                shard: Some(number.to_string()),
                host: None,
            })
            .collect();
        let listing = Listing { expected: 0, instances };
        let listing = Listing { expected: running(&listing), ..listing };
        async move { Ok(listing) }.boxed()
    }

    fn grow(&self, to: u32) -> BoxFuture<'_, Result<()>> {
        let mut state = self.state.lock();
        if state.refuses {
            return async { Err(Error::Environment("no machines".into())) }.boxed();
        }
        let running = state.shards.values().filter(|one| one.2 && one.1).count() as u32;
        for _ in running..to {
            state.next += 1;
            state.launched += 1;
            let (number, alive) = (100 + state.next, !state.crashes);
            state.shards.insert(number, ("active".into(), alive, true));
        }
        async { Ok(()) }.boxed()
    }

    fn terminate<'a>(&'a self, instance: &'a str) -> BoxFuture<'a, Result<()>> {
        let number: u32 = instance.trim_start_matches("node-").parse().unwrap();
        let mut state = self.state.lock();
        // The cluster remembers a shard that has ended.
        if let Some(one) = state.shards.get_mut(&number) {
            *one = (one.0.clone(), false, false);
        }
        async { Ok(()) }.boxed()
    }
}

async fn scaler(place: &Place, world: &Arc<World>) -> Scaler {
    let database = place.open().await;
    let lease = Arc::new(Lease::new(database.clone(), &Intervals::default()).unwrap());
    let (view, target) = (world.clone() as Arc<dyn PoolView>, world.clone() as Arc<dyn ScaleTarget>);
    Scaler::new(database, lease, Scaling { view, target: Some(target), look: Duration::ZERO })
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
    an_empty_pool_comes_to_its_minimum,
    a_restart_launches_nothing_twice,
    a_node_that_ends_is_replaced,
    a_policy_that_is_set_again_begins_with_what_there_is,
    the_maximum_holds_while_nodes_flap,
    without_a_view_nothing_is_done,
    what_the_target_refuses_is_told_and_tried_again_later,
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
