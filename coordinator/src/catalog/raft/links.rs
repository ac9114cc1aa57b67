//! openraft's calls of other members, as messages over a [`Transport`].

use super::codec::{entry_to_stored, log_id_from_stored, log_id_to_stored, vote_from_stored, vote_to_stored};
use super::transport::{Transport, ask, malformed};
use super::types::{Entry, LogId, Snapshot, TypeConfig, Vote};
use flight_proto::Message;
use flight_proto::replication::{
    Answer, Append, AppendOutcome, Campaign, Question, Received, SnapshotPart, Transfer,
};
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RPCTypes, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{BasicNode, OptionalSend};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// Entries of one message hold at most this many bytes, unless there is one entry only.
const APPEND_BYTES_MOST: usize = 4 << 20;
/// A snapshot is sent in parts of this size.
const PART_BYTES: usize = 1 << 20;
/// How often a receiver may want the same part again.
const REPEATS_MOST: usize = 3;

/// Makes the way to each member.
pub(super) struct Links {
    pub(super) id: u64,
    pub(super) transport: Arc<dyn Transport>,
    /// For answers that may need the other member's disk.
    pub(super) patience: Duration,
}

impl RaftNetworkFactory<TypeConfig> for Links {
    type Network = Link;

    async fn new_client(&mut self, target: u64, node: &BasicNode) -> Link {
        Link {
            id: self.id,
            target,
            address: node.addr.clone(),
            transport: self.transport.clone(),
            patience: self.patience,
        }
    }
}

/// The way to one member.
pub(super) struct Link {
    id: u64,
    target: u64,
    address: String,
    transport: Arc<dyn Transport>,
    patience: Duration,
}

impl Link {
    async fn ask(
        &self,
        question: Question,
        action: RPCTypes,
        timeout: Duration,
    ) -> Result<Answer, RPCError<TypeConfig>> {
        let answer = ask(&*self.transport, self.target, &self.address, question, timeout).await;
        match answer {
            Ok(Answer::Failed(failed)) => Err(Unreachable::from_string(failed.why).into()),
            Ok(Answer::Refused(why)) => Err(Unreachable::from_string(why).into()),
            Ok(answer) => Ok(answer),
            Err(network::Error::TimedOut { .. }) => {
                let (id, target) = (self.id, self.target);
                Err(openraft::errors::Timeout { action, id, target, timeout }.into())
            }
            Err(
                error @ (network::Error::Unreachable { .. }
                | network::Error::Refused(_)
                | network::Error::Outdated(_)
                | network::Error::Malformed { .. }),
            ) => Err(Unreachable::new(&error).into()),
            Err(error) => Err(NetworkError::new(&error).into()),
        }
    }

    fn malformed(&self) -> Unreachable<TypeConfig> {
        Unreachable::new(&malformed(&self.address))
    }

    fn vote_of(&self, vote: Option<flight_proto::log::Vote>) -> Result<Vote, Unreachable<TypeConfig>> {
        vote.and_then(|vote| vote_from_stored(&vote).ok()).ok_or_else(|| self.malformed())
    }

    async fn campaign(
        &self,
        question: fn(Campaign) -> Question,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        let campaign = Campaign {
            vote: Some(vote_to_stored(&request.vote)),
            last: request.last_log_id.as_ref().map(log_id_to_stored),
            transfer: request.leadership_transfer,
        };
        let Answer::Voted(voted) = self.ask(question(campaign), RPCTypes::Vote, option.hard_ttl()).await?
        else {
            return Err(self.malformed().into());
        };
        let last = voted.last.as_ref().map(log_id_from_stored).transpose();
        let last = last.map_err(|_| self.malformed())?;
        Ok(VoteResponse::new(self.vote_of(voted.vote)?, last, voted.granted))
    }

    async fn send_part(
        &self,
        vote: &Vote,
        last: Option<&LogId>,
        snapshot: &[u8],
        offset: usize,
    ) -> Result<Received, RPCError<TypeConfig>> {
        let part = &snapshot[offset..snapshot.len().min(offset + PART_BYTES)];
        let question = Question::Snapshot(SnapshotPart {
            vote: Some(vote_to_stored(vote)),
            last: last.map(log_id_to_stored),
            total_bytes: snapshot.len() as u64,
            offset: offset as u64,
            bytes: part.to_vec(),
        });
        match self.ask(question, RPCTypes::InstallSnapshot, self.patience).await? {
            Answer::Received(received) => Ok(received),
            _ => Err(self.malformed().into()),
        }
    }
}

