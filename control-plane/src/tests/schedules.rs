//! Schedules of tables: decided, published, and told over the API.

use super::databases::{Place, on_both_databases};
use super::publishing::{has, instance, soon};
use crate::cluster::MemoryCluster;
use crate::decisions::schedules::{self, Name};
use crate::decisions::tenants;
use crate::error::Error;
use crate::json::{ScheduleMode, ScheduleSettings, TenantSettings};
use flight_proto::policy::{Gone, Subject, schedules_document};
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};
use std::sync::Arc;

on_both_databases! {
    schedules_are_set_and_removed,
    schedules_are_published_and_run,
}

fn by(cron: &str) -> ScheduleSettings {
    ScheduleSettings {
        cron: cron.into(),
        zone: String::new(),
        mode: ScheduleMode::Full,
        paused: false,
        retries: 0,
        retry_pause_s: 0,
        limit_s: 0,
    }
}

fn name(name: &str) -> Name<'_> {
    Name { tenant: "acme", schema: "main", table: "t", name }
}

async fn schedules_are_set_and_removed(place: &Place) {
    let database = place.open().await;
    let unknown = schedules::put(&database, "ann", &name("nightly"), by("@daily")).await;
    assert!(matches!(unknown, Err(Error::NotFound(why)) if why.contains("'acme'")));
    tenants::put(&database, "ann", "acme", TenantSettings::default(), None).await.unwrap();
    let made = schedules::put(&database, "ann", &name("nightly"), by("0 3 * * *")).await.unwrap();
    assert_eq!(made.next_at_us.len(), 5);
    assert!(made.next_at_us.windows(2).all(|pair| pair[1] - pair[0] == 86_400_000_000));
    let berlin = ScheduleSettings { zone: "Europe/Berlin".into(), retries: 3, ..by("@hourly") };
    schedules::put(&database, "ann", &name("hourly"), berlin.clone()).await.unwrap();
    let version = database.document(&schedules_document("acme")).await.unwrap().unwrap().document.version;
    schedules::put(&database, "ann", &name("hourly"), berlin.clone()).await.unwrap();
    let again = database.document(&schedules_document("acme")).await.unwrap().unwrap().document.version;
    assert_eq!(again, version, "twice is once");
    let paused = schedules::set_paused(&database, "ben", &name("hourly"), true).await.unwrap();
    assert_eq!((paused.settings.paused, paused.next_at_us.len()), (true, 0));
    // Names of tables are those of SQL.
    let upper = Name { table: "T", ..name("hourly") };
    assert_eq!(schedules::show(&database, &upper).await.unwrap(), paused);
    schedules::set_paused(&database, "ben", &name("hourly"), false).await.unwrap();
    let listed = schedules::list(&database, "acme").await.unwrap();
    assert_eq!(listed.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["hourly", "nightly"]);
    assert_eq!(listed[0].settings, berlin);

    for (settings, told) in [
        (by("0 3 * *"), "five fields"),
        (by("0 0 31 2 *"), "never comes"),
        (ScheduleSettings { zone: "Berlin".into(), ..by("@daily") }, "no zone"),
        (ScheduleSettings { retries: 101, ..by("@daily") }, "100 times"),
        (ScheduleSettings { limit_s: u32::MAX, ..by("@daily") }, "a limit"),
    ] {
        let refused = schedules::put(&database, "ann", &name("nightly"), settings).await;
        assert!(matches!(&refused, Err(Error::Invalid(why)) if why.contains(told)), "{told}: {refused:?}");
    }
    for wrong in ["", "a\nb", &"x".repeat(300)] {
        assert!(schedules::put(&database, "ann", &name(wrong), by("@daily")).await.is_err(), "{wrong}");
    }
    schedules::remove(&database, "ann", &name("nightly")).await.unwrap();
    let gone = schedules::remove(&database, "ann", &name("nightly")).await;
    assert!(matches!(gone, Err(Error::NotFound(why)) if why.contains("'nightly' of 'main.t'")));

    let entries = database.audit(0, 100, None).await.unwrap();
    let actions = entries.iter().filter(|entry| entry.subject == schedules_document("acme"));
    let actions: Vec<(&str, &str)> =
        actions.map(|entry| (entry.who.as_str(), entry.action.as_str())).collect();
    let expected = [
        ("ann", "set schedule"),
        ("ann", "set schedule"),
        ("ben", "pause schedule"),
        ("ben", "resume schedule"),
        ("ann", "remove schedule"),
    ];
    assert_eq!(actions, expected);
    tenants::delete(&database, "ann", "acme").await.unwrap();
    let document = database.document(&schedules_document("acme")).await.unwrap().unwrap().document;
    assert_eq!(document.subject, Some(Subject::Gone(Gone {})));
    assert!(schedules::list(&database, "acme").await.is_err());
}

async fn schedules_are_published_and_run(place: &Place) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cluster = Arc::new(MemoryCluster::default());
    let handle = instance(place, &cluster, soon()).await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let call = async |method: Method, path: &str, body: Option<Value>| {
        let mut request =
            http.request(method, format!("http://{}/api/v1/schedules/{path}", handle.http_address()));
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.to_string());
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, serde_json::from_slice::<Value>(&answer.bytes().await.unwrap()).unwrap())
    };
    let path = "default/main/t/nightly";
    let run = || call(Method::POST, "default/main/t/nightly/run", None);
    assert_eq!(run().await.0, 404);
    let settings = json!({ "cron": "0 3 * * mon-fri", "mode": "full", "retries": 2 });
    let (status, made) = call(Method::PUT, path, Some(settings)).await;
    assert_eq!((status, &made["settings"]["zone"]), (200, &json!("")), "{made}");
    has(&cluster, "schedules/default", 3).await;
    let document = cluster.document("schedules/default").unwrap();
    let Some(Subject::Schedules(decided)) = document.subject else { panic!("{document:?}") };
    assert_eq!((decided.schedules[0].cron.as_str(), decided.schedules[0].retries), ("0 3 * * mon-fri", 2));

    assert_eq!(run().await.0, 202);
    assert_eq!(cluster.runs()[0].name, "nightly");
    assert_eq!(call(Method::GET, "default/history?limit=3", None).await, (200, json!([])));
    cluster.set_away(true);
    let (status, failure) = run().await;
    assert_eq!((status, &failure["error"]), (502, &json!("the cluster is away")));
    for (path, body, status, told) in [
        (path, json!({ "cron": "* * *" }), 400, "five fields"),
        (path, json!({ "zone": "UTC" }), 400, "cron"),
        (path, json!({ "cron": "@daily", "often": 1 }), 400, "often"),
        ("nobody/main/t/x", json!({ "cron": "@daily" }), 404, "nobody"),
    ] {
        let (got, failure) = call(Method::PUT, path, Some(body)).await;
        assert_eq!(got, status, "{failure}");
        assert!(failure["error"].as_str().unwrap().contains(told), "{failure}");
    }
    assert_eq!(call(Method::POST, &format!("{path}/pause"), None).await.1["next_at_us"], json!([]));
    assert_eq!(call(Method::POST, &format!("{path}/resume"), None).await.0, 200);
    assert_eq!(call(Method::DELETE, path, None).await.0, 200);
    assert_eq!(call(Method::GET, path, None).await.0, 404);
    assert_eq!(call(Method::GET, "default", None).await, (200, json!([])));
    handle.shutdown().await.unwrap();
}
