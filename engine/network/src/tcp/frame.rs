//! What travels on a connection: frames, each a kind, a length and the number of a stream, and bytes of that stream.
//!
//! Streams are numbered by whoever opens them, in the order of their first frames: the side that connected takes even
//! numbers, the other one odd ones.

use bytes::Bytes;

use crate::message;

/// Kind (1 byte), length or count (3 bytes), stream (8 bytes); little-endian.
pub(super) const HEADER_BYTES: usize = 12;
/// The most bytes of a stream in one frame, so that streams take turns.
pub(super) const PAYLOAD_BYTES_MAX: usize = 64 << 10;
/// The most that the 3 bytes hold.
const COUNT_MAX: u32 = (1 << 24) - 1;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    /// As many bytes of the stream follow.
    Data,
    /// Nothing follows in this direction of the stream.
    End,
    /// The sender broke off.
    Reset,
    /// The receiver wants no more.
    Stop,
    /// So many bytes more may be sent.
    Credit,
    /// This node lives. Concerns no stream.
    Alive,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) count: u32,
    pub(super) stream: u64,
}

impl Header {
    pub(super) fn encode(self) -> [u8; HEADER_BYTES] {
        debug_assert!(self.count <= COUNT_MAX);
        let mut bytes = [0; HEADER_BYTES];
        bytes[..4].copy_from_slice(&(u32::from(self.kind as u8) | self.count << 8).to_le_bytes());
        bytes[4..].copy_from_slice(&self.stream.to_le_bytes());
        bytes
    }

    /// `None` for a kind that is not known.
    pub(super) fn decode(bytes: [u8; HEADER_BYTES]) -> Option<Header> {
        let [kind, a, b, c, stream @ ..] = bytes;
        const KINDS: [Kind; 6] = [Kind::Data, Kind::End, Kind::Reset, Kind::Stop, Kind::Credit, Kind::Alive];
        let kind = *KINDS.get(usize::from(kind))?;
        Some(Header { kind, count: u32::from_le_bytes([a, b, c, 0]), stream: u64::from_le_bytes(stream) })
    }
}

/// A frame that waits to be sent.
pub(super) struct Frame {
    /// The header, and for the first bytes of a message its length.
    head: [u8; HEADER_BYTES + message::HEADER_BYTES],
    head_bytes: usize,
    body: Bytes,
}

impl Frame {
    pub(super) fn bare(header: Header) -> Frame {
        Frame::data(header, None, Bytes::new())
    }

    /// Part of a message; `length` is what goes before its first byte.
    pub(super) fn data(header: Header, length: Option<[u8; message::HEADER_BYTES]>, body: Bytes) -> Frame {
        let mut head = [0; HEADER_BYTES + message::HEADER_BYTES];
        head[..HEADER_BYTES].copy_from_slice(&header.encode());
        head[HEADER_BYTES..].copy_from_slice(&length.unwrap_or_default());
        let head_bytes = if length.is_some() { head.len() } else { HEADER_BYTES };
        Frame { head, head_bytes, body }
    }

    pub(super) fn parts(&self) -> [&[u8]; 2] {
        [&self.head[..self.head_bytes], &self.body]
    }

    /// The bytes of its stream, which wait for room.
    pub(super) fn payload_bytes(&self) -> usize {
        self.head_bytes - HEADER_BYTES + self.body.len()
    }
}

/// A part of what arrived.
pub(super) enum Piece<'a> {
    Frame(Header),
    /// Bytes that the last frame announced.
    Payload(&'a [u8]),
}

/// Takes frames out of bytes as they arrive.
#[derive(Default)]
pub(super) struct Decoder {
    header: [u8; HEADER_BYTES],
    arrived: usize,
    payload_left: usize,
}

impl Decoder {
    /// The next piece, and what follows it; nothing where more must arrive. An error tells what is wrong.
    pub(super) fn next<'a>(&mut self, bytes: &mut &'a [u8]) -> Result<Option<Piece<'a>>, String> {
        if self.payload_left > 0 && !bytes.is_empty() {
            let (payload, rest) = bytes.split_at(self.payload_left.min(bytes.len()));
            self.payload_left -= payload.len();
            *bytes = rest;
            return Ok(Some(Piece::Payload(payload)));
        }
        let (header, rest) = bytes.split_at(bytes.len().min(HEADER_BYTES - self.arrived));
        self.header[self.arrived..][..header.len()].copy_from_slice(header);
        self.arrived += header.len();
        *bytes = rest;
        if self.payload_left > 0 || self.arrived < HEADER_BYTES {
            return Ok(None);
        }
        self.arrived = 0;
        let header =
            Header::decode(self.header).ok_or_else(|| format!("a frame of kind {}", self.header[0]))?;
        if header.kind == Kind::Data {
            self.payload_left = header.count as usize;
            if !(1..=PAYLOAD_BYTES_MAX).contains(&self.payload_left) {
                return Err(format!("a frame of {} bytes", self.payload_left));
            }
        }
        Ok(Some(Piece::Frame(header)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_as_they_went_in() {
        let header = |kind, count, stream| Header { kind, count, stream };
        let body = |length: usize| (0..length).map(|at| at as u8).collect::<Bytes>();
        let frames = [
            (Frame::bare(header(Kind::Alive, 0, 0)), vec![]),
            (Frame::data(header(Kind::Data, 7, 2), Some([9, 0, 0, 0]), body(3)), vec![9, 0, 0, 0, 0, 1, 2]),
            (Frame::data(header(Kind::Data, 300, 2), None, body(300)), body(300).to_vec()),
            (Frame::bare(header(Kind::Credit, COUNT_MAX, u64::MAX)), vec![]),
            (Frame::bare(header(Kind::End, 0, 1 << 40)), vec![]),
        ];
        let bytes = frames.iter().flat_map(|(frame, _)| frame.parts().concat()).collect::<Vec<_>>();
        for piece in [1, 5, 12, 13, usize::MAX] {
            let (mut decoder, mut found) = (Decoder::default(), Vec::new());
            for mut part in bytes.chunks(piece.min(bytes.len())) {
                while let Some(piece) = decoder.next(&mut part).unwrap() {
                    match piece {
                        Piece::Frame(header) => found.push((header.encode(), vec![])),
                        Piece::Payload(bytes) => found.last_mut().unwrap().1.extend_from_slice(bytes),
                    }
                }
                assert!(part.is_empty());
            }
            let expected = frames.iter().map(|(frame, payload)| {
                assert_eq!(frame.payload_bytes(), payload.len());
                (frame.head[..HEADER_BYTES].try_into().unwrap(), payload.clone())
            });
            assert_eq!(found, expected.collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        let long = Header { kind: Kind::Data, count: PAYLOAD_BYTES_MAX as u32 + 1, stream: 0 };
        let empty = Header { kind: Kind::Data, count: 0, stream: 0 };
        for bytes in [long.encode(), empty.encode(), [6; HEADER_BYTES]] {
            assert!(Decoder::default().next(&mut &bytes[..]).is_err());
        }
    }
}
