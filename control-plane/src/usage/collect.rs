//! The loop of the instance that leads: fetches what was used, keeps it, and has coordinators know what was spent by all.

use super::spend;
use crate::cluster::Cluster;
use crate::database::Database;
use crate::decisions::ITSELF;
use crate::error::Result;
use crate::lease::Lease;
use crate::metrics;
use flight_proto::usage::Usage;
use std::sync::Arc;
use std::time::Duration;

pub(crate) struct Collector {
    pub(crate) database: Arc<Database>,
    pub(crate) lease: Arc<Lease>,
    pub(crate) cluster: Arc<dyn Cluster>,
    pub(crate) every: Duration,
}

impl Collector {
    /// Collects while this instance leads, for ever.
    pub(crate) async fn run(self) {
        let mut failed = false;
        loop {
            tokio::time::sleep(self.every).await;
            if !self.lease.leads() {
                continue;
            }
            let done = tokio::select! {
                biased;
                () = self.lease.lost() => continue,
                done = self.turn() => done,
            };
            metrics::usage_fetched(if done.is_ok() { "done" } else { "failed" });
            match &done {
                Err(error) if !failed => tracing::warn!("what was used is not kept, or not told: {error}"),
                Ok(()) if failed => tracing::warn!("what was used is kept and told again"),
                _ => {}
            }
            failed = done.is_err();
        }
    }

    /// Fetches once. What was kept is acknowledged with the next fetch: what is lost on the way comes again.
    pub(crate) async fn turn(&self) -> Result<()> {
        let taken = self.database.usage_taken().await?;
        let told = self.cluster.usage(taken).await;
        // One transaction a batch: what has waited for long would hold up everybody else, the lease among them.
        let mut rest = Vec::new();
        for usage in told {
            let source = usage.source.clone();
            for batch in usage.batches {
                let batches = vec![batch];
                let one = Usage { source: source.clone(), batches, shards: Vec::new(), resident: Vec::new() };
                let mut change = self.database.change(ITSELF).await?;
                change.take_usage(&[one]).await?;
                change.commit().await?;
            }
            rest.push(Usage { source, batches: Vec::new(), shards: usage.shards, resident: usage.resident });
        }
        let mut change = self.database.change(ITSELF).await?;
        change.take_usage(&rest).await?;
        change.forget_sources().await?;
        change.commit().await?;
        spend::publish(&self.database).await
    }
}
