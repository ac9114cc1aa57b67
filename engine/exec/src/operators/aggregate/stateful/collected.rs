//! States that are all rows of a group: they are kept as they come, by columns, and put together by groups once all are in.
//! Rows of a group must not be dealt to several shards.

use super::ordered::{self, Gathered};
use super::{States, lists};
use crate::memory::{MemoryPool, Reservation};
use crate::plan::{KeyOrder, StateFunction, Stateful};
use crate::{Error, Result};
use columnar::kernels::take::take_values;
use columnar::{DataType, Flat, Scalar, Values, Vector, Views};
use std::any::Any;
use std::cmp::Ordering;
use std::sync::Arc;

/// The rows of all groups.
pub(super) struct Collected {
    call: Stateful,
    fraction: f64,
    data_type: DataType,
    groups: usize,
    chunks: Vec<Chunk>,
    rows: usize,
    /// Of `chunks`.
    memory: Reservation,
    /// Once settled: for each group where its places end.
    ends: Vec<usize>,
    /// Of all rows, by groups: the chunk and the row there.
    places: Vec<(u32, u32)>,
    /// Of `ends` and `places`, and for what is gathered of a group.
    settled: Reservation,
}

/// Rows as they came.
struct Chunk {
    groups: Vec<u32>,
    columns: Vec<Flat>,
}

/// Bytes of a chunk beside its rows.
const CHUNK_BYTES: usize = 256;
/// The longest text, list or map that is put together.
pub(super) const LONGEST_BYTES: usize = 256 << 20;

impl Collected {
    pub(super) fn new(
        call: Stateful,
        fraction: f64,
        data_type: DataType,
        memory: &Arc<MemoryPool>,
    ) -> Collected {
        Collected {
            call,
            fraction,
            data_type,
            groups: 0,
            chunks: Vec::new(),
            rows: 0,
            memory: memory.reservation("the values of an aggregate"),
            ends: Vec::new(),
            places: Vec::new(),
            settled: memory.reservation("the values of an aggregate"),
        }
    }

    /// How many columns are kept; a constant one is known.
    fn kept(&self) -> usize {
        match self.call.function {
            StateFunction::StringAgg | StateFunction::ArrayAgg | StateFunction::MapAgg => {
                self.own() + usize::from(self.call.order.keys)
            }
            _ => 1,
        }
    }

    /// How many columns are not keys to order by.
    fn own(&self) -> usize {
        match self.call.function {
            StateFunction::StringAgg | StateFunction::MapAgg => 2,
            _ => 1,
        }
    }

    /// The places of a group's rows.
    fn places(&self, group: u32) -> &[(u32, u32)] {
        let group = group as usize;
        let start = if group == 0 { 0 } else { self.ends[group - 1] };
        &self.places[start..self.ends[group]]
    }

    fn result(&self, group: u32) -> Result<Scalar> {
        let places = self.places(group);
        if places.is_empty() {
            return Ok(Scalar::Null);
        }
        let value = |&(chunk, row): &(u32, u32), column: usize| {
            self.chunks[chunk as usize].columns[column].scalar(row as usize)
        };
        let of_column = |column: usize| self.chunks[0].columns[column].data_type;
        match self.call.function {
            StateFunction::StringAgg => return self.joined(places),
            StateFunction::ArrayAgg => {
                let places = self.sorted(places)?;
                return lists::list(places.iter().map(|place| value(place, 0)), of_column(0));
            }
            StateFunction::MapAgg => {
                let places = self.sorted(places)?;
                let entries = places.iter().map(|place| (value(place, 0), value(place, 1)));
                return lists::map(entries, (of_column(0), of_column(1)));
            }
            StateFunction::Histogram => {
                return lists::histogram(places.iter().map(|place| value(place, 0)), of_column(0));
            }
            _ => {}
        }
        let column = |&(chunk, row): &(u32, u32)| (&self.chunks[chunk as usize].columns[0], row as usize);
        let gathered = Gathered::of(places.iter().map(column));
        let descending = self.call.order.is_descending(0);
        ordered::result(gathered, self.call.function, self.fraction, descending, self.data_type)
    }

    /// The text of a row in a column; of null, none.
    fn text(&self, (chunk, row): (u32, u32), column: usize) -> &[u8] {
        let flat = &self.chunks[chunk as usize].columns[column];
        match &flat.values {
            Values::View(views) if !flat.is_null(row as usize) => views.get(row as usize),
            _ => &[],
        }
    }

    /// The places in the order of the keys, if there are any.
    fn sorted(&self, places: &[(u32, u32)]) -> Result<Vec<(u32, u32)>> {
        if self.call.order.keys == 0 {
            return Ok(places.to_vec());
        }
        let own = self.own();
        let row = |&(chunk, row): &(u32, u32)| -> Result<SortedRow> {
            let (columns, row) = (&self.chunks[chunk as usize].columns, row as usize);
            let keys = columns[own..].iter().map(|column| column.scalar(row)).collect();
            // Rows of equal keys by their values, so that the answer does not hang on the order in which rows come.
            let mut values = [(false, Vec::new()), (false, Vec::new())];
            for (value, column) in values.iter_mut().zip(&columns[..own]) {
                let bytes = match &column.values {
                    Values::View(views) if !column.is_null(row) => views.get(row).to_vec(),
                    _ => lists::packed(&column.scalar(row), column.data_type)?,
                };
                *value = (column.is_null(row), bytes);
            }
            Ok(SortedRow { keys, own: values, order: self.call.order })
        };
        let mut rows = places.iter().map(|place| Ok((row(place)?, *place))).collect::<Result<Vec<_>>>()?;
        rows.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(rows.into_iter().map(|(_, place)| place).collect())
    }

