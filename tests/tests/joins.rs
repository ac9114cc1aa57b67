//! Joins of tables that lie on every shard, by a key or anywhere: the answers are those of one shard. The planner's tests
//! ask the same of plans alone, in more ways (`planner/tests/distribution.rs`).

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod matrix;

use matrix::{COLUMNS, LARGE_ROWS, SMALL_ROWS, TABLES, queries, rows};
use tundra_tests::connection::Connection;
use tundra_tests::server::{TestServer, Variation};

/// How tables that are not on every shard lie; what follows the first is the end of a table's name, too.
const PLACEMENTS: [(&str, &str); 4] =
    [("", ""), ("_hash", "HASH (k)"), ("_other", "HASH (g)"), ("_range", "RANGE (k)")];

/// Of every other query one in so many is asked of each server, another one of the next.
const SHARE: usize = 4;

/// A server with all the tables. Those of at most `replicated_rows` rows lie on every shard.
async fn start(shards: usize, replicated_rows: usize) -> (TestServer, Connection) {
    let variation = Variation::shards(shards);
    let server = TestServer::start_with(&variation, |config| config.replicated_rows = replicated_rows as u64);
    let server = server.await.unwrap();
    let mut connection = server.session();
    for (name, count) in TABLES {
        let columns = COLUMNS.map(|name| format!("{name} BIGINT")).join(", ");
        connection.execute(&format!("CREATE TABLE {name} ({columns})")).await.unwrap();
        let value = |value: Option<i64>| value.map_or("NULL".to_string(), |value| value.to_string());
        let rows = rows(count).into_iter().map(|row| format!("({})", row.map(value).join(", ")));
        let rows = rows.collect::<Vec<_>>().join(", ");
        connection.execute(&format!("INSERT INTO {name} VALUES {rows}")).await.unwrap();
    }
    for (dataset, (name, _)) in (1..).zip(TABLES) {
        let files = format!("file://{}/objects/default/{dataset}/data/*.parquet", server.folder().display());
        for (end, by) in &PLACEMENTS[1..] {
            let sql = format!(
                "CREATE EXTERNAL TABLE {name}{end} STORED AS PARQUET LOCATION '{files}' PARTITION BY {by}"
            );
            connection.execute(&sql).await.unwrap();
        }
    }
    (server, connection)
}

/// The rows, those of a query that orders them in order.
async fn answer(connection: &mut Connection, sql: &str) -> Vec<Vec<String>> {
    let mut rows = connection.rows(sql).await.unwrap_or_else(|error| panic!("{error}: {sql}"));
    if !sql.contains("ORDER BY") {
        rows.sort();
    }
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_do_not_depend_on_where_rows_lie() {
    let queries: Vec<String> = queries().into_iter().step_by(2).collect();
    let (server, mut connection) = start(1, 0).await;
    let mut expected = Vec::new();
    for sql in &queries {
        expected.push(answer(&mut connection, sql).await);
    }
    server.stop().await.unwrap();
    let mut wrong = Vec::new();
    let servers = [2, 4, 7].map(|shards| [0, SMALL_ROWS, LARGE_ROWS].map(|rows| (shards, rows)));
    for (turn, (shards, replicated_rows)) in servers.into_iter().flatten().enumerate() {
        let (server, mut connection) = start(shards, replicated_rows).await;
        for (number, (sql, expected)) in queries.iter().zip(&expected).enumerate() {
            if number % SHARE != turn % SHARE {
                continue;
            }
            let way = number / SHARE + turn;
            let ends = [way, way / PLACEMENTS.len()].map(|place| PLACEMENTS[place % PLACEMENTS.len()].0);
            let sql = TABLES.iter().zip(ends).fold(sql.clone(), |sql, ((name, _), end)| {
                sql.replace(&format!("FROM {name}"), &format!("FROM {name}{end}"))
                    .replace(&format!("JOIN {name}"), &format!("JOIN {name}{end}"))
            });
            let found = answer(&mut connection, &sql).await;
            if found != *expected {
                let label = format!("{shards} shards, {replicated_rows} rows on each: {sql}");
                wrong.push(format!("{label}\nexpected {expected:?}\nfound    {found:?}"));
            }
        }
        server.stop().await.unwrap();
    }
    let shown: Vec<&str> = wrong.iter().take(5).map(String::as_str).collect();
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), shown.join("\n\n"));
}
