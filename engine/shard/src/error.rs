//! What can go wrong on a shard.

/// The result of everything in this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why data could not be brought in or held. Messages name the file or place they speak of.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The text is no location, or names nothing: the user's fault.
    #[error("{0}")]
    Location(String),
    /// A data file that cannot be used: damaged, of another schema, nested.
    #[error("{url}: {why}")]
    File { url: String, why: String },
    /// The file is no longer the one that the version was made of.
    #[error("{url} changed since this version of the dataset was made; run REFRESH TABLE to take it in")]
    Changed { url: String },
    /// The object store failed or refused.
    #[error("{url}: {why}")]
    Store { url: String, why: String },
    /// The local disk failed or refused.
    #[error("{0}")]
    Disk(String),
    /// Not even one piece of work has room beside the queries.
    #[error(
        "building one segment takes about {} MiB of memory and {} MiB are free; raise --memory",
        .wanted_bytes >> 20,
        .free_bytes >> 20
    )]
    Memory { wanted_bytes: u64, free_bytes: u64 },
    #[error(transparent)]
    Segment(#[from] storage::Error),
    #[error(transparent)]
    Execution(#[from] exec::Error),
    /// What was stored, or sent, by another version of Tundra.
    #[error("{0}")]
    Stored(String),
    #[error("{0} is not supported yet")]
    Unsupported(String),
    /// A defect of ours.
    #[error("internal error: {0}")]
    Internal(String),
}

impl Error {
    pub(crate) fn file(url: &str, why: impl ToString) -> Error {
        Error::File { url: url.into(), why: why.to_string() }
    }

    pub(crate) fn disk(path: &std::path::Path, error: impl std::fmt::Display) -> Error {
        Error::Disk(format!("{}: {error}", path.display()))
    }

    /// A store's error about `url`.
    pub(crate) fn store(url: &str, error: object_store::Error) -> Error {
        match error {
            object_store::Error::NotFound { .. } => {
                Error::Store { url: url.into(), why: "no such object".into() }
            }
            object_store::Error::Precondition { .. } => Error::Changed { url: url.into() },
            other => Error::Store { url: url.into(), why: other.to_string() },
        }
    }
}
