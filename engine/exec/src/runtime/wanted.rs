//! What receivers want of the rows of a fragment, told to those who send them: rows that a join drops for want of a
//! partner need not travel there. Where a plan has such a join (`Plan::asked`), senders wait until all receivers
//! have told: before that these could not take their rows anyway. Rows that nobody wants may come all the same.

use super::waiters::Waiters;
use crate::memory::Reservation;
use crate::operators::key_filter::{KeyFilter, KeySet, KeyTest};
use columnar::{Batch, Selection};
use std::sync::Arc;
use std::task::Waker;

/// The integers that a receiver has a use for, in one column of the rows that a fragment sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedKeys {
    /// The position of the column among those that are sent.
    pub column: u32,
    /// The integer of the first bit, divided by 64.
    pub first: i64,
    /// A bit for each integer, ascending. Without one no row is wanted.
    pub words: Vec<u64>,
}

/// What all receivers of a fragment want, together.
pub struct WantedTest {
    column: usize,
    test: KeyTest,
}

/// What receivers of one fragment have told so far.
pub(super) struct Wanted {
    receivers: usize,
    reservation: Reservation,
    columns: Vec<WantedColumn>,
    /// Those who have told anything, if only that they want all, or nothing any more.
    told: Vec<usize>,
    /// Who waits for all to have told.
    waiters: Waiters,
}

struct WantedColumn {
    /// Who has told.
    told: Vec<usize>,
    /// What those want; `None`: it is too much to be kept, or all have told.
    union: Option<WantedKeys>,
    column: u32,
    test: Option<Arc<WantedTest>>,
}

impl Wanted {
    /// Nothing yet, of so many receivers.
    pub(super) fn new(receivers: usize, reservation: Reservation) -> Wanted {
        Wanted { receivers, reservation, columns: Vec::new(), told: Vec::new(), waiters: Waiters::default() }
    }

    /// That the receiver `to` has told all that it will, or something; to be woken.
    pub(super) fn has_told(&mut self, to: usize) -> Waiters {
        if !self.told.contains(&to) {
            self.told.push(to);
        }
        if self.all_told() { self.waiters.take() } else { Waiters::default() }
    }

    /// Whether all have told.
    pub(super) fn all_told(&self) -> bool {
        self.told.len() >= self.receivers
    }

    /// Whether that receiver has told.
    pub(super) fn told_by(&self, to: usize) -> bool {
        self.told.contains(&to)
    }

    /// Wakes `waker` once all have told.
    pub(super) fn wait(&mut self, waker: &Waker) {
        self.waiters.add(waker);
    }

    /// Wakes all who wait.
    pub(super) fn release(&mut self) -> Waiters {
        self.waiters.take()
    }

    /// Adds what the receiver `to` wants; what it says again counts for nothing.
    pub(super) fn tell(&mut self, to: usize, keys: WantedKeys) {
        let place = self.columns.iter().position(|known| known.column == keys.column);
        let place = place.unwrap_or_else(|| {
            let union = Some(WantedKeys { column: keys.column, first: 0, words: Vec::new() });
            self.columns.push(WantedColumn { told: Vec::new(), union, column: keys.column, test: None });
            self.columns.len() - 1
        });
        let known = &mut self.columns[place];
        if known.told.contains(&to) {
            return;
        }
        known.told.push(to);
        known.union = known.union.take().and_then(|union| union.with(keys, &mut self.reservation));
        if known.told.len() == self.receivers {
            let column = known.column as usize;
            let test =
                known.union.take().map(|keys| WantedTest { column, test: KeyTest::new(KeySet::of(keys)) });
            known.test = test.map(Arc::new);
        }
    }

    /// What is known of all receivers.
    pub(super) fn tests(&self) -> Vec<Arc<WantedTest>> {
        self.columns.iter().filter_map(|known| known.test.clone()).collect()
    }
}

