//! Text to values: what literals and casts from text share.

mod bytes;
mod interval;
mod moment;
mod number;

pub use interval::interval;
pub use number::float_to_integer;

use crate::functions::zone::Zone;
use columnar::types::EnumType;
use columnar::{DataType, Error, PhysicalType, Result, Scalar, TimeUnit, Value};

/// The instant that `text` spells, in microseconds; where it names no zone, `zone` is meant.
pub(crate) fn instant(text: &str, zone: Zone) -> Result<i128> {
    let data_type = DataType::Timestamp { unit: TimeUnit::Microsecond, zone: true };
    let invalid = || Error::InvalidText { text: text.to_owned(), data_type: data_type.to_string() };
    let value = moment::timestamp(text.trim(), TimeUnit::Microsecond, Some(zone)).ok_or_else(invalid)?;
    match data_type.integer_bounds() {
        Some((low, high)) if value < low || value > high => {
            Err(Error::OutOfRange { what: format!("'{text}' as {data_type}") })
        }
        _ => Ok(value),
    }
}

/// The value that `text` spells, as PostgreSQL reads it; blanks around it do not count, but in text they do.
/// A bare `NULL`'s type reads text.
pub fn parse(text: &str, data_type: DataType) -> Result<Value> {
    scalar(text, data_type).map(|scalar| Value::new(data_type, scalar))
}

/// As [`parse`], without the type.
pub fn scalar(text: &str, data_type: DataType) -> Result<Scalar> {
    if let DataType::Nested(kind) = data_type {
        return columnar::packed::parse(text, kind, &scalar).map(Scalar::Bytes);
    }
    let trimmed = text.trim();
    let invalid = || Error::InvalidText { text: text.to_owned(), data_type: data_type.to_string() };
    let out_of_range = || Error::OutOfRange { what: format!("'{text}' as {data_type}") };
    let integer = |value: i128| -> Result<Scalar> {
        match data_type.integer_bounds() {
            Some((low, high)) if value < low || value > high => Err(out_of_range()),
            _ => Ok(Scalar::Integer(value)),
        }
    };
    match data_type {
        DataType::Varchar | DataType::Null => Ok(Scalar::Bytes(text.as_bytes().to_vec())),
        DataType::Json { canonical } => {
            crate::json::read(text, canonical, data_type).map(|text| Scalar::Bytes(text.into_owned()))
        }
        DataType::Bits if super::bit_cast::is_bits(trimmed.as_bytes()) => {
            Ok(Scalar::Bytes(trimmed.as_bytes().to_vec()))
        }
        DataType::Bits => Err(invalid()),
        DataType::Binary => bytes::bytes(text).map(Scalar::Bytes).ok_or_else(invalid),
        DataType::Boolean => boolean(trimmed).map(Scalar::Boolean).ok_or_else(invalid),
        DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Int128
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32
        | DataType::UInt64 => match number::whole(trimmed).ok_or_else(invalid)? {
            Some(value) => integer(value),
            None => Err(out_of_range()),
        },
        DataType::Decimal { scale, .. } => match number::decimal(trimmed, scale).ok_or_else(invalid)? {
            Some(value) => integer(value),
            None => Err(out_of_range()),
        },
        DataType::Float32 | DataType::Float64 => {
            let (value, infinite) = number::float(trimmed).ok_or_else(invalid)?;
            let value =
                if data_type.physical() == PhysicalType::F32 { f64::from(value as f32) } else { value };
            if value.is_infinite() && !infinite { Err(out_of_range()) } else { Ok(Scalar::Float(value)) }
        }
        DataType::Date => integer(moment::date(trimmed).ok_or_else(invalid)?),
        DataType::TimeZoned => integer(moment::time_zoned(trimmed).ok_or_else(invalid)?.into()),
        DataType::Time => integer(moment::time(trimmed).ok_or_else(invalid)?.into()),
        DataType::Timestamp { unit, zone } => {
            let zone = zone.then_some(Zone::Fixed(0));
            integer(moment::timestamp(trimmed, unit, zone).ok_or_else(invalid)?)
        }
        DataType::Interval => interval(trimmed).map(Scalar::Interval).ok_or_else(invalid),
        DataType::Uuid => columnar::uuid::read(trimmed).map(Scalar::Integer).ok_or_else(invalid),
        DataType::Enum(kind) => match kind.code(text) {
            Some(code) => Ok(Scalar::Integer(code.into())),
            None => Err(Error::Told(no_value(text, kind))),
        },
        DataType::Nested(_) => Err(Error::Unsupported(format!("a cast of text to {data_type}"))),
    }
}

/// What is said of a text that is no value of an enum.
fn no_value(text: &str, kind: EnumType) -> String {
    /// Values that are named.
    const SHOWN: usize = 10;
    let mut values: Vec<String> = kind.values.iter().take(SHOWN).map(|value| format!("'{value}'")).collect();
    if kind.values.len() > SHOWN {
        values.push("…".into());
    }
    let of = kind.name.as_deref().map_or_else(|| "the ENUM".to_owned(), |name| format!("the ENUM {name}"));
    format!("'{text}' is not a value of {of}: {}", values.join(", "))
}