/// As many of the entries as one message may hold, in their stored form.
fn first_entries(entries: &[Entry]) -> Vec<flight_proto::log::LogEntry> {
    let mut bytes = 0;
    let mut stored = Vec::with_capacity(entries.len());
    for entry in entries {
        let entry = entry_to_stored(entry);
        bytes += entry.encoded_len();
        if bytes > APPEND_BYTES_MOST && !stored.is_empty() {
            break;
        }
        stored.push(entry);
    }
    stored
}

impl RaftNetworkV2<TypeConfig> for Link {
    type SnapshotData = Vec<u8>;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RPCError<TypeConfig>> {
        let entries = first_entries(&request.entries);
        let sent = entries.len();
        let question = Question::Append(Append {
            vote: Some(vote_to_stored(&request.vote)),
            previous: request.prev_log_id.as_ref().map(log_id_to_stored),
            entries,
            committed: request.leader_commit.as_ref().map(log_id_to_stored),
        });
        let Answer::Appended(appended) = self.ask(question, RPCTypes::AppendEntries, self.patience).await?
        else {
            return Err(self.malformed().into());
        };
        match appended.outcome() {
            AppendOutcome::Success if sent < request.entries.len() => {
                let last = request.entries[..sent].last().map(|entry| entry.log_id);
                Ok(AppendEntriesResponse::PartialSuccess(last))
            }
            AppendOutcome::Success => Ok(AppendEntriesResponse::Success),
            AppendOutcome::Conflict if request.prev_log_id.is_some() => Ok(AppendEntriesResponse::Conflict),
            AppendOutcome::HigherVote => Ok(AppendEntriesResponse::HigherVote(self.vote_of(appended.vote)?)),
            AppendOutcome::Conflict | AppendOutcome::Unspecified => Err(self.malformed().into()),
        }
    }

    async fn vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.campaign(Question::Vote, request, option).await
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.campaign(Question::PreVote, request, option).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let mut cancel = pin!(cancel);
        let last = snapshot.meta.last_log_id.as_ref();
        let bytes = snapshot.snapshot;
        let (mut offset, mut repeats) = (0, 0);
        loop {
            let received = tokio::select! {
                biased;
                closed = &mut cancel => return Err(closed.into()),
                received = self.send_part(&vote, last, &bytes, offset) => received?,
            };
            let theirs = self.vote_of(received.vote)?;
            if received.installed || theirs.leader_id > vote.leader_id {
                return Ok(SnapshotResponse::new(theirs));
            }
            let next = usize::try_from(received.bytes).ok().filter(|next| *next < bytes.len());
            let next = next.ok_or_else(|| self.malformed())?;
            if next <= offset {
                repeats += 1;
                if repeats > REPEATS_MOST {
                    return Err(Unreachable::from_string("a snapshot makes no progress").into());
                }
            }
            offset = next;
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RPCError<TypeConfig>> {
        let question = Question::Transfer(Transfer {
            vote: Some(vote_to_stored(request.from_leader())),
            to: *request.to_node_id(),
            last: request.last_log_id().map(log_id_to_stored),
        });
        match self.ask(question, RPCTypes::TransferLeader, option.hard_ttl()).await? {
            Answer::Transferred(transferred) if transferred.accepted => Ok(Ok(())),
            Answer::Transferred(_) => Err(Unreachable::from_string("the leadership is not taken").into()),
            _ => Err(self.malformed().into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::raft::types::{EntryPayload, Proposal};
    use flight_proto::catalog::Command;
    use openraft::impls::leader_id_adv::LeaderId;

    fn entry(index: u64, bytes: usize) -> Entry {
        let command = Command { tenant: "t".repeat(bytes), ..Command::default() };
        let payload = EntryPayload::Normal(Proposal { identity: None, after: 0, command });
        Entry { log_id: LogId::new(LeaderId { term: 1, node_id: 1 }, index), payload }
    }

    #[test]
    fn a_message_holds_what_fits_but_one_entry_at_least() {
        let half = APPEND_BYTES_MOST / 2;
        assert_eq!(first_entries(&[]).len(), 0);
        assert_eq!(first_entries(&[entry(1, 10), entry(2, 10)]).len(), 2);
        assert_eq!(first_entries(&[entry(1, half), entry(2, half), entry(3, 1)]).len(), 1);
        assert_eq!(first_entries(&[entry(1, 3 * half), entry(2, 1)]).len(), 1);
        assert_eq!(first_entries(&[entry(1, half), entry(2, half / 2), entry(3, half)]).len(), 2);
    }
}
