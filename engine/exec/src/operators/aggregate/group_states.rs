//! Aggregates of groups that somebody else tells apart, by numbers from 0 on: states, to which rows and other states are
//! added, and from which results come. Every [`crate::plan::AggregateFunction`] can be computed so, by whoever has groups
//! of his own: a hash aggregation ([`super::general`]), or frames of rows.
//!
//! ```text
//! let calls = GroupCalls::new(&aggregates, &input_shapes)?;        // once
//! let mut states = calls.states(&memory);                         // once a task
//! states.grow(groups)?;  states.update(&batch, &group_of_row)?;   // over and over
//! states.absorb(&mut others, &group_of_other, position)?;         // where several tasks have states
//! states.settle(position)?;                                       // once all is in
//! let results = states.finish()?;  results.read(call, &groups)?;  // in any order, as often as wanted
//! ```

use super::Call;
use super::sink::rows_of;
use super::state::{Keep, Rows, State};
use super::stateful::{States, states_of};
use crate::memory::MemoryPool;
use crate::operators::keys::Input;
use crate::pages::{FrozenRows, Heap, RowLayout, RowPages};
use crate::plan::{self, AggregateFunction};
use crate::{Error, Result, Shape};
use columnar::bitmap::both_valid;
use columnar::kernels::take::{indices_of, take};
use columnar::{Batch, Flat, Values, Vector, View};
use std::sync::Arc;

/// Aggregates, compiled.
pub struct GroupCalls {
    calls: Vec<Compiled>,
    /// Of the states that lie in rows.
    layout: Arc<RowLayout>,
}

/// One aggregate and where its states lie.
enum Compiled {
    InRows(Call),
    Beside(Beside),
}

struct Beside {
    aggregate: plan::Aggregate,
    call: plan::Stateful,
    args: Vec<Input>,
    filter: Option<Input>,
    /// How many of the arguments must not be null.
    strict: usize,
}

/// The states of some groups.
pub struct GroupStates {
    calls: Arc<GroupCalls>,
    /// A row a group, where any states lie in rows.
    rows: RowPages,
    /// By call: the states that lie beside rows.
    beside: Vec<Option<Box<dyn States>>>,
    groups: usize,
}

/// The results of some groups.
pub struct GroupResults {
    calls: Arc<GroupCalls>,
    rows: FrozenRows,
    beside: Vec<Option<Box<dyn States>>>,
}

/// How far [`GroupStates::absorb`] or [`GroupStates::settle`] came.
#[derive(Clone, Copy, Debug, Default)]
pub struct Position {
    call: usize,
    part: usize,
}

/// Groups merged at a time.
const CHUNK: usize = 2048;
/// Values of which results are computed at a time.
const VALUES_AT_ONCE: usize = 1 << 16;
/// The bit that tells numbers of rows that are absorbed from those that absorb them; there are never so many.
const OTHER: u32 = 1 << 31;

impl GroupCalls {
    /// `input` are the shapes of the rows that arguments and filters refer to.
    pub fn new(aggregates: &[plan::Aggregate], input: &[Shape]) -> Result<Arc<GroupCalls>> {
        let start = RowLayout::new(&[], 0, 0).tail;
        let (mut calls, mut tail) = (Vec::with_capacity(aggregates.len()), 0);
        for aggregate in aggregates {
            let args = aggregate.args.iter().map(|arg| Input::compile(arg, input));
            let mut args = args.collect::<Result<Vec<_>>>()?;
            let filter = aggregate.filter.as_ref().map(|filter| Input::compile(filter, input)).transpose()?;
            calls.push(match aggregate.function {
                AggregateFunction::Stateful(call) => {
                    let strict = if call.takes_states() { 1 } else { call.function.strict_arguments() };
                    Compiled::Beside(Beside { aggregate: aggregate.clone(), call, args, filter, strict })
                }
                _ => {
                    let argument = if args.is_empty() { None } else { Some(args.remove(0)) };
                    let shape = argument.as_ref().map(Input::shape);
                    let state = State::new(aggregate, shape, false, start + tail)?;
                    tail += state.bytes();
                    Compiled::InRows(Call { argument, filter, state })
                }
            });
        }
        Ok(Arc::new(GroupCalls { calls, layout: Arc::new(RowLayout::new(&[], 0, tail)) }))
    }

