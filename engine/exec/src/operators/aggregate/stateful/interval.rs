//! Sums and means of intervals: months, days and clock time apart.

use super::folded::{Fold, read_words, write_words};
use super::numbers::rounded_quotient;
use super::out_of_range;
use crate::{Error, Result};
use columnar::{DataType, Flat, Interval, Scalar, Values};

/// The sum, or the mean.
pub(super) struct Intervals {
    pub(super) mean: bool,
}

#[derive(Clone, Copy, Default)]
pub(super) struct IntervalSum {
    months: i64,
    days: i64,
    micros: i128,
    count: u64,
}

impl Fold for Intervals {
    type State = IntervalSum;

    fn update(&self, states: &mut [IntervalSum], groups: &[u32], args: &[Flat]) -> Result<isize> {
        let Values::Interval(values) = &args[0].values else {
            return Err(Error::Internal("a sum of intervals of something else".into()));
        };
        for (&group, value) in groups.iter().zip(values.iter()) {
            let state = &mut states[group as usize];
            // Of fewer than 2^32 rows none leaves its type.
            state.months = state.months.wrapping_add(value.months.into());
            state.days = state.days.wrapping_add(value.days.into());
            state.micros += i128::from(value.micros);
            state.count += 1;
        }
        Ok(0)
    }

    fn merge(&self, state: &mut IntervalSum, other: &IntervalSum) -> Result<isize> {
        state.months = state.months.wrapping_add(other.months);
        state.days = state.days.wrapping_add(other.days);
        state.micros = state.micros.wrapping_add(other.micros);
        state.count = state.count.wrapping_add(other.count);
        Ok(0)
    }

    fn is_empty(&self, state: &IntervalSum) -> bool {
        state.count == 0
    }

    fn finish(&self, state: &IntervalSum, data_type: DataType) -> Result<Scalar> {
        const DAY_MICROS: i128 = 86_400_000_000;
        let (mut months, mut days, mut micros) = (state.months.into(), state.days.into(), state.micros);
        if self.mean {
            // As PostgreSQL divides: what is left of a month is days of a 30th, what is left of a day is clock time.
            let count = i128::from(state.count);
            let all_days: i128 = days + months % count * 30;
            let all_micros = micros + all_days % count * DAY_MICROS;
            (months, days, micros) = (months / count, all_days / count, rounded_quotient(all_micros, count));
        }
        let narrow = |value: i128| i32::try_from(value).ok();
        match (narrow(months), narrow(days), i64::try_from(micros).ok()) {
            (Some(months), Some(days), Some(micros)) => {
                Ok(Scalar::Interval(Interval { months, days, micros }))
            }
            _ => Err(out_of_range(if self.mean { "avg" } else { "sum" }, data_type)),
        }
    }

    fn write(&self, state: &IntervalSum) -> Vec<u8> {
        let (low, high) = (state.micros as u64, (state.micros >> 64) as u64);
        write_words([state.months as u64, state.days as u64, low, high, state.count])
    }

    fn read(&self, bytes: &[u8]) -> Option<IntervalSum> {
        let [months, days, low, high, count] = read_words(bytes)?;
        let micros = i128::from(high as i64) << 64 | i128::from(low);
        Some(IntervalSum { months: months as i64, days: days as i64, micros, count })
    }
}
