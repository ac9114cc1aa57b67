//! Comparisons. What bounds decide is not computed.

use super::cast_to_physical;
use super::node::{
    Input, Node, Operation, Side, boolean_shape, boolean_vector, null_vector, sides, strictly_null,
};
use crate::{CompareOp, Result, Shape};
use columnar::bitmap::both_valid;
use columnar::kernels::boolean::Truth;
use columnar::kernels::compare::{ConstantRelation, Relation, compare, compare_constant};
use columnar::{Bitmap, Flat, PhysicalType, Scalar, Value, Values, Vector};
use std::cmp::Ordering;

/// `left op right`; both have one type.
pub(super) fn comparison(op: CompareOp, left: Node, right: Node) -> Node {
    let distinctness = matches!(op, CompareOp::IsDistinctFrom | CompareOp::IsNotDistinctFrom);
    let nullable = !distinctness && (left.shape().nullable || right.shape().nullable);
    let width = left.shape().physical.max(right.shape().physical);
    let integral = left.data_type().is_integral() && right.data_type().is_integral();
    let decided = if integral { decide(op, left.bounds(), right.bounds()) } else { None };
    let plain = !left.shape().nullable && !right.shape().nullable;
    if let Some(answer) = decided
        && plain
        && !left.is_fallible()
        && !right.is_fallible()
    {
        return Node::constant(Value::boolean(answer));
    }
    if !distinctness && strictly_null(&left, &right) {
        return Node::constant(Value::null(columnar::DataType::Boolean));
    }
    let decided = decided.filter(|_| !distinctness);
    Node::over(vec![left, right], boolean_shape(nullable), false, |operands| {
        Box::new(Comparison { op, decided, width, operands, shape: boolean_shape(nullable) })
    })
}

/// The answer for all values within the bounds, where there is one.
fn decide(op: CompareOp, a: (i128, i128), b: (i128, i128)) -> Option<bool> {
    let apart = a.1 < b.0 || b.1 < a.0;
    let same = a.0 == a.1 && a == b;
    match op {
        CompareOp::Equal => {
            if apart {
                Some(false)
            } else {
                same.then_some(true)
            }
        }
        CompareOp::Less => {
            if a.1 < b.0 {
                Some(true)
            } else {
                (a.0 >= b.1).then_some(false)
            }
        }
        CompareOp::LessOrEqual => {
            if a.1 <= b.0 {
                Some(true)
            } else {
                (a.0 > b.1).then_some(false)
            }
        }
        CompareOp::Greater => decide(CompareOp::Less, b, a),
        CompareOp::GreaterOrEqual => decide(CompareOp::LessOrEqual, b, a),
        CompareOp::NotEqual => decide(CompareOp::Equal, a, b).map(|answer| !answer),
        CompareOp::IsDistinctFrom | CompareOp::IsNotDistinctFrom => None,
    }
}

#[derive(Debug)]
struct Comparison {
    op: CompareOp,
    /// The answer for rows that are not null.
    decided: Option<bool>,
    /// Holds the values of both sides.
    width: PhysicalType,
    /// Two.
    operands: Vec<Node>,
    shape: Shape,
}

impl Operation for Comparison {
    fn evaluate(&self, input: &Input<'_>) -> Result<Vector> {
        let (left, right) = sides(&self.operands, input)?;
        let rows = input.rows;
        let distinctness = matches!(self.op, CompareOp::IsDistinctFrom | CompareOp::IsNotDistinctFrom);
        if !distinctness {
            if matches!(left, Side::Null) || matches!(right, Side::Null) {
                return Ok(null_vector(&self.shape, rows));
            }
            let validity = both_valid(left.validity(), right.validity());
            let values = match self.decided {
                Some(answer) => Bitmap::filled(answer, rows),
                None => compare_sides(self.op, &left, &right, self.width, rows),
            };
            return Ok(boolean_vector(Truth::new(values, validity)));
        }
        let valid = |side: &Side| match side {
            Side::Null => Bitmap::filled(false, rows),
            side => side.validity().cloned().unwrap_or_else(|| Bitmap::filled(true, rows)),
        };
        let (a, b) = (valid(&left), valid(&right));
        let equal = match (&left, &right) {
            (Side::Null, _) | (_, Side::Null) => Bitmap::filled(false, rows),
            _ => compare_sides(CompareOp::Equal, &left, &right, self.width, rows),
        };
        // Alike: both valid and equal, or both null.
        let alike = equal.and(&a).and(&b).or(&a.or(&b).not());
        let alike = if self.op == CompareOp::IsDistinctFrom { alike.not() } else { alike };
        Ok(boolean_vector(Truth::new(alike, None)))
    }
}

/// A bit a row where `op` holds between values; validity is not looked at. No side is null.
pub(super) fn compare_sides(
    op: CompareOp,
    left: &Side,
    right: &Side,
    width: PhysicalType,
    rows: usize,
) -> Bitmap {
    let widened = |flat: &Flat| match cast_to_physical(&Vector::Flat(flat.clone()), width) {
        Vector::Flat(flat) => flat.values,
        other => other.flatten().values,
    };
    match (left, right) {
        (Side::Flat(left), Side::Flat(right)) => compare_values(op, &widened(left), &widened(right)),
        (Side::Flat(left), Side::Constant(right)) => compare_with_constant(op, &widened(left), right),
        (Side::Constant(left), Side::Flat(right)) => {
            compare_with_constant(op.swapped(), &widened(right), left)
        }
        (Side::Constant(left), Side::Constant(right)) => {
            let holds = left.compare(right).is_some_and(|order| order_holds(op, order));
            Bitmap::filled(holds, rows)
        }
        (Side::Null, _) | (_, Side::Null) => Bitmap::filled(false, rows),
    }
}

fn order_holds(op: CompareOp, order: Ordering) -> bool {
    match op {
        CompareOp::Equal | CompareOp::IsNotDistinctFrom => order.is_eq(),
        CompareOp::NotEqual | CompareOp::IsDistinctFrom => order.is_ne(),
        CompareOp::Less => order.is_lt(),
        CompareOp::LessOrEqual => order.is_le(),
        CompareOp::Greater => order.is_gt(),
        CompareOp::GreaterOrEqual => order.is_ge(),
    }
}

fn compare_values(op: CompareOp, a: &Values, b: &Values) -> Bitmap {
    match op {
        CompareOp::Equal | CompareOp::IsNotDistinctFrom => compare(Relation::Equal, a, b),
        CompareOp::NotEqual | CompareOp::IsDistinctFrom => compare(Relation::Equal, a, b).not(),
        CompareOp::Less => compare(Relation::Less, a, b),
        CompareOp::Greater => compare(Relation::Less, b, a),
        CompareOp::LessOrEqual => compare(Relation::Less, b, a).not(),
        CompareOp::GreaterOrEqual => compare(Relation::Less, a, b).not(),
    }
}

fn compare_with_constant(op: CompareOp, a: &Values, b: &Scalar) -> Bitmap {
    match op {
        CompareOp::Equal | CompareOp::IsNotDistinctFrom => compare_constant(ConstantRelation::Equal, a, b),
        CompareOp::NotEqual | CompareOp::IsDistinctFrom => {
            compare_constant(ConstantRelation::Equal, a, b).not()
        }
        CompareOp::Less => compare_constant(ConstantRelation::Less, a, b),
        CompareOp::Greater => compare_constant(ConstantRelation::Greater, a, b),
        CompareOp::LessOrEqual => compare_constant(ConstantRelation::Greater, a, b).not(),
        CompareOp::GreaterOrEqual => compare_constant(ConstantRelation::Less, a, b).not(),
    }
}
