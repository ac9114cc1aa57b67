//! Logical types and Arrow's, each way.

use crate::error::{Error, Result};
use crate::types::{DECIMAL_MAX_PRECISION, DataType, Nested, NestedType, TimeUnit};
use ::arrow::datatypes::{DataType as ArrowType, Field, Fields, IntervalUnit, Schema, TimeUnit as ArrowUnit};
use std::sync::Arc;

/// How text and binary values leave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strings {
    /// `Utf8` and `Binary`, which every client knows; one copy.
    #[default]
    Offsets,
    /// `Utf8View` and `BinaryView`; shared.
    Views,
}

/// What a HUGEINT is in files, since a decimal of 38 digits does not hold all of them.
pub const STORED_HUGEINT: ArrowType = ArrowType::Decimal256(39, 0);

/// How files have an INTERVAL: as its text, since Parquet's own has milliseconds alone, and no sign.
pub const STORED_INTERVAL: ArrowType = ArrowType::Utf8View;

/// The type that an Arrow column has here; `column` names it in the error.
pub fn data_type_of(column: &str, arrow: &ArrowType) -> Result<DataType> {
    let unsupported = |kind: &str| Err(Error::Unsupported(format!("column \"{column}\": {kind} {arrow}")));
    Ok(match arrow {
        ArrowType::Null => DataType::Null,
        ArrowType::Boolean => DataType::Boolean,
        ArrowType::Int8 => DataType::Int8,
        ArrowType::Int16 => DataType::Int16,
        ArrowType::Int32 => DataType::Int32,
        ArrowType::Int64 => DataType::Int64,
        ArrowType::UInt8 => DataType::UInt8,
        ArrowType::UInt16 => DataType::UInt16,
        ArrowType::UInt32 => DataType::UInt32,
        ArrowType::UInt64 => DataType::UInt64,
        // [`STORED_HUGEINT`]
        ArrowType::Decimal256(39, 0) => DataType::Int128,
        ArrowType::Float16 | ArrowType::Float32 => DataType::Float32,
        ArrowType::Float64 => DataType::Float64,
        ArrowType::Decimal32(precision, scale)
        | ArrowType::Decimal64(precision, scale)
        | ArrowType::Decimal128(precision, scale)
        | ArrowType::Decimal256(precision, scale) => match u8::try_from(*scale) {
            Ok(scale) if (1..=DECIMAL_MAX_PRECISION).contains(precision) && scale <= *precision => {
                DataType::decimal(*precision, scale)
            }
            _ => return unsupported("a decimal beyond 38 digits or of negative scale,"),
        },
        ArrowType::Date32 | ArrowType::Date64 => DataType::Date,
        ArrowType::Time32(_) | ArrowType::Time64(_) => DataType::Time,
        ArrowType::Timestamp(unit, zone) => {
            DataType::Timestamp { unit: time_unit(*unit), zone: zone.is_some() }
        }
        ArrowType::Interval(_) | ArrowType::Duration(_) => DataType::Interval,
        ArrowType::Utf8 | ArrowType::LargeUtf8 | ArrowType::Utf8View => DataType::Varchar,
        ArrowType::Binary
        | ArrowType::LargeBinary
        | ArrowType::BinaryView
        | ArrowType::FixedSizeBinary(_) => DataType::Binary,
        ArrowType::Dictionary(_, values) => data_type_of(column, values)?,
        arrow if arrow.is_nested() => super::packed::data_type_of(column, arrow)?,
        _ => return unsupported("the type"),
    })
}

