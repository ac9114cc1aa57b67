//! Single values: literals, bounds, parameters.

use crate::types::{DataType, Interval, TimeUnit};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

/// One value without its type. Everything that is an integer underneath (integers, decimals, dates, times,
/// timestamps) is [`Scalar::Integer`], whatever its width.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Scalar {
    Null,
    Boolean(bool),
    /// An integer; for decimals the unscaled value.
    Integer(i128),
    /// `REAL` and `DOUBLE`; every `f32` is an `f64`.
    Float(f64),
    Interval(Interval),
    /// Text (UTF-8) or binary.
    Bytes(Vec<u8>),
}

/// One value with its type.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Value {
    pub data_type: DataType,
    pub scalar: Scalar,
}

impl Value {
    pub fn new(data_type: DataType, scalar: Scalar) -> Value {
        Value { data_type, scalar }
    }

    pub fn null(data_type: DataType) -> Value {
        Value { data_type, scalar: Scalar::Null }
    }

    pub fn boolean(value: bool) -> Value {
        Value { data_type: DataType::Boolean, scalar: Scalar::Boolean(value) }
    }

    pub fn int32(value: i32) -> Value {
        Value { data_type: DataType::Int32, scalar: Scalar::Integer(value.into()) }
    }

    pub fn int64(value: i64) -> Value {
        Value { data_type: DataType::Int64, scalar: Scalar::Integer(value.into()) }
    }

    pub fn float64(value: f64) -> Value {
        Value { data_type: DataType::Float64, scalar: Scalar::Float(value) }
    }

    pub fn varchar(text: &str) -> Value {
        Value { data_type: DataType::Varchar, scalar: Scalar::Bytes(text.as_bytes().to_vec()) }
    }

    pub fn is_null(&self) -> bool {
        matches!(self.scalar, Scalar::Null)
    }
}

impl Scalar {
    /// The order of two values of one type; `None` where either is null. Floats order as PostgreSQL has
    /// them: NaN equals itself and is above everything else, and -0 equals 0.
    pub fn compare(&self, other: &Scalar) -> Option<Ordering> {
        Some(match (self, other) {
            (Scalar::Boolean(a), Scalar::Boolean(b)) => a.cmp(b),
            (Scalar::Integer(a), Scalar::Integer(b)) => a.cmp(b),
            (Scalar::Float(a), Scalar::Float(b)) => compare_floats(*a, *b),
            (Scalar::Interval(a), Scalar::Interval(b)) => a.comparison_micros().cmp(&b.comparison_micros()),
            (Scalar::Bytes(a), Scalar::Bytes(b)) => a.cmp(b),
            _ => return None,
        })
    }

    pub fn as_integer(&self) -> Option<i128> {
        match self {
            Scalar::Integer(value) => Some(*value),
            _ => None,
        }
    }
}

/// The total order of floats: NaN above all and equal to itself, -0 equal to 0.
pub fn compare_floats(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

impl Value {
    /// Whether one can stand for the other everywhere. Values that are equal need not be: `-0.0` equals `0.0`, and a month 30
    /// days.
    pub fn is_identical(&self, other: &Value) -> bool {
        let same = match (&self.scalar, &other.scalar) {
            (Scalar::Float(a), Scalar::Float(b)) => a.to_bits() == b.to_bits(),
            (Scalar::Interval(a), Scalar::Interval(b)) => {
                (a.months, a.days, a.micros) == (b.months, b.days, b.micros)
            }
            (a, b) => a == b,
        };
        same && self.data_type == other.data_type
    }
}

impl PartialEq for Scalar {
    /// Equality of values as plans compare them: nulls are alike, floats by their total order.
    fn eq(&self, other: &Scalar) -> bool {
        match (self, other) {
            (Scalar::Null, Scalar::Null) => true,
            _ => self.compare(other) == Some(Ordering::Equal),
        }
    }
}

impl Eq for Scalar {}

impl Hash for Scalar {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::mem::discriminant(self).hash(state);
        match self {
            Scalar::Null => {}
            Scalar::Boolean(value) => value.hash(state),
            Scalar::Integer(value) => value.hash(state),
            Scalar::Float(value) if value.is_nan() => f64::NAN.to_bits().hash(state),
            Scalar::Float(value) => (value + 0.0).to_bits().hash(state),
            Scalar::Interval(value) => value.comparison_micros().hash(state),
            Scalar::Bytes(value) => value.hash(state),
        }
    }
}

