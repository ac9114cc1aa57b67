//! What a member does when another one that leads, or wants to, calls.
//!
//! Entries and snapshots are handed to openraft one after the other, each once the one before is answered.
//! That keeps clear of a defect of this version (openraft#2116): where a snapshot is installed while commands
//! before it still wait for the disk, entries that the snapshot covers are looked up after they were cut off,
//! and Raft dies. Neither does a message reach openraft that would make it panic, whoever sent it.

use super::codec::{
    damaged, entry_from_stored, log_id_from_stored, log_id_to_stored, snapshot_from_bytes, vote_from_stored,
    vote_to_stored,
};
use super::incoming::{Incoming, Origin, Progress};
use super::types::{Entry, LogId, Raft, TypeConfig, Vote};
use flight_proto::log as stored;
use flight_proto::replication::{
    Answer, Append, AppendOutcome, Appended, Campaign, Received, SnapshotPart, Transfer, Transferred, Voted,
};
use openraft::async_runtime::WatchReceiver;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, TransferLeaderRequest, VoteRequest};
use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore};

/// Calls of leaders that wait for their turn; more are turned away.
const WAITING_MOST: usize = 32;
/// A turn ends at last, lest a defect of one call stops all others.
const TURN_TIMEOUT: Duration = Duration::from_secs(60);

/// The side of a member that follows.
pub(super) struct Following {
    id: u64,
    raft: Raft,
    /// Held while openraft works on entries or a snapshot.
    turn: Arc<Mutex<()>>,
    waiting: Arc<Semaphore>,
    incoming: Mutex<Incoming>,
}

/// Why a call came to nothing.
type Why = String;

fn why(error: impl Display) -> Why {
    error.to_string()
}

impl Following {
    pub(super) fn new(id: u64, raft: Raft) -> Following {
        Following {
            id,
            raft,
            turn: Arc::default(),
            waiting: Arc::new(Semaphore::new(WAITING_MOST)),
            incoming: Mutex::default(),
        }
    }

    /// Runs `work` when all work before it is done, to its end even if nobody waits for it any more.
    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Why> {
        let place = self.waiting.clone().try_acquire_owned().map_err(|_| "too many calls wait")?;
        let turn = self.turn.clone();
        let work = async move {
            let _turn = turn.lock().await;
            let done = tokio::time::timeout(TURN_TIMEOUT, work).await;
            drop(place);
            done
        };
        tokio::spawn(work).await.map_err(why)?.map_err(why)
    }

    /// The vote of a leader, or of a candidate.
    fn vote_of(&self, vote: Option<stored::Vote>, committed: bool) -> Result<Vote, Why> {
        let vote =
            vote.ok_or_else(|| damaged("a vote")).and_then(|vote| vote_from_stored(&vote)).map_err(why)?;
        if vote.committed != committed {
            return Err("this vote does not belong to this call".into());
        }
        if vote.leader_id.node_id == self.id {
            return Err(format!("member {} is called in its own name", self.id));
        }
        Ok(vote)
    }

    pub(super) async fn append(&self, append: Append) -> Result<Answer, Why> {
        let vote = self.vote_of(append.vote, true)?;
        let previous = log_id_of(append.previous)?;
        let entries: Result<Vec<Entry>, _> = append.entries.into_iter().map(entry_from_stored).collect();
        let entries = entries.map_err(why)?;
        check_order(&vote, previous, &entries)?;
        let request = AppendEntriesRequest {
            vote,
            prev_log_id: previous,
            entries,
            leader_commit: log_id_of(append.committed)?,
        };
        let raft = self.raft.clone();
        let response = self.in_turn(async move { raft.append_entries(request).await }).await?;
        let plain = |outcome: AppendOutcome| Appended { outcome: outcome.into(), vote: None };
        Ok(Answer::Appended(match response.map_err(why)? {
            AppendEntriesResponse::Success => plain(AppendOutcome::Success),
            AppendEntriesResponse::PartialSuccess(_) => return Err("entries were left out".into()),
            AppendEntriesResponse::Conflict => plain(AppendOutcome::Conflict),
            AppendEntriesResponse::HigherVote(vote) => {
                Appended { vote: Some(vote_to_stored(&vote)), ..plain(AppendOutcome::HigherVote) }
            }
        }))
    }

    pub(super) async fn vote(&self, campaign: Campaign, pre_vote: bool) -> Result<Answer, Why> {
        let request = VoteRequest::<TypeConfig> {
            vote: self.vote_of(campaign.vote, false)?,
            last_log_id: log_id_of(campaign.last)?,
            leadership_transfer: campaign.transfer,
        };
        let response = match pre_vote {
            true => self.raft.pre_vote(request).await,
            false => self.raft.vote(request).await,
        };
        let response = response.map_err(why)?;
        Ok(Answer::Voted(Voted {
            vote: Some(vote_to_stored(&response.vote)),
            last: response.last_log_id.as_ref().map(log_id_to_stored),
            granted: response.vote_granted,
        }))
    }

