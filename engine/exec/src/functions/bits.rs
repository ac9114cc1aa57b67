//! Functions of the bits of integers; the operators `&`, `|`, `#`, `~`, `<<`, `>>` are functions of those names.

use super::arguments::Arguments;
use super::{Function, Parameter, Returns};
use columnar::{DataType, Result, Vector};

const PAIR: [Parameter; 2] = [Parameter::SameInteger, Parameter::SameInteger];
const SHIFT: [Parameter; 2] = [Parameter::Integer, Parameter::Exact(DataType::Int64)];

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function::new("&", "The bits that both integers have.", "91 & 15 → 11").with(
            &PAIR,
            Returns::First,
            |args, data_type| combine(args, data_type, |a, b| a & b),
        ),
        Function::new("|", "The bits that either integer has.", "32 | 3 → 35").with(
            &PAIR,
            Returns::First,
            |args, data_type| combine(args, data_type, |a, b| a | b),
        ),
        Function::new("#", "The bits in which two integers differ.", "17 # 5 → 20").aliases(&["xor"]).with(
            &PAIR,
            Returns::First,
            |args, data_type| combine(args, data_type, |a, b| a ^ b),
        ),
        Function::new("~", "An integer with all bits turned round.", "~1 → -2").with(
            &[Parameter::Integer],
            Returns::First,
            |args, data_type| {
                let values = args.longs(0);
                args.map_integers(data_type, |row| Ok((!values[row]).into()))
            },
        ),
        Function::new(
            "<<",
            "An integer with its bits moved up; what leaves the type is lost.",
            "1 << 4 → 16",
        )
        .with(&SHIFT, Returns::First, |args, data_type| {
            let (values, shifts) = (args.longs(0), args.longs(1));
            let width = width(data_type);
            args.map_integers(data_type, |row| {
                let moved = values[row].wrapping_shl((shifts[row] & i64::from(width - 1)) as u32);
                Ok(cut(moved, width).into())
            })
        }),
        Function::new(">>", "An integer with its bits moved down, its sign kept.", "8 >> 2 → 2").with(
            &SHIFT,
            Returns::First,
            |args, data_type| {
                let (values, shifts) = (args.longs(0), args.longs(1));
                let width = width(data_type);
                args.map_integers(data_type, |row| {
                    Ok((values[row] >> (shifts[row] & i64::from(width - 1)) as u32).into())
                })
            },
        ),
        Function::new("bit_count", "How many bits of an integer are set.", "bit_count(31) → 5")
            .with(&[Parameter::Integer], Returns::Type(DataType::Int64), |args, data_type| {
                let (values, width) = (args.longs(0), width(args.data_type(0)));
                args.map_integers(data_type, |row| {
                    Ok((values[row] as u64 & (u64::MAX >> (64 - width))).count_ones().into())
                })
            })
            .within(0, 64)
            .with(
                &[Parameter::Exact(DataType::Binary)],
                Returns::Type(DataType::Int64),
                |args, data_type| {
                    args.map_integers(data_type, |row| {
                        Ok(args.bytes(0, row).iter().map(|byte| i128::from(byte.count_ones())).sum())
                    })
                },
            ),
    ]
}

fn combine(args: &Arguments, data_type: DataType, of: fn(i64, i64) -> i64) -> Result<Vector> {
    let (a, b) = (args.longs(0), args.longs(1));
    args.map_integers(data_type, |row| Ok(of(a[row], b[row]).into()))
}

/// Bits of an integer type.
pub(super) fn width(data_type: DataType) -> u32 {
    match data_type {
        DataType::Int8 => 8,
        DataType::Int16 => 16,
        DataType::Int32 => 32,
        _ => 64,
    }
}

/// The lowest bits of a value as an integer of that width.
fn cut(value: i64, width: u32) -> i64 {
    value << (64 - width) >> (64 - width)
}
