//! Whole partitions, one after the other, as a task has gathered them; and where each of some rows stands among them.

use super::Windowing;
use super::frame::Keys;
use super::state::State;
use crate::Result;
use crate::memory::Reservation;
use crate::operator::Step;
use crate::pages::FrozenRows;
use columnar::Flat;

/// Rows of a unit. Places count from its first row.
pub(super) struct Unit {
    /// The unit's first place among all rows.
    origin: usize,
    rows: usize,
    /// The numbers of its rows among those of the sort.
    pub(super) numbers: Vec<u32>,
    /// Where partitions start; once all is gathered, also the end of the last.
    pub(super) partitions: Vec<u32>,
    /// The same of groups of peers.
    pub(super) peers: Vec<u32>,
    /// One a call.
    pub(super) states: Vec<State>,
    /// One a frame, of those that need them.
    pub(super) keys: Vec<Option<Keys>>,
    gathered: bool,
    _memory: Reservation,
}

/// Rows that are looked at on the way in.
pub(super) struct Chunk<'a> {
    pub(super) rows: &'a FrozenRows,
    /// Of the unit so far, these rows among them.
    pub(super) numbers: &'a [u32],
    /// The first one.
    pub(super) from: usize,
    /// Starts of partitions among these rows.
    pub(super) starts: &'a [u32],
}

impl Chunk<'_> {
    /// The values of a field.
    pub(super) fn read(&self, field: usize) -> Flat {
        let numbers = &self.numbers[self.from..];
        self.rows.read(field, numbers, &self.rows.pointers(numbers), false).flatten()
    }

    /// For each row its place, and whether its partition starts there.
    pub(super) fn places(&self) -> impl Iterator<Item = (u32, bool)> {
        let mut starts = self.starts.iter().copied().peekable();
        (self.from as u32..self.numbers.len() as u32)
            .map(move |place| (place, starts.next_if_eq(&place).is_some()))
    }
}

/// Rows gathered between looks at the clock.
const CHUNK_ROWS: usize = 4 << 10;

impl Unit {
    /// A unit of the rows at the places `bounds` among all, nothing of which is gathered yet.
    pub(super) fn new(shared: &Windowing, (begin, end): (usize, usize)) -> Result<Unit> {
        let rows = end - begin;
        let mut memory = shared.memory.reservation("the partitions of a window");
        memory.grow(shared.bytes_a_row * rows as u64)?;
        Ok(Unit {
            origin: begin,
            rows,
            numbers: Vec::with_capacity(rows),
            partitions: Vec::new(),
            peers: Vec::new(),
            states: shared.calls.iter().map(|call| call.state(shared, rows)).collect(),
            keys: shared.frames.iter().map(|frame| frame.keys(rows)).collect(),
            gathered: false,
            _memory: memory,
        })
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Gathers for as long as the step may take; true once all is there.
    pub(super) fn gather(&mut self, shared: &Windowing, step: &Step<'_>) -> Result<bool> {
        let (units, rows) = (shared.units()?, shared.sorted.rows()?);
        while self.numbers.len() < self.rows {
            let from = self.numbers.len();
            let to = self.rows.min(from + CHUNK_ROWS);
            let known = self.partitions.len();
            let places = (self.origin + from, self.origin + to);
            units.read(shared, places, self.origin, &mut self.numbers, &mut self.partitions)?;
            let chunk = Chunk { rows, numbers: &self.numbers, from, starts: &self.partitions[known..] };
            for (place, starts) in chunk.places() {
                let at = place as usize;
                let alike = |a: u32, b: u32| {
                    shared.sorted.are_alike(rows, shared.partition_keys..shared.peer_keys, a, b)
                };
                if starts || !alike(chunk.numbers[at - 1], chunk.numbers[at]) {
                    self.peers.push(place);
                }
            }
            for (frame, keys) in shared.frames.iter().zip(&mut self.keys) {
                if let Some(keys) = keys {
                    frame.gather(keys, &chunk)?;
                }
            }
            for (call, state) in shared.calls.iter().zip(&mut self.states) {
                state.gather(call, &chunk)?;
            }
            if step.expired() {
                return Ok(false);
            }
        }
        if !self.gathered {
            self.partitions.push(self.rows as u32);
            self.peers.push(self.rows as u32);
            self.gathered = true;
        }
        Ok(true)
    }
}

/// The partition and the group of peers of a row, by their numbers in the unit.
#[derive(Clone, Copy, Default)]
pub(super) struct Cursor {
    partition: usize,
    group: usize,
    /// The first group of the partition.
    first_group: usize,
}

/// Where a row stands.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) row: u32,
    /// The partition's first row, and the one after its last.
    pub(super) partition: (u32, u32),
    /// The same of its peers.
    pub(super) peers: (u32, u32),
    /// The number of its group of peers in the unit, and of the partition's first.
    pub(super) group: u32,
    pub(super) first_group: u32,
}

impl Cursor {
    /// That of a row of a unit that is gathered.
    pub(super) fn at(unit: &Unit, row: usize) -> Cursor {
        let row = row as u32;
        // Of the starts, of which the first is 0, the last that is not after it.
        let last = |starts: &[u32], row: u32| starts.partition_point(|&start| start <= row).saturating_sub(1);
        let partition = last(&unit.partitions, row);
        let first_group = unit.partitions.get(partition).map_or(0, |&start| last(&unit.peers, start));
        Cursor { partition, group: last(&unit.peers, row), first_group }
    }

    /// Where the rows `from .. to` of a unit that is gathered stand; rows are asked for in order.
    pub(super) fn places(&mut self, unit: &Unit, from: usize, to: usize) -> Vec<Place> {
        let place = |row: u32| {
            if unit.partitions[self.partition + 1] <= row {
                self.partition += 1;
                self.first_group = self.group + 1;
            }
            if unit.peers[self.group + 1] <= row {
                self.group += 1;
            }
            Place {
                row,
                partition: (unit.partitions[self.partition], unit.partitions[self.partition + 1]),
                peers: (unit.peers[self.group], unit.peers[self.group + 1]),
                group: self.group as u32,
                first_group: self.first_group as u32,
            }
        };
        (from as u32..to as u32).map(place).collect()
    }
}
