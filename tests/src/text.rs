//! The canonical text of values and the letters of types in `.slt` files; `tests/oracle/engines.py` writes
//! the same and describes it.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, IntervalMonthDayNanoType, IntervalUnit, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use sqllogictest::ColumnType;

/// The type of a column in a `query` line: I integer, N decimal, R float, T text, B boolean, D date, M time,
/// S timestamp, V interval, X blob, L list, struct or map. `?` is any.
#[derive(Clone, Debug)]
pub struct Letter(pub char);

impl Letter {
    pub fn of(data_type: &DataType) -> Letter {
        Letter(match data_type {
            DataType::Dictionary(_, values) => return Letter::of(values),
            DataType::Null => '?',
            DataType::Decimal128(_, 0) => 'I',
            // UUIDs.
            DataType::FixedSizeBinary(16) => 'T',
            DataType::Decimal128(..) => 'N',
            DataType::Float32 | DataType::Float64 => 'R',
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => 'T',
            DataType::Boolean => 'B',
            DataType::Date32 => 'D',
            DataType::Time64(_) => 'M',
            DataType::Timestamp(..) => 'S',
            DataType::Interval(_) => 'V',
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView => 'X',
            other if other.is_integer() => 'I',
            other if other.is_nested() => 'L',
            _ => '!',
        })
    }
}

impl PartialEq for Letter {
    fn eq(&self, other: &Letter) -> bool {
        self.0 == other.0 || self.0 == '?' || other.0 == '?'
    }
}

impl Eq for Letter {}

impl ColumnType for Letter {
    fn from_char(value: char) -> Option<Letter> {
        Some(Letter(value))
    }

    fn to_char(&self) -> char {
        self.0
    }
}

/// The rows of batches as text.
pub fn rows(batches: &[RecordBatch]) -> Result<Vec<Vec<String>>, ArrowError> {
    let mut rows = Vec::new();
    for batch in batches {
        let columns = batch.columns().iter().map(column).collect::<Result<Vec<_>, _>>()?;
        rows.extend(
            (0..batch.num_rows()).map(|row| columns.iter().map(|column| column[row].clone()).collect()),
        );
    }
    Ok(rows)
}

/// The values of a column as text.
fn column(array: &ArrayRef) -> Result<Vec<String>, ArrowError> {
    let text = |value: &dyn Fn(usize) -> String| -> Vec<String> {
        (0..array.len()).map(|row| if array.is_null(row) { "NULL".into() } else { value(row) }).collect()
    };
    Ok(match array.data_type() {
        DataType::Null => text(&|_| "NULL".into()),
        DataType::Dictionary(_, values) => column(&cast(array, values)?)?,
        DataType::Int8 => text(&|row| array.as_primitive::<Int8Type>().value(row).to_string()),
        DataType::Int16 => text(&|row| array.as_primitive::<Int16Type>().value(row).to_string()),
        DataType::Int32 => text(&|row| array.as_primitive::<Int32Type>().value(row).to_string()),
        DataType::Int64 => text(&|row| array.as_primitive::<Int64Type>().value(row).to_string()),
        DataType::UInt8 => text(&|row| array.as_primitive::<UInt8Type>().value(row).to_string()),
        DataType::UInt16 => text(&|row| array.as_primitive::<UInt16Type>().value(row).to_string()),
        DataType::UInt32 => text(&|row| array.as_primitive::<UInt32Type>().value(row).to_string()),
        DataType::UInt64 => text(&|row| array.as_primitive::<UInt64Type>().value(row).to_string()),
        DataType::FixedSizeBinary(16) => {
            let bytes = array.as_fixed_size_binary();
            text(&|row| {
                let bytes = bytes.value(row).try_into().unwrap_or_default();
                let uuid = columnar::Scalar::Integer(columnar::uuid::from_bytes(bytes));
                columnar::Value::new(columnar::DataType::Uuid, uuid).to_string()
            })
        }
        DataType::Decimal128(_, scale) => {
            text(&|row| decimal(array.as_primitive::<Decimal128Type>().value(row), *scale))
        }
        DataType::Float32 => text(&|row| float(f64::from(array.as_primitive::<Float32Type>().value(row)))),
        DataType::Float64 => text(&|row| float(array.as_primitive::<Float64Type>().value(row))),
        DataType::Boolean => text(&|row| array.as_boolean().value(row).to_string()),
        DataType::Utf8 => text(&|row| quoted(array.as_string::<i32>().value(row))),
        DataType::LargeUtf8 => text(&|row| quoted(array.as_string::<i64>().value(row))),
        DataType::Utf8View => text(&|row| quoted(array.as_string_view().value(row))),
        DataType::Binary => text(&|row| hexadecimal(array.as_binary::<i32>().value(row))),
        DataType::BinaryView => text(&|row| hexadecimal(array.as_binary_view().value(row))),
        DataType::Date32 => {
            let dates = array.as_primitive::<Date32Type>();
            text(&|row| dates.value_as_date(row).map_or_else(|| "?".into(), |date| date.to_string()))
        }
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            let intervals = array.as_primitive::<IntervalMonthDayNanoType>();
            text(&|row| {
                let value = intervals.value(row);
                let seconds = trimmed(&decimal(i128::from(value.nanoseconds), 9));
                format!("{}mon {}d {seconds}s", value.months, value.days)
            })
        }
        // Instants are shown in UTC, whatever the zone of the session.
        DataType::Timestamp(unit, Some(zone)) if zone.as_ref() != "UTC" => {
            let data_type = DataType::Timestamp(*unit, Some("UTC".into()));
            let data = array.to_data().into_builder().data_type(data_type).build()?;
            column(&arrow::array::make_array(data))?
        }
        DataType::Time64(_) | DataType::Timestamp(..) => {
            let options = FormatOptions::new()
                .with_time_format(Some("%H:%M:%S%.9f"))
                .with_timestamp_format(Some("%Y-%m-%d %H:%M:%S%.9f"))
                .with_timestamp_tz_format(Some("%Y-%m-%d %H:%M:%S%.9f"));
            let formatter = ArrayFormatter::try_new(array.as_ref(), &options)?;
            text(&|row| trimmed(&formatter.value(row).to_string()))
        }
        // As SQL prints it.
        other if other.is_nested() => {
            let wrong = |error: columnar::Error| ArrowError::CastError(error.to_string());
            let of = columnar::arrow::data_type_of("", other).map_err(wrong)?;
            let vector = columnar::arrow::vector("", array).map_err(wrong)?;
            text(&|row| quoted(&columnar::Value::new(of, vector.scalar(row)).to_string()))
        }
        other => return Err(ArrowError::NotYetImplemented(format!("text of {other}"))),
    })
}

