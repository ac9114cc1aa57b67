//! A cluster whose nodes are replaced by those of the next release, one after the other, while it is used.
//!
//! What runs before is this release made to speak version 1 alone; `TUNDRA_RELEASE_BEFORE` names the binary of a real
//! one in its place.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use network::free_address;
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::sync::RwLock;
use tundra_tests::cluster::{FurtherNode, admin, certificate, start_node, tundra};
use tundra_tests::connection::{Connection, number};

const PATIENCE: Duration = Duration::from_secs(60);
const NODES: usize = 3;

/// Which release a node is of.
#[derive(Clone, Copy, PartialEq)]
enum Release {
    Before,
    /// This one, made to speak as the one before.
    Limited,
    This,
}

/// Where a coordinator is found, by nodes, clients and operators.
struct Addresses {
    listen: String,
    flight: String,
    http: String,
}

struct Machines {
    folder: TempDir,
    coordinators: Vec<Addresses>,
}

impl Machines {
    async fn new() -> Machines {
        let folder = tempfile::tempdir().unwrap();
        for place in 1..=NODES + 1 {
            for kind in ["coordinator", "shard"] {
                certificate(&folder.path().join("certificates"), &format!("{kind}-{place}")).await.unwrap();
            }
        }
        let free = || free_address().unwrap();
        let addresses = |_| Addresses { listen: free(), flight: free(), http: free() };
        let coordinators = (0..=NODES).map(addresses).collect();
        Machines { folder, coordinators }
    }

    /// Starts the coordinator or the shard of that number, from 1.
    fn start(&self, kind: &str, number: usize, release: Release) -> FurtherNode {
        self.start_at(kind, number, release, false)
    }

    fn start_at(&self, kind: &str, number: usize, release: Release, keep_log: bool) -> FurtherNode {
        let path = |name: String| self.folder.path().join(name).display().to_string();
        let name = format!("{kind}-{number}");
        let mut words = vec![kind.to_string(), "--certificates".into(), path(format!("certificates/{name}"))];
        words.extend(["--data".into(), path(name), "--memory".into(), "1GB".into()]);
        let founders = self.coordinators.iter().take(NODES);
        if kind == "shard" {
            let all: Vec<&str> = founders.map(|one| one.listen.as_str()).collect();
            words.extend(["--coordinators".into(), all.join(","), "--threads".into(), "2".into()]);
        } else {
            let own = &self.coordinators[number - 1];
            let peers: Vec<_> =
                founders.enumerate().map(|(at, one)| format!("{}={}", at + 1, one.listen)).collect();
            words.extend(["--id".into(), number.to_string(), "--listen".into(), own.listen.clone()]);
            words.extend(["--peers".into(), peers.join(",")]);
            words.extend(["--object-store".into(), format!("file://{}", path("objects".into()))]);
            words.extend(["--flight".into(), own.flight.clone(), "--http".into(), own.http.clone()]);
            let placement = ["--replicated-rows", "10", "--bucket-rows", "100", "--buckets", "8"];
            words.extend(placement.map(str::to_string));
        }
        let before = std::env::var_os("TUNDRA_RELEASE_BEFORE").map(PathBuf::from);
        let binary = match (release, before) {
            (Release::Before, Some(binary)) => binary,
            (Release::Before | Release::Limited, _) => {
                words.extend(["--speaks".into(), "1".into()]);
                tundra().unwrap()
            }
            (Release::This, _) => tundra().unwrap(),
        };
        start_node(&binary, &words, keep_log).unwrap()
    }

    async fn admin(&self, coordinator: usize, arguments: &[&str]) -> Result<Value, String> {
        let url = format!("http://{}", self.coordinators[coordinator - 1].http);
        admin(&url, arguments).await.map_err(|failure| failure.0)
    }

    /// Waits until the coordinator sees all shards alive, and each part of the tables on two of them.
    async fn settled(&self, coordinator: usize) {
        eventually("the shards do not hold everything", async || {
            let nodes = self.admin(coordinator, &["nodes"]).await.ok()?;
            let alive = nodes["shards"].as_array()?.iter().filter(|shard| shard["alive"] == true).count();
            let placement = self.admin(coordinator, &["placement"]).await.ok()?;
            let buckets =
                placement.as_array()?.iter().filter_map(|table| table["buckets"].as_array()).flatten();
            let mut filled = buckets.filter(|bucket| bucket["rows"].as_u64() > Some(0));
            let whole = filled.all(|bucket| bucket["shards"].as_array().is_some_and(|on| on.len() >= 2));
            (alive == NODES && whole).then_some(())
        })
        .await;
    }

    async fn connect(&self, coordinator: usize) -> Connection {
        Connection::flight(&self.coordinators[coordinator - 1].flight).await.unwrap()
    }
}

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

