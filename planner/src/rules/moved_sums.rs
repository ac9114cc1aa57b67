//! Sums of one thing moved by constants are one sum and one count: `sum(x + 2)` is `sum(x) + 2 * count(x)`.

use super::simplify::widening_factor;
use super::{Context, Rule};
use crate::binder::aggregate::sum_type;
use crate::error::Result;
use crate::logical::{AggregateCall, ColumnId, Columns, Logical};
use crate::shapes::Shapes;
use columnar::{DataType, Scalar, Value};
use exec::expression::Compiled;
use exec::plan::AggregateFunction;
use exec::{ArithmeticOp, Expr};
use std::collections::HashMap;

/// No group has more rows. The sum and the count must fit where the sum that is asked for does.
const MOST_ROWS: u128 = 1 << 40;

pub(super) struct MovedSums;

impl Rule for MovedSums {
    fn name(&self) -> &'static str {
        "moved_sums"
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

/// An argument as `base + by`, or where `negated` as `by - base`.
struct Moved {
    base: Expr,
    negated: bool,
    by: i128,
    /// The argument over the base, which is its column 0.
    steps: Expr,
}

/// What sums share: the base, the filter and the type.
type Key<'m> = (&'m Expr, Option<&'m Expr>, DataType);

fn aggregate(
    input: Logical,
    groups: Vec<(ColumnId, Expr)>,
    aggregates: Vec<(ColumnId, AggregateCall)>,
    columns: &mut Columns,
) -> Logical {
    let mut moved: Vec<Option<Moved>> = aggregates.iter().map(|(_, call)| moved_sum(call)).collect();
    if gains(&aggregates, &moved).iter().any(|&gain| gain) {
        let shapes = Shapes::of(&input);
        for (moved, (_, call)) in moved.iter_mut().zip(&aggregates) {
            moved.take_if(|moved| !is_safe(moved, call.data_type, &shapes));
        }
    }
    let gains = gains(&aggregates, &moved);
    if !gains.iter().any(|&gain| gain) {
        return input.aggregate(groups, aggregates);
    }
    let mut outputs: Vec<(ColumnId, Expr)> =
        groups.iter().map(|&(id, _)| (id, columns.reference(id))).collect();
    let mut kept: Vec<(ColumnId, AggregateCall)> = Vec::new();
    let mut rewritten = Vec::new();
    for (((id, call), moved), gain) in aggregates.into_iter().zip(moved).zip(gains) {
        match moved {
            // A call that stays keeps its column; others find it there.
            Some(moved) if gain && !moved.is_still() => rewritten.push((id, call, moved)),
            _ => {
                outputs.push((id, columns.reference(id)));
                kept.push((id, call));
            }
        }
    }
    for (id, call, moved) in rewritten {
        let base = AggregateCall { args: vec![moved.base], ..call };
        let count =
            AggregateCall { function: AggregateFunction::Count, data_type: DataType::Int64, ..base.clone() };
        let data_type = base.data_type;
        let sum = shared("sum", base, &mut kept, columns);
        let constant = (moved.by != 0).then(|| {
            let count = shared("count", count, &mut kept, columns);
            times(moved.by, count, data_type)
        });
        let expr = match (constant, moved.negated) {
            (None, false) => sum,
            (Some(constant), false) => Expr::arithmetic(ArithmeticOp::Add, sum, constant, data_type),
            (constant, true) => {
                let constant = constant.unwrap_or(Expr::Literal(Value::new(data_type, Scalar::Integer(0))));
                Expr::arithmetic(ArithmeticOp::Subtract, constant, sum, data_type)
            }
        };
        outputs.push((id, expr));
    }
    input.aggregate(groups, kept).project(outputs)
}

/// The column of the call among `calls`, which it joins if it is not there.
fn shared(
    name: &str,
    call: AggregateCall,
    calls: &mut Vec<(ColumnId, AggregateCall)>,
    columns: &mut Columns,
) -> Expr {
    let known = calls.iter().find(|(_, other)| *other == call).map(|&(id, _)| id);
    let id = known.unwrap_or_else(|| {
        let id = columns.add(name, call.data_type);
        calls.push((id, call));
        id
    });
    columns.reference(id)
}

/// `by * count` as a value of a sum's type; `by` is the integer behind it.
fn times(by: i128, count: Expr, data_type: DataType) -> Expr {
    let count = match data_type {
        DataType::Decimal { .. } => {
            Expr::Cast { input: Box::new(count), data_type: DataType::decimal(19, 0), try_cast: false }
        }
        _ => count,
    };
    let by = Expr::Literal(Value::new(data_type, Scalar::Integer(by)));
    Expr::arithmetic(ArithmeticOp::Multiply, by, count, data_type)
}

/// Of each call: whether it and another are sums of one thing, of which not all are the same already.
fn gains(aggregates: &[(ColumnId, AggregateCall)], moved: &[Option<Moved>]) -> Vec<bool> {
    let key = |place: usize| -> Option<Key<'_>> {
        let (_, call) = &aggregates[place];
        moved[place].as_ref().map(|moved| (&moved.base, call.filter.as_ref(), call.data_type))
    };
    let mut first: HashMap<Key<'_>, (Option<&Expr>, bool)> = HashMap::new();
    for (place, (_, call)) in aggregates.iter().enumerate() {
        if let Some(key) = key(place) {
            let (arg, differ) = first.entry(key).or_insert((call.arg(), false));
            *differ |= *arg != call.arg();
        }
    }
    (0..aggregates.len())
        .map(|place| key(place).and_then(|key| first.get(&key)).is_some_and(|&(_, differ)| differ))
        .collect()
}

