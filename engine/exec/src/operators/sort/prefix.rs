//! The front of a row's sort keys as one number whose order is theirs.
//!
//! Each key adds a bit for null, where it can be, and then its value as an unsigned number of as few bits as
//! its bounds allow. Keys are added until 64 bits are full.

use super::Key;
use crate::Result;
use columnar::{DataType, PhysicalType, Values, Vector, kernel};

/// How rows of a sort get their number.
pub(super) struct Prefix {
    parts: Vec<Part>,
    whole: bool,
}

/// What one key adds.
struct Part {
    null_bit: bool,
    /// The value's bits that are taken, its uppermost ones.
    bits: u32,
    /// All of its bits.
    width: u32,
    /// What is subtracted from integers.
    least: i128,
    descending: bool,
    nulls_first: bool,
}

impl Prefix {
    pub(super) fn new(keys: &[Key]) -> Prefix {
        let (mut parts, mut room, mut whole) = (Vec::new(), 64, true);
        for key in keys {
            let shape = key.input.shape();
            let bounds = shape.bounds.or(shape.physical.integer_bounds());
            let (width, least, exact) = match (shape.physical, bounds) {
                (PhysicalType::Bool, _) => (1, 0, true),
                (PhysicalType::F32, _) => (32, 0, true),
                (PhysicalType::F64, _) => (64, 0, true),
                (PhysicalType::View | PhysicalType::Interval, _) => (64, 0, false),
                (_, Some((least, most))) => {
                    let range = most.wrapping_sub(least) as u128;
                    (128 - range.leading_zeros(), least, true)
                }
                (_, None) => (0, 0, shape.data_type == DataType::Null),
            };
            let null_bit = shape.nullable;
            if room < u32::from(null_bit) {
                whole = false;
                break;
            }
            room -= u32::from(null_bit);
            let bits = width.min(room);
            room -= bits;
            let (descending, nulls_first) = (key.descending, key.nulls_first);
            parts.push(Part { null_bit, bits, width, least, descending, nulls_first });
            if bits < width || !exact {
                whole = false;
                break;
            }
        }
        Prefix { parts, whole }
    }

    /// Whether equal numbers mean equal keys.
    pub(super) fn is_whole(&self) -> bool {
        self.whole
    }

    /// The number of every row; `keys` are the evaluated keys.
    pub(super) fn of(&self, keys: &[Vector], rows: usize) -> Result<Vec<u64>> {
        let mut prefixes = vec![0; rows];
        for (part, vector) in self.parts.iter().zip(keys) {
            let flat = vector.flatten();
            let mut digits = part.digits(&flat.values);
            let most = if part.bits == 0 { 0 } else { u64::MAX >> (64 - part.bits) };
            if part.descending {
                digits.iter_mut().for_each(|digit| *digit ^= most);
            }
            if part.null_bit {
                for (row, prefix) in prefixes.iter_mut().enumerate() {
                    let null = flat.is_null(row);
                    *prefix = *prefix << 1 | u64::from(null != part.nulls_first);
                    if null {
                        digits[row] = 0;
                    }
                }
            }
            append(&mut prefixes, &digits, part.bits, most);
        }
        Ok(prefixes)
    }
}

kernel! {
    fn append(prefixes: &mut [u64], digits: &[u64], bits: u32, most: u64) {
        for (prefix, &digit) in prefixes.iter_mut().zip(digits) {
            *prefix = prefix.checked_shl(bits).unwrap_or(0) | digit & most;
        }
    }
}

impl Part {
    /// The uppermost bits of each value as an unsigned number.
    fn digits(&self, values: &Values) -> Vec<u64> {
        let cut = self.width - self.bits;
        let integer =
            |value: i128| (value.wrapping_sub(self.least) as u128).checked_shr(cut).unwrap_or(0) as u64;
        let top = |value: u64| value.checked_shr(cut).unwrap_or(0);
        match values {
            Values::Bool(bits) => (0..bits.len()).map(|row| u64::from(bits.get(row))).collect(),
            Values::I8(values) => values.iter().map(|&value| integer(value.into())).collect(),
            Values::I16(values) => values.iter().map(|&value| integer(value.into())).collect(),
            Values::I32(values) => values.iter().map(|&value| integer(value.into())).collect(),
            Values::I64(values) => values.iter().map(|&value| integer(value.into())).collect(),
            Values::I128(values) => values.iter().map(|&value| integer(value)).collect(),
            Values::F32(values) => values.iter().map(|&value| top(float_digit(value.into()) >> 32)).collect(),
            Values::F64(values) => values.iter().map(|&value| top(float_digit(value))).collect(),
            Values::Interval(values) => {
                // Its range is below 2^80.
                let shifted = |value: i128| ((value + (1 << 79)) >> 16) as u64;
                values.iter().map(|value| top(shifted(value.comparison_micros()))).collect()
            }
            Values::View(views) => (0..views.len())
                .map(|row| {
                    let (mut front, text) = ([0; 8], views.get(row));
                    let len = text.len().min(8);
                    front[..len].copy_from_slice(&text[..len]);
                    top(u64::from_be_bytes(front))
                })
                .collect(),
        }
    }
}

/// The bits of a float in an order that is its own: -0 as 0, NaN above all.
fn float_digit(value: f64) -> u64 {
    let value = if value.is_nan() { f64::NAN.abs() } else { value + 0.0 };
    let bits = value.to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}
