//! Key filters: what a join's build side has of a key, given sideways to the scan of its probe side.
//!
//! An operator before the build side's sink notes the keys that pass, as a bitmap over the range that the
//! column's bounds prove. A scan whose rows would only meet that join later drops those that cannot match,
//! before it reads their other columns. The filter is exact but optional: where memory is short it lets
//! everything pass. Semi and anti joins that hold nothing but keys have one that is kept in any case
//! ([`KeyFilter::kept`]).

use crate::context::QueryContext;
use crate::error::Result;
use crate::memory::Reservation;
use crate::operator::{Operator, OperatorTask, Output, Step};
use crate::runtime::wanted::WantedKeys;
use crate::shape::Shape;
use columnar::{Batch, Bitmap, Flat, PhysicalType, Values, Vector, kernel};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Which integers of a range occur. Complete once the build side's sink is finalised.
pub struct KeyFilter {
    /// The integer of the first bit.
    low: i64,
    range: usize,
    state: Mutex<State>,
}

struct State {
    /// `None`: no key yet.
    words: Option<Arc<Vec<u64>>>,
    /// For every bitmap that was made.
    reservation: Reservation,
    /// Bitmaps that are reserved and not made yet.
    reserved: usize,
    /// It may not give up.
    is_kept: bool,
    /// Memory was short: the filter knows nothing.
    given_up: bool,
}

/// A [`KeySet`] at work, which is left out once most rows are seen to pass.
pub struct KeyTest {
    pub keys: KeySet,
    tested: AtomicU64,
    passed: AtomicU64,
}

/// A complete [`KeyFilter`], ready to test.
pub struct KeySet {
    low: i64,
    range: usize,
    words: Arc<Vec<u64>>,
    /// Least and greatest key; `None`: there is none, and nothing passes.
    pub bounds: Option<(i64, i64)>,
    /// Keys, as a share of the range.
    pub density: f64,
}

impl KeyFilter {
    /// The widest range that is worth a bitmap: 32 MiB.
    pub const RANGE_LIMIT: i128 = 1 << 28;
    /// The widest range of a filter that is kept: 8 MiB.
    const KEPT_RANGE_LIMIT: usize = 1 << 26;

    /// A filter for a column of the build side, which is to test one of the probe side; `None` where what is proven of
    /// them leaves too wide a range. Keys that only one side can have match nothing.
    pub fn new(build: &Shape, probe: &Shape, query: &QueryContext) -> Option<Arc<KeyFilter>> {
        let (build, probe) = (build.bounds?, probe.bounds?);
        let (low, high) = (build.0.max(probe.0), build.1.min(probe.1));
        let range = high.checked_sub(low)?.checked_add(1)?.max(0);
        let (low, range) = (i64::try_from(low).ok()?, (range <= KeyFilter::RANGE_LIMIT).then_some(range)?);
        // Words begin alike in all filters.
        let before = if range > 0 { low.rem_euclid(64) } else { 0 };
        let (low, range) = (low - before, range + i128::from(before));
        let reservation = query.memory.reservation("the key filter of a join");
        let state = State { words: None, reservation, reserved: 0, is_kept: false, given_up: false };
        let state = Mutex::new(state);
        Some(Arc::new(KeyFilter { low, range: usize::try_from(range).ok()?, state }))
    }

    /// As [`KeyFilter::new`], but one that never gives up: its memory is reserved here. `None` where that is too much.
    pub fn kept(build: &Shape, probe: &Shape, query: &QueryContext) -> Option<Arc<KeyFilter>> {
        let narrow = |shape: &Shape| shape.physical != PhysicalType::I128;
        let filter = KeyFilter::new(build, probe, query).filter(|_| narrow(build) && narrow(probe))?;
        if filter.range > KeyFilter::KEPT_RANGE_LIMIT {
            return None;
        }
        let mut state = filter.state.lock();
        // One of the first task, one that tasks share which get none of their own.
        state.reserved = 2;
        state.reservation.grow(2 * filter.bytes()).ok()?;
        state.is_kept = true;
        drop(state);
        Some(filter)
    }

    /// Of a bitmap.
    fn bytes(&self) -> u64 {
        self.range.div_ceil(64) as u64 * 8
    }

    /// The keys, once all are noted; `None` where it gave up.
    pub fn complete(&self) -> Option<KeySet> {
        let mut state = self.state.lock();
        if state.given_up {
            return None;
        }
        let unused = std::mem::take(&mut state.reserved) as u64;
        state.reservation.shrink(unused * self.bytes());
        // Without a key there are no words either.
        Some(KeySet::of_words(self.low, self.range, state.words.clone().unwrap_or_default()))
    }

