//! Loops over codes: comparing them to bitmaps, widening them to values.

use crate::predicate::{CompareOp, Test};
use arrow::datatypes::ArrowNativeType;
#[cfg(target_arch = "x86_64")]
use columnar::kernels::avx512;
use columnar::kernels::isa::{Isa, isa};
use columnar::kernels::take::gather;
use columnar::{Bitmap, Scalar, kernel};
use std::fmt::Debug;

/// An unsigned code.
pub(crate) trait Code: ArrowNativeType + Ord + Debug {
    const MAX: u64;
    /// The low bits.
    fn from_u64(value: u64) -> Self;
    fn to_u64(self) -> u64;
    /// `self - other`, wrapping.
    fn minus(self, other: Self) -> Self;
    /// As [`plain_within_words`], of whole words. The CPU must have AVX-512.
    #[cfg(target_arch = "x86_64")]
    fn within_avx512(codes: &[Self], ranges: &[(Self, Self)]) -> Vec<u64>;
}

macro_rules! code {
    ($($code:ty, $avx512:expr);*) => { $(
        impl Code for $code {
            const MAX: u64 = <$code>::MAX as u64;
            #[inline(always)]
            fn from_u64(value: u64) -> Self {
                value as $code
            }
            #[inline(always)]
            fn to_u64(self) -> u64 {
                self as u64
            }
            #[inline(always)]
            fn minus(self, other: Self) -> Self {
                self.wrapping_sub(other)
            }
            #[cfg(target_arch = "x86_64")]
            fn within_avx512(codes: &[Self], ranges: &[(Self, Self)]) -> Vec<u64> {
                // SAFETY: the caller has looked at the CPU.
                unsafe { $avx512(codes, ranges) }
            }
        }
    )* };
}
code!(u8, avx512::within_u8; u16, avx512::within_u16; u32, avx512::within_u32; u64, avx512::within_u64);

/// A signed integer that values are given in.
pub(crate) trait Integer: ArrowNativeType {
    /// The low bits.
    fn from_i128(value: i128) -> Self;
    /// `base + code * step`, wrapping.
    fn place<C: Code>(code: C, base: Self, step: Self) -> Self;
    /// `base + code`, wrapping.
    fn shift<C: Code>(code: C, base: Self) -> Self;
}

macro_rules! integer {
    ($($integer:ty),*) => { $(
        impl Integer for $integer {
            #[inline(always)]
            fn from_i128(value: i128) -> Self {
                value as $integer
            }
            #[inline(always)]
            fn place<C: Code>(code: C, base: Self, step: Self) -> Self {
                (code.to_u64() as $integer).wrapping_mul(step).wrapping_add(base)
            }
            #[inline(always)]
            fn shift<C: Code>(code: C, base: Self) -> Self {
                (code.to_u64() as $integer).wrapping_add(base)
            }
        }
    )* };
}
integer!(i8, i16, i32, i64, i128);

/// `base + code * step` of every code.
pub(crate) fn widen<C: Code, T: Integer>(codes: &[C], base: T, step: T) -> Vec<T> {
    if step == T::from_i128(1) { shift_all(codes, base) } else { place_all(codes, base, step) }
}

/// As [`widen`], of the codes at `indices`; panics where one is out of bounds.
pub(crate) fn widen_at<C: Code, T: Integer>(codes: &[C], indices: &[u32], base: T, step: T) -> Vec<T> {
    widen(&gather(codes, indices), base, step)
}

kernel! {
    fn shift_all[C: Code, T: Integer](codes: &[C], base: T) -> Vec<T> {
        codes.iter().map(|&code| T::shift(code, base)).collect()
    }
}

kernel! {
    fn place_all[C: Code, T: Integer](codes: &[C], base: T, step: T) -> Vec<T> {
        codes.iter().map(|&code| T::place(code, base, step)).collect()
    }
}

/// Which codes pass a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Matches {
    None,
    All,
    /// Those from the first to the second.
    Within(u64, u64),
    /// Those below the first or above the second.
    Outside(u64, u64),
    /// These, ascending, at least two.
    Codes(Vec<u64>),
}

impl Matches {
    /// Codes from `first` to `last`, both possibly outside the codes there are.
    pub(crate) fn between(first: i128, last: i128) -> Matches {
        let (first, last) = (first.max(0), last.min(u64::MAX.into()));
        match (u64::try_from(first), u64::try_from(last)) {
            (Ok(first), Ok(last)) if first <= last => match (first, last) {
                (0, u64::MAX) => Matches::All,
                _ => Matches::Within(first, last),
            },
            _ => Matches::None,
        }
    }

