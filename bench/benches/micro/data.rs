//! Values drawn by a seed, and columns of them.

use columnar::kernels::cast::to_width;
use columnar::{PhysicalType, Values, Views};

/// SplitMix64 (Steele, Lea, Flood 2014).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let word = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ word >> 31
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        ((u128::from(self.word()) * limit as u128) >> 64) as usize
    }

    pub(crate) fn shuffle<T>(&mut self, values: &mut [T]) {
        for last in (1..values.len()).rev() {
            values.swap(last, self.below(last + 1));
        }
    }
}

/// Integers at a width that holds them.
pub(crate) fn integers(values: impl IntoIterator<Item = i64>, physical: PhysicalType) -> Values {
    to_width(&Values::I64(values.into_iter().collect()), physical)
}

pub(crate) fn strings(texts: &[impl AsRef<[u8]>]) -> Values {
    Values::View(Views::from_strings(texts.iter().map(AsRef::as_ref)))
}

/// Values in parts of `rows`, which share their memory.
pub(crate) fn parts(values: &Values, rows: usize) -> Vec<Values> {
    let starts = (0..values.len()).step_by(rows);
    starts.map(|start| values.slice(start, rows.min(values.len() - start))).collect()
}
