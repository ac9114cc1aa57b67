//! What can go wrong while a plan runs.

/// The result of everything that runs.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a query failed. The kinds matter to those who retry: the user's fault, the environment's, or ours.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// A fault of values: overflow, division by zero, text that is no number.
    #[error(transparent)]
    Value(#[from] columnar::Error),
    /// A scalar subquery gave a second row.
    #[error("a subquery used as an expression gave more than one row")]
    SubqueryRows,
    /// The query needs more than it may have.
    #[error(
        "out of memory: {what} needs {wanted_bytes} bytes more, {used_bytes} of {limit_bytes} are in use; \
         raise --memory or narrow the query"
    )]
    Memory { what: &'static str, wanted_bytes: u64, used_bytes: u64, limit_bytes: u64 },
    /// As [`Error::Memory`], on another node, as it told it.
    #[error("{0}")]
    MemoryElsewhere(String),
    #[error("the query was cancelled")]
    Cancelled,
    #[error("the query ran past its deadline")]
    DeadlineExceeded,
    /// Data that cannot be read: which and why.
    #[error("{0}")]
    Storage(String),
    /// Another shard, or the way to it, failed.
    #[error("{0}")]
    Exchange(String),
    /// Planned but not built.
    #[error("{0} is not supported yet")]
    Unsupported(String),
    /// A defect of ours; what happened, for the report.
    #[error("internal error: {0}")]
    Internal(String),
}

impl From<storage::Error> for Error {
    fn from(error: storage::Error) -> Error {
        match error {
            storage::Error::Value(error) => Error::Value(error),
            storage::Error::Unsupported(what) => Error::Unsupported(what),
            storage::Error::Internal(what) => Error::Internal(what),
            other => Error::Storage(other.to_string()),
        }
    }
}
