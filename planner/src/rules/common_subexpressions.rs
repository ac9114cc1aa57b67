//! What several aggregates compute alike is computed once, in a projection below them; and aggregates that
//! are the same are one.

use super::{Context, Rule};
use crate::binder::constants::is_any_volatile;
use crate::error::Result;
use crate::logical::{AggregateCall, ColumnId, Columns, Logical, columns_of_all};
use crate::nullability::{never_null, not_null};
use exec::Expr;
use exec::plan::AggregateFunction;
use std::collections::HashMap;

pub(super) struct CommonSubexpressions;

impl Rule for CommonSubexpressions {
    fn name(&self) -> &'static str {
        "common_subexpressions"
    }

    fn apply(&self, plan: Logical, context: &mut Context<'_>) -> Result<Logical> {
        let columns = &mut *context.columns;
        Ok(plan.transform_up(&mut |plan| match plan {
            Logical::Aggregate { input, groups, aggregates } => {
                aggregate(*input, groups, aggregates, columns)
            }
            other => other,
        }))
    }
}

fn aggregate(
    mut input: Logical,
    mut groups: Vec<(ColumnId, Expr)>,
    mut aggregates: Vec<(ColumnId, AggregateCall)>,
    columns: &mut Columns,
) -> Logical {
    let known = not_null(&input);
    for (_, call) in &mut aggregates {
        // Counting values that are always there is counting rows.
        if call.function == AggregateFunction::Count
            && !call.distinct
            && call.arg().is_some_and(|arg| never_null(arg, &known))
        {
            call.function = AggregateFunction::CountRows;
            call.args.clear();
        }
    }
    let outputs: Vec<ColumnId> =
        groups.iter().map(|&(id, _)| id).chain(aggregates.iter().map(|&(id, _)| id)).collect();
    let mut twins: HashMap<ColumnId, Expr> = HashMap::new();
    let mut kept: Vec<(ColumnId, AggregateCall)> = Vec::with_capacity(aggregates.len());
    for (id, call) in aggregates {
        let volatile = call.args.iter().chain(&call.filter).any(is_any_volatile);
        match kept.iter().find(|(_, known)| *known == call && !volatile) {
            Some((twin, _)) => {
                twins.insert(id, columns.reference(*twin));
            }
            None => kept.push((id, call)),
        }
    }

    let mut counts: HashMap<Expr, Uses> = HashMap::new();
    groups.iter().for_each(|(_, expr)| count(expr, false, &mut counts));
    for (_, call) in &kept {
        call.filter.iter().for_each(|filter| count(filter, false, &mut counts));
        call.args.iter().for_each(|arg| count(arg, call.filter.is_some(), &mut counts));
    }
    let mut shared: Vec<Expr> = counts
        .into_iter()
        .filter(|(_, uses)| uses.all > 1 && uses.always > 0)
        .map(|(expr, _)| expr)
        .collect();
    // Only the largest of nested ones; the order makes the plan the same every time.
    let all = shared.clone();
    shared.retain(|expr| !all.iter().any(|other| other != expr && contains(other, expr)));
    shared.sort_by_key(|expr| format!("{expr:?}"));
    if !shared.is_empty() {
        let made: Vec<(ColumnId, Expr)> =
            shared.into_iter().map(|expr| (columns.add("shared", expr.data_type()), expr)).collect();
        let replace = |expr: &mut Expr| replace(expr, &made);
        groups.iter_mut().for_each(|(_, expr)| replace(expr));
        kept.iter_mut().flat_map(|(_, call)| call.args.iter_mut().chain(&mut call.filter)).for_each(replace);
        let used = columns_of_all(
            groups
                .iter()
                .map(|(_, expr)| expr)
                .chain(kept.iter().flat_map(|(_, call)| call.args.iter().chain(&call.filter))),
        );
        let mut exprs: Vec<(ColumnId, Expr)> = input
            .outputs()
            .into_iter()
            .filter(|id| used.contains(id))
            .map(|id| (id, columns.reference(id)))
            .collect();
        exprs.extend(made);
        input = input.project(exprs);
    }
    let plan = input.aggregate(groups, kept);
    if twins.is_empty() {
        return plan;
    }
    let exprs = outputs
        .into_iter()
        .map(|id| (id, twins.get(&id).cloned().unwrap_or_else(|| columns.reference(id))))
        .collect();
    plan.project(exprs)
}

/// How often an expression occurs.
#[derive(Default)]
struct Uses {
    all: usize,
    /// Where it is evaluated for every row: only then may it be evaluated beforehand, since it can fail.
    always: usize,
}

/// Counts what is worth computing once.
fn count(expr: &Expr, conditional: bool, counts: &mut HashMap<Expr, Uses>) {
    if matches!(expr, Expr::Arithmetic { .. } | Expr::Call { .. }) && !is_any_volatile(expr) {
        let uses = counts.entry(expr.clone()).or_default();
        uses.all += 1;
        uses.always += usize::from(!conditional);
    }
    let lazy = matches!(expr, Expr::Case { .. } | Expr::And(_) | Expr::Or(_) | Expr::Call { .. });
    expr.children().into_iter().for_each(|child| count(child, conditional || lazy, counts));
}

fn contains(expr: &Expr, part: &Expr) -> bool {
    expr == part || expr.children().into_iter().any(|child| contains(child, part))
}

fn replace(expr: &mut Expr, made: &[(ColumnId, Expr)]) {
    if let Some((id, shared)) = made.iter().find(|(_, shared)| shared == expr) {
        *expr = Expr::column(*id, shared.data_type());
        return;
    }
    expr.children_mut().into_iter().for_each(|child| replace(child, made));
}
