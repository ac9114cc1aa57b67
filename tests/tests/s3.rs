//! The engine on an S3 server that is slow, that loses replies, and that is away.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use futures::future::join_all;
use shard::Stores;
use std::collections::BTreeMap;
use std::time::Duration;
use tempfile::TempDir;
use tundra_tests::cluster::ProcessCluster;
use tundra_tests::connection::{Connection, eventually, number};
use tundra_tests::s3::{Faults, S3Server};
use tundra_tests::server::{TestServer, Variation};

/// Twelve rows that sum up to 78.
const TWELVE: &str = "SELECT i, 'row ' || CAST(i AS VARCHAR) AS name FROM (VALUES (1), (2), (3), (4), (5), \
    (6), (7), (8), (9), (10), (11), (12)) AS t (i)";

/// A server in `folder` whose objects lie on `s3`.
async fn start(s3: &S3Server, folder: TempDir) -> TestServer {
    let stores = Stores::with_settings(s3.settings());
    let location = s3.location("tundra");
    let change = |config: &mut coordinator::Config| config.object_store = Some(location);
    TestServer::start_in(folder, stores, &Variation::shards(2), change).await.unwrap()
}

async fn start_empty(s3: &S3Server) -> TestServer {
    start(s3, tempfile::tempdir().unwrap()).await
}

/// Creates, inserts, drops and reads.
async fn use_all(connection: &mut Connection) {
    connection.execute("CREATE SCHEMA sales").await.unwrap();
    connection.execute(&format!("CREATE TABLE sales.item AS {TWELVE}")).await.unwrap();
    for _ in 0..4 {
        connection.execute("INSERT INTO sales.item SELECT i + 100, name FROM sales.item").await.unwrap();
    }
    connection.execute("CREATE TABLE gone (a INT)").await.unwrap();
    connection.execute("DROP TABLE gone").await.unwrap();
    check_all(connection).await;
}

