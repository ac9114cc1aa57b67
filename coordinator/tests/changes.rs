//! `DELETE` and `UPDATE` side by side with others, over restarts, and by what lies in the object store.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use crate::server::{Server, gather};
use coordinator::Error;
use flight_proto::Message;
use flight_proto::manifest::Manifest;
use futures::future::join_all;
use std::fs;

/// The manifests of a dataset, the first version first.
fn manifests(server: &Server, dataset: u64) -> Vec<Manifest> {
    let folder = server.data().join(format!("objects/default/{dataset}/manifests"));
    let mut manifests: Vec<Manifest> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| Manifest::decode(&*fs::read(entry.unwrap().path()).unwrap()).unwrap())
        .collect();
    manifests.sort_unstable_by_key(|manifest| manifest.version);
    manifests
}

const SEEN: &str = "SELECT count(*) || ' ' || coalesce(sum(a), 0) || ' ' || count(DISTINCT b) FROM t";

/// Whatever is deleted of however many files, shards that start anew see the same rows.
#[tokio::test]
async fn rows_that_are_gone_stay_gone() {
    let mut server = Server::start(|config| config.shards = 3).await;
    server
        .run("CREATE TABLE t AS SELECT i AS a, i % 10 AS b FROM generate_series(1, 70000) AS s(i)")
        .await
        .unwrap();
    let mut seen = String::new();
    for (sql, shards) in [
        ("DELETE FROM t WHERE a % 7 = 3", 2),
        ("INSERT INTO t SELECT i, 100 FROM generate_series(70001, 70010) AS s(i)", 1),
        ("DELETE FROM t WHERE a % 7 = 3 OR a = 70005", 3),
        ("UPDATE t SET b = b + 1000, a = -a WHERE a % 5 = 0", 1),
        ("UPDATE t SET a = a + 1 WHERE a < 0 AND a > -1000", 2),
        ("DELETE FROM t WHERE b = 1000 OR a BETWEEN 100 AND 60000", 3),
        ("DELETE FROM t WHERE a > 0", 2),
        ("INSERT INTO t VALUES (5, 5)", 2),
        ("DELETE FROM t", 1),
    ] {
        server.run(sql).await.unwrap();
        let now = server.value(SEEN).await;
        assert_ne!(now, seen, "{sql}");
        seen = now;
        let replicated = if shards == 1 { 1_000_000 } else { 10 };
        server = server
            .restart(|config| {
                config.shards = shards;
                config.replicated_rows = replicated;
            })
            .await;
        assert_eq!(server.value(SEEN).await, seen, "{sql}");
    }
    assert_eq!(seen, "0 0 0");
    server.stop().await;
}

/// Small sets lie in manifests and large ones in objects; files without a row leave the version.
#[tokio::test]
async fn manifests_say_what_is_gone() {
    let server = Server::start(|config| config.shards = 2).await;
    server.run("CREATE TABLE t AS SELECT i AS a FROM generate_series(1, 50000) AS s(i)").await.unwrap();
    server.run("INSERT INTO t VALUES (-1), (-2), (-3)").await.unwrap();
    assert_eq!(server.value("DELETE FROM t WHERE a = 17 OR a = 18").await, "2");
    assert_eq!(server.value("DELETE FROM t WHERE a > 0 AND a % 3 = 0").await, "16665");
    assert_eq!(server.value("UPDATE t SET a = -10 WHERE a < 0").await, "3");
    // Nothing is met: no version.
    assert_eq!(server.value("DELETE FROM t WHERE a = 17").await, "0");
    assert_eq!(server.value("UPDATE t SET a = 1 WHERE a = 17").await, "0");
    assert_eq!(server.value("DELETE FROM t WHERE false").await, "0");
    let found = manifests(&server, 1);
    let told: Vec<_> = found
        .iter()
        .map(|manifest| {
            let gone = |deletes: &flight_proto::manifest::Deletes| {
                assert_ne!(deletes.inline.is_empty(), deletes.url.is_empty());
                (deletes.rows, deletes.inline.is_empty())
            };
            let files = manifest.files.iter().map(|file| file.deletes.as_ref().map(gone)).collect::<Vec<_>>();
            (manifest.format, manifest.rows(), files)
        })
        .collect();
    let many = Some((16_667, true));
    assert_eq!(
        told,
        [
            (1, 50_000, vec![None]),
            (1, 50_003, vec![None, None]),
            (2, 50_001, vec![Some((2, false)), None]),
            (2, 33_336, vec![many, None]),
            (2, 33_336, vec![many, None]),
        ]
    );
    assert_ne!(found[3].files[1].url, found[4].files[1].url, "the file of three rows has left, one has come");
    assert!(found[4].statement.len() == 16 && found[3].statement != found[4].statement);
    assert!(found.windows(2).all(|pair| pair[0].created_at_us < pair[1].created_at_us));
    server.run("TRUNCATE t").await.unwrap();
    server.run("INSERT INTO t VALUES (1)").await.unwrap();
    assert_eq!(server.value("SELECT sum(a) FROM t").await, "1");
    server.stop().await;
}

