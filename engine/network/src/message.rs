//! Messages on a stream of bytes: the length in 4 bytes, little-endian, and as many bytes.

use crate::{Error, MESSAGE_BYTES_MAX, Result};
use bytes::Bytes;

pub(crate) const HEADER_BYTES: usize = 4;
/// What is allocated for a message before any of its bytes came.
const FIRST_BYTES: usize = 64 << 10;
/// How much larger the room gets each time it is full.
const GROWTH: usize = 16;

/// What goes before a message.
pub(crate) fn header(message: &Bytes) -> Result<[u8; HEADER_BYTES]> {
    match u32::try_from(message.len()) {
        Ok(length) if message.len() <= MESSAGE_BYTES_MAX => Ok(length.to_le_bytes()),
        _ => Err(Error::too_long(message.len())),
    }
}

/// How far the half of a stream that sends has come.
#[derive(PartialEq)]
pub(crate) enum Progress {
    Whole,
    /// A message was sent in part and then given up: what follows would be taken for its rest.
    Torn,
    Finished,
}

impl Progress {
    /// Refuses what cannot follow what was sent.
    pub(crate) fn check_whole(&self) -> Result<()> {
        let why = match self {
            Progress::Whole => return Ok(()),
            Progress::Torn => "a message was given up before it was sent",
            Progress::Finished => "the last message was sent already",
        };
        Err(Error::Environment(why.into()))
    }
}

/// A message that has arrived in part.
#[derive(Default)]
pub(crate) struct Partial {
    header: [u8; HEADER_BYTES],
    /// How much of the header is there.
    arrived: usize,
    length: usize,
    /// Grows with what arrives: an announced length costs nothing.
    body: Vec<u8>,
}

impl Partial {
    /// Takes bytes up to the end of the message, and gives it if it is whole. An error tells a length that is too much.
    pub(crate) fn take(&mut self, bytes: &mut &[u8]) -> std::result::Result<Option<Bytes>, usize> {
        if self.arrived < HEADER_BYTES {
            let part = split(bytes, HEADER_BYTES - self.arrived);
            self.header[self.arrived..][..part.len()].copy_from_slice(part);
            self.arrived += part.len();
            if self.arrived < HEADER_BYTES {
                return Ok(None);
            }
            self.length = u32::from_le_bytes(self.header) as usize;
            if self.length > MESSAGE_BYTES_MAX {
                return Err(self.length);
            }
        }
        let part = split(bytes, self.length - self.body.len());
        let filled = self.body.len() + part.len();
        if filled > self.body.capacity() {
            let room = self.length.min(FIRST_BYTES.max(filled * GROWTH));
            self.body.reserve_exact(room - self.body.len());
        }
        self.body.extend_from_slice(part);
        Ok((filled == self.length).then(|| std::mem::take(self).body.into()))
    }

    /// No byte of a message has arrived.
    pub(crate) fn is_empty(&self) -> bool {
        self.arrived == 0
    }
}

/// Takes the first bytes, as many as there are.
fn split<'a>(bytes: &mut &'a [u8], most: usize) -> &'a [u8] {
    let (part, rest) = bytes.split_at(bytes.len().min(most));
    *bytes = rest;
    part
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds bytes in pieces; the messages, and what is left in the end.
    fn fed(bytes: &[u8], piece: usize) -> (Vec<Bytes>, Partial) {
        let (mut partial, mut messages) = (Partial::default(), Vec::new());
        for mut part in bytes.chunks(piece.min(bytes.len())) {
            while !part.is_empty() {
                messages.extend(partial.take(&mut part).unwrap());
            }
        }
        (messages, partial)
    }

    #[test]
    fn messages_come_out_as_they_went_in() {
        let sent: Vec<Bytes> =
            [0, 1, 3, 4, 5, 100, FIRST_BYTES - 1, FIRST_BYTES, FIRST_BYTES + 1, 300_000, 0]
                .iter()
                .map(|length| (0..*length).map(|at| at as u8).collect())
                .collect();
        let mut bytes = Vec::new();
        for message in &sent {
            bytes.extend_from_slice(&header(message).unwrap());
            bytes.extend_from_slice(message);
        }
        for piece in [1, 3, 4, 7, 1200, usize::MAX] {
            let (received, left) = fed(&bytes, piece);
            assert_eq!(received, sent);
            assert!(left.is_empty());
        }
        let (received, left) = fed(&bytes[..bytes.len() - 1], 1000);
        assert_eq!(received.len(), sent.len() - 1);
        assert!(!left.is_empty());
    }

    #[test]
    fn an_announced_length_allocates_little() {
        let announced = (MESSAGE_BYTES_MAX as u32).to_le_bytes();
        let (_, mut partial) = fed(&announced, 4);
        assert_eq!(partial.body.capacity(), 0);
        partial.take(&mut &[7; 1000][..]).unwrap();
        assert_eq!(partial.body.capacity(), FIRST_BYTES);
        partial.take(&mut &[7; FIRST_BYTES][..]).unwrap();
        assert!(partial.body.capacity() <= (FIRST_BYTES + 1000) * GROWTH);
    }

    #[test]
    fn lengths_beyond_the_bound_are_refused() {
        for length in [MESSAGE_BYTES_MAX as u32 + 1, u32::MAX] {
            assert_eq!(Partial::default().take(&mut &length.to_le_bytes()[..]), Err(length as usize));
        }
        let largest = Bytes::from(vec![0; MESSAGE_BYTES_MAX]);
        assert!(header(&largest).is_ok());
        assert!(header(&Bytes::from(vec![0; MESSAGE_BYTES_MAX + 1])).is_err());
    }
}
