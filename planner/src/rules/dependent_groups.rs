//! Group keys that follow from others do not make groups: of `GROUP BY c_custkey, c_name` the key of the table is
//! enough, and the name is any of its group; of `GROUP BY x, x + 1, 'a'` so is `x`, and the others are computed of it.

use super::{Context, Rule};
use crate::binder::constants::is_any_volatile;
use crate::dependency::Dependencies;
use crate::error::Result;
use crate::logical::{AggregateCall, ColumnId, ColumnSet, Columns, Logical, columns_of};
use crate::shapes::Shapes;
use columnar::DataType;
use exec::Expr;
use exec::plan::AggregateFunction;
use std::collections::HashMap;

pub(super) struct DependentGroups;

impl Rule for DependentGroups {
    fn name(&self) -> &'static str {
        "dependent_groups"
    }

    fn apply(&self, plan: Logical, context: &mut Context<'_>) -> Result<Logical> {
        let columns = &*context.columns;
        Ok(plan.transform_up(&mut |plan| match plan {
            Logical::Aggregate { input, groups, aggregates } if groups.len() > 1 => {
                reduce(*input, groups, aggregates, columns)
            }
            other => other,
        }))
    }
}

fn reduce(
    input: Logical,
    mut groups: Vec<(ColumnId, Expr)>,
    mut aggregates: Vec<(ColumnId, AggregateCall)>,
    columns: &Columns,
) -> Logical {
    let dependencies = Dependencies::of(&input);
    let mut kept: ColumnSet = groups.iter().filter(|group| is_bare(group)).map(|&(id, _)| id).collect();
    // What is dearest to hash and compare goes first.
    let mut candidates: Vec<ColumnId> = kept.iter().copied().collect();
    candidates.sort_by_key(|&id| std::cmp::Reverse(weight(columns.data_type(id))));
    for id in candidates {
        let mut others = kept.clone();
        others.remove(&id);
        if dependencies.closure(others.clone()).contains(&id) {
            kept = others;
        }
    }
    let dropped: Vec<ColumnId> =
        groups.iter().filter(|group| is_bare(group) && !kept.contains(&group.0)).map(|&(id, _)| id).collect();
    groups.retain(|(id, _)| !dropped.contains(id));
    aggregates.extend(dropped.iter().map(|&id| (id, any_value(id, columns))));
    let computed = take_computed(&mut groups, &dropped, &input, &dependencies);
    if computed.is_empty() {
        return input.aggregate(groups, aggregates);
    }
    let given = groups.iter().map(|&(id, _)| id).chain(aggregates.iter().map(|&(id, _)| id));
    let mut exprs: Vec<(ColumnId, Expr)> = given.map(|id| (id, columns.reference(id))).collect();
    exprs.extend(computed);
    input.aggregate(groups, aggregates).project(exprs)
}

/// Takes the keys away that are computed of others that stay, or of what hangs on these, as `dropped` may, and constants.
/// One key is left in any case, since rows without keys are a group even where there are none. What may fail fails where
/// it is.
fn take_computed(
    groups: &mut Vec<(ColumnId, Expr)>,
    dropped: &[ColumnId],
    input: &Logical,
    dependencies: &Dependencies,
) -> Vec<(ColumnId, Expr)> {
    // A key that the projection below computes is as good as one that is computed here.
    let below: HashMap<ColumnId, &Expr> = match input {
        Logical::Project { exprs, .. } => {
            exprs.iter().filter(|column| !is_bare(column)).map(|(id, expr)| (*id, expr)).collect()
        }
        _ => HashMap::new(),
    };
    let definition = |group: &(ColumnId, Expr)| match below.get(&group.0) {
        Some(&below) if is_bare(group) => (group.0, below.clone()),
        _ => group.clone(),
    };
    let definitions: Vec<(ColumnId, Expr)> = groups.iter().map(definition).collect();
    if definitions.iter().all(is_bare) {
        return Vec::new();
    }
    let bare = definitions.iter().filter(|group| is_bare(group)).map(|&(id, _)| id);
    let known: ColumnSet = bare.chain(dropped.iter().copied()).collect();
    let shapes = Shapes::of(input);
    let is_computed = |expr: &Expr| {
        let mut follows = !is_any_volatile(expr);
        expr.visit(&mut |node| {
            if let Expr::Column { id, data_type } = node {
                follows &= known.contains(id) && data_type.has_one_form();
            }
        });
        follows && shapes.compile(expr).is_some_and(|compiled| !compiled.is_fallible())
    };
    let mut stay: ColumnSet = groups.iter().map(|&(id, _)| id).collect();
    let mut computed: Vec<(ColumnId, Expr)> = Vec::new();
    for group in definitions.into_iter().rev().filter(|group| !is_bare(group) && is_computed(&group.1)) {
        let mut others = stay.clone();
        others.remove(&group.0);
        // What was dropped may hang on this very key.
        if !others.is_empty() && columns_of(&group.1).is_subset(&dependencies.closure(others.clone())) {
            stay = others;
            computed.insert(0, group);
        }
    }
    groups.retain(|(id, _)| computed.iter().all(|(taken, _)| taken != id));
    computed
}

/// Whether the key is a column of the rows below.
fn is_bare((id, expr): &(ColumnId, Expr)) -> bool {
    matches!(expr, Expr::Column { id: own, .. } if own == id)
}

/// The column as an aggregate of groups that have one value of it.
pub(super) fn any_value(id: ColumnId, columns: &Columns) -> AggregateCall {
    AggregateCall {
        function: AggregateFunction::AnyValue,
        distinct: false,
        args: vec![columns.reference(id)],
        filter: None,
        data_type: columns.data_type(id),
    }
}

fn weight(data_type: DataType) -> usize {
    match data_type {
        data_type if data_type.is_bytes() => 100,
        other => other.physical().width_bytes(),
    }
}