/// Finds what [`use_all`] has left.
async fn check_all(connection: &mut Connection) {
    assert_eq!(number(connection, "SELECT count(*) FROM sales.item").await.unwrap(), 192);
    assert_eq!(number(connection, "SELECT sum(i) FROM sales.item").await.unwrap(), 192 * 200 + 16 * 78);
    assert_eq!(number(connection, "SELECT count(DISTINCT name) FROM sales.item").await.unwrap(), 12);
    assert!(connection.execute("SELECT * FROM gone").await.is_err(), "what was dropped stays away");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_is_read_after_a_restart() {
    let s3 = S3Server::start().await.unwrap();
    let server = start_empty(&s3).await;
    use_all(&mut server.session()).await;
    let folder = server.end().await.unwrap();
    let server = start(&s3, folder).await;
    let mut connection = server.session();
    check_all(&mut connection).await;
    connection.execute("CREATE TABLE later AS SELECT i FROM sales.item").await.unwrap();
    server.stop().await.unwrap();

    // The objects alone bring it back.
    let server = start_empty(&s3).await;
    let mut connection = server.session();
    check_all(&mut connection).await;
    assert_eq!(number(&mut connection, "SELECT count(*) FROM later").await.unwrap(), 192);
    connection.execute("INSERT INTO later VALUES (1)").await.unwrap();
    assert_eq!(number(&mut connection, "SELECT count(*) FROM later").await.unwrap(), 193);
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_down_slows_down_only() {
    let s3 = S3Server::start().await.unwrap();
    s3.set(Faults { slow_down: 30, delay: Duration::from_millis(2), ..Faults::default() });
    let server = start_empty(&s3).await;
    use_all(&mut server.session()).await;
    let folder = server.end().await.unwrap();
    let server = start(&s3, folder).await;
    check_all(&mut server.session()).await;
    server.stop().await.unwrap();
    let server = start_empty(&s3).await;
    check_all(&mut server.session()).await;
    server.stop().await.unwrap();
    let (requests, hits) = s3.requests();
    assert!(hits > 10, "{hits} of {requests}");
}

/// Rows of `serial` by how often they are there.
async fn counted(connection: &mut Connection) -> BTreeMap<i64, i64> {
    let rows = connection.rows("SELECT n, count(*) FROM serial GROUP BY n").await.unwrap();
    rows.iter().map(|row| (row[0].parse().unwrap(), row[1].parse().unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_replies_lose_and_double_nothing() {
    const WRITERS: i64 = 4;
    const ROWS: i64 = 12;
    let s3 = S3Server::start().await.unwrap();
    s3.set(Faults { lost_replies: 40, ..Faults::default() });
    let server = start_empty(&s3).await;
    let mut connection = server.session();
    connection.execute("CREATE TABLE serial (n BIGINT)").await.unwrap();
    let writers = (0..WRITERS).map(|writer| {
        let mut connection = server.session();
        async move {
            let mut acknowledged = Vec::new();
            for row in (0..ROWS).map(|row| writer * ROWS + row) {
                let sql = format!("INSERT INTO serial VALUES ({row})");
                if connection.execute(&sql).await.is_ok() {
                    acknowledged.push(row);
                }
            }
            acknowledged
        }
    });
    let acknowledged: Vec<i64> = join_all(writers).await.into_iter().flatten().collect();
    let (requests, hits) = s3.requests();
    assert!(hits > 10, "{hits} of {requests}");
    assert!(acknowledged.len() as i64 > WRITERS * ROWS / 2, "{} acknowledged", acknowledged.len());

    let check = |found: BTreeMap<i64, i64>| {
        let lost: Vec<_> = acknowledged.iter().filter(|row| !found.contains_key(row)).collect();
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
        let twice: Vec<_> = found.iter().filter(|(_, count)| **count != 1).collect();
        assert!(twice.is_empty(), "not once: {twice:?}");
    };
    check(counted(&mut connection).await);
    drop(connection);
    let folder = server.end().await.unwrap();
    let server = start(&s3, folder).await;
    check(counted(&mut server.session()).await);
    server.stop().await.unwrap();
    let server = start_empty(&s3).await;
    check(counted(&mut server.session()).await);
    server.stop().await.unwrap();
}

/// Where replies to puts are lost nobody's change is done twice, and none that was acknowledged is lost.
#[tokio::test(flavor = "multi_thread")]
async fn lost_replies_change_nothing_twice() {
    const WRITERS: i64 = 3;
    const TIMES: i64 = 10;
    let s3 = S3Server::start().await.unwrap();
    let server = start_empty(&s3).await;
    let mut connection = server.session();
    let create = "CREATE TABLE tally AS SELECT i AS n, 0 AS times FROM generate_series(1, 5000) AS s(i)";
    connection.execute(create).await.unwrap();
    s3.set(Faults { lost_replies: 40, ..Faults::default() });
    let writers = (0..WRITERS).map(|writer| {
        let mut connection = server.session();
        async move {
            let mut done = 0;
            for _ in 0..TIMES {
                // Every third row: such a set lies in an object of its own.
                let sql = format!("UPDATE tally SET times = times + 1 WHERE n % 3 = {writer}");
                done += i64::from(connection.execute(&sql).await.is_ok());
            }
            (writer, done)
        }
    });
    let done: Vec<(i64, i64)> = join_all(writers).await;
    s3.set(Faults::default());
    let (requests, hits) = s3.requests();
    assert!(hits > 5, "{hits} of {requests}");
    assert!(done.iter().map(|(_, done)| done).sum::<i64>() > WRITERS * TIMES / 2, "{done:?}");
    let check = async |connection: &mut Connection| {
        let sql = "SELECT n % 3, count(*), min(times), max(times) FROM tally GROUP BY n % 3 ORDER BY 1";
        for (row, (writer, done)) in connection.rows(sql).await.unwrap().iter().zip(&done) {
            let row: Vec<i64> = row.iter().map(|value| value.parse().unwrap()).collect();
            let rows = if *writer == 0 { 1_666 } else { 1_667 };
            assert_eq!((row[0], row[1], row[2]), (*writer, rows, row[3]), "each row once and alike");
            // One that failed may have been committed.
            assert!((*done..=TIMES).contains(&row[2]), "{done} acknowledged: {row:?}");
        }
        assert_eq!(connection.rows("SELECT count(*) FROM tally").await.unwrap(), [["5000"]]);
        connection.rows("SELECT sum(times) FROM tally").await.unwrap()
    };
    let before = check(&mut connection).await;
    drop(connection);
    let folder = server.end().await.unwrap();
    let server = start(&s3, folder).await;
    assert_eq!(check(&mut server.session()).await, before);
    server.stop().await.unwrap();
    let server = start_empty(&s3).await;
    assert_eq!(check(&mut server.session()).await, before);
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_go_on_without_the_object_store() {
    let s3 = S3Server::start().await.unwrap();
    let server = start_empty(&s3).await;
    let mut connection = server.session();
    connection.execute(&format!("CREATE TABLE item AS {TWELVE}")).await.unwrap();
    s3.set(Faults { down: true, ..Faults::default() });
    let insert = "INSERT INTO item VALUES (100, 'late')";
    let mut writing = server.session();
    let writing = tokio::spawn(async move { writing.execute(insert).await.map(drop) });
    while !writing.is_finished() {
        assert_eq!(number(&mut connection, "SELECT sum(i) FROM item").await.unwrap(), 78);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let error = writing.await.unwrap().unwrap_err().to_string();
    assert!(error.contains(&s3.location("tundra")) && error.contains("error sending request"), "{error}");
    for refused in ["CREATE TABLE other (a INT)", "DROP TABLE item"] {
        let error = connection.execute(refused).await.map(drop).unwrap_err().to_string();
        assert!(error.contains("error sending request"), "{refused}: {error}");
    }

    s3.set(Faults::default());
    assert_eq!(number(&mut connection, "SELECT sum(i) FROM item").await.unwrap(), 78);
    connection.execute(insert).await.unwrap();
    connection.execute("CREATE TABLE other (a INT)").await.unwrap();
    assert_eq!(number(&mut connection, "SELECT sum(i) FROM item").await.unwrap(), 178);
    server.stop().await.unwrap();
    let server = start_empty(&s3).await;
    let mut connection = server.session();
    assert_eq!(number(&mut connection, "SELECT sum(i) FROM item").await.unwrap(), 178);
    assert_eq!(number(&mut connection, "SELECT count(*) FROM other").await.unwrap(), 0);
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_loses_all_but_the_bucket_comes_back() {
    let s3 = S3Server::start().await.unwrap();
    let location = s3.location("cluster");
    let mut arguments = vec!["--coordinators", "3", "--shards", "2", "--memory", "2GB"];
    arguments.extend(["--replicated-rows", "10", "--bucket-rows", "20", "--buckets", "4"]);
    arguments.extend(["--object-store", &location]);
    let folder = tempfile::tempdir().unwrap();
    let cluster = ProcessCluster::start_with(folder, &arguments, &s3.settings()).await.unwrap();
    use_all(&mut cluster.connect().await.unwrap()).await;

    let folder = cluster.crash().await.unwrap();
    std::fs::remove_dir_all(folder.path().join("cluster")).unwrap();
    let cluster = ProcessCluster::start_with(folder, &arguments, &s3.settings()).await.unwrap();
    let mut connection = cluster.connect().await.unwrap();
    assert_eq!(eventually(&mut connection, "SELECT count(*) FROM sales.item").await.unwrap(), 192);
    for _ in &cluster.coordinators {
        check_all(&mut connection).await;
    }
    connection.execute("INSERT INTO sales.item VALUES (1, 'row 1')").await.unwrap();
    assert_eq!(number(&mut connection, "SELECT count(*) FROM sales.item").await.unwrap(), 193);
    cluster.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn external_tables_are_read() {
    let s3 = S3Server::start().await.unwrap();
    let server = start_empty(&s3).await;
    let mut connection = server.session();
    connection.execute(&format!("CREATE TABLE written AS {TWELVE}")).await.unwrap();
    let files = s3.location("tundra/default/*/data/*.parquet");
    let create = format!("CREATE EXTERNAL TABLE read STORED AS PARQUET LOCATION '{files}'");
    connection.execute(&create).await.unwrap();
    assert_eq!(number(&mut connection, "SELECT sum(i) FROM read").await.unwrap(), 78);
    server.stop().await.unwrap();
}
