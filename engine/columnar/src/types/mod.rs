//! Logical and physical types.

pub mod describe;
pub mod interned;
mod unify;

pub use interned::{
    EnumType, FieldType, Nested, NestedType, TypeError, enumeration, list_of, nested, struct_of,
};
pub use unify::{integer_as_decimal, unify, unify_decimals};

use serde::{Deserialize, Serialize};
use std::fmt;

/// The largest number of digits a decimal holds.
pub const DECIMAL_MAX_PRECISION: u8 = 38;

/// What a value means. How wide it is stored is its [`PhysicalType`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DataType {
    /// The type of a bare `NULL`, before anything gives it another.
    Null,
    Boolean,
    /// 8 bits, signed.
    Int8,
    Int16,
    Int32,
    Int64,
    /// An integer scaled by 10^`scale`, of at most `precision` digits (1–38).
    Decimal {
        precision: u8,
        scale: u8,
    },
    Float32,
    Float64,
    /// Days since 1970-01-01.
    Date,
    /// Microseconds since midnight.
    Time,
    /// Time since 1970-01-01 00:00:00 in `unit`; with `zone`, an instant in UTC, else a wall-clock reading.
    Timestamp {
        unit: TimeUnit,
        zone: bool,
    },
    Interval,
    /// UTF-8 text, ordered by its bytes.
    Varchar,
    Binary,
    /// 8 bits, unsigned.
    UInt8,
    UInt16,
    UInt32,
    UInt64,
    /// 128 bits, signed.
    Int128,
    /// The 128 bits of a UUID as a big-endian number with its first bit turned, so that signed order is the
    /// order of the bytes.
    Uuid,
    /// A time of day with its offset from UTC. Ordered by the instant in UTC, then by the offset, west first:
    /// `(local µs − offset s · 10^6 + 57,599 · 10^6) · 2^17 + (57,599 − offset s)`.
    TimeZoned,
    /// JSON as text: as it was written, or in the canonical form of `JSONB`.
    Json {
        canonical: bool,
    },
    /// A string of bits, as the characters `0` and `1`.
    Bits,
    /// The place of a value in the list of the type.
    Enum(EnumType),
    /// A list, fixed array, struct or map, as packed bytes whose order is that of the values.
    Nested(NestedType),
}

/// The resolution of a timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TimeUnit {
    Second,
    Millisecond,
    Microsecond,
    Nanosecond,
}

impl TimeUnit {
    /// How many of this unit make a second.
    pub fn per_second(self) -> i64 {
        match self {
            TimeUnit::Second => 1,
            TimeUnit::Millisecond => 1_000,
            TimeUnit::Microsecond => 1_000_000,
            TimeUnit::Nanosecond => 1_000_000_000,
        }
    }
}

/// How a value is laid out in a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PhysicalType {
    /// One bit a row.
    Bool,
    I8,
    I16,
    I32,
    I64,
    I128,
    F32,
    F64,
    /// An [`Interval`], 16 bytes.
    Interval,
    /// A 16-byte string view ([`crate::View`]).
    View,
}

/// A span of time as PostgreSQL has it: months and days are kept apart from the clock part, since neither
/// has a fixed length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(C)]
pub struct Interval {
    pub months: i32,
    pub days: i32,
    pub micros: i64,
}

impl Interval {
    /// The span in microseconds with 30-day months and 24-hour days: the value by which PostgreSQL orders
    /// and compares intervals.
    pub fn comparison_micros(self) -> i128 {
        const DAY_MICROS: i128 = 86_400_000_000;
        (i128::from(self.months) * 30 + i128::from(self.days)) * DAY_MICROS + i128::from(self.micros)
    }
}

impl DataType {
    /// `TIMESTAMP` as SQL writes it: microseconds, no zone.
    pub const TIMESTAMP: DataType = DataType::Timestamp { unit: TimeUnit::Microsecond, zone: false };
    /// The decimal type of the given shape.
    pub const fn decimal(precision: u8, scale: u8) -> DataType {
        DataType::Decimal { precision, scale }
    }

