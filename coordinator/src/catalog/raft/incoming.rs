//! A snapshot that arrives in parts.

use super::types::{LogId, Vote};

/// A longer snapshot is no catalog.
const SNAPSHOT_BYTES_MOST: u64 = 1 << 30;

/// The parts of a snapshot that are there; another snapshot takes its place.
#[derive(Default)]
pub(super) struct Incoming {
    of: Option<Origin>,
    bytes: Vec<u8>,
}

/// Which snapshot it is, and who sends it.
#[derive(Clone, PartialEq)]
pub(super) struct Origin {
    pub(super) vote: Vote,
    pub(super) last: Option<LogId>,
    pub(super) total_bytes: u64,
}

/// What there is after a part.
#[derive(Debug, PartialEq)]
pub(super) enum Progress {
    /// That many bytes; the next part starts there.
    Bytes(u64),
    Whole(Vec<u8>),
}

impl Incoming {
    /// Takes a part; one that does not follow what is there is left out.
    pub(super) fn take(&mut self, origin: &Origin, offset: u64, part: &[u8]) -> Result<Progress, String> {
        if origin.total_bytes > SNAPSHOT_BYTES_MOST {
            return Err(format!("a snapshot of {} bytes is refused", origin.total_bytes));
        }
        if self.of.as_ref() != Some(origin) {
            *self = Incoming { of: Some(origin.clone()), bytes: Vec::new() };
        }
        let there = self.bytes.len() as u64;
        if offset == there && there + part.len() as u64 <= origin.total_bytes {
            self.bytes.extend_from_slice(part);
        }
        let there = self.bytes.len() as u64;
        if there < origin.total_bytes {
            return Ok(Progress::Bytes(there));
        }
        Ok(Progress::Whole(std::mem::take(self).bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use openraft::impls::leader_id_adv::LeaderId;

    fn origin(term: u64, total_bytes: u64) -> Origin {
        let leader_id = LeaderId { term, node_id: 1 };
        let last = Some(LogId::new(leader_id, 9));
        Origin { vote: Vote { leader_id, committed: true }, last, total_bytes }
    }

    #[test]
    fn parts_follow_each_other() {
        let mut incoming = Incoming::default();
        let first = origin(1, 6);
        assert_eq!(incoming.take(&first, 0, b"abc"), Ok(Progress::Bytes(3)));
        // Again, with a gap, and too long: none of them changes what is there.
        assert_eq!(incoming.take(&first, 0, b"abc"), Ok(Progress::Bytes(3)));
        assert_eq!(incoming.take(&first, 4, b"ef"), Ok(Progress::Bytes(3)));
        assert_eq!(incoming.take(&first, 3, b"defg"), Ok(Progress::Bytes(3)));
        assert_eq!(incoming.take(&first, 3, b"def"), Ok(Progress::Whole(b"abcdef".to_vec())));
        // What was handed over is gone.
        assert_eq!(incoming.take(&first, 3, b"def"), Ok(Progress::Bytes(0)));
    }

    #[test]
    fn another_snapshot_takes_the_place() {
        let mut incoming = Incoming::default();
        assert_eq!(incoming.take(&origin(1, 6), 0, b"abc"), Ok(Progress::Bytes(3)));
        assert_eq!(incoming.take(&origin(2, 6), 3, b"def"), Ok(Progress::Bytes(0)));
        assert_eq!(incoming.take(&origin(2, 6), 0, b"uvw"), Ok(Progress::Bytes(3)));
        assert_eq!(incoming.take(&origin(2, 6), 3, b"xyz"), Ok(Progress::Whole(b"uvwxyz".to_vec())));
        assert!(incoming.take(&origin(2, u64::MAX), 0, b"").is_err());
        assert_eq!(incoming.take(&origin(2, 6), u64::MAX, b"x"), Ok(Progress::Bytes(0)));
    }
}
