//! Statements in process: definitions, writes, queries, restarts.
#![allow(clippy::unwrap_used, reason = "helpers of tests are not exempt by themselves")]

use crate::server::{Server, gather};
use coordinator::Error;

/// A Parquet file of `rows` rows under the server's object store, as a location.
pub(crate) async fn sample(server: &Server, name: &str, rows: i64) -> String {
    let url = server.handle().object_store();
    let folder = std::path::Path::new(url.strip_prefix("file://").unwrap()).join("samples").join(name);
    std::fs::create_dir_all(&folder).unwrap();
    write_parquet(&folder.join("part-0.parquet"), 0, rows);
    folder.display().to_string()
}

fn write_parquet(path: &std::path::Path, first: i64, rows: i64) {
    use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
    use std::sync::Arc;
    let ids = Int64Array::from_iter_values(first..first + rows);
    let names = StringArray::from_iter_values((first..first + rows).map(|id| format!("name {}", id % 7)));
    let batch = RecordBatch::try_from_iter([
        ("Id", Arc::new(ids) as ArrayRef),
        ("name", Arc::new(names) as ArrayRef),
    ])
    .unwrap();
    let file = std::fs::File::create(path).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

#[tokio::test]
async fn writes_are_read_and_survive_a_restart() {
    let server = Server::start(|config| config.shards = 2).await;
    server.run("CREATE TABLE t (a INTEGER, b VARCHAR)").await.unwrap();
    assert_eq!(server.value("SELECT count(*) FROM t").await, "0");
    assert_eq!(server.value("INSERT INTO t VALUES (1, 'one'), (2, NULL)").await, "2");
    assert_eq!(server.value("INSERT INTO t SELECT a + 2, b FROM T").await, "2");
    assert_eq!(server.value("SELECT sum(A) FROM t").await, "10");
    assert_eq!(server.value("CREATE TABLE u AS SELECT a, b FROM t WHERE b IS NOT NULL").await, "2");

    let server = server.restart(|config| config.shards = 2).await;
    assert_eq!(server.value("SELECT sum(a) FROM t").await, "10");
    assert_eq!(server.value("SELECT count(*) FROM u WHERE b = 'one'").await, "2");
    // Another number of shards, the same data.
    let server = server.restart(|config| config.shards = 1).await;
    assert_eq!(server.value("SELECT sum(a) FROM t").await, "10");
    server.run("DROP TABLE t").await.unwrap();
    let server = server.restart(|_| {}).await;
    assert!(matches!(server.run("SELECT * FROM t").await, Err(Error::NotFound(_))));
    server.run("DROP TABLE IF EXISTS t").await.unwrap();
    assert!(matches!(server.run("DROP TABLE t").await, Err(Error::NotFound(_))));
    server.stop().await;
}

#[tokio::test]
async fn the_object_store_alone_rebuilds_the_catalog() {
    let server = Server::start(|_| {}).await;
    server.run("CREATE SCHEMA s").await.unwrap();
    server.run("CREATE TABLE s.t AS SELECT 42 AS answer").await.unwrap();
    server.run("CREATE TABLE gone AS SELECT 1 AS x").await.unwrap();
    server.run("DROP TABLE gone").await.unwrap();
    let folder = server.stop().await;
    let data = folder.path().join("data");
    std::fs::remove_file(data.join("catalog.redb")).unwrap();
    std::fs::remove_dir_all(data.join("segments")).unwrap();
    let server = Server::start_in(folder, |_| {}).await;
    assert_eq!(server.value("SELECT answer FROM s.t").await, "42");
    assert!(server.run("SELECT * FROM gone").await.is_err());

    // Without the catalog's copy either, the manifests tell of the datasets.
    let folder = server.stop().await;
    let data = folder.path().join("data");
    std::fs::remove_file(data.join("catalog.redb")).unwrap();
    std::fs::remove_dir_all(data.join("objects").join("catalog")).unwrap();
    let server = Server::start_in(folder, |_| {}).await;
    assert_eq!(server.value("SELECT answer FROM S.T").await, "42");
    server.run("CREATE TABLE s.u AS SELECT 43 AS answer").await.unwrap();
    assert_eq!(server.value("SELECT answer FROM s.u").await, "43");
    server.stop().await;
}

#[tokio::test]
async fn external_tables_are_inferred_and_refreshed() {
    let server = Server::start(|_| {}).await;
    let location = sample(&server, "people", 1_000).await;
    let create = format!("CREATE EXTERNAL TABLE People STORED AS PARQUET LOCATION '{location}'");
    server.run(&create).await.unwrap();
    assert!(matches!(server.run(&create).await, Err(Error::AlreadyExists(_))));
    server.run(&create.replace("TABLE", "TABLE IF NOT EXISTS")).await.unwrap();
    assert_eq!(server.value("SELECT count(*) FROM people WHERE id >= 990").await, "10");
    assert!(matches!(server.run("INSERT INTO people VALUES (1, 'x')").await, Err(Error::Unsupported(_))));

    write_parquet(&std::path::Path::new(&location).join("part-1.parquet"), 1_000, 500);
    assert_eq!(server.value("SELECT count(*) FROM people").await, "1000");
    server.run("REFRESH TABLE people").await.unwrap();
    assert_eq!(server.value("SELECT max(id) FROM people").await, "1499");
    server.stop().await;
}

#[tokio::test]
async fn a_dataset_that_is_lost_is_named_and_comes_back() {
    let server = Server::start(|_| {}).await;
    let location = sample(&server, "people", 100).await;
    let create = format!("CREATE EXTERNAL TABLE people STORED AS PARQUET LOCATION '{location}'");
    server.run(&create).await.unwrap();
    server.run("CREATE TABLE other AS SELECT 1 AS x").await.unwrap();
    let folder = server.stop().await;
    std::fs::remove_dir_all(folder.path().join("data").join("segments")).unwrap();
    let part = std::path::Path::new(&location).join("part-0.parquet");
    std::fs::remove_file(&part).unwrap();

    let server = Server::start_in(folder, |_| {}).await;
    assert_eq!(server.value("SELECT x FROM other").await, "1");
    let error = server.run("SELECT * FROM people").await.unwrap_err().to_string();
    assert!(error.contains("'people' could not be brought in") && error.contains("part-0"), "{error}");
    write_parquet(&part, 0, 50);
    server.run("REFRESH TABLE people").await.unwrap();
    assert_eq!(server.value("SELECT count(*) FROM people").await, "50");
    server.stop().await;
}

#[tokio::test]
async fn locations_outside_what_is_allowed_are_refused() {
    let outside = tempfile::tempdir().unwrap();
    write_parquet(&outside.path().join("a.parquet"), 0, 10);
    let location = outside.path().display().to_string();
    let create = format!("CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '{location}'");
    let server = Server::start(|_| {}).await;
    let escape = format!("{}/x/../../../..{location}", server.handle().object_store());
    let escape = format!("CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '{escape}'");
    for create in [&create, &escape] {
        let error = server.run(create).await.unwrap_err();
        assert!(matches!(&error, Error::Denied(message) if message.contains("--allow-location")), "{error}");
    }
    let server = server.restart(|config| config.allow_locations.push(location.clone())).await;
    server.run(&create).await.unwrap();
    assert_eq!(server.value("SELECT count(*) FROM t").await, "10");
    server.stop().await;
}

#[tokio::test]
async fn schemas_and_names() {
    let server = Server::start(|_| {}).await;
    server.run("CREATE SCHEMA Sales").await.unwrap();
    server.run("CREATE SCHEMA IF NOT EXISTS sales").await.unwrap();
    assert!(matches!(server.run("CREATE SCHEMA SALES").await, Err(Error::AlreadyExists(_))));
    server.run("CREATE TABLE sales.T (x INTEGER)").await.unwrap();
    assert!(matches!(server.run("CREATE TABLE nowhere.t (x INTEGER)").await, Err(Error::NotFound(_))));
    assert!(server.run("CREATE TABLE d (x INTEGER, X INTEGER)").await.is_err());
    let tables = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'Sales'";
    assert_eq!(server.value(tables).await, "1");
    assert_eq!(server.value("SELECT data_type FROM information_schema.columns").await, "INTEGER");
    assert_eq!(server.run("SHOW TABLES").await.unwrap().num_rows(), 1);
    assert_eq!(server.run("DESCRIBE sales.t").await.unwrap().num_rows(), 1);
    assert!(server.run("DROP SCHEMA sales").await.is_err());
    server.run("DROP SCHEMA sales CASCADE").await.unwrap();
    assert_eq!(server.value(tables).await, "0");
    server.stop().await;
}

#[tokio::test]
async fn concurrent_inserts_are_all_there() {
    let server = Server::start(|_| {}).await;
    server.run("CREATE TABLE t (x INTEGER)").await.unwrap();
    let inserts = (0..20).map(|x| server.run_owned(format!("INSERT INTO t VALUES ({x})")));
    for outcome in futures::future::join_all(inserts).await {
        outcome.unwrap();
    }
    assert_eq!(server.value("SELECT sum(x) FROM t").await, "190");
    let server = server.restart(|_| {}).await;
    assert_eq!(server.value("SELECT count(*) FROM t").await, "20");
    server.stop().await;
}

#[tokio::test]
async fn a_query_keeps_its_version() {
    let server = Server::start(|_| {}).await;
    server.run("CREATE TABLE t AS SELECT 1 AS x").await.unwrap();
    let rows = server.handle().session("test").execute("SELECT x FROM t").await.unwrap();
    server.run("INSERT INTO t VALUES (2)").await.unwrap();
    server.run("DROP TABLE t").await.unwrap();
    assert_eq!(gather(rows).await.unwrap().num_rows(), 1);
    server.stop().await;
}

#[tokio::test]
async fn settings_and_time_limits() {
    let server = Server::start(|_| {}).await;
    let session = server.handle().session("test");
    session.execute("SET batch_rows = 3").await.unwrap();
    let shown = gather(session.execute("SHOW batch_rows").await.unwrap()).await.unwrap();
    assert_eq!(shown.num_rows(), 1);
    assert!(session.execute("SET nonsense = 1").await.is_err());
    let location = sample(&server, "many", 3_000).await;
    let create = format!("CREATE EXTERNAL TABLE many STORED AS PARQUET LOCATION '{location}'");
    session.execute(&create).await.unwrap();
    session.execute("SET query_timeout = '300ms'").await.unwrap();
    let begun = std::time::Instant::now();
    let cross = "SELECT count(*) FROM many a, many b, many c WHERE a.id + b.id + c.id = 7";
    let error = match session.execute(cross).await {
        Ok(rows) => gather(rows).await.unwrap_err(),
        Err(error) => error,
    };
    assert!(matches!(error, Error::Execution(exec::error::Error::DeadlineExceeded)), "{error}");
    assert!(begun.elapsed().as_secs() < 5);
    server.stop().await;
}

/// A query ends in time also where nobody takes its rows, and says so to who comes late.
#[tokio::test]
async fn a_client_that_does_not_read_is_no_excuse() {
    let server = Server::start(|_| {}).await;
    let location = sample(&server, "many", 3_000).await;
    server.run(&format!("CREATE EXTERNAL TABLE many STORED AS PARQUET LOCATION '{location}'")).await.unwrap();
    let session = server.handle().session("test");
    session.execute("SET query_timeout = '400ms'").await.unwrap();
    let rows = session.execute("SELECT a.id, b.name FROM many a, many b").await.unwrap();
    let ended = async {
        while server.handle().running_queries() > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), ended).await.expect("it ends by itself");
    let error = gather(rows).await.unwrap_err();
    assert!(matches!(error, Error::Execution(exec::error::Error::DeadlineExceeded)), "{error}");
    server.stop().await;
}

