//! Traces and log lines of real processes: a collector of this test's own takes what a cluster sends.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "telemetry/collector.rs"]
mod collector;
mod process;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use arrow_flight::FlightClient;
use arrow_flight::FlightDescriptor;
use arrow_flight::sql::{CommandStatementQuery, ProstMessageExt};
use collector::{Collector, Told};
use futures::TryStreamExt;
use process::{Server, TUNDRA};
use prost::Message;
use serde_json::Value;
use tokio::runtime::Runtime;
use tonic::transport::Endpoint;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";
/// A shuffle, and rows of every table on each shard.
const QUERY: &str =
    "SELECT l_suppkey, count(*) FROM lineitem JOIN orders ON l_orderkey = o_orderkey GROUP BY l_suppkey";

/// A client whose calls belong to a trace, or to none.
fn client(runtime: &Runtime, url: &str, traceparent: Option<&str>) -> FlightClient {
    let endpoint = Endpoint::from_shared(url.replace("grpc://", "http://")).unwrap();
    let mut client = FlightClient::new(runtime.block_on(endpoint.connect()).unwrap());
    // ann:geheim
    client.add_header("authorization", "Basic YW5uOmdlaGVpbQ==").unwrap();
    if let Some(traceparent) = traceparent {
        client.add_header("traceparent", traceparent).unwrap();
    }
    client
}

/// Runs a statement; the number of its rows, or what is wrong.
fn run(runtime: &Runtime, client: &mut FlightClient, sql: &str) -> Result<usize, String> {
    runtime.block_on(async {
        let command = CommandStatementQuery { query: sql.into(), transaction_id: None };
        let command = FlightDescriptor::new_cmd(command.as_any().encode_to_vec());
        let info = client.get_flight_info(command).await.map_err(|error| error.to_string())?;
        let ticket = info.endpoint[0].ticket.clone().unwrap();
        let stream = client.do_get(ticket).await.map_err(|error| error.to_string())?;
        let batches: Vec<_> = stream.try_collect().await.map_err(|error| error.to_string())?;
        Ok(batches.iter().map(|batch| batch.num_rows()).sum())
    })
}

/// One coordinator and two shards, with a user `ann`, whose tables are in parts on both.
fn cluster(data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(TUNDRA);
    command.arg("cluster").arg("--data").arg(data).args(["--coordinators", "1", "--shards", "2"]);
    command.args(["--threads", "1", "--memory", "1GB", "--replicated-rows", "100", "--bucket-rows", "1000"]);
    command.args(["--sample", "tpch:0.01"]).args(arguments).env("TUNDRA_USERS", "ann:geheim");
    command
}

fn traceparent(trace: &str, sampled: bool) -> String {
    format!("00-{trace}-{CALLER}-{:02x}", u8::from(sampled))
}

