//! Semi and anti joins by one integer whose bounds are narrow: a bitmap of the keys is all that is held of the build
//! side. [`super::key_filter`] makes it; here its rows end, and probe rows pass by it.

use super::key_filter::{KeyFilter, KeySet};
use crate::error::{Error, Result};
use crate::operator::{Operator, OperatorTask, Output, Progress, Sink, SinkTask, Step};
use crate::shape::Shape;
use columnar::{Batch, Selection};
use std::sync::{Arc, OnceLock};

/// Ends the build side, whose keys were noted on the way.
pub struct NotedKeys;

impl Sink for NotedKeys {
    fn start(&self) -> Result<Box<dyn SinkTask>> {
        Ok(Box::new(NotedKeys))
    }
}

impl SinkTask for NotedKeys {
    fn push(&mut self, _: Batch) -> Result<()> {
        Ok(())
    }

    fn advance(&mut self, _: &Step<'_>) -> Result<Progress> {
        Ok(Progress::Ready)
    }

    fn combine(&mut self, _: &Step<'_>) -> Result<Progress> {
        Ok(Progress::Ready)
    }
}

/// Gives the probe rows whose key the build side has, or those whose key it does not have, among them nulls.
pub struct SemiJoin {
    shared: Arc<Shared>,
    output: Vec<Shape>,
}

struct Shared {
    filter: Arc<KeyFilter>,
    column: usize,
    anti: bool,
    keys: OnceLock<Result<KeySet>>,
}

struct SemiJoinTask {
    shared: Arc<Shared>,
    pending: Option<Batch>,
}

impl SemiJoin {
    /// Tests column `column` of rows of shapes `input`. The filter must be one that is kept, and complete when rows come.
    pub fn new(filter: Arc<KeyFilter>, column: usize, anti: bool, input: &[Shape]) -> SemiJoin {
        let shared = Arc::new(Shared { filter, column, anti, keys: OnceLock::new() });
        SemiJoin { shared, output: input.to_vec() }
    }
}

impl Operator for SemiJoin {
    fn output(&self) -> &[Shape] {
        &self.output
    }

    fn start(&self) -> Result<Box<dyn OperatorTask>> {
        Ok(Box::new(SemiJoinTask { shared: self.shared.clone(), pending: None }))
    }
}

impl Shared {
    fn keys(&self) -> Result<&KeySet> {
        let complete =
            || self.filter.complete().ok_or_else(|| Error::Internal("the keys of a join are lost".into()));
        self.keys.get_or_init(complete).as_ref().map_err(Clone::clone)
    }
}

impl OperatorTask for SemiJoinTask {
    fn push(&mut self, batch: Batch) -> Result<()> {
        self.pending = Some(batch);
        Ok(())
    }

    fn pull(&mut self, _: &Step<'_>) -> Result<Output> {
        let keys = self.shared.keys()?;
        let anti = self.shared.anti;
        if keys.bounds.is_none() && !anti {
            return Ok(Output::Finished);
        }
        let Some(batch) = self.pending.take() else { return Ok(Output::NeedsInput) };
        let mut batch = batch.compact();
        let column = batch.columns.get(self.shared.column);
        let column = column.ok_or_else(|| Error::Internal("a join's key is no column".into()))?;
        let mut rows = keys.passing(column);
        if anti {
            rows = others(&rows, batch.rows);
        }
        if rows.is_empty() {
            return Ok(Output::NeedsInput);
        }
        if rows.len() < batch.rows {
            batch.selection = Some(Selection::new(rows));
        }
        Ok(Output::Batch(batch))
    }
}

/// The positions below `count` that are not among `rows`; both ascend.
fn others(rows: &[u32], count: usize) -> Vec<u32> {
    let mut others = Vec::with_capacity(count - rows.len());
    let mut next = 0;
    for &row in rows {
        others.extend(next..row);
        next = row + 1;
    }
    others.extend(next..count as u32);
    others
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::QueryContext;
    use crate::memory::MemoryPool;
    use crate::operators::key_filter::NoteKeys;
    use columnar::{DataType, Scalar, Vector};
    use std::task::Waker;

    #[test]
    fn the_other_rows_are_those_between() {
        assert_eq!(others(&[], 3), [0, 1, 2]);
        assert_eq!(others(&[0, 2, 3], 6), [1, 4, 5]);
        assert_eq!(others(&[0, 1], 2), [0; 0]);
    }

    fn batch(keys: &[Option<i128>]) -> Batch {
        let scalars: Vec<Scalar> = keys.iter().map(|key| key.map_or(Scalar::Null, Scalar::Integer)).collect();
        Batch::new(vec![Vector::from_scalars(DataType::Int32, &scalars)])
    }

    /// The positions of probe rows that pass, where each of `built` is noted by a task of its own and memory is enough for
    /// two bitmaps.
    fn passing(built: &[&[Option<i128>]], probed: &[Option<i128>], anti: bool) -> Option<Vec<u32>> {
        let shape = Shape { bounds: Some((0, 639)), ..Shape::of_type(DataType::Int32) };
        let query = QueryContext::new(1, MemoryPool::new(2 * 80));
        let filter = KeyFilter::kept(&shape, &Shape::of_type(DataType::Int32), &query).unwrap();
        let step = Step { query: &query, waker: Waker::noop(), started: query.now() };
        let note = NoteKeys::new(filter.clone(), 0, std::slice::from_ref(&shape));
        let mut tasks: Vec<_> = built.iter().map(|_| note.start().unwrap()).collect();
        for (task, keys) in tasks.iter_mut().zip(built) {
            task.push(batch(keys)).unwrap();
            while !matches!(task.pull(&step).unwrap(), Output::NeedsInput) {}
        }
        tasks.iter_mut().for_each(|task| task.end().unwrap());
        let mut task = SemiJoin::new(filter, 0, anti, &[shape]).start().unwrap();
        task.push(batch(probed)).unwrap();
        match task.pull(&step).unwrap() {
            Output::Batch(batch) => {
                let all = (0..batch.rows as u32).collect();
                Some(batch.selection.map_or(all, |selection| selection.rows().to_vec()))
            }
            Output::NeedsInput => Some(Vec::new()),
            Output::Finished => None,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn rows_pass_by_their_keys_though_tasks_share_a_bitmap() {
        let built: [&[_]; 3] = [&[Some(3), None], &[Some(5), Some(5)], &[Some(639), Some(-1), Some(640)]];
        let probed = [Some(5), None, Some(4), Some(640), Some(3), Some(-1), Some(639)];
        assert_eq!(passing(&built, &probed, false).unwrap(), [0, 4, 6]);
        assert_eq!(passing(&built, &probed, true).unwrap(), [1, 2, 3, 5]);
        assert_eq!(passing(&built, &[Some(7)], false).unwrap(), [0; 0]);
    }

    #[test]
    fn without_a_key_no_row_has_one() {
        assert_eq!(passing(&[&[None]], &[Some(1), None], true).unwrap(), [0, 1]);
        assert_eq!(passing(&[&[None]], &[Some(1), None], false), None);
    }
}
