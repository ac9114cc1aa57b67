//! Picking rows: by index, or by a bitmap.

use super::isa::{Isa, isa};
use crate::{Bitmap, Buffer, Codes, Constant, DictionaryVector, Flat, Values, Vector, Views, kernel};
use arrow::datatypes::ArrowNativeType;
use std::borrow::Cow;

/// The rows of `vector` at `indices`, in that order; each must lie below its length.
pub fn take(vector: &Vector, indices: &[u32]) -> Vector {
    match vector {
        Vector::Flat(flat) => Vector::Flat(take_flat(flat, indices)),
        Vector::Constant(constant) => Vector::Constant(Constant { len: indices.len(), ..constant.clone() }),
        Vector::Dictionary(vector) => Vector::Dictionary(DictionaryVector {
            codes: match &vector.codes {
                Codes::U8(codes) => Codes::U8(gather(codes, indices).into()),
                Codes::U16(codes) => Codes::U16(gather(codes, indices).into()),
                Codes::U32(codes) => Codes::U32(gather(codes, indices).into()),
            },
            dictionary: vector.dictionary.clone(),
            validity: vector.validity.as_ref().map(|validity| take_bits(validity, indices)),
        }),
    }
}

/// The rows of `flat` at `indices`.
pub fn take_flat(flat: &Flat, indices: &[u32]) -> Flat {
    let validity = flat.validity.as_ref().map(|validity| take_bits(validity, indices));
    Flat::new(flat.data_type, take_values(&flat.values, indices), validity)
}

/// The values at `indices`.
pub fn take_values(values: &Values, indices: &[u32]) -> Values {
    Indices::Rows(indices).take(values)
}

/// The values that `codes` stand for; panics where one is out of bounds.
pub fn take_codes(values: &Values, codes: &Codes) -> Values {
    Indices::Codes(codes).take(values)
}

#[derive(Clone, Copy)]
enum Indices<'a> {
    Rows(&'a [u32]),
    Codes(&'a Codes),
}

impl Indices<'_> {
    fn take(self, values: &Values) -> Values {
        match values {
            Values::Bool(bits) => Values::Bool(take_bits(bits, &self.rows())),
            Values::I8(buffer) => Values::I8(self.gather(buffer)),
            Values::I16(buffer) => Values::I16(self.gather(buffer)),
            Values::I32(buffer) => Values::I32(self.gather(buffer)),
            Values::I64(buffer) => Values::I64(self.gather(buffer)),
            Values::I128(buffer) => Values::I128(self.gather(buffer)),
            Values::F32(buffer) => Values::F32(self.gather(buffer)),
            Values::F64(buffer) => Values::F64(self.gather(buffer)),
            Values::Interval(values) => {
                Values::Interval(self.rows().iter().map(|&row| values[row as usize]).collect())
            }
            Values::View(views) => {
                Values::View(Views::new(self.gather(views.raw()), views.buffers().clone()))
            }
        }
    }

    fn rows(&self) -> Cow<'_, [u32]> {
        match self {
            Indices::Rows(rows) => Cow::Borrowed(rows),
            Indices::Codes(codes) => Cow::Owned(codes.to_indices()),
        }
    }

    fn gather<T: ArrowNativeType>(self, values: &[T]) -> Buffer<T> {
        match self {
            Indices::Rows(rows) => gather(values, rows).into(),
            Indices::Codes(Codes::U32(codes)) => gather(values, codes).into(),
            Indices::Codes(Codes::U8(codes)) => gather_narrow(values, codes).into(),
            Indices::Codes(Codes::U16(codes)) => gather_narrow(values, codes).into(),
        }
    }
}

/// As [`gather`], by narrow indices.
fn gather_narrow<T: Copy, C: Narrow>(values: &[T], indices: &[C]) -> Vec<T> {
    assert!(greatest(indices).is_none_or(|last| last.into() < values.len()), "{OUT_OF_BOUNDS}");
    gather_narrow_checked(values, indices)
}

trait Narrow: Copy + Ord + Into<usize> {}
impl Narrow for u8 {}
impl Narrow for u16 {}

kernel! {
    /// As [`gather_narrow`], all indices known to lie within `values`.
    fn gather_narrow_checked[T: Copy, C: Narrow](values: &[T], indices: &[C]) -> Vec<T> {
        // SAFETY: the one caller has checked the greatest index.
        indices.iter().map(|&index| unsafe { *values.get_unchecked(index.into()) }).collect()
    }
}