/// Clients that ask all the time, each statement of the next coordinator that is not taken out of service.
struct Clients {
    /// One a coordinator: read while it is asked, written while it is out of service.
    doors: Vec<Arc<RwLock<()>>>,
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    readers: Vec<tokio::task::JoinHandle<()>>,
    writer: tokio::task::JoinHandle<i64>,
}

impl Clients {
    fn start(machines: &Machines, rows: i64) -> Clients {
        let doors: Vec<Arc<RwLock<()>>> = (0..NODES).map(|_| Arc::default()).collect();
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let addresses: Vec<String> = machines.coordinators.iter().map(|one| one.flight.clone()).collect();
        let client = |first: usize| {
            let (doors, addresses, asked) = (doors.clone(), addresses.clone(), asked.clone());
            let mut turn = first;
            async move |sql: &str| {
                let (place, _inside) = loop {
                    turn += 1;
                    if let Ok(inside) = doors[turn % NODES].clone().try_read_owned() {
                        break (turn % NODES, inside);
                    }
                    tokio::time::sleep(Duration::from_millis(1)).await;
                };
                let mut connection = Connection::flight(&addresses[place]).await.unwrap();
                let answer = connection.rows(sql).await;
                asked.fetch_add(1, Ordering::Relaxed);
                answer.unwrap_or_else(|failure| panic!("coordinator {}: {sql}: {failure}", place + 1))
            }
        };
        let readers = (0..2).map(|first| {
            let (mut client, stop) = (client(first), stop.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let sql = "SELECT count(*) FROM wide a JOIN wide b ON a.i = b.i";
                    assert_eq!(client(sql).await, [[rows.to_string()]]);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            })
        });
        let readers = readers.collect();
        let (mut client, stopped) = (client(2), stop.clone());
        let writer = tokio::spawn(async move {
            let mut written = 0;
            while !stopped.load(Ordering::Relaxed) {
                written += 1;
                client(&format!("INSERT INTO log VALUES ({written})")).await;
                assert_eq!(client("SELECT max(n) FROM log").await, [[written.to_string()]]);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            written
        });
        Clients { doors, stop, asked, readers, writer }
    }

    /// Waits until some more statements have succeeded, and none has failed.
    async fn go_on(&self) {
        let before = self.asked.load(Ordering::Relaxed);
        eventually("nothing is asked any more", async || {
            let ended = self.writer.is_finished() || self.readers.iter().any(|reader| reader.is_finished());
            assert!(!ended, "a statement has failed");
            (self.asked.load(Ordering::Relaxed) >= before + 20).then_some(())
        })
        .await;
    }

