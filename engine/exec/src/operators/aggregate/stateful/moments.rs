//! Central moments of numbers: variances, skewness, kurtosis.
//!
//! Moments are kept about the mean so far, so that nothing cancels where values are far from zero. A value is added
//! after Welford (1962) and Terriberry (2007), two states are merged after Chan, Golub and LeVeque (1979) and Pébay,
//! "Formulas for Robust, One-Pass Parallel Computation of Covariances and Arbitrary-Order Statistical Moments" (2008).

use super::folded::{Fold, read_words, write_words};
use super::{doubles, out_of_range};
use crate::Result;
use crate::plan::StateFunction;
use columnar::{DataType, Flat, Scalar};

/// The functions of moments.
pub(super) struct OfMoments(pub(super) StateFunction);

/// How many values, their mean, and the sums of powers of their distances from it. The third and fourth are kept only
/// for functions of them.
#[derive(Clone, Copy, Default)]
pub(super) struct Moments {
    count: f64,
    mean: f64,
    second: f64,
    third: f64,
    fourth: f64,
    /// Whether a value was infinite or no number.
    special: bool,
}

impl Moments {
    #[inline(always)]
    fn add(&mut self, value: f64, high: bool) {
        let before = self.count;
        self.count += 1.0;
        self.special |= !value.is_finite();
        let distance = value - self.mean;
        let step = distance / self.count;
        let term = distance * step * before;
        self.mean += step;
        if high {
            let count = self.count;
            self.fourth += term * step * step * (count * count - 3.0 * count + 3.0)
                + 6.0 * step * step * self.second
                - 4.0 * step * self.third;
            self.third += term * step * (count - 2.0) - 3.0 * step * self.second;
        }
        self.second += term;
    }

    fn merge(&mut self, other: &Moments) {
        let (a, b) = (*self, other);
        if a.count == 0.0 {
            *self = *b;
            return;
        }
        let count = a.count + b.count;
        let distance = b.mean - a.mean;
        let square = distance * distance;
        // Of the two counts' product over their sum, and how they differ.
        let (part_a, part_b) = (a.count / count, b.count / count);
        let both = a.count * part_b;
        self.count = count;
        self.mean = a.mean + distance * part_b;
        self.second = a.second + b.second + square * both;
        self.third = a.third
            + b.third
            + square * distance * both * (part_a - part_b)
            + 3.0 * distance * (part_a * b.second - part_b * a.second);
        self.fourth = a.fourth
            + b.fourth
            + square * square * both * (part_a * part_a - part_a * part_b + part_b * part_b)
            + 6.0 * square * (part_a * part_a * b.second + part_b * part_b * a.second)
            + 4.0 * distance * (part_a * b.third - part_b * a.third);
        self.special |= b.special;
    }

    /// The result; `None` where so few or such values have none.
    fn result(&self, function: StateFunction) -> Option<f64> {
        use StateFunction::*;
        let n = self.count;
        let enough = match function {
            VarSamp | StddevSamp => 2.0,
            Skewness => 3.0,
            Kurtosis => 4.0,
            KurtosisPop => 2.0,
            _ => 1.0,
        };
        if n < enough {
            return None;
        }
        if self.special {
            return Some(f64::NAN);
        }
        let population = self.second / n;
        let is_shape = matches!(function, Skewness | Kurtosis | KurtosisPop);
        if is_shape && population == 0.0 {
            return None;
        }
        Some(match function {
            VarPop => population,
            VarSamp => self.second / (n - 1.0),
            StddevPop => population.sqrt(),
            StddevSamp => (self.second / (n - 1.0)).sqrt(),
            StandardError => population.sqrt() / n.sqrt(),
            Skewness => {
                let ratio = self.third / n / (population * population.sqrt());
                (n * (n - 1.0)).sqrt() / (n - 2.0) * ratio
            }
            _ => {
                let ratio = self.fourth / n / (population * population);
                match function {
                    Kurtosis => (n - 1.0) * ((n + 1.0) * ratio - 3.0 * (n - 1.0)) / ((n - 2.0) * (n - 3.0)),
                    _ => ratio - 3.0,
                }
            }
        })
    }
}

impl Fold for OfMoments {
    type State = Moments;

    fn update(&self, states: &mut [Moments], groups: &[u32], args: &[Flat]) -> Result<isize> {
        use StateFunction::{Kurtosis, KurtosisPop, Skewness};
        let values = doubles(&args[0])?;
        let high = matches!(self.0, Skewness | Kurtosis | KurtosisPop);
        for (&group, &value) in groups.iter().zip(values) {
            states[group as usize].add(value, high);
        }
        Ok(0)
    }

    fn merge(&self, state: &mut Moments, other: &Moments) -> Result<isize> {
        state.merge(other);
        Ok(0)
    }

    fn is_empty(&self, state: &Moments) -> bool {
        state.count == 0.0
    }

    fn finish(&self, state: &Moments, data_type: DataType) -> Result<Scalar> {
        match state.result(self.0) {
            None => Ok(Scalar::Null),
            Some(value) if value.is_finite() || state.special => Ok(Scalar::Float(value)),
            Some(_) => Err(out_of_range(self.0.name(), data_type)),
        }
    }

    fn write(&self, state: &Moments) -> Vec<u8> {
        let Moments { count, mean, second, third, fourth, special } = *state;
        let [count, mean, second, third, fourth] = [count, mean, second, third, fourth].map(f64::to_bits);
        write_words([count, mean, second, third, fourth, special.into()])
    }

    fn read(&self, bytes: &[u8]) -> Option<Moments> {
        let [count, mean, second, third, fourth, special] = read_words(bytes)?;
        let [count, mean, second, third, fourth] = [count, mean, second, third, fourth].map(f64::from_bits);
        Some(Moments { count, mean, second, third, fourth, special: special != 0 })
    }
}
