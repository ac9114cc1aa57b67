//! Clients of `tundra up` that do not behave: none holds up the others.

#![allow(clippy::unwrap_used)]

mod process;

use std::time::{Duration, Instant};

use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::sql::{CommandStatementQuery, ProstMessageExt};
use arrow_flight::{FlightClient, FlightDescriptor};
use futures::StreamExt;
use process::Server;
use prost::Message;
use tonic::transport::Endpoint;

/// More rows than anybody reads.
const ENDLESS: &str = "SELECT a.*, b.n_comment FROM lineitem a, nation b, nation c, nation d";
/// More than queries run at once on two threads, which are eight.
const CLIENTS: usize = 12;
/// What is prompt for a small query in a build that is not optimised, on a machine that does other things.
const PROMPT: Duration = Duration::from_secs(10);

fn start(data: &tempfile::TempDir) -> Server {
    Server::start(data.path(), &["--sample", "tpch:0.01", "--threads", "2"])
}

/// Starts a statement over a connection of its own.
async fn open(server: &Server, sql: &str) -> (FlightClient, FlightRecordBatchStream) {
    let endpoint = Endpoint::from_shared(server.url.replace("grpc://", "http://")).unwrap();
    let mut client = FlightClient::new(endpoint.connect().await.unwrap());
    let command = CommandStatementQuery { query: sql.into(), transaction_id: None };
    let descriptor = FlightDescriptor::new_cmd(command.as_any().encode_to_vec());
    let mut info = client.get_flight_info(descriptor).await.unwrap();
    let stream = client.do_get(info.endpoint.remove(0).ticket.unwrap()).await.unwrap();
    (client, stream)
}

/// The sum of a gauge over its labels.
fn gauge(server: &Server, name: &str) -> f64 {
    let metrics = server.get("/metrics");
    let lines = metrics.lines().filter(|line| line.starts_with(name));
    let values: Vec<f64> = lines.filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect();
    assert!(!values.is_empty(), "{name} is not in: {metrics}");
    values.iter().sum()
}

/// Waits until a gauge has a value, at most so long.
async fn wait_for(server: &Server, name: &str, value: f64, most: Duration) {
    let begun = Instant::now();
    while gauge(server, name) != value {
        assert!(begun.elapsed() < most, "{name} is {} after {most:?}, not {value}", gauge(server, name));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_stop_reading_hold_no_worker() {
    let data = tempfile::tempdir().unwrap();
    let server = start(&data);
    let mut stalled = Vec::new();
    for _ in 0..CLIENTS {
        let (client, mut stream) = open(&server, ENDLESS).await;
        assert!(stream.next().await.unwrap().unwrap().num_rows() > 0);
        stalled.push((client, stream));
    }
    wait_for(&server, "tundra_queries_listed", CLIENTS as f64, PROMPT).await;
    for _ in 0..10 {
        let begun = Instant::now();
        let (_, mut stream) = open(&server, "SELECT sum(l_quantity), count(*) FROM lineitem").await;
        assert_eq!(stream.next().await.unwrap().unwrap().num_rows(), 1);
        assert!(stream.next().await.is_none());
        assert!(begun.elapsed() < PROMPT, "a query waited {:?}", begun.elapsed());
    }
    // They are still there, and still wait.
    wait_for(&server, "tundra_queries_listed", CLIENTS as f64, PROMPT).await;
    // One that reads on gets more.
    let (_, stream) = &mut stalled[0];
    for _ in 0..200 {
        assert!(stream.next().await.unwrap().unwrap().num_rows() > 0);
    }
    drop(stalled);
    wait_for(&server, "tundra_queries_listed", 0.0, PROMPT).await;
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_dropped_ends_its_query() {
    let data = tempfile::tempdir().unwrap();
    let server = start(&data);
    let mut idle = None;
    // The first time brings the columns into memory, where they stay.
    for _ in 0..2 {
        let (_client, mut stream) = open(&server, ENDLESS).await;
        assert!(stream.next().await.unwrap().unwrap().num_rows() > 0);
        wait_for(&server, "tundra_queries_listed", 1.0, PROMPT).await;
        // The connection stays, the stream goes; gauges are a second old at most.
        drop(stream);
        wait_for(&server, "tundra_queries_listed", 0.0, Duration::from_secs(3)).await;
        wait_for(&server, "tundra_queries_running", 0.0, Duration::from_secs(1)).await;
        let used = idle.unwrap_or_else(|| gauge(&server, "tundra_memory_used_bytes"));
        wait_for(&server, "tundra_memory_used_bytes", used, Duration::from_secs(3)).await;
        idle = Some(used);
    }

    // So it is where the client goes away with its connection, in the midst of a long query.
    let sleepy =
        "SELECT count(*) FROM lineitem a, lineitem b WHERE a.l_comment || b.l_comment LIKE '%x_y_z%'";
    let task = {
        let (client, mut stream) = open(&server, sleepy).await;
        tokio::spawn(async move {
            let _ = stream.next().await;
            drop(client);
        })
    };
    wait_for(&server, "tundra_queries_running", 1.0, PROMPT).await;
    task.abort();
    wait_for(&server, "tundra_queries_running", 0.0, Duration::from_secs(2)).await;
    wait_for(&server, "tundra_queries_listed", 0.0, Duration::from_secs(3)).await;
    server.stop();
}
