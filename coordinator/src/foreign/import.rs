//! Rows of foreign servers as batches: of the types that were asked for, with values that Tundra has. What drivers give
//! is not trusted.

use crate::error::{Error, Result};
use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, RecordBatch};
use arrow::datatypes::{DataType as ArrowType, Decimal128Type};
use columnar::{Batch, DataType, Flat, Values, Vector};
use exec::memory::{MemoryPool, Reservation};
use std::sync::Arc;

/// Days of the dates that PostgreSQL has: its infinite ones come as others.
const DAYS: std::ops::RangeInclusive<i32> = -2_440_588..=2_145_031_948;
/// The same in microseconds, as far as there are so many.
const MICROS: std::ops::Range<i64> = -210_866_803_200_000_000..9_223_371_331_200_000_000;
const DAY_MICROS: i64 = 86_400_000_000;

/// Rows, and what they hold of the memory that queries have.
pub(super) struct Imported {
    pub(super) batch: Batch,
    pub(super) bytes: u64,
    pub(super) reservation: Reservation,
}

/// The rows as `types`, without nulls in the columns at `not_null`.
pub(super) fn import(
    rows: &RecordBatch,
    types: &[DataType],
    not_null: &[usize],
    server: &str,
    memory: &Arc<MemoryPool>,
) -> Result<Imported> {
    // What the driver holds, and what is made of it.
    let bytes = rows.columns().iter().map(|column| column.get_array_memory_size() as u64).sum::<u64>();
    let mut reservation = memory.reservation("foreign rows");
    reservation.grow(bytes.saturating_mul(2))?;
    if rows.num_columns() != types.len().max(1) {
        return Err(wrong(
            server,
            format!("{} columns, and {} are expected", rows.num_columns(), types.len()),
        ));
    }
    // The plan relies on it.
    if let Some(column) = not_null
        .iter()
        .find(|&&place| rows.columns().get(place).is_some_and(|column| column.logical_null_count() > 0))
    {
        return Err(wrong(
            server,
            format!("a null in column {} of the answer, whose tables have none there", column + 1),
        ));
    }
    let schema = rows.schema();
    let columns = rows.columns().iter().zip(schema.fields()).zip(types);
    let vectors = columns.map(|((array, field), &data_type)| {
        array.to_data().validate_full().map_err(|error| wrong(server, error.to_string()))?;
        let vector = match data_type {
            DataType::Decimal { precision, scale } => decimals(array, precision, scale, server)?,
            _ => columnar::arrow::vector(field.name(), array)
                .map_err(|error| wrong(server, error.to_string()))?,
        };
        check(&vector, data_type, server)?;
        Ok(vector)
    });
    let batch = Batch::of_rows(vectors.collect::<Result<Vec<_>>>()?, rows.num_rows());
    Ok(Imported { batch, bytes, reservation })
}

fn wrong(server: &str, what: impl std::fmt::Display) -> Error {
    Error::Environment(format!("server {server} gives what was not asked for: {what}"))
}

/// That the values are of the type, and within it.
fn check(vector: &Vector, data_type: DataType, server: &str) -> Result<()> {
    let Vector::Flat(Flat { data_type: has, values, validity }) = vector else {
        return Err(wrong(server, "a column that is a dictionary"));
    };
    if *has != data_type || (values.physical() != data_type.physical()) {
        return Err(wrong(server, format!("{has}, and {data_type} is expected")));
    }
    let valid = |row: usize| validity.as_ref().is_none_or(|bits| bits.get(row));
    let outside = match (data_type, values) {
        (DataType::Date, Values::I32(days)) => {
            days.iter().enumerate().any(|(row, day)| valid(row) && !DAYS.contains(day))
        }
        (DataType::Time, Values::I64(micros)) => {
            micros.iter().enumerate().any(|(row, micros)| valid(row) && !(0..DAY_MICROS).contains(micros))
        }
        (
            DataType::TIMESTAMP | DataType::Timestamp { unit: columnar::TimeUnit::Microsecond, .. },
            Values::I64(micros),
        ) => micros.iter().enumerate().any(|(row, micros)| valid(row) && !MICROS.contains(micros)),
        _ => false,
    };
    match outside {
        true => Err(wrong(server, format!("a {data_type} that is infinite, or beyond what Tundra has"))),
        false => Ok(()),
    }
}

