//! Arrow arrays to vectors, each at the canonical width of its type.

use super::types::{data_type_of, time_unit};
use crate::error::{Error, Result};
use crate::{Batch, Bitmap, Buffer, DataType, Flat, Interval, PhysicalType, Values, Vector, View, Views};
use crate::{kernel, kernels::take};
use ::arrow::array::{Array, ArrayRef, AsArray, GenericByteArray, RecordBatch, types::*};
use ::arrow::buffer::BooleanBuffer;
use ::arrow::datatypes::{
    ArrowNativeType, DataType as ArrowType, Field, IntervalUnit, TimeUnit as ArrowUnit, i256,
};
use std::sync::Arc;

const DAY_US: i64 = 86_400_000_000;
const DAY_MS: i64 = 86_400_000;

/// The columns of a record batch, which may exceed [`crate::BATCH_ROWS`].
pub fn batch(record_batch: &RecordBatch) -> Result<Batch> {
    let schema = record_batch.schema_ref();
    let columns = schema.fields().iter().zip(record_batch.columns());
    let vectors = columns.map(|(field, array)| column(field, array)).collect::<Result<_>>()?;
    Ok(Batch::of_rows(vectors, record_batch.num_rows()))
}

/// A column as a flat vector, as [`vector`] gives it; what its field says to be UUIDs, as such.
pub fn column(field: &Field, array: &ArrayRef) -> Result<Vector> {
    let vector = vector(field.name(), array)?;
    let extension = field.metadata().get("ARROW:extension:name").map(String::as_str);
    if extension != Some("arrow.uuid") || *array.data_type() != ArrowType::FixedSizeBinary(16) {
        return Ok(vector);
    }
    let bytes = array.as_fixed_size_binary();
    let value = |row: usize| crate::uuid::from_bytes(bytes.value(row).try_into().unwrap_or_default());
    let values = Values::I128((0..array.len()).map(value).collect());
    Ok(Flat::new(DataType::Uuid, values, vector.validity()).into())
}

/// An array as a flat vector; `column` names it in errors. Numbers, text and views share the array's memory
/// where its layout is ours; decimals are narrowed to the width of their precision, and a value beyond it is
/// an error.
pub fn vector(column: &str, array: &ArrayRef) -> Result<Vector> {
    let data_type = data_type_of(column, array.data_type())?;
    if let ArrowType::Dictionary(..) = array.data_type() {
        return from_dictionary(column, array, data_type);
    }
    let validity = match array.nulls() {
        Some(nulls) if nulls.null_count() > 0 => Some(bitmap(nulls.inner())),
        _ => None,
    };
    let values = values(column, array, data_type, validity.as_ref())?;
    let validity =
        if data_type == DataType::Null { Some(Bitmap::filled(false, array.len())) } else { validity };
    Ok(Flat::new(data_type, values, validity).into())
}

