//! Kept rows: the result of a part of the plan that several others read. A sink holds the batches, and every
//! source gives all of them.

use crate::context::QueryContext;
use crate::error::{Error, Result};
use crate::memory::{MemoryPool, Reservation};
use crate::operator::{Output, Progress, Sink, SinkTask, Source, SourceTask, Step};
use crate::shape::Shape;
use columnar::kernels::concat::concat;
use columnar::{Batch, Values, Vector, View};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// Rows that go in once through [`Kept::sink`] and come out of any number of [`Kept::source`]s.
#[derive(Clone)]
pub struct Kept(Arc<Shared>);

struct Shared {
    shapes: Vec<Shape>,
    batch_rows: usize,
    /// Whether the rows have an order that sources must give them in.
    in_order: bool,
    memory: Arc<MemoryPool>,
    /// What tasks left, and what it takes.
    collected: Mutex<(Vec<Batch>, Vec<Reservation>)>,
    complete: OnceLock<Vec<Batch>>,
}

impl Kept {
    /// Keeps rows of these shapes. `in_order`: they come from one task, and are given in the order of coming.
    pub fn new(shapes: &[Shape], in_order: bool, query: &QueryContext) -> Kept {
        Kept(Arc::new(Shared {
            shapes: shapes.to_vec(),
            batch_rows: query.settings.batch_rows.max(1),
            in_order,
            memory: query.memory.clone(),
            collected: Mutex::default(),
            complete: OnceLock::new(),
        }))
    }

    /// How many columns there are.
    pub fn width(&self) -> usize {
        self.0.shapes.len()
    }

    pub fn sink(&self) -> Arc<dyn Sink> {
        Arc::new(KeptSink(self.0.clone()))
    }

    /// A source of these columns of all rows, once the sink is finalised.
    pub fn source(&self, columns: &[usize]) -> Arc<dyn Source> {
        Arc::new(KeptSource {
            shared: self.0.clone(),
            output: columns.iter().map(|&column| self.0.shapes[column].clone()).collect(),
            columns: columns.into(),
            next: Arc::default(),
        })
    }
}

struct KeptSink(Arc<Shared>);

struct KeptTask {
    shared: Arc<Shared>,
    /// Batches that are too small to keep as they are, and their rows.
    small: Vec<Batch>,
    small_rows: usize,
    kept: Vec<Batch>,
    reservation: Reservation,
}

impl Sink for KeptSink {
    fn start(&self) -> Result<Box<dyn SinkTask>> {
        Ok(Box::new(KeptTask {
            shared: self.0.clone(),
            small: Vec::new(),
            small_rows: 0,
            kept: Vec::new(),
            reservation: self.0.memory.reservation("rows that are read twice"),
        }))
    }

    fn finalize(&self) -> Result<Vec<Box<dyn crate::operator::Work>>> {
        let batches = std::mem::take(&mut self.0.collected.lock().0);
        let complete = self.0.complete.set(batches);
        complete.map_err(|_| Error::Internal("kept rows were finalized twice".into()))?;
        Ok(Vec::new())
    }
}

impl SinkTask for KeptTask {
    fn push(&mut self, batch: Batch) -> Result<()> {
        let batch = batch.compact();
        self.small_rows += batch.rows;
        self.small.push(batch);
        Ok(())
    }

    fn advance(&mut self, _step: &Step<'_>) -> Result<Progress> {
        if self.small_rows >= self.shared.batch_rows / 2 {
            self.keep()?;
        }
        Ok(Progress::Ready)
    }

    fn combine(&mut self, _step: &Step<'_>) -> Result<Progress> {
        self.keep()?;
        let empty = self.shared.memory.reservation("rows that are read twice");
        let mut collected = self.shared.collected.lock();
        collected.0.append(&mut self.kept);
        collected.1.push(std::mem::replace(&mut self.reservation, empty));
        Ok(Progress::Ready)
    }
}

impl KeptTask {
    /// Keeps what has come since the last time as few batches.
    fn keep(&mut self) -> Result<()> {
        self.small_rows = 0;
        let small = std::mem::take(&mut self.small);
        let rows: usize = small.iter().map(|batch| batch.rows).sum();
        if rows == 0 {
            return Ok(());
        }
        let column = |column: usize| {
            let parts: Vec<&Vector> = small.iter().map(|batch| &batch.columns[column]).collect();
            concat(&parts)
        };
        let columns: Option<Vec<Vector>> = (0..self.shared.shapes.len()).map(column).collect();
        let columns = columns.ok_or_else(|| Error::Internal("a batch without its columns".into()))?;
        let whole = Batch::of_rows(columns, rows);
        self.reservation.grow(bytes_of(&whole))?;
        let most = self.shared.batch_rows;
        if rows <= most {
            self.kept.push(whole);
        } else {
            self.kept.extend((0..rows).step_by(most).map(|at| whole.slice(at, most.min(rows - at))));
        }
        Ok(())
    }
}

