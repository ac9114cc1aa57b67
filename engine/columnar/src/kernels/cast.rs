//! Changes of width, and of integers to floats.

use super::number::{CastTo, Integer};
use crate::{PhysicalType, Values, kernel};

kernel! {
    /// Every value converted as by `as`.
    pub fn convert[A: CastTo<B>, B: Copy](values: &[A]) -> Vec<B> {
        values.iter().map(|&value| value.cast()).collect()
    }
}

kernel! {
    /// Whether a value lies outside `low ..= high`.
    pub fn any_outside[T: Integer](values: &[T], low: T, high: T) -> bool {
        let mut outside = false;
        for &value in values {
            outside |= (value < low) | (value > high);
        }
        outside
    }
}

kernel! {
    /// The least and the greatest value; (`MAX`, `MIN`) of none.
    pub fn extremes[T: Integer](values: &[T]) -> (T, T) {
        values.iter().fold((T::MAX, T::MIN), |(low, high), &value| (low.min(value), high.max(value)))
    }
}

kernel! {
    /// Every value as a float, divided by `divisor`.
    pub fn convert_scaled[A: CastTo<f64>](values: &[A], divisor: f64) -> Vec<f64> {
        values.iter().map(|&value| CastTo::<f64>::cast(value) / divisor).collect()
    }
}

/// Integers at another width, keeping low bits; floats at another width. Values of other kinds, or at the
/// width already, come back as they are.
pub fn to_width(values: &Values, physical: PhysicalType) -> Values {
    if values.physical() == physical {
        return values.clone();
    }
    macro_rules! to {
        ($variant:ident, $type:ty) => {
            match values {
                Values::I8(buffer) => Values::$variant(convert::<i8, $type>(buffer).into()),
                Values::I16(buffer) => Values::$variant(convert::<i16, $type>(buffer).into()),
                Values::I32(buffer) => Values::$variant(convert::<i32, $type>(buffer).into()),
                Values::I64(buffer) => Values::$variant(convert::<i64, $type>(buffer).into()),
                Values::I128(buffer) => Values::$variant(convert::<i128, $type>(buffer).into()),
                other => other.clone(),
            }
        };
    }
    match (values, physical) {
        (Values::F32(buffer), PhysicalType::F64) => Values::F64(convert::<f32, f64>(buffer).into()),
        (Values::F64(buffer), PhysicalType::F32) => Values::F32(convert::<f64, f32>(buffer).into()),
        (_, PhysicalType::I8) => to!(I8, i8),
        (_, PhysicalType::I16) => to!(I16, i16),
        (_, PhysicalType::I32) => to!(I32, i32),
        (_, PhysicalType::I64) => to!(I64, i64),
        (_, PhysicalType::I128) => to!(I128, i128),
        _ => values.clone(),
    }
}

/// Integers as doubles, divided by `divisor`; `None` for other values.
pub fn integers_to_double(values: &Values, divisor: f64) -> Option<Vec<f64>> {
    Some(match values {
        Values::I8(buffer) => convert_scaled(buffer, divisor),
        Values::I16(buffer) => convert_scaled(buffer, divisor),
        Values::I32(buffer) => convert_scaled(buffer, divisor),
        Values::I64(buffer) => convert_scaled(buffer, divisor),
        Values::I128(buffer) => convert_scaled(buffer, divisor),
        _ => return None,
    })
}

/// Whether an integer lies outside `low ..= high`; bounds beyond the width are met by every value.
pub fn integers_outside(values: &Values, low: i128, high: i128) -> bool {
    let Some((min, max)) = values.physical().integer_bounds() else { return false };
    if low > max || high < min {
        return !values.is_empty();
    }
    let (low, high) = (low.max(min), high.min(max));
    if (low, high) == (min, max) {
        return false;
    }
    match values {
        Values::I8(buffer) => any_outside(buffer, low as i8, high as i8),
        Values::I16(buffer) => any_outside(buffer, low as i16, high as i16),
        Values::I32(buffer) => any_outside(buffer, low as i32, high as i32),
        Values::I64(buffer) => any_outside(buffer, low as i64, high as i64),
        Values::I128(buffer) => any_outside(buffer, low, high),
        _ => false,
    }
}

/// The least and greatest of integer values; `None` of no values or of another kind.
pub fn integer_extremes(values: &Values) -> Option<(i128, i128)> {
    if values.is_empty() {
        return None;
    }
    macro_rules! of {
        ($buffer:expr) => {{
            let (low, high) = extremes($buffer);
            Some((low.widen(), high.widen()))
        }};
    }
    match values {
        Values::I8(buffer) => of!(buffer),
        Values::I16(buffer) => of!(buffer),
        Values::I32(buffer) => of!(buffer),
        Values::I64(buffer) => of!(buffer),
        Values::I128(buffer) => of!(buffer),
        _ => None,
    }
}

/// The integer of a row, whatever its width; 0 for other kinds.
#[inline]
pub fn integer_at(values: &Values, row: usize) -> i128 {
    match values {
        Values::I8(buffer) => buffer[row].into(),
        Values::I16(buffer) => buffer[row].into(),
        Values::I32(buffer) => buffer[row].into(),
        Values::I64(buffer) => buffer[row].into(),
        Values::I128(buffer) => buffer[row],
        _ => 0,
    }
}
