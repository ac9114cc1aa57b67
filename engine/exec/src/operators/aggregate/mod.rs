//! Hash aggregate: one row a group.
//!
//! Each task keeps [`groups`] of its own: rows in pages that hold the key and the [`state`] of every
//! aggregate, and a table that leads from keys to rows. A table that has grown too large for the caches is
//! emptied, while its rows stay, partitioned by hash. Once all input is in, [`merge`] joins the rows of equal
//! keys, partition by partition; the [`source`] reads what is left.

mod groups;
mod merge;
mod sink;
mod source;
mod state;
#[cfg(test)]
mod tests;

use super::keys::{Input, Packing};
use crate::error::Result;
use crate::expr::Expr;
use crate::memory::MemoryPool;
use crate::operator::{Sink, Source};
use crate::pages::{FrozenRows, RowLayout, RowPages};
use crate::{QueryContext, Settings, Shape, plan};
use parking_lot::Mutex;
use state::State;
use std::sync::{Arc, OnceLock};

/// An aggregation: rows go into its sink; once that is finalized, groups come out of its sources.
#[derive(Clone)]
pub struct Aggregate(Arc<Aggregation>);

/// What the parts share.
struct Aggregation {
    keys: Vec<Input>,
    packing: Option<Packing>,
    calls: Vec<Call>,
    /// Every row starts with a word: the packed key, or its hash.
    layout: Arc<RowLayout>,
    output: Vec<Shape>,
    memory: Arc<MemoryPool>,
    settings: Settings,
    /// By partition: the rows that tasks left, until they are merged.
    collected: Mutex<Vec<Vec<RowPages>>>,
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
        Ok(Aggregate(Arc::new(Aggregation::new(groups, aggregates, input, query)?)))
    }

    pub fn sink(&self) -> Arc<dyn Sink> {
        Arc::new(sink::AggregateSink(self.0.clone()))
    }

    /// All groups: keys first, then the aggregates.
    pub fn source(&self) -> Arc<dyn Source> {
        self.source_of(&(0..self.width()).collect::<Vec<_>>())
    }

    /// These columns of all groups. Every source gives them anew.
    pub fn source_of(&self, columns: &[usize]) -> Arc<dyn Source> {
        Arc::new(source::AggregateSource::new(self.0.clone(), columns))
    }

    /// How many columns there are.
    pub fn width(&self) -> usize {
        self.0.output.len()
    }
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

        let (mut calls, mut tail) = (Vec::new(), 0);
        let start = RowLayout::new(&key_shapes, WORD_BYTES, 0).tail;
        for aggregate in aggregates {
            let argument = aggregate.args.first().map(|arg| Input::compile(arg, input)).transpose()?;
            let filter = aggregate.filter.as_ref().map(|filter| Input::compile(filter, input)).transpose()?;
            let always = !groups.is_empty() && filter.is_none();
            let shape = argument.as_ref().map(Input::shape);
            let state = State::new(aggregate, shape, always, start + tail)?;
            tail += state.bytes();
            calls.push(Call { argument, filter, state });
        }
        let layout = RowLayout::new(&key_shapes, WORD_BYTES, tail);
        let output = key_shapes.into_iter().chain(calls.iter().map(|call| call.state.output.clone()));
        Ok(Aggregation {
            output: output.collect(),
            keys,
            packing,
            calls,
            layout: Arc::new(layout),
            memory: query.memory.clone(),
            settings: query.settings.clone(),
            collected: Mutex::default(),
            merged: Mutex::default(),
            result: OnceLock::new(),
        })
    }
}
