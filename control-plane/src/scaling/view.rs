//! A pool as its coordinators show it. One that is cut off sees nobody: several are asked, and nothing is done by the word of
//! less than half of them.

use crate::error::{Error, Result};
use flight_proto::admin::{Hydration, Load, Loads, Nodes, PoolState, PoolUse, Shard, ShardLoad};
use flight_proto::pool::DEFAULT_POOL;
use futures::future::BoxFuture;
use std::collections::BTreeMap;

/// The way to a pool's coordinators.
pub trait PoolView: Send + Sync {
    /// How many coordinators were asked, and what each answered that did.
    fn look(&self) -> BoxFuture<'_, (usize, Vec<Look>)>;

    /// Has a shard give its buckets to others, or take buckets again.
    fn drain<'a>(&'a self, shard: &'a str, drain: bool) -> BoxFuture<'a, Result<()>>;

    /// Has a shard forgotten that has ended; with `force` also one with buckets that no other has.
    fn forget<'a>(&'a self, shard: &'a str, force: bool) -> BoxFuture<'a, Result<()>>;

    /// Tells all coordinators whether a pool sleeps. How many were asked, and what each answered that did.
    fn tell<'a>(&'a self, pool: &'a str, state: PoolState) -> BoxFuture<'a, (usize, Vec<PoolUse>)>;
}

/// What a coordinator answers.
#[derive(Clone, Debug)]
pub struct Look {
    pub coordinator: String,
    pub nodes: Nodes,
    pub load: Loads,
    pub hydrations: Vec<Hydration>,
}

/// What all of them answer together.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    pub(crate) shards: BTreeMap<String, ShardSeen>,
    /// By coordinator.
    pub(crate) loads: BTreeMap<String, Load>,
    /// How many coordinators were asked.
    pub(crate) asked: usize,
    /// A shard of whatever pool is heard of.
    pub(crate) hears: bool,
    /// Shards of other pools that are heard of.
    pub(crate) of_others: Vec<ShardSeen>,
}

