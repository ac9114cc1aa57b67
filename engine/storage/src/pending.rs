//! Values of a column that wait for their block to be full.

use crate::encoding::{Input, Strings};
use crate::error::{Error, Result};
use crate::interner::Interner;
use crate::segment::BLOCK_ROWS;
use columnar::{Bitmap, DataType, Dictionary, Flat, Interval, PhysicalType, Values, Vector};
use std::sync::Arc;

/// After this many rows it is first looked at whether strings repeat.
const FIRST_LOOK_ROWS: usize = 4096;
/// A dictionary is kept where a string occurs this many times in the mean.
const MIN_REPETITION: usize = 4;
/// Larger dictionaries are not built.
const MAX_DICTIONARY_BYTES: usize = 64 << 20;

/// Values that wait for their block.
pub(crate) enum Pending {
    I64(Vec<i64>),
    I128(Vec<i128>),
    F32(Vec<f32>),
    F64(Vec<f64>),
    Intervals(Vec<Interval>),
    Bits(Vec<bool>),
    Strings {
        bytes: Vec<u8>,
        starts: Vec<u32>,
    },
    /// Of every row so far.
    Numbers {
        interner: Interner,
        numbers: Vec<u32>,
        known: Option<Known>,
    },
}

/// The numbers of the strings of the dictionary that came last.
pub(crate) struct Known {
    dictionary: Arc<Dictionary>,
    numbers: Vec<Option<u32>>,
}

impl Pending {
    pub(crate) fn new(data_type: DataType) -> Pending {
        match data_type.physical() {
            PhysicalType::Bool => Pending::Bits(Vec::new()),
            PhysicalType::I8 | PhysicalType::I16 | PhysicalType::I32 | PhysicalType::I64 => {
                Pending::I64(Vec::new())
            }
            PhysicalType::I128 => Pending::I128(Vec::new()),
            PhysicalType::F32 => Pending::F32(Vec::new()),
            PhysicalType::F64 => Pending::F64(Vec::new()),
            PhysicalType::Interval => Pending::Intervals(Vec::new()),
            PhysicalType::View => Pending::Strings { bytes: Vec::new(), starts: vec![0] },
        }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        match self {
            Pending::I64(values) => 8 * values.len(),
            Pending::I128(values) => 16 * values.len(),
            Pending::F32(values) => 4 * values.len(),
            Pending::F64(values) => 8 * values.len(),
            Pending::Intervals(values) => 16 * values.len(),
            Pending::Bits(values) => values.len(),
            Pending::Strings { bytes, starts } => bytes.len() + 4 * starts.len(),
            Pending::Numbers { interner, numbers, .. } => interner.memory_bytes() + 4 * numbers.len(),
        }
    }

    /// Whether strings are not worth their numbers: looked at now and then, and at the end.
    pub(crate) fn repeats_too_little(&self, rows: usize, at_end: bool) -> bool {
        let Pending::Numbers { interner, .. } = self else { return false };
        let distinct = interner.len();
        // Early on, repetition has hardly had a chance.
        let early = (FIRST_LOOK_ROWS..BLOCK_ROWS).contains(&rows) && distinct * 4 > rows * 3;
        let settled = (at_end || rows >= BLOCK_ROWS) && distinct * MIN_REPETITION > rows;
        distinct > 0 && (early || settled || interner.memory_bytes() > MAX_DICTIONARY_BYTES)
            || at_end && distinct == 0
    }

