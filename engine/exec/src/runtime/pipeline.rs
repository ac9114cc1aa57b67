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
                continue;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryPool;
    use crate::shape::Shape;
    use columnar::{DataType, Scalar, Vector};
    use proptest::prelude::*;
    use std::sync::atomic::AtomicUsize;

    /// What steps answer before they do anything: `b`locked or `y`ield, else the work is done.
    #[derive(Clone, Debug, Default)]
    struct Script(Vec<u8>, usize);

    impl Script {
        fn next(&mut self) -> Option<Output> {
            let at = self.1;
            self.1 += 1;
            match self.0.get(at) {
                Some(0) => Some(Output::Blocked),
                Some(1) => Some(Output::Yield),
                _ => None,
            }
        }
    }

    fn batch(value: i128) -> Batch {
        Batch::new(vec![Vector::from_scalars(DataType::Int64, &[Scalar::Integer(value)])])
    }

    struct Numbers {
        next: Arc<AtomicUsize>,
        count: usize,
        script: Script,
        shapes: Vec<Shape>,
    }
    struct NumbersTask(Arc<AtomicUsize>, usize, Script);

    impl Source for Numbers {
        fn output(&self) -> &[Shape] {
            &self.shapes
        }
        fn parallelism(&self) -> usize {
            4
        }
        fn start(&self) -> Result<Box<dyn SourceTask>> {
            Ok(Box::new(NumbersTask(self.next.clone(), self.count, self.script.clone())))
        }
    }

    impl SourceTask for NumbersTask {
        fn next(&mut self, _: &Step<'_>) -> Result<Output> {
            if let Some(output) = self.2.next() {
                return Ok(output);
            }
            let value = self.0.fetch_add(1, Ordering::Relaxed);
            Ok(if value < self.1 { Output::Batch(batch(value as i128)) } else { Output::Finished })
        }
    }

    /// Gives every row `times` times, and once more after the end; ends all by itself after `limit` rows.
    struct Repeat {
        times: usize,
        limit: usize,
        script: Script,
        shapes: Vec<Shape>,
    }
    struct RepeatTask {
        times: usize,
        left: usize,
        limit: usize,
        given: usize,
        script: Script,
        batch: Option<Batch>,
        seen: Vec<Batch>,
        ended: bool,
    }

    impl Operator for Repeat {
        fn output(&self) -> &[Shape] {
            &self.shapes
        }
        fn start(&self) -> Result<Box<dyn OperatorTask>> {
            Ok(Box::new(RepeatTask {
                times: self.times,
                left: 0,
                limit: self.limit,
                given: 0,
                script: self.script.clone(),
                batch: None,
                seen: Vec::new(),
                ended: false,
            }))
        }
    }

    impl OperatorTask for RepeatTask {
        fn push(&mut self, batch: Batch) -> Result<()> {
            assert!(self.batch.is_none() && !self.ended, "pushed out of turn");
            self.seen.push(batch.clone());
            self.batch = Some(batch);
            self.left = self.times;
            Ok(())
        }
        fn pull(&mut self, _: &Step<'_>) -> Result<Output> {
            if let Some(output) = self.script.next() {
                return Ok(output);
            }
            if self.given >= self.limit {
                return Ok(Output::Finished);
            }
            if self.left == 0 {
                self.batch = None;
            }
            let next = match &self.batch {
                Some(batch) => {
                    self.left -= 1;
                    Some(batch.clone())
                }
                None if self.ended => self.seen.pop(),
                None => None,
            };
            self.given += usize::from(next.is_some());
            Ok(next.map_or(Output::NeedsInput, Output::Batch))
        }
        fn end(&mut self) -> Result<()> {
            assert!(!self.ended, "ended twice");
            self.ended = true;
            Ok(())
        }
    }

    struct Collect {
        rows: Arc<Mutex<Vec<i128>>>,
        limit: usize,
        script: Script,
    }
    struct CollectTask(Arc<Mutex<Vec<i128>>>, usize, Script, Option<Batch>);

    impl Sink for Collect {
        fn start(&self) -> Result<Box<dyn SinkTask>> {
            Ok(Box::new(CollectTask(self.rows.clone(), self.limit, self.script.clone(), None)))
        }
    }

    impl SinkTask for CollectTask {
        fn push(&mut self, batch: Batch) -> Result<()> {
            assert!(self.3.is_none(), "pushed out of turn");
            self.3 = Some(batch);
            Ok(())
        }
        fn advance(&mut self, _: &Step<'_>) -> Result<Progress> {
            match self.2.next() {
                Some(Output::Blocked) => return Ok(Progress::Blocked),
                Some(_) => return Ok(Progress::Yield),
                None => {}
            }
            let mut rows = self.0.lock();
            let Some(batch) = self.3.take() else { return Ok(Progress::Ready) };
            if rows.len() >= self.1 {
                return Ok(Progress::Finished);
            }
            rows.extend(batch.columns[0].scalar(0).as_integer());
            Ok(if rows.len() >= self.1 { Progress::Finished } else { Progress::Ready })
        }
        fn combine(&mut self, _: &Step<'_>) -> Result<Progress> {
            match self.2.next() {
                Some(Output::Blocked) => Ok(Progress::Blocked),
                Some(_) => Ok(Progress::Yield),
                None => Ok(Progress::Ready),
            }
        }
    }

    fn scripts() -> impl Strategy<Value = Vec<Script>> {
        let script = proptest::collection::vec(0..6_u8, 0..30).prop_map(|answers| Script(answers, 0));
        proptest::collection::vec(script, 4)
    }

    proptest! {
        /// However steps block and yield, and whoever ends it early, the rows are those of the operators.
        #[test]
        fn a_pipeline_resumes_where_it_stopped(
            scripts in scripts(),
            count in 0..12_usize,
            times in (1..4_usize, 1..4_usize),
            operator_limit in prop_oneof![Just(usize::MAX), 0..20_usize],
            sink_limit in prop_oneof![Just(usize::MAX), 0..20_usize],
            tasks in 1..4_usize,
        ) {
            let query = Arc::new(QueryContext::new(1, MemoryPool::unlimited()));
            let node = Arc::new(Node { query: query.clone(), counters: NodeCounters::default() });
            let shapes = Shape::of_types(&[DataType::Int64]);
            let rows = Arc::new(Mutex::new(Vec::new()));
            let stage = |times, limit, script: &Script| Stage {
                part: Arc::new(Repeat { times, limit, script: script.clone(), shapes: shapes.clone() })
                    as Arc<dyn Operator>,
                node: node.clone(),
            };
            let pipeline = Pipeline {
                source: Stage {
                    part: Arc::new(Numbers {
                        next: Arc::default(),
                        count,
                        script: scripts[0].clone(),
                        shapes: shapes.clone(),
                    }),
                    node: node.clone(),
                },
                operators: vec![stage(times.0, usize::MAX, &scripts[1]), stage(times.1, operator_limit, &scripts[2])],
                sink: Stage {
                    part: Arc::new(Collect { rows: rows.clone(), limit: sink_limit, script: scripts[3].clone() }),
                    node: node.clone(),
                },
                sink_index: 0,
                after: vec![],
            };
            let task_count = tasks;
            let mut tasks = pipeline.start(&query, task_count).unwrap();
            let mut steps = 0;
            while !tasks.is_empty() {
                tasks.retain_mut(|task| task.advance(Waker::noop()).unwrap() != JobStatus::Done);
                steps += 1;
                prop_assert!(steps < 10_000, "it does not end");
            }
            let mut rows = rows.lock().clone();
            rows.sort_unstable();
            let each = (times.0 + 1) * (times.1 + 1);
            let all = (0..count as i128).flat_map(|value| vec![value; each]).collect::<Vec<_>>();
            if operator_limit == usize::MAX && sink_limit == usize::MAX {
                prop_assert_eq!(rows, all);
            } else {
                prop_assert!(rows.len() <= sink_limit);
                if task_count == 1 {
                    prop_assert_eq!(rows.len(), all.len().min(operator_limit).min(sink_limit));
                }
            }
        }
    }
}
