//! The state machine as openraft asks for it: [`CatalogState`] in memory, snapshots on disk.

use super::codec::{snapshot_from_bytes, snapshot_to_bytes};
use super::disk::{Disk, Key};
use super::types::{EntryPayload, LogId, Snapshot, SnapshotMeta, StoredMembership, TypeConfig};
use crate::catalog::{CatalogState, Reply};
use futures::{Stream, TryStreamExt};
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::{OptionalSend, RaftSnapshotBuilder};
use std::io;
use std::sync::Arc;
use tokio::sync::watch;

/// The applied state and its place in the log.
pub(super) struct StateMachine {
    disk: Disk,
    state: watch::Sender<Arc<CatalogState>>,
    applied: Option<LogId>,
    membership: StoredMembership,
}

impl StateMachine {
    /// The state of the last snapshot; the log brings it up to date.
    pub(super) fn open(disk: Disk) -> io::Result<StateMachine> {
        let mut machine = StateMachine {
            disk: disk.clone(),
            state: watch::Sender::new(Arc::default()),
            applied: None,
            membership: StoredMembership::default(),
        };
        if let Some(bytes) = disk.get(Key::Snapshot)? {
            let (snapshot, state) = snapshot_from_bytes(bytes)?;
            machine.take_over(&snapshot.meta, CatalogState::from_stored(state));
        }
        Ok(machine)
    }

    pub(super) fn watch(&self) -> watch::Receiver<Arc<CatalogState>> {
        self.state.subscribe()
    }

    fn take_over(&mut self, meta: &SnapshotMeta, state: CatalogState) {
        self.applied = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        self.state.send_replace(Arc::new(state));
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
            self.applied = Some(entry.log_id);
            let reply = match entry.payload {
                EntryPayload::Blank => Reply::Done,
                EntryPayload::Membership(membership) => {
                    self.membership = StoredMembership::new(Some(entry.log_id), membership);
                    Reply::Done
                }
                EntryPayload::Normal(proposal) => {
                    let mut state = CatalogState::clone(&self.state.borrow());
                    let reply = state.apply(&proposal.0);
                    self.state.send_replace(Arc::new(state));
                    reply
                }
            };
            if let Some(responder) = responder {
                responder.send(reply);
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder {
        SnapshotBuilder {
            disk: self.disk.clone(),
            state: self.state.borrow().clone(),
            meta: SnapshotMeta { last_log_id: self.applied, last_membership: self.membership.clone() },
        }
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: Vec<u8>) -> io::Result<()> {
        let (_, state) = snapshot_from_bytes(snapshot.clone())?;
        self.disk.put(Key::Snapshot, Some(snapshot)).await?;
        self.take_over(meta, CatalogState::from_stored(state));
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        let bytes = self.disk.get(Key::Snapshot)?;
        bytes.map(|bytes| snapshot_from_bytes(bytes).map(|(snapshot, _)| snapshot)).transpose()
    }
}

/// Writes the state as it was when this was made.
pub(super) struct SnapshotBuilder {
    disk: Disk,
    state: Arc<CatalogState>,
    meta: SnapshotMeta,
}

impl RaftSnapshotBuilder<TypeConfig> for SnapshotBuilder {
    type SnapshotData = Vec<u8>;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        let bytes = snapshot_to_bytes(&self.meta, self.state.stored());
        self.disk.put(Key::Snapshot, Some(bytes.clone())).await?;
        Ok(Snapshot { meta: self.meta.clone(), snapshot: bytes })
    }
}
