//! The one execution contract: sources, operators and sinks as steps that can be resumed.
//!
//! The shared part of each (`Source`, `Operator`, `Sink`) is immutable or guards itself; what a worker needs
//! for its own morsels lives in a task part (`SourceTask`, …), of which each worker's run of the pipeline has
//! one. No step runs longer than about 5 ms ([`Step::expired`]) or holds a worker while it waits: it returns
//! `Blocked` after it has kept [`Step::waker`] where the event that ends the wait will find it. A step that
//! returned `Blocked` is simply called again. Memory is reserved before it is taken ([`crate::memory`]).

use crate::{context::QueryContext, error::Result, shape::Shape};
use columnar::Batch;
use std::task::Waker;

/// What a step is run with.
pub struct Step<'a> {
    pub query: &'a QueryContext,
    /// Wakes the task whose step this is.
    pub waker: &'a Waker,
    /// When the step began.
    pub started: std::time::Duration,
}

impl Step<'_> {
    /// How long a step may run before it gives the worker back.
    pub const BUDGET: std::time::Duration = std::time::Duration::from_millis(5);

    /// Whether the step has used its time and should return as soon as its state is sound. Long loops ask
    /// every few thousand rows.
    pub fn expired(&self) -> bool {
        self.query.now().saturating_sub(self.started) >= Step::BUDGET
    }
}

/// What a source or an operator gives. The batches have the shapes that its shared part announced; they may
/// carry a selection.
#[derive(Debug)]
pub enum Output {
    Batch(Batch),
    /// Nothing at the moment, but call again: the step's time was used up.
    Yield,
    /// Wait for the waker, then call again.
    Blocked,
    /// For an operator: push the next batch (or the end). For a source this does not occur.
    NeedsInput,
    /// There will be no more, ever. From an operator: not even with further input, to any of its tasks, so the
    /// pipeline's source need not be read to its end.
    Finished,
}

/// Where rows come from.
pub trait Source: Send + Sync {
    /// The shapes of the columns it gives.
    fn output(&self) -> &[Shape];
    /// The most tasks that can share its work; 1 where order matters.
    fn parallelism(&self) -> usize;
    /// A worker's part, which takes morsels from what all share.
    fn start(&self) -> Result<Box<dyn SourceTask>>;
}

/// A worker's part of a [`Source`].
pub trait SourceTask: Send {
    /// The next rows.
    fn next(&mut self, step: &Step<'_>) -> Result<Output>;
}

/// What turns rows into other rows.
pub trait Operator: Send + Sync {
    /// The shapes of the columns it gives.
    fn output(&self) -> &[Shape];
    fn start(&self) -> Result<Box<dyn OperatorTask>>;
}

/// A worker's part of an [`Operator`]. The cycle is: `pull` until `NeedsInput`, then `push`, and so on; after
/// the last batch `end`, then `pull` until `NeedsInput` or `Finished`.
pub trait OperatorTask: Send {
    /// Takes a batch; cheap, the work is done in `pull`. Called only after `pull` gave `NeedsInput`.
    fn push(&mut self, batch: Batch) -> Result<()>;
    /// Gives the next output of what was pushed; resumable in mid-batch.
    fn pull(&mut self, step: &Step<'_>) -> Result<Output>;
    /// No batch follows; what is held back may now be pulled.
    fn end(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Where a pipeline's rows end: a hash table, a sort, an exchange, the client. Several pipelines may feed one.
pub trait Sink: Send + Sync {
    fn start(&self) -> Result<Box<dyn SinkTask>>;
    /// Once every task of every pipeline that feeds it is done: the work that is left, in pieces that may run
    /// in parallel. When all are done, pipelines that read its result may start.
    fn finalize(&self) -> Result<Vec<Box<dyn Work>>> {
        Ok(Vec::new())
    }
}

/// How far a step of a sink, or of work, came.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    /// Done with what was asked.
    Ready,
    /// Time was used up; call again.
    Yield,
    /// Wait for the waker, then call again.
    Blocked,
    /// Done, and nothing further will be taken, from any task: the pipeline may end early.
    Finished,
}

/// A worker's part of a [`Sink`].
pub trait SinkTask: Send {
    /// Takes a batch: called once a batch; then, until `Ready` or `Finished`, `advance`.
    fn push(&mut self, batch: Batch) -> Result<()>;
    /// Works on what was pushed.
    fn advance(&mut self, step: &Step<'_>) -> Result<Progress>;
    /// Joins this worker's state with the shared one; called until `Ready` or `Finished`.
    fn combine(&mut self, step: &Step<'_>) -> Result<Progress>;
}

/// A piece of work of its own, such as one partition of a merge.
pub trait Work: Send {
    /// Called until `Ready` or `Finished`.
    fn advance(&mut self, step: &Step<'_>) -> Result<Progress>;
}
