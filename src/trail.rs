//! Settings of those that serve clients: what is written down of who did what.

use std::time::Duration;

use clap::Args;

#[derive(Args)]
pub(crate) struct TrailOptions {
    /// Write the trail of logins and statements to system/audit/ of the object store, every so many seconds [default: it is kept
    /// for system.audit alone]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=3_600))]
    audit_export: Option<u32>,
}

impl TrailOptions {
    pub(crate) fn interval(&self) -> Option<Duration> {
        self.audit_export.map(|seconds| Duration::from_secs(seconds.into()))
    }

    /// The same as arguments of another process.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let seconds = self.audit_export.map(|seconds| ["--audit-export".into(), seconds.to_string()]);
        seconds.into_iter().flatten().collect()
    }
}
