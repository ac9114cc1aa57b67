//! Nodes of a cluster that come and go at an operator's word.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tundra_tests::cluster::ProcessCluster;
use tundra_tests::connection::{Connection, number};

/// Small tables in parts, each on one shard alone: what is lost is missed.
const ARGUMENTS: [&str; 14] = [
    "--coordinators",
    "3",
    "--shards",
    "2",
    "--memory",
    "2GB",
    "--replicas",
    "1",
    "--replicated-rows",
    "10",
    "--bucket-rows",
    "50",
    "--down-after",
    "120",
];
const PATIENCE: Duration = Duration::from_secs(60);

/// Looks until something is there.
async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A shard, as the coordinator in that place knows it.
async fn shard(cluster: &ProcessCluster, place: usize, id: &str) -> Option<Value> {
    let nodes = cluster.admin(place, &["nodes"]).await.unwrap();
    nodes["shards"].as_array().unwrap().iter().find(|shard| shard["id"] == id).cloned()
}

/// A small table that lies on every shard, and one in parts.
async fn fill(connection: &mut Connection) -> i64 {
    connection.execute("CREATE TABLE few AS SELECT 1 AS a").await.unwrap();
    connection.execute("CREATE TABLE wide AS SELECT * FROM (VALUES (1), (2), (3), (4), (5), (6), (7), (8), (9), (10), (11)) AS t (i)").await.unwrap();
    for _ in 0..6 {
        connection.execute("INSERT INTO wide SELECT i + 11 FROM wide").await.unwrap();
    }
    number(connection, "SELECT count(*) FROM wide").await.unwrap()
}

