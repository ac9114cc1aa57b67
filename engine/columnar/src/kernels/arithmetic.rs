//! Arithmetic of integers and floats, whole vectors at a time.
//!
//! Integer results are taken modulo the width of the output: exact where the caller has proven that they
//! fit it (whatever the width of the operands), which is how most arithmetic runs. Otherwise the checked
//! kernels say whether any row left the width; the caller then looks which rows those were.

use super::cast::to_width;
use super::number::{CastTo, Integer};
use crate::{PhysicalType, Values, kernel};

/// What to compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Add,
    Subtract,
    Multiply,
}

/// One side of an operation.
#[derive(Clone, Copy, Debug)]
pub enum Operand<'a> {
    Values(&'a Values),
    Constant(i128),
}

kernel! {
    pub fn add[A: CastTo<O>, B: CastTo<O>, O: Integer](a: &[A], b: &[B]) -> Vec<O> {
        a.iter().zip(b).map(|(&a, &b)| a.cast().wrapping_add(b.cast())).collect()
    }
}
kernel! {
    pub fn subtract[A: CastTo<O>, B: CastTo<O>, O: Integer](a: &[A], b: &[B]) -> Vec<O> {
        a.iter().zip(b).map(|(&a, &b)| a.cast().wrapping_sub(b.cast())).collect()
    }
}
kernel! {
    pub fn multiply[A: CastTo<O>, B: CastTo<O>, O: Integer](a: &[A], b: &[B]) -> Vec<O> {
        a.iter().zip(b).map(|(&a, &b)| a.cast().wrapping_mul(b.cast())).collect()
    }
}
kernel! {
    /// `a + b`.
    pub fn add_constant[A: CastTo<O>, O: Integer](a: &[A], b: O) -> Vec<O> {
        a.iter().map(|&a| a.cast().wrapping_add(b)).collect()
    }
}
kernel! {
    /// `b - a`.
    pub fn subtract_from_constant[A: CastTo<O>, O: Integer](a: &[A], b: O) -> Vec<O> {
        a.iter().map(|&a| b.wrapping_sub(a.cast())).collect()
    }
}
kernel! {
    /// `a * b`.
    pub fn multiply_constant[A: CastTo<O>, O: Integer](a: &[A], b: O) -> Vec<O> {
        a.iter().map(|&a| a.cast().wrapping_mul(b)).collect()
    }
}

/// The result modulo the width `output`. Operands are integers of any width; not both constants.
pub fn wrapping(operation: Operation, a: Operand<'_>, b: Operand<'_>, output: PhysicalType) -> Values {
    match (a, b) {
        (Operand::Values(a), Operand::Values(b)) => wrapping_values(operation, a, b, output),
        (Operand::Values(a), Operand::Constant(b)) => match operation {
            Operation::Add => wrapping_constant(ConstantOperation::Add, a, b, output),
            Operation::Subtract => wrapping_constant(ConstantOperation::Add, a, b.wrapping_neg(), output),
            Operation::Multiply => wrapping_constant(ConstantOperation::Multiply, a, b, output),
        },
        (Operand::Constant(a), Operand::Values(b)) => match operation {
            Operation::Add => wrapping_constant(ConstantOperation::Add, b, a, output),
            Operation::Subtract => wrapping_constant(ConstantOperation::SubtractFrom, b, a, output),
            Operation::Multiply => wrapping_constant(ConstantOperation::Multiply, b, a, output),
        },
        (Operand::Constant(a), Operand::Constant(b)) => {
            let one = Values::I128(vec![a].into());
            wrapping(operation, Operand::Values(&one), Operand::Constant(b), output)
        }
    }
}

