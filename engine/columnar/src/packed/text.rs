//! Nested values as text: `[1, NULL, 'a, b']`, `{'a': 1, 'b': x}`, `{k=v}`, rows as `(1, x)`.
//!
//! A text within is quoted where it could be read otherwise: where it is empty, says `NULL`, begins or ends
//! with a blank, or has a sign that means something in nested values. That is DuckDB's form.

use super::elements::Elements;
use super::value::{parts, scalar_of};
use crate::error::Result;
use crate::scalar::{Scalar, Value};
use crate::types::{DataType, Nested, NestedType};
use std::fmt::Write;

/// Signs that make a text within a nested value be quoted.
const SIGNS: &[char] = &[',', '\'', '"', '[', ']', '{', '}', '(', ')', ':', '=', '\\'];

/// The value that these bytes are, as text.
///
/// # Errors
/// Bytes that are no value of the type.
pub fn text(bytes: &[u8], kind: NestedType) -> Result<String> {
    let mut out = String::new();
    write_nested(&mut out, bytes, kind)?;
    Ok(out)
}

fn write_nested(out: &mut String, bytes: &[u8], kind: NestedType) -> Result<()> {
    match &kind.info().shape {
        Nested::List(element) | Nested::Array { element, .. } => {
            out.push('[');
            for (place, part) in Elements::new(bytes, DataType::Nested(kind)).enumerate() {
                out.push_str(if place == 0 { "" } else { ", " });
                write_part(out, part?.0, *element)?;
            }
            out.push(']');
        }
        Nested::Struct(fields) => {
            let is_row = fields.iter().all(|field| field.name.is_empty());
            out.push(if is_row { '(' } else { '{' });
            let values = parts(bytes, fields.iter().map(|field| field.data_type))?;
            for (place, (field, value)) in fields.iter().zip(values).enumerate() {
                out.push_str(if place == 0 { "" } else { ", " });
                if !is_row {
                    quote(out, &field.name);
                    out.push_str(": ");
                }
                write_part(out, value, field.data_type)?;
            }
            out.push(if is_row { ')' } else { '}' });
        }
        Nested::Map { key, value } => {
            out.push('{');
            for (place, entry) in Elements::new(bytes, DataType::Nested(kind)).enumerate() {
                out.push_str(if place == 0 { "" } else { ", " });
                let entry = parts(entry?.0.unwrap_or_default(), [*key, *value])?;
                write_part(out, entry[0], *key)?;
                out.push('=');
                write_part(out, entry[1], *value)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

fn write_part(out: &mut String, bytes: Option<&[u8]>, data_type: DataType) -> Result<()> {
    let Some(bytes) = bytes else {
        out.push_str("NULL");
        return Ok(());
    };
    if let DataType::Nested(kind) = data_type {
        return write_nested(out, bytes, kind);
    }
    let scalar = scalar_of(bytes, data_type)?;
    let is_plain = matches!(scalar, Scalar::Boolean(_) | Scalar::Float(_));
    let text = Value::new(data_type, scalar).to_string();
    if is_plain || !needs_quotes(&text) {
        out.push_str(&text);
    } else {
        quote(out, &text);
    }
    Ok(())
}

fn needs_quotes(text: &str) -> bool {
    text.is_empty()
        || text.eq_ignore_ascii_case("null")
        || text.starts_with(char::is_whitespace)
        || text.ends_with(char::is_whitespace)
        || text.contains(SIGNS)
}

fn quote(out: &mut String, text: &str) {
    out.push('\'');
    for c in text.chars() {
        if c == '\'' || c == '\\' {
            out.push('\\');
        }
        // Writing to a string cannot fail.
        let _ = out.write_char(c);
    }
    out.push('\'');
}