/// `true`, `yes`, `on`, `1`, their opposites and what abbreviates them.
fn boolean(text: &str) -> Option<bool> {
    let lower = text.to_ascii_lowercase();
    let abbreviates = |word: &str, least: usize| lower.len() >= least && word.starts_with(&lower);
    if abbreviates("true", 1) || abbreviates("yes", 1) || lower == "on" || lower == "1" {
        Some(true)
    } else if abbreviates("false", 1) || abbreviates("no", 1) || abbreviates("off", 2) || lower == "0" {
        Some(false)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_postgresql_reads() {
        let timestamp = DataType::TIMESTAMP;
        let zoned = DataType::Timestamp { unit: TimeUnit::Microsecond, zone: true };
        for (text, data_type, expected) in [
            (" 42 ", DataType::Int32, "42"),
            ("0.5", DataType::Int32, "1"),
            ("-2.5", DataType::Int32, "-3"),
            ("1e3", DataType::Int16, "1000"),
            ("-4e-1", DataType::Int8, "0"),
            ("1_000", DataType::Int32, "1000"),
            ("1_000.2_5", DataType::decimal(6, 2), "1000.25"),
            ("0x1f", DataType::Int32, "31"),
            ("-0b101", DataType::Int32, "-5"),
            ("0o17", DataType::Int32, "15"),
            ("infinity", DataType::Date, "infinity"),
            ("-Infinity", timestamp, "-infinity"),
            ("epoch", zoned, "1970-01-01 00:00:00+00"),
            ("0044-03-15 (BC) 10:20:30", timestamp, "0044-03-15 10:20:30 BC"),
            ("0044-03-15 10:20:30 BC", timestamp, "0044-03-15 10:20:30 BC"),
            ("2020-07-01 12:00 Europe/Berlin", zoned, "2020-07-01 10:00:00+00"),
            ("2020-07-01 12:00 Asia/Baghdad", zoned, "2020-07-01 09:00:00+00"),
            ("2020-07-01 12:00:00+05:30", zoned, "2020-07-01 06:30:00+00"),
            ("12:30:00+02", DataType::Time, "12:30:00"),
            ("12:30:00.5+02", DataType::TimeZoned, "12:30:00.5+02"),
            ("12:30 -05:30", DataType::TimeZoned, "12:30:00-05:30"),
            ("12:30", DataType::TimeZoned, "12:30:00+00"),
            ("100000-01-01", DataType::Date, "100000-01-01"),
            ("1.9 microseconds", DataType::Interval, "00:00:00.000001"),
            ("1.0000019 seconds", DataType::Interval, "00:00:01.000002"),
            ("0.000123 seconds", DataType::Interval, "00:00:00.000123"),
            ("1 month 13.5 days", DataType::Interval, "1 mon 13 days 12:00:00"),
            ("1 12:30:00", DataType::Interval, "1 day 12:30:00"),
            ("P0001-02-03T04:05:06", DataType::Interval, "1 year 2 mons 3 days 04:05:06"),
            ("P1Y2M", DataType::Interval, "1 year 2 mons"),
            ("@ 1 minute ago", DataType::Interval, "-00:01:00"),
            ("-128", DataType::Int8, "-128"),
            ("+7", DataType::Int64, "7"),
            ("1.005", DataType::decimal(5, 2), "1.01"),
            ("-1.005", DataType::decimal(5, 2), "-1.01"),
            (".5", DataType::decimal(5, 2), "0.50"),
            ("1e2", DataType::decimal(5, 2), "100.00"),
            ("12345e-3", DataType::decimal(5, 2), "12.35"),
            ("1e400", DataType::Varchar, "1e400"),
            ("1.5e3", DataType::Float64, "1500"),
            ("-inf", DataType::Float64, "-Infinity"),
            ("nan", DataType::Float32, "NaN"),
            ("yes", DataType::Boolean, "true"),
            ("F", DataType::Boolean, "false"),
            ("1995-03-15", DataType::Date, "1995-03-15"),
            ("1995-3-5", DataType::Date, "1995-03-05"),
            ("19950315", DataType::Date, "1995-03-15"),
            ("2000-02-29", DataType::Date, "2000-02-29"),
            ("0044-03-15 BC", DataType::Date, "0044-03-15 BC"),
            ("1995-03-15 13:14:15", DataType::Date, "1995-03-15"),
            ("04:05:06.789", DataType::Time, "04:05:06.789"),
            ("4:05", DataType::Time, "04:05:00"),
            ("1995-03-15", timestamp, "1995-03-15 00:00:00"),
            ("1995-03-15T10:20:30.1234567", timestamp, "1995-03-15 10:20:30.123457"),
            ("1995-03-15 10:20:30+02", timestamp, "1995-03-15 10:20:30"),
            ("1995-03-15 10:20:30+02", zoned, "1995-03-15 08:20:30+00"),
            ("1995-03-15 10:20:30 -05:30", zoned, "1995-03-15 15:50:30+00"),
            ("1995-03-15 10:20:30Z", zoned, "1995-03-15 10:20:30+00"),
            ("1 year 2 mons 3 days 04:05:06", DataType::Interval, "1 year 2 mons 3 days 04:05:06"),
            ("90 day", DataType::Interval, "90 days"),
            ("-1 month", DataType::Interval, "-1 mons"),
            ("1.5 days", DataType::Interval, "1 day 12:00:00"),
            ("1 day ago", DataType::Interval, "-1 days"),
            ("-04:05", DataType::Interval, "-04:05:00"),
            ("P1Y2M3DT4H5M6S", DataType::Interval, "1 year 2 mons 3 days 04:05:06"),
            ("90", DataType::Interval, "00:01:30"),
            ("2 weeks 1.5 hours", DataType::Interval, "14 days 01:30:00"),
            ("1-2", DataType::Interval, "1 year 2 mons"),
            ("\\x4aFf", DataType::Binary, "\\x4aff"),
            ("\\x41 42", DataType::Binary, "\\x4142"),
            ("\\x41\\x42", DataType::Binary, "\\x4142"),
            ("a\\x00b\\\\\\101", DataType::Binary, "\\x6100625c41"),
            (" [1 , 2] ", DataType::Json { canonical: false }, " [1 , 2] "),
            (" [1 , 2] ", DataType::Json { canonical: true }, "[1, 2]"),
            ("0110", DataType::Bits, "0110"),
            ("255", DataType::UInt8, "255"),
            ("18446744073709551615", DataType::UInt64, "18446744073709551615"),
            ("-0", DataType::UInt16, "0"),
            (
                "-170141183460469231731687303715884105728",
                DataType::Int128,
                "-170141183460469231731687303715884105728",
            ),
            (
                "-0x80000000000000000000000000000000",
                DataType::Int128,
                "-170141183460469231731687303715884105728",
            ),
            (
                " {A0EEBC99-9c0b-4ef8-bb6d-6bb9bd380a11} ",
                DataType::Uuid,
                "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            ),
        ] {
            assert_eq!(parse(text, data_type).map(|v| v.to_string()), Ok(expected.to_string()), "{text}");
        }
        for (text, data_type) in [
            ("", DataType::Int32),
            ("1_", DataType::Int32),
            ("_1", DataType::Int32),
            ("1__0", DataType::Int32),
            ("0x", DataType::Int32),
            ("0xg", DataType::Int32),
            (".", DataType::Int32),
            ("1e", DataType::Int32),
            ("127.5", DataType::Int8),
            ("infinite", DataType::Date),
            ("294247-01-10 04:00:54.775807", timestamp),
            ("--1", DataType::Int32),
            ("128", DataType::Int8),
            ("999999999999999999999999999999999999999999", DataType::Int64),
            ("1000", DataType::decimal(5, 2)),
            ("1e99999999999", DataType::decimal(5, 2)),
            (".", DataType::decimal(5, 2)),
            ("1e400", DataType::Float64),
            ("1e39", DataType::Float32),
            ("0x10", DataType::Float64),
            ("maybe", DataType::Boolean),
            ("1995-02-29", DataType::Date),
            ("1995-13-01", DataType::Date),
            ("1995", DataType::Date),
            ("99999999-01-01", DataType::Date),
            ("24:00:01", DataType::Time),
            ("12:30:00+16", DataType::TimeZoned),
            ("12:30:00 Europe/Berlin", DataType::TimeZoned),
            ("12:60", DataType::Time),
            ("1995-03-15 25:00", timestamp),
            ("1995-03-15 10:20 nowhere", timestamp),
            ("1 fortnight", DataType::Interval),
            ("", DataType::Interval),
            ("99999999999 years", DataType::Interval),
            // Beyond 128 bits by rounding, by adding and by turning a sign round.
            ("170141183460469231731687303715884105727.5", DataType::decimal(38, 0)),
            ("1 us 170141183460469231731687303715884105727.5 us", DataType::Interval),
            ("-1--170141183460469231731687303715884105728", DataType::Interval),
            ("\\x4", DataType::Binary),
            ("\\x4g", DataType::Binary),
            ("a\\", DataType::Binary),
            ("a\\xg0", DataType::Binary),
            ("a\\400", DataType::Binary),
            ("{", DataType::Json { canonical: true }),
            ("012", DataType::Bits),
            ("256", DataType::UInt8),
            ("-1", DataType::UInt64),
            ("170141183460469231731687303715884105728", DataType::Int128),
            ("0x80000000000000000000000000000000", DataType::Int128),
            ("a0eebc99", DataType::Uuid),
            ("é", DataType::Date),
        ] {
            assert!(parse(text, data_type).is_err(), "{text} as {data_type}");
        }
    }

    #[test]
    fn an_enum_says_what_it_has() {
        let values = (0..12).map(|place| format!("v{place}")).collect();
        let data_type = columnar::types::enumeration(Some("mood"), values).unwrap();
        assert_eq!(scalar("v11", data_type), Ok(Scalar::Integer(11)));
        let error = scalar("v12", data_type).unwrap_err().to_string();
        assert!(error.contains("'v12'") && error.contains("mood") && error.contains("'v9', …"), "{error}");
    }
}
