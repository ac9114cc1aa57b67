//! Run length: where runs end, and a child block with one row a run.

use super::{Encoded, EncodedBlock, Encoding, Input, Offer, Source, Summary, encode_without};
use crate::error::{Result, damaged};
use crate::prepared::PreparedTest;
use crate::rows::RowsRef;
use arrow::datatypes::ArrowNativeType;
use columnar::kernels::take::take;
use columnar::{Bitmap, Buffer, Bytes, Constant, Flat, PhysicalType, Value, Values, Vector};

pub(super) struct RunLengthEncoding;

/// Reading a run-length block costs about this many times what its bytes say.
const WEIGHT: usize = 4;

impl Encoding for RunLengthEncoding {
    fn tag(&self) -> u32 {
        3
    }

    fn offer<'a>(&self, input: Input<'a>, summary: &Summary) -> Option<Offer<'a>> {
        let width = match input {
            Input::I64(_) | Input::F64(_) => 8,
            Input::I128(_) => 16,
            Input::F32(_) | Input::Codes { .. } => 4,
            Input::Intervals(_) | Input::Bits(_) | Input::Strings(_) => return None,
        };
        let encode = move || match input {
            Input::I64(values) => {
                let (ends, firsts) = split(values, |a, b| a == b);
                encoded(ends, Input::I64(&firsts))
            }
            Input::I128(values) => {
                let (ends, firsts) = split(values, |a, b| a == b);
                encoded(ends, Input::I128(&firsts))
            }
            Input::F32(values) => {
                let (ends, firsts) = split(values, |a, b| a.to_bits() == b.to_bits());
                encoded(ends, Input::F32(&firsts))
            }
            Input::F64(values) => {
                let (ends, firsts) = split(values, |a, b| a.to_bits() == b.to_bits());
                encoded(ends, Input::F64(&firsts))
            }
            Input::Codes { codes, count } => {
                let (ends, firsts) = split(codes, |a, b| a == b);
                encoded(ends, Input::Codes { codes: &firsts, count })
            }
            other => super::encode_without(other, &[RunLengthEncoding.tag()]),
        };
        Offer::new(summary.runs * (4 + width) * WEIGHT, encode)
    }

    fn open(&self, source: &Source<'_>) -> Result<Box<dyn EncodedBlock>> {
        let child = source.child()?;
        let ends: Buffer<u32> = source.numbers(0, child.rows())?;
        let ascending = ends.windows(2).all(|pair| pair[0] < pair[1]);
        let whole = ends.first().is_some_and(|&end| end > 0)
            && ends.last().is_some_and(|&end| end as usize == source.rows());
        if !ascending || !whole || child.block.nulls > 0 {
            return Err(damaged("runs that do not make up their block"));
        }
        Ok(Box::new(RunLengthBlock { ends, values: super::open(&child)? }))
    }
}

/// Where runs end, and the value of each.
fn split<T: Copy>(values: &[T], same: impl Fn(&T, &T) -> bool) -> (Vec<u32>, Vec<T>) {
    let (mut ends, mut firsts) = (Vec::new(), Vec::new());
    for (row, value) in values.iter().enumerate() {
        if row == 0 {
            firsts.push(*value);
        } else if !same(&values[row - 1], value) {
            ends.push(row as u32);
            firsts.push(*value);
        }
    }
    ends.push(values.len() as u32);
    (ends, firsts)
}

fn encoded(ends: Vec<u32>, firsts: Input<'_>) -> Result<Encoded> {
    Ok(Encoded {
        tag: RunLengthEncoding.tag(),
        rows: ends.last().map_or(0, |&end| end as usize),
        parameters: vec![],
        children: vec![encode_without(firsts, &[RunLengthEncoding.tag()])?],
        buffers: vec![Bytes::from_vec(ends)],
    })
}

