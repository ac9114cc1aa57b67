//! Tables over files that others add, replace and remove: refreshed by the clock and by events.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use bytes::Bytes;
use flight_proto::Message;
use flight_proto::manifest::Manifest;
use futures::TryStreamExt;
use object_store::ObjectStoreExt;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use serde_json::{Value, json};
use shard::Stores;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tundra_tests::cluster::{FurtherNode, ProcessCluster, start_node, tundra};
use tundra_tests::connection::{Connection, number};
use tundra_tests::http::post;
use tundra_tests::s3::{Faults, S3Server};
use tundra_tests::server::{TestServer, Variation};

/// Longer than a minute, in which schedules of every minute come.
const PATIENCE: Duration = Duration::from_secs(90);

/// A Parquet file of a column `i`; files of as many values have the same size.
fn parquet(values: impl IntoIterator<Item = i64>) -> Vec<u8> {
    let values = Arc::new(Int64Array::from_iter_values(values)) as ArrayRef;
    let batch = RecordBatch::try_from_iter([("i", values)]).unwrap();
    let properties = WriterProperties::builder()
        .set_compression(Compression::UNCOMPRESSED)
        .set_dictionary_enabled(false)
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

/// The folder of a table's files on an S3 server.
struct Lake<'a> {
    s3: &'a S3Server,
    stores: Arc<Stores>,
}

impl Lake<'_> {
    fn of(s3: &S3Server) -> Lake<'_> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Lake { s3, stores: Stores::with_settings(s3.settings()) }
    }

    fn location(&self) -> String {
        self.s3.location("tundra/lake/")
    }

    async fn put(&self, name: &str, values: impl IntoIterator<Item = i64>) {
        let place = self.stores.open(&self.s3.location("tundra/lake")).unwrap().join(name);
        place.store.put(&place.path, Bytes::from(parquet(values)).into()).await.unwrap();
    }

    /// Commits a version of the dataset without its first file, as another cluster on this store would.
    async fn commit_without_first_file(&self, dataset: u64) -> String {
        let folder =
            self.stores.open(&self.s3.location(&format!("tundra/default/{dataset}/manifests"))).unwrap();
        let objects: Vec<_> = folder.store.list(Some(&folder.path)).try_collect().await.unwrap();
        let latest = objects.into_iter().map(|object| object.location).max().unwrap();
        let bytes = folder.store.get(&latest).await.unwrap().bytes().await.unwrap();
        let mut manifest = Manifest::decode(bytes).unwrap();
        manifest.version += 1;
        manifest.files.remove(0);
        let next = folder.join(&format!("{:020}", manifest.version));
        next.store.put(&next.path, Bytes::from(manifest.encode_to_vec()).into()).await.unwrap();
        next.path.to_string()
    }
}