    /// An empty bitmap for a task, or `None` where memory is short, which ends a filter that is not kept.
    fn bitmap(&self) -> Option<Vec<u64>> {
        let mut state = self.state.lock();
        if state.reserved > 1 {
            state.reserved -= 1;
        } else if state.given_up || state.reservation.grow(self.bytes()).is_err() {
            if !state.is_kept {
                state.given_up = true;
                state.words = None;
            }
            return None;
        }
        Some(vec![0; self.range.div_ceil(64)])
    }

    /// Adds the keys of a task without a bitmap.
    fn note(&self, keys: &Flat) {
        let mut state = self.state.lock();
        if state.is_kept {
            if state.words.is_none() {
                state.reserved = state.reserved.saturating_sub(1);
            }
            let words = state.words.get_or_insert_with(|| Arc::new(vec![0; self.range.div_ceil(64)]));
            note(Arc::make_mut(words).as_mut_slice(), keys, self.low, self.range);
        }
    }

    /// Adds the keys that one task has seen.
    fn merge(&self, keys: Vec<u64>) {
        let mut state = self.state.lock();
        let merged = match state.words.take() {
            Some(mut words) => {
                Arc::make_mut(&mut words).iter_mut().zip(&keys).for_each(|(word, key)| *word |= key);
                state.reservation.shrink(keys.len() as u64 * 8);
                words
            }
            None => Arc::new(keys),
        };
        if !state.given_up {
            state.words = Some(merged);
        }
    }
}

impl KeySet {
    /// The integers from `low` on whose bits are set, of a range that `words` cover, unless none is.
    fn of_words(low: i64, range: usize, words: Arc<Vec<u64>>) -> KeySet {
        let first = words.iter().position(|&word| word != 0);
        let last = words.iter().rposition(|&word| word != 0);
        let bounds = first.zip(last).map(|(first, last)| {
            let min = first * 64 + words[first].trailing_zeros() as usize;
            let max = last * 64 + 63 - words[last].leading_zeros() as usize;
            (low + min as i64, low + max as i64)
        });
        let density = ones(&words) as f64 / range.max(1) as f64;
        // A range of none lets nothing pass.
        let range = if bounds.is_some() { range } else { 0 };
        KeySet { low, range, words, bounds, density }
    }

    /// The keys that `wanted` has.
    pub fn of(wanted: WantedKeys) -> KeySet {
        let (low, range) = (wanted.first.saturating_mul(64), wanted.words.len() * 64);
        KeySet::of_words(low, range, Arc::new(wanted.words))
    }

    /// The keys, as those that column `column` of some rows should have.
    pub fn wanted(&self, column: u32) -> WantedKeys {
        let Some((min, max)) = self.bounds else { return WantedKeys { column, first: 0, words: Vec::new() } };
        let word = |key: i64| ((key - self.low) / 64) as usize;
        let words = self.words[word(min)..=word(max)].to_vec();
        WantedKeys { column, first: min.div_euclid(64), words }
    }

    /// The positions in `vector`, ascending, of keys that occur; nulls do not.
    pub fn passing(&self, vector: &Vector) -> Vec<u32> {
        let Flat { values, validity, .. } = vector.flatten();
        let validity = validity.as_ref();
        match &values {
            Values::I8(values) => passing(values, self.low, self.range, &self.words, validity),
            Values::I16(values) => passing(values, self.low, self.range, &self.words, validity),
            Values::I32(values) => passing(values, self.low, self.range, &self.words, validity),
            Values::I64(values) => passing(values, self.low, self.range, &self.words, validity),
            // No other width has bounds of 64 bits: nothing is known of it.
            other => (0..other.len() as u32).collect(),
        }
    }
}

impl KeyTest {
    pub fn new(keys: KeySet) -> KeyTest {
        KeyTest { keys, tested: AtomicU64::new(0), passed: AtomicU64::new(0) }
    }

    /// As [`KeySet::passing`], counted.
    pub fn passing(&self, column: &Vector) -> Vec<u32> {
        let passing = self.keys.passing(column);
        self.tested.fetch_add(column.len() as u64, Ordering::Relaxed);
        self.passed.fetch_add(passing.len() as u64, Ordering::Relaxed);
        passing
    }

    /// Whether it drops enough rows to pay for itself, as far as it has been tried.
    pub fn is_worth_it(&self) -> bool {
        const TRIAL_ROWS: u64 = 2 * storage::BLOCK_ROWS as u64;
        let (tested, passed) = (self.tested.load(Ordering::Relaxed), self.passed.load(Ordering::Relaxed));
        tested < TRIAL_ROWS || passed.saturating_mul(10) < tested.saturating_mul(8)
    }
}

