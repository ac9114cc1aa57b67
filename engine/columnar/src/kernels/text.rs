//! Loops over the bytes of strings.

use super::isa::{Isa, isa};

/// Asks memory for what lies at an address, which need not be one.
#[inline(always)]
pub fn prefetch(address: *const u8) {
    // SAFETY: a prefetch of any address is harmless.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// Asks memory for the first bytes of a text.
#[inline(always)]
pub fn prefetch_text(text: &[u8]) {
    const CACHE_LINE: usize = 64;
    text.chunks(CACHE_LINE).take(2).for_each(|line| prefetch(line.as_ptr()));
}

/// How many characters a text of UTF-8 has: the bytes that start one.
pub fn characters(text: &[u8]) -> usize {
    #[cfg(target_arch = "x86_64")]
    if isa() == Isa::V4 {
        // SAFETY: the level tells of AVX-512.
        return unsafe { super::avx512::characters(text) };
    }
    plain_characters(text)
}

fn plain_characters(text: &[u8]) -> usize {
    // So few at a time that a byte counts them, which vectorises.
    text.chunks(255).map(|few| few.iter().map(|&byte| u8::from(byte as i8 >= -64)).sum::<u8>() as usize).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_those_of_the_standard_library() {
        let text: String = "aé水🌊".chars().cycle().take(400).collect();
        let cuts: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        for &start in cuts.iter().step_by(17) {
            for &end in cuts.iter().filter(|&&end| end >= start) {
                let part = &text[start..end];
                let expected = part.chars().count();
                assert_eq!(
                    (characters(part.as_bytes()), plain_characters(part.as_bytes())),
                    (expected, expected)
                );
            }
        }
    }
}
