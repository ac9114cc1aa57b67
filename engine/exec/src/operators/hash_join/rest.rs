//! The build rows that are given after the last probe, by whether they matched.

use super::Join;
use super::probe::nulls;
use crate::operator::{Output, Source, SourceTask, Step};
use crate::plan::JoinKind;
use crate::{Result, Shape};
use columnar::Batch;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// The source of what remains. Its tasks share the table's pages.
pub(super) struct Rest(pub(super) Arc<Join>);

struct RestTask {
    join: Arc<Join>,
    /// Rows to give, last first.
    rows: Vec<u32>,
}

impl Source for Rest {
    fn output(&self) -> &[Shape] {
        &self.0.output
    }

    fn parallelism(&self) -> usize {
        self.0.table.get().map_or(usize::MAX, |table| table.rows.page_count().max(1))
    }

    fn start(&self) -> Result<Box<dyn SourceTask>> {
        Ok(Box::new(RestTask { join: self.0.clone(), rows: Vec::new() }))
    }
}

impl SourceTask for RestTask {
    fn next(&mut self, step: &Step<'_>) -> Result<Output> {
        let table = self.join.table()?;
        let matched = self.join.kind == JoinKind::BuildSemi;
        while self.rows.is_empty() {
            let page = self.join.rest_page.fetch_add(1, Relaxed);
            if page >= table.rows.page_count() {
                return Ok(Output::Finished);
            }
            let bit = |row: &u32| table.matched[*row as usize / 64].load(Relaxed) >> (row % 64) & 1 == 1;
            self.rows = table.rows.page_numbers(page).rev().filter(|row| bit(row) == matched).collect();
            if self.rows.is_empty() && step.expired() {
                return Ok(Output::Yield);
            }
        }
        let count = self.rows.len().min(self.join.settings.batch_rows.max(1));
        let mut rows = self.rows.split_off(self.rows.len() - count);
        rows.reverse();
        let pointers = table.rows.pointers(&rows);
        let mut columns = Vec::with_capacity(self.join.output.len());
        if self.join.kind.gives_probe() {
            let shapes = self.join.probe.iter();
            columns.extend(shapes.map(|shape| nulls(shape.data_type, shape.physical, count)));
        }
        let fields = self.join.given.iter().filter_map(|given| given.field);
        columns.extend(fields.map(|field| table.rows.read(field, &rows, &pointers, false)));
        Ok(Output::Batch(Batch::of_rows(columns, count)))
    }
}