kernel! {
    /// How many bits are set.
    fn ones(words: &[u64]) -> u64 {
        words.iter().map(|word| u64::from(word.count_ones())).sum()
    }
}

/// Neighbours looked at together: where data are clustered by a key, whole stretches have none of the keys.
const TOGETHER: usize = 64;

/// Whether no key lies between the least and the greatest of some values, looked up only where that is little work.
#[inline(always)]
fn has_none<T: Narrow>(values: &[T], low: i64, range: usize, words: &[u64]) -> bool {
    const MOST_WORDS: usize = 8;
    let (mut least, mut greatest) = (values[0], values[0]);
    for &value in values {
        least = if value < least { value } else { least };
        greatest = if value > greatest { value } else { greatest };
    }
    let first = least.into().wrapping_sub(low) as u64 as usize;
    let last = greatest.into().wrapping_sub(low) as u64 as usize;
    first <= last
        && last < range
        && last / 64 - first / 64 < MOST_WORDS
        && words[first / 64..=last / 64].iter().all(|&word| word == 0)
}

/// Integers of at most 64 bits.
trait Narrow: Copy + PartialOrd + Into<i64> {}
impl<T: Copy + PartialOrd + Into<i64>> Narrow for T {}

kernel! {
    fn passing[T: Narrow](
        values: &[T],
        low: i64,
        range: usize,
        words: &[u64],
        validity: Option<&Bitmap>,
    ) -> Vec<u32> {
        let mut rows = vec![0_u32; values.len()];
        let mut count = 0;
        for (index, chunk) in values.chunks(TOGETHER).enumerate() {
            if has_none(chunk, low, range, words) {
                continue;
            }
            for (place, &value) in chunk.iter().enumerate() {
                let at = value.into().wrapping_sub(low) as u64 as usize;
                let word = if at < range { words[at / 64] } else { 0 };
                rows[count] = (index * TOGETHER + place) as u32;
                count += (word >> (at % 64) & 1) as usize;
            }
        }
        rows.truncate(count);
        if let Some(validity) = validity {
            rows.retain(|&row| validity.get(row as usize));
        }
        rows
    }
}

/// Notes the keys of a build side on their way to the sink.
pub struct NoteKeys {
    filter: Arc<KeyFilter>,
    column: usize,
    output: Vec<Shape>,
}

struct NoteKeysTask {
    filter: Arc<KeyFilter>,
    column: usize,
    words: Option<Vec<u64>>,
    given_up: bool,
    pending: Option<Batch>,
}

impl NoteKeys {
    /// Notes column `column` of rows of shapes `input`.
    pub fn new(filter: Arc<KeyFilter>, column: usize, input: &[Shape]) -> NoteKeys {
        NoteKeys { filter, column, output: input.to_vec() }
    }
}

impl Operator for NoteKeys {
    fn output(&self) -> &[Shape] {
        &self.output
    }

    fn start(&self) -> Result<Box<dyn OperatorTask>> {
        Ok(Box::new(NoteKeysTask {
            filter: self.filter.clone(),
            column: self.column,
            words: None,
            given_up: false,
            pending: None,
        }))
    }
}

impl OperatorTask for NoteKeysTask {
    fn push(&mut self, batch: Batch) -> Result<()> {
        self.pending = Some(batch);
        Ok(())
    }

    fn pull(&mut self, _step: &Step<'_>) -> Result<Output> {
        let Some(batch) = self.pending.take() else { return Ok(Output::NeedsInput) };
        let batch = batch.compact();
        if self.words.is_none() && !self.given_up {
            self.words = self.filter.bitmap();
            self.given_up = self.words.is_none();
        }
        match (&mut self.words, batch.columns.get(self.column)) {
            (Some(words), Some(vector)) => {
                note(words, &vector.flatten(), self.filter.low, self.filter.range);
            }
            (None, Some(vector)) => self.filter.note(&vector.flatten()),
            _ => {}
        }
        Ok(Output::Batch(batch))
    }

    fn end(&mut self) -> Result<()> {
        if let Some(words) = self.words.take() {
            self.filter.merge(words);
        }
        Ok(())
    }
}

/// Sets the bits of the keys that are not null.
fn note(words: &mut [u64], keys: &Flat, low: i64, range: usize) {
    let validity = keys.validity.as_ref();
    match &keys.values {
        Values::I8(values) => note_values(words, values, validity, low, range),
        Values::I16(values) => note_values(words, values, validity, low, range),
        Values::I32(values) => note_values(words, values, validity, low, range),
        Values::I64(values) => note_values(words, values, validity, low, range),
        // A column with bounds of 64 bits has one of the widths above; were it otherwise, all keys occur.
        _ => words.fill(u64::MAX),
    }
}

