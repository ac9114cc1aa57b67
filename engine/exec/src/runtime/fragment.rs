//! Starting a fragment, and what is held of it while it runs.
//!
//! A fragment is a graph of pipelines and sinks. A pipeline starts when all it depends on is over; a sink is
//! finalised when all pipelines that feed it are done. What is over is dropped at once, so that memory is
//! free as soon as nothing needs it. The first error ends all.

use super::lower::{Lowered, lower};
use super::pipeline::{After, Node, Pipeline, PipelineTask, Stage};
use super::profile::MorselCount;
use super::spans::{self, Spans};
use super::workers::{Job, JobStatus, STACK_BYTES};
use super::{FragmentEnvironment, Profile, WorkDone};
use crate::context::QueryContext;
use crate::error::{Error, Result};
use crate::meter::thread_time;
use crate::operator::{Progress, Sink, Step, Work};
use crate::operators::result::ResultQueue;
use crate::plan::Fragment;
use columnar::Batch;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Poll, Wake, Waker};
use tracing::Span;

/// Starts `fragment` on this shard and returns without waiting for any of it.
pub fn run(fragment: &Fragment, environment: FragmentEnvironment) -> Result<RunningFragment> {
    // Expressions nest deeper than the stack of whoever asks may be.
    stacker::maybe_grow(STACK_BYTES / 4, STACK_BYTES, || start(fragment, environment))
}

fn start(fragment: &Fragment, environment: FragmentEnvironment) -> Result<RunningFragment> {
    #[cfg(debug_assertions)]
    let fragment = &through_bytes(fragment)?;
    let results = ResultQueue::new();
    let spans = Spans::begin(&environment, fragment);
    let lowered = lower(fragment, &environment, &results).inspect_err(|error| spans.fail(error))?;
    let shared = Arc::new(Shared::new(environment, lowered, results, spans));
    let on_cancel = Waker::from(Arc::new(OnCancel(Arc::downgrade(&shared))));
    shared.environment.query.cancel.on_cancel(&on_cancel);
    shared.start_ready();
    Ok(RunningFragment { shared, on_cancel })
}

/// The fragment as another node would get it.
#[cfg(debug_assertions)]
fn through_bytes(fragment: &Fragment) -> Result<Fragment> {
    let decoded = crate::codec::decode(&crate::codec::encode(fragment))
        .map_err(|error| Error::Internal(error.to_string()))?;
    if decoded != *fragment {
        return Err(Error::Internal("a fragment changes when it is encoded".into()));
    }
    Ok(decoded)
}

/// A fragment that runs. Dropping it ends it.
pub struct RunningFragment {
    shared: Arc<Shared>,
    on_cancel: Waker,
}

impl RunningFragment {
    /// The next rows of a root fragment, at the canonical widths of their types and without a selection;
    /// `None` once it is done. A fragment that is not the root gives no batch, only its end. While `Pending`,
    /// `waker` is woken when there may be something. A deadline is noticed by tasks that run; who polls
    /// should cancel the query when its deadline passes, so that tasks that wait notice too.
    pub fn poll_next(&mut self, waker: &Waker) -> Poll<Option<Result<Batch>>> {
        self.shared.results.poll_next(waker)
    }

    /// Ends it with [`Error::Cancelled`].
    pub fn cancel(&self) {
        self.shared.fail(Error::Cancelled);
    }

    /// The counters so far.
    pub fn profile(&self) -> Profile {
        let read = |node: &Arc<Node>| node.counters.read(node.query.memory.peak_bytes());
        Profile { nodes: self.shared.nodes.iter().map(read).collect() }
    }

    /// How far its scans are.
    pub fn progress(&self) -> WorkDone {
        self.shared.morsels.read()
    }
}

impl Drop for RunningFragment {
    fn drop(&mut self) {
        self.shared.environment.query.cancel.forget(&self.on_cancel);
        self.shared.fail(Error::Cancelled);
    }
}

/// What the tasks of a fragment share.
struct Shared {
    environment: FragmentEnvironment,
    nodes: Vec<Arc<Node>>,
    morsels: Arc<MorselCount>,
    /// The result of a root; of other fragments only the end.
    results: Arc<ResultQueue>,
    /// Over, well or not: tasks that still wait shall end.
    stopped: AtomicBool,
    graph: Mutex<Graph>,
    spans: Spans,
}

struct Graph {
    /// `None` once over.
    pipelines: Vec<Option<PipelineNode>>,
    sinks: Vec<Option<SinkNode>>,
    /// Wakers of all tasks, to end them early.
    tasks: Vec<Waker>,
}

struct PipelineNode {
    pipeline: Arc<Pipeline>,
    /// What is not over yet; the pipeline starts when none is left.
    after: Vec<After>,
    /// Tasks not done; `None` before the start.
    tasks: Option<usize>,
    /// From its start to its end.
    span: Span,
}

