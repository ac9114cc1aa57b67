//! Reading frames, whatever they are.

use super::dictionaries::{Received, check_size, code_width};
use super::header::{ColumnHeader, FrameHeader, Shape};
use super::reader::{Memory, Reader};
use super::{FrameError, Result, numbers, text};
use crate::kernels::take::greatest;
use crate::{
    BATCH_ROWS, Batch, Bitmap, Codes, Constant, DataType, Dictionary, DictionaryVector, Flat, Interval,
    PhysicalType, Scalar, Value, Values, Vector, lz4,
};
use std::sync::Arc;

/// What a frame may be at most.
#[derive(Clone, Copy, Debug)]
pub struct FrameLimits {
    pub rows: usize,
    /// The memory that decoding takes: the body where it was compressed, vectors, and dictionaries that are new.
    pub bytes: usize,
}

impl Default for FrameLimits {
    /// Of batches in flight.
    fn default() -> FrameLimits {
        FrameLimits { rows: BATCH_ROWS, bytes: 256 << 20 }
    }
}

/// Reads the frames of one stream.
#[derive(Debug, Default)]
pub struct FrameDecoder {
    limits: FrameLimits,
    /// Of the columns that come, by which enums and nested types are known.
    types: Arc<[DataType]>,
    received: Received,
}

impl FrameDecoder {
    pub fn new(limits: FrameLimits) -> FrameDecoder {
        FrameDecoder { limits, types: Arc::default(), received: Received::default() }
    }

    /// Of a stream whose columns are of these types: frames do not describe enums and nested types, and have but a hash
    /// of what is expected.
    pub fn expecting(self, types: impl Into<Arc<[DataType]>>) -> FrameDecoder {
        FrameDecoder { types: types.into(), ..self }
    }

    /// The batch of a frame. It shares nothing with `frame`.
    pub fn decode(&mut self, frame: &[u8]) -> Result<Batch> {
        let (header, body) = FrameHeader::split(frame)?;
        let rows = usize::try_from(header.rows).ok().filter(|&rows| rows <= self.limits.rows);
        let rows = rows.ok_or(FrameError::TooLarge { what: "rows", limit: self.limits.rows })?;
        let mut memory = Memory::new(self.limits.bytes);
        let body_bytes = usize::try_from(header.body_bytes).unwrap_or(usize::MAX);
        let decompressed;
        let body = if header.is_compressed {
            memory.reserve(body_bytes, 1)?;
            let bytes = lz4::decompress(body, body_bytes);
            decompressed = bytes.ok_or(FrameError::Malformed("a body that cannot be decompressed"))?;
            &decompressed
        } else {
            body
        };
        if body.len() != body_bytes {
            return Err(FrameError::Malformed("a body of another length than the header says"));
        }
        let columns = header.columns as usize;
        if columns > body_bytes / ColumnHeader::BYTES {
            return Err(FrameError::Malformed("more columns than the body has room for"));
        }
        memory.reserve(columns, size_of::<Vector>())?;
        let mut reader = Reader::new(body, memory);
        let vectors =
            (0..columns).map(|column| self.column(&mut reader, column, rows)).collect::<Result<Vec<_>>>()?;
        if reader.left() > 0 {
            return Err(FrameError::Malformed("bytes after the last column"));
        }
        Ok(Batch::of_rows(vectors, rows))
    }

    fn column(&mut self, reader: &mut Reader<'_>, column: usize, rows: usize) -> Result<Vector> {
        let expected = self.types.get(column).copied();
        let header = ColumnHeader::from_bytes(reader.array()?, expected)?;
        match header.shape {
            Shape::Flat => {
                let validity = read_validity(reader, &header, rows)?;
                let values = read_values(reader, &header, rows)?;
                Ok(Flat::new(header.data_type, values, validity).into())
            }
            Shape::Constant => read_constant(reader, &header, rows),
            Shape::KnownDictionary => {
                let slot = reader.count()?;
                read_codes(reader, &header, self.received.get(slot, &header)?, rows)
            }
            Shape::NewDictionary { sorted } => {
                let slot = reader.count()?;
                let dictionary = Arc::new(Dictionary::new(read_dictionary(reader, expected)?, sorted));
                self.received.put(slot, dictionary)?;
                read_codes(reader, &header, self.received.get(slot, &header)?, rows)
            }
        }
    }
}

fn read_validity(reader: &mut Reader<'_>, header: &ColumnHeader, rows: usize) -> Result<Option<Bitmap>> {
    if header.has_nulls { reader.bits(rows).map(Some) } else { Ok(None) }
}

