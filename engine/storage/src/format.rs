//! The segment file's footer as messages, and the frame around it. Described in `docs/segment-format.md`.
//!
//! The messages are written by hand with prost's derive; golden files in tests hold them still.

use crate::checksum::xxh64;
use crate::error::{Error, Result, damaged};
use columnar::types::describe::{describe, read};
use columnar::{Bytes, DataType, Interval, TimeUnit};
use prost::Message;

pub(crate) const VERSION: u32 = 1;
pub(crate) const HEADER_BYTES: usize = 64;
pub(crate) const TRAILER_BYTES: usize = 32;
/// Buffers start at multiples of this.
pub(crate) const ALIGNMENT: usize = 64;
const MAGIC: &[u8; 8] = b"TUNDRSEG";
const END_MAGIC: &[u8; 8] = b"TUNDREND";
/// Blocks within blocks: a run-length block has a child, which has none of its own.
const MAX_DEPTH: usize = 2;

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Footer {
    #[prost(uint64, tag = "1")]
    pub rows: u64,
    #[prost(message, repeated, tag = "2")]
    pub columns: Vec<Column>,
    #[prost(uint64, tag = "3")]
    pub sample_rows: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Column {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, optional, tag = "2")]
    pub data_type: Option<Type>,
    #[prost(bool, tag = "3")]
    pub nullable: bool,
    #[prost(message, repeated, tag = "4")]
    pub blocks: Vec<Block>,
    #[prost(message, optional, tag = "5")]
    pub dictionary: Option<Block>,
    #[prost(message, optional, tag = "6")]
    pub sample: Option<Block>,
    #[prost(uint64, tag = "7")]
    pub nulls: u64,
    #[prost(message, optional, tag = "8")]
    pub min: Option<Scalar>,
    #[prost(message, optional, tag = "9")]
    pub max: Option<Scalar>,
    #[prost(bool, tag = "10")]
    pub unique: bool,
    #[prost(bool, tag = "11")]
    pub sorted: bool,
    #[prost(double, tag = "12")]
    pub distinct: f64,
    #[prost(bytes = "vec", tag = "13")]
    pub sketch: Vec<u8>,
    /// Of integers: 16 bytes, little-endian, two's complement. Files of before have none.
    #[prost(bytes = "vec", optional, tag = "14")]
    pub sum: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Block {
    #[prost(uint32, tag = "1")]
    pub encoding: u32,
    #[prost(uint64, tag = "2")]
    pub rows: u64,
    #[prost(uint64, tag = "3")]
    pub nulls: u64,
    #[prost(message, optional, tag = "4")]
    pub min: Option<Scalar>,
    #[prost(message, optional, tag = "5")]
    pub max: Option<Scalar>,
    #[prost(message, optional, tag = "6")]
    pub validity: Option<Place>,
    #[prost(message, repeated, tag = "7")]
    pub buffers: Vec<Place>,
    #[prost(fixed64, tag = "8")]
    pub checksum: u64,
    /// A message of the encoding's own.
    #[prost(bytes = "vec", tag = "9")]
    pub parameters: Vec<u8>,
    #[prost(message, repeated, tag = "10")]
    pub children: Vec<Block>,
}

/// Where a buffer lies in the file.
#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct Place {
    #[prost(uint64, tag = "1")]
    pub offset: u64,
    #[prost(uint64, tag = "2")]
    pub len: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Type {
    #[prost(uint32, tag = "1")]
    pub kind: u32,
    /// Of a decimal; of a timestamp `unit` and `zone`.
    #[prost(uint32, tag = "2")]
    pub precision: u32,
    #[prost(uint32, tag = "3")]
    pub scale: u32,
    /// Of a nested type.
    #[prost(bytes = "vec", tag = "4")]
    pub description: Vec<u8>,
}

/// A value; absent where null.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Scalar {
    #[prost(oneof = "ScalarKind", tags = "1, 2, 3, 4, 5")]
    pub kind: Option<ScalarKind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum ScalarKind {
    #[prost(bool, tag = "1")]
    Boolean(bool),
    /// 16 bytes, little-endian, two's complement.
    #[prost(bytes, tag = "2")]
    Integer(Vec<u8>),
    /// The bits of a double.
    #[prost(fixed64, tag = "3")]
    Float(u64),
    /// Months (4 bytes), days (4), microseconds (8).
    #[prost(bytes, tag = "4")]
    Interval(Vec<u8>),
    #[prost(bytes, tag = "5")]
    Bytes(Vec<u8>),
}

impl Scalar {
    pub(crate) fn new(scalar: &columnar::Scalar) -> Option<Scalar> {
        let kind = match scalar {
            columnar::Scalar::Null => return None,
            columnar::Scalar::Boolean(value) => ScalarKind::Boolean(*value),
            columnar::Scalar::Integer(value) => ScalarKind::Integer(value.to_le_bytes().to_vec()),
            columnar::Scalar::Float(value) => ScalarKind::Float(value.to_bits()),
            columnar::Scalar::Interval(value) => ScalarKind::Interval(
                [&value.months.to_le_bytes()[..], &value.days.to_le_bytes(), &value.micros.to_le_bytes()]
                    .concat(),
            ),
            columnar::Scalar::Bytes(value) => ScalarKind::Bytes(value.clone()),
        };
        Some(Scalar { kind: Some(kind) })
    }