/// Each statement adds to what the one before has left: no commit is lost, whoever is first.
#[tokio::test]
async fn no_update_is_lost() {
    let server = Server::start(|config| config.shards = 2).await;
    server.run("CREATE TABLE t (id INTEGER, n INTEGER)").await.unwrap();
    server.run("INSERT INTO t VALUES (1, 0), (2, 0), (3, 0)").await.unwrap();
    server.run("CREATE TABLE log (client INTEGER, n INTEGER)").await.unwrap();
    let clients = (0..6).map(|client| {
        let session = server.handle().session("test");
        async move {
            for n in 0..6 {
                let id = (client + n) % 3 + 1;
                for sql in [
                    format!("UPDATE t SET n = n + 1 WHERE id = {id}"),
                    format!("INSERT INTO log VALUES ({client}, {n})"),
                    format!("UPDATE log SET n = n + 1000 WHERE client = {client} AND n < 1000"),
                    format!("DELETE FROM log WHERE client = {client} AND n % 2 = 1"),
                ] {
                    gather(session.execute(&sql).await.unwrap()).await.unwrap();
                }
            }
        }
    });
    join_all(clients).await;
    let check = async |server: &Server| {
        assert_eq!(server.value("SELECT sum(n) FROM t").await, "36");
        assert_eq!(server.value("SELECT count(*) || ' ' || min(n) || ' ' || max(n) FROM t").await, "3 12 12");
        assert_eq!(server.value("SELECT count(*) || ' ' || sum(n) FROM log").await, "18 18036");
    };
    check(&server).await;
    let server = server.restart(|config| config.shards = 3).await;
    check(&server).await;
    server.stop().await;
}

/// Whoever finds a row missing adds it, and nobody else does.
#[tokio::test]
async fn merges_of_many_clients_add_no_row_twice() {
    let server = Server::start(|config| config.shards = 2).await;
    server.run("CREATE TABLE tally (k INTEGER, n INTEGER)").await.unwrap();
    let clients = (0..5).map(|client| {
        let session = server.handle().session("test");
        async move {
            for round in 0..6 {
                let merge = format!(
                    "MERGE INTO tally USING (VALUES ({round}), ({})) AS v(key) ON k = key \
                     WHEN MATCHED THEN UPDATE SET n = n + 1 WHEN NOT MATCHED THEN INSERT VALUES (key, 1)",
                    100 + client
                );
                gather(session.execute(&merge).await.unwrap()).await.unwrap();
                let insert = format!("INSERT INTO tally VALUES ({}, 0)", 1_000 + client * 10 + round);
                gather(session.execute(&insert).await.unwrap()).await.unwrap();
            }
        }
    });
    join_all(clients).await;
    let seen = "SELECT count(*) || ' ' || count(DISTINCT k) || ' ' || sum(n) FROM tally WHERE k < 1000";
    assert_eq!(server.value(seen).await, "11 11 60");
    assert_eq!(server.value("SELECT count(*) FROM tally").await, "41");
    let server = server.restart(|config| config.shards = 1).await;
    assert_eq!(server.value(seen).await, "11 11 60");
    server.stop().await;
}

#[tokio::test]
async fn a_reader_keeps_the_rows_that_it_began_with() {
    let server = Server::start(|config| config.shards = 2).await;
    server.run("CREATE TABLE t AS SELECT i AS a FROM generate_series(1, 20000) AS s(i)").await.unwrap();
    let session = server.handle().session("test");
    let readers = [
        session.execute("SELECT a FROM t").await.unwrap(),
        session.execute("SELECT a FROM t ORDER BY a").await.unwrap(),
    ];
    server.run("DELETE FROM t WHERE a > 10").await.unwrap();
    let after = session.execute("SELECT a FROM t").await.unwrap();
    server.run("UPDATE t SET a = 0").await.unwrap();
    server.run("TRUNCATE t").await.unwrap();
    for reader in readers {
        assert_eq!(gather(reader).await.unwrap().num_rows(), 20_000);
    }
    assert_eq!(gather(after).await.unwrap().num_rows(), 10);
    assert_eq!(server.value("SELECT count(*) FROM t").await, "0");
    server.stop().await;
}

/// What is put into the store and was not committed changes nothing.
#[tokio::test]
async fn failed_statements_change_nothing() {
    let server = Server::start(|config| config.shards = 2).await;
    server
        .run("CREATE TABLE t AS SELECT i AS a, CAST(i AS VARCHAR) AS b FROM generate_series(1, 3000) AS s(i)")
        .await
        .unwrap();
    server.run("CREATE TABLE twice AS SELECT 1 AS a UNION ALL SELECT 1").await.unwrap();
    for (sql, why) in [
        ("UPDATE t SET a = 1 / (a - 2999)", "division by zero"),
        ("DELETE FROM t WHERE 1 / (a - 2999) = 7", "division by zero"),
        ("UPDATE t SET b = 'x' FROM twice WHERE t.a = twice.a", "twice"),
        ("UPDATE t SET a = (SELECT a FROM twice)", "one row"),
    ] {
        let error = server.run(sql).await.unwrap_err();
        assert!(error.to_string().contains(why), "{sql}: {error}");
    }
    let location = crate::statements::sample(&server, "people", 10).await;
    server.run(&format!("CREATE EXTERNAL TABLE e STORED AS PARQUET LOCATION '{location}'")).await.unwrap();
    for (sql, what) in
        [("DELETE FROM e", "DELETE from the external"), ("UPDATE e SET id = 1", "UPDATE of the external")]
    {
        let error = server.run(sql).await.unwrap_err();
        assert!(matches!(&error, Error::Unsupported(told) if told.contains(what)), "{error:?}");
    }
    assert_eq!(server.value("SELECT count(*) || ' ' || sum(a) FROM t").await, "3000 4501500");
    assert_eq!(manifests(&server, 1).len(), 1);
    // A plan is shown, and nothing is changed by that.
    for sql in ["EXPLAIN DELETE FROM t WHERE a > 7", "EXPLAIN (FORMAT JSON) UPDATE t SET a = a + 1"] {
        assert!(server.run(sql).await.unwrap().num_rows() > 0);
    }
    assert_eq!(manifests(&server, 1).len(), 1);
    server.stop().await;
}
