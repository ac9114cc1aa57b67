//! Tenants with pools of shards of their own, on a cluster of processes.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tundra_tests::cluster::ProcessCluster;
use tundra_tests::connection::{Connection, eventually, number};
use tundra_tests::control::{Control, connect, until};

const LAYOUT: [&str; 10] = [
    "--coordinators",
    "1",
    "--pools",
    "default=2,acme=2",
    "--memory",
    "2GB",
    "--replicated-rows",
    "10",
    "--bucket-rows",
    "100",
];
/// How long data may take to move.
const PATIENCE: Duration = Duration::from_secs(60);
/// Reads parts of a table, exchanges rows, and reads a table that all shards have.
const JOIN: &str = "SELECT count(*) FROM item a JOIN item b ON a.i = b.i + 0 JOIN small ON small.i = 1";
const ROWS: i64 = 768;

/// The shards by number: the pool of each.
async fn pools(cluster: &ProcessCluster) -> BTreeMap<String, String> {
    let nodes = cluster.admin(0, &["nodes"]).await.unwrap();
    let text = |shard: &Value, key: &str| shard[key].as_str().unwrap().to_string();
    nodes["shards"].as_array().unwrap().iter().map(|shard| (text(shard, "id"), text(shard, "pool"))).collect()
}

/// The pools that hold something of a tenant's tables, and those that hold all of it.
async fn holders(cluster: &ProcessCluster, tenant: &str) -> (Vec<String>, Vec<String>) {
    let pools = pools(cluster).await;
    let placement = cluster.admin(0, &["placement"]).await.unwrap();
    let tables = placement.as_array().unwrap().iter().filter(|table| table["tenant"] == tenant);
    let buckets: Vec<&Value> = tables.flat_map(|table| table["buckets"].as_array().unwrap()).collect();
    let of = |bucket: &Value| -> BTreeSet<String> {
        let shards = bucket["shards"].as_array().unwrap();
        shards.iter().map(|shard| pools[shard.as_str().unwrap()].clone()).collect()
    };
    let any: BTreeSet<String> = buckets.iter().flat_map(|bucket| of(bucket)).collect();
    let whole = any.iter().filter(|pool| buckets.iter().all(|bucket| of(bucket).contains(*pool)));
    (any.iter().cloned().collect(), whole.cloned().collect())
}