fn wrapping_values(operation: Operation, a: &Values, b: &Values, output: PhysicalType) -> Values {
    macro_rules! run {
        ($a:expr, $b:expr, $variant:ident) => {
            Values::$variant(match operation {
                Operation::Add => add(&$a[..], &$b[..]).into(),
                Operation::Subtract => subtract(&$a[..], &$b[..]).into(),
                Operation::Multiply => multiply(&$a[..], &$b[..]).into(),
            })
        };
    }
    match (output, a, b) {
        (PhysicalType::I8, Values::I8(a), Values::I8(b)) => run!(a, b, I8),
        (PhysicalType::I16, Values::I16(a), Values::I16(b)) => run!(a, b, I16),
        (PhysicalType::I32, Values::I8(a), Values::I16(b)) => run!(a, b, I32),
        (PhysicalType::I32, Values::I8(a), Values::I32(b)) => run!(a, b, I32),
        (PhysicalType::I32, Values::I16(a), Values::I8(b)) => run!(a, b, I32),
        (PhysicalType::I32, Values::I16(a), Values::I16(b)) => run!(a, b, I32),
        (PhysicalType::I32, Values::I16(a), Values::I32(b)) => run!(a, b, I32),
        (PhysicalType::I32, Values::I32(a), Values::I8(b)) => run!(a, b, I32),
        (PhysicalType::I32, Values::I32(a), Values::I16(b)) => run!(a, b, I32),
        (PhysicalType::I32, Values::I32(a), Values::I32(b)) => run!(a, b, I32),
        (PhysicalType::I64, Values::I8(a), Values::I32(b)) => run!(a, b, I64),
        (PhysicalType::I64, Values::I8(a), Values::I64(b)) => run!(a, b, I64),
        (PhysicalType::I64, Values::I16(a), Values::I32(b)) => run!(a, b, I64),
        (PhysicalType::I64, Values::I16(a), Values::I64(b)) => run!(a, b, I64),
        (PhysicalType::I64, Values::I32(a), Values::I8(b)) => run!(a, b, I64),
        (PhysicalType::I64, Values::I32(a), Values::I16(b)) => run!(a, b, I64),
        (PhysicalType::I64, Values::I32(a), Values::I32(b)) => run!(a, b, I64),
        (PhysicalType::I64, Values::I32(a), Values::I64(b)) => run!(a, b, I64),
        (PhysicalType::I64, Values::I64(a), Values::I8(b)) => run!(a, b, I64),
        (PhysicalType::I64, Values::I64(a), Values::I16(b)) => run!(a, b, I64),
        (PhysicalType::I64, Values::I64(a), Values::I32(b)) => run!(a, b, I64),
        (PhysicalType::I64, Values::I64(a), Values::I64(b)) => run!(a, b, I64),
        (PhysicalType::I128, Values::I64(a), Values::I64(b)) => run!(a, b, I128),
        (PhysicalType::I128, Values::I64(a), Values::I128(b)) => run!(a, b, I128),
        (PhysicalType::I128, Values::I128(a), Values::I64(b)) => run!(a, b, I128),
        (PhysicalType::I128, Values::I128(a), Values::I128(b)) => run!(a, b, I128),
        // Other pairs of widths are rare: they go through the output's width.
        _ => match (output, to_width(a, output), to_width(b, output)) {
            (PhysicalType::I8, Values::I8(a), Values::I8(b)) => run!(a, b, I8),
            (PhysicalType::I16, Values::I16(a), Values::I16(b)) => run!(a, b, I16),
            (PhysicalType::I32, Values::I32(a), Values::I32(b)) => run!(a, b, I32),
            (PhysicalType::I64, Values::I64(a), Values::I64(b)) => run!(a, b, I64),
            (PhysicalType::I128, Values::I128(a), Values::I128(b)) => run!(a, b, I128),
            (_, a, _) => {
                debug_assert!(false, "integer arithmetic of other values");
                a
            }
        },
    }
}

#[derive(Clone, Copy)]
enum ConstantOperation {
    Add,
    SubtractFrom,
    Multiply,
}

fn wrapping_constant(operation: ConstantOperation, a: &Values, b: i128, output: PhysicalType) -> Values {
    macro_rules! run {
        ($a:expr, $variant:ident, $type:ty) => {{
            let b = <$type>::truncate(b);
            Values::$variant(match operation {
                ConstantOperation::Add => add_constant(&$a[..], b).into(),
                ConstantOperation::SubtractFrom => subtract_from_constant(&$a[..], b).into(),
                ConstantOperation::Multiply => multiply_constant(&$a[..], b).into(),
            })
        }};
    }
    match (output, a) {
        (PhysicalType::I32, Values::I8(a)) => run!(a, I32, i32),
        (PhysicalType::I32, Values::I16(a)) => run!(a, I32, i32),
        (PhysicalType::I64, Values::I16(a)) => run!(a, I64, i64),
        (PhysicalType::I64, Values::I32(a)) => run!(a, I64, i64),
        (PhysicalType::I128, Values::I64(a)) => run!(a, I128, i128),
        _ => match (output, to_width(a, output)) {
            (PhysicalType::I8, Values::I8(a)) => run!(a, I8, i8),
            (PhysicalType::I16, Values::I16(a)) => run!(a, I16, i16),
            (PhysicalType::I32, Values::I32(a)) => run!(a, I32, i32),
            (PhysicalType::I64, Values::I64(a)) => run!(a, I64, i64),
            (PhysicalType::I128, Values::I128(a)) => run!(a, I128, i128),
            (_, a) => {
                debug_assert!(false, "integer arithmetic of other values");
                a
            }
        },
    }
}

