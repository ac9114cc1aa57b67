//! A member: what it answers to others, and how it asks whoever leads.

use super::following::Following;
use super::internal;
use super::leading::{Leading, failed, unknown};
use super::machine::Applied;
use super::options::{RaftOptions, Timings};
use super::transport::ask;
use super::types::{Metrics, MetricsReceiver, Raft};
use crate::error::Error;
use bytes::Bytes;
use flight_proto::Message;
use flight_proto::log::Node;
use flight_proto::replication::{Answer, Question, Request, Response};
use network::Versions;
use openraft::async_runtime::WatchReceiver;
use parking_lot::Mutex;
use shard::service::words::speaks_of;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Between two tries where no leader is known.
const PAUSE: Duration = Duration::from_millis(20);

/// A member of the catalog, shared by all that serve it.
pub(super) struct Member {
    pub(super) options: RaftOptions,
    pub(super) raft: Raft,
    pub(super) applied: Applied,
    /// What the members speak that have answered lately.
    pub(super) versions: Mutex<BTreeMap<u64, Versions>>,
    following: Following,
    leading: Leading,
    closing: AtomicBool,
}

/// Why the leader gave no answer.
#[derive(Debug)]
pub(super) struct Silence {
    why: String,
    /// What was asked for may have been done, or be done later.
    unknown: bool,
}

impl Silence {
    /// The leader speaks a language of another version.
    pub(super) fn not_understood() -> Silence {
        Silence { why: "the leader's answer is not understood".into(), unknown: true }
    }

    /// The command is so old that its reply may be lost.
    pub(super) fn forgotten() -> Silence {
        Silence { why: "the catalog no longer remembers commands as old as this".into(), unknown: true }
    }

    /// What the caller is told of a change.
    pub(super) fn of_change(&self) -> Error {
        let why = &self.why;
        match self.unknown {
            true => Error::Environment(format!(
                "the catalog did not answer in time; it is not known whether the change was made: {why}"
            )),
            false => Error::Conflict(format!("the catalog could not be changed, try again: {why}")),
        }
    }

    /// What the caller is told of a read.
    pub(super) fn of_read(&self) -> Error {
        Error::Conflict(format!(
            "it is not known whether the catalog is up to date here, try again: {}",
            self.why
        ))
    }
}

impl Member {
    pub(super) fn new(options: RaftOptions, raft: Raft, applied: Applied) -> Member {
        let lag_most = options.snapshot_commands.saturating_mul(2);
        Member {
            following: Following::new(options.id, raft.clone()),
            leading: Leading::new(raft.clone(), lag_most, options.timings.attempt),
            versions: Mutex::new([(options.id, options.versions)].into()),
            options,
            raft,
            applied,
            closing: AtomicBool::new(false),
        }
    }

    pub(super) fn timings(&self) -> &Timings {
        &self.options.timings
    }

    pub(super) fn metrics(&self) -> MetricsReceiver {
        self.raft.metrics()
    }

    pub(super) fn metrics_now(&self) -> Metrics {
        self.raft.metrics().borrow_watched().clone()
    }

    /// Whether there are other members, voters or not.
    pub(super) async fn has_others(&self) -> Result<bool, Error> {
        let own = self.options.id;
        let others = self.raft.with_raft_state(move |state| {
            state.membership_state.effective().nodes().any(|(id, _)| *id != own)
        });
        others.await.map_err(internal)
    }

    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    /// An error once this member is closed.
    pub(super) fn check_open(&self) -> Result<(), Error> {
        match self.closing.load(Ordering::Relaxed) {
            true => Err(Error::ShuttingDown),
            false => Ok(()),
        }
    }

    /// Answers a request of another member.
    pub(super) async fn answer(&self, request: Bytes) -> Bytes {
        let answer = match Request::decode(request) {
            Ok(Request { to, question: Some(question) }) if to == self.options.id => {
                self.answer_question(question).await
            }
            Ok(Request { question: None, .. }) | Err(_) => {
                failed("it is no question that this version of Tundra knows")
            }
            Ok(Request { to, .. }) => {
                failed(format!("member {to} does not live here, but member {}", self.options.id))
            }
        };
        Response { answer: Some(answer) }.encode_to_vec().into()
    }

    async fn answer_question(&self, question: Question) -> Answer {
        let answer = match question {
            Question::Append(append) => self.following.append(append).await,
            Question::Vote(campaign) => self.following.vote(campaign, false).await,
            Question::PreVote(campaign) => self.following.vote(campaign, true).await,
            Question::Snapshot(part) => self.following.snapshot(part).await,
            Question::Transfer(transfer) => self.following.transfer(transfer).await,
            Question::Propose(propose) => Ok(self.leading.propose(propose).await),
            Question::ReadIndex(_) => Ok(self.leading.read_index().await),
            Question::ChangeMembers(change) => Ok(self.leading.change_members(change).await),
            Question::HandOver(to) => Ok(self.leading.hand_over(to).await),
            Question::Versions(_) => Ok(Answer::Speaks(speaks_of(self.options.versions))),
        };
        answer.unwrap_or_else(failed)
    }

    /// Asks whoever leads until it answers; what is asked for must do no harm when it is done twice.
    pub(super) async fn ask_leader(&self, question: Question, patience: Duration) -> Result<Answer, Silence> {
        let deadline = Instant::now() + patience;
        let mut silence = Silence { why: "no leader is known".into(), unknown: false };
        let mut hint = None;
        loop {
            if let Some(leader) = hint.take().or_else(|| self.leader()) {
                let asked = timeout_at(deadline, self.ask_once(&leader, question.clone())).await;
                match asked.unwrap_or_else(|_| unknown("the leader takes too long")) {
                    Answer::NotLeader(not) => {
                        silence.why = "another member leads".into();
                        hint = not.leader.filter(|next| next.id != leader.id);
                    }
                    Answer::Failed(failed) => {
                        silence.why = failed.why;
                        silence.unknown |= failed.unknown;
                    }
                    answer => return Ok(answer),
                }
            }
            if Instant::now() + PAUSE >= deadline || self.check_open().is_err() {
                return Err(silence);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Who leads, as far as this member knows.
    fn leader(&self) -> Option<Node> {
        let metrics = self.metrics_now();
        let id = metrics.current_leader?;
        let address = metrics.membership_config.get_node(&id)?.addr.clone();
        Some(Node { id, address })
    }

    async fn ask_once(&self, leader: &Node, question: Question) -> Answer {
        let answer = async {
            if leader.id == self.options.id {
                return self.answer_question(question).await;
            }
            // A little longer than the leader itself waits, which knows better why.
            let timeout = self.timings().attempt * 5 / 4;
            match ask(&*self.options.transport, leader.id, &leader.address, question, timeout).await {
                Ok(answer) => answer,
                Err(
                    error @ (network::Error::Unreachable { .. }
                    | network::Error::Refused(_)
                    | network::Error::Outdated(_)),
                ) => failed(error),
                Err(error) => unknown(error),
            }
        };
        tokio::select! {
            biased;
            answer = answer => answer,
            () = self.follows_another(leader.id) => unknown("another member leads by now"),
        }
    }

    /// Ready once this member follows another leader than now, and than `asked`, who may be cut off.
    async fn follows_another(&self, asked: u64) {
        let known = self.metrics_now().current_leader;
        let other = move |metrics: &Metrics| {
            let leader = metrics.current_leader;
            leader.is_some() && leader != known && leader != Some(asked)
        };
        if self.raft.wait(None).metrics(other, "another leader").await.is_err() {
            // Raft has stopped, which the question itself tells.
            std::future::pending::<()>().await;
        }
    }
}