/// The bits at `indices`.
pub fn take_bits(bits: &Bitmap, indices: &[u32]) -> Bitmap {
    Bitmap::from_fn(indices.len(), |position| bits.get(indices[position] as usize))
}

/// `values[index]` for each index; panics where one is out of bounds.
pub fn gather<T: Copy>(values: &[T], indices: &[u32]) -> Vec<T> {
    assert!(greatest(indices).is_none_or(|last| (last as usize) < values.len()), "{OUT_OF_BOUNDS}");
    gather_checked(values, indices)
}

/// Values that are copied together where their indices are neighbours.
const TOGETHER: usize = 16;

const OUT_OF_BOUNDS: &str = "index out of bounds";

kernel! {
    pub(crate) fn greatest[T: Ordered](indices: &[T]) -> Option<T> {
        indices.iter().copied().max()
    }
}

pub(crate) trait Ordered: Copy + Ord {}
impl<T: Copy + Ord> Ordered for T {}

kernel! {
    /// As [`gather`], all indices known to lie within `values`. Neighbours, which filters that drop little leave, are
    /// copied together.
    fn gather_checked[T: Copy](values: &[T], indices: &[u32]) -> Vec<T> {
        // SAFETY: the one caller has checked the greatest index.
        let value = |index: u32| unsafe { *values.get_unchecked(index as usize) };
        let (chunks, rest) = indices.as_chunks::<TOGETHER>();
        let mut gathered = Vec::with_capacity(indices.len());
        for chunk in chunks {
            let mut apart = 0;
            for (place, &index) in chunk.iter().enumerate() {
                apart |= index.wrapping_sub(chunk[0].wrapping_add(place as u32));
            }
            let first = chunk[0] as usize;
            match values.get(first..first + TOGETHER) {
                Some(neighbours) if apart == 0 => gathered.extend_from_slice(neighbours),
                _ => gathered.extend(chunk.map(value)),
            }
        }
        gathered.extend(rest.iter().map(|&index| value(index)));
        gathered
    }
}

/// The positions of set bits of a byte, in order; the rest is zero.
static POSITIONS: [[u8; 8]; 256] = {
    let mut table = [[0; 8]; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut bit, mut count) = (0, 0);
        while bit < 8 {
            if byte >> bit & 1 == 1 {
                table[byte][count] = bit;
                count += 1;
            }
            bit += 1;
        }
        byte += 1;
    }
    table
};

/// The positions of set bits, ascending.
pub fn indices_of(bitmap: &Bitmap) -> Vec<u32> {
    let count = bitmap.count_ones();
    #[cfg(target_arch = "x86_64")]
    if isa() == Isa::V4 {
        // SAFETY: the level tells of AVX-512.
        return unsafe { super::avx512::indices_of(bitmap.words(), count) };
    }
    plain_indices_of(bitmap, count)
}

kernel! {
    fn plain_indices_of(bitmap: &Bitmap, count: usize) -> Vec<u32> {
        // Eight positions are stored for every byte, of which as many count as it has bits.
        let mut indices = vec![0; count + 8];
        let mut stored = 0;
        for (word_index, &word) in bitmap.words().iter().enumerate() {
            if word == 0 {
                continue;
            }
            for (byte_index, byte) in word.to_le_bytes().into_iter().enumerate() {
                let first = (word_index * 64 + byte_index * 8) as u32;
                if let Some(lanes) = indices[stored..].first_chunk_mut::<8>() {
                    *lanes = POSITIONS[usize::from(byte)].map(|position| first + u32::from(position));
                }
                stored += byte.count_ones() as usize;
            }
        }
        indices.truncate(count);
        indices
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_are_the_set_bits() {
        for len in [0, 1, 7, 64, 65, 300] {
            for step in [1, 2, 3, 17, 1_000] {
                let bits = Bitmap::from_fn(len, |row| row % step == 0);
                assert_eq!(indices_of(&bits), bits.ones().map(|row| row as u32).collect::<Vec<_>>());
                assert_eq!(
                    indices_of(&bits.not()),
                    bits.not().ones().map(|row| row as u32).collect::<Vec<_>>()
                );
            }
        }
    }

    #[test]
    #[should_panic(expected = "out of bounds")]
    fn an_index_past_the_end_panics() {
        gather(&[1, 2, 3], &[0, 3]);
    }
}
