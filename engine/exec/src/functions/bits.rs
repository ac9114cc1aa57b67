//! Functions of the bits of integers; the operators `&`, `|`, `#`, `~`, `<<`, `>>` are functions of those names.

use super::{Function, Parameter, Returns};
use columnar::{DataType, PhysicalType};

const PAIR: [Parameter; 2] = [Parameter::SameInteger, Parameter::SameInteger];
const SHIFT: [Parameter; 2] = [Parameter::Integer, Parameter::Exact(DataType::Int64)];

/// Two integers bit by bit, with 64 bits where these hold both.
macro_rules! combine {
    ($operator:tt) => {
        |args, data_type| {
            if data_type.physical() == PhysicalType::I128 {
                let (a, b) = (args.integers(0), args.integers(1));
                return args.map_integers(data_type, |row| Ok(a[row] $operator b[row]));
            }
            let (a, b) = (args.longs(0), args.longs(1));
            args.map_integers(data_type, |row| Ok((a[row] $operator b[row]).into()))
        }
    };
}

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function::new("&", "The bits that both integers have.", "91 & 15 → 11").with(
            &PAIR,
            Returns::First,
            combine!(&),
        ),
        Function::new("|", "The bits that either integer has.", "32 | 3 → 35").with(
            &PAIR,
            Returns::First,
            combine!(|),
        ),
        Function::new("#", "The bits in which two integers differ.", "17 # 5 → 20").aliases(&["xor"]).with(
            &PAIR,
            Returns::First,
            combine!(^),
        ),
        Function::new("~", "An integer with all bits turned round.", "~1 → -2").with(
            &[Parameter::Integer],
            Returns::First,
            |args, data_type| {
                let values = args.integers(0);
                args.map_integers(data_type, |row| Ok(cut(!values[row], data_type)))
            },
        ),
        Function::new(
            "<<",
            "An integer with its bits moved up; what leaves the type is lost.",
            "1 << 4 → 16",
        )
        .with(&SHIFT, Returns::First, |args, data_type| {
            let (values, shifts) = (args.integers(0), args.longs(1));
            let width = width(data_type);
            args.map_integers(data_type, |row| {
                let moved = values[row].wrapping_shl((shifts[row] & i64::from(width - 1)) as u32);
                Ok(cut(moved, data_type))
            })
        }),
        Function::new(">>", "An integer with its bits moved down, its sign kept.", "8 >> 2 → 2").with(
            &SHIFT,
            Returns::First,
            |args, data_type| {
                let (values, shifts) = (args.integers(0), args.longs(1));
                let width = width(data_type);
                args.map_integers(data_type, |row| {
                    Ok(values[row] >> (shifts[row] & i64::from(width - 1)) as u32)
                })
            },
        ),
        Function::new("bit_count", "How many bits of an integer are set.", "bit_count(31) → 5")
            .with(&[Parameter::Integer], Returns::Type(DataType::Int64), |args, data_type| {
                let (values, width) = (args.integers(0), width(args.data_type(0)));
                args.map_integers(data_type, |row| Ok(bits(values[row], width).count_ones().into()))
            })
            .within(0, 128)
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

/// Bits of an integer type.
pub(super) fn width(data_type: DataType) -> u32 {
    match data_type {
        DataType::Int8 | DataType::UInt8 => 8,
        DataType::Int16 | DataType::UInt16 => 16,
        DataType::Int32 | DataType::UInt32 => 32,
        DataType::Int128 => 128,
        _ => 64,
    }
}

/// The bits of an integer of that width as a number.
pub(super) fn bits(value: i128, width: u32) -> u128 {
    value as u128 & (u128::MAX >> (128 - width))
}

/// The lowest bits of a value as an integer of the type.
fn cut(value: i128, data_type: DataType) -> i128 {
    let rest = 128 - width(data_type);
    match data_type.is_unsigned() {
        true => bits(value, width(data_type)) as i128,
        false => value << rest >> rest,
    }
}
