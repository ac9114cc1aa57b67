//! How a stream begins: what is asked for, and whether it is granted.
//!
//! The first message of whoever opens a stream names a service, the version that is spoken, and the latest one that
//! the node could speak. The first message back says that the stream is accepted, or why not. A reply to a call begins
//! in the same way.

use bytes::Bytes;
use std::ops::RangeInclusive;

/// The versions that this code speaks: its own, and that of nodes that are about to be replaced.
pub const PROTOCOL_VERSIONS: RangeInclusive<u16> = 1..=2;

/// The longest refusal, in bytes.
const REFUSAL_BYTES_MAX: usize = 64 << 10;
const ACCEPTED: u8 = 0;
const REFUSED: u8 = 1;
/// Sent to those alone who tell the latest version that they speak.
const OUTDATED: u8 = 2;

/// What a stream is for; each number means one thing in all versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Service(pub u16);

/// The first message of a stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Header {
    pub(crate) service: Service,
    pub(crate) version: u16,
    /// The latest version that the node speaks; version 1 did not tell it.
    pub(crate) most: Option<u16>,
}

impl Header {
    pub(crate) fn encode(self) -> Bytes {
        let parts = [Some(self.service.0), Some(self.version), self.most];
        parts.into_iter().flatten().flat_map(u16::to_le_bytes).collect()
    }

    /// Later versions may append to it.
    pub(crate) fn decode(message: &[u8]) -> Option<Header> {
        let [a, b, c, d, ref rest @ ..] = *message else { return None };
        let most = rest.first_chunk().map(|bytes| u16::from_le_bytes(*bytes));
        Some(Header {
            service: Service(u16::from_le_bytes([a, b])),
            version: u16::from_le_bytes([c, d]),
            most,
        })
    }
}

/// The first message back.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    Accepted,
    Refused(String),
    /// The cluster is at a version that the other node does not speak.
    Outdated(String),
}

impl Answer {
    pub(crate) fn encode(&self) -> Bytes {
        let (code, why) = match self {
            Answer::Accepted => return Bytes::from_static(&[ACCEPTED]),
            Answer::Refused(why) => (REFUSED, why.as_bytes()),
            Answer::Outdated(why) => (OUTDATED, why.as_bytes()),
        };
        [&[code], &why[..why.len().min(REFUSAL_BYTES_MAX)]].concat().into()
    }

    pub(crate) fn decode(message: &[u8]) -> Option<Answer> {
        match message {
            [ACCEPTED] => Some(Answer::Accepted),
            [code @ (REFUSED | OUTDATED), why @ ..] => {
                let why = &why[..why.len().min(REFUSAL_BYTES_MAX)];
                let why = String::from_utf8_lossy(why).into_owned();
                Some(if *code == REFUSED { Answer::Refused(why) } else { Answer::Outdated(why) })
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
        let header = Header { service: Service(0x1234), version: 7, most: Some(0x0108) };
        assert_eq!(header.encode().as_ref(), [0x34, 0x12, 7, 0, 8, 1]);
        assert_eq!(Header::decode(&header.encode()), Some(header));
        assert_eq!(Header::decode(&[0x34, 0x12, 7, 0, 8, 1, 99]), Some(header));
        // As version 1 has it.
        let first = Header { most: None, ..header };
        assert_eq!(first.encode().as_ref(), [0x34, 0x12, 7, 0]);
        assert_eq!(Header::decode(&[0x34, 0x12, 7, 0]), Some(first));
        assert_eq!(Header::decode(&[0x34, 0x12, 7, 0, 99]), Some(first));
        for answer in [
            Answer::Accepted,
            Answer::Refused(String::new()),
            Answer::Refused("nein, ä".to_string()),
            Answer::Outdated("nein, ä".to_string()),
        ] {
            assert_eq!(Answer::decode(&answer.encode()), Some(answer));
        }
        assert_eq!(Answer::Refused("x".to_string()).encode().as_ref(), [1, b'x']);
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for message in [&[][..], &[1], &[1, 2, 3]] {
            assert_eq!(Header::decode(message), None);
        }
        for message in [&[][..], &[0, 0], &[3], &[255, 1]] {
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
