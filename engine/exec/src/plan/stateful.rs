//! Aggregates whose states are more than a sum or an extreme, and what may be done to the states.

use serde::{Deserialize, Serialize};

/// An aggregate by its function and by which part of the work is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Stateful {
    pub function: StateFunction,
    pub phase: Phase,
    pub order: KeyOrder,
}

/// From what to what. A state between two phases is a `BLOB`, null over no rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// From rows to the result.
    Whole,
    /// From rows to a state.
    Partial,
    /// From states to a state.
    Combine,
    /// From states to the result.
    Final,
}

/// How the keys of an `ORDER BY` inside a call order: the last `keys` arguments, a bit of each word a key from the
/// first on. Of quantiles and [`StateFunction::Mode`], which are ordered by their argument, bit 0 of `descending`
/// is the direction, and there are no keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct KeyOrder {
    pub keys: u8,
    pub descending: u32,
    pub nulls_first: u32,
}

/// What is computed. All are null over no values. Rows with a null among the first
/// [`StateFunction::strict_arguments`] are passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum StateFunction {
    // Of a `DOUBLE`, as a `DOUBLE`.
    VarPop,
    VarSamp,
    StddevPop,
    StddevSamp,
    /// `stddev_pop / sqrt(count)`.
    StandardError,
    Skewness,
    /// The excess of a sample.
    Kurtosis,
    KurtosisPop,
    // Of two `DOUBLE`s, first y, then x.
    CovarPop,
    CovarSamp,
    Corr,
    RegrSlope,
    RegrIntercept,
    RegrR2,
    RegrAvgX,
    RegrAvgY,
    RegrSxx,
    RegrSyy,
    RegrSxy,
    // Of a `DOUBLE`.
    Product,
    /// The sum with what each addition loses kept beside it (Neumaier 1974).
    SumCompensated,
    // Of an integer, as the same type.
    BitAnd,
    BitOr,
    BitXor,
    // Of an `INTERVAL`.
    SumInterval,
    AvgInterval,
    /// The mean of what is an integer underneath (a time, a timestamp), rounded to the nearest one.
    AvgInteger,
    /// A value, then keys: the value of the first row by the keys, which may be null; of rows with equal keys the
    /// least value. Without keys that of the first row to come.
    First,
    /// As [`StateFunction::First`], of the last row.
    Last,
    /// Text, a separator, then keys: all texts in the order of the keys, each but the first after its separator.
    StringAgg,
    /// A value and a constant `DOUBLE` from 0 to 1. Interpolates; the result type is the value's.
    QuantileCont,
    /// As [`StateFunction::QuantileCont`], always one of the values, of any type.
    QuantileDisc,
    /// The most frequent value; of several the first in order.
    Mode,
    /// The median distance from the median, of numbers.
    MedianDeviation,
    /// The entropy of the values' frequencies, in bits.
    Entropy,
    /// How many values differ, as a `BIGINT`; null over none.
    ApproxCountDistinct,
    /// A value that is a number underneath and a constant `DOUBLE` from 0 to 1.
    ApproxQuantile,
    /// A value, then keys: a list of all values, nulls among them, in the order of the keys.
    ArrayAgg,
    /// A key, a value, then keys to order by: a map of those entries. A key that comes twice is an error.
    MapAgg,
    /// A value: a map from each value to how often it comes, as a `UBIGINT`, in the order of the values.
    Histogram,
}

impl StateFunction {
    /// Its name in SQL.
    pub fn name(self) -> &'static str {
        use StateFunction::*;
        match self {
            VarPop => "var_pop",
            VarSamp => "var_samp",
            StddevPop => "stddev_pop",
            StddevSamp => "stddev_samp",
            StandardError => "sem",
            Skewness => "skewness",
            Kurtosis => "kurtosis",
            KurtosisPop => "kurtosis_pop",
            CovarPop => "covar_pop",
            CovarSamp => "covar_samp",
            Corr => "corr",
            RegrSlope => "regr_slope",
            RegrIntercept => "regr_intercept",
            RegrR2 => "regr_r2",
            RegrAvgX => "regr_avgx",
            RegrAvgY => "regr_avgy",
            RegrSxx => "regr_sxx",
            RegrSyy => "regr_syy",
            RegrSxy => "regr_sxy",
            Product => "product",
            SumCompensated => "fsum",
            BitAnd => "bit_and",
            BitOr => "bit_or",
            BitXor => "bit_xor",
            SumInterval => "sum",
            AvgInterval | AvgInteger => "avg",
            First => "first",
            Last => "last",
            StringAgg => "string_agg",
            QuantileCont => "quantile_cont",
            QuantileDisc => "quantile_disc",
            Mode => "mode",
            MedianDeviation => "mad",
            Entropy => "entropy",
            ApproxCountDistinct => "approx_count_distinct",
            ApproxQuantile => "approx_quantile",
            ArrayAgg => "array_agg",
            MapAgg => "map_agg",
            Histogram => "histogram",
        }
    }

    /// How many arguments must not be null for a row to count.
    pub fn strict_arguments(self) -> usize {
        use StateFunction::*;
        match self {
            First | Last | ArrayAgg => 0,
            CovarPop | CovarSamp | Corr | RegrSlope | RegrIntercept | RegrR2 | RegrAvgX | RegrAvgY
            | RegrSxx | RegrSyy | RegrSxy => 2,
            _ => 1,
        }
    }

    /// Whether states of parts of a group can be merged; else all rows of a group must come together.
    pub fn is_mergeable(self) -> bool {
        use StateFunction::*;
        !matches!(
            self,
            StringAgg
                | QuantileCont
                | QuantileDisc
                | Mode
                | MedianDeviation
                | Entropy
                | ArrayAgg
                | MapAgg
                | Histogram
        )
    }
}

impl Stateful {
    /// The call over rows.
    pub fn new(function: StateFunction, order: KeyOrder) -> Stateful {
        Stateful { function, phase: Phase::Whole, order }
    }

    /// The two phases that the one can be cut into.
    pub fn split(self) -> (Stateful, Stateful) {
        let (first, second) = match self.phase {
            Phase::Whole => (Phase::Partial, Phase::Final),
            Phase::Partial => (Phase::Partial, Phase::Combine),
            Phase::Combine => (Phase::Combine, Phase::Combine),
            Phase::Final => (Phase::Combine, Phase::Final),
        };
        (Stateful { phase: first, ..self }, Stateful { phase: second, ..self })
    }

    /// Whether its argument is a state.
    pub fn takes_states(self) -> bool {
        matches!(self.phase, Phase::Combine | Phase::Final)
    }

    /// Whether it gives a state.
    pub fn gives_states(self) -> bool {
        matches!(self.phase, Phase::Partial | Phase::Combine)
    }
}

impl KeyOrder {
    /// The most keys.
    pub const MOST_KEYS: usize = 32;

    /// The order by keys of these directions (descending, nulls first), of which there are at most
    /// [`KeyOrder::MOST_KEYS`].
    pub fn new(keys: impl IntoIterator<Item = (bool, bool)>) -> KeyOrder {
        let mut order = KeyOrder::default();
        for (descending, nulls_first) in keys.into_iter().take(KeyOrder::MOST_KEYS) {
            order.descending |= u32::from(descending) << order.keys;
            order.nulls_first |= u32::from(nulls_first) << order.keys;
            order.keys += 1;
        }
        order
    }

    pub fn is_descending(self, key: usize) -> bool {
        self.descending >> key & 1 != 0
    }

    pub fn has_nulls_first(self, key: usize) -> bool {
        self.nulls_first >> key & 1 != 0
    }
}