    /// The width that holds every value of the type: what crosses an exchange and what results are given
    /// in. Inside a pipeline a value may travel narrower.
    pub fn physical(self) -> PhysicalType {
        match self {
            DataType::Null | DataType::Int8 => PhysicalType::I8,
            DataType::Boolean => PhysicalType::Bool,
            DataType::Int16 => PhysicalType::I16,
            DataType::Int32 | DataType::Date => PhysicalType::I32,
            DataType::Int64 | DataType::Time | DataType::Timestamp { .. } => PhysicalType::I64,
            DataType::Decimal { precision, .. } => match precision {
                0..=2 => PhysicalType::I8,
                3..=4 => PhysicalType::I16,
                5..=9 => PhysicalType::I32,
                10..=18 => PhysicalType::I64,
                _ => PhysicalType::I128,
            },
            DataType::Float32 => PhysicalType::F32,
            DataType::Float64 => PhysicalType::F64,
            DataType::Interval => PhysicalType::Interval,
            DataType::UInt8 => PhysicalType::I16,
            DataType::UInt16 => PhysicalType::I32,
            DataType::UInt32 | DataType::TimeZoned => PhysicalType::I64,
            DataType::UInt64 | DataType::Int128 | DataType::Uuid => PhysicalType::I128,
            DataType::Enum(kind) => match kind.values.len() {
                0..=128 => PhysicalType::I8,
                129..=32_768 => PhysicalType::I16,
                _ => PhysicalType::I32,
            },
            DataType::Varchar
            | DataType::Binary
            | DataType::Json { .. }
            | DataType::Bits
            | DataType::Nested(_) => PhysicalType::View,
        }
    }

    /// Whether values are integers (scaled or not) underneath: integers, decimals, dates, times, timestamps,
    /// UUIDs, enums.
    pub fn is_integral(self) -> bool {
        self.physical().is_integer()
    }

    pub fn is_integer(self) -> bool {
        matches!(
            self,
            DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 | DataType::Int128
        ) || self.is_unsigned()
    }

    pub fn is_unsigned(self) -> bool {
        matches!(self, DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64)
    }

    /// Whether values are UTF-8 text underneath.
    pub fn is_text(self) -> bool {
        matches!(self, DataType::Varchar | DataType::Json { .. } | DataType::Bits)
    }

    /// Whether values are strings of bytes underneath: text, BLOB, nested values.
    pub fn is_bytes(self) -> bool {
        self.is_text() || matches!(self, DataType::Binary | DataType::Nested(_))
    }

    /// The lists, fixed arrays, structs and maps.
    pub fn as_nested(self) -> Option<NestedType> {
        match self {
            DataType::Nested(kind) => Some(kind),
            _ => None,
        }
    }

    /// Whether values that are equal are the same: `-0.0` equals `0.0`, and 30 days a month.
    pub fn has_one_form(self) -> bool {
        !matches!(self, DataType::Float32 | DataType::Float64 | DataType::Interval)
    }

    /// The version of the nodes' protocol that brought the type.
    pub fn since(self) -> u16 {
        match self {
            DataType::UInt8
            | DataType::UInt16
            | DataType::UInt32
            | DataType::UInt64
            | DataType::Int128
            | DataType::Uuid
            | DataType::TimeZoned
            | DataType::Json { .. }
            | DataType::Bits
            | DataType::Enum(_)
            | DataType::Nested(_) => 2,
            _ => 1,
        }
    }

    pub fn is_float(self) -> bool {
        matches!(self, DataType::Float32 | DataType::Float64)
    }

    pub fn is_numeric(self) -> bool {
        self.is_integer() || self.is_float() || matches!(self, DataType::Decimal { .. })
    }

    /// Inclusive bounds of the unscaled integer behind a value; `None` for types that have none.
    pub fn integer_bounds(self) -> Option<(i128, i128)> {
        match self {
            DataType::Decimal { precision, .. } => {
                let limit = 10_i128.pow(u32::from(precision.min(DECIMAL_MAX_PRECISION))) - 1;
                Some((-limit, limit))
            }
            DataType::Null => None,
            DataType::UInt8 => Some((0, u8::MAX.into())),
            DataType::UInt16 => Some((0, u16::MAX.into())),
            DataType::UInt32 => Some((0, u32::MAX.into())),
            DataType::UInt64 => Some((0, u64::MAX.into())),
            DataType::Enum(kind) => Some((0, kind.values.len() as i128 - 1)),
            other => other.physical().integer_bounds(),
        }
    }
}

impl PhysicalType {
    /// Bytes a row; 0 for booleans, which take a bit.
    pub fn width_bytes(self) -> usize {
        match self {
            PhysicalType::Bool => 0,
            PhysicalType::I8 => 1,
            PhysicalType::I16 => 2,
            PhysicalType::I32 | PhysicalType::F32 => 4,
            PhysicalType::I64 | PhysicalType::F64 => 8,
            PhysicalType::I128 | PhysicalType::Interval | PhysicalType::View => 16,
        }
    }

