//! Rows whose keys a task has taken before: where there are no aggregates they add nothing, and are dropped.

use super::Aggregation;
use columnar::kernels::cast::to_width;
use columnar::{Codes, DictionaryVector, PhysicalType, Values, Vector};

/// What a task remembers of the keys it has taken.
#[derive(Default)]
pub(super) struct Seen {
    codes: Option<SeenCodes>,
    /// The last keys, by the lowest bits of their hashes: as words that say all of them, or as two integers.
    words: Vec<u64>,
    pairs: Vec<(i64, i64)>,
}

/// The codes of one dictionary.
struct SeenCodes {
    dictionary: u64,
    /// A bit a code.
    bits: Vec<u64>,
    /// How many codes were not seen.
    left: usize,
    null: bool,
}

/// As many keys as the nearest cache holds beside other things.
const PLACES: usize = 2048;

impl Seen {
    /// The rows whose keys are not known to have been seen; `None`: take all of them.
    pub(super) fn new_keys(&mut self, keys: &[Vector]) -> Option<Vec<u32>> {
        let [Vector::Dictionary(vector)] = keys else { return None };
        let values = vector.dictionary.values.len();
        let known = self.codes.take().filter(|codes| codes.dictionary == vector.dictionary.id);
        let known = known.unwrap_or_else(|| SeenCodes {
            dictionary: vector.dictionary.id,
            bits: vec![0; values.div_ceil(64)],
            left: values,
            null: false,
        });
        Some(self.codes.insert(known).new_rows(vector))
    }

    /// The rows whose keys are not among the last ones; `words` are the keys' words. `None`: take all of them.
    pub(super) fn new_words(
        &mut self,
        shared: &Aggregation,
        words: &[u64],
        keys: &[Vector],
    ) -> Option<Vec<u32>> {
        if shared.packing.is_some() {
            return Some(new_rows(&mut self.words, shared, words, |row| words[row]));
        }
        let [first, second] = keys else { return None };
        let (first, second) = (whole_numbers(first)?, whole_numbers(second)?);
        Some(new_rows(&mut self.pairs, shared, words, |row| (first[row], second[row])))
    }
}

/// The rows whose keys are not those last seen of all with the same place.
#[inline(always)]
fn new_rows<K: Copy + PartialEq>(
    last: &mut Vec<K>,
    shared: &Aggregation,
    words: &[u64],
    key: impl Fn(usize) -> K,
) -> Vec<u32> {
    let mut rows = vec![0; words.len()];
    let mut count = 0;
    if last.is_empty() && !words.is_empty() {
        // Every place holds a key that was seen: that of the first row, which is kept.
        *last = vec![key(0); PLACES];
        count = 1;
    }
    for (row, &word) in words.iter().enumerate().skip(count) {
        let last = &mut last[shared.hash_of(word) as usize % PLACES];
        rows[count] = row as u32;
        count += usize::from(*last != key(row));
        *last = key(row);
    }
    rows.truncate(count);
    rows
}

/// Integers of at most 64 bits, none of them null.
fn whole_numbers(vector: &Vector) -> Option<Vec<i64>> {
    let flat = vector.flatten();
    if flat.validity.as_ref().is_some_and(|validity| !validity.all()) {
        return None;
    }
    match &flat.values {
        Values::I8(_) | Values::I16(_) | Values::I32(_) | Values::I64(_) => {
            match to_width(&flat.values, PhysicalType::I64) {
                Values::I64(values) => Some(values.to_vec()),
                _ => None,
            }
        }
        _ => None,
    }
}

impl SeenCodes {
    fn new_rows(&mut self, vector: &DictionaryVector) -> Vec<u32> {
        let mut rows = Vec::new();
        let validity = vector.validity.as_ref().filter(|validity| !validity.all());
        match (validity, &vector.codes) {
            (Some(validity), codes) => {
                for row in 0..codes.len() {
                    let is_new = match validity.get(row) {
                        true => self.is_new(codes.get(row)),
                        false => !std::mem::replace(&mut self.null, true),
                    };
                    if is_new {
                        rows.push(row as u32);
                    }
                }
            }
            (None, _) if self.left == 0 => {}
            (None, Codes::U8(codes)) => self.push_new(codes, &mut rows),
            (None, Codes::U16(codes)) => self.push_new(codes, &mut rows),
            (None, Codes::U32(codes)) => self.push_new(codes, &mut rows),
        }
        rows
    }

    fn push_new<C: Copy + TryInto<usize>>(&mut self, codes: &[C], rows: &mut Vec<u32>) {
        for (row, &code) in codes.iter().enumerate() {
            // A code that does not fit is none of the dictionary.
            if self.is_new(code.try_into().unwrap_or(usize::MAX)) {
                rows.push(row as u32);
            }
        }
    }

    #[inline(always)]
    fn is_new(&mut self, code: usize) -> bool {
        let (word, bit) = (&mut self.bits[code / 64], 1 << (code % 64));
        if *word & bit != 0 {
            return false;
        }
        *word |= bit;
        self.left -= 1;
        true
    }
}
