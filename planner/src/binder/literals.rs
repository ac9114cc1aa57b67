//! Literals and parameters as values.

use super::Binder;
use super::expression::{Bound, Literal};
use crate::error::{Error, Result};
use columnar::{DataType, Scalar, Value, types::DECIMAL_MAX_PRECISION};
use exec::Expr;
use sqlparser::ast;
use sqlparser::tokenizer::Span;

impl Binder<'_> {
    pub(super) fn literal(&mut self, value: &ast::Value, span: Span) -> Result<Bound> {
        use ast::Value as Sql;
        Ok(match value {
            Sql::Number(digits, _) => number(digits, span)?,
            Sql::Boolean(value) => Bound::typed(Expr::Literal(Value::boolean(*value)), span),
            Sql::Null => {
                Bound { expr: Expr::Literal(Value::null(DataType::Null)), literal: Literal::Null, span }
            }
            Sql::Placeholder(name) => self.parameter(name, span)?,
            Sql::HexStringLiteral(digits) => {
                let bytes = hex_bytes(digits).ok_or_else(|| {
                    Error::value(format!("x'{digits}' is not a row of hexadecimal digits")).at(span)
                })?;
                Bound::typed(Expr::Literal(Value::new(DataType::Binary, Scalar::Bytes(bytes))), span)
            }
            Sql::SingleQuotedByteStringLiteral(bits) => {
                let value = parse_literal(bits, DataType::Bits).map_err(|error| error.at(span))?;
                Bound::typed(Expr::Literal(value), span)
            }
            other => match text_of(other) {
                Some(text) => {
                    Bound { expr: Expr::Literal(Value::varchar(&text)), literal: Literal::Text, span }
                }
                None => return Err(Error::unsupported(format!("the literal {other}")).at(span)),
            },
        })
    }

    /// `$1`; the parser has made `?` such a one.
    fn parameter(&mut self, name: &str, span: Span) -> Result<Bound> {
        let index = match name.strip_prefix('$') {
            Some(digits) => match digits.parse::<usize>() {
                Ok(number @ 1..=65_535) => number - 1,
                _ => return Err(Error::name(format!("a parameter is $1 to $65535, not {name}")).at(span)),
            },
            None => return Err(Error::unsupported(format!("the parameter {name}")).at(span)),
        };
        if self.parameter_types.len() <= index {
            self.parameter_types.resize(index + 1, None);
        }
        let Some(values) = &self.options.parameters else {
            let literal = match self.parameter_types[index] {
                None => Literal::Parameter(index),
                Some(data_type) => {
                    return Ok(Bound::typed(Expr::Literal(Value::null(data_type)), span));
                }
            };
            return Ok(Bound { expr: Expr::Literal(Value::null(DataType::Null)), literal, span });
        };
        let Some(value) = values.get(index) else {
            let message = format!("parameter ${} has no value; {} are given", index + 1, values.len());
            return Err(Error::value(message).at(span));
        };
        self.parameter_types[index] = Some(value.data_type);
        let literal = match value {
            value if value.is_null() => Literal::Null,
            Value { data_type: DataType::Varchar, .. } => Literal::Text,
            _ => Literal::No,
        };
        Ok(Bound { expr: Expr::Literal(value.clone()), literal, span })
    }
}

/// The text of a literal that is text.
pub(crate) fn text_of(value: &ast::Value) -> Option<String> {
    match value {
        ast::Value::SingleQuotedString(text)
        | ast::Value::EscapedStringLiteral(text)
        | ast::Value::UnicodeStringLiteral(text)
        | ast::Value::NationalStringLiteral(text) => Some(text.clone()),
        ast::Value::DollarQuotedString(text) => Some(text.value.clone()),
        _ => None,
    }
}

fn hex_bytes(digits: &str) -> Option<Vec<u8>> {
    let nibble = |byte: u8| (byte as char).to_digit(16);
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|&[high, low]| Some((nibble(high)? * 16 + nibble(low)?) as u8)).collect()
}

/// `1` is an INTEGER, else a BIGINT, else a DECIMAL(38,0), of 39 digits a HUGEINT; `1.50` a DECIMAL(3,2); `1e3` a DOUBLE.
pub(super) fn number(text: &str, span: Span) -> Result<Bound> {
    let text = text.replace('_', "");
    let invalid = || Error::value(format!("{text} is not a number that fits")).at(span);
    if text.contains(['e', 'E']) {
        let value: f64 = text.parse().map_err(|_| invalid())?;
        if !value.is_finite() {
            return Err(Error::value(format!("{text} is out of range of DOUBLE")).at(span));
        }
        return Ok(Bound::typed(Expr::Literal(Value::float64(value)), span));
    }
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.as_str()),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let whole = whole.trim_start_matches('0');
    let significant = whole.len() + fraction.len();
    if !digits.contains('.')
        && whole.len() == usize::from(DECIMAL_MAX_PRECISION) + 1
        && let Ok(value) = format!("{sign}{whole}").parse()
    {
        let value = Value::new(DataType::Int128, Scalar::Integer(value));
        return Ok(Bound::typed(Expr::Literal(value), span));
    }
    if significant > usize::from(DECIMAL_MAX_PRECISION) {
        return Err(Error::value(format!("{text} has more than {DECIMAL_MAX_PRECISION} digits"))
            .at(span)
            .hint("write it as a DOUBLE, with an exponent"));
    }
    let unscaled = format!("{whole}{fraction}");
    let unscaled = if unscaled.is_empty() { "0" } else { &unscaled };
    let value: i128 = format!("{sign}{unscaled}").parse().map_err(|_| invalid())?;
    if digits.contains('.') {
        let data_type = DataType::decimal(significant.max(1) as u8, fraction.len() as u8);
        return Ok(Bound::typed(Expr::Literal(Value::new(data_type, Scalar::Integer(value))), span));
    }
    let data_type = if i32::try_from(value).is_ok() {
        DataType::Int32
    } else if i64::try_from(value).is_ok() {
        DataType::Int64
    } else {
        DataType::decimal(DECIMAL_MAX_PRECISION, 0)
    };
    let literal = Literal::Integer(whole.len().max(1) as u8);
    Ok(Bound { expr: Expr::Literal(Value::new(data_type, Scalar::Integer(value))), literal, span })
}

pub(super) fn parse_literal(text: &str, data_type: DataType) -> Result<Value> {
    if data_type == DataType::Null {
        return Ok(Value::varchar(text));
    }
    exec::expression::parse::parse(text, data_type).map_err(|error| Error::value(error.to_string()))
}
