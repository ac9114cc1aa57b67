//! Writing frames.

use super::dictionaries::{Crossing, Sent, code_width};
use super::header::{ColumnHeader, FrameHeader, Shape};
use super::repeats::Repeats;
use super::writer::Writer;
use super::{numbers, text};
use crate::{
    Batch, Bitmap, Buffer, Codes, Constant, DictionaryVector, Flat, Interval, Scalar, Values, Vector, lz4,
};

/// How frames are written; any decoder reads them.
#[derive(Clone, Copy, Debug, Default)]
pub struct FrameOptions {
    /// Whether frames are compressed where that saves an eighth.
    pub compress: bool,
}

/// Writes the frames of one stream.
#[derive(Debug)]
pub struct FrameEncoder {
    options: FrameOptions,
    sent: Sent,
    repeats: Repeats,
}

/// Shorter bodies are not compressed.
const COMPRESSED_BYTES_MIN: usize = 256;

impl FrameEncoder {
    pub fn new(options: FrameOptions) -> FrameEncoder {
        FrameEncoder { options, sent: Sent::default(), repeats: Repeats::default() }
    }

    /// The frame of a batch's selected rows.
    pub fn encode(&mut self, batch: &Batch) -> Vec<u8> {
        let compacted;
        let batch = match batch.selection {
            None => batch,
            Some(_) => {
                compacted = batch.clone().compact();
                &compacted
            }
        };
        let mut writer = Writer { bytes: vec![0; FrameHeader::BYTES] };
        for (position, column) in batch.columns.iter().enumerate() {
            self.column(&mut writer, position, column);
        }
        let mut frame = writer.bytes;
        let body = &frame[FrameHeader::BYTES..];
        let mut header = FrameHeader {
            is_compressed: false,
            columns: batch.columns.len() as u32,
            rows: batch.rows as u64,
            body_bytes: body.len() as u64,
        };
        if self.options.compress
            && body.len() >= COMPRESSED_BYTES_MIN
            && let Some(block) = lz4::compress(body)
        {
            header.is_compressed = true;
            frame.truncate(FrameHeader::BYTES);
            frame.extend(block);
        }
        frame[..FrameHeader::BYTES].copy_from_slice(&header.to_bytes());
        frame
    }

    fn column(&mut self, writer: &mut Writer, position: usize, column: &Vector) {
        match column {
            Vector::Flat(flat) => match self.repeats.coded(position, flat) {
                Some(coded) => self.codes(writer, &coded, || flat.clone()),
                None => write_flat(writer, flat),
            },
            Vector::Constant(constant) => write_constant(writer, constant),
            Vector::Dictionary(vector) => self.codes(writer, vector, || column.flatten()),
        }
    }

    /// Writes codes, or what they stand for where their dictionary does not cross.
    fn codes(&mut self, writer: &mut Writer, vector: &DictionaryVector, flat: impl FnOnce() -> Flat) {
        match self.sent.crossing(vector) {
            Crossing::Flat => write_flat(writer, &flat()),
            Crossing::Known(slot) => write_codes(writer, vector, Shape::KnownDictionary, slot),
            Crossing::New(slot) => {
                let sorted = vector.dictionary.sorted;
                write_codes(writer, vector, Shape::NewDictionary { sorted }, slot);
            }
        }
    }
}

fn write_flat(writer: &mut Writer, flat: &Flat) {
    let validity = some_null(flat.validity.as_ref());
    let (data_type, physical) = (flat.data_type, flat.values.physical());
    let header =
        ColumnHeader { shape: Shape::Flat, data_type, physical, has_nulls: validity.is_some(), width: 0 };
    writer.column(header, |writer| {
        write_validity(writer, validity);
        write_values(writer, &flat.values, validity)
    });
}

/// The validity of a column of which some row is null.
fn some_null(validity: Option<&Bitmap>) -> Option<&Bitmap> {
    validity.filter(|validity| !validity.all())
}

fn write_validity(writer: &mut Writer, validity: Option<&Bitmap>) {
    if let Some(validity) = validity {
        writer.numbers(validity.buffer());
    }
}

/// Writes values and gives the width that the header tells.
fn write_values(writer: &mut Writer, values: &Values, validity: Option<&Bitmap>) -> u8 {
    match values {
        Values::Bool(bits) => writer.numbers(bits.buffer()),
        Values::I8(values) => writer.numbers(values),
        Values::I16(values) => return numbers::write(writer, values),
        Values::I32(values) => return numbers::write(writer, values),
        Values::I64(values) => return numbers::write(writer, values),
        Values::I128(values) => return numbers::write(writer, values),
        Values::F32(values) => writer.numbers(values),
        Values::F64(values) => writer.numbers(values),
        Values::Interval(values) => {
            let words: Buffer<u128> = values.iter().map(|&interval| interval_word(interval)).collect();
            writer.numbers(&words);
        }
        Values::View(views) => return text::write(writer, views, validity),
    }
    0
}

/// Months, days and microseconds, the months lowest.
fn interval_word(interval: Interval) -> u128 {
    let Interval { months, days, micros } = interval;
    u128::from(months as u32) | u128::from(days as u32) << 32 | u128::from(micros as u64) << 64
}

fn write_constant(writer: &mut Writer, constant: &Constant) {
    let header = ColumnHeader {
        shape: Shape::Constant,
        data_type: constant.value.data_type,
        physical: constant.physical,
        has_nulls: constant.value.is_null(),
        width: 0,
    };
    writer.section(&header.to_bytes());
    match &constant.value.scalar {
        Scalar::Null => {}
        Scalar::Boolean(value) => writer.section(&u64::from(*value).to_le_bytes()),
        Scalar::Integer(value) => writer.section(&value.to_le_bytes()),
        Scalar::Float(value) => writer.section(&value.to_bits().to_le_bytes()),
        Scalar::Interval(value) => writer.section(&interval_word(*value).to_le_bytes()),
        Scalar::Bytes(value) => {
            writer.section(&(value.len() as u64).to_le_bytes());
            writer.section(value);
        }
    }
}

fn write_codes(writer: &mut Writer, vector: &DictionaryVector, shape: Shape, slot: usize) {
    let validity = some_null(vector.validity.as_ref());
    let values = &vector.dictionary.values;
    let width = code_width(values.len());
    let header = ColumnHeader {
        shape,
        data_type: values.data_type,
        physical: values.values.physical(),
        has_nulls: validity.is_some(),
        width,
    };
    writer.section(&header.to_bytes());
    writer.section(&(slot as u64).to_le_bytes());
    if shape != Shape::KnownDictionary {
        writer.section(&(values.len() as u64).to_le_bytes());
        let without_nulls = Flat::new(values.data_type, values.values.clone(), None);
        write_flat(writer, &without_nulls);
    }
    write_validity(writer, validity);
    let narrowed = || vector.codes.to_indices().into_iter();
    match (width, &vector.codes) {
        (1, Codes::U8(codes)) => writer.numbers(codes),
        (1, _) => writer.numbers(&narrowed().map(|code| code as u8).collect::<Buffer<u8>>()),
        (_, Codes::U16(codes)) => writer.numbers(codes),
        _ => writer.numbers(&narrowed().map(|code| code as u16).collect::<Buffer<u16>>()),
    }
}
