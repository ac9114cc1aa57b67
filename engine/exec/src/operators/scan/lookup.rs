//! Lookup join: the rows of a stream with the rows of a scanned table that have their key, where the table's key is
//! unique and its rows ascend by it. The table is its own index: nothing is built, and only blocks that keys fall
//! into are looked at. It pays where the stream's keys are clustered, so that a batch meets few blocks.

use super::{Scan, Shared};
use crate::context::QueryContext;
use crate::error::{Error, Result};
use crate::expression::cast_to_physical;
use crate::memory::Reservation;
use crate::operator::{Operator, OperatorTask, Output, Step};
use crate::operators::keys::Input;
use crate::shape::Shape;
use columnar::kernels::take;
use columnar::{Batch, Bitmap, PhysicalType, Values, Vector};
use std::collections::VecDeque;
use std::sync::Arc;
use storage::{BlockRows, RowsRef};

/// The operator; its output are the columns of the scan, then those of the stream.
pub struct LookupJoin {
    lookup: Arc<Lookup>,
    output: Vec<Shape>,
}

struct Lookup {
    table: Arc<Shared>,
    /// The table's key, and its width.
    column: u32,
    physical: PhysicalType,
    key: Input,
    /// Ascending.
    blocks: Vec<BlockRange>,
    query: Arc<QueryContext>,
    /// Told of rows that were found.
    found: Box<dyn Fn(usize) + Send + Sync>,
}

/// A block and the least and greatest key that its zone map proves.
struct BlockRange {
    segment: usize,
    block: u32,
    least: i64,
    greatest: i64,
}

struct LookupTask {
    lookup: Arc<Lookup>,
    /// The blocks met last, by their number's low bits.
    cache: [Option<BlockIndex>; CACHED_BLOCKS],
    reservation: Reservation,
    ready: VecDeque<Batch>,
}

/// Keys of a batch that is clustered lie in one block or two neighbours.
const CACHED_BLOCKS: usize = 4;
/// The widest range of keys in a block, as a multiple of its rows, for which it is indexed by a bitmap.
const BITS_A_ROW: u64 = 64;

/// From key to row within one block.
struct BlockIndex {
    /// The number of the block in [`Lookup::blocks`].
    number: usize,
    keys: Keys,
    /// The rows that pass the scan's predicate; `None`: all.
    passing: Option<Bitmap>,
}

enum Keys {
    /// A bit for each key from `least` on, and for each word of bits how many are set before it: since rows ascend
    /// by key, a key's rank is its row.
    Ranked {
        least: i64,
        words: Vec<u64>,
        ranks: Vec<u32>,
    },
    Sorted(Vec<i64>),
    /// No row passes.
    None,
}

impl LookupJoin {
    /// A join with the table of `scan` by column `position` of its output, for rows of shapes `input` whose key is
    /// `key`; `found` is told how many rows are read. `None` where the table cannot be looked up like that.
    pub(crate) fn new(
        scan: &Scan,
        position: usize,
        key: Input,
        input: &[Shape],
        query: &Arc<QueryContext>,
        found: impl Fn(usize) + Send + Sync + 'static,
    ) -> Option<LookupJoin> {
        let table = &scan.shared;
        let column = table.columns.get(position)?.0;
        let narrow = |shape: &Shape| shape.data_type.is_integral() && shape.physical != PhysicalType::I128;
        let fits = scan.is_sorted(position)
            && table.facts[column as usize].unique
            && table.predicate.residual.is_empty()
            && !table.predicate.never
            && narrow(&scan.output[position])
            && narrow(key.shape());
        if !fits {
            return None;
        }
        let mut blocks = Vec::new();
        for (segment, held) in table.segments.iter().enumerate() {
            for block in 0..held.segment.block_count() as u32 {
                let (least, greatest) = held.segment.block_bounds(block, column)?;
                let (least, greatest) = (i64::try_from(least).ok()?, i64::try_from(greatest).ok()?);
                blocks.push(BlockRange { segment, block, least, greatest });
            }
        }
        let output = scan.output.iter().chain(input).cloned().collect();
        let (table, query) = (table.clone(), query.clone());
        let physical = scan.output[position].physical;
        let lookup = Lookup { table, column, physical, key, blocks, query, found: Box::new(found) };
        Some(LookupJoin { lookup: Arc::new(lookup), output })
    }
}

