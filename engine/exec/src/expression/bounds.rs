//! Interval arithmetic over inclusive bounds. `None`: beyond 128 bits.

use crate::ArithmeticOp;

pub(super) type Bounds = (i128, i128);

/// Bounds of `a op b`, whatever values within their bounds the operands have. A divisor of zero is left out:
/// it gives no value.
pub(super) fn of_operation(op: ArithmeticOp, a: Bounds, b: Bounds) -> Option<Bounds> {
    match op {
        ArithmeticOp::Add => Some((a.0.checked_add(b.0)?, a.1.checked_add(b.1)?)),
        ArithmeticOp::Subtract => Some((a.0.checked_sub(b.1)?, a.1.checked_sub(b.0)?)),
        ArithmeticOp::Multiply => {
            let corners =
                [a.0.checked_mul(b.0)?, a.0.checked_mul(b.1)?, a.1.checked_mul(b.0)?, a.1.checked_mul(b.1)?];
            let low = corners.iter().copied().fold(i128::MAX, i128::min);
            Some((low, corners.into_iter().fold(i128::MIN, i128::max)))
        }
        ArithmeticOp::Divide => {
            // The magnitude is largest for the divisor nearest to zero.
            let nearest = if b.0 > 0 {
                b.0
            } else if b.1 < 0 {
                b.1.checked_neg()?
            } else {
                1
            };
            let magnitude = |value: i128| Some(value.checked_abs()? / nearest);
            let largest = magnitude(a.0)?.max(magnitude(a.1)?);
            let (negative, positive) = (b.0 < 0, b.1 > 0);
            let below = a.0 < 0 && positive || a.1 > 0 && negative;
            let above = a.1 > 0 && positive || a.0 < 0 && negative;
            Some((if below { -largest } else { 0 }, if above { largest } else { 0 }))
        }
        ArithmeticOp::Modulo => {
            let divisor = b.0.checked_abs()?.max(b.1.checked_abs()?);
            let limit = (divisor - 1).max(0);
            let low = if a.0 < 0 { -limit.min(a.0.checked_abs()?) } else { 0 };
            Some((low, if a.1 > 0 { limit.min(a.1) } else { 0 }))
        }
    }
}

/// The part of `bounds` that lies within `limits`; the limits themselves where nothing does.
pub(super) fn within(bounds: Bounds, limits: Bounds) -> Bounds {
    let (low, high) = (bounds.0.max(limits.0), bounds.1.min(limits.1));
    if low <= high { (low, high) } else { limits }
}

pub(super) fn contains(outer: Bounds, inner: Bounds) -> bool {
    outer.0 <= inner.0 && inner.1 <= outer.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_result_lies_within() {
        let ranges = [(-3, 4), (0, 0), (1, 5), (-5, -2), (-1, 0), (0, 3), (-7, 7)];
        use ArithmeticOp::{Add, Divide, Modulo, Multiply, Subtract};
        for op in [Add, Subtract, Multiply, Divide, Modulo] {
            for (a, b) in ranges.iter().flat_map(|&a| ranges.iter().map(move |&b| (a, b))) {
                let (low, high) = of_operation(op, a, b).unwrap();
                for (x, y) in (a.0..=a.1).flat_map(|x| (b.0..=b.1).map(move |y| (x, y))) {
                    let value = match op {
                        Add => x + y,
                        Subtract => x - y,
                        Multiply => x * y,
                        Divide | Modulo if y == 0 => continue,
                        Divide => x / y,
                        Modulo => x % y,
                    };
                    assert!(low <= value && value <= high, "{x} {op:?} {y} of {a:?} {b:?}");
                }
            }
        }
        assert_eq!(of_operation(Multiply, (0, i128::MAX), (0, 2)), None);
        assert_eq!(of_operation(Divide, (i128::MIN, 0), (-1, 1)), None);
    }
}