impl ShardSeen {
    /// The machine that it is on.
    pub(crate) fn host(&self) -> Option<&str> {
        self.address.rsplit_once(':').map(|(host, _)| host)
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ShardSeen {
    pub(crate) address: String,
    pub(crate) pool: String,
    /// As the coordinator has it whose catalog is the latest.
    pub(crate) status: String,
    /// Heard of by any, and by all that answer.
    pub(crate) by_any: bool,
    pub(crate) by_all: bool,
    pub(crate) buckets: u64,
    pub(crate) load: Option<ShardLoad>,
    /// Of what it brings in: rows done, and all rows.
    pub(crate) brings: Option<(u64, u64)>,
}

impl View {
    /// Whether any shard is heard of, of whatever pool, where there are any. Who hears of none may be cut off, and is no witness of silence.
    pub(crate) fn hears(&self) -> bool {
        self.shards.is_empty() || self.hears
    }
}

/// Puts the answers about a pool together, where enough have answered.
pub(crate) fn merge(pool: &str, asked: usize, mut looks: Vec<Look>) -> Result<View> {
    if looks.len() * 2 < asked || looks.is_empty() {
        let why =
            format!("{} of {asked} coordinators answer: nothing is decided by less than half", looks.len());
        return Err(Error::Cluster(why));
    }
    let leads = |look: &Look| look.nodes.coordinators.iter().any(|one| one.role == "leader");
    if !looks.iter().any(leads) {
        let why = "no coordinator that answers knows one that leads: they may be cut off from the others";
        return Err(Error::Cluster(why.into()));
    }
    let applied = |look: &Look| {
        look.nodes.coordinators.iter().find(|one| one.here).map_or((0, None), |one| (one.term, one.applied))
    };
    looks.sort_by_key(applied);
    let mut view = View { asked, ..View::default() };
    for look in &looks {
        for shard in &look.nodes.shards {
            add(view.shards.entry(shard.id.clone()), shard);
        }
        for one in look.hydrations.iter().filter(|one| one.state == "running") {
            if let Some(seen) = view.shards.get_mut(&one.shard) {
                let known = seen.brings.get_or_insert_default();
                // All tell the same: those that were told last have the most.
                *known = (known.0.max(one.rows_done), known.1.max(one.rows_total));
            }
        }
        view.loads.insert(look.coordinator.clone(), load_of(&look.load, pool));
    }
    view.hears = view.shards.values().any(|shard| shard.by_any);
    let (own, others) =
        std::mem::take(&mut view.shards).into_iter().partition(|(_, shard)| shard.pool == pool);
    view.shards = own;
    let others: BTreeMap<String, ShardSeen> = others;
    view.of_others = others.into_values().filter(|shard| shard.by_any).collect();
    Ok(view)
}

/// What needs a pool's shards. One that knows of no pools has the default one, and tells nothing of others.
fn load_of(loads: &Loads, pool: &str) -> Load {
    match loads.pools.get(pool) {
        Some(load) => *load,
        None if loads.pools.is_empty() && pool == DEFAULT_POOL => loads.all,
        // No statement was of it yet; how long that is, is not known.
        None => Load::default(),
    }
}

/// Adds what a coordinator says of a shard; later ones know better.
fn add(entry: std::collections::btree_map::Entry<'_, String, ShardSeen>, shard: &Shard) {
    let is_new = matches!(entry, std::collections::btree_map::Entry::Vacant(_));
    let seen = entry.or_default();
    seen.by_all = (is_new || seen.by_all) && shard.alive;
    seen.by_any |= shard.alive;
    (seen.address, seen.status) = (shard.address.clone(), shard.status.clone());
    seen.pool.clone_from(&shard.pool);
    seen.buckets = if shard.alive { shard.buckets } else { seen.buckets };
    let later = |load: &ShardLoad| seen.load.is_none_or(|known| load.uptime_us >= known.uptime_us);
    if let Some(load) = shard.load.filter(later) {
        seen.load = Some(load);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use flight_proto::admin::Coordinator;

    pub(crate) fn shard(id: &str, status: &str, alive: bool) -> Shard {
        Shard {
            id: id.into(),
            address: format!("10.0.0.{id}:7000"),
            status: status.into(),
            alive,
            buckets: if alive { 8 } else { 0 },
            rows: 0,
            pool: DEFAULT_POOL.into(),
            speaks: None,
            load: None,
        }
    }

    pub(crate) fn look(coordinator: &str, applied: u64, shards: Vec<Shard>) -> Look {
        let here = Coordinator {
            id: 1,
            address: String::new(),
            role: "leader".into(),
            here: true,
            term: 1,
            applied: Some(applied),
            speaks: None,
        };
        let coordinators = vec![here];
        let nodes = Nodes { cluster_version: 2, coordinators, shards, moving: Vec::new() };
        Look { coordinator: coordinator.into(), nodes, load: Loads::default(), hydrations: Vec::new() }
    }

    #[test]
    fn a_minority_decides_nothing() {
        assert!(merge(DEFAULT_POOL, 0, Vec::new()).is_err());
        assert!(merge(DEFAULT_POOL, 3, vec![look("a", 1, Vec::new())]).is_err());
        assert!(merge(DEFAULT_POOL, 2, vec![look("a", 1, Vec::new())]).is_ok());
        let mut cut_off = look("a", 1, Vec::new());
        cut_off.nodes.coordinators[0].role = "candidate".into();
        assert!(merge(DEFAULT_POOL, 1, vec![cut_off]).is_err());
        let hears = |shards| merge(DEFAULT_POOL, 1, vec![look("a", 1, shards)]).unwrap().hears();
        assert!(hears(Vec::new()) && hears(vec![shard("1", "active", true), shard("2", "active", false)]));
        assert!(!hears(vec![shard("1", "active", false)]));
    }

    #[test]
    fn the_latest_catalog_counts_and_silence_is_told_by_all() {
        let looks = vec![
            look("late", 9, vec![shard("1", "draining", true), shard("2", "active", false)]),
            look("early", 5, vec![shard("1", "active", true), shard("2", "active", true)]),
        ];
        let view = merge(DEFAULT_POOL, 2, looks).unwrap();
        let (one, two) = (&view.shards["1"], &view.shards["2"]);
        assert_eq!((one.status.as_str(), one.by_all), ("draining", true));
        assert!(two.by_any && !two.by_all && two.buckets == 8);
    }

    #[test]
    fn a_pool_is_seen_by_itself() {
        let of = |id: &str, pool: &str| Shard { pool: pool.into(), ..shard(id, "active", true) };
        let load = |in_use| Load { in_use: Some(in_use), ..Load::default() };
        let pools = [("acme".to_string(), load(2)), ("default".to_string(), load(1))].into();
        let mut answer = look("a", 1, vec![of("1", "acme"), of("2", "default"), of("3", "acme")]);
        answer.load = Loads { all: load(3), pools };
        let seen = |pool: &str, look: &Look| {
            let view = merge(pool, 1, vec![look.clone()]).unwrap();
            (view.shards.into_keys().collect::<Vec<_>>(), view.loads["a"].in_use)
        };
        assert_eq!(seen("acme", &answer), (vec!["1".into(), "3".into()], Some(2)));
        assert_eq!(seen("default", &answer), (vec!["2".into()], Some(1)));
        assert_eq!(seen("zeta", &answer), (vec![], None), "it does not sleep by what is not told");
        // A coordinator of a release before.
        answer.load.pools.clear();
        assert_eq!((seen("default", &answer).1, seen("acme", &answer).1), (Some(3), None));
    }
}
