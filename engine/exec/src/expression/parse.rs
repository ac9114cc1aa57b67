//! Text to values: what literals and casts from text share.

use columnar::{DataType, Error, Result, Scalar, Value};

/// The value that `text` spells, as PostgreSQL reads it.
pub fn parse(text: &str, data_type: DataType) -> Result<Value> {
    match data_type {
        DataType::Varchar => Ok(Value::new(data_type, Scalar::Bytes(text.as_bytes().to_vec()))),
        _ => Err(Error::InvalidText { text: text.into(), data_type: data_type.to_string() }),
    }
}
