//! The state machine as openraft asks for it: [`CatalogState`] and the latest replies in memory, snapshots on
//! disk.

use super::codec::{snapshot_from_bytes, snapshot_to_bytes};
use super::disk::{Disk, Key};
use super::remembered::Remembered;
use super::types::{
    EntryPayload, LogId, Outcome, Proposal, Snapshot, SnapshotMeta, StoredMembership, TypeConfig,
};
use crate::catalog::{CatalogState, Reply};
use flight_proto::catalog::Change;
use futures::{Stream, TryStreamExt};
use network::Versions;
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::{OptionalSend, RaftSnapshotBuilder};
use std::io;
use std::sync::Arc;
use tokio::sync::{Mutex, watch};

/// The applied state and its place in the log.
pub(super) struct StateMachine {
    snapshots: Snapshots,
    state: watch::Sender<Arc<CatalogState>>,
    remembered: Remembered,
    applied: Option<LogId>,
    /// The index of `applied`, told after `state`.
    position: watch::Sender<Option<u64>>,
    membership: StoredMembership,
    /// What this member speaks.
    versions: Versions,
}

/// What others see of the state machine.
#[derive(Clone)]
pub(super) struct Applied {
    pub(super) state: watch::Receiver<Arc<CatalogState>>,
    /// The index of the last entry that `state` holds.
    pub(super) position: watch::Receiver<Option<u64>>,
}

impl StateMachine {
    /// The state of the last snapshot; the log brings it up to date.
    pub(super) fn open(disk: Disk, versions: Versions) -> io::Result<StateMachine> {
        let stored = disk.get(Key::Snapshot)?.map(snapshot_from_bytes).transpose()?;
        let newest = stored.as_ref().and_then(|(snapshot, ..)| snapshot.meta.last_log_id);
        let mut machine = StateMachine {
            snapshots: Snapshots { disk, newest: Arc::new(Mutex::new(newest)) },
            state: watch::Sender::new(Arc::default()),
            remembered: Remembered::default(),
            applied: None,
            position: watch::Sender::new(None),
            membership: StoredMembership::default(),
            versions,
        };
        if let Some((snapshot, state, remembered)) = stored {
            machine.check_version(state.cluster_version().into())?;
            machine.take_over(&snapshot.meta, state, remembered);
        }
        Ok(machine)
    }

    pub(super) fn watch(&self) -> Applied {
        Applied { state: self.state.subscribe(), position: self.position.subscribe() }
    }

    fn take_over(&mut self, meta: &SnapshotMeta, state: CatalogState, remembered: Remembered) {
        self.membership = meta.last_membership.clone();
        self.remembered = remembered;
        self.state.send_replace(Arc::new(state));
        self.advance(meta.last_log_id);
    }

    fn advance(&mut self, applied: Option<LogId>) {
        self.applied = applied;
        self.position.send_replace(applied.map(|id| id.index));
    }

    /// Refuses a catalog of a cluster that has gone over to a version that this member does not speak.
    fn check_version(&self, version: u32) -> io::Result<()> {
        let most = self.versions.most;
        match u16::try_from(version).unwrap_or(u16::MAX) {
            version if version <= most => Ok(()),
            version => {
                let why = self.versions.refusal(version).unwrap_or_default();
                Err(io::Error::new(io::ErrorKind::Unsupported, why))
            }
        }
    }

    fn apply_proposal(&mut self, index: u64, proposal: &Proposal) -> io::Result<Outcome> {
        match &proposal.command.change {
            Some(Change::SetClusterVersion(set)) => self.check_version(set.version)?,
            Some(Change::Restore(state)) => self.check_version(state.cluster_version)?,
            _ => {}
        }
        if let Some(outcome) = self.remembered.earlier(proposal) {
            return Ok(outcome);
        }
        let mut reply = Reply::Done;
        self.state.send_modify(|state| reply = Arc::make_mut(state).apply(&proposal.command));
        self.remembered.keep(index, proposal.identity, &reply);
        Ok(Outcome::Replied(reply))
    }
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotData = Vec<u8>;
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Ok((self.applied, self.membership.clone()))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> io::Result<()>
    where
        Strm: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + OptionalSend,
    {
        while let Some((entry, responder)) = entries.try_next().await? {
            let outcome = match entry.payload {
                EntryPayload::Blank => Outcome::Replied(Reply::Done),
                EntryPayload::Membership(membership) => {
                    self.membership = StoredMembership::new(Some(entry.log_id), membership);
                    Outcome::Replied(Reply::Done)
                }
                EntryPayload::Normal(proposal) => self.apply_proposal(entry.log_id.index, &proposal)?,
            };
            self.advance(Some(entry.log_id));
            if let Some(responder) = responder {
                responder.send(outcome);
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder {
        SnapshotBuilder {
            snapshots: self.snapshots.clone(),
            state: self.state.borrow().clone(),
            remembered: self.remembered.clone(),
            meta: SnapshotMeta { last_log_id: self.applied, last_membership: self.membership.clone() },
        }
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: Vec<u8>) -> io::Result<()> {
        let (_, state, remembered) = snapshot_from_bytes(snapshot.clone())?;
        self.check_version(state.cluster_version().into())?;
        self.snapshots.put(meta, snapshot).await?;
        self.take_over(meta, state, remembered);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        let bytes = self.snapshots.disk.get(Key::Snapshot)?;
        bytes.map(|bytes| snapshot_from_bytes(bytes).map(|(snapshot, ..)| snapshot)).transpose()
    }
}

/// The snapshot on disk, which is built and installed by different tasks.
#[derive(Clone)]
struct Snapshots {
    disk: Disk,
    /// The last entry of the snapshot on disk.
    newest: Arc<Mutex<Option<LogId>>>,
}

impl Snapshots {
    /// Writes a snapshot unless a newer one is there: the log may be cut behind that.
    async fn put(&self, meta: &SnapshotMeta, bytes: Vec<u8>) -> io::Result<()> {
        let mut newest = self.newest.lock().await;
        if meta.last_log_id >= *newest {
            self.disk.put(Key::Snapshot, Some(bytes)).await?;
            *newest = meta.last_log_id;
        }
        Ok(())
    }
}

/// Writes the state as it was when this was made.
pub(super) struct SnapshotBuilder {
    snapshots: Snapshots,
    state: Arc<CatalogState>,
    remembered: Remembered,
    meta: SnapshotMeta,
}

impl RaftSnapshotBuilder<TypeConfig> for SnapshotBuilder {
    type SnapshotData = Vec<u8>;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        let bytes = snapshot_to_bytes(&self.meta, &self.state, &self.remembered);
        self.snapshots.put(&self.meta, bytes.clone()).await?;
        Ok(Snapshot { meta: self.meta.clone(), snapshot: bytes })
    }
}
