//! What is computed once, while a statement is bound.

use crate::error::{Error, Result};
use exec::Expr;

/// The expression's value where it has no columns and its evaluation does not fail: a failure belongs to
/// the rows that need it.
pub(crate) fn fold(expr: Expr) -> Expr {
    let grows = matches!(&expr, Expr::Call { function, .. } if exec::functions::grows(function));
    if grows || expr.children().iter().any(|child| !matches!(child, Expr::Literal(_))) || is_volatile(&expr) {
        return expr;
    }
    match exec::expression::constant::evaluate(&expr) {
        Ok(value) => Expr::Literal(value),
        Err(_) => expr,
    }
}

/// A `CASE` of a literal as the literal that it gives.
pub(super) fn fold_case(expr: Expr) -> Expr {
    if !crate::logical::columns_of(&expr).is_empty() || is_any_volatile(&expr) {
        return expr;
    }
    match exec::expression::constant::evaluate(&expr) {
        Ok(value) => Expr::Literal(value),
        Err(_) => expr,
    }
}

/// The value of an expression over a literal, whose failure is the statement's.
pub(super) fn literal_or(expr: Expr) -> Result<Expr> {
    match exec::expression::constant::evaluate(&expr) {
        Ok(value) => Ok(Expr::Literal(value)),
        Err(exec::Error::Value(error)) => Err(Error::value(error.to_string())),
        Err(_) => Ok(expr),
    }
}

fn is_volatile(expr: &Expr) -> bool {
    if let Expr::Lambda { body, .. } = expr {
        return is_any_volatile(body);
    }
    matches!(expr, Expr::Call { function, .. } if matches!(function.as_str(), "random" | "gen_random_uuid"))
}

/// Whether some part of it has another value each time.
pub(crate) fn is_any_volatile(expr: &Expr) -> bool {
    let mut found = false;
    expr.visit(&mut |node| found |= is_volatile(node));
    found
}
