//! Types as bytes: how nested types and enums travel in plans, and what is hashed of them.
//!
//! A type is a byte of its kind and what the kind needs, its parts after it:
//!
//! | kind | then |
//! |---|---|
//! | 0–24 | the variants of [`DataType`] in their order; precision and scale of a decimal (6), unit and zone of a timestamp (11), canonical or not of JSON (22) |
//! | 30 | list: the element |
//! | 31 | fixed array: length (u32), the element |
//! | 32 | struct: fields (u32), each with its name (u32 and bytes) and type |
//! | 33 | map: key, value |
//! | 34 | enum: 1 and its name or 0, values (u32), each as u32 and bytes |
//!
//! Numbers are little-endian. The form is a contract between nodes: it is only ever added to.

use super::interned::{
    self, EnumType, FieldType, MAX_DEPTH, MAX_ENUM_VALUES, MAX_FIELDS, MAX_NODES, Nested, NestedType,
    TypeError,
};
use super::{DataType, TimeUnit};
use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::cell::RefCell;
use std::fmt;

/// The description of a type.
pub fn describe(data_type: DataType) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out, data_type);
    out
}

/// The type that is described.
pub fn read(bytes: &[u8]) -> Result<DataType, TypeError> {
    let mut reader = Reader { bytes, nodes: 0 };
    let data_type = reader.data_type(0)?;
    if reader.bytes.is_empty() { Ok(data_type) } else { Err(TypeError::Malformed) }
}

pub(super) fn of_shape(shape: &Nested) -> Vec<u8> {
    let mut out = Vec::new();
    write_shape(&mut out, shape);
    out
}

pub(super) fn of_enum(name: Option<&str>, values: &[Box<str>]) -> Vec<u8> {
    let mut out = Vec::new();
    write_enum(&mut out, name, values);
    out
}

fn write(out: &mut Vec<u8>, data_type: DataType) {
    match data_type {
        DataType::Null => out.push(0),
        DataType::Boolean => out.push(1),
        DataType::Int8 => out.push(2),
        DataType::Int16 => out.push(3),
        DataType::Int32 => out.push(4),
        DataType::Int64 => out.push(5),
        DataType::Decimal { precision, scale } => out.extend([6, precision, scale]),
        DataType::Float32 => out.push(7),
        DataType::Float64 => out.push(8),
        DataType::Date => out.push(9),
        DataType::Time => out.push(10),
        DataType::Timestamp { unit, zone } => out.extend([11, unit as u8, u8::from(zone)]),
        DataType::Interval => out.push(12),
        DataType::Varchar => out.push(13),
        DataType::Binary => out.push(14),
        DataType::UInt8 => out.push(15),
        DataType::UInt16 => out.push(16),
        DataType::UInt32 => out.push(17),
        DataType::UInt64 => out.push(18),
        DataType::Int128 => out.push(19),
        DataType::Uuid => out.push(20),
        DataType::TimeZoned => out.push(21),
        DataType::Json { canonical } => out.extend([22, u8::from(canonical)]),
        DataType::Bits => out.push(23),
        DataType::Enum(kind) => write_enum(out, kind.name.as_deref(), &kind.values),
        DataType::Nested(kind) => write_shape(out, &kind.shape),
    }
}

fn write_shape(out: &mut Vec<u8>, shape: &Nested) {
    match shape {
        Nested::List(element) => {
            out.push(30);
            write(out, *element);
        }
        Nested::Array { element, len } => {
            out.push(31);
            out.extend(len.to_le_bytes());
            write(out, *element);
        }
        Nested::Struct(fields) => {
            out.push(32);
            out.extend((fields.len() as u32).to_le_bytes());
            for field in fields {
                write_text(out, &field.name);
                write(out, field.data_type);
            }
        }
        Nested::Map { key, value } => {
            out.push(33);
            write(out, *key);
            write(out, *value);
        }
    }
}

fn write_enum(out: &mut Vec<u8>, name: Option<&str>, values: &[Box<str>]) {
    out.extend([34, u8::from(name.is_some())]);
    if let Some(name) = name {
        write_text(out, name);
    }
    out.extend((values.len() as u32).to_le_bytes());
    values.iter().for_each(|value| write_text(out, value));
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u32).to_le_bytes());
    out.extend(text.as_bytes());
}