fn values(column: &str, array: &ArrayRef, to: DataType, validity: Option<&Bitmap>) -> Result<Values> {
    macro_rules! shared {
        ($type:ty) => {
            array.as_primitive::<$type>().values().clone()
        };
    }
    macro_rules! mapped {
        ($type:ty, $map:expr) => {
            shared!($type).iter().map($map).collect()
        };
    }
    let out_of_range = || Error::OutOfRange { what: format!("a value of column \"{column}\" as {to}") };
    let decimals = |wide: Vec<i64>, fits: bool| {
        let precision = precision_of(to);
        match fits.then(|| narrow_decimals(&wide, precision, validity)).flatten() {
            Some(values) => Ok(values),
            None => Err(out_of_range()),
        }
    };
    Ok(match array.data_type() {
        ArrowType::Null => Values::I8(vec![0; array.len()].into()),
        ArrowType::Boolean => Values::Bool(bitmap(array.as_boolean().values())),
        ArrowType::Int8 => Values::I8(shared!(Int8Type)),
        ArrowType::Int16 => Values::I16(shared!(Int16Type)),
        ArrowType::Int32 => Values::I32(shared!(Int32Type)),
        ArrowType::Int64 => Values::I64(shared!(Int64Type)),
        ArrowType::UInt8 => Values::I16(mapped!(UInt8Type, |&value| value.into())),
        ArrowType::UInt16 => Values::I32(mapped!(UInt16Type, |&value| value.into())),
        ArrowType::UInt32 => Values::I64(mapped!(UInt32Type, |&value| value.into())),
        ArrowType::UInt64 => Values::I128(mapped!(UInt64Type, |&value| value.into())),
        ArrowType::Float16 => Values::F32(mapped!(Float16Type, |value| value.to_f32())),
        ArrowType::Float32 => Values::F32(shared!(Float32Type)),
        ArrowType::Float64 => Values::F64(shared!(Float64Type)),
        ArrowType::Decimal32(..) => {
            decimals(shared!(Decimal32Type).iter().map(|&value| value.into()).collect(), true)?
        }
        ArrowType::Decimal64(..) if to.physical() == PhysicalType::I64 => {
            let values = shared!(Decimal64Type);
            if !decimals_fit(&values, precision_of(to), validity) {
                return Err(out_of_range());
            }
            Values::I64(values)
        }
        ArrowType::Decimal64(..) => decimals(shared!(Decimal64Type).to_vec(), true)?,
        ArrowType::Decimal128(..) => {
            let values = shared!(Decimal128Type);
            if to.physical() == PhysicalType::I128 {
                if !wide_decimals_fit(&values, precision_of(to), validity) {
                    return Err(out_of_range());
                }
                Values::I128(values)
            } else {
                let (narrow, fits) = halve(&values);
                let fits =
                    fits || valid_rows(validity, values.len()).all(|row| i64::try_from(values[row]).is_ok());
                decimals(narrow, fits)?
            }
        }
        ArrowType::Decimal256(..) => {
            let wide = shared!(Decimal256Type);
            let is_valid = |row: usize| validity.is_none_or(|bits| bits.get(row));
            let one = |(row, value): (usize, &i256)| match value.to_i128() {
                Some(value) => Ok(value),
                None if is_valid(row) => Err(out_of_range()),
                None => Ok(0),
            };
            let wide: Vec<i128> = wide.iter().enumerate().map(one).collect::<Result<_>>()?;
            if to != DataType::Int128 && !wide_decimals_fit(&wide, precision_of(to), validity) {
                return Err(out_of_range());
            }
            if to.physical() == PhysicalType::I128 {
                Values::I128(wide.into())
            } else {
                decimals(halve(&wide).0, true)?
            }
        }
        ArrowType::Date32 => Values::I32(shared!(Date32Type)),
        ArrowType::Date64 => {
            let days = shared!(Date64Type);
            let fits = |row: usize| i32::try_from(days[row].div_euclid(DAY_MS)).is_ok();
            if !valid_rows(validity, days.len()).all(fits) {
                return Err(out_of_range());
            }
            Values::I32(days.iter().map(|ms| ms.div_euclid(DAY_MS) as i32).collect())
        }
        ArrowType::Time32(_) | ArrowType::Time64(_) => {
            let micros: Buffer<i64> = match array.data_type() {
                ArrowType::Time32(ArrowUnit::Second) => {
                    mapped!(Time32SecondType, |&value| i64::from(value) * 1_000_000)
                }
                ArrowType::Time32(_) => mapped!(Time32MillisecondType, |&value| i64::from(value) * 1_000),
                ArrowType::Time64(ArrowUnit::Nanosecond) => {
                    mapped!(Time64NanosecondType, |value| value.div_euclid(1_000))
                }
                _ => shared!(Time64MicrosecondType),
            };
            if !valid_rows(validity, micros.len()).all(|row| (0..=DAY_US).contains(&micros[row])) {
                return Err(out_of_range());
            }
            Values::I64(micros)
        }
        ArrowType::Timestamp(unit, _) => Values::I64(match unit {
            ArrowUnit::Second => shared!(TimestampSecondType),
            ArrowUnit::Millisecond => shared!(TimestampMillisecondType),
            ArrowUnit::Microsecond => shared!(TimestampMicrosecondType),
            ArrowUnit::Nanosecond => shared!(TimestampNanosecondType),
        }),
        ArrowType::Duration(unit) => {
            let values = match unit {
                ArrowUnit::Second => shared!(DurationSecondType),
                ArrowUnit::Millisecond => shared!(DurationMillisecondType),
                ArrowUnit::Microsecond => shared!(DurationMicrosecondType),
                ArrowUnit::Nanosecond => shared!(DurationNanosecondType),
            };
            let micros = |value: i64| {
                i64::try_from(i128::from(value) * 1_000_000 / i128::from(time_unit(*unit).per_second()))
            };
            if !valid_rows(validity, values.len()).all(|row| micros(values[row]).is_ok()) {
                return Err(out_of_range());
            }
            let interval =
                |&value: &i64| Interval { micros: micros(value).unwrap_or(0), ..Interval::default() };
            Values::Interval(values.iter().map(interval).collect())
        }
        ArrowType::Interval(IntervalUnit::YearMonth) => {
            Values::Interval(mapped!(IntervalYearMonthType, |&months| Interval {
                months,
                ..Interval::default()
            }))
        }
        ArrowType::Interval(IntervalUnit::DayTime) => {
            Values::Interval(mapped!(IntervalDayTimeType, |value| Interval {
                months: 0,
                days: value.days,
                micros: i64::from(value.milliseconds) * 1_000,
            }))
        }
        ArrowType::Interval(IntervalUnit::MonthDayNano) => {
            Values::Interval(mapped!(IntervalMonthDayNanoType, |value| Interval {
                months: value.months,
                days: value.days,
                micros: value.nanoseconds / 1_000,
            }))
        }
        ArrowType::Utf8 => Values::View(offset_views(array.as_bytes::<Utf8Type>())),
        ArrowType::LargeUtf8 => Values::View(offset_views(array.as_bytes::<LargeUtf8Type>())),
        ArrowType::Binary => Values::View(offset_views(array.as_bytes::<BinaryType>())),
        ArrowType::LargeBinary => Values::View(offset_views(array.as_bytes::<LargeBinaryType>())),
        ArrowType::FixedSizeBinary(_) => {
            let values = array.as_fixed_size_binary();
            Values::View(Views::from_strings((0..values.len()).map(|row| values.value(row))))
        }
        ArrowType::Utf8View => {
            let array = array.as_string_view();
            Values::View(Views::new(array.views().clone(), array.data_buffers().clone()))
        }
        ArrowType::BinaryView => {
            let array = array.as_binary_view();
            Values::View(Views::new(array.views().clone(), array.data_buffers().clone()))
        }
        other if other.is_nested() => super::packed::values(column, array, to)?,
        other => return Err(Error::Unsupported(format!("column \"{column}\": the type {other}"))),
    })
}

