//! How rows go from one fragment to the next: who sends to whom, and the trait that carries them.

use super::wanted::{WantedKeys, WantedTest};
use crate::error::{Error, Result};
use crate::operator::Progress;
use crate::plan::{Fragment, FragmentPlacement, Routing};
use columnar::{Batch, DataType};
use std::collections::HashMap;
use std::sync::Arc;
use std::task::Waker;

/// Carries batches between the fragments of one query. Bounded: a sender that is ahead waits. Batches have
/// no selection and the canonical width of their types.
pub trait Exchange: Send + Sync {
    fn topology(&self) -> &Topology;
    /// Offers the batch in `batch`. `Ready`: taken. `Blocked`: left there, `waker` is woken once there may be
    /// room. `Finished`: the receiver wants no more, and never will.
    fn send(&self, edge: Edge, batch: &mut Option<Batch>, waker: &Waker) -> Result<Progress>;
    /// No further batch will be sent on the edge.
    fn finish(&self, edge: Edge);
    /// The next batch that any shard sent to shard `to` from `fragment`.
    fn receive(&self, fragment: u32, to: usize, waker: &Waker) -> Result<Received>;
    /// Shard `to` has a use for those rows of `fragment` alone whose key is among `keys`.
    fn want(&self, fragment: u32, to: usize, keys: WantedKeys);
    /// Shard `to` may have a use for any row of `fragment`: those who send them need not wait to be told.
    fn want_all(&self, fragment: u32, to: usize);
    /// Whether all who receive `fragment` have told what they want of it, where it [is asked](Topology::is_asked); `waker`
    /// is woken once they have.
    fn all_told(&self, fragment: u32, waker: &Waker) -> Result<bool>;
    /// What all shards that receive `fragment` want of it, as far as all have told.
    fn wanted(&self, fragment: u32) -> Vec<Arc<WantedTest>>;
    /// Shard `to` wants no more of `fragment`: what is queued is dropped, senders are told.
    fn close(&self, fragment: u32, to: usize);
    /// Ends the exchange: all who send and receive get `error`, what is queued is dropped. The first counts.
    fn fail(&self, error: Error);
}

/// Where rows of a fragment go from, and to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Edge {
    /// The sending fragment.
    pub fragment: u32,
    /// The shard that it runs on.
    pub from: usize,
    /// The shard that receives.
    pub to: usize,
}

/// What a receiver finds.
#[derive(Debug)]
pub enum Received {
    Batch(Batch),
    /// Nothing yet; the waker is woken once there is.
    Blocked,
    /// All senders have finished and all batches were received.
    Finished,
}

/// Which shards run each fragment of a query, and which receive its rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    fragments: HashMap<u32, Places>,
    /// The shard of each slice of the hashes.
    slices: Vec<usize>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Places {
    senders: Vec<usize>,
    receivers: Vec<usize>,
    /// The columns of which receivers tell which values they want.
    asked: Vec<usize>,
    /// The order of the rows means something: one task takes them.
    is_ordered: bool,
    /// Of the columns of the rows.
    types: Arc<[DataType]>,
}

impl Topology {
    /// The topology of a query over `shards` shards, of which `single` runs the fragments that run on one; each gets
    /// one slice.
    pub fn new(fragments: &[Fragment], shards: usize, single: usize) -> Result<Topology> {
        Topology::with_slices(fragments, shards, single, (0..shards).collect())
    }

    /// As [`Topology::new`], where rows of a slice (see [`crate::slices`]) go to the shard that `slices` names: the one that holds
    /// that slice of the tables.
    pub fn with_slices(
        fragments: &[Fragment],
        shards: usize,
        single: usize,
        slices: Vec<usize>,
    ) -> Result<Topology> {
        if single >= shards || slices.is_empty() || slices.iter().any(|&shard| shard >= shards) {
            return Err(Error::Internal(format!("a query over {shards} shards names others")));
        }
        let mut topology = Topology { fragments: HashMap::new(), slices };
        topology.place(fragments, shards, single)?;
        Ok(topology)
    }

