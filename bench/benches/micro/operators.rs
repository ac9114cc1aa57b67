//! Operators fed by hand, on this thread: no scan and no scheduler is timed with them.

use crate::data::{integers, parts};
use columnar::{BATCH_ROWS, Batch, DataType, Flat, PhysicalType, Values};
use exec::memory::MemoryPool;
use exec::operator::{Operator, Output, Progress, Sink, Source, Step};
use exec::{Expr, QueryContext, Shape};
use std::task::Waker;

pub(crate) fn query() -> QueryContext {
    QueryContext::new(1, MemoryPool::unlimited())
}

fn step(query: &QueryContext) -> Step<'_> {
    Step { query, waker: Waker::noop(), started: query.now() }
}

/// Columns of integers in batches.
pub(crate) struct Rows {
    pub(crate) batches: Vec<Batch>,
    pub(crate) shapes: Vec<Shape>,
    pub(crate) count: usize,
}

impl Rows {
    /// Columns of one length, at the widths that scans would give them.
    pub(crate) fn new(columns: Vec<Vec<i64>>) -> Rows {
        let count = columns[0].len();
        let (columns, shapes): (Vec<Vec<Values>>, Vec<Shape>) = columns.into_iter().map(column).unzip();
        let vector = |values: &Values| Flat::new(DataType::Int64, values.clone(), None).into();
        let batch = |batch: usize| Batch::new(columns.iter().map(|column| vector(&column[batch])).collect());
        let batches = (0..columns[0].len()).map(batch).collect();
        Rows { batches, shapes, count }
    }

    /// Of one column.
    pub(crate) fn bytes(&self, column: usize) -> usize {
        self.count * self.shapes[column].physical.width_bytes()
    }
}

fn column(values: Vec<i64>) -> (Vec<Values>, Shape) {
    let (least, most) =
        values.iter().fold((i64::MAX, i64::MIN), |(a, b), &value| (a.min(value), b.max(value)));
    let bounds = (i128::from(least), i128::from(most));
    let physical = PhysicalType::for_bounds(bounds.0, bounds.1);
    let shape = Shape { data_type: DataType::Int64, physical, nullable: false, bounds: Some(bounds) };
    (parts(&integers(values, physical), BATCH_ROWS), shape)
}

pub(crate) fn integer(column: u32) -> Expr {
    Expr::column(column, DataType::Int64)
}

/// Feeds a sink and finalizes it.
pub(crate) fn fill(sink: &dyn Sink, batches: &[Batch], query: &QueryContext) {
    let mut task = sink.start().unwrap();
    for batch in batches {
        task.push(batch.clone()).unwrap();
        while task.advance(&step(query)).unwrap() == Progress::Yield {}
    }
    while task.combine(&step(query)).unwrap() == Progress::Yield {}
    for mut work in sink.finalize().unwrap() {
        while work.advance(&step(query)).unwrap() == Progress::Yield {}
    }
}

/// Rows that a source gives.
pub(crate) fn drain(source: &dyn Source, query: &QueryContext) -> usize {
    let mut task = source.start().unwrap();
    let mut rows = 0;
    loop {
        match task.next(&step(query)).unwrap() {
            Output::Batch(batch) => rows += batch.selected_rows(),
            Output::Finished => return rows,
            _ => {}
        }
    }
}

/// Rows that an operator makes of `batches`.
pub(crate) fn stream(operator: &dyn Operator, batches: &[Batch], query: &QueryContext) -> usize {
    let mut task = operator.start().unwrap();
    let mut rows = 0;
    for batch in batches {
        task.push(batch.clone()).unwrap();
        loop {
            match task.pull(&step(query)).unwrap() {
                Output::Batch(batch) => rows += batch.selected_rows(),
                Output::NeedsInput => break,
                Output::Finished => return rows,
                _ => {}
            }
        }
    }
    rows
}
