//! Zone maps: what bounds and null counts prove of a block.

use crate::error::Result;
use crate::format;
use crate::predicate::{CompareOp, Test};
use columnar::{DataType, Scalar};
use std::cmp::Ordering;

/// Bounds are kept to this many bytes of a string.
const STRING_BOUND_BYTES: usize = 32;

/// What is known of a block of one column. Bounds hold all values but need not be values; null is unknown.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Zone {
    pub rows: u64,
    pub nulls: u64,
    pub min: Scalar,
    pub max: Scalar,
}

/// How many rows of a block pass a test, as far as it is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    None,
    Unknown,
    All,
}

impl Zone {
    pub(crate) fn of(block: &format::Block, data_type: DataType) -> Result<Zone> {
        Ok(Zone {
            rows: block.rows,
            nulls: block.nulls,
            min: format::Scalar::value(block.min.as_ref(), data_type)?,
            max: format::Scalar::value(block.max.as_ref(), data_type)?,
        })
    }

    pub(crate) fn judge(&self, test: &Test) -> Verdict {
        match test {
            Test::IsNull => Zone::verdict(self.nulls == 0, self.nulls == self.rows),
            Test::OrNull(_) if self.nulls == self.rows => Verdict::All,
            Test::OrNull(test) => match self.values(test) {
                Verdict::None if self.nulls > 0 => Verdict::Unknown,
                verdict => verdict,
            },
            _ if self.nulls == self.rows => Verdict::None,
            test => match self.values(test) {
                Verdict::All if self.nulls > 0 => Verdict::Unknown,
                verdict => verdict,
            },
        }
    }

    /// The verdict on values that are not null, of which there are some.
    fn values(&self, test: &Test) -> Verdict {
        match test {
            Test::IsNotNull => Verdict::All,
            Test::IsNull => Verdict::None,
            Test::OrNull(test) => self.values(test),
            Test::Custom(_) => Verdict::Unknown,
            Test::Compare(op, scalar) => self.compare(*op, scalar),
            Test::Text(automaton) => match (&self.min, &self.max) {
                (Scalar::Bytes(min), Scalar::Bytes(max)) => automaton.judge(min, max),
                _ => Verdict::Unknown,
            },
            Test::Between(low, high) => {
                let above = self.compare(CompareOp::GreaterOrEqual, low);
                let below = self.compare(CompareOp::LessOrEqual, high);
                match (above, below) {
                    (Verdict::None, _) | (_, Verdict::None) => Verdict::None,
                    (Verdict::All, Verdict::All) => Verdict::All,
                    _ => Verdict::Unknown,
                }
            }
            Test::In(scalars) => {
                let mut verdicts = scalars.iter().map(|scalar| self.compare(CompareOp::Equal, scalar));
                let all = verdicts.clone().any(|verdict| verdict == Verdict::All);
                Zone::verdict(verdicts.all(|verdict| verdict == Verdict::None), all)
            }
        }
    }

    /// The verdict on values that are not null.
    fn compare(&self, op: CompareOp, scalar: &Scalar) -> Verdict {
        if matches!(scalar, Scalar::Null) {
            return Verdict::None;
        }
        let (Some(min), Some(max)) = (self.min.compare(scalar), self.max.compare(scalar)) else {
            return Verdict::Unknown;
        };
        match op {
            CompareOp::Equal => Zone::verdict(min.is_gt() || max.is_lt(), min.is_eq() && max.is_eq()),
            CompareOp::NotEqual => Zone::verdict(min.is_eq() && max.is_eq(), min.is_gt() || max.is_lt()),
            CompareOp::Less => Zone::verdict(min.is_ge(), max.is_lt()),
            CompareOp::LessOrEqual => Zone::verdict(min.is_gt(), max.is_le()),
            CompareOp::Greater => Zone::verdict(max.is_le(), min.is_gt()),
            CompareOp::GreaterOrEqual => Zone::verdict(max.is_lt(), min.is_ge()),
        }
    }

    fn verdict(none: bool, all: bool) -> Verdict {
        match (none, all) {
            (true, _) => Verdict::None,
            (_, true) => Verdict::All,
            _ => Verdict::Unknown,
        }
    }
}

/// A scalar at most as great as `min` that is short enough to keep.
pub(crate) fn lower_bound(min: &Scalar) -> Scalar {
    match min {
        Scalar::Bytes(bytes) if bytes.len() > STRING_BOUND_BYTES => {
            Scalar::Bytes(bytes[..STRING_BOUND_BYTES].to_vec())
        }
        short => short.clone(),
    }
}

/// A scalar at least as great as `max` that is short enough to keep; null where there is none.
pub(crate) fn upper_bound(max: &Scalar) -> Scalar {
    match max {
        Scalar::Bytes(bytes) if bytes.len() > STRING_BOUND_BYTES => {
            let mut bound = bytes[..STRING_BOUND_BYTES].to_vec();
            while let Some(last) = bound.pop() {
                if last < u8::MAX {
                    bound.push(last + 1);
                    return Scalar::Bytes(bound);
                }
            }
            Scalar::Null
        }
        short => short.clone(),
    }
}

/// Widens `bounds` by `other`; both are pairs of scalars of one kind. Null stands for "no values".
pub(crate) fn widen(bounds: &mut (Scalar, Scalar), other: (Scalar, Scalar)) {
    if bounds.0.compare(&other.0).is_none_or(Ordering::is_gt) && !matches!(other.0, Scalar::Null) {
        bounds.0 = other.0;
    }
    if bounds.1.compare(&other.1).is_none_or(Ordering::is_lt) && !matches!(other.1, Scalar::Null) {
        bounds.1 = other.1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_bounds_stay_bounds() {
        let long = |byte: u8| Scalar::Bytes(vec![byte; 40]);
        for byte in [0, b'a', 254, 255] {
            let (low, high) = (lower_bound(&long(byte)), upper_bound(&long(byte)));
            assert_ne!(low.compare(&long(byte)), Some(Ordering::Greater));
            assert_ne!(high.compare(&long(byte)), Some(Ordering::Less));
        }
        assert_eq!(upper_bound(&long(255)), Scalar::Null);
    }
}
