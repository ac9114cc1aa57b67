//! The catalog kept by Raft: openraft over redb, on one member or several.
//!
//! A command is acknowledged once its log entry is on the disks (fsync) of a majority and applied. The state
//! lives in memory and is rebuilt from the last snapshot and the log. A defect in Raft ends the process, for
//! a supervisor to start it again: a node whose Raft has stopped must not serve an ageing catalog.
//!
//! Every member takes commands. One that does not lead hands them to the leader, and again to the next one
//! where no answer comes; the replicated state remembers the latest commands ([`remembered`]), so that none
//! is applied twice.

mod codec;
mod disk;
mod following;
mod incoming;
mod keeping;
mod leading;
mod links;
mod log;
mod machine;
mod member;
mod options;
mod reads;
mod remembered;
mod status;
mod storage;
#[cfg(test)]
mod tests;
mod transport;
mod types;
mod versions;

pub use options::{RaftOptions, Random, Timings};
pub use status::{MemberState, RaftMember, RaftStatus};
pub use storage::{Device, Storage};
pub use transport::{Nobody, Transport};

use crate::catalog::{CatalogState, CatalogStore, Leadership, Reply};
use crate::error::{Error, Result};
use bytes::Bytes;
use disk::Disk;
use flight_proto::Message;
use flight_proto::catalog::Command;
use flight_proto::log::Node;
use flight_proto::replication::{Answer, ChangeMembers, MemberChange, Propose, Question};
use futures::future::BoxFuture;
use links::Links;
use log::LogStore;
use machine::StateMachine;
use member::{Member, Silence};
use network::Versions;
use reads::Reads;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use types::{Metrics, Proposal, Raft, Runtime};

/// How long opening a catalog of one member waits for the log to be applied.
const OPEN_TIMEOUT: Duration = Duration::from_secs(30);
/// A command must fit a message between members, with room for what surrounds it.
const COMMAND_BYTES_MOST: usize = network::MESSAGE_BYTES_MAX - (1 << 20);

/// What to do when Raft has died of a defect or of a failing disk.
pub type OnFatal = Arc<dyn Fn(String) + Send + Sync>;

/// A catalog kept by Raft.
pub struct RaftCatalog {
    member: Arc<Member>,
    reads: Reads,
    tasks: Vec<AbortHandle>,
}

impl RaftCatalog {
    /// Opens the catalog in `storage`, or takes part in making one.
    ///
    /// A member by itself has applied its log when this returns. Among others it has not: it is of no use
    /// before [`RaftCatalog::ready`], which needs a majority of them. Its network must pass their requests to
    /// [`RaftCatalog::answer`] from now on.
    pub async fn open(
        storage: impl Into<Storage>,
        options: RaftOptions,
        on_fatal: OnFatal,
    ) -> Result<RaftCatalog> {
        let storage = storage.into();
        let name = storage.to_string();
        let disk = Disk::open(storage)
            .map_err(|error| Error::Environment(format!("the catalog {name} cannot be opened: {error}")))?;
        let machine = StateMachine::open(disk.clone(), options.versions)
            .map_err(|error| Error::Environment(format!("the catalog {name} cannot be read: {error}")))?;
        let applied = machine.watch();
        let config = options.config().validate().map_err(internal)?;
        let links =
            Links { id: options.id, transport: options.transport.clone(), patience: options.timings.attempt };
        // The high half of what is drawn for identities anyway.
        let seed = ((options.random)()? >> 64) as u64;
        let raft = Raft::new(options.id, Arc::new(config), links, LogStore::new(disk), machine);
        let raft = Runtime::scope(seed, raft).await.map_err(internal)?;
        let member = Arc::new(Member::new(options, raft.clone(), applied));
        let (reads, asking) = Reads::new(member.clone());
        let watching = keeping::watch(raft, member.metrics(), on_fatal.clone());
        let versions = versions::follow(member.clone(), on_fatal);
        let mut tasks = vec![
            tokio::spawn(asking).abort_handle(),
            tokio::spawn(watching).abort_handle(),
            tokio::spawn(versions).abort_handle(),
        ];
        if !member.options.is_alone() {
            let making = keeping::make(member.clone());
            tasks.push(tokio::spawn(making).abort_handle());
            return Ok(RaftCatalog { member, reads, tasks });
        }
        let catalog = RaftCatalog { member, reads, tasks };
        catalog.lead().await?;
        Ok(catalog)
    }

