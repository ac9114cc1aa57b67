//! Finding a dataset's files: one file, a folder, or a pattern.

use crate::{File, Result, Stores};

/// The Parquet files at `location`, in the order of their names, with their identities and the values that
/// their folders name; `rows` is not known yet (0). A location without files is an error.
pub async fn list(stores: &Stores, location: &str) -> Result<Vec<File>> {
    let place = stores.open(location)?;
    let _ = place;
    Err(crate::Error::Unsupported("listing".into()))
}