    /// Ends them, and gives how many rows were written.
    async fn end(self) -> i64 {
        self.stop.store(true, Ordering::Relaxed);
        for reader in self.readers {
            reader.await.unwrap();
        }
        self.writer.await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_upgraded_while_it_is_used() {
    let machines = Machines::new().await;
    let mut coordinators: Vec<_> =
        (1..=NODES).map(|number| Some(machines.start("coordinator", number, Release::Before))).collect();
    let mut shards: Vec<_> =
        (1..=NODES).map(|number| Some(machines.start("shard", number, Release::Before))).collect();
    for coordinator in coordinators.iter_mut().flatten() {
        coordinator.ready("flight=").await.unwrap();
    }
    let mut connection = machines.connect(1).await;
    connection.execute("CREATE TABLE log (n BIGINT)").await.unwrap();
    connection.execute("CREATE TABLE wide AS SELECT * FROM (VALUES (1), (2), (3), (4), (5), (6), (7), (8), (9), (10), (11)) AS t (i)").await.unwrap();
    for _ in 0..6 {
        connection.execute("INSERT INTO wide SELECT i + (SELECT max(i) FROM wide) FROM wide").await.unwrap();
    }
    let rows = number(&mut connection, "SELECT count(*) FROM wide a JOIN wide b ON a.i = b.i").await.unwrap();
    drop(connection);
    machines.settled(1).await;
    let clients = Clients::start(&machines, rows);
    clients.go_on().await;

    let replace = async |coordinators: &mut Vec<Option<FurtherNode>>, number: usize| {
        let door = clients.doors[number - 1].clone().write_owned().await;
        coordinators[number - 1].take().unwrap().end().await.unwrap();
        let mut node = machines.start("coordinator", number, Release::This);
        node.ready("flight=").await.unwrap();
        coordinators[number - 1] = Some(node);
        drop(door);
        clients.go_on().await;
    };
    replace(&mut coordinators, 1).await;
    let nodes = eventually("a coordinator is silent", async || {
        let nodes = machines.admin(1, &["nodes"]).await.unwrap();
        nodes["coordinators"].as_array().unwrap().iter().all(|one| !one["speaks"].is_null()).then_some(nodes)
    })
    .await;
    assert_eq!(nodes["cluster_version"], 1, "{nodes}");
    let speaks =
        |node: &Value| (node["speaks"]["least"].as_u64().unwrap(), node["speaks"]["most"].as_u64().unwrap());
    let spoken: Vec<_> = nodes["coordinators"].as_array().unwrap().iter().map(speaks).collect();
    assert_eq!(spoken, [(1, 2), (1, 1), (1, 1)]);
    let early = machines.admin(1, &["upgrade"]).await.unwrap_err();
    for old in
        ["coordinator 2 speaks version 1", "coordinator 3 speaks version 1", "shard ", "stays at version 1"]
    {
        assert!(early.contains(old), "{early}");
    }
    assert!(!early.contains("coordinator 1 "), "{early}");

    for number in 1..=NODES {
        machines.settled(1).await;
        shards[number - 1].take().unwrap().end().await.unwrap();
        let mut node = machines.start("shard", number, Release::This);
        node.ready("shard=").await.unwrap();
        shards[number - 1] = Some(node);
        clients.go_on().await;
        machines.settled(1).await;
    }
    replace(&mut coordinators, 2).await;
    let early = machines.admin(2, &["upgrade"]).await.unwrap_err();
    assert!(early.contains("coordinator 3 speaks version 1") && !early.contains("shard"), "{early}");
    assert_eq!(machines.admin(1, &["nodes"]).await.unwrap()["cluster_version"], 1);
    replace(&mut coordinators, 3).await;

    let mut early = machines.connect(3).await;
    for sql in ["CREATE VIEW v AS SELECT 1 AS a", "CREATE MACRO f(a) AS a"] {
        let why = early.execute(sql).await.err().unwrap().to_string();
        assert!(why.contains("needs version 2 of the cluster"), "{why}");
    }
    drop(early);

    // Every one has to be heard of by the coordinator that is asked.
    machines.settled(3).await;
    let upgraded = machines.admin(3, &["upgrade"]).await.unwrap();
    assert_eq!((&upgraded["before"], &upgraded["after"]), (&1.into(), &2.into()));
    let again = machines.admin(1, &["upgrade"]).await.unwrap();
    assert_eq!((&again["before"], &again["after"]), (&2.into(), &2.into()));
    clients.go_on().await;
    for coordinator in 1..=NODES {
        eventually("the version is not known everywhere", async || {
            let nodes = machines.admin(coordinator, &["nodes"]).await.unwrap();
            (nodes["cluster_version"] == 2).then_some(())
        })
        .await;
        let mut connection = machines.connect(coordinator).await;
        let sql = "SELECT count(*) FROM system.shards WHERE alive AND least_version = 1 AND most_version = 2";
        assert_eq!(number(&mut connection, sql).await.unwrap(), NODES as i64);
        let sql = "SELECT count(*) FROM system.coordinators WHERE most_version = 2";
        assert_eq!(number(&mut connection, sql).await.unwrap(), NODES as i64);
    }

    let mut connection = machines.connect(1).await;
    connection.execute("CREATE VIEW late AS SELECT count(*) AS n FROM system.coordinators").await.unwrap();
    assert_eq!(number(&mut connection, "SELECT n FROM late").await.unwrap(), NODES as i64);
    drop(connection);

    // What speaks version 1 alone is refused, be it new, or of before.
    for (kind, number) in [("shard", NODES + 1), ("coordinator", NODES + 1)] {
        let why = machines.start_at(kind, number, Release::Limited, true).failure().await.unwrap();
        assert!(
            why.contains("the cluster is at version 2") && why.contains("newer release"),
            "{kind}: {why}"
        );
    }
    let door = clients.doors[2].clone().write_owned().await;
    coordinators[2].take().unwrap().end().await.unwrap();
    let why = machines.start_at("coordinator", 3, Release::Limited, true).failure().await.unwrap();
    assert!(why.contains("the cluster is at version 2") && why.contains("newer release"), "{why}");
    let mut node = machines.start("coordinator", 3, Release::This);
    node.ready("flight=").await.unwrap();
    coordinators[2] = Some(node);
    drop(door);
    clients.go_on().await;

    let written = clients.end().await;
    let mut connection = machines.connect(3).await;
    assert_eq!(number(&mut connection, "SELECT count(*) FROM log").await.unwrap(), written);
    assert!(written > 0);
}

/// A new cluster begins at the latest version that all its nodes speak.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_cluster_begins_at_the_latest_version() {
    for (release, version) in [(Release::This, 2), (Release::Limited, 1)] {
        let machines = Machines::new().await;
        // All but one are of this release.
        let mut nodes: Vec<_> =
            (2..=NODES).map(|number| machines.start("coordinator", number, Release::This)).collect();
        nodes.push(machines.start("coordinator", 1, release));
        for node in &mut nodes {
            node.ready("flight=").await.unwrap();
        }
        let nodes = machines.admin(2, &["nodes"]).await.unwrap();
        assert_eq!(nodes["cluster_version"], version, "{nodes}");
    }
}
