//! A pool that is scaled by a policy, with real processes: load brings a shard, quiet drains and ends it, and one that is killed
//! is replaced.

#![allow(clippy::unwrap_used)]

mod process;

use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use process::control::Control;
use process::{Server, TUNDRA, get};
use serde_json::Value;

/// Pairs of rows: enough work that statements wait for each other.
const QUERY: &str = "SELECT count(*) FROM lineitem a JOIN lineitem b ON a.l_suppkey = b.l_suppkey";

/// Asks the query again and again.
struct Clients {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Clients {
    fn start(count: usize, url: &str) -> Clients {
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let thread = |_| {
            let (stop, asked, url) = (stop.clone(), asked.clone(), url.to_string());
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    ask(&url);
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            })
        };
        let threads = (0..count).map(thread).collect();
        Clients { stop, asked, threads }
    }

    /// How many queries were answered; none may have failed.
    fn stop(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
        self.asked.load(Ordering::Relaxed)
    }
}

fn ask(url: &str) -> String {
    let output = Command::new(TUNDRA).args(["sql", "--url", url, "-c", QUERY]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn phases(status: &Value) -> Vec<&str> {
    status["nodes"].as_array().unwrap().iter().map(|node| node["phase"].as_str().unwrap()).collect()
}

#[test]
fn load_brings_a_shard_quiet_takes_it_and_a_killed_one_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(TUNDRA);
    command.arg("cluster").arg("--data").arg(folder.path().join("cluster"));
    command.args(["--coordinators", "1", "--shards", "1", "--threads", "1", "--memory", "256MiB"]);
    command.args([
        "--sample",
        "tpch:0.01",
        "--replicated-rows",
        "1000",
        "--bucket-rows",
        "1000",
        "--down-after",
        "2",
    ]);
    let cluster = Server::of(&mut command);
    let data = folder.path().join("cluster");
    let coordinator = fs::read_to_string(data.join("coordinators")).unwrap();
    let certificates = data.join("certificates/shard-1");
    let control = Control::start(folder.path(), &cluster, coordinator.trim(), &certificates);
    let right = ask(&cluster.url);

    control.run(&["tenant", "set", "default", "--concurrency", "1"]);
    let policy = ["--minimum", "1", "--maximum", "2", "--queue", "5", "--processor", "0", "--resident", "0"];
    let times = ["--cooldown-out", "0", "--cooldown-in", "3", "--launch", "1", "--launch-limit", "60"];
    control.run(&[&["scale", "policy", "set"], &policy[..], &times[..]].concat());
    control.until("the pool is seen", |status| status["ready"] == 1);
    assert_eq!(control.pids().len(), 0, "nothing waits");

    // Load: statements wait for each other, and a shard comes.
    let clients = Clients::start(4, &cluster.url);
    let status = control.until("a shard comes", |status| status["ready"] == 2);
    let launched = status["nodes"][0]["shard"].as_str().unwrap().to_string();
    let nodes = get(&cluster.http, "/api/v1/nodes");
    assert!(nodes.contains(&launched), "{nodes}");
    let steps = status["nodes"][0]["steps"].as_array().unwrap();
    assert_eq!(
        (&steps[0]["phase"], &steps[steps.len() - 1]["phase"]),
        (&"launching".into(), &"ready".into())
    );
    assert!(clients.stop() > 0);

    // Quiet: it is drained, ended and forgotten, while one client goes on.
    let client = Clients::start(1, &cluster.url);
    control.until("the shard goes", |status| phases(status) == ["gone"]);
    assert_eq!(control.pids().len(), 0);
    assert!(client.stop() > 0);
    assert_eq!(ask(&cluster.url), right);
    let history = control.run(&["scale", "history"]);
    for action in ["decide", "launch", "ready", "drain", "terminate"] {
        assert!(history.contains(action), "{action}: {history}");
    }

    // One that is killed is replaced.
    control.run(&["scale", "policy", "set", "--minimum", "2"]);
    control.until("another shard comes", |status| status["ready"] == 2);
    let before = control.pids();
    assert_eq!(before.len(), 1);
    assert!(Command::new("kill").args(["-KILL", &before[0]]).status().unwrap().success());
    let gone_and_ready = |status: &Value| phases(status) == ["ready", "gone", "gone"];
    let status = control.until("it is replaced", gone_and_ready);
    let lost = status["nodes"][1]["steps"].as_array().unwrap();
    assert!(lost.iter().any(|step| step["phase"] == "failed"), "{lost:?}");
    let after = control.pids();
    assert_eq!(after.len(), 1);
    assert_ne!(after, before);
    assert_eq!(ask(&cluster.url), right);
    assert!(control.run(&["audit", "verify"]).contains("as they were written"));
}
