//! A pool that is scaled to zero, with real processes: its shards end while nobody needs them, and statements wait until they
//! are launched again.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod process;

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use process::control::Control;
use process::{Server, TUNDRA, get};
use serde_json::Value;

const SUM: &str = "SELECT sum(n), count(*) FROM t WHERE n % 2 = 1";
/// What coordinators were told last holds for 30 s; what is tried while nobody wakes the pool must be done by then.
const SOON: Duration = Duration::from_secs(12);

/// A coordinator of a cluster without shards.
fn coordinator(folder: &Path) -> (Server, String) {
    let certificates = folder.join("certificates");
    let mut command = Command::new(TUNDRA);
    command.arg("cert").arg("--data").arg(&certificates).args(["--name", "c1", "--name", "s1"]);
    assert!(command.stdout(Stdio::null()).status().unwrap().success());
    // Free a moment ago.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut command = Command::new(TUNDRA);
    command.args(["coordinator", "--id", "1", "--listen", &address, "--memory", "128MiB"]);
    command.args(["--peers", &format!("1={address}"), "--flight", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
    command.args(["--object-store", &format!("file://{}", folder.join("store").display())]);
    command.args(["--replicated-rows", "10", "--bucket-rows", "100", "--down-after", "2"]);
    command.arg("--data").arg(folder.join("c1")).arg("--certificates").arg(certificates.join("c1"));
    (Server::of(&mut command), address)
}

fn asking(server: &Server, sql: &[&str]) -> Command {
    let mut command = Command::new(TUNDRA);
    command.args(["sql", "--url", &server.url, "--format", "csv"]);
    for sql in sql {
        command.args(["-c", sql]);
    }
    command
}

fn try_ask(server: &Server, sql: &[&str]) -> Output {
    asking(server, sql).output().unwrap()
}

fn ask(server: &Server, sql: &[&str]) -> String {
    let output = try_ask(server, sql);
    assert!(output.status.success(), "{sql:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Why a statement failed.
fn failure(output: &Output) -> String {
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn start(mut command: Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn json(server: &Server, path: &str) -> Value {
    let answer = get(&server.http, path);
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    // It may come in one chunk.
    let from = body.find(['{', '[']).unwrap();
    let to = body.rfind(['}', ']']).unwrap();
    serde_json::from_str(&body[from..=to]).unwrap()
}

fn until<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < SOON, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn asleep(control: &Control, server: &Server) {
    control.until("the pool sleeps", |status| status["rest"] == "asleep" && status["leaving"] == 0);
    until("no process runs", || control.pids().is_empty().then_some(()));
    let forgotten = || json(server, "/api/v1/nodes")["shards"].as_array().unwrap().is_empty();
    until("no shard is known, as down or otherwise", || forgotten().then_some(()));
}

#[test]
fn a_pool_sleeps_and_the_next_statement_wakes_it() {
    let folder = tempfile::tempdir().unwrap();
    let (server, address) = coordinator(folder.path());
    // Nobody launches shards: what needs them fails as ever.
    let why = failure(&try_ask(&server, &["SET query_timeout = '1s'", "CREATE TABLE none (n BIGINT)"]));
    assert!(!why.contains("woken") && !why.contains("sleeps"), "{why}");

    let certificates = folder.path().join("certificates/s1");
    let control = Control::start(folder.path(), &server, &address, &certificates);
    let policy = ["--minimum", "0", "--maximum", "2", "--idle-after", "4s", "--cooldown-in", "0"];
    let rules =
        ["--processor", "0", "--resident", "0", "--queue", "0", "--launch", "1", "--launch-limit", "60"];
    control.run(&[&["scale", "policy", "set"], &policy[..], &rules[..]].concat());
    asleep(&control, &server);

    // The first statements wake it.
    let insert = "INSERT INTO t SELECT a.n * 10 + b.n FROM (VALUES (0),(1),(2),(3),(4),(5),(6),(7),(8),(9)) a(n), \
                  (VALUES (0),(1),(2),(3),(4),(5),(6),(7),(8),(9)) b(n)";
    ask(&server, &["CREATE TABLE t (n BIGINT)", insert]);
    let right = ask(&server, &[SUM]);
    assert!(right.contains("2500,50"), "{right}");
    assert_eq!(control.pids().len(), 1);
    asleep(&control, &server);

    // What needs no shard is answered, and wakes nobody.
    assert!(ask(&server, &["SHOW TABLES"]).contains('t'));
    assert!(ask(&server, &["DESCRIBE t"]).contains("BIGINT"));
    assert!(ask(&server, &[&format!("EXPLAIN {SUM}")]).contains("Scan"));
    assert!(ask(&server, &["SELECT query, state FROM system.queries"]).contains("state"));
    let shards = || ask(&server, &["SELECT shard, status, alive FROM system.shards"]);
    let status = control.run(&["scale", "status"]);
    assert!(status.contains("asleep since"), "{status} {} {}", shards(), control.run(&["scale", "history"]));
    assert_eq!(shards().lines().count(), 1);
    std::thread::sleep(Duration::from_secs(1));
    assert!(control.pids().is_empty());

    // Nobody wakes it for a while: who waits can be seen, has the limit that it set itself, and may go.
    control.run(&["scale", "policy", "set", "--paused", "true"]);
    let began = Instant::now();
    let why = failure(&try_ask(&server, &["SET query_timeout = '1s'", SUM]));
    assert!(why.contains("being woken: waking (0 of 1 shards, 0 % loaded)"), "{why}");
    assert!((1..6).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    let waits = start(asking(&server, &[SUM]));
    let query = until("the statement is seen", || {
        let queries = json(&server, "/api/v1/queries");
        let found = queries["queries"].as_array().unwrap().iter().find(|query| query["sql"] == SUM)?.clone();
        found["state"].as_str().unwrap().starts_with("waking (0 of 1 shards").then_some(found)
    });
    let load = json(&server, "/api/v1/load");
    assert_eq!(
        (&load["queued"], &load["waking"], &load["in_use"]),
        (&1.into(), &1.into(), &1.into()),
        "{load}"
    );
    let admin = |arguments: &[&str]| {
        let url = format!("http://{}", server.http);
        let output = Command::new(TUNDRA).arg("admin").args(arguments).env("TUNDRA_ADMIN_URL", url).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    assert!(admin(&["queries"]).contains("waking (0 of 1 shards, 0 % loaded)"));
    let began = Instant::now();
    admin(&["cancel", query["query"].as_str().unwrap()]);
    let why = failure(&waits.wait_with_output().unwrap());
    assert!(why.contains("cancel") && began.elapsed() < Duration::from_secs(5), "{why}");
    // A client that goes away waits no longer, either.
    let mut gone = start(asking(&server, &[SUM]));
    until("it waits", || (json(&server, "/api/v1/load")["waking"] == 1).then_some(()));
    gone.kill().unwrap();
    gone.wait().unwrap();
    until("it waits no longer", || (json(&server, "/api/v1/load")["in_use"] == 0).then_some(()));

    // It is woken, and both get their answer.
    control.run(&["scale", "policy", "set", "--paused", "false"]);
    asleep(&control, &server);
    let other = start(asking(&server, &["SET query_timeout = '50s'", SUM]));
    assert_eq!(ask(&server, &[SUM]), right);
    let other = other.wait_with_output().unwrap();
    assert!(other.status.success() && String::from_utf8_lossy(&other.stdout).contains("2500,50"));
    control.until("it is awake", |status| status["rest"] == "awake" && status["ready"] == 1);
    let history = control.run(&["scale", "history"]);
    for part in ["no statement needed shards for", "statements wait for shards"] {
        assert!(history.contains(part), "{part}: {history}");
    }
    assert!(!history.contains("drain"), "nothing is moved to others: {history}");
}

/// A tenant's pool is woken by its own statements, and has nodes of its own.
#[test]
fn a_pool_of_a_tenant_sleeps_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let (server, address) = coordinator(folder.path());
    let certificates = folder.path().join("certificates/s1");
    let control = Control::start(folder.path(), &server, &address, &certificates);
    control.run(&["tenant", "create", "acme", "--pool", "acme"]);
    let key = control.run(&["tenant", "key", "create", "acme", "--user", "etl"]);
    let as_acme = |sql: &[&str]| {
        let mut command = asking(&server, sql);
        command.args(["--token", key.trim()]);
        command.output().unwrap()
    };
    until("the tenant is served", || as_acme(&["SELECT 1"]).status.success().then_some(()));
    let policy =
        ["--pool", "acme", "--minimum", "0", "--maximum", "1", "--idle-after", "4s", "--cooldown-in", "0"];
    let rules =
        ["--processor", "0", "--resident", "0", "--queue", "0", "--launch", "1", "--launch-limit", "60"];
    control.run(&[&["scale", "policy", "set"], &policy[..], &rules[..]].concat());
    asleep(&control, &server);
    assert!(control.run(&["scale", "status", "--pool", "acme"]).contains("asleep since"));

    // Nobody launches shards for the others, whose statements wake nobody.
    let create = "CREATE TABLE t AS SELECT 7 AS n";
    let why = failure(&try_ask(&server, &["SET query_timeout = '1s'", create]));
    assert!(!why.contains("woken") && !why.contains("pool"), "{why}");
    assert!(control.pids().is_empty());

    let output = as_acme(&[create, "SELECT n FROM t", "SELECT pool, alive FROM system.shards"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains('7'), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("acme,true"), "{text}");
    assert_eq!(control.pids().len(), 1);
    let load = json(&server, "/api/v1/load");
    let used = |pool: &str| load["pools"][pool]["idle_ms"].as_u64().unwrap();
    assert!(used("acme") < used("default"), "{load}");
    let shards = json(&server, "/api/v1/nodes")["shards"].clone();
    assert_eq!((shards.as_array().unwrap().len(), &shards[0]["pool"]), (1, &"acme".into()));
    asleep(&control, &server);
    let history = control.run(&["scale", "history"]);
    assert!(history.contains("pool/acme"), "{history}");
}
