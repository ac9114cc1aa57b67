//! Slices: the parts into which rows fall by their keys. Tables that are placed by a key, and exchanges that bring
//! rows to them, must cut alike, on every node.

use crate::hash::{Hasher, route};
use columnar::kernels::cast::integer_at;
use columnar::{DataType, Scalar, Values, Vector};

/// How rows fall into slices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Slicing {
    /// By [`route`] of the hash of the keys.
    Hash,
    /// By [`Ranges`] of the only key.
    Ranges { span: u64 },
}

impl Slicing {
    /// The slice of each of `rows` rows by their keys. `hasher` may be used for batch after batch.
    pub fn slices_of(self, hasher: &mut Hasher, keys: &[Vector], rows: usize, slices: usize) -> Vec<u32> {
        match (self, keys) {
            (Slicing::Ranges { span }, [key]) => Ranges::new(span, slices).slices_of(key, rows),
            _ => hasher.hash(keys, rows).into_iter().map(|hash| route(hash, slices) as u32).collect(),
        }
    }
}

/// Ranges of a key that is an integer underneath, alike in width, dealt to the slices in turn: where the values span
/// what they were made for, each slice has one range, and its neighbours are the next ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ranges {
    width: i128,
    slices: usize,
}

impl Ranges {
    /// `span` values of the key go once round `slices` slices.
    pub fn new(span: u64, slices: usize) -> Ranges {
        let slices = slices.max(1);
        Ranges { width: i128::from(span.div_ceil(slices as u64).max(1)), slices }
    }

    /// Whether a column of that type can be cut into ranges.
    pub fn can_cut(data_type: DataType) -> bool {
        data_type.is_integral() && data_type != DataType::Boolean
    }

    /// The span to choose for values from `min` to `max`: coarse, so that tables whose keys span nearly the same are cut
    /// alike, and wide enough for each slice to have one range. Ranges begin at 0; where values begin far from there,
    /// their ends may lie in the midst of two ranges, and a few slices are left for that.
    pub fn span_of(min: i128, max: i128) -> u64 {
        let from_zero = (0..=max / 4).contains(&min);
        let values = if from_zero { max } else { max.saturating_sub(min) };
        let values = u64::try_from(values).unwrap_or(u64::MAX).saturating_add(1);
        let wide = if from_zero { values } else { values.saturating_add(values / 8) };
        let step = 1_u64 << (64 - wide.leading_zeros()).saturating_sub(3);
        wide.checked_next_multiple_of(step).unwrap_or(u64::MAX)
    }

    pub fn slice(&self, value: i128) -> usize {
        value.div_euclid(self.width).rem_euclid(self.slices as i128) as usize
    }

    /// The slices that values from `min` to `max` fall into, in the order of their ranges: the first one, and how many.
    pub fn overlapped(&self, min: i128, max: i128) -> (usize, usize) {
        let ranges = max.div_euclid(self.width) - min.div_euclid(self.width);
        let count = usize::try_from(ranges).map_or(self.slices, |ranges| (ranges + 1).min(self.slices));
        (self.slice(min), count)
    }

    /// The slice of each row; nulls are in the first one.
    fn slices_of(&self, key: &Vector, rows: usize) -> Vec<u32> {
        let mut slices = match key {
            Vector::Constant(constant) => {
                let slice = match constant.value.scalar {
                    Scalar::Integer(value) => self.slice(value),
                    _ => 0,
                };
                return vec![slice as u32; rows];
            }
            Vector::Flat(flat) => self.slices_of_values(&flat.values),
            Vector::Dictionary(vector) => {
                let values = self.slices_of_values(&vector.dictionary.values.values);
                (0..vector.codes.len()).map(|row| values[vector.codes.get(row)]).collect()
            }
        };
        if let Some(validity) = key.validity() {
            let nulls = (0..slices.len()).filter(|&row| !validity.get(row)).collect::<Vec<_>>();
            nulls.into_iter().for_each(|row| slices[row] = 0);
        }
        slices
    }

