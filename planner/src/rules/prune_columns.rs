//! Only columns that something above uses are read and carried.

use super::{Context, Rule};
use crate::error::Result;
use crate::logical::{ColumnSet, Columns, JoinKind, Logical, collect_columns, columns_of_all};
use exec::Expr;

pub(super) struct PruneColumns;

impl Rule for PruneColumns {
    fn name(&self) -> &'static str {
        "prune_columns"
    }

    fn apply(&self, plan: Logical, context: &mut Context<'_>) -> Result<Logical> {
        let required = context.results.iter().copied().collect();
        Ok(prune(plan, &required, context.columns))
    }
}

/// The plan without what neither the columns that are required of it nor its rows hang on.
pub(crate) fn prune(mut plan: Logical, required: &ColumnSet, columns: &Columns) -> Logical {
    let mut below = required.clone();
    for expr in plan.exprs() {
        collect_columns(expr, &mut below);
    }
    match plan {
        Logical::Scan(mut scan) => {
            let tested = columns_of_all(&scan.predicate);
            let all: Vec<(u32, u32)> = scan.columns.drain(..).chain(scan.filtered.drain(..)).collect();
            for column in all {
                if required.contains(&column.1) {
                    scan.columns.push(column);
                } else if tested.contains(&column.1) {
                    scan.filtered.push(column);
                }
            }
            Logical::Scan(scan)
        }
        Logical::Values { columns, rows } => {
            let keep: Vec<bool> = columns.iter().map(|id| required.contains(id)).collect();
            let kept = |row: Vec<columnar::Value>| {
                row.into_iter().zip(&keep).filter(|(_, keep)| **keep).map(|(value, _)| value).collect()
            };
            let ids = columns.iter().zip(&keep).filter(|(_, keep)| **keep).map(|(id, _)| *id).collect();
            Logical::Values { columns: ids, rows: rows.into_iter().map(kept).collect() }
        }
        Logical::Project { input, mut exprs } => {
            exprs.retain(|(id, _)| required.contains(id));
            let below = columns_of_all(exprs.iter().map(|(_, expr)| expr));
            let input = prune(*input, &below, columns);
            let passes =
                exprs.iter().all(|(id, expr)| matches!(expr, Expr::Column { id: own, .. } if own == id));
            if passes && exprs.len() == input.outputs().len() {
                return input;
            }
            // A projection of a projection that only passes columns on is one.
            input.project(exprs)
        }
        Logical::Aggregate { input, groups, mut aggregates } => {
            aggregates.retain(|(id, _)| required.contains(id));
            let mut below = columns_of_all(groups.iter().map(|(_, expr)| expr));
            for (_, call) in &aggregates {
                call.args.iter().chain(&call.filter).for_each(|expr| collect_columns(expr, &mut below));
            }
            prune(*input, &below, columns).aggregate(groups, aggregates)
        }
        Logical::AsOf(mut join) => {
            join.carried.retain(|(id, _)| required.contains(id));
            let mut below = required.clone();
            let plan = Logical::AsOf(join);
            plan.exprs().into_iter().for_each(|expr| collect_columns(expr, &mut below));
            let Logical::AsOf(mut join) = plan else { return plan };
            join.input = Box::new(prune(*join.input, &below, columns));
            Logical::AsOf(join)
        }
        Logical::Expand { input, lists, columns: ids, merges } => {
            let keep: Vec<bool> = ids.iter().map(|id| required.contains(id)).collect();
            let kept = |list: Vec<Expr>| -> Vec<Expr> {
                list.into_iter().zip(&keep).filter(|(_, keep)| **keep).map(|(expr, _)| expr).collect()
            };
            let lists: Vec<Vec<Expr>> = lists.into_iter().map(kept).collect();
            let below = columns_of_all(lists.iter().flatten());
            let input = Box::new(prune(*input, &below, columns));
            let columns = ids.into_iter().filter(|id| required.contains(id)).collect();
            Logical::Expand { input, lists, columns, merges }
        }
        Logical::Unroll(mut unroll) => {
            // Elements that nobody wants still say how often a row is given, unless another list says it.
            unroll.position = unroll.position.filter(|id| required.contains(id));
            *unroll.input = prune(unroll.input.take(), &below, columns);
            unroll.dropped = unroll.input.output_set().difference(required).copied().collect();
            Logical::Unroll(unroll)
        }
        Logical::Window(mut window) => {
            window.calls.retain(|(id, _)| required.contains(id));
            if window.calls.is_empty() {
                return prune(*window.input, required, columns);
            }
            let mut plan = Logical::Window(window);
            let mut below = required.clone();
            plan.exprs().into_iter().for_each(|expr| collect_columns(expr, &mut below));
            for input in plan.inputs_mut() {
                *input = prune(input.take(), &below, columns);
            }
            plan
        }
        Logical::Union { inputs, columns: ids } => {
            let keep: Vec<bool> = ids.iter().map(|id| required.contains(id)).collect();
            let kept = |ids: Vec<u32>| -> Vec<u32> {
                ids.into_iter().zip(&keep).filter(|(_, keep)| **keep).map(|(id, _)| id).collect()
            };
            let inputs = inputs
                .into_iter()
                .map(|(input, given)| {
                    let given = kept(given);
                    let below = given.iter().copied().collect();
                    let input = prune(input, &below, columns);
                    (exactly(input, &given, columns), given)
                })
                .collect();
            Logical::Union { inputs, columns: kept(ids) }
        }
        Logical::Join(mut join) => {
            if let JoinKind::Mark(mark) | JoinKind::NullMark(mark) = join.kind
                && !required.contains(&mark)
            {
                return prune(*join.left, required, columns);
            }
            join.left = Box::new(prune(*join.left, &below, columns));
            join.right = Box::new(prune(*join.right, &below, columns));
            Logical::Join(join)
        }
        _ => {
            for input in plan.inputs_mut() {
                *input = prune(input.take(), &below, columns);
            }
            plan
        }
    }
}

/// The plan giving these columns in this order.
pub(crate) fn exactly(plan: Logical, ids: &[u32], columns: &Columns) -> Logical {
    if plan.outputs() == ids {
        return plan;
    }
    plan.project(ids.iter().map(|&id| (id, columns.reference(id))).collect())
}