fn note_values<T: Narrow>(
    words: &mut [u64],
    values: &[T],
    validity: Option<&Bitmap>,
    low: i64,
    range: usize,
) {
    for (row, &value) in values.iter().enumerate() {
        let at = value.into().wrapping_sub(low) as u64 as usize;
        if at < range && validity.is_none_or(|validity| validity.get(row)) {
            words[at / 64] |= 1 << (at % 64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryPool;
    use columnar::{DataType, Scalar};
    use std::task::Waker;

    fn vector(values: &[Option<i128>]) -> Vector {
        let scalars: Vec<Scalar> =
            values.iter().map(|value| value.map_or(Scalar::Null, Scalar::Integer)).collect();
        Vector::from_scalars(DataType::Int32, &scalars)
    }

    fn shape(low: i128, high: i128) -> Shape {
        Shape { bounds: Some((low, high)), ..Shape::of_type(DataType::Int32) }
    }

    /// The filter after two tasks have noted `keys`.
    fn noted(filter: &Arc<KeyFilter>, query: &QueryContext, keys: [&[Option<i128>]; 2]) {
        let operator = NoteKeys::new(filter.clone(), 0, &[shape(0, 0)]);
        for keys in keys {
            let mut task = operator.start().unwrap();
            let step = Step { query, waker: Waker::noop(), started: query.now() };
            if !keys.is_empty() {
                task.push(Batch::new(vec![vector(keys)])).unwrap();
            }
            while !matches!(task.pull(&step).unwrap(), Output::NeedsInput) {}
            task.end().unwrap();
        }
    }

    #[test]
    fn only_noted_keys_pass() {
        let query = QueryContext::new(1, MemoryPool::unlimited());
        let filter = KeyFilter::new(&shape(-5, 200), &shape(-50, 900), &query).unwrap();
        noted(&filter, &query, [&[Some(-5), None, Some(64)], &[Some(200), Some(64)]]);
        let set = filter.complete().unwrap();
        assert_eq!(set.bounds, Some((-5, 200)));
        let probe = vector(&[
            Some(-6),
            Some(-5),
            None,
            Some(0),
            Some(64),
            Some(200),
            Some(201),
            Some(i32::MAX.into()),
        ]);
        assert_eq!(set.passing(&probe), vec![1, 4, 5]);
    }

    #[test]
    fn without_keys_nothing_passes() {
        let query = QueryContext::new(1, MemoryPool::unlimited());
        let filter = KeyFilter::new(&shape(0, 10), &shape(0, 10), &query).unwrap();
        noted(&filter, &query, [&[], &[]]);
        let set = filter.complete().unwrap();
        assert_eq!((set.bounds, set.passing(&vector(&[Some(0), Some(3), None]))), (None, vec![]));
    }

    /// What either side alone can have matches nothing, so that a side of which nothing is known takes the range of the other.
    #[test]
    fn keys_of_one_side_alone_are_left_out() {
        let query = QueryContext::new(1, MemoryPool::unlimited());
        let unknown = Shape::of_type(DataType::Int32);
        for (build, probe) in [(unknown.clone(), shape(3, 70)), (shape(3, 70), unknown)] {
            let filter = KeyFilter::new(&build, &probe, &query).unwrap();
            noted(&filter, &query, [&[Some(-5), Some(3)], &[Some(70), Some(71), Some(i32::MIN.into())]]);
            let probe = vector(&[Some(-5), Some(3), Some(4), Some(70), Some(71), Some(i32::MIN.into())]);
            assert_eq!(filter.complete().unwrap().passing(&probe), [1, 3]);
        }
        let filter = KeyFilter::new(&shape(0, 10), &shape(20, 30), &query).unwrap();
        noted(&filter, &query, [&[Some(3)], &[Some(10)]]);
        assert!(filter.complete().unwrap().passing(&vector(&[Some(20), Some(3)])).is_empty());
    }

    #[test]
    fn a_filter_without_memory_gives_up() {
        let pool = MemoryPool::new(1000);
        let query = QueryContext::new(1, pool.clone());
        let filter = KeyFilter::new(&shape(0, 6000), &shape(-9, 6000), &query).unwrap();
        noted(&filter, &query, [&[Some(1)], &[Some(2)]]);
        assert!(filter.complete().is_none());
        let (wide, text) = (shape(0, 1 << 30), Shape::of_type(DataType::Varchar));
        assert!(
            KeyFilter::new(&wide, &wide, &query).is_none() && KeyFilter::new(&text, &text, &query).is_none()
        );
        drop(filter);
        assert_eq!(pool.used_bytes(), 0);
    }
}