impl Operator for LookupJoin {
    fn output(&self) -> &[Shape] {
        &self.output
    }

    fn start(&self) -> Result<Box<dyn OperatorTask>> {
        Ok(Box::new(LookupTask {
            lookup: self.lookup.clone(),
            cache: Default::default(),
            reservation: self.lookup.query.memory.reservation("the keys of a lookup join"),
            ready: VecDeque::new(),
        }))
    }
}

impl OperatorTask for LookupTask {
    fn push(&mut self, batch: Batch) -> Result<()> {
        let batch = batch.compact();
        if batch.rows == 0 {
            return Ok(());
        }
        let lookup = self.lookup.clone();
        let key = lookup.key.evaluate(&batch)?;
        let validity = key.validity();
        let key = cast_to_physical(&key, PhysicalType::I64).flatten();
        let Values::I64(keys) = &key.values else {
            return Err(Error::Internal("a key of a lookup join is no integer".into()));
        };
        // For each block met: positions in the batch, and rows of the block.
        let mut met: Vec<(usize, Vec<u32>, Vec<u32>)> = Vec::new();
        let mut at = 0;
        for (position, &key) in keys.iter().enumerate() {
            if validity.as_ref().is_some_and(|validity| !validity.get(position)) {
                continue;
            }
            if met.get(at).is_none_or(|(number, ..)| !lookup.blocks[*number].holds(key)) {
                let Some(number) = lookup.block_of(key) else { continue };
                self.index(number)?;
                at = met.iter().position(|(known, ..)| *known == number).unwrap_or_else(|| {
                    met.push((number, Vec::new(), Vec::new()));
                    met.len() - 1
                });
            }
            let (number, positions, rows) = &mut met[at];
            let row = match &self.cache[*number % CACHED_BLOCKS] {
                Some(index) if index.number == *number => index.row_of(key),
                // Another block of the batch took its place.
                _ => self.index(*number)?.row_of(key),
            };
            if let Some(row) = row {
                positions.push(position as u32);
                rows.push(row);
            }
        }
        for (number, positions, rows) in met {
            self.ready.extend(lookup.join(&batch, number, positions, rows)?);
        }
        Ok(())
    }

    fn pull(&mut self, _step: &Step<'_>) -> Result<Output> {
        Ok(self.ready.pop_front().map_or(Output::NeedsInput, Output::Batch))
    }
}

impl LookupTask {
    /// The index of a block, which is made where it is not at hand.
    fn index(&mut self, number: usize) -> Result<&BlockIndex> {
        let place = &mut self.cache[number % CACHED_BLOCKS];
        if place.as_ref().is_none_or(|index| index.number != number) {
            // At most twelve bytes for each word of bits, or eight a key.
            let bytes = CACHED_BLOCKS as u64 * 12 * storage::BLOCK_ROWS as u64 * BITS_A_ROW / 64;
            self.reservation.resize(bytes)?;
            *place = Some(self.lookup.index(number)?);
        }
        place.as_ref().ok_or_else(|| Error::Internal("a block without its index".into()))
    }
}

impl BlockRange {
    fn holds(&self, key: i64) -> bool {
        self.least <= key && key <= self.greatest
    }
}

impl Lookup {
    fn block_of(&self, key: i64) -> Option<usize> {
        let number = self.blocks.partition_point(|block| block.greatest < key);
        self.blocks.get(number).filter(|block| block.holds(key)).map(|_| number)
    }

    fn index(&self, number: usize) -> Result<BlockIndex> {
        let BlockRange { segment, block, least, greatest } = self.blocks[number];
        let scan = &self.table.segments[segment];
        let prepared = scan.prepared.get_or_init(|| self.table.prepare(&scan.segment));
        let prepared = prepared.as_ref().map_err(|error| Error::from(error.clone()))?;
        let len = scan.segment.block_rows(block as usize);
        let passing = match prepared.filter.filter(block)? {
            BlockRows::All => None,
            BlockRows::None => return Ok(BlockIndex { number, keys: Keys::None, passing: None }),
            BlockRows::Some(rows) => {
                let mut words = vec![0_u64; len.div_ceil(64)];
                rows.iter().for_each(|&row| words[row as usize / 64] |= 1 << (row % 64));
                Some(Bitmap::from_words(words, len))
            }
        };
        let read = scan.segment.read(block, RowsRef::Range(0, len), &[(self.column, self.physical)])?;
        let range = greatest.abs_diff(least);
        let keys = match read.into_iter().next().map(|vector| vector.flatten().values) {
            Some(Values::I8(keys)) => Keys::of(&keys, least, range),
            Some(Values::I16(keys)) => Keys::of(&keys, least, range),
            Some(Values::I32(keys)) => Keys::of(&keys, least, range),
            Some(Values::I64(keys)) => Keys::of(&keys, least, range),
            _ => return Err(Error::Internal("the key of a lookup join is no integer".into())),
        };
        Ok(BlockIndex { number, keys, passing })
    }

