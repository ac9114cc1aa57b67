//! Expressions become simpler ones with the same value: constants are folded, casts of columns in
//! comparisons become casts of the constant, negations move inwards, what all alternatives share is taken out.

use super::{Context, Rule};
use crate::binder::constants::{fold, is_any_volatile};
use crate::error::Result;
use crate::logical::{Logical, conjuncts, is_never, is_true};
use columnar::types::{integer_as_decimal, unify};
use columnar::{DataType, Scalar, Value};
use exec::{CompareOp, Expr};

pub(super) struct Simplify;

impl Rule for Simplify {
    fn name(&self) -> &'static str {
        "simplify"
    }

    fn apply(&self, plan: Logical, _: &mut Context<'_>) -> Result<Logical> {
        Ok(plan.transform_up(&mut |mut plan| {
            for expr in plan.exprs_mut() {
                let taken = std::mem::replace(expr, Expr::Literal(Value::boolean(false)));
                *expr = simplify(taken);
            }
            match plan {
                Logical::Filter { input, predicate } => {
                    let predicate: Vec<Expr> = predicate.into_iter().flat_map(conjuncts).collect();
                    if predicate.iter().any(is_never) {
                        return Logical::Values { columns: input.outputs(), rows: Vec::new() };
                    }
                    input.filter(predicate)
                }
                Logical::Join(mut join) => {
                    join.on = join.on.into_iter().flat_map(conjuncts).collect();
                    Logical::Join(join)
                }
                other => other,
            }
        }))
    }
}

/// The expression, made simpler from its leaves up.
pub(crate) fn simplify(expr: Expr) -> Expr {
    expr.transform(&mut |node| fold(node_simplified(node)))
}

fn node_simplified(node: Expr) -> Expr {
    match node {
        Expr::And(operands) => connective(operands, true),
        Expr::Or(operands) => disjunction(operands),
        Expr::Not(input) => negated(*input),
        Expr::Compare { op, left, right } => comparison(op, *left, *right),
        Expr::InList { input, list, negated } => in_list(*input, list, negated),
        other => other,
    }
}

/// A flat AND or OR without neutral operands and duplicates.
fn connective(operands: Vec<Expr>, is_and: bool) -> Expr {
    let mut flat: Vec<Expr> = Vec::with_capacity(operands.len());
    for operand in operands {
        match operand {
            Expr::And(inner) if is_and => flat.extend(inner),
            Expr::Or(inner) if !is_and => flat.extend(inner),
            other => flat.push(other),
        }
    }
    let is_false = |expr: &Expr| matches!(expr, Expr::Literal(v) if v.scalar == Scalar::Boolean(false));
    if flat.iter().any(|expr| if is_and { is_false(expr) } else { is_true(expr) }) {
        return Expr::Literal(Value::boolean(!is_and));
    }
    flat.retain(|expr| if is_and { !is_true(expr) } else { !is_false(expr) });
    let mut seen = std::collections::HashSet::new();
    flat.retain(|expr| is_any_volatile(expr) || seen.insert(expr.clone()));
    match flat.len() {
        0 => Expr::Literal(Value::boolean(is_and)),
        1 => flat.remove(0),
        _ if is_and => Expr::And(flat),
        _ => Expr::Or(flat),
    }
}

/// `(a and b) or (a and c)` is `a and (b or c)`; `x = 1 or x = 2` is `x in (1, 2)`.
fn disjunction(operands: Vec<Expr>) -> Expr {
    let operands = match connective(operands, false) {
        Expr::Or(operands) => operands,
        other => return other,
    };
    let branches: Vec<Vec<Expr>> = operands.into_iter().map(conjuncts).collect();
    let common: Vec<Expr> = branches[0]
        .iter()
        .filter(|expr| branches[1..].iter().all(|branch| branch.contains(expr)))
        .cloned()
        .collect();
    let mut rest = Vec::with_capacity(branches.len());
    for branch in branches {
        let own: Vec<Expr> = branch.into_iter().filter(|expr| !common.contains(expr)).collect();
        if own.is_empty() {
            // This alternative asks for nothing more: the others add nothing.
            return Expr::and(common);
        }
        rest.push(Expr::and(own));
    }
    let rest = alternatives_of_one_column(rest);
    Expr::and(common.into_iter().chain([rest]))
}

fn alternatives_of_one_column(operands: Vec<Expr>) -> Expr {
    let parts: Option<Vec<(Expr, Vec<Value>)>> = operands
        .iter()
        .map(|operand| match operand {
            Expr::Compare { op: CompareOp::Equal, left, right } => match (left.as_ref(), right.as_ref()) {
                (column @ Expr::Column { data_type, .. }, Expr::Literal(value))
                    if value.data_type == *data_type =>
                {
                    Some((column.clone(), vec![value.clone()]))
                }
                _ => None,
            },
            Expr::InList { input, list, negated: false } if matches!(**input, Expr::Column { .. }) => {
                Some(((**input).clone(), list.clone()))
            }
            _ => None,
        })
        .collect();
    match parts {
        Some(parts) if parts.len() > 1 && parts[1..].iter().all(|(column, _)| *column == parts[0].0) => {
            let input = Box::new(parts[0].0.clone());
            Expr::InList {
                input,
                list: parts.into_iter().flat_map(|(_, list)| list).collect(),
                negated: false,
            }
        }
        _ if operands.len() == 1 => operands.into_iter().next().unwrap_or(Expr::Or(Vec::new())),
        _ => Expr::Or(operands),
    }
}