    /// The shapes of the results.
    pub fn output(&self) -> Vec<Shape> {
        let shape = |call: &Compiled| match call {
            Compiled::InRows(call) => call.state.output.clone(),
            Compiled::Beside(beside) => Shape::of_type(beside.aggregate.data_type),
        };
        self.calls.iter().map(shape).collect()
    }

    /// States of no groups.
    pub fn states(self: &Arc<Self>, memory: &Arc<MemoryPool>) -> Result<GroupStates> {
        let states = |call: &Compiled| match call {
            Compiled::InRows(_) => Ok(None),
            Compiled::Beside(beside) => states_of(&beside.aggregate, beside.call, memory).map(Some),
        };
        let beside = self.calls.iter().map(states).collect::<Result<Vec<_>>>()?;
        let rows = RowPages::new(&self.layout, memory, "the groups of an aggregation");
        Ok(GroupStates { calls: self.clone(), rows, beside, groups: 0 })
    }

    fn has_rows(&self) -> bool {
        self.calls.iter().any(|call| matches!(call, Compiled::InRows(_)))
    }
}

impl GroupStates {
    /// How many groups there are.
    pub fn groups(&self) -> usize {
        self.groups
    }

    /// Makes sure that there are this many groups; new ones have no rows.
    pub fn grow(&mut self, groups: usize) -> Result<()> {
        self.groups = self.groups.max(groups);
        if self.calls.has_rows() {
            while self.rows.rows() < groups {
                self.rows.push()?;
            }
        }
        self.beside.iter_mut().flatten().try_for_each(|states| states.grow(groups))
    }

    /// Takes the rows of a batch without a selection: row i into group `groups[i]`, which is there.
    pub fn update(&mut self, batch: &Batch, groups: &[u32]) -> Result<()> {
        let calls = self.calls.clone();
        for (call, states) in calls.calls.iter().zip(&mut self.beside) {
            match (call, states) {
                (Compiled::InRows(call), _) => {
                    let taken = call.take(batch)?;
                    let numbers = chosen(groups, taken.positions.as_deref());
                    let pointers: Vec<*mut u8> =
                        numbers.iter().map(|&group| self.rows.pointer_mut(group)).collect();
                    let active = taken.active.as_deref();
                    let rows = Rows { active, numbers: &numbers, pointers: &pointers };
                    call.state.update(taken.argument.as_ref(), &rows, &mut self.rows)?;
                }
                (Compiled::Beside(beside), Some(states)) => {
                    let (args, positions) = beside.take(batch)?;
                    states.update(&chosen(groups, positions.as_deref()), &args)?;
                }
                (Compiled::Beside(_), None) => return Err(missing()),
            }
        }
        Ok(())
    }

    /// Adds states of the same calls: those of their group g to group `groups[g]`, which is there. Takes a part at a time:
    /// begins at the default position and gives where to go on, or `None` once all is taken.
    pub fn absorb(
        &mut self,
        other: &mut GroupStates,
        groups: &[u32],
        position: Position,
    ) -> Result<Option<Position>> {
        let Position { call, part } = position;
        let calls = self.calls.clone();
        let rest = match (calls.calls.get(call), self.beside.get_mut(call), other.beside.get_mut(call)) {
            (None, ..) => return Ok(None),
            (Some(Compiled::InRows(call)), ..) => {
                let end = groups.len().min(part + CHUNK);
                let numbers: Vec<u32> = (part..end).map(|group| group as u32 | OTHER).collect();
                let others: Vec<*const u8> =
                    (part..end).map(|group| other.rows.pointer(group as u32)).collect();
                let into = &groups[part..end];
                let pointers: Vec<*mut u8> = into.iter().map(|&group| self.rows.pointer_mut(group)).collect();
                let mut heap = Both { own: &mut self.rows, other: &other.rows };
                call.state.merge((into, &pointers), (&numbers, &others), &mut heap)?;
                (end < groups.len()).then_some(end)
            }
            (Some(Compiled::Beside(_)), Some(Some(own)), Some(Some(other))) => {
                own.absorb(other.as_mut(), groups, part)?
            }
            _ => return Err(missing()),
        };
        Ok(Some(rest.map_or(Position { call: call + 1, part: 0 }, |part| Position { call, part })))
    }