    pub(crate) fn append(&mut self, vector: &Vector, validity: Option<&Bitmap>) -> Result<()> {
        if let (Pending::Numbers { interner, numbers, known }, Vector::Dictionary(vector)) =
            (&mut *self, vector)
        {
            // Codes of a known dictionary need no look at their strings.
            let values = &vector.dictionary.values;
            let Values::View(views) = &values.values else {
                return Err(Error::Internal("strings of another width".into()));
            };
            let known = match known {
                Some(known) if known.dictionary.id == vector.dictionary.id => known,
                _ => known.insert(Known {
                    dictionary: vector.dictionary.clone(),
                    numbers: vec![None; values.len()],
                }),
            };
            for row in 0..vector.codes.len() {
                if validity.is_some_and(|validity| !validity.get(row)) {
                    numbers.push(0);
                    continue;
                }
                let code = vector.codes.get(row);
                let number = known.numbers[code].unwrap_or_else(|| interner.intern(views.get(code)));
                known.numbers[code] = Some(number);
                numbers.push(number);
            }
            return Ok(());
        }
        let flat = vector.flatten();
        let wrong = |flat: &Flat| {
            Error::Internal(format!("{} at width {:?}", flat.data_type, flat.values.physical()))
        };
        match self {
            Pending::I64(values) => match &flat.values {
                Values::I8(buffer) => values.extend(buffer.iter().map(|&value| i64::from(value))),
                Values::I16(buffer) => values.extend(buffer.iter().map(|&value| i64::from(value))),
                Values::I32(buffer) => values.extend(buffer.iter().map(|&value| i64::from(value))),
                Values::I64(buffer) => values.extend_from_slice(buffer),
                Values::I128(buffer) => values.extend(buffer.iter().map(|&value| value as i64)),
                _ => return Err(wrong(&flat)),
            },
            Pending::I128(values) => match &flat.values {
                Values::I8(buffer) => values.extend(buffer.iter().map(|&value| i128::from(value))),
                Values::I16(buffer) => values.extend(buffer.iter().map(|&value| i128::from(value))),
                Values::I32(buffer) => values.extend(buffer.iter().map(|&value| i128::from(value))),
                Values::I64(buffer) => values.extend(buffer.iter().map(|&value| i128::from(value))),
                Values::I128(buffer) => values.extend_from_slice(buffer),
                _ => return Err(wrong(&flat)),
            },
            Pending::F32(values) => match &flat.values {
                Values::F32(buffer) => values.extend_from_slice(buffer),
                _ => return Err(wrong(&flat)),
            },
            Pending::F64(values) => match &flat.values {
                Values::F64(buffer) => values.extend_from_slice(buffer),
                _ => return Err(wrong(&flat)),
            },
            Pending::Intervals(values) => match &flat.values {
                Values::Interval(buffer) => values.extend_from_slice(buffer),
                _ => return Err(wrong(&flat)),
            },
            Pending::Bits(values) => match &flat.values {
                Values::Bool(bits) => values.extend((0..bits.len()).map(|row| bits.get(row))),
                _ => return Err(wrong(&flat)),
            },
            Pending::Strings { bytes, starts } => {
                let Values::View(views) = &flat.values else { return Err(wrong(&flat)) };
                for row in 0..views.len() {
                    let valid = validity.is_none_or(|validity| validity.get(row));
                    append_string(bytes, starts, if valid { views.get(row) } else { &[] })?;
                }
            }
            Pending::Numbers { interner, numbers, .. } => {
                let Values::View(views) = &flat.values else { return Err(wrong(&flat)) };
                for row in 0..views.len() {
                    let valid = validity.is_none_or(|validity| validity.get(row));
                    numbers.push(if valid { interner.intern(views.get(row)) } else { 0 });
                }
            }
        }
        Ok(())
    }

    pub(crate) fn fill_nulls(&mut self, validity: &Bitmap) {
        match self {
            Pending::I64(values) => fill_nulls(values, validity),
            Pending::I128(values) => fill_nulls(values, validity),
            Pending::F32(values) => fill_nulls(values, validity),
            Pending::F64(values) => fill_nulls(values, validity),
            Pending::Intervals(values) => fill_nulls(values, validity),
            Pending::Bits(values) => fill_nulls(values, validity),
            Pending::Strings { .. } => {}
            Pending::Numbers { numbers, .. } => fill_nulls(numbers, validity),
        }
    }

    /// Hands the values over to be encoded.
    pub(crate) fn with_input<R>(&self, take: impl FnOnce(Input<'_>) -> R) -> R {
        match self {
            Pending::I64(values) => take(Input::I64(values)),
            Pending::I128(values) => take(Input::I128(values)),
            Pending::F32(values) => take(Input::F32(values)),
            Pending::F64(values) => take(Input::F64(values)),
            Pending::Intervals(values) => take(Input::Intervals(values)),
            Pending::Bits(values) => take(Input::Bits(&values.iter().copied().collect())),
            Pending::Strings { bytes, starts } => take(Input::Strings(Strings { bytes, starts })),
            Pending::Numbers { interner, numbers, .. } => {
                take(Input::Codes { codes: numbers, count: interner.len() })
            }
        }
    }
}

/// Appends a string to strings that lie end to end.
pub(crate) fn append_string(bytes: &mut Vec<u8>, starts: &mut Vec<u32>, string: &[u8]) -> Result<()> {
    bytes.extend_from_slice(string);
    let end = u32::try_from(bytes.len());
    starts.push(end.map_err(|_| Error::Unsupported("more than 4 GiB of strings in a block".into()))?);
    Ok(())
}

/// Gives null rows the value before them, or the first there is.
pub(crate) fn fill_nulls<T: Copy>(values: &mut [T], validity: &Bitmap) {
    let Some(first) = validity.ones().next() else { return };
    let mut last = values[first];
    for (row, value) in values.iter_mut().enumerate() {
        if validity.get(row) {
            last = *value;
        } else {
            *value = last;
        }
    }
}
