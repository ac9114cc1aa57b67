//! What the control plane counts of itself, for whoever gathers metrics in its process. Nothing names a tenant.

use crate::lease::Lease;
use std::time::Duration;

const SAMPLE_EVERY: Duration = Duration::from_secs(1);

/// Keeps the gauges that nobody updates as they change, for ever.
pub(crate) async fn sample(lease: &Lease) {
    loop {
        metrics::gauge!("tundra_control_leads").set(if lease.leads() { 1.0 } else { 0.0 });
        tokio::time::sleep(SAMPLE_EVERY).await;
    }
}

/// Counts a call of the API; `reads`: one that changes nothing.
pub(crate) fn call_answered(reads: bool, status: u16) {
    let outcome = match status {
        ..400 => "done",
        400..500 => "refused",
        _ => "failed",
    };
    let kind = if reads { "read" } else { "change" };
    metrics::counter!("tundra_control_calls_total", "kind" => kind, "outcome" => outcome).increment(1);
}

/// Counts a comparison with the cluster, or decisions that were published.
pub(crate) fn published(what: &'static str, outcome: &'static str) {
    metrics::counter!("tundra_policy_publications_total", "what" => what, "outcome" => outcome).increment(1);
}

/// The version that the cluster has of everything, and how many documents it does not take.
pub(crate) fn policy(version: u64, refused: usize) {
    metrics::gauge!("tundra_policy_version").set(version as f64);
    metrics::gauge!("tundra_policy_refused_documents").set(refused as f64);
}

/// Counts a round of fetching what was used.
pub(crate) fn usage_fetched(outcome: &'static str) {
    metrics::counter!("tundra_usage_rounds_total", "outcome" => outcome).increment(1);
}