    pub fn is_integer(self) -> bool {
        self.integer_bounds().is_some()
    }

    /// Inclusive bounds of an integer of this width.
    pub fn integer_bounds(self) -> Option<(i128, i128)> {
        Some(match self {
            PhysicalType::I8 => (i8::MIN.into(), i8::MAX.into()),
            PhysicalType::I16 => (i16::MIN.into(), i16::MAX.into()),
            PhysicalType::I32 => (i32::MIN.into(), i32::MAX.into()),
            PhysicalType::I64 => (i64::MIN.into(), i64::MAX.into()),
            PhysicalType::I128 => (i128::MIN, i128::MAX),
            _ => return None,
        })
    }

    /// The narrowest integer width that holds every value from `min` to `max`.
    pub fn for_bounds(min: i128, max: i128) -> PhysicalType {
        [PhysicalType::I8, PhysicalType::I16, PhysicalType::I32, PhysicalType::I64]
            .into_iter()
            .find(|width| width.integer_bounds().is_some_and(|(low, high)| low <= min && max <= high))
            .unwrap_or(PhysicalType::I128)
    }
}

impl fmt::Display for DataType {
    /// The name SQL gives the type, as `information_schema` shows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            DataType::Null => "NULL",
            DataType::Boolean => "BOOLEAN",
            DataType::Int8 => "TINYINT",
            DataType::Int16 => "SMALLINT",
            DataType::Int32 => "INTEGER",
            DataType::Int64 => "BIGINT",
            DataType::Decimal { precision, scale } => return write!(f, "DECIMAL({precision},{scale})"),
            DataType::Float32 => "REAL",
            DataType::Float64 => "DOUBLE",
            DataType::Date => "DATE",
            DataType::Time => "TIME",
            DataType::Timestamp { unit, zone } => {
                let name = match unit {
                    TimeUnit::Second => "TIMESTAMP_S",
                    TimeUnit::Millisecond => "TIMESTAMP_MS",
                    TimeUnit::Microsecond => "TIMESTAMP",
                    TimeUnit::Nanosecond => "TIMESTAMP_NS",
                };
                return write!(f, "{name}{}", if *zone { " WITH TIME ZONE" } else { "" });
            }
            DataType::Interval => "INTERVAL",
            DataType::Varchar => "VARCHAR",
            DataType::Binary => "BLOB",
            DataType::UInt8 => "UTINYINT",
            DataType::UInt16 => "USMALLINT",
            DataType::UInt32 => "UINTEGER",
            DataType::UInt64 => "UBIGINT",
            DataType::Int128 => "HUGEINT",
            DataType::Uuid => "UUID",
            DataType::TimeZoned => "TIME WITH TIME ZONE",
            DataType::Json { canonical: false } => "JSON",
            DataType::Json { canonical: true } => "JSONB",
            DataType::Bits => "BIT",
            DataType::Enum(kind) => return write_enum(f, *kind),
            DataType::Nested(kind) => return write_nested(f, *kind),
        };
        f.write_str(name)
    }
}

fn write_enum(f: &mut fmt::Formatter<'_>, kind: EnumType) -> fmt::Result {
    /// Values that an enum without a name is shown by.
    const SHOWN: usize = 20;
    if let Some(name) = &kind.name {
        return f.write_str(name);
    }
    f.write_str("ENUM(")?;
    for (place, value) in kind.values.iter().take(SHOWN).enumerate() {
        let comma = if place == 0 { "" } else { ", " };
        write!(f, "{comma}'{}'", value.replace('\'', "''"))?;
    }
    f.write_str(if kind.values.len() > SHOWN { ", …)" } else { ")" })
}

fn write_nested(f: &mut fmt::Formatter<'_>, kind: NestedType) -> fmt::Result {
    match &kind.shape {
        Nested::List(element) => write!(f, "{element}[]"),
        Nested::Array { element, len } => write!(f, "{element}[{len}]"),
        Nested::Map { key, value } => write!(f, "MAP({key}, {value})"),
        Nested::Struct(fields) => {
            f.write_str("STRUCT(")?;
            for (place, field) in fields.iter().enumerate() {
                f.write_str(if place == 0 { "" } else { ", " })?;
                let is_plain = field.name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
                    && field.name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
                match &*field.name {
                    "" => {}
                    name if is_plain => write!(f, "{name} ")?,
                    name => write!(f, "\"{}\" ", name.replace('"', "\"\""))?,
                }
                write!(f, "{}", field.data_type)?;
            }
            f.write_str(")")
        }
    }
}
