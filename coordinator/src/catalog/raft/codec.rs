//! openraft's types in their stored form.

use super::types::{
    Entry, EntryPayload, LogId, Membership, Proposal, Snapshot, SnapshotMeta, StoredMembership, Vote,
};
use flight_proto::Message;
use flight_proto::catalog::CatalogState;
use flight_proto::log as stored;
use openraft::BasicNode;
use openraft::impls::leader_id_adv::LeaderId;
use std::collections::{BTreeMap, BTreeSet};
use std::io;

pub(super) fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what} is damaged"))
}

pub(super) fn log_id_to_stored(id: &LogId) -> stored::LogId {
    stored::LogId { term: id.leader_id.term, node: id.leader_id.node_id, index: id.index }
}

pub(super) fn log_id_from_stored(id: &stored::LogId) -> LogId {
    LogId::new(LeaderId { term: id.term, node_id: id.node }, id.index)
}

pub(super) fn log_id_from_bytes(bytes: &[u8]) -> io::Result<LogId> {
    let id = stored::LogId::decode(bytes).map_err(|_| damaged("a position of the catalog's log"))?;
    Ok(log_id_from_stored(&id))
}

pub(super) fn vote_to_bytes(vote: &Vote) -> Vec<u8> {
    stored::Vote { term: vote.leader_id.term, node: vote.leader_id.node_id, committed: vote.committed }
        .encode_to_vec()
}

pub(super) fn vote_from_bytes(bytes: &[u8]) -> io::Result<Vote> {
    let vote = stored::Vote::decode(bytes).map_err(|_| damaged("the catalog's vote"))?;
    Ok(Vote { leader_id: LeaderId { term: vote.term, node_id: vote.node }, committed: vote.committed })
}

pub(super) fn entry_to_bytes(entry: &Entry) -> Vec<u8> {
    let payload = match &entry.payload {
        EntryPayload::Blank => stored::Payload::Blank(stored::Blank {}),
        EntryPayload::Normal(proposal) => stored::Payload::Command(proposal.0.clone()),
        EntryPayload::Membership(membership) => stored::Payload::Membership(membership_to_stored(membership)),
    };
    stored::LogEntry { id: Some(log_id_to_stored(&entry.log_id)), payload: Some(payload) }.encode_to_vec()
}

pub(super) fn entry_from_bytes(bytes: &[u8]) -> io::Result<Entry> {
    let what = "an entry of the catalog's log";
    let entry = stored::LogEntry::decode(bytes).map_err(|_| damaged(what))?;
    let payload = match entry.payload.ok_or_else(|| damaged(what))? {
        stored::Payload::Blank(_) => EntryPayload::Blank,
        stored::Payload::Command(command) => EntryPayload::Normal(Proposal(command)),
        stored::Payload::Membership(membership) => {
            EntryPayload::Membership(membership_from_stored(&membership)?)
        }
    };
    Ok(Entry { log_id: log_id_from_stored(&entry.id.ok_or_else(|| damaged(what))?), payload })
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

pub(super) fn snapshot_to_bytes(meta: &SnapshotMeta, state: &CatalogState) -> Vec<u8> {
    stored::Snapshot {
        last: meta.last_log_id.as_ref().map(log_id_to_stored),
        membership_id: meta.last_membership.log_id().as_ref().map(log_id_to_stored),
        membership: Some(membership_to_stored(meta.last_membership.membership())),
        state: Some(state.clone()),
    }
    .encode_to_vec()
}

/// The snapshot that `bytes` hold, and the state in it.
pub(super) fn snapshot_from_bytes(bytes: Vec<u8>) -> io::Result<(Snapshot, CatalogState)> {
    let what = "a snapshot of the catalog";
    let stored = stored::Snapshot::decode(&bytes[..]).map_err(|_| damaged(what))?;
    let membership = membership_from_stored(&stored.membership.unwrap_or_default())?;
    let meta = SnapshotMeta {
        last_log_id: stored.last.as_ref().map(log_id_from_stored),
        last_membership: StoredMembership::new(
            stored.membership_id.as_ref().map(log_id_from_stored),
            membership,
        ),
    };
    let state = stored.state.ok_or_else(|| damaged(what))?;
    Ok((Snapshot { meta, snapshot: bytes }, state))
}
