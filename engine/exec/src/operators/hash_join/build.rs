//! The build side: rows into partitioned pages, then the index over them.

use super::table::{Index, JoinTable, Pages, Words, hashed_slots};
use super::{FieldInput, Join, NEXT, UNREACHABLE, WORD};
use crate::hash::{Hasher, hash_word};
use crate::operator::{Progress, Sink, SinkTask, Step, Work};
use crate::operators::keys::at_width;
use crate::pages::evict::Disturbance;
use crate::pages::{FrozenRows, Partitions, RowPages};
use crate::{Error, Result};
use columnar::bitmap::both_valid;
use columnar::{Batch, Bitmap, Vector, kernels::take};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// The sink of the build side.
pub(super) struct Build(pub(super) Arc<Join>);

/// What one task collected.
pub(super) struct Built {
    rows: Partitions,
    words: Words,
}

struct BuildTask {
    join: Arc<Join>,
    built: Option<Built>,
    hasher: Hasher,
    pending: Option<Batch>,
    disturbance: Option<Disturbance>,
}

/// Fewer rows than this are not worth a piece of work of their own.
const WORK_ROWS: usize = 16 << 10;

impl Sink for Build {
    fn start(&self) -> Result<Box<dyn SinkTask>> {
        let join = self.0.clone();
        let rows = Partitions::new(&join.layout, &join.memory, "the build side of a join");
        Ok(Box::new(BuildTask {
            disturbance: Disturbance::new(&join.settings, 1),
            built: Some(Built { rows, words: Words::default() }),
            hasher: Hasher::default(),
            pending: None,
            join,
        }))
    }

    fn finalize(&self) -> Result<Vec<Box<dyn Work>>> {
        let join = &self.0;
        let built = std::mem::take(&mut *join.built.lock());
        let rows = built.iter().map(|built| built.rows.rows()).sum::<usize>();
        let words = built.iter().fold(Words::default(), |words, built| words.merge(&built.words));
        let mut reservation = join.memory.reservation("the table of a join");
        let packed = join.packing.is_some();
        let index = if join.keys.is_empty() {
            Index::Everything
        } else if words.is_empty() {
            Index::hashed(16, false)
        } else if let Some(pages) = Pages::of(&words, rows).filter(|_| packed) {
            reservation.grow(pages.bytes())?;
            Index::direct(pages)
        } else {
            let slots = hashed_slots(rows);
            reservation.grow(8 * slots as u64)?;
            Index::hashed(slots, packed)
        };

        // Partition by partition, each task's pages in turn: so they are numbered.
        let mut by_partition: Vec<Vec<RowPages>> = Vec::new();
        for built in built {
            let parts = built.rows.into_parts();
            by_partition.resize_with(parts.len(), Vec::new);
            for (list, pages) in by_partition.iter_mut().zip(parts) {
                if !pages.is_empty() {
                    list.push(pages);
                }
            }
        }
        // A partition is never cut: the index relies on one worker a partition.
        let (mut pieces, mut first_page) = (Vec::<Piece>::new(), 0_usize);
        let mut room = 0;
        for partition in by_partition {
            let rows = partition.iter().map(RowPages::rows).sum::<usize>();
            if rows == 0 {
                continue;
            }
            if room < rows || pieces.is_empty() {
                pieces.push(Vec::new());
                room = join.settings.piece_rows(WORK_ROWS);
            }
            room = room.saturating_sub(rows);
            for pages in partition {
                let count = pages.page_count();
                if let Some(piece) = pieces.last_mut() {
                    piece.push((pages, first_page));
                }
                first_page += count;
            }
        }
        if (first_page << join.layout.page_shift) as u64 >= u64::from(u32::MAX) {
            return Err(Error::Unsupported("a join whose build side has more than 2^32 rows".into()));
        }
        let mut matched = Vec::new();
        if join.kind.has_rest() {
            let words = (first_page << join.layout.page_shift).div_ceil(64);
            reservation.grow(8 * words as u64)?;
            matched.resize_with(words, AtomicU64::default);
        }
        let assembly = Arc::new(Assembly {
            join: join.clone(),
            index: Arc::new(index),
            parts: Mutex::new(Parts {
                missing: pieces.len(),
                done: (0..pieces.len()).map(|_| None).collect(),
                rest: Some((matched, reservation)),
            }),
        });
        if pieces.is_empty() {
            assembly.finish()?;
            return Ok(Vec::new());
        }
        let work = |(number, piece)| {
            Box::new(Insertion { assembly: assembly.clone(), number, piece, at: (0, 0) }) as Box<dyn Work>
        };
        Ok(pieces.into_iter().enumerate().map(work).collect())
    }
}

/// Collections of rows and the number of the first page of each.
type Piece = Vec<(RowPages, usize)>;

/// The table while workers put its rows into the index.
struct Assembly {
    join: Arc<Join>,
    index: Arc<Index>,
    parts: Mutex<Parts>,
}

struct Parts {
    missing: usize,
    done: Vec<Option<Piece>>,
    rest: Option<(Vec<AtomicU64>, crate::memory::Reservation)>,
}