    /// What is to be done once all is in, a part at a time as [`GroupStates::absorb`].
    pub fn settle(&mut self, position: Position) -> Result<Option<Position>> {
        let Position { call, part } = position;
        let Some(states) = self.beside.get_mut(call) else { return Ok(None) };
        let rest = states.as_mut().map_or(Ok(None), |states| states.settle(part))?;
        Ok(Some(rest.map_or(Position { call: call + 1, part: 0 }, |part| Position { call, part })))
    }

    /// The results, once settled.
    pub fn finish(self) -> Result<GroupResults> {
        let rows = FrozenRows::new(&self.calls.layout, vec![self.rows])?;
        Ok(GroupResults { calls: self.calls, rows, beside: self.beside })
    }
}

impl GroupResults {
    /// How many of the first of these groups can be read within a step's time: at least one, however large it is.
    pub fn at_once(&self, groups: &[u32]) -> usize {
        let weight = |&group: &u32| -> usize {
            1 + self.beside.iter().flatten().map(|states| states.weight(group)).sum::<usize>()
        };
        let mut left = VALUES_AT_ONCE;
        let fits = |group: &&u32| {
            let was_left = left > 0;
            left = left.saturating_sub(weight(group));
            was_left
        };
        groups.iter().take_while(fits).count()
    }

    /// The results of a call for these groups.
    pub fn read(&self, call: usize, groups: &[u32]) -> Result<Vector> {
        match (self.calls.calls.get(call), self.beside.get(call)) {
            (Some(Compiled::InRows(call)), _) => {
                call.state.finish(&self.rows, groups, &self.rows.pointers(groups))
            }
            (Some(Compiled::Beside(_)), Some(Some(states))) => states.results(groups),
            _ => Err(missing()),
        }
    }
}

impl Beside {
    /// The arguments of the rows that count, and which those are where not all do.
    fn take(&self, batch: &Batch) -> Result<(Vec<Flat>, Option<Vec<u32>>)> {
        let mut positions: Option<Vec<u32>> = None;
        let mut filtered = None;
        if let Some(filter) = &self.filter {
            let flat = filter.evaluate(batch)?.flatten();
            let Values::Bool(bits) = flat.values else {
                return Err(Error::Internal("a filter is not boolean".into()));
            };
            let bits = both_valid(Some(&bits), flat.validity.as_ref());
            if let Some(bits) = bits.filter(|bits| !bits.all()) {
                let rows = indices_of(&bits);
                filtered = Some(rows_of(batch, &rows));
                positions = Some(rows);
            }
        }
        // Arguments are evaluated only where the filter is true: elsewhere they may fail.
        let batch = filtered.as_ref().unwrap_or(batch);
        let mut args = self.args.iter().map(|arg| arg.evaluate(batch)).collect::<Result<Vec<Vector>>>()?;
        let mut valid = None;
        for arg in args.iter().take(self.strict) {
            valid = both_valid(valid.as_ref(), arg.validity().as_ref());
        }
        if let Some(valid) = valid.filter(|valid| !valid.all()) {
            let rows = indices_of(&valid);
            args = args.iter().map(|arg| take(arg, &rows)).collect();
            positions = Some(chosen_of(positions, rows));
        }
        Ok((args.iter().map(Vector::flatten).collect(), positions))
    }
}

/// The groups at those positions, if not at all.
fn chosen<'g>(groups: &'g [u32], positions: Option<&[u32]>) -> std::borrow::Cow<'g, [u32]> {
    match positions {
        None => groups.into(),
        Some(positions) => positions.iter().map(|&position| groups[position as usize]).collect(),
    }
}

/// The positions that are left of some where those at `rows` are taken.
fn chosen_of(positions: Option<Vec<u32>>, rows: Vec<u32>) -> Vec<u32> {
    match positions {
        None => rows,
        Some(positions) => rows.iter().map(|&row| positions[row as usize]).collect(),
    }
}

fn missing() -> Error {
    Error::Internal("states of an aggregate are missing".into())
}

/// Strings of rows that absorb others, and of those.
struct Both<'r> {
    own: &'r mut RowPages,
    other: &'r RowPages,
}

impl Heap for Both<'_> {
    fn long(&self, row: u32, view: View) -> &[u8] {
        if row & OTHER == 0 { self.own.long_bytes(view) } else { self.other.long_bytes(view) }
    }
}

impl Keep for Both<'_> {
    fn keep(&mut self, _: u32, bytes: &[u8]) -> Result<View> {
        self.own.keep(bytes)
    }
}
