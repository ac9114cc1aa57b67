//! openraft's types in their stored form, which is also the one that crosses the network.
//!
//! What is read here may come from another member: numbers that openraft would calculate with beyond their
//! range are refused.

use super::remembered::Remembered;
use super::types::{
    Entry, EntryPayload, LogId, Membership, Proposal, Snapshot, SnapshotMeta, StoredMembership, Vote,
};
use crate::catalog::CatalogState;
use flight_proto::Message;
use flight_proto::catalog::Command;
use flight_proto::log as stored;
use flight_proto::replication::Propose;
use openraft::BasicNode;
use openraft::impls::leader_id_adv::LeaderId;
use std::collections::{BTreeMap, BTreeSet};
use std::io;

/// More terms or entries than there will ever be.
const NUMBER_MOST: u64 = u64::MAX >> 1;

pub(super) fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what} is damaged"))
}

/// What a member of a later version has written.
fn unknown_command() -> io::Error {
    let why = "the catalog's log has a command that this release of Tundra does not know: start this coordinator with \
               the newer release that wrote it";
    io::Error::new(io::ErrorKind::Unsupported, why)
}

/// Refuses a command that is of a later version: its fields are lost where it was read, and it must not be written or
/// applied without them.
fn check_known(command: &Command) -> io::Result<()> {
    command.change.as_ref().map(drop).ok_or_else(unknown_command)
}

pub(super) fn log_id_to_stored(id: &LogId) -> stored::LogId {
    stored::LogId { term: id.leader_id.term, node: id.leader_id.node_id, index: id.index }
}

pub(super) fn log_id_from_stored(id: &stored::LogId) -> io::Result<LogId> {
    if id.term > NUMBER_MOST || id.index > NUMBER_MOST {
        return Err(damaged("a position of the catalog's log"));
    }
    Ok(LogId::new(LeaderId { term: id.term, node_id: id.node }, id.index))
}

pub(super) fn log_id_from_bytes(bytes: &[u8]) -> io::Result<LogId> {
    let id = stored::LogId::decode(bytes).map_err(|_| damaged("a position of the catalog's log"))?;
    log_id_from_stored(&id)
}

pub(super) fn vote_to_stored(vote: &Vote) -> stored::Vote {
    stored::Vote { term: vote.leader_id.term, node: vote.leader_id.node_id, committed: vote.committed }
}

pub(super) fn vote_from_stored(vote: &stored::Vote) -> io::Result<Vote> {
    if vote.term > NUMBER_MOST {
        return Err(damaged("the catalog's vote"));
    }
    Ok(Vote { leader_id: LeaderId { term: vote.term, node_id: vote.node }, committed: vote.committed })
}

pub(super) fn vote_from_bytes(bytes: &[u8]) -> io::Result<Vote> {
    let vote = stored::Vote::decode(bytes).map_err(|_| damaged("the catalog's vote"))?;
    vote_from_stored(&vote)
}

pub(super) fn entry_to_stored(entry: &Entry) -> stored::LogEntry {
    let id = Some(log_id_to_stored(&entry.log_id));
    let plain = |payload| stored::LogEntry { id, payload: Some(payload), ..stored::LogEntry::default() };
    match &entry.payload {
        EntryPayload::Blank => plain(stored::Payload::Blank(stored::Blank {})),
        EntryPayload::Membership(membership) => {
            plain(stored::Payload::Membership(membership_to_stored(membership)))
        }
        EntryPayload::Normal(proposal) => stored::LogEntry {
            identity: identity_to_stored(proposal.identity),
            after: proposal.after,
            ..plain(stored::Payload::Command(proposal.command.clone()))
        },
    }
}

pub(super) fn entry_from_stored(entry: stored::LogEntry) -> io::Result<Entry> {
    let what = "an entry of the catalog's log";
    let payload = match entry.payload.ok_or_else(|| damaged(what))? {
        stored::Payload::Blank(_) => EntryPayload::Blank,
        stored::Payload::Command(command) => {
            check_known(&command)?;
            let identity = identity_from_stored(&entry.identity)?;
            EntryPayload::Normal(Proposal { identity, after: entry.after, command })
        }
        stored::Payload::Membership(membership) => {
            EntryPayload::Membership(membership_from_stored(&membership)?)
        }
    };
    let log_id = log_id_from_stored(&entry.id.ok_or_else(|| damaged(what))?)?;
    Ok(Entry { log_id, payload })
}

