//! States of aggregates that are more than a sum or an extreme ([`crate::plan::Stateful`]). They lie beside the
//! rows of groups: a group is a number, the same in every kind of states.
//!
//! States of a fixed form are [`folded`]; those that need all values of a group are [`collected`].

mod collected;
mod comoments;
mod digest;
mod folded;
mod interval;
mod lists;
mod moments;
mod numbers;
mod ordered;
mod pick;
mod sketch;
#[cfg(test)]
mod tests;

use crate::memory::MemoryPool;
use crate::plan::{self, StateFunction, Stateful};
use crate::{Error, Expr, Result};
use collected::Collected;
use columnar::{DataType, Flat, Scalar, Value, Values, Vector};
use folded::{Fold, Folded};
use std::any::Any;
use std::sync::Arc;

/// The states of one aggregate, one for each group.
pub(super) trait States: Any + Send + Sync {
    /// Makes sure that there are states of this many groups; new ones are those of no rows.
    fn grow(&mut self, groups: usize) -> Result<()>;

    /// Takes rows. `groups[i]` is the group of row i of the arguments, which have no nulls where the function takes
    /// none.
    fn update(&mut self, groups: &[u32], args: &[Flat]) -> Result<()>;

    /// Adds states of the same aggregate: those of its group g to group `groups[g]`. Takes a part at a time: begins
    /// at 0 and gives where to go on, or `None` at the end, after which `other` is empty.
    fn absorb(
        &mut self,
        other: &mut (dyn States + 'static),
        groups: &[u32],
        from: usize,
    ) -> Result<Option<usize>>;

    /// What is to be done once all rows are in, a part at a time as [`States::absorb`].
    fn settle(&mut self, _from: usize) -> Result<Option<usize>> {
        Ok(None)
    }

    /// How many values the result of a group is computed of.
    fn weight(&self, _group: u32) -> usize {
        1
    }

    /// The results of these groups, after [`States::settle`].
    fn results(&self, groups: &[u32]) -> Result<Vector>;
}

/// States of no groups.
pub(super) fn states_of(
    aggregate: &plan::Aggregate,
    call: Stateful,
    memory: &Arc<MemoryPool>,
) -> Result<Box<dyn States>> {
    use StateFunction::*;
    let (function, data_type) = (call.function, aggregate.data_type);
    let expected = match function {
        _ if call.takes_states() => 1,
        CovarPop | CovarSamp | Corr | RegrSlope | RegrIntercept | RegrR2 | RegrAvgX | RegrAvgY | RegrSxx
        | RegrSyy | RegrSxy | QuantileCont | QuantileDisc | ApproxQuantile => 2,
        StringAgg | MapAgg => 2 + usize::from(call.order.keys),
        First | Last | ArrayAgg => 1 + usize::from(call.order.keys),
        _ => 1,
    };
    if aggregate.args.len() != expected {
        return Err(Error::Internal(format!("{} of {} arguments", function.name(), aggregate.args.len())));
    }
    fn folded<F: Fold>(
        fold: F,
        call: Stateful,
        data_type: DataType,
        memory: &Arc<MemoryPool>,
    ) -> Box<dyn States> {
        Box::new(Folded::new(fold, call, data_type, memory))
    }
    Ok(match function {
        VarPop | VarSamp | StddevPop | StddevSamp | StandardError | Skewness | Kurtosis | KurtosisPop => {
            folded(moments::OfMoments(function), call, data_type, memory)
        }
        CovarPop | CovarSamp | Corr | RegrSlope | RegrIntercept | RegrR2 | RegrAvgX | RegrAvgY | RegrSxx
        | RegrSyy | RegrSxy => folded(comoments::OfComoments(function), call, data_type, memory),
        Product => folded(numbers::Product, call, data_type, memory),
        SumCompensated => folded(numbers::Compensated, call, data_type, memory),
        BitAnd | BitOr | BitXor => folded(numbers::Bits(function), call, data_type, memory),
        AvgInteger => folded(numbers::MeanInteger, call, data_type, memory),
        SumInterval | AvgInterval => {
            folded(interval::Intervals { mean: function == AvgInterval }, call, data_type, memory)
        }
        First | Last => {
            folded(pick::Pick { order: call.order, last: function == Last }, call, data_type, memory)
        }
        ApproxCountDistinct => folded(sketch::CountDistinct, call, data_type, memory),
        ApproxQuantile => {
            // A state says nothing of the fraction, nor does the call that gives the state's result: it has it from
            // where states begin, so the fraction travels with them.
            let fraction = match call.takes_states() {
                true => None,
                false => Some(fraction_of(&aggregate.args[1])?),
            };
            folded(digest::Quantile { fraction }, call, data_type, memory)
        }
        StringAgg | QuantileCont | QuantileDisc | Mode | MedianDeviation | Entropy | ArrayAgg | MapAgg
        | Histogram => {
            if call.takes_states() || call.gives_states() {
                return Err(Error::Internal(format!("states of {}", function.name())));
            }
            let fraction = match function {
                QuantileCont | QuantileDisc => fraction_of(&aggregate.args[1])?,
                _ => 0.5,
            };
            Box::new(Collected::new(call, fraction, data_type, memory))
        }
    })
}

/// The constant part of a whole that a quantile asks for.
fn fraction_of(expr: &Expr) -> Result<f64> {
    match expr {
        Expr::Literal(Value { scalar: Scalar::Float(value), .. }) if (0.0..=1.0).contains(value) => {
            Ok(*value)
        }
        other => Err(Error::Internal(format!("the quantile {other:?}"))),
    }
}

/// The values of an argument that is a `DOUBLE`.
fn doubles(flat: &Flat) -> Result<&[f64]> {
    match &flat.values {
        Values::F64(values) => Ok(&values[..]),
        other => {
            Err(Error::Internal(format!("an aggregate of {:?} where DOUBLE is taken", other.physical())))
        }
    }
}

/// A value that is an integer underneath.
#[inline]
fn integer(values: &Values, row: usize) -> Result<i128> {
    Ok(match values {
        Values::I8(values) => values[row].into(),
        Values::I16(values) => values[row].into(),
        Values::I32(values) => values[row].into(),
        Values::I64(values) => values[row].into(),
        Values::I128(values) => values[row],
        other => {
            let found = other.physical();
            return Err(Error::Internal(format!("an aggregate of {found:?} where an integer is taken")));
        }
    })
}

/// The error of a result that its type cannot hold.
#[cold]
fn out_of_range(name: &str, data_type: DataType) -> Error {
    Error::Value(columnar::Error::OutOfRange { what: format!("{name} of {data_type}") })
}

/// The integer, where the type holds it.
fn checked(value: i128, name: &str, data_type: DataType) -> Result<Scalar> {
    let (least, most) = data_type.integer_bounds().unwrap_or((i128::MIN, i128::MAX));
    match (least..=most).contains(&value) {
        true => Ok(Scalar::Integer(value)),
        false => Err(out_of_range(name, data_type)),
    }
}
