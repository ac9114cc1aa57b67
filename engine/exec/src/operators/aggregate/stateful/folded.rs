//! States of a fixed form: rows are folded into them one after the other, and two can be merged.

use super::States;
use crate::memory::{MemoryPool, Reservation};
use crate::plan::Stateful;
use crate::{Error, Result};
use columnar::{DataType, Flat, Scalar, Values, Vector};
use std::any::Any;
use std::sync::Arc;

/// How rows are folded.
pub(super) trait Fold: Send + Sync + 'static {
    /// What is kept for a group; the default is that of no rows.
    type State: Clone + Default + Send + Sync + 'static;

    /// Takes rows, row i into `states[groups[i]]`. Gives by how many bytes what states keep beside themselves grew.
    fn update(&self, states: &mut [Self::State], groups: &[u32], args: &[Flat]) -> Result<isize>;

    /// Adds a state to another; gives what [`Fold::update`] gives.
    fn merge(&self, state: &mut Self::State, other: &Self::State) -> Result<isize>;

    /// Whether it took no row.
    fn is_empty(&self, state: &Self::State) -> bool;

    /// The result of a state that took rows, as a value of that type.
    fn finish(&self, state: &Self::State, data_type: DataType) -> Result<Scalar>;

    /// The state as bytes, from which [`Fold::read`] makes it again.
    fn write(&self, state: &Self::State) -> Vec<u8>;

    /// `None` where the bytes are no state.
    fn read(&self, bytes: &[u8]) -> Option<Self::State>;

    /// The most bytes that such rows may make states keep beside themselves.
    fn most_growth(&self, _args: &[Flat]) -> usize {
        0
    }

    /// The most bytes that a state read from this many bytes may keep beside itself.
    fn most_read(&self, _bytes: usize) -> usize {
        0
    }
}

/// The states of all groups.
pub(super) struct Folded<F: Fold> {
    fold: F,
    call: Stateful,
    data_type: DataType,
    states: Vec<F::State>,
    /// Of `states`.
    memory: Reservation,
    /// Of what they keep beside themselves.
    beside: Reservation,
}

/// States merged at a time.
const CHUNK: usize = 2048;

impl<F: Fold> Folded<F> {
    pub(super) fn new(fold: F, call: Stateful, data_type: DataType, memory: &Arc<MemoryPool>) -> Folded<F> {
        let (memory, beside) = (
            memory.reservation("the states of an aggregate"),
            memory.reservation("the states of an aggregate"),
        );
        Folded { fold, call, data_type, states: Vec::new(), memory, beside }
    }

    /// Has `change` make states larger by at most `most` bytes.
    fn growing(
        &mut self,
        most: usize,
        change: impl FnOnce(&F, &mut [F::State]) -> Result<isize>,
    ) -> Result<()> {
        let before = self.beside.bytes();
        self.beside.grow(most as u64)?;
        let grown = change(&self.fold, &mut self.states)?;
        self.beside.resize(before.saturating_add_signed(grown as i64))
    }
}

impl<F: Fold> States for Folded<F> {
    fn grow(&mut self, groups: usize) -> Result<()> {
        if groups > self.states.capacity() {
            let capacity = groups.next_power_of_two().max(16);
            self.memory.resize((capacity * size_of::<F::State>()) as u64)?;
            self.states.reserve_exact(capacity - self.states.len());
        }
        if groups > self.states.len() {
            self.states.resize(groups, F::State::default());
        }
        Ok(())
    }

    fn update(&mut self, groups: &[u32], args: &[Flat]) -> Result<()> {
        if !self.call.takes_states() {
            let most = self.fold.most_growth(args);
            return self.growing(most, |fold, states| fold.update(states, groups, args));
        }
        let Some(Values::View(views)) = args.first().map(|flat| &flat.values) else {
            return Err(Error::Internal("states of an aggregate that are no bytes".into()));
        };
        let name = self.call.function.name();
        for (row, &group) in groups.iter().enumerate() {
            let bytes = views.get(row);
            let most = self.fold.most_read(bytes.len());
            self.growing(most, |fold, states| {
                let state = fold.read(bytes);
                let state =
                    state.ok_or_else(|| Error::Exchange(format!("what came is no state of {name}()")))?;
                fold.merge(&mut states[group as usize], &state)
            })?;
        }
        Ok(())
    }

    fn absorb(
        &mut self,
        other: &mut (dyn States + 'static),
        groups: &[u32],
        from: usize,
    ) -> Result<Option<usize>> {
        let other: &mut dyn Any = other;
        let Some(other) = other.downcast_mut::<Folded<F>>() else {
            return Err(Error::Internal("states of two aggregates cannot be merged".into()));
        };
        let end = other.states.len().min(from + CHUNK);
        // What states keep beside themselves is kept twice until `other` goes.
        let most = other.beside.bytes() as usize;
        self.growing(most, |fold, states| {
            let mut grown = 0;
            for (state, &group) in other.states[from..end].iter().zip(&groups[from..end]) {
                if !fold.is_empty(state) {
                    grown += fold.merge(&mut states[group as usize], state)?;
                }
            }
            Ok(grown)
        })?;
        if end < other.states.len() {
            return Ok(Some(end));
        }
        other.states = Vec::new();
        other.memory.resize(0)?;
        other.beside.resize(0)?;
        Ok(None)
    }

    fn results(&self, groups: &[u32]) -> Result<Vector> {
        let result = |&group: &u32| {
            let state = &self.states[group as usize];
            match (self.fold.is_empty(state), self.call.gives_states()) {
                (true, _) => Ok(Scalar::Null),
                (false, true) => Ok(Scalar::Bytes(self.fold.write(state))),
                (false, false) => self.fold.finish(state, self.data_type),
            }
        };
        let results = groups.iter().map(result).collect::<Result<Vec<Scalar>>>()?;
        Ok(Vector::from_scalars(self.data_type, &results))
    }
}

/// Numbers one after the other, as the bytes of a state.
pub(super) fn write_words<const N: usize>(words: [u64; N]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// Reads what [`write_words`] wrote.
pub(super) fn read_words<const N: usize>(bytes: &[u8]) -> Option<[u64; N]> {
    let (words, rest) = bytes.as_chunks::<8>();
    let words: &[[u8; 8]; N] = words.try_into().ok().filter(|_| rest.is_empty())?;
    Some(words.map(u64::from_le_bytes))
}