/// The call as a sum of something and a constant, which may be 0. Of floats the order of sums would show.
fn moved_sum(call: &AggregateCall) -> Option<Moved> {
    let is_exact = matches!(call.data_type, DataType::Int64 | DataType::Decimal { .. });
    match call.arg() {
        Some(arg) if call.function == AggregateFunction::Sum && !call.distinct && is_exact => {
            Some(moved(arg, call.data_type))
        }
        _ => None,
    }
}

fn moved(expr: &Expr, sum: DataType) -> Moved {
    let peeled = match expr {
        Expr::Arithmetic { op, left, right, data_type } => peel_constant(*op, left, right, *data_type, sum),
        Expr::Cast { input, data_type, try_cast: false }
            if widening_factor(input.data_type(), *data_type) == Some(1)
                && sum_type(input.data_type()) == Some(sum) =>
        {
            let inner = moved(input, sum);
            let steps = Expr::Cast { input: Box::new(inner.steps), data_type: *data_type, try_cast: false };
            Some(Moved { steps, ..inner })
        }
        _ => None,
    };
    let data_type = expr.data_type();
    peeled.unwrap_or_else(|| Moved {
        base: expr.clone(),
        negated: false,
        by: 0,
        steps: Expr::column(0, data_type),
    })
}

fn peel_constant(
    op: ArithmeticOp,
    left: &Expr,
    right: &Expr,
    data_type: DataType,
    sum: DataType,
) -> Option<Moved> {
    let is_left = match (constant(left), constant(right)) {
        (Some(_), None) => true,
        (None, Some(_)) => false,
        _ => return None,
    };
    let (literal, operand) = if is_left { (left, right) } else { (right, left) };
    let by = constant(literal)?;
    let inner = moved(operand, sum);
    let (negated, by) = match op {
        ArithmeticOp::Add => (inner.negated, inner.by.checked_add(by)?),
        ArithmeticOp::Subtract if is_left => (!inner.negated, by.checked_sub(inner.by)?),
        ArithmeticOp::Subtract => (inner.negated, inner.by.checked_sub(by)?),
        _ => return None,
    };
    let (left, right) = if is_left { (literal.clone(), inner.steps) } else { (inner.steps, literal.clone()) };
    let steps = Expr::arithmetic(op, left, right, data_type);
    Some(Moved { base: inner.base, negated, by, steps })
}

/// The integer behind a constant.
fn constant(expr: &Expr) -> Option<i128> {
    match expr {
        Expr::Literal(value) => value.scalar.as_integer(),
        _ => None,
    }
}

impl Moved {
    /// Whether the argument is the base.
    fn is_still(&self) -> bool {
        matches!(self.steps, Expr::Column { .. })
    }
}

/// Whether no value of the base makes the argument fail, and no number of rows the sums.
fn is_safe(moved: &Moved, sum: DataType, shapes: &Shapes) -> bool {
    let Some(base) = shapes.compile(&moved.base) else { return false };
    let Ok(steps) = Compiled::compile(&moved.steps, std::slice::from_ref(base.shape())) else { return false };
    let (Some(base), Some(all), Some(limits)) =
        (base.shape().bounds, steps.shape().bounds, sum.integer_bounds())
    else {
        return false;
    };
    let largest = [base.0, base.1, all.0, all.1, moved.by].into_iter().map(i128::unsigned_abs).max();
    let whole = largest.and_then(|largest| largest.checked_mul(MOST_ROWS));
    !steps.is_fallible() && whole.is_some_and(|whole| whole <= limits.1.unsigned_abs())
}
