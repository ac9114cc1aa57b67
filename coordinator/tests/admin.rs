//! The Admin API of a coordinator with its shards in one process.
#![allow(clippy::unwrap_used)]

use crate::server::Server;
use coordinator::User;
use serde_json::{Value, json};

async fn get(server: &Server, path: &str) -> Value {
    let (status, body) = server.http(path).await;
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

/// The words of a refusal.
async fn refused(server: &Server, method: &str, path: &str, headers: &str, status: u16) -> String {
    let (told, body) = server.request(method, path, headers, "").await;
    assert_eq!(told, status, "{method} {path}: {body}");
    let body: Value = serde_json::from_str(&body).unwrap();
    body["error"].as_str().unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_there_is() {
    let server =
        Server::start(|config| (config.shards, config.replicated_rows, config.bucket_rows) = (2, 2, 1)).await;
    server.run("CREATE TABLE small AS SELECT 1 AS a").await.unwrap();
    server.run("CREATE SCHEMA sales").await.unwrap();
    server
        .run("CREATE TABLE sales.item AS SELECT * FROM (VALUES (1), (2), (3), (4)) AS t (i)")
        .await
        .unwrap();
    server.run("INSERT INTO sales.item VALUES (5)").await.unwrap();

    let nodes = get(&server, "/api/v1/nodes").await;
    assert_eq!(nodes["coordinators"][0]["role"], "leader");
    assert_eq!(nodes["shards"][1]["id"], "0000000000000001");
    assert_eq!(nodes["shards"][1]["status"], "active");
    assert_eq!(
        (&nodes["cluster_version"], &nodes["coordinators"][0]["speaks"]["most"]),
        (&json!(2), &json!(2))
    );
    assert_eq!(get(&server, "/api/v1/leader").await["coordinator"], 1);

    let datasets = get(&server, "/api/v1/datasets").await;
    assert_eq!(datasets[0]["table"], "small");
    let item = &datasets[1];
    assert_eq!((&item["schema"], &item["rows"], &item["version"]), (&json!("sales"), &json!(5), &json!(2)));
    assert_eq!((&item["placement"], &item["state"]), (&json!("spread"), &json!("resident")));

    let versions = get(&server, "/api/v1/datasets/sales.item/versions").await;
    let versions: Vec<_> =
        versions.as_array().unwrap().iter().map(|one| (&one["version"], &one["rows"])).collect();
    assert_eq!(versions, [(&json!(2), &json!(5)), (&json!(1), &json!(4))]);
    let path = format!("/api/v1/datasets/{}/versions?limit=1", item["dataset"]);
    assert_eq!(get(&server, &path).await.as_array().unwrap().len(), 1);

    let placement = get(&server, "/api/v1/placement?dataset=sales.item").await;
    assert_eq!(placement.as_array().unwrap().len(), 1);
    let buckets = placement[0]["buckets"].as_array().unwrap();
    assert_eq!(buckets.iter().map(|bucket| bucket["rows"].as_u64().unwrap()).sum::<u64>(), 5);
    assert!(buckets.iter().all(|bucket| bucket["shards"].as_array().unwrap().len() == 1), "{buckets:?}");
    let placement = get(&server, "/api/v1/placement?dataset=small").await;
    assert_eq!(placement[0]["buckets"][0]["shards"].as_array().unwrap().len(), 2);

    let (status, body) = server.request("POST", "/api/v1/upgrade", "", "").await;
    assert_eq!((status, serde_json::from_str(&body).unwrap()), (200, json!({ "before": 2, "after": 2 })));
    let (status, body) = server.request("POST", "/api/v1/snapshot", "", "").await;
    assert_eq!(status, 200, "{body}");
    let copy: Value = serde_json::from_str(&body).unwrap();
    let path = copy["url"].as_str().unwrap().strip_prefix("file://").unwrap().to_string();
    assert!(std::fs::metadata(&path).unwrap().len() > 0, "{path}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_are_shown_and_ended() {
    let server = Server::start(|_| {}).await;
    server
        .run("CREATE TABLE t AS SELECT * FROM (VALUES (1), (2), (3), (4), (5), (6), (7), (8)) AS t (i)")
        .await
        .unwrap();
    for _ in 0..7 {
        server.run("INSERT INTO t SELECT i FROM t").await.unwrap();
    }
    let endless = "SELECT count(*) FROM t a, t b, t c, t d, t e";
    let session = server.handle().session("someone");
    let running = tokio::spawn(async move { crate::server::gather(session.execute(endless).await?).await });
    let query = loop {
        let queries = get(&server, "/api/v1/queries").await;
        if let Some(query) = queries["queries"].as_array().unwrap().first() {
            break query.clone();
        }
    };
    assert_eq!((&query["sql"], &query["principal"]), (&json!(endless), &json!("someone")));
    let path = format!("/api/v1/queries/{}", query["query"].as_str().unwrap());
    let plan = loop {
        if let Some(plan) = get(&server, &path).await["plan"].as_str() {
            break plan.to_string();
        }
    };
    assert!(plan.to_lowercase().contains("scan"), "{plan}");
    let (status, body) = server.request("DELETE", &path, "", "").await;
    assert_eq!(status, 200, "{body}");
    assert!(running.await.unwrap().unwrap_err().to_string().contains("cancel"));
    let gone = refused(&server, "GET", &path, "", 404).await;
    assert!(gone.contains("ended"), "{gone}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_told() {
    let server = Server::start(|_| {}).await;
    let no_table = refused(&server, "GET", "/api/v1/datasets/nowhere/versions", "", 404).await;
    assert!(no_table.contains("nowhere"), "{no_table}");
    let no_number = refused(&server, "DELETE", "/api/v1/queries/xyz", "", 400).await;
    assert!(no_number.contains("hexadecimal"), "{no_number}");
    let unknown = refused(&server, "GET", "/api/v1/nothing", "", 404).await;
    assert!(unknown.contains("/docs"), "{unknown}");
    let limit = refused(&server, "GET", "/api/v1/datasets/1/versions?limit=many", "", 400).await;
    assert!(limit.contains("limit"), "{limit}");
    // A page of another site, in the browser of someone who reaches this one.
    refused(&server, "POST", "/api/v1/snapshot", "origin: http://elsewhere.example\r\n", 403).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn users_log_in() {
    let user = User { name: "user".into(), password: "password".into() };
    let server = Server::start(|config| config.users = vec![user]).await;
    refused(&server, "GET", "/api/v1/nodes", "", 401).await;
    // user:wrong
    refused(&server, "GET", "/api/v1/nodes", "authorization: Basic dXNlcjp3cm9uZw==\r\n", 401).await;
    let (status, _) =
        server.request("GET", "/api/v1/nodes", "authorization: Basic dXNlcjpwYXNzd29yZA==\r\n", "").await;
    assert_eq!(status, 200);
    for open in ["/healthz", "/readyz", "/metrics", "/docs", "/openapi.json"] {
        assert_eq!(server.http(open).await.0, 200, "{open}");
    }
    server.stop().await;
}

/// The page shows what the description has, and needs nothing from elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn the_description_is_whole() {
    let server = Server::start(|_| {}).await;
    let api = get(&server, "/openapi.json").await;
    for path in ["/api/v1/nodes", "/api/v1/datasets/{dataset}/versions", "/api/v1/queries/{query}"] {
        assert!(api["paths"][path]["get"]["summary"].is_string(), "{path}: {api}");
    }
    let nodes = &api["components"]["schemas"]["Nodes"]["properties"];
    assert_eq!(nodes["shards"]["items"]["$ref"], "#/components/schemas/Shard");
    assert!(api["components"]["schemas"]["Shard"]["properties"]["status"]["description"].is_string());
    let (_, page) = server.http("/docs").await;
    assert!(page.contains("/openapi.json"));
    assert!(!page.contains("http://") && !page.contains("https://"), "it works offline");
    server.stop().await;
}
