//! How a stream begins: what is asked for, and whether it is granted.
//!
//! The first message of whoever opens a stream names a service and the version that is spoken. The first message
//! back says that the stream is accepted, or why not. A reply to a call begins in the same way.

use bytes::Bytes;
use std::ops::RangeInclusive;

/// The version that this node speaks.
pub const PROTOCOL_VERSION: u16 = 1;
/// The versions that this node understands: its own and those of nodes that are about to be replaced.
pub const PROTOCOL_VERSIONS: RangeInclusive<u16> = 1..=1;

/// The longest refusal, in bytes.
const REFUSAL_BYTES_MAX: usize = 64 << 10;
const ACCEPTED: u8 = 0;
const REFUSED: u8 = 1;

/// What a stream is for; each number means one thing in all versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Service(pub u16);

/// The first message of a stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Header {
    pub(crate) service: Service,
    pub(crate) version: u16,
}

impl Header {
    pub(crate) fn encode(self) -> Bytes {
        let ([a, b], [c, d]) = (self.service.0.to_le_bytes(), self.version.to_le_bytes());
        Bytes::copy_from_slice(&[a, b, c, d])
    }

    /// Later versions may append to it.
    pub(crate) fn decode(message: &[u8]) -> Option<Header> {
        let [a, b, c, d, ..] = *message else { return None };
        Some(Header { service: Service(u16::from_le_bytes([a, b])), version: u16::from_le_bytes([c, d]) })
    }
}

/// The first message back.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    Accepted,
    Refused(String),
}

impl Answer {
    pub(crate) fn encode(&self) -> Bytes {
        match self {
            Answer::Accepted => Bytes::from_static(&[ACCEPTED]),
            Answer::Refused(why) => {
                let why = why.as_bytes();
                let why = &why[..why.len().min(REFUSAL_BYTES_MAX)];
                [&[REFUSED], why].concat().into()
            }
        }
    }

    pub(crate) fn decode(message: &[u8]) -> Option<Answer> {
        match message {
            [ACCEPTED] => Some(Answer::Accepted),
            [REFUSED, why @ ..] => {
                let why = &why[..why.len().min(REFUSAL_BYTES_MAX)];
                Some(Answer::Refused(String::from_utf8_lossy(why).into_owned()))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_back() {
        let header = Header { service: Service(0x1234), version: 7 };
        assert_eq!(header.encode().as_ref(), [0x34, 0x12, 7, 0]);
        assert_eq!(Header::decode(&header.encode()), Some(header));
        assert_eq!(Header::decode(&[0x34, 0x12, 7, 0, 99]), Some(header));
        for answer in
            [Answer::Accepted, Answer::Refused(String::new()), Answer::Refused("nein, ä".to_string())]
        {
            assert_eq!(Answer::decode(&answer.encode()), Some(answer));
        }
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for message in [&[][..], &[1], &[1, 2, 3]] {
            assert_eq!(Header::decode(message), None);
        }
        for message in [&[][..], &[0, 0], &[2], &[255, 1]] {
            assert_eq!(Answer::decode(message), None);
        }
        assert_eq!(Answer::decode(&[1, 0xff]), Some(Answer::Refused("\u{fffd}".to_string())));
    }

    #[test]
    fn a_refusal_is_cut() {
        let long = Answer::Refused("ä".repeat(REFUSAL_BYTES_MAX)).encode();
        assert_eq!(long.len(), REFUSAL_BYTES_MAX + 1);
        assert!(Answer::decode(&long).is_some());
    }
}
