//! Codes into the dictionary of the column, which all blocks of the segment share.

use super::{Encoded, EncodedBlock, Encoding, Input, Offer, Source, Summary};
use crate::error::{Result, damaged};
use crate::kernels::{Code, select};
use crate::prepared::PreparedTest;
use crate::rows::RowsRef;
use columnar::kernels::take::gather;
use columnar::{Bitmap, Buffer, Bytes, Codes, Dictionary, DictionaryVector, PhysicalType, Vector};
use prost::Message;
use std::sync::Arc;

pub(super) struct DictionaryEncoding;

#[derive(Clone, PartialEq, Message)]
struct Parameters {
    /// Bytes of a code.
    #[prost(uint32, tag = "1")]
    width: u32,
}

impl Encoding for DictionaryEncoding {
    fn tag(&self) -> u32 {
        4
    }

    fn offer<'a>(&self, input: Input<'a>, _: &Summary) -> Option<Offer<'a>> {
        let Input::Codes { codes, count } = input else { return None };
        let width = match count {
            0..=0x100 => 1,
            0x101..=0x1_0000 => 2,
            _ => 4,
        };
        let encode = move || {
            let buffer = match width {
                1 => Bytes::from_vec(codes.iter().map(|&code| code as u8).collect()),
                2 => Bytes::from_vec(codes.iter().map(|&code| code as u16).collect()),
                _ => Bytes::from_vec(codes.to_vec()),
            };
            Ok(Encoded {
                tag: DictionaryEncoding.tag(),
                rows: codes.len(),
                parameters: Parameters { width }.encode_to_vec(),
                buffers: vec![buffer],
                children: vec![],
            })
        };
        Offer::new(codes.len() * width as usize, encode)
    }

    fn open(&self, source: &Source<'_>) -> Result<Box<dyn EncodedBlock>> {
        let dictionary = source.dictionary.ok_or_else(|| damaged("codes without a dictionary"))?.clone();
        let rows = source.rows();
        Ok(match source.parameters::<Parameters>()?.width {
            1 => open_codes::<u8>(source.numbers(0, rows)?, dictionary, Codes::U8)?,
            2 => open_codes::<u16>(source.numbers(0, rows)?, dictionary, Codes::U16)?,
            4 => open_codes::<u32>(source.numbers(0, rows)?, dictionary, Codes::U32)?,
            width => return Err(damaged(format!("codes of {width} bytes"))),
        })
    }
}

fn open_codes<C: Code>(
    codes: Buffer<C>,
    dictionary: Arc<Dictionary>,
    wrap: fn(Buffer<C>) -> Codes,
) -> Result<Box<dyn EncodedBlock>> {
    let greatest = codes.iter().map(|code| code.to_u64()).max();
    if greatest.is_some_and(|code| code >= dictionary.values.len() as u64) {
        return Err(damaged("a code past the end of its dictionary"));
    }
    Ok(Box::new(DictionaryBlock { codes, dictionary, wrap }))
}

#[derive(Debug)]
struct DictionaryBlock<C: Code> {
    codes: Buffer<C>,
    dictionary: Arc<Dictionary>,
    wrap: fn(Buffer<C>) -> Codes,
}

impl<C: Code> EncodedBlock for DictionaryBlock<C> {
    fn read(&self, rows: RowsRef<'_>, _: PhysicalType) -> Result<Vector> {
        let codes = match rows {
            RowsRef::Range(start, len) => self.codes.slice(start, len),
            RowsRef::Indices(indices) => gather(&self.codes, indices).into(),
        };
        let codes = (self.wrap)(codes);
        Ok(Vector::Dictionary(DictionaryVector {
            codes,
            dictionary: self.dictionary.clone(),
            validity: None,
        }))
    }

    fn filter(&self, test: &PreparedTest, _: Option<&Bitmap>) -> Result<Option<Bitmap>> {
        Ok(Some(select(&self.codes, test.in_dictionary(&self.dictionary)?)))
    }

    fn filter_cost(&self) -> u32 {
        size_of::<C>() as u32
    }
}