struct SinkNode {
    sink: Stage<Arc<dyn Sink>>,
    /// Pipelines that feed it and are not done.
    feeders: usize,
    /// Pieces of its finalisation that are not done.
    works: usize,
}

impl Shared {
    fn new(
        environment: FragmentEnvironment,
        lowered: Lowered,
        results: Arc<ResultQueue>,
        spans: Spans,
    ) -> Shared {
        let feeders =
            |sink: usize| lowered.pipelines.iter().filter(|pipeline| pipeline.sink_index == sink).count();
        let sinks =
            lowered.sinks.iter().enumerate().map(|(index, sink)| {
                Some(SinkNode { sink: sink.clone(), feeders: feeders(index), works: 0 })
            });
        let sinks = sinks.collect();
        let pipelines = lowered.pipelines.into_iter().map(|pipeline| {
            let after = pipeline.after.clone();
            Some(PipelineNode { pipeline: Arc::new(pipeline), after, tasks: None, span: Span::none() })
        });
        Shared {
            graph: Mutex::new(Graph { pipelines: pipelines.collect(), sinks, tasks: Vec::new() }),
            environment,
            nodes: lowered.nodes,
            morsels: lowered.morsels,
            results,
            stopped: AtomicBool::new(false),
            spans,
        }
    }

    /// Starts all pipelines that wait for nothing more.
    fn start_ready(self: &Arc<Shared>) {
        let ready: Vec<(usize, Arc<Pipeline>, usize)> = {
            let mut graph = self.graph.lock();
            let nodes = graph.pipelines.iter_mut().enumerate();
            nodes
                .filter_map(|(index, node)| {
                    let node = node.as_mut()?;
                    if node.tasks.is_some() || !node.after.is_empty() {
                        return None;
                    }
                    let tasks = node
                        .pipeline
                        .source
                        .part
                        .parallelism()
                        .min(self.environment.query.settings.parallelism)
                        .min(self.environment.workers.threads())
                        .max(1);
                    node.tasks = Some(tasks);
                    node.span = self.spans.pipeline(index, &node.pipeline, &self.nodes, tasks);
                    Some((index, node.pipeline.clone(), tasks))
                })
                .collect()
        };
        for (index, pipeline, count) in ready {
            // The parts are made outside the lock: they may allocate, and fail.
            match pipeline.start(&self.environment.query, count) {
                Ok(tasks) => tasks.into_iter().for_each(|task| {
                    let job =
                        PipelineJob { shared: self.clone(), index, task: Some(task), registered: false };
                    self.spawn(Box::new(job));
                }),
                Err(error) => return self.fail(error),
            }
        }
    }

