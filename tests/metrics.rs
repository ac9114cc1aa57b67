//! Metrics of every role, as Prometheus reads them.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod process;

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use process::{Server, TUNDRA, get};

/// `tundra shard`, whose ready line says where it tells of itself; killed when dropped.
struct Shard {
    process: Child,
    http: String,
}

impl Drop for Shard {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The value of a metric, of all its labels together; `None` where there is none.
fn value(page: &str, name: &str) -> Option<f64> {
    let of_name = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
    let values: Vec<f64> =
        page.lines().filter(of_name).map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect();
    (!values.is_empty()).then(|| values.iter().sum())
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let patience = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < patience, "{what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn shards_coordinators_and_the_control_plane_tell_of_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("cluster");
    let mut command = Command::new(TUNDRA);
    command.arg("cluster").arg("--data").arg(&data).args(["--control", "127.0.0.1:0"]);
    command.args(["--coordinators", "1", "--shards", "1", "--threads", "1", "--memory", "256MiB"]);
    command.args(["--sample", "tpch:0.01", "--replicated-rows", "1000", "--bucket-rows", "1000"]);
    let cluster = Server::of(&mut command);

    // One more shard, as an operator starts it.
    let coordinator = fs::read_to_string(data.join("coordinators")).unwrap();
    let mut command = Command::new(TUNDRA);
    command.arg("shard").arg("--data").arg(folder.path().join("shard")).args(["--http", "127.0.0.1:0"]);
    command.args(["--coordinators", coordinator.trim(), "--threads", "1", "--memory", "256MiB"]);
    command.arg("--certificates").arg(data.join("certificates/shard-1"));
    let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let http = line.split_whitespace().find_map(|word| word.strip_prefix("http=http://"));
    let shard = Shard { http: http.expect(&line).to_string(), process };

    assert!(get(&shard.http, "/healthz").ends_with("ok\n"));
    until("the shard is ready", || get(&shard.http, "/readyz").starts_with("HTTP/1.1 200"));
    until("the shard holds its part of all tables", || {
        let page = get(&shard.http, "/metrics");
        value(&page, "tundra_segment_bytes").is_some_and(|bytes| bytes > 0.0)
            && value(&page, "tundra_versions_held") == Some(8.0)
    });
    let query = "SELECT l_suppkey, count(*) FROM lineitem GROUP BY l_suppkey ORDER BY 1";
    until("the shard runs parts of queries", || {
        let asked = Command::new(TUNDRA).args(["sql", "--url", &cluster.url, "-c", query]).output().unwrap();
        assert!(asked.status.success());
        let page = get(&shard.http, "/metrics");
        value(&page, "tundra_parts_total").is_some_and(|parts| parts > 0.0)
            && value(&page, "tundra_exchanged_bytes_total").is_some_and(|bytes| bytes > 0.0)
    });
    let page = get(&shard.http, "/metrics");
    assert!(page.contains("text/plain; version=0.0.4"), "{page}");
    for (name, least) in [
        ("tundra_part_seconds_count", 1.0),
        ("tundra_scanned_bytes_total", 1.0),
        ("tundra_hydrated_rows_total", 1.0),
        ("tundra_processor_microseconds_total", 1.0),
        ("tundra_memory_limit_bytes", 256.0 * 1024.0 * 1024.0),
        ("tundra_worker_threads", 1.0),
        ("tundra_coordinators_heard", 1.0),
        ("tundra_parts_running", 0.0),
        ("tundra_hydrations_running", 0.0),
    ] {
        assert!(value(&page, name).is_some_and(|value| value >= least), "{name}: {page}");
    }

    let control = cluster.control.clone().unwrap();
    let control = control.strip_prefix("http://").unwrap();
    let created = Command::new(TUNDRA)
        .args(["tenant", "create", "acme"])
        .env("TUNDRA_CONTROL_URL", format!("http://{control}"))
        .output()
        .unwrap();
    assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
    until("the decision is published", || {
        let page = get(control, "/metrics");
        value(&page, "tundra_policy_version").is_some_and(|version| version > 0.0)
            && value(&page, "tundra_control_calls_total").is_some_and(|calls| calls > 0.0)
    });
    let page = get(control, "/metrics");
    assert_eq!(value(&page, "tundra_control_leads"), Some(1.0), "{page}");
    assert_eq!(value(&page, "tundra_policy_refused_documents"), Some(0.0), "{page}");

    let page = get(&cluster.http, "/metrics");
    assert!(value(&page, "tundra_statements_total").is_some_and(|statements| statements > 0.0), "{page}");

    // A shard that no coordinator answers is not ready.
    drop(cluster);
    until("nobody is heard", || get(&shard.http, "/readyz").starts_with("HTTP/1.1 503"));
}
