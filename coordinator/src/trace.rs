//! What a coordinator tells in traces of calls and statements, and which errors it writes to the log.

use crate::error::Error;
use crate::usage::Account;
use exec::error::Error as Execution;
use flight_proto::trace::{self, TraceParent};
use flight_proto::work;
use std::sync::Arc;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};
use tracing::field::Empty;
use tracing::{Instrument, Span, error_span, info_span};

/// The most of a statement's text that is told.
const TEXT_BYTES: usize = 4_096;

/// The context that a client sends with a call; empty: none.
pub(crate) fn sent_by_client(metadata: &MetadataMap) -> &str {
    let sent = metadata.get("traceparent").and_then(|value| value.to_str().ok());
    // One that is malformed is as none.
    sent.filter(|text| TraceParent::parse(text).is_some()).unwrap_or_default()
}

/// The span of a call of Flight, below the one that `traceparent` names.
pub(crate) fn of_call(method: &'static str, traceparent: &str) -> Span {
    info_span!(
        target: trace::CALL,
        parent: None,
        "call",
        otel.name = method,
        otel.kind = "server",
        rpc.system = "grpc",
        rpc.service = "arrow.flight.protocol.FlightService",
        rpc.method = method,
        traceparent,
        tenant = Empty,
        principal = Empty,
        rpc.grpc.status_code = Empty,
        error = Empty,
    )
}

/// Answers a call within its span, which lasts until what it gives has been read.
pub(crate) async fn answered<T>(
    span: Span,
    call: impl Future<Output = Result<T, Status>>,
) -> Result<T, Status> {
    if span.is_disabled() {
        return call.await;
    }
    let answer = call.instrument(span.clone()).await;
    let code = answer.as_ref().map_or_else(Status::code, |_| Code::Ok);
    span.record("rpc.grpc.status_code", code as i32);
    if let Err(status) = &answer
        && matches!(
            code,
            Code::Unknown | Code::DeadlineExceeded | Code::Internal | Code::Unavailable | Code::DataLoss
        )
    {
        span.record("error", status.message());
    }
    answer
}

/// The span of a statement. It is there without a trace, too: log lines take query and tenant from it.
pub(crate) fn of_statement(id: u128, tenant: &str, principal: &str, sql: &str) -> Span {
    let span = error_span!(
        target: trace::CALL,
        "statement",
        query_id = %format_args!("{id:032x}"),
        tenant,
        principal,
        db.system.name = "tundra",
        db.namespace = tenant,
        db.query.text = Empty,
        engine = Empty,
        db.response.returned_rows = Empty,
        returned_bytes = Empty,
        scanned_bytes = Empty,
        exchanged_bytes = Empty,
        error = Empty,
        error.type = Empty,
    );
    if !trace::kept(span.clone()).is_disabled() {
        let text = planner::listed_text(sql);
        span.record("db.query.text", &text[..text.floor_char_boundary(TEXT_BYTES)]);
    }
    span
}

/// The span of an attempt at a statement, below the one that was kept of that.
pub(crate) fn of_attempt(statement: &Span) -> Span {
    work!(
        statement,
        "attempt",
        without_shard = Empty,
        exchanged_bytes = Empty,
        error = Empty,
        error.type = Empty,
    )
}

/// An attempt, or a refresh, has failed.
pub(crate) fn attempt_failed(span: &Span, error: &Error) {
    span.record("error.type", kind_of(error));
    // What is wrong with a statement or its values may tell of rows.
    if fault_of(error).is_some() {
        span.record("error", tracing::field::display(error));
    }
}

/// A statement was not planned.
pub(crate) fn not_bound(span: &Span, error: &Error) {
    span.record("error.type", kind_of(error));
}

/// Tells what a statement has used as its rows have been read, or are dropped.
pub(crate) struct Ending {
    /// Of the statement, where its trace is kept.
    pub(crate) span: Span,
    pub(crate) account: Arc<Account>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        if !self.span.is_disabled() {
            let used = self.account.measures();
            self.span.record("db.response.returned_rows", used.returned_rows);
            self.span.record("returned_bytes", used.returned_bytes);
            self.span.record("scanned_bytes", used.scanned_bytes);
            self.span.record("exchanged_bytes", used.exchanged_bytes);
        }
    }
}

/// A statement has failed: notes it in its span, and in the log where that is not the client's fault.
pub(crate) fn failed(span: &Span, error: &Error) {
    span.record("error.type", kind_of(error));
    if let Some(fault) = fault_of(error) {
        span.record("error", tracing::field::display(error));
        span.in_scope(|| log(fault, error));
    }
}

/// A statement that has no number yet has failed.
pub(crate) fn not_planned(tenant: &str, error: &Error) {
    if let Some(fault) = fault_of(error) {
        error_span!(target: trace::WORK, parent: None, "planning", tenant).in_scope(|| log(fault, error));
    }
}

fn log(fault: Fault, error: &Error) {
    match fault {
        Fault::Ours => tracing::error!("a statement failed: {error}"),
        Fault::Surroundings => tracing::warn!("a statement failed: {error}"),
    }
}

/// Whose fault an error is that is not the client's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// A defect.
    Ours,
    /// Nodes, files, stores.
    Surroundings,
}

fn fault_of(error: &Error) -> Option<Fault> {
    match error {
        Error::Internal(_) | Error::Damaged(_) | Error::Execution(Execution::Internal(_)) => {
            Some(Fault::Ours)
        }
        Error::Environment(_)
        | Error::Unavailable(_)
        | Error::Execution(Execution::Storage(_) | Execution::Exchange(_)) => Some(Fault::Surroundings),
        _ => None,
    }
}

/// An error's name, of which there are few.
fn kind_of(error: &Error) -> &'static str {
    match error {
        Error::Statement(_) => "statement",
        Error::NotFound(_) => "not_found",
        Error::AlreadyExists(_) => "already_exists",
        Error::Denied(_) => "denied",
        Error::Unauthenticated(_) => "unauthenticated",
        Error::Conflict(_) => "conflict",
        Error::Unavailable(_) => "unavailable",
        Error::Overloaded(_) => "overloaded",
        Error::Quarantined(_) => "quarantined",
        Error::Environment(_) => "environment",
        Error::Damaged(_) => "damaged",
        Error::Refused(_) | Error::Unsupported(_) => "unsupported",
        Error::ShuttingDown => "shutting_down",
        Error::Internal(_) => "internal",
        Error::Execution(error) => match error {
            Execution::Value(_) | Execution::SubqueryRows => "value",
            Execution::Memory { .. } | Execution::MemoryElsewhere(_) => "memory",
            Execution::Cancelled => "cancelled",
            Execution::DeadlineExceeded => "deadline",
            Execution::Unsupported(_) => "unsupported",
            Execution::Internal(_) => "internal",
            Execution::Storage(_) => "storage",
            Execution::Exchange(_) => "exchange",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_clients_are_not_logged() {
        for (error, fault) in [
            (Error::Internal("x".into()), Some(Fault::Ours)),
            (Error::Execution(Execution::Internal("x".into())), Some(Fault::Ours)),
            (Error::Unavailable("x".into()), Some(Fault::Surroundings)),
            (Error::Execution(Execution::Storage("x".into())), Some(Fault::Surroundings)),
            (Error::Statement("x".into()), None),
            (Error::Execution(Execution::Cancelled), None),
            (Error::Overloaded("x".into()), None),
        ] {
            assert_eq!(fault_of(&error), fault, "{}", kind_of(&error));
        }
    }
}