pub(super) fn entry_from_bytes(bytes: &[u8]) -> io::Result<Entry> {
    let entry = stored::LogEntry::decode(bytes).map_err(|_| damaged("an entry of the catalog's log"))?;
    entry_from_stored(entry)
}

fn identity_to_stored(identity: Option<u128>) -> Vec<u8> {
    identity.map(|identity| identity.to_be_bytes().to_vec()).unwrap_or_default()
}

fn identity_from_stored(bytes: &[u8]) -> io::Result<Option<u128>> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let bytes = bytes.try_into().map_err(|_| damaged("the identity of a catalog command"))?;
    Ok(Some(u128::from_be_bytes(bytes)))
}

impl From<&Proposal> for Propose {
    fn from(proposal: &Proposal) -> Propose {
        Propose {
            identity: identity_to_stored(proposal.identity),
            after: proposal.after,
            command: Some(proposal.command.clone()),
        }
    }
}

impl TryFrom<Propose> for Proposal {
    type Error = io::Error;

    fn try_from(propose: Propose) -> io::Result<Proposal> {
        let command = propose.command.ok_or_else(|| damaged("a catalog command"))?;
        check_known(&command)?;
        Ok(Proposal { identity: identity_from_stored(&propose.identity)?, after: propose.after, command })
    }
}

fn membership_to_stored(membership: &Membership) -> stored::Membership {
    stored::Membership {
        voters: membership
            .get_joint_config()
            .iter()
            .map(|voters| stored::Voters { nodes: voters.iter().copied().collect() })
            .collect(),
        nodes: membership
            .nodes()
            .map(|(&id, node)| stored::Node { id, address: node.addr.clone() })
            .collect(),
    }
}

fn membership_from_stored(membership: &stored::Membership) -> io::Result<Membership> {
    let voters: Vec<BTreeSet<u64>> =
        membership.voters.iter().map(|voters| voters.nodes.iter().copied().collect()).collect();
    let nodes: BTreeMap<u64, BasicNode> =
        membership.nodes.iter().map(|node| (node.id, BasicNode { addr: node.address.clone() })).collect();
    if voters.is_empty() {
        return Ok(Membership::default());
    }
    Membership::new(voters, nodes).map_err(|_| damaged("the catalog's membership"))
}

pub(super) fn snapshot_to_bytes(
    meta: &SnapshotMeta,
    state: &CatalogState,
    remembered: &Remembered,
) -> Vec<u8> {
    stored::Snapshot {
        last: meta.last_log_id.as_ref().map(log_id_to_stored),
        membership_id: meta.last_membership.log_id().as_ref().map(log_id_to_stored),
        membership: Some(membership_to_stored(meta.last_membership.membership())),
        state: Some(state.stored().clone()),
        remembered: remembered.stored(),
        forgotten: remembered.forgotten(),
    }
    .encode_to_vec()
}

/// The snapshot that `bytes` hold, and the state and the latest replies in it.
pub(super) fn snapshot_from_bytes(bytes: Vec<u8>) -> io::Result<(Snapshot, CatalogState, Remembered)> {
    let what = "a snapshot of the catalog";
    let stored = stored::Snapshot::decode(&bytes[..]).map_err(|_| damaged(what))?;
    let membership = membership_from_stored(&stored.membership.unwrap_or_default())?;
    let log_id = |id: Option<stored::LogId>| id.as_ref().map(log_id_from_stored).transpose();
    let meta = SnapshotMeta {
        last_log_id: log_id(stored.last)?,
        last_membership: StoredMembership::new(log_id(stored.membership_id)?, membership),
    };
    let state = CatalogState::from_stored(stored.state.ok_or_else(|| damaged(what))?);
    let remembered =
        Remembered::from_stored(stored.remembered, stored.forgotten).ok_or_else(|| damaged(what))?;
    Ok((Snapshot { meta, snapshot: bytes }, state, remembered))
}