fn read_values(reader: &mut Reader<'_>, header: &ColumnHeader, rows: usize) -> Result<Values> {
    let width = header.width;
    let plain = matches!(
        header.physical,
        PhysicalType::Bool
            | PhysicalType::I8
            | PhysicalType::F32
            | PhysicalType::F64
            | PhysicalType::Interval
    );
    if plain && width != 0 {
        return Err(FrameError::Malformed("a width of values that have none"));
    }
    Ok(match header.physical {
        PhysicalType::Bool => Values::Bool(reader.bits(rows)?),
        PhysicalType::I8 => Values::I8(reader.numbers(rows)?),
        PhysicalType::I16 => Values::I16(numbers::read(reader, rows, width)?),
        PhysicalType::I32 => Values::I32(numbers::read(reader, rows, width)?),
        PhysicalType::I64 => Values::I64(numbers::read(reader, rows, width)?),
        PhysicalType::I128 => Values::I128(numbers::read(reader, rows, width)?),
        PhysicalType::F32 => Values::F32(reader.numbers(rows)?),
        PhysicalType::F64 => Values::F64(reader.numbers(rows)?),
        PhysicalType::Interval => {
            let words = reader.numbers::<u128>(rows)?;
            reader.memory().reserve(rows, size_of::<Interval>())?;
            Values::Interval(words.iter().map(|&word| interval(word)).collect())
        }
        PhysicalType::View => Values::View(text::read(reader, rows, width, header.data_type.is_text())?),
    })
}

fn interval(word: u128) -> Interval {
    Interval { months: word as i32, days: (word >> 32) as i32, micros: (word >> 64) as i64 }
}

fn read_constant(reader: &mut Reader<'_>, header: &ColumnHeader, rows: usize) -> Result<Vector> {
    if header.width != 0 {
        return Err(FrameError::Malformed("a width of values that have none"));
    }
    let scalar = if header.has_nulls { Scalar::Null } else { read_scalar(reader, header)? };
    let value = Value::new(header.data_type, scalar);
    Ok(Vector::Constant(Constant { value, physical: header.physical, len: rows }))
}

fn read_scalar(reader: &mut Reader<'_>, header: &ColumnHeader) -> Result<Scalar> {
    if let Some((least, greatest)) = header.physical.integer_bounds() {
        let value = i128::from_le_bytes(reader.array()?);
        let held = (least..=greatest).contains(&value);
        return if held {
            Ok(Scalar::Integer(value))
        } else {
            Err(FrameError::Malformed("a constant beyond its width"))
        };
    }
    Ok(match header.physical {
        PhysicalType::Bool => match u64::from_le_bytes(reader.array()?) {
            0 => Scalar::Boolean(false),
            1 => Scalar::Boolean(true),
            _ => return Err(FrameError::Malformed("a constant that is neither true nor false")),
        },
        PhysicalType::Interval => Scalar::Interval(interval(u128::from_le_bytes(reader.array()?))),
        PhysicalType::View => {
            let len = reader.count()?;
            let bytes = reader.section(len)?;
            if u32::try_from(len).is_err() {
                return Err(FrameError::Malformed("a string of more than 4 GiB"));
            }
            if header.data_type.is_text() && std::str::from_utf8(bytes).is_err() {
                return Err(FrameError::Malformed("text that is not UTF-8"));
            }
            reader.memory().reserve(len, 1)?;
            Scalar::Bytes(bytes.to_vec())
        }
        _ => Scalar::Float(f64::from_bits(u64::from_le_bytes(reader.array()?))),
    })
}

fn read_dictionary(reader: &mut Reader<'_>, expected: Option<DataType>) -> Result<Flat> {
    let count = reader.count()?;
    let header = ColumnHeader::from_bytes(reader.array()?, expected)?;
    if header.shape != Shape::Flat || header.has_nulls {
        return Err(FrameError::Malformed("a dictionary whose values are not flat, or null"));
    }
    let values = Flat::new(header.data_type, read_values(reader, &header, count)?, None);
    check_size(&values)?;
    Ok(values)
}

fn read_codes(
    reader: &mut Reader<'_>,
    header: &ColumnHeader,
    dictionary: Arc<Dictionary>,
    rows: usize,
) -> Result<Vector> {
    let values = dictionary.values.len();
    if header.width != code_width(values) {
        return Err(FrameError::Malformed("codes of another width than their dictionary takes"));
    }
    let validity = read_validity(reader, header, rows)?;
    let (codes, last) = if header.width == 1 {
        let codes = reader.numbers::<u8>(rows)?;
        let last = greatest(&codes).map(usize::from);
        (Codes::U8(codes), last)
    } else {
        let codes = reader.numbers::<u16>(rows)?;
        let last = greatest(&codes).map(usize::from);
        (Codes::U16(codes), last)
    };
    if last.is_some_and(|last| last >= values) {
        return Err(FrameError::Malformed("a code beyond its dictionary"));
    }
    Ok(Vector::Dictionary(DictionaryVector { codes, dictionary, validity }))
}
