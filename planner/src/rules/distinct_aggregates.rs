//! `DISTINCT` inside aggregates as two levels of grouping: first by the argument too, then without it.
//! Several different arguments are aggregated apart and joined on the groups.

use super::{Context, Rule};
use crate::error::Result;
use crate::logical::{AggregateCall, ColumnId, Columns, JoinKind, Logical};
use exec::plan::AggregateFunction;
use exec::{CompareOp, Expr};
use std::collections::HashMap;

pub(super) struct DistinctAggregates;

type Calls = Vec<(ColumnId, AggregateCall)>;
type Groups = Vec<(ColumnId, Expr)>;

impl Rule for DistinctAggregates {
    fn name(&self) -> &'static str {
        "distinct_aggregates"
    }

    fn apply(&self, plan: Logical, context: &mut Context<'_>) -> Result<Logical> {
        let columns = &mut *context.columns;
        Ok(plan.transform_up(&mut |plan| match plan {
            Logical::Aggregate { input, groups, aggregates }
                if aggregates.iter().any(|(_, call)| call.distinct) =>
            {
                rewrite(*input, groups, aggregates, columns)
            }
            other => other,
        }))
    }
}

fn rewrite(input: Logical, groups: Groups, aggregates: Calls, columns: &mut Columns) -> Logical {
    let order: Vec<ColumnId> =
        groups.iter().map(|&(id, _)| id).chain(aggregates.iter().map(|&(id, _)| id)).collect();
    // A filtered argument is null where the filter is not true, and nulls are not aggregated.
    let mut plain: Calls = Vec::new();
    let mut sets: Vec<(Expr, Calls)> = Vec::new();
    for (id, mut call) in aggregates {
        if !call.distinct {
            plain.push((id, call));
            continue;
        }
        let Some(arg) = call.arg.take() else { continue };
        let arg = match call.filter.take() {
            None => arg,
            Some(filter) => {
                let data_type = arg.data_type();
                Expr::Case { branches: vec![(filter, arg)], otherwise: None, data_type }
            }
        };
        call.distinct = false;
        match sets.iter_mut().find(|(known, _)| *known == arg) {
            Some((_, calls)) => calls.push((id, call)),
            None => sets.push((arg, vec![(id, call)])),
        }
    }
    let mut sets = sets.into_iter();
    let Some((arg, calls)) = sets.next() else { return input.aggregate(groups, plain) };
    let sets: Vec<_> = sets.collect();
    let copies: Vec<Logical> = sets.iter().map(|_| input.clone()).collect();
    let mut plan = two_levels(input, &groups, arg, calls, plain, columns);
    for (copy, (arg, calls)) in copies.into_iter().zip(sets) {
        // Its groups have ids of their own; its results keep theirs.
        let mut map = HashMap::new();
        let copy = copy.with_fresh_columns(columns, &mut map);
        let renamed = |expr: &Expr| {
            let mut expr = expr.clone();
            crate::logical::rename(&mut expr, &map);
            expr
        };
        let twins: Groups = groups
            .iter()
            .map(|(id, expr)| {
                let expr = renamed(expr);
                match expr {
                    Expr::Column { id, .. } => (id, expr),
                    expr => (columns.copy(*id), expr),
                }
            })
            .collect();
        let right = two_levels(copy, &twins, renamed(&arg), calls, Vec::new(), columns);
        let on = groups
            .iter()
            .zip(&twins)
            .map(|(&(a, _), &(b, _))| {
                Expr::compare(CompareOp::IsNotDistinctFrom, columns.reference(a), columns.reference(b))
            })
            .collect();
        plan = plan.join(right, JoinKind::Inner, on);
    }
    if plan.outputs() == order {
        return plan;
    }
    plan.project(order.into_iter().map(|id| (id, columns.reference(id))).collect())
}

/// Groups by the argument as well, then merges. `plain` aggregates are merged from those parts.
fn two_levels(
    input: Logical,
    groups: &Groups,
    arg: Expr,
    calls: Calls,
    plain: Calls,
    columns: &mut Columns,
) -> Logical {
    let mut inner_groups = groups.clone();
    let known = groups.iter().find(|(_, expr)| *expr == arg).map(|&(id, _)| id);
    let arg_id = known.unwrap_or_else(|| {
        let id = match &arg {
            Expr::Column { id, .. } => *id,
            other => columns.add("distinct", other.data_type()),
        };
        inner_groups.push((id, arg));
        id
    });
    let (mut partial, mut merged) = (Vec::new(), Vec::new());
    for (id, call) in plain {
        let part = columns.add(columns.name(id).to_string(), call.data_type);
        merged.push((id, merge(&call, columns.reference(part))));
        partial.push((part, call));
    }
    for (id, call) in calls {
        merged.push((id, AggregateCall { arg: Some(columns.reference(arg_id)), ..call }));
    }
    let outer: Groups = groups.iter().map(|&(id, _)| (id, columns.reference(id))).collect();
    input.aggregate(inner_groups, partial).aggregate(outer, merged)
}

/// The aggregate that puts partial results of `call` together.
pub(crate) fn merge(call: &AggregateCall, partial: Expr) -> AggregateCall {
    let function = match call.function {
        AggregateFunction::CountRows | AggregateFunction::Count => AggregateFunction::SumCounts,
        other => other,
    };
    AggregateCall { function, distinct: false, arg: Some(partial), filter: None, data_type: call.data_type }
}
