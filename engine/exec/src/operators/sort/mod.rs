//! Sort: all rows, in the order of the keys.
//!
//! Rows go into pages; what is sorted are entries of 16 bytes: the front of the keys as one number
//! ([`prefix`]) and the row's number. Each task sorts short runs ([`sink`]); these are cut at common
//! splitters into ranges, which are merged in parallel ([`merge`]) and read one after the other
//! ([`source`]). A top-N is a sort that drops rows on the way in and stops early on the way out.

mod merge;
mod prefix;
mod sink;
mod source;
#[cfg(test)]
mod tests;

use super::bound::{Bound, BoundColumn};
use super::keys::Input;
use crate::error::Result;
use crate::memory::{MemoryPool, Reservation};
use crate::operator::{Sink, Source};
use crate::pages::{FrozenRows, Heap, RowLayout, RowPages, compare_rows};
use crate::plan::SortKey;
use crate::{Error, QueryContext, Settings, Shape};
use parking_lot::Mutex;
use prefix::Prefix;
use std::cmp::Ordering;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

/// The two parts of a sort: rows go into `sink`; once it is finalized, they come out of `source` in order.
/// The source has one task.
pub struct Sort {
    pub sink: Arc<dyn Sink>,
    pub source: Arc<dyn Source>,
}

impl Sort {
    /// `input` are the shapes of the rows, which `keys` refer to.
    pub fn new(keys: &[SortKey], input: &[Shape], query: &QueryContext) -> Result<Sort> {
        Sort::with_range(keys, None, input, query).map(|(sort, _)| sort)
    }

    /// Of the sorted rows those of `range`, if given: how many, after how many. With the bound of the first key, where
    /// rows are dropped, the key is a column, and no key can fail.
    pub(super) fn with_range(
        keys: &[SortKey],
        range: Option<(u64, u64)>,
        input: &[Shape],
        query: &QueryContext,
    ) -> Result<(Sort, Option<BoundColumn>)> {
        let shared = Arc::new(Sorting::new(keys, range, input, query)?);
        let bound = shared.bound.clone().zip(shared.keys.first()).and_then(|(bound, key)| {
            let fallible = shared.keys.iter().any(|key| key.input.is_fallible());
            Some((key.input.column().filter(|_| !fallible)?, bound))
        });
        let sort = Sort {
            sink: Arc::new(sink::SortSink(shared.clone())),
            source: Arc::new(source::SortSource(shared)),
        };
        Ok((sort, bound))
    }
}

/// The rows of a sort that is finalized, by their places in the order rather than one after the other.
#[derive(Clone)]
pub(super) struct SortedRows(Arc<Sorting>);

impl SortedRows {
    /// A sort whose rows are read so; each piece of work that its sink gives leaves the range of the same number.
    pub(super) fn new(
        keys: &[SortKey],
        input: &[Shape],
        query: &QueryContext,
    ) -> Result<(Arc<dyn Sink>, SortedRows)> {
        let shared = Arc::new(Sorting::new(keys, None, input, query)?);
        Ok((Arc::new(sink::SortSink(shared.clone())), SortedRows(shared)))
    }

    pub(super) fn rows(&self) -> Result<&FrozenRows> {
        Ok(&self.0.sorted()?.rows)
    }

    /// The numbers of the rows of a range, in order; none of a range that there is not.
    pub(super) fn range<R>(&self, range: usize, read: impl FnOnce(&[u32]) -> R) -> Result<R> {
        Ok(match self.0.sorted()?.ranges.get(range) {
            Some(range) => read(&range.lock()),
            None => read(&[]),
        })
    }

    /// Whether two rows have the same values in these keys; nulls are alike.
    pub(super) fn are_alike(&self, rows: &FrozenRows, keys: std::ops::Range<usize>, a: u32, b: u32) -> bool {
        let (a, b) = ((a, rows.pointer(a), rows), (b, rows.pointer(b), rows));
        self.0.keys[keys].iter().all(|key| {
            let field = &self.0.layout.fields[key.field];
            compare_rows(field, a, b) == Ordering::Equal
        })
    }
}

/// The largest number of rows that are kept by dropping others.
const KEEP_ROWS: usize = 32 << 10;

