//! Seeded numbers and hashes. Only operations that every machine rounds alike: no logarithms, no real powers.

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): a one-to-one scramble of 64 bits.
pub(super) fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// A number that two together determine.
pub(super) fn pair(a: u64, b: u64) -> u64 {
    mix(mix(a.wrapping_add(0x9e37_79b9_7f4a_7c15)) ^ b.wrapping_mul(0xd6e8_feb8_6659_fd93))
}

/// The hash of a text (FNV-1a, scrambled), signed as the table's hash columns are.
pub(super) fn hash_text(text: &str) -> i64 {
    let fnv = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    mix(fnv) as i64
}

/// A number below `n` out of 64 random bits; 0 for `n` = 0.
pub(super) fn below(bits: u64, n: u64) -> u64 {
    ((u128::from(bits) * u128::from(n)) >> 64) as u64
}

/// SplitMix64: a stream of random numbers.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub(super) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    pub(super) fn below(&mut self, n: u64) -> u64 {
        below(self.bits(), n)
    }

    pub(super) fn chance(&mut self, per_thousand: u64) -> bool {
        self.below(1_000) < per_thousand
    }

    /// A number from 0 to 1.
    pub(super) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A number below `n`, small ones more often: the `power`-th power of a uniform one.
    pub(super) fn skewed(&mut self, n: u64, power: i32) -> u64 {
        let unit = self.unit();
        let raised = (1..power).fold(unit, |product, _| product * unit);
        ((raised * n as f64) as u64).min(n.saturating_sub(1))
    }
}
