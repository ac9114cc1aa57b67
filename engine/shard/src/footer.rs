//! What files hold, by their footers.

use crate::{Error, File, Result, Stores};
use storage::ColumnSchema;

/// What the footers of a dataset's files say.
#[derive(Clone, Debug)]
pub struct Inferred {
    /// The columns of the files, then those of their folders.
    pub columns: Vec<ColumnSchema>,
    /// The files, with their numbers of rows.
    pub files: Vec<File>,
}

/// Reads the footers of `files` and infers the schema that all share.
pub async fn infer(stores: &Stores, files: Vec<File>) -> Result<Inferred> {
    let _ = (stores, files);
    Err(Error::Unsupported("inference".into()))
}
