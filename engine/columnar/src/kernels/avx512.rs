//! Loops that a compiler does not find by itself, by AVX-512. Each has a plain twin, named where it is called, which is
//! what it is tested against.

use std::arch::x86_64::*;

/// The positions of the set bits of `words`, of which there are `count`; the twin is
/// [`super::take::indices_of`]'s loop.
///
/// # Safety
/// The CPU has AVX-512 F.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn indices_of(words: &[u64], count: usize) -> Vec<u32> {
    let mut indices: Vec<u32> = Vec::with_capacity(count + LANES);
    let start = indices.as_mut_ptr();
    let lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    let mut stored = 0;
    for (index, &word) in words.iter().enumerate().filter(|(_, word)| **word != 0) {
        for part in 0..4 {
            let mask = (word >> (16 * part)) as u16;
            let first = (index * 64 + part * LANES) as i32;
            let positions = _mm512_add_epi32(lanes, _mm512_set1_epi32(first));
            let packed = _mm512_maskz_compress_epi32(mask, positions);
            let bits = mask.count_ones() as usize;
            if stored + bits > count {
                break;
            }
            // SAFETY: `stored` is at most `count`, and there is room for a whole vector after that.
            unsafe { _mm512_storeu_si512(start.add(stored).cast(), packed) };
            stored += bits;
        }
    }
    // SAFETY: all positions before `stored` were written.
    unsafe { indices.set_len(stored) };
    indices
}

/// Values of 32 bits in a vector.
const LANES: usize = 16;

macro_rules! within {
    ($name:ident, $code:ty, $set:ident, $sub:ident, $compare:ident, $steps:literal) => {
        /// A bit a code, set where it lies in one of `ranges` (the first code, and the last less the first). Codes
        /// after the last whole word are left out.
        ///
        /// # Safety
        /// The CPU has AVX-512 F and BW.
        #[target_feature(enable = "avx512f,avx512bw")]
        pub unsafe fn $name(codes: &[$code], ranges: &[($code, $code)]) -> Vec<u64> {
            let (chunks, _) = codes.as_chunks::<64>();
            let words = chunks.iter().map(|chunk| {
                let mut word = 0_u64;
                for step in 0..$steps {
                    // SAFETY: the chunk is of `$steps` vectors.
                    let vector = unsafe { _mm512_loadu_si512(chunk.as_ptr().cast::<__m512i>().add(step)) };
                    for &(first, span) in ranges {
                        let offset = $sub(vector, $set(first as _));
                        let mask = $compare(offset, $set(span as _));
                        word |= u64::from(mask) << (64 / $steps * step);
                    }
                }
                word
            });
            words.collect()
        }
    };
}
within!(within_u8, u8, _mm512_set1_epi8, _mm512_sub_epi8, _mm512_cmple_epu8_mask, 1);
within!(within_u16, u16, _mm512_set1_epi16, _mm512_sub_epi16, _mm512_cmple_epu16_mask, 2);
within!(within_u32, u32, _mm512_set1_epi32, _mm512_sub_epi32, _mm512_cmple_epu32_mask, 4);
within!(within_u64, u64, _mm512_set1_epi64, _mm512_sub_epi64, _mm512_cmple_epu64_mask, 8);

/// How many bytes of `text` do not continue a character; the twin is [`super::text`]'s loop.
///
/// # Safety
/// The CPU has AVX-512 F and BW.
#[target_feature(enable = "avx512f,avx512bw,popcnt")]
pub(super) unsafe fn characters(text: &[u8]) -> usize {
    let (chunks, rest) = text.as_chunks::<64>();
    let last_continued = _mm512_set1_epi8(-65);
    let mut count = 0;
    for chunk in chunks {
        // SAFETY: the chunk is of 64 bytes.
        let bytes = unsafe { _mm512_loadu_si512(chunk.as_ptr().cast()) };
        count += _mm512_cmpgt_epi8_mask(bytes, last_continued).count_ones();
    }
    let mask = (1_u64 << rest.len()) - 1;
    // SAFETY: bytes outside the mask are not read.
    let bytes = unsafe { _mm512_maskz_loadu_epi8(mask, rest.as_ptr().cast()) };
    count += _mm512_mask_cmpgt_epi8_mask(mask, bytes, last_continued).count_ones();
    count as usize
}

/// Appends a sum for each of `spans` (start and end in `codes`): of the weights of its codes, where the byte after an
/// `escape`, whose weight is 0, counts one if it is at least `least` instead. The twin is `storage`'s loop over the
/// codes of FSST.
///
/// # Safety
/// The CPU has AVX-512 F, BW and VBMI.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,popcnt")]
pub unsafe fn weigh(
    codes: &[u8],
    spans: &[(u32, u32)],
    weights: &[u8; 256],
    escape: u8,
    least: i8,
    sums: &mut Vec<u32>,
) {
    // SAFETY: the array is of four vectors.
    let quarter = |index: usize| unsafe { _mm512_loadu_si512(weights.as_ptr().cast::<__m512i>().add(index)) };
    let (first, second, third, fourth) = (quarter(0), quarter(1), quarter(2), quarter(3));
    let (escapes, least) = (_mm512_set1_epi8(escape as i8), _mm512_set1_epi8(least));
    for &(start, end) in spans {
        let (mut sum, mut ones) = (_mm512_setzero_si512(), 0);
        let mut after_escape = 0_u64;
        for chunk in codes[start as usize..end as usize].chunks(64) {
            let mask = u64::MAX >> (64 - chunk.len());
            // SAFETY: bytes outside the mask are not read.
            let bytes = unsafe { _mm512_maskz_loadu_epi8(mask, chunk.as_ptr().cast()) };
            let escaping = _mm512_mask_cmpeq_epi8_mask(mask, bytes, escapes);
            let mut weighed = mask;
            if escaping | after_escape != 0 {
                let literal = (escaping << 1 | after_escape) & mask;
                ones += _mm512_mask_cmpge_epi8_mask(literal, bytes, least).count_ones();
                weighed = mask & !literal;
                after_escape = escaping >> 63;
            }
            let low = _mm512_permutex2var_epi8(first, bytes, second);
            let high = _mm512_permutex2var_epi8(third, bytes, fourth);
            let each = _mm512_mask_mov_epi8(low, _mm512_movepi8_mask(bytes), high);
            let each = _mm512_maskz_mov_epi8(weighed, each);
            sum = _mm512_add_epi64(sum, _mm512_sad_epu8(each, _mm512_setzero_si512()));
        }
        sums.push(ones + _mm512_reduce_add_epi64(sum) as u32);
    }
}