    /// Leads a catalog of one member, and applies what the log holds. Where others were added since, they
    /// decide.
    async fn lead(&self) -> Result<()> {
        keeping::begin_alone(&self.member).await?;
        if self.member.has_others().await? {
            return Ok(());
        }
        match tokio::time::timeout(OPEN_TIMEOUT, self.ready()).await {
            Ok(ready) => ready,
            Err(_) => Err(internal("the log was not applied in time")),
        }
    }

    /// Ready once this member's state holds what was acknowledged before. It needs a leader, and waits for
    /// one as long as it takes.
    pub async fn ready(&self) -> Result<()> {
        loop {
            match self.linearize().await {
                Err(Error::Conflict(why)) => tracing::info!("the catalog is not ready yet: {why}"),
                other => return other,
            }
        }
    }

    /// Waits until this member's state holds everything that was acknowledged before the call, wherever.
    /// Fails with [`Error::Conflict`], which is worth another try, where that cannot be had in
    /// [`Timings::patience`].
    pub async fn linearize(&self) -> Result<()> {
        self.reads.linearize(&self.member).await
    }

    /// [`CatalogStore::propose`] for a command that the caller may propose again: with one `identity` it is
    /// applied once, on whatever member.
    ///
    /// A command that failed with [`Error::Conflict`] was not applied and will not be. After any other error
    /// of the catalog that is not known.
    pub async fn propose_as(&self, identity: u128, command: Command) -> Result<Reply> {
        self.member.check_open()?;
        if command.encoded_len() > COMMAND_BYTES_MOST {
            return Err(Error::Statement("the change is too large for the catalog".into()));
        }
        let (since, cluster) = (command.since(), self.member.applied.state.borrow().cluster_version());
        if since > u32::from(cluster) {
            return Err(Error::Refused(format!(
                "the change needs version {since} of the cluster, which is at {cluster}: once all nodes are replaced, run \
                 `tundra admin upgrade`"
            )));
        }
        let after = self.member.applied.position.borrow().unwrap_or(0);
        let propose = Propose::from(&Proposal { identity: Some(identity), after, command });
        let patience = self.member.timings().patience;
        match self.member.ask_leader(Question::Propose(propose), patience).await {
            Ok(Answer::Replied(reply)) => Ok(Reply::from(&reply)),
            Ok(Answer::Forgotten(_)) => Err(Silence::forgotten().of_change()),
            Ok(Answer::Refused(why)) => Err(Error::Statement(why)),
            Ok(_) => Err(Silence::not_understood().of_change()),
            Err(silence) => Err(silence.of_change()),
        }
    }

    /// Takes in a member that was started with a list of members without itself: it gets the state, and then
    /// a vote.
    pub async fn add_member(&self, id: u64, address: &str) -> Result<()> {
        let cluster = self.member.applied.state.borrow().cluster_version();
        let refusal = match self.member.versions_of(id, address).await {
            Ok(versions) => versions.refusal(cluster),
            Err(network::Error::Refused(why) | network::Error::Outdated(why)) => Some(why),
            // It may come.
            Err(_) => None,
        };
        if let Some(why) = refusal {
            return Err(Error::Statement(format!("coordinator {id} cannot be added: {why}")));
        }
        self.change_members(MemberChange::Add(Node { id, address: address.into() })).await
    }

    /// Leaves a member out. A leader that leaves itself out hands over.
    pub async fn remove_member(&self, id: u64) -> Result<()> {
        self.change_members(MemberChange::Remove(id)).await
    }

    /// Has the member `to` lead; does nothing where it does.
    pub async fn hand_over(&self, to: u64) -> Result<()> {
        self.change(Question::HandOver(to), self.member.timings().patience).await
    }

