//! The second phase: rows of equal keys, which several tasks and emptied tables left, become one.

use super::state::Keep;
use super::{Aggregation, Merged};
use crate::operator::{Progress, Step, Work};
use crate::pages::cell::load;
use crate::pages::{FrozenRows, Heap, RowPages, equal_rows};
use crate::{Error, Result};
use columnar::View;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// Merges some partitions, one after the other.
pub(super) struct MergeWork {
    shared: Arc<Aggregation>,
    /// Partitions still to be merged.
    partitions: Vec<Vec<RowPages>>,
    current: Option<Merging>,
    done: Vec<Merged>,
    /// How many pieces of work there are in all.
    pieces: usize,
}

/// Rows merged at a time.
const CHUNK_ROWS: usize = 2048;

impl MergeWork {
    pub(super) fn new(shared: Arc<Aggregation>, partitions: Vec<Vec<RowPages>>, pieces: usize) -> MergeWork {
        MergeWork { shared, partitions, current: None, done: Vec::new(), pieces }
    }
}

impl Work for MergeWork {
    fn advance(&mut self, step: &Step<'_>) -> Result<Progress> {
        loop {
            match &mut self.current {
                None if self.shared.found.load(Relaxed) >= self.shared.enough() => break,
                None => match self.partitions.pop() {
                    Some(collections) => self.current = Some(Merging::new(&self.shared, collections)?),
                    None => break,
                },
                Some(merging) if !merging.rows.is_read() => merging.take_chunk(&self.shared)?,
                Some(_) => self
                    .done
                    .extend(self.current.take().map(|merging| merging.finish(&self.shared)).transpose()?),
            }
            if step.expired() {
                return Ok(Progress::Yield);
            }
        }
        self.shared.piece_done(&mut self.done, self.pieces)?;
        Ok(Progress::Ready)
    }
}

/// One partition under way.
struct Merging {
    rows: Collections,
    /// The low half of a hash and the number of a row plus one; empty where no two rows can be alike.
    slots: Vec<u64>,
    _slot_memory: crate::memory::Reservation,
    /// The numbers of the rows that count.
    numbers: Vec<u32>,
    /// The most of these that are wanted.
    enough: usize,
}

impl Merging {
    fn new(shared: &Aggregation, mut collections: Vec<RowPages>) -> Result<Merging> {
        collections.iter_mut().try_for_each(RowPages::reload)?;
        let total: usize = collections.iter().map(RowPages::rows).sum();
        let mut memory = shared.memory.reservation("the merge of an aggregation");
        let mut slots = Vec::new();
        if collections.len() > 1 {
            let count = (2 * total.min(shared.enough())).next_power_of_two().max(16);
            memory.grow(8 * count as u64)?;
            slots = vec![0; count];
        }
        memory.grow(4 * total as u64)?;
        let rows = Collections::new(collections)?;
        let numbers = Vec::with_capacity(total);
        Ok(Merging { rows, slots, _slot_memory: memory, numbers, enough: shared.enough() })
    }

    fn take_chunk(&mut self, shared: &Aggregation) -> Result<()> {
        let (mut into, mut from) = (Vec::new(), Vec::new());
        for number in self.rows.next_numbers(CHUNK_ROWS) {
            if shared.is_unwanted(load(self.rows.pointer(number), 0)) {
                continue;
            }
            let earlier = if self.slots.is_empty() { None } else { self.seek(shared, number) };
            match earlier {
                Some(earlier) => {
                    into.push(earlier);
                    from.push(number);
                }
                None if self.numbers.len() < self.enough => self.numbers.push(number),
                None => {}
            }
        }
        if !into.is_empty() {
            let pointers: Vec<*mut u8> = into.iter().map(|&row| self.rows.pointer_mut(row)).collect();
            let others: Vec<*const u8> = from.iter().map(|&row| self.rows.pointer(row)).collect();
            for call in &shared.calls {
                call.state.merge((&into, &pointers), (&from, &others), &mut self.rows)?;
            }
        }
        Ok(())
    }

