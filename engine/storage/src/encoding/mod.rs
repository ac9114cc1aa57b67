//! Encodings of blocks: one trait for choosing and opening, one for reading, and the table of them all.
//!
//! An encoding offers to encode a block at a cost; the cheapest offer is taken. Each lives in one file of its
//! own and is named only in [`ENCODINGS`].

mod bits;
mod constant;
mod dictionary;
mod fixed;
mod frame;
mod fsst;
mod fsst_filter;
mod fsst_length;
mod places;
mod run_length;
mod strings;
mod summary;
mod text_filter;

use crate::checksum::Checksum;
use crate::error::{Error, Result, damaged};
use crate::format::{self, ALIGNMENT, Place};
use crate::prepared::PreparedTest;
use crate::rows::{Length, RowsRef};
use arrow::buffer::MutableBuffer;
use columnar::{Bitmap, Buffer, Bytes, DataType, Dictionary, Interval, PhysicalType, Vector};
pub(crate) use constant::all_null;
use std::fmt::Debug;
use std::sync::Arc;
use summary::Summary;

/// Every encoding. A tag, once used in a file, keeps its meaning; 9 is reserved for bit-packed integers.
static ENCODINGS: [&dyn Encoding; 8] = [
    &constant::ConstantEncoding,
    &frame::FrameEncoding,
    &run_length::RunLengthEncoding,
    &dictionary::DictionaryEncoding,
    &fixed::FixedEncoding,
    &bits::BitsEncoding,
    &strings::StringsEncoding,
    &fsst::FsstEncoding,
];

/// The values of a block to encode. Null rows hold some value, best that of a neighbour.
#[derive(Clone, Copy)]
pub(crate) enum Input<'a> {
    I64(&'a [i64]),
    I128(&'a [i128]),
    F32(&'a [f32]),
    F64(&'a [f64]),
    Intervals(&'a [Interval]),
    Bits(&'a Bitmap),
    Strings(Strings<'a>),
    /// Codes into the column's dictionary of `count` values.
    Codes {
        codes: &'a [u32],
        count: usize,
    },
}

/// Strings end to end: string `i` is `bytes[starts[i]..starts[i + 1]]`.
#[derive(Clone, Copy)]
pub(crate) struct Strings<'a> {
    pub bytes: &'a [u8],
    pub starts: &'a [u32],
}

impl<'a> Strings<'a> {
    pub(crate) fn len(&self) -> usize {
        self.starts.len() - 1
    }

    pub(crate) fn get(&self, row: usize) -> &'a [u8] {
        &self.bytes[self.starts[row] as usize..self.starts[row + 1] as usize]
    }
}

impl Input<'_> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Input::I64(values) => values.len(),
            Input::I128(values) => values.len(),
            Input::F32(values) => values.len(),
            Input::F64(values) => values.len(),
            Input::Intervals(values) => values.len(),
            Input::Bits(bits) => bits.len(),
            Input::Strings(strings) => strings.len(),
            Input::Codes { codes, .. } => codes.len(),
        }
    }
}

/// A way to hold blocks.
pub(crate) trait Encoding: Sync {
    fn tag(&self) -> u32;
    /// What it would take to encode a block; `None` where it cannot.
    fn offer<'a>(&self, input: Input<'a>, summary: &Summary) -> Option<Offer<'a>>;
    /// A block of this encoding ready to be read, everything checked that reading relies on.
    fn open(&self, source: &Source<'_>) -> Result<Box<dyn EncodedBlock>>;
}

/// What an encoding asks for a block.
pub(crate) struct Offer<'a> {
    /// Bytes, weighed by how slow they are to read.
    pub cost: usize,
    pub encode: Box<dyn FnOnce() -> Result<Encoded> + 'a>,
}

impl<'a> Offer<'a> {
    fn new(cost: usize, encode: impl FnOnce() -> Result<Encoded> + 'a) -> Option<Offer<'a>> {
        Some(Offer { cost, encode: Box::new(encode) })
    }
}

/// An encoded block that has no place in a file yet.
pub(crate) struct Encoded {
    tag: u32,
    rows: usize,
    parameters: Vec<u8>,
    buffers: Vec<Bytes>,
    children: Vec<Encoded>,
}

/// An open block. Rows asked for must lie within it.
pub(crate) trait EncodedBlock: Debug + Send + Sync {
    /// Values of rows at a width that holds them; without validity.
    fn read(&self, rows: RowsRef<'_>, physical: PhysicalType) -> Result<Vector>;

    /// The length of the text of each row, of which those of null rows mean nothing; `None` where there is no way
    /// that is better than reading it.
    fn lengths(&self, _length: Length, _rows: RowsRef<'_>) -> Option<Vec<u32>> {
        None
    }

    /// A bit a row of the block, set where the value passes, nulls ignored; `None` where the encoding has no
    /// way that is better than reading the values. Bits of rows that are not alive mean nothing.
    fn filter(&self, _test: &PreparedTest, _alive: Option<&Bitmap>) -> Result<Option<Bitmap>> {
        Ok(None)
    }

    /// How dear a row is to filter: about bytes touched.
    fn filter_cost(&self) -> u32;
}

/// Encodes a block in the cheapest way.
pub(crate) fn encode(input: Input<'_>) -> Result<Encoded> {
    encode_without(input, &[])
}

fn encode_without(input: Input<'_>, left_out: &[u32]) -> Result<Encoded> {
    let summary = Summary::of(input);
    let offers = ENCODINGS.iter().filter(|encoding| !left_out.contains(&encoding.tag()));
    let best = offers.filter_map(|encoding| encoding.offer(input, &summary)).min_by_key(|offer| offer.cost);
    let best = best.ok_or_else(|| Error::Internal("no encoding for a block".into()))?;
    (best.encode)()
}

/// A block on its way to being read.
pub(crate) struct Source<'a> {
    pub block: &'a format::Block,
    /// The whole file.
    pub bytes: &'a Bytes,
    pub data_type: DataType,
    /// The column's dictionary, if it has one.
    pub dictionary: Option<&'a Arc<Dictionary>>,
}

impl Source<'_> {
    fn rows(&self) -> usize {
        self.block.rows as usize
    }

