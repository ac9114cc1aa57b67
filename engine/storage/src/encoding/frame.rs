//! Frame of reference with a common divisor: a value is `base + code * step`, codes take 1, 2, 4 or 8 bytes.
//!
//! Where base 0 and step 1 cost no wider code they are taken, since codes then are the values themselves and
//! are shared with the reader.

use super::{Encoded, EncodedBlock, Encoding, Input, Offer, Source, Summary};
use crate::error::{Error, Result, damaged};
use crate::format;
use crate::kernels::{Code, Integer, Matches, select, widen, widen_at};
use crate::predicate::Test;
use crate::prepared::PreparedTest;
use crate::rows::RowsRef;
use columnar::{Bitmap, Buffer, Bytes, DataType, Flat, PhysicalType, Values, Vector};
use prost::Message;

pub(super) struct FrameEncoding;

#[derive(Clone, PartialEq, Message)]
struct Parameters {
    /// 16 bytes, little-endian.
    #[prost(bytes = "vec", tag = "1")]
    base: Vec<u8>,
    #[prost(uint64, tag = "2")]
    step: u64,
    /// Bytes of a code.
    #[prost(uint32, tag = "3")]
    width: u32,
}

/// Bytes of codes up to `max`.
fn width_of(max: u128) -> Option<u32> {
    match max {
        0..=0xff => Some(1),
        0x100..=0xffff => Some(2),
        0x1_0000..=0xffff_ffff => Some(4),
        0x1_0000_0000..=0xffff_ffff_ffff_ffff => Some(8),
        _ => None,
    }
}

impl Encoding for FrameEncoding {
    fn tag(&self) -> u32 {
        2
    }

    fn offer<'a>(&self, input: Input<'a>, summary: &Summary) -> Option<Offer<'a>> {
        let (min, max) = summary.bounds?;
        let range = max.checked_sub(min)? as u128;
        let divided = width_of(range / u128::from(summary.step.max(1)))?;
        let (base, step, width) = if min >= 0 && width_of(max as u128 * 2) == Some(divided) {
            (0, 1, divided)
        } else if width_of(range) == Some(divided) {
            (min, 1, divided)
        } else {
            (min, summary.step, divided)
        };
        let encode = move || {
            let codes = match width {
                1 => codes::<u8>(input, base, step),
                2 => codes::<u16>(input, base, step),
                4 => codes::<u32>(input, base, step),
                _ => codes::<u64>(input, base, step),
            }?;
            let parameters = Parameters { base: base.to_le_bytes().to_vec(), step, width };
            Ok(Encoded {
                tag: FrameEncoding.tag(),
                rows: input.len(),
                parameters: parameters.encode_to_vec(),
                buffers: vec![codes],
                children: vec![],
            })
        };
        Offer::new(input.len() * width as usize, encode)
    }

    fn open(&self, source: &Source<'_>) -> Result<Box<dyn EncodedBlock>> {
        let parameters: Parameters = source.parameters()?;
        let base = format::integer(&parameters.base).ok_or_else(|| damaged("a block lacks its base"))?;
        if !source.data_type.is_integral() || parameters.step == 0 {
            return Err(damaged("a frame of reference that frames no integers"));
        }
        let (data_type, step, rows) = (source.data_type, parameters.step, source.rows());
        Ok(match parameters.width {
            1 => Box::new(FrameBlock::<u8> { data_type, base, step, codes: source.numbers(0, rows)? }),
            2 => Box::new(FrameBlock::<u16> { data_type, base, step, codes: source.numbers(0, rows)? }),
            4 => Box::new(FrameBlock::<u32> { data_type, base, step, codes: source.numbers(0, rows)? }),
            8 => Box::new(FrameBlock::<u64> { data_type, base, step, codes: source.numbers(0, rows)? }),
            width => return Err(damaged(format!("codes of {width} bytes"))),
        })
    }
}

fn codes<C: Code>(input: Input<'_>, base: i128, step: u64) -> Result<Bytes> {
    let codes: Vec<C> = match (input, step) {
        (Input::I64(values), 1) => {
            let base = base as i64;
            values.iter().map(|value| C::from_u64(value.wrapping_sub(base) as u64)).collect()
        }
        (Input::I64(values), _) => {
            let base = base as i64;
            values.iter().map(|value| C::from_u64(value.wrapping_sub(base) as u64 / step)).collect()
        }
        (Input::I128(values), _) => {
            values.iter().map(|value| C::from_u64(value.wrapping_sub(base) as u64 / step)).collect()
        }
        _ => return Err(Error::Internal("a frame of reference for something else than integers".into())),
    };
    Ok(Bytes::from_vec(codes))
}

#[derive(Debug)]
struct FrameBlock<C: Code> {
    data_type: DataType,
    base: i128,
    step: u64,
    codes: Buffer<C>,
}

impl<C: Code> FrameBlock<C> {
    fn values<T: Integer>(&self, rows: RowsRef<'_>) -> Buffer<T> {
        let (base, step) = (T::from_i128(self.base), T::from_i128(self.step.into()));
        match rows {
            RowsRef::Range(start, len)
                if self.base == 0 && self.step == 1 && size_of::<C>() == size_of::<T>() =>
            {
                // The writer takes base 0 only where the sign bit stays clear.
                Buffer::from(self.codes.slice(start, len).into_inner())
            }
            RowsRef::Range(start, len) => widen(&self.codes[start..start + len], base, step).into(),
            RowsRef::Indices(indices) => widen_at(&self.codes, indices, base, step).into(),
        }
    }

    /// The codes whose values pass; `None` for tests of values that codes do not order as.
    fn matches(&self, test: &Test) -> Option<Matches> {
        let step = i128::from(self.step);
        // -1 and 2^64 lie outside all codes.
        let limit = |code: i128| code.clamp(-1, 1 << 64);
        Matches::of_test(test, &|scalar| {
            let offset = scalar.as_integer()?.saturating_sub(self.base);
            let last = offset.div_euclid(step);
            Some((limit(last + i128::from(offset.rem_euclid(step) != 0)), limit(last)))
        })
    }
}

impl<C: Code> EncodedBlock for FrameBlock<C> {
    fn read(&self, rows: RowsRef<'_>, physical: PhysicalType) -> Result<Vector> {
        let values = match physical {
            PhysicalType::I8 => Values::I8(self.values(rows)),
            PhysicalType::I16 => Values::I16(self.values(rows)),
            PhysicalType::I32 => Values::I32(self.values(rows)),
            PhysicalType::I64 => Values::I64(self.values(rows)),
            PhysicalType::I128 => Values::I128(self.values(rows)),
            other => return Err(Error::Internal(format!("integers asked for as {other:?}"))),
        };
        Ok(Flat::new(self.data_type, values, None).into())
    }

    fn filter(&self, test: &PreparedTest, _: Option<&Bitmap>) -> Result<Option<Bitmap>> {
        Ok(self.matches(test.test()).map(|matches| select(&self.codes, &matches)))
    }

    fn filter_cost(&self) -> u32 {
        size_of::<C>() as u32
    }
}
