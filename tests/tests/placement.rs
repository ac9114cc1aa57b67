//! Tables whose rows are placed on shards by a key: the answers are those of tables that lie anywhere, and rows that
//! are joined or grouped by the key do not travel.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use tundra_tests::connection::Connection;
use tundra_tests::server::{TestServer, Variation};

const DIGITS: &str = "(VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9))";

/// What is asked of `item` and `line`, which join by `k`; `*` is where the names end.
const QUERIES: [&str; 7] = [
    "SELECT count(*), sum(i.k), sum(l.v) FROM item* i JOIN line* l ON i.k = l.k",
    "SELECT l.k, count(*), sum(l.v) FROM line* l GROUP BY l.k ORDER BY l.k LIMIT 50",
    "SELECT i.name, count(*) FROM item* i JOIN line* l ON i.k = l.k WHERE l.v > 40 GROUP BY i.name ORDER BY 1",
    "SELECT count(*) FROM item* i WHERE NOT EXISTS (SELECT 1 FROM line* l WHERE l.k = i.k)",
    "SELECT count(*), count(l.v) FROM item* i LEFT JOIN line* l ON i.k = l.k AND l.v < 10",
    "SELECT count(*), count(i.k), count(l.k) FROM item* i FULL JOIN line* l ON i.k = l.k",
    "SELECT day, count(*) FROM item* GROUP BY day ORDER BY day LIMIT 10",
];

async fn start(shards: usize) -> (TestServer, Connection) {
    let server = TestServer::start(&Variation::shards(shards)).await.unwrap();
    let mut connection = server.session();
    let thousand = format!(
        "SELECT a.d * 100 + b.d * 10 + c.d AS k FROM {DIGITS} a(d), {DIGITS} b(d), {DIGITS} c(d) ORDER BY 1"
    );
    for sql in [
        format!(
            "CREATE TABLE item AS SELECT k, 'name ' || (k % 13)::varchar AS name, DATE '2024-01-01' + k::int AS day \
             FROM ({thousand}) t WHERE k % 5 <> 2"
        ),
        // Some keys are null, some have no item.
        format!(
            "CREATE TABLE line AS SELECT CASE WHEN k % 17 = 0 THEN NULL ELSE k END AS k, d * k % 97 AS v \
             FROM ({thousand}) t, {DIGITS} x(d) ORDER BY t.k"
        ),
    ] {
        connection.execute(&sql).await.unwrap();
    }
    (server, connection)
}

/// Where the files of `item` or of `line` lie.
fn location(server: &TestServer, number: u64) -> String {
    format!("file://{}/objects/default/{number}/data/*.parquet", server.folder().display())
}

async fn create(connection: &mut Connection, name: &str, location: &str, by: &str) -> Result<(), String> {
    let sql =
        format!("CREATE EXTERNAL TABLE {name} STORED AS PARQUET LOCATION '{location}' PARTITION BY {by}");
    connection.execute(&sql).await.map(drop).map_err(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_do_not_depend_on_where_rows_lie() {
    for shards in [1, 3, 4] {
        let (server, mut connection) = start(shards).await;
        let placements = [
            ("hash", "HASH (k)", "HASH (k)"),
            ("range", "RANGE (k)", "RANGE (k)"),
            ("day", "RANGE (day)", "RANGE (v)"),
        ];
        for (end, item, line) in placements {
            create(&mut connection, &format!("item_{end}"), &location(&server, 1), item).await.unwrap();
            create(&mut connection, &format!("line_{end}"), &location(&server, 2), line).await.unwrap();
        }
        for query in QUERIES {
            let expected = connection.rows(&query.replace('*', "")).await.unwrap();
            assert!(!expected.is_empty());
            for (item, line) in [
                ("_hash", "_hash"),
                ("_range", "_range"),
                ("_day", "_day"),
                ("_range", "_hash"),
                ("_hash", "_day"),
            ] {
                let sql =
                    query.replace("item*", &format!("item{item}")).replace("line*", &format!("line{line}"));
                assert_eq!(connection.rows(&sql).await.unwrap(), expected, "{shards} shards: {sql}");
            }
        }
        server.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_lie_together_do_not_travel() {
    let (server, mut connection) = start(3).await;
    for by in ["HASH", "RANGE"] {
        let end = by.to_lowercase();
        create(&mut connection, &format!("item_{end}"), &location(&server, 1), &format!("{by} (k)"))
            .await
            .unwrap();
        create(&mut connection, &format!("line_{end}"), &location(&server, 2), &format!("{by} (k)"))
            .await
            .unwrap();
        for sql in [
            format!("SELECT count(*) FROM item_{end} i JOIN line_{end} l ON i.k = l.k"),
            format!("SELECT k, sum(v) AS s FROM line_{end} GROUP BY k ORDER BY s LIMIT 3"),
        ] {
            let plan = connection.rows(&format!("EXPLAIN {sql}")).await.unwrap().concat().join("\n");
            assert!(!plan.contains("Exchange hash") && !plan.contains("Exchange range"), "{plan}");
            assert!(!plan.contains("broadcast"), "{plan}");
        }
    }
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_cut_into_ranges_is_refused() {
    let (server, mut connection) = start(2).await;
    let item = location(&server, 1);
    for (by, message) in [
        ("RANGE (name)", "the column is VARCHAR"),
        ("RANGE (nothing)", "'nothing', which is none of k, name, day"),
        ("HASH (k, nothing)", "'nothing'"),
        ("RANGE (k, day)", "several columns"),
        ("LIST (k)", "HASH (columns) or RANGE (column)"),
    ] {
        let error = create(&mut connection, "t", &item, by).await.unwrap_err();
        assert!(error.contains(message), "{by}: {error}");
    }
    server.stop().await.unwrap();
}
