//! Batches as bytes, for other nodes. How they lie is in `docs/frame-format.md`.
//!
//! A stream of frames has one [`FrameEncoder`] and one [`FrameDecoder`], which live as long as it does: values of
//! dictionaries cross once and are named afterwards. So frames are decoded in the order they were encoded in, all of
//! them; an error ends the stream. Bytes may be anything: they give a batch that holds together or an error, and take
//! no more memory than [`FrameLimits`] allow. What they mean is not checked: whether a dictionary's values are
//! distinct, or whether integers fit their logical type.

mod decoder;
mod dictionaries;
mod encoder;
#[cfg(test)]
mod fuzz;
mod header;
mod numbers;
mod reader;
mod repeats;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
mod text;
mod writer;

pub use decoder::{FrameDecoder, FrameLimits};
pub use encoder::{FrameEncoder, FrameOptions};

/// Why bytes are no frame of their stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Of a node that writes frames in another way.
    #[error("a frame of version {found}, expected {expected}")]
    Version { found: u8, expected: u8 },
    /// Cut short, overwritten, or not meant for this decoder.
    #[error("malformed frame: {0}")]
    Malformed(&'static str),
    /// It may be sound, but is larger than was agreed upon.
    #[error("a frame of more {what} than {limit}")]
    TooLarge { what: &'static str, limit: usize },
}

type Result<T> = std::result::Result<T, FrameError>;

/// Sections of a frame start at multiples of this.
const ALIGNMENT: usize = 8;
