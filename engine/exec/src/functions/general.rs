//! Functions of values of any type.

use super::{Function, Parameter, Returns};
use crate::ArithmeticOp;
use crate::expression::node::Node;
use crate::expression::{arithmetic, attempt, extreme};
use columnar::{DataType, Error, Value, Vector};

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function::new("greatest", "The greatest argument, nulls left out.", "greatest(1, 3, 2) → 3")
            .with_expression(&[Parameter::Same], Returns::First, |args, data_type| {
                Ok(extreme(true, args, data_type))
            })
            .variadic(),
        Function::new("least", "The least argument, nulls left out.", "least(1, 3, 2) → 1")
            .with_expression(&[Parameter::Same], Returns::First, |args, data_type| {
                Ok(extreme(false, args, data_type))
            })
            .variadic(),
    ]
}

/// Those that came with version 2 of plans.
pub(super) fn later_functions() -> Vec<Function> {
    let count = |name, description, example, run| {
        Function::new(name, description, example)
            .with(&[Parameter::Any], Returns::Type(DataType::Int32), run)
            .variadic()
            .sees_nulls()
    };
    vec![
        count(
            "num_nulls",
            "How many arguments are null.",
            "num_nulls(1, NULL, 'a') → 1",
            |args, data_type| args.map_integers(data_type, |row| Ok(args.nulls(row) as i128)),
        ),
        count(
            "num_nonnulls",
            "How many arguments are not null.",
            "num_nonnulls(1, NULL, 'a') → 2",
            |args, data_type| args.map_integers(data_type, |row| Ok((args.len() - args.nulls(row)) as i128)),
        ),
        Function::new(
            "error",
            "Fails with a message, in rows that need its value; of any type.",
            "CASE WHEN 1 > 2 THEN error('strange') ELSE 'fine' END → fine",
        )
        .with_fallible(
            &[Parameter::Exact(DataType::Varchar)],
            Returns::Type(DataType::Null),
            |args, data_type| match (0..args.rows).find(|&row| !args.flats[0].is_null(row)) {
                Some(row) => Err(Error::Told(args.text(0, row).to_owned())),
                None => Ok(Vector::constant(Value::null(data_type), args.rows)),
            },
        )
        .sees_nulls(),
        Function::new(
            "try",
            "The value of an expression, or null in rows in which computing it fails.",
            "try(1 / 0) → NULL",
        )
        .with_expression(&[Parameter::Any], Returns::First, |mut args, _| {
            match (args.pop(), args.pop()) {
                (Some(arg), None) => Ok(attempt(arg)),
                _ => Err(crate::Error::Internal("try of other than one argument".into())),
            }
        }),
    ]
}

/// An operator of the language on two arguments.
pub(super) fn arithmetic_of(op: ArithmeticOp, args: Vec<Node>, data_type: DataType) -> crate::Result<Node> {
    let [left, right] = <[Node; 2]>::try_from(args)
        .map_err(|args| crate::Error::Internal(format!("an operator of {} operands", args.len())))?;
    Ok(arithmetic(op, left, right, data_type))
}
