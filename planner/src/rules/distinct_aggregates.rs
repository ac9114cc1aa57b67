//! `DISTINCT` inside aggregates as two levels of grouping: first by the arguments too, then without them.
//! Several different arguments are aggregated apart and joined on the groups.

use super::{Context, Rule};
use crate::error::Result;
use crate::logical::{AggregateCall, ColumnId, Columns, JoinKind, Logical};
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

/// Calls over the same distinct arguments; without arguments, those that are not `DISTINCT`.
struct Set {
    args: Vec<Expr>,
    calls: Calls,
}

fn rewrite(input: Logical, groups: Groups, aggregates: Calls, columns: &mut Columns) -> Logical {
    let order: Vec<ColumnId> =
        groups.iter().map(|&(id, _)| id).chain(aggregates.iter().map(|&(id, _)| id)).collect();
    // A filtered argument is null where the filter is not true, and most aggregate no nulls; for others, whether it is true
    // is one more argument.
    let mut plain: Calls = Vec::new();
    let mut sets: Vec<Set> = Vec::new();
    for (id, mut call) in aggregates {
        if !call.distinct {
            plain.push((id, call));
            continue;
        }
        if let Some(filter) = call.filter.take_if(|_| !call.function.takes_nulls()) {
            let computed =
                |&(place, ref arg): &(usize, &mut Expr)| place == 0 || !matches!(arg, Expr::Literal(_));
            for (_, arg) in call.args.iter_mut().enumerate().filter(computed) {
                let data_type = arg.data_type();
                let value = std::mem::replace(arg, Expr::Literal(columnar::Value::null(data_type)));
                *arg = Expr::Case { branches: vec![(filter.clone(), value)], otherwise: None, data_type };
            }
        }
        call.distinct = false;
        let mut args: Vec<Expr> = Vec::new();
        for arg in call.args.iter().chain(&call.filter) {
            if !matches!(arg, Expr::Literal(_)) && !args.contains(arg) {
                args.push(arg.clone());
            }
        }
        if args.is_empty() {
            // Of a constant one row is like all, and a group has at least one, or none at all.
            args.extend(call.args.first().cloned());
        }
        match sets.iter_mut().find(|set| set.args == args) {
            Some(set) => set.calls.push((id, call)),
            None => sets.push(Set { args, calls: vec![(id, call)] }),
        }
    }
    // Plain aggregates are merged from the parts of the first set, where they can be.
    if plain.iter().any(|(_, call)| !call.is_mergeable()) {
        sets.insert(0, Set { args: Vec::new(), calls: std::mem::take(&mut plain) });
    }
    let mut sets = sets.into_iter();
    let Some(first) = sets.next() else { return input.aggregate(groups, plain) };
    let sets: Vec<_> = sets.collect();
    let copies: Vec<Logical> = sets.iter().map(|_| input.clone()).collect();
    let mut plan = two_levels(input, &groups, first, plain, columns);
    for (copy, set) in copies.into_iter().zip(sets) {
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
        let args = set.args.iter().map(renamed).collect();
        let mut calls = set.calls;
        for (_, call) in &mut calls {
            call.args.iter_mut().chain(&mut call.filter).for_each(|expr| *expr = renamed(expr));
        }
        let right = two_levels(copy, &twins, Set { args, calls }, Vec::new(), columns);
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

/// Groups by the arguments as well, then merges. `plain` aggregates are merged from those parts.
fn two_levels(input: Logical, groups: &Groups, set: Set, plain: Calls, columns: &mut Columns) -> Logical {
    if set.args.is_empty() {
        return input.aggregate(groups.clone(), set.calls);
    }
    let mut inner_groups = groups.clone();
    let mut distinct: Vec<(Expr, ColumnId)> = Vec::new();
    for arg in set.args {
        let known = inner_groups.iter().find(|(_, expr)| *expr == arg).map(|&(id, _)| id);
        let id = known.unwrap_or_else(|| {
            let id = match &arg {
                Expr::Column { id, .. } => *id,
                other => columns.add("distinct", other.data_type()),
            };
            inner_groups.push((id, arg.clone()));
            id
        });
        distinct.push((arg, id));
    }
    let (mut partial, mut merged) = (Vec::new(), Vec::new());
    for (id, call) in plain {
        let (part, first, second) = call.in_two(columns, id);
        partial.push((part, first));
        merged.push((id, second));
    }
    for (id, mut call) in set.calls {
        for (place, arg) in call.args.iter_mut().enumerate() {
            let is_known = |(known, _): &&(Expr, ColumnId)| known == arg;
            // Constants beside the argument, such as a fraction, stay.
            if (place == 0 || !matches!(arg, Expr::Literal(_)))
                && let Some(&(_, id)) = distinct.iter().find(is_known)
            {
                *arg = columns.reference(id);
            }
        }
        if let Some(filter) = &mut call.filter
            && let Some(&(_, id)) = distinct.iter().find(|(known, _)| known == filter)
        {
            *filter = columns.reference(id);
        }
        merged.push((id, call));
    }
    let outer: Groups = groups.iter().map(|&(id, _)| (id, columns.reference(id))).collect();
    input.aggregate(inner_groups, partial).aggregate(outer, merged)
}
