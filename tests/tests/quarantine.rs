//! Statements that shards die of, and those that only run when they do.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use coordinator::Error;
use flight_proto::node::Run;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};
use tundra_tests::cluster::ProcessCluster;
use tundra_tests::connection::{Connection, Failure, eventually, number};
use tundra_tests::in_process::{Deadly, InProcessCluster, Layout};

const ITEMS: &str = "CREATE TABLE item AS SELECT a.n * 10 + b.n AS id, 'item ' || CAST(b.n AS VARCHAR) AS name FROM \
                     (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) AS a (n), \
                     (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) AS b (n)";
const POISON: &str = "SELECT sum(id) FROM item WHERE name <> 'poison'";
const SUM: i64 = 4950;

/// Whether a part of a query is of [`POISON`].
fn is_poison(run: &Run) -> bool {
    run.fragments.iter().any(|fragment| fragment.windows(6).any(|bytes| bytes == b"poison"))
}

/// So many shards die of [`POISON`], one at each attempt: that which gives the result.
fn one_by_one(count: i64) -> (Arc<AtomicI64>, Deadly) {
    let left = Arc::new(AtomicI64::new(count));
    let counted = left.clone();
    let deadly = move |_: usize, run: &Run| {
        is_poison(run) && run.shard == run.single && counted.fetch_sub(1, Ordering::SeqCst) > 0
    };
    (left, Arc::new(deadly))
}

async fn start(layout: Layout) -> InProcessCluster {
    let cluster = InProcessCluster::start(layout).await.unwrap();
    let mut connection = cluster.session(0);
    connection.execute(ITEMS).await.unwrap();
    for coordinator in 0..2 {
        assert_eq!(number(&mut cluster.session(coordinator), "SELECT sum(id) FROM item").await.unwrap(), SUM);
    }
    cluster
}

/// What is refused, as a coordinator shows it.
async fn refused(connection: &mut Connection) -> Vec<Vec<String>> {
    let sql = "SELECT sql, principal, shards, since < until AS later FROM system.quarantine";
    connection.rows(sql).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_shards_die_of_is_refused_by_all() {
    let (left, deadly) = one_by_one(i64::MAX);
    let cluster = start(Layout { shards: 3, deadly, ..Layout::default() }).await;
    let session = cluster.coordinator(0).session("test");
    let error = session.execute(POISON).await.err().unwrap();
    assert!(matches!(error, Error::Quarantined(_)), "{error:?}");
    assert!(error.to_string().contains("it is refused for 300 s"), "{error}");
    assert_eq!(cluster.deaths(), 2);
    for coordinator in 0..2 {
        let begun = Instant::now();
        let mut connection = cluster.session(coordinator);
        let Failure(why) = number(&mut connection, POISON).await.unwrap_err();
        assert!(why.contains("shards were lost while this statement ran (00000000"), "{why}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        let rows = refused(&mut connection).await;
        assert_eq!(
            (rows.len(), &rows[0][0], &rows[0][1], &rows[0][3]),
            (1, &POISON.into(), &"test".into(), &"true".into())
        );
        assert_eq!(rows[0][2].matches(" at s").count(), 2, "{rows:?}");
        // Others are not kept from anything.
        assert_eq!(eventually(&mut connection, "SELECT sum(id) FROM item").await.unwrap(), SUM);
    }
    assert_eq!((cluster.deaths(), i64::MAX - left.load(Ordering::SeqCst)), (2, 2));
    cluster.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_all_shards_die_of_at_once_is_refused_too() {
    let deadly: Deadly = Arc::new(|_, run| is_poison(run));
    let cluster = start(Layout { deadly, ..Layout::default() }).await;
    let error = cluster.coordinator(0).session("test").execute(POISON).await.err().unwrap();
    assert!(matches!(error, Error::Quarantined(_)), "{error:?}");
    assert!(cluster.deaths() <= 4, "{}", cluster.deaths());
    cluster.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_loses_one_shard_is_answered() {
    let (_, deadly) = one_by_one(1);
    let cluster = start(Layout { shards: 3, deadly, ..Layout::default() }).await;
    let mut connection = cluster.session(0);
    assert_eq!(number(&mut connection, POISON).await.unwrap(), SUM);
    assert_eq!(cluster.deaths(), 1);
    assert!(refused(&mut connection).await.is_empty());
    cluster.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_was_answered_lately_anywhere_is_given_one_more_chance() {
    let (left, deadly) = one_by_one(0);
    let cluster = start(Layout { shards: 3, deadly, ..Layout::default() }).await;
    assert_eq!(number(&mut cluster.session(1), POISON).await.unwrap(), SUM);
    let mut connection = cluster.session(0);
    left.store(2, Ordering::SeqCst);
    assert_eq!(number(&mut connection, POISON).await.unwrap(), SUM);
    assert_eq!(cluster.deaths(), 2);
    left.store(i64::MAX, Ordering::SeqCst);
    let Failure(why) = number(&mut connection, POISON).await.unwrap_err();
    assert!(why.contains("it is refused"), "{why}");
    assert_eq!(cluster.deaths(), 5);
    cluster.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_refused_where_that_is_off() {
    let (_, deadly) = one_by_one(3);
    let layout = Layout { shards: 3, quarantine: Duration::ZERO, deadly, ..Layout::default() };
    let cluster = start(layout).await;
    let mut connection = cluster.session(0);
    assert_eq!(number(&mut connection, POISON).await.unwrap(), SUM);
    assert_eq!(cluster.deaths(), 3);
    assert!(refused(&mut connection).await.is_empty());
    cluster.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_see_and_release_what_is_refused() {
    let arguments = ["--coordinators", "1", "--shards", "3", "--memory", "1GB"];
    let arguments = [&arguments[..], &["--replicated-rows", "10", "--bucket-rows", "10"]].concat();
    let cluster = ProcessCluster::start(&arguments).await.unwrap();
    let mut connection = cluster.connect().await.unwrap();
    connection.execute(ITEMS).await.unwrap();
    // It ends only with the shards that are killed.
    let sql =
        "SELECT count(*) FROM item a, item b, item c, item d, item e, item f WHERE a.id + b.id > c.id + d.id";
    let mut other = cluster.connect().await.unwrap();
    let asked = tokio::spawn(async move { number(&mut other, sql).await });
    let begun = Instant::now();
    let runs = "SELECT count(*) FROM system.queries WHERE sql LIKE 'SELECT count(*) FROM item%'";
    while number(&mut connection, runs).await.unwrap() == 0 {
        assert!(begun.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for shard in ["shard-1", "shard-2"] {
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(!asked.is_finished());
        cluster.kill(shard).unwrap();
        // The others are known to have lost it before the next one goes.
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    let Failure(why) = asked.await.unwrap().unwrap_err();
    assert!(why.contains("shards were lost while this statement ran"), "{why}");
    let listed = cluster.admin(0, &["quarantine"]).await.unwrap();
    let one = &listed["statements"][0];
    assert_eq!((&one["sql"], one["shards"].as_array().unwrap().len()), (&sql.into(), 2), "{listed}");
    let id = one["statement"].as_str().unwrap();
    let Failure(why) = number(&mut connection, sql).await.unwrap_err();
    assert!(why.contains(id), "{why}");
    cluster.admin(0, &["release", id]).await.unwrap();
    let listed = cluster.admin(0, &["quarantine"]).await.unwrap();
    assert!(listed["statements"].as_array().unwrap().is_empty(), "{listed}");
    let Failure(why) = cluster.admin(0, &["release", id]).await.unwrap_err();
    assert!(why.contains("no statement"), "{why}");
    cluster.stop().await.unwrap();
}
