//! The types that openraft is used with.

use crate::catalog::Reply;
use flight_proto::Message;
use flight_proto::catalog::Command;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

openraft::declare_raft_types!(
    /// Catalog commands in, replies out.
    pub(super) TypeConfig:
        D = Proposal,
        R = Reply,
);

pub(super) type Entry = openraft::type_config::alias::EntryOf<TypeConfig>;
pub(super) type EntryPayload = openraft::type_config::alias::PayloadOf<TypeConfig>;
pub(super) type LogId = openraft::type_config::alias::LogIdOf<TypeConfig>;
pub(super) type Vote = openraft::type_config::alias::VoteOf<TypeConfig>;
pub(super) type Membership = openraft::Membership<u64, openraft::BasicNode>;
pub(super) type StoredMembership = openraft::type_config::alias::StoredMembershipOf<TypeConfig>;
pub(super) type SnapshotMeta = openraft::type_config::alias::SnapshotMetaOf<TypeConfig>;
pub(super) type Snapshot = openraft::type_config::alias::SnapshotOf<TypeConfig, Vec<u8>>;

/// A command on its way through the log.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Proposal(pub(super) Command);

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a catalog command of tenant {}", self.0.tenant)
    }
}

// openraft asks for serde; what is written is protobuf all the same.
impl Serialize for Proposal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.encode_to_vec().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Proposal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Proposal, D::Error> {
        let bytes = Vec::<u8>::deserialize(deserializer)?;
        Command::decode(&bytes[..]).map(Proposal).map_err(serde::de::Error::custom)
    }
}