#[test]
fn a_query_is_one_trace_from_its_caller_to_the_pipelines_of_both_shards() {
    let runtime = Runtime::new().unwrap();
    let collector = Collector::start(&runtime);
    let folder = tempfile::tempdir().unwrap();
    // By chance nothing is kept.
    let arguments = ["--otlp-endpoint", &collector.url, "--trace-sample", "0"];
    let server = Server::of(&mut cluster(&folder.path().join("cluster"), &arguments));
    let mut traced = client(&runtime, &server.url, Some(&traceparent(TRACE, true)));
    let rows = run(&runtime, &mut traced, QUERY).unwrap();
    assert_eq!(rows, 100);
    // Neither of these is the caller's wish.
    run(&runtime, &mut client(&runtime, &server.url, None), QUERY).unwrap();
    let unsampled = traceparent("0af7651916cd43dd8448eb211c80319d", false);
    run(&runtime, &mut client(&runtime, &server.url, Some(&unsampled)), QUERY).unwrap();

    let secret = "ALTER SERVER s OPTIONS (SET password 'geheim2')";
    run(&runtime, &mut traced, secret).unwrap_err();
    run(&runtime, &mut traced, "CREATE TABLE t AS SELECT 1 AS a").unwrap();
    run(&runtime, &mut traced, "INSERT INTO t VALUES (2)").unwrap();
    // What has not left by then leaves as the processes end.
    server.stop();

    let spans = collector.told();
    assert!(spans.iter().all(|span| span.trace == TRACE), "{spans:#?}");
    for span in &spans {
        assert!(!span.text().contains("geheim"), "{span:#?}");
    }
    let of = |name: &str| spans.iter().filter(|span| span.name == name).collect::<Vec<_>>();
    let below = |name: &str, parent: &Told| {
        let found = spans.iter().filter(|span| span.name == name && span.parent == parent.id);
        found.collect::<Vec<_>>()
    };
    let (planned, fetched) = (of("GetFlightInfo"), of("DoGet"));
    assert_eq!((planned.len(), fetched.len()), (4, 3), "{spans:#?}");
    assert!(planned.iter().chain(&fetched).all(|call| call.parent == CALLER && call.is_server));
    assert_eq!(below("planning", planned[0]).len(), 1);

    let statements = below("statement", fetched[0]);
    let [statement] = statements[..] else { panic!("{statements:#?}") };
    assert_eq!(statement.service, "tundra-coordinator");
    assert_eq!(statement.attribute("db.system.name"), "tundra");
    assert_eq!(statement.attribute("db.namespace"), "default");
    assert_eq!(statement.attribute("db.query.text"), QUERY);
    assert_eq!(statement.attribute("tundra.tenant"), "default");
    assert_eq!(statement.attribute("tundra.principal"), "ann");
    assert_eq!(statement.attribute("tundra.engine"), "tundra");
    assert_eq!(statement.attribute("db.response.returned_rows"), "100");
    assert!(statement.number("tundra.exchanged_bytes") > 0 && statement.number("tundra.returned_bytes") > 0);
    let id = statement.attribute("tundra.query_id");
    assert_eq!(id.len(), 32);
    assert_eq!(below("queue", statement).len(), 1);
    let attempts = below("attempt", statement);
    let [attempt] = attempts[..] else { panic!("{attempts:#?}") };

    let parts = below("part", attempt);
    assert_eq!(parts.len(), 2, "{parts:#?}");
    assert_ne!(parts[0].attribute("tundra.shard"), parts[1].attribute("tundra.shard"));
    assert_ne!(parts[0].process, parts[1].process);
    for part in parts {
        assert_eq!(part.service, "tundra-shard");
        assert_eq!(part.attribute("tundra.query_id"), id);
        let fragments = below("fragment", part);
        assert!(!fragments.is_empty());
        let pipelines: Vec<_> = fragments.iter().flat_map(|fragment| below("pipeline", fragment)).collect();
        let scans =
            pipelines.iter().filter(|pipeline| pipeline.attribute("tundra.source").contains("lineitem"));
        let rows: i64 = scans.map(|pipeline| pipeline.number("tundra.source_rows")).sum();
        assert!(rows > 0, "{pipelines:#?}");
        for inner in fragments.iter().chain(&pipelines) {
            assert!(inner.begins >= part.begins && inner.ends >= inner.begins && inner.ends <= part.ends);
        }
    }

    // What cannot be planned says so, and the caller's fault is none of ours.
    let refused = below("planning", planned[1]);
    assert!(!refused[0].attribute("error.type").is_empty());
    assert_eq!((statement.failure.as_str(), planned[1].failure.as_str()), ("", ""));
    // Writes reach the shards, too.
    for (name, least) in [("put files", 2), ("put manifest", 2), ("hydrate", 2), ("hydration", 3)] {
        let found = of(name);
        assert!(found.len() >= least, "{name}: {found:#?}");
        for span in found {
            let parent = spans.iter().find(|parent| parent.id == span.parent);
            let parent = parent.unwrap_or_else(|| panic!("{span:#?} has no parent"));
            let expected = if name == "hydration" { "hydrate" } else { "statement" };
            assert_eq!(parent.name, expected);
        }
    }
}

