//! Expressions without columns, evaluated to their value.

use crate::{Error, Expr, Result};
use columnar::Value;

/// The value of an expression that names no column.
pub fn evaluate(expr: &Expr) -> Result<Value> {
    match expr {
        Expr::Literal(value) => Ok(value.clone()),
        other => Err(Error::Unsupported(format!("folding an expression of {}", other.data_type()))),
    }
}