    pub(super) async fn transfer(&self, transfer: Transfer) -> Result<Answer, Why> {
        let vote = self.vote_of(transfer.vote, true)?;
        let request = TransferLeaderRequest::new(vote, transfer.to, log_id_of(transfer.last)?);
        let response = self.raft.handle_transfer_leader(request).await.map_err(why)?;
        Ok(Answer::Transferred(Transferred { accepted: response.is_ok() }))
    }

    pub(super) async fn snapshot(&self, part: SnapshotPart) -> Result<Answer, Why> {
        let vote = self.vote_of(part.vote, true)?;
        let own = self.raft.metrics().borrow_watched().vote;
        let received = |vote, bytes, installed| {
            Ok(Answer::Received(Received { vote: Some(vote_to_stored(vote)), bytes, installed }))
        };
        if own.leader_id > vote.leader_id {
            return received(&own, 0, false);
        }
        let origin = Origin { vote, last: log_id_of(part.last)?, total_bytes: part.total_bytes };
        let bytes = match self.incoming.lock().await.take(&origin, part.offset, &part.bytes)? {
            Progress::Bytes(bytes) => return received(&vote, bytes, false),
            Progress::Whole(bytes) => bytes,
        };
        let raft = self.raft.clone();
        let installed = self.in_turn(async move { install(&raft, origin, bytes).await }).await??;
        received(&installed, part.total_bytes, true)
    }
}

/// Installs a snapshot, and gives the vote of this member.
async fn install(raft: &Raft, origin: Origin, bytes: Vec<u8>) -> Result<Vote, Why> {
    let (snapshot, ..) = snapshot_from_bytes(bytes).map_err(why)?;
    let last = snapshot.meta.last_log_id;
    if last != origin.last || last.is_some_and(|last| last.leader_id > origin.vote.leader_id) {
        return Err("this snapshot cannot come from this leader".into());
    }
    let committed = raft.with_raft_state(|state| state.local_committed().copied()).await.map_err(why)?;
    if last > committed && last.map(|id| id.index) <= committed.map(|id| id.index) {
        return Err("this snapshot contradicts what is committed here".into());
    }
    let response = raft.install_full_snapshot(origin.vote, snapshot).await.map_err(why)?;
    Ok(response.vote)
}

fn log_id_of(id: Option<stored::LogId>) -> Result<Option<LogId>, Why> {
    id.as_ref().map(log_id_from_stored).transpose().map_err(why)
}

/// Entries follow `previous` without a gap, in terms that do not fall and end at the leader's own.
fn check_order(vote: &Vote, previous: Option<LogId>, entries: &[Entry]) -> Result<(), Why> {
    let mut before = previous;
    for entry in entries {
        let follows = entry.log_id.index == before.map_or(0, |id| id.index + 1)
            && before.is_none_or(|id| id.leader_id <= entry.log_id.leader_id);
        if !follows {
            return Err("entries of the catalog's log are out of order".into());
        }
        before = Some(entry.log_id);
    }
    match before {
        Some(last) if last.leader_id > vote.leader_id => {
            Err("entries of the catalog's log are of a later term than their leader".into())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::raft::types::EntryPayload;
    use openraft::impls::leader_id_adv::LeaderId;

    fn id(term: u64, index: u64) -> LogId {
        LogId::new(LeaderId { term, node_id: 1 }, index)
    }

    fn check(term: u64, previous: Option<LogId>, entries: &[LogId]) -> bool {
        let vote = Vote { leader_id: LeaderId { term, node_id: 1 }, committed: true };
        let entry = |&log_id: &LogId| Entry { log_id, payload: EntryPayload::Blank };
        check_order(&vote, previous, &entries.iter().map(entry).collect::<Vec<_>>()).is_ok()
    }

    #[test]
    fn entries_are_in_order() {
        assert!(check(1, None, &[]));
        assert!(check(3, None, &[id(0, 0), id(1, 1), id(1, 2), id(3, 3)]));
        assert!(check(3, Some(id(2, 7)), &[id(2, 8)]));
        assert!(!check(3, Some(id(2, 7)), &[id(2, 7)]));
        assert!(!check(3, Some(id(2, 7)), &[id(2, 9)]));
        assert!(!check(3, Some(id(2, 7)), &[id(1, 8)]));
        assert!(!check(3, None, &[id(1, 1)]));
        assert!(!check(1, None, &[id(2, 0)]));
        assert!(!check(1, Some(id(2, 5)), &[]));
    }
}