/// Decimals come as such, or as text where the engine's have no bounds.
fn decimals(array: &ArrayRef, precision: u8, scale: u8, server: &str) -> Result<Vector> {
    let most = 10_i128.pow(precision.into());
    let mut values: Vec<i128> = Vec::with_capacity(array.len());
    let mut one = |value: Option<i128>| values.push(value.unwrap_or(0));
    let beyond = |value: &str| {
        wrong(
            server,
            format!("the number {value}, which is no DECIMAL({precision},{scale}) without rounding"),
        )
    };
    match array.data_type() {
        ArrowType::Utf8 | ArrowType::LargeUtf8 | ArrowType::Utf8View => {
            let texts: Box<dyn Iterator<Item = Option<&str>>> = match array.data_type() {
                ArrowType::Utf8 => Box::new(array.as_string::<i32>().iter()),
                ArrowType::LargeUtf8 => Box::new(array.as_string::<i64>().iter()),
                _ => Box::new(array.as_string_view().iter()),
            };
            for text in texts {
                let number = text.map(|text| parse(text, scale).ok_or_else(|| beyond(text))).transpose()?;
                if let (Some(number), Some(text)) = (number, text)
                    && number.unsigned_abs() >= most.unsigned_abs()
                {
                    return Err(beyond(text));
                }
                one(number);
            }
        }
        ArrowType::Decimal128(_, has) => {
            let factor =
                u32::try_from(i32::from(scale) - i32::from(*has)).ok().and_then(|by| 10_i128.checked_pow(by));
            let numbers: &Decimal128Array = array.as_primitive::<Decimal128Type>();
            for number in numbers.iter() {
                let scaled = number.map(|number| {
                    let scaled = factor.and_then(|factor| number.checked_mul(factor));
                    let scaled = scaled.filter(|scaled| scaled.unsigned_abs() < most.unsigned_abs());
                    scaled.ok_or_else(|| beyond(&format!("{number} / 10^{has}")))
                });
                one(scaled.transpose()?);
            }
        }
        other => return Err(wrong(server, format!("{other}, and DECIMAL({precision},{scale}) is expected"))),
    }
    let array = Decimal128Array::new(values.into(), array.nulls().cloned());
    let array = array.with_precision_and_scale(precision, scale as i8);
    let array: ArrayRef = Arc::new(array.map_err(|error| wrong(server, error.to_string()))?);
    columnar::arrow::vector("decimal", &array).map_err(|error| wrong(server, error.to_string()))
}

/// The digits of a number, scaled; `None` where it is none, or has more digits behind the point.
fn parse(text: &str, scale: u8) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if !fraction.is_ascii() {
        return None;
    }
    let scale = usize::from(scale);
    let (kept, beyond) = fraction.split_at_checked(scale).unwrap_or((fraction, ""));
    if whole.is_empty() || beyond.bytes().any(|byte| byte != b'0') {
        return None;
    }
    let mut number: i128 = 0;
    let zeros = std::iter::repeat_n(b'0', scale - kept.len());
    for byte in whole.bytes().chain(kept.bytes()).chain(zeros) {
        if !byte.is_ascii_digit() {
            return None;
        }
        number = number.checked_mul(10)?.checked_add(i128::from(byte - b'0'))?;
    }
    Some(if negative { -number } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Date32Array, Int32Array, Int64Array, StringArray};
    use arrow::datatypes::{Field, Schema};

    fn imported(array: ArrayRef, data_type: DataType) -> Result<Batch> {
        let field = Field::new("a", array.data_type().clone(), true);
        let rows = RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![array]).unwrap();
        import(&rows, &[data_type], &[], "s", &MemoryPool::unlimited()).map(|imported| imported.batch)
    }

    #[test]
    fn numbers_are_never_rounded() {
        for (text, scale, expected) in [
            ("1.50", 2, Some(150)),
            ("1.5", 2, Some(150)),
            ("-0.01", 2, Some(-1)),
            ("7", 2, Some(700)),
            ("1.500", 2, Some(150)),
            ("1.505", 2, None),
            ("NaN", 2, None),
            ("Infinity", 2, None),
            ("", 2, None),
            (".5", 2, None),
            ("1e5", 2, None),
            ("--1", 0, None),
            ("1.é", 1, None),
            ("99999999999999999999999999999999999999999", 0, None),
        ] {
            assert_eq!(parse(text, scale), expected, "{text}");
        }
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("1.25"), None]));
        assert!(imported(texts.clone(), DataType::decimal(5, 2)).is_ok());
        assert!(imported(texts.clone(), DataType::decimal(2, 2)).is_err());
        assert!(imported(texts, DataType::decimal(5, 1)).is_err());
        let numbers = Decimal128Array::from(vec![12_345]).with_precision_and_scale(10, 2).unwrap();
        let numbers: ArrayRef = Arc::new(numbers);
        assert!(imported(numbers.clone(), DataType::decimal(20, 4)).is_ok());
        assert!(imported(numbers.clone(), DataType::decimal(4, 2)).is_err());
        assert!(imported(numbers, DataType::decimal(10, 1)).is_err());
    }

    #[test]
    fn nulls_where_there_are_none_are_refused() {
        let array: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
        let schema = Arc::new(Schema::new(vec![Field::new("a", ArrowType::Int64, true)]));
        let rows = RecordBatch::try_new(schema, vec![array]).unwrap();
        let import = |not_null: &[usize]| {
            import(&rows, &[DataType::Int64], not_null, "s", &MemoryPool::unlimited()).is_ok()
        };
        assert!(import(&[]) && !import(&[0]));
    }

    #[test]
    fn other_types_and_values_are_refused() {
        let whole: ArrayRef = Arc::new(Int32Array::from(vec![1]));
        assert!(imported(whole.clone(), DataType::Int32).is_ok());
        assert!(imported(whole.clone(), DataType::Int64).is_err());
        assert!(imported(whole, DataType::Varchar).is_err());
        let infinite: ArrayRef = Arc::new(Date32Array::from(vec![i32::MAX.wrapping_add(10_957)]));
        assert!(imported(infinite, DataType::Date).is_err());
        let long: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        let schema = Arc::new(Schema::new(vec![Field::new("a", ArrowType::Int64, true)]));
        let rows = RecordBatch::try_new(schema, vec![long]).unwrap();
        assert!(import(&rows, &[], &[], "s", &MemoryPool::unlimited()).unwrap().batch.columns.is_empty());
        assert!(import(&rows, &[DataType::Int64; 2], &[], "s", &MemoryPool::unlimited()).is_err());
        assert!(import(&rows, &[DataType::Int64], &[], "s", &MemoryPool::new(1)).is_err());
    }
}
