//! A pipeline: source, operators, sink; and the loop that a task runs it with.

use super::profile::NodeCounters;
use super::waiters::Waiters;
use super::workers::JobStatus;
use crate::context::QueryContext;
use crate::error::{Error, Result};
use crate::operator::{Operator, OperatorTask, Output, Progress, Sink, SinkTask, Source, SourceTask, Step};
use columnar::Batch;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;
use std::time::Duration;

/// A node of the plan as it runs: its counters, and its account of the query's memory.
pub(crate) struct Node {
    /// The fragment's query, with a memory pool of this node.
    pub(crate) query: Arc<QueryContext>,
    pub(crate) counters: NodeCounters,
}

/// A part of a pipeline, and the node of the plan that it is counted for.
#[derive(Clone)]
pub(crate) struct Stage<T> {
    pub(crate) part: T,
    pub(crate) node: Arc<Node>,
}

/// What must be over before a pipeline starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// The sink is finalised.
    Sink(usize),
    /// All tasks of the pipeline are done.
    Pipeline(usize),
}

/// A pipeline before it runs.
pub(crate) struct Pipeline {
    pub(crate) source: Stage<Arc<dyn Source>>,
    pub(crate) operators: Vec<Stage<Arc<dyn Operator>>>,
    pub(crate) sink: Stage<Arc<dyn Sink>>,
    /// The number of the sink, which other pipelines may feed too.
    pub(crate) sink_index: usize,
    pub(crate) after: Vec<After>,
}

/// What the tasks of one pipeline share.
#[derive(Default)]
pub(crate) struct Siblings {
    /// The source need not be read any further.
    saturated: AtomicBool,
    blocked: Mutex<Waiters>,
}

impl Siblings {
    /// Lets all tasks leave the source where it is.
    fn saturate(&self) {
        if !self.saturated.swap(true, Ordering::AcqRel) {
            let waiters = self.blocked.lock().take();
            waiters.wake();
        }
    }

    fn is_saturated(&self) -> bool {
        self.saturated.load(Ordering::Acquire)
    }

    /// To be woken when another task finds that no more is needed.
    pub(crate) fn register(&self, waker: &Waker) {
        self.blocked.lock().add(waker);
        if self.is_saturated() {
            waker.wake_by_ref();
        }
    }
}

/// A task's run of a pipeline: a state machine that can be left and resumed between any two steps.
pub(crate) struct PipelineTask {
    query: Arc<QueryContext>,
    siblings: Arc<Siblings>,
    /// `None` once no more is taken from it.
    source: Option<Stage<Box<dyn SourceTask>>>,
    operators: Vec<OperatorStage>,
    sink: Stage<Box<dyn SinkTask>>,
    /// The first operator that may still give something.
    live: usize,
    /// All before `live` has ended, and `live` knows.
    ended: bool,
    /// The sink works on what was pushed.
    sink_busy: bool,
    combining: bool,
}

struct OperatorStage {
    task: Box<dyn OperatorTask>,
    node: Arc<Node>,
    /// It has given all it can from what was pushed.
    hungry: bool,
}

/// Attributes time to nodes: each lap since the last goes to one.
struct Lap<'a> {
    query: &'a QueryContext,
    last: Duration,
}

impl Lap<'_> {
    fn end(&mut self, node: &Node) {
        let now = self.query.now();
        node.counters.add_time(now.saturating_sub(self.last));
        self.last = now;
    }
}

impl Pipeline {
    /// The parts of `count` tasks.
    pub(crate) fn start(&self, query: &Arc<QueryContext>, count: usize) -> Result<Vec<PipelineTask>> {
        let siblings = Arc::new(Siblings::default());
        let task = || {
            let operators = self.operators.iter().map(|stage| {
                Ok(OperatorStage { task: stage.part.start()?, node: stage.node.clone(), hungry: false })
            });
            Ok(PipelineTask {
                query: query.clone(),
                siblings: siblings.clone(),
                source: Some(Stage { part: self.source.part.start()?, node: self.source.node.clone() }),
                operators: operators.collect::<Result<_>>()?,
                sink: Stage { part: self.sink.part.start()?, node: self.sink.node.clone() },
                live: 0,
                ended: false,
                sink_busy: false,
                combining: false,
            })
        };
        (0..count).map(|_| task()).collect()
    }
}

impl PipelineTask {
    pub(crate) fn siblings(&self) -> &Arc<Siblings> {
        &self.siblings
    }

