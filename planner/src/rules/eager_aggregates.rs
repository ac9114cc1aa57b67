//! Aggregates of one side of a join are made before it where that side has many rows a key: the join then meets one
//! row a key, and the groups are put together after it ("eager aggregation", Yan and Larson 1995).

use super::{Context, Rule};
use crate::error::Result;
use crate::estimate::Estimator;
use crate::logical::{AggregateCall, ColumnId, ColumnSet, Columns, Join, JoinKind, Logical, equality};
use columnar::DataType;
use exec::Expr;
use exec::plan::AggregateFunction;

/// Rows a key from which it pays.
const ROWS_A_KEY: f64 = 4.0;
/// Fewer rows are not worth another operator.
const FEW_ROWS: f64 = 10_000.0;

pub(super) struct EagerAggregates;

type Groups = Vec<(ColumnId, Expr)>;
type Calls = Vec<(ColumnId, AggregateCall)>;

impl Rule for EagerAggregates {
    fn name(&self) -> &'static str {
        "eager_aggregates"
    }

    fn apply(&self, plan: Logical, context: &mut Context<'_>) -> Result<Logical> {
        let columns = &mut *context.columns;
        Ok(plan.transform_up(&mut |plan| match plan {
            Logical::Aggregate { input, groups, aggregates } => match *input {
                Logical::Join(join) => aggregate(join, groups, aggregates, columns),
                input => input.aggregate(groups, aggregates),
            },
            other => other,
        }))
    }
}

fn aggregate(join: Join, groups: Groups, aggregates: Calls, columns: &mut Columns) -> Logical {
    match keys(&join, &groups, &aggregates, columns) {
        Some(keys) => make_before(join, keys, groups, aggregates, columns),
        None => Logical::Join(join).aggregate(groups, aggregates),
    }
}

/// The right side's keys of the join, if aggregating by them first is right and pays.
fn keys(join: &Join, groups: &Groups, aggregates: &Calls, columns: &Columns) -> Option<Vec<ColumnId>> {
    let outer = match join.kind {
        JoinKind::Inner => false,
        JoinKind::Left => true,
        _ => return None,
    };
    let (left, right) = (join.left.output_set(), join.right.output_set());
    let mut keys = Vec::new();
    for expr in &join.on {
        match equality(expr, &left, &right)? {
            (Expr::Column { .. }, Expr::Column { id, .. }, _) => keys.push(*id),
            _ => return None,
        }
    }
    let of_left = groups.iter().all(|(_, expr)| matches!(expr, Expr::Column { id, .. } if left.contains(id)));
    let early = aggregates.iter().all(|(_, call)| can_be_early(call, &right, outer));
    if keys.is_empty() || !of_left || groups.is_empty() || aggregates.is_empty() || !early {
        return None;
    }
    let estimator = Estimator::new(columns);
    let of_keys: Groups = keys.iter().map(|&id| (id, columns.reference(id))).collect();
    let right = estimator.estimate(&join.right);
    let joined = estimator.estimate(&Logical::Join(join.clone())).rows;
    // A join that drops most rows is the better start.
    let pays = right.rows >= FEW_ROWS
        && right.groups_of(&of_keys) * ROWS_A_KEY <= right.rows
        && joined * 2.0 >= right.rows;
    pays.then_some(keys)
}

/// Whether a call can be made of rows that the join may not give: it must not fail there, and parts must merge. In an
/// outer join a row without a partner has no part, so that only aggregates which pass over nulls are the same.
fn can_be_early(call: &AggregateCall, right: &ColumnSet, outer: bool) -> bool {
    use AggregateFunction::*;
    let plain = match call.arg() {
        Some(Expr::Column { id, .. }) => right.contains(id),
        Some(_) => false,
        None => !outer,
    };
    let merges = match call.function {
        CountRows | Count | Min | Max | BoolAnd | BoolOr => true,
        Sum => matches!(call.data_type, DataType::Decimal { .. }),
        SumCounts | AnyValue | Stateful(_) => false,
    };
    plain && merges && !call.distinct && call.filter.is_none()
}

fn make_before(
    mut join: Join,
    keys: Vec<ColumnId>,
    groups: Groups,
    aggregates: Calls,
    columns: &mut Columns,
) -> Logical {
    let of_keys = keys.iter().map(|&id| (id, columns.reference(id))).collect();
    let (mut partial, mut merged) = (Vec::new(), Vec::new());
    for (id, call) in aggregates {
        let (part, first, second) = call.in_two(columns, id);
        partial.push((part, first));
        merged.push((id, second));
    }
    join.right = Box::new(join.right.take().aggregate(of_keys, partial));
    Logical::Join(join).aggregate(groups, merged)
}
