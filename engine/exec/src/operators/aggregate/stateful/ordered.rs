//! Results of all values of a group that hang on their order: quantiles, the mode, the median deviation, the entropy.
//! One value of a place in the order is selected (Hoare's "Find", 1961), not sorted for.

use super::numbers::rounded_quotient;
use super::{checked, out_of_range};
use crate::plan::StateFunction;
use crate::{Error, Result};
use columnar::scalar::compare_floats;
use columnar::{DataType, Flat, Scalar, Values};
use std::cmp::Ordering;

/// The values of a group, as narrow as they come.
pub(super) enum Gathered {
    Integers(Vec<i64>),
    Wide(Vec<i128>),
    Floats(Vec<f64>),
    Others(Vec<Scalar>),
}

impl Gathered {
    /// Of columns of one type and their rows, none of them null.
    pub(super) fn of<'a>(values: impl Iterator<Item = (&'a Flat, usize)>) -> Gathered {
        let mut values = values.peekable();
        let integers = |flat: &Flat, row: usize| match &flat.values {
            Values::I8(values) => Some(values[row].into()),
            Values::I16(values) => Some(values[row].into()),
            Values::I32(values) => Some(values[row].into()),
            Values::I64(values) => Some(values[row]),
            _ => None,
        };
        let float = |flat: &Flat, row: usize| match &flat.values {
            Values::F32(values) => Some(values[row].into()),
            Values::F64(values) => Some(values[row]),
            _ => None,
        };
        let wide = |flat: &Flat, row: usize| match &flat.values {
            Values::I128(values) => values[row],
            _ => integers(flat, row).unwrap_or(0).into(),
        };
        match values.peek() {
            Some((flat, row)) if integers(flat, *row).is_some() => {
                Gathered::Integers(values.map(|(flat, row)| integers(flat, row).unwrap_or(0)).collect())
            }
            Some((flat, _)) if matches!(flat.values, Values::I128(_)) => {
                Gathered::Wide(values.map(|(flat, row)| wide(flat, row)).collect())
            }
            Some((flat, row)) if float(flat, *row).is_some() => {
                Gathered::Floats(values.map(|(flat, row)| float(flat, row).unwrap_or(0.0)).collect())
            }
            _ => Gathered::Others(values.map(|(flat, row)| flat.values.scalar(row)).collect()),
        }
    }
}

/// The result over values, of which there is at least one.
pub(super) fn result(
    values: Gathered,
    function: StateFunction,
    fraction: f64,
    descending: bool,
    data_type: DataType,
) -> Result<Scalar> {
    let scalar = |value: i128| checked(value, function.name(), data_type);
    match values {
        Gathered::Integers(mut values) => match function {
            StateFunction::QuantileCont => scalar(interpolated(&mut values, fraction, descending)?),
            StateFunction::MedianDeviation => scalar(deviation(&mut values, data_type)?),
            _ => {
                of_order(&mut values, function, fraction, descending, |&value| Scalar::Integer(value.into()))
            }
        },
        Gathered::Wide(mut values) => match function {
            StateFunction::QuantileCont => scalar(interpolated(&mut values, fraction, descending)?),
            StateFunction::MedianDeviation => scalar(deviation(&mut values, data_type)?),
            _ => of_order(&mut values, function, fraction, descending, |&value| Scalar::Integer(value)),
        },
        Gathered::Floats(mut values) => match function {
            StateFunction::QuantileCont => {
                Ok(Scalar::Float(interpolated(&mut values, fraction, descending)?))
            }
            StateFunction::MedianDeviation => Ok(Scalar::Float(deviation(&mut values, data_type)?)),
            _ => of_order(&mut values, function, fraction, descending, |&value| Scalar::Float(value)),
        },
        Gathered::Others(mut values) => of_order(&mut values, function, fraction, descending, Scalar::clone),
    }
}

/// Values in an order.
trait Ranked: Clone {
    /// The order of SQL, and where that has none, some other, so that the same value is found however they come.
    fn rank(&self, other: &Self) -> Ordering;
    /// Whether SQL takes the two for one.
    fn same(&self, other: &Self) -> bool;
}

/// Numbers between which there are others.
trait Interpolated: Ranked + Copy {
    type Wide: Copy;
    fn widened(self) -> Self::Wide;
    /// The value that lies that part of the way, above 0 and below 1, from one to a larger one.
    fn between(self, other: Self, part: f64) -> Self::Wide;
    /// How far it is from that point.
    fn distance(self, from: Self::Wide) -> Option<Self>;
}

