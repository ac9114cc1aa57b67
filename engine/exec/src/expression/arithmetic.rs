//! Arithmetic: integers and decimals at the narrowest sufficient width, floats as they are.

use super::bounds::{contains, of_operation, within};
use super::node::{
    Input, Node, Operation, Side, any_valid, bounded_shape, null_vector, plain_shape, sides, strictly_null,
};
use crate::{ArithmeticOp, Result, Shape};
use columnar::bitmap::both_valid;
use columnar::kernels::arithmetic::{self as kernel, FloatOperation, Operand};
use columnar::kernels::cast::{integer_at, integers_outside, to_width};
use columnar::{Bitmap, DataType, Error, Flat, PhysicalType, Scalar, Value, Values, Vector};

/// `left op right` of type `data_type` (see [`crate::Expr::Arithmetic`] on the operands' types; dates count
/// as integers of days).
pub(crate) fn arithmetic(op: ArithmeticOp, left: Node, right: Node, data_type: DataType) -> Node {
    let nullable = left.shape().nullable || right.shape().nullable;
    if data_type == DataType::Null || strictly_null(&left, &right) {
        return Node::constant(Value::null(data_type));
    }
    if !data_type.is_integral() {
        let shape = plain_shape(data_type, nullable);
        let kept = shape.clone();
        return Node::over(vec![left, right], shape, true, |operands| {
            Box::new(Floats { op: float_operation(op), what: what(op, data_type), operands, shape: kept })
        });
    }
    let (a, b) = (left.bounds(), right.bounds());
    let limits = data_type.integer_bounds().unwrap_or((i128::MIN, i128::MAX));
    let exact = of_operation(op, a, b);
    let proven = exact.is_some_and(|exact| contains(limits, exact));
    let bounds = exact.map_or(limits, |exact| within(exact, limits));
    let shape = bounded_shape(data_type, nullable, bounds);
    let divides = matches!(op, ArithmeticOp::Divide | ArithmeticOp::Modulo);
    let zero_divisor = divides && b.0 <= 0 && 0 <= b.1;
    let compute = match exact {
        _ if proven && !divides => Compute::Proven,
        _ if divides => {
            // Wide enough for both operands and the quotient of the least value by -1.
            let quotient = exact.unwrap_or((i128::MIN, i128::MAX));
            let all = [a, b, quotient];
            let low = all.iter().fold(0, |low, bounds| low.min(bounds.0));
            let high = all.iter().fold(0, |high, bounds| high.max(bounds.1));
            Compute::Divide(PhysicalType::for_bounds(low, high))
        }
        Some(exact) => {
            let width = PhysicalType::for_bounds(exact.0, exact.1);
            let narrow = [&left, &right].iter().all(|node| node.shape().physical <= PhysicalType::I64);
            match width {
                // Detecting overflow at 64 bits is cheaper than computing with 128.
                PhysicalType::I128 if narrow && contains(i64_bounds(), limits) => {
                    Compute::Checked(PhysicalType::I64)
                }
                width => Compute::Wide(width),
            }
        }
        None => Compute::Checked(PhysicalType::I128),
    };
    let kept = shape.clone();
    let (what, limits) = (what(op, data_type), (!proven).then_some(limits));
    Node::over(vec![left, right], shape, zero_divisor || !proven, |operands| {
        Box::new(Integers { op, what, compute, limits, zero_divisor, operands, shape: kept })
    })
}

fn i64_bounds() -> (i128, i128) {
    (i64::MIN.into(), i64::MAX.into())
}

fn what(op: ArithmeticOp, data_type: DataType) -> String {
    let name = match op {
        ArithmeticOp::Add => "addition",
        ArithmeticOp::Subtract => "subtraction",
        ArithmeticOp::Multiply => "multiplication",
        ArithmeticOp::Divide => "division",
        ArithmeticOp::Modulo => "remainder",
    };
    format!("{name} of {data_type}")
}

fn float_operation(op: ArithmeticOp) -> FloatOperation {
    match op {
        ArithmeticOp::Add => FloatOperation::Add,
        ArithmeticOp::Subtract => FloatOperation::Subtract,
        ArithmeticOp::Multiply => FloatOperation::Multiply,
        ArithmeticOp::Divide => FloatOperation::Divide,
        ArithmeticOp::Modulo => FloatOperation::Modulo,
    }
}

/// How integers are computed.
#[derive(Clone, Copy, Debug)]
enum Compute {
    /// At the result's width: it cannot overflow.
    Proven,
    /// At a width that holds every result, then held against the type's range.
    Wide(PhysicalType),
    /// At this width, looking for overflow.
    Checked(PhysicalType),
    /// A quotient or remainder, at a width that holds operands and result.
    Divide(PhysicalType),
}

#[derive(Debug)]
struct Integers {
    op: ArithmeticOp,
    what: String,
    compute: Compute,
    /// The type's range, where results may leave it.
    limits: Option<(i128, i128)>,
    zero_divisor: bool,
    /// Two.
    operands: Vec<Node>,
    shape: Shape,
}

impl Operation for Integers {
    fn evaluate(&self, input: &Input<'_>) -> Result<Vector> {
        let (left, right) = sides(&self.operands, input)?;
        if matches!(left, Side::Null) || matches!(right, Side::Null) {
            return Ok(null_vector(&self.shape, input.rows));
        }
        let validity = both_valid(left.validity(), right.validity());
        let values = match self.compute {
            Compute::Proven => self.wrapping(&left, &right, self.shape.physical, input.rows),
            Compute::Wide(width) => self.wrapping(&left, &right, width, input.rows),
            Compute::Checked(width) => self.checked(&left, &right, width, validity.as_ref(), input.rows)?,
            Compute::Divide(width) => self.divide(&left, &right, width, validity.as_ref(), input.rows)?,
        };
        if let Some((low, high)) = self.limits
            && integers_outside(&values, low, high)
            && any_valid(validity.as_ref(), input.rows, |row| {
                !(low..=high).contains(&integer_at(&values, row))
            })
        {
            return Err(self.out_of_range().into());
        }
        let values = to_width(&values, self.shape.physical);
        Ok(Flat::new(self.shape.data_type, values, validity).into())
    }
}