    /// The pairs of rows `positions` of a batch with rows `rows` of a block.
    fn join(
        &self,
        batch: &Batch,
        number: usize,
        mut positions: Vec<u32>,
        mut rows: Vec<u32>,
    ) -> Result<Option<Batch>> {
        let BlockRange { segment, block, .. } = self.blocks[number];
        let segment = &self.table.segments[segment].segment;
        for (of, test) in self.table.key_tests() {
            if rows.is_empty() || !test.is_worth_it() {
                continue;
            }
            let columns = segment.read(block, RowsRef::Indices(&rows), &[*of])?;
            let Some(column) = columns.first() else { continue };
            let passing = test.passing(column);
            if passing.len() < rows.len() {
                (positions, rows) = (take::gather(&positions, &passing), take::gather(&rows, &passing));
            }
        }
        if rows.is_empty() {
            return Ok(None);
        }
        (self.found)(rows.len());
        let mut columns: Vec<Vector> = match self.table.columns.is_empty() {
            true => Vec::new(),
            false => segment.read(block, RowsRef::Indices(&rows), &self.table.columns)?,
        };
        let all = rows.len() == batch.rows;
        let of_batch = batch.columns.iter();
        columns
            .extend(of_batch.map(|column| if all { column.clone() } else { take::take(column, &positions) }));
        Ok(Some(Batch::of_rows(columns, rows.len())))
    }
}

impl BlockIndex {
    fn row_of(&self, key: i64) -> Option<u32> {
        let row = match &self.keys {
            Keys::None => None,
            Keys::Ranked { least, words, ranks } => {
                let at = key.wrapping_sub(*least) as usize;
                let word = *words.get(at / 64)?;
                let below = word & ((1 << (at % 64)) - 1);
                (word >> (at % 64) & 1 != 0).then(|| ranks[at / 64] + below.count_ones())
            }
            Keys::Sorted(keys) => keys.binary_search(&key).ok().map(|row| row as u32),
        };
        row.filter(|&row| self.passing.as_ref().is_none_or(|passing| passing.get(row as usize)))
    }
}

