//! Settings of those that serve clients: what no session may go beyond.

use std::time::Duration;

use clap::Args;

#[derive(Args)]
pub(crate) struct LimitOptions {
    /// Seconds after which a query is ended; a session may set itself less [default: none]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    query_timeout: Option<u32>,
}

impl LimitOptions {
    pub(crate) fn query_timeout(&self) -> Option<Duration> {
        self.query_timeout.map(|seconds| Duration::from_secs(seconds.into()))
    }

    /// The same as arguments of another process.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let words = |seconds: u32| vec!["--query-timeout".to_string(), seconds.to_string()];
        self.query_timeout.map(words).unwrap_or_default()
    }
}
