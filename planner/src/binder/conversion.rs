//! Values in the types that their places ask for: written casts, and those that nobody has to write.

use super::constants::literal_or;
use super::expression::{Bound, Literal};
use super::{Binder, integers, types};
use crate::error::{Error, Result};
use columnar::{DataType, Scalar, Value};
use exec::Expr;

impl Binder<'_> {
    /// The value in the type that its context asks for, as far as that goes without a written cast.
    pub(crate) fn coerce(&mut self, bound: Bound, target: DataType) -> Result<Expr> {
        let span = bound.span;
        match (&bound.literal, &bound.expr) {
            (Literal::Null, _) => return Ok(Expr::Literal(Value::null(target))),
            (Literal::Parameter(index), _) => {
                if let Some(slot) = self.parameter_types.get_mut(*index) {
                    *slot = Some(slot.unwrap_or(target));
                }
                return Ok(Expr::Literal(Value::null(target)));
            }
            (Literal::Text, Expr::Literal(Value { scalar: Scalar::Bytes(bytes), .. })) => {
                let text = String::from_utf8_lossy(bytes);
                return self.text_value(&text, target).map_err(|error| error.at(span));
            }
            _ => {}
        }
        let found = bound.expr.data_type();
        if found == target {
            return Ok(bound.expr);
        }
        if integers::beside(&bound, target) == target {
            return cast_literal_or(bound.expr, target, false).map_err(|error| error.at(span));
        }
        // What only fails is of any type.
        let expr = match bound.expr {
            Expr::Call { function, args, .. } if function == "error" => {
                return Ok(Expr::Call { function, args, data_type: target });
            }
            other => other,
        };
        if !types::casts_implicitly(found, target) {
            let error = Error::value(format!("{target} is expected here, not {found}")).at(span);
            return Err(error.hint(format!("write CAST(… AS {target})")));
        }
        self.cast_in_zone(expr, target, false).map_err(|error| error.at(span))
    }

    /// The value for a column of a table: numbers become numbers of any kind, an instant its day or clock
    /// time, anything its text. What does not fit is an error.
    pub(crate) fn assign(&mut self, bound: Bound, target: DataType) -> Result<Expr> {
        let found = bound.data_type();
        let narrows = found.is_numeric() && target.is_numeric()
            || matches!((found, target), (DataType::Timestamp { .. }, DataType::Date | DataType::Time))
            || matches!((found, target), (DataType::Timestamp { .. }, DataType::Timestamp { .. }))
            || target == DataType::Varchar
            || found != target
                && types::assigns(found, target)
                && !types::casts_implicitly(found, target)
                && casts(found, target);
        if narrows { self.cast(bound, target, false) } else { self.coerce(bound, target) }
    }

    /// A written cast.
    pub(super) fn cast(&mut self, bound: Bound, target: DataType, try_cast: bool) -> Result<Expr> {
        if bound.is_open() && !(try_cast && bound.literal == Literal::Text) {
            return self.coerce(bound, target);
        }
        let found = bound.expr.data_type();
        if found == target {
            return Ok(bound.expr);
        }
        if !casts(found, target) {
            return Err(Error::value(format!("{found} cannot be cast to {target}")).at(bound.span));
        }
        let span = bound.span;
        self.cast_in_zone(bound.expr, target, try_cast).map_err(|error| error.at(span))
    }
}

/// A value as one of another type, to which it can be cast.
pub(crate) fn constant_cast(value: Value, target: DataType) -> Result<Value> {
    if value.data_type == target {
        return Ok(value);
    }
    match cast_literal_or(Expr::Literal(value), target, false)? {
        Expr::Literal(value) => Ok(value),
        _ => Err(Error::internal("the cast of a constant is none")),
    }
}

/// The cast, done at once where the input is a literal.
pub(super) fn cast_literal_or(input: Expr, target: DataType, try_cast: bool) -> Result<Expr> {
    let is_literal = matches!(input, Expr::Literal(_));
    let cast = Expr::Cast { input: Box::new(input), data_type: target, try_cast };
    if is_literal { literal_or(cast) } else { Ok(cast) }
}

/// Whether a written cast exists.
pub(crate) fn casts(from: DataType, to: DataType) -> bool {
    use DataType::{
        Binary, Boolean, Date, Interval as IntervalType, Time, TimeZoned, Timestamp, Uuid, Varchar,
    };
    match (from, to) {
        (DataType::Null, _) | (_, Varchar) | (Varchar, _) => true,
        (DataType::Json { .. }, _) | (_, DataType::Json { .. }) => true,
        (from, to) if from.is_numeric() && to.is_numeric() => true,
        (Boolean, to) => to.is_integer(),
        (from, Boolean) => from.is_integer(),
        (Date, Timestamp { .. }) | (Timestamp { .. }, Date | Time | Timestamp { .. }) => true,
        (Time, IntervalType) | (IntervalType, Time) => true,
        (Time, TimeZoned) | (TimeZoned, Time) | (Timestamp { zone: true, .. }, TimeZoned) => true,
        (Binary, Binary | Uuid) | (Uuid, Binary) => true,
        (DataType::Enum(_), DataType::Enum(_)) => true,
        (from, to) if from.as_nested().is_some() && to.as_nested().is_some() => {
            exec::expression::casts_nested(from, to)
        }
        (DataType::Bits, Binary) | (Binary, DataType::Bits) => true,
        (DataType::Bits, other) | (other, DataType::Bits) => other.is_integer(),
        _ => false,
    }
}
