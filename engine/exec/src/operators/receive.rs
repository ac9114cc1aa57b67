//! Receive: the rows that another fragment sends to this shard.

use crate::error::{Error, Result};
use crate::operator::{Output, Source, SourceTask, Step};
use crate::runtime::exchange::{Exchange, Received};
use crate::shape::Shape;
use columnar::Batch;
use columnar::kernels::{cast::integers_outside, take::indices_of, take::take_values};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

pub struct Receive {
    inbox: Arc<Inbox>,
    output: Vec<Shape>,
}

struct Inbox {
    exchange: Arc<dyn Exchange>,
    fragment: u32,
    shard: usize,
    batch_rows: usize,
    checks: Vec<Check>,
    /// Tasks that may still receive.
    tasks: AtomicUsize,
}

/// What operators rely on that no type says.
struct Check {
    column: usize,
    nullable: bool,
    bounds: Option<(i128, i128)>,
}

/// When the last one goes, senders are told.
struct ReceiveTask {
    inbox: Arc<Inbox>,
    /// What came in one piece, and how much of it was given.
    rest: Option<(Batch, usize)>,
}

impl Receive {
    /// The rows of `fragment` for `shard`, at canonical widths, in batches of at most `batch_rows`. Rows that are not of
    /// the `shapes` are an error: who sends them is another node.
    pub fn new(
        exchange: Arc<dyn Exchange>,
        fragment: u32,
        shard: usize,
        shapes: Vec<Shape>,
        batch_rows: usize,
    ) -> Receive {
        let checks =
            shapes.iter().enumerate().filter_map(|(column, shape)| Check::of(column, shape)).collect();
        let inbox = Inbox { exchange, fragment, shard, batch_rows, checks, tasks: AtomicUsize::new(0) };
        Receive { inbox: Arc::new(inbox), output: shapes }
    }
}

impl Check {
    /// `None`: all values of the type are of the shape.
    fn of(column: usize, shape: &Shape) -> Option<Check> {
        let bounds = shape.bounds.filter(|_| shape.bounds != shape.data_type.integer_bounds());
        let check = Check { column, nullable: shape.nullable, bounds };
        (!check.nullable || check.bounds.is_some()).then_some(check)
    }

    fn test(&self, batch: &Batch, fragment: u32) -> Result<()> {
        let Some(vector) = batch.columns.get(self.column) else { return Ok(()) };
        let nulls = vector.validity().filter(|valid| !valid.all());
        let outside = self.bounds.is_some_and(|(low, high)| {
            let flat = vector.flatten();
            integers_outside(&flat.values, low, high)
                // The value of a null may be any.
                && nulls.as_ref().is_none_or(|valid| {
                    integers_outside(&take_values(&flat.values, &indices_of(valid)), low, high)
                })
        });
        let what = match (nulls.is_some() && !self.nullable, outside) {
            (false, false) => return Ok(()),
            (true, _) => "a null",
            (_, true) => "a value beyond its bounds",
        };
        let column = self.column;
        Err(Error::Internal(format!("{what} was sent in column {column} of fragment {fragment}")))
    }
}

impl Source for Receive {
    fn output(&self) -> &[Shape] {
        &self.output
    }

    fn parallelism(&self) -> usize {
        let Inbox { exchange, fragment, .. } = &*self.inbox;
        if exchange.topology().is_ordered(*fragment) { 1 } else { usize::MAX }
    }

    fn start(&self) -> Result<Box<dyn SourceTask>> {
        self.inbox.tasks.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(ReceiveTask { inbox: self.inbox.clone(), rest: None }))
    }
}

impl SourceTask for ReceiveTask {
    fn next(&mut self, step: &Step<'_>) -> Result<Output> {
        let inbox = &self.inbox;
        let (batch, given) = match self.rest.take() {
            Some(rest) => rest,
            None => match inbox.exchange.receive(inbox.fragment, inbox.shard, step.waker)? {
                Received::Batch(batch) => {
                    inbox.checks.iter().try_for_each(|check| check.test(&batch, inbox.fragment))?;
                    (batch, 0)
                }
                Received::Blocked => return Ok(Output::Blocked),
                Received::Finished => return Ok(Output::Finished),
            },
        };
        let left = batch.rows - given;
        if given == 0 && left <= inbox.batch_rows {
            return Ok(Output::Batch(batch));
        }
        let rows = left.min(inbox.batch_rows);
        let piece = batch.slice(given, rows);
        self.rest = (rows < left).then_some((batch, given + rows));
        Ok(Output::Batch(piece))
    }
}

impl Drop for ReceiveTask {
    fn drop(&mut self) {
        let inbox = &self.inbox;
        if inbox.tasks.fetch_sub(1, Ordering::AcqRel) == 1 {
            inbox.exchange.close(inbox.fragment, inbox.shard);
        }
    }
}
