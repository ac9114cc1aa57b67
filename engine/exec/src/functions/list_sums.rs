//! Aggregates over the elements of a list. Nulls are left out; of no elements all but the count are null.

use super::arguments::{Arguments, in_range};
use super::items::{element_or_null, scalar_of};
use super::{Function, Parameter, Returns};
use columnar::types::{DECIMAL_MAX_PRECISION, TypeError, integer_as_decimal};
use columnar::{DataType, Error, Result, Scalar, Vector};

const LIST: Parameter = Parameter::List;

fn element(types: &[DataType]) -> std::result::Result<DataType, TypeError> {
    Ok(types.first().copied().map_or(DataType::Null, element_or_null))
}

/// Of integers of at most 32 bits BIGINT, of wider ones and decimals a decimal of 38 digits.
fn sum_type(types: &[DataType]) -> std::result::Result<DataType, TypeError> {
    Ok(match element(types)? {
        DataType::Null
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32 => DataType::Int64,
        DataType::Int128 => DataType::Int128,
        other => match integer_as_decimal(other) {
            Some((_, scale)) => DataType::decimal(DECIMAL_MAX_PRECISION, scale),
            None => DataType::Float64,
        },
    })
}

pub(super) fn functions() -> Vec<Function> {
    let long = Returns::Type(DataType::Int64);
    vec![
        Function::new("list_count", "How many elements are not null.", "list_count([1, NULL]) → 1").with(
            &[LIST],
            long,
            |args, data_type| {
                args.map_integers(data_type, |row| {
                    Ok(args.items(0, row)?.into_iter().flatten().count() as i128)
                })
            },
        ),
        Function::new("list_min", "The least element.", "list_min([3, 1]) → 1")
            .with(&[LIST], Returns::Nested(element), |args, data_type| {
                chosen(args, data_type, |items| items.min())
            })
            .nullable(),
        Function::new("list_max", "The greatest element.", "list_max([3, 1]) → 3")
            .with(&[LIST], Returns::Nested(element), |args, data_type| {
                chosen(args, data_type, |items| items.max())
            })
            .nullable(),
        Function::new(
            "list_any_value",
            "The first element that is not null.",
            "list_any_value([NULL, 1]) → 1",
        )
        .with(&[LIST], Returns::Nested(element), |args, data_type| {
            chosen(args, data_type, |items| items.next())
        })
        .nullable(),
        Function::new("list_first", "The first element, null too.", "list_first([3, 1]) → 3")
            .with(&[LIST], Returns::Nested(element), |args, data_type| {
                args.map_scalars(data_type, |row| {
                    scalar_of(args.items(0, row)?.first().copied().flatten(), data_type)
                })
            })
            .nullable(),
        Function::new("list_last", "The last element, null too.", "list_last([3, 1]) → 1")
            .with(&[LIST], Returns::Nested(element), |args, data_type| {
                args.map_scalars(data_type, |row| {
                    scalar_of(args.items(0, row)?.last().copied().flatten(), data_type)
                })
            })
            .nullable(),
        Function::new("list_sum", "The sum of the elements.", "list_sum([3, 1]) → 4")
            .with_fallible(&[LIST], Returns::Nested(sum_type), sum)
            .nullable(),
        Function::new("list_avg", "The mean of the elements.", "list_avg([3, 2]) → 2.5")
            .aliases(&["list_mean"])
            .with_fallible(&[LIST], Returns::Type(DataType::Float64), |args, _| {
                floats(args, "list_avg", |numbers| numbers.iter().sum::<f64>() / numbers.len() as f64)
            })
            .nullable(),
        Function::new("list_product", "The product of the elements.", "list_product([3, 2]) → 6")
            .with_fallible(&[LIST], Returns::Type(DataType::Float64), |args, _| {
                floats(args, "list_product", |numbers| numbers.iter().product())
            })
            .nullable(),
        Function::new(
            "list_bool_and",
            "Whether all elements are true.",
            "list_bool_and([true, false]) → false",
        )
        .with(&[LIST], Returns::Type(DataType::Boolean), |args, data_type| {
            booleans(args, data_type, |items| items.iter().all(|item| *item == [1]))
        })
        .nullable(),
        Function::new("list_bool_or", "Whether an element is true.", "list_bool_or([true, false]) → true")
            .with(&[LIST], Returns::Type(DataType::Boolean), |args, data_type| {
                booleans(args, data_type, |items| items.iter().any(|item| *item == [1]))
            })
            .nullable(),
    ]
}

fn chosen(
    args: &Arguments,
    data_type: DataType,
    choose: for<'a> fn(&mut dyn Iterator<Item = &'a [u8]>) -> Option<&'a [u8]>,
) -> Result<Vector> {
    args.map_scalars(data_type, |row| {
        scalar_of(choose(&mut args.items(0, row)?.into_iter().flatten()), data_type)
    })
}

fn booleans(args: &Arguments, data_type: DataType, test: fn(&[&[u8]]) -> bool) -> Result<Vector> {
    let element = element_or_null(args.data_type(0));
    if !matches!(element, DataType::Boolean | DataType::Null) {
        return Err(Error::Told(format!("a list of BOOLEAN is expected, not of {element}")));
    }
    args.map_scalars(data_type, |row| {
        let items: Vec<&[u8]> = args.items(0, row)?.into_iter().flatten().collect();
        Ok(if items.is_empty() { Scalar::Null } else { Scalar::Boolean(test(&items)) })
    })
}

fn numeric(args: &Arguments, what: &str) -> Result<DataType> {
    let element = element_or_null(args.data_type(0));
    match element.is_numeric() || element == DataType::Null {
        true => Ok(element),
        false => Err(Error::Told(format!("{what} takes a list of numbers, not of {element}"))),
    }
}

fn sum(args: &Arguments, data_type: DataType) -> Result<Vector> {
    let element = numeric(args, "list_sum")?;
    args.map_scalars(data_type, |row| {
        let items = args.items(0, row)?;
        let mut known = items.into_iter().flatten().peekable();
        if known.peek().is_none() {
            return Ok(Scalar::Null);
        }
        if data_type.is_float() {
            let mut total = 0.0;
            for item in known {
                if let Scalar::Float(value) = scalar_of(Some(item), element)? {
                    total += value;
                }
            }
            return Ok(Scalar::Float(total));
        }
        let mut total = 0_i128;
        for item in known {
            let value = scalar_of(Some(item), element)?.as_integer().unwrap_or(0);
            total = total.checked_add(value).ok_or_else(|| super::arguments::out_of_range("list_sum"))?;
        }
        in_range(total, data_type, "list_sum").map(Scalar::Integer)
    })
}

fn floats(args: &Arguments, what: &str, compute: fn(&[f64]) -> f64) -> Result<Vector> {
    let element = numeric(args, what)?;
    let unit = match element {
        DataType::Decimal { scale, .. } => 10_f64.powi(scale.into()),
        _ => 1.0,
    };
    args.map_scalars(DataType::Float64, |row| {
        let mut numbers = Vec::new();
        for item in args.items(0, row)?.into_iter().flatten() {
            numbers.push(match scalar_of(Some(item), element)? {
                Scalar::Float(value) => value,
                other => other.as_integer().unwrap_or(0) as f64 / unit,
            });
        }
        Ok(if numbers.is_empty() { Scalar::Null } else { Scalar::Float(compute(&numbers)) })
    })
}
