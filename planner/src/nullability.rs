//! Which columns cannot be null, as the schema and the operators prove.

use crate::logical::{ColumnSet, JoinKind, Logical, Scan, collect_columns};
use crate::rules::null_rejected;
use exec::Expr;
use exec::plan::AggregateFunction;

/// The columns of the plan that never are null, whatever rows its tables have.
pub(crate) fn not_null(plan: &Logical) -> ColumnSet {
    not_null_where(plan, &|scan, position| {
        scan.table.columns.get(position as usize).is_some_and(|column| !column.nullable)
    })
}

/// The columns of the plan that have no nulls in the versions of tables that it reads.
pub(crate) fn not_null_of_versions(plan: &Logical) -> ColumnSet {
    not_null_where(plan, &|scan, position| {
        let facts = scan.table.facts_of(position);
        facts.rows > 0 && facts.nulls == 0
    })
}

/// As far as `scanned` says it of a table's column at a position.
fn not_null_where(plan: &Logical, scanned: &dyn Fn(&Scan, u32) -> bool) -> ColumnSet {
    let not_null = |plan: &Logical| not_null_where(plan, scanned);
    match plan {
        Logical::Scan(scan) => {
            let mut set: ColumnSet = scan
                .columns
                .iter()
                .filter(|&&(position, _)| scanned(scan, position))
                .map(|&(_, id)| id)
                .collect();
            scan.predicate.iter().for_each(|expr| null_rejected(expr, &mut set));
            set
        }
        Logical::Values { columns, rows } => columns
            .iter()
            .enumerate()
            .filter(|(position, _)| rows.iter().all(|row| row.get(*position).is_some_and(|v| !v.is_null())))
            .map(|(_, &id)| id)
            .collect(),
        Logical::Filter { input, predicate } => {
            let mut set = not_null(input);
            predicate.iter().for_each(|expr| null_rejected(expr, &mut set));
            set
        }
        Logical::Project { input, exprs } => {
            let known = not_null(input);
            exprs.iter().filter(|(_, expr)| never_null(expr, &known)).map(|&(id, _)| id).collect()
        }
        Logical::Join(join) => {
            let mut set = ColumnSet::new();
            if join.kind != JoinKind::Full {
                set.extend(not_null(&join.left));
            }
            if join.kind == JoinKind::Inner {
                set.extend(not_null(&join.right));
            }
            if matches!(join.kind, JoinKind::Inner | JoinKind::Semi) {
                join.on.iter().for_each(|expr| null_rejected(expr, &mut set));
            }
            if let JoinKind::Mark(mark) = join.kind {
                set.insert(mark);
            }
            set
        }
        Logical::Aggregate { input, groups, aggregates } => {
            let known = not_null(input);
            let keys = groups.iter().filter(|(_, expr)| never_null(expr, &known)).map(|&(id, _)| id);
            let calls = aggregates.iter().filter(|(_, call)| match call.function {
                AggregateFunction::CountRows | AggregateFunction::Count | AggregateFunction::SumCounts => {
                    true
                }
                // A group has a row, so an aggregate of values that are there is there.
                AggregateFunction::Stateful(_) => false,
                _ => {
                    !groups.is_empty()
                        && call.filter.is_none()
                        && call.arg().is_some_and(|arg| never_null(arg, &known))
                }
            });
            keys.chain(calls.map(|&(id, _)| id)).collect()
        }
        Logical::Window(window) => {
            let mut set = not_null(&window.input);
            let there = window.calls.iter().filter(|(_, call)| call.function.is_never_null());
            set.extend(there.map(|&(id, _)| id));
            set
        }
        Logical::Sort { input, .. }
        | Logical::TopN { input, .. }
        | Logical::Limit { input, .. }
        | Logical::Exchange { input, .. }
        | Logical::Shared { input, .. } => not_null(input),
        Logical::TopOfGroups(top) => not_null(&top.input),
        // What is carried may come from no row.
        Logical::AsOf(join) => not_null(&join.input),
        Logical::Expand { input, lists, columns, .. } => {
            let known = not_null(input);
            let in_all = |place: usize| {
                lists.iter().all(|list| list.get(place).is_some_and(|expr| never_null(expr, &known)))
            };
            columns.iter().enumerate().filter(|(place, _)| in_all(*place)).map(|(_, &id)| id).collect()
        }
        Logical::Series(series) => {
            let mut set = not_null(&series.input);
            set.insert(series.column);
            set
        }
        Logical::Unroll(unroll) => {
            let mut set = not_null(&unroll.input);
            set.retain(|id| !unroll.dropped.contains(id));
            set.extend(unroll.position.filter(|_| !unroll.keeps_empty));
            set
        }
        Logical::Reread { .. } => ColumnSet::new(),
        Logical::Foreign(foreign) => foreign.not_null.clone(),
        Logical::Union { inputs, columns } => {
            let known: Vec<ColumnSet> = inputs.iter().map(|(input, _)| not_null(input)).collect();
            columns
                .iter()
                .enumerate()
                .filter(|(position, _)| {
                    inputs
                        .iter()
                        .zip(&known)
                        .all(|((_, given), known)| given.get(*position).is_some_and(|id| known.contains(id)))
                })
                .map(|(_, &id)| id)
                .collect()
        }
    }
}

/// Whether the value is there if these columns are.
pub(crate) fn never_null(expr: &Expr, known: &ColumnSet) -> bool {
    match expr {
        Expr::Literal(value) => !value.is_null(),
        Expr::IsNull { .. } => true,
        Expr::Column { .. }
        | Expr::Arithmetic { .. }
        | Expr::Cast { try_cast: false, .. }
        | Expr::Compare { .. }
        | Expr::And(_)
        | Expr::Or(_)
        | Expr::Not(_) => {
            let mut used = ColumnSet::new();
            collect_columns(expr, &mut used);
            let whole = match expr {
                Expr::Column { .. } => true,
                other => other.children().into_iter().all(|child| never_null(child, known)),
            };
            whole && used.is_subset(known)
        }
        Expr::Case { branches, otherwise, .. } => {
            branches.iter().all(|(_, value)| never_null(value, known))
                && otherwise.as_deref().is_some_and(|value| never_null(value, known))
        }
        _ => false,
    }
}