#[derive(Debug)]
struct RunLengthBlock {
    /// Where runs end, ascending.
    ends: Buffer<u32>,
    /// A row a run.
    values: Box<dyn EncodedBlock>,
}

impl RunLengthBlock {
    fn run_of(&self, row: u32) -> u32 {
        self.ends.partition_point(|&end| end <= row) as u32
    }
}

/// Rows `start .. end` of runs of numbers that end at `ends`.
fn expand(values: &Values, ends: &[u32], start: u32, end: u32) -> Option<Values> {
    fn rows<T: ArrowNativeType>(values: &[T], ends: &[u32], start: u32, end: u32) -> Buffer<T> {
        let mut rows = Vec::with_capacity((end - start) as usize);
        for (&value, &run_end) in values.iter().zip(ends) {
            rows.resize((run_end.min(end) - start) as usize, value);
        }
        rows.into()
    }
    Some(match values {
        Values::I8(values) => Values::I8(rows(values, ends, start, end)),
        Values::I16(values) => Values::I16(rows(values, ends, start, end)),
        Values::I32(values) => Values::I32(rows(values, ends, start, end)),
        Values::I64(values) => Values::I64(rows(values, ends, start, end)),
        Values::F64(values) => Values::F64(rows(values, ends, start, end)),
        _ => return None,
    })
}

impl EncodedBlock for RunLengthBlock {
    fn read(&self, rows: RowsRef<'_>, physical: PhysicalType) -> Result<Vector> {
        let RowsRef::Range(start, len @ 1..) = rows else {
            return match rows {
                RowsRef::Indices(indices) => {
                    let runs: Vec<u32> = indices.iter().map(|&row| self.run_of(row)).collect();
                    self.values.read(RowsRef::Indices(&runs), physical)
                }
                RowsRef::Range(..) => self.values.read(RowsRef::Range(0, 0), physical),
            };
        };
        let (start, end) = (start as u32, (start + len) as u32);
        let (first, last) = (self.run_of(start), self.run_of(end - 1));
        let values =
            self.values.read(RowsRef::Range(first as usize, (last - first + 1) as usize), physical)?;
        if first == last && !matches!(values, Vector::Dictionary(_)) {
            let value = Value::new(values.data_type(), values.scalar(0));
            return Ok(Vector::Constant(Constant { value, physical, len }));
        }
        if let Vector::Flat(flat) = &values
            && let Some(expanded) =
                expand(&flat.values, &self.ends[first as usize..=last as usize], start, end)
        {
            return Ok(Flat::new(flat.data_type, expanded, None).into());
        }
        let mut places = Vec::with_capacity(len);
        for run in first..=last {
            places.resize((self.ends[run as usize].min(end) - start) as usize, run - first);
        }
        Ok(take(&values, &places))
    }

    fn filter(&self, test: &PreparedTest, _: Option<&Bitmap>) -> Result<Option<Bitmap>> {
        let passing = match self.values.filter(test, None)? {
            Some(passing) => passing,
            None => return Ok(None),
        };
        let rows = self.ends.last().map_or(0, |&end| end as usize);
        let mut words = vec![0_u64; rows.div_ceil(64)];
        for run in passing.ones() {
            let start = if run == 0 { 0 } else { self.ends[run - 1] as usize };
            set_bits(&mut words, start, self.ends[run] as usize);
        }
        Ok(Some(Bitmap::from_words(words, rows)))
    }

    fn filter_cost(&self) -> u32 {
        1
    }
}

/// Sets bits `start .. end`.
fn set_bits(words: &mut [u64], start: usize, end: usize) {
    let (first, last) = (start / 64, (end - 1) / 64);
    let (head, tail) = (u64::MAX << (start % 64), u64::MAX >> (63 - (end - 1) % 64));
    if first == last {
        words[first] |= head & tail;
    } else {
        words[first] |= head;
        words[first + 1..last].fill(u64::MAX);
        words[last] |= tail;
    }
}
