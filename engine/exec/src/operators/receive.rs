//! Receive: the rows that another fragment sends to this shard.

use crate::error::Result;
use crate::operator::{Output, Source, SourceTask, Step};
use crate::runtime::exchange::{Exchange, Received};
use crate::shape::Shape;
use columnar::DataType;
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
    /// Tasks that may still receive.
    tasks: AtomicUsize,
}

/// When the last one goes, senders are told.
struct ReceiveTask(Arc<Inbox>);

impl Receive {
    /// The rows of `fragment` for `shard`, at the canonical widths of `types`.
    pub fn new(exchange: Arc<dyn Exchange>, fragment: u32, shard: usize, types: &[DataType]) -> Receive {
        let inbox = Inbox { exchange, fragment, shard, tasks: AtomicUsize::new(0) };
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
        Ok(Box::new(ReceiveTask(self.inbox.clone())))
    }
}

impl SourceTask for ReceiveTask {
    fn next(&mut self, step: &Step<'_>) -> Result<Output> {
        let inbox = &self.0;
        Ok(match inbox.exchange.receive(inbox.fragment, inbox.shard, step.waker)? {
            Received::Batch(batch) => Output::Batch(batch),
            Received::Blocked => Output::Blocked,
            Received::Finished => Output::Finished,
        })
    }
}

impl Drop for ReceiveTask {
    fn drop(&mut self) {
        if self.0.tasks.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.exchange.close(self.0.fragment, self.0.shard);
        }
    }
}