#[test]
fn a_client_without_a_trace_gets_one_for_both_of_its_calls() {
    let runtime = Runtime::new().unwrap();
    let collector = Collector::start(&runtime);
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--threads", "1", "--shards", "2", "--sample", "tpch:0.001", "--trace-sample", "1"];
    let mut command = process::up(folder.path(), &arguments);
    // As any other program's.
    let server = Server::of(command.env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url));
    let malformed = format!("00-{TRACE}-{}-01", "0".repeat(16));
    let mut client = client(&runtime, &server.url, Some(&malformed));
    client.metadata_mut().remove("authorization");
    run(&runtime, &mut client, QUERY).unwrap();
    let metrics = server.get("/metrics");
    let called = Instant::now();
    while !server.get("/metrics").contains("tundra_trace_spans_sent_total") {
        assert!(called.elapsed() < Duration::from_secs(20), "{metrics}");
        std::thread::sleep(Duration::from_millis(100));
    }
    server.stop();
    let spans = collector.told();
    let statement = spans.iter().find(|span| span.name == "statement" && span.text().contains("l_suppkey"));
    let statement = statement.unwrap_or_else(|| panic!("{spans:#?}"));
    assert_ne!(statement.trace, TRACE);
    let trace: Vec<_> = spans.iter().filter(|span| span.trace == statement.trace).collect();
    let one =
        |name: &str| trace.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("{trace:#?}"));
    let (planned, fetched) = (one("GetFlightInfo"), one("DoGet"));
    assert_eq!((planned.parent.as_str(), &fetched.parent, &statement.parent), ("", &planned.id, &fetched.id));
    let fragment = one("fragment");
    assert!(trace.iter().any(|span| span.name == "pipeline" && span.parent == fragment.id));
}

#[test]
fn a_collector_that_is_away_holds_nothing_up_and_is_told_of_once() {
    let runtime = Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    // A port that was free a moment ago, and one that takes connections and never answers.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    for address in [closed, silent.local_addr().unwrap()] {
        let url = format!("http://{address}");
        let arguments = ["--otlp-endpoint", &url, "--trace-sample", "1", "--sample", "tpch:0.001"];
        let mut command = process::up(&folder.path().join("up"), &arguments);
        command.stderr(Stdio::from(fs::File::create(&log).unwrap()));
        command.env("OTEL_EXPORTER_OTLP_TIMEOUT", "300");
        let server = Server::of(&mut command);
        let mut client = client(&runtime, &server.url, None);
        client.metadata_mut().remove("authorization");
        let began = Instant::now();
        while !server.get("/metrics").contains("tundra_trace_spans_dropped_total{why=\"collector\"}") {
            assert_eq!(run(&runtime, &mut client, QUERY).unwrap(), 10);
            assert!(began.elapsed() < Duration::from_secs(60), "nothing was dropped");
        }
        // More are dropped, and told no more.
        for _ in 0..40 {
            assert_eq!(run(&runtime, &mut client, QUERY).unwrap(), 10);
            std::thread::sleep(Duration::from_millis(50));
        }
        let began = Instant::now();
        server.stop();
        assert!(began.elapsed() < Duration::from_secs(8), "it took {:?} to end", began.elapsed());
        let log = fs::read_to_string(&log).unwrap();
        assert_eq!(log.matches("takes no traces").count(), 1, "{log}");
    }
}

