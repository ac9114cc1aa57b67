//! What every serving process has: its log, its runtime, the signals that end it.

use std::io::Read;
use std::time::Duration;

use ::coordinator::STACK_BYTES;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use crate::Failure;
use crate::telemetry::TelemetryOptions;

/// Runs `serve` with the signals that end it, telling what it does as a `role` by `telemetry`.
pub(crate) fn run<F: Future<Output = Result<(), Failure>>>(
    role: &'static str,
    telemetry: &TelemetryOptions,
    serve: impl FnOnce(Stop) -> F,
) -> Result<(), Failure> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().thread_stack_size(STACK_BYTES).enable_all().build()?;
    let served = runtime.block_on(async {
        let telemetry = telemetry.begin(role)?;
        // The handlers come first: a signal during the start is kept until it is asked for.
        let served = match Stop::listen() {
            Ok(stop) => serve(stop).await,
            Err(error) => Err(error.into()),
        };
        telemetry.end().await;
        served
    });
    // Work that ignores its cancellation does not keep the process from ending.
    runtime.shutdown_timeout(Duration::from_secs(5));
    served
}

/// What ends a process: SIGINT, SIGTERM, and the end of its parent where it is to go with that.
pub(crate) struct Stop {
    interrupt: Signal,
    terminate: Signal,
    parent: Option<oneshot::Receiver<()>>,
}

impl Stop {
    fn listen() -> std::io::Result<Stop> {
        let (interrupt, terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        Ok(Stop { interrupt, terminate, parent: None })
    }

    /// Ends the process with its parent, too, which holds the other end of stdin.
    pub(crate) fn with_parent(&mut self) {
        let (gone, parent) = oneshot::channel();
        std::thread::spawn(move || {
            let mut ignored = [0; 64];
            while matches!(std::io::stdin().read(&mut ignored), Ok(count) if count > 0) {}
            drop(gone);
        });
        self.parent = Some(parent);
    }

    /// Waits for any.
    pub(crate) async fn requested(&mut self) {
        let parent = async {
            match &mut self.parent {
                Some(parent) => drop(parent.await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            () = parent => {}
        }
    }
}
