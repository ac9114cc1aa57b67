//! Tests on values: what encodings fall back to, and the meaning that their short cuts must keep.

use crate::error::Result;
use crate::predicate::Test;
use columnar::scalar::compare_floats;
use columnar::{Bitmap, Flat, Scalar, Values, Vector};
use std::cmp::Ordering;

/// A bit a row, set where the value passes. Nulls are ignored: their bits mean nothing, and the null tests
/// are answered as for values.
pub(crate) fn evaluate(test: &Test, vector: &Vector) -> Result<Bitmap> {
    let len = vector.len();
    Ok(match test {
        Test::IsNull => Bitmap::filled(false, len),
        Test::IsNotNull => Bitmap::filled(true, len),
        Test::OrNull(test) => evaluate(test, vector)?,
        Test::Custom(test) => {
            let bits = test.test(vector)?;
            match bits.len() == len {
                true => bits,
                false => return Err(crate::Error::Internal("a test gave bits of another length".into())),
            }
        }
        Test::Text(automaton) => match &vector.flatten().values {
            Values::View(views) => automaton.test(views),
            _ => Bitmap::filled(false, len),
        },
        Test::Compare(_, Scalar::Null) => Bitmap::filled(false, len),
        Test::Compare(op, scalar) => passing(&vector.flatten(), scalar, |ordering| op.holds(ordering)),
        Test::Between(low, high) => {
            let flat = vector.flatten();
            passing(&flat, low, Ordering::is_ge).and(&passing(&flat, high, Ordering::is_le))
        }
        Test::In(scalars) => {
            let flat = vector.flatten();
            let each = scalars.iter().map(|scalar| passing(&flat, scalar, Ordering::is_eq));
            each.reduce(|a, b| a.or(&b)).unwrap_or_else(|| Bitmap::filled(false, len))
        }
    })
}

/// The rows whose order against `scalar` passes; none if it is null or of another kind.
fn passing(flat: &Flat, scalar: &Scalar, passes: impl Fn(Ordering) -> bool) -> Bitmap {
    let len = flat.len();
    match (&flat.values, scalar) {
        (Values::Bool(bits), Scalar::Boolean(value)) => {
            Bitmap::from_fn(len, |row| passes(bits.get(row).cmp(value)))
        }
        (Values::F32(values), Scalar::Float(value)) => {
            Bitmap::from_fn(len, |row| passes(compare_floats(values[row].into(), *value)))
        }
        (Values::F64(values), Scalar::Float(value)) => {
            Bitmap::from_fn(len, |row| passes(compare_floats(values[row], *value)))
        }
        (Values::Interval(values), Scalar::Interval(value)) => {
            let value = value.comparison_micros();
            Bitmap::from_fn(len, |row| passes(values[row].comparison_micros().cmp(&value)))
        }
        (Values::View(views), Scalar::Bytes(value)) => {
            Bitmap::from_fn(len, |row| passes(views.get(row).cmp(value.as_slice())))
        }
        (values, Scalar::Integer(value)) => {
            macro_rules! integers {
                ($buffer:expr) => {
                    Bitmap::from_fn(len, |row| passes(i128::from($buffer[row]).cmp(value)))
                };
            }
            match values {
                Values::I8(buffer) => integers!(buffer),
                Values::I16(buffer) => integers!(buffer),
                Values::I32(buffer) => integers!(buffer),
                Values::I64(buffer) => integers!(buffer),
                Values::I128(buffer) => integers!(buffer),
                _ => Bitmap::filled(false, len),
            }
        }
        _ => Bitmap::filled(false, len),
    }
}
