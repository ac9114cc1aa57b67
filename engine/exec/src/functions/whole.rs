//! Functions of whole numbers, and of numbers as text in other bases.

use super::arguments::{Arguments, in_range, out_of_range};
use super::bits::{bits, width};
use super::general::arithmetic_of;
use super::text::append;
use super::{Function, Parameter, Returns, Run};
use crate::ArithmeticOp;
use columnar::{DataType, Error, Result, Vector};

const BIG: Parameter = Parameter::Exact(DataType::Int64);
const DOUBLE: Parameter = Parameter::Exact(DataType::Float64);
const TEXT: Parameter = Parameter::Exact(DataType::Varchar);
const RETURNS_TEXT: Returns = Returns::Type(DataType::Varchar);
const PAIR: [Parameter; 2] = [Parameter::SameInteger, Parameter::SameInteger];

pub(super) fn functions() -> Vec<Function> {
    let mut functions = vec![
        Function::new(
            "div",
            "The whole part of a quotient, cut towards zero.",
            "div(-7, 2) → -3",
        )
        .aliases(&["//", "divide"])
        .with_expression(&PAIR, Returns::First, |args, data_type| {
            arithmetic_of(ArithmeticOp::Divide, args, data_type)
        })
        .with_fallible(&[Parameter::Number, Parameter::Number], Returns::Of(whole_quotient), quotient),
        Function::new("gcd", "The greatest common divisor.", "gcd(42, 57) → 3")
            .aliases(&["greatest_common_divisor"])
            .with_fallible(&PAIR, Returns::First, |args, data_type| {
                let (a, b) = (args.integers(0), args.integers(1));
                args.map_integers(data_type, |row| {
                    let common = i128::try_from(divisor(a[row], b[row])).map_err(|_| out_of_range("gcd"))?;
                    in_range(common, data_type, "gcd")
                })
            }),
        Function::new("lcm", "The least common multiple.", "lcm(6, 4) → 12")
            .aliases(&["least_common_multiple"])
            .with_fallible(&PAIR, Returns::First, |args, data_type| {
                let (a, b) = (args.integers(0), args.integers(1));
                args.map_integers(data_type, |row| {
                    let (a, b, common) =
                        (a[row].unsigned_abs(), b[row].unsigned_abs(), divisor(a[row], b[row]));
                    let multiple = a.checked_div(common).unwrap_or(0).checked_mul(b);
                    let multiple = multiple.and_then(|multiple| i128::try_from(multiple).ok());
                    in_range(multiple.ok_or_else(|| out_of_range("lcm"))?, data_type, "lcm")
                })
            }),
        Function::new("factorial", "The product of the whole numbers up to one.", "factorial(5) → 120")
            .aliases(&["!"])
            .with_fallible(&[BIG], Returns::Type(DataType::decimal(38, 0)), |args, data_type| {
                let values = args.longs(0);
                args.map_integers(data_type, |row| match values[row] {
                    number @ 0..=33 => Ok((1..=i128::from(number)).product()),
                    number => Err(out_of_range(&format!("the factorial of {number}"))),
                })
            }),
        Function::new("scale", "How many digits after the point a decimal's type has.", "scale(1.50) → 2")
            .with(&[Parameter::Decimal], Returns::Type(DataType::Int32), |args, data_type| {
                let scale = if let DataType::Decimal { scale, .. } = args.data_type(0) { scale } else { 0 };
                args.map_integers(data_type, |_| Ok(scale.into()))
            }),
        Function::new(
            "width_bucket",
            "Which of a number of buckets of equal width between two bounds a value falls into: 0 below, one more than there are above.",
            "width_bucket(5.35, 0.024, 10.06, 5) → 3",
        )
        .with_fallible(&[DOUBLE, DOUBLE, DOUBLE, BIG], Returns::Type(DataType::Int32), width_bucket),
        Function::new("bin", "An integer, or the bytes of a text, in base 2.", "bin(10) → 1010")
            .aliases(&["to_binary"])
            .with(&[Parameter::Integer], RETURNS_TEXT, |args, _| {
                let (values, width) = (args.integers(0), width(args.data_type(0)));
                args.map_text(|row, out| append(out, &format!("{:b}", bits(values[row], width))))
            })
            .with_fallible(&[TEXT], RETURNS_TEXT, |args, _| {
                args.map_text(|row, out| {
                    args.bytes(0, row).iter().try_for_each(|byte| append(out, &format!("{byte:08b}")))
                })
            }),
        Function::new(
            "to_base",
            "A whole number in a base from 2 to 36, filled up with zeros to a length.",
            "to_base(255, 16) → FF",
        )
        .with_fallible(&[BIG, BIG], RETURNS_TEXT, to_base)
        .with_fallible(&[BIG, BIG, BIG], RETURNS_TEXT, to_base),
    ];
    let sizes: [(&'static str, &'static [&'static str], &'static str, &'static str, Run); 2] = [
        (
            "format_bytes",
            &["formatreadablesize", "pg_size_pretty"],
            "A number of bytes in units of 1024.",
            "format_bytes(16384) → 16.0 KiB",
            |args, _| readable(args, 1024, &["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]),
        ),
        (
            "formatreadabledecimalsize",
            &[],
            "A number of bytes in units of 1000.",
            "formatreadabledecimalsize(16000) → 16.0 kB",
            |args, _| readable(args, 1000, &["kB", "MB", "GB", "TB", "PB", "EB"]),
        ),
    ];
    for (name, aliases, description, example, run) in sizes {
        functions.push(Function::new(name, description, example).aliases(aliases).with(
            &[BIG],
            RETURNS_TEXT,
            run,
        ));
    }
    functions
}

/// The greatest common divisor; of the least integer and zero it is none.
fn divisor(a: i128, b: i128) -> u128 {
    let (mut a, mut b) = (a.unsigned_abs(), b.unsigned_abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

fn whole_quotient(types: &[DataType]) -> DataType {
    match types.first() {
        Some(DataType::Decimal { .. }) => DataType::decimal(38, 0),
        _ => DataType::Float64,
    }
}

/// The whole part of a quotient of two decimals of one scale, or of doubles.
fn quotient(args: &Arguments, data_type: DataType) -> Result<Vector> {
    if data_type == DataType::Float64 {
        let (a, b) = (args.floats(0), args.floats(1));
        return args.map_floats(data_type, |row| match b[row] {
            0.0 => Err(Error::DivisionByZero),
            divisor => Ok((a[row] / divisor).trunc()),
        });
    }
    let (a, b) = (args.integers(0), args.integers(1));
    args.map_integers(data_type, |row| match b[row] {
        0 => Err(Error::DivisionByZero),
        divisor => Ok(a[row] / divisor),
    })
}

fn width_bucket(args: &Arguments, data_type: DataType) -> Result<Vector> {
    let (values, lows, highs) = (args.floats(0), args.floats(1), args.floats(2));
    let counts = args.longs(3);
    args.map_integers(data_type, |row| {
        let (x, low, high, count) = (values[row], lows[row], highs[row], counts[row]);
        if count <= 0 || count >= i64::from(i32::MAX) {
            return Err(out_of_range("the number of buckets of width_bucket"));
        }
        if low == high || !low.is_finite() || !high.is_finite() || x.is_nan() {
            return Err(out_of_range("a bound of width_bucket"));
        }
        let place = if low < high { (x - low) / (high - low) } else { (low - x) / (low - high) };
        Ok(if place < 0.0 {
            0
        } else if place >= 1.0 {
            i128::from(count) + 1
        } else {
            ((place * count as f64) as i128).min(i128::from(count) - 1) + 1
        })
    })
}

fn to_base(args: &Arguments, _: DataType) -> Result<Vector> {
    let (values, bases) = (args.longs(0), args.longs(1));
    let lengths = (args.len() > 2).then(|| args.longs(2));
    args.map_text(|row, out| {
        let (value, base) = (values[row], bases[row]);
        let length = lengths.as_ref().map_or(0, |lengths| lengths[row]);
        if value < 0 || !(2..=36).contains(&base) || !(0..=64).contains(&length) {
            return Err(out_of_range("an argument of to_base"));
        }
        let (mut rest, mut digits) = (value as u64, Vec::new());
        while rest > 0 || digits.len() < (length as usize).max(1) {
            digits.push(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[(rest % base as u64) as usize]);
            rest /= base as u64;
        }
        out.extend(digits.iter().rev());
        Ok(())
    })
}

/// A size in the largest unit that it has one of, with one digit after the point, cut.
fn readable(args: &Arguments, unit: u64, names: &[&str]) -> Result<Vector> {
    let values = args.longs(0);
    args.map_text(|row, out| {
        let sign = if values[row] < 0 { "-" } else { "" };
        let bytes = values[row].unsigned_abs();
        let (mut size, mut name) = (1_u64, None);
        for larger in names {
            match size.checked_mul(unit).filter(|&larger| larger <= bytes) {
                Some(found) => (size, name) = (found, Some(*larger)),
                None => break,
            }
        }
        let text = match name {
            None if bytes == 1 => format!("{sign}1 byte"),
            None => format!("{sign}{bytes} bytes"),
            Some(name) => {
                let tenths = u128::from(bytes) * 10 / u128::from(size);
                format!("{sign}{}.{} {name}", tenths / 10, tenths % 10)
            }
        };
        append(out, &text)
    })
}
