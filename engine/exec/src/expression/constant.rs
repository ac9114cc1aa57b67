//! Expressions without columns, evaluated to their value.

use super::Compiled;
use crate::{Expr, Result};
use columnar::{Batch, Value};

/// The value of an expression that names no column.
pub fn evaluate(expr: &Expr) -> Result<Value> {
    if let Expr::Literal(value) = expr {
        return Ok(value.clone());
    }
    let compiled = Compiled::compile(expr, &[])?;
    let result = compiled.evaluate(&Batch::of_rows(Vec::new(), 1))?;
    Ok(Value::new(expr.data_type(), result.scalar(0)))
}
