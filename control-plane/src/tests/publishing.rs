//! From a decision to the cluster.

use super::databases::{Place, on_both_databases};
use crate::cluster::{Cluster, HttpCluster, MemoryCluster};
use crate::config::{Config, Environment, Intervals, Login};
use crate::database::Database;
use crate::decisions::{keys, tenants};
use crate::error::Error;
use crate::json::{NewKey, TenantSettings};
use crate::signing::SigningKey;
use crate::start::{Handle, start};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use flight_proto::admin::{Failure, Publish, PublishOutcome};
use flight_proto::policy::{Document, Gone, ISSUERS, Signed, Subject, keys_document, tenant_document};
use prost::Message;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

on_both_databases! {
    what_is_decided_is_published_within_a_second,
    what_was_decided_while_the_cluster_was_away_is_published_later,
    a_document_that_is_not_taken_holds_up_no_other,
    a_lot_is_published_in_parts,
}

/// As it serves, but soon.
pub(super) fn soon() -> Intervals {
    Intervals {
        look: Duration::from_millis(50),
        compare: Duration::from_millis(300),
        fetch: Duration::from_millis(100),
        usage: Duration::from_millis(100),
        renew: Duration::from_millis(300),
        lease: Duration::from_millis(1_200),
    }
}

/// An instance on a database.
pub(super) async fn instance(place: &Place, cluster: &Arc<MemoryCluster>, intervals: Intervals) -> Handle {
    let database = Some(place.url.clone());
    let config = Config { database, intervals, ..Config::new(place.folder()) };
    let environment = Environment::listen("127.0.0.1:0", Some(cluster.clone())).await.unwrap();
    start(config, environment).await.unwrap()
}

/// Waits until something is so; gives how long that took.
pub(super) async fn until(what: &str, is_so: impl AsyncFn() -> bool) -> Duration {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what} does not come");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    begun.elapsed()
}

pub(super) async fn has(cluster: &MemoryCluster, name: &str, version: u64) -> Duration {
    let is_so = async || cluster.document(name).is_some_and(|document| document.version == version);
    until(&format!("version {version} of {name}"), is_so).await
}

pub(super) async fn put(database: &Database, name: &str, tier: &str) -> u64 {
    let settings = TenantSettings { tier: tier.into(), ..TenantSettings::default() };
    tenants::put(database, "ann", name, settings, None).await.unwrap().version
}

