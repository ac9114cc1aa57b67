//! Vectors to Arrow arrays of canonical types.

use super::types::{STORED_HUGEINT, STORED_INTERVAL, Strings};
use crate::error::{Error, Result};
use crate::types::DECIMAL_MAX_PRECISION;
use crate::{Batch, Bitmap, Buffer, DataType, Flat, TimeUnit, Value, Values, Vector, Views, match_numbers};
use ::arrow::array::*;
use ::arrow::buffer::{BooleanBuffer, NullBuffer, OffsetBuffer};
use ::arrow::datatypes::{ArrowNativeType, DataType as ArrowType, IntervalMonthDayNano, SchemaRef, i256};
use std::sync::Arc;

/// The rows that count, as columns of `schema` (made by [`super::schema`]; it says whether text leaves as
/// views).
pub fn record_batch(batch: Batch, schema: SchemaRef) -> Result<RecordBatch> {
    let batch = batch.compact();
    if batch.columns.len() != schema.fields().len() {
        let found = batch.columns.len();
        return Err(Error::Malformed(format!("{found} columns for a schema of {}", schema.fields().len())));
    }
    let column = |(vector, field): (&Vector, &Arc<::arrow::datatypes::Field>)| {
        if *field.data_type() == STORED_HUGEINT {
            return stored_hugeints(&vector.flatten());
        }
        if *field.data_type() == STORED_INTERVAL && vector.data_type() == DataType::Interval {
            return Ok(texts(&vector.flatten(), Strings::Views));
        }
        let strings = if has_views(field.data_type()) { Strings::Views } else { Strings::Offsets };
        of_zone(array(vector, strings)?, field.data_type())
    };
    let columns = batch.columns.iter().zip(schema.fields()).map(column).collect::<Result<_>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.rows));
    RecordBatch::try_new_with_options(schema, columns, &options).map_err(malformed)
}

/// Values as their texts.
fn texts(flat: &Flat, strings: Strings) -> ArrayRef {
    let texts = (0..flat.len()).map(|row| {
        (!flat.is_null(row)).then(|| Value::new(flat.data_type, flat.values.scalar(row)).to_string())
    });
    match strings {
        Strings::Views => Arc::new(texts.collect::<StringViewArray>()),
        Strings::Offsets => Arc::new(texts.collect::<StringArray>()),
    }
}

/// Every HUGEINT, as files have them.
fn stored_hugeints(flat: &Flat) -> Result<ArrayRef> {
    let nulls = flat.validity.as_ref().map(|validity| NullBuffer::new(bits(validity)));
    let values = integers::<i128>(flat)?.iter().map(|&value| i256::from_i128(value)).collect();
    let array = Decimal256Array::new(values, nulls);
    Ok(Arc::new(array.with_precision_and_scale(39, 0).map_err(malformed)?))
}

/// Whether text within the type leaves as views.
fn has_views(arrow: &ArrowType) -> bool {
    match arrow {
        ArrowType::Utf8View | ArrowType::BinaryView => true,
        ArrowType::List(field) | ArrowType::FixedSizeList(field, _) | ArrowType::Map(field, _) => {
            has_views(field.data_type())
        }
        ArrowType::Struct(fields) => fields.iter().any(|field| has_views(field.data_type())),
        _ => false,
    }
}

/// Instants as those of the zone that their column's type names.
fn of_zone(array: ArrayRef, data_type: &ArrowType) -> Result<ArrayRef> {
    match (array.data_type(), data_type) {
        (ArrowType::Timestamp(own, Some(_)), ArrowType::Timestamp(unit, Some(_)))
            if own == unit && array.data_type() != data_type =>
        {
            let data =
                array.to_data().into_builder().data_type(data_type.clone()).build().map_err(malformed)?;
            Ok(make_array(data))
        }
        _ => Ok(array),
    }
}

