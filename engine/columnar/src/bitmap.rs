//! A bit a row: validity, boolean values, the outcome of a predicate.

use crate::Buffer;

/// `len` bits, least significant bit first in 64-bit words (Arrow's bit order). Bits past `len` in the last
/// word are zero, so that words can be counted and combined whole.
#[derive(Clone, Debug)]
pub struct Bitmap {
    words: Buffer<u64>,
    len: usize,
}

impl Bitmap {
    /// Takes words as they are, except that bits past `len` are cleared and missing words are zero.
    pub fn from_words(mut words: Vec<u64>, len: usize) -> Bitmap {
        words.resize(len.div_ceil(64), 0);
        if let (Some(last), 1..) = (words.last_mut(), len % 64) {
            *last &= (1 << (len % 64)) - 1;
        }
        Bitmap { words: words.into(), len }
    }

    /// Shares words that lie in a segment. Returns `None` where a bit past `len` is set or words are missing.
    pub fn from_shared(words: Buffer<u64>, len: usize) -> Option<Bitmap> {
        let clean = len.is_multiple_of(64) || words.last().is_some_and(|last| last >> (len % 64) == 0);
        (words.len() == len.div_ceil(64) && clean).then_some(Bitmap { words, len })
    }

    pub fn filled(value: bool, len: usize) -> Bitmap {
        Bitmap::from_words(vec![if value { u64::MAX } else { 0 }; len.div_ceil(64)], len)
    }

    /// One bit an item.
    pub fn from_fn(len: usize, mut bit: impl FnMut(usize) -> bool) -> Bitmap {
        let words = (0..len.div_ceil(64)).map(|word| {
            let start = word * 64;
            (start..len.min(start + 64)).fold(0, |bits, row| bits | (u64::from(bit(row)) << (row - start)))
        });
        Bitmap { words: words.collect::<Vec<_>>().into(), len }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// The words as shared memory.
    pub fn buffer(&self) -> &Buffer<u64> {
        &self.words
    }

    /// The bit of `row`, which must lie below [`Bitmap::len`].
    #[inline]
    pub fn get(&self, row: usize) -> bool {
        debug_assert!(row < self.len);
        self.words[row / 64] >> (row % 64) & 1 == 1
    }

    pub fn count_ones(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    pub fn all(&self) -> bool {
        self.count_ones() == self.len
    }

    pub fn none(&self) -> bool {
        self.words.iter().all(|&word| word == 0)
    }

    /// Combines two bitmaps of one length, word by word.
    pub fn zip_with(&self, other: &Bitmap, combine: impl Fn(u64, u64) -> u64) -> Bitmap {
        debug_assert_eq!(self.len, other.len);
        let words = self.words.iter().zip(other.words.iter()).map(|(&a, &b)| combine(a, b)).collect();
        Bitmap::from_words(words, self.len)
    }

    pub fn and(&self, other: &Bitmap) -> Bitmap {
        self.zip_with(other, |a, b| a & b)
    }

    pub fn or(&self, other: &Bitmap) -> Bitmap {
        self.zip_with(other, |a, b| a | b)
    }

    pub fn and_not(&self, other: &Bitmap) -> Bitmap {
        self.zip_with(other, |a, b| a & !b)
    }

    pub fn not(&self) -> Bitmap {
        Bitmap::from_words(self.words.iter().map(|word| !word).collect(), self.len)
    }

    /// The rows whose bit is set, ascending.
    pub fn ones(&self) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().enumerate().flat_map(|(index, &word)| {
            std::iter::successors((word != 0).then_some(word), |rest| {
                let rest = rest & (rest - 1);
                (rest != 0).then_some(rest)
            })
            .map(move |rest| index * 64 + rest.trailing_zeros() as usize)
        })
    }

    /// Bits `start .. start + len`; shares memory where `start` is a multiple of 64 and the cut leaves no
    /// stray bits.
    pub fn slice(&self, start: usize, len: usize) -> Bitmap {
        assert!(start + len <= self.len, "bitmap slice out of bounds");
        let (first, shift) = (start / 64, start % 64);
        let count = len.div_ceil(64);
        if shift == 0 && (start + len == self.len || len.is_multiple_of(64)) {
            return Bitmap { words: self.words.slice(first, count), len };
        }
        let word = |index: usize| self.words.get(index).copied().unwrap_or(0);
        let words = (first..first + count)
            .map(|index| match shift {
                0 => word(index),
                _ => word(index) >> shift | word(index + 1) << (64 - shift),
            })
            .collect();
        Bitmap::from_words(words, len)
    }
}

impl PartialEq for Bitmap {
    fn eq(&self, other: &Bitmap) -> bool {
        self.len == other.len && self.words[..] == other.words[..]
    }
}

impl Eq for Bitmap {}

impl FromIterator<bool> for Bitmap {
    fn from_iter<I: IntoIterator<Item = bool>>(bits: I) -> Bitmap {
        let (mut words, mut len) = (Vec::new(), 0);
        for bit in bits {
            if len % 64 == 0 {
                words.push(0);
            }
            if let Some(last) = words.last_mut() {
                *last |= u64::from(bit) << (len % 64);
            }
            len += 1;
        }
        Bitmap { words: words.into(), len }
    }
}

/// The validity of a result that is null where either input is: `None` stands for "all valid".
pub fn both_valid(a: Option<&Bitmap>, b: Option<&Bitmap>) -> Option<Bitmap> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.and(b)),
        (Some(one), None) | (None, Some(one)) => Some(one.clone()),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_equal_the_bits_they_cut() {
        let bits: Vec<bool> = (0..300).map(|row| row % 3 == 0 || row % 7 == 2).collect();
        let bitmap: Bitmap = bits.iter().copied().collect();
        for (start, len) in [(0, 300), (64, 64), (64, 100), (1, 63), (65, 200), (299, 1), (300, 0)] {
            let expected: Bitmap = bits[start..start + len].iter().copied().collect();
            assert_eq!(bitmap.slice(start, len), expected, "{start}+{len}");
            assert_eq!(expected.ones().count(), expected.count_ones());
        }
    }

    #[test]
    fn bits_past_the_end_stay_clear() {
        assert_eq!(Bitmap::filled(true, 70).not().count_ones(), 0);
        assert_eq!(Bitmap::filled(false, 70).not().count_ones(), 70);
        assert!(Bitmap::from_shared(vec![u64::MAX].into(), 63).is_none());
    }
}