impl Keys {
    /// `keys` ascend and lie in `least ..= least + range`.
    fn of<T: Copy + Into<i64>>(keys: &[T], least: i64, range: u64) -> Keys {
        if range >= (keys.len() as u64).saturating_mul(BITS_A_ROW) {
            return Keys::Sorted(keys.iter().map(|&key| key.into()).collect());
        }
        let mut words = vec![0_u64; range as usize / 64 + 1];
        // Neighbours share a word, which is made beside them.
        let (mut place, mut word) = (0, 0);
        for &key in keys {
            let at = key.into().wrapping_sub(least) as usize;
            if at / 64 != place {
                if let Some(made) = words.get_mut(place) {
                    *made |= word;
                }
                (place, word) = (at / 64, 0);
            }
            word |= 1 << (at % 64);
        }
        if let Some(made) = words.get_mut(place) {
            *made |= word;
        }
        let mut before = 0;
        let rank = |word: &u64| {
            before += word.count_ones();
            before - word.count_ones()
        };
        let ranks = words.iter().map(rank).collect();
        Keys::Ranked { least, words, ranks }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Expr;
    use crate::memory::MemoryPool;
    use crate::operators::scan::tests::{plan, row, table_of};
    use crate::plan;
    use columnar::{DataType, Scalar};
    use std::task::Waker;

    /// Looks `keys` up in rows `0 .. 150_000` of the scans' table, batch by batch.
    fn look_up(keys: &[Scalar], columns: &[u32], predicate: &[Expr], batch_rows: usize) -> Vec<Vec<Scalar>> {
        let table = table_of(0..150_000, 70_000);
        let plan: plan::Scan = plan(columns, predicate);
        let scan = Scan::new(&plan, &table, batch_rows, 2, Arc::default()).unwrap();
        let query = Arc::new(QueryContext::new(1, MemoryPool::unlimited()));
        let input = [Shape::of_type(DataType::Int64), Shape::of_type(DataType::Int64)];
        let key = Input::compile(&Expr::column(1, DataType::Int64), &input).unwrap();
        let join = LookupJoin::new(&scan, 0, key, &input, &query, |_| ()).unwrap();
        let mut task = join.start().unwrap();
        let mut found = Vec::new();
        for (number, chunk) in keys.chunks(batch_rows).enumerate() {
            let numbers: Vec<Scalar> =
                (0..chunk.len()).map(|row| Scalar::Integer((number * batch_rows + row) as i128)).collect();
            let column = |scalars: &[Scalar]| Vector::from_scalars(DataType::Int64, scalars);
            task.push(Batch::of_rows(vec![column(&numbers), column(chunk)], chunk.len())).unwrap();
            let step = Step { query: &query, waker: Waker::noop(), started: query.now() };
            while let Output::Batch(batch) = task.pull(&step).unwrap() {
                found.extend((0..batch.rows).map(|row| -> Vec<Scalar> {
                    batch.columns.iter().map(|column| column.scalar(row)).collect()
                }));
            }
        }
        drop(task);
        assert_eq!(query.memory.used_bytes(), 0);
        let number = |row: &Vec<Scalar>| row[columns.len()].as_integer();
        found.sort_by_key(number);
        found
    }

    #[test]
    fn rows_are_found_by_their_keys() {
        let mut keys: Vec<Scalar> = (0..9_000).map(|key| Scalar::Integer(key * 17 - 40)).collect();
        keys.extend([Scalar::Null, Scalar::Integer(i64::MAX.into()), Scalar::Integer(i64::MIN.into())]);
        // Back and forth over more blocks than are kept at hand, and twice the same.
        keys.extend((0..500).map(|key| Scalar::Integer(key * 69_001 % 150_000)));
        keys.extend([Scalar::Integer(149_999), Scalar::Integer(149_999), Scalar::Integer(150_000)]);
        let small = Expr::Compare {
            op: crate::expr::CompareOp::Equal,
            left: Box::new(Expr::column(4, DataType::decimal(12, 2))),
            right: Box::new(Expr::Literal(columnar::Value::new(
                DataType::decimal(12, 2),
                Scalar::Integer(100),
            ))),
        };
        for (predicate, batch_rows) in [(vec![], 2048), (vec![], 3), (vec![small], 2048)] {
            let found = look_up(&keys, &[0, 2, 4], &predicate, batch_rows);
            let held = |key: &Scalar| key.as_integer().is_some_and(|key| (0..150_000).contains(&key));
            let expected: Vec<Vec<Scalar>> = keys
                .iter()
                .enumerate()
                .filter(|(_, key)| held(key))
                .map(|(number, key)| (number, row(key.as_integer().unwrap() as usize), key))
                .filter(|(_, row, _)| predicate.is_empty() || row[4] == Scalar::Integer(100))
                .map(|(number, row, key)| {
                    let number = Scalar::Integer(number as i128);
                    vec![row[0].clone(), row[2].clone(), row[4].clone(), number, key.clone()]
                })
                .collect();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn sparse_keys_are_searched() {
        let keys: Vec<i64> = (0..1000).map(|key| key * 1_000_000_007 - 5).collect();
        let range = keys[999].abs_diff(keys[0]);
        for keys in [Keys::of(&keys, -5, range), Keys::of(&[-5_i8, 0, 58, 59, 120], -5, 125)] {
            let index = BlockIndex { number: 0, keys, passing: None };
            let sparse = matches!(index.keys, Keys::Sorted(_));
            let expected = |key: i64| match sparse {
                true => (key == -5).then_some(0).or((key == 1_000_000_002).then_some(1)),
                false => [-5, 0, 58, 59, 120].iter().position(|&held| held == key).map(|row| row as u32),
            };
            for key in [-6, -5, -4, 0, 57, 58, 59, 60, 120, 121, 1_000_000_002, i64::MIN, i64::MAX] {
                assert_eq!(index.row_of(key), expected(key), "{key}");
            }
        }
    }
}
