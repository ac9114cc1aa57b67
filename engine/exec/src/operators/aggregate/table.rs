//! From keys to the rows of their groups.

use super::state::Keep;
use super::{Aggregation, WORD_BYTES};
use crate::Result;
use crate::hash::Hasher;
use crate::memory::Reservation;
use crate::pages::cell::{load, store};
use crate::pages::{Field, Partitions, RowPages, equal_rows, equal_to_vector};
use columnar::{Flat, Vector, View, kernels::take};
use std::sync::Arc;

/// Where the rows of groups lie.
pub(super) trait GroupRows: Keep {
    /// Appends a row of zeros for a key of that hash, and gives its number.
    fn push(&mut self, hash: u64) -> Result<u32>;
    fn pointer(&self, row: u32) -> *const u8;
    fn pointer_mut(&mut self, row: u32) -> *mut u8;
    /// As [`RowPages::write`].
    fn write(&mut self, field: &Field, vector: &Vector, rows: &[u32], pointers: &[*mut u8]) -> Result<()>;
}

/// Groups' rows and a table that leads to them. A slot is found by the lowest bits of the hash, which choose neither
/// partitions nor shards, and what does not fit there lies in the slots after it.
pub(super) struct Table<R> {
    shared: Arc<Aggregation>,
    pub(super) rows: R,
    slots: Vec<Slot>,
    slot_memory: Reservation,
    /// Groups that the table leads to.
    pub(super) count: usize,
    hasher: Hasher,
}

/// The word of a row and its number plus one: both 0 where there is none.
#[derive(Clone, Copy, Default)]
struct Slot {
    word: u64,
    row: u32,
}

impl<R: GroupRows> Table<R> {
    /// An empty table; `rows` holds none.
    pub(super) fn new(shared: &Arc<Aggregation>, rows: R) -> Table<R> {
        debug_assert!(shared.layout.width >= WORD_BYTES);
        Table {
            shared: shared.clone(),
            rows,
            slots: Vec::new(),
            slot_memory: shared.memory.reservation("the table of an aggregation"),
            count: 0,
            hasher: Hasher::default(),
        }
    }

    /// Starts anew with `rows`, which holds none; gives the rows there were.
    pub(super) fn empty(&mut self, rows: R) -> R {
        self.slots.fill(Slot::default());
        self.count = 0;
        std::mem::replace(&mut self.rows, rows)
    }

    /// Leaves `numbers` with the number of the group's row for each of `count` rows with these keys.
    pub(super) fn find(&mut self, keys: &[Vector], count: usize, numbers: &mut Vec<u32>) -> Result<()> {
        let words = self.words(keys, count);
        self.find_words(&words, keys, numbers)
    }

    /// The words of keys.
    pub(super) fn words(&mut self, keys: &[Vector], count: usize) -> Vec<u64> {
        match &self.shared.packing {
            Some(packing) => packing.pack(keys, count, None),
            None => self.hasher.hash(keys, count),
        }
    }

    /// As [`Table::find`], of keys whose words are known; the keys themselves are asked for where words do not say
    /// all of them.
    pub(super) fn find_words(
        &mut self,
        words: &[u64],
        keys: &[Vector],
        numbers: &mut Vec<u32>,
    ) -> Result<()> {
        let shared = self.shared.clone();
        let count = words.len();
        self.make_room(count)?;
        // No row waits for the one before, so the processor fetches many at a time.
        let mask = self.slots.len() - 1;
        numbers.clear();
        numbers.resize(count, 0);
        let (mut open, mut opened) = (vec![0; count], 0);
        for (position, (&word, number)) in words.iter().zip(&mut *numbers).enumerate() {
            let entry = self.slots[shared.hash_of(word) as usize & mask];
            *number = entry.row.wrapping_sub(1);
            open[opened] = position as u32;
            opened += usize::from(entry.row == 0 || entry.word != word);
        }
        let mut new = Vec::new();
        for &position in &open[..opened] {
            let word = words[position as usize];
            let (slot, found) = self.seek(word, |_| true);
            numbers[position as usize] = match found {
                Some(number) => number,
                None => {
                    new.push(position);
                    self.insert(slot, word)?
                }
            };
        }
        self.write_keys(keys, &new, numbers)?;
        if shared.packing.is_none() {
            self.settle_collisions(keys, words, &new, numbers)?;
        }
        Ok(())
    }

    /// The row of that word for which `is_it` holds and its slot, or the empty slot after all others of its hash.
    #[inline(always)]
    fn seek(&self, word: u64, is_it: impl Fn(u32) -> bool) -> (usize, Option<u32>) {
        let mask = self.slots.len() - 1;
        let mut slot = self.shared.hash_of(word) as usize & mask;
        loop {
            let entry = self.slots[slot];
            if entry.row == 0 {
                return (slot, None);
            }
            if entry.word == word && is_it(entry.row - 1) {
                return (slot, Some(entry.row - 1));
            }
            slot = (slot + 1) & mask;
        }
    }

    /// Adds a group at an empty slot.
    #[inline]
    fn insert(&mut self, slot: usize, word: u64) -> Result<u32> {
        let number = self.rows.push(self.shared.hash_of(word))?;
        store(self.rows.pointer_mut(number), 0, word);
        self.slots[slot] = Slot { word, row: number + 1 };
        self.count += 1;
        Ok(number)
    }

