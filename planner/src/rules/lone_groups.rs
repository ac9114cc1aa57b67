//! Groups of one row each are no groups: where the keys name the rows, each aggregate is computed of its row.

use super::{Context, Rule};
use crate::binder::constants::is_any_volatile;
use crate::dependency::{Dependencies, names_rows};
use crate::error::Result;
use crate::logical::{AggregateCall, ColumnId, ColumnSet, Logical};
use crate::nullability::{never_null, not_null};
use crate::shapes::Shapes;
use columnar::{DataType, Scalar, Value};
use exec::Expr;
use exec::plan::AggregateFunction;

pub(super) struct LoneGroups;

impl Rule for LoneGroups {
    fn name(&self) -> &'static str {
        "lone_groups"
    }

    fn apply(&self, plan: Logical, _: &mut Context<'_>) -> Result<Logical> {
        Ok(plan.transform_up(&mut |plan| match plan {
            Logical::Aggregate { input, groups, aggregates } if are_lone(&input, &groups) => {
                match of_rows(&input, &groups, &aggregates) {
                    Some(exprs) => input.project(exprs),
                    None => input.aggregate(groups, aggregates),
                }
            }
            other => other,
        }))
    }
}

/// The groups and aggregates as values of the rows. `None` where one must be computed once and there: what is drawn at
/// random, and what may fail, since other rules move projections.
fn of_rows(
    input: &Logical,
    groups: &[(ColumnId, Expr)],
    aggregates: &[(ColumnId, AggregateCall)],
) -> Option<Vec<(ColumnId, Expr)>> {
    // The sum of -0.0 is 0.0.
    let sums_floats = |call: &AggregateCall| {
        call.function == AggregateFunction::Sum
            && matches!(call.data_type, DataType::Float32 | DataType::Float64)
    };
    if aggregates.iter().any(|(_, call)| sums_floats(call)) {
        return None;
    }
    let known = not_null(input);
    let values = aggregates.iter().map(|(id, call)| Some((*id, of_one_row(call.clone(), &known)?)));
    let values = values.collect::<Option<Vec<_>>>()?;
    let exprs: Vec<(ColumnId, Expr)> = groups.iter().cloned().chain(values).collect();
    let shapes = Shapes::of(input);
    let moves = |expr: &Expr| {
        !is_any_volatile(expr) && shapes.compile(expr).is_some_and(|compiled| !compiled.is_fallible())
    };
    exprs.iter().all(|(_, expr)| moves(expr)).then_some(exprs)
}

fn are_lone(input: &Logical, groups: &[(ColumnId, Expr)]) -> bool {
    let columns = groups.iter().filter_map(|(_, expr)| match expr {
        Expr::Column { id, .. } => Some(*id),
        _ => None,
    });
    let columns: ColumnSet = columns.collect();
    !columns.is_empty() && names_rows(input, &Dependencies::of(input).closure(columns))
}

/// What a call gives for a group of one row, where an expression says it; `known` are columns without nulls.
fn of_one_row(call: AggregateCall, known: &ColumnSet) -> Option<Expr> {
    let AggregateCall { function, args, filter, data_type, .. } = call;
    let arg = args.into_iter().next();
    let counts = |count| Expr::Literal(Value { data_type, scalar: Scalar::Integer(count) });
    // Without an argument rows are counted.
    let (value, null) = match (function, arg) {
        (AggregateFunction::Stateful(_), _) => return None,
        (AggregateFunction::CountRows, _) | (_, None) => (counts(1), None),
        (AggregateFunction::Count, Some(arg)) => (counts(1), Some(arg)),
        (AggregateFunction::SumCounts, Some(arg)) => (arg.clone(), Some(arg)),
        (
            AggregateFunction::Sum
            | AggregateFunction::Min
            | AggregateFunction::Max
            | AggregateFunction::AnyValue
            | AggregateFunction::BoolAnd
            | AggregateFunction::BoolOr,
            Some(arg),
        ) => {
            let value = cast(arg, data_type);
            return Some(match filter {
                None => value,
                Some(filter) => Expr::Case { branches: vec![(filter, value)], otherwise: None, data_type },
            });
        }
    };
    let null = null.filter(|arg| !never_null(arg, known));
    let is_null = null.map(|arg| Expr::IsNull { input: Box::new(arg), negated: false });
    let branches: Vec<(Expr, Expr)> = is_null.map(|is_null| (is_null, counts(0))).into_iter().collect();
    let value = match branches.is_empty() {
        true => value,
        false => Expr::Case { branches, otherwise: Some(Box::new(value)), data_type },
    };
    Some(match filter {
        None => value,
        Some(filter) => {
            Expr::Case { branches: vec![(filter, value)], otherwise: Some(Box::new(counts(0))), data_type }
        }
    })
}

fn cast(expr: Expr, to: DataType) -> Expr {
    match expr.data_type() == to {
        true => expr,
        false => Expr::Cast { input: Box::new(expr), data_type: to, try_cast: false },
    }
}
