//! Entries of the catalog's replicated log, as they lie on disk.

use crate::catalog::Command;

/// One entry of the log.
#[derive(Clone, PartialEq, prost::Message)]
pub struct LogEntry {
    #[prost(message, optional, tag = "1")]
    pub id: Option<LogId>,
    #[prost(oneof = "Payload", tags = "2, 3, 4")]
    pub payload: Option<Payload>,
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
}
