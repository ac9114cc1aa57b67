//! Booleans, a bit each.

use super::{Encoded, EncodedBlock, Encoding, Input, Offer, Source, Summary};
use crate::error::{Result, damaged};
use crate::evaluate::evaluate;
use crate::prepared::PreparedTest;
use crate::rows::RowsRef;
use columnar::kernels::take::take_bits;
use columnar::{Bitmap, Bytes, DataType, Flat, PhysicalType, Values, Vector};

pub(super) struct BitsEncoding;

impl Encoding for BitsEncoding {
    fn tag(&self) -> u32 {
        6
    }

    fn offer<'a>(&self, input: Input<'a>, _: &Summary) -> Option<Offer<'a>> {
        let Input::Bits(bits) = input else { return None };
        Offer::new(bits.len().div_ceil(8), move || {
            Ok(Encoded {
                tag: BitsEncoding.tag(),
                rows: bits.len(),
                parameters: vec![],
                buffers: vec![Bytes::from_vec(bits.words().to_vec())],
                children: vec![],
            })
        })
    }

    fn open(&self, source: &Source<'_>) -> Result<Box<dyn EncodedBlock>> {
        let words = source.numbers(0, source.rows().div_ceil(64))?;
        let bits = Bitmap::from_shared(words, source.rows());
        match (bits, source.data_type) {
            (Some(bits), DataType::Boolean) => Ok(Box::new(BitsBlock { bits })),
            _ => Err(damaged("stray bits")),
        }
    }
}

#[derive(Debug)]
struct BitsBlock {
    bits: Bitmap,
}

impl BitsBlock {
    fn vector(bits: Bitmap) -> Vector {
        Flat::new(DataType::Boolean, Values::Bool(bits), None).into()
    }
}

impl EncodedBlock for BitsBlock {
    fn read(&self, rows: RowsRef<'_>, _: PhysicalType) -> Result<Vector> {
        Ok(BitsBlock::vector(match rows {
            RowsRef::Range(start, len) => self.bits.slice(start, len),
            RowsRef::Indices(indices) => take_bits(&self.bits, indices),
        }))
    }

    fn filter(&self, test: &PreparedTest, _: Option<&Bitmap>) -> Result<Option<Bitmap>> {
        // Both values are tested, the block by words.
        let both = evaluate(test.test(), &BitsBlock::vector([false, true].into_iter().collect()))?;
        Ok(Some(match (both.get(0), both.get(1)) {
            (false, false) => Bitmap::filled(false, self.bits.len()),
            (true, true) => Bitmap::filled(true, self.bits.len()),
            (false, true) => self.bits.clone(),
            (true, false) => self.bits.not(),
        }))
    }

    fn filter_cost(&self) -> u32 {
        0
    }
}
