//! Strings by FSST (Boncz, Neumann, Leis, "FSST: Fast Random Access String Compression", 2020): frequent
//! pieces of up to 8 bytes become one byte each. A block has a symbol table of its own; only the strings asked
//! for are decoded.

use super::fsst_length::Weights;
use super::places::{self, Places};
use super::strings::{SLACK_BYTES, check_text, view};
use super::text_filter::Texts;
use super::{Encoded, EncodedBlock, Encoding, Input, Offer, Source, Strings, Summary, fsst_filter};
use crate::error::{Error, Result, damaged};
use crate::prepared::PreparedTest;
use crate::rows::{Length, RowsRef};
use columnar::{Bitmap, Bytes, DataType, Flat, PhysicalType, Values, Vector, Views};
use prost::Message;
use std::sync::Arc;

pub(super) struct FsstEncoding;

/// The code before a byte that stands for itself.
pub(super) const ESCAPE: u8 = 255;
/// Blocks of fewer bytes are not worth a symbol table.
const MIN_BYTES: usize = 16 * 1024;
/// Strings that sizes are estimated with.
const SAMPLE: usize = 512;

#[derive(Clone, PartialEq, Message)]
struct Parameters {
    #[prost(bool, tag = "1")]
    wide: bool,
    #[prost(uint32, tag = "2")]
    symbols: u32,
    /// Bytes of the strings: how much room reading will need, about.
    #[prost(uint64, tag = "3")]
    plain_bytes: u64,
}

impl Encoding for FsstEncoding {
    fn tag(&self) -> u32 {
        8
    }

    fn offer<'a>(&self, input: Input<'a>, _: &Summary) -> Option<Offer<'a>> {
        let Input::Strings(strings) = input else { return None };
        if strings.bytes.len() < MIN_BYTES {
            return None;
        }
        let every = strings.len().div_ceil(SAMPLE);
        let sample: Vec<&[u8]> = (0..strings.len()).step_by(every).map(|row| strings.get(row)).collect();
        let compressor = fsst::Compressor::train(&sample);
        let plain: usize = sample.iter().map(|string| string.len()).sum();
        let coded: usize = sample.iter().map(|string| compressor.compress(string).len()).sum();
        let estimate = (strings.bytes.len() as f64 * coded as f64 / plain.max(1) as f64) as usize;
        // Decoding costs time, so it must halve the strings.
        let cost = 2 * estimate + 2 * strings.len() + 4096;
        Offer::new(cost, move || encode(strings, &compressor))
    }

    fn open(&self, source: &Source<'_>) -> Result<Box<dyn EncodedBlock>> {
        let Parameters { wide, symbols, plain_bytes } = source.parameters()?;
        let codes = source.buffer(1)?;
        let limit = codes.len().checked_sub(SLACK_BYTES).ok_or_else(|| damaged("a buffer is too short"))?;
        let places = Places::open(source, wide, limit)?;
        if !source.data_type.is_bytes() || symbols > ESCAPE.into() {
            return Err(damaged("a symbol table that fits no strings"));
        }
        let words = source.numbers::<u64>(2, symbols as usize)?;
        let lens = source.numbers::<u8>(3, symbols as usize)?;
        if lens.iter().any(|&len| !(1..=8).contains(&len)) {
            return Err(damaged("a symbol of an impossible length"));
        }
        let table = Box::new(SymbolTable::new(&words, &lens));
        // A code stands for 8 bytes at most.
        let expansion = (plain_bytes as f64 / limit.max(1) as f64).clamp(1.0, 8.0);
        let (data_type, rows) = (source.data_type, source.rows());
        let weights = Box::new(Weights::of(&table));
        Ok(Box::new(FsstBlock { data_type, rows, places, codes, table, weights, expansion }))
    }
}

fn encode(strings: Strings<'_>, compressor: &fsst::Compressor) -> Result<Encoded> {
    let values: Vec<&[u8]> = (0..strings.len()).map(|row| strings.get(row)).collect();
    let (mut codes, mut ends) = (Vec::new(), Vec::new());
    compressor.compress_bulk_into::<{ fsst::Compressor::DEFAULT_BULK_LANES }>(&values, &mut codes, &mut ends);
    if u32::try_from(codes.len()).is_err() {
        return Err(Error::Unsupported("more than 4 GiB of strings in a block".into()));
    }
    let starts: Vec<u32> = std::iter::once(0).chain(ends.iter().map(|&end| end as u32)).collect();
    codes.extend([0; SLACK_BYTES]);
    let (places, wide) = places::encode(&starts);
    let symbols: Vec<u64> = compressor.symbol_table().iter().map(|symbol| symbol.to_u64()).collect();
    let parameters =
        Parameters { wide, symbols: symbols.len() as u32, plain_bytes: strings.bytes.len() as u64 };
    Ok(Encoded {
        tag: FsstEncoding.tag(),
        rows: strings.len(),
        parameters: parameters.encode_to_vec(),
        buffers: vec![
            places,
            Bytes::from_vec(codes),
            Bytes::from_vec(symbols),
            Bytes::from_vec(compressor.symbol_lengths().to_vec()),
        ],
        children: vec![],
    })
}

