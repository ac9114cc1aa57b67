//! Products, compensated sums, bitwise folds, and means of what is an integer underneath.

use super::folded::{Fold, read_words, write_words};
use super::{checked, doubles, integer, out_of_range};
use crate::Result;
use crate::plan::StateFunction;
use columnar::{DataType, Flat, Scalar};

/// The product of `DOUBLE`s.
pub(super) struct Product;

#[derive(Clone, Copy, Default)]
pub(super) struct ProductState {
    /// `None`: of no values.
    product: Option<f64>,
    /// Whether a factor was infinite or no number.
    special: bool,
}

impl ProductState {
    #[inline(always)]
    fn multiply(&mut self, factor: f64, special: bool) {
        self.product = Some(self.product.map_or(factor, |product| product * factor));
        self.special |= special;
    }
}

impl Fold for Product {
    type State = ProductState;

    fn update(&self, states: &mut [ProductState], groups: &[u32], args: &[Flat]) -> Result<isize> {
        for (&group, &value) in groups.iter().zip(doubles(&args[0])?) {
            states[group as usize].multiply(value, !value.is_finite());
        }
        Ok(0)
    }

    fn merge(&self, state: &mut ProductState, other: &ProductState) -> Result<isize> {
        if let Some(product) = other.product {
            state.multiply(product, other.special);
        }
        Ok(0)
    }

    fn is_empty(&self, state: &ProductState) -> bool {
        state.product.is_none()
    }

    fn finish(&self, state: &ProductState, data_type: DataType) -> Result<Scalar> {
        match state.product {
            None => Ok(Scalar::Null),
            Some(product) if product.is_finite() || state.special => Ok(Scalar::Float(product)),
            Some(_) => Err(out_of_range("product", data_type)),
        }
    }

    fn write(&self, state: &ProductState) -> Vec<u8> {
        write_words([state.product.unwrap_or(1.0).to_bits(), state.special.into()])
    }

    fn read(&self, bytes: &[u8]) -> Option<ProductState> {
        let [product, special] = read_words(bytes)?;
        Some(ProductState { product: Some(f64::from_bits(product)), special: special != 0 })
    }
}

/// The sum of `DOUBLE`s, with what each addition loses kept beside it: Neumaier, "Rundungsfehleranalyse einiger
/// Verfahren zur Summation endlicher Summen" (1974).
pub(super) struct Compensated;

#[derive(Clone, Copy, Default)]
pub(super) struct CompensatedSum {
    sum: f64,
    lost: f64,
    /// Whether there was a value, and whether one was infinite or no number.
    seen: bool,
    special: bool,
}

impl CompensatedSum {
    #[inline(always)]
    fn add(&mut self, value: f64) {
        let sum = self.sum + value;
        self.lost +=
            if self.sum.abs() >= value.abs() { (self.sum - sum) + value } else { (value - sum) + self.sum };
        self.sum = sum;
        self.seen = true;
        self.special |= !value.is_finite();
    }
}

impl Fold for Compensated {
    type State = CompensatedSum;

    fn update(&self, states: &mut [CompensatedSum], groups: &[u32], args: &[Flat]) -> Result<isize> {
        for (&group, &value) in groups.iter().zip(doubles(&args[0])?) {
            states[group as usize].add(value);
        }
        Ok(0)
    }

    fn merge(&self, state: &mut CompensatedSum, other: &CompensatedSum) -> Result<isize> {
        state.add(other.sum);
        state.lost += other.lost;
        state.special |= other.special;
        Ok(0)
    }

    fn is_empty(&self, state: &CompensatedSum) -> bool {
        !state.seen
    }

    fn finish(&self, state: &CompensatedSum, data_type: DataType) -> Result<Scalar> {
        // What an infinity loses is no number.
        let sum = if state.special { state.sum } else { state.sum + state.lost };
        match sum.is_finite() || state.special {
            true => Ok(Scalar::Float(sum)),
            false => Err(out_of_range("fsum", data_type)),
        }
    }

    fn write(&self, state: &CompensatedSum) -> Vec<u8> {
        write_words([state.sum.to_bits(), state.lost.to_bits(), state.special.into()])
    }

