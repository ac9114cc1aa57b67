//! Statements over Flight SQL: queries, updates, prepared statements, tickets.
#![allow(clippy::unwrap_used, reason = "helpers of tests are not exempt by themselves")]

use crate::server::{Client, Server, fetch};
use arrow::array::{AsArray, Int32Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use arrow_flight::FlightInfo;
use arrow_flight::error::FlightError;
use coordinator::User;
use std::sync::Arc;

async fn query(client: &mut Client, sql: &str) -> Result<RecordBatch, FlightError> {
    let info: FlightInfo = client.execute(sql.into(), None).await?;
    fetch(client, info).await
}

/// The only value of a query, a 64-bit integer.
async fn number(client: &mut Client, sql: &str) -> i64 {
    let rows = query(client, sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    assert_eq!((rows.num_rows(), rows.num_columns()), (1, 1), "{sql}");
    rows.column(0).as_primitive::<Int64Type>().value(0)
}

#[tokio::test]
async fn definitions_and_writes_work_by_every_way() {
    let server = Server::start(|_| {}).await;
    let mut client = server.client().await;
    client.handshake("ada", "").await.unwrap();
    query(&mut client, "CREATE TABLE t (x INTEGER)").await.unwrap();
    assert_eq!(client.execute_update("INSERT INTO t VALUES (1), (2)".into(), None).await.unwrap(), 2);
    assert_eq!(number(&mut client, "INSERT INTO t VALUES (3)").await, 1);
    let mut prepared = client.prepare("INSERT INTO t SELECT x + 10 FROM t".into(), None).await.unwrap();
    assert_eq!(prepared.execute_update().await.unwrap(), 3);
    prepared.close().await.unwrap();
    assert_eq!(client.execute_update("CREATE TABLE u (y INTEGER)".into(), None).await.unwrap(), 0);
    assert_eq!(number(&mut client, "SELECT count(*) FROM t").await, 6);
    server.stop().await;
}

#[tokio::test]
async fn a_ticket_changes_things_once() {
    let server = Server::start(|_| {}).await;
    let mut client = server.client().await;
    query(&mut client, "CREATE TABLE t (x INTEGER)").await.unwrap();
    let info = client.execute("INSERT INTO t VALUES (1)".into(), None).await.unwrap();
    assert_eq!(number(&mut client, "SELECT count(*) FROM t").await, 0);
    for _ in 0..3 {
        let rows = fetch(&mut client, info.clone()).await.unwrap();
        assert_eq!(rows.column(0).as_primitive::<Int64Type>().value(0), 1);
    }
    assert_eq!(number(&mut client, "SELECT count(*) FROM t").await, 1);
    // A query's ticket may be redeemed again, and over another connection.
    let info = client.execute("SELECT x FROM t".into(), None).await.unwrap();
    assert_eq!(fetch(&mut client, info.clone()).await.unwrap().num_rows(), 1);
    let mut other = server.client().await;
    assert_eq!(fetch(&mut other, info).await.unwrap().num_rows(), 1);
    server.stop().await;
}

#[tokio::test]
async fn prepared_statements_take_parameters() {
    let server = Server::start(|_| {}).await;
    let mut client = server.client().await;
    query(&mut client, "CREATE TABLE t (x INTEGER, s VARCHAR)").await.unwrap();
    query(&mut client, "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')").await.unwrap();
    let mut prepared = client.prepare("SELECT s FROM t WHERE x >= $1".into(), None).await.unwrap();
    assert_eq!(prepared.dataset_schema().unwrap().field(0).name(), "s");
    assert_eq!(prepared.parameter_schema().unwrap().field(0).data_type(), &DataType::Int32);
    for (bound, expected) in [(vec![2], 2), (vec![3], 1), (vec![1, 3], 4)] {
        let schema = Arc::new(Schema::new(vec![Field::new("$1", DataType::Int32, true)]));
        let batch = RecordBatch::try_new(schema, vec![Arc::new(Int32Array::from(bound))]).unwrap();
        prepared.set_parameters(batch).unwrap();
        let info = prepared.execute().await.unwrap();
        assert_eq!(fetch(&mut client, info).await.unwrap().num_rows(), expected);
    }
    prepared.close().await.unwrap();

    let mut insert = client.prepare("INSERT INTO t VALUES (?, ?)".into(), None).await.unwrap();
    let schema =
        Schema::new(vec![Field::new("$1", DataType::Int32, true), Field::new("$2", DataType::Utf8, true)]);
    let strings = arrow::array::StringArray::from(vec![Some("d"), None]);
    let columns: Vec<arrow::array::ArrayRef> =
        vec![Arc::new(Int32Array::from(vec![4, 5])), Arc::new(strings)];
    insert.set_parameters(RecordBatch::try_new(Arc::new(schema), columns).unwrap()).unwrap();
    assert_eq!(insert.execute_update().await.unwrap(), 2);
    assert_eq!(number(&mut client, "SELECT count(s) FROM t").await, 4);
    server.stop().await;
}

#[tokio::test]
async fn errors_say_what_and_where() {
    let server = Server::start(|_| {}).await;
    let mut client = server.client().await;
    query(&mut client, "CREATE TABLE numbers (x INTEGER)").await.unwrap();
    for (sql, parts) in [
        ("SELECT y FROM numbers", &["y", "LINE 1", "^"][..]),
        ("SELEC 1", &["syntax", "LINE 1"]),
        ("SELECT * FROM numbrs", &["numbrs", "numbers"]),
        ("SELECT 1 / 0", &["division by zero"]),
        ("INSERT INTO numbers VALUES ('a lot')", &["a lot"]),
    ] {
        let error = query(&mut client, sql).await.unwrap_err().to_string();
        for part in parts {
            assert!(error.contains(part), "{sql}: {error}");
        }
    }
    assert_eq!(number(&mut client, "SELECT count(*) FROM numbers").await, 0);
    server.stop().await;
}

#[tokio::test]
async fn settings_last_for_the_session_of_a_token() {
    let server = Server::start(|_| {}).await;
    let mut client = server.client().await;
    client.handshake("ada", "x").await.unwrap();
    query(&mut client, "SET batch_rows = 7").await.unwrap();
    let mut again = server.client().await;
    again.set_token(client.token().unwrap().clone());
    let shown = query(&mut again, "SHOW batch_rows").await.unwrap();
    assert_eq!(shown.column(1).as_string::<i32>().value(0), "7");
    let mut other = server.client().await;
    let shown = query(&mut other, "SHOW batch_rows").await.unwrap();
    assert_eq!(shown.column(1).as_string::<i32>().value(0), "2048");
    server.stop().await;
}

/// Streams that nobody reads give their slots back, and end when they are dropped.
#[tokio::test]
async fn clients_that_stop_reading_hold_up_nobody() {
    let server = Server::start(|config| config.concurrency = 2).await;
    let mut client = server.client().await;
    query(&mut client, "CREATE TABLE d AS SELECT 1 AS x UNION ALL SELECT 2 UNION ALL SELECT 3")
        .await
        .unwrap();
    for _ in 0..9 {
        query(&mut client, "INSERT INTO d SELECT x FROM d").await.unwrap();
    }
    let cross = "SELECT a.x, b.x, 'some text to make it larger' FROM d a, d b, d c";
    let mut held = Vec::new();
    for _ in 0..4 {
        let info = client.execute(cross.into(), None).await.unwrap();
        let ticket = info.endpoint[0].ticket.clone().unwrap();
        let mut other = server.client().await;
        let stream = other.do_get(ticket).await.unwrap();
        held.push((other, stream));
    }
    assert_eq!(number(&mut client, "SELECT count(*) FROM d").await, 3 << 9);
    drop(held);
    // The dropped streams end their queries.
    for attempt in 0.. {
        let (_, metrics) = server.http("/metrics").await;
        let running =
            metrics.lines().find(|line| line.starts_with("tundra_queries_listed")).map(str::to_string);
        if running.as_deref().is_some_and(|line| line.ends_with(" 0")) {
            break;
        }
        assert!(attempt < 100, "queries go on: {running:?}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    server.stop().await;
}

/// A ticket is for the session that it was given to.
#[tokio::test]
async fn a_ticket_is_nothing_to_another_session() {
    let user = |name: &str| User { name: name.into(), password: "secret".into() };
    let server = Server::start(|config| config.users = vec![user("ada"), user("bob")]).await;
    let mut ada = server.client().await;
    ada.handshake("ada", "secret").await.unwrap();
    let info = ada.execute("SELECT 1 AS one".into(), None).await.unwrap();
    let mut prepared = ada.prepare("SELECT 2 AS two".into(), None).await.unwrap();

    let mut others = Vec::new();
    for name in ["bob", "ada"] {
        let mut other = server.client().await;
        other.handshake(name, "secret").await.unwrap();
        others.push(other);
    }
    for other in &mut others {
        let error = fetch(other, info.clone()).await.unwrap_err().to_string();
        assert!(error.contains("another session"), "{error}");
    }
    let error = fetch(&mut server.client().await, info.clone()).await.unwrap_err().to_string();
    assert!(error.contains("log in"), "{error}");
    // Over another connection with the same token it is the same session.
    let mut again = server.client().await;
    again.set_token(ada.token().unwrap().clone());
    assert_eq!(fetch(&mut again, info.clone()).await.unwrap().num_rows(), 1);

    // A changed ticket is none, and one of another start neither.
    let mut forged = info.clone();
    let ticket = forged.endpoint[0].ticket.as_mut().unwrap();
    let mut bytes = ticket.ticket.to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    ticket.ticket = bytes.into();
    let error = fetch(&mut ada, forged).await.unwrap_err().to_string();
    assert!(error.contains("not made by this server"), "{error}");
    let rows = prepared.execute().await.unwrap();
    assert_eq!(fetch(&mut ada, rows).await.unwrap().num_rows(), 1);
    let server = server.restart(|config| config.users = vec![user("ada")]).await;
    let mut ada = server.client().await;
    ada.handshake("ada", "secret").await.unwrap();
    let error = fetch(&mut ada, info).await.unwrap_err().to_string();
    assert!(error.contains("not made by this server"), "{error}");
    server.stop().await;
}
