//! What the choice of an encoding rests on.

use super::{Input, Strings};

/// Measures of a block's values.
pub(crate) struct Summary {
    /// Bounds of integers.
    pub bounds: Option<(i128, i128)>,
    /// The greatest number that divides the distance of every integer from the least; 0 where all are equal.
    pub step: u64,
    /// Stretches of equal values.
    pub runs: usize,
}

impl Summary {
    pub(crate) fn of(input: Input<'_>) -> Summary {
        let runs = match input {
            Input::I64(values) => runs(values),
            Input::I128(values) => runs(values),
            Input::F32(values) => runs_by(values, |a, b| a.to_bits() == b.to_bits()),
            Input::F64(values) => runs_by(values, |a, b| a.to_bits() == b.to_bits()),
            Input::Intervals(values) => runs(values),
            Input::Bits(bits) => {
                (1..bits.len()).filter(|&row| bits.get(row) != bits.get(row - 1)).count() + 1
            }
            Input::Strings(strings) => string_runs(strings),
            Input::Codes { codes, .. } => runs(codes),
        };
        let (bounds, step) = match input {
            Input::I64(values) => {
                let bounds = bounds(values);
                (
                    bounds.map(|(min, max)| (min.into(), max.into())),
                    step_of(values, bounds.map(|(min, _)| min)),
                )
            }
            Input::I128(values) => {
                let bounds = bounds(values);
                let offsets = bounds
                    .filter(|(min, max)| max.checked_sub(*min).is_some_and(|range| range <= u64::MAX.into()))
                    .map(|(min, _)| values.iter().map(move |value| (value - min) as u64));
                (bounds, offsets.map_or(1, divisor))
            }
            _ => (None, 1),
        };
        Summary { bounds, step, runs }
    }
}

fn runs<T: PartialEq>(values: &[T]) -> usize {
    runs_by(values, |a, b| a == b)
}

fn runs_by<T>(values: &[T], same: impl Fn(&T, &T) -> bool) -> usize {
    let changes = values.iter().zip(values.iter().skip(1)).filter(|(a, b)| !same(a, b)).count();
    changes + usize::from(!values.is_empty())
}

/// Runs of strings are looked for only as far as it is cheap: two or more count as many.
fn string_runs(strings: Strings<'_>) -> usize {
    match strings.len() {
        0 => 0,
        len if (1..len).all(|row| strings.get(row) == strings.get(0)) => 1,
        len => len,
    }
}

fn bounds<T: Ord + Copy>(values: &[T]) -> Option<(T, T)> {
    let first = *values.first()?;
    Some(values.iter().fold((first, first), |(min, max), &value| (min.min(value), max.max(value))))
}

fn step_of(values: &[i64], min: Option<i64>) -> u64 {
    min.map_or(0, |min| divisor(values.iter().map(|value| value.wrapping_sub(min) as u64)))
}

/// The greatest common divisor, found early where it is 1.
fn divisor(offsets: impl IntoIterator<Item = u64>) -> u64 {
    let mut divisor = 0_u64;
    for offset in offsets {
        if divisor == 0 {
            divisor = offset;
        } else if !offset.is_multiple_of(divisor) {
            let (mut a, mut b) = (divisor, offset % divisor);
            while b != 0 {
                (a, b) = (b, a % b);
            }
            divisor = a;
        }
        if divisor == 1 {
            break;
        }
    }
    divisor
}