#[tokio::test]
async fn a_statement_that_queues_ends_in_time() {
    let server = Server::start(|config| config.concurrency = 1).await;
    let location = sample(&server, "many", 3_000).await;
    server.run(&format!("CREATE EXTERNAL TABLE many STORED AS PARQUET LOCATION '{location}'")).await.unwrap();
    let cross = "SELECT count(*) FROM many a, many b, many c WHERE a.id + b.id + c.id = 7";
    let first = server.handle().session("test").execute(cross).await.unwrap();
    let session = server.handle().session("test");
    session.execute("SET query_timeout = '200ms'").await.unwrap();
    let begun = std::time::Instant::now();
    let error = session.execute("SELECT count(*) FROM many").await.map(|_| ()).unwrap_err();
    assert!(matches!(error, Error::Execution(exec::error::Error::DeadlineExceeded)), "{error}");
    assert!(begun.elapsed().as_secs() < 5);
    drop(first);
    server.stop().await;
}

#[tokio::test]
async fn truncated_rows_stay_gone() {
    let server = Server::start(|config| config.shards = 2).await;
    server.run("CREATE TABLE t AS SELECT i AS a FROM generate_series(1, 1000) AS s(i)").await.unwrap();
    server.run("CREATE TABLE u AS SELECT 1 AS a").await.unwrap();
    server.run("INSERT INTO t VALUES (-1)").await.unwrap();
    server.run("TRUNCATE t").await.unwrap();
    assert_eq!(server.value("SELECT count(*) FROM t").await, "0");
    let server = server.restart(|config| config.shards = 2).await;
    assert_eq!(server.value("SELECT count(*) FROM t").await, "0");
    server.run("INSERT INTO t VALUES (7)").await.unwrap();
    let server = server.restart(|config| config.shards = 1).await;
    assert_eq!(server.value("SELECT sum(a) FROM t").await, "7");
    server.run("TRUNCATE TABLE t, u").await.unwrap();
    assert_eq!(server.value("SELECT count(*) FROM t, u").await, "0");

    // Files of others are not to be changed, and then nothing is.
    let location = sample(&server, "people", 10).await;
    let create = format!("CREATE EXTERNAL TABLE e STORED AS PARQUET LOCATION '{location}'");
    server.run(&create).await.unwrap();
    server.run("INSERT INTO t VALUES (8)").await.unwrap();
    let error = server.run("TRUNCATE t, e").await.unwrap_err();
    assert!(
        matches!(&error, Error::Unsupported(what) if what.contains("TRUNCATE of the external table 'e'")),
        "{error:?}"
    );
    assert_eq!(server.value("SELECT (SELECT sum(a) FROM t) + (SELECT count(*) FROM e)").await, "18");
    server.stop().await;
}

