//! The API over HTTP.

use super::databases::Place;
use crate::config::{Config, Environment, Login};
use crate::error::Error;
use crate::start::{Handle, start};
use flight_proto::policy::Subject;
use flight_proto::sealed::SecretKeys;
use reqwest::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HOST, ORIGIN, WWW_AUTHENTICATE};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

struct Served {
    handle: Handle,
    http: reqwest::Client,
    _place: Place,
}

impl Served {
    async fn start(operators: &[&str]) -> Served {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let place = Place::sqlite().unwrap();
        let operators: Vec<Login> = operators.iter().map(|text| text.parse().unwrap()).collect();
        let config = Config { operators, ..Config::new(place.folder()) };
        let handle = start(config, Environment::listen("127.0.0.1:0", None).await.unwrap()).await.unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Served { handle, http, _place: place }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("http://{}{path}", self.handle.http_address()))
    }

    async fn call(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.request(method, &format!("/api/v1/{path}"));
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.to_string());
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap())
    }

    async fn get(&self, path: &str) -> Value {
        let (status, answer) = self.call("GET", path, None).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }
}

#[tokio::test]
async fn tenants_keys_and_tokens() {
    let served = Served::start(&[]).await;
    let settings = json!({ "tier": "gold", "quotas": { "resident_bytes": 5 }, "workload": { "share": 2 } });
    let (status, made) = served.call("PUT", "tenants/acme?version=0", Some(settings.clone())).await;
    assert_eq!(
        (status, &made["status"], &made["settings"]["quotas"]["resident_bytes"]),
        (200, &json!("active"), &json!(5))
    );
    let (status, again) = served.call("PUT", "tenants/acme", Some(settings.clone())).await;
    assert_eq!((status, &again), (200, &made), "twice is once");
    assert_eq!(served.call("PUT", "tenants/acme?version=0", Some(settings)).await.0, 409);
    assert_eq!(served.get("tenants/acme").await, made);
    assert_eq!(served.get("tenants").await.as_array().unwrap().len(), 2);
    assert_eq!(served.call("POST", "tenants/acme/suspend", None).await.1["status"], "suspended");
    assert_eq!(served.call("POST", "tenants/acme/resume", None).await.1["status"], "active");

    let (status, key) = served.call("POST", "tenants/acme/keys", Some(json!({ "user": "etl" }))).await;
    assert_eq!(status, 201);
    let secret = key["key"].as_str().unwrap();
    let listed = served.get("tenants/acme/keys").await;
    assert_eq!(listed, json!([{ "id": key["id"], "user": "etl", "roles": [], "expires_at_us": 0 }]));
    let path = format!("tenants/acme/keys/{}", key["id"].as_str().unwrap());
    assert_eq!(served.call("DELETE", &path, None).await.0, 200);
    assert_eq!(served.call("DELETE", &path, None).await.0, 404);

    let body = json!({ "tenant": "acme", "user": "ann" }).to_string();
    let request = served.request(Method::POST, "/api/v1/tokens").header(CONTENT_TYPE, "application/json");
    let answer = request.body(body).send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()[CACHE_CONTROL]),
        (201, &"no-store".parse().unwrap())
    );
    let token: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    assert_eq!(token["token"].as_str().unwrap().split('.').count(), 3);

    let audit = served.get("audit").await;
    assert!(
        !audit.to_string().contains(secret) && !audit.to_string().contains(token["token"].as_str().unwrap())
    );
    assert_eq!(audit[2]["who"], "anonymous");
    assert_eq!(served.get("audit?after=2&limit=1").await.as_array().unwrap().len(), 1);
    let verified = served.get("audit/verify").await;
    assert_eq!(
        (&verified["intact"], &verified["entries"]),
        (&json!(true), &json!(audit.as_array().unwrap().len()))
    );
    assert_eq!(served.get("losses").await, json!([]));
    assert_eq!(served.call("DELETE", "tenants/acme", None).await.0, 200);
    served.handle.shutdown().await.unwrap();
}

