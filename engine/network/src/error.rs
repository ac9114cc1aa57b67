//! What can go wrong between nodes.

use crate::MESSAGE_BYTES_MAX;

/// The result of everything between nodes.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a node was not reached, or no answer came.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// No connection came about.
    #[error("node {peer} cannot be reached: {why}")]
    Unreachable { peer: String, why: String },
    /// The connection ended while it was used.
    #[error("the connection to node {peer} was lost: {why}")]
    Lost { peer: String, why: String },
    /// The other side dropped its half of the stream.
    #[error("the other node broke off")]
    Stopped,
    /// No answer in time.
    #[error("node {peer} did not answer within {milliseconds} ms")]
    TimedOut { peer: String, milliseconds: u64 },
    /// What came is no message of ours.
    #[error("what node {peer} sent is not understood: {why}")]
    Malformed { peer: String, why: String },
    /// The other node understood, and will not: its words.
    #[error("{0}")]
    Refused(String),
    /// The other node's cluster is at a version that this node does not speak, and will not go back.
    #[error("{0}")]
    Outdated(String),
    /// The machine refused: a port, a certificate.
    #[error("{0}")]
    Environment(String),
}

impl Error {
    /// A message beyond [`MESSAGE_BYTES_MAX`].
    pub(crate) fn too_long(bytes: usize) -> Error {
        Error::Environment(format!(
            "a message of {bytes} bytes cannot be sent: at most {MESSAGE_BYTES_MAX} bytes"
        ))
    }
}