    fn read(&self, bytes: &[u8]) -> Option<CompensatedSum> {
        let [sum, lost, special] = read_words(bytes)?;
        let (sum, lost) = (f64::from_bits(sum), f64::from_bits(lost));
        Some(CompensatedSum { sum, lost, seen: true, special: special != 0 })
    }
}

/// `bit_and`, `bit_or`, `bit_xor` of integers.
pub(super) struct Bits(pub(super) StateFunction);

impl Bits {
    #[inline(always)]
    fn fold(&self, state: &mut Option<i128>, value: i128) {
        *state = Some(match (self.0, *state) {
            (_, None) => value,
            (StateFunction::BitAnd, Some(bits)) => bits & value,
            (StateFunction::BitOr, Some(bits)) => bits | value,
            (_, Some(bits)) => bits ^ value,
        });
    }
}

impl Fold for Bits {
    type State = Option<i128>;

    fn update(&self, states: &mut [Option<i128>], groups: &[u32], args: &[Flat]) -> Result<isize> {
        for (row, &group) in groups.iter().enumerate() {
            self.fold(&mut states[group as usize], integer(&args[0].values, row)?);
        }
        Ok(0)
    }

    fn merge(&self, state: &mut Option<i128>, other: &Option<i128>) -> Result<isize> {
        if let Some(bits) = other {
            self.fold(state, *bits);
        }
        Ok(0)
    }

    fn is_empty(&self, state: &Option<i128>) -> bool {
        state.is_none()
    }

    fn finish(&self, state: &Option<i128>, data_type: DataType) -> Result<Scalar> {
        // Bits of values of a type are a value of it: the sign fills what is above.
        state.map_or(Ok(Scalar::Null), |bits| checked(bits, self.0.name(), data_type))
    }

    fn write(&self, state: &Option<i128>) -> Vec<u8> {
        let bits = state.unwrap_or(0) as u128;
        write_words([bits as u64, (bits >> 64) as u64])
    }

    fn read(&self, bytes: &[u8]) -> Option<Option<i128>> {
        read_words(bytes).map(|[low, high]| Some((u128::from(high) << 64 | u128::from(low)) as i128))
    }
}

/// The mean of times and timestamps: of exact sums, rounded half away from zero.
pub(super) struct MeanInteger;

#[derive(Clone, Copy, Default)]
pub(super) struct IntegerSum {
    /// Of at most 2^63 values of 64 bits.
    sum: i128,
    count: u64,
}

impl Fold for MeanInteger {
    type State = IntegerSum;

    fn update(&self, states: &mut [IntegerSum], groups: &[u32], args: &[Flat]) -> Result<isize> {
        for (row, &group) in groups.iter().enumerate() {
            let state = &mut states[group as usize];
            state.sum += integer(&args[0].values, row)?;
            state.count += 1;
        }
        Ok(0)
    }

    fn merge(&self, state: &mut IntegerSum, other: &IntegerSum) -> Result<isize> {
        state.sum = state.sum.wrapping_add(other.sum);
        state.count = state.count.wrapping_add(other.count);
        Ok(0)
    }

    fn is_empty(&self, state: &IntegerSum) -> bool {
        state.count == 0
    }

    fn finish(&self, state: &IntegerSum, data_type: DataType) -> Result<Scalar> {
        checked(rounded_quotient(state.sum, state.count.into()), "avg", data_type)
    }

    fn write(&self, state: &IntegerSum) -> Vec<u8> {
        write_words([state.sum as u64, (state.sum >> 64) as u64, state.count])
    }

    fn read(&self, bytes: &[u8]) -> Option<IntegerSum> {
        let [low, high, count] = read_words(bytes)?;
        Some(IntegerSum { sum: i128::from(high as i64) << 64 | i128::from(low), count })
    }
}

/// A quotient rounded half away from zero; the divisor is above zero.
pub(super) fn rounded_quotient(dividend: i128, divisor: i128) -> i128 {
    let (quotient, rest) = (dividend / divisor, dividend % divisor);
    let away = rest.unsigned_abs() >= divisor.unsigned_abs().div_ceil(2);
    quotient + if away { dividend.signum() } else { 0 }
}
