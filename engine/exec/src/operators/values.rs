//! Values: rows that stand in the plan.

use crate::error::{Error, Result};
use crate::operator::{Output, Source, SourceTask, Step};
use crate::shape::Shape;
use columnar::{Batch, DataType, Scalar, Value, Vector};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

pub struct ValuesSource {
    batches: Arc<[Batch]>,
    next: Arc<AtomicUsize>,
    output: Vec<Shape>,
}

struct ValuesTask {
    batches: Arc<[Batch]>,
    next: Arc<AtomicUsize>,
}

impl ValuesSource {
    /// Rows of values of `types`, in batches of `batch_rows`.
    pub fn new(types: &[DataType], rows: &[Vec<Value>], batch_rows: usize) -> Result<ValuesSource> {
        if rows.iter().any(|row| row.len() != types.len()) {
            return Err(Error::Internal("a row of values has another length than its types".into()));
        }
        let batch = |rows: &[Vec<Value>]| {
            let columns = types.iter().enumerate().map(|(column, &data_type)| {
                let scalars: Vec<Scalar> = rows.iter().map(|row| row[column].scalar.clone()).collect();
                Vector::from_scalars(data_type, &scalars)
            });
            Batch::of_rows(columns.collect(), rows.len())
        };
        let batches = rows.chunks(batch_rows.max(1)).map(batch).collect();
        Ok(ValuesSource { batches, next: Arc::default(), output: Shape::of_types(types) })
    }
}

impl Source for ValuesSource {
    fn output(&self) -> &[Shape] {
        &self.output
    }

    /// One task: rows keep the order in which they were written.
    fn parallelism(&self) -> usize {
        1
    }

    fn start(&self) -> Result<Box<dyn SourceTask>> {
        Ok(Box::new(ValuesTask { batches: self.batches.clone(), next: self.next.clone() }))
    }
}

impl SourceTask for ValuesTask {
    fn next(&mut self, _step: &Step<'_>) -> Result<Output> {
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        Ok(self.batches.get(index).map_or(Output::Finished, |batch| Output::Batch(batch.clone())))
    }
}