/// The Arrow type that values of `data_type` leave as.
pub fn arrow_type_of(data_type: DataType, strings: Strings) -> ArrowType {
    match data_type {
        DataType::Null => ArrowType::Null,
        DataType::Boolean => ArrowType::Boolean,
        DataType::Int8 => ArrowType::Int8,
        DataType::Int16 => ArrowType::Int16,
        DataType::Int32 => ArrowType::Int32,
        DataType::Int64 => ArrowType::Int64,
        DataType::Decimal { precision, scale } => ArrowType::Decimal128(precision, scale as i8),
        DataType::Float32 => ArrowType::Float32,
        DataType::Float64 => ArrowType::Float64,
        DataType::Date => ArrowType::Date32,
        DataType::Time => ArrowType::Time64(ArrowUnit::Microsecond),
        DataType::Timestamp { unit, zone } => {
            ArrowType::Timestamp(arrow_unit(unit), zone.then(|| "UTC".into()))
        }
        DataType::Interval => ArrowType::Interval(IntervalUnit::MonthDayNano),
        DataType::Varchar => match strings {
            Strings::Offsets => ArrowType::Utf8,
            Strings::Views => ArrowType::Utf8View,
        },
        DataType::Binary => match strings {
            Strings::Offsets => ArrowType::Binary,
            Strings::Views => ArrowType::BinaryView,
        },
        DataType::UInt8 => ArrowType::UInt8,
        DataType::UInt16 => ArrowType::UInt16,
        DataType::UInt32 => ArrowType::UInt32,
        DataType::UInt64 => ArrowType::UInt64,
        DataType::Int128 => ArrowType::Decimal128(DECIMAL_MAX_PRECISION, 0),
        DataType::Uuid => ArrowType::FixedSizeBinary(16),
        DataType::TimeZoned | DataType::Json { .. } | DataType::Bits | DataType::Enum(_) => {
            arrow_type_of(DataType::Varchar, strings)
        }
        DataType::Nested(kind) => nested(kind, strings),
    }
}

fn nested(kind: NestedType, strings: Strings) -> ArrowType {
    let field = |name: &str, data_type, nullable| {
        Arc::new(Field::new(name, arrow_type_of(data_type, strings), nullable))
    };
    match &kind.shape {
        Nested::List(element) => ArrowType::List(field("element", *element, true)),
        Nested::Array { element, len } => {
            ArrowType::FixedSizeList(field("element", *element, true), *len as i32)
        }
        Nested::Map { key, value } => {
            let entry = ArrowType::Struct(Fields::from(vec![
                field("key", *key, false),
                field("value", *value, true),
            ]));
            ArrowType::Map(Arc::new(Field::new("key_value", entry, false)), false)
        }
        Nested::Struct(fields) => ArrowType::Struct(
            fields
                .iter()
                .enumerate()
                .map(|(place, part)| match &*part.name {
                    "" => field(&format!("f{}", place + 1), part.data_type, true),
                    name => field(name, part.data_type, true),
                })
                .collect(),
        ),
    }
}

/// The Arrow schema of named columns: name, type, whether a null may occur.
pub fn schema<'a>(columns: impl IntoIterator<Item = (&'a str, DataType, bool)>, strings: Strings) -> Schema {
    let field = |(name, data_type, nullable): (&str, DataType, bool)| {
        let arrow = arrow_type_of(data_type, strings);
        let field = Field::new(name, arrow, nullable || data_type == DataType::Null);
        match extension_of(data_type) {
            Some(extension) => {
                let name = ("ARROW:extension:name".to_owned(), extension.to_owned());
                let metadata = ("ARROW:extension:metadata".to_owned(), String::new());
                field.with_metadata(std::collections::HashMap::from([name, metadata]))
            }
            None => field,
        }
    };
    Schema::new(columns.into_iter().map(field).collect::<Vec<_>>())
}

/// Arrow's name of what the values mean, where their Arrow type does not say it.
fn extension_of(data_type: DataType) -> Option<&'static str> {
    match data_type {
        DataType::Json { .. } => Some("arrow.json"),
        DataType::Uuid => Some("arrow.uuid"),
        _ => None,
    }
}

/// Arrow's name of a resolution.
pub fn arrow_unit(unit: TimeUnit) -> ArrowUnit {
    match unit {
        TimeUnit::Second => ArrowUnit::Second,
        TimeUnit::Millisecond => ArrowUnit::Millisecond,
        TimeUnit::Microsecond => ArrowUnit::Microsecond,
        TimeUnit::Nanosecond => ArrowUnit::Nanosecond,
    }
}

pub(super) fn time_unit(unit: ArrowUnit) -> TimeUnit {
    match unit {
        ArrowUnit::Second => TimeUnit::Second,
        ArrowUnit::Millisecond => TimeUnit::Millisecond,
        ArrowUnit::Microsecond => TimeUnit::Microsecond,
        ArrowUnit::Nanosecond => TimeUnit::Nanosecond,
    }
}
