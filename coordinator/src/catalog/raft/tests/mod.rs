//! openraft's conformance suite on the store, what a restart keeps, and members among others.

mod cluster;
mod faults;
mod members;
mod peers;
mod replication;
mod soak;
mod versions;
mod wire;

use super::disk::Disk;
use super::log::LogStore;
use super::machine::StateMachine;
use super::options::{RaftOptions, Random};
use super::storage::Storage;
use super::types::{Runtime, TypeConfig};
use super::{OnFatal, RaftCatalog};
use crate::catalog::{CatalogStore, Reply};
use flight_proto::catalog::{AllocateDataset, Change, Command, CreateSchema};
use network::Versions;
use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tempfile::TempDir;

struct Builder;

impl StoreBuilder<TypeConfig, LogStore, StateMachine, TempDir> for Builder {
    async fn build(&self) -> Result<(TempDir, LogStore, StateMachine), StorageError<TypeConfig>> {
        let folder = TempDir::new().unwrap();
        let disk = Disk::open(Storage::File(folder.path().join("catalog.redb"))).unwrap();
        let machine = StateMachine::open(disk.clone(), Versions::OWN).unwrap();
        Ok((folder, LogStore::new(disk), machine))
    }
}

#[tokio::test]
async fn conformance() {
    Runtime::scope(1, Suite::test_all(Builder)).await.unwrap();
}

#[expect(clippy::print_stderr, reason = "a panic would end a task only, so this ends the process")]
fn never() -> OnFatal {
    Arc::new(|message| {
        eprintln!("raft died: {message}");
        std::process::abort();
    })
}

/// Numbers that follow from `seed`.
fn random(seed: u64) -> Random {
    let next = AtomicU64::new(seed);
    let half = move || {
        // SplitMix64 (Steele, Lea and Flood, 2014).
        let mixed = next.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u128::from(mixed ^ (mixed >> 31))
    };
    Arc::new(move || Ok((half() << 64) | half()))
}

/// Each life of a member draws other numbers: with the same identities its commands would be taken for old
/// ones.
fn alone() -> RaftOptions {
    static LIVES: AtomicU64 = AtomicU64::new(0);
    RaftOptions::alone(random(LIVES.fetch_add(1, Ordering::Relaxed)))
}

fn command(change: Change) -> Command {
    Command { at_us: 1, tenant: "default".into(), change: Some(change) }
}

fn create(name: impl Into<String>) -> Command {
    command(Change::CreateSchema(CreateSchema { name: name.into(), owner: String::new() }))
}

fn allocate() -> Command {
    command(Change::AllocateDataset(AllocateDataset::default()))
}

#[tokio::test]
async fn what_is_acknowledged_survives_a_restart() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("catalog.redb");
    for round in 0..3_u64 {
        let catalog = RaftCatalog::open(&*path, alone(), never()).await.unwrap();
        assert_eq!(catalog.snapshot().schemas("default").len() as u64, 1 + round);
        assert_eq!(catalog.propose(create(format!("s{round}"))).await.unwrap(), Reply::Done);
        assert!(catalog.snapshot().has_schema("default", &format!("S{round}")));
        catalog.linearize().await.unwrap();
        catalog.close().await.unwrap();
    }
}

#[tokio::test]
async fn the_log_is_cut_behind_a_snapshot() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("catalog.redb");
    let options = || RaftOptions { snapshot_commands: 1_000, kept_commands: 20, ..alone() };
    let commands = 1_050;
    {
        let catalog = RaftCatalog::open(&*path, options(), never()).await.unwrap();
        let replies = futures::future::join_all((0..commands).map(|_| catalog.propose(allocate()))).await;
        let mut numbers: Vec<_> = replies
            .into_iter()
            .map(|reply| match reply.unwrap() {
                Reply::Dataset(number) => number,
                other => panic!("{other:?}"),
            })
            .collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=commands).collect::<Vec<_>>());
        let wait = catalog.member.raft.wait(Some(Duration::from_secs(20)));
        wait.metrics(|metrics| metrics.purged.is_some(), "the log to be cut").await.unwrap();
        catalog.close().await.unwrap();
    }
    let catalog = RaftCatalog::open(&*path, options(), never()).await.unwrap();
    assert_eq!(catalog.propose(allocate()).await.unwrap(), Reply::Dataset(commands + 1));
    catalog.close().await.unwrap();
}

#[tokio::test]
async fn a_command_that_comes_again_after_a_restart_is_not_applied_again() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("catalog.redb");
    let options = || RaftOptions { snapshot_commands: 10, kept_commands: 0, ..alone() };
    {
        let catalog = RaftCatalog::open(&*path, options(), never()).await.unwrap();
        assert_eq!(catalog.propose_as(7, allocate()).await.unwrap(), Reply::Dataset(1));
        assert_eq!(catalog.propose_as(7, allocate()).await.unwrap(), Reply::Dataset(1));
        // The reply moves from the log to a snapshot.
        for _ in 0..20 {
            catalog.propose(allocate()).await.unwrap();
        }
        let wait = catalog.member.raft.wait(Some(Duration::from_secs(20)));
        wait.metrics(|metrics| metrics.purged.is_some(), "the log to be cut").await.unwrap();
        catalog.close().await.unwrap();
    }
    let catalog = RaftCatalog::open(&*path, options(), never()).await.unwrap();
    assert_eq!(catalog.propose_as(7, allocate()).await.unwrap(), Reply::Dataset(1));
    assert_eq!(catalog.propose_as(8, allocate()).await.unwrap(), Reply::Dataset(22));
    catalog.close().await.unwrap();
    assert!(matches!(catalog.propose(allocate()).await, Err(crate::Error::ShuttingDown)));
    assert!(matches!(catalog.linearize().await, Err(crate::Error::ShuttingDown)));
}

#[tokio::test(start_paused = true)]
async fn a_member_alone_sleeps() {
    let folder = TempDir::new().unwrap();
    let catalog = RaftCatalog::open(&*folder.path().join("catalog.redb"), alone(), never()).await.unwrap();
    let mut metrics = catalog.member.metrics();
    openraft::async_runtime::WatchReceiver::borrow_and_update(&mut metrics);
    let changed = openraft::async_runtime::WatchReceiver::changed(&mut metrics);
    assert!(tokio::time::timeout(Duration::from_secs(3_600), changed).await.is_err());
    catalog.close().await.unwrap();
}
