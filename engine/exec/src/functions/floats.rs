//! Functions of doubles: angles, hyperbolas, the gamma function, what a double is.

use super::arguments::{Arguments, out_of_range};
use super::{Function, Parameter, Returns, Run};
use columnar::{DataType, Result, Vector};

const DOUBLE: Parameter = Parameter::Exact(DataType::Float64);
const RETURNS_DOUBLE: Returns = Returns::Type(DataType::Float64);

pub(super) fn functions() -> Vec<Function> {
    let mut functions = Vec::new();
    // A `Run` is a plain function, so each has its own.
    macro_rules! plain {
        ($($name:literal, $description:literal, $example:literal, $compute:expr;)*) => {
            $(functions.push(Function::new($name, $description, $example).with(
                &[DOUBLE],
                RETURNS_DOUBLE,
                |args, data_type| {
                    let values = args.floats(0);
                    args.map_floats(data_type, |row| Ok($compute(values[row])))
                },
            ));)*
        };
    }
    plain! {
        "asinh", "The inverse hyperbolic sine.", "asinh(0) → 0", f64::asinh;
        "cot", "The cotangent of an angle in radians.", "round(cot(0.5), 6) → 1.830488", |x: f64| 1.0 / x.tan();
        "atand", "The angle in degrees whose tangent is given.", "atand(1) → 45", |x: f64| exact_degrees(x.atan());
        "sind", "The sine of an angle in degrees.", "sind(30) → 0.5", sine_of_degrees;
        "cosd", "The cosine of an angle in degrees.", "cosd(60) → 0.5", |x: f64| sine_of_degrees(x + 90.0);
        "tand", "The tangent of an angle in degrees.", "tand(45) → 1",
            |x: f64| sine_of_degrees(x) / sine_of_degrees(x + 90.0);
        "even", "The next even whole number away from zero.", "even(2.9) → 4", even;
    }
    macro_rules! limited {
        ($($name:literal, $description:literal, $example:literal, $compute:expr, $takes:expr, $what:literal;)*) => {
            $(functions.push(Function::new($name, $description, $example).with_fallible(
                &[DOUBLE],
                RETURNS_DOUBLE,
                |args, data_type| limited(args, data_type, $compute, $takes, $what),
            ));)*
        };
    }
    limited! {
        "asin", "The angle whose sine is given.", "asin(0) → 0", f64::asin,
            |x| x.abs() <= 1.0, "the argument of asin";
        "acos", "The angle whose cosine is given.", "acos(1) → 0", f64::acos,
            |x| x.abs() <= 1.0, "the argument of acos";
        "asind", "The angle in degrees whose sine is given.", "asind(0.5) → 30",
            |x| exact_degrees(x.asin()), |x| x.abs() <= 1.0, "the argument of asind";
        "acosd", "The angle in degrees whose cosine is given.", "acosd(0.5) → 60",
            |x| exact_degrees(x.acos()), |x| x.abs() <= 1.0, "the argument of acosd";
        "atanh", "The inverse hyperbolic tangent.", "atanh(0) → 0", f64::atanh,
            |x| x.abs() < 1.0, "the argument of atanh";
        "acosh", "The inverse hyperbolic cosine.", "acosh(1) → 0", f64::acosh,
            |x| x >= 1.0, "the argument of acosh";
        "cosh", "The hyperbolic cosine.", "cosh(0) → 1", f64::cosh,
            |x| !x.is_finite() || x.cosh().is_finite(), "cosh";
        "gamma", "The gamma function: of a whole number the factorial of the one before.", "gamma(5) → 24",
            libm::tgamma, |x| !x.is_finite() || libm::tgamma(x).is_finite(), "gamma";
        "lgamma", "The logarithm of the gamma function's magnitude.", "lgamma(1) → 0",
            libm::lgamma, |x| !x.is_finite() || libm::lgamma(x).is_finite(), "lgamma";
    }
    let tests: [(&'static str, &'static str, &'static str, Run); 4] = [
        ("isnan", "Whether a double is no number.", "isnan('NaN'::DOUBLE) → true", |args, _| {
            let values = args.floats(0);
            args.map_booleans(|row| values[row].is_nan())
        }),
        (
            "isinf",
            "Whether a double, date or timestamp is infinite.",
            "isinf('-Infinity'::DOUBLE) → true",
            |args, _| {
                let values = args.floats(0);
                args.map_booleans(|row| values[row].is_infinite())
            },
        ),
        (
            "isfinite",
            "Whether a double is a number and not infinite, or a date or timestamp not infinite.",
            "isfinite(5.5) → true",
            |args, _| {
                let values = args.floats(0);
                args.map_booleans(|row| values[row].is_finite())
            },
        ),
        (
            "signbit",
            "Whether a double has a minus sign, which zero may have.",
            "signbit(-1.5) → true",
            |args, _| {
                let values = args.floats(0);
                args.map_booleans(|row| values[row].is_sign_negative())
            },
        ),
    ];
    for (name, description, example, run) in tests {
        let function = Function::new(name, description, example);
        functions.push(function.with(&[DOUBLE], Returns::Type(DataType::Boolean), run));
    }
    functions.extend([
        Function::new(
            "nextafter",
            "The next double towards another.",
            "nextafter(1, 2) → 1.0000000000000002",
        )
        .with(&[DOUBLE, DOUBLE], RETURNS_DOUBLE, |args, data_type| {
            let (from, to) = (args.floats(0), args.floats(1));
            args.map_floats(data_type, |row| Ok(libm::nextafter(from[row], to[row])))
        }),
        Function::new("fdiv", "The floor of a quotient of doubles.", "fdiv(-7, 2) → -4").with_fallible(
            &[DOUBLE, DOUBLE],
            RETURNS_DOUBLE,
            |args, data_type| divided(args, data_type, |a, b| (a / b).floor()),
        ),
        Function::new("fmod", "What a floored quotient of doubles leaves.", "fmod(-7, 2) → 1").with_fallible(
            &[DOUBLE, DOUBLE],
            RETURNS_DOUBLE,
            |args, data_type| divided(args, data_type, |a, b| a - b * (a / b).floor()),
        ),
        Function::new("atan2d", "The angle of a point in degrees, from y and x.", "atan2d(1, 1) → 45").with(
            &[DOUBLE, DOUBLE],
            RETURNS_DOUBLE,
            |args, data_type| {
                let (y, x) = (args.floats(0), args.floats(1));
                args.map_floats(data_type, |row| Ok(exact_degrees(y[row].atan2(x[row]))))
            },
        ),
        Function::new(
            "round_even",
            "A number rounded to digits after the point, half to even.",
            "round_even(2.5, 0) → 2",
        )
        .aliases(&["roundbankers"])
        .with(&[DOUBLE, Parameter::Exact(DataType::Int32)], RETURNS_DOUBLE, |args, data_type| {
            let (values, digits) = (args.floats(0), args.longs(1));
            args.map_floats(data_type, |row| {
                let unit = 10_f64.powi(digits[row].clamp(-400, 400) as i32);
                let rounded = (values[row] * unit).round_ties_even() / unit;
                Ok(if rounded.is_finite() { rounded } else { values[row] })
            })
        }),
    ]);
    functions
}

fn limited(
    args: &Arguments,
    data_type: DataType,
    compute: fn(f64) -> f64,
    takes: fn(f64) -> bool,
    what: &str,
) -> Result<Vector> {
    let values = args.floats(0);
    args.map_floats(data_type, |row| match values[row] {
        x if x.is_nan() || takes(x) => Ok(compute(x)),
        _ => Err(out_of_range(what)),
    })
}

fn divided(args: &Arguments, data_type: DataType, of: fn(f64, f64) -> f64) -> Result<Vector> {
    let (a, b) = (args.floats(0), args.floats(1));
    args.map_floats(data_type, |row| match b[row] {
        0.0 => Err(columnar::Error::DivisionByZero),
        divisor => Ok(of(a[row], divisor)),
    })
}

/// Radians as degrees; a whole number of degrees, but for the last bits, is that number.
fn exact_degrees(radians: f64) -> f64 {
    let degrees = radians.to_degrees();
    if (degrees - degrees.round()).abs() < 1e-13 { degrees.round() } else { degrees }
}

/// Exact at multiples of 30 and 90 degrees, as PostgreSQL has it.
fn sine_of_degrees(degrees: f64) -> f64 {
    let turn = degrees.rem_euclid(360.0);
    let (half, sign) = if turn >= 180.0 { (turn - 180.0, -1.0) } else { (turn, 1.0) };
    let quarter = if half > 90.0 { 180.0 - half } else { half };
    sign * match quarter {
        0.0 => 0.0,
        30.0 => 0.5,
        90.0 => 1.0,
        other => other.to_radians().sin(),
    }
}

fn even(x: f64) -> f64 {
    let up = x.abs().ceil();
    let even = if up % 2.0 == 0.0 { up } else { up + 1.0 };
    if x.is_sign_negative() { -even } else { even }
}
