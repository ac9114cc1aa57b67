//! Sums of a batch for few groups: each group's sum is made beside the rows, which get it once a batch.

use columnar::kernel;
use std::cell::OnceCell;

/// The most groups.
pub(super) const FEW: usize = 32;
/// Up to here a pass a group is the quickest.
const PASSES: usize = 6;

/// A batch by groups.
pub(super) struct Few {
    /// For each row the number of its group.
    locals: Vec<u8>,
    /// The number and the address of each group's row.
    numbers: Vec<u32>,
    pub(super) pointers: Vec<*mut u8>,
    counts: OnceCell<Vec<i64>>,
}

impl Few {
    /// A batch of rows whose groups are those of `locals`, of which `numbers` and `pointers` are the rows.
    pub(super) fn new(locals: Vec<u8>, numbers: Vec<u32>, pointers: Vec<*mut u8>) -> Few {
        debug_assert!(pointers.len() <= FEW && numbers.len() == pointers.len());
        Few { locals, numbers, pointers, counts: OnceCell::new() }
    }

    /// For each row of the batch the number of its group's row.
    pub(super) fn numbers(&self) -> Vec<u32> {
        self.locals.iter().map(|&local| self.numbers[usize::from(local)]).collect()
    }

    /// Rows a group.
    pub(super) fn counts(&self) -> &[i64] {
        self.counts.get_or_init(|| {
            let groups = 0..self.pointers.len();
            groups.map(|group| count_of(&self.locals, group as u8)).collect()
        })
    }

    /// The sum of the values of each group, which must not leave 64 bits.
    pub(super) fn sums<T: Summand>(&self, values: &[T]) -> Vec<i64> {
        let groups = self.pointers.len();
        if groups <= PASSES {
            return (0..groups).map(|group| sum_of(&self.locals, group as u8, values)).collect();
        }
        // Neighbours add to sums of their own, so that none waits for the one before.
        let mut sums = [[0_i64; FEW]; 4];
        let (locals, last_locals) = self.locals.as_chunks::<4>();
        let (values, last_values) = values.as_chunks::<4>();
        for (locals, values) in locals.iter().zip(values) {
            for lane in 0..4 {
                let sum = &mut sums[lane][usize::from(locals[lane]) % FEW];
                *sum = sum.wrapping_add(values[lane].into());
            }
        }
        for (&local, &value) in last_locals.iter().zip(last_values) {
            let sum = &mut sums[0][usize::from(local) % FEW];
            *sum = sum.wrapping_add(value.into());
        }
        (0..groups).map(|group| sums.iter().map(|lane| lane[group]).sum()).collect()
    }
}

pub(super) trait Summand: Copy + Into<i64> {}
impl Summand for i8 {}
impl Summand for i16 {}
impl Summand for i32 {}
impl Summand for i64 {}

kernel! {
    fn sum_of[T: Summand](locals: &[u8], group: u8, values: &[T]) -> i64 {
        let mut sum = 0_i64;
        for (&local, &value) in locals.iter().zip(values) {
            let value: i64 = value.into();
            sum = sum.wrapping_add(if local == group { value } else { 0 });
        }
        sum
    }
}

kernel! {
    fn count_of(locals: &[u8], group: u8) -> i64 {
        let mut count = 0;
        for chunk in locals.chunks(128) {
            let equal: u8 = chunk.iter().map(|&local| u8::from(local == group)).sum();
            count += i64::from(equal);
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_and_counts_are_those_of_each_group() {
        for groups in [1, 2, 5, PASSES, PASSES + 1, FEW] {
            for rows in [0, 1, 3, 127, 128, 129, 2048] {
                let locals: Vec<u8> = (0..rows).map(|row| (row * 7 % groups) as u8).collect();
                let values: Vec<i32> = (0..rows).map(|row| (row as i32 - 900) * 1_000_003).collect();
                let wide: Vec<i64> = values.iter().map(|&value| i64::from(value) << 10).collect();
                let few = Few::new(locals.clone(), vec![0; groups], vec![std::ptr::null_mut(); groups]);
                let of = |group: usize| {
                    values.iter().zip(&locals).filter(move |(_, local)| usize::from(**local) == group)
                };
                let counts: Vec<i64> = (0..groups).map(|group| of(group).count() as i64).collect();
                let sums: Vec<i64> =
                    (0..groups).map(|group| of(group).map(|(&value, _)| i64::from(value)).sum()).collect();
                assert_eq!((few.counts(), &few.sums(&values)), (&counts[..], &sums));
                assert_eq!(few.sums(&wide), sums.iter().map(|sum| sum << 10).collect::<Vec<_>>());
            }
        }
    }
}