/// Starts a third shard, and waits until it has its part, and each coordinator knows that no other has it any more.
async fn third_shard(cluster: &ProcessCluster) -> (tundra_tests::cluster::FurtherNode, String) {
    let coordinators = cluster.members().unwrap().join(",");
    let arguments = ["--coordinators", &coordinators, "--memory", "1GB", "--threads", "1"];
    let mut node = cluster.further("shard", "shard-3", &arguments).await.unwrap();
    let id = node.ready("shard=").await.unwrap();
    for place in 0..3 {
        eventually("the shard has no part of its own", async || {
            let state = shard(cluster, place, &id).await?;
            let placement = cluster.admin(place, &["placement"]).await.unwrap();
            let wide = placement.as_array().unwrap().iter().find(|dataset| dataset["table"] == "wide")?;
            let once = wide["buckets"].as_array().unwrap().iter().all(|bucket| {
                bucket["rows"] == 0 || bucket["shards"].as_array().is_some_and(|shards| shards.len() == 1)
            });
            (state["status"] == "active" && state["buckets"].as_u64() > Some(2) && once).then_some(())
        })
        .await;
    }
    (node, id)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_is_drained_under_queries_and_stopped() {
    let cluster = ProcessCluster::start(&ARGUMENTS).await.unwrap();
    let mut connection = cluster.connect().await.unwrap();
    let rows = fill(&mut connection).await;
    let (node, id) = third_shard(&cluster).await;

    let stop = Arc::new(AtomicBool::new(false));
    let readers = cluster.coordinators.iter().cloned().map(|address| {
        let stop = stop.clone();
        tokio::spawn(async move {
            let mut connection = Connection::flight(&address).await.unwrap();
            let mut asked = 0;
            while !stop.load(Ordering::Relaxed) {
                let sql = "SELECT count(*) + sum(a) FROM wide, few";
                assert_eq!(number(&mut connection, sql).await.unwrap(), rows * 2);
                asked += 1;
            }
            asked
        })
    });
    let readers: Vec<_> = readers.collect();
    let writer = {
        let (stop, address) = (stop.clone(), cluster.coordinators[0].clone());
        tokio::spawn(async move {
            let mut connection = Connection::flight(&address).await.unwrap();
            connection.execute("CREATE TABLE log (n BIGINT)").await.unwrap();
            let mut written = 0;
            while !stop.load(Ordering::Relaxed) {
                connection.execute("INSERT INTO log VALUES (1)").await.unwrap();
                written += 1;
            }
            written
        })
    };
    let drained = tokio::time::timeout(PATIENCE, cluster.admin(1, &["drain", &id, "--wait"])).await;
    let drained = drained.unwrap().unwrap();
    assert_eq!((&drained["status"], drained["buckets"].as_u64()), (&"drained".into(), Some(0)), "{drained}");
    // It stays empty while tables grow.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(shard(&cluster, 2, &id).await.unwrap()["buckets"], 0);
    let placement = cluster.admin(2, &["placement"]).await.unwrap();
    assert!(!placement.to_string().contains(&id), "{placement}");
    let alive = cluster.admin(0, &["remove-shard", &id]).await.unwrap_err();
    assert!(alive.0.contains("stop it"), "{alive}");

    node.kill().await.unwrap();
    eventually("the shard still lives", async || {
        (shard(&cluster, 0, &id).await?["alive"] == false).then_some(())
    })
    .await;
    let nodes = cluster.admin(0, &["remove-shard", &id]).await.unwrap();
    assert_eq!(nodes["shards"].as_array().unwrap().len(), 2, "{nodes}");
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        assert!(reader.await.unwrap() > 0);
    }
    let written: i64 = writer.await.unwrap();
    assert_eq!(number(&mut connection, "SELECT count(*) FROM log").await.unwrap(), written);

    // The others may be drained but for one, and take buckets again.
    let shards = [0, 1].map(|place: usize| nodes["shards"][place]["id"].as_str().unwrap().to_string());
    cluster.admin(0, &["drain", &shards[0], "--wait"]).await.unwrap();
    let last = cluster.admin(1, &["drain", &shards[1]]).await.unwrap_err();
    assert!(last.0.contains("last"), "{last}");
    assert_eq!(number(&mut connection, "SELECT count(*) FROM wide").await.unwrap(), rows);
    cluster.admin(2, &["undrain", &shards[0]]).await.unwrap();
    eventually("it takes nothing", async || {
        (shard(&cluster, 1, &shards[0]).await?["buckets"].as_u64() > Some(2)).then_some(())
    })
    .await;
    assert_eq!(number(&mut connection, "SELECT count(*) FROM wide").await.unwrap(), rows);
    let unknown = cluster.admin(0, &["drain", "00ff"]).await.unwrap_err();
    assert!(unknown.0.contains("no shard 00000000000000ff"), "{unknown}");
    cluster.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_with_the_only_copy_is_forgotten_by_force_and_known_anew() {
    let cluster = ProcessCluster::start(&ARGUMENTS).await.unwrap();
    let mut connection = cluster.connect().await.unwrap();
    let rows = fill(&mut connection).await;
    let (node, id) = third_shard(&cluster).await;
    node.kill().await.unwrap();
    eventually("the shard still lives", async || {
        (shard(&cluster, 1, &id).await?["alive"] == false).then_some(())
    })
    .await;
    let only = cluster.admin(1, &["remove-shard", &id]).await.unwrap_err();
    assert!(only.0.contains("no other shard holds"), "{only}");
    cluster.admin(1, &["remove-shard", &id, "--force"]).await.unwrap();
    // The others read what it had from the object store; queries wait for it.
    assert_eq!(number(&mut connection, "SELECT count(*) FROM wide").await.unwrap(), rows);
    assert!(shard(&cluster, 1, &id).await.is_none());
    let (_node, again) = third_shard(&cluster).await;
    assert_eq!(again, id);
    assert_eq!(number(&mut connection, "SELECT count(*) FROM wide").await.unwrap(), rows);
    cluster.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_comes_leads_and_another_goes() {
    let cluster = ProcessCluster::start(&ARGUMENTS).await.unwrap();
    let mut connection = cluster.connect().await.unwrap();
    let rows = fill(&mut connection).await;
    let members = cluster.members().unwrap();
    let peers: Vec<String> =
        members.iter().enumerate().map(|(place, address)| format!("{}={address}", place + 1)).collect();
    let (peers, store) = (peers.join(","), format!("file://{}", cluster.data().join("objects").display()));
    let address = network::free_address().unwrap();
    let mut arguments = vec!["--id", "4", "--listen", &address, "--peers", &peers, "--object-store", &store];
    arguments.extend(["--flight", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
    arguments.extend(&ARGUMENTS[6..]);
    let mut node = cluster.further("coordinator", "coordinator-4", &arguments).await.unwrap();
    let wrong = cluster.admin(0, &["add-coordinator", "4", "nowhere"]).await.unwrap_err();
    assert!(wrong.0.contains("HOST:PORT"), "{wrong}");
    let nodes = cluster.admin(0, &["add-coordinator", "4", &address]).await.unwrap();
    assert_eq!(nodes["coordinators"].as_array().unwrap().len(), 4, "{nodes}");

    // Shards tell it of themselves, and it answers as the others do.
    let flight = node.ready("flight=grpc://").await.unwrap();
    let mut fourth = Connection::flight(&flight).await.unwrap();
    assert_eq!(number(&mut fourth, "SELECT count(*) FROM wide").await.unwrap(), rows);
    let leader = cluster.admin(1, &["hand-over", "4"]).await.unwrap();
    assert_eq!(leader["coordinator"], 4);
    fourth.execute("INSERT INTO wide VALUES (0)").await.unwrap();
    assert_eq!(number(&mut connection, "SELECT count(*) FROM wide").await.unwrap(), rows + 1);

    // Any coordinator shows the queries of all, and ends them.
    let running = tokio::spawn(async move {
        let sql = "SELECT count(*) FROM wide a, wide b, wide c, wide d, wide e";
        let ended = number(&mut fourth, sql).await;
        (fourth, ended)
    });
    let query = eventually("the query does not run", async || {
        let queries = cluster.admin(2, &["queries"]).await.unwrap();
        let query = queries["queries"].as_array().unwrap().iter().find(|query| query["coordinator"] == 4);
        query.map(|query| query["query"].as_str().unwrap().to_string())
    })
    .await;
    eventually("the query has no plan", async || {
        let shown = cluster.admin(2, &["query", &query]).await.unwrap();
        shown["plan"].as_str().map(|plan| assert!(plan.contains("wide"), "{plan}"))
    })
    .await;
    cluster.admin(2, &["cancel", &query]).await.unwrap();
    let (mut fourth, ended) = running.await.unwrap();
    assert!(ended.unwrap_err().0.contains("cancel"));

    let nodes = cluster.admin(1, &["remove-coordinator", "1"]).await.unwrap();
    let ids: Vec<_> = nodes["coordinators"].as_array().unwrap().iter().map(|one| one["id"].clone()).collect();
    assert_eq!(ids, [2, 3, 4]);
    assert_eq!(number(&mut fourth, "SELECT count(*) FROM wide").await.unwrap(), rows + 1);
    let gone = cluster.admin(1, &["remove-coordinator", "1"]).await.unwrap_err();
    assert!(gone.0.contains("no coordinator 1"), "{gone}");
    cluster.stop().await.unwrap();
}
