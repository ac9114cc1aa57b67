//! The file that the log, the vote and the snapshot lie in.

use super::storage::{Backend, Storage};
use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};
use std::io;
use std::ops::RangeBounds;
use std::sync::Arc;

const LOG: TableDefinition<u64, &[u8]> = TableDefinition::new("log");
const VALUES: TableDefinition<&str, &[u8]> = TableDefinition::new("values");

/// Single values beside the log.
#[derive(Clone, Copy, Debug)]
pub(super) enum Key {
    Vote,
    Committed,
    Purged,
    Snapshot,
}

impl Key {
    fn name(self) -> &'static str {
        match self {
            Key::Vote => "vote",
            Key::Committed => "committed",
            Key::Purged => "purged",
            Key::Snapshot => "snapshot",
        }
    }
}

/// The open file; clones share it. Writes return once they are on disk.
#[derive(Clone)]
pub(super) struct Disk {
    database: Arc<Database>,
}

impl Disk {
    pub(super) fn open(storage: Storage) -> io::Result<Disk> {
        let database = match storage {
            Storage::File(path) => Database::create(path),
            Storage::Device(device) => Database::builder().create_with_backend(Backend(device)),
        };
        let database = database.map_err(io::Error::other)?;
        let transaction = database.begin_write().map_err(io::Error::other)?;
        transaction.open_table(LOG).map_err(io::Error::other)?;
        transaction.open_table(VALUES).map_err(io::Error::other)?;
        transaction.commit().map_err(io::Error::other)?;
        Ok(Disk { database: Arc::new(database) })
    }

    pub(super) fn get(&self, key: Key) -> io::Result<Option<Vec<u8>>> {
        let transaction = self.database.begin_read().map_err(io::Error::other)?;
        let table = transaction.open_table(VALUES).map_err(io::Error::other)?;
        let value = table.get(key.name()).map_err(io::Error::other)?;
        Ok(value.map(|value| value.value().to_vec()))
    }

    /// Entries of the log, in order.
    pub(super) fn entries(&self, range: impl RangeBounds<u64>) -> io::Result<Vec<Vec<u8>>> {
        let transaction = self.database.begin_read().map_err(io::Error::other)?;
        let table = transaction.open_table(LOG).map_err(io::Error::other)?;
        let entries = table.range(range).map_err(io::Error::other)?;
        entries
            .map(|entry| entry.map(|(_, bytes)| bytes.value().to_vec()).map_err(io::Error::other))
            .collect()
    }

    pub(super) fn last_entry(&self) -> io::Result<Option<Vec<u8>>> {
        let transaction = self.database.begin_read().map_err(io::Error::other)?;
        let table = transaction.open_table(LOG).map_err(io::Error::other)?;
        let last = table.last().map_err(io::Error::other)?;
        Ok(last.map(|(_, bytes)| bytes.value().to_vec()))
    }

    /// Writes a value; it is on disk when this returns.
    pub(super) async fn put(&self, key: Key, value: Option<Vec<u8>>) -> io::Result<()> {
        self.write(Durability::Immediate, move |write| write.put(key, value.as_deref())).await
    }

    /// Writes a value that may be lost with a crash, and goes to disk with the next durable write.
    pub(super) async fn put_soon(&self, key: Key, value: Option<Vec<u8>>) -> io::Result<()> {
        self.write(Durability::None, move |write| write.put(key, value.as_deref())).await
    }

    pub(super) async fn append(&self, entries: Vec<(u64, Vec<u8>)>) -> io::Result<()> {
        self.write(Durability::Immediate, move |write| {
            let mut table = write.0.open_table(LOG).map_err(io::Error::other)?;
            for (index, bytes) in &entries {
                table.insert(index, &bytes[..]).map_err(io::Error::other)?;
            }
            Ok(())
        })
        .await
    }

    /// Removes entries from `index` on.
    pub(super) async fn truncate(&self, index: u64) -> io::Result<()> {
        self.write(Durability::Immediate, move |write| write.remove(index..)).await
    }

    /// Removes entries up to `index`, and remembers the last one removed.
    pub(super) async fn purge(&self, index: u64, purged: Vec<u8>) -> io::Result<()> {
        self.write(Durability::Immediate, move |write| {
            write.put(Key::Purged, Some(&purged))?;
            write.remove(..=index)
        })
        .await
    }

    async fn write(
        &self,
        durability: Durability,
        change: impl FnOnce(&Write) -> io::Result<()> + Send + 'static,
    ) -> io::Result<()> {
        let database = self.database.clone();
        let written = shard::blocking(move || {
            let mut transaction = database.begin_write().map_err(io::Error::other)?;
            transaction.set_durability(durability).map_err(io::Error::other)?;
            let write = Write(transaction);
            change(&write)?;
            write.0.commit().map_err(io::Error::other)
        });
        written.await?
    }
}

struct Write(redb::WriteTransaction);

impl Write {
    fn put(&self, key: Key, value: Option<&[u8]>) -> io::Result<()> {
        let mut table = self.0.open_table(VALUES).map_err(io::Error::other)?;
        match value {
            Some(value) => table.insert(key.name(), value).map_err(io::Error::other)?,
            None => table.remove(key.name()).map_err(io::Error::other)?,
        };
        Ok(())
    }

    fn remove(&self, range: impl RangeBounds<u64>) -> io::Result<()> {
        let mut table = self.0.open_table(LOG).map_err(io::Error::other)?;
        table.retain_in(range, |_, _| false).map_err(io::Error::other)
    }
}
