//! Strings end to end, with their places; views into them are made when they are read.

use super::places::{self, Places};
use super::text_filter::{Search, Steps, Texts};
use super::{Encoded, EncodedBlock, Encoding, Input, Offer, Source, Summary};
use crate::error::{Result, damaged};
use crate::prepared::PreparedTest;
use crate::rows::RowsRef;
use columnar::view::INLINE_BYTES;
use columnar::{Bitmap, Bytes, DataType, Flat, PhysicalType, Values, Vector, View, Views};
use memchr::memmem::Finder;
use prost::Message;
use std::sync::Arc;

pub(super) struct StringsEncoding;

/// Zero bytes after the last string, so that 16 bytes can be loaded from any string's start.
pub(super) const SLACK_BYTES: usize = 16;

#[derive(Clone, PartialEq, Message)]
struct Parameters {
    #[prost(bool, tag = "1")]
    wide: bool,
}

impl Encoding for StringsEncoding {
    fn tag(&self) -> u32 {
        7
    }

    fn offer<'a>(&self, input: Input<'a>, _: &Summary) -> Option<Offer<'a>> {
        let Input::Strings(strings) = input else { return None };
        let encode = move || {
            let (places, wide) = places::encode(strings.starts);
            let mut bytes = strings.bytes.to_vec();
            bytes.extend([0; SLACK_BYTES]);
            Ok(Encoded {
                tag: StringsEncoding.tag(),
                rows: strings.len(),
                parameters: Parameters { wide }.encode_to_vec(),
                buffers: vec![places, Bytes::from_vec(bytes)],
                children: vec![],
            })
        };
        Offer::new(strings.bytes.len() + 2 * strings.len(), encode)
    }

    fn open(&self, source: &Source<'_>) -> Result<Box<dyn EncodedBlock>> {
        let bytes = source.buffer(1)?;
        let limit = bytes.len().checked_sub(SLACK_BYTES).ok_or_else(|| damaged("a buffer is too short"))?;
        let places = Places::open(source, source.parameters::<Parameters>()?.wide, limit)?;
        let rows = source.rows();
        match source.data_type {
            DataType::Binary | DataType::Nested(_) => {}
            data_type if data_type.is_text() => {
                check_text(&bytes[..limit], (0..=rows).map(|row| places.start(row)))?
            }
            _ => return Err(damaged("strings in a column of another type")),
        }
        let buffers = Arc::from([bytes.clone()]);
        Ok(Box::new(StringsBlock { data_type: source.data_type, rows, places, bytes, buffers }))
    }
}

/// That bytes are UTF-8 and cut between characters only.
pub(super) fn check_text(bytes: &[u8], cuts: impl Iterator<Item = usize>) -> Result<()> {
    if bytes.is_ascii() {
        return Ok(());
    }
    let text = std::str::from_utf8(bytes).map_err(|_| damaged("text that is not UTF-8"))?;
    for cut in cuts {
        if !text.is_char_boundary(cut) {
            return Err(damaged("text cut within a character"));
        }
    }
    Ok(())
}

/// The view of `bytes[start .. end]`, which buffer 0 holds at the same place. There are [`SLACK_BYTES`] after
/// `end`.
#[inline(always)]
pub(super) fn view(bytes: &[u8], start: usize, end: usize) -> u128 {
    let len = end - start;
    let mut raw = [0; 16];
    raw.copy_from_slice(&bytes[start..start + 16]);
    let first = u128::from_le_bytes(raw);
    if len <= INLINE_BYTES {
        let kept = first & ((1_u128 << (8 * len)) - 1);
        return View(kept << 32 | len as u128).0;
    }
    let prefix = u128::from(first as u32);
    View(len as u128 | prefix << 32 | (start as u128) << 96).0
}

#[derive(Debug)]
struct StringsBlock {
    data_type: DataType,
    rows: usize,
    places: Places,
    bytes: Bytes,
    buffers: Arc<[Bytes]>,
}

impl EncodedBlock for StringsBlock {
    fn read(&self, rows: RowsRef<'_>, _: PhysicalType) -> Result<Vector> {
        let bytes = self.bytes.as_slice();
        let mut views = Vec::with_capacity(rows.len());
        match rows {
            RowsRef::Range(first, len) => {
                let mut start = self.places.start(first);
                views.extend((first..first + len).map(|row| {
                    let end = self.places.start(row + 1);
                    let view = view(bytes, start, end);
                    start = end;
                    view
                }));
            }
            RowsRef::Indices(indices) => views.extend(indices.iter().map(|&row| {
                view(bytes, self.places.start(row as usize), self.places.start(row as usize + 1))
            })),
        }
        let views = Views::new(views.into(), self.buffers.clone());
        Ok(Flat::new(self.data_type, Values::View(views), None).into())
    }

    fn filter(&self, test: &PreparedTest, alive: Option<&Bitmap>) -> Result<Option<Bitmap>> {
        let Some(automaton) = test.text() else { return Ok(None) };
        let texts = Texts { places: &self.places, bytes: &self.bytes, rows: self.rows, alive };
        let steps = Steps::of(automaton);
        let search = match automaton.literal.as_deref() {
            _ if steps.first_code_decides(&texts) => Search::FirstCode,
            Some(literal) if texts.are_mostly_alive() => Search::Literal(Finder::new(literal)),
            _ => Search::All,
        };
        Ok(Some(steps.filter(&texts, &search)))
    }

    fn filter_cost(&self) -> u32 {
        64
    }
}