    /// Says where fragments run, and whose rows they get; what sends rows and is known already is left as it is.
    fn place(&mut self, fragments: &[Fragment], shards: usize, single: usize) -> Result<()> {
        let runs_on = |fragment: &Fragment| match fragment.placement {
            FragmentPlacement::AllShards => (0..shards).collect(),
            FragmentPlacement::OneShard => vec![single],
        };
        let fed: Vec<u32> = self.fragments.keys().copied().collect();
        let places = &mut self.fragments;
        places.extend(
            fragments
                .iter()
                .map(|fragment| (fragment.id, Places { senders: runs_on(fragment), ..Places::default() })),
        );
        for consumer in fragments {
            let asked = consumer.plan.asked();
            for id in consumer.plan.received().into_iter().filter(|id| !fed.contains(id)) {
                let sender = fragments.iter().find(|fragment| fragment.id == id);
                let (Some(sender), Some(place)) = (sender, places.get_mut(&id)) else {
                    return Err(Error::Internal(format!("fragment {id} is received but does not exist")));
                };
                if !place.receivers.is_empty() {
                    return Err(Error::Internal(format!("fragment {id} is received twice")));
                }
                place.receivers = match (&sender.output, runs_on(consumer)) {
                    (Some(Routing::Gather), shards) => shards.into_iter().take(1).collect(),
                    (_, shards) => shards,
                };
                let columns = asked.iter().filter(|(fragment, _)| *fragment == id);
                place.asked = columns.map(|&(_, column)| column).collect();
                place.types = consumer.plan.received_types(id).unwrap_or_default().into();
            }
        }
        Ok(())
    }

    /// The topology of a query on one shard, which receives rows of `fed`, too: numbers of no fragment, whose rows
    /// somebody else sends in the name of that shard.
    pub fn fed(fragments: &[Fragment], fed: &[u32]) -> Result<Topology> {
        let received: Vec<u32> = fragments.iter().flat_map(|fragment| fragment.plan.received()).collect();
        let mut places = HashMap::new();
        for &id in fed {
            let uses = received.iter().filter(|&&other| other == id).count();
            let of_one =
                Places { senders: vec![0], receivers: vec![0], is_ordered: true, ..Places::default() };
            let is_new = places.insert(id, of_one);
            if uses != 1 || is_new.is_some() || fragments.iter().any(|fragment| fragment.id == id) {
                return Err(Error::Internal(format!("rows {id} from outside are not received once")));
            }
        }
        let mut topology = Topology { fragments: places, slices: vec![0] };
        topology.place(fragments, 1, 0)?;
        Ok(topology)
    }

    /// The shard that the rows of each slice go to.
    pub fn slices(&self) -> &[usize] {
        &self.slices
    }

    /// The numbers of all fragments.
    pub fn fragments(&self) -> impl Iterator<Item = u32> + '_ {
        self.fragments.keys().copied()
    }

    /// Whether the rows of the fragment are taken by one task, in the order in which they come.
    pub fn is_ordered(&self, fragment: u32) -> bool {
        self.fragments.get(&fragment).is_some_and(|places| places.is_ordered)
    }

    /// Whether those who receive the fragment tell which of its rows they want, and those who send it wait for that.
    pub fn is_asked(&self, fragment: u32) -> bool {
        !self.asked_columns(fragment).is_empty()
    }

    /// The columns of which those who receive the fragment may tell which values they want.
    pub fn asked_columns(&self, fragment: u32) -> &[usize] {
        self.fragments.get(&fragment).map_or(&[], |places| &places.asked)
    }

    /// The types of the columns of the fragment's rows; none for the root.
    pub fn types(&self, fragment: u32) -> Arc<[DataType]> {
        self.fragments.get(&fragment).map(|places| places.types.clone()).unwrap_or_default()
    }

    /// The shards that run the fragment.
    pub fn senders(&self, fragment: u32) -> &[usize] {
        self.fragments.get(&fragment).map_or(&[], |places| &places.senders)
    }

    /// The shards that its rows are for; none for the root.
    pub fn receivers(&self, fragment: u32) -> &[usize] {
        self.fragments.get(&fragment).map_or(&[], |places| &places.receivers)
    }
}
