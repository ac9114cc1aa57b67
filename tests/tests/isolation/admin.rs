//! What operators have: the Admin API and metrics of coordinators, the control plane's API, nodes that are asked directly, and
//! engines beside Tundra.

use super::ways::{Ways, leak};
use super::world::{OPERATOR, Shown, World, control_plane};
use flight_proto::node::Service as Kind;
use network::{Authority, Credentials, Network, Peers, Quic, QuicOptions, Service};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

const METHODS: [&str; 5] = ["get", "put", "post", "delete", "patch"];
/// What nobody has to log in for.
const OPEN: [&str; 6] = ["/healthz", "/readyz", "/docs", "/openapi.json", "/metrics", "/metrics?tenant=acme"];

/// What a tenant's users, and nobody, can show.
fn callers(world: &World) -> Vec<Shown> {
    vec![
        Shown::default(),
        world.rival.clone(),
        Shown::bearer(&world.rival_token),
        Shown::basic("etl", &world.rival_key),
        Shown::basic("mallory", &world.rival_token),
        Shown::basic(OPERATOR.0, "guess"),
        Shown::basic("default/etl", &world.rival_key).of_tenant("default"),
    ]
}

/// Every call that a description has.
fn calls(description: &str) -> Vec<(String, String)> {
    let description: Value = serde_json::from_str(description).unwrap();
    let mut calls = Vec::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for method in METHODS.iter().filter(|method| methods.get(**method).is_some()) {
            calls.push((method.to_uppercase(), path.clone()));
        }
    }
    calls
}

fn of_acme(path: &str) -> String {
    let path = path.replace("{dataset}", "acme%2Fmain.vault_qx").replace("{name}", "acme");
    let path = path.replace("{query}", "1").replace("{id}", "1").replace("{tenant}", "acme");
    match path.ends_with("/placement") {
        true => path + "?dataset=acme%2Fmain.vault_qx",
        false => path,
    }
}

fn is_refused(status: u16) -> bool {
    status == 401 || status == 403
}

pub(crate) async fn try_all(world: &World, ways: &mut Ways) {
    let operator = Shown::basic(OPERATOR.0, OPERATOR.1);
    let (_, description) = world.http(&Shown::default(), "GET", "/openapi.json", "").await;
    for (method, path) in calls(&description) {
        let mut reached = None;
        for shown in callers(world) {
            let (status, body) = world.http(&shown, &method, &of_acme(&path), "{}").await;
            let told = !is_refused(status) || body.contains("acme");
            reached = reached.or_else(|| told.then(|| format!("{status} {body:.200}")));
        }
        ways.tried("admin", format!("{method} {path}"), reached);
    }
    for path in ["/api/v1/datasets", "/api/v1/policy", "/api/v1/datasets/acme%2Fmain.vault_qx/versions"] {
        let (status, body) = world.http(&operator, "GET", path, "").await;
        let seen = body.contains("acme") || body.contains("3137");
        ways.owner("admin", &format!("an operator: GET {path}: {status} {body:.200}"), status == 200 && seen);
    }
    for path in OPEN {
        let mut reached = None;
        for shown in callers(world) {
            let (_, body) = world.http(&shown, "GET", path, "").await;
            let named = body.contains("acme") || body.contains("_qx");
            reached = reached.or(leak(&body)).or_else(|| named.then(|| format!("{path} names acme")));
        }
        ways.tried("admin", format!("GET {path}"), reached);
    }
    let (status, body) = world.http(&operator, "GET", "/metrics", "").await;
    ways.owner("admin", &format!("an operator's metrics: {status}"), body.contains("acme"));
    of_control(world, ways, &operator).await;
    another_key(world, ways, &operator).await;
    nodes(world, ways).await;
    engines(world, ways).await;
}

async fn of_control(world: &World, ways: &mut Ways, operator: &Shown) {
    let (_, description) = world.http_of_control(&Shown::default(), "GET", "/openapi.json", "").await;
    for (method, path) in calls(&description) {
        let mut reached = None;
        for shown in callers(world) {
            let (status, body) = world.http_of_control(&shown, &method, &of_acme(&path), "{}").await;
            let told = !is_refused(status) || body.contains("acme");
            reached = reached.or_else(|| told.then(|| format!("{status} {body:.200}")));
        }
        ways.tried("control", format!("{method} {path}"), reached);
    }
    for path in ["/api/v1/tenants", "/api/v1/tenants/acme/keys", "/api/v1/audit"] {
        let (status, body) = world.http_of_control(operator, "GET", path, "").await;
        ways.owner(
            "control",
            &format!("an operator: GET {path}"),
            status == 200 && body.contains("etl") | body.contains("acme"),
        );
    }
}