    /// Writes the keys at `positions` into their rows.
    fn write_keys(&mut self, keys: &[Vector], positions: &[u32], numbers: &[u32]) -> Result<()> {
        if positions.is_empty() {
            return Ok(());
        }
        let rows: Vec<u32> = positions.iter().map(|&position| numbers[position as usize]).collect();
        let pointers: Vec<*mut u8> = rows.iter().map(|&row| self.rows.pointer_mut(row)).collect();
        let layout = self.shared.layout.clone();
        for (field, key) in layout.fields.iter().zip(keys) {
            self.rows.write(field, &take::take(key, positions), &rows, &pointers)?;
        }
        Ok(())
    }

    /// Two keys of one hash were taken for one: finds or adds the right group for those that differ from
    /// the row they were given.
    fn settle_collisions(
        &mut self,
        keys: &[Vector],
        hashes: &[u64],
        new: &[u32],
        numbers: &mut [u32],
    ) -> Result<()> {
        let flats: Vec<Flat> = keys.iter().map(Vector::flatten).collect();
        let layout = self.shared.layout.clone();
        let equal = |table: &Table<R>, positions: &[u32], rows: &[u32]| {
            let pointers: Vec<*const u8> = rows.iter().map(|&row| table.rows.pointer(row)).collect();
            let mut equal = vec![true; positions.len()];
            for (field, flat) in layout.fields.iter().zip(&flats) {
                equal_to_vector(field, flat, positions, &pointers, rows, &table.rows, &mut equal);
            }
            equal
        };
        if new.len() == numbers.len() {
            return Ok(());
        }
        let positions: Vec<u32> = (0..numbers.len() as u32).collect();
        let agree = equal(self, &positions, numbers);
        for position in positions.into_iter().filter(|&position| !agree[position as usize]) {
            let hash = hashes[position as usize];
            let (slot, found) = self.seek(hash, |number| equal(self, &[position], &[number])[0]);
            numbers[position as usize] = match found {
                Some(number) => number,
                None => {
                    let number = self.insert(slot, hash)?;
                    numbers[position as usize] = number;
                    self.write_keys(keys, &[position], numbers)?;
                    number
                }
            };
        }
        Ok(())
    }

    /// Makes sure that half of the slots stay empty with `more` groups.
    pub(super) fn make_room(&mut self, more: usize) -> Result<()> {
        let wanted = (2 * (self.count + more)).next_power_of_two().max(256);
        if wanted <= self.slots.len() {
            return Ok(());
        }
        self.slot_memory.resize((size_of::<Slot>() * wanted) as u64)?;
        let before = std::mem::replace(&mut self.slots, vec![Slot::default(); wanted]);
        for entry in before.into_iter().filter(|entry| entry.row != 0) {
            let mut slot = self.shared.hash_of(entry.word) as usize & (wanted - 1);
            while self.slots[slot].row != 0 {
                slot = (slot + 1) & (wanted - 1);
            }
            self.slots[slot] = entry;
        }
        Ok(())
    }
}

impl Table<RowPages> {
    /// Copies a row of `from`, and gives the copy's number with that of the row of the same key that was here before;
    /// without one the table leads to the copy.
    pub(super) fn adopt(&mut self, from: &RowPages, row: u32) -> Result<(u32, Option<u32>)> {
        let shared = self.shared.clone();
        self.make_room(1)?;
        let word = load::<u64>(from.pointer(row), 0);
        let copy = self.rows.copy_row(from, row)?;
        for call in &shared.calls {
            let pointer = self.rows.pointer_mut(copy);
            call.state.keep_copied(from, pointer, |bytes| self.rows.keep(bytes))?;
        }
        let copied = (copy, self.rows.pointer(copy), &self.rows);
        let (slot, found) = self.seek(word, |known| {
            equal_rows(&shared.layout.fields, copied, (known, self.rows.pointer(known), &self.rows))
        });
        if found.is_none() {
            self.slots[slot] = Slot { word, row: copy + 1 };
            self.count += 1;
        }
        Ok((copy, found))
    }
}

impl GroupRows for Partitions {
    #[inline(always)]
    fn push(&mut self, hash: u64) -> Result<u32> {
        Partitions::push(self, hash)
    }

    #[inline(always)]
    fn pointer(&self, row: u32) -> *const u8 {
        Partitions::pointer(self, row)
    }

    #[inline(always)]
    fn pointer_mut(&mut self, row: u32) -> *mut u8 {
        Partitions::pointer_mut(self, row)
    }

    fn write(&mut self, field: &Field, vector: &Vector, rows: &[u32], pointers: &[*mut u8]) -> Result<()> {
        Partitions::write(self, field, vector, rows, pointers)
    }
}

impl Keep for Partitions {
    fn keep(&mut self, row: u32, bytes: &[u8]) -> Result<View> {
        Partitions::keep(self, row, bytes)
    }
}

impl GroupRows for RowPages {
    #[inline(always)]
    fn push(&mut self, _hash: u64) -> Result<u32> {
        RowPages::push(self)
    }

    #[inline(always)]
    fn pointer(&self, row: u32) -> *const u8 {
        RowPages::pointer(self, row)
    }

    #[inline(always)]
    fn pointer_mut(&mut self, row: u32) -> *mut u8 {
        RowPages::pointer_mut(self, row)
    }

    fn write(&mut self, field: &Field, vector: &Vector, rows: &[u32], pointers: &[*mut u8]) -> Result<()> {
        RowPages::write(self, field, vector, rows, pointers)
    }
}