struct Reader<'a> {
    bytes: &'a [u8],
    nodes: u32,
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], TypeError> {
        let (taken, rest) = self.bytes.split_at_checked(len).ok_or(TypeError::Malformed)?;
        self.bytes = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, TypeError> {
        Ok(self.take(1)?[0])
    }

    fn flag(&mut self) -> Result<bool, TypeError> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(TypeError::Malformed),
        }
    }

    fn number(&mut self) -> Result<u32, TypeError> {
        let bytes = self.take(4)?;
        Ok(u32::from_le_bytes(bytes.try_into().map_err(|_| TypeError::Malformed)?))
    }

    fn text(&mut self) -> Result<String, TypeError> {
        let len = self.number()?;
        let bytes = self.take(len as usize)?;
        String::from_utf8(bytes.to_vec()).map_err(|_| TypeError::Malformed)
    }

    /// The depth of what is read is bounded before it is read.
    fn data_type(&mut self, depth: u8) -> Result<DataType, TypeError> {
        if depth > MAX_DEPTH {
            return Err(TypeError::Deep);
        }
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(TypeError::Large);
        }
        Ok(match self.byte()? {
            0 => DataType::Null,
            1 => DataType::Boolean,
            2 => DataType::Int8,
            3 => DataType::Int16,
            4 => DataType::Int32,
            5 => DataType::Int64,
            6 => {
                let (precision, scale) = (self.byte()?, self.byte()?);
                if !(1..=super::DECIMAL_MAX_PRECISION).contains(&precision) || scale > precision {
                    return Err(TypeError::Malformed);
                }
                DataType::decimal(precision, scale)
            }
            7 => DataType::Float32,
            8 => DataType::Float64,
            9 => DataType::Date,
            10 => DataType::Time,
            11 => {
                let unit = match self.byte()? {
                    0 => TimeUnit::Second,
                    1 => TimeUnit::Millisecond,
                    2 => TimeUnit::Microsecond,
                    3 => TimeUnit::Nanosecond,
                    _ => return Err(TypeError::Malformed),
                };
                DataType::Timestamp { unit, zone: self.flag()? }
            }
            12 => DataType::Interval,
            13 => DataType::Varchar,
            14 => DataType::Binary,
            15 => DataType::UInt8,
            16 => DataType::UInt16,
            17 => DataType::UInt32,
            18 => DataType::UInt64,
            19 => DataType::Int128,
            20 => DataType::Uuid,
            21 => DataType::TimeZoned,
            22 => DataType::Json { canonical: self.flag()? },
            23 => DataType::Bits,
            30 => interned::list_of(self.data_type(depth + 1)?)?,
            31 => {
                let len = self.number()?;
                interned::nested(Nested::Array { element: self.data_type(depth + 1)?, len })?
            }
            32 => {
                let count = self.number()? as usize;
                if count > MAX_FIELDS {
                    return Err(TypeError::Fields(count));
                }
                let mut fields = Vec::with_capacity(count);
                for _ in 0..count {
                    let name = self.text()?.into();
                    fields.push(FieldType { name, data_type: self.data_type(depth + 1)? });
                }
                interned::nested(Nested::Struct(fields.into()))?
            }
            33 => {
                let key = self.data_type(depth + 1)?;
                interned::nested(Nested::Map { key, value: self.data_type(depth + 1)? })?
            }
            34 => {
                let name = if self.flag()? { Some(self.text()?) } else { None };
                let count = self.number()? as usize;
                if count > MAX_ENUM_VALUES {
                    return Err(TypeError::EnumValues);
                }
                let values = (0..count).map(|_| self.text()).collect::<Result<_, _>>()?;
                interned::enumeration(name.as_deref(), values)?
            }
            _ => return Err(TypeError::Malformed),
        })
    }
}

/// The types that a message has named so far, by their place.
#[derive(Default)]
struct Named(Vec<DataType>);

thread_local! {
    static TABLE: RefCell<Option<Named>> = const { RefCell::new(None) };
}

/// Within `body`, which writes or reads one message, a type is described where it first occurs, and then goes
/// by its number: a plan names a type at every column.
pub fn with_table<R>(body: impl FnOnce() -> R) -> R {
    let outer = TABLE.replace(Some(Named::default()));
    let result = body();
    TABLE.set(outer);
    result
}

