//! What every serving process has: its log, its runtime, the signals that end it.

use std::io::{IsTerminal, Read};
use std::time::Duration;

use ::coordinator::STACK_BYTES;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use crate::Failure;

/// Runs `serve` with the signals that end it, and the log on stderr as `TUNDRA_LOG` wants it.
pub(crate) fn run<F: Future<Output = Result<(), Failure>>>(
    serve: impl FnOnce(Stop) -> F,
) -> Result<(), Failure> {
    let log = tracing_subscriber::EnvFilter::try_from_env("TUNDRA_LOG")
        // openraft warns of every message that a node which is away does not answer.
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn,openraft=error"));
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(log).with_writer(std::io::stderr).with_ansi(colours).init();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().thread_stack_size(STACK_BYTES).enable_all().build()?;
    // The handlers come first: a signal during the start is kept until it is asked for.
    let served = runtime.block_on(async { serve(Stop::listen()?).await });
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
