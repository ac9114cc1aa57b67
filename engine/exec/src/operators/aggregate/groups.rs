//! A task's groups.

use super::Aggregation;
use super::few::Few;
use super::small::Small;
use super::table::Table;
use crate::Result;
use crate::pages::cell::load;
use crate::pages::{Partitions, RowPages};
use columnar::{Vector, kernels::take};
use std::sync::Arc;

/// The groups of one task: a table, emptied when it is large, and before it an array where keys have few values.
pub(super) struct Groups {
    shared: Arc<Aggregation>,
    table: Table<Partitions>,
    limit: usize,
    /// Rows whose groups were looked up since the table was empty.
    looked_up: usize,
    small: Small,
    /// Rows of emptied tables, by partition.
    pub(super) full: Vec<RowPages>,
}

/// The largest table, in groups. Beyond it the merge, which goes by partitions that fit the caches, is the
/// cheaper place to find equal keys.
const GROUP_LIMIT: usize = 1 << 18;

/// A table of so many groups is larger than the caches nearest to a core. It is kept on with only if there are many
/// rows a group, the more the larger it is: one for each of so many groups.
const DIFFUSE_COUNT: usize = 1 << 15;
const DIFFUSE_STEP: usize = 1 << 13;
/// Nor are rows set aside whose groups have this much text: to copy it costs more than the table.
const LONG_TEXT_BYTES: usize = 48;

impl Groups {
    pub(super) fn new(shared: &Arc<Aggregation>) -> Groups {
        // A disturbed run empties its table all the time.
        let limit = if shared.settings.disturb.is_some() { 40 } else { GROUP_LIMIT };
        Groups {
            shared: shared.clone(),
            table: Table::new(shared, new_rows(shared)),
            limit,
            looked_up: 0,
            small: Small::default(),
            full: Vec::new(),
        }
    }

    /// The words of keys.
    pub(super) fn words(&mut self, keys: &[Vector], count: usize) -> Vec<u64> {
        self.table.words(keys, count)
    }

    /// The words of the first groups, where there are so many.
    pub(super) fn first_words(&self, count: usize) -> Option<Vec<u64>> {
        let rows = &self.table.rows;
        (self.table.count >= count && self.full.is_empty())
            .then(|| rows.numbers().take(count).map(|row| load(rows.pointer(row), 0)).collect())
    }

    /// Where the rows lie.
    pub(super) fn rows(&mut self) -> &mut Partitions {
        &mut self.table.rows
    }

    /// Leaves `numbers` with the number of the group's row for each of `count` rows with these keys (and more, where
    /// there are no keys); where groups are few, gives the batch by groups instead.
    pub(super) fn find(
        &mut self,
        keys: &[Vector],
        count: usize,
        numbers: &mut Vec<u32>,
    ) -> Result<Option<Few>> {
        if keys.is_empty() {
            if self.table.rows.rows() == 0 {
                self.table.rows.push(0)?;
            }
            // Only ever zeros.
            numbers.resize(count.max(numbers.len()), 0);
            return Ok(None);
        }
        numbers.clear();
        if self.table.count + count > self.limit.max(count) {
            self.empty();
        }
        self.looked_up += count;
        if !self.small.index(&self.shared, keys, count) {
            self.table.find(keys, count, numbers)?;
            return Ok(None);
        }
        if let Some(locals) = self.small.locals() {
            return Ok(Some(self.few(locals)));
        }
        let missing = self.small.look_up(numbers);
        if !missing.is_empty() {
            let keys: Vec<Vector> = keys.iter().map(|key| take::take(key, &missing)).collect();
            let mut found = Vec::new();
            self.table.find(&keys, missing.len(), &mut found)?;
            for (&position, &number) in missing.iter().zip(&found) {
                numbers[position as usize] = number;
                self.small.learn(position, number);
            }
        }
        Ok(self.small.locals().map(|locals| self.few(locals)))
    }

    fn few(&mut self, locals: Vec<u8>) -> Few {
        let numbers = self.small.known.clone();
        let pointers = self.table.rows.pointers_mut(&numbers);
        Few::new(locals, numbers, pointers)
    }

    /// Starts an empty table; the rows stay.
    fn empty(&mut self) {
        if self.table.count > 0 {
            self.full.extend(self.table.empty(new_rows(&self.shared)).into_parts());
            self.looked_up = 0;
            self.small.forget();
        }
    }

    /// Whether the table is large and yet hardly any row finds its group in it.
    pub(super) fn is_diffuse(&self) -> bool {
        let count = self.table.count;
        match self.shared.settings.disturb {
            // Every other disturbed run is diffuse.
            Some(seed) => seed % 2 == 0 && count > 20,
            None => {
                count >= DIFFUSE_COUNT
                    && self.looked_up < count * (count / DIFFUSE_STEP)
                    && self.table.rows.text_bytes() < count * LONG_TEXT_BYTES
            }
        }
    }

    /// All rows, by partition: those of emptied tables and the last ones.
    pub(super) fn into_rows(mut self) -> Vec<RowPages> {
        self.full.extend(self.table.rows.into_parts());
        self.full
    }
}

fn new_rows(shared: &Aggregation) -> Partitions {
    Partitions::new(&shared.layout, &shared.memory, "the groups of an aggregation")
}
