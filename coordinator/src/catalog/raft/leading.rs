//! What the leader does for members that ask it: commands for the log, read indexes, changes of the members.
//!
//! Each of these is tried once here; who asks tries again, wherever the leader is by then.

use super::types::{Metrics, Outcome, Proposal, Raft, TypeConfig};
use flight_proto::log::Node;
use flight_proto::replication::{
    Answer, ChangeMembers, Changed, Failed, Forgotten, MemberChange, NotLeader, Propose,
};
use openraft::async_runtime::WatchReceiver;
use openraft::errors::{
    ChangeMembershipError, ClientWriteError, ForwardToLeader, LinearizableReadError, RaftError,
};
use openraft::metrics::WaitError;
use openraft::{BasicNode, ChangeMembers as Change, LinearizerOption, ReadPolicy};
use std::collections::BTreeSet;
use std::fmt::Display;
use std::time::Duration;

/// The side of a member that leads.
pub(super) struct Leading {
    raft: Raft,
    /// How far a new member may lag behind and count as up to date.
    lag_most: u64,
    /// For one try.
    attempt: Duration,
}

/// Nothing was done.
pub(super) fn failed(why: impl Display) -> Answer {
    Answer::Failed(Failed { why: why.to_string(), unknown: false })
}

/// It may have been done, or be done later.
pub(super) fn unknown(why: impl Display) -> Answer {
    Answer::Failed(Failed { why: why.to_string(), unknown: true })
}

fn elsewhere(forward: ForwardToLeader<TypeConfig>) -> Answer {
    let leader = forward.leader_id.zip(forward.leader_node);
    Answer::NotLeader(NotLeader { leader: leader.map(|(id, node)| Node { id, address: node.addr }) })
}

fn write_failed(error: RaftError<TypeConfig, ClientWriteError<TypeConfig>>) -> Answer {
    match error {
        RaftError::APIError(ClientWriteError::ForwardToLeader(forward)) => elsewhere(forward),
        RaftError::APIError(ClientWriteError::ChangeMembershipError(error)) => match error {
            ChangeMembershipError::InProgress(_) | ChangeMembershipError::UncommittedLeaderLog(_) => {
                failed(error)
            }
            error => Answer::Refused(error.to_string()),
        },
        RaftError::APIError(error @ ClientWriteError::PreconditionFailed(_)) => failed(error),
        error => unknown(error),
    }
}

impl Leading {
    pub(super) fn new(raft: Raft, lag_most: u64, attempt: Duration) -> Leading {
        Leading { raft, lag_most, attempt }
    }

    /// Puts a command in the log and waits until it is applied.
    pub(super) async fn propose(&self, propose: Propose) -> Answer {
        let proposal = match Proposal::try_from(propose) {
            Ok(proposal) => proposal,
            Err(error) => return Answer::Refused(error.to_string()),
        };
        match tokio::time::timeout(self.attempt, self.raft.client_write(proposal)).await {
            Ok(Ok(response)) => match response.data {
                Outcome::Replied(reply) => Answer::Replied((&reply).into()),
                Outcome::Forgotten => Answer::Forgotten(Forgotten {}),
            },
            Ok(Err(error)) => write_failed(error),
            Err(_) => unknown("the leader does not reach a majority of the members"),
        }
    }

