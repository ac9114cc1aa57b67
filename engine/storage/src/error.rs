//! What can go wrong with segments.

/// The result of everything in this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a segment could not be built, opened or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes are not a sound segment: cut short, overwritten, or of another program. The owner of the
    /// file should drop it and build the segment again from Parquet.
    #[error("damaged segment: {0}")]
    Damaged(String),
    /// A segment of a version this program does not read.
    #[error("segment version {found}, expected {expected}: build the segment again")]
    Version { found: u32, expected: u32 },
    /// The bytes are not a sound summary of a bucket.
    #[error("malformed summary: {0}")]
    Summary(String),
    /// The operating system refused.
    #[error("{0}")]
    Io(String),
    /// A fault of values.
    #[error(transparent)]
    Value(#[from] columnar::Error),
    #[error("{0} is not supported yet")]
    Unsupported(String),
    /// A caller broke the interface's rules.
    #[error("internal error: {0}")]
    Internal(String),
}

pub(crate) fn damaged(what: impl Into<String>) -> Error {
    Error::Damaged(what.into())
}
