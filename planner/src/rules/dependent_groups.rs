//! Group keys that follow from others do not make groups: of `GROUP BY c_custkey, c_name` the key of the table is
//! enough, and the name is any of its group.

use super::{Context, Rule};
use crate::dependency::Dependencies;
use crate::error::Result;
use crate::logical::{AggregateCall, ColumnId, ColumnSet, Columns, Logical};
use columnar::DataType;
use exec::Expr;
use exec::plan::AggregateFunction;

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
    let is_bare = |(id, expr): &(ColumnId, Expr)| matches!(expr, Expr::Column { id: own, .. } if own == id);
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
    aggregates.extend(dropped.into_iter().map(|id| (id, any_value(id, columns))));
    input.aggregate(groups, aggregates)
}

/// The column as an aggregate of groups that have one value of it.
pub(super) fn any_value(id: ColumnId, columns: &Columns) -> AggregateCall {
    AggregateCall {
        function: AggregateFunction::AnyValue,
        distinct: false,
        arg: Some(columns.reference(id)),
        filter: None,
        data_type: columns.data_type(id),
    }
}

fn weight(data_type: DataType) -> usize {
    match data_type {
        DataType::Varchar | DataType::Binary => 100,
        other => other.physical().width_bytes(),
    }
}