impl WantedKeys {
    /// What either wants; `None`: it is too much.
    fn with(mut self, other: WantedKeys, reservation: &mut Reservation) -> Option<WantedKeys> {
        if other.words.is_empty() {
            return Some(self);
        }
        if self.words.is_empty() {
            reservation.grow(other.words.len() as u64 * 8).ok()?;
            return Some(other);
        }
        let end = |keys: &WantedKeys| keys.first.checked_add(i64::try_from(keys.words.len()).ok()?);
        let (first, end) = (self.first.min(other.first), end(&self)?.max(end(&other)?));
        let words = usize::try_from(end.checked_sub(first)?).ok()?;
        if words as i128 > KeyFilter::RANGE_LIMIT / 64 + 1 {
            return None;
        }
        if words > self.words.len() {
            reservation.grow((words - self.words.len()) as u64 * 8).ok()?;
            let before = (self.first - first) as usize;
            self.words.splice(..0, std::iter::repeat_n(0, before));
            self.words.resize(words, 0);
            self.first = first;
        }
        let at = (other.first - self.first) as usize;
        self.words[at..].iter_mut().zip(other.words).for_each(|(word, more)| *word |= more);
        Some(self)
    }
}

impl WantedTest {
    /// The column among those that are sent.
    pub fn column(&self) -> usize {
        self.column
    }

    /// Of rows as they are sent, those that somebody wants, and others where hardly any are dropped.
    pub fn wanted_of(&self, batch: Batch) -> Batch {
        if self.test.is_worth_it() { self.exactly(batch, self.column) } else { batch.compact() }
    }

    /// The rows that somebody wants, where column `column` has the values that are sent: all rows of a key, or none.
    pub fn exactly(&self, batch: Batch, column: usize) -> Batch {
        let mut batch = batch.compact();
        let Some(column) = batch.columns.get(column) else { return batch };
        let passing = self.test.passing(column);
        if passing.len() < batch.rows {
            batch.selection = Some(Selection::new(passing));
        }
        batch.compact()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryPool;
    use columnar::{DataType, Scalar, Vector};

    fn keys(first: i64, words: &[u64]) -> WantedKeys {
        WantedKeys { column: 1, first, words: words.to_vec() }
    }

    /// What passes of keys that are told, one receiver after the other.
    fn passing(told: &[WantedKeys], of: &[i128]) -> Option<Vec<i128>> {
        let mut wanted = Wanted::new(told.len(), MemoryPool::unlimited().reservation("test"));
        for (to, keys) in told.iter().enumerate() {
            assert!(wanted.tests().is_empty(), "not all have told");
            wanted.tell(to, keys.clone());
            // Said twice.
            wanted.tell(to, keys.clone());
        }
        let vector = |values: &[i128]| {
            let scalars: Vec<Scalar> = values.iter().copied().map(Scalar::Integer).collect();
            Vector::from_scalars(DataType::Int64, &scalars)
        };
        let [test] = &wanted.tests()[..] else { return None };
        let batch = test.wanted_of(Batch::new(vec![vector(&vec![0; of.len()]), vector(of)]));
        Some((0..batch.rows).filter_map(|row| batch.columns[1].scalar(row).as_integer()).collect())
    }

    #[test]
    fn rows_that_any_receiver_wants_pass() {
        let all: Vec<i128> = (-200..300).collect();
        let told = [keys(0, &[0b101]), keys(-2, &[1 << 63]), keys(0, &[]), keys(1, &[1, 1 << 5])];
        assert_eq!(passing(&told, &all).unwrap(), [-65, 0, 2, 64, 133]);
        let told = [keys(3, &[1]), keys(-1, &[0, 0, 2, 0, 4, 8])];
        assert_eq!(passing(&told, &all).unwrap(), [65, 192, 194, 259]);
    }

    #[test]
    fn where_none_is_wanted_no_row_passes() {
        assert_eq!(passing(&[keys(0, &[]), keys(7, &[])], &[0, 448, 449]).unwrap(), Vec::<i128>::new());
    }

    #[test]
    fn keys_too_far_apart_are_not_kept() {
        assert_eq!(passing(&[keys(0, &[1]), keys(1 << 40, &[1])], &[0]), None);
        assert_eq!(passing(&[keys(i64::MIN, &[1]), keys(i64::MAX, &[1])], &[0]), None);
    }

    #[test]
    fn without_memory_all_rows_pass() {
        let memory = MemoryPool::new(100);
        let mut wanted = Wanted::new(2, memory.reservation("test"));
        wanted.tell(0, keys(0, &[1]));
        wanted.tell(1, keys(0, &[1; 100]));
        assert!(wanted.tests().is_empty());
    }
}
