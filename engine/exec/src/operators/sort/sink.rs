//! Input of a sort: rows into pages, entries into sorted runs.

use super::merge::{RangeWork, cut};
use super::{Entry, Sorted, Sorting};
use crate::memory::Reservation;
use crate::operator::{Progress, Sink, SinkTask, Step, Work};
use crate::operators::keys::at_width;
use crate::pages::evict::{Disturbance, Evictable, PageStore};
use crate::pages::{FrozenRows, RowPages, read_row_field};
use crate::{Error, Result};
use columnar::{Batch, Vector, kernels::take};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// The sink of a sort.
pub(super) struct SortSink(pub(super) Arc<Sorting>);

/// What one task leaves: rows, and runs of entries that refer to them.
pub(super) struct Collected {
    rows: RowPages,
    runs: Vec<Vec<Entry>>,
    memory: Reservation,
}

struct SortTask {
    shared: Arc<Sorting>,
    collected: Option<Collected>,
    /// Entries of the run under way.
    entries: Vec<Entry>,
    pending: Option<Batch>,
    disturbance: Option<Disturbance>,
}

/// Entries a run: few enough to be sorted within a step.
const RUN_ROWS: usize = 32 << 10;
/// A top-N drops rows once it has twice what it keeps and these: bounds are better the sooner they are known.
const SPARE_ROWS: usize = 256;
const ENTRY_BYTES: u64 = size_of::<Entry>() as u64;
/// Entries a range that one piece of work merges.
const RANGE_ROWS: usize = 128 << 10;

impl Sink for SortSink {
    fn start(&self) -> Result<Box<dyn SinkTask>> {
        let shared = self.0.clone();
        Ok(Box::new(SortTask {
            collected: Some(Collected {
                rows: new_rows(&shared),
                runs: Vec::new(),
                memory: shared.memory.reservation("a sort"),
            }),
            entries: Vec::new(),
            pending: None,
            disturbance: Disturbance::new(&shared.settings, 3),
            shared,
        }))
    }

    fn finalize(&self) -> Result<Vec<Box<dyn Work>>> {
        let shared = &self.0;
        let (mut pages, mut runs, mut first_page) = (Vec::new(), Vec::new(), 0_usize);
        let mut memory = shared.memory.reservation("a sort");
        for collected in std::mem::take(&mut *shared.collected.lock()) {
            let first = first_page << shared.layout.page_shift;
            first_page += collected.rows.page_count();
            if (first_page << shared.layout.page_shift) as u64 >= u64::from(u32::MAX) {
                return Err(Error::Unsupported("a sort of more than 2^32 rows".into()));
            }
            memory.grow(collected.memory.bytes())?;
            runs.extend(collected.runs.into_iter().map(|mut run| {
                run.iter_mut().for_each(|entry| entry.row += first as u32);
                run
            }));
            pages.push(collected.rows);
        }
        let rows = FrozenRows::new(&shared.layout, pages)?;
        let total: usize = runs.iter().map(Vec::len).sum();
        // Room for the merged entries beside the runs.
        memory.grow(ENTRY_BYTES * total as u64)?;
        let ranges = cut(shared, &rows, &runs, total.div_ceil(shared.settings.piece_rows(RANGE_ROWS)).max(1));
        let sorted =
            Sorted { rows, ranges: ranges.iter().map(|_| Mutex::default()).collect(), _memory: memory };
        let set = shared.sorted.set(sorted);
        set.map_err(|_| Error::Internal("a sort was finalized twice".into()))?;
        let runs = Arc::new(runs);
        let work = |(range, bounds)| {
            Box::new(RangeWork::new(shared.clone(), runs.clone(), range, bounds)) as Box<dyn Work>
        };
        Ok(ranges.into_iter().enumerate().map(work).collect())
    }
}

fn new_rows(shared: &Sorting) -> RowPages {
    RowPages::new(&shared.layout, &shared.memory, "the rows of a sort")
}

impl SinkTask for SortTask {
    fn push(&mut self, batch: Batch) -> Result<()> {
        self.pending = Some(batch);
        Ok(())
    }

    fn advance(&mut self, _step: &Step<'_>) -> Result<Progress> {
        if self.shared.keep == Some(0) {
            return Ok(Progress::Finished);
        }
        if let Some(batch) = self.pending.take() {
            let batch = batch.compact();
            if batch.rows > 0 {
                self.take(&batch)?;
            }
        }
        Ok(Progress::Ready)
    }

    fn combine(&mut self, _step: &Step<'_>) -> Result<Progress> {
        self.end_run()?;
        if let Some(collected) = self.collected.take() {
            self.shared.collected.lock().push(collected);
        }
        Ok(Progress::Ready)
    }
}

