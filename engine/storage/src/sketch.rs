//! A sketch that counts distinct values: HyperLogLog (Flajolet, Fusy, Gandouet, Meunier 2007) with the
//! estimator of Ertl, "New cardinality estimation algorithms for HyperLogLog sketches" (2017), which needs
//! no correction tables. Relative error about 1.6 %.

/// The number of bits of a hash that name a register.
const PRECISION: u32 = 12;
const REGISTERS: usize = 1 << PRECISION;
const MAX_RANK: usize = 64 - PRECISION as usize + 1;

/// Distinct values seen, about. Sketches of two sets merge into that of their union.
#[derive(Clone, PartialEq, Eq)]
pub struct DistinctSketch {
    registers: Box<[u8]>,
}

impl Default for DistinctSketch {
    fn default() -> DistinctSketch {
        DistinctSketch { registers: vec![0; REGISTERS].into() }
    }
}

impl std::fmt::Debug for DistinctSketch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DistinctSketch({:.0})", self.estimate())
    }
}

impl DistinctSketch {
    /// How many [`DistinctSketch::as_bytes`] gives.
    pub const BYTES: usize = REGISTERS;

    /// Takes the registers of [`DistinctSketch::as_bytes`]; `None` where they are not such.
    pub fn from_bytes(bytes: &[u8]) -> Option<DistinctSketch> {
        let sound = bytes.len() == REGISTERS && bytes.iter().all(|&rank| usize::from(rank) <= MAX_RANK);
        sound.then(|| DistinctSketch { registers: bytes.into() })
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.registers
    }

    /// Notes a value by its hash, whose 64 bits must all be well mixed.
    #[inline]
    pub fn insert(&mut self, hash: u64) {
        let rank = ((hash << PRECISION) | (1 << (PRECISION - 1))).leading_zeros() as u8 + 1;
        let register = &mut self.registers[(hash >> (64 - PRECISION)) as usize];
        *register = rank.max(*register);
    }

    pub fn merge(&mut self, other: &DistinctSketch) {
        for (register, &rank) in self.registers.iter_mut().zip(&other.registers) {
            *register = rank.max(*register);
        }
    }

    /// The number of distinct values, about.
    pub fn estimate(&self) -> f64 {
        let mut counts = [0_u32; MAX_RANK + 1];
        for &rank in &self.registers {
            counts[usize::from(rank)] += 1;
        }
        let m = REGISTERS as f64;
        let mut z = m * tau(1.0 - f64::from(counts[MAX_RANK]) / m);
        for &count in counts[1..MAX_RANK].iter().rev() {
            z = 0.5 * (z + f64::from(count));
        }
        z += m * sigma(f64::from(counts[0]) / m);
        m * m / (2.0 * std::f64::consts::LN_2 * z)
    }
}

fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let previous = z;
        z += x * y;
        y += y;
        if z == previous {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let previous = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z == previous {
            return z / 3.0;
        }
    }
}

/// A hash of an integer for the sketch: the finaliser of SplitMix64 (Steele, Lea, Flood 2014).
#[inline]
pub fn hash_integer(value: u64) -> u64 {
    let mut x = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: std::ops::Range<u64>) -> DistinctSketch {
        let mut sketch = DistinctSketch::default();
        values.for_each(|value| sketch.insert(hash_integer(value)));
        sketch
    }

    #[test]
    fn estimates_are_close_at_every_size() {
        assert_eq!(of(0..0).estimate(), 0.0);
        for count in [1, 10, 1_000, 20_000, 1_000_000] {
            let estimate = of(0..count).estimate();
            assert!((estimate / count as f64 - 1.0).abs() < 0.06, "{count}: {estimate}");
        }
    }

    #[test]
    fn a_merge_is_the_sketch_of_the_union() {
        let mut merged = of(0..5_000);
        merged.merge(&of(3_000..9_000));
        assert_eq!(merged, of(0..9_000));
        assert_eq!(DistinctSketch::from_bytes(merged.as_bytes()), Some(merged));
        assert_eq!(DistinctSketch::from_bytes(&[0; 7]), None);
        assert_eq!(DistinctSketch::from_bytes(&[200; REGISTERS]), None);
    }
}
