//! Output of a sort: range by range, in order.

use super::Sorting;
use crate::operator::{Output, Source, SourceTask, Step};
use crate::{Result, Shape};
use columnar::Batch;
use std::sync::Arc;

/// The source of a sort.
pub(super) struct SortSource(pub(super) Arc<Sorting>);

struct SortSourceTask {
    shared: Arc<Sorting>,
    /// The next range, and the rows of the last one with the place in it.
    range: usize,
    rows: Vec<u32>,
    at: usize,
    /// Rows still to be left out, and to be given.
    skip: u64,
    left: u64,
}

impl Source for SortSource {
    fn output(&self) -> &[Shape] {
        &self.0.input
    }

    fn parallelism(&self) -> usize {
        1
    }

    fn start(&self) -> Result<Box<dyn SourceTask>> {
        let (left, skip) = self.0.range.unwrap_or((u64::MAX, 0));
        Ok(Box::new(SortSourceTask { shared: self.0.clone(), range: 0, rows: Vec::new(), at: 0, skip, left }))
    }
}

impl SourceTask for SortSourceTask {
    fn next(&mut self, _step: &Step<'_>) -> Result<Output> {
        let sorted = self.shared.sorted()?;
        loop {
            let ahead = (self.rows.len() - self.at) as u64;
            let skipped = self.skip.min(ahead);
            self.skip -= skipped;
            self.at += skipped as usize;
            if self.left == 0 {
                return Ok(Output::Finished);
            }
            if self.at < self.rows.len() {
                break;
            }
            let Some(range) = sorted.ranges.get(self.range) else { return Ok(Output::Finished) };
            (self.rows, self.at) = (std::mem::take(&mut *range.lock()), 0);
            self.range += 1;
        }
        let most = self.left.min(self.shared.settings.batch_rows.max(1) as u64) as usize;
        let end = self.rows.len().min(self.at + most);
        let numbers = &self.rows[self.at..end];
        let pointers = sorted.rows.pointers(numbers);
        let columns = (0..self.shared.input.len())
            .map(|column| sorted.rows.read(column, numbers, &pointers, false))
            .collect();
        let batch = Batch::of_rows(columns, numbers.len());
        self.left -= batch.rows as u64;
        self.at = end;
        Ok(Output::Batch(batch))
    }
}
