//! What can go wrong in the coordinator, by whose fault it is.

/// The result of everything in this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a statement or the coordinator failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The statement is wrong; the message shows where.
    #[error("{0}")]
    Statement(String),
    /// A table, schema, ticket or prepared statement that does not exist.
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    AlreadyExists(String),
    /// The caller may not do that.
    #[error("{0}")]
    Denied(String),
    /// Who calls is not known.
    #[error("{0}")]
    Unauthenticated(String),
    /// A conflict with a concurrent change; trying again may succeed.
    #[error("{0}")]
    Conflict(String),
    /// Nodes that are needed are not there at the moment; trying again may succeed.
    #[error("{0}")]
    Unavailable(String),
    /// Too much is asked for at once; trying again later may succeed.
    #[error("{0}")]
    Overloaded(String),
    /// Shards were lost each time the statement ran: it is refused for a while. Trying again has no sense.
    #[error("{0}")]
    Quarantined(String),
    /// A query failed while it ran.
    #[error(transparent)]
    Execution(#[from] exec::error::Error),
    /// The world around: a port, a folder, a store, a file.
    #[error("{0}")]
    Environment(String),
    /// An object that holds something else than was written.
    #[error("{0}")]
    Damaged(String),
    /// Understood, but not built: a message that says so.
    #[error("{0}")]
    Refused(String),
    /// Understood, but not built: what it is.
    #[error("{0} is not supported yet")]
    Unsupported(String),
    #[error("the coordinator is shutting down")]
    ShuttingDown,
    /// A defect of ours.
    #[error("internal error: {0}")]
    Internal(String),
}