/// Each insert is before or after each truncation as a whole, and none that began after the last is lost.
#[tokio::test]
async fn inserts_and_truncations_take_turns() {
    let server = Server::start(|config| config.shards = 2).await;
    server.run("CREATE TABLE t (x INTEGER)").await.unwrap();
    let changes = (0..30).map(|x| match x % 5 {
        4 => server.run_owned("TRUNCATE t".into()),
        _ => server.run_owned(format!("INSERT INTO t VALUES ({x}), (-{x})")),
    });
    for outcome in futures::future::join_all(changes).await {
        outcome.unwrap();
    }
    assert_eq!(server.value("SELECT coalesce(sum(x), 0) FROM t").await, "0");
    let left = server.value("SELECT count(*) FROM t").await;
    let server = server.restart(|_| {}).await;
    assert_eq!(server.value("SELECT count(*) FROM t").await, left);
    server.run("INSERT INTO t VALUES (100)").await.unwrap();
    assert_eq!(server.value("SELECT max(x) FROM t").await, "100");
    server.stop().await;
}

#[tokio::test]
async fn inserts_of_many_clients_are_all_kept() {
    let server = Server::start(|config| config.shards = 2).await;
    server.run("CREATE TABLE t (client INTEGER, n INTEGER)").await.unwrap();
    server.run("CREATE TABLE gone (n INTEGER)").await.unwrap();
    let clients = (0..8).map(|client| {
        let session = server.handle().session("test");
        async move {
            for n in 0..20 {
                let insert = format!("INSERT INTO t VALUES ({client}, {n})");
                gather(session.execute(&insert).await.unwrap()).await.unwrap();
                // What one has written one reads.
                let count = format!("SELECT count(*) FROM t WHERE client = {client}");
                let rows = gather(session.execute(&count).await.unwrap()).await.unwrap();
                let shown = arrow::util::display::array_value_to_string(rows.column(0), 0).unwrap();
                assert_eq!(shown, (n + 1).to_string());
            }
        }
    });
    futures::future::join_all(clients).await;
    server.run("INSERT INTO gone VALUES (1)").await.unwrap();
    server.run("DROP TABLE gone").await.unwrap();
    for _ in 0..2 {
        assert_eq!(server.value("SELECT count(*) FROM t").await, "160");
        assert_eq!(server.value("SELECT sum(n) FROM t").await, (8 * 190).to_string());
    }
    let server = server.restart(|config| config.shards = 2).await;
    assert_eq!(server.value("SELECT count(*) FROM t").await, "160");
    assert_eq!(server.value("SELECT count(DISTINCT client * 100 + n) FROM t").await, "160");
    assert!(matches!(server.run("SELECT * FROM gone").await, Err(Error::NotFound(_))));
    server.stop().await;
}

