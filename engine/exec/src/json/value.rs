//! Values of SQL as JSON, and scalars of JSON as text.

use super::canonical::canonical;
use super::nested::write_nested;
use super::scan::{Fault, Kind, check, kind};
use super::text::{quote, unquote};
use super::tree::Tree;
use crate::expression::text_cast::write_value;
use columnar::{DataType, Result, Scalar};
use std::borrow::Cow;

/// The text of a scalar without quotes; of null none, of arrays and objects their own.
pub(crate) fn scalar_text(json: &str) -> Option<Cow<'_, str>> {
    match kind(json) {
        Kind::Null => None,
        Kind::String => Some(unquote(json.trim())),
        _ => Some(Cow::Borrowed(json.trim())),
    }
}

/// The text as a value of `JSON`, or of `JSONB` where `canonical`; `data_type` is named where it is none.
pub(crate) fn read(text: &str, is_canonical: bool, data_type: DataType) -> Result<Cow<'_, [u8]>> {
    let wrong = |fault: Fault| fault.of(text, &data_type.to_string());
    if !is_canonical {
        check(text).map_err(wrong)?;
        return Ok(Cow::Borrowed(text.as_bytes()));
    }
    let mut out = Vec::with_capacity(text.len());
    canonical(&Tree::parse(text).map_err(wrong)?, &mut out);
    Ok(Cow::Owned(out))
}

/// The text of a timestamp as JSON has it (PostgreSQL): a `T` between day and time, minutes in the offset.
pub(crate) fn moment(text: String, has_zone: bool) -> String {
    let mut text = text.replacen(' ', "T", 1);
    let offset = text.rfind(['+', '-']).filter(|_| has_zone && text.contains('T'));
    if let Some(offset) = offset
        && text.len() - offset == 3
    {
        text.push_str(":00");
    }
    text
}

/// Appends a value as JSON: numbers and booleans as they are, JSON as it is, lists as arrays, structs and maps as objects,
/// all else as its text.
pub(crate) fn write_json(data_type: DataType, scalar: Scalar, out: &mut Vec<u8>) -> Result<()> {
    match (data_type, scalar) {
        (_, Scalar::Null) => out.extend(b"null"),
        (DataType::Json { .. }, Scalar::Bytes(bytes)) => out.extend(bytes),
        (DataType::Varchar | DataType::Bits, Scalar::Bytes(bytes)) => {
            quote(&String::from_utf8_lossy(&bytes), out);
        }
        (DataType::Nested(kind), Scalar::Bytes(bytes)) => write_nested(kind, &bytes, out)?,
        (data_type, scalar) => {
            let is_plain = match &scalar {
                Scalar::Float(value) => value.is_finite(),
                _ => data_type.is_numeric() || data_type == DataType::Boolean,
            };
            let mut text = String::new();
            write_value(&mut text, data_type, scalar);
            if let DataType::Timestamp { zone, .. } = data_type {
                text = moment(text, zone);
            }
            if is_plain { out.extend(text.bytes()) } else { quote(&text, out) }
        }
    }
    Ok(())
}
