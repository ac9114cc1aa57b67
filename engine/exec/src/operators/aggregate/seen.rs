//! Rows whose keys a task has taken before: where there are no aggregates they add nothing, and are dropped.

use super::Aggregation;
use columnar::{Codes, DictionaryVector, Vector};

/// What a task remembers of the keys it has taken.
#[derive(Default)]
pub(super) struct Seen {
    codes: Option<SeenCodes>,
    /// By the lowest bits of their hashes: the last words.
    words: Vec<u64>,
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

/// As many words as the nearest cache holds beside other things.
const WORDS: usize = 2048;

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

    /// The rows whose words are not among the last ones.
    pub(super) fn new_words(&mut self, shared: &Aggregation, words: &[u64]) -> Vec<u32> {
        let mut words = words;
        let mut rows = vec![0; words.len()];
        let (mut count, mut row) = (0, 0);
        if self.words.is_empty()
            && let Some((&first, rest)) = words.split_first()
        {
            // Every place holds a word that was seen.
            self.words = vec![first; WORDS];
            (words, count, row) = (rest, 1, 1);
        }
        for &word in words {
            let last = &mut self.words[shared.hash_of(word) as usize % WORDS];
            rows[count] = row;
            count += usize::from(*last != word);
            *last = word;
            row += 1;
        }
        rows.truncate(count);
        rows
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
