//! Columns between the engine's form and the stored one.

use crate::{Error, Result};
use columnar::arrow::{Strings, arrow_type_of, data_type_of};
use columnar::types::Nested;
use columnar::types::describe::{describe, read};
use columnar::{DataType, TimeUnit};
use flight_proto::schema::{Column, ColumnType, TypeKind};
use storage::statistics::ColumnSchema;

/// The stored form of columns.
pub fn columns_to_stored(columns: &[ColumnSchema]) -> Result<Vec<Column>> {
    columns
        .iter()
        .map(|column| {
            Ok(Column {
                name: column.name.clone(),
                data_type: Some(type_to_stored(&column.name, column.data_type)?),
                nullable: column.nullable,
            })
        })
        .collect()
}

/// Columns of their stored form; an unknown type is an error that names the column.
pub fn columns_from_stored(columns: &[Column]) -> Result<Vec<ColumnSchema>> {
    columns
        .iter()
        .map(|column| {
            let data_type = column.data_type.as_ref().and_then(type_from_stored).ok_or_else(|| {
                Error::Stored(format!(
                    "column '{}' has a type that this version of Tundra does not know",
                    column.name
                ))
            })?;
            Ok(ColumnSchema { name: column.name.clone(), data_type, nullable: column.nullable })
        })
        .collect()
}

fn type_to_stored(column: &str, data_type: DataType) -> Result<ColumnType> {
    let mut stored = ColumnType::default();
    let kind = match data_type {
        DataType::Null => {
            return Err(Error::Location(format!("column '{column}' has no type: cast its NULL to one")));
        }
        DataType::Boolean => TypeKind::Boolean,
        DataType::Int8 => TypeKind::Int8,
        DataType::Int16 => TypeKind::Int16,
        DataType::Int32 => TypeKind::Int32,
        DataType::Int64 => TypeKind::Int64,
        DataType::Decimal { precision, scale } => {
            (stored.precision, stored.scale) = (precision.into(), scale.into());
            TypeKind::Decimal
        }
        DataType::Float32 => TypeKind::Float32,
        DataType::Float64 => TypeKind::Float64,
        DataType::Date => TypeKind::Date,
        DataType::Time => TypeKind::Time,
        DataType::Timestamp { unit, zone } => {
            (stored.second_digits, stored.zone) = (unit.per_second().ilog10(), zone);
            TypeKind::Timestamp
        }
        DataType::Interval => TypeKind::Interval,
        DataType::Varchar => TypeKind::Varchar,
        DataType::Binary => TypeKind::Binary,
        DataType::UInt8 => TypeKind::UInt8,
        DataType::UInt16 => TypeKind::UInt16,
        DataType::UInt32 => TypeKind::UInt32,
        DataType::UInt64 => TypeKind::UInt64,
        DataType::Int128 => TypeKind::Int128,
        DataType::Uuid => TypeKind::Uuid,
        DataType::TimeZoned => TypeKind::TimeZoned,
        DataType::Enum(_) => {
            stored.description = describe(data_type);
            TypeKind::Enum
        }
        DataType::Nested(_) => {
            if let Some(part) = unstored_part(data_type) {
                return Err(Error::Location(format!(
                    "column '{column}' has the type {data_type}, of which tables cannot hold {part} yet"
                )));
            }
            stored.description = describe(data_type);
            TypeKind::Nested
        }
        DataType::Json { canonical: false } => TypeKind::Json,
        DataType::Json { canonical: true } => TypeKind::Jsonb,
        DataType::Bits => TypeKind::Bits,
    };
    stored.set_kind(kind);
    Ok(stored)
}

fn type_from_stored(stored: &ColumnType) -> Option<DataType> {
    Some(match stored.kind() {
        TypeKind::Unknown => return None,
        TypeKind::Boolean => DataType::Boolean,
        TypeKind::Int8 => DataType::Int8,
        TypeKind::Int16 => DataType::Int16,
        TypeKind::Int32 => DataType::Int32,
        TypeKind::Int64 => DataType::Int64,
        TypeKind::Decimal => {
            let precision = u8::try_from(stored.precision).ok().filter(|digits| (1..=38).contains(digits))?;
            let scale = u8::try_from(stored.scale).ok().filter(|&digits| digits <= precision)?;
            DataType::Decimal { precision, scale }
        }
        TypeKind::Float32 => DataType::Float32,
        TypeKind::Float64 => DataType::Float64,
        TypeKind::Date => DataType::Date,
        TypeKind::Time => DataType::Time,
        TypeKind::Timestamp => {
            let unit = match stored.second_digits {
                0 => TimeUnit::Second,
                3 => TimeUnit::Millisecond,
                6 => TimeUnit::Microsecond,
                9 => TimeUnit::Nanosecond,
                _ => return None,
            };
            DataType::Timestamp { unit, zone: stored.zone }
        }
        TypeKind::Interval => DataType::Interval,
        TypeKind::Varchar => DataType::Varchar,
        TypeKind::Binary => DataType::Binary,
        TypeKind::UInt8 => DataType::UInt8,
        TypeKind::UInt16 => DataType::UInt16,
        TypeKind::UInt32 => DataType::UInt32,
        TypeKind::UInt64 => DataType::UInt64,
        TypeKind::Int128 => DataType::Int128,
        TypeKind::Uuid => DataType::Uuid,
        TypeKind::TimeZoned => DataType::TimeZoned,
        TypeKind::Enum => {
            read(&stored.description).ok().filter(|found| matches!(found, DataType::Enum(_)))?
        }
        TypeKind::Nested => read(&stored.description).ok().filter(|found| found.as_nested().is_some())?,
        TypeKind::Json => DataType::Json { canonical: false },
        TypeKind::Jsonb => DataType::Json { canonical: true },
        TypeKind::Bits => DataType::Bits,
    })
}