macro_rules! integers {
    ($($type:ty),*) => { $(
        impl Ranked for $type {
            #[inline(always)]
            fn rank(&self, other: &$type) -> Ordering {
                self.cmp(other)
            }

            fn same(&self, other: &$type) -> bool {
                self == other
            }
        }

        impl Interpolated for $type {
            type Wide = i128;

            fn widened(self) -> i128 {
                self.into()
            }

            fn between(self, other: $type, part: f64) -> i128 {
                let (low, high) = (i128::from(self), i128::from(other));
                // Halves are exact; sums of two of at most 38 digits may leave 128 bits, halves of them do not.
                match low.checked_add(high).filter(|_| part == 0.5) {
                    Some(sum) => rounded_quotient(sum, 2),
                    None => low + (high.abs_diff(low) as f64 * part).round() as i128,
                }
            }

            fn distance(self, from: i128) -> Option<$type> {
                i128::from(self).checked_sub(from)?.checked_abs()?.try_into().ok()
            }
        }
    )* };
}
integers!(i64, i128);

impl Ranked for f64 {
    #[inline(always)]
    fn rank(&self, other: &f64) -> Ordering {
        compare_floats(*self, *other).then_with(|| self.total_cmp(other))
    }

    fn same(&self, other: &f64) -> bool {
        compare_floats(*self, *other) == Ordering::Equal
    }
}

impl Interpolated for f64 {
    type Wide = f64;

    fn widened(self) -> f64 {
        self
    }

    fn between(self, other: f64, part: f64) -> f64 {
        if self == other { self } else { self + (other - self) * part }
    }

    fn distance(self, from: f64) -> Option<f64> {
        Some((self - from).abs())
    }
}

impl Ranked for Scalar {
    fn rank(&self, other: &Scalar) -> Ordering {
        let order = self.compare(other).unwrap_or(Ordering::Equal);
        order.then_with(|| match (self, other) {
            (Scalar::Interval(a), Scalar::Interval(b)) => {
                (a.months, a.days, a.micros).cmp(&(b.months, b.days, b.micros))
            }
            _ => Ordering::Equal,
        })
    }

    fn same(&self, other: &Scalar) -> bool {
        self == other
    }
}

/// The value at that place from the start, and those after it.
fn select<T: Ranked>(values: &mut [T], place: usize) -> Result<(T, &mut [T])> {
    if place >= values.len() {
        return Err(Error::Internal("a place beyond the values of a group".into()));
    }
    let (_, value, after) = values.select_nth_unstable_by(place, T::rank);
    Ok((value.clone(), after))
}

/// What lies at that fraction of the way from the first value to the last.
fn interpolated<T: Interpolated>(values: &mut [T], fraction: f64, descending: bool) -> Result<T::Wide> {
    let steps = (values.len() - 1) as f64;
    let place = if descending { steps - steps * fraction } else { steps * fraction };
    let (low, after) = select(values, place.floor() as usize)?;
    let part = place - place.floor();
    match after.iter().copied().min_by(T::rank).filter(|_| part > 0.0) {
        Some(high) => Ok(low.between(high, part)),
        None => Ok(low.widened()),
    }
}

/// The median of the distances from the median.
fn deviation<T: Interpolated>(values: &mut [T], data_type: DataType) -> Result<T::Wide> {
    let median = interpolated(values, 0.5, false)?;
    for value in &mut *values {
        *value = value.distance(median).ok_or_else(|| out_of_range("mad", data_type))?;
    }
    interpolated(values, 0.5, false)
}

/// Results that are one of the values, or need no numbers.
fn of_order<T: Ranked>(
    values: &mut [T],
    function: StateFunction,
    fraction: f64,
    descending: bool,
    scalar: impl Fn(&T) -> Scalar,
) -> Result<Scalar> {
    if function == StateFunction::QuantileDisc {
        let count = values.len();
        let place = ((fraction * count as f64).ceil() as usize).clamp(1, count) - 1;
        let place = if descending { count - 1 - place } else { place };
        return Ok(scalar(&select(values, place)?.0));
    }
    values.sort_unstable_by(T::rank);
    let total = values.len() as f64;
    let runs = values.chunk_by(T::same);
    match function {
        StateFunction::Mode => {
            let mut found: Option<&[T]> = None;
            for run in runs {
                let longest = found.map_or(0, <[T]>::len);
                if run.len() > longest || descending && run.len() == longest {
                    found = Some(run);
                }
            }
            Ok(found.map_or(Scalar::Null, |run| scalar(&run[0])))
        }
        StateFunction::Entropy => {
            let bits = runs.map(|run| {
                let part = run.len() as f64 / total;
                -part * part.log2()
            });
            // Of one value it is 0, not -0.
            Ok(Scalar::Float(bits.sum::<f64>() + 0.0))
        }
        other => Err(Error::Internal(format!("{} by order", other.name()))),
    }
}
