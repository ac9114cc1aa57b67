//! OpenID providers.

use super::databases::{Place, on_both_databases};
use super::publishing::{instance, put, soon, until};
use crate::cluster::MemoryCluster;
use crate::database::Database;
use crate::decisions::{issuers, providers, tenants};
use crate::error::Error;
use crate::json::{Issuer, Provider};
use axum::Router;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flight_proto::policy::{ISSUERS, Subject};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::net::TcpListener;

on_both_databases! {
    keys_are_fetched_and_kept_while_the_provider_is_away,
    providers_are_put_and_deleted,
    keys_are_fetched_again_by_the_clock_and_published,
}

/// What a provider answers; `None`: that it is broken.
type Answer = Arc<Mutex<Option<Value>>>;

async fn serve() -> (String, Answer) {
    let answer: Answer = Arc::new(Mutex::new(Some(jwks(&["k1"]))));
    let shown = answer.clone();
    let route = get(async move || match &*shown.lock() {
        Some(keys) => keys.to_string().into_response(),
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/jwks", route)).await });
    (url, answer)
}

fn jwks(ids: &[&str]) -> Value {
    let x = URL_SAFE_NO_PAD.encode([7; 32]);
    let keys = ids.iter().map(|id| json!({ "kty": "OKP", "crv": "Ed25519", "kid": id, "x": x }));
    json!({ "keys": keys.collect::<Vec<_>>() })
}

fn provider(url: &str) -> Provider {
    Provider {
        issuer: "https://login.example".into(),
        audience: "tundra".into(),
        jwks_url: format!("{url}/jwks"),
        tenant: String::new(),
        user_claim: String::new(),
        roles_claim: "groups".into(),
    }
}

fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

async fn told(database: &Database) -> Issuer {
    issuers::list(database).await.unwrap().pop().unwrap()
}

fn ids(issuer: &Issuer) -> Vec<&str> {
    issuer.keys.iter().map(|key| key.id.as_str()).collect()
}

async fn keys_are_fetched_and_kept_while_the_provider_is_away(place: &Place) {
    let (database, http, (url, answer)) = (place.open().await, client(), serve().await);
    let put = providers::put(&database, &http, "ann", provider(&url)).await.unwrap();
    assert_eq!((ids(&put), put.user_claim.as_str(), put.roles_claim.as_str()), (vec!["k1"], "sub", "groups"));
    let version = database.version().await.unwrap();
    providers::put(&database, &http, "ann", provider(&url)).await.unwrap();
    providers::refresh(&database, &http).await.unwrap();
    assert_eq!(database.version().await.unwrap(), version, "the same keys are no change");

    *answer.lock() = Some(jwks(&["k2", "k3"]));
    providers::refresh(&database, &http).await.unwrap();
    assert_eq!(ids(&told(&database).await), ["k2", "k3"]);
    assert_eq!(database.version().await.unwrap(), version + 1);
    for (broken, words) in
        [(None, "500"), (Some(json!({ "keys": [] })), "no key"), (Some(json!("x")), "no keys")]
    {
        *answer.lock() = broken;
        providers::refresh(&database, &http).await.unwrap();
        let told = told(&database).await;
        assert_eq!(ids(&told), ["k2", "k3"], "it keeps its last keys");
        assert!(told.failure.as_ref().is_some_and(|why| why.contains(words)), "{told:?}");
    }
    *answer.lock() = Some(jwks(&["k3"]));
    providers::refresh(&database, &http).await.unwrap();
    let told = told(&database).await;
    assert_eq!((ids(&told), &told.failure), (vec!["k3"], &None));
    let long = Value::String("x".repeat(2 << 20));
    *answer.lock() = Some(json!({ "keys": [long] }));
    let refused = providers::put(&database, &http, "ann", provider(&url)).await.unwrap_err().to_string();
    assert!(refused.contains("more than"), "{refused}");
}

async fn providers_are_put_and_deleted(place: &Place) {
    let (database, http, (url, answer)) = (place.open().await, client(), serve().await);
    let refused =
        async |changed: Provider| providers::put(&database, &http, "ann", changed).await.unwrap_err();
    for wrong in [
        Provider { issuer: "tundra".into(), ..provider(&url) },
        Provider { issuer: "http://login.example".into(), ..provider(&url) },
        Provider { audience: String::new(), ..provider(&url) },
        Provider { jwks_url: "http://login.example/jwks".into(), ..provider(&url) },
        Provider { jwks_url: "https://a:secret@login.example/jwks".into(), ..provider(&url) },
        Provider { jwks_url: "file:///etc/passwd".into(), ..provider(&url) },
        Provider { user_claim: "a\tb".into(), ..provider(&url) },
    ] {
        let error = refused(wrong.clone()).await;
        assert!(matches!(error, Error::Invalid(_)), "{wrong:?}: {error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    let of_nobody = Provider { tenant: "none".into(), ..provider(&url) };
    assert!(matches!(refused(of_nobody).await, Error::NotFound(_)));
    *answer.lock() = None;
    assert!(matches!(refused(provider(&url)).await, Error::Provider(_)));
    assert!(issuers::list(&database).await.unwrap().len() == 1, "nothing is left of what failed");

    *answer.lock() = Some(jwks(&["k1"]));
    put(&database, "acme", "gold").await;
    let of_acme = Provider { tenant: "acme".into(), user_claim: "email".into(), ..provider(&url) };
    let put = providers::put(&database, &http, "ann", of_acme).await.unwrap();
    assert_eq!((put.tenant.as_str(), put.user_claim.as_str()), ("acme", "email"));
    let refused = tenants::delete(&database, "ann", "acme").await.unwrap_err().to_string();
    assert!(refused.contains("https://login.example"), "{refused}");
    providers::delete(&database, "ann", "https://login.example").await.unwrap();
    tenants::delete(&database, "ann", "acme").await.unwrap();
    assert!(database.jwks_sources().await.unwrap().is_empty());
    for (name, conflict) in [("https://login.example", false), ("tundra", true)] {
        let error = providers::delete(&database, "ann", name).await.unwrap_err();
        assert_eq!(matches!(error, Error::Conflict(_)), conflict, "{error}");
    }
}

async fn keys_are_fetched_again_by_the_clock_and_published(place: &Place) {
    let (http, (url, answer)) = (client(), serve().await);
    let cluster = Arc::new(MemoryCluster::default());
    let served = instance(place, &cluster, soon()).await;
    providers::put(served.database(), &http, "ann", provider(&url)).await.unwrap();
    *answer.lock() = Some(jwks(&["k2"]));
    let published = async || {
        let subject = cluster.document(ISSUERS).and_then(|document| document.subject);
        let Some(Subject::Issuers(issuers)) = subject else { return false };
        issuers.issuers.get(1).is_some_and(|issuer| issuer.keys[0].id == "k2")
    };
    until("the provider's new key", published).await;
    served.shutdown().await.unwrap();
}