#[tokio::test]
async fn routes_of_tenants() {
    let served = Served::start(&[]).await;
    let path = "tenants/acme/routes";
    let rule = json!({ "name": "keys", "engine": "pg", "when": { "shape": ["lookup"], "resident": { "below": 0.5 } } });
    let routes = json!({ "twins": [{ "table": "main.*", "foreign": "pg.*" }], "rules": [rule] });
    assert_eq!(served.call("PUT", path, Some(routes.clone())).await.0, 404, "there is no such tenant");
    assert_eq!(served.call("PUT", "tenants/acme", Some(json!({}))).await.0, 200);
    let (status, told) = served.call("GET", path, None).await;
    assert!(status == 404 && told["error"].as_str().unwrap().contains("tundra route set"), "{told}");
    let (status, set) = served.call("PUT", &format!("{path}?version=0"), Some(routes.clone())).await;
    assert_eq!((status, &set["routes"]["rules"], &set["tenant"]), (200, &routes["rules"], &json!("acme")));
    assert_eq!(served.call("PUT", path, Some(routes.clone())).await.1, set, "twice is once");
    assert_eq!(served.call("PUT", &format!("{path}?version=0"), Some(routes)).await.0, 409);
    let (status, told) =
        served.call("PUT", path, Some(json!({ "rules": [{ "name": "r", "engin": "pg" }] }))).await;
    assert!(status == 400 && told["error"].as_str().unwrap().contains("unknown field `engin`"), "{told}");
    let audit = served.get("audit").await.to_string();
    assert!(audit.contains("set routes") && audit.contains("lookup"), "{audit}");
    assert_eq!(served.call("DELETE", path, None).await, (200, set));
    assert_eq!(served.call("DELETE", path, None).await.0, 404);
    // They go with the tenant.
    assert_eq!(served.call("PUT", path, Some(json!({}))).await.0, 200);
    assert_eq!(served.call("DELETE", "tenants/acme", None).await.0, 200);
    assert!(served.get("audit").await.as_array().unwrap().iter().any(|entry| {
        (&entry["subject"], &entry["after"]["gone"]) == (&json!("routes/acme"), &json!(true))
    }));
    served.handle.shutdown().await.unwrap();
}