kernel! {
    fn add_overflows[T: Integer](a: &[T], b: &[T]) -> (Vec<T>, bool) {
        let mut overflow = false;
        let sums = a.iter().zip(b).map(|(&a, &b)| {
            let (sum, over) = a.overflowing_add(b);
            overflow |= over;
            sum
        }).collect();
        (sums, overflow)
    }
}
kernel! {
    fn subtract_overflows[T: Integer](a: &[T], b: &[T]) -> (Vec<T>, bool) {
        let mut overflow = false;
        let differences = a.iter().zip(b).map(|(&a, &b)| {
            let (difference, over) = a.overflowing_sub(b);
            overflow |= over;
            difference
        }).collect();
        (differences, overflow)
    }
}
kernel! {
    fn multiply_overflows[T: Integer](a: &[T], b: &[T]) -> (Vec<T>, bool) {
        let mut overflow = false;
        let products = a.iter().zip(b).map(|(&a, &b)| {
            let (product, over) = a.overflowing_mul(b);
            overflow |= over;
            product
        }).collect();
        (products, overflow)
    }
}

/// The result at 64 or 128 bits, and whether some row left that width (its value is then meaningless).
pub fn checked(operation: Operation, a: &Values, b: &Values) -> (Values, bool) {
    macro_rules! run {
        ($a:expr, $b:expr, $variant:ident) => {{
            let (values, overflow) = match operation {
                Operation::Add => add_overflows(&$a[..], &$b[..]),
                Operation::Subtract => subtract_overflows(&$a[..], &$b[..]),
                Operation::Multiply => multiply_overflows(&$a[..], &$b[..]),
            };
            (Values::$variant(values.into()), overflow)
        }};
    }
    match (a, b) {
        (Values::I64(a), Values::I64(b)) => run!(a, b, I64),
        _ => match (to_width(a, PhysicalType::I128), to_width(b, PhysicalType::I128)) {
            (Values::I128(a), Values::I128(b)) => run!(a, b, I128),
            (a, _) => {
                debug_assert!(false, "integer arithmetic of other values");
                (a, true)
            }
        },
    }
}

kernel! {
    /// Truncating quotients; a zero divisor counts as 1. Of the least value by -1: wraps.
    pub fn divide[T: Integer](a: &[T], b: &[T], one: T) -> Vec<T> {
        a.iter().zip(b).map(|(&a, &b)| a.wrapping_div(if b == T::default() { one } else { b })).collect()
    }
}
kernel! {
    /// Remainders with the sign of the dividend; a zero divisor counts as 1.
    pub fn remainder[T: Integer](a: &[T], b: &[T], one: T) -> Vec<T> {
        a.iter().zip(b).map(|(&a, &b)| a.wrapping_rem(if b == T::default() { one } else { b })).collect()
    }
}

/// Truncating quotients, or remainders, of integers of one width. A zero divisor counts as 1: the caller
/// has looked for them.
pub fn quotients(a: &Values, b: &Values, remainders: bool) -> Values {
    macro_rules! run {
        ($a:expr, $b:expr, $variant:ident) => {
            Values::$variant(if remainders { remainder($a, $b, 1).into() } else { divide($a, $b, 1).into() })
        };
    }
    match (a, b) {
        (Values::I8(a), Values::I8(b)) => run!(a, b, I8),
        (Values::I16(a), Values::I16(b)) => run!(a, b, I16),
        (Values::I32(a), Values::I32(b)) => run!(a, b, I32),
        (Values::I64(a), Values::I64(b)) => run!(a, b, I64),
        (Values::I128(a), Values::I128(b)) => run!(a, b, I128),
        (a, _) => {
            debug_assert!(false, "integer arithmetic of other values");
            a.clone()
        }
    }
}

/// What floats can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FloatOperation {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

macro_rules! float_kernel {
    ($name:ident, $type:ident) => {
        kernel! {
            /// The results, and whether one is infinite or not a number.
            pub fn $name(operation: FloatOperation, a: &[$type], b: &[$type]) -> (Vec<$type>, bool) {
                let results: Vec<$type> = match operation {
                    FloatOperation::Add => a.iter().zip(b).map(|(&a, &b)| a + b).collect(),
                    FloatOperation::Subtract => a.iter().zip(b).map(|(&a, &b)| a - b).collect(),
                    FloatOperation::Multiply => a.iter().zip(b).map(|(&a, &b)| a * b).collect(),
                    FloatOperation::Divide => a.iter().zip(b).map(|(&a, &b)| a / b).collect(),
                    FloatOperation::Modulo => a.iter().zip(b).map(|(&a, &b)| a % b).collect(),
                };
                let mut special = false;
                for &result in &results {
                    special |= !result.is_finite();
                }
                (results, special)
            }
        }
    };
}
float_kernel!(float64, f64);
float_kernel!(float32, f32);
