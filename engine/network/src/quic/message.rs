//! Messages on a stream of bytes: the length in 4 bytes, little-endian, and as many bytes.

use crate::{Error, MESSAGE_BYTES_MAX, Result};
use bytes::Bytes;

const HEADER_BYTES: usize = 4;
/// What is allocated for a message before any of its bytes came.
const FIRST_BYTES: usize = 64 << 10;
/// How much larger the room gets each time it is full.
const GROWTH: usize = 4;

/// What goes before a message.
pub(super) fn header(message: &Bytes) -> Result<Bytes> {
    match u32::try_from(message.len()) {
        Ok(length) if message.len() <= MESSAGE_BYTES_MAX => Ok(Bytes::copy_from_slice(&length.to_le_bytes())),
        _ => Err(Error::too_long(message.len())),
    }
}

/// A message that has arrived in part.
#[derive(Default)]
pub(super) struct Partial {
    header: [u8; HEADER_BYTES],
    /// How much of the header and of the body is there.
    arrived: usize,
    length: usize,
    /// Grows with what arrives: an announced length costs nothing.
    body: Vec<u8>,
}

impl Partial {
    /// Where the next bytes belong; never empty.
    pub(super) fn room(&mut self) -> &mut [u8] {
        let Some(filled) = self.arrived.checked_sub(HEADER_BYTES) else {
            return &mut self.header[self.arrived..];
        };
        if filled == self.body.len() {
            self.body.resize(self.length.min(FIRST_BYTES.max(filled * GROWTH)), 0);
        }
        &mut self.body[filled..]
    }

    /// So many bytes were written to the room; the message if it is whole. An error tells a length that is too much.
    pub(super) fn advance(&mut self, bytes: usize) -> std::result::Result<Option<Bytes>, usize> {
        let header_came = self.arrived < HEADER_BYTES && self.arrived + bytes == HEADER_BYTES;
        self.arrived += bytes;
        if header_came {
            self.length = u32::from_le_bytes(self.header) as usize;
            if self.length > MESSAGE_BYTES_MAX {
                return Err(self.length);
            }
        }
        if self.arrived < HEADER_BYTES || self.arrived - HEADER_BYTES < self.length {
            return Ok(None);
        }
        Ok(Some(std::mem::take(self).body.into()))
    }

    /// No byte of a message has arrived.
    pub(super) fn is_empty(&self) -> bool {
        self.arrived == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds bytes in pieces; the messages, and what is left in the end.
    fn fed(bytes: &[u8], piece: usize) -> (Vec<Bytes>, Partial) {
        let (mut partial, mut messages, mut rest) = (Partial::default(), Vec::new(), bytes);
        while !rest.is_empty() {
            let room = partial.room();
            let count = room.len().min(piece).min(rest.len());
            room[..count].copy_from_slice(&rest[..count]);
            rest = &rest[count..];
            messages.extend(partial.advance(count).unwrap());
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
        assert_eq!(partial.room().len(), FIRST_BYTES);
        partial.advance(FIRST_BYTES).unwrap();
        assert_eq!(partial.room().len(), FIRST_BYTES * (GROWTH - 1));
        assert!(partial.body.capacity() <= FIRST_BYTES * GROWTH);
    }

    #[test]
    fn lengths_beyond_the_bound_are_refused() {
        let mut partial = Partial::default();
        for length in [MESSAGE_BYTES_MAX as u32 + 1, u32::MAX] {
            partial = Partial { arrived: 0, ..partial };
            partial.room().copy_from_slice(&length.to_le_bytes());
            assert_eq!(partial.advance(4), Err(length as usize));
        }
        let largest = Bytes::from(vec![0; MESSAGE_BYTES_MAX]);
        assert!(header(&largest).is_ok());
        assert!(header(&Bytes::from(vec![0; MESSAGE_BYTES_MAX + 1])).is_err());
    }
}