    /// The codes whose values pass `test`, where codes are in the order of their values. `places` gives the first code
    /// that is not below a scalar and the last that is not above, both possibly outside the codes there are; `None`
    /// for scalars of another kind. `None` for tests that are no matter of order.
    pub(crate) fn of_test(test: &Test, places: &dyn Fn(&Scalar) -> Option<(i128, i128)>) -> Option<Matches> {
        const MOST: i128 = u64::MAX as i128;
        Some(match test {
            Test::Compare(op, scalar) => {
                let (first, last) = places(scalar)?;
                match op {
                    CompareOp::Equal => Matches::between(first, last),
                    CompareOp::NotEqual => Matches::between(first, last).inverted(),
                    CompareOp::Less => Matches::between(0, first - 1),
                    CompareOp::LessOrEqual => Matches::between(0, last),
                    CompareOp::Greater => Matches::between(last + 1, MOST),
                    CompareOp::GreaterOrEqual => Matches::between(first, MOST),
                }
            }
            Test::Between(low, high) => Matches::between(places(low)?.0, places(high)?.1),
            Test::In(scalars) => {
                let equal = scalars.iter().filter_map(places).filter(|(first, last)| first == last);
                Matches::of_codes(equal.filter_map(|(code, _)| u64::try_from(code).ok()).collect())
            }
            Test::OrNull(test) => return Matches::of_test(test, places),
            Test::IsNull | Test::IsNotNull | Test::Text(_) | Test::Custom(_) => return None,
        })
    }

    /// The codes that do not pass.
    pub(crate) fn inverted(self) -> Matches {
        match self {
            Matches::None => Matches::All,
            Matches::All => Matches::None,
            Matches::Within(first, last) => Matches::Outside(first, last),
            Matches::Outside(first, last) => Matches::Within(first, last),
            // Only ranges are inverted.
            codes @ Matches::Codes(_) => codes,
        }
    }

    /// These codes, in any order.
    pub(crate) fn of_codes(mut codes: Vec<u64>) -> Matches {
        codes.sort_unstable();
        codes.dedup();
        match codes.as_slice() {
            [] => Matches::None,
            [first, .., last] if last - first == codes.len() as u64 - 1 => Matches::Within(*first, *last),
            [one] => Matches::Within(*one, *one),
            _ => Matches::Codes(codes),
        }
    }

    /// The codes whose bit is set; codes past the end never occur.
    pub(crate) fn of_bits(bits: &Bitmap) -> Matches {
        let count = bits.count_ones();
        if count == bits.len() {
            return Matches::All;
        }
        let unset = Matches::of_codes(bits.not().ones().map(|code| code as u64).collect());
        match (Matches::of_codes(bits.ones().map(|code| code as u64).collect()), unset) {
            (Matches::Codes(_), Matches::Within(first, last)) => Matches::Outside(first, last),
            (matches, _) => matches,
        }
    }
}

/// Where codes lie in a few ranges, comparing them is quicker than a table of all.
const RANGES: usize = 8;

/// A bit a code, set where it is among `matches`.
pub(crate) fn select<C: Code>(codes: &[C], matches: &Matches) -> Bitmap {
    let within = |ranges: &[(u64, u64)]| {
        let kept = ranges.iter().filter(|range| range.0 <= C::MAX);
        let range = |&(first, last): &(u64, u64)| {
            let (first, last) = (C::from_u64(first), C::from_u64(last.min(C::MAX)));
            (first, last.minus(first))
        };
        let ranges: Vec<(C, C)> = kept.map(range).collect();
        match ranges.is_empty() {
            true => Bitmap::filled(false, codes.len()),
            false => Bitmap::from_words(within_words(codes, &ranges), codes.len()),
        }
    };
    match matches {
        Matches::None => Bitmap::filled(false, codes.len()),
        Matches::All => Bitmap::filled(true, codes.len()),
        Matches::Within(first, last) => within(&[(*first, *last)]),
        Matches::Outside(first, last) => within(&[(*first, *last)]).not(),
        Matches::Codes(wanted) => {
            let ranges: Vec<(u64, u64)> = wanted
                .chunk_by(|code, next| code + 1 == *next)
                .filter_map(|run| Some((*run.first()?, *run.last()?)))
                .collect();
            match wanted.last() {
                _ if ranges.len() <= RANGES => within(&ranges),
                Some(&last) if last <= 0xffff => {
                    let mut table = vec![0_u8; last as usize + 1];
                    wanted.iter().for_each(|&code| table[code as usize] = 1);
                    Bitmap::from_words(table_words(codes, &table), codes.len())
                }
                // Not worth more than a word of the table for each code.
                Some(&last) if last / 64 < codes.len() as u64 => {
                    let mut table = vec![0_u64; last as usize / 64 + 1];
                    wanted.iter().for_each(|&code| table[code as usize / 64] |= 1 << (code % 64));
                    Bitmap::from_words(bit_words(codes, &table), codes.len())
                }
                _ => Bitmap::from_fn(codes.len(), |row| wanted.binary_search(&codes[row].to_u64()).is_ok()),
            }
        }
    }
}

