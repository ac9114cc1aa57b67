//! Bounds: what a top-N knows of the first key of the rows that it will give, given sideways to the scan that the
//! key comes from.
//!
//! Once a task of the top-N holds as many rows as are wanted, a row whose first key comes behind that of the last of
//! them is not among the first. The scan asks for the bound again and again, reads the blocks that may begin the
//! order first, and leaves out blocks and rows behind the bound before it reads their other columns.

use crate::plan::SortKey;
use columnar::Scalar;
use parking_lot::Mutex;
use std::cmp::Ordering;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Release};
use storage::{CompareOp, Test};

/// The value of the first key that rows must not come behind. It only ever moves to the front.
pub struct Bound {
    descending: bool,
    nulls_first: bool,
    /// There is no other key: rows at the bound are not wanted either.
    only: bool,
    value: Mutex<Option<Scalar>>,
    /// How often it has moved.
    moves: AtomicU64,
}

/// A bound, and the column of the rows that it is of.
pub type BoundColumn = (usize, Arc<Bound>);

impl Bound {
    /// A bound of an order by `key`, and by other keys unless it is the `only` one. Nothing is known yet.
    pub fn new(key: &SortKey, only: bool) -> Bound {
        Bound {
            descending: key.descending,
            nulls_first: key.nulls_first,
            only,
            value: Mutex::default(),
            moves: AtomicU64::new(0),
        }
    }

    /// There are as many rows as are wanted whose first key is `value` or comes before it.
    pub fn reached(&self, value: Scalar) {
        let mut held = self.value.lock();
        if held.as_ref().is_none_or(|held| self.order(&value, held).is_lt()) {
            *held = Some(value);
            self.moves.fetch_add(1, Release);
        }
    }

    /// A number that grows as the bound moves; 0 while nothing is known.
    pub fn moves(&self) -> u64 {
        self.moves.load(Acquire)
    }

    /// What the first key of a row must pass for the row to be wanted; `None`: nothing.
    pub fn test(&self) -> Option<Test> {
        let op = match (self.descending, self.only) {
            (false, false) => CompareOp::LessOrEqual,
            (false, true) => CompareOp::Less,
            (true, false) => CompareOp::GreaterOrEqual,
            (true, true) => CompareOp::Greater,
        };
        match (self.value.lock().clone()?, self.nulls_first, self.only) {
            (Scalar::Null, true, false) => Some(Test::IsNull),
            (Scalar::Null, true, true) => Some(Test::In(Vec::new())),
            (Scalar::Null, false, true) => Some(Test::IsNotNull),
            (Scalar::Null, false, false) => None,
            (value, true, _) => Some(Test::OrNull(Box::new(Test::Compare(op, value)))),
            (value, false, _) => Some(Test::Compare(op, value)),
        }
    }

    /// The order of two values of the key.
    pub fn order(&self, a: &Scalar, b: &Scalar) -> Ordering {
        let null = |value: &Scalar| matches!(value, Scalar::Null) != self.nulls_first;
        match a.compare(b) {
            Some(order) if self.descending => order.reverse(),
            Some(order) => order,
            None => null(a).cmp(&null(b)),
        }
    }

    /// The first value that rows with values from `min` to `max`, of which `nulls` of `rows` are null, may have;
    /// `None`: any.
    pub fn first<'a>(&self, min: &'a Scalar, max: &'a Scalar, nulls: u64, rows: u64) -> Option<&'a Scalar> {
        match if self.descending { max } else { min } {
            _ if nulls > 0 && (self.nulls_first || nulls == rows) => Some(&Scalar::Null),
            Scalar::Null => None,
            first => Some(first),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Expr;
    use columnar::DataType;

    fn bound(descending: bool, nulls_first: bool, only: bool) -> Bound {
        let key = SortKey { expr: Expr::column(0, DataType::Int64), descending, nulls_first };
        Bound::new(&key, only)
    }

    fn passes(test: &Test, value: &Scalar) -> bool {
        match test {
            Test::IsNull => *value == Scalar::Null,
            Test::IsNotNull => *value != Scalar::Null,
            Test::OrNull(test) => *value == Scalar::Null || passes(test, value),
            Test::Compare(op, bound) => value.compare(bound).is_some_and(|order| op.holds(order)),
            Test::In(values) => values.contains(value),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn rows_that_do_not_come_behind_pass() {
        let values = [Scalar::Null, Scalar::Integer(-1), Scalar::Integer(0), Scalar::Integer(1)];
        for flags in 0..8 {
            let (descending, nulls_first, only) = (flags & 1 > 0, flags & 2 > 0, flags & 4 > 0);
            for reached in &values {
                let bound = bound(descending, nulls_first, only);
                assert!(bound.test().is_none() && bound.moves() == 0);
                bound.reached(reached.clone());
                let test = bound.test();
                for value in &values {
                    let order = bound.order(value, reached);
                    let wanted = if only { order.is_lt() } else { order.is_le() };
                    let passes = test.as_ref().is_none_or(|test| passes(test, value));
                    assert_eq!(passes, wanted, "{value:?} against {reached:?}, {flags}");
                }
            }
        }
    }

    #[test]
    fn it_moves_to_the_front_only() {
        let bound = bound(true, false, false);
        for (value, moves) in [(Scalar::Null, 1), (Scalar::Integer(3), 2), (Scalar::Integer(2), 2)] {
            bound.reached(value);
            assert_eq!(bound.moves(), moves);
        }
        bound.reached(Scalar::Integer(4));
        assert!(matches!(bound.test(), Some(Test::Compare(CompareOp::GreaterOrEqual, Scalar::Integer(4)))));
    }

    #[test]
    fn what_a_block_may_begin_with() {
        let (low, high) = (Scalar::Integer(1), Scalar::Integer(9));
        let first = |descending, nulls_first, nulls| {
            bound(descending, nulls_first, false).first(&low, &high, nulls, 5).cloned()
        };
        assert_eq!(first(false, false, 2), Some(low.clone()));
        assert_eq!(first(true, false, 2), Some(high.clone()));
        assert_eq!(first(true, true, 2), Some(Scalar::Null));
        assert_eq!(first(true, true, 0), Some(high.clone()));
        assert_eq!(first(false, false, 5), Some(Scalar::Null));
        let unknown = bound(true, false, false);
        assert_eq!(unknown.first(&low, &Scalar::Null, 0, 5), None);
    }
}
