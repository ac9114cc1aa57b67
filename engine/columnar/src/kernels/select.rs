//! Putting rows together: one of two sources a row, and scattering a few rows into many.

use crate::{Bitmap, Buffer, Bytes, PhysicalType, Values, View, Views, kernel};
use std::sync::Arc;

kernel! {
    /// `a` where the bit is set, else `b`; all of one length.
    pub fn choose[T: Copy](mask: &Bitmap, a: &[T], b: &[T]) -> Vec<T> {
        let mut chosen = b.to_vec();
        for (word, (out, a)) in mask.words().iter().zip(chosen.chunks_mut(64).zip(a.chunks(64))) {
            match *word {
                0 => {}
                u64::MAX => out.copy_from_slice(a),
                bits => for (row, (out, &a)) in out.iter_mut().zip(a).enumerate() {
                    *out = if bits >> row & 1 == 1 { a } else { *out };
                },
            }
        }
        chosen
    }
}

/// `a` where the bit is set, else `b`. Both have the mask's length and one width.
pub fn choose_values(mask: &Bitmap, a: &Values, b: &Values) -> Values {
    macro_rules! numbers {
        ($($variant:ident)*) => {
            match (a, b) {
                $((Values::$variant(a), Values::$variant(b)) => {
                    Values::$variant(choose(mask, a, b).into())
                })*
                (Values::Bool(a), Values::Bool(b)) => Values::Bool(mask.and(a).or(&b.and_not(mask))),
                (Values::Interval(a), Values::Interval(b)) => Values::Interval(choose(mask, a, b).into()),
                (Values::View(a), Values::View(b)) => {
                    let (a, b, buffers) = unite(a, b);
                    Values::View(Views::new(choose(mask, &a, &b).into(), buffers))
                }
                (_, b) => {
                    debug_assert!(false, "chosen widths differ");
                    b.clone()
                }
            }
        };
    }
    numbers!(I8 I16 I32 I64 I128 F32 F64)
}

/// Views of two columns over one list of buffers.
fn unite(a: &Views, b: &Views) -> (Buffer<u128>, Buffer<u128>, Arc<[Bytes]>) {
    if Arc::ptr_eq(a.buffers(), b.buffers()) || b.buffers().is_empty() {
        return (a.raw().clone(), b.raw().clone(), a.buffers().clone());
    }
    if a.buffers().is_empty() {
        return (a.raw().clone(), b.raw().clone(), b.buffers().clone());
    }
    let shift = a.buffers().len() as u32;
    let shifted = b.raw().iter().map(|&view| View(view).shifted(shift).0).collect();
    (a.raw().clone(), shifted, a.buffers().iter().chain(b.buffers().iter()).cloned().collect())
}

fn spread<T: Copy + Default>(values: &[T], rows: &[u32], len: usize) -> Vec<T> {
    let mut out = vec![T::default(); len];
    for (&value, &row) in values.iter().zip(rows) {
        out[row as usize] = value;
    }
    out
}

/// A column of `len` rows whose `rows` are `values` in their order; other rows are zero or empty.
pub fn scatter(values: &Values, rows: &[u32], len: usize) -> Values {
    match values {
        Values::Bool(bits) => Values::Bool(scatter_bits(bits, rows, len)),
        Values::I8(buffer) => Values::I8(spread(buffer, rows, len).into()),
        Values::I16(buffer) => Values::I16(spread(buffer, rows, len).into()),
        Values::I32(buffer) => Values::I32(spread(buffer, rows, len).into()),
        Values::I64(buffer) => Values::I64(spread(buffer, rows, len).into()),
        Values::I128(buffer) => Values::I128(spread(buffer, rows, len).into()),
        Values::F32(buffer) => Values::F32(spread(buffer, rows, len).into()),
        Values::F64(buffer) => Values::F64(spread(buffer, rows, len).into()),
        Values::Interval(buffer) => Values::Interval(spread(buffer, rows, len).into()),
        Values::View(views) => {
            Values::View(Views::new(spread(views.raw(), rows, len).into(), views.buffers().clone()))
        }
    }
}

/// As [`scatter`], of bits; other rows are clear.
pub fn scatter_bits(bits: &Bitmap, rows: &[u32], len: usize) -> Bitmap {
    let mut words = vec![0_u64; len.div_ceil(64)];
    for position in bits.ones() {
        let row = rows[position] as usize;
        words[row / 64] |= 1 << (row % 64);
    }
    Bitmap::from_words(words, len)
}

/// `len` zeros, empty strings or `false`.
pub fn zeros(physical: PhysicalType, len: usize) -> Values {
    Values::repeat(&crate::Scalar::Null, physical, len)
}
