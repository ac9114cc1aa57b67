//! What a query would use, from the planner's estimates: rows that go in and out of each operator, times what a row costs
//! there. `docs/usage.md` says where the constants come from, and how far the predictions are off.

use crate::view::View;
use columnar::{DataType, PhysicalType};
use exec::Plan;
use exec::plan::{Routing, Scan};
use planner::PlannedQuery;
use std::collections::HashMap;

/// Nanoseconds of a processor a row.
mod cost {
    /// A value that a scan tests, and one that it gives.
    pub(super) const TESTED: f64 = 2.2;
    pub(super) const GIVEN: f64 = 1.2;
    pub(super) const FILTERED: f64 = 11.5;
    /// For each expression that is no column.
    pub(super) const COMPUTED: f64 = 1.5;
    pub(super) const BUILT: f64 = 110.0;
    pub(super) const PROBED: f64 = 1.4;
    pub(super) const JOINED: f64 = 12.4;
    pub(super) const AGGREGATED: f64 = 11.0;
    pub(super) const GROUPED: f64 = 65.0;
    /// For each doubling of the rows.
    pub(super) const SORTED: f64 = 30.0;
    pub(super) const RANKED: f64 = 69.0;
    pub(super) const PASSED: f64 = 0.1;
    /// To another shard, and from one.
    pub(super) const SENT: f64 = 10.0;
    /// Of a statement, however small: planning and starting it, in nanoseconds.
    pub(super) const STATEMENT: f64 = 1.4e6;
}

/// Bytes that a text is taken for on its way.
const TEXT_BYTES: f64 = 24.0;

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Predicted {
    /// Of all shards together.
    pub(crate) processor_s: f64,
    pub(crate) scanned_bytes: f64,
    pub(crate) exchanged_bytes: f64,
    pub(crate) returned_rows: f64,
}

/// What `query` would use on so many shards, of the tables that `view` has.
pub(crate) fn predict(query: &PlannedQuery, view: &View, shards: usize) -> Predicted {
    let mut predicted = Predicted { processor_s: cost::STATEMENT / 1e9, ..Predicted::default() };
    let other_shards = shards.saturating_sub(1) as f64;
    let mut widths = HashMap::new();
    query.fragments.iter().for_each(|fragment| received(&fragment.plan, &mut widths));
    for (fragment, notes) in query.fragments.iter().zip(&query.notes) {
        let mut rows = notes.operators.iter().map(|note| note.estimated_rows.max(0.0));
        let rows_out = walk(&fragment.plan, &mut rows, view, &mut predicted);
        let Some(routing) = &fragment.output else {
            predicted.returned_rows = rows_out;
            continue;
        };
        // How often a row goes to a shard that is another one than that which has it.
        let hops = match routing {
            Routing::Broadcast => other_shards,
            Routing::Gather | Routing::Hash(_) | Routing::Ranges { .. } => {
                other_shards / shards.max(1) as f64
            }
        };
        predicted.exchanged_bytes += rows_out * hops * widths.get(&fragment.id).copied().unwrap_or(0.0);
        predicted.processor_s += rows_out * hops * cost::SENT / 1e9;
    }
    predicted
}

/// Adds an operator and those below it, in the order of their notes; gives the rows that come of it.
fn walk(plan: &Plan, rows: &mut impl Iterator<Item = f64>, view: &View, predicted: &mut Predicted) -> f64 {
    let out = rows.next().unwrap_or(0.0);
    let inputs: Vec<f64> =
        plan.inputs().into_iter().map(|input| walk(input, rows, view, predicted)).collect();
    let first = inputs.first().copied().unwrap_or(0.0);
    let nanoseconds = match plan {
        Plan::Scan(scan) | Plan::ScanAddressed(scan) => {
            let (table_rows, bytes) = read(scan, view);
            predicted.scanned_bytes += bytes;
            let tested = if scan.predicate.is_empty() { 0.0 } else { table_rows * cost::TESTED };
            tested + out * scan.columns.len() as f64 * cost::GIVEN
        }
        Plan::Filter { .. } => first * cost::FILTERED,
        Plan::Project { exprs, .. } => {
            let computed = exprs.iter().filter(|expr| !matches!(expr, exec::Expr::Column { .. })).count();
            first * computed as f64 * cost::COMPUTED
        }
        Plan::HashJoin(_) => {
            let built = inputs.get(1).copied().unwrap_or(0.0);
            first * cost::PROBED + built * cost::BUILT + out * cost::JOINED
        }
        Plan::Aggregate { .. } => first * cost::AGGREGATED + out * cost::GROUPED,
        Plan::Sort { .. } | Plan::TopOfGroups(_) | Plan::AsOf(_) | Plan::Window(_) => {
            first * first.max(2.0).log2() * cost::SORTED
        }
        Plan::TopN { .. } => first * cost::RANKED,
        _ => out * cost::PASSED,
    };
    predicted.processor_s += nanoseconds / 1e9;
    out
}

/// The rows of the table that a scan reads, and the bytes of its columns.
fn read(scan: &Scan, view: &View) -> (f64, f64) {
    let Some(resident) = view.resident_of(&scan.table) else { return (0.0, 0.0) };
    let statistics = &resident.table.statistics;
    let mut columns = scan.columns.clone();
    scan.predicate.iter().for_each(|expr| columns_of(expr, &mut columns));
    columns.sort_unstable();
    columns.dedup();
    let widths = columns.iter().filter_map(|&column| statistics.columns.get(column as usize));
    let width: f64 = widths.map(|column| column.average_bytes).sum();
    (statistics.rows as f64, statistics.rows as f64 * width)
}

fn columns_of(expr: &exec::Expr, into: &mut Vec<u32>) {
    if let exec::Expr::Column { id, .. } = expr {
        into.push(*id);
    }
    expr.children().into_iter().for_each(|child| columns_of(child, into));
}

/// Bytes of a row of each fragment whose rows are received.
fn received(plan: &Plan, widths: &mut HashMap<u32, f64>) {
    match plan {
        Plan::Receive { fragment, types } => {
            widths.insert(*fragment, types.iter().copied().map(width_bytes).sum());
        }
        Plan::ReceiveProven { fragment, columns } => {
            widths.insert(*fragment, columns.iter().map(|column| width_bytes(column.data_type)).sum());
        }
        _ => plan.inputs().into_iter().for_each(|input| received(input, widths)),
    }
}

/// Bytes of a value on its way.
fn width_bytes(data_type: DataType) -> f64 {
    match data_type.physical() {
        PhysicalType::View => TEXT_BYTES,
        physical => physical.width_bytes() as f64,
    }
}
