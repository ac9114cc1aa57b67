//! Limit: some rows after some others.

use crate::error::Result;
use crate::operator::{Operator, OperatorTask, Output, Step};
use crate::shape::Shape;
use columnar::Batch;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Numbers the rows that pass, over all tasks, and keeps those from `offset` to `end`. With one task (a sorted
/// source has one) these are the first.
pub struct Limit {
    passed: Arc<AtomicU64>,
    offset: u64,
    end: u64,
    output: Vec<Shape>,
}

struct LimitTask {
    passed: Arc<AtomicU64>,
    offset: u64,
    end: u64,
    pending: Option<Batch>,
}

impl Limit {
    pub fn new(limit: Option<u64>, offset: u64, input: &[Shape]) -> Limit {
        let end = limit.map_or(u64::MAX, |limit| offset.saturating_add(limit));
        Limit { passed: Arc::default(), offset, end, output: input.to_vec() }
    }
}

impl Operator for Limit {
    fn output(&self) -> &[Shape] {
        &self.output
    }

    fn start(&self) -> Result<Box<dyn OperatorTask>> {
        let passed = self.passed.clone();
        Ok(Box::new(LimitTask { passed, offset: self.offset, end: self.end, pending: None }))
    }
}

impl OperatorTask for LimitTask {
    fn push(&mut self, batch: Batch) -> Result<()> {
        self.pending = Some(batch);
        Ok(())
    }

    fn pull(&mut self, _step: &Step<'_>) -> Result<Output> {
        let Some(batch) = self.pending.take() else {
            let full = self.passed.load(Ordering::Relaxed) >= self.end;
            return Ok(if full { Output::Finished } else { Output::NeedsInput });
        };
        let batch = batch.compact();
        let rows = batch.rows as u64;
        let first = self.passed.fetch_add(rows, Ordering::Relaxed);
        let start = self.offset.clamp(first, first + rows);
        let end = self.end.clamp(start, first + rows);
        Ok(match ((start - first) as usize, (end - start) as usize) {
            (_, 0) if first >= self.end => Output::Finished,
            (_, 0) => Output::NeedsInput,
            (0, kept) if kept == batch.rows => Output::Batch(batch),
            (skipped, kept) => Output::Batch(batch.slice(skipped, kept)),
        })
    }
}