impl fmt::Display for Value {
    /// The value as SQL prints it, text without quotes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(text) = self.scalar.infinite_text(self.data_type) {
            return f.write_str(text);
        }
        match (&self.scalar, self.data_type) {
            (Scalar::Null, _) => f.write_str("NULL"),
            (Scalar::Boolean(value), _) => write!(f, "{value}"),
            (Scalar::Integer(value), DataType::Decimal { scale, .. }) => write_decimal(f, *value, scale),
            (Scalar::Integer(value), DataType::Date) => {
                let era = write_date(f, *value as i64)?;
                f.write_str(era)
            }
            (Scalar::Integer(value), DataType::TimeZoned) => crate::time_zoned::write(f, *value as i64),
            (Scalar::Integer(value), DataType::Time) => write_clock(f, *value as i64, TimeUnit::Microsecond),
            (Scalar::Integer(value), DataType::Timestamp { unit, zone }) => {
                write_timestamp(f, *value as i64, unit, if zone { "+00" } else { "" })
            }
            (Scalar::Integer(value), DataType::Uuid) => crate::uuid::write(f, *value),
            (Scalar::Integer(code), DataType::Enum(kind)) => f.write_str(kind.value(*code).unwrap_or("?")),
            (Scalar::Integer(value), _) => write!(f, "{value}"),
            (Scalar::Float(value), DataType::Float32) => {
                let single = *value as f32;
                write_float(f, *value, &format!("{single:e}"), format!("{single}"), 6)
            }
            (Scalar::Float(value), _) => {
                write_float(f, *value, &format!("{value:e}"), format!("{value}"), 15)
            }
            (Scalar::Interval(value), _) => write_interval(f, *value),
            (Scalar::Bytes(value), DataType::Binary) => {
                f.write_str("\\x")?;
                value.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
            (Scalar::Bytes(value), DataType::Nested(kind)) => {
                f.write_str(&crate::packed::text(value, kind).unwrap_or_else(|_| "?".into()))
            }
            (Scalar::Bytes(value), _) => f.write_str(&String::from_utf8_lossy(value)),
        }
    }
}

fn write_decimal(f: &mut fmt::Formatter<'_>, value: i128, scale: u8) -> fmt::Result {
    if scale == 0 {
        return write!(f, "{value}");
    }
    let unit = 10_u128.pow(scale.into());
    let magnitude = value.unsigned_abs();
    let sign = if value < 0 { "-" } else { "" };
    write!(f, "{sign}{}.{:0width$}", magnitude / unit, magnitude % unit, width = scale.into())
}

/// The fewest digits that name the value, as PostgreSQL writes them: with an exponent below -4 and from `digits`
/// on.
fn write_float(
    f: &mut fmt::Formatter<'_>,
    value: f64,
    scientific: &str,
    plain: String,
    digits: i32,
) -> fmt::Result {
    match value {
        _ if value.is_nan() => f.write_str("NaN"),
        f64::INFINITY => f.write_str("Infinity"),
        f64::NEG_INFINITY => f.write_str("-Infinity"),
        _ => match scientific.split_once('e').map(|(mantissa, power)| (mantissa, power.parse::<i32>())) {
            Some((mantissa, Ok(power))) if power < -4 || power >= digits => {
                let sign = if power < 0 { '-' } else { '+' };
                write!(f, "{mantissa}e{sign}{:02}", power.unsigned_abs())
            }
            _ => f.write_str(&plain),
        },
    }
}

/// Writes a date, and gives what must follow it and what else is written of a moment.
fn write_date(f: &mut impl fmt::Write, days: i64) -> std::result::Result<&'static str, fmt::Error> {
    let (year, month, day) = civil_from_days(days);
    if year <= 0 {
        write!(f, "{:04}-{month:02}-{day:02}", 1 - year)?;
        return Ok(" BC");
    }
    write!(f, "{year:04}-{month:02}-{day:02}")?;
    Ok("")
}

/// A timestamp that is finite, in `unit`s since 1970, with the offset of its time zone as it is given.
pub fn write_timestamp(f: &mut impl fmt::Write, value: i64, unit: TimeUnit, offset: &str) -> fmt::Result {
    let day = 86_400 * unit.per_second();
    let era = write_date(f, value.div_euclid(day))?;
    f.write_str(" ")?;
    write_clock(f, value.rem_euclid(day), unit)?;
    f.write_str(offset)?;
    f.write_str(era)
}

pub(crate) fn write_clock(f: &mut impl fmt::Write, since_midnight: i64, unit: TimeUnit) -> fmt::Result {
    let per_second = unit.per_second();
    let (seconds, fraction) = (since_midnight / per_second, since_midnight % per_second);
    write!(f, "{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)?;
    if fraction != 0 {
        let digits = per_second.ilog10() as usize;
        let text = format!("{fraction:0digits$}");
        write!(f, ".{}", text.trim_end_matches('0'))?;
    }
    Ok(())
}

fn write_interval(f: &mut fmt::Formatter<'_>, interval: Interval) -> fmt::Result {
    let plural = |n: i32| if n == 1 { "" } else { "s" };
    let mut parts = Vec::new();
    let (years, months) = (interval.months / 12, interval.months % 12);
    if years != 0 {
        parts.push(format!("{years} year{}", plural(years)));
    }
    if months != 0 {
        parts.push(format!("{months} mon{}", plural(months)));
    }
    if interval.days != 0 {
        parts.push(format!("{} day{}", interval.days, plural(interval.days)));
    }
    f.write_str(&parts.join(" "))?;
    if interval.micros != 0 || parts.is_empty() {
        let sign = if interval.micros < 0 { "-" } else { "" };
        let magnitude = interval.micros.unsigned_abs();
        let (seconds, micros) = (magnitude / 1_000_000, magnitude % 1_000_000);
        f.write_str(if parts.is_empty() { "" } else { " " })?;
        write!(f, "{sign}{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)?;
        if micros != 0 {
            write!(f, ".{}", format!("{micros:06}").trim_end_matches('0'))?;
        }
    }
    Ok(())
}

/// Year, month (1–12) and day of the proleptic Gregorian calendar, `days` after 1970-01-01.
/// Algorithm: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms" (2013).
pub fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * shifted_month + 2) / 5 + 1) as u32;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 } as u32;
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Days after 1970-01-01 of a date of the proleptic Gregorian calendar; the inverse of [`civil_from_days`].
pub fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month = i64::from(month);
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}