    /// The bits of rows that are not null; `None` where no row is null. Where every row is, the file has none.
    pub(crate) fn validity(&self) -> Result<Option<Bitmap>> {
        let Some(place) = &self.block.validity else {
            return match self.block.nulls {
                0 => Ok(None),
                nulls if nulls == self.block.rows => Ok(Some(Bitmap::filled(false, self.rows()))),
                _ => Err(damaged("a block lacks its validity")),
            };
        };
        let words = Buffer::new(slice(self.bytes, place), 0, self.rows().div_ceil(64));
        Bitmap::from_shared(words, self.rows())
            .filter(|bits| bits.len() - bits.count_ones() == self.block.nulls as usize)
            .map(Some)
            .ok_or_else(|| damaged("validity and null count disagree"))
    }

    fn buffer(&self, index: usize) -> Result<Bytes> {
        let place = self.block.buffers.get(index).ok_or_else(|| damaged("a block lacks a buffer"))?;
        Ok(slice(self.bytes, place))
    }

    /// A buffer of `len` numbers.
    fn numbers<T: arrow::datatypes::ArrowNativeType>(&self, index: usize, len: usize) -> Result<Buffer<T>> {
        let bytes = self.buffer(index)?;
        match bytes.len() == len * size_of::<T>() {
            true => Ok(Buffer::new(bytes, 0, len)),
            false => Err(damaged("a buffer's length does not fit its block")),
        }
    }

    fn parameters<M: prost::Message + Default>(&self) -> Result<M> {
        M::decode(self.block.parameters.as_slice()).map_err(|error| damaged(format!("a block: {error}")))
    }

    fn child(&self) -> Result<Source<'_>> {
        match self.block.children.as_slice() {
            [block] => Ok(Source { block, ..*self }),
            _ => Err(damaged("a block lacks its child")),
        }
    }
}

/// The bytes of a place that the footer's check has found inside the file.
fn slice(bytes: &Bytes, place: &Place) -> Bytes {
    bytes.slice_with_length(place.offset as usize, place.len as usize)
}

/// Verifies a block's checksum and opens it.
pub(crate) fn open(source: &Source<'_>) -> Result<Box<dyn EncodedBlock>> {
    let block = source.block;
    let mut checksum = Checksum::new();
    for place in block.validity.iter().chain(&block.buffers) {
        checksum.add(&slice(source.bytes, place));
    }
    if checksum.value() != block.checksum {
        return Err(damaged("a block's checksum differs"));
    }
    let encoding = ENCODINGS.iter().find(|encoding| encoding.tag() == block.encoding);
    encoding.ok_or_else(|| damaged(format!("unknown encoding {}", block.encoding)))?.open(source)
}

/// Puts blocks into bytes that later become part of a file.
#[derive(Default)]
pub(crate) struct Writer {
    bytes: MutableBuffer,
}

impl Writer {
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn finish(self) -> Bytes {
        self.bytes.into()
    }

    fn place(&mut self, bytes: &[u8]) -> Place {
        self.bytes.resize(self.bytes.len().next_multiple_of(ALIGNMENT), 0);
        let offset = self.bytes.len() as u64;
        self.bytes.extend_from_slice(bytes);
        Place { offset, len: bytes.len() as u64 }
    }

    /// Writes a block; its places count from the writer's start. Zone maps are for the caller to fill in.
    pub(crate) fn write(&mut self, encoded: Encoded, validity: Option<&Bitmap>) -> format::Block {
        let mut checksum = Checksum::new();
        let validity = validity.map(|bitmap| Bytes::from(bitmap.words().to_vec()));
        let mut put = |bytes: &Bytes| {
            checksum.add(bytes);
            self.place(bytes)
        };
        let validity = validity.as_ref().map(&mut put);
        let buffers = encoded.buffers.iter().map(&mut put).collect();
        format::Block {
            encoding: encoded.tag,
            rows: encoded.rows as u64,
            validity,
            buffers,
            checksum: checksum.value(),
            parameters: encoded.parameters,
            children: encoded.children.into_iter().map(|child| self.write(child, None)).collect(),
            ..format::Block::default()
        }
    }
}
