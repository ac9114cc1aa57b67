//! A seeded generator for tests that draw their input.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// SplitMix64 (Steele, Lea, Flood 2014).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// 64 random bits.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number under `limit`; 0 where that is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.number() >> 16) as usize % limit.max(1)
    }

    pub fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    pub fn pick<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.below(choices.len())]
    }
}

/// What a fuzzing test takes from its environment.
pub struct Run {
    /// Of the first round; every further round counts one up. `FUZZ_SEED`: a number, or `random` for one drawn
    /// by the clock. Where it is not set always the same, so that a check that passed passes again.
    pub seed: u64,
    /// `FUZZ_SECONDS`.
    pub time: Duration,
}

impl Run {
    /// A run of so many seconds, unless the environment says otherwise.
    pub fn from_environment(seconds: u64) -> Run {
        let number = |name: &str, text: String| -> u64 {
            text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}, not a number"))
        };
        let seed = match std::env::var("FUZZ_SEED") {
            Ok(text) if text == "random" => {
                SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_micros() as u64)
            }
            Ok(text) => number("FUZZ_SEED", text),
            Err(_) => 1,
        };
        let seconds = std::env::var("FUZZ_SECONDS").map_or(seconds, |text| number("FUZZ_SECONDS", text));
        Run { seed, time: Duration::from_secs(seconds) }
    }
}
