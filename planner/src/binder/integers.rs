//! Literals of integers beside integers of other types, and the sign of types.

use super::expression::{Bound, Literal};
use columnar::types::unify;
use columnar::{DataType, Scalar, Value};
use exec::Expr;

/// The type of a value beside one of the type `other`: digits of an integer are of that type where it is unsigned, or
/// HUGEINT, and they fit (DuckDB).
pub(super) fn beside(bound: &Bound, other: DataType) -> DataType {
    let own = bound.data_type();
    let (Literal::Integer(_), Expr::Literal(Value { scalar: Scalar::Integer(value), .. })) =
        (bound.literal, &bound.expr)
    else {
        return own;
    };
    let takes = other.is_unsigned() || other == DataType::Int128;
    match other.integer_bounds() {
        Some((low, high)) if takes && (low..=high).contains(value) => other,
        _ => own,
    }
}

/// The type that takes digits beside it among the types of some values, if any does.
pub(super) fn taker(values: &[Bound]) -> Option<DataType> {
    let types = values.iter().map(Bound::data_type);
    types.filter(|of| of.is_unsigned() || *of == DataType::Int128).reduce(|a, b| unify(a, b).unwrap_or(a))
}

/// The types of values, in which digits are of the type that takes them.
pub(super) fn types_beside(values: &[Bound]) -> Vec<DataType> {
    let taker = taker(values);
    values.iter().map(|value| taker.map_or(value.data_type(), |taker| beside(value, taker))).collect()
}

/// The least type that holds the values and their negatives, but for the least value of a signed one.
pub(super) fn signed(data_type: DataType) -> DataType {
    match data_type {
        DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt32 => DataType::Int64,
        DataType::UInt64 => DataType::Int128,
        other => other,
    }
}