impl Integers {
    fn out_of_range(&self) -> Error {
        Error::OutOfRange { what: self.what.clone() }
    }

    fn wrapping(&self, left: &Side, right: &Side, width: PhysicalType, rows: usize) -> Values {
        let operation = match self.op {
            ArithmeticOp::Add => kernel::Operation::Add,
            ArithmeticOp::Subtract => kernel::Operation::Subtract,
            _ => kernel::Operation::Multiply,
        };
        let result = kernel::wrapping(operation, operand(left), operand(right), width);
        // Two constants give one row.
        if result.len() == rows { result } else { Values::repeat(&result.scalar(0), width, rows) }
    }

    fn checked(
        &self,
        left: &Side,
        right: &Side,
        width: PhysicalType,
        validity: Option<&Bitmap>,
        rows: usize,
    ) -> Result<Values> {
        let operation = match self.op {
            ArithmeticOp::Add => kernel::Operation::Add,
            ArithmeticOp::Subtract => kernel::Operation::Subtract,
            _ => kernel::Operation::Multiply,
        };
        let (a, b) = (values_of(left, width, rows), values_of(right, width, rows));
        let (values, overflow) = kernel::checked(operation, &a, &b);
        let limits = width.integer_bounds().unwrap_or((i128::MIN, i128::MAX));
        let overflows = |row: usize| {
            let (a, b) = (integer_at(&a, row), integer_at(&b, row));
            let result = match self.op {
                ArithmeticOp::Add => a.checked_add(b),
                ArithmeticOp::Subtract => a.checked_sub(b),
                _ => a.checked_mul(b),
            };
            result.is_none_or(|value| value < limits.0 || value > limits.1)
        };
        if overflow && any_valid(validity, rows, overflows) {
            return Err(self.out_of_range().into());
        }
        Ok(values)
    }

    fn divide(
        &self,
        left: &Side,
        right: &Side,
        width: PhysicalType,
        validity: Option<&Bitmap>,
        rows: usize,
    ) -> Result<Values> {
        let (a, b) = (values_of(left, width, rows), values_of(right, width, rows));
        if self.zero_divisor && any_valid(validity, rows, |row| integer_at(&b, row) == 0) {
            return Err(Error::DivisionByZero.into());
        }
        if width == PhysicalType::I128
            && self.op == ArithmeticOp::Divide
            && any_valid(validity, rows, |row| integer_at(&b, row) == -1 && integer_at(&a, row) == i128::MIN)
        {
            return Err(self.out_of_range().into());
        }
        Ok(kernel::quotients(&a, &b, self.op == ArithmeticOp::Modulo))
    }
}

fn operand(side: &Side) -> Operand<'_> {
    match side {
        Side::Flat(flat) => Operand::Values(&flat.values),
        Side::Constant(scalar) => Operand::Constant(scalar.as_integer().unwrap_or(0)),
        Side::Null => Operand::Constant(0),
    }
}

/// A value a row, at `width`.
fn values_of(side: &Side, width: PhysicalType, rows: usize) -> Values {
    match side {
        Side::Flat(flat) => to_width(&flat.values, width),
        Side::Constant(scalar) => Values::repeat(scalar, width, rows),
        Side::Null => Values::repeat(&Scalar::Null, width, rows),
    }
}

#[derive(Debug)]
struct Floats {
    op: FloatOperation,
    what: String,
    /// Two.
    operands: Vec<Node>,
    shape: Shape,
}

impl Operation for Floats {
    fn evaluate(&self, input: &Input<'_>) -> Result<Vector> {
        let (left, right) = sides(&self.operands, input)?;
        if matches!(left, Side::Null) || matches!(right, Side::Null) {
            return Ok(null_vector(&self.shape, input.rows));
        }
        let validity = both_valid(left.validity(), right.validity());
        let rows = input.rows;
        let width = self.shape.physical;
        let (a, b) = (values_of(&left, width, rows), values_of(&right, width, rows));
        macro_rules! run {
            ($a:expr, $b:expr, $kernel:ident, $variant:ident) => {{
                let (a, b) = ($a, $b);
                let divides = matches!(self.op, FloatOperation::Divide | FloatOperation::Modulo);
                if divides && any_valid(validity.as_ref(), rows, |row| b[row] == 0.0) {
                    return Err(Error::DivisionByZero.into());
                }
                let (results, special) = kernel::$kernel(self.op, a, b);
                let overflows =
                    |row: usize| results[row].is_infinite() && a[row].is_finite() && b[row].is_finite();
                if special && any_valid(validity.as_ref(), rows, overflows) {
                    return Err(Error::OutOfRange { what: self.what.clone() }.into());
                }
                Values::$variant(results.into())
            }};
        }
        let values = match (&a, &b) {
            (Values::F64(a), Values::F64(b)) => run!(a, b, float64, F64),
            (Values::F32(a), Values::F32(b)) => run!(a, b, float32, F32),
            _ => return Err(crate::Error::Internal(format!("{} of other values", self.what))),
        };
        Ok(Flat::new(self.shape.data_type, values, validity).into())
    }
}
