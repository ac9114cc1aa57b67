//! What a fragment tells of itself in a trace: a span of its own, and one for each pipeline. Where the trace of the query is
//! not kept, or nobody listens, none of them is made.

use super::FragmentEnvironment;
use super::pipeline::{Node, Pipeline};
use crate::error::Error;
use crate::plan::{Fragment, Plan};
use parking_lot::Mutex;
use std::sync::Arc;
use tracing::{Span, info_span};

/// As `flight_proto::trace` has it, which is no floor below this one.
const TARGET: &str = "tundra::work";

/// The spans of a fragment that runs.
pub(super) struct Spans {
    /// It ends with the fragment.
    span: Mutex<Span>,
    /// What each node of the plan does, in preorder; empty where nobody is told.
    operators: Vec<String>,
}

impl Spans {
    pub(super) fn begin(environment: &FragmentEnvironment, fragment: &Fragment) -> Spans {
        let parent = &environment.query.span;
        if parent.is_disabled() {
            return Spans { span: Mutex::new(Span::none()), operators: Vec::new() };
        }
        let (id, place) = (fragment.id, environment.shard);
        let span = info_span!(target: TARGET, parent: parent, "fragment", fragment = id, place, outcome = tracing::field::Empty, error = tracing::field::Empty);
        let mut operators = Vec::new();
        if !span.is_disabled() {
            name(&fragment.plan, &mut operators);
        }
        Spans { span: Mutex::new(span), operators }
    }

    /// A pipeline starts with so many tasks.
    pub(super) fn pipeline(
        &self,
        index: usize,
        pipeline: &Pipeline,
        nodes: &[Arc<Node>],
        tasks: usize,
    ) -> Span {
        if self.operators.is_empty() {
            return Span::none();
        }
        let span = self.span.lock();
        let name = |node: &Arc<Node>| {
            let place = nodes.iter().position(|known| Arc::ptr_eq(known, node));
            place.and_then(|place| self.operators.get(place)).map_or("", String::as_str)
        };
        let (source, sink) = (name(&pipeline.source.node), name(&pipeline.sink.node));
        info_span!(target: TARGET, parent: &*span, "pipeline", pipeline = index, source, sink, tasks, source_rows = tracing::field::Empty)
    }

    /// The fragment is done.
    pub(super) fn end(&self) {
        *self.span.lock() = Span::none();
    }

    /// The fragment ended early.
    pub(super) fn fail(&self, error: &Error) {
        let span = std::mem::replace(&mut *self.span.lock(), Span::none());
        match error {
            // Nobody wants more: most often the result is whole.
            Error::Cancelled => span.record("outcome", "cancelled"),
            // What is wrong with values tells of rows.
            Error::Value(_) | Error::SubqueryRows => span.record("outcome", "failed by a value"),
            error => span.record("error", tracing::field::display(error)),
        };
    }
}

/// The pipeline is done.
pub(super) fn end_pipeline(span: Span, pipeline: &Pipeline) {
    if !span.is_disabled() {
        span.record("source_rows", pipeline.source.node.counters.read(0).rows);
    }
}

/// Names a plan's nodes, in preorder.
fn name(plan: &Plan, names: &mut Vec<String>) {
    names.push(match plan {
        Plan::Scan(scan) | Plan::ScanAddressed(scan) => format!("Scan {}", scan.table.name),
        Plan::Receive { fragment, .. } | Plan::ReceiveProven { fragment, .. } => {
            format!("Receive {fragment}")
        }
        Plan::Values { .. } => "Values".into(),
        Plan::Reread { .. } => "Reread".into(),
        Plan::Filter { .. } => "Filter".into(),
        Plan::Project { .. } => "Project".into(),
        Plan::Aggregate { .. } => "Aggregate".into(),
        Plan::Sort { .. } => "Sort".into(),
        Plan::TopN { .. } => "TopN".into(),
        Plan::Limit { .. } => "Limit".into(),
        Plan::Exchange { .. } => "Exchange".into(),
        Plan::Shared { .. } => "Shared".into(),
        Plan::HashJoin(_) => "HashJoin".into(),
        Plan::Union { .. } => "Union".into(),
        Plan::Expand { .. } => "Expand".into(),
        Plan::Series(_) => "Series".into(),
        Plan::TopOfGroups(_) => "TopOfGroups".into(),
        Plan::AsOf(_) => "AsOf".into(),
        Plan::Window(_) => "Window".into(),
        Plan::Unroll(_) => "Unroll".into(),
    });
    for input in plan.inputs() {
        name(input, names);
    }
}
