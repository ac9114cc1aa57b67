//! The parts of a frame that have a fixed size: what stands before its body, and before each column.

use super::{FrameError, Result};
use crate::types::DECIMAL_MAX_PRECISION;
use crate::{DataType, PhysicalType, TimeUnit};

/// Of the frames that are written and read.
const VERSION: u8 = 1;

/// What a frame begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHeader {
    /// Whether the body is an LZ4 block.
    pub(super) is_compressed: bool,
    pub(super) columns: u32,
    pub(super) rows: u64,
    /// Of the body before it was compressed.
    pub(super) body_bytes: u64,
}

impl FrameHeader {
    pub(super) const BYTES: usize = 24;

    pub(super) fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[0] = VERSION;
        bytes[1] = self.is_compressed.into();
        bytes[4..8].copy_from_slice(&self.columns.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.rows.to_le_bytes());
        bytes[16..].copy_from_slice(&self.body_bytes.to_le_bytes());
        bytes
    }

    /// The header of a frame, and what follows it.
    pub(super) fn split(frame: &[u8]) -> Result<(FrameHeader, &[u8])> {
        let Some((header, body)) = frame.split_first_chunk::<{ Self::BYTES }>() else {
            return Err(FrameError::Malformed("shorter than its header"));
        };
        let words = header.as_chunks().0;
        let word = |at: usize| u64::from_le_bytes(words[at]);
        let [found, flags, unused @ ..] = (word(0) as u32).to_le_bytes();
        if found != VERSION {
            return Err(FrameError::Version { found, expected: VERSION });
        }
        if flags > 1 || unused != [0; 2] {
            return Err(FrameError::Malformed("flags of no meaning"));
        }
        let columns = (word(0) >> 32) as u32;
        Ok((FrameHeader { is_compressed: flags == 1, columns, rows: word(1), body_bytes: word(2) }, body))
    }
}

/// What a column begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ColumnHeader {
    pub(super) shape: Shape,
    pub(super) data_type: DataType,
    pub(super) physical: PhysicalType,
    /// Flat and dictionary: whether a bitmap of the rows that are not null follows. Constant: whether it is null.
    pub(super) has_nulls: bool,
    /// Bytes of a difference from the base, of a length or of a code; 0 where the shape has none.
    pub(super) width: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Flat,
    Constant,
    /// Codes into a dictionary that an earlier column brought.
    KnownDictionary,
    /// Codes into a dictionary that follows.
    NewDictionary {
        sorted: bool,
    },
}

impl ColumnHeader {
    pub(super) const BYTES: usize = 8;
    /// Where the width stands.
    pub(super) const WIDTH_AT: usize = 6;

    pub(super) fn to_bytes(self) -> [u8; Self::BYTES] {
        let shape = match self.shape {
            Shape::Flat => 0,
            Shape::Constant => 1,
            Shape::KnownDictionary => 2,
            Shape::NewDictionary { sorted: false } => 3,
            Shape::NewDictionary { sorted: true } => 4,
        };
        let [tag, first, second] = type_bytes(self.data_type);
        [shape, tag, first, second, physical_byte(self.physical), self.has_nulls.into(), self.width, 0]
    }

    /// `expected`: the type that the column is known to have, if it is.
    pub(super) fn from_bytes(bytes: [u8; Self::BYTES], expected: Option<DataType>) -> Result<ColumnHeader> {
        let [shape, tag, first, second, physical, nulls, width, unused] = bytes;
        let shape = match shape {
            0 => Shape::Flat,
            1 => Shape::Constant,
            2 => Shape::KnownDictionary,
            3 => Shape::NewDictionary { sorted: false },
            4 => Shape::NewDictionary { sorted: true },
            _ => return Err(FrameError::Malformed("a column of an unknown shape")),
        };
        let data_type =
            data_type([tag, first, second], expected).ok_or(FrameError::Malformed("an unknown type"))?;
        let physical = physical_type(physical).ok_or(FrameError::Malformed("an unknown width"))?;
        let canonical = data_type.physical();
        if physical != canonical && !(physical.is_integer() && canonical.is_integer()) {
            return Err(FrameError::Malformed("a type at a width that holds another kind"));
        }
        if nulls > 1 || unused != 0 {
            return Err(FrameError::Malformed("flags of no meaning"));
        }
        Ok(ColumnHeader { shape, data_type, physical, has_nulls: nulls == 1, width })
    }
}

/// A type as its number, and what it has beside.
fn type_bytes(data_type: DataType) -> [u8; 3] {
    match data_type {
        DataType::Null => [0, 0, 0],
        DataType::Boolean => [1, 0, 0],
        DataType::Int8 => [2, 0, 0],
        DataType::Int16 => [3, 0, 0],
        DataType::Int32 => [4, 0, 0],
        DataType::Int64 => [5, 0, 0],
        DataType::Decimal { precision, scale } => [6, precision, scale],
        DataType::Float32 => [7, 0, 0],
        DataType::Float64 => [8, 0, 0],
        DataType::Date => [9, 0, 0],
        DataType::Time => [10, 0, 0],
        DataType::Timestamp { unit, zone } => [11, unit as u8, zone.into()],
        DataType::Interval => [12, 0, 0],
        DataType::Varchar => [13, 0, 0],
        DataType::Binary => [14, 0, 0],
        DataType::UInt8 => [15, 0, 0],
        DataType::UInt16 => [16, 0, 0],
        DataType::UInt32 => [17, 0, 0],
        DataType::UInt64 => [18, 0, 0],
        DataType::Int128 => [19, 0, 0],
        DataType::Uuid => [20, 0, 0],
        DataType::TimeZoned => [21, 0, 0],
        DataType::Json { canonical } => [22, canonical.into(), 0],
        DataType::Bits => [23, 0, 0],
        // No description crosses: a reader knows the types that come, and checks the hash.
        DataType::Enum(kind) => hashed(24, kind.structural_hash()),
        DataType::Nested(kind) => hashed(25, kind.structural_hash()),
    }
}

