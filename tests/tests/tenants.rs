//! Tenants from end to end: decided by a control plane, served by a cluster of processes.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::time::{Duration, Instant};
use tundra_tests::cluster::{ProcessCluster, SMALL_PARTS};
use tundra_tests::connection::{Connection, Failure, eventually, number};
use tundra_tests::control::{Control, connect, until};

/// How long a decision may take to be acted on.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn tenants_of_a_cluster_are_decided_beside_it() {
    let cluster = ProcessCluster::start(&SMALL_PARTS).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("control").display().to_string();
    let control = Control::start(&cluster, &data, &[]).await.unwrap();
    let mut keys = Vec::new();
    for tenant in ["acme", "zeta"] {
        control.run(&["tenant", "create", tenant, "--concurrency", "4"]).await.unwrap();
        keys.push(control.run(&["tenant", "key", "create", tenant, "--user", "etl"]).await.unwrap());
    }
    let (mut acme, mut zeta) =
        (connect(&cluster, &keys[0]).await.unwrap(), connect(&cluster, &keys[1]).await.unwrap());
    for connection in [&mut acme, &mut zeta] {
        until(connection, "SELECT 1", Result::is_ok).await.unwrap();
    }
    acme.execute("CREATE TABLE item AS SELECT i FROM (VALUES (1), (2), (3)) AS t (i)").await.unwrap();
    for _ in 0..8 {
        acme.execute("INSERT INTO item SELECT i + 1 FROM item").await.unwrap();
    }
    zeta.execute("CREATE TABLE item AS SELECT 7 AS i").await.unwrap();
    let count = "SELECT count(*) FROM item";
    for _ in 0..3 {
        assert_eq!(number(&mut acme, count).await.unwrap(), 768);
        assert_eq!(number(&mut zeta, count).await.unwrap(), 1);
        assert_eq!(number(&mut zeta, "SELECT sum(rows) FROM system.shards").await.unwrap(), 3);
    }
    let token = control.run(&["tenant", "token", "acme", "--user", "ann"]).await.unwrap();
    let mut ann = connect(&cluster, &token).await.unwrap();
    until(&mut ann, count, |answer| matches!(answer, Ok(768))).await.unwrap();

    // While nobody decides everything goes on; a node is lost meanwhile.
    control.node.kill().await.unwrap();
    cluster.kill("coordinator-1").unwrap();
    cluster.kill("shard-1").unwrap();
    let mut others = Vec::new();
    for address in &cluster.coordinators[1..] {
        others.push(Connection::flight_as(address, &keys[0]).await.unwrap());
    }
    let mut others = Connection::Turns(others, 0);
    for _ in 0..6 {
        assert_eq!(eventually(&mut others, count).await.unwrap(), 768);
    }
    cluster.wait_for("coordinator-1").await.unwrap();

    // It goes on with what it had decided.
    let control = Control::start(&cluster, &data, &[]).await.unwrap();
    let mut acme = connect(&cluster, &keys[0]).await.unwrap();
    control.run(&["tenant", "suspend", "acme"]).await.unwrap();
    until(&mut acme, count, |answer| matches!(answer, Err(Failure(why)) if why.contains("not served")))
        .await
        .unwrap();
    control.run(&["tenant", "resume", "acme"]).await.unwrap();
    until(&mut acme, count, |answer| matches!(answer, Ok(768))).await.unwrap();
    let id = keys[0].split('_').nth(1).unwrap();
    control.run(&["tenant", "key", "revoke", "acme", id]).await.unwrap();
    until(&mut acme, count, |answer| matches!(answer, Err(Failure(why)) if why.contains("revoked")))
        .await
        .unwrap();
    control.run(&["tenant", "delete", "acme"]).await.unwrap();
    let mut zeta = connect(&cluster, &keys[1]).await.unwrap();
    until(&mut zeta, count, |answer| matches!(answer, Ok(1))).await.unwrap();
    let gone = |datasets: &serde_json::Value| {
        datasets.as_array().unwrap().iter().all(|dataset| dataset["tenant"] == "zeta")
    };
    let begun = Instant::now();
    while !gone(&cluster.admin(1, &["datasets"]).await.unwrap()) {
        assert!(begun.elapsed() < PATIENCE, "what a tenant had goes with it");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    // The object store alone brings back what is left, policy and all.
    control.node.end().await.unwrap();
    let folder = cluster.end().await.unwrap();
    for entry in std::fs::read_dir(folder.path().join("cluster")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().unwrap() != "objects" {
            std::fs::remove_dir_all(path).unwrap();
        }
    }
    let cluster = ProcessCluster::start_in(folder, &SMALL_PARTS).await.unwrap();
    let mut zeta = connect(&cluster, &keys[1]).await.unwrap();
    assert_eq!(eventually(&mut zeta, count).await.unwrap(), 1);
    let mut acme = connect(&cluster, &keys[0]).await.unwrap();
    assert!(number(&mut acme, count).await.is_err(), "what was deleted stays away");
    let policy = cluster.admin(0, &["policy"]).await.unwrap();
    let acme =
        policy["documents"].as_array().unwrap().iter().find(|one| one["name"] == "tenant/acme").unwrap();
    assert_eq!(acme["gone"], true);
    cluster.stop().await.unwrap();
}