/// Another control plane, with a key of its own, has nothing taken; not even in an operator's name.
async fn another_key(world: &World, ways: &mut Ways, operator: &Shown) {
    let (_, before) = world.http(operator, "GET", "/api/v1/policy", "").await;
    let data = world.folder().join("other").display().to_string();
    let (node, url) = control_plane(&data, &world.cluster.http).await;
    let address = url.trim_start_matches("http://");
    let lines = format!("{}content-type: application/json\r\n", operator.lines());
    let made =
        tundra_tests::http::request(address, "PUT", "/api/v1/tenants/acme", &lines, "{}").await.unwrap();
    ways.owner("control", &format!("it decides for itself: {made:?}"), made.0 == 200 || made.0 == 201);
    let made = tundra_tests::http::request(
        address,
        "POST",
        "/api/v1/tenants/acme/keys",
        &lines,
        "{\"user\":\"mallory\"}",
    );
    let made: Value = serde_json::from_str(&made.await.unwrap().1).unwrap();
    let key = Shown::bearer(made["key"].as_str().unwrap());
    tokio::time::sleep(Duration::from_secs(3)).await;
    let answer = world.ask(&key, "SELECT owner FROM item").await;
    ways.refused("control", "a key of another control plane", &answer);
    let (_, after) = world.http(operator, "GET", "/api/v1/policy", "").await;
    ways.tried(
        "control",
        "documents that are signed with another key",
        (before != after).then(|| "the policy has changed".into()),
    );
    node.end().await.unwrap();
}

/// Nodes let in who has a certificate of the cluster's authority.
async fn nodes(world: &World, ways: &mut Ways) {
    let addresses =
        world.must(&Shown::basic(OPERATOR.0, OPERATOR.1), "SELECT address FROM system.shards").await;
    let shard = addresses.lines().next().unwrap().to_string();
    let coordinator = world.cluster.members().unwrap()[0].clone();
    let own = world.cluster.data().join("certificates/coordinator-1");
    let own = Credentials::load(&own).unwrap();
    let foreign = Authority::create().unwrap().issue("shard-1").unwrap();
    for (node, address) in [("a shard", &shard), ("a coordinator", &coordinator)] {
        let quic = Quic::new(&own, &QuicOptions::default());
        let peers = Peers::new(Arc::new(quic.unwrap()) as Arc<dyn Network>, Duration::from_secs(3));
        let let_in = peers.open(address, Service(Kind::Heartbeat as u16)).await;
        ways.owner("nodes", &format!("{node} lets in its cluster's"), let_in.is_ok());
        for kind in [Kind::Run, Kind::Rows, Kind::Hydrate, Kind::Manifest, Kind::Heartbeat] {
            let quic = Quic::new(&foreign, &QuicOptions::default()).unwrap();
            let peers = Peers::new(Arc::new(quic) as Arc<dyn Network>, Duration::from_secs(3));
            let answer =
                peers.call(address, Service(kind as u16), bytes::Bytes::new(), Duration::from_secs(3)).await;
            let reached = answer.is_ok().then(|| format!("{answer:?}"));
            ways.tried(
                "nodes",
                format!("{node}, asked for {kind:?} with another authority's certificate"),
                reached,
            );
        }
        let plain = tokio::net::TcpStream::connect(address.as_str()).await;
        ways.tried("nodes", format!("{node}, over plain TCP"), plain.is_ok().then(|| "it listens".into()));
    }
}

/// Servers of another tenant are told as those that are not there.
async fn engines(world: &World, ways: &mut Ways) {
    for sql in [
        "DROP SERVER engine_qx",
        "DROP SERVER engine_qx CASCADE",
        "CREATE FOREIGN TABLE far (i INTEGER) SERVER engine_qx",
        "IMPORT FOREIGN SCHEMA public FROM SERVER engine_qx INTO main",
        "DROP FOREIGN TABLE acme.main.vault_qx",
        "CREATE SERVER acme FOREIGN DATA WRAPPER tundra OPTIONS (host '127.0.0.1', port '31337')",
    ] {
        ways.refused("engines", sql, &world.ask(&world.rival, sql).await);
    }
}