    fn slices_of_values(&self, values: &Values) -> Vec<u32> {
        // Neighbours mostly lie in one range, which is looked up once.
        let (mut from, mut slice) = (1, 0_u32);
        let mut end = 0;
        let mut slice_of = |value: i128| {
            if value < from || value >= end {
                from = value.div_euclid(self.width) * self.width;
                end = from + self.width;
                slice = self.slice(value) as u32;
            }
            slice
        };
        match values {
            Values::I8(values) => values.iter().map(|&value| slice_of(value.into())).collect(),
            Values::I16(values) => values.iter().map(|&value| slice_of(value.into())).collect(),
            Values::I32(values) => values.iter().map(|&value| slice_of(value.into())).collect(),
            Values::I64(values) => values.iter().map(|&value| slice_of(value.into())).collect(),
            other => (0..other.len()).map(|row| slice_of(integer_at(other, row))).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_slice_has_one_range_where_values_span_what_was_announced() {
        for (min, max, slices) in
            [(1, 6_000_000, 64), (0, 9, 3), (-500, 499, 20), (1_000_000_007, 1_000_900_000, 64)]
        {
            let ranges = Ranges::new(Ranges::span_of(min, max), slices);
            let all: Vec<usize> = (min..=max).map(|value| ranges.slice(value)).collect();
            let turns = all.windows(2).filter(|pair| pair[0] != pair[1]).count();
            assert!(turns <= slices, "{turns} turns, {slices} slices");
            assert!(all.windows(2).all(|pair| pair[0] == pair[1] || (pair[0] + 1) % slices == pair[1]));
            let mut counts = vec![0; slices];
            all.iter().for_each(|&slice| counts[slice] += 1);
            let most = counts.into_iter().max().unwrap();
            assert!(most as f64 <= all.len() as f64 * 1.5 / slices as f64 + 1.0, "{most} of {}", all.len());
            let (first, count) = ranges.overlapped(min, max);
            let distinct: std::collections::HashSet<usize> = all.iter().copied().collect();
            assert_eq!((first, count.min(slices)), (all[0], distinct.len()));
        }
    }

    #[test]
    fn spans_are_coarse_and_wide_enough() {
        for values in [1_i128, 2, 7, 8, 9, 1000, 6_000_000, 1 << 62] {
            let near = i128::from(Ranges::span_of(0, values - 1));
            assert!(near >= values && near <= values + values / 4 + 1, "{values} {near}");
            let far = i128::from(Ranges::span_of(-5 * values, -4 * values - 1));
            assert!(far >= values && far <= values + values / 2 + 1, "{values} {far}");
        }
        assert_eq!(Ranges::span_of(1, 6_000_000), Ranges::span_of(3, 5_900_000));
        assert_eq!(Ranges::span_of(i128::from(i64::MIN), i128::from(i64::MAX)), u64::MAX);
    }

    #[test]
    fn nulls_and_all_shapes_of_vectors_are_cut_alike() {
        let values: Vec<Option<i64>> =
            vec![Some(-3), None, Some(0), Some(250), Some(i64::MAX), Some(i64::MIN), Some(99), None];
        let ranges = Ranges::new(300, 3);
        let expected: Vec<u32> =
            values.iter().map(|value| value.map_or(0, |value| ranges.slice(value.into()) as u32)).collect();
        let flat = Vector::from_scalars(
            DataType::Int64,
            &values
                .iter()
                .map(|value| value.map_or(Scalar::Null, |value| Scalar::Integer(value.into())))
                .collect::<Vec<_>>(),
        );
        assert_eq!(ranges.slices_of(&flat, values.len()), expected);
        let null = Vector::constant(columnar::Value::null(DataType::Int64), 3);
        assert_eq!(ranges.slices_of(&null, 3), [0, 0, 0]);
        let constant = Vector::constant(columnar::Value::int64(250), 2);
        assert_eq!(ranges.slices_of(&constant, 2), [2, 2]);
    }
}