impl SortTask {
    fn take(&mut self, batch: &Batch) -> Result<()> {
        let shared = self.shared.clone();
        let keep = shared.keep;
        let Some(collected) = &mut self.collected else { return Ok(()) };
        let mut keys = shared.keys.iter().map(|key| key.input.evaluate(batch)).collect::<Result<Vec<_>>>()?;
        let mut prefixes = shared.prefix.of(&keys, batch.rows)?;
        let mut columns: Vec<Vector> = batch.columns.clone();
        if keep.is_some() {
            let threshold = shared.threshold.load(Relaxed);
            let wanted: Vec<u32> =
                (0..batch.rows as u32).filter(|&row| prefixes[row as usize] <= threshold).collect();
            if wanted.len() < batch.rows {
                let pick = |vectors: Vec<Vector>| -> Vec<Vector> {
                    vectors.iter().map(|vector| take::take(vector, &wanted)).collect()
                };
                (columns, keys) = (pick(columns), pick(keys));
                prefixes = wanted.iter().map(|&row| prefixes[row as usize]).collect();
            }
            if wanted.is_empty() {
                return Ok(());
            }
        }
        collected.memory.grow(ENTRY_BYTES * prefixes.len() as u64)?;
        let rows = prefixes.iter().map(|_| collected.rows.push()).collect::<Result<Vec<u32>>>()?;
        let pointers: Vec<*mut u8> = rows.iter().map(|&row| collected.rows.pointer_mut(row)).collect();
        columns.extend(
            shared
                .keys
                .iter()
                .zip(keys)
                .filter(|(key, _)| key.field >= batch.columns.len())
                .map(|(_, key)| key),
        );
        for (field, column) in shared.layout.fields.iter().zip(&columns) {
            collected.rows.write(field, &at_width(column, field.shape.physical), &rows, &pointers)?;
        }
        self.entries.extend(prefixes.iter().zip(&rows).map(|(&prefix, &row)| Entry { prefix, row }));
        match keep {
            Some(keep) if self.entries.len() >= 2 * keep + SPARE_ROWS => self.drop_rows(keep)?,
            None if self.entries.len() >= shared.settings.piece_rows(RUN_ROWS) => self.end_run()?,
            _ => {}
        }
        if let (Some(disturbance), Some(collected)) = (&mut self.disturbance, &mut self.collected) {
            disturbance.strike(&mut Pages(&mut collected.rows))?;
        }
        Ok(())
    }

    /// Keeps the first `keep` rows.
    fn drop_rows(&mut self, keep: usize) -> Result<()> {
        let Some(collected) = &mut self.collected else { return Ok(()) };
        collected.rows.reload()?;
        let shared = &self.shared;
        let order = |a: &Entry, b: &Entry| shared.compare(a, b, &collected.rows);
        let (_, last, _) = self.entries.select_nth_unstable_by(keep - 1, order);
        shared.threshold.fetch_min(last.prefix, Relaxed);
        self.entries.truncate(keep);
        let mut rows = new_rows(shared);
        for entry in &mut self.entries {
            entry.row = rows.copy_row(&collected.rows, entry.row)?;
        }
        if let (Some(bound), Some(key), Some(last)) =
            (&shared.bound, shared.keys.first(), self.entries.last())
        {
            let field = &shared.layout.fields[key.field];
            bound.reached(read_row_field(field, (last.row, rows.pointer(last.row), &rows)));
        }
        collected.rows = rows;
        collected.memory.resize(ENTRY_BYTES * keep as u64)
    }

    /// Sorts the entries since the last run.
    fn end_run(&mut self) -> Result<()> {
        let Some(collected) = &mut self.collected else { return Ok(()) };
        if self.entries.is_empty() {
            return Ok(());
        }
        let mut run = std::mem::take(&mut self.entries);
        if self.shared.prefix.is_whole() {
            run.sort_unstable_by_key(|entry| (entry.prefix, entry.row));
        } else {
            collected.rows.reload()?;
            run.sort_unstable_by(|a, b| self.shared.compare(a, b, &collected.rows));
        }
        collected.runs.push(run);
        Ok(())
    }
}

/// The rows of a task can leave memory between batches.
struct Pages<'a>(&'a mut RowPages);

impl Evictable for Pages<'_> {
    fn bytes(&self) -> u64 {
        self.0.bytes()
    }

    fn partitions(&self) -> usize {
        1
    }

    fn evict(&mut self, _partition: usize, store: &Arc<dyn PageStore>) -> Result<u64> {
        self.0.evict(store)
    }
}