/// What S3 sends of a key, which it has encoded.
fn s3_event(key: &str) -> String {
    json!({"Records": [{"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "bucket"}, "object": {"key": key}}}]})
        .to_string()
}

async fn becomes(connection: &mut Connection, sql: &str, expected: &str) {
    let begun = Instant::now();
    loop {
        let rows = connection.rows(sql).await;
        if rows.as_ref().is_ok_and(|rows| rows.first().is_some_and(|row| row[0] == expected)) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{sql} is not {expected}: {rows:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn one(connection: &mut Connection, sql: &str) -> String {
    connection.rows(sql).await.unwrap()[0][0].clone()
}

const COUNT: &str = "SELECT count(*) FROM t";
const VERSION: &str = "SELECT version FROM system.datasets WHERE table_name = 't'";
const STATE: &str = "SELECT last_state FROM system.refreshes WHERE table_name = 't'";
const CAUSE: &str = "SELECT last_started_by FROM system.refreshes WHERE table_name = 't'";

async fn start(s3: &S3Server) -> TestServer {
    let stores = Stores::with_settings(s3.settings());
    let location = s3.location("tundra");
    let change = |config: &mut coordinator::Config| config.object_store = Some(location);
    TestServer::start_in(tempfile::tempdir().unwrap(), stores, &Variation::shards(2), change).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn by_the_clock() {
    let s3 = S3Server::start().await.unwrap();
    let (lake, server) = (Lake::of(&s3), start(&s3).await);
    let mut connection = server.session();
    lake.put("a.parquet", 0..10).await;
    let create = format!(
        "CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '{}' WITH (refresh_every = '1 second')",
        lake.location()
    );
    connection.execute(&create).await.unwrap();
    let every = "SELECT refresh_every || ' ' || refresh_mode FROM system.refreshes";
    assert_eq!(one(&mut connection, every).await, "00:00:01 incremental");
    lake.put("b.parquet", 10..20).await;
    becomes(&mut connection, COUNT, "20").await;
    becomes(&mut connection, STATE, "unchanged").await;
    let version = one(&mut connection, VERSION).await;
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!(one(&mut connection, VERSION).await, version, "nothing changed, nothing is committed");
    assert_eq!(one(&mut connection, CAUSE).await, "clock");
    let due = "SELECT next_at > last_at AND last_elapsed_ms >= 0 FROM system.refreshes";
    becomes(&mut connection, due, "true").await;

    // A store that is away is told of, and asked again.
    s3.set(Faults { down: true, ..Faults::default() });
    becomes(&mut connection, "SELECT failures >= 2 FROM system.refreshes", "true").await;
    assert_eq!(one(&mut connection, COUNT).await, "20");
    let error = one(&mut connection, "SELECT max(last_error) FROM system.refreshes").await;
    assert!(error.contains("lake") && error.contains("error sending request"), "{error}");
    s3.set(Faults::default());
    lake.put("c.parquet", 20..30).await;
    becomes(&mut connection, COUNT, "30").await;
    becomes(&mut connection, "SELECT failures FROM system.refreshes", "0").await;

    connection.execute("ALTER TABLE t RESET (refresh_every)").await.unwrap();
    // One may have begun before.
    tokio::time::sleep(Duration::from_secs(1)).await;
    lake.put("d.parquet", 30..40).await;
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!(one(&mut connection, COUNT).await, "30");
    connection.execute("REFRESH TABLE t").await.unwrap();
    assert_eq!(one(&mut connection, COUNT).await, "40");
    assert_eq!(one(&mut connection, CAUSE).await, "statement");

    connection.execute("ALTER TABLE t SET (refresh_every = '1 second')").await.unwrap();
    becomes(&mut connection, CAUSE, "clock").await;
    connection.execute("DROP TABLE t").await.unwrap();
    assert_eq!(number(&mut connection, "SELECT count(*) FROM system.refreshes").await.unwrap(), 0);
    // A refresh that had begun may still ask.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (before, _) = s3.requests();
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let asked = s3.requests().0 - before;
    assert!(asked <= 3, "{asked} requests for a table that is gone");
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_outlive_a_restart() {
    let s3 = S3Server::start().await.unwrap();
    let lake = Lake::of(&s3);
    let server = start(&s3).await;
    let mut connection = server.session();
    lake.put("a.parquet", 0..10).await;
    let create = format!(
        "CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '{}' WITH (refresh_mode = full, refresh_every = INTERVAL '1 day')",
        lake.location()
    );
    connection.execute(&create).await.unwrap();
    let every = "SELECT refresh_every || ' ' || refresh_mode FROM system.refreshes";
    assert_eq!(one(&mut connection, every).await, "1 day full");
    server.stop().await.unwrap();
    // Of the object store alone.
    let server = start(&s3).await;
    let mut connection = server.session();
    assert_eq!(one(&mut connection, every).await, "1 day full");
    let managed = "CREATE TABLE own AS SELECT 1 AS a";
    connection.execute(managed).await.unwrap();
    let refused = connection.execute("ALTER TABLE own SET (refresh_every = '1 hour')").await.map(drop);
    assert!(refused.unwrap_err().0.contains("statements fill it"));
    server.stop().await.unwrap();
}

/// The file is another one, and nothing but its content tells so.
#[tokio::test(flavor = "multi_thread")]
async fn full_reads_anew_what_looks_the_same() {
    let server = TestServer::start(&Variation::shards(2)).await.unwrap();
    let folder = server.folder().join("objects").join("lake");
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("a.parquet");
    std::fs::write(&path, parquet(0..1_000)).unwrap();
    let mut connection = server.session();
    let location = folder.display();
    let create = format!("CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '{location}'");
    connection.execute(&create).await.unwrap();
    let sum = "SELECT sum(i) FROM t WHERE i % 2 >= 0";
    assert_eq!(one(&mut connection, sum).await, "499500");

    let modified = std::fs::metadata(&path).unwrap().modified().unwrap();
    let other = parquet(1_000..2_000);
    assert_eq!(other.len() as u64, std::fs::metadata(&path).unwrap().len());
    std::fs::write(&path, other).unwrap();
    std::fs::File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
    connection.execute("REFRESH TABLE t").await.unwrap();
    assert_eq!(one(&mut connection, sum).await, "499500");
    assert_eq!(one(&mut connection, STATE).await, "unchanged");

    connection
        .execute("ALTER TABLE t SET (refresh_every = '2 seconds', refresh_mode = 'full')")
        .await
        .unwrap();
    becomes(&mut connection, sum, "1499500").await;
    let mode = "SELECT last_mode || ' ' || last_state FROM system.refreshes";
    becomes(&mut connection, mode, "full refreshed").await;
    connection.execute("ALTER TABLE t RESET (refresh_every)").await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    // What was read anew is not read anew again by what looks for changes.
    let version = one(&mut connection, VERSION).await;
    connection.execute("REFRESH TABLE t").await.unwrap();
    assert_eq!(one(&mut connection, VERSION).await, version);
    let folder = server.end().await.unwrap();
    let server = TestServer::start_in(folder, Stores::new(), &Variation::shards(2), |_| ()).await.unwrap();
    assert_eq!(one(&mut server.session(), sum).await, "1499500");
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn by_events() {
    let s3 = S3Server::start().await.unwrap();
    let (lake, server) = (Lake::of(&s3), start(&s3).await);
    let mut connection = server.session();
    lake.put("day=1/a.parquet", 0..10).await;
    let create = format!("CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '{}'", lake.location());
    connection.execute(&create).await.unwrap();
    let http = server.http().unwrap();
    let send = async |body: &str| post(&http, "/api/v1/events", body).await.unwrap();

    // Its name in the bucket is `b +%25.parquet`.
    lake.put("day=2/b +%.parquet", 10..20).await;
    let (status, taken) = send(&s3_event("tundra/lake/day%3D2/b+%2B%2525.parquet")).await;
    assert_eq!(status, 200, "{taken}");
    assert_eq!((&taken["refresh"][0]["table"], &taken["ignored"]), (&json!("t"), &json!(0)));
    becomes(&mut connection, COUNT, "20").await;
    becomes(&mut connection, CAUSE, "event").await;

    // Many are one, and another one after it.
    let version: i64 = one(&mut connection, VERSION).await.parse().unwrap();
    for number in 0..40 {
        let name = format!("day=3/{number}.parquet");
        lake.put(&name, [number]).await;
        let message = s3_event(&format!("tundra/lake/day%3D3/{number}.parquet"));
        send(&json!({"Type": "Notification", "Message": message}).to_string()).await;
    }
    becomes(&mut connection, COUNT, "60").await;
    let versions = one(&mut connection, VERSION).await.parse::<i64>().unwrap() - version;
    assert!((1..=10).contains(&versions), "{versions} versions");

    for (key, ignored) in
        [("tundra/lake/_temporary/x.parquet", 1), ("elsewhere/x.parquet", 1), ("tundra/lake/x.csv", 1)]
    {
        let (status, taken) = send(&s3_event(key)).await;
        assert_eq!(
            (status, &taken["ignored"], &taken["refresh"]),
            (200, &json!(ignored), &json!([])),
            "{key}"
        );
    }
    for (body, why) in
        [("{", "no JSON"), ("{\"Records\": 5}", "expected a list"), ("[]", "expected an object")]
    {
        let (status, failure) = send(body).await;
        assert_eq!(status, 400);
        assert!(failure["error"].as_str().unwrap().contains(why), "{failure}");
    }
    let subscription =
        json!({"Type": "SubscriptionConfirmation", "TopicArn": "arn", "SubscribeURL": "https://sns/x"});
    let (status, taken) = send(&subscription.to_string()).await;
    assert_eq!(status, 200);
    assert!(taken["message"].as_str().unwrap().contains("https://sns/x"), "{taken}");

    // A version that another has committed is switched on.
    let dataset: u64 = one(&mut connection, "SELECT dataset FROM system.datasets").await.parse().unwrap();
    let key = lake.commit_without_first_file(dataset).await;
    let event = json!({"detail-type": "Object Created", "source": "aws.s3",
        "detail": {"bucket": {"name": "bucket"}, "object": {"key": key}}});
    let (status, taken) = send(&event.to_string()).await;
    assert_eq!((status, &taken["reconcile"][0]["dataset"]), (200, &json!(dataset)), "{taken}");
    becomes(&mut connection, COUNT, "50").await;
    let taken_in =
        "SELECT cause || ' ' || outcome FROM system.refresh_history ORDER BY started_at DESC LIMIT 1";
    becomes(&mut connection, taken_in, "manifest refreshed").await;
    server.stop().await.unwrap();
}

/// `tundra control` beside a cluster.
struct Control {
    _node: FurtherNode,
    url: String,
}

impl Control {
    async fn start(cluster: &ProcessCluster, data: &str) -> Control {
        let coordinators = cluster.http.join(",");
        let words = ["control", "--data", data, "--listen", "127.0.0.1:0", "--coordinators", &coordinators];
        let words: Vec<String> = words.into_iter().map(str::to_string).collect();
        let mut node = start_node(&tundra().unwrap(), &words, false).unwrap();
        let url = node.ready("http=").await.unwrap();
        Control { _node: node, url }
    }

    /// What `tundra schedule` prints, or complains of.
    async fn schedule(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = tokio::process::Command::new(tundra().unwrap());
        command.arg("schedule").args(arguments).env("TUNDRA_CONTROL_URL", &self.url);
        let output = command.output().await.unwrap();
        let told = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match output.status.success() {
            true => Ok(told(&output.stdout)),
            false => Err(told(&output.stderr)),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn by_schedules_of_the_control_plane() {
    let s3 = S3Server::start().await.unwrap();
    let lake = Lake::of(&s3);
    let location = s3.location("tundra");
    let arguments = ["--coordinators", "3", "--shards", "2", "--memory", "2GB", "--object-store", &location];
    let folder = tempfile::tempdir().unwrap();
    let cluster = ProcessCluster::start_with(folder, &arguments, &s3.settings()).await.unwrap();
    let data = tempfile::tempdir().unwrap();
    let control = Control::start(&cluster, &data.path().display().to_string()).await;
    let mut connection = cluster.connect().await.unwrap();
    lake.put("a.parquet", 0..10).await;
    let create = format!("CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '{}'", lake.location());
    connection.execute(&create).await.unwrap();

    // What an operator has run, which is of a mode of its own.
    let yearly = ["set", "default", "t", "--name", "yearly", "--cron", "0 3 1 jan *"];
    let more = ["--mode", "full", "--retries", "1", "--retry-pause", "1", "--limit", "2"];
    control.schedule(&[&yearly[..], &more].concat()).await.unwrap();
    let shown = control.schedule(&["show", "default", "t", "--name", "yearly"]).await.unwrap();
    assert_eq!(shown.matches("-01-01T03:00:00").count(), 5, "{shown}");
    control.schedule(&["set", "default", "ghost", "--cron", "@daily", "--zone", "Asia/Tokyo"]).await.unwrap();
    let state = "SELECT state FROM system.schedules WHERE schedule = 'yearly'";
    let ghost = "SELECT state FROM system.schedules WHERE table_name = 'ghost'";
    for _ in 0..6 {
        becomes(&mut connection, state, "waiting").await;
        becomes(&mut connection, ghost, "there is no such table").await;
    }
    lake.put("b.parquet", 10..20).await;
    control.schedule(&["run", "default", "t", "--name", "yearly"]).await.unwrap();
    becomes(&mut connection, COUNT, "20").await;
    let latest = "SELECT cause || ' ' || mode || ' ' || outcome || ' ' || files_changed || ' ' || attempt \
                  FROM system.refresh_history ORDER BY started_at DESC LIMIT 1";
    // All coordinators hear of it.
    for _ in 0..6 {
        becomes(&mut connection, latest, "operator full refreshed 2 1").await;
    }
    let refused = control.schedule(&["run", "default", "ghost"]).await.unwrap_err();
    assert!(refused.contains("there is no such table"), "{refused}");
    let refused = control.schedule(&["set", "default", "t", "--cron", "61 * * * *"]).await.unwrap_err();
    assert!(refused.contains("no minute"), "{refused}");

    // What fails is tried again, once.
    s3.set(Faults { down: true, ..Faults::default() });
    control.schedule(&["run", "default", "t", "--name", "yearly"]).await.unwrap();
    becomes(&mut connection, latest, "operator full failed 0 2").await;
    let late = one(&mut connection, "SELECT max(error) FROM system.refresh_history").await;
    assert!(late.contains("within 2 s") || late.contains("error sending request"), "{late}");
    s3.set(Faults::default());

    // By the calendar, also where another coordinator leads.
    control.schedule(&["set", "default", "t", "--name", "often", "--cron", "* * * * *"]).await.unwrap();
    lake.put("c.parquet", 20..30).await;
    becomes(&mut connection, COUNT, "30").await;
    becomes(&mut connection, latest, "schedule often incremental refreshed 1 1").await;
    let second = "SELECT extract(second FROM max(started_at)) < 10 FROM system.refresh_history";
    becomes(&mut connection, second, "true").await;
    let leader = cluster.admin(0, &["leader"]).await.unwrap()["coordinator"].as_u64().unwrap();
    let name = format!("coordinator-{leader}");
    cluster.kill(&name).unwrap();
    cluster.wait_for(&name).await.unwrap();
    connection = connect_again(&cluster).await;
    lake.put("d.parquet", 30..40).await;
    becomes(&mut connection, COUNT, "40").await;
    let begun = Instant::now();
    loop {
        let history = control.schedule(&["history", "default", "--json"]).await.unwrap();
        let history: Value = serde_json::from_str(&history).unwrap();
        if history[0]["schedule"] == "often" && history[0]["run"]["state"] != "failed" {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{history}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    // Paused, and gone.
    control.schedule(&["pause", "default", "t", "--name", "often"]).await.unwrap();
    becomes(&mut connection, "SELECT state FROM system.schedules WHERE schedule = 'often'", "paused").await;
    control.schedule(&["remove", "default", "t", "--name", "often"]).await.unwrap();
    becomes(&mut connection, "SELECT count(*) FROM system.schedules", "2").await;
    // A table that was dropped and made again has its schedules.
    connection.execute("DROP TABLE t").await.unwrap();
    becomes(&mut connection, state, "there is no such table").await;
    connection.execute(&create).await.unwrap();
    becomes(&mut connection, state, "waiting").await;
    cluster.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_cluster_that_loses_its_leader() {
    let s3 = S3Server::start().await.unwrap();
    let lake = Lake::of(&s3);
    let location = s3.location("tundra");
    let mut arguments = vec!["--coordinators", "3", "--shards", "2", "--memory", "2GB"];
    arguments.extend(["--replicated-rows", "10", "--bucket-rows", "20", "--object-store", &location]);
    let folder = tempfile::tempdir().unwrap();
    let cluster = ProcessCluster::start_with(folder, &arguments, &s3.settings()).await.unwrap();
    let mut connection = cluster.connect().await.unwrap();
    lake.put("a.parquet", 0..100).await;
    let create = format!("CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '{}'", lake.location());
    connection.execute(&create).await.unwrap();

    // Any coordinator takes events.
    let mut rows = 100;
    for (place, http) in cluster.http.iter().enumerate() {
        lake.put(&format!("event-{place}.parquet"), 0..100).await;
        let address = http.strip_prefix("http://").unwrap();
        let event = s3_event(&format!("tundra/lake/event-{place}.parquet"));
        let (status, taken) = post(address, "/api/v1/events", &event).await.unwrap();
        assert_eq!((status, &taken["refresh"][0]["table"]), (200, &json!("t")), "{taken}");
        rows += 100;
        becomes(&mut connection, COUNT, &rows.to_string()).await;
    }
    // All show what the leader has done.
    for _ in &cluster.http {
        becomes(&mut connection, CAUSE, "event").await;
    }

    connection.execute("ALTER TABLE t SET (refresh_every = '1 second')").await.unwrap();
    for round in 0..3 {
        lake.put(&format!("clock-{round}.parquet"), 0..100).await;
        rows += 100;
        becomes(&mut connection, COUNT, &rows.to_string()).await;
        let leader = cluster.admin(0, &["leader"]).await.unwrap()["coordinator"].as_u64().unwrap();
        if round < 2 {
            let name = format!("coordinator-{leader}");
            cluster.kill(&name).unwrap();
            cluster.wait_for(&name).await.unwrap();
            connection = connect_again(&cluster).await;
        }
    }
    let datasets = cluster.admin(1, &["datasets"]).await.unwrap();
    let refresh = &datasets[0]["refresh"];
    assert_eq!(
        (&refresh["every"], &refresh["mode"]),
        (&json!("00:00:01"), &json!("incremental")),
        "{datasets}"
    );
    assert_eq!(refresh["last"]["started_by"], "clock", "{datasets}");

    connection.execute("ALTER TABLE t RESET (refresh_every)").await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let dataset: u64 = one(&mut connection, "SELECT dataset FROM system.datasets").await.parse().unwrap();
    let key = lake.commit_without_first_file(dataset).await;
    let address = cluster.http[0].strip_prefix("http://").unwrap();
    let (status, taken): (u16, Value) = post(address, "/api/v1/events", &s3_event(&key)).await.unwrap();
    assert_eq!((status, &taken["reconcile"][0]["table"]), (200, &json!("t")), "{taken}");
    becomes(&mut connection, COUNT, &(rows - 100).to_string()).await;
    cluster.stop().await.unwrap();
}

/// Connects to a cluster of which a coordinator is about to be up again.
async fn connect_again(cluster: &ProcessCluster) -> Connection {
    let begun = Instant::now();
    loop {
        match cluster.connect().await {
            Ok(connection) => return connection,
            Err(error) => assert!(begun.elapsed() < PATIENCE, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