    /// The value, which must be of the kind that `data_type` holds.
    pub(crate) fn value(scalar: Option<&Scalar>, data_type: DataType) -> Result<columnar::Scalar> {
        let Some(kind) = scalar.and_then(|scalar| scalar.kind.as_ref()) else {
            return Ok(columnar::Scalar::Null);
        };
        let value = match kind {
            ScalarKind::Boolean(value) if data_type == DataType::Boolean => {
                Some(columnar::Scalar::Boolean(*value))
            }
            ScalarKind::Integer(value) if data_type.is_integral() => integer(value)
                .filter(|value| {
                    // Of the types of before, whatever their width holds: no file of then is damaged by it.
                    let bounds = match data_type.since() {
                        1 => data_type.physical().integer_bounds(),
                        _ => data_type.integer_bounds(),
                    };
                    bounds.is_some_and(|(min, max)| (min..=max).contains(value))
                })
                .map(columnar::Scalar::Integer),
            ScalarKind::Float(bits) if data_type.is_float() => {
                Some(columnar::Scalar::Float(f64::from_bits(*bits)))
            }
            ScalarKind::Interval(value) if data_type == DataType::Interval => {
                interval(value).map(columnar::Scalar::Interval)
            }
            ScalarKind::Bytes(value) if data_type.is_bytes() => Some(columnar::Scalar::Bytes(value.clone())),
            _ => None,
        };
        value.ok_or_else(|| damaged(format!("a value in the footer is no {data_type}")))
    }
}

/// An integer from its 16 bytes.
pub(crate) fn integer(bytes: &[u8]) -> Option<i128> {
    Some(i128::from_le_bytes(bytes.try_into().ok()?))
}

fn interval(bytes: &[u8]) -> Option<Interval> {
    let bytes: &[u8; 16] = bytes.try_into().ok()?;
    let raw = u128::from_le_bytes(*bytes);
    Some(Interval { months: raw as i32, days: (raw >> 32) as i32, micros: (raw >> 64) as i64 })
}

impl Type {
    pub(crate) fn new(data_type: DataType) -> Type {
        let (kind, precision, scale) = match data_type {
            DataType::Null => (1, 0, 0),
            DataType::Boolean => (2, 0, 0),
            DataType::Int8 => (3, 0, 0),
            DataType::Int16 => (4, 0, 0),
            DataType::Int32 => (5, 0, 0),
            DataType::Int64 => (6, 0, 0),
            DataType::Decimal { precision, scale } => (7, precision.into(), scale.into()),
            DataType::Float32 => (8, 0, 0),
            DataType::Float64 => (9, 0, 0),
            DataType::Date => (10, 0, 0),
            DataType::Time => (11, 0, 0),
            DataType::Timestamp { unit, zone } => (12, unit as u32, zone.into()),
            DataType::Interval => (13, 0, 0),
            DataType::Varchar => (14, 0, 0),
            DataType::Binary => (15, 0, 0),
            DataType::UInt8 => (16, 0, 0),
            DataType::UInt16 => (17, 0, 0),
            DataType::UInt32 => (18, 0, 0),
            DataType::UInt64 => (19, 0, 0),
            DataType::Int128 => (20, 0, 0),
            DataType::Uuid => (21, 0, 0),
            DataType::TimeZoned => (22, 0, 0),
            DataType::Json { canonical } => (23, canonical.into(), 0),
            DataType::Bits => (24, 0, 0),
            DataType::Enum(_) => (25, 0, 0),
            DataType::Nested(_) => (26, 0, 0),
        };
        let description = if matches!(kind, 25 | 26) { describe(data_type) } else { Vec::new() };
        Type { kind, precision, scale, description }
    }

    pub(crate) fn data_type(&self) -> Result<DataType> {
        Ok(match (self.kind, self.precision, self.scale) {
            (1, ..) => DataType::Null,
            (2, ..) => DataType::Boolean,
            (3, ..) => DataType::Int8,
            (4, ..) => DataType::Int16,
            (5, ..) => DataType::Int32,
            (6, ..) => DataType::Int64,
            (7, 1..=38, 0..=38) if self.scale <= self.precision => {
                DataType::Decimal { precision: self.precision as u8, scale: self.scale as u8 }
            }
            (8, ..) => DataType::Float32,
            (9, ..) => DataType::Float64,
            (10, ..) => DataType::Date,
            (11, ..) => DataType::Time,
            (12, unit @ 0..=3, zone @ 0..=1) => {
                use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
                let unit = [Second, Millisecond, Microsecond, Nanosecond][unit as usize];
                DataType::Timestamp { unit, zone: zone == 1 }
            }
            (13, ..) => DataType::Interval,
            (14, ..) => DataType::Varchar,
            (15, ..) => DataType::Binary,
            (16, ..) => DataType::UInt8,
            (17, ..) => DataType::UInt16,
            (18, ..) => DataType::UInt32,
            (19, ..) => DataType::UInt64,
            (20, ..) => DataType::Int128,
            (21, ..) => DataType::Uuid,
            (22, ..) => DataType::TimeZoned,
            (23, canonical @ 0..=1, _) => DataType::Json { canonical: canonical == 1 },
            (24, ..) => DataType::Bits,
            (25, ..) => read(&self.description)
                .ok()
                .filter(|found| matches!(found, DataType::Enum(_)))
                .ok_or_else(|| damaged("an enum without its description in the footer"))?,
            (26, ..) => read(&self.description)
                .ok()
                .filter(|found| found.as_nested().is_some())
                .ok_or_else(|| damaged("a nested type without its description in the footer"))?,
            _ => return Err(damaged(format!("unknown type {} in the footer", self.kind))),
        })
    }
}

