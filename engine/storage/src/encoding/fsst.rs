//! Strings by FSST (Boncz, Neumann, Leis, "FSST: Fast Random Access String Compression", 2020): frequent
//! pieces of up to 8 bytes become one byte each. A block has a symbol table of its own; only the strings asked
//! for are decoded.

use super::places::{self, Places};
use super::strings::{SLACK_BYTES, check_text, view};
use super::{Encoded, EncodedBlock, Encoding, Input, Offer, Source, Strings, Summary};
use crate::error::{Result, damaged};
use crate::rows::RowsRef;
use columnar::{Bytes, DataType, Flat, PhysicalType, Values, Vector, Views};
use prost::Message;
use std::sync::Arc;

pub(super) struct FsstEncoding;

/// The code before a byte that stands for itself.
const ESCAPE: u8 = 255;
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
        Offer::new(cost, move || Ok(encode(strings, &compressor)))
    }

    fn open(&self, source: &Source<'_>) -> Result<Box<dyn EncodedBlock>> {
        let Parameters { wide, symbols } = source.parameters()?;
        let codes = source.buffer(1)?;
        let limit = codes.len().checked_sub(SLACK_BYTES).ok_or_else(|| damaged("a buffer is too short"))?;
        let places = Places::open(source, wide, limit)?;
        if !matches!(source.data_type, DataType::Varchar | DataType::Binary) || symbols > ESCAPE.into() {
            return Err(damaged("a symbol table that fits no strings"));
        }
        let mut table = Box::new(SymbolTable { symbols: [0; 256], lens: [0; 256] });
        let words = source.numbers::<u64>(2, symbols as usize)?;
        let lens = source.numbers::<u8>(3, symbols as usize)?;
        if lens.iter().any(|&len| !(1..=8).contains(&len)) {
            return Err(damaged("a symbol of an impossible length"));
        }
        table.symbols[..words.len()].copy_from_slice(&words);
        table.lens[..lens.len()].copy_from_slice(&lens);
        Ok(Box::new(FsstBlock { data_type: source.data_type, places, codes, table }))
    }
}

fn encode(strings: Strings<'_>, compressor: &fsst::Compressor) -> Encoded {
    let mut codes: Vec<u8> = Vec::with_capacity(strings.bytes.len() / 2 + SLACK_BYTES);
    let mut starts = Vec::with_capacity(strings.len() + 1);
    starts.push(0);
    for row in 0..strings.len() {
        let string = strings.get(row);
        // The compressor may write a word past its end.
        codes.reserve(2 * string.len() + 16);
        // SAFETY: the spare capacity holds twice the string's length and 8 bytes more, the most that a string
        // of escapes takes; the count it returns is what it has written.
        unsafe {
            let written = compressor.compress_into(string, codes.spare_capacity_mut());
            codes.set_len(codes.len() + written);
        }
        starts.push(codes.len() as u32);
    }
    codes.extend([0; SLACK_BYTES]);
    let (places, wide) = places::encode(&starts);
    let symbols: Vec<u64> = compressor.symbol_table().iter().map(|symbol| symbol.to_u64()).collect();
    let parameters = Parameters { wide, symbols: symbols.len() as u32 };
    Encoded {
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
    }
}

/// Symbols by code. Codes past the table's end stand for nothing.
#[derive(Debug)]
struct SymbolTable {
    symbols: [u64; 256],
    lens: [u8; 256],
}

impl SymbolTable {
    /// Appends the string that `codes` stand for. An escape at the very end stands for nothing.
    fn decode(&self, codes: &[u8], out: &mut Vec<u8>) {
        // Every code gives at most 8 bytes; a store is always of 8.
        out.reserve(8 * codes.len() + 8);
        let mut len = out.len();
        let start = out.as_mut_ptr();
        let mut at = 0;
        while at < codes.len() {
            let code = codes[at];
            let (word, symbol_len) = if code == ESCAPE {
                at += 1;
                match codes.get(at) {
                    Some(&byte) => (byte.into(), 1),
                    None => break,
                }
            } else {
                (self.symbols[usize::from(code)], self.lens[usize::from(code)])
            };
            // SAFETY: `len` grew by at most 8 for each code so far, so that 8 more bytes are within what was
            // reserved; lengths of symbols are at most 8.
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
    places: Places,
    codes: Bytes,
    table: Box<SymbolTable>,
}

impl EncodedBlock for FsstBlock {
    fn read(&self, rows: RowsRef<'_>, _: PhysicalType) -> Result<Vector> {
        let codes = self.codes.as_slice();
        let (mut text, mut ends) = (Vec::new(), Vec::with_capacity(rows.len()));
        let mut decode = |row: usize| {
            self.table.decode(&codes[self.places.start(row)..self.places.start(row + 1)], &mut text);
            ends.push(text.len() as u32);
        };
        match rows {
            RowsRef::Range(first, len) => (first..first + len).for_each(&mut decode),
            RowsRef::Indices(indices) => indices.iter().for_each(|&row| decode(row as usize)),
        }
        if u32::try_from(text.len()).is_err() {
            return Err(crate::Error::Unsupported("more than 4 GiB of strings in a read".into()));
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

    fn filter_cost(&self) -> u32 {
        128
    }
}