    /// How far a state must be applied to hold all that is acknowledged now; a majority confirms that this
    /// member leads.
    pub(super) async fn read_index(&self) -> Answer {
        let option = LinearizerOption::from(ReadPolicy::ReadIndex).with_wait_timeout(self.attempt);
        match self.raft.get_read_linearizer(option).await {
            Ok(linearizer) => Answer::ReadIndex(linearizer.read_log_id().index()),
            Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(forward))) => elsewhere(forward),
            Err(error) => failed(error),
        }
    }

    /// Adds or removes a member; does nothing where that is done already.
    pub(super) async fn change_members(&self, change: ChangeMembers) -> Answer {
        let change = async {
            match change.change {
                Some(MemberChange::Add(node)) => self.add(node).await,
                Some(MemberChange::Remove(id)) => self.remove(id).await,
                None => Answer::Refused("this change of the members is not known to the leader".into()),
            }
        };
        match tokio::time::timeout(self.attempt, change).await {
            Ok(answer) => answer,
            Err(_) => unknown("the members are not changed yet"),
        }
    }

    /// Hands the lead to another member that votes, and waits until this one leads no more.
    pub(super) async fn hand_over(&self, to: u64) -> Answer {
        let metrics = self.metrics();
        if !metrics.state.is_leader() {
            return Answer::NotLeader(NotLeader { leader: None });
        }
        if to == metrics.id {
            return Answer::Changed(Changed {});
        }
        if !metrics.membership_config.voter_ids().any(|id| id == to) {
            return Answer::Refused(format!("there is no coordinator {to} with a vote"));
        }
        if let Err(error) = self.raft.trigger().transfer_leader(to).await {
            return unknown(error);
        }
        // It leads only if it has the whole log; else this one goes on, and the question is asked again.
        let follows = |metrics: &Metrics| !metrics.state.is_leader() && metrics.current_leader == Some(to);
        match self.raft.wait(Some(self.attempt)).metrics(follows, "another leader").await {
            Ok(_) => Answer::Changed(Changed {}),
            Err(error) => unknown(error),
        }
    }

    fn metrics(&self) -> Metrics {
        self.raft.metrics().borrow_watched().clone()
    }

    async fn add(&self, node: Node) -> Answer {
        let known = self.metrics().membership_config.get_node(&node.id).cloned();
        match known {
            Some(known) if known.addr != node.address => {
                let (id, address) = (node.id, known.addr);
                return Answer::Refused(format!("member {id} lives at {address}; remove it before it moves"));
            }
            Some(_) => {}
            None => {
                let added = self.raft.add_learner(node.id, BasicNode { addr: node.address }, false).await;
                if let Err(error) = added {
                    return write_failed(error);
                }
            }
        }
        if let Err(error) = self.caught_up(node.id).await {
            return unknown(error);
        }
        if !self.metrics().state.is_leader() {
            return Answer::NotLeader(NotLeader { leader: None });
        }
        self.change(Change::AddVoterIds(BTreeSet::from([node.id]))).await
    }

    /// Waits until a new member has most of the log, or until this one leads no more.
    async fn caught_up(&self, id: u64) -> Result<Metrics, WaitError> {
        let close = |metrics: &Metrics| {
            let Some(replication) = &metrics.replication else { return true };
            let matched = replication.get(&id).copied().flatten();
            let last = metrics.last_log_index.unwrap_or(0);
            id == metrics.id
                || matched.is_some_and(|matched| last.saturating_sub(matched.index) <= self.lag_most)
        };
        self.raft.wait(None).metrics(close, "the new member to catch up").await
    }

    async fn remove(&self, id: u64) -> Answer {
        let membership = self.metrics().membership_config;
        if membership.get_node(&id).is_none() {
            return Answer::Changed(Changed {});
        }
        let mut voters: BTreeSet<u64> = membership.voter_ids().collect();
        if !voters.remove(&id) {
            return self.change(Change::RemoveNodes(BTreeSet::from([id]))).await;
        }
        if voters.is_empty() {
            return Answer::Refused("the last member cannot be removed".into());
        }
        self.change(Change::RemoveVoters(BTreeSet::from([id]))).await
    }

    /// Both steps of a change are made even if nobody waits for them any more.
    async fn change(&self, change: Change<u64, BasicNode>) -> Answer {
        let raft = self.raft.clone();
        match tokio::spawn(async move { raft.change_membership(change, false).await }).await {
            Ok(Ok(_)) => Answer::Changed(Changed {}),
            Ok(Err(error)) => write_failed(error),
            Err(error) => unknown(error),
        }
    }
}
