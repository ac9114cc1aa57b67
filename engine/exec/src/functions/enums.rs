//! Functions of the values of enums. What an enum has is known by the type of the argument, which may be null.

use super::arguments::Arguments;
use super::{Function, Parameter, Returns};
use columnar::packed::append_scalar;
use columnar::types::{TypeError, list_of};
use columnar::{DataType, Result, Scalar, Vector};

const ENUM: Parameter = Parameter::Enum;

fn list_of_first(types: &[DataType]) -> std::result::Result<DataType, TypeError> {
    list_of(types.first().copied().unwrap_or(DataType::Null))
}

pub(super) fn functions() -> Vec<Function> {
    let list = || Returns::Nested(list_of_first);
    vec![
        Function::new(
            "enum_range",
            "The values of an enum in their order, or those from one to another.",
            "enum_range(NULL::ENUM('a', 'b')) → [a, b]",
        )
        .aliases(&["enum_range_boundary"])
        .with_fallible(&[ENUM], list(), |args, data_type| range(args, data_type, false))
        .sees_nulls()
        .with_fallible(&[ENUM, ENUM], list(), |args, data_type| range(args, data_type, true))
        .sees_nulls(),
        Function::new("enum_first", "The first value of an enum.", "enum_first(NULL::ENUM('a', 'b')) → a")
            .with(&[ENUM], Returns::First, |args, data_type| args.map_integers(data_type, |_| Ok(0)))
            .sees_nulls(),
        Function::new("enum_last", "The last value of an enum.", "enum_last(NULL::ENUM('a', 'b')) → b")
            .with(&[ENUM], Returns::First, |args, data_type| {
                let last = count(data_type) - 1;
                args.map_integers(data_type, |_| Ok(last))
            })
            .sees_nulls(),
        Function::new(
            "enum_code",
            "The place of a value in its enum, from 0.",
            "enum_code('b'::ENUM('a', 'b')) → 1",
        )
        .with(&[ENUM], Returns::Type(DataType::Int32), |args, data_type| {
            let codes = args.integers(0);
            args.map_integers(data_type, |row| Ok(codes[row]))
        }),
    ]
}

/// How many values an enum has.
fn count(data_type: DataType) -> i128 {
    if let DataType::Enum(kind) = data_type { kind.values.len() as i128 } else { 1 }
}

/// A list of the values from the first argument to the second; a null end is that of the enum.
fn range(args: &Arguments, data_type: DataType, bounded: bool) -> Result<Vector> {
    let of = args.data_type(0);
    let ends = bounded.then(|| (args.integers(0), args.integers(1)));
    args.map_packed(data_type, |row, out| {
        let (mut low, mut high) = (0, count(of) - 1);
        if let Some((lows, highs)) = &ends {
            low = if args.is_null(0, row) { low } else { lows[row] };
            high = if args.is_null(1, row) { high } else { highs[row] };
        }
        for code in low..=high {
            out.push(1);
            append_scalar(out, &Scalar::Integer(code), of)?;
        }
        out.push(0);
        Ok(true)
    })
}
