//! Slices: the parts into which rows fall by their keys. Tables that are placed by a key, and exchanges that bring
//! rows to them, must cut alike, on every node.

use crate::hash::{Hasher, route};
use columnar::kernels::cast::integer_at;
use columnar::{DataType, Scalar, Values, Vector, kernel};

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
        data_type.is_integral() && !matches!(data_type, DataType::Uuid | DataType::Enum(_))
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
        let ranges = max.div_euclid(self.width).saturating_sub(min.div_euclid(self.width));
        let count = usize::try_from(ranges).map_or(self.slices, |ranges| ranges.min(self.slices - 1) + 1);
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
        match values {
            Values::I8(values) => narrow_slices(values, self),
            Values::I16(values) => narrow_slices(values, self),
            Values::I32(values) => narrow_slices(values, self),
            Values::I64(values) => narrow_slices(values, self),
            other => (0..other.len()).map(|row| self.slice(integer_at(other, row)) as u32).collect(),
        }
    }
}

/// Integers of at most 64 bits.
trait Narrow: Copy + Into<i64> {}
impl<T: Copy + Into<i64>> Narrow for T {}

kernel! {
    /// [`Ranges::slice`] of each value. Numbers of ranges are taken from floating-point quotients, which for values of up
    /// to 51 bits are at most one too large or too small.
    fn narrow_slices[T: Narrow](values: &[T], ranges: &Ranges) -> Vec<u32> {
        const EXACT: i64 = 1 << 51;
        let (slices, width) = (ranges.slices as i64, ranges.width as i64);
        let inverse = 1.0 / ranges.width as f64;
        if ranges.width >= i128::from(EXACT) {
            return values.iter().map(|&value| ranges.slice(value.into().into()) as u32).collect();
        }
        let slice = |&value: &T| {
            let value: i64 = value.into();
            if !(-EXACT..EXACT).contains(&value) {
                return ranges.slice(value.into()) as u32;
            }
            let mut range = (value as f64 * inverse) as i64;
            let rest = value - range * width;
            range += i64::from(rest >= width) - i64::from(rest < 0);
            if (0..slices).contains(&range) { range as u32 } else { range.rem_euclid(slices) as u32 }
        };
        values.iter().map(slice).collect()
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
    fn values_of_any_distance_overlap_all_slices() {
        let (low, high) = (i128::from(i64::MIN), i128::from(i64::MAX));
        for (min, max) in [(low, high), (i128::MIN, i128::MAX)] {
            assert_eq!(Ranges::new(1, 3).overlapped(min, max).1, 3);
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

    #[test]
    fn the_quick_way_gives_what_the_exact_one_gives() {
        for (span, slices) in
            [(1, 1), (1000, 7), (6_000_000, 64), (u64::MAX, 3), (1 << 55, 16), ((1 << 54) + 7, 5)]
        {
            let ranges = Ranges::new(span, slices);
            let width = ranges.width as i64;
            let near = |at: i64| [at.wrapping_sub(1), at, at.wrapping_add(1)];
            let ends = (-70..70_i64).flat_map(|range| near(range.wrapping_mul(width)));
            let powers = (0..64)
                .flat_map(|bit| [1_i64 << bit, (1_i64 << bit).wrapping_neg(), i64::MAX >> bit])
                .flat_map(near);
            let values: Vec<i64> = ends.chain(powers).collect();
            let expected: Vec<u32> = values.iter().map(|&value| ranges.slice(value.into()) as u32).collect();
            assert_eq!(narrow_slices(&values, &ranges), expected, "{ranges:?}");
            let narrow: Vec<i16> = (i16::MIN..=i16::MAX).collect();
            let expected: Vec<u32> = narrow.iter().map(|&value| ranges.slice(value.into()) as u32).collect();
            assert_eq!(narrow_slices(&narrow, &ranges), expected, "{ranges:?}");
        }
    }
}
