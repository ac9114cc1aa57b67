//! What can go wrong with values.

/// The result of everything in this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// A fault of a value, as SQL reports it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A result left the range of its type. `what` names operation and type: `addition of INTEGER`.
    #[error("{what} is out of range")]
    OutOfRange { what: String },
    #[error("division by zero")]
    DivisionByZero,
    /// Text that does not spell a value of the type.
    #[error("'{text}' is not a valid {data_type}")]
    InvalidText { text: String, data_type: String },
    /// A fault that another node found, as it told it.
    #[error("{0}")]
    Told(String),
    /// An Arrow type with no counterpart here.
    #[error("{0} is not supported yet")]
    Unsupported(String),
    /// A type that cannot be.
    #[error(transparent)]
    Type(#[from] crate::types::TypeError),
    /// A vector whose parts contradict each other: a defect, or a corrupted file or message.
    #[error("malformed vector: {0}")]
    Malformed(String),
}