/// What a batch without a selection holds, about: long text counts where rows have views of their own.
fn bytes_of(batch: &Batch) -> u64 {
    let column = |column: &Vector| match column {
        Vector::Constant(_) => 0,
        Vector::Dictionary(_) => batch.rows * size_of::<u32>(),
        Vector::Flat(flat) => {
            let text = match &flat.values {
                Values::View(views) => {
                    let long = |&view: &u128| if View(view).is_inline() { 0 } else { View(view).len() };
                    views.raw().iter().map(long).sum()
                }
                _ => 0,
            };
            batch.rows * column.physical().width_bytes() + text
        }
    };
    batch.columns.iter().map(column).sum::<usize>() as u64
}

struct KeptSource {
    shared: Arc<Shared>,
    columns: Arc<[usize]>,
    output: Vec<Shape>,
    next: Arc<AtomicUsize>,
}

struct KeptSourceTask {
    shared: Arc<Shared>,
    columns: Arc<[usize]>,
    next: Arc<AtomicUsize>,
}

impl Source for KeptSource {
    fn output(&self) -> &[Shape] {
        &self.output
    }

    fn parallelism(&self) -> usize {
        match self.shared.in_order {
            true => 1,
            false => self.shared.complete.get().map_or(1, |batches| batches.len().max(1)),
        }
    }

    fn start(&self) -> Result<Box<dyn SourceTask>> {
        let (shared, columns, next) = (self.shared.clone(), self.columns.clone(), self.next.clone());
        Ok(Box::new(KeptSourceTask { shared, columns, next }))
    }
}

impl SourceTask for KeptSourceTask {
    fn next(&mut self, _step: &Step<'_>) -> Result<Output> {
        let batches = self.shared.complete.get();
        let batches =
            batches.ok_or_else(|| Error::Internal("kept rows were read before their end".into()))?;
        let Some(batch) = batches.get(self.next.fetch_add(1, Ordering::Relaxed)) else {
            return Ok(Output::Finished);
        };
        let columns = self.columns.iter().map(|&column| batch.columns[column].clone()).collect();
        Ok(Output::Batch(Batch::of_rows(columns, batch.rows)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operators::testing::drain;
    use columnar::{DataType, Scalar};
    use std::task::Waker;

    fn batch(numbers: &[i128]) -> Batch {
        let scalars: Vec<Scalar> = numbers.iter().map(|&number| Scalar::Integer(number)).collect();
        let text = |number: &i128| Scalar::Bytes(format!("a text of more than twelve, {number}").into());
        let texts: Vec<Scalar> = numbers.iter().map(text).collect();
        Batch::new(vec![
            Vector::from_scalars(DataType::Int64, &scalars),
            Vector::from_scalars(DataType::Varchar, &texts),
        ])
    }

    fn keep(kept: &Kept, batches: Vec<Batch>, query: &QueryContext) -> Result<()> {
        let sink = kept.sink();
        let mut task = sink.start()?;
        let step = Step { query, waker: Waker::noop(), started: query.now() };
        for batch in batches {
            task.push(batch)?;
            assert_eq!(task.advance(&step)?, Progress::Ready);
        }
        assert_eq!(task.combine(&step)?, Progress::Ready);
        assert!(sink.finalize()?.is_empty());
        Ok(())
    }

    #[test]
    fn every_source_gives_all_rows() {
        let mut query = QueryContext::new(1, MemoryPool::unlimited());
        for batch_rows in [1, 2, 3, 100] {
            query.settings.batch_rows = batch_rows;
            let kept = Kept::new(&Shape::of_types(&[DataType::Int64, DataType::Varchar]), true, &query);
            keep(&kept, vec![batch(&[1, 2]), batch(&[]), batch(&[3]), batch(&[4, 5, 6, 7])], &query).unwrap();
            for _ in 0..2 {
                let rows = drain(&*kept.source(&[1, 0, 0]), 1, &query).unwrap();
                let numbers: Vec<_> = rows.iter().map(|row| row[2].clone()).collect();
                assert_eq!(numbers, (1..8).map(Scalar::Integer).collect::<Vec<_>>());
                assert!(rows.iter().all(|row| row[1] == row[2] && matches!(row[0], Scalar::Bytes(_))));
            }
        }
    }

    #[test]
    fn what_is_kept_is_reserved() {
        let pool = MemoryPool::new(100);
        let query = QueryContext::new(1, pool.clone());
        let kept = Kept::new(&Shape::of_types(&[DataType::Int64, DataType::Varchar]), false, &query);
        let error = keep(&kept, vec![batch(&[1, 2]), batch(&[3])], &query).unwrap_err();
        assert!(matches!(error, Error::Memory { what: "rows that are read twice", .. }), "{error}");
        drop(kept);
        assert_eq!(pool.used_bytes(), 0);
    }
}