/// Arrow's bits as ours: shared where they start at a whole, aligned word and none is set past the end.
fn bitmap(bits: &BooleanBuffer) -> Bitmap {
    let (start, words) = (bits.offset() / 8, bits.len().div_ceil(64));
    let bytes = bits.inner();
    let aligned = (bytes.as_ptr() as usize + start).is_multiple_of(align_of::<u64>());
    if bits.offset().is_multiple_of(64) && aligned && bytes.len() >= start + words * 8 {
        let shared = Buffer::<u64>::new(bytes.slice_with_length(start, words * 8), 0, words);
        if let Some(bitmap) = Bitmap::from_shared(shared, bits.len()) {
            return bitmap;
        }
    }
    Bitmap::from_words(bits.bit_chunks().iter_padded().collect(), bits.len())
}

/// Views into the data that offsets point into. Past 4 GiB of data the strings are copied.
fn offset_views<T: ByteArrayType>(array: &GenericByteArray<T>) -> Views {
    let (offsets, data) = (array.value_offsets(), array.value_data());
    let place = |offset: T::Offset| offset.to_usize().unwrap_or(0);
    let end = offsets.last().map_or(0, |&offset| place(offset));
    if u32::try_from(end).is_err() {
        return Views::from_strings(offsets.windows(2).map(|pair| &data[place(pair[0])..place(pair[1])]));
    }
    let view = |pair: &[T::Offset]| {
        let (from, to) = (place(pair[0]), place(pair[1]));
        View::new(&data[from..to], 0, from as u32).0
    };
    Views::new(offsets.windows(2).map(view).collect(), Arc::from([array.values().clone()]))
}

