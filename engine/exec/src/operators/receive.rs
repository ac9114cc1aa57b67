//! Receive: the rows that another fragment sends to this shard.

use crate::error::Result;
use crate::operator::{Output, Source, SourceTask, Step};
use crate::runtime::exchange::{Exchange, Received};
use crate::shape::Shape;
use columnar::{Batch, DataType};
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
    /// Tasks that may still receive.
    tasks: AtomicUsize,
}

/// When the last one goes, senders are told.
struct ReceiveTask {
    inbox: Arc<Inbox>,
    /// What came in one piece, and how much of it was given.
    rest: Option<(Batch, usize)>,
}

impl Receive {
    /// The rows of `fragment` for `shard`, at the canonical widths of `types`, in batches of at most `batch_rows`.
    pub fn new(
        exchange: Arc<dyn Exchange>,
        fragment: u32,
        shard: usize,
        types: &[DataType],
        batch_rows: usize,
    ) -> Receive {
        let inbox = Inbox { exchange, fragment, shard, batch_rows, tasks: AtomicUsize::new(0) };
        Receive { inbox: Arc::new(inbox), output: Shape::of_types(types) }
    }
}

impl Source for Receive {
    fn output(&self) -> &[Shape] {
        &self.output
    }

    fn parallelism(&self) -> usize {
        usize::MAX
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
                Received::Batch(batch) => (batch, 0),
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
