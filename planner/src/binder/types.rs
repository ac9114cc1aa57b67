//! Which types SQL's words mean and which type two operands meet in.

use super::nested;
use crate::catalog::Catalog;
use crate::error::{Error, Result};
use columnar::types::{DECIMAL_MAX_PRECISION, FieldType, Nested};
pub(crate) use columnar::types::{integer_as_decimal, unify, unify_decimals};
use columnar::{DataType, TimeUnit};
use sqlparser::ast::{self, ExactNumberInfo, TimezoneInfo};

/// What the catalog calls a type.
pub(crate) type Named<'a> = dyn Fn(&ast::ObjectName) -> Option<DataType> + 'a;

/// The type of a name in a catalog.
pub(crate) fn named(catalog: &dyn Catalog, name: &ast::ObjectName) -> Option<DataType> {
    match crate::parse::identifiers(name).ok()?.as_slice() {
        [name] => catalog.named_type(None, &name.value),
        [schema, name] => catalog.named_type(Some(&schema.value), &name.value),
        _ => None,
    }
}

/// The type that SQL names.
pub(crate) fn from_sql(data_type: &ast::DataType, named: &Named<'_>) -> Result<DataType> {
    use ast::DataType as Sql;
    if let Some(nested) = nested::from_sql(data_type, named)? {
        return Ok(nested);
    }
    Ok(match data_type {
        Sql::Boolean | Sql::Bool => DataType::Boolean,
        Sql::TinyInt(_) => DataType::Int8,
        Sql::SmallInt(_) | Sql::Int2(_) => DataType::Int16,
        Sql::Int(_) | Sql::Integer(_) | Sql::Int4(_) => DataType::Int32,
        Sql::BigInt(_) | Sql::Int8(_) => DataType::Int64,
        Sql::Decimal(info) | Sql::Numeric(info) | Sql::Dec(info) => decimal(info)?,
        Sql::Real | Sql::Float4 => DataType::Float32,
        Sql::Float(_) | Sql::Float8 | Sql::Double(_) | Sql::DoublePrecision => DataType::Float64,
        Sql::Date => DataType::Date,
        Sql::Time(_, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => DataType::Time,
        Sql::Time(_, TimezoneInfo::WithTimeZone | TimezoneInfo::Tz) => DataType::TimeZoned,
        Sql::Timestamp(precision, zone) => {
            let zone = matches!(zone, TimezoneInfo::WithTimeZone | TimezoneInfo::Tz);
            let unit = match precision {
                None | Some(4..=6) => TimeUnit::Microsecond,
                Some(0) => TimeUnit::Second,
                Some(1..=3) => TimeUnit::Millisecond,
                Some(_) => TimeUnit::Nanosecond,
            };
            DataType::Timestamp { unit, zone }
        }
        Sql::Datetime(None) => DataType::TIMESTAMP,
        Sql::Interval { fields: None, .. } => DataType::Interval,
        Sql::Character(_)
        | Sql::Char(_)
        | Sql::CharacterVarying(_)
        | Sql::CharVarying(_)
        | Sql::Varchar(_)
        | Sql::Text
        | Sql::String(_) => DataType::Varchar,
        Sql::Binary(_) | Sql::Varbinary(_) | Sql::Blob(_) | Sql::Bytea => DataType::Binary,
        Sql::JSON => DataType::Json { canonical: false },
        Sql::JSONB => DataType::Json { canonical: true },
        Sql::Bit(None) | Sql::BitVarying(None) | Sql::VarBit(None) => DataType::Bits,
        Sql::Bit(_) | Sql::BitVarying(_) | Sql::VarBit(_) => {
            let error = Error::unsupported(format!("the type {data_type} outside a cast"));
            return Err(error.hint("a BIT has any length"));
        }
        Sql::UTinyInt | Sql::TinyIntUnsigned(_) => DataType::UInt8,
        Sql::USmallInt | Sql::SmallIntUnsigned(_) | Sql::Int2Unsigned(_) => DataType::UInt16,
        Sql::IntegerUnsigned(_) | Sql::IntUnsigned(_) | Sql::Int4Unsigned(_) => DataType::UInt32,
        Sql::UBigInt | Sql::BigIntUnsigned(_) | Sql::Int8Unsigned(_) => DataType::UInt64,
        // As DuckDB has them, these count bits.
        Sql::UInt8 => DataType::UInt8,
        Sql::UInt16 => DataType::UInt16,
        Sql::UInt32 => DataType::UInt32,
        Sql::UInt64 => DataType::UInt64,
        Sql::Int16 => DataType::Int16,
        Sql::Int32 => DataType::Int32,
        Sql::Int64 => DataType::Int64,
        Sql::HugeInt | Sql::Int128 => DataType::Int128,
        Sql::Uuid => DataType::Uuid,
        Sql::Enum(members, None) => enumeration(members)?,
        Sql::Custom(name, arguments) if arguments.is_empty() => {
            let unit = |unit| DataType::Timestamp { unit, zone: false };
            match name.to_string().to_ascii_uppercase().as_str() {
                "INT1" => DataType::Int8,
                "BITSTRING" => DataType::Bits,
                "UINT8" | "UTINYINT" => DataType::UInt8,
                "UINT16" | "USMALLINT" => DataType::UInt16,
                "UINTEGER" | "UINT32" => DataType::UInt32,
                "UBIGINT" | "UINT64" => DataType::UInt64,
                "HUGEINT" | "INT128" => DataType::Int128,
                "GUID" => DataType::Uuid,
                "TIMESTAMP_S" => unit(TimeUnit::Second),
                "TIMESTAMP_MS" => unit(TimeUnit::Millisecond),
                "TIMESTAMP_US" => unit(TimeUnit::Microsecond),
                "TIMESTAMP_NS" => unit(TimeUnit::Nanosecond),
                _ => match named(name) {
                    Some(found) => found,
                    None => return Err(Error::unsupported(format!("the type {data_type}"))),
                },
            }
        }
        other => return Err(Error::unsupported(format!("the type {other}"))),
    })
}

/// An enum without a name.
pub(crate) fn enumeration(members: &[ast::EnumMember]) -> Result<DataType> {
    let values = members.iter().map(|member| match member {
        ast::EnumMember::Name(value) => Ok(value.clone()),
        ast::EnumMember::NamedValue(..) => Err(Error::unsupported("an ENUM whose values have numbers")),
    });
    let values = values.collect::<Result<Vec<_>>>()?;
    columnar::types::enumeration(None, values).map_err(nested::type_error)
}

fn decimal(info: &ExactNumberInfo) -> Result<DataType> {
    let (precision, scale) = match *info {
        ExactNumberInfo::None => (18, 3),
        ExactNumberInfo::Precision(precision) => (precision, 0),
        ExactNumberInfo::PrecisionAndScale(precision, scale) => (precision, scale),
    };
    let scale = u64::try_from(scale).ok();
    match scale {
        Some(scale)
            if precision >= 1 && precision <= u64::from(DECIMAL_MAX_PRECISION) && scale <= precision =>
        {
            Ok(DataType::decimal(precision as u8, scale as u8))
        }
        _ => Err(Error::value(format!(
            "a DECIMAL has 1 to {DECIMAL_MAX_PRECISION} digits, of which no more than all are after the point"
        ))),
    }
}

/// Whether a value is written into a column of the other type: as an implicit cast would have it or, of text, as it is
/// read; part by part.
pub(crate) fn assigns(from: DataType, to: DataType) -> bool {
    let (DataType::Nested(a), DataType::Nested(b)) = (from, to) else {
        return casts_implicitly(from, to)
            || from == DataType::Varchar
                && matches!(to, DataType::Json { .. } | DataType::Bits | DataType::Enum(_));
    };
    match (&a.info().shape, &b.info().shape) {
        (Nested::Struct(a), Nested::Struct(b)) => {
            let of = |to: &FieldType| {
                a.iter()
                    .find(|from| from.name.eq_ignore_ascii_case(&to.name))
                    .is_none_or(|from| assigns(from.data_type, to.data_type))
            };
            b.iter().all(of)
        }
        (Nested::Map { key: k1, value: v1 }, Nested::Map { key: k2, value: v2 }) => {
            assigns(*k1, *k2) && assigns(*v1, *v2)
        }
        _ => match (a.element(), b.element()) {
            (Some(a), Some(b)) => assigns(a, b),
            _ => false,
        },
    }
}

/// Whether a value becomes the other type without a written cast.
pub(crate) fn casts_implicitly(from: DataType, to: DataType) -> bool {
    match (from, to) {
        (DataType::Null, _) => true,
        // More or fewer digits: what does not fit is an error when the query runs.
        (DataType::Decimal { .. }, DataType::Decimal { .. }) => true,
        // Of HUGEINT what has more than 38 digits.
        (from, DataType::Decimal { .. }) if from.is_integer() => true,
        (from, to) if from.is_numeric() && to.is_float() => !from.is_float() || to == DataType::Float64,
        (DataType::Json { .. }, DataType::Json { .. }) => true,
        (from, to) => unify(from, to) == Some(to),
    }
}
