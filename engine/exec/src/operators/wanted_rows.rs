//! Before rows are grouped that are then sent: drops those of groups that no receiver wants.

use crate::error::Result;
use crate::operator::{Operator, OperatorTask, Output, Step};
use crate::runtime::exchange::Exchange;
use crate::runtime::wanted::WantedTest;
use crate::shape::Shape;
use columnar::Batch;
use std::sync::Arc;

/// Lets rows pass once all who receive `fragment` have told what they want of it.
pub struct WantedRows {
    sent: Arc<Sent>,
    output: Vec<Shape>,
}

struct Sent {
    exchange: Arc<dyn Exchange>,
    fragment: u32,
    /// Columns that are sent, with those here whose values they have.
    columns: Vec<(usize, usize)>,
}

struct WantedRowsTask {
    sent: Arc<Sent>,
    pending: Option<Batch>,
    /// The columns here that are tested, once all have told.
    tests: Option<Vec<(usize, Arc<WantedTest>)>>,
}

impl WantedRows {
    /// For rows of shapes `input`; `columns` are columns that are sent, with those here whose values they have.
    pub fn new(
        exchange: Arc<dyn Exchange>,
        fragment: u32,
        columns: Vec<(usize, usize)>,
        input: &[Shape],
    ) -> WantedRows {
        WantedRows { sent: Arc::new(Sent { exchange, fragment, columns }), output: input.to_vec() }
    }
}

impl Operator for WantedRows {
    fn output(&self) -> &[Shape] {
        &self.output
    }

    fn start(&self) -> Result<Box<dyn OperatorTask>> {
        Ok(Box::new(WantedRowsTask { sent: self.sent.clone(), pending: None, tests: None }))
    }
}

impl Sent {
    fn tests(&self) -> Vec<(usize, Arc<WantedTest>)> {
        let tests = self.exchange.wanted(self.fragment).into_iter();
        let here = |test: Arc<WantedTest>| {
            let known = self.columns.iter().find(|(sent, _)| *sent == test.column());
            known.map(|&(_, column)| (column, test))
        };
        tests.filter_map(here).collect()
    }
}

impl OperatorTask for WantedRowsTask {
    fn push(&mut self, batch: Batch) -> Result<()> {
        self.pending = Some(batch);
        Ok(())
    }

    fn pull(&mut self, step: &Step<'_>) -> Result<Output> {
        let Some(batch) = self.pending.take() else { return Ok(Output::NeedsInput) };
        if self.tests.is_none() {
            if !self.sent.exchange.all_told(self.sent.fragment, step.waker)? {
                self.pending = Some(batch);
                return Ok(Output::Blocked);
            }
            self.tests = Some(self.sent.tests());
        }
        let tests = self.tests.iter().flatten();
        let batch = tests.fold(batch, |batch, (column, test)| test.exactly(batch, *column));
        Ok(if batch.rows == 0 { Output::NeedsInput } else { Output::Batch(batch) })
    }
}
