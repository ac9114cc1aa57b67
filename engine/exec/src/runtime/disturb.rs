//! Sources and sinks that block at random: so tests see that every step can be left and resumed. And places
//! where tests let another thread come in between.

use super::workers::{Job, JobStatus, Workers};
use crate::error::{Error, Result};
use crate::operator::{Output, Progress, Sink, SinkTask, Source, SourceTask, Step, Work};
use crate::shape::Shape;
use columnar::Batch;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;

/// Stands between a load and a store that no other thread may come between: tests now and then let one, so that
/// a race that is possible is seen. `number` counts on from call to call.
#[inline(always)]
pub(crate) fn give_way(number: u32) {
    if cfg!(test) && number.is_multiple_of(61) {
        std::thread::yield_now();
    }
}

/// Decides when to block, by a seed.
struct Disturbance {
    state: u64,
    workers: Arc<Workers>,
}

impl Disturbance {
    /// Whether to give `Blocked` now; `waker` is then woken at once, or a little later by another task.
    fn blocks(&mut self, waker: &Waker) -> bool {
        // xorshift64* (Marsaglia, Vigna).
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let draw = self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 60;
        match draw {
            0..=2 => waker.wake_by_ref(),
            3..=4 => drop(self.workers.spawn(Box::new(WakeLater { waker: waker.clone(), steps: draw }))),
            _ => return false,
        }
        true
    }
}

/// Wakes after some turns of its own.
struct WakeLater {
    waker: Waker,
    steps: u64,
}

impl Job for WakeLater {
    fn step(&mut self, _waker: &Waker) -> JobStatus {
        if self.steps > 0 {
            self.steps -= 1;
            return JobStatus::Again;
        }
        self.waker.wake_by_ref();
        JobStatus::Done
    }

    fn panicked(&mut self, _error: Error) {}
}

/// Gives every task a disturbance of its own.
struct Seeds {
    seed: u64,
    started: AtomicU64,
    workers: Arc<Workers>,
}

impl Seeds {
    fn next(&self) -> Disturbance {
        let task = self.started.fetch_add(1, Ordering::Relaxed) + 1;
        let state = (self.seed ^ task.wrapping_mul(0x9e37_79b9_7f4a_7c15)) | 1;
        Disturbance { state, workers: self.workers.clone() }
    }
}

pub(crate) struct DisturbedSource {
    inner: Arc<dyn Source>,
    seeds: Seeds,
}

pub(crate) struct DisturbedSink {
    inner: Arc<dyn Sink>,
    seeds: Seeds,
}

struct DisturbedSourceTask(Box<dyn SourceTask>, Disturbance);
struct DisturbedSinkTask(Box<dyn SinkTask>, Disturbance);

impl DisturbedSource {
    pub(crate) fn new(inner: Arc<dyn Source>, seed: u64, workers: Arc<Workers>) -> DisturbedSource {
        DisturbedSource { inner, seeds: Seeds { seed, started: AtomicU64::new(0), workers } }
    }
}

impl DisturbedSink {
    pub(crate) fn new(inner: Arc<dyn Sink>, seed: u64, workers: Arc<Workers>) -> DisturbedSink {
        DisturbedSink { inner, seeds: Seeds { seed: !seed, started: AtomicU64::new(0), workers } }
    }
}

impl Source for DisturbedSource {
    fn output(&self) -> &[Shape] {
        self.inner.output()
    }

    fn parallelism(&self) -> usize {
        self.inner.parallelism()
    }

    fn start(&self) -> Result<Box<dyn SourceTask>> {
        Ok(Box::new(DisturbedSourceTask(self.inner.start()?, self.seeds.next())))
    }
}

impl SourceTask for DisturbedSourceTask {
    fn next(&mut self, step: &Step<'_>) -> Result<Output> {
        if self.1.blocks(step.waker) { Ok(Output::Blocked) } else { self.0.next(step) }
    }
}

impl Sink for DisturbedSink {
    fn start(&self) -> Result<Box<dyn SinkTask>> {
        Ok(Box::new(DisturbedSinkTask(self.inner.start()?, self.seeds.next())))
    }

    fn finalize(&self) -> Result<Vec<Box<dyn Work>>> {
        self.inner.finalize()
    }
}

impl SinkTask for DisturbedSinkTask {
    fn push(&mut self, batch: Batch) -> Result<()> {
        self.0.push(batch)
    }

    fn advance(&mut self, step: &Step<'_>) -> Result<Progress> {
        if self.1.blocks(step.waker) { Ok(Progress::Blocked) } else { self.0.advance(step) }
    }

    fn combine(&mut self, step: &Step<'_>) -> Result<Progress> {
        if self.1.blocks(step.waker) { Ok(Progress::Blocked) } else { self.0.combine(step) }
    }
}