/// Symbols by code. Codes past the table's end stand for nothing.
#[derive(Debug)]
pub(super) struct SymbolTable {
    symbols: [u64; 256],
    lens: [u8; 256],
}

impl SymbolTable {
    /// Symbols, at most 255, and their lengths, at most 8 each.
    pub(super) fn new(symbols: &[u64], lens: &[u8]) -> SymbolTable {
        let mut table = SymbolTable { symbols: [0; 256], lens: [0; 256] };
        table.symbols[..symbols.len()].copy_from_slice(symbols);
        table.lens[..lens.len()].copy_from_slice(lens);
        table
    }

    /// The bytes that a code stands for; at most 8.
    pub(super) fn symbol(&self, code: u8) -> ([u8; 8], usize) {
        (self.symbols[usize::from(code)].to_le_bytes(), self.lens[usize::from(code)].into())
    }

    /// Appends the string that `codes` stand for. An escape at the very end stands for nothing.
    pub(super) fn decode(&self, codes: &[u8], out: &mut Vec<u8>) {
        // Every code gives at most 8 bytes; a store is always of 8.
        out.reserve(8 * codes.len() + 8);
        let mut len = out.len();
        let start = out.as_mut_ptr();
        let mut at = 0;
        while let Some(&code) = codes.get(at) {
            if let Some(eight) = codes[at..].first_chunk::<8>()
                && !eight.contains(&ESCAPE)
            {
                for &code in eight {
                    let code = usize::from(code);
                    // SAFETY: `len` grew by at most 8 for each code so far, so that 8 more bytes are within
                    // what was reserved; lengths of symbols are at most 8.
                    unsafe { start.add(len).cast::<u64>().write_unaligned(self.symbols[code]) };
                    len += usize::from(self.lens[code]);
                }
                at += 8;
                continue;
            }
            let (word, symbol_len) = if code == ESCAPE {
                at += 1;
                match codes.get(at) {
                    Some(&byte) => (byte.into(), 1),
                    None => break,
                }
            } else {
                (self.symbols[usize::from(code)], self.lens[usize::from(code)])
            };
            // SAFETY: as above.
            unsafe { start.add(len).cast::<u64>().write_unaligned(word) };
            len += usize::from(symbol_len);
            at += 1;
        }
        // SAFETY: all bytes below `len` were written, and `len` is within the capacity.
        unsafe { out.set_len(len) };
    }
}

#[derive(Debug)]
struct FsstBlock {
    data_type: DataType,
    rows: usize,
    places: Places,
    codes: Bytes,
    table: Box<SymbolTable>,
    weights: Box<Weights>,
    /// Bytes that a code stands for in the mean.
    expansion: f64,
}

impl FsstBlock {
    fn texts<'a>(&'a self, alive: Option<&'a Bitmap>) -> Texts<'a> {
        Texts { places: &self.places, bytes: &self.codes, rows: self.rows, alive }
    }

    /// Room for the strings of rows, with some to spare.
    fn room(&self, rows: RowsRef<'_>) -> usize {
        let code_bytes = match rows {
            RowsRef::Range(first, len) => self.places.start(first + len) - self.places.start(first),
            RowsRef::Indices(indices) => {
                let len = |row: usize| self.places.start(row + 1) - self.places.start(row);
                indices.iter().map(|&row| len(row as usize)).sum()
            }
        };
        (code_bytes as f64 * self.expansion * 1.25) as usize + 1024
    }
}

impl EncodedBlock for FsstBlock {
    fn read(&self, rows: RowsRef<'_>, _: PhysicalType) -> Result<Vector> {
        let codes = self.codes.as_slice();
        let (mut text, mut ends) = (Vec::with_capacity(self.room(rows)), Vec::with_capacity(rows.len()));
        let mut decode = |row: usize| {
            self.table.decode(&codes[self.places.start(row)..self.places.start(row + 1)], &mut text);
            ends.push(text.len() as u32);
        };
        match rows {
            RowsRef::Range(first, len) => (first..first + len).for_each(&mut decode),
            RowsRef::Indices(indices) => indices.iter().for_each(|&row| decode(row as usize)),
        }
        if u32::try_from(text.len()).is_err() {
            return Err(Error::Unsupported("more than 4 GiB of strings in a read".into()));
        }
        if self.data_type == DataType::Varchar {
            check_text(&text, ends.iter().map(|&end| end as usize))?;
        }
        text.extend([0; SLACK_BYTES]);
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let views: Vec<u128> =
            starts.zip(&ends).map(|(start, &end)| view(&text, start as usize, end as usize)).collect();
        let views = Views::new(views.into(), Arc::from([Bytes::from_vec(text)]));
        Ok(Flat::new(self.data_type, Values::View(views), None).into())
    }

    fn lengths(&self, length: Length, rows: RowsRef<'_>) -> Option<Vec<u32>> {
        (self.data_type == DataType::Varchar)
            .then(|| self.weights.lengths(length, &self.codes, &self.places, rows))
    }

    fn filter(&self, test: &PreparedTest, alive: Option<&Bitmap>) -> Result<Option<Bitmap>> {
        let Some(automaton) = test.text() else { return Ok(None) };
        Ok(fsst_filter::filter(automaton, &self.table, &self.texts(alive)))
    }

    fn filter_cost(&self) -> u32 {
        128
    }
}