/// Roles and grants of a tenant, and who its keys and passwords stand for in them.
#[tokio::test(flavor = "multi_thread")]
async fn keys_have_what_their_users_and_roles_were_granted() {
    let operator = "root:secret";
    let words = [&SMALL_PARTS[..], &["--users", operator]].concat();
    let cluster = ProcessCluster::start(&words).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("control").display().to_string();
    let control = Control::start(&cluster, &data, &["--coordinator-user", operator]).await.unwrap();
    control.run(&["tenant", "create", "acme"]).await.unwrap();
    let mut connections = Vec::new();
    for (user, role) in [("boss", Some("admin")), ("etl", None), ("bi", Some("readers")), ("nobody", None)] {
        let words = ["tenant", "key", "create", "acme", "--user", user];
        let words: Vec<&str> =
            words.into_iter().chain(role.into_iter().flat_map(|role| ["--role", role])).collect();
        let key = control.run(&words).await.unwrap();
        let mut connection = connect(&cluster, &key).await.unwrap();
        until(&mut connection, "SELECT 1", Result::is_ok).await.unwrap();
        connections.push(connection);
    }
    let [boss, etl, bi, nobody] = &mut connections[..] else { panic!() };
    async fn denied(connection: &mut Connection, words: &str, sql: &str) {
        // By every coordinator, and at once.
        for _ in 0..3 {
            match connection.execute(sql).await {
                Err(Failure(why)) => assert!(why.contains(words), "{sql}: {why}"),
                Ok(_) => panic!("{sql}"),
            }
        }
    }
    nobody.execute("CREATE TABLE item AS SELECT 1 AS i").await.unwrap();
    denied(nobody, "the first role takes everybody's rights", "CREATE ROLE readers").await;
    for sql in [
        "CREATE ROLE readers",
        "GRANT SELECT ON item TO readers",
        "CREATE USER etl",
        "GRANT INSERT ON item TO etl",
        "GRANT CREATE ON DATABASE acme TO readers",
        "CREATE USER ann PASSWORD 'pw' IN ROLE readers",
    ] {
        boss.execute(sql).await.unwrap();
    }
    let (count, insert) = ("SELECT count(*) FROM item", "INSERT INTO item VALUES (2)");
    assert_eq!(number(boss, count).await.unwrap(), 1);
    denied(nobody, "permission denied", count).await;
    denied(etl, "permission denied", count).await;
    denied(bi, "permission denied", insert).await;
    etl.execute(insert).await.unwrap();
    assert_eq!(number(bi, count).await.unwrap(), 2);
    // A role of the login makes nobody an owner, and a key makes itself no password.
    denied(bi, "would be nobody's", "CREATE TABLE mine (i INT)").await;
    denied(etl, "for administrators", "ALTER USER CURRENT_USER PASSWORD 'x'").await;
    let mut ann = Connection::flight_login(&cluster.coordinators[1], "acme/ann", "pw").await.unwrap();
    assert_eq!(number(&mut ann, count).await.unwrap(), 2);
    ann.execute("CREATE TABLE mine AS SELECT 1 AS i").await.unwrap();
    denied(bi, "permission denied", "SELECT * FROM mine").await;
    let mut elsewhere = Connection::flight_login(&cluster.coordinators[0], "ann", "pw").await.unwrap();
    denied(&mut elsewhere, "wrong", "SELECT 1").await;

    cluster.kill("coordinator-1").unwrap();
    eventually(boss, count).await.unwrap();
    cluster.wait_for("coordinator-1").await.unwrap();
    boss.execute("REVOKE SELECT ON item FROM readers").await.unwrap();
    denied(bi, "permission denied", count).await;
    boss.execute("ALTER USER etl NOLOGIN").await.unwrap();
    denied(etl, "may not log in", insert).await;
    control.node.end().await.unwrap();
    cluster.stop().await.unwrap();
}
