//! Entries of the catalog's replicated log, as they lie on disk.

use crate::catalog::{Command, Reply};

/// One entry of the log.
#[derive(Clone, PartialEq, prost::Message)]
pub struct LogEntry {
    #[prost(message, optional, tag = "1")]
    pub id: Option<LogId>,
    #[prost(oneof = "Payload", tags = "2, 3, 4")]
    pub payload: Option<Payload>,
    /// 16 bytes that tell a command from every other; none: it is not proposed again.
    #[prost(bytes = "vec", tag = "5")]
    pub identity: Vec<u8>,
    /// What the proposer had applied before it first proposed the command.
    #[prost(uint64, tag = "6")]
    pub after: u64,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Payload {
    /// What a new leader writes first.
    #[prost(message, tag = "2")]
    Blank(Blank),
    #[prost(message, tag = "3")]
    Command(Command),
    #[prost(message, tag = "4")]
    Membership(Membership),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Blank {}

/// The place of an entry, and the leader that wrote it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct LogId {
    #[prost(uint64, tag = "1")]
    pub term: u64,
    #[prost(uint64, tag = "2")]
    pub node: u64,
    #[prost(uint64, tag = "3")]
    pub index: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Vote {
    #[prost(uint64, tag = "1")]
    pub term: u64,
    #[prost(uint64, tag = "2")]
    pub node: u64,
    #[prost(bool, tag = "3")]
    pub committed: bool,
}

/// Who votes: one set, or two while the membership changes.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Membership {
    #[prost(message, repeated, tag = "1")]
    pub voters: Vec<Voters>,
    #[prost(message, repeated, tag = "2")]
    pub nodes: Vec<Node>,
}

#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Voters {
    #[prost(uint64, repeated, tag = "1")]
    pub nodes: Vec<u64>,
}

#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Node {
    #[prost(uint64, tag = "1")]
    pub id: u64,
    #[prost(string, tag = "2")]
    pub address: String,
}

/// A snapshot of the catalog with its place in the log.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Snapshot {
    #[prost(message, optional, tag = "1")]
    pub last: Option<LogId>,
    #[prost(message, optional, tag = "2")]
    pub membership_id: Option<LogId>,
    #[prost(message, optional, tag = "3")]
    pub membership: Option<Membership>,
    #[prost(message, optional, tag = "4")]
    pub state: Option<crate::catalog::CatalogState>,
    /// The latest commands, in the order of the log.
    #[prost(message, repeated, tag = "5")]
    pub remembered: Vec<Remembered>,
    /// The place of the latest command that is remembered no more.
    #[prost(uint64, tag = "6")]
    pub forgotten: u64,
}

/// A command that was applied, and the reply to it.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Remembered {
    #[prost(bytes = "vec", tag = "1")]
    pub identity: Vec<u8>,
    #[prost(uint64, tag = "2")]
    pub index: u64,
    #[prost(message, optional, tag = "3")]
    pub reply: Option<Reply>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Message;
    use crate::catalog::{CatalogState, Outcome};

    fn check<M: Message + Default + PartialEq + std::fmt::Debug>(message: M, golden: &[u8]) {
        let bytes = message.encode_to_vec();
        assert_eq!(bytes, golden, "{}", bytes.escape_ascii());
        assert_eq!(M::decode(golden).unwrap(), message);
    }

    const LAST: LogId = LogId { term: 3, node: 2, index: 300 };

    /// Logs and snapshots outlive the code that wrote them: these bytes are fixed.
    #[test]
    fn golden_log() {
        check(Vote { term: 3, node: 2, committed: true }, b"\x08\x03\x10\x02\x18\x01");
        let entry = |payload| LogEntry { id: Some(LAST), payload: Some(payload), ..LogEntry::default() };
        check(entry(Payload::Blank(Blank {})), b"\n\x07\x08\x03\x10\x02\x18\xac\x02\x12\x00");
        let membership = Membership {
            voters: vec![Voters { nodes: vec![1, 2] }],
            nodes: vec![Node { id: 1, address: "a:1".into() }],
        };
        check(
            entry(Payload::Membership(membership.clone())),
            b"\n\x07\x08\x03\x10\x02\x18\xac\x02\"\x0f\n\x04\n\x02\x01\x02\x12\x07\x08\x01\x12\x03a:1",
        );
        let command = Command { at_us: 5, tenant: "t".into(), change: None };
        // As it was before commands had identities.
        check(
            entry(Payload::Command(command.clone())),
            b"\n\x07\x08\x03\x10\x02\x18\xac\x02\x1a\x05\x08\x05\x12\x01t",
        );
        let named = LogEntry { identity: vec![1; 16], after: 9, ..entry(Payload::Command(command)) };
        check(
            named,
            b"\n\x07\x08\x03\x10\x02\x18\xac\x02\x1a\x05\x08\x05\x12\x01t*\x10\x01\x01\x01\x01\x01\
                \x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x010\t",
        );
        let reply = Reply { outcome: Some(Outcome::Dataset(2)) };
        let snapshot = Snapshot {
            last: Some(LAST),
            membership_id: Some(LAST),
            membership: Some(membership),
            state: Some(CatalogState { revision: 8, ..CatalogState::default() }),
            remembered: vec![Remembered { identity: vec![1; 16], index: 300, reply: Some(reply) }],
            forgotten: 7,
        };
        check(
            snapshot,
            b"\n\x07\x08\x03\x10\x02\x18\xac\x02\x12\x07\x08\x03\x10\x02\x18\xac\x02\x1a\x0f\n\x04\
                \n\x02\x01\x02\x12\x07\x08\x01\x12\x03a:1\"\x02\x08\x08*\x19\n\x10\x01\x01\x01\x01\
                \x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x10\xac\x02\x1a\x02\x10\x020\x07",
        );
    }
}