    fn spawn(&self, job: Box<dyn Job>) {
        let waker = self.environment.workers.spawn(job);
        let mut graph = self.graph.lock();
        if self.is_stopped() {
            drop(graph);
            waker.wake();
        } else {
            graph.tasks.push(waker);
        }
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Does a step of the query, and counts the time that a processor worked for it.
    fn metered<T>(&self, step: impl FnOnce(&QueryContext) -> T) -> T {
        let (query, is_inline) = (&self.environment.query, self.environment.workers.is_inline());
        // Who drives a pool by hand has a clock of its own, and wants the same twice.
        let now = || if is_inline { query.now() } else { thread_time() };
        let begun = now();
        let done = step(query);
        query.meter.add_processor(now().saturating_sub(begun));
        done
    }

    /// A task of the pipeline is done.
    fn task_done(self: &Arc<Shared>, index: usize) {
        let (over, finalize) = {
            let mut graph = self.graph.lock();
            let Some(node) = &mut graph.pipelines[index] else { return };
            let left = node.tasks.unwrap_or(0).saturating_sub(1);
            node.tasks = Some(left);
            if left > 0 {
                return;
            }
            let sink_index = node.pipeline.sink_index;
            let over = graph.pipelines[index].take();
            graph.over(After::Pipeline(index));
            let finalize = graph.sinks[sink_index].as_mut().and_then(|sink| {
                sink.feeders -= 1;
                (sink.feeders == 0).then(|| (sink_index, sink.sink.clone()))
            });
            (over, finalize)
        };
        if let Some(PipelineNode { pipeline, span, .. }) = over {
            spans::end_pipeline(span, &pipeline);
        }
        if let Some((sink_index, sink)) = finalize {
            match sink.part.finalize() {
                Ok(works) => self.finalize(sink_index, &sink, works),
                Err(error) => return self.fail(error),
            }
        }
        self.go_on();
    }

    fn finalize(self: &Arc<Shared>, index: usize, sink: &Stage<Arc<dyn Sink>>, works: Vec<Box<dyn Work>>) {
        if let Some(node) = &mut self.graph.lock().sinks[index] {
            node.works = works.len().max(1);
        }
        if works.is_empty() {
            return self.work_done(index);
        }
        for work in works {
            let node = sink.node.clone();
            self.spawn(Box::new(WorkJob { shared: self.clone(), index, node, work: Some(work) }));
        }
    }

    /// A piece of a sink's finalisation is done.
    fn work_done(self: &Arc<Shared>, index: usize) {
        let over = {
            let mut graph = self.graph.lock();
            let Some(node) = &mut graph.sinks[index] else { return };
            node.works -= 1;
            if node.works > 0 {
                return;
            }
            graph.over(After::Sink(index));
            graph.sinks[index].take()
        };
        drop(over);
    }

    /// Starts what became ready, or ends the fragment where nothing is left.
    fn go_on(self: &Arc<Shared>) {
        let complete = {
            let mut graph = self.graph.lock();
            let left = graph.pipelines.iter().any(Option::is_some) || graph.sinks.iter().any(Option::is_some);
            if !left {
                graph.tasks.clear();
            }
            !left
        };
        if complete {
            if !self.stopped.swap(true, Ordering::AcqRel) {
                self.spans.end();
                self.results.end(Ok(()));
            }
        } else if !self.is_stopped() {
            self.start_ready();
        }
    }

    /// Ends the fragment, and with it the query; does nothing where it is over.
    fn fail(&self, error: Error) {
        if self.stopped.swap(true, Ordering::AcqRel) {
            return;
        }
        self.spans.fail(&error);
        self.results.end(Err(error.clone()));
        self.environment.exchange.fail(error);
        let graph = {
            let mut graph = self.graph.lock();
            let empty = Graph { pipelines: Vec::new(), sinks: Vec::new(), tasks: Vec::new() };
            let (pipelines, sinks) = (graph.pipelines.len(), graph.sinks.len());
            let taken = std::mem::replace(&mut *graph, empty);
            graph.pipelines.resize_with(pipelines, || None);
            graph.sinks.resize_with(sinks, || None);
            taken
        };
        graph.tasks.into_iter().for_each(Waker::wake);
    }
}

impl Graph {
    /// Ticks `done` off in all pipelines that wait for it.
    fn over(&mut self, done: After) {
        for node in self.pipelines.iter_mut().flatten() {
            node.after.retain(|after| *after != done);
        }
    }
}

/// Runs a pipeline's task on a worker.
struct PipelineJob {
    shared: Arc<Shared>,
    index: usize,
    task: Option<PipelineTask>,
    /// Its siblings know how to wake it.
    registered: bool,
}

impl Job for PipelineJob {
    fn step(&mut self, waker: &Waker) -> JobStatus {
        let Some(task) = &mut self.task else { return JobStatus::Done };
        if self.shared.is_stopped() {
            self.task = None;
            return JobStatus::Done;
        }
        if !self.registered {
            self.registered = true;
            task.siblings().register(waker);
        }
        let status = self.shared.metered(|query| query.check().and_then(|()| task.advance(waker)));
        match status {
            Ok(JobStatus::Done) => {
                // Its state goes before the next pipeline starts.
                self.task = None;
                self.shared.task_done(self.index);
                JobStatus::Done
            }
            Ok(status) => status,
            Err(error) => {
                self.task = None;
                self.shared.fail(error);
                JobStatus::Done
            }
        }
    }

    fn panicked(&mut self, error: Error) {
        self.shared.fail(error);
    }
}

/// Runs a piece of a sink's finalisation on a worker.
struct WorkJob {
    shared: Arc<Shared>,
    index: usize,
    node: Arc<Node>,
    work: Option<Box<dyn Work>>,
}

impl Job for WorkJob {
    fn step(&mut self, waker: &Waker) -> JobStatus {
        let Some(work) = &mut self.work else { return JobStatus::Done };
        if self.shared.is_stopped() {
            self.work = None;
            return JobStatus::Done;
        }
        let query = &self.node.query;
        let started = query.now();
        let step = Step { query, waker, started };
        let progress = self.shared.metered(|query| query.check().and_then(|()| work.advance(&step)));
        self.node.counters.add_time(query.now().saturating_sub(started));
        match progress {
            Ok(Progress::Yield) => JobStatus::Again,
            Ok(Progress::Blocked) => JobStatus::Blocked,
            Ok(Progress::Ready | Progress::Finished) => {
                self.work = None;
                self.shared.work_done(self.index);
                self.shared.go_on();
                JobStatus::Done
            }
            Err(error) => {
                self.work = None;
                self.shared.fail(error);
                JobStatus::Done
            }
        }
    }

    fn panicked(&mut self, error: Error) {
        self.shared.fail(error);
    }
}

/// Ends the fragment when its query is cancelled.
struct OnCancel(Weak<Shared>);

impl Wake for OnCancel {
    fn wake(self: Arc<OnCancel>) {
        if let Some(shared) = self.0.upgrade() {
            shared.fail(Error::Cancelled);
        }
    }
}
