//! Metrics: where they are gathered, and those that are read off now and then.

use crate::coordinator::Coordinator;
use crate::facts;
use flight_proto::policy::DEFAULT_TENANT;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

const SAMPLE_EVERY: Duration = Duration::from_secs(1);

/// The process's recorder; installed once, however many roles it runs. `None`: somebody else has installed another.
pub fn recorder() -> Option<PrometheusHandle> {
    static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    RECORDER
        .get_or_init(|| match PrometheusBuilder::new().install_recorder() {
            Ok(handle) => Some(handle),
            Err(error) => {
                tracing::warn!("metrics are not gathered: {error}");
                None
            }
        })
        .clone()
}

/// Labels whose values are names of tenants.
const OF_TENANTS: [&str; 2] = ["tenant=\"", "group=\""];

/// What of the metrics everybody may see: all but those that name a tenant other than `default`.
pub fn for_everybody(text: &str) -> String {
    text.split_inclusive('\n').filter(|line| line.starts_with('#') || !names_a_tenant(line)).collect()
}

fn names_a_tenant(line: &str) -> bool {
    let Some((_, labels)) = line.split_once('{') else { return false };
    let mut named = OF_TENANTS.iter().flat_map(|label| labels.split(label).skip(1));
    named.any(|rest| rest.split('"').next() != Some(DEFAULT_TENANT))
}

/// Keeps gauges that nobody updates as they change; they hold a value from the start.
pub(crate) fn sample(coordinator: Arc<Coordinator>) -> impl Future<Output = ()> {
    read(&coordinator);
    async move {
        loop {
            tokio::time::sleep(SAMPLE_EVERY).await;
            read(&coordinator);
        }
    }
}

fn read(coordinator: &Coordinator) {
    let memory = &coordinator.memory;
    metrics::gauge!("tundra_memory_used_bytes").set(memory.used_bytes() as f64);
    metrics::gauge!("tundra_memory_limit_bytes").set(memory.limit_bytes() as f64);
    metrics::gauge!("tundra_uptime_seconds").set(coordinator.now().as_secs_f64());
    metrics::gauge!("tundra_queries_listed").set(coordinator.running_queries() as f64);
    let tables =
        coordinator.tenants.all().iter().map(|datasets| datasets.view().residents().count()).sum::<usize>();
    metrics::gauge!("tundra_tables").set(tables as f64);
    for shard in coordinator.tenants.shards().here().into_iter().flat_map(|here| here.shards()) {
        let labels = [("shard", shard.id().to_string())];
        metrics::gauge!("tundra_segment_bytes", &labels).set(shard.segment_bytes() as f64);
    }
    let mut running = 0;
    // Those that run come first: the latest of a dataset on a shard is what its gauges show.
    for one in facts::hydrations(&coordinator.tenants).iter().rev() {
        running += usize::from(one.state == "running");
        let dataset = format!("{}.{}", one.schema, one.table);
        let labels = [("shard", one.shard.clone()), ("tenant", one.tenant.clone()), ("dataset", dataset)];
        metrics::gauge!("tundra_hydration_rows_done", &labels).set(one.rows_done as f64);
        metrics::gauge!("tundra_hydration_rows_total", &labels).set(one.rows_total as f64);
        metrics::gauge!("tundra_hydration_bytes_read", &labels).set(one.bytes_read as f64);
    }
    metrics::gauge!("tundra_hydrations_running").set(running as f64);
    let counts = coordinator.tenants.hydrated();
    metrics::counter!("tundra_hydrated_rows_total").absolute(counts.rows_done);
    metrics::counter!("tundra_fetched_bytes_total").absolute(counts.bytes_read);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_sees_no_names_of_tenants() {
        let text = "# TYPE a gauge\na 1\na{shard=\"s\",tenant=\"acme\",dataset=\"main.t\"} 2\n\
                    a{shard=\"s\",tenant=\"default\",dataset=\"main.t\"} 3\nq{group=\"acme\"} 4\nq{group=\"default\"} 5\n";
        let shown = for_everybody(text);
        assert!(!shown.contains("acme"), "{shown}");
        let kept: Vec<&str> = shown.lines().map(|line| &line[line.len() - 2..]).collect();
        assert_eq!(kept, ["ge", " 1", " 3", " 5"]);
    }
}
