//! A pool as its coordinators show it. One that is cut off sees nobody: several are asked, and nothing is done by the word of
//! less than half of them.

use crate::error::{Error, Result};
use flight_proto::admin::{Hydration, Load, Nodes, PoolState, PoolUse, Shard, ShardLoad};
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

    /// Tells all coordinators whether the pool sleeps. How many were asked, and what each answered that did.
    fn tell(&self, state: PoolState) -> BoxFuture<'_, (usize, Vec<PoolUse>)>;
}

/// What a coordinator answers.
#[derive(Clone, Debug)]
pub struct Look {
    pub coordinator: String,
    pub nodes: Nodes,
    pub load: Load,
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
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ShardSeen {
    pub(crate) address: String,
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
    /// Whether any shard is heard of, where there are any. Who hears of none may be cut off, and is no witness of silence.
    pub(crate) fn hears(&self) -> bool {
        self.shards.is_empty() || self.shards.values().any(|shard| shard.by_any)
    }
}

/// Puts the answers together, where enough have answered.
pub(crate) fn merge(asked: usize, mut looks: Vec<Look>) -> Result<View> {
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
        view.loads.insert(look.coordinator.clone(), look.load);
    }
    Ok(view)
}

/// Adds what a coordinator says of a shard; later ones know better.
fn add(entry: std::collections::btree_map::Entry<'_, String, ShardSeen>, shard: &Shard) {
    let is_new = matches!(entry, std::collections::btree_map::Entry::Vacant(_));
    let seen = entry.or_default();
    seen.by_all = (is_new || seen.by_all) && shard.alive;
    seen.by_any |= shard.alive;
    (seen.address, seen.status) = (shard.address.clone(), shard.status.clone());
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
        let nodes = Nodes { cluster_version: 2, coordinators: vec![here], shards };
        Look { coordinator: coordinator.into(), nodes, load: Load::default(), hydrations: Vec::new() }
    }

    #[test]
    fn a_minority_decides_nothing() {
        assert!(merge(0, Vec::new()).is_err());
        assert!(merge(3, vec![look("a", 1, Vec::new())]).is_err());
        assert!(merge(2, vec![look("a", 1, Vec::new())]).is_ok());
        let mut cut_off = look("a", 1, Vec::new());
        cut_off.nodes.coordinators[0].role = "candidate".into();
        assert!(merge(1, vec![cut_off]).is_err());
        let hears = |shards| merge(1, vec![look("a", 1, shards)]).unwrap().hears();
        assert!(hears(Vec::new()) && hears(vec![shard("1", "active", true), shard("2", "active", false)]));
        assert!(!hears(vec![shard("1", "active", false)]));
    }

    #[test]
    fn the_latest_catalog_counts_and_silence_is_told_by_all() {
        let looks = vec![
            look("late", 9, vec![shard("1", "draining", true), shard("2", "active", false)]),
            look("early", 5, vec![shard("1", "active", true), shard("2", "active", true)]),
        ];
        let view = merge(2, looks).unwrap();
        let (one, two) = (&view.shards["1"], &view.shards["2"]);
        assert_eq!((one.status.as_str(), one.by_all), ("draining", true));
        assert!(two.by_any && !two.by_all && two.buckets == 8);
    }
}
