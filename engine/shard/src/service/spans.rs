//! What a shard tells of itself in a trace: its part of a query, and what it brings in. The spans are there without a trace,
//! too: log lines take query and tenant from them.

use super::Node;
use crate::Result;
use flight_proto::manifest::Manifest;
use flight_proto::node::{Failure, FailureKind, Run, Told, Used};
use flight_proto::trace;
use std::fmt::Display;
use tracing::field::{Empty, display};
use tracing::{Span, error_span, info_span};

/// Of a part of a query, below the attempt whose context came with it.
pub(super) fn of_part(node: &Node, run: &Run) -> Span {
    // Nodes of a release before know the attempt alone.
    let id = if run.statement.is_empty() { &run.query } else { &run.statement };
    error_span!(
        target: trace::WORK,
        parent: None,
        "part",
        traceparent = run.traceparent,
        query_id = %Hex(id),
        tenant = run.tenant,
        principal = run.principal,
        shard = %format_args!("{:016x}", node.shard.id()),
        place = run.shard,
        is_root = run.shard == run.single,
        outcome = Empty,
        exchanged_bytes = Empty,
        scanned_bytes = Empty,
        processor_us = Empty,
        error = Empty,
        "error.type" = Empty,
    )
}

/// The part has ended; without a last word nobody wanted more.
pub(super) fn end(span: &Span, used: &Used, told: Option<&Told>) {
    span.record("exchanged_bytes", used.exchanged_bytes);
    span.record("scanned_bytes", used.scanned_bytes);
    span.record("processor_us", used.processor_us);
    match told {
        Some(Told::Failed(failure)) => fail(span, failure),
        Some(_) => {}
        None => {
            span.record("outcome", "cancelled");
        }
    }
}

/// The part has failed. Who asked for it writes it to the log.
pub(super) fn fail(span: &Span, failure: &Failure) {
    // What is wrong with values tells of rows.
    if !matches!(failure.kind(), FailureKind::Value | FailureKind::SubqueryRows) {
        span.record("error", &failure.message);
    }
    span.record("error.type", display(format_args!("{:?}", failure.kind())));
}

/// Of bringing a version in: below what asked for it, or a trace of its own where that is the catalog.
pub(super) fn of_hydration(node: &Node, manifest: &Manifest, traceparent: &str) -> Span {
    let shard = format_args!("{:016x}", node.shard.id());
    let Manifest { dataset, version, tenant, name, .. } = manifest;
    match traceparent.is_empty() {
        true => {
            info_span!(target: trace::CALL, parent: None, "hydration", tenant, dataset, version, table = name, %shard, error = Empty)
        }
        false => {
            info_span!(target: trace::WORK, parent: None, "hydration", traceparent, tenant, dataset, version, table = name, %shard, error = Empty)
        }
    }
}

/// Notes in the span that is entered what became of it.
pub(super) async fn of_outcome<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let done = work.await;
    done.inspect_err(|error| {
        Span::current().record("error", display(error));
    })
}

/// Bytes in hexadecimal digits.
struct Hex<'a>(&'a [u8]);

impl Display for Hex<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
