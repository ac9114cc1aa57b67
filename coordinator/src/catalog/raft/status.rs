//! What a member tells of itself and the others.

use super::types::Metrics;
use network::Versions;
use openraft::ServerState;
use std::collections::BTreeMap;

/// A member's view of the catalog's members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RaftStatus {
    pub id: u64,
    /// Who leads, as far as this member knows.
    pub leader: Option<u64>,
    /// Each election has a later one.
    pub term: u64,
    /// The place in the log up to which the state is applied.
    pub last_applied: Option<u64>,
    pub members: Vec<RaftMember>,
    pub state: MemberState,
}

/// A member of the catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RaftMember {
    pub id: u64,
    /// `HOST:PORT` of its network.
    pub address: String,
    /// Whether its vote counts; it does not until it has caught up.
    pub votes: bool,
    /// What it speaks; `None`: it is silent.
    pub versions: Option<Versions>,
}

/// What a member does at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberState {
    /// It has no vote: it is new, or was removed.
    Learner,
    Follower,
    Candidate,
    Leader,
    Stopped,
}

impl RaftStatus {
    pub(super) fn new(
        metrics: &Metrics,
        last_applied: Option<u64>,
        versions: &BTreeMap<u64, Versions>,
    ) -> RaftStatus {
        RaftStatus {
            id: metrics.id,
            leader: metrics.current_leader,
            term: metrics.current_term,
            last_applied,
            members: members(metrics, versions),
            state: match metrics.state {
                _ if metrics.running_state.is_err() => MemberState::Stopped,
                ServerState::Learner => MemberState::Learner,
                ServerState::Follower => MemberState::Follower,
                ServerState::Candidate => MemberState::Candidate,
                ServerState::Leader => MemberState::Leader,
                ServerState::Shutdown => MemberState::Stopped,
            },
        }
    }
}

pub(super) fn members(metrics: &Metrics, versions: &BTreeMap<u64, Versions>) -> Vec<RaftMember> {
    let membership = &metrics.membership_config;
    let votes = |id| membership.voter_ids().any(|voter| voter == id);
    let member = |(&id, node): (&u64, &openraft::BasicNode)| RaftMember {
        id,
        address: node.addr.clone(),
        votes: votes(id),
        versions: versions.get(&id).copied(),
    };
    membership.nodes().map(member).collect()
}