/// A vector as an array of the type that [`super::arrow_type_of`] names. Values of canonical width share the
/// vector's memory.
pub fn array(vector: &Vector, strings: Strings) -> Result<ArrayRef> {
    let flat = vector.flatten();
    let nulls = flat.validity.as_ref().map(|validity| NullBuffer::new(bits(validity)));
    let expected =
        || Error::Malformed(format!("a {} vector of {:?}", flat.data_type, flat.values.physical()));
    Ok(match flat.data_type {
        DataType::Null => Arc::new(NullArray::new(flat.len())),
        DataType::Boolean => match &flat.values {
            Values::Bool(values) => Arc::new(BooleanArray::new(bits(values), nulls)),
            _ => return Err(expected()),
        },
        DataType::Int8 => Arc::new(Int8Array::new(integers(&flat)?, nulls)),
        DataType::Int16 => Arc::new(Int16Array::new(integers(&flat)?, nulls)),
        DataType::Int32 => Arc::new(Int32Array::new(integers(&flat)?, nulls)),
        DataType::Int64 => Arc::new(Int64Array::new(integers(&flat)?, nulls)),
        DataType::Decimal { precision, scale } => {
            let array = Decimal128Array::new(integers(&flat)?, nulls);
            Arc::new(array.with_precision_and_scale(precision, scale as i8).map_err(malformed)?)
        }
        DataType::Float32 => match &flat.values {
            Values::F32(values) => Arc::new(Float32Array::new(values.clone(), nulls)),
            _ => return Err(expected()),
        },
        DataType::Float64 => match &flat.values {
            Values::F64(values) => Arc::new(Float64Array::new(values.clone(), nulls)),
            _ => return Err(expected()),
        },
        DataType::Date => Arc::new(Date32Array::new(integers(&flat)?, nulls)),
        DataType::Time => Arc::new(Time64MicrosecondArray::new(integers(&flat)?, nulls)),
        DataType::Timestamp { unit, zone } => {
            let values = integers(&flat)?;
            macro_rules! timestamps {
                ($array:ty) => {
                    Arc::new(<$array>::new(values, nulls).with_timezone_opt(zone.then_some("UTC")))
                };
            }
            match unit {
                TimeUnit::Second => timestamps!(TimestampSecondArray),
                TimeUnit::Millisecond => timestamps!(TimestampMillisecondArray),
                TimeUnit::Microsecond => timestamps!(TimestampMicrosecondArray),
                TimeUnit::Nanosecond => timestamps!(TimestampNanosecondArray),
            }
        }
        DataType::Interval => match &flat.values {
            Values::Interval(values) => {
                let valid = |row: usize| !flat.is_null(row);
                let interval = |(row, value): (usize, &crate::Interval)| match value.micros.checked_mul(1_000)
                {
                    Some(nanos) => Ok(IntervalMonthDayNano::new(value.months, value.days, nanos)),
                    None if valid(row) => Err(Error::OutOfRange { what: "INTERVAL in nanoseconds".into() }),
                    None => Ok(IntervalMonthDayNano::default()),
                };
                let values: Vec<_> = values.iter().enumerate().map(interval).collect::<Result<_>>()?;
                Arc::new(IntervalMonthDayNanoArray::new(values.into(), nulls))
            }
            _ => return Err(expected()),
        },
        DataType::Varchar | DataType::Binary | DataType::Json { .. } | DataType::Bits => match &flat.values {
            Values::View(views) => text(views, flat.data_type, flat.validity.as_ref(), nulls, strings)?,
            _ => return Err(expected()),
        },
        DataType::Nested(_) => match &flat.values {
            Values::View(views) => {
                let rows = (0..flat.len()).map(|row| (!flat.is_null(row)).then(|| views.get(row)));
                super::nested::array(&rows.collect::<Vec<_>>(), flat.data_type, strings)?
            }
            _ => return Err(expected()),
        },
        DataType::TimeZoned | DataType::Enum(_) => texts(&flat, strings),
        DataType::UInt8 => Arc::new(UInt8Array::new(integers(&flat)?, nulls)),
        DataType::UInt16 => Arc::new(UInt16Array::new(integers(&flat)?, nulls)),
        DataType::UInt32 => Arc::new(UInt32Array::new(integers(&flat)?, nulls)),
        DataType::UInt64 => Arc::new(UInt64Array::new(integers(&flat)?, nulls)),
        DataType::Int128 => {
            let values = integers::<i128>(&flat)?;
            let limit = 10_u128.pow(DECIMAL_MAX_PRECISION.into());
            if (0..flat.len()).any(|row| !flat.is_null(row) && values[row].unsigned_abs() >= limit) {
                let what = format!(
                    "a HUGEINT of more than {DECIMAL_MAX_PRECISION} digits in a result (cast it to VARCHAR)"
                );
                return Err(Error::OutOfRange { what });
            }
            let array = Decimal128Array::new(values, nulls);
            Arc::new(array.with_precision_and_scale(DECIMAL_MAX_PRECISION, 0).map_err(malformed)?)
        }
        DataType::Uuid => {
            let values = integers::<i128>(&flat)?;
            let bytes: Vec<u8> = values.iter().flat_map(|&value| crate::uuid::to_bytes(value)).collect();
            Arc::new(FixedSizeBinaryArray::try_new(16, bytes.into(), nulls).map_err(malformed)?)
        }
    })
}

