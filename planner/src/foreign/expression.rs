//! Expressions as SQL of another engine. Every compound one is in parentheses.

use super::dialect::Dialect;
use super::relation::{Unsaid, unsaid};
use crate::logical::ColumnId;
use columnar::{DataType, Scalar};
use exec::{ArithmeticOp, CompareOp, Expr};
use std::collections::HashMap;

/// How columns are said.
pub(super) type Said = HashMap<ColumnId, String>;

type Result<T> = std::result::Result<T, Unsaid>;

/// Sums that are null where a count is zero, by the count: dividing them never fails.
#[derive(Default)]
pub(super) struct Quotients(HashMap<ColumnId, Vec<ColumnId>>);

impl Quotients {
    pub(super) fn add(&mut self, sums: HashMap<ColumnId, Vec<ColumnId>>) {
        self.0.extend(sums);
    }

    /// Whether the division cannot be one by zero.
    fn are_safe(&self, dividend: &Expr, divisor: &Expr) -> bool {
        let column = |expr: &Expr| match expr {
            Expr::Column { id, .. } => Some(*id),
            Expr::Cast { input, .. } => match &**input {
                Expr::Column { id, .. } => Some(*id),
                other => count_put_right(other),
            },
            other => count_put_right(other),
        };
        let is_not_zero = |expr: &Expr| match expr {
            Expr::Literal(value) => match value.scalar {
                Scalar::Integer(number) => number != 0,
                Scalar::Float(number) => number != 0.0,
                _ => false,
            },
            _ => false,
        };
        let of_count = column(divisor).and_then(|count| self.0.get(&count));
        is_not_zero(divisor)
            || of_count.is_some_and(|sums| column(dividend).is_some_and(|sum| sums.contains(&sum)))
    }
}

/// The count of which nulls, that an outer join has added, are zeros.
fn count_put_right(expr: &Expr) -> Option<ColumnId> {
    let Expr::Case { branches, .. } = expr else { return None };
    match branches.as_slice() {
        [(Expr::IsNull { input, negated: true }, Expr::Column { id, .. })] => {
            matches!(&**input, Expr::Column { id: tested, .. } if tested == id).then_some(*id)
        }
        _ => None,
    }
}

pub(super) fn conjunction(operands: &[String]) -> String {
    operands.join(" AND ")
}

