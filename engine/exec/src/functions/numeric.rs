//! Functions of numbers.

use super::arguments::{Arguments, in_range, out_of_range};
use super::general::arithmetic_of;
use super::{Function, Parameter, Returns};
use crate::ArithmeticOp;
use columnar::types::DECIMAL_MAX_PRECISION;
use columnar::{DataType, Result, Vector};

const INT: Parameter = Parameter::Exact(DataType::Int32);
const DOUBLE: Parameter = Parameter::Exact(DataType::Float64);
const REAL: Parameter = Parameter::Exact(DataType::Float32);
const RETURNS_DOUBLE: Returns = Returns::Type(DataType::Float64);

pub(super) fn functions() -> Vec<Function> {
    let mut functions = vec![
        Function::new("abs", "The magnitude of a number.", "abs(-5) → 5")
            .with_fallible(&[Parameter::Integer], Returns::First, |args, data_type| {
                let values = args.integers(0);
                args.map_integers(data_type, |row| {
                    let magnitude = values[row].checked_abs().ok_or_else(|| out_of_range("abs"))?;
                    in_range(magnitude, data_type, "abs")
                })
            })
            .with(&[Parameter::Decimal], Returns::First, |args, data_type| {
                let values = args.integers(0);
                args.map_integers(data_type, |row| Ok(values[row].abs()))
            })
            .with(&[REAL], Returns::First, |args, data_type| map_float(args, data_type, f64::abs))
            .with(&[DOUBLE], RETURNS_DOUBLE, |args, data_type| map_float(args, data_type, f64::abs)),
        Function::new("sign", "-1, 0 or 1 by the sign of a number.", "sign(-2.5) → -1")
            .with(&[Parameter::Integer], Returns::Type(DataType::Int32), signum)
            .with(&[Parameter::Decimal], Returns::Type(DataType::Int32), signum)
            .with(&[DOUBLE], RETURNS_DOUBLE, |args, data_type| {
                map_float(args, data_type, |x| if x == 0.0 || x.is_nan() { x } else { x.signum() })
            }),
        Function::new(
            "round",
            "A number rounded, half away from zero (doubles: half to even).",
            "round(2.567, 2) → 2.570",
        )
        .with(&[Parameter::Integer], Returns::First, identity)
        .with(&[DOUBLE], RETURNS_DOUBLE, |args, data_type| map_float(args, data_type, f64::round_ties_even))
        .with(&[Parameter::Decimal], Returns::Of(whole), |args, data_type| {
            round_decimal(args, data_type, Mode::Round)
        })
        .with_fallible(&[Parameter::Decimal, INT], Returns::Of(one_digit_more), |args, data_type| {
            round_decimal(args, data_type, Mode::Round)
        })
        .with_fallible(&[Parameter::Integer, INT], Returns::First, |args, data_type| {
            round_decimal(args, data_type, Mode::Round)
        })
        .with(&[DOUBLE, INT], RETURNS_DOUBLE, |args, data_type| {
            float_digits(args, data_type, |x| {
                if x.fract().abs() == 0.5 { x.trunc() + x.signum() } else { x.round() }
            })
        }),
        Function::new("trunc", "A number cut towards zero.", "trunc(2.567, 2) → 2.560")
            .aliases(&["truncate"])
            .with(&[Parameter::Integer], Returns::First, identity)
            .with(&[DOUBLE], RETURNS_DOUBLE, |args, data_type| map_float(args, data_type, f64::trunc))
            .with(&[Parameter::Decimal], Returns::Of(whole), |args, data_type| {
                round_decimal(args, data_type, Mode::Trunc)
            })
            .with(&[Parameter::Decimal, INT], Returns::First, |args, data_type| {
                round_decimal(args, data_type, Mode::Trunc)
            })
            .with(&[Parameter::Integer, INT], Returns::First, |args, data_type| {
                round_decimal(args, data_type, Mode::Trunc)
            })
            .later()
            .with(&[DOUBLE, INT], RETURNS_DOUBLE, |args, data_type| {
                float_digits(args, data_type, f64::trunc)
            }),
        Function::new("ceil", "The least whole number not below.", "ceil(2.1) → 3")
            .aliases(&["ceiling"])
            .with(&[Parameter::Integer], Returns::First, identity)
            .with(&[DOUBLE], RETURNS_DOUBLE, |args, data_type| map_float(args, data_type, f64::ceil))
            .with(&[Parameter::Decimal], Returns::Of(whole), |args, data_type| {
                round_decimal(args, data_type, Mode::Ceil)
            }),
        Function::new("floor", "The greatest whole number not above.", "floor(2.9) → 2")
            .with(&[Parameter::Integer], Returns::First, identity)
            .with(&[DOUBLE], RETURNS_DOUBLE, |args, data_type| map_float(args, data_type, f64::floor))
            .with(&[Parameter::Decimal], Returns::Of(whole), |args, data_type| {
                round_decimal(args, data_type, Mode::Floor)
            }),
        Function::new("mod", "The remainder of a division, with the dividend's sign.", "mod(7, 3) → 1")
            .with_expression(&[Parameter::Number, Parameter::Number], Returns::First, |args, data_type| {
                arithmetic_of(ArithmeticOp::Modulo, args, data_type)
            }),
        Function::new("power", "A number raised to a power.", "power(2, 10) → 1024")
            .aliases(&["pow", "^", "**"])
            .with_fallible(&[DOUBLE, DOUBLE], RETURNS_DOUBLE, |args, data_type| {
                let (a, b) = (args.floats(0), args.floats(1));
                args.map_floats(data_type, |row| finite(a[row].powf(b[row]), &[a[row], b[row]], "power"))
            }),
        Function::new("atan2", "The angle of a point, from y and x.", "atan2(1, 1) → 0.7853981633974483")
            .with(&[DOUBLE, DOUBLE], RETURNS_DOUBLE, |args, data_type| {
                let (a, b) = (args.floats(0), args.floats(1));
                args.map_floats(data_type, |row| Ok(a[row].atan2(b[row])))
            }),
        Function::new(
            "pi",
            "The ratio of a circle's circumference to its diameter.",
            "pi() → 3.141592653589793",
        )
        .with(&[], RETURNS_DOUBLE, |args, data_type| {
            args.map_floats(data_type, |_| Ok(std::f64::consts::PI))
        }),
        Function::new(
            "log",
            "The logarithm to base 10, or of the second argument to the base of the first.",
            "log(2, 8) → 3",
        )
        .aliases(&["log10"])
        .with_fallible(&[DOUBLE], RETURNS_DOUBLE, |args, data_type| logarithm(args, data_type, f64::log10))
        .with_fallible(&[DOUBLE, DOUBLE], RETURNS_DOUBLE, |args, data_type| {
            let (base, x) = (args.floats(0), args.floats(1));
            args.map_floats(data_type, |row| {
                if base[row] <= 0.0 || x[row] <= 0.0 {
                    return Err(out_of_range("the logarithm of a number that is not positive"));
                }
                finite(x[row].ln() / base[row].ln(), &[x[row], base[row]], "log")
            })
        }),
    ];
    let logarithms: [(&'static str, &'static str, super::Run); 2] = [
        ("ln", "ln(2.718281828) → 0.9999999998311266", |args, data_type| {
            logarithm(args, data_type, f64::ln)
        }),
        ("log2", "log2(8) → 3", |args, data_type| logarithm(args, data_type, f64::log2)),
    ];
    for (name, example, run) in logarithms {
        let description = if name == "ln" { "The natural logarithm." } else { "The logarithm to base 2." };
        functions.push(Function::new(name, description, example).with_fallible(
            &[DOUBLE],
            RETURNS_DOUBLE,
            run,
        ));
    }
    functions.push(Function::new("sqrt", "The square root.", "sqrt(16) → 4").with_fallible(
        &[DOUBLE],
        RETURNS_DOUBLE,
        |args, data_type| {
            let values = args.floats(0);
            args.map_floats(data_type, |row| match values[row] {
                x if x < 0.0 => Err(out_of_range("the square root of a negative number")),
                x => Ok(x.sqrt()),
            })
        },
    ));
    functions.push(Function::new("exp", "e raised to a power.", "exp(1) → 2.718281828459045").with_fallible(
        &[DOUBLE],
        RETURNS_DOUBLE,
        |args, data_type| {
            let values = args.floats(0);
            args.map_floats(data_type, |row| finite(values[row].exp(), &[values[row]], "exp"))
        },
    ));
    let plain: [(&'static str, &'static str, &'static str, super::Run); 9] = [
        ("cbrt", "The cube root.", "cbrt(27) → 3", |args, data_type| map_float(args, data_type, f64::cbrt)),
        ("sin", "The sine of an angle in radians.", "sin(0) → 0", |args, data_type| {
            map_float(args, data_type, f64::sin)
        }),
        ("cos", "The cosine of an angle in radians.", "cos(0) → 1", |args, data_type| {
            map_float(args, data_type, f64::cos)
        }),
        ("tan", "The tangent of an angle in radians.", "tan(0) → 0", |args, data_type| {
            map_float(args, data_type, f64::tan)
        }),
        ("atan", "The angle whose tangent is given.", "atan(1) → 0.7853981633974483", |args, data_type| {
            map_float(args, data_type, f64::atan)
        }),
        ("degrees", "Radians as degrees.", "degrees(pi()) → 180", |args, data_type| {
            map_float(args, data_type, f64::to_degrees)
        }),
        ("radians", "Degrees as radians.", "radians(180) → 3.141592653589793", |args, data_type| {
            map_float(args, data_type, f64::to_radians)
        }),
        ("sinh", "The hyperbolic sine.", "sinh(0) → 0", |args, data_type| {
            map_float(args, data_type, f64::sinh)
        }),
        ("tanh", "The hyperbolic tangent.", "tanh(0) → 0", |args, data_type| {
            map_float(args, data_type, f64::tanh)
        }),
    ];
    for (name, description, example, run) in plain {
        functions.push(Function::new(name, description, example).with(&[DOUBLE], RETURNS_DOUBLE, run));
    }
    functions
}

fn map_float(args: &Arguments, data_type: DataType, compute: fn(f64) -> f64) -> Result<Vector> {
    let values = args.floats(0);
    args.map_floats(data_type, |row| Ok(compute(values[row])))
}

fn logarithm(args: &Arguments, data_type: DataType, compute: fn(f64) -> f64) -> Result<Vector> {
    let values = args.floats(0);
    args.map_floats(data_type, |row| match values[row] {
        x if x <= 0.0 => Err(out_of_range("the logarithm of a number that is not positive")),
        x => Ok(compute(x)),
    })
}

/// The result, or an error where finite operands gave an infinity or no number.
fn finite(result: f64, operands: &[f64], what: &str) -> Result<f64> {
    if result.is_finite() || operands.iter().any(|operand| !operand.is_finite()) {
        Ok(result)
    } else {
        Err(out_of_range(what))
    }
}

fn signum(args: &Arguments, data_type: DataType) -> Result<Vector> {
    let values = args.integers(0);
    args.map_integers(data_type, |row| Ok(values[row].signum()))
}

fn identity(args: &Arguments, _: DataType) -> Result<Vector> {
    Ok(args.flats[0].clone().into())
}

/// The type of a decimal rounded to a whole number.
fn whole(types: &[DataType]) -> DataType {
    match types.first() {
        Some(&DataType::Decimal { precision, scale }) => {
            DataType::decimal((precision - scale + 1).min(DECIMAL_MAX_PRECISION), 0)
        }
        other => other.copied().unwrap_or(DataType::Null),
    }
}

/// The type of a decimal that rounding may carry into one more digit.
fn one_digit_more(types: &[DataType]) -> DataType {
    match types.first() {
        Some(&DataType::Decimal { precision, scale }) => {
            DataType::decimal((precision + 1).min(DECIMAL_MAX_PRECISION), scale)
        }
        other => other.copied().unwrap_or(DataType::Null),
    }
}

#[derive(Clone, Copy)]
enum Mode {
    Round,
    Trunc,
    Ceil,
    Floor,
}

/// Rounds a decimal or integer to the digits that the second argument asks for (0 without one), in the scale
/// of the result.
fn round_decimal(args: &Arguments, data_type: DataType, mode: Mode) -> Result<Vector> {
    let scale =
        |data_type| if let DataType::Decimal { scale, .. } = data_type { i64::from(scale) } else { 0 };
    let (from, to) = (scale(args.data_type(0)), scale(data_type));
    let values = args.integers(0);
    let digits = if args.len() > 1 { args.longs(1) } else { vec![0; args.rows] };
    args.map_integers(data_type, |row| {
        // Beyond 38 digits on either side nothing changes any more.
        let (value, keep) = (values[row], digits[row].clamp(-40, from));
        let dropped = from - keep;
        if dropped > 38 {
            return Ok(0);
        }
        let unit = 10_i128.pow(dropped as u32);
        let (quotient, rest) = (value / unit, value % unit);
        let quotient = match mode {
            Mode::Trunc => quotient,
            Mode::Round if rest.abs() >= unit - rest.abs() && rest != 0 => quotient + rest.signum(),
            Mode::Ceil if rest > 0 => quotient + 1,
            Mode::Floor if rest < 0 => quotient - 1,
            _ => quotient,
        };
        // Now in units of 10^-keep; the result counts in 10^-to.
        let shift = to - keep;
        let result = if shift >= 0 {
            10_i128.checked_pow(shift as u32).and_then(|factor| quotient.checked_mul(factor))
        } else {
            Some(quotient)
        };
        in_range(result.ok_or_else(|| out_of_range("round"))?, data_type, "round")
    })
}

/// Rounds doubles to some decimal digits: scaled, rounded, scaled back.
fn float_digits(args: &Arguments, data_type: DataType, round: fn(f64) -> f64) -> Result<Vector> {
    let (values, digits) = (args.floats(0), args.longs(1));
    args.map_floats(data_type, |row| {
        let (x, digits) = (values[row], digits[row].clamp(-400, 400) as i32);
        let scaled = if digits >= 0 { x * 10_f64.powi(digits) } else { x / 10_f64.powi(-digits) };
        if !scaled.is_finite() {
            return Ok(x);
        }
        let rounded = round(scaled);
        let result = if digits >= 0 { rounded / 10_f64.powi(digits) } else { rounded * 10_f64.powi(-digits) };
        // Zero times a unit beyond all doubles is zero; what rounds to a number beyond them stays.
        Ok(if rounded == 0.0 {
            rounded
        } else if result.is_finite() {
            result
        } else {
            x
        })
    })
}