#[tokio::test]
async fn issuers_and_status() {
    let served = Served::start(&[]).await;
    let issuers = served.get("issuers").await;
    assert_eq!(
        (&issuers[0]["issuer"], &issuers[0]["keys"][0]["algorithm"]),
        (&json!("tundra"), &json!("EdDSA"))
    );
    let (status, rotated) = served.call("POST", "signing-keys/rotate", None).await;
    assert_eq!((status, rotated["keys"].as_array().unwrap().len()), (200, 2));
    let (_, forgotten) =
        served.call("POST", "signing-keys/rotate", Some(json!({ "forget_old": true }))).await;
    assert_eq!(forgotten["keys"].as_array().unwrap().len(), 1);
    let shown = served.request(Method::GET, "/.well-known/jwks.json").send().await.unwrap();
    let shown: Value = serde_json::from_slice(&shown.bytes().await.unwrap()).unwrap();
    assert_eq!(
        (&shown["keys"][0]["kid"], &shown["keys"][0]["crv"]),
        (&forgotten["keys"][0]["id"], &json!("Ed25519"))
    );
    let provider =
        json!({ "issuer": "https://login.example", "audience": "tundra", "jwks_url": "http://127.0.0.1:1/" });
    let (status, answer) = served.call("PUT", "issuers", Some(provider)).await;
    assert_eq!(status, 502, "{answer}");
    assert_eq!(served.call("DELETE", "issuers?issuer=https://login.example", None).await.0, 404);
    assert_eq!(served.call("DELETE", "issuers?issuer=tundra", None).await.0, 409);

    let status = served.get("status").await;
    assert_eq!(
        (&status["version"], &status["behind"], &status["published"]),
        (&json!(4), &json!(0), &Value::Null)
    );
    assert_eq!(status["policy_key"].as_str().unwrap().len(), 64);
    served.handle.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_is_wrong_is_told() {
    let served = Served::start(&[]).await;
    let cases = [
        ("GET", "nothing", None, 404, "/docs"),
        ("GET", "tenants/none", None, 404, "'none'"),
        ("PUT", "tenants/Acme", Some(json!({})), 400, "lower-case"),
        ("PUT", "tenants/acme", Some(json!({ "teir": "x" })), 400, "teir"),
        ("PUT", "tenants/acme", None, 400, "application/json"),
        ("PUT", "tenants/acme?version=x", Some(json!({})), 400, "version"),
        ("DELETE", "tenants/default", None, 409, "suspend"),
        ("POST", "tenants/none/keys", Some(json!({ "user": "x" })), 404, "'none'"),
        ("POST", "tenants/default/keys", Some(json!({ "user": "" })), 400, "a user"),
        (
            "POST",
            "tokens",
            Some(json!({ "tenant": "default", "user": "x", "lifetime_s": 90000 })),
            400,
            "86400",
        ),
        ("POST", "signing-keys/rotate", Some(json!({ "forget": true })), 400, "forget"),
        ("GET", "audit?limit=x", None, 400, "limit"),
        ("DELETE", "issuers", None, 400, "issuer"),
    ];
    for (method, path, body, expected, words) in cases {
        let (status, answer) = served.call(method, path, body).await;
        assert_eq!(status, expected, "{method} {path}: {answer}");
        assert!(answer["error"].as_str().unwrap().contains(words), "{method} {path}: {answer}");
    }
    served.handle.shutdown().await.unwrap();
}

#[tokio::test]
async fn operators_log_in_and_pages_of_others_are_refused() {
    let served = Served::start(&["ann:secret"]).await;
    let status = async |path: &str, password: Option<&str>| {
        let mut request = served.request(Method::GET, path);
        if let Some(password) = password {
            request = request.basic_auth("ann", Some(password));
        }
        request.send().await.unwrap()
    };
    let refused = status("/api/v1/tenants", None).await;
    assert_eq!(refused.status(), 401);
    assert!(refused.headers()[WWW_AUTHENTICATE].to_str().unwrap().starts_with("Basic"));
    assert_eq!(status("/api/v1/tenants", Some("wrong")).await.status(), 401);
    assert_eq!(status("/api/v1/tenants", Some("secret")).await.status(), 200);
    // Every call but those that are for everybody.
    let description = status("/openapi.json", None).await;
    let description: Value = serde_json::from_slice(&description.bytes().await.unwrap()).unwrap();
    let mut calls = 0;
    for (path, methods) in description["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let answer = served.request(method.clone(), path).send().await.unwrap();
            assert_eq!(answer.status(), 401, "{method} {path}");
            calls += 1;
        }
    }
    assert_eq!(calls, 44);
    for path in ["/healthz", "/docs", "/openapi.json", "/.well-known/jwks.json"] {
        assert_eq!(status(path, None).await.status(), 200, "{path}");
    }
    let other = served.request(Method::GET, "/api/v1/tenants").basic_auth("ann", Some("secret"));
    assert_eq!(other.header(ORIGIN, "http://evil.example").send().await.unwrap().status(), 403);
    served.handle.shutdown().await.unwrap();

    let open = Served::start(&[]).await;
    let named = open.request(Method::GET, "/api/v1/tenants").header(HOST, "evil.example");
    assert_eq!(named.send().await.unwrap().status(), 403);
    let shown = open.request(Method::GET, "/api/v1/tenants").header(AUTHORIZATION, "Bearer x");
    assert_eq!(shown.send().await.unwrap().status(), 200, "nobody has to say who he is");
    open.handle.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_could_not_be_safe_does_not_start() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let place = Place::sqlite().unwrap();
    let environment = Environment::listen("0.0.0.0:0", None).await.unwrap();
    let error = start(Config::new(place.folder()), environment).await.err().unwrap();
    assert!(matches!(error, Error::Invalid(_)), "{error}");
    let database = Some("mysql://ann:secret@host/name".to_string());
    let environment = Environment::listen("127.0.0.1:0", None).await.unwrap();
    let error = start(Config { database, ..Config::new(place.folder()) }, environment).await.err().unwrap();
    assert!(!error.to_string().contains("secret") && error.to_string().contains("postgresql://"), "{error}");
}

#[tokio::test]
async fn pools_are_scaled_by_policies() {
    let served = Served::start(&[]).await;
    assert_eq!(served.get("scaling/policies").await, json!([]));
    assert_eq!(served.get("scaling/status").await, json!([]));
    let policy = json!({ "minimum": 2, "maximum": 6,
        "windows": [{ "days": "mon-fri", "from": "08:00", "to": "18:00", "minimum": 4 }] });
    let (status, set) = served.call("PUT", "scaling/policies/default?version=0", Some(policy.clone())).await;
    assert_eq!((status, &set["version"], &set["policy"]["cooldown_in_s"]), (200, &json!(1), &json!(600)));
    assert_eq!(served.call("PUT", "scaling/policies/default?version=0", Some(policy)).await.0, 409);
    assert_eq!(served.get("scaling/policies/default").await, set);
    for (wrong, place) in [
        (json!({ "minimum": 7, "maximum": 6 }), "minimum"),
        (json!({ "minimun": 1 }), "minimun"),
        (json!({ "windows": [{ "days": "x", "from": "08:00", "to": "18:00", "minimum": 1 }] }), "window 1"),
    ] {
        let (status, told) = served.call("PUT", "scaling/policies/default", Some(wrong)).await;
        assert!(told["error"].as_str().unwrap().contains(place), "{told}");
        assert!(status == 400 || status == 422, "{status}");
    }
    let (status, told) = served.call("GET", "scaling/policies/acme", None).await;
    assert_eq!(status, 404, "{told}");
    let seen = served.get("scaling/status").await;
    assert!(seen[0]["failure"].as_str().unwrap().contains("--coordinators"), "{seen}");
    assert_eq!(served.get("scaling/history?limit=5").await[0]["action"], "scale policy");
    assert_eq!(served.call("DELETE", "scaling/policies/default", None).await.0, 200);
}

