//! An aggregate that is joined on its groups with few rows need not compute the other groups: a semi join
//! with those rows goes below it. This undoes the cost of subqueries that were unnested to groups.

use super::{Context, Rule};
use crate::error::Result;
use crate::estimate::Estimator;
use crate::logical::{ColumnId, Columns, Join, JoinKind, Logical, equality};
use exec::{CompareOp, Expr};
use std::collections::HashMap;

/// The rows that reduce must be fewer than the groups by this factor.
const FEWER: f64 = 4.0;

pub(super) struct ReduceAggregates;

impl Rule for ReduceAggregates {
    fn name(&self) -> &'static str {
        "reduce_aggregates"
    }

    fn apply(&self, plan: Logical, context: &mut Context<'_>) -> Result<Logical> {
        let columns = &mut *context.columns;
        Ok(plan.transform_up(&mut |plan| match plan {
            Logical::Join(mut join) => {
                if join.kind != JoinKind::Full {
                    reduce(&mut join, true, columns);
                }
                if matches!(join.kind, JoinKind::Inner | JoinKind::Semi) {
                    reduce(&mut join, false, columns);
                }
                Logical::Join(join)
            }
            other => other,
        }))
    }
}

/// Reduces the aggregate on one side by rows of the other.
fn reduce(join: &mut Join, right: bool, columns: &mut Columns) {
    let (left_set, right_set) = (join.left.output_set(), join.right.output_set());
    let mut keys: Vec<(ColumnId, ColumnId)> = Vec::new();
    for expr in &join.on {
        if let Some((Expr::Column { id: a, .. }, Expr::Column { id: b, .. }, false)) =
            equality(expr, &left_set, &right_set)
        {
            keys.push(if right { (*a, *b) } else { (*b, *a) });
        }
    }
    let (other, side) = if right { (&join.left, &mut join.right) } else { (&join.right, &mut join.left) };
    let Some(aggregate) = aggregate_below(side) else { return };
    let Logical::Aggregate { input, groups, .. } = &*aggregate else { return };
    keys.retain(|(_, key)| {
        groups.iter().any(|(id, expr)| id == key && matches!(expr, Expr::Column { id, .. } if id == key))
    });
    if keys.is_empty() {
        return;
    }
    let wanted: Vec<ColumnId> = keys.iter().map(|&(outside, _)| outside).collect();
    let chosen = {
        let estimator = Estimator::new(columns);
        let mut candidates = Vec::new();
        sources(other, &wanted, &mut candidates);
        let groups = estimator.rows(aggregate).min(estimator.rows(input));
        candidates
            .into_iter()
            .map(|plan| (estimator.rows(plan), plan))
            .min_by(|a, b| a.0.total_cmp(&b.0))
            .filter(|(rows, _)| rows * FEWER < groups)
            .map(|(_, plan)| plan)
    };
    let Some(source) = chosen else { return };
    let mut map = HashMap::new();
    let copy = source.with_fresh_columns(columns, &mut map);
    let on = keys
        .iter()
        .map(|(outside, key)| {
            let twin = map.get(outside).copied().unwrap_or(*outside);
            Expr::compare(CompareOp::Equal, columns.reference(*key), columns.reference(twin))
        })
        .collect();
    if let Logical::Aggregate { input, .. } = aggregate {
        let taken = input.take();
        **input = taken.join(copy, JoinKind::Semi, on);
    }
}

/// The grouped aggregate under filters and projections.
fn aggregate_below(plan: &mut Logical) -> Option<&mut Logical> {
    match plan {
        Logical::Aggregate { groups, .. } if !groups.is_empty() => Some(plan),
        Logical::Filter { input, .. } | Logical::Project { input, .. } => aggregate_below(input),
        _ => None,
    }
}

/// Parts of a plan that give all wanted columns and are cheap to compute twice: scans, and scans that other
/// scans filter.
fn sources<'p>(plan: &'p Logical, wanted: &[ColumnId], into: &mut Vec<&'p Logical>) {
    let outputs = plan.outputs();
    if !wanted.iter().all(|id| outputs.contains(id)) {
        return;
    }
    if is_cheap(plan) {
        into.push(plan);
    }
    for input in plan.inputs() {
        sources(input, wanted, into);
    }
}

fn is_cheap(plan: &Logical) -> bool {
    match plan {
        Logical::Scan(_) => true,
        Logical::Filter { input, .. } | Logical::Project { input, .. } => is_cheap(input),
        Logical::Join(join) => {
            matches!(join.kind, JoinKind::Semi | JoinKind::Inner)
                && is_filtered_scan(&join.left)
                && is_filtered_scan(&join.right)
        }
        _ => false,
    }
}

fn is_filtered_scan(plan: &Logical) -> bool {
    match plan {
        Logical::Scan(_) => true,
        Logical::Filter { input, .. } | Logical::Project { input, .. } => is_filtered_scan(input),
        _ => false,
    }
}
