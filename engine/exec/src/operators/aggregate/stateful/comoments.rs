//! Moments of pairs of numbers: covariances, the correlation, the line of least squares. Kept and merged as those of
//! single numbers are ([`super::moments`]).

use super::folded::{Fold, read_words, write_words};
use super::{doubles, out_of_range};
use crate::Result;
use crate::plan::StateFunction;
use columnar::{DataType, Flat, Scalar};

/// The functions of pairs y, x.
pub(super) struct OfComoments(pub(super) StateFunction);

/// How many pairs, their means, and the sums of products of distances from those.
#[derive(Clone, Copy, Default)]
pub(super) struct Comoments {
    count: f64,
    mean_x: f64,
    mean_y: f64,
    xx: f64,
    yy: f64,
    xy: f64,
    /// Whether a value was infinite or no number.
    special: bool,
}

impl Comoments {
    #[inline(always)]
    fn add(&mut self, x: f64, y: f64) {
        self.count += 1.0;
        self.special |= !(x.is_finite() && y.is_finite());
        let (from_x, from_y) = (x - self.mean_x, y - self.mean_y);
        self.mean_x += from_x / self.count;
        self.mean_y += from_y / self.count;
        self.xx += from_x * (x - self.mean_x);
        self.yy += from_y * (y - self.mean_y);
        self.xy += from_x * (y - self.mean_y);
    }

    fn merge(&mut self, other: &Comoments) {
        let (a, b) = (*self, other);
        if a.count == 0.0 {
            *self = *b;
            return;
        }
        let count = a.count + b.count;
        let (x, y) = (b.mean_x - a.mean_x, b.mean_y - a.mean_y);
        let part = b.count / count;
        let both = a.count * part;
        *self = Comoments {
            count,
            mean_x: a.mean_x + x * part,
            mean_y: a.mean_y + y * part,
            xx: a.xx + b.xx + x * x * both,
            yy: a.yy + b.yy + y * y * both,
            xy: a.xy + b.xy + x * y * both,
            special: a.special || b.special,
        };
    }

    /// The result; `None` where so few or such pairs have none.
    fn result(&self, function: StateFunction) -> Option<f64> {
        use StateFunction::*;
        if function == CovarSamp && self.count < 2.0 {
            return None;
        }
        if self.special {
            return Some(f64::NAN);
        }
        // Of no line, or of one that stands upright, nothing can be said.
        let flat = match function {
            Corr => self.xx == 0.0 || self.yy == 0.0,
            RegrSlope | RegrIntercept | RegrR2 => self.xx == 0.0,
            _ => false,
        };
        if flat {
            return None;
        }
        Some(match function {
            CovarPop => self.xy / self.count,
            CovarSamp => self.xy / (self.count - 1.0),
            Corr => (self.xy / (self.xx.sqrt() * self.yy.sqrt())).clamp(-1.0, 1.0),
            RegrSlope => self.xy / self.xx,
            RegrIntercept => self.mean_y - self.xy / self.xx * self.mean_x,
            RegrR2 if self.yy == 0.0 => 1.0,
            RegrR2 => (self.xy / self.xx) * (self.xy / self.yy),
            RegrAvgX => self.mean_x,
            RegrAvgY => self.mean_y,
            RegrSxx => self.xx,
            RegrSyy => self.yy,
            _ => self.xy,
        })
    }
}

impl Fold for OfComoments {
    type State = Comoments;

    fn update(&self, states: &mut [Comoments], groups: &[u32], args: &[Flat]) -> Result<isize> {
        let (ys, xs) = (doubles(&args[0])?, doubles(&args[1])?);
        for ((&group, &y), &x) in groups.iter().zip(ys).zip(xs) {
            states[group as usize].add(x, y);
        }
        Ok(0)
    }

    fn merge(&self, state: &mut Comoments, other: &Comoments) -> Result<isize> {
        state.merge(other);
        Ok(0)
    }

    fn is_empty(&self, state: &Comoments) -> bool {
        state.count == 0.0
    }

    fn finish(&self, state: &Comoments, data_type: DataType) -> Result<Scalar> {
        match state.result(self.0) {
            None => Ok(Scalar::Null),
            Some(value) if value.is_finite() || state.special => Ok(Scalar::Float(value)),
            Some(_) => Err(out_of_range(self.0.name(), data_type)),
        }
    }

    fn write(&self, state: &Comoments) -> Vec<u8> {
        let Comoments { count, mean_x, mean_y, xx, yy, xy, special } = *state;
        let [count, mean_x, mean_y, xx, yy, xy] = [count, mean_x, mean_y, xx, yy, xy].map(f64::to_bits);
        write_words([count, mean_x, mean_y, xx, yy, xy, special.into()])
    }

    fn read(&self, bytes: &[u8]) -> Option<Comoments> {
        let [count, mean_x, mean_y, xx, yy, xy, special] = read_words(bytes)?;
        let [count, mean_x, mean_y, xx, yy, xy] = [count, mean_x, mean_y, xx, yy, xy].map(f64::from_bits);
        Some(Comoments { count, mean_x, mean_y, xx, yy, xy, special: special != 0 })
    }
}
