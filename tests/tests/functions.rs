//! Every example of a function gives what the engine says that it gives.

#![allow(clippy::unwrap_used)]

use exec::functions::Category;
use tundra_tests::server::{TestServer, Variation};

#[tokio::test(flavor = "multi_thread")]
async fn every_example_gives_what_it_says() {
    let server = TestServer::start(&Variation::shards(2)).await.unwrap();
    let mut connection = server.connect().await.unwrap();
    let mut wrong = Vec::new();
    for function in planner::functions() {
        let from = match function.category {
            Category::Aggregate => " FROM (VALUES (1), (2), (2), (NULL)) AS t(a)",
            _ => "",
        };
        let sql = format!("SELECT CAST({} AS VARCHAR){from}", function.example);
        let found = match connection.rows(&sql).await {
            Ok(rows) => rows.concat().join("|"),
            Err(failure) => failure.0,
        };
        // Texts come with their backslashes doubled.
        if function.result.is_empty() || found != function.result.replace('\\', "\\\\") {
            wrong.push(format!(
                "{}: {} gives {found}, not {}",
                function.name, function.example, function.result
            ));
        }
    }
    server.stop().await.unwrap();
    assert!(wrong.is_empty(), "{} examples:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_are_listed() {
    let server = TestServer::start(&Variation::shards(1)).await.unwrap();
    let mut connection = server.connect().await.unwrap();
    let all = connection.rows("SHOW FUNCTIONS").await.unwrap();
    let signatures: usize = planner::functions().iter().map(|function| function.signatures.len()).sum();
    assert_eq!(all.len(), signatures);
    let some = connection.rows("SHOW FUNCTIONS LIKE 'regexp\\_%'").await.unwrap();
    assert!(some.len() > 10 && some.iter().all(|row| row[0].starts_with("regexp_")));
    let sql = "SELECT count(DISTINCT function_name) FROM system.functions WHERE category = 'aggregates'";
    let aggregates = planner::functions().iter().filter(|f| f.category == Category::Aggregate).count();
    assert_eq!(connection.rows(sql).await.unwrap(), [[aggregates.to_string()]]);
    server.stop().await.unwrap();
}
