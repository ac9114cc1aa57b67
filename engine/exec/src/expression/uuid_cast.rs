//! Casts between UUIDs and their 16 bytes.

use super::node::Node;
use super::row_cast;
use columnar::{DataType, Error, Result, Scalar, uuid};

/// Whether the cast is one of these.
pub(super) fn applies(source: DataType, target: DataType) -> bool {
    matches!((source, target), (DataType::Uuid, DataType::Binary) | (DataType::Binary, DataType::Uuid))
}

pub(super) fn cast(input: Node, target: DataType, lenient: bool) -> Node {
    row_cast::cast(input, target, lenient, target == DataType::Uuid, convert)
}

fn convert(value: Scalar, _: DataType, target: DataType) -> Result<Scalar> {
    match value {
        Scalar::Integer(value) => Ok(Scalar::Bytes(uuid::to_bytes(value).to_vec())),
        Scalar::Bytes(bytes) => {
            let text = format!("a BLOB of {} bytes", bytes.len());
            let value = bytes.try_into().map(uuid::from_bytes).map(Scalar::Integer);
            value.map_err(|_| Error::InvalidText { text, data_type: target.to_string() })
        }
        other => Ok(other),
    }
}
