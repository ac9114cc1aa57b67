//! Drops rows whose key a join's build side does not have, where no scan could do so earlier: a bitmap is cheaper to
//! look at than a hash table. Where rows come from other fragments, those who send them are told, too.

use crate::error::Result;
use crate::operator::{Operator, OperatorTask, Output, Step};
use crate::operators::key_filter::{KeyFilter, KeyTest};
use crate::runtime::exchange::Exchange;
use crate::shape::Shape;
use columnar::{Batch, Selection};
use std::sync::{Arc, OnceLock};

/// Lets rows pass by one column; the filter must be complete when rows come.
pub struct FilterKeys {
    keys: Arc<Keys>,
    output: Vec<Shape>,
}

struct Keys {
    filter: Arc<KeyFilter>,
    column: usize,
    /// `None`: the filter gave up.
    test: OnceLock<Option<KeyTest>>,
    senders: Option<Senders>,
}

/// Those who send the rows of a fragment to a shard.
struct Senders {
    exchange: Arc<dyn Exchange>,
    fragment: u32,
    shard: usize,
    /// The key among the columns that they send.
    column: u32,
}

struct FilterKeysTask {
    keys: Arc<Keys>,
    pending: Option<Batch>,
}

impl FilterKeys {
    /// Tests column `column` of rows of shapes `input`.
    pub fn new(filter: Arc<KeyFilter>, column: usize, input: &[Shape]) -> FilterKeys {
        let keys = Arc::new(Keys { filter, column, test: OnceLock::new(), senders: None });
        FilterKeys { keys, output: input.to_vec() }
    }

    /// As [`FilterKeys::new`], for rows that `shard` receives from `fragment`, which sends the column as its column `sent`:
    /// who sends them is told.
    pub fn of_received(
        filter: Arc<KeyFilter>,
        column: usize,
        input: &[Shape],
        exchange: Arc<dyn Exchange>,
        (fragment, shard, sent): (u32, usize, usize),
    ) -> FilterKeys {
        let senders = Some(Senders { exchange, fragment, shard, column: sent as u32 });
        let keys = Arc::new(Keys { filter, column, test: OnceLock::new(), senders });
        FilterKeys { keys, output: input.to_vec() }
    }
}

impl Keys {
    /// What is tested; `None`: the filter gave up.
    fn test(&self) -> Option<&KeyTest> {
        let make = || {
            let keys = self.filter.complete();
            if let Some(Senders { exchange, fragment, shard, column }) = &self.senders {
                match &keys {
                    Some(keys) => exchange.want(*fragment, *shard, keys.wanted(*column)),
                    None => exchange.want_all(*fragment, *shard),
                }
            }
            keys.map(KeyTest::new)
        };
        self.test.get_or_init(make).as_ref()
    }
}

impl Operator for FilterKeys {
    fn output(&self) -> &[Shape] {
        &self.output
    }

    fn start(&self) -> Result<Box<dyn OperatorTask>> {
        // Who sends should not wait for the first of its rows to be told.
        self.keys.test();
        Ok(Box::new(FilterKeysTask { keys: self.keys.clone(), pending: None }))
    }
}

impl OperatorTask for FilterKeysTask {
    fn push(&mut self, batch: Batch) -> Result<()> {
        self.pending = Some(batch);
        Ok(())
    }

    fn pull(&mut self, _step: &Step<'_>) -> Result<Output> {
        let Some(batch) = self.pending.take() else { return Ok(Output::NeedsInput) };
        let Some(test) = self.keys.test().filter(|test| test.is_worth_it()) else {
            return Ok(Output::Batch(batch));
        };
        let mut batch = batch.compact();
        let Some(column) = batch.columns.get(self.keys.column) else { return Ok(Output::Batch(batch)) };
        let passing = test.passing(column);
        if passing.is_empty() {
            return Ok(Output::NeedsInput);
        }
        if passing.len() < batch.rows {
            batch.selection = Some(Selection::new(passing));
        }
        Ok(Output::Batch(batch.compact()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::QueryContext;
    use crate::memory::MemoryPool;
    use crate::operators::key_filter::NoteKeys;
    use columnar::{DataType, Scalar, Vector};
    use std::task::Waker;

    fn batch(keys: impl Iterator<Item = i128>) -> Batch {
        let keys: Vec<Scalar> = keys.map(Scalar::Integer).collect();
        let rows: Vec<Scalar> = (0..keys.len() as i128).map(Scalar::Integer).collect();
        let vector = |values: &[Scalar]| Vector::from_scalars(DataType::Int32, values);
        Batch::new(vec![vector(&rows), vector(&keys)])
    }

    /// The keys that pass, batch after batch.
    fn pass(built: impl Iterator<Item = i128>, probed: &[Vec<i128>], memory: u64) -> Vec<Vec<i128>> {
        let query = QueryContext::new(1, MemoryPool::new(memory));
        let shape = Shape { bounds: Some((0, 9999)), ..Shape::of_type(DataType::Int32) };
        let filter = KeyFilter::new(&shape, &Shape::of_type(DataType::Int32), &query).unwrap();
        let step = Step { query: &query, waker: Waker::noop(), started: query.now() };
        let mut note = NoteKeys::new(filter.clone(), 1, &[shape.clone(), shape.clone()]).start().unwrap();
        note.push(batch(built)).unwrap();
        while !matches!(note.pull(&step).unwrap(), Output::NeedsInput) {}
        note.end().unwrap();
        let mut task = FilterKeys::new(filter, 1, &[shape.clone(), shape]).start().unwrap();
        let mut given = Vec::new();
        for keys in probed {
            task.push(batch(keys.iter().copied())).unwrap();
            let mut passed = Vec::new();
            while let Output::Batch(batch) = task.pull(&step).unwrap() {
                passed.extend((0..batch.rows).map(|row| batch.columns[1].scalar(row).as_integer().unwrap()));
            }
            given.push(passed);
        }
        given
    }

    #[test]
    fn rows_without_a_partner_are_dropped() {
        let given = pass([3, 5].into_iter(), &[vec![3, 4, 5, 20_000, -1], vec![6, 7], vec![5]], u64::MAX);
        assert_eq!(given, [vec![3, 5], vec![], vec![5]]);
    }

    #[test]
    fn without_memory_all_rows_pass() {
        assert_eq!(pass([3].into_iter(), &[vec![3, 4]], 10), [vec![3, 4]]);
    }

    #[test]
    fn a_filter_that_drops_little_is_left_out() {
        let probed: Vec<Vec<i128>> = (0..100).map(|_| (0..2000).collect()).collect();
        let given = pass(0..1999, &probed, u64::MAX);
        assert_eq!((given[0].len(), given[99].len()), (1999, 2000));
    }
}
