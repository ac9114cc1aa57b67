//! Hash aggregate: one row a group.
//!
//! Each task keeps [`groups`] of its own: rows in pages that hold the key and the [`state`] of every
//! aggregate, and a table that leads from keys to rows. A table that has grown too large for the caches is
//! emptied, while its rows stay, partitioned by hash. Once all input is in, [`merge`] joins the rows of equal
//! keys, partition by partition; the [`source`] reads what is left. Where keys are packed into words of few
//! possible values and there are many rows, a task soon keeps its groups by their words instead ([`direct`]); where
//! most rows are groups of their own, it sets the rest of its rows aside, to be aggregated by partitions ([`scatter`]).
//!
//! All this is of functions whose states lie in rows. Where there are others, too, the aggregation is [`general`].

mod direct;
mod few;
mod frequent;
mod general;
mod group_states;
mod groups;
mod merge;
mod regroup;
mod runs;
mod scatter;
mod seen;
mod sink;
mod small;
mod source;
mod state;
mod stateful;
mod table;
#[cfg(test)]
mod tests;
mod words;

use super::keys::{Input, Packing};
use crate::error::Result;
use crate::expr::Expr;
use crate::hash::hash_word;
use crate::memory::MemoryPool;
use crate::operator::{Operator, Sink, Source};
use crate::pages::{FrozenRows, RowLayout, RowPages};
use crate::{QueryContext, Settings, Shape, plan};
use general::{General, GeneralSink, GeneralSource};
pub use group_states::{GroupCalls, GroupResults, GroupStates, Position};
use parking_lot::Mutex;
use state::State;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};

/// An aggregation: rows go into its sink; once that is finalized, groups come out of its sources.
#[derive(Clone)]
pub struct Aggregate(Way);

#[derive(Clone)]
enum Way {
    /// All states lie in rows.
    InRows(Arc<Aggregation>),
    General(Arc<General>),
}

/// What the parts share.
struct Aggregation {
    keys: Vec<Input>,
    key_shapes: Vec<Shape>,
    packing: Option<Packing>,
    calls: Vec<Call>,
    /// Every row starts with a word: the packed key, which says all of the key, or the hash of the key that follows.
    layout: Arc<RowLayout>,
    /// Where groups may lie by their words: how many words there are.
    direct: Option<usize>,
    /// How rows may be set aside.
    records: Option<scatter::Records>,
    output: Vec<Shape>,
    memory: Arc<MemoryPool>,
    settings: Settings,
    /// By partition: the rows that tasks left, until they are merged.
    collected: Mutex<Vec<Vec<RowPages>>>,
    /// Groups by their words, one of each task that went over to that.
    directs: Mutex<Vec<direct::Direct>>,
    /// Rows that tasks have set aside.
    scattered: Mutex<Vec<scatter::Scattered>>,
    /// So many groups are enough, whichever they are.
    enough: OnceLock<usize>,
    /// How many were merged so far.
    found: AtomicUsize,
    /// The words of those that are wanted, where some are enough, once there are as many; rows of others are dropped.
    wanted: OnceLock<words::Words>,
    /// How many pieces of work are done, and what they made of them.
    merged: Mutex<(usize, Vec<Merged>)>,
    result: OnceLock<Vec<Merged>>,
}

/// One aggregate: its inputs and where its state lies.
struct Call {
    argument: Option<Input>,
    filter: Option<Input>,
    state: State,
}

/// Groups of one partition, each once.
struct Merged {
    rows: FrozenRows,
    /// The rows that count.
    numbers: Vec<u32>,
    /// Of a page of [`direct`] groups: the word of its first row. Such rows do not hold their words.
    first_word: Option<u64>,
}

const WORD_BYTES: usize = 8;

impl Aggregate {
    /// `input` are the shapes that `groups` and `aggregates` refer to.
    pub fn new(
        groups: &[Expr],
        aggregates: &[plan::Aggregate],
        input: &[Shape],
        query: &QueryContext,
    ) -> Result<Aggregate> {
        Ok(Aggregate(if has_others(aggregates) {
            Way::General(General::new(groups, aggregates, input, query)?)
        } else {
            Way::InRows(Arc::new(Aggregation::new(groups, aggregates, input, query)?))
        }))
    }

    pub fn sink(&self) -> Arc<dyn Sink> {
        match &self.0 {
            Way::InRows(shared) => Arc::new(sink::AggregateSink(shared.clone())),
            Way::General(shared) => Arc::new(GeneralSink(shared.clone())),
        }
    }

    /// All groups: keys first, then the aggregates.
    pub fn source(&self) -> Arc<dyn Source> {
        self.source_of(&(0..self.width()).collect::<Vec<_>>())
    }

    /// These columns of all groups. Every source gives them anew.
    pub fn source_of(&self, columns: &[usize]) -> Arc<dyn Source> {
        match &self.0 {
            Way::InRows(shared) => Arc::new(source::AggregateSource::new(shared.clone(), columns)),
            Way::General(shared) => Arc::new(GeneralSource::new(shared.clone(), columns)),
        }
    }

