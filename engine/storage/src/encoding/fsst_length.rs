//! Lengths of texts from the codes of FSST: each code adds those of its symbol.

use super::fsst::{ESCAPE, SymbolTable};
use super::places::Places;
use crate::rows::{Length, RowsRef};
#[cfg(target_arch = "x86_64")]
use columnar::kernels::isa::{Isa, isa};

/// What each code adds to a length.
#[derive(Debug)]
pub(super) struct Weights {
    characters: [u8; 256],
    bytes: [u8; 256],
}

/// The least byte that does not continue a character, and the least of all.
const LEAST_FIRST: i8 = -64;
const LEAST: i8 = i8::MIN;

impl Weights {
    pub(super) fn of(table: &SymbolTable) -> Weights {
        let mut weights = Weights { characters: [0; 256], bytes: [0; 256] };
        for code in 0..ESCAPE {
            let (symbol, len) = table.symbol(code);
            let starts = |byte: &&u8| **byte as i8 >= LEAST_FIRST;
            weights.characters[usize::from(code)] = symbol[..len].iter().filter(starts).count() as u8;
            weights.bytes[usize::from(code)] = len as u8;
        }
        weights
    }

    /// The length of the text of each row. Text must be UTF-8, in which no byte is an [`ESCAPE`].
    pub(super) fn lengths(
        &self,
        length: Length,
        codes: &[u8],
        places: &Places,
        rows: RowsRef<'_>,
    ) -> Vec<u32> {
        let span = |row: usize| (places.start(row) as u32, places.start(row + 1) as u32);
        let spans: Vec<(u32, u32)> = match rows {
            RowsRef::Range(first, len) => (first..first + len).map(span).collect(),
            RowsRef::Indices(indices) => indices.iter().map(|&row| span(row as usize)).collect(),
        };
        let (weights, least) = match length {
            Length::Characters => (&self.characters, LEAST_FIRST),
            Length::Bytes => (&self.bytes, LEAST),
        };
        #[cfg(target_arch = "x86_64")]
        if isa() == Isa::V4 {
            let mut sums = Vec::with_capacity(spans.len());
            // SAFETY: the level tells of AVX-512 with VBMI.
            unsafe { columnar::kernels::avx512::weigh(codes, &spans, weights, ESCAPE, least, &mut sums) };
            return sums;
        }
        spans
            .iter()
            .map(|&(start, end)| plain_sum(&codes[start as usize..end as usize], weights, least))
            .collect()
    }
}

fn plain_sum(codes: &[u8], weights: &[u8; 256], least: i8) -> u32 {
    let (mut sum, mut is_literal) = (0, false);
    for &code in codes {
        sum += if is_literal { u32::from(code as i8 >= least) } else { weights[usize::from(code)].into() };
        is_literal = !is_literal && code == ESCAPE;
    }
    sum
}