/// A number scaled by 10^`scale`.
fn decimal(value: i128, scale: i8) -> String {
    let scale = usize::try_from(scale).unwrap_or(0);
    let digits = format!("{:0>width$}", value.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let sign = if value < 0 { "-" } else { "" };
    if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// Without zeros at the end of the fraction.
fn trimmed(text: &str) -> String {
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_string(),
        false => text.to_string(),
    }
}

/// As C's `%.12g`; zero has no sign.
fn float(value: f64) -> String {
    if value == 0.0 {
        return "0".into();
    }
    if !value.is_finite() {
        return if value.is_nan() { "nan".into() } else { value.to_string() };
    }
    let scientific = format!("{value:.11e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..12).contains(&exponent) {
        let places = usize::try_from(11 - exponent).unwrap_or(0);
        trimmed(&format!("{value:.places$}"))
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{}e{sign}{:02}", trimmed(mantissa), exponent.abs())
    }
}

/// Text on one line, with its blanks visible.
fn quoted(text: &str) -> String {
    if text.is_empty() {
        return "(empty)".into();
    }
    let escaped = text.replace('\\', "\\\\").replace('\n', "\\n").replace('\t', "\\t").replace('\r', "\\r");
    if text.starts_with(' ') || text.ends_with(' ') { format!("'{escaped}'") } else { escaped }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold("\\x".to_string(), |text, byte| text + &format!("{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_c_does() {
        let cases = [
            (1.0, "1"),
            (-0.0, "0"),
            (0.1 + 0.2, "0.3"),
            (1e11, "100000000000"),
            (1e12, "1e+12"),
            (1.5e-5, "1.5e-05"),
            (0.0001, "0.0001"),
            (123456.789, "123456.789"),
            (-2.5e300, "-2.5e+300"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
            (999999999999.9, "1e+12"),
        ];
        for (value, text) in cases {
            assert_eq!(float(value), text);
        }
    }

    #[test]
    fn decimals_keep_their_scale() {
        assert_eq!(decimal(150, 2), "1.50");
        assert_eq!(decimal(-5, 2), "-0.05");
        assert_eq!(decimal(0, 0), "0");
        assert_eq!(trimmed(&decimal(3_500_000_000, 9)), "3.5");
        assert_eq!(trimmed(&decimal(0, 9)), "0");
    }

    #[test]
    fn blanks_of_text_are_visible() {
        assert_eq!(quoted(""), "(empty)");
        assert_eq!(quoted(" a\n"), "' a\\n'");
        assert_eq!(quoted("a b"), "a b");
    }
}