    /// Runs until done, blocked, or out of time.
    pub(crate) fn advance(&mut self, waker: &Waker) -> Result<JobStatus> {
        let query = self.query.clone();
        let started = query.now();
        let mut lap = Lap { query: &query, last: started };
        loop {
            if self.combining {
                let sink = &mut self.sink;
                let progress = sink.part.combine(&Step { query: &sink.node.query, waker, started });
                lap.end(&sink.node);
                match progress? {
                    Progress::Ready | Progress::Finished => return Ok(JobStatus::Done),
                    Progress::Yield => return Ok(JobStatus::Again),
                    Progress::Blocked => return Ok(JobStatus::Blocked),
                }
            }
            if self.sink_busy {
                let sink = &mut self.sink;
                let progress = sink.part.advance(&Step { query: &sink.node.query, waker, started });
                lap.end(&sink.node);
                match progress? {
                    Progress::Ready => self.sink_busy = false,
                    Progress::Yield => return Ok(JobStatus::Again),
                    Progress::Blocked => return Ok(JobStatus::Blocked),
                    Progress::Finished => {
                        self.sink_busy = false;
                        self.siblings.saturate();
                        self.end_before(self.operators.len())?;
                        continue;
                    }
                }
            }
            if lap.last.saturating_sub(started) >= Step::BUDGET {
                return Ok(JobStatus::Again);
            }
            if self.source.is_some() && self.siblings.is_saturated() {
                self.end_source()?;
            }
            // The operator nearest the sink comes first, so that no batch waits behind another.
            let busy = (self.live..self.operators.len()).rev().find(|&i| !self.operators[i].hungry);
            let (output, next) = match (busy, &mut self.source) {
                (Some(index), _) => {
                    let stage = &mut self.operators[index];
                    let step = Step { query: &stage.node.query, waker, started };
                    let output = stage.task.pull(&step);
                    lap.end(&stage.node);
                    let output = output?;
                    match output {
                        Output::NeedsInput if self.ended && index == self.live => {
                            self.end_before(index + 1)?;
                            continue;
                        }
                        Output::NeedsInput => {
                            stage.hungry = true;
                            continue;
                        }
                        Output::Finished => {
                            self.siblings.saturate();
                            self.end_before(index + 1)?;
                            continue;
                        }
                        _ => {}
                    }
                    count(&stage.node, &output);
                    (output, index + 1)
                }
                (None, Some(source)) => {
                    let output = source.part.next(&Step { query: &source.node.query, waker, started });
                    lap.end(&source.node);
                    let output = output?;
                    count(&source.node, &output);
                    if matches!(output, Output::Finished) {
                        self.end_source()?;
                        continue;
                    }
                    (output, 0)
                }
                // Without a source the first live operator is never hungry, and with none left we combine.
                (None, None) => return Err(Error::Internal("a pipeline has nothing to do".into())),
            };
            match output {
                Output::Batch(batch) => self.push(next, batch)?,
                Output::Yield => return Ok(JobStatus::Again),
                Output::Blocked => return Ok(JobStatus::Blocked),
                Output::NeedsInput | Output::Finished => {
                    return Err(Error::Internal("a source needs input".into()));
                }
            }
        }
    }

    /// Hands a batch to the operator at `next`, or to the sink after the last.
    fn push(&mut self, next: usize, batch: Batch) -> Result<()> {
        if batch.selected_rows() == 0 {
            return Ok(());
        }
        match self.operators.get_mut(next) {
            Some(stage) => {
                stage.hungry = false;
                stage.task.push(batch)
            }
            None => {
                self.sink_busy = true;
                self.sink.part.push(batch)
            }
        }
    }

    fn end_source(&mut self) -> Result<()> {
        self.source = None;
        if self.live == 0 && !self.ended { self.end_before(0) } else { Ok(()) }
    }

    /// No batch will come to the operator at `live`, or, after the last, to the sink.
    fn end_before(&mut self, live: usize) -> Result<()> {
        self.source = None;
        self.live = live;
        self.ended = true;
        match self.operators.get_mut(live) {
            Some(stage) => {
                stage.hungry = false;
                stage.task.end()
            }
            None => {
                self.combining = true;
                Ok(())
            }
        }
    }
}

fn count(node: &Node, output: &Output) {
    if let Output::Batch(batch) = output {
        node.counters.add_batch(batch.selected_rows());
    }
}