    /// The texts of a group one after the other.
    fn joined(&self, places: &[(u32, u32)]) -> Result<Scalar> {
        let places = self.sorted(places)?;
        let mut joined = Vec::new();
        for (position, place) in places.into_iter().enumerate() {
            if position > 0 {
                joined.extend_from_slice(self.text(place, 1));
            }
            joined.extend_from_slice(self.text(place, 0));
            if joined.len() > LONGEST_BYTES {
                let what = format!("a text of string_agg() of more than {} MiB", LONGEST_BYTES >> 20);
                return Err(Error::Value(columnar::Error::OutOfRange { what }));
            }
        }
        Ok(Scalar::Bytes(joined))
    }
}

impl States for Collected {
    fn grow(&mut self, groups: usize) -> Result<()> {
        self.groups = self.groups.max(groups);
        Ok(())
    }

    fn update(&mut self, groups: &[u32], args: &[Flat]) -> Result<()> {
        if groups.is_empty() {
            return Ok(());
        }
        if self.chunks.len() >= u32::MAX as usize {
            return Err(Error::Unsupported("an aggregate over more than 2^32 batches".into()));
        }
        let kept = &args[..self.kept()];
        let of_column = |flat: &Flat| match &flat.values {
            Values::View(views) => views.iter().map(|text| size_of::<u128>() + text.len()).sum(),
            values => values.len() * values.physical().width_bytes().max(1),
        };
        let bytes: usize = kept.iter().map(of_column).sum();
        self.memory.grow((CHUNK_BYTES + size_of_val(groups) + bytes) as u64)?;
        let all: Vec<u32> = (0..groups.len() as u32).collect();
        // Of its own: what came may hold much more than these rows.
        let own = |flat: &Flat| {
            let values = match &flat.values {
                Values::View(views) => Values::View(Views::from_strings(views.iter())),
                values => take_values(values, &all),
            };
            Flat::new(flat.data_type, values, flat.validity.clone())
        };
        self.chunks.push(Chunk { groups: groups.to_vec(), columns: kept.iter().map(own).collect() });
        self.rows += groups.len();
        Ok(())
    }

    fn absorb(
        &mut self,
        other: &mut (dyn States + 'static),
        groups: &[u32],
        _from: usize,
    ) -> Result<Option<usize>> {
        let other: &mut dyn Any = other;
        let Some(other) = other.downcast_mut::<Collected>() else {
            return Err(Error::Internal("states of two aggregates cannot be merged".into()));
        };
        let Some(mut chunk) = other.chunks.pop() else { return Ok(None) };
        for group in &mut chunk.groups {
            *group = groups[*group as usize];
        }
        if other.chunks.is_empty() {
            self.memory.grow(other.memory.bytes())?;
            other.memory.resize(0)?;
        }
        self.rows += chunk.groups.len();
        self.chunks.push(chunk);
        Ok(Some(0))
    }

    fn settle(&mut self, from: usize) -> Result<Option<usize>> {
        let chunks = self.chunks.len();
        if from == 0 {
            let places = self.rows * size_of::<(u32, u32)>();
            self.settled.resize((self.groups * size_of::<usize>() + places) as u64)?;
            self.ends = vec![0; self.groups];
        }
        if from < chunks {
            self.chunks[from].groups.iter().for_each(|&group| self.ends[group as usize] += 1);
            return Ok(Some(from + 1));
        }
        if from == chunks {
            // Counts become starts, which move to the ends as rows take their places.
            let (mut start, mut largest) = (0, 0);
            for end in &mut self.ends {
                largest = largest.max(*end);
                start += std::mem::replace(end, start);
            }
            // What is gathered of a group at a time, as its values are wide.
            self.settled.grow((largest * size_of::<Scalar>()) as u64)?;
            self.places = vec![(0, 0); self.rows];
        }
        let Some(chunk) = self.chunks.get(from - chunks) else { return Ok(None) };
        for (row, &group) in chunk.groups.iter().enumerate() {
            let place = &mut self.ends[group as usize];
            self.places[*place] = ((from - chunks) as u32, row as u32);
            *place += 1;
        }
        Ok(Some(from + 1))
    }

    fn weight(&self, group: u32) -> usize {
        self.places(group).len()
    }

    fn results(&self, groups: &[u32]) -> Result<Vector> {
        let results = groups.iter().map(|&group| self.result(group)).collect::<Result<Vec<Scalar>>>()?;
        Ok(Vector::from_scalars(self.data_type, &results))
    }
}

/// A row in the order of its keys, then of its own values, nulls last.
struct SortedRow {
    keys: Vec<Scalar>,
    own: [(bool, Vec<u8>); 2],
    order: KeyOrder,
}

impl Ord for SortedRow {
    fn cmp(&self, other: &SortedRow) -> Ordering {
        let of_key = |(key, (a, b)): (usize, (&Scalar, &Scalar))| {
            let null = if self.order.has_nulls_first(key) { Ordering::Less } else { Ordering::Greater };
            match (matches!(a, Scalar::Null), matches!(b, Scalar::Null)) {
                (true, true) => Ordering::Equal,
                (true, false) => null,
                (false, true) => null.reverse(),
                (false, false) => {
                    let order = a.compare(b).unwrap_or(Ordering::Equal);
                    if self.order.is_descending(key) { order.reverse() } else { order }
                }
            }
        };
        let pairs = self.keys.iter().zip(&other.keys).enumerate();
        let by_keys = pairs.map(of_key).find(|&order| order != Ordering::Equal);
        by_keys.unwrap_or_else(|| self.own.cmp(&other.own))
    }
}

impl PartialOrd for SortedRow {
    fn partial_cmp(&self, other: &SortedRow) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for SortedRow {
    fn eq(&self, other: &SortedRow) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for SortedRow {}
