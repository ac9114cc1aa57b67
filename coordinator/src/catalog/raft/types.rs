//! The types that openraft is used with.

use crate::catalog::Reply;
use flight_proto::Message;
use flight_proto::catalog::Command;
use flight_proto::replication::Propose;
use openraft::rt::deterministic_rng::DeterministicRng;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

type Tokio = openraft::impls::TokioRuntime;
/// Tokio with random numbers that follow from the seed of the surrounding `scope`.
pub(super) type Runtime = DeterministicRng<Tokio>;

openraft::declare_raft_types!(
    /// Catalog commands in, replies out.
    pub(super) TypeConfig:
        D = Proposal,
        R = Outcome,
        AsyncRuntime = Runtime,
);

pub(super) type Raft = openraft::Raft<TypeConfig, super::machine::StateMachine>;
pub(super) type Entry = openraft::type_config::alias::EntryOf<TypeConfig>;
pub(super) type EntryPayload = openraft::type_config::alias::PayloadOf<TypeConfig>;
pub(super) type LogId = openraft::type_config::alias::LogIdOf<TypeConfig>;
pub(super) type Vote = openraft::type_config::alias::VoteOf<TypeConfig>;
pub(super) type Membership = openraft::Membership<u64, openraft::BasicNode>;
pub(super) type StoredMembership = openraft::type_config::alias::StoredMembershipOf<TypeConfig>;
pub(super) type SnapshotMeta = openraft::type_config::alias::SnapshotMetaOf<TypeConfig>;
pub(super) type Snapshot = openraft::type_config::alias::SnapshotOf<TypeConfig, Vec<u8>>;
pub(super) type Metrics = openraft::RaftMetrics<TypeConfig>;
pub(super) type MetricsReceiver = openraft::type_config::alias::WatchReceiverOf<TypeConfig, Metrics>;

/// A command on its way through the log.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Proposal {
    /// Tells this command from every other, however often it is proposed; `None`: it is proposed once.
    pub(super) identity: Option<u128>,
    /// What the proposer had applied before it first proposed the command.
    pub(super) after: u64,
    pub(super) command: Command,
}

/// What became of a proposal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Outcome {
    Replied(Reply),
    /// It may have been applied so long ago that the reply is lost; it was not applied now.
    Forgotten,
}

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a catalog command of tenant {}", self.command.tenant)
    }
}

// openraft asks for serde; what is written is protobuf all the same.
impl Serialize for Proposal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Propose::from(self).encode_to_vec().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Proposal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Proposal, D::Error> {
        let bytes = Vec::<u8>::deserialize(deserializer)?;
        let propose = Propose::decode(&bytes[..]).map_err(serde::de::Error::custom)?;
        Proposal::try_from(propose).map_err(serde::de::Error::custom)
    }
}
