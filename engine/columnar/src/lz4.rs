//! LZ4 blocks (Collet 2011), where they save something.

use lz4_flex::block;

/// The most bytes that are compressed as one block.
const BLOCK_BYTES_MAX: usize = 1 << 30;

/// The most bytes that a byte of a block stands for: one that lengthens a match.
const EXPANSION_MAX: usize = 255;

/// A block of `bytes`; `None` where it would save less than an eighth, or of more than 1 GiB.
pub fn compress(bytes: &[u8]) -> Option<Vec<u8>> {
    if bytes.len() > BLOCK_BYTES_MAX {
        return None;
    }
    let block = block::compress(bytes);
    (block.len() <= bytes.len() - bytes.len().div_ceil(8)).then_some(block)
}

/// The `len` bytes that `block` was made of; `None` where it is no such block. Nothing is allocated where it cannot
/// hold as many.
pub fn decompress(block: &[u8], len: usize) -> Option<Vec<u8>> {
    if len.div_ceil(EXPANSION_MAX) > block.len() {
        return None;
    }
    let mut bytes = vec![0; len];
    let written = block::decompress_into(block, &mut bytes).ok()?;
    (written == len).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_give_back_what_they_were_made_of() {
        for len in [16, 1_000, 70_000, 1 << 20] {
            let bytes: Vec<u8> = (0..len).map(|at| (at / 40) as u8).collect();
            let block = compress(&bytes).unwrap();
            assert_eq!(decompress(&block, len).as_ref(), Some(&bytes));
            assert_eq!(decompress(&block, len - 1), None);
            assert_eq!(decompress(&block, len + 1), None);
            assert_eq!(decompress(&block[..block.len() - 1], len), None);
        }
    }

    #[test]
    fn what_does_not_shrink_is_left() {
        let mut state = 1_u64;
        let mut noise = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        let bytes: Vec<u8> = (0..10_000).map(|_| noise()).collect();
        assert_eq!(compress(&bytes), None);
        assert_eq!(compress(&[]), None);
    }

    #[test]
    fn a_block_cannot_claim_more_than_it_holds() {
        let block = compress(&vec![0; 1 << 20]).unwrap();
        assert!(decompress(&block, 1 << 20).is_some());
        assert_eq!(decompress(&block, usize::MAX), None);
    }
}