pub(super) fn expression(
    expr: &Expr,
    said: &Said,
    dialect: &dyn Dialect,
    quotients: &Quotients,
) -> Result<String> {
    let say = |expr: &Expr| expression(expr, said, dialect, quotients);
    let say_all = |exprs: &[Expr]| exprs.iter().map(say).collect::<Result<Vec<_>>>();
    Ok(match expr {
        Expr::Column { id, .. } => match said.get(id) {
            Some(said) => said.clone(),
            None => return unsaid("a column that is lost"),
        },
        Expr::Literal(value) => dialect.literal(value)?,
        Expr::Compare { op, left, right } => {
            let data_type = left.data_type();
            let (left, right) = (say(left)?, say(right)?);
            let is_ordered = !matches!(
                op,
                CompareOp::Equal
                    | CompareOp::NotEqual
                    | CompareOp::IsDistinctFrom
                    | CompareOp::IsNotDistinctFrom
            );
            let left = if is_ordered { dialect.ordered(left, data_type) } else { left };
            format!("({left} {} {right})", op.symbol())
        }
        Expr::Arithmetic { op, left, right, data_type } => {
            let fails = matches!(op, ArithmeticOp::Divide | ArithmeticOp::Modulo);
            if fails && !dialect.divides() && !quotients.are_safe(left, right) {
                return unsaid("a division that may fail, on rows that its query leaves out, too");
            }
            if *op == ArithmeticOp::Modulo && data_type.is_float() {
                return unsaid("a remainder of floats");
            }
            if dialect.type_name(*data_type).is_none() {
                return unsaid(format!("{data_type}"));
            }
            format!("({} {} {})", say(left)?, op.symbol(), say(right)?)
        }
        Expr::And(operands) => format!("({})", conjunction(&say_all(operands)?)),
        Expr::Or(operands) => format!("({})", say_all(operands)?.join(" OR ")),
        Expr::Not(input) => format!("(NOT {})", say(input)?),
        Expr::IsNull { input, negated } => {
            format!("({} IS {}NULL)", say(input)?, if *negated { "NOT " } else { "" })
        }
        Expr::InList { input, list, negated } => {
            let values = list.iter().map(|value| dialect.literal(value)).collect::<Result<Vec<_>>>()?;
            let not = if *negated { "NOT " } else { "" };
            format!("({} {not}IN ({}))", say(input)?, values.join(", "))
        }
        Expr::Like { input, pattern, escape, case_insensitive, negated } => {
            let Expr::Literal(value) = &**pattern else {
                return unsaid("LIKE with a pattern that is computed");
            };
            if *case_insensitive {
                return unsaid("ILIKE");
            }
            if value.is_null() {
                return unsaid("LIKE with a null as pattern");
            }
            let escape = match escape {
                Some(letter) => dialect.literal(&columnar::Value::varchar(&letter.to_string()))?,
                None => "''".into(),
            };
            let not = if *negated { "NOT " } else { "" };
            format!("({} {not}LIKE {} ESCAPE {escape})", say(input)?, say(pattern)?)
        }
        Expr::Case { branches, otherwise, data_type } => {
            if dialect.type_name(*data_type).is_none() {
                return unsaid(format!("{data_type}"));
            }
            let mut text = "CASE".to_string();
            for (condition, value) in branches {
                text += &format!(" WHEN {} THEN {}", say(condition)?, say(value)?);
            }
            if let Some(otherwise) = otherwise {
                text += &format!(" ELSE {}", say(otherwise)?);
            }
            format!("({text} END)")
        }
        Expr::Cast { try_cast: true, .. } => return unsaid("TRY_CAST"),
        Expr::Cast { input, data_type, .. } => {
            let from = input.data_type();
            if !dialect.casts(from, *data_type) {
                return unsaid(format!("a cast of {from} to {data_type}"));
            }
            match dialect.cast_name(from, *data_type) {
                Some(name) if name.is_empty() => say(input)?,
                Some(name) => format!("CAST({} AS {name})", say(input)?),
                None => return unsaid(format!("a cast to {data_type}")),
            }
        }
        Expr::Call { function, args, data_type } => {
            let texts = say_all(args)?;
            match dialect.call(function, args, &texts, *data_type) {
                Some(text) => text,
                None => return unsaid(format!("the function {function}")),
            }
        }
        Expr::Lambda { .. } => return unsaid("a lambda"),
    })
}

/// Whether a cast keeps every value, so that it cannot fail.
pub(super) fn keeps_values(from: DataType, to: DataType) -> bool {
    use DataType::{Date, Decimal, Float32, Float64, Int16, Int32, Int64, Null, Varchar};
    let digits = match from {
        Int16 => 5,
        Int32 => 10,
        Int64 => 19,
        _ => 0,
    };
    match (from, to) {
        (Null, _) => true,
        (from, to) if from == to => true,
        (Int16, Int32 | Int64) | (Int32, Int64) => true,
        (Int16 | Int32 | Int64, Decimal { precision, scale }) => precision - scale >= digits,
        (Int16 | Int32 | Int64 | Float32 | Decimal { .. }, Float64) => true,
        // Only digits beyond the type's could be too many, and such a value fails where it arrives.
        (Decimal { scale: from, .. }, Decimal { scale: to, .. }) => to >= from,
        (Date, to) => to == DataType::TIMESTAMP,
        (Int16 | Int32 | Int64, Varchar) => true,
        _ => false,
    }
}