impl Block {
    /// Adds `shift` to every place of the block and its children.
    pub(crate) fn shift(&mut self, shift: u64) {
        for place in self.validity.iter_mut().chain(&mut self.buffers) {
            place.offset += shift;
        }
        self.children.iter_mut().for_each(|child| child.shift(shift));
    }

    /// Bytes of all buffers.
    pub(crate) fn bytes(&self) -> u64 {
        let own: u64 = self.validity.iter().chain(&self.buffers).map(|place| place.len).sum();
        own + self.children.iter().map(Block::bytes).sum::<u64>()
    }

    /// Every place of the block and its children.
    pub(crate) fn places(&self, all: &mut Vec<Place>) {
        all.extend(self.validity.iter().chain(&self.buffers));
        self.children.iter().for_each(|child| child.places(all));
    }

    /// Checks places and counts against the space that buffers may lie in.
    fn check(&self, end: u64, depth: usize) -> Result<()> {
        let inside = |place: &Place| {
            place.offset >= HEADER_BYTES as u64
                && place.offset.is_multiple_of(ALIGNMENT as u64)
                && place.offset.checked_add(place.len).is_some_and(|limit| limit <= end)
        };
        if !self.validity.iter().chain(&self.buffers).all(inside) {
            return Err(damaged("a buffer lies outside the file"));
        }
        if self.nulls > self.rows || self.rows > u64::from(u32::MAX) {
            return Err(damaged("a block's counts contradict each other"));
        }
        let partly = self.nulls > 0 && self.nulls < self.rows;
        if self.validity.is_some() != partly
            || self.validity.is_some_and(|place| place.len != self.rows.div_ceil(64) * 8)
        {
            return Err(damaged("a block's validity does not fit its null count"));
        }
        if depth == MAX_DEPTH && !self.children.is_empty() {
            return Err(damaged("blocks are nested too deep"));
        }
        self.children.iter().try_for_each(|child| child.check(end, depth + 1))
    }
}

/// The header of a new file.
pub(crate) fn header() -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    header
}

/// Footer and trailer of a file whose content so far has `len` bytes.
pub(crate) fn close(footer: &Footer, len: usize) -> Vec<u8> {
    let mut end = footer.encode_to_vec();
    let (footer_len, checksum) = (end.len() as u64, xxh64(&end, 0));
    let file_len = (len + end.len() + TRAILER_BYTES) as u64;
    end.extend(footer_len.to_le_bytes());
    end.extend(checksum.to_le_bytes());
    end.extend(file_len.to_le_bytes());
    end.extend(END_MAGIC);
    end
}

/// Reads the frame of a file and its footer, every place of which then lies within the file.
pub(crate) fn open(bytes: &Bytes) -> Result<Footer> {
    if bytes.len() < HEADER_BYTES + TRAILER_BYTES || &bytes[..8] != MAGIC {
        return Err(damaged("not a segment file, or cut short"));
    }
    let number =
        |at: usize| bytes[at..at + 8].iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte));
    let found = number(8) as u32;
    if found != VERSION {
        return Err(Error::Version { found, expected: VERSION });
    }
    let trailer = bytes.len() - TRAILER_BYTES;
    if &bytes[trailer + 24..] != END_MAGIC || number(trailer + 16) != bytes.len() as u64 {
        return Err(damaged("cut short"));
    }
    let start = usize::try_from(number(trailer))
        .ok()
        .and_then(|len| trailer.checked_sub(len))
        .filter(|&start| start >= HEADER_BYTES)
        .ok_or_else(|| damaged("the footer does not fit the file"))?;
    let message = &bytes[start..trailer];
    if xxh64(message, 0) != number(trailer + 8) {
        return Err(damaged("the footer's checksum differs"));
    }
    let footer = Footer::decode(message).map_err(|error| damaged(format!("the footer: {error}")))?;
    for column in &footer.columns {
        let blocks = column.blocks.iter().chain(&column.dictionary).chain(&column.sample);
        blocks.into_iter().try_for_each(|block| block.check(start as u64, 1))?;
    }
    Ok(footer)
}