    /// An earlier row of the same key; without one the row takes a slot, unless there are enough.
    #[inline]
    fn seek(&mut self, shared: &Aggregation, number: u32) -> Option<u32> {
        let row = self.rows.pointer(number);
        let word = load::<u64>(row, 0);
        let hash = shared.hash_of(word);
        let mask = self.slots.len() - 1;
        let mut slot = hash as usize & mask;
        loop {
            let entry = self.slots[slot & mask];
            if entry as u32 == 0 {
                if self.numbers.len() < self.enough {
                    self.slots[slot & mask] = hash << 32 | u64::from(number + 1);
                }
                return None;
            }
            if (entry >> 32) as u32 == hash as u32 {
                let earlier = entry as u32 - 1;
                let other = self.rows.pointer(earlier);
                if load::<u64>(other, 0) == word
                    && (shared.packing.is_some()
                        || equal_rows(
                            &shared.layout.fields,
                            (number, row, &self.rows),
                            (earlier, other, &self.rows),
                        ))
                {
                    return Some(earlier);
                }
            }
            slot += 1;
        }
    }

    fn finish(self, shared: &Aggregation) -> Result<Merged> {
        shared.found.fetch_add(self.numbers.len(), Relaxed);
        let rows = FrozenRows::new(&shared.layout, self.rows.collections)?;
        Ok(Merged { rows, numbers: self.numbers, first_word: None })
    }
}

/// Collections under one numbering, the one that [`FrozenRows`] will give them.
struct Collections {
    collections: Vec<RowPages>,
    /// For each page its collection and its place there.
    pages: Vec<(u32, u32)>,
    first_pages: Vec<usize>,
    shift: u32,
    /// The collection and the row there that come next.
    next: (usize, usize),
}

impl Collections {
    fn new(collections: Vec<RowPages>) -> Result<Collections> {
        let shift = collections.first().map_or(0, |rows| rows.layout().page_shift);
        let (mut pages, mut first_pages) = (Vec::new(), Vec::new());
        for (index, rows) in collections.iter().enumerate() {
            first_pages.push(pages.len());
            pages.extend((0..rows.page_count()).map(|page| (index as u32, page as u32)));
        }
        if (pages.len() << shift) as u64 >= u64::from(u32::MAX) {
            return Err(Error::Unsupported("an aggregation of more than 2^32 groups".into()));
        }
        Ok(Collections { collections, pages, first_pages, shift, next: (0, 0) })
    }

    fn is_read(&self) -> bool {
        self.next.0 == self.collections.len()
    }

    /// The numbers of the next rows, at most `count`.
    fn next_numbers(&mut self, count: usize) -> std::ops::Range<u32> {
        let (collection, row) = self.next;
        let Some(rows) = self.collections.get(collection) else { return 0..0 };
        let end = rows.rows().min(row + count);
        let first = (self.first_pages[collection] << self.shift) as u32;
        self.next = if end == rows.rows() { (collection + 1, 0) } else { (collection, end) };
        first + row as u32..first + end as u32
    }

    /// The collection of a row and its number there.
    #[inline(always)]
    fn locate(&self, number: u32) -> (usize, u32) {
        let (collection, page) = self.pages[(number >> self.shift) as usize];
        (collection as usize, page << self.shift | number & ((1 << self.shift) - 1))
    }

    #[inline(always)]
    fn pointer(&self, number: u32) -> *const u8 {
        let (collection, row) = self.locate(number);
        self.collections[collection].pointer(row)
    }

    fn pointer_mut(&mut self, number: u32) -> *mut u8 {
        let (collection, row) = self.locate(number);
        self.collections[collection].pointer_mut(row)
    }
}

impl Heap for Collections {
    fn long(&self, row: u32, view: View) -> &[u8] {
        self.collections[self.locate(row).0].long_bytes(view)
    }
}

impl Keep for Collections {
    fn keep(&mut self, row: u32, bytes: &[u8]) -> Result<View> {
        let collection = self.locate(row).0;
        self.collections[collection].keep(bytes)
    }
}
