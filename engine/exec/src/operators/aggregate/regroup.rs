//! Aggregates what tasks have set aside ([`super::scatter`]), partition by partition.

use super::scatter::{PARTS, Part, Records, Scattered, part_of};
use super::state::Rows;
use super::table::Table;
use super::{Aggregation, Merged};
use crate::operator::{Progress, Step, Work};
use crate::pages::cell::load;
use crate::pages::{FrozenRows, PARTITIONS, RowPages};
use crate::{Error, Result};
use columnar::Vector;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

const PARTS_EACH: usize = PARTS / PARTITIONS;
/// Groups adopted at a time.
const CHUNK_ROWS: usize = 2048;
/// A table starts with room for one group of so many rows.
const ROWS_A_GROUP: usize = 8;

/// The work of aggregating `scattered`; `collected` are, by partition of [`PARTITIONS`], the groups that tasks had
/// before.
pub(super) fn work(
    shared: &Arc<Aggregation>,
    scattered: Vec<Scattered>,
    collected: Vec<Vec<RowPages>>,
) -> Result<Vec<Box<dyn Work>>> {
    let tasks = scattered.into_iter().map(Scattered::into_parts).collect::<Result<Vec<_>>>()?;
    let mut tasks: Vec<_> = tasks.into_iter().map(Vec::into_iter).collect();
    let mut collected = collected.into_iter();
    let mut piece = |_| {
        let mut part = || tasks.iter_mut().filter_map(Iterator::next).collect::<Vec<_>>();
        let parts = (0..PARTS_EACH).map(|_| part()).collect();
        let groups = collected.next().unwrap_or_default();
        let (shared, lists) = (shared.clone(), Vec::new());
        Box::new(Regroup { shared, parts, groups, lists, next: 0, current: None, done: Vec::new() })
            as Box<dyn Work>
    };
    Ok((0..PARTITIONS).map(&mut piece).collect())
}

/// Aggregates some partitions, one after the other.
struct Regroup {
    shared: Arc<Aggregation>,
    /// By partition: what each task has set aside.
    parts: Vec<Vec<Part>>,
    /// The groups there were before.
    groups: Vec<RowPages>,
    /// By partition: where those lie that belong to it, the collection and the row there.
    lists: Vec<Vec<(u32, u32)>>,
    /// The partition under way.
    next: usize,
    current: Option<Grouping>,
    done: Vec<Merged>,
}

impl Work for Regroup {
    fn advance(&mut self, step: &Step<'_>) -> Result<Progress> {
        let shared = self.shared.clone();
        let Some(records) = &shared.records else {
            return Err(Error::Internal("rows were set aside that cannot be".into()));
        };
        if self.lists.is_empty() {
            self.list()?;
        }
        while self.next < PARTS_EACH && shared.found.load(Relaxed) < shared.enough() {
            let list = &mut self.lists[self.next];
            let parts = &mut self.parts[self.next];
            let grouping = match &mut self.current {
                Some(grouping) => grouping,
                None => {
                    let rows = list.len() + parts.iter().map(Part::rows).sum::<usize>() / ROWS_A_GROUP;
                    self.current.insert(Grouping::new(&shared, rows)?)
                }
            };
            if !list.is_empty() {
                let rest = list.len().saturating_sub(CHUNK_ROWS);
                grouping.adopt(&shared, &self.groups, &list.split_off(rest))?;
            } else if let Some(part) = parts.last_mut() {
                match part.next_chunk() {
                    Some((words, columns)) => grouping.take(&shared, records, &words, &columns)?,
                    None => drop(parts.pop()),
                }
            } else {
                let grouped = self.current.take().map(|grouping| grouping.finish(&shared));
                self.done.extend(grouped.transpose()?.flatten());
                self.next += 1;
            }
            if step.expired() {
                return Ok(Progress::Yield);
            }
        }
        (self.parts, self.groups) = (Vec::new(), Vec::new());
        self.shared.piece_done(&mut self.done, PARTITIONS)?;
        Ok(Progress::Ready)
    }
}

impl Regroup {
    /// Tells the groups there were before apart by partition.
    fn list(&mut self) -> Result<()> {
        self.lists.resize_with(PARTS_EACH, Vec::new);
        for (collection, rows) in self.groups.iter_mut().enumerate() {
            rows.reload()?;
            for row in 0..rows.rows() as u32 {
                let hash = self.shared.hash_of(load(rows.pointer(row), 0));
                self.lists[part_of(hash) % PARTS_EACH].push((collection as u32, row));
            }
        }
        Ok(())
    }
}

/// One partition under way.
struct Grouping {
    groups: Table<RowPages>,
    /// Rows that were added to another, ascending.
    dead: Vec<u32>,
}

impl Grouping {
    /// With room for so many groups.
    fn new(shared: &Arc<Aggregation>, groups: usize) -> Result<Grouping> {
        let mut table = Table::new(shared, shared.new_rows());
        table.make_room(groups)?;
        Ok(Grouping { groups: table, dead: Vec::new() })
    }

    /// Takes groups there were before.
    fn adopt(&mut self, shared: &Aggregation, from: &[RowPages], list: &[(u32, u32)]) -> Result<()> {
        let (mut into, mut copies) = (Vec::new(), Vec::new());
        for &(collection, row) in list {
            let (copy, known) = self.groups.adopt(&from[collection as usize], row)?;
            if let Some(known) = known {
                into.push(known);
                copies.push(copy);
            }
        }
        if !into.is_empty() {
            let rows = &mut self.groups.rows;
            let pointers: Vec<*mut u8> = into.iter().map(|&row| rows.pointer_mut(row)).collect();
            let others: Vec<*const u8> = copies.iter().map(|&row| rows.pointer(row)).collect();
            for call in &shared.calls {
                call.state.merge((&into, &pointers), (&copies, &others), rows)?;
            }
            self.dead.append(&mut copies);
        }
        Ok(())
    }

    /// Aggregates rows that were set aside.
    fn take(
        &mut self,
        shared: &Aggregation,
        records: &Records,
        words: &[u64],
        columns: &[Vector],
    ) -> Result<()> {
        let mut numbers = Vec::new();
        self.groups.find_words(words, &columns[..records.keys], &mut numbers)?;
        let rows = &mut self.groups.rows;
        let pointers: Vec<*mut u8> = numbers.iter().map(|&row| rows.pointer_mut(row)).collect();
        for (call, column) in shared.calls.iter().zip(&records.arguments) {
            let argument = column.map(|column| columns[column].flatten());
            let active = argument.as_ref().and_then(super::sink::valid_rows);
            let taken = Rows { active: active.as_deref(), numbers: &numbers, pointers: &pointers };
            call.state.update(argument.as_ref(), &taken, rows)?;
        }
        Ok(())
    }

    /// The groups, where there are any.
    fn finish(self, shared: &Aggregation) -> Result<Option<Merged>> {
        let rows = self.groups.rows;
        if rows.is_empty() {
            return Ok(None);
        }
        let mut dead = self.dead.into_iter().peekable();
        let numbers: Vec<u32> =
            (0..rows.rows() as u32).filter(|row| dead.next_if_eq(row).is_none()).collect();
        shared.found.fetch_add(numbers.len(), Relaxed);
        let rows = FrozenRows::new(&rows.layout().clone(), vec![rows])?;
        Ok(Some(Merged { rows, numbers, first_word: None }))
    }
}