/// The type that a file's column had while there were neither unsigned integers nor UUIDs: one that holds all their values.
pub fn type_before(data_type: DataType) -> DataType {
    match data_type {
        DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt32 => DataType::Int64,
        DataType::UInt64 => DataType::decimal(20, 0),
        DataType::Uuid => DataType::Binary,
        other => other,
    }
}

/// What of a nested type does not come back from a file as it was: a type that Parquet does not have, or a field
/// without a name.
pub(crate) fn unstored_part(data_type: DataType) -> Option<String> {
    let Some(kind) = data_type.as_nested() else {
        let arrow = arrow_type_of(data_type, Strings::Views);
        // What is text underneath is checked as it is read.
        let kept = matches!(data_type, DataType::Json { .. } | DataType::Bits)
            || data_type_of("", &arrow).is_ok_and(|back| back == data_type);
        let plain = data_type != DataType::Null
            && data_type != DataType::Interval
            && !matches!(data_type, DataType::Timestamp { unit: TimeUnit::Second, .. });
        return (!kept || !plain).then(|| data_type.to_string());
    };
    match &kind.info().shape {
        Nested::List(element) | Nested::Array { element, .. } => unstored_part(*element),
        Nested::Map { key, value } => unstored_part(*key).or_else(|| unstored_part(*value)),
        Nested::Struct(fields) => fields.iter().find_map(|field| match &*field.name {
            "" => Some("a field without a name".into()),
            _ => unstored_part(field.data_type),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use columnar::types::{list_of, nested, struct_of};

    #[test]
    fn every_type_survives() {
        let types = [
            DataType::Boolean,
            DataType::Int8,
            DataType::Int16,
            DataType::Int32,
            DataType::Int64,
            DataType::decimal(38, 38),
            DataType::decimal(1, 0),
            DataType::Float32,
            DataType::Float64,
            DataType::Date,
            DataType::Time,
            DataType::Timestamp { unit: TimeUnit::Second, zone: true },
            DataType::Timestamp { unit: TimeUnit::Nanosecond, zone: false },
            DataType::Interval,
            DataType::Varchar,
            DataType::Binary,
            DataType::Json { canonical: false },
            DataType::Json { canonical: true },
            DataType::Bits,
            DataType::UInt8,
            DataType::UInt16,
            DataType::UInt32,
            DataType::UInt64,
            DataType::Int128,
            DataType::Uuid,
            DataType::TimeZoned,
            columnar::types::enumeration(Some("mood"), vec!["sad".into(), "ok".into()]).unwrap(),
        ];
        let words = list_of(DataType::Varchar).unwrap();
        let row = struct_of([("a".into(), DataType::decimal(9, 2)), ("b".into(), words)]).unwrap();
        let map = nested(Nested::Map { key: DataType::Int32, value: row }).unwrap();
        let columns: Vec<_> = types
            .iter()
            .chain(&[words, row, map])
            .map(|&data_type| ColumnSchema { name: data_type.to_string(), data_type, nullable: true })
            .collect();
        assert_eq!(columns_from_stored(&columns_to_stored(&columns).unwrap()).unwrap(), columns);
    }

    #[test]
    fn nested_types_that_files_do_not_keep_are_refused() {
        let row = struct_of([(String::new(), DataType::Int32)]).unwrap();
        for data_type in [list_of(DataType::Interval).unwrap(), list_of(DataType::Null).unwrap(), row] {
            assert!(unstored_part(data_type).is_some());
            let column = ColumnSchema { name: "shape".into(), data_type, nullable: true };
            assert!(columns_to_stored(&[column]).unwrap_err().to_string().contains("'shape'"));
        }
        let mut stored = ColumnType { description: vec![30], ..ColumnType::default() };
        stored.set_kind(TypeKind::Nested);
        assert!(type_from_stored(&stored).is_none());
    }

    #[test]
    fn unknown_types_are_named() {
        let mut stored = ColumnType { kind: 99, ..ColumnType::default() };
        let column = Column { name: "shape".into(), data_type: Some(stored.clone()), nullable: true };
        assert!(columns_from_stored(&[column]).unwrap_err().to_string().contains("'shape'"));
        stored.set_kind(TypeKind::Decimal);
        stored.precision = 77;
        assert!(type_from_stored(&stored).is_none());
    }
}
