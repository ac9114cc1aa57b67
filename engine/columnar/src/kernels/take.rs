//! Picking rows: by index, or by a bitmap.

use crate::{Bitmap, Buffer, Codes, Constant, DictionaryVector, Flat, Values, Vector, Views, kernel};

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
    match values {
        Values::Bool(bits) => Values::Bool(take_bits(bits, indices)),
        Values::I8(buffer) => Values::I8(gather(buffer, indices).into()),
        Values::I16(buffer) => Values::I16(gather(buffer, indices).into()),
        Values::I32(buffer) => Values::I32(gather(buffer, indices).into()),
        Values::I64(buffer) => Values::I64(gather(buffer, indices).into()),
        Values::I128(buffer) => Values::I128(gather(buffer, indices).into()),
        Values::F32(buffer) => Values::F32(gather(buffer, indices).into()),
        Values::F64(buffer) => Values::F64(gather(buffer, indices).into()),
        Values::Interval(values) => {
            Values::Interval(indices.iter().map(|&row| values[row as usize]).collect())
        }
        Values::View(views) => {
            let taken: Buffer<u128> = gather(views.raw(), indices).into();
            Values::View(Views::new(taken, views.buffers().clone()))
        }
    }
}

/// The bits at `indices`.
pub fn take_bits(bits: &Bitmap, indices: &[u32]) -> Bitmap {
    Bitmap::from_fn(indices.len(), |position| bits.get(indices[position] as usize))
}

kernel! {
    /// `values[index]` for each index; panics where one is out of bounds.
    pub fn gather[T: Copy](values: &[T], indices: &[u32]) -> Vec<T> {
        indices.iter().map(|&index| values[index as usize]).collect()
    }
}

kernel! {
    /// The positions of set bits, ascending.
    pub fn indices_of(bitmap: &Bitmap) -> Vec<u32> {
        let mut indices = Vec::with_capacity(bitmap.count_ones());
        for (word_index, &word) in bitmap.words().iter().enumerate() {
            let mut rest = word;
            while rest != 0 {
                indices.push(word_index as u32 * 64 + rest.trailing_zeros());
                rest &= rest - 1;
            }
        }
        indices
    }
}