/// An array with keys as the values it stands for. Arrow's dictionaries may repeat values or hold nulls, so
/// they are not taken over as ours.
fn from_dictionary(column: &str, array: &ArrayRef, data_type: DataType) -> Result<Vector> {
    let dictionary = array.as_any_dictionary();
    let len = array.len();
    if dictionary.values().is_empty() {
        let values = Values::repeat(&crate::Scalar::Null, data_type.physical(), len);
        return Ok(Flat::new(data_type, values, Some(Bitmap::filled(false, len))).into());
    }
    // The key of a null row is whatever its slot holds, cut to the dictionary's length.
    let keys: Vec<u32> = dictionary.normalized_keys().into_iter().map(|key| key as u32).collect();
    let values = vector(column, dictionary.values())?.flatten();
    let flat = take::take_flat(&values, &keys);
    let own = dictionary.keys().nulls().map(|nulls| bitmap(nulls.inner()));
    let validity = crate::bitmap::both_valid(flat.validity.as_ref(), own.as_ref());
    Ok(Flat::new(data_type, flat.values, validity.filter(|bits| !bits.all())).into())
}

fn valid_rows(validity: Option<&Bitmap>, len: usize) -> impl Iterator<Item = usize> {
    (0..len).filter(move |&row| validity.is_none_or(|bits| bits.get(row)))
}

fn precision_of(data_type: DataType) -> u8 {
    if let DataType::Decimal { precision, .. } = data_type { precision } else { 0 }
}

/// Decimals at the canonical width of `precision` (at most 18 digits); `None` where one is beyond it.
fn narrow_decimals(values: &[i64], precision: u8, validity: Option<&Bitmap>) -> Option<Values> {
    if !decimals_fit(values, precision, validity) {
        return None;
    }
    Some(match DataType::decimal(precision, 0).physical() {
        PhysicalType::I8 => Values::I8(values.iter().map(|&value| value as i8).collect()),
        PhysicalType::I16 => Values::I16(values.iter().map(|&value| value as i16).collect()),
        PhysicalType::I32 => Values::I32(values.iter().map(|&value| value as i32).collect()),
        PhysicalType::I64 => Values::I64(values.to_vec().into()),
        _ => Values::I128(values.iter().map(|&value| value.into()).collect()),
    })
}

fn decimals_fit(values: &[i64], precision: u8, validity: Option<&Bitmap>) -> bool {
    let Some(limit) = 10_i64.checked_pow(precision.into()) else { return true };
    let inside = |low: i64, high: i64| -limit < low && high < limit;
    let (low, high) = extent(values);
    inside(low, high) || valid_rows(validity, values.len()).all(|row| inside(values[row], values[row]))
}

fn wide_decimals_fit(values: &[i128], precision: u8, validity: Option<&Bitmap>) -> bool {
    let Some(limit) = 10_i128.checked_pow(precision.into()) else { return true };
    let inside = |value: i128| -limit < value && value < limit;
    values.iter().all(|&value| inside(value))
        || valid_rows(validity, values.len()).all(|row| inside(values[row]))
}

kernel! {
    /// The least and the greatest value; 0 counts as one of them.
    fn extent(values: &[i64]) -> (i64, i64) {
        values.iter().fold((0, 0), |(low, high), &value| (low.min(value), high.max(value)))
    }
}

kernel! {
    /// The low halves, and whether they are the whole values.
    fn halve(values: &[i128]) -> (Vec<i64>, bool) {
        let mut lost = 0;
        let low = values
            .iter()
            .map(|&value| {
                let low = value as i64;
                lost |= (value >> 64) as i64 ^ (low >> 63);
                low
            })
            .collect();
        (low, lost == 0)
    }
}