/// Bits of codes in one of `ranges`: the first code, and the last less the first.
pub(crate) fn within_words<C: Code>(codes: &[C], ranges: &[(C, C)]) -> Vec<u64> {
    #[cfg(target_arch = "x86_64")]
    if isa() == Isa::V4 {
        let mut words = C::within_avx512(codes, ranges);
        let rest = &codes[64 * words.len()..];
        if !rest.is_empty() {
            words.extend(plain_within_words(rest, ranges));
        }
        return words;
    }
    plain_within_words(codes, ranges)
}

/// Gathers the lowest bits of 64 bytes that are 0 or 1 into a word, first byte first.
#[inline(always)]
pub(crate) fn pack(bytes: &[u8; 64]) -> u64 {
    let (words, _) = bytes.as_chunks::<8>();
    words.iter().enumerate().fold(0, |packed, (index, word)| {
        // Byte i holds bit 8i, which the product carries to bit 56 + i.
        packed | (u64::from_le_bytes(*word).wrapping_mul(0x0102_0408_1020_4080) >> 56) << (8 * index)
    })
}

kernel! {
    fn plain_within_words[C: Code](codes: &[C], ranges: &[(C, C)]) -> Vec<u64> {
        let (chunks, rest) = codes.as_chunks::<64>();
        let mut words = Vec::with_capacity(chunks.len() + 1);
        for chunk in chunks {
            let mut word = 0;
            for &(first, span) in ranges {
                let mut bytes = [0; 64];
                for (byte, code) in bytes.iter_mut().zip(chunk) {
                    *byte = u8::from(code.minus(first) <= span);
                }
                word |= pack(&bytes);
            }
            words.push(word);
        }
        if !rest.is_empty() {
            let passes = |code: C| ranges.iter().any(|&(first, span)| code.minus(first) <= span);
            words.push(rest.iter().enumerate().map(|(index, &code)| u64::from(passes(code)) << index).sum());
        }
        words
    }
}

kernel! {
    /// Bits of codes whose entry in `table` is 1; codes past its end do not pass.
    fn table_words[C: Code](codes: &[C], table: &[u8]) -> Vec<u64> {
        words_of(codes, |code| table.get(code.to_u64() as usize).copied().unwrap_or(0))
    }
}

kernel! {
    /// Bits of codes whose bit in `table` is set; codes past its end do not pass.
    fn bit_words[C: Code](codes: &[C], table: &[u64]) -> Vec<u64> {
        words_of(codes, |code| {
            let code = code.to_u64();
            let word = table.get((code / 64) as usize).copied().unwrap_or(0);
            (word >> (code % 64)) as u8 & 1
        })
    }
}

/// A bit a code: its entry, 0 or 1.
#[inline(always)]
fn words_of<C: Code>(codes: &[C], entry: impl Fn(C) -> u8) -> Vec<u64> {
    let (chunks, rest) = codes.as_chunks::<64>();
    let mut words = Vec::with_capacity(chunks.len() + 1);
    for chunk in chunks {
        let mut bytes = [0; 64];
        for (byte, code) in bytes.iter_mut().zip(chunk) {
            *byte = entry(*code);
        }
        words.push(pack(&bytes));
    }
    if !rest.is_empty() {
        words.push(rest.iter().enumerate().map(|(index, &code)| u64::from(entry(code)) << index).sum());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selections_equal_a_plain_loop() {
        let codes: Vec<u32> = (0..3000_u32).map(|row| row.wrapping_mul(2_654_435_761) % 300).collect();
        let bytes: Vec<u8> = codes.iter().map(|&code| code as u8).collect();
        let words: Vec<u64> = codes.iter().map(|&code| code.into()).collect();
        let all = [
            Matches::None,
            Matches::All,
            Matches::Within(0, 0),
            Matches::Within(17, 200),
            Matches::Within(256, 1000),
            Matches::Outside(0, 5),
            Matches::Outside(100, 400),
            Matches::Codes(vec![3, 9, 290]),
            Matches::Codes((0..300).step_by(2).collect()),
            Matches::Codes(vec![3, 9, 100_000]),
            Matches::Codes((0..20).map(|code| code * 7).chain([1 << 40]).collect()),
            Matches::Codes((0..100).map(|code| code * 2).chain([299, 63_999, 70_000]).collect()),
        ];
        for matches in &all {
            let passes = |code: u64| match matches {
                Matches::None => false,
                Matches::All => true,
                Matches::Within(first, last) => (first..=last).contains(&&code),
                Matches::Outside(first, last) => !(first..=last).contains(&&code),
                Matches::Codes(codes) => codes.contains(&code),
            };
            for len in [0, 1, 63, 64, 65, 1000, 3000] {
                let expected: Bitmap = codes[..len].iter().map(|&code| passes(code.into())).collect();
                assert_eq!(select(&codes[..len], matches), expected, "{matches:?} {len}");
                assert_eq!(select(&words[..len], matches), expected, "{matches:?} {len}");
                let expected: Bitmap = bytes[..len].iter().map(|&code| passes(code.into())).collect();
                assert_eq!(select(&bytes[..len], matches), expected, "{matches:?} {len}");
            }
        }
    }
}