pub(super) fn malformed(error: ::arrow::error::ArrowError) -> Error {
    Error::Malformed(error.to_string())
}

fn bits(bitmap: &Bitmap) -> BooleanBuffer {
    BooleanBuffer::new(bitmap.buffer().inner().clone(), 0, bitmap.len())
}

/// The integers at the width of `T`: shared where they have it, else widened (or narrowed: values fit).
fn integers<T: Width>(flat: &Flat) -> Result<Buffer<T>> {
    T::of(&flat.values).ok_or_else(|| {
        Error::Malformed(format!("a {} vector of {:?}", flat.data_type, flat.values.physical()))
    })
}

/// A width that integers leave in.
trait Width: ArrowNativeType {
    fn of(values: &Values) -> Option<Buffer<Self>>;
}

macro_rules! widths {
    ($($type:ty, $variant:ident);*) => {$(
        impl Width for $type {
            fn of(values: &Values) -> Option<Buffer<Self>> {
                if let Values::$variant(values) = values {
                    return Some(values.clone());
                }
                values.physical().is_integer().then_some(())?;
                match_numbers!(values, buffer => Some(buffer.iter().map(|&value| value as $type).collect()), _ => None)
            }
        }
    )*};
}
widths!(i8, I8; i16, I16; i32, I32; i64, I64; i128, I128);

macro_rules! unsigned_widths {
    ($($type:ty),*) => {$(
        impl Width for $type {
            fn of(values: &Values) -> Option<Buffer<Self>> {
                values.physical().is_integer().then_some(())?;
                match_numbers!(values, buffer => Some(buffer.iter().map(|&value| value as $type).collect()), _ => None)
            }
        }
    )*};
}
unsigned_widths!(u8, u16, u32, u64);

fn text(
    views: &Views,
    data_type: DataType,
    validity: Option<&Bitmap>,
    nulls: Option<NullBuffer>,
    strings: Strings,
) -> Result<ArrayRef> {
    let binary = data_type == DataType::Binary;
    if strings == Strings::Views {
        let (raw, buffers) = (views.raw().clone(), views.buffers().clone());
        let held: usize = buffers.iter().map(|buffer| buffer.len()).sum();
        let used: usize = views.raw().iter().map(|&view| crate::View(view).len()).sum();
        // A few rows of a large dictionary must not drag all of it to the client.
        let sparse = held > 4 * used + 65_536;
        return Ok(if binary {
            let array = BinaryViewArray::try_new(raw, buffers, nulls).map_err(malformed)?;
            Arc::new(if sparse { array.gc() } else { array })
        } else {
            let array = StringViewArray::try_new(raw, buffers, nulls).map_err(malformed)?;
            Arc::new(if sparse { array.gc() } else { array })
        });
    }
    // What lies behind a null is unspecified, so it leaves as nothing.
    let valid = |row: usize| validity.is_none_or(|bits| bits.get(row));
    let len = |row: usize| if valid(row) { views.view(row).len() } else { 0 };
    let total: usize = (0..views.len()).map(len).sum();
    if i32::try_from(total).is_err() {
        return Err(Error::Unsupported(format!("{total} bytes of text in one batch")));
    }
    let mut bytes: Vec<u8> = Vec::with_capacity(total);
    let mut offsets: Vec<i32> = Vec::with_capacity(views.len() + 1);
    offsets.push(0);
    for row in 0..views.len() {
        if valid(row) {
            bytes.extend_from_slice(views.get(row));
        }
        offsets.push(bytes.len() as i32);
    }
    let offsets = OffsetBuffer::new(offsets.into());
    Ok(if binary {
        Arc::new(BinaryArray::try_new(offsets, bytes.into(), nulls).map_err(malformed)?)
    } else {
        Arc::new(StringArray::try_new(offsets, bytes.into(), nulls).map_err(malformed)?)
    })
}
