//! What a member does with what is of another version than its own.

use super::cluster::Cluster;
use super::{alone, command, create, never};
use crate::catalog::raft::disk::Disk;
use crate::catalog::raft::storage::Storage;
use crate::catalog::{CatalogStore, RaftCatalog, RaftOptions, Reply};
use flight_proto::Message;
use flight_proto::catalog::{Change, Command, SetClusterVersion};
use flight_proto::log::{LogEntry, LogId, Payload};
use network::Versions;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::mpsc;

const FIRST: Versions = Versions { least: 1, most: 1 };

fn set(version: u32) -> Command {
    command(Change::SetClusterVersion(SetClusterVersion { version }))
}

/// Why a catalog cannot be opened, or dies at once.
async fn death(path: &Path, options: RaftOptions) -> String {
    let (told, mut deaths) = mpsc::unbounded_channel();
    let on_fatal = Arc::new(move |why| told.send(why).unwrap());
    match RaftCatalog::open(path, options, on_fatal).await {
        Err(error) => error.to_string(),
        Ok(_catalog) => tokio::time::timeout(Duration::from_secs(20), deaths.recv()).await.unwrap().unwrap(),
    }
}

#[tokio::test]
async fn a_member_that_does_not_speak_the_version_of_its_cluster_stops() {
    for snapshot_commands in [1_000, 10] {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("catalog.redb");
        let options = || RaftOptions { snapshot_commands, kept_commands: 0, ..alone() };
        let old = || RaftOptions { versions: FIRST, ..options() };
        {
            let catalog = RaftCatalog::open(&*path, old(), never()).await.unwrap();
            assert_eq!(catalog.propose(create("s")).await.unwrap(), Reply::Done);
            catalog.close().await.unwrap();
        }
        {
            let catalog = RaftCatalog::open(&*path, options(), never()).await.unwrap();
            assert_eq!(catalog.snapshot().cluster_version(), 1);
            assert_eq!(catalog.propose(set(2)).await.unwrap(), Reply::Done);
            assert_eq!(catalog.snapshot().cluster_version(), 2);
            // With the smaller number, the version moves from the log to a snapshot.
            for number in 0..20 {
                catalog.propose(create(format!("s{number}"))).await.unwrap();
            }
            if snapshot_commands == 10 {
                let wait = catalog.member.raft.wait(Some(Duration::from_secs(20)));
                wait.metrics(|metrics| metrics.purged.is_some(), "the log to be cut").await.unwrap();
            }
            catalog.close().await.unwrap();
        }
        let why = death(&path, old()).await;
        assert!(why.contains("the cluster is at version 2") && why.contains("speaks version 1"), "{why}");
        let catalog = RaftCatalog::open(&*path, options(), never()).await.unwrap();
        assert_eq!(catalog.snapshot().cluster_version(), 2);
        catalog.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_member_with_a_command_in_its_log_that_it_does_not_know_stops() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("catalog.redb");
    let catalog = RaftCatalog::open(&*path, alone(), never()).await.unwrap();
    catalog.propose(create("s")).await.unwrap();
    let metrics = catalog.member.metrics_now();
    let (term, index) = (metrics.current_term, metrics.last_log_index.unwrap() + 1);
    catalog.close().await.unwrap();
    drop(catalog);
    // As a change of a later version is read.
    let command = Command { change: None, ..create("s") };
    let id = Some(LogId { term, node: 1, index });
    let entry = LogEntry { id, payload: Some(Payload::Command(command)), ..LogEntry::default() };
    let disk = Disk::open(Storage::File(path.clone())).unwrap();
    disk.append(vec![(index, entry.encode_to_vec())]).await.unwrap();
    drop(disk);
    let why = death(&path, alone()).await;
    assert!(why.contains("does not know") && why.contains("newer release"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn members_tell_what_they_speak() {
    let mut cluster = Cluster::start(3, 71, |options| {
        if options.id == 2 {
            options.versions = FIRST;
        }
    })
    .await;
    let versions = cluster.member(1).versions().await;
    assert_eq!(versions, [(1, Some(Versions::OWN)), (2, Some(FIRST)), (3, Some(Versions::OWN))].into());
    // All know it of all, without being asked.
    tokio::time::sleep(Duration::from_secs(3)).await;
    for id in 1..=3 {
        let known: Vec<_> =
            cluster.member(id).status().members.iter().map(|member| member.versions).collect();
        assert_eq!(known, [Some(Versions::OWN), Some(FIRST), Some(Versions::OWN)]);
    }
    cluster.stop(3).await;
    assert_eq!(cluster.member(1).versions().await[&3], None);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(cluster.member(1).status().members[2].versions, None);
}