/// What a message has of a type: its number, after its description where that is new. Without a table every
/// type is described.
fn written(data_type: DataType) -> (u32, Vec<u8>) {
    let known = TABLE.with_borrow_mut(|table| {
        let named = &mut table.as_mut()?.0;
        let place = named.iter().position(|named| *named == data_type);
        if place.is_none() {
            named.push(data_type);
        }
        place
    });
    match known {
        Some(place) => (place as u32 + 1, Vec::new()),
        None => (0, describe(data_type)),
    }
}

fn read_back(number: u32, description: &[u8]) -> Result<DataType, TypeError> {
    if number == 0 {
        let data_type = read(description)?;
        TABLE.with_borrow_mut(|table| {
            if let Some(named) = table {
                named.0.push(data_type);
            }
        });
        return Ok(data_type);
    }
    TABLE
        .with_borrow(|table| {
            let named = &table.as_ref()?.0;
            named.get(number as usize - 1).copied()
        })
        .ok_or(TypeError::Malformed)
}

impl Serialize for NestedType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        written(DataType::Nested(*self)).serialize(serializer)
    }
}

impl Serialize for EnumType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        written(DataType::Enum(*self)).serialize(serializer)
    }
}

/// A number and the bytes of a description.
fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DataType, D::Error> {
    struct Bytes(Vec<u8>);
    impl<'de> Deserialize<'de> for Bytes {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
            struct Reading;
            impl<'de> Visitor<'de> for Reading {
                type Value = Bytes;
                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("the description of a type")
                }
                fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Bytes, A::Error> {
                    let mut bytes = Vec::new();
                    while let Some(byte) = seq.next_element()? {
                        bytes.push(byte);
                    }
                    Ok(Bytes(bytes))
                }
            }
            deserializer.deserialize_seq(Reading)
        }
    }
    let (number, Bytes(description)) = Deserialize::deserialize(deserializer)?;
    read_back(number, &description).map_err(D::Error::custom)
}

impl<'de> Deserialize<'de> for NestedType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<NestedType, D::Error> {
        match deserialize(deserializer)? {
            DataType::Nested(kind) => Ok(kind),
            other => Err(D::Error::custom(format!("{other} is not a nested type"))),
        }
    }
}

impl<'de> Deserialize<'de> for EnumType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<EnumType, D::Error> {
        match deserialize(deserializer)? {
            DataType::Enum(kind) => Ok(kind),
            other => Err(D::Error::custom(format!("{other} is not an enum"))),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "helpers of tests")]
mod tests {
    use super::super::interned::{enumeration, list_of, struct_of};
    use super::*;

    #[test]
    fn descriptions_are_read_back() {
        let colour = enumeration(Some("main.colour"), vec!["red".into(), "blue".into()]).unwrap();
        let row = struct_of([("a".into(), DataType::decimal(9, 2)), ("".into(), colour)]).unwrap();
        for data_type in [
            DataType::Null,
            DataType::Timestamp { unit: TimeUnit::Nanosecond, zone: true },
            DataType::Json { canonical: true },
            colour,
            row,
            list_of(list_of(row).unwrap()).unwrap(),
            interned::nested(Nested::Map { key: DataType::Varchar, value: row }).unwrap(),
            interned::nested(Nested::Array { element: DataType::Uuid, len: 3 }).unwrap(),
        ] {
            let bytes = describe(data_type);
            assert_eq!(read(&bytes), Ok(data_type), "{data_type}");
            for end in 0..bytes.len() {
                assert!(read(&bytes[..end]).is_err(), "{data_type} cut at {end}");
            }
        }
        assert_eq!(read(&[30; 1000]), Err(TypeError::Deep));
        assert_eq!(read(&[99]), Err(TypeError::Malformed));
    }

    #[test]
    fn a_type_is_described_once_in_a_message() {
        let list = list_of(DataType::Varchar).unwrap();
        let parts = with_table(|| [written(list), written(list)]);
        assert_eq!(parts, [(0, vec![30, 13]), (1, vec![])]);
        let read = with_table(|| [read_back(0, &[30, 13]), read_back(1, &[]), read_back(2, &[])]);
        assert_eq!(read, [Ok(list), Ok(list), Err(TypeError::Malformed)]);
        assert_eq!(written(list), (0, vec![30, 13]));
    }
}
