//! What a shard counts of itself, for whoever gathers metrics in its process. Nothing names a tenant.

use super::Node;
use crate::Shard;
use flight_proto::node::{FailureKind, Told, Used};
use std::sync::Arc;
use std::time::Duration;

const SAMPLE_EVERY: Duration = Duration::from_secs(1);

/// Counts a part of a query that has ended after `seconds`; without a last word nobody wanted more.
pub(super) fn part_ended(used: &Used, told: Option<&Told>, seconds: f64) {
    let outcome = match told {
        Some(Told::Failed(failure)) if failure.kind() == FailureKind::Cancelled => "cancelled",
        Some(Told::Failed(_)) => "failed",
        Some(_) => "done",
        None => "cancelled",
    };
    metrics::counter!("tundra_parts_total", "outcome" => outcome).increment(1);
    metrics::histogram!("tundra_part_seconds").record(seconds);
    metrics::counter!("tundra_scanned_bytes_total").increment(used.scanned_bytes);
    metrics::counter!("tundra_exchanged_bytes_total").increment(used.exchanged_bytes);
}

/// Counts a part of a query that could not begin.
pub(super) fn part_refused() {
    metrics::counter!("tundra_parts_total", "outcome" => "failed").increment(1);
}

/// Keeps the gauges that nobody updates as they change, for as long as it is polled.
pub(super) async fn sample(node: Arc<Node>) {
    loop {
        read(&node);
        tokio::time::sleep(SAMPLE_EVERY).await;
    }
}

fn read(node: &Node) {
    let shard: &Shard = &node.shard;
    let environment = shard.environment();
    let load = node.load.read(shard);
    metrics::gauge!("tundra_uptime_seconds").set(load.uptime_us as f64 / 1e6);
    metrics::counter!("tundra_processor_microseconds_total").absolute(load.processor_us);
    metrics::gauge!("tundra_worker_threads").set(f64::from(load.threads));
    metrics::gauge!("tundra_memory_used_bytes").set(environment.memory.used_bytes() as f64);
    metrics::gauge!("tundra_memory_limit_bytes").set(environment.memory.limit_bytes() as f64);
    metrics::gauge!("tundra_segment_bytes").set(load.segment_bytes as f64);
    metrics::gauge!("tundra_versions_held").set(shard.versions().len() as f64);
    metrics::gauge!("tundra_parts_running").set(node.queries.running() as f64);
    metrics::gauge!("tundra_hydrations_running").set(node.hydrations.running() as f64);
    metrics::gauge!("tundra_coordinators_heard").set(node.heard() as f64);
    let counts = node.hydrations.counts();
    metrics::counter!("tundra_hydrated_rows_total").absolute(counts.rows_done);
    metrics::counter!("tundra_fetched_bytes_total").absolute(counts.bytes_read);
    metrics::counter!("tundra_store_requests_total").absolute(counts.requests);
}
