//! Plans as bytes, between nodes of versions N and N−1. The only place that names bincode.

use crate::plan::Fragment;
use columnar::Scalar;
use columnar::types::describe::with_table;

/// Why bytes are not a fragment.
#[derive(Debug, thiserror::Error)]
#[error("not a plan of this version: {0}")]
pub struct DecodeError(String);

/// The fragment as bytes.
pub fn encode(fragment: &Fragment) -> Vec<u8> {
    // Encoding to memory fails only for types that serde cannot represent, of which plans hold none.
    with_table(|| bincode::serde::encode_to_vec(fragment, bincode::config::standard())).unwrap_or_default()
}

/// Reads what [`encode`] wrote; anything else is an error.
pub fn decode(bytes: &[u8]) -> Result<Fragment, DecodeError> {
    let (fragment, read) =
        with_table(|| bincode::serde::decode_from_slice(bytes, bincode::config::standard()))
            .map_err(|error| DecodeError(error.to_string()))?;
    if read != bytes.len() {
        return Err(DecodeError(format!("{} bytes follow it", bytes.len() - read)));
    }
    Ok(fragment)
}

/// Values as bytes: the state of an aggregate that keeps a row.
pub(crate) fn encode_scalars(scalars: &[Scalar]) -> Vec<u8> {
    bincode::serde::encode_to_vec(scalars, bincode::config::standard()).unwrap_or_default()
}

/// Reads what [`encode_scalars`] wrote.
pub(crate) fn decode_scalars(bytes: &[u8]) -> Option<Vec<Scalar>> {
    let (scalars, read) = bincode::serde::decode_from_slice(bytes, bincode::config::standard()).ok()?;
    (read == bytes.len()).then_some(scalars)
}
