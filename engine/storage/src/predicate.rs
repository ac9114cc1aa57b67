//! Predicates that a scan evaluates on encoded columns.

use crate::error::Result;
use crate::text::TextAutomaton;
use columnar::{Bitmap, Scalar, Vector};
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// A test of one column. A conjunction of these is what a segment filters by.
#[derive(Clone, Debug)]
pub struct ColumnPredicate {
    /// Position in the schema.
    pub column: u32,
    pub test: Test,
}

/// What is asked of a value. Scalars are of the column's kind (integers unscaled, floats as `f64`). A null
/// passes [`Test::IsNull`] and [`Test::OrNull`] only; a null scalar lets nothing pass.
#[derive(Clone, Debug)]
pub enum Test {
    Compare(CompareOp, Scalar),
    /// Both ends included.
    Between(Scalar, Scalar),
    /// Equal to one of these; nulls among them are ignored.
    In(Vec<Scalar>),
    IsNull,
    IsNotNull,
    /// Null, or what passes another test.
    OrNull(Box<Test>),
    /// Text that the automaton accepts.
    Text(Arc<TextAutomaton>),
    /// Any test that cannot fail. On dictionary columns it runs once a distinct value.
    Custom(Arc<dyn VectorTest>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompareOp {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl CompareOp {
    /// Whether `a op b` holds, by how `a` orders against `b`.
    #[inline]
    pub fn holds(self, ordering: Ordering) -> bool {
        match self {
            CompareOp::Equal => ordering.is_eq(),
            CompareOp::NotEqual => ordering.is_ne(),
            CompareOp::Less => ordering.is_lt(),
            CompareOp::LessOrEqual => ordering.is_le(),
            CompareOp::Greater => ordering.is_gt(),
            CompareOp::GreaterOrEqual => ordering.is_ge(),
        }
    }
}

/// A predicate over one column that storage knows nothing about.
pub trait VectorTest: Send + Sync {
    /// A bit a row, set where the value passes. Bits of null rows are ignored.
    fn test(&self, values: &Vector) -> Result<Bitmap>;
}

impl fmt::Debug for dyn VectorTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VectorTest")
    }
}