    async fn change_members(&self, change: MemberChange) -> Result<()> {
        let question = Question::ChangeMembers(ChangeMembers { change: Some(change) });
        self.change(question, self.member.timings().change_patience).await
    }

    async fn change(&self, question: Question, patience: Duration) -> Result<()> {
        self.member.check_open()?;
        match self.member.ask_leader(question, patience).await {
            Ok(Answer::Changed(_)) => Ok(()),
            Ok(Answer::Refused(why)) => Err(Error::Statement(why)),
            Ok(_) => Err(Silence::not_understood().of_change()),
            Err(silence) => Err(silence.of_change()),
        }
    }

    /// The members, as far as this one knows.
    pub fn members(&self) -> Vec<RaftMember> {
        status::members(&self.member.metrics_now(), &self.member.versions.lock())
    }

    pub fn status(&self) -> RaftStatus {
        let position = *self.member.applied.position.borrow();
        RaftStatus::new(&self.member.metrics_now(), position, &self.member.versions.lock())
    }

    /// Answers a request of another member, which came through its [`Transport`].
    pub fn answer(&self, request: Bytes) -> BoxFuture<'static, Bytes> {
        let member = self.member.clone();
        Box::pin(async move { member.answer(request).await })
    }

    /// Hands the leadership to the member that has most of the log, and waits until it leads.
    async fn give_up_lead(&self) {
        let metrics = self.member.metrics_now();
        let Some(replication) = metrics.replication.as_ref().filter(|_| metrics.state.is_leader()) else {
            return;
        };
        let voters = metrics.membership_config.voter_ids().filter(|id| *id != metrics.id);
        let Some(next) = voters.max_by_key(|id| replication.get(id).copied().flatten()) else { return };
        let raft = &self.member.raft;
        if raft.trigger().transfer_leader(next).await.is_err() {
            return;
        }
        let follows = |metrics: &Metrics| !metrics.state.is_leader() && metrics.current_leader.is_some();
        let patience = self.member.timings().election_most;
        if raft.wait(Some(patience)).metrics(follows, "another leader").await.is_err() {
            tracing::info!("no other coordinator took the lead of the catalog in time");
        }
    }
}

impl CatalogStore for RaftCatalog {
    fn propose(&self, command: Command) -> BoxFuture<'_, Result<Reply>> {
        Box::pin(async move {
            let identity = (self.member.options.random)()?;
            self.propose_as(identity, command).await
        })
    }

    fn snapshot(&self) -> Arc<CatalogState> {
        self.member.applied.state.borrow().clone()
    }

    fn changes(&self) -> watch::Receiver<Arc<CatalogState>> {
        self.member.applied.state.clone()
    }

    fn linearize(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(RaftCatalog::linearize(self))
    }

    fn status(&self) -> RaftStatus {
        RaftCatalog::status(self)
    }

    fn leadership(&self) -> Leadership {
        let metrics = self.member.metrics_now();
        Leadership { term: metrics.current_term, leads: metrics.state.is_leader() }
    }

    fn speaks(&self) -> Versions {
        self.member.options.versions
    }

    fn versions(&self) -> BoxFuture<'_, BTreeMap<u64, Option<Versions>>> {
        Box::pin(async move {
            let answers = self.member.ask_versions().await;
            answers.into_iter().map(|(id, answer)| (id, answer.ok())).collect()
        })
    }

    fn add_member<'a>(&'a self, id: u64, address: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(RaftCatalog::add_member(self, id, address))
    }

    fn remove_member(&self, id: u64) -> BoxFuture<'_, Result<()>> {
        Box::pin(RaftCatalog::remove_member(self, id))
    }

    fn hand_over(&self, to: u64) -> BoxFuture<'_, Result<()>> {
        Box::pin(RaftCatalog::hand_over(self, to))
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.member.close();
            self.give_up_lead().await;
            self.member
                .raft
                .shutdown()
                .await
                .map_err(|error| internal(format!("raft did not stop: {error}")))?;
            self.tasks.iter().for_each(AbortHandle::abort);
            Ok(())
        })
    }
}

impl Drop for RaftCatalog {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

fn internal(error: impl Display) -> Error {
    Error::Internal(format!("raft failed: {error}"))
}
