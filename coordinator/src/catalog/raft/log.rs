//! The log as openraft asks for it.

use super::codec::{
    entry_from_bytes, entry_to_stored, log_id_from_bytes, log_id_to_stored, vote_from_bytes, vote_to_stored,
};
use super::disk::{Disk, Key};
use super::types::{Entry, LogId, TypeConfig, Vote};
use flight_proto::Message;
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::{OptionalSend, RaftLogReader};
use std::fmt::Debug;
use std::io;
use std::ops::RangeBounds;

/// The log, the vote and the commit position, on disk.
#[derive(Clone)]
pub(super) struct LogStore {
    disk: Disk,
}

impl LogStore {
    pub(super) fn new(disk: Disk) -> LogStore {
        LogStore { disk }
    }
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> io::Result<Vec<Entry>>
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let range = (range.start_bound().cloned(), range.end_bound().cloned());
        self.disk.entries(range)?.iter().map(|bytes| entry_from_bytes(bytes)).collect()
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        self.disk.get(Key::Vote)?.map(|bytes| vote_from_bytes(&bytes)).transpose()
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = LogStore;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        let purged = self.disk.get(Key::Purged)?.map(|bytes| log_id_from_bytes(&bytes)).transpose()?;
        let last = self.disk.last_entry()?.map(|bytes| entry_from_bytes(&bytes)).transpose()?;
        Ok(LogState { last_purged_log_id: purged, last_log_id: last.map(|entry| entry.log_id).or(purged) })
    }

    async fn get_log_reader(&mut self) -> LogStore {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        self.disk.put(Key::Vote, Some(vote_to_stored(vote).encode_to_vec())).await
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        let bytes = committed.map(|id| log_id_to_stored(&id).encode_to_vec());
        self.disk.put_soon(Key::Committed, bytes).await
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        self.disk.get(Key::Committed)?.map(|bytes| log_id_from_bytes(&bytes)).transpose()
    }

    async fn append<I>(&mut self, entries: I, flushed: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let stored = |entry: Entry| (entry.log_id.index, entry_to_stored(&entry).encode_to_vec());
        let entries = entries.into_iter().map(stored).collect();
        let result = self.disk.append(entries).await;
        match result {
            Ok(()) => {
                flushed.io_completed(Ok(()));
                Ok(())
            }
            Err(error) => {
                flushed.io_completed(Err(io::Error::new(error.kind(), error.to_string())));
                Err(error)
            }
        }
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        self.disk.truncate(last.map_or(0, |id| id.index + 1)).await
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        self.disk.purge(upto.index, log_id_to_stored(&upto).encode_to_vec()).await
    }
}
