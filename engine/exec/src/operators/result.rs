//! The end of a root fragment: a bounded queue that the client takes rows from.

use crate::error::Result;
use crate::expression::cast_to_physical;
use crate::operator::{Progress, Sink, SinkTask, Step};
use crate::runtime::waiters::Waiters;
use columnar::Batch;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Poll, Waker};

/// Rows between a query and its client. A client that does not read blocks the tasks that write, and holds
/// no worker.
pub struct ResultQueue {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    batches: VecDeque<Batch>,
    /// Set once no more rows will come: all were written, or the query failed.
    end: Option<Result<()>>,
    readers: Waiters,
    writers: Waiters,
}

impl ResultQueue {
    /// Batches that wait at most.
    const CAPACITY: usize = 8;

    pub fn new() -> Arc<ResultQueue> {
        Arc::new(ResultQueue { state: Mutex::new(State::default()) })
    }

    /// The next rows, in the order in which they were written; `None` at the end. An error comes once, ahead
    /// of rows that wait.
    pub fn poll_next(&self, waker: &Waker) -> Poll<Option<Result<Batch>>> {
        let mut state = self.state.lock();
        if let Some(Err(error)) = &state.end {
            let error = error.clone();
            state.end = Some(Ok(()));
            state.batches.clear();
            return Poll::Ready(Some(Err(error)));
        }
        match state.batches.pop_front() {
            Some(batch) => {
                let writers = state.writers.take();
                drop(state);
                writers.wake();
                Poll::Ready(Some(Ok(batch)))
            }
            None if state.end.is_some() => Poll::Ready(None),
            None => {
                state.readers.add(waker);
                Poll::Pending
            }
        }
    }

    /// Ends the queue; of several ends the first counts.
    pub fn end(&self, end: Result<()>) {
        let (readers, writers) = {
            let mut state = self.state.lock();
            if state.end.is_none() {
                if end.is_err() {
                    state.batches.clear();
                }
                state.end = Some(end);
            }
            (state.readers.take(), state.writers.take())
        };
        readers.wake();
        writers.wake();
    }
}

/// Writes to a [`ResultQueue`], at canonical widths.
pub struct ResultSink(pub Arc<ResultQueue>);

struct ResultTask {
    queue: Arc<ResultQueue>,
    pending: Option<Batch>,
}

impl Sink for ResultSink {
    fn start(&self) -> Result<Box<dyn SinkTask>> {
        Ok(Box::new(ResultTask { queue: self.0.clone(), pending: None }))
    }
}

impl SinkTask for ResultTask {
    fn push(&mut self, batch: Batch) -> Result<()> {
        self.pending = Some(canonical(batch));
        Ok(())
    }

    fn advance(&mut self, step: &Step<'_>) -> Result<Progress> {
        let Some(batch) = self.pending.take() else { return Ok(Progress::Ready) };
        let mut state = self.queue.state.lock();
        match &state.end {
            Some(Err(error)) => return Err(error.clone()),
            Some(Ok(())) => return Ok(Progress::Finished),
            None => {}
        }
        if state.batches.len() >= ResultQueue::CAPACITY {
            self.pending = Some(batch);
            state.writers.add(step.waker);
            return Ok(Progress::Blocked);
        }
        state.batches.push_back(batch);
        let readers = state.readers.take();
        drop(state);
        readers.wake();
        Ok(Progress::Ready)
    }

    fn combine(&mut self, _step: &Step<'_>) -> Result<Progress> {
        Ok(Progress::Ready)
    }
}

/// The same rows without a selection, each column at the canonical width of its type: what leaves a fragment.
pub(crate) fn canonical(batch: Batch) -> Batch {
    let batch = batch.compact();
    let columns = batch
        .columns
        .into_iter()
        .map(|column| {
            let physical = column.data_type().physical();
            if column.physical() == physical { column } else { cast_to_physical(&column, physical) }
        })
        .collect();
    Batch::of_rows(columns, batch.rows)
}
