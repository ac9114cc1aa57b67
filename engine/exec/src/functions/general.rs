//! Functions of values of any type.

use super::{Function, Parameter, Returns};
use crate::ArithmeticOp;
use crate::expression::node::Node;
use crate::expression::{arithmetic, extreme};
use columnar::DataType;
use columnar::types::DECIMAL_MAX_PRECISION;

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function::new("greatest", "The greatest argument, nulls left out.", "greatest(1, 3, 2)")
            .with_expression(&[Parameter::Same], Returns::First, |args, data_type| {
                Ok(extreme(true, args, data_type))
            })
            .variadic(),
        Function::new("least", "The least argument, nulls left out.", "least(1, 3, 2)")
            .with_expression(&[Parameter::Same], Returns::First, |args, data_type| {
                Ok(extreme(false, args, data_type))
            })
            .variadic(),
    ]
}

/// An operator of the language on two arguments.
pub(super) fn arithmetic_of(op: ArithmeticOp, args: Vec<Node>, data_type: DataType) -> crate::Result<Node> {
    let [left, right] = <[Node; 2]>::try_from(args)
        .map_err(|args| crate::Error::Internal(format!("an operator of {} operands", args.len())))?;
    Ok(arithmetic(op, left, right, data_type))
}

/// The type that values of both take; `None` where there is none.
pub(super) fn common_type(a: DataType, b: DataType) -> Option<DataType> {
    let as_decimal = |data_type| match data_type {
        DataType::Int8 => Some((3, 0)),
        DataType::Int16 => Some((5, 0)),
        DataType::Int32 => Some((10, 0)),
        DataType::Int64 => Some((19, 0)),
        DataType::Decimal { precision, scale } => Some((precision, scale)),
        _ => None,
    };
    Some(match (a, b) {
        (a, b) if a == b => a,
        (DataType::Null, other) | (other, DataType::Null) => other,
        (a, b) if a.is_integer() && b.is_integer() => {
            if a.physical() >= b.physical() {
                a
            } else {
                b
            }
        }
        (a, b) if a.is_numeric() && b.is_numeric() => match as_decimal(a).zip(as_decimal(b)) {
            Some(((p1, s1), (p2, s2))) => {
                let scale = s1.max(s2);
                DataType::decimal(((p1 - s1).max(p2 - s2) + scale).min(DECIMAL_MAX_PRECISION), scale)
            }
            None => DataType::Float64,
        },
        (DataType::Date, stamp @ DataType::Timestamp { .. })
        | (stamp @ DataType::Timestamp { .. }, DataType::Date) => stamp,
        _ => return None,
    })
}