fn negated(input: Expr) -> Expr {
    match input {
        Expr::Not(inner) => *inner,
        Expr::Compare { op, left, right } => Expr::Compare { op: op.negated(), left, right },
        Expr::IsNull { input, negated } => Expr::IsNull { input, negated: !negated },
        Expr::InList { input, list, negated } => Expr::InList { input, list, negated: !negated },
        Expr::Like { input, pattern, escape, case_insensitive, negated } => {
            Expr::Like { input, pattern, escape, case_insensitive, negated: !negated }
        }
        Expr::And(operands) => disjunction(operands.into_iter().map(negated).collect()),
        Expr::Or(operands) => connective(operands.into_iter().map(negated).collect(), true),
        other => Expr::Not(Box::new(other)),
    }
}

fn in_list(input: Expr, mut list: Vec<Value>, negated: bool) -> Expr {
    let mut seen = std::collections::HashSet::new();
    list.retain(|value| seen.insert(value.scalar.clone()));
    if let [value] = list.as_slice() {
        let op = if negated { CompareOp::NotEqual } else { CompareOp::Equal };
        return comparison(op, input, Expr::Literal(value.clone()));
    }
    if let Expr::Cast { input: inner, try_cast: false, .. } = &input
        && let Some(factor) = widening_factor(inner.data_type(), input.data_type())
    {
        let target = inner.data_type();
        let narrowed: Option<Vec<Value>> = list
            .iter()
            .map(|value| match value.scalar {
                Scalar::Integer(number) if number % factor == 0 && fits(number / factor, target) => {
                    Some(Value::new(target, Scalar::Integer(number / factor)))
                }
                _ => None,
            })
            .collect();
        if let Some(list) = narrowed {
            return Expr::InList { input: inner.clone(), list, negated };
        }
    }
    Expr::InList { input: Box::new(input), list, negated }
}

/// Constants to the right; a cast that only widens a column leaves it, and the constant is narrowed.
fn comparison(op: CompareOp, left: Expr, right: Expr) -> Expr {
    if matches!(left, Expr::Literal(_)) && !matches!(right, Expr::Literal(_)) {
        return comparison(op.swapped(), right, left);
    }
    if let (Expr::Cast { input, data_type, try_cast: false }, Expr::Literal(value)) = (&left, &right)
        && let Some(factor) = widening_factor(input.data_type(), *data_type)
        && let Scalar::Integer(number) = value.scalar
    {
        let target = input.data_type();
        let sign = data_type.infinite_sign(number);
        if let (true, Some(infinity)) = (sign != 0, target.infinity()) {
            let constant = Expr::Literal(Value::new(target, Scalar::Integer(infinity * i128::from(sign))));
            return Expr::compare(op, (**input).clone(), constant);
        }
        let (quotient, exact) = (number.div_euclid(factor), number % factor == 0);
        let op = match op {
            op if exact => Some(op),
            CompareOp::Less | CompareOp::LessOrEqual => Some(CompareOp::LessOrEqual),
            CompareOp::Greater | CompareOp::GreaterOrEqual => Some(CompareOp::Greater),
            _ => None,
        };
        if let Some(op) = op
            && fits(quotient, target)
        {
            let constant = Expr::Literal(Value::new(target, Scalar::Integer(quotient)));
            return Expr::compare(op, (**input).clone(), constant);
        }
    }
    Expr::compare(op, left, right)
}

/// By how much a cast that keeps every value multiplies the integer behind it.
pub(super) fn widening_factor(from: DataType, to: DataType) -> Option<i128> {
    match (from, to) {
        (DataType::Date, DataType::Timestamp { unit, .. }) => Some(86_400 * i128::from(unit.per_second())),
        (from, to) if from.is_integer() && to.is_integer() => (unify(from, to) == Some(to)).then_some(1),
        // The digits of the type must have room for every value, as no decimal has for those of a HUGEINT.
        (from, DataType::Decimal { scale, precision }) if from.is_integer() && from != DataType::Int128 => {
            let (digits, _) = integer_as_decimal(from)?;
            (precision - scale >= digits).then(|| 10_i128.pow(scale.into()))
        }
        (DataType::Decimal { precision: p1, scale: s1 }, DataType::Decimal { precision: p2, scale: s2 })
            if s2 >= s1 && p2 - s2 >= p1 - s1 =>
        {
            Some(10_i128.pow((s2 - s1).into()))
        }
        _ => None,
    }
}

fn fits(value: i128, data_type: DataType) -> bool {
    data_type.integer_bounds().is_some_and(|(low, high)| low <= value && value <= high)
}