fn hashed(kind: u8, hash: u64) -> [u8; 3] {
    let [low, high, ..] = hash.to_le_bytes();
    [kind, low, high]
}

fn data_type(bytes: [u8; 3], expected: Option<DataType>) -> Option<DataType> {
    Some(match bytes {
        [0, 0, 0] => DataType::Null,
        [1, 0, 0] => DataType::Boolean,
        [2, 0, 0] => DataType::Int8,
        [3, 0, 0] => DataType::Int16,
        [4, 0, 0] => DataType::Int32,
        [5, 0, 0] => DataType::Int64,
        [6, precision @ 1..=DECIMAL_MAX_PRECISION, scale] if scale <= precision => {
            DataType::Decimal { precision, scale }
        }
        [7, 0, 0] => DataType::Float32,
        [8, 0, 0] => DataType::Float64,
        [9, 0, 0] => DataType::Date,
        [10, 0, 0] => DataType::Time,
        [11, unit, zone @ 0..=1] => {
            use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
            let units = [Second, Millisecond, Microsecond, Nanosecond];
            DataType::Timestamp { unit: *units.get(usize::from(unit))?, zone: zone == 1 }
        }
        [12, 0, 0] => DataType::Interval,
        [13, 0, 0] => DataType::Varchar,
        [14, 0, 0] => DataType::Binary,
        [15, 0, 0] => DataType::UInt8,
        [16, 0, 0] => DataType::UInt16,
        [17, 0, 0] => DataType::UInt32,
        [18, 0, 0] => DataType::UInt64,
        [19, 0, 0] => DataType::Int128,
        [20, 0, 0] => DataType::Uuid,
        [21, 0, 0] => DataType::TimeZoned,
        [22, canonical @ 0..=1, 0] => DataType::Json { canonical: canonical == 1 },
        [23, 0, 0] => DataType::Bits,
        [24 | 25, ..] => expected.filter(|&expected| type_bytes(expected) == bytes)?,
        _ => return None,
    })
}

fn physical_byte(physical: PhysicalType) -> u8 {
    match physical {
        PhysicalType::Bool => 0,
        PhysicalType::I8 => 1,
        PhysicalType::I16 => 2,
        PhysicalType::I32 => 3,
        PhysicalType::I64 => 4,
        PhysicalType::I128 => 5,
        PhysicalType::F32 => 6,
        PhysicalType::F64 => 7,
        PhysicalType::Interval => 8,
        PhysicalType::View => 9,
    }
}

fn physical_type(byte: u8) -> Option<PhysicalType> {
    use PhysicalType::{Bool, F32, F64, I8, I16, I32, I64, I128, Interval, View};
    let types = [Bool, I8, I16, I32, I64, I128, F32, F64, Interval, View];
    types.get(usize::from(byte)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::samples::TYPES;

    #[test]
    fn headers_come_back() {
        let frame =
            FrameHeader { is_compressed: true, columns: 0x0102_0304, rows: 1 << 40, body_bytes: u64::MAX };
        let bytes = [&frame.to_bytes()[..], b"body"].concat();
        assert_eq!(FrameHeader::split(&bytes), Ok((frame, &b"body"[..])));
        let shapes = [
            Shape::Flat,
            Shape::Constant,
            Shape::KnownDictionary,
            Shape::NewDictionary { sorted: false },
            Shape::NewDictionary { sorted: true },
        ];
        for (data_type, shape) in
            TYPES.into_iter().flat_map(|data_type| shapes.map(|shape| (data_type, shape)))
        {
            let physical = data_type.physical();
            let column =
                ColumnHeader { shape, data_type, physical, has_nulls: physical.is_integer(), width: 2 };
            assert_eq!(ColumnHeader::from_bytes(column.to_bytes(), None), Ok(column));
        }
    }

    #[test]
    fn bytes_of_no_meaning_are_refused() {
        let frame = FrameHeader { is_compressed: false, columns: 1, rows: 1, body_bytes: 8 }.to_bytes();
        for (at, byte) in [(0, 0), (0, 2), (1, 2), (2, 1), (3, 1)] {
            let mut changed = frame;
            changed[at] = byte;
            assert!(FrameHeader::split(&changed).is_err(), "{at}");
        }
        let column = ColumnHeader {
            shape: Shape::Flat,
            data_type: DataType::decimal(9, 2),
            physical: PhysicalType::I16,
            has_nulls: false,
            width: 0,
        };
        // Shape, type, digits beyond 38, a scale beyond the digits, kind, unknown width, flags.
        for (at, byte) in
            [(0, 5), (1, 15), (1, 13), (2, 39), (2, 0), (3, 10), (4, 7), (4, 10), (5, 2), (7, 1)]
        {
            let mut changed = column.to_bytes();
            changed[at] = byte;
            assert!(ColumnHeader::from_bytes(changed, None).is_err(), "{at}");
        }
    }
}