/// Waits until a pool holds all of a tenant's tables. Another one may have some still, for as long as they may be read there.
async fn until_held_in(cluster: &ProcessCluster, tenant: &str, pool: &str) {
    let begun = Instant::now();
    loop {
        let (any, whole) = holders(cluster, tenant).await;
        if whole.contains(&pool.to_string()) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{tenant} is to be in {pool}: {any:?} {whole:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A tenant's key, and a connection that shows it.
async fn tenant(cluster: &ProcessCluster, control: &Control, name: &str, pool: &str) -> (String, Connection) {
    control.run(&["tenant", "create", name, "--pool", pool]).await.unwrap();
    let key = control.run(&["tenant", "key", "create", name, "--user", "etl"]).await.unwrap();
    let mut connection = connect(cluster, &key).await.unwrap();
    until(&mut connection, "SELECT 1", Result::is_ok).await.unwrap();
    (key, connection)
}

async fn fill(connection: &mut Connection) {
    connection.execute("CREATE TABLE item AS SELECT i FROM (VALUES (1), (2), (3)) AS t (i)").await.unwrap();
    for _ in 0..8 {
        connection.execute("INSERT INTO item SELECT i + (SELECT max(i) FROM item) FROM item").await.unwrap();
    }
    connection.execute("CREATE TABLE small AS SELECT 1 AS i").await.unwrap();
    assert_eq!(number(connection, JOIN).await.unwrap(), ROWS);
}

/// Asks again and again until it is told to stop; how often it was answered, every time rightly.
fn ask(mut connection: Connection) -> (Arc<AtomicBool>, tokio::task::JoinHandle<usize>) {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let asks = async move {
        let mut answered = 0;
        while !stopped.load(Ordering::Relaxed) {
            assert_eq!(number(&mut connection, JOIN).await.unwrap(), ROWS);
            answered += 1;
        }
        answered
    };
    (stop, tokio::spawn(asks))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_has_the_shards_of_its_pool_alone() {
    let cluster = ProcessCluster::start(&LAYOUT).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("control").display().to_string();
    let control = Control::start(&cluster, &data, &[]).await.unwrap();
    let (acme_key, mut acme) = tenant(&cluster, &control, "acme", "acme").await;
    let (_, mut zeta) = tenant(&cluster, &control, "zeta", "default").await;
    fill(&mut acme).await;
    fill(&mut zeta).await;

    // Each sees its own shards, and has rows on these alone.
    for (connection, name, pool) in [(&mut acme, "acme", "acme"), (&mut zeta, "zeta", "default")] {
        until_held_in(&cluster, name, pool).await;
        assert_eq!(holders(&cluster, name).await.0, [pool]);
        let seen = connection.rows("SELECT DISTINCT pool FROM system.shards").await.unwrap();
        assert_eq!(seen, [[pool]]);
        assert_eq!(number(connection, "SELECT count(*) FROM system.shards").await.unwrap(), 2);
        assert!(number(connection, "SELECT min(rows) FROM system.shards").await.unwrap() > 0);
    }

    // The other pool's shards die again and again.
    let begun = Instant::now();
    let (stop, asks) = ask(connect(&cluster, &acme_key).await.unwrap());
    while begun.elapsed() < Duration::from_secs(5) {
        for shard in ["shard-1", "shard-2"] {
            // It may not be back yet.
            let _ = cluster.kill(shard);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    stop.store(true, Ordering::Relaxed);
    assert!(asks.await.unwrap() > 5);
    assert_eq!(eventually(&mut zeta, JOIN).await.unwrap(), ROWS);

    // To the other pool and back, while queries and inserts go on.
    acme.execute("CREATE TABLE log (i BIGINT)").await.unwrap();
    let mut inserted = 0;
    for pool in ["default", "acme"] {
        let (stop, asks) = ask(connect(&cluster, &acme_key).await.unwrap());
        control.run(&["tenant", "set", "acme", "--pool", pool]).await.unwrap();
        let moved = until_held_in(&cluster, "acme", pool);
        tokio::pin!(moved);
        loop {
            tokio::select! {
                () = &mut moved => break,
                () = tokio::time::sleep(Duration::from_millis(50)) => {
                    acme.execute("INSERT INTO log VALUES (1)").await.unwrap();
                    inserted += 1;
                    assert_eq!(number(&mut acme, "SELECT count(*) FROM log").await.unwrap(), inserted);
                }
            }
        }
        stop.store(true, Ordering::Relaxed);
        assert!(asks.await.unwrap() > 0);
        let count = "SELECT count(DISTINCT pool) FROM system.shards";
        until(&mut acme, count, |seen| matches!(seen, Ok(1))).await.unwrap();
        let seen = acme.rows("SELECT DISTINCT pool FROM system.shards").await.unwrap();
        assert_eq!(seen, [[pool]]);
        assert_eq!(number(&mut acme, "SELECT sum(i) FROM log").await.unwrap(), inserted);
    }
    assert!(inserted > 0);
    assert_eq!(holders(&cluster, "zeta").await.0, ["default"]);
    cluster.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_without_shards_is_named_and_gets_one() {
    let cluster = ProcessCluster::start(&LAYOUT).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("control").display().to_string();
    let control = Control::start(&cluster, &data, &[]).await.unwrap();
    let wrong = control.run(&["tenant", "create", "ghost", "--pool", "no pool"]).await.unwrap_err();
    assert!(wrong.0.contains("no name of a pool"), "{wrong:?}");
    let (_, mut ghost) = tenant(&cluster, &control, "ghost", "ghost").await;
    let create = "CREATE TABLE item AS SELECT i FROM (VALUES (1), (2), (3)) AS t (i)";
    let why = ghost.execute(create).await.map(drop).unwrap_err().0;
    assert!(why.contains("no shard of pool 'ghost' is up"), "{why}");
    assert_eq!(number(&mut ghost, "SELECT 1").await.unwrap(), 1);
    assert_eq!(number(&mut ghost, "SELECT count(*) FROM system.shards").await.unwrap(), 0);
    assert!(ghost.rows("SHOW TABLES").await.unwrap().is_empty());

    // Others notice nothing; a tenant that is sent there stays where its data are.
    let (_, mut acme) = tenant(&cluster, &control, "acme", "acme").await;
    fill(&mut acme).await;
    control.run(&["tenant", "set", "acme", "--pool", "ghost"]).await.unwrap();
    let moving = serde_json::json!([{ "tenant": "acme", "pool": "ghost", "read_in": "acme" }]);
    let begun = Instant::now();
    while cluster.admin(0, &["nodes"]).await.unwrap()["moving"] != moving {
        assert!(begun.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(number(&mut acme, JOIN).await.unwrap(), ROWS);
    assert_eq!(acme.rows("SELECT DISTINCT pool FROM system.shards").await.unwrap(), [["acme"]]);
    // Also where all of these are started again.
    for shard in ["shard-acme-1", "shard-acme-2"] {
        cluster.kill(shard).unwrap();
    }
    assert_eq!(eventually(&mut acme, JOIN).await.unwrap(), ROWS);

    let members = cluster.members().unwrap().join(",");
    let words = ["--listen", "127.0.0.1:0", "--coordinators", &members, "--memory", "256MiB"];
    let shard = cluster.further("shard", "late", &[&words[..], &["--pool", "ghost"]].concat()).await.unwrap();
    until_held_in(&cluster, "acme", "ghost").await;
    assert_eq!(number(&mut acme, JOIN).await.unwrap(), ROWS);
    assert_eq!(eventually_create(&mut ghost, create).await, 3);
    until_held_in(&cluster, "ghost", "ghost").await;

    // It is not of another pool when it comes back.
    shard.kill().await.unwrap();
    let shard = cluster.further("shard", "late", &[&words[..], &["--pool", "acme"]].concat()).await.unwrap();
    let id = std::fs::read_to_string(cluster.data().join("late/shard-id")).unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let nodes = cluster.admin(0, &["nodes"]).await.unwrap();
    let late = nodes["shards"].as_array().unwrap().iter().find(|shard| shard["id"] == id.trim()).unwrap();
    assert_eq!((&late["pool"], &late["alive"]), (&"ghost".into(), &false.into()));
    // Once it was removed it is.
    cluster.admin(0, &["remove-shard", id.trim(), "--force"]).await.unwrap();
    let begun = Instant::now();
    while pools(&cluster).await.get(id.trim()).map(String::as_str) != Some("acme") {
        assert!(begun.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    shard.end().await.unwrap();
    cluster.stop().await.unwrap();
}

/// Creates a table once there is a shard, and counts its rows.
async fn eventually_create(connection: &mut Connection, create: &str) -> i64 {
    let begun = Instant::now();
    while let Err(why) = connection.execute(create).await {
        assert!(begun.elapsed() < PATIENCE, "{why:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    number(connection, "SELECT count(*) FROM item").await.unwrap()
}