#[tokio::test]
async fn credentials_go_in_and_their_secrets_never_come_out() {
    let served = Served::start(&[]).await;
    let path = "tenants/acme/credentials";
    let wanted = json!({ "access_key_id": "AKIA1", "secret_access_key": "geheim", "session_token": "marke" });
    assert_eq!(served.call("PUT", path, Some(wanted.clone())).await.0, 404, "there is no such tenant");
    assert_eq!(served.call("PUT", "tenants/acme", Some(json!({}))).await.0, 200);
    let (status, told) = served.call("PUT", path, Some(wanted.clone())).await;
    assert!(status == 409 && told["error"].as_str().unwrap().contains("--secret-key"), "{told}");
    let Served { handle, http, _place } = served;
    handle.shutdown().await.unwrap();

    let config = Config { secret_keys: secret_keys(), ..Config::new(_place.folder()) };
    let handle = start(config, Environment::listen("127.0.0.1:0", None).await.unwrap()).await.unwrap();
    let served = Served { handle, http, _place };
    assert_eq!(served.call("GET", path, None).await.0, 404, "none was kept");
    let (status, set) = served.call("PUT", path, Some(wanted.clone())).await;
    let told = (&set["access_key_id"], &set["has_session_token"], &set["tenant"]);
    assert_eq!((status, told), (200, (&json!("AKIA1"), &json!(true), &json!("acme"))), "{set}");
    assert_eq!(served.get(path).await, set);
    for (wrong, why) in [
        (json!({ "access_key_id": "", "secret_access_key": "geheim" }), "an access key id is 1 to 128"),
        (json!({ "access_key_id": "AKIA1", "secret_access_key": "ge heim" }), "a secret access key is 1 to"),
        (
            json!({ "access_key_id": "AKIA1", "secret_access_key": "geheim", "endpoint": "s3.local" }),
            "an endpoint such as",
        ),
        (
            json!({ "access_key_id": "AKIA1", "secret_access_key": "geheim", "regio": "x" }),
            "unknown field `regio`",
        ),
        (json!({ "access_key_id": "AKIA1" }), "missing field `secret_access_key`"),
    ] {
        let (status, told) = served.call("PUT", path, Some(wrong)).await;
        let error = told["error"].as_str().unwrap();
        assert!(status == 400 && error.contains(why) && !error.contains("heim"), "{told}");
    }
    let with = |field: &str, value: serde_json::Value| {
        let mut wanted = wanted.clone();
        wanted[field] = value;
        wanted
    };
    assert_eq!(served.call("PUT", path, Some(with("region", json!("eu-west-1")))).await.0, 200);
    let elsewhere = with("endpoint", json!("https://s3.example.com"));
    let (status, told) = served.call("PUT", path, Some(elsewhere.clone())).await;
    assert!(status == 409 && told["error"].as_str().unwrap().contains("that of the nodes"), "{told}");
    let mut forced = elsewhere;
    forced["force"] = json!(true);
    assert_eq!(served.call("PUT", path, Some(forced)).await.0, 200);
    let (_, set) = served.call("PUT", path, Some(wanted.clone())).await;
    assert_eq!(
        (&set["region"], &set["endpoint"]),
        (&json!("eu-west-1"), &json!("https://s3.example.com")),
        "what is not named stays"
    );
    let audit = served.get("audit").await.to_string();
    assert!(
        audit.contains("set credentials") && audit.contains("AKIA1") && !audit.contains("geheim"),
        "{audit}"
    );
    let held = served.handle.database().document("credentials/acme").await.unwrap().unwrap();
    let Some(Subject::Credentials(kept)) = &held.document.subject else { panic!("{held:?}") };
    assert_eq!(kept.open(&secret_keys()).unwrap().session_token, "marke");
    assert!(!held.signed.document.windows(6).any(|bytes| bytes == b"geheim"));

    assert_eq!(served.call("DELETE", "tenants/acme", None).await.0, 200);
    assert_eq!(
        served.call("DELETE", path, None).await.1["access_key_id"],
        "AKIA1",
        "they outlive the tenant"
    );
    assert_eq!(served.call("DELETE", path, None).await.0, 404);
    served.handle.shutdown().await.unwrap();
}

fn secret_keys() -> SecretKeys {
    SecretKeys::parse("AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=").unwrap()
}