async fn what_is_decided_is_published_within_a_second(place: &Place) {
    let cluster = Arc::new(MemoryCluster::default());
    let served = instance(place, &cluster, Intervals::default()).await;
    has(&cluster, ISSUERS, 2).await;
    // By this instance, and by another one that only shares the database.
    for database in [served.database(), &place.open().await] {
        let version = put(database, "acme", &format!("tier-{}", Arc::as_ptr(database).addr())).await;
        let took = has(&cluster, "tenant/acme", version).await;
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
    let key = NewKey { user: "etl".into(), roles: vec![], lifetime_s: None };
    keys::create(served.database(), "ann", "acme", key).await.unwrap();
    has(&cluster, "keys/acme", 5).await;
    tenants::delete(served.database(), "ann", "acme").await.unwrap();
    for (name, version) in [(tenant_document("acme"), 6), (keys_document("acme"), 7)] {
        has(&cluster, &name, version).await;
        assert_eq!(cluster.document(&name).unwrap().subject, Some(Subject::Gone(Gone {})));
    }
    let versions: Vec<u64> = cluster.history().into_iter().map(|(_, version)| version).collect();
    assert_eq!(versions, [1, 2, 3, 4, 5, 6, 7]);
    served.shutdown().await.unwrap();
}

async fn what_was_decided_while_the_cluster_was_away_is_published_later(place: &Place) {
    let cluster = Arc::new(MemoryCluster::default());
    let served = instance(place, &cluster, soon()).await;
    let database = served.database();
    has(&cluster, ISSUERS, 2).await;
    cluster.set_away(true);
    let version = put(database, "acme", "gold").await;
    let failed =
        async || database.publication().await.unwrap().is_some_and(|report| report.failure.is_some());
    until("a failure", failed).await;
    let report = database.publication().await.unwrap().unwrap();
    assert_eq!((report.version, report.coordinators[0].reachable), (2, false));
    assert!(report.failure.unwrap().contains("away"));
    cluster.set_away(false);
    has(&cluster, "tenant/acme", version).await;
    let well = async || {
        let report = database.publication().await.unwrap().unwrap();
        report.version == version && report.failure.is_none() && report.coordinators[0].reachable
    };
    until("a report", well).await;
    served.shutdown().await.unwrap();
}

async fn a_document_that_is_not_taken_holds_up_no_other(place: &Place) {
    let cluster = Arc::new(MemoryCluster::default());
    cluster.set_not_understood("tenant/acme");
    let served = instance(place, &cluster, soon()).await;
    let database = served.database();
    has(&cluster, ISSUERS, 2).await;
    let refused = put(database, "acme", "gold").await;
    let other = put(database, "other", "gold").await;
    has(&cluster, "tenant/other", other).await;
    assert!(cluster.document("tenant/acme").is_none());
    let told = async || {
        let report = database.publication().await.unwrap();
        report.and_then(|report| report.failure).is_some_and(|why| why.contains("'tenant/acme'"))
    };
    until("a report", told).await;
    // With the next release it is taken.
    cluster.set_not_understood("");
    has(&cluster, "tenant/acme", refused).await;
    let well = async || database.publication().await.unwrap().unwrap().failure.is_none();
    until("a report that is well", well).await;
    served.shutdown().await.unwrap();
}

async fn a_lot_is_published_in_parts(place: &Place) {
    const TENANTS: u64 = 250;
    let database = place.open().await;
    for number in 0..TENANTS {
        put(&database, &format!("t-{number}"), "gold").await;
    }
    let cluster = Arc::new(MemoryCluster::default());
    let served = instance(place, &cluster, soon()).await;
    has(&cluster, &format!("tenant/t-{}", TENANTS - 1), TENANTS + 2).await;
    assert_eq!(cluster.history().len() as u64, TENANTS + 2);
    served.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_cluster_in_memory_behaves_as_the_contract_says() {
    let cluster = MemoryCluster::default();
    let (key, other) = (SigningKey::generate().unwrap().0, SigningKey::generate().unwrap().0);
    let gone = |version, decided_at_us| {
        let subject = Some(Subject::Gone(Gone {}));
        Document { name: "tenant/a".into(), version, decided_at_us, subject }
    };
    let publish = async |key: &SigningKey, document: Document| {
        let published = cluster.publish(vec![key.sign_document(&document)]).await;
        published.map(|mut published| published.documents.remove(0)).map(|one| (one.outcome, one.version))
    };
    assert_eq!(publish(&key, gone(2, 0)).await.unwrap(), (PublishOutcome::Taken, 2));
    assert_eq!(publish(&key, gone(2, 0)).await.unwrap(), (PublishOutcome::Known, 2));
    assert_eq!(
        publish(&key, gone(2, 1)).await.unwrap(),
        (PublishOutcome::Stale, 2),
        "another of that version"
    );
    assert_eq!(publish(&key, gone(1, 0)).await.unwrap(), (PublishOutcome::Stale, 2));
    assert_eq!(publish(&key, gone(3, 0)).await.unwrap(), (PublishOutcome::Taken, 3));
    assert!(matches!(publish(&other, gone(4, 0)).await, Err(Error::Cluster(_))));
    let mut forged = key.sign_document(&gone(5, 0));
    forged.signature[0] ^= 1;
    assert!(cluster.publish(vec![forged]).await.is_err());
    assert_eq!(cluster.policy().await.unwrap().version, 3);
}

/// The coordinators' endpoint, which `ann` may call.
async fn coordinator(cluster: Arc<MemoryCluster>) -> String {
    async fn allowed(headers: HeaderMap) -> bool {
        // ann:secret
        headers.get(header::AUTHORIZATION).is_some_and(|shown| shown == "Basic YW5uOnNlY3JldA==")
    }
    fn answer<T: serde::Serialize>(answer: Result<T, Error>) -> Response {
        match answer {
            Ok(answer) => Json(answer).into_response(),
            Err(error) => (StatusCode::CONFLICT, Json(Failure { error: error.to_string() })).into_response(),
        }
    }
    let ask =
        async |headers: HeaderMap, State(cluster): State<Arc<MemoryCluster>>| match allowed(headers).await {
            true => answer(cluster.policy().await),
            false => StatusCode::UNAUTHORIZED.into_response(),
        };
    let take = async |headers: HeaderMap,
                      State(cluster): State<Arc<MemoryCluster>>,
                      Json(publish): Json<Publish>| {
        let read = |text: &String| Signed::decode(&*crate::hex::decode(text).unwrap()).unwrap();
        match allowed(headers).await {
            true => answer(cluster.publish(publish.documents.iter().map(read).collect()).await),
            false => StatusCode::UNAUTHORIZED.into_response(),
        }
    };
    let router = Router::new().route("/api/v1/policy", get(ask).put(take)).with_state(cluster);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

fn login(text: &str) -> Option<Login> {
    Some(text.parse().unwrap())
}

/// A port where nobody listens.
async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

fn install_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

#[tokio::test]
async fn coordinators_are_tried_in_turn() {
    install_tls();
    let memory = Arc::new(MemoryCluster::default());
    let (away, up) = (nobody().await, coordinator(memory.clone()).await);
    let cluster = HttpCluster::new(&[away.clone(), format!("{up}/")], login("ann:secret")).unwrap();
    assert!(cluster.coordinators().iter().all(|node| !node.reachable));
    let (key, _) = SigningKey::generate().unwrap();
    let subject = Some(Subject::Gone(Gone {}));
    let document = Document { name: "tenant/a".into(), version: 1, decided_at_us: 0, subject };
    let published = cluster.publish(vec![key.sign_document(&document)]).await.unwrap();
    assert_eq!(published.documents[0].outcome, PublishOutcome::Taken);
    let policy = cluster.policy().await.unwrap();
    assert_eq!((policy.version, policy.documents.len()), (1, 1));
    assert_eq!(policy.key, Some(crate::hex::encode(key.public())));
    let reachable: Vec<_> =
        cluster.coordinators().into_iter().map(|node| (node.url.contains(&away), node.reachable)).collect();
    assert!(reachable.contains(&(true, false)) && reachable.contains(&(false, true)), "{reachable:?}");

    let (other, _) = SigningKey::generate().unwrap();
    let foreign = cluster.publish(vec![other.sign_document(&document)]).await.unwrap_err().to_string();
    assert!(foreign.contains("another key"), "{foreign}");
    let unknown = HttpCluster::new(&[up], login("ann:wrong")).unwrap();
    let unknown = unknown.policy().await.unwrap_err().to_string();
    assert!(unknown.contains("401") && !unknown.contains("wrong"), "{unknown}");
    let alone = HttpCluster::new(&[away], None).unwrap();
    assert!(matches!(alone.policy().await, Err(Error::Cluster(_))));
}

#[tokio::test]
async fn urls_of_coordinators_have_no_passwords() {
    install_tls();
    for wrong in ["http://ann:secret@host:1", "host:8080", "ftp://host", ""] {
        let error = HttpCluster::new(&[wrong.to_string()], None).err().unwrap().to_string();
        assert!(error.contains("http://10.0.0.1:8080") && !error.contains("secret"), "{error}");
    }
}
