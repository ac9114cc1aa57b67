//! openraft's conformance suite on the store, and what a restart keeps.

use super::disk::Disk;
use super::log::LogStore;
use super::machine::StateMachine;
use super::types::TypeConfig;
use super::{OnFatal, RaftCatalog, SNAPSHOT_COMMANDS};
use crate::catalog::{CatalogStore, Reply};
use flight_proto::catalog::{AllocateDataset, Change, Command, CreateSchema};
use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use std::sync::Arc;
use tempfile::TempDir;

struct Builder;

impl StoreBuilder<TypeConfig, LogStore, StateMachine, TempDir> for Builder {
    async fn build(&self) -> Result<(TempDir, LogStore, StateMachine), StorageError<TypeConfig>> {
        let folder = TempDir::new().unwrap();
        let disk = Disk::open(&folder.path().join("catalog.redb")).unwrap();
        let machine = StateMachine::open(disk.clone()).unwrap();
        Ok((folder, LogStore::new(disk), machine))
    }
}

#[tokio::test]
async fn conformance() {
    Suite::test_all(Builder).await.unwrap();
}

fn never() -> OnFatal {
    Arc::new(|message| panic!("raft died: {message}"))
}

fn command(change: Change) -> Command {
    Command { at_us: 1, tenant: "default".into(), change: Some(change) }
}

#[tokio::test]
async fn what_is_acknowledged_survives_a_restart() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("catalog.redb");
    for round in 0..3_u64 {
        let catalog = RaftCatalog::open(&path, never()).await.unwrap();
        assert_eq!(catalog.snapshot().schemas("default").len() as u64, 1 + round);
        let create = Change::CreateSchema(CreateSchema { name: format!("s{round}") });
        assert_eq!(catalog.propose(command(create)).await.unwrap(), Reply::Done);
        assert!(catalog.snapshot().has_schema("default", &format!("S{round}")));
        catalog.close().await.unwrap();
    }
}

#[tokio::test]
async fn the_log_is_cut_behind_a_snapshot() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("catalog.redb");
    let commands = SNAPSHOT_COMMANDS + 50;
    {
        let catalog = RaftCatalog::open(&path, never()).await.unwrap();
        let allocate = || catalog.propose(command(Change::AllocateDataset(AllocateDataset { above: 0 })));
        let replies = futures::future::join_all((0..commands).map(|_| allocate())).await;
        let mut numbers: Vec<_> = replies
            .into_iter()
            .map(|reply| match reply.unwrap() {
                Reply::Dataset(number) => number,
                other => panic!("{other:?}"),
            })
            .collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=commands).collect::<Vec<_>>());
        let wait = catalog.raft.wait(Some(std::time::Duration::from_secs(20)));
        wait.metrics(|metrics| metrics.purged.is_some(), "the log to be cut").await.unwrap();
        catalog.close().await.unwrap();
    }
    let catalog = RaftCatalog::open(&path, never()).await.unwrap();
    let reply =
        catalog.propose(command(Change::AllocateDataset(AllocateDataset { above: 0 }))).await.unwrap();
    assert_eq!(reply, Reply::Dataset(commands + 1));
    catalog.close().await.unwrap();
}