#[test]
fn log_lines_name_the_query_and_its_tenant() {
    let runtime = Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let data = folder.path().join("up");
    let arguments = ["--shards", "1", "--threads", "1", "--log-format", "json"];
    let mut command = process::up(&data, &arguments);
    command.stderr(Stdio::from(fs::File::create(&log).unwrap()));
    let server = Server::of(&mut command);
    let mut client = client(&runtime, &server.url, None);
    client.metadata_mut().remove("authorization");
    run(&runtime, &mut client, "CREATE TABLE t AS SELECT 1 AS a").unwrap();
    run(&runtime, &mut client, "SELECT nothing FROM t").unwrap_err();
    // The store is gone: that is not the client's fault.
    let objects = data.join("objects");
    fs::rename(&objects, data.join("away")).unwrap();
    fs::write(&objects, "no folder").unwrap();
    run(&runtime, &mut client, "INSERT INTO t VALUES (2)").unwrap_err();
    drop(server);
    let text = fs::read_to_string(&log).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let failed =
        lines.iter().filter(|line| line["message"].as_str().unwrap().starts_with("a statement failed"));
    let failed: Vec<_> = failed.collect();
    let [failed] = failed[..] else { panic!("{text}") };
    assert_eq!(failed["tenant"], "default");
    let id = failed["query_id"].as_str().unwrap();
    assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{failed}");
}

#[test]
fn settings_are_checked_and_printed() {
    let config = |arguments: &[&str], endpoint: Option<&str>| {
        let mut command = Command::new(TUNDRA);
        command.arg("config").args(arguments).env_remove("OTEL_EXPORTER_OTLP_ENDPOINT");
        if let Some(endpoint) = endpoint {
            command.env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint);
        }
        let output = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.success(), text(output.stdout) + &text(output.stderr))
    };
    for role in ["up", "cluster", "coordinator", "shard", "control"] {
        let (good, text) = config(&[role], Some("http://c:4317"));
        let line = text.lines().find(|line| line.starts_with("otlp-endpoint ")).unwrap();
        assert!(
            good && line.contains("http://c:4317") && line.ends_with("OTEL_EXPORTER_OTLP_ENDPOINT"),
            "{text}"
        );
        for name in ["trace-sample ", "log-format "] {
            assert!(text.lines().any(|line| line.starts_with(name)), "{role} {name}");
        }
    }
    for (arguments, told) in [
        (["--otlp-endpoint", "c:4317"], "expected a URL such as http://127.0.0.1:4317"),
        (["--trace-sample", "2"], "expected a number from 0 (none) to 1 (all)"),
        (["--log-format", "xml"], "possible values: text, json"),
    ] {
        let (good, text) = config(&[&["up"], &arguments[..]].concat(), None);
        assert!(!good && text.contains(told), "{text}");
    }
}

/// Medians of a small query over servers that tell nothing, a tenth, and all; asked in turns, so that all see the same machine.
#[test]
#[ignore = "measures: run it alone, with --nocapture"]
#[allow(clippy::print_stdout, reason = "the figures are what it is run for")]
fn what_traces_cost() {
    let runtime = Runtime::new().unwrap();
    let collector = Collector::start(&runtime);
    let folder = tempfile::tempdir().unwrap();
    let settings =
        [("none", None), ("share 0", Some("0")), ("share 0.1", Some("0.1")), ("share 1", Some("1"))];
    let mut asked: Vec<_> = settings
        .iter()
        .map(|(name, share)| {
            let mut command = cluster(&folder.path().join(name), &[]);
            if let Some(share) = share {
                command.args(["--otlp-endpoint", &collector.url, "--trace-sample", share]);
            }
            let server = Server::of(&mut command);
            let client = client(&runtime, &server.url, None);
            (name, server, client, Vec::new())
        })
        .collect();
    let query = "SELECT l_suppkey, count(*) FROM lineitem GROUP BY l_suppkey";
    for round in 0..3_000 {
        for (_, _, client, took) in &mut asked {
            let began = Instant::now();
            run(&runtime, client, query).unwrap();
            if round >= 300 {
                took.push(began.elapsed());
            }
        }
    }
    for (name, _, _, took) in &mut asked {
        took.sort_unstable();
        let at = |share: usize| took[took.len() * share / 100].as_secs_f64() * 1e3;
        println!("{name}: median {:.3} ms, 10 % {:.3} ms, 90 % {:.3} ms", at(50), at(10), at(90));
    }
    println!("{} spans came", collector.told().len());
}
