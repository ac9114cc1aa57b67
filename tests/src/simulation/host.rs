//! A machine: a runtime of its own with paused time, which goes on as far as the simulation lets it.
//!
//! All machines run on one thread, in turns of a [`TICK`]. What a machine runs dies with its runtime, whoever started
//! it and whatever it waits for: that is what makes a crash one.

use super::process;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::time::{advance, sleep_until};

/// How far machines run before it is the next one's turn. Timers of tokio know milliseconds.
pub const TICK: Duration = Duration::from_millis(2);

/// A machine that is up.
pub struct Host {
    runtime: Runtime,
    /// When the simulation began.
    begun: Instant,
    /// As far as it has run.
    now: Duration,
    /// It stands still until then.
    pub stopped_until: Duration,
    /// By how much its wall clock is wrong.
    pub skew_ms: i64,
}

impl Host {
    /// A machine that begins to run at `now`.
    pub fn new(begun: Instant, now: Duration) -> std::io::Result<Host> {
        process::set_clocks(now, 0);
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build()?;
        Ok(Host { runtime, begun, now, stopped_until: now, skew_ms: 0 })
    }

    pub fn handle(&self) -> &Handle {
        self.runtime.handle()
    }

    /// Runs a task of this machine that has ended, for what it gives.
    pub fn block_on<T>(&self, ended: impl Future<Output = T>) -> T {
        self.runtime.block_on(ended)
    }

    /// Tasks that have not ended.
    pub fn tasks(&self) -> usize {
        self.runtime.metrics().num_alive_tasks()
    }

    /// Runs up to `now`. What stood still finds that time has passed.
    pub fn run_to(&mut self, now: Duration) {
        if now < self.stopped_until {
            return;
        }
        let (begun, behind) = (self.begun, now.saturating_sub(self.now).saturating_sub(TICK));
        process::set_clocks(self.now + behind, self.skew_ms);
        self.now = now;
        self.runtime.block_on(async {
            if behind > Duration::ZERO {
                advance(behind).await;
            }
            sleep_until((begun + now).into()).await;
        });
    }
}