impl Assembly {
    /// Makes the table once every part is done.
    fn finish(&self) -> Result<()> {
        let mut parts = self.parts.lock();
        let collections = std::mem::take(&mut parts.done).into_iter().flatten().flatten();
        let (matched, reservation) =
            parts.rest.take().ok_or_else(|| Error::Internal("a join was finished twice".into()))?;
        let rows = FrozenRows::new(&self.join.layout, collections.map(|(pages, _)| pages).collect())?;
        let table = JoinTable { rows, index: self.index.clone(), matched, _reservation: reservation };
        let set = self.join.table.set(table);
        set.map_err(|_| Error::Internal("a join was finalized twice".into()))
    }
}

/// Puts the rows of some partitions into the index.
struct Insertion {
    assembly: Arc<Assembly>,
    number: usize,
    piece: Piece,
    /// Collection and row to go on with.
    at: (usize, usize),
}

impl Work for Insertion {
    fn advance(&mut self, step: &Step<'_>) -> Result<Progress> {
        let assembly = &self.assembly;
        while let Some((pages, first_page)) = self.piece.get_mut(self.at.0) {
            pages.reload()?;
            let end = pages.rows().min(self.at.1 + 4096);
            let first = (*first_page << assembly.join.layout.page_shift) as u32;
            for row in self.at.1 as u32..end as u32 {
                assembly.index.insert(pages.pointer_mut(row), first + row);
            }
            self.at = if end == pages.rows() { (self.at.0 + 1, 0) } else { (self.at.0, end) };
            if step.expired() {
                return Ok(Progress::Yield);
            }
        }
        let last = {
            let mut parts = assembly.parts.lock();
            parts.done[self.number] = Some(std::mem::take(&mut self.piece));
            parts.missing -= 1;
            parts.missing == 0
        };
        if last {
            assembly.finish()?;
        }
        Ok(Progress::Ready)
    }
}

impl SinkTask for BuildTask {
    fn push(&mut self, batch: Batch) -> Result<()> {
        self.pending = Some(batch);
        Ok(())
    }

    fn advance(&mut self, _step: &Step<'_>) -> Result<Progress> {
        if let Some(batch) = self.pending.take() {
            self.collect(batch.compact())?;
        }
        Ok(Progress::Ready)
    }

    fn combine(&mut self, _step: &Step<'_>) -> Result<Progress> {
        if let Some(built) = self.built.take() {
            self.join.built.lock().push(built);
        }
        Ok(Progress::Ready)
    }
}

impl BuildTask {
    fn collect(&mut self, mut batch: Batch) -> Result<()> {
        let join = self.join.clone();
        let keys = join.keys.iter().map(|key| key.build.evaluate(&batch));
        let mut keys = keys.collect::<Result<Vec<_>>>()?;
        // Rows with a null key are left out, unless the kind gives rows that match nothing.
        let mut unreachable = None;
        match join.valid_keys(&keys) {
            Some(valid) if join.kind.gives_unmatched_build() => unreachable = Some(valid),
            Some(valid) if !valid.all() => {
                let rows = take::indices_of(&valid);
                keys = keys.iter().map(|key| take::take(key, &rows)).collect();
                let columns = batch.columns.iter().map(|column| take::take(column, &rows)).collect();
                batch = Batch::of_rows(columns, rows.len());
            }
            _ => {}
        }
        if batch.rows == 0 {
            return Ok(());
        }
        let Some(built) = &mut self.built else { return Ok(()) };
        let (words, hashes) = match &join.packing {
            Some(packing) => {
                let words = packing.pack(&keys, batch.rows, None);
                let hashes: Vec<u64> = words.iter().map(|&word| hash_word(word)).collect();
                (words, hashes)
            }
            None => {
                let hashes = self.hasher.hash(&keys, batch.rows);
                (hashes.clone(), hashes)
            }
        };
        let reachable = |row: usize| unreachable.as_ref().is_none_or(|valid| valid.get(row));
        if !join.keys.is_empty() {
            for (row, &word) in words.iter().enumerate() {
                if reachable(row) {
                    built.words.add(word);
                }
            }
        }
        let rows = hashes.iter().map(|&hash| built.rows.push(hash)).collect::<Result<Vec<u32>>>()?;
        let pointers = built.rows.pointers_mut(&rows);
        for (row, (&pointer, &word)) in pointers.iter().zip(&words).enumerate() {
            // SAFETY: `pointer` is the address of a row that was just pushed, and rows start with a header.
            unsafe {
                pointer.add(WORD).cast::<u64>().write_unaligned(word);
                if !reachable(row) {
                    pointer.add(NEXT).cast::<u32>().write_unaligned(UNREACHABLE);
                }
            }
        }
        for (field, input) in join.layout.fields.iter().zip(&join.fields) {
            let vector = match input {
                FieldInput::Column(column) => &batch.columns[*column],
                FieldInput::Key(key) => &keys[*key],
            };
            built.rows.write(field, &at_width(vector, field.shape.physical), &rows, &pointers)?;
        }
        if let Some(disturbance) = &mut self.disturbance {
            disturbance.strike(&mut built.rows)?;
        }
        Ok(())
    }
}

impl Join {
    /// The rows none of whose keys is a null that matches nothing; `None`: all.
    pub(super) fn valid_keys(&self, keys: &[Vector]) -> Option<Bitmap> {
        self.keys
            .iter()
            .zip(keys)
            .filter(|(key, _)| !key.null_equal)
            .fold(None, |valid, (_, vector)| both_valid(valid.as_ref(), vector.validity().as_ref()))
    }
}