/// Whether or not the catalog was told of the last versions: what was acknowledged is there after a restart.
#[tokio::test]
async fn acknowledged_rows_survive_a_catalog_that_is_behind() {
    let server = Server::start(|_| {}).await;
    server.run("CREATE TABLE t (n INTEGER)").await.unwrap();
    let catalog = server.data().join("catalog.redb");
    server.run("INSERT INTO t VALUES (1)").await.unwrap();
    let server = server.restart(|_| {}).await;
    let folder = server.stop().await;
    let before = std::fs::read(&catalog).unwrap();
    let server = Server::start_in(folder, |_| {}).await;
    server.run("INSERT INTO t VALUES (2)").await.unwrap();
    server.run("INSERT INTO t VALUES (3)").await.unwrap();
    let folder = server.stop().await;
    std::fs::write(&catalog, before).unwrap();
    let server = Server::start_in(folder, |_| {}).await;
    assert_eq!(server.value("SELECT sum(n) FROM t").await, "6");
    server.run("INSERT INTO t VALUES (4)").await.unwrap();
    assert_eq!(server.value("SELECT sum(n) FROM t").await, "10");
    server.stop().await;
}

#[tokio::test]
async fn plans_are_given_as_documents() {
    let server = Server::start(|config| config.shards = 2).await;
    server.run("CREATE TABLE t AS SELECT 1 AS a UNION ALL SELECT 2").await.unwrap();
    let sql = "SELECT count(*) FROM t x JOIN t y ON x.a = y.a WHERE x.a > 1";
    let read = |text: String| serde_json::from_str::<serde_json::Value>(&text).unwrap();
    let told = read(server.value(&format!("EXPLAIN (FORMAT JSON) {sql}")).await);
    let plan = &told[0]["Plan"];
    assert!(plan["Node Type"].is_string() && plan["Plan Rows"].is_number(), "{told:#}");
    assert!(plan["Actual Rows"].is_null() && told[0]["Execution Time"].is_null(), "{told:#}");

    let told = read(server.value(&format!("EXPLAIN (ANALYZE, FORMAT JSON) {sql}")).await);
    assert!(told[0]["Execution Time"].is_number() && told[0]["Peak Memory"].is_number(), "{told:#}");
    // As many operators as `EXPLAIN` has lines.
    fn count(node: &serde_json::Value) -> usize {
        assert!(node["Actual Rows"].is_number() && node["Fragment"].is_number(), "{node:#}");
        1 + node["Plans"].as_array().into_iter().flatten().map(count).sum::<usize>()
    }
    let lines = server.run(&format!("EXPLAIN {sql}")).await.unwrap().num_rows();
    assert_eq!(count(&told[0]["Plan"]), lines, "{told:#}");
    server.stop().await;
}
