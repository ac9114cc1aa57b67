//! What can go wrong in the control plane, by whose fault it is.

/// The result of everything in this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call or the control plane failed. Messages have no secrets.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What was asked for is wrong; the message says what is expected.
    #[error("{0}")]
    Invalid(String),
    #[error("{0}")]
    NotFound(String),
    /// It does not go together with what was decided before.
    #[error("{0}")]
    Conflict(String),
    /// The caller may not do that.
    #[error("{0}")]
    Denied(String),
    /// Who calls is not known.
    #[error("{0}")]
    Unauthenticated(String),
    /// An OpenID provider does not answer, or answers something else than keys.
    #[error("{0}")]
    Provider(String),
    /// The coordinators do not answer, or take nothing from this control plane.
    #[error("{0}")]
    Cluster(String),
    /// Coordinators do not take what they were given: an older release of them may not know what it is.
    #[error("{0}")]
    NotTaken(String),
    /// The world around: a port, a folder, random numbers.
    #[error("{0}")]
    Environment(String),
    /// The database has something else than was written.
    #[error("the database is damaged: {0}")]
    Damaged(String),
    #[error("the database does not do its work: {0}")]
    Database(#[from] sqlx::Error),
    #[error("the database cannot be brought to this version: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// A defect of ours.
    #[error("internal error: {0}")]
    Internal(String),
}
