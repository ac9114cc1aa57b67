//! Values of SQL as JSON, and scalars of JSON as text.

use super::canonical::canonical;
use super::scan::{Fault, Kind, check, kind};
use super::text::{quote, unquote};
use super::tree::Tree;
use crate::expression::text_cast::write_value;
use columnar::{DataType, Error, Result, Scalar};
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

/// Appends a value as JSON: numbers and booleans as they are, JSON as it is, all else as its text, moments with a `T`
/// between day and time.
pub(crate) fn write_json(data_type: DataType, scalar: Scalar, out: &mut Vec<u8>) -> Result<()> {
    match (data_type, scalar) {
        (_, Scalar::Null) => out.extend(b"null"),
        (DataType::Json { .. }, Scalar::Bytes(bytes)) => out.extend(bytes),
        (DataType::Varchar | DataType::Bits, Scalar::Bytes(bytes)) => {
            quote(&String::from_utf8_lossy(&bytes), out);
        }
        (DataType::Nested(_), _) => {
            return Err(Error::Unsupported(format!("{data_type} as JSON")));
        }
        (data_type, scalar) => {
            let is_plain = match &scalar {
                Scalar::Float(value) => value.is_finite(),
                _ => data_type.is_numeric() || data_type == DataType::Boolean,
            };
            let mut text = String::new();
            write_value(&mut text, data_type, scalar);
            if matches!(data_type, DataType::Timestamp { .. }) {
                text = text.replacen(' ', "T", 1);
            }
            if is_plain { out.extend(text.bytes()) } else { quote(&text, out) }
        }
    }
    Ok(())
}
