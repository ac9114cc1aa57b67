//! Values as they are, at the canonical width of their type: floats, intervals, and integers of a range that
//! no frame of reference spans.

use super::{Encoded, EncodedBlock, Encoding, Input, Offer, Source, Summary};
use crate::error::{Error, Result, damaged};
use crate::rows::RowsRef;
use columnar::kernels::take::take_values;
use columnar::{Bytes, DataType, Flat, Interval, PhysicalType, Values, Vector};

pub(super) struct FixedEncoding;

impl Encoding for FixedEncoding {
    fn tag(&self) -> u32 {
        5
    }

    fn offer<'a>(&self, input: Input<'a>, _: &Summary) -> Option<Offer<'a>> {
        let width = match input {
            Input::F32(_) => 4,
            Input::F64(_) => 8,
            Input::I128(_) | Input::Intervals(_) => 16,
            _ => return None,
        };
        let encode = move || {
            let buffer = match input {
                Input::F32(values) => Bytes::from_vec(values.to_vec()),
                Input::F64(values) => Bytes::from_vec(values.to_vec()),
                Input::I128(values) => Bytes::from_vec(values.to_vec()),
                Input::Intervals(values) => Bytes::from_vec(values.iter().flat_map(interval_bytes).collect()),
                _ => return Err(Error::Internal("values without a fixed width".into())),
            };
            Ok(Encoded {
                tag: FixedEncoding.tag(),
                rows: input.len(),
                parameters: vec![],
                buffers: vec![buffer],
                children: vec![],
            })
        };
        Offer::new(input.len() * width, encode)
    }

    fn open(&self, source: &Source<'_>) -> Result<Box<dyn EncodedBlock>> {
        let rows = source.rows();
        let values = match source.data_type.physical() {
            PhysicalType::F32 => Values::F32(source.numbers(0, rows)?),
            PhysicalType::F64 => Values::F64(source.numbers(0, rows)?),
            PhysicalType::I128 => Values::I128(source.numbers(0, rows)?),
            PhysicalType::Interval => {
                let bytes = source.buffer(0)?;
                let (values, rest) = bytes.as_chunks::<16>();
                if values.len() != rows || !rest.is_empty() {
                    return Err(damaged("a buffer's length does not fit its block"));
                }
                Values::Interval(values.iter().map(interval).collect())
            }
            _ => return Err(damaged("a type that is not held as it is")),
        };
        Ok(Box::new(FixedBlock { data_type: source.data_type, values }))
    }
}

fn interval_bytes(interval: &Interval) -> [u8; 16] {
    let low = u128::from(interval.months as u32) | u128::from(interval.days as u32) << 32;
    (low | u128::from(interval.micros as u64) << 64).to_le_bytes()
}

fn interval(bytes: &[u8; 16]) -> Interval {
    let raw = u128::from_le_bytes(*bytes);
    Interval { months: raw as i32, days: (raw >> 32) as i32, micros: (raw >> 64) as i64 }
}

#[derive(Debug)]
struct FixedBlock {
    data_type: DataType,
    values: Values,
}

impl EncodedBlock for FixedBlock {
    fn read(&self, rows: RowsRef<'_>, physical: PhysicalType) -> Result<Vector> {
        let values = match rows {
            RowsRef::Range(start, len) => self.values.slice(start, len),
            RowsRef::Indices(indices) => take_values(&self.values, indices),
        };
        let values = match (values, physical) {
            (values, physical) if values.physical() == physical => values,
            (Values::I128(wide), PhysicalType::I64) => Values::I64(wide.iter().map(|&v| v as i64).collect()),
            (Values::I128(wide), PhysicalType::I32) => Values::I32(wide.iter().map(|&v| v as i32).collect()),
            (Values::I128(wide), PhysicalType::I16) => Values::I16(wide.iter().map(|&v| v as i16).collect()),
            (Values::I128(wide), PhysicalType::I8) => Values::I8(wide.iter().map(|&v| v as i8).collect()),
            (_, other) => return Err(Error::Internal(format!("{} asked for as {other:?}", self.data_type))),
        };
        Ok(Flat::new(self.data_type, values, None).into())
    }

    fn filter_cost(&self) -> u32 {
        32
    }
}