    /// Any `groups` groups are enough: others may be left out.
    pub fn leave_out_others(&self, groups: u64) {
        if let Way::InRows(shared) = &self.0 {
            shared.enough.get_or_init(|| usize::try_from(groups).unwrap_or(usize::MAX));
        }
    }

    /// How many columns there are.
    pub fn width(&self) -> usize {
        match &self.0 {
            Way::InRows(shared) => shared.output.len(),
            Way::General(shared) => shared.output.len(),
        }
    }

    /// For rows that come in the order of a single key: see [`runs`]. `None` where keys are not packed into words, or
    /// not all states lie in rows.
    pub fn of_runs(
        group: &Expr,
        aggregates: &[plan::Aggregate],
        input: &[Shape],
        query: &QueryContext,
    ) -> Result<Option<Arc<dyn Operator>>> {
        if has_others(aggregates) {
            return Ok(None);
        }
        let shared = Aggregation::new(std::slice::from_ref(group), aggregates, input, query)?;
        let packed = shared.packing.is_some();
        Ok(packed.then(|| Arc::new(runs::RunAggregate(Arc::new(shared))) as Arc<dyn Operator>))
    }
}

/// Whether some states do not lie in rows.
fn has_others(aggregates: &[plan::Aggregate]) -> bool {
    aggregates.iter().any(|aggregate| matches!(aggregate.function, plan::AggregateFunction::Stateful(_)))
}

impl Aggregation {
    fn new(
        groups: &[Expr],
        aggregates: &[plan::Aggregate],
        input: &[Shape],
        query: &QueryContext,
    ) -> Result<Aggregation> {
        let keys = groups.iter().map(|key| Input::compile(key, input)).collect::<Result<Vec<_>>>()?;
        let key_shapes: Vec<Shape> = keys.iter().map(|key| key.shape().clone()).collect();
        let nullable: Vec<bool> = key_shapes.iter().map(|shape| shape.nullable).collect();
        let packing = Packing::of(&key_shapes, &nullable);
        let stored = if packing.is_some() { &[][..] } else { &key_shapes[..] };

        let (mut calls, mut tail) = (Vec::new(), 0);
        let start = RowLayout::new(stored, WORD_BYTES, 0).tail;
        for aggregate in aggregates {
            let argument = aggregate.args.first().map(|arg| Input::compile(arg, input)).transpose()?;
            let filter = aggregate.filter.as_ref().map(|filter| Input::compile(filter, input)).transpose()?;
            let always = !groups.is_empty() && filter.is_none();
            let shape = argument.as_ref().map(Input::shape);
            let state = State::new(aggregate, shape, always, start + tail)?;
            tail += state.bytes();
            calls.push(Call { argument, filter, state });
        }
        let layout = RowLayout::new(stored, WORD_BYTES, tail);
        let output = key_shapes.iter().cloned().chain(calls.iter().map(|call| call.state.output.clone()));
        let direct = packing.as_ref().and_then(|packing| direct::domain(packing, &calls, &layout));
        let apart = !groups.is_empty() && direct.is_none();
        let records = if apart { scatter::Records::of(stored, &calls) } else { None };
        Ok(Aggregation {
            output: output.collect(),
            keys,
            key_shapes,
            packing,
            calls,
            layout: Arc::new(layout),
            direct,
            records,
            memory: query.memory.clone(),
            settings: query.settings.clone(),
            collected: Mutex::default(),
            directs: Mutex::default(),
            scattered: Mutex::default(),
            enough: OnceLock::new(),
            found: AtomicUsize::new(0),
            wanted: OnceLock::new(),
            merged: Mutex::default(),
            result: OnceLock::new(),
        })
    }

    /// The hash of the key that a word stands for.
    #[inline(always)]
    fn hash_of(&self, word: u64) -> u64 {
        if self.packing.is_some() { hash_word(word) } else { word }
    }

    /// Whether so few groups are enough that all others can be dropped from the start. What may fail is to fail
    /// whichever groups are given.
    fn wants_few(&self) -> bool {
        let fallible = |input: &Option<Input>| input.as_ref().is_some_and(Input::is_fallible);
        self.enough() <= words::Words::MOST
            && !self.keys.is_empty()
            && !self.keys.iter().any(Input::is_fallible)
            && !self.calls.iter().any(|call| fallible(&call.argument) || fallible(&call.filter))
    }

    /// Whether the group of that word is not wanted.
    #[inline(always)]
    fn is_unwanted(&self, word: u64) -> bool {
        self.wanted.get().is_some_and(|wanted| !wanted.contains(self, word))
    }

    /// How many groups there must be at least, if there are so many.
    fn enough(&self) -> usize {
        self.enough.get().copied().unwrap_or(usize::MAX)
    }

    /// An empty collection of rows.
    fn new_rows(&self) -> RowPages {
        RowPages::new(&self.layout, &self.memory, "the groups of an aggregation")
    }
}