/// What the parts share.
struct Sorting {
    keys: Vec<Key>,
    prefix: Prefix,
    /// The columns, then the keys that are no columns.
    layout: Arc<RowLayout>,
    input: Vec<Shape>,
    range: Option<(u64, u64)>,
    /// How many rows are wanted, where it pays to drop others.
    keep: Option<usize>,
    memory: Arc<MemoryPool>,
    settings: Settings,
    /// Rows whose prefix is above this are not among the first.
    threshold: AtomicU64,
    /// Of the first key, where rows are dropped.
    bound: Option<Arc<Bound>>,
    /// What tasks left.
    collected: Mutex<Vec<sink::Collected>>,
    sorted: OnceLock<Sorted>,
}

struct Key {
    input: Input,
    descending: bool,
    nulls_first: bool,
    field: usize,
}

/// What is sorted: by prefix, then by the keys of the row where the prefix does not hold all of them, then by
/// number, so that no two are alike.
#[derive(Clone, Copy, Default)]
struct Entry {
    prefix: u64,
    row: u32,
}

/// Rows and their order, in ranges that follow one another.
struct Sorted {
    rows: FrozenRows,
    ranges: Vec<Mutex<Vec<u32>>>,
    _memory: Reservation,
}

impl Sorting {
    fn new(
        keys: &[SortKey],
        range: Option<(u64, u64)>,
        input: &[Shape],
        query: &QueryContext,
    ) -> Result<Sorting> {
        let mut shapes = input.to_vec();
        let mut compiled = Vec::new();
        for key in keys {
            let input = Input::compile(&key.expr, input)?;
            let field = input.column().unwrap_or_else(|| {
                shapes.push(input.shape().clone());
                shapes.len() - 1
            });
            let (descending, nulls_first) = (key.descending, key.nulls_first);
            compiled.push(Key { input, descending, nulls_first, field });
        }
        let keep = range.and_then(|(limit, offset)| match limit {
            0 => Some(0),
            _ => usize::try_from(limit.checked_add(offset)?).ok().filter(|&keep| keep <= KEEP_ROWS),
        });
        let bound = keys.first().filter(|_| keep.is_some());
        let bound = bound.map(|key| Arc::new(Bound::new(key, keys.len() == 1)));
        Ok(Sorting {
            prefix: Prefix::new(&compiled),
            keys: compiled,
            layout: Arc::new(RowLayout::new(&shapes, 0, 0)),
            input: input.to_vec(),
            range,
            keep,
            bound,
            memory: query.memory.clone(),
            settings: query.settings.clone(),
            threshold: AtomicU64::new(u64::MAX),
            collected: Mutex::default(),
            sorted: OnceLock::new(),
        })
    }

    fn sorted(&self) -> Result<&Sorted> {
        self.sorted.get().ok_or_else(|| Error::Internal("a sort was read before its end".into()))
    }

    /// The order of two entries of `rows`.
    #[inline(always)]
    fn compare(&self, a: &Entry, b: &Entry, rows: &impl Rows) -> Ordering {
        let order = a.prefix.cmp(&b.prefix);
        if order != Ordering::Equal {
            return order;
        }
        if !self.prefix.is_whole() {
            let order = self.compare_keys(a.row, b.row, rows);
            if order != Ordering::Equal {
                return order;
            }
        }
        a.row.cmp(&b.row)
    }

    fn compare_keys(&self, a: u32, b: u32, rows: &impl Rows) -> Ordering {
        let (a, b) = ((a, rows.address(a), rows), (b, rows.address(b), rows));
        for key in &self.keys {
            let field = &self.layout.fields[key.field];
            let order = match (field.is_null(a.1), field.is_null(b.1)) {
                (false, false) if key.descending => compare_rows(field, b, a),
                (false, false) => compare_rows(field, a, b),
                (a, b) if key.nulls_first => b.cmp(&a),
                (a, b) => a.cmp(&b),
            };
            if order != Ordering::Equal {
                return order;
            }
        }
        Ordering::Equal
    }
}

/// Rows by number.
trait Rows: Heap {
    fn address(&self, row: u32) -> *const u8;
}

impl Rows for RowPages {
    fn address(&self, row: u32) -> *const u8 {
        self.pointer(row)
    }
}

impl Rows for FrozenRows {
    fn address(&self, row: u32) -> *const u8 {
        self.pointer(row)
    }
}
