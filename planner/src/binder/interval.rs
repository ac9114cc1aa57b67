//! `INTERVAL`: of a text with a unit or from field to field, and of an expression.

use super::Binder;
use super::expression::Context;
use super::literals::{parse_literal, text_of};
use crate::error::{Error, Result};
use columnar::DataType;
use exec::Expr;
use sqlparser::ast::{self, Spanned, UnaryOperator};

impl Binder<'_> {
    pub(super) fn interval(&mut self, interval: &ast::Interval, context: &mut Context<'_>) -> Result<Expr> {
        let literal = match interval.value.as_ref() {
            ast::Expr::Value(value) => match &value.value {
                ast::Value::Number(digits, _) => Some(digits.clone()),
                other => text_of(other),
            },
            ast::Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match expr.as_ref() {
                ast::Expr::Value(ast::ValueWithSpan { value: ast::Value::Number(digits, _), .. }) => {
                    Some(format!("-{digits}"))
                }
                _ => None,
            },
            _ => None,
        };
        let span = interval.value.span();
        if let Some(last) = &interval.last_field {
            let first = interval.leading_field.as_ref().map(ToString::to_string).unwrap_or_default();
            let text = literal
                .ok_or_else(|| Error::unsupported("an INTERVAL of an expression from field to field"))?;
            let text = from_field_to_field(&text, &first, &last.to_string());
            return Ok(Expr::Literal(parse_literal(&text, DataType::Interval)?));
        }
        let Some(text) = literal else {
            let field = interval.leading_field.as_ref().map(|field| field.to_string().to_lowercase());
            let maker = field.as_deref().and_then(|field| match field.trim_end_matches('s') {
                "century" | "centurie" => Some("to_centuries"),
                "millennium" | "millenium" => Some("to_millennia"),
                unit => {
                    INTERVAL_MAKERS.iter().find(|maker| maker[3..].trim_end_matches('s') == unit).copied()
                }
            });
            let Some(maker) = maker else {
                return Err(Error::unsupported("an INTERVAL of an expression without its unit")
                    .at(span)
                    .hint("write INTERVAL (…) DAY, or multiply an interval"));
            };
            let count = self.bind(&interval.value, context)?;
            return self.call(maker, vec![count], span);
        };
        let text = match &interval.leading_field {
            Some(field) => format!("{text} {}", field.to_string().to_lowercase()),
            None => text,
        };
        Ok(Expr::Literal(parse_literal(&text, DataType::Interval)?))
    }
}

/// A text of `INTERVAL … first TO last` as one that says by itself which numbers are which.
fn from_field_to_field(text: &str, first: &str, last: &str) -> String {
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    match (first, last) {
        ("MINUTE", "SECOND") => format!("{sign}00:{digits}"),
        ("DAY", _) => match digits.trim().split_once(' ') {
            Some((days, hours)) if last == "HOUR" => format!("{sign}{days} days {sign}{hours} hours"),
            Some((days, clock)) => format!("{sign}{days} days {sign}{clock}"),
            None => text.to_owned(),
        },
        _ => text.to_owned(),
    }
}

/// The functions that make intervals of a number of one unit.
const INTERVAL_MAKERS: [&str; 11] = [
    "to_years",
    "to_quarters",
    "to_months",
    "to_weeks",
    "to_days",
    "to_hours",
    "to_minutes",
    "to_seconds",
    "to_milliseconds",
    "to_microseconds",
    "to_decades",
];
