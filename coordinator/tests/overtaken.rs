//! Manifests of a `CREATE` that nobody knows the outcome of, which come late, and of a `DROP` that the catalog was not told of.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use crate::server::Server;
use coordinator::Error;
use flight_proto::Message;
use flight_proto::manifest::Manifest;
use std::fs;
use std::path::{Path, PathBuf};

fn manifests(server: &Server, dataset: u64) -> PathBuf {
    server.data().join(format!("objects/default/{dataset}/manifests"))
}

fn manifest(folder: &Path, version: u64) -> PathBuf {
    folder.join(format!("{version:020}"))
}

/// Creates a table whose first manifest, of dataset 1, does not reach the store, and then again. Gives the manifest
/// that is late, with the rows of the second attempt.
async fn created_again(server: &Server, table: &str) -> Vec<u8> {
    let late = manifests(server, 1);
    fs::create_dir_all(late.parent().unwrap()).unwrap();
    fs::write(&late, "in the way").unwrap();
    let create = format!("CREATE TABLE {table} AS SELECT 1 AS n");
    let error = server.run(&create).await.unwrap_err();
    assert!(matches!(error, Error::Environment(_)), "{error:?}");
    fs::remove_file(&late).unwrap();
    server.run(&create).await.unwrap();
    let bytes = fs::read(manifest(&manifests(server, 2), 1)).unwrap();
    let second = Manifest::decode(&*bytes).unwrap();
    assert_eq!(second.dataset, 2);
    Manifest { dataset: 1, ..second }.encode_to_vec()
}

fn arrive(server: &Server, late: &[u8]) {
    let folder = manifests(server, 1);
    fs::create_dir_all(&folder).unwrap();
    fs::write(manifest(&folder, 1), late).unwrap();
}

#[tokio::test]
async fn a_dropped_table_does_not_come_back() {
    let server = Server::start(|_| {}).await;
    let late = created_again(&server, "t").await;
    server.run("DROP TABLE t").await.unwrap();
    arrive(&server, &late);
    let server = server.restart(|_| {}).await;
    assert!(matches!(server.run("SELECT * FROM t").await, Err(Error::NotFound(_))));
    let tombstone = fs::read(manifest(&manifests(&server, 1), 2)).unwrap();
    assert!(Manifest::decode(&*tombstone).unwrap().tombstone, "it would come back once that is forgotten");
    server.run("CREATE TABLE t AS SELECT 3 AS n").await.unwrap();
    assert_eq!(server.value("SELECT n FROM t").await, "3");
    server.stop().await;
}

/// Nor where the catalog is lost, with its copies, and the manifests alone tell what there was.
#[tokio::test]
async fn the_object_store_alone_tells_which_table_was_created() {
    let server = Server::start(|_| {}).await;
    let late = created_again(&server, "t").await;
    server.run("INSERT INTO t VALUES (1)").await.unwrap();
    arrive(&server, &late);
    let folder = server.stop().await;
    let data = folder.path().join("data");
    fs::remove_file(data.join("catalog.redb")).unwrap();
    fs::remove_dir_all(data.join("objects").join("catalog")).unwrap();
    let server = Server::start_in(folder, |_| {}).await;
    assert_eq!(
        server.value("SELECT count(*) FROM t").await,
        "2",
        "of the two creations the later one counts"
    );
    server.stop().await;
}

#[tokio::test]
async fn a_table_that_is_late_and_was_not_made_anew_is_there() {
    let server = Server::start(|_| {}).await;
    let late = created_again(&server, "t").await;
    let late = Manifest { name: "other".into(), ..Manifest::decode(&*late).unwrap() };
    arrive(&server, &late.encode_to_vec());
    let server = server.restart(|_| {}).await;
    assert_eq!(server.value("SELECT n FROM other").await, "1");
    server.stop().await;
}

#[tokio::test]
async fn a_dropped_schema_does_not_come_back() {
    let server = Server::start(|_| {}).await;
    server.run("CREATE SCHEMA s").await.unwrap();
    let late = created_again(&server, "s.t").await;
    server.run("DROP SCHEMA s CASCADE").await.unwrap();
    arrive(&server, &late);
    let server = server.restart(|_| {}).await;
    assert!(server.run("SELECT * FROM s.t").await.is_err());
    server.run("CREATE SCHEMA s").await.unwrap();
    assert!(server.run("SELECT * FROM s.t").await.is_err());
    server.stop().await;
}

/// As simulated seed 30223 had it: another coordinator put the tombstone, and ended before the catalog was told.
#[tokio::test]
async fn who_is_told_that_a_table_was_dropped_does_not_find_it_afterwards() {
    let server = Server::start(|_| {}).await;
    server.run("CREATE TABLE t AS SELECT 1 AS n").await.unwrap();
    let folder = manifests(&server, 1);
    let first = Manifest::decode(&*fs::read(manifest(&folder, 1)).unwrap()).unwrap();
    let tombstone = Manifest { version: 2, files: Vec::new(), tombstone: true, ..first };
    fs::write(manifest(&folder, 2), tombstone.encode_to_vec()).unwrap();
    assert_eq!(server.value("SELECT n FROM t").await, "1", "nobody has looked yet");
    let error = server.run("INSERT INTO t VALUES (2)").await.unwrap_err();
    assert!(matches!(error, Error::NotFound(_)), "{error:?}");
    let error = server.run("SELECT n FROM t").await.unwrap_err();
    assert!(matches!(error, Error::NotFound(_)), "{error:?}");
    server.run("CREATE TABLE t AS SELECT 3 AS n").await.unwrap();
    assert_eq!(server.value("SELECT n FROM t").await, "3");
    server.stop().await;
}
