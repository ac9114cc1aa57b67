//! What statements use is counted by user and label, and budgets act on it while they run.
#![allow(clippy::unwrap_used)]

use crate::server::policy::{ControlPlane, api_key};
use crate::server::{Client, Server, ask};
use flight_proto::policy::{
    Budget, Budgets, OnLimit, Period, Price, Prices, Quotas, Spend, Spent, SpentBy, Subject, Tenant,
    TenantStatus,
};
use flight_proto::usage::{Measures, Usage};
use std::time::{Duration, Instant};

/// Far more rows than anybody waits for.
const ENDLESS: &str = "SELECT count(*) FROM n a, n b, n c, n d, n e WHERE (a.i + b.i * 3 + c.i * 5 + d.i * 7 + e.i * 11) % 13 = 5";
/// Of which the planner does not know the answer.
const COUNT: &str = "SELECT count(*) FROM n WHERE i % 2 = 0";
const NUMBERS: &str = "CREATE TABLE n AS SELECT a.i * 10 + b.i AS i, 'some text' AS t FROM \
                       (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) a (i), \
                       (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) b (i)";

struct Acme {
    server: Server,
    control: ControlPlane,
    ann: Client,
    bob: Client,
}

/// A tenant with two users and a table; a second of a processor costs 1.
async fn acme() -> Acme {
    let server = Server::start(|_| {}).await;
    let mut control = ControlPlane::new(1);
    control.tenant(&server, "acme", TenantStatus::Active).await;
    control.keys(&server, "acme", &[("ann", 0), ("bob", 0)]).await;
    let price = Price { processor_hour_micros: 3_600_000_000, ..Price::default() };
    publish(&mut control, &server, "prices", Subject::Prices(Prices { prices: vec![price] })).await;
    let mut ann = server.client_with(&api_key("acme", "ann")).await;
    let bob = server.client_with(&api_key("acme", "bob")).await;
    ask(&mut ann, NUMBERS).await.unwrap();
    // Prices are taken in within a second.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    Acme { server, control, ann, bob }
}

async fn publish(control: &mut ControlPlane, server: &Server, name: &str, subject: Subject) {
    let document = control.document(name, subject);
    let (status, told) = control.publish(server, &[document]).await;
    assert_eq!((status, &told["documents"][0]["outcome"]), (200, &"taken".into()), "{told}");
}

fn budget(user: &str, limit_micros: u64, on_limit: OnLimit) -> Budget {
    Budget {
        name: "b".into(),
        user: user.into(),
        label: String::new(),
        period: Period::Month.into(),
        limit_micros,
        warn_percent: 50,
        on_limit: on_limit.into(),
    }
}

impl Acme {
    async fn budgets(&mut self, budgets: Vec<Budget>) {
        let subject = Subject::Budgets(Budgets { tenant: "acme".into(), budgets });
        publish(&mut self.control, &self.server, "budgets/acme", subject).await;
    }

    async fn told(&self, source: &str, taken: u64) -> Usage {
        let (status, body) = self.server.http(&format!("/api/v1/usage?source={source}&taken={taken}")).await;
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }
}

fn sum(usage: &Usage, user: &str, label: &str) -> Measures {
    let mut sum = Measures::default();
    let rows = usage.batches.iter().flat_map(|batch| &batch.rows);
    rows.filter(|row| (&*row.tenant, &*row.user, &*row.label) == ("acme", user, label))
        .for_each(|row| sum.add(&row.used));
    sum
}

#[tokio::test]
async fn it_is_counted_by_user_and_label() {
    let mut acme = acme().await;
    acme.bob.set_header("query_label", "dash boards");
    assert_eq!(ask(&mut acme.bob, "SELECT sum(i), min(t) FROM n").await.unwrap(), ["4950", "some text"]);
    ask(&mut acme.bob, "SELECT a.i FROM n a, n b ORDER BY a.i + b.i").await.unwrap();
    ask(&mut acme.bob, "SELECT CAST(t AS INTEGER) FROM n").await.unwrap_err();
    let mut other = acme.server.client_with(&api_key("acme", "bob")).await;
    ask(&mut other, "SET query_label = 'etl'").await.unwrap();
    ask(&mut other, "INSERT INTO n SELECT i, t FROM n").await.unwrap();

    let told = acme.told("", 0).await;
    let dashboards = sum(&told, "bob", "dash boards");
    assert_eq!((dashboards.statements, dashboards.returned_rows), (3, 10_001), "{told:?}");
    assert!(dashboards.processor_us > 0 && dashboards.scanned_bytes > 0, "{dashboards:?}");
    assert!((40_000..200_000).contains(&dashboards.returned_bytes), "{dashboards:?}");
    let etl = sum(&told, "bob", "etl");
    assert_eq!((etl.statements, etl.store_requests), (1, 2), "a file and its manifest");
    assert!(etl.store_bytes > 500, "{etl:?}");
    assert_eq!(sum(&told, "bob", "").statements, 1, "what sets the label has none yet");
    assert!(told.resident.iter().any(|one| one.tenant == "acme" && one.bytes > 0), "{:?}", told.resident);

    // The tenant sees the same, and others do not.
    let of_bob = "SELECT sum(statements), sum(returned_rows), sum(store_requests) FROM system.usage \
                  WHERE user_name = 'bob' AND label <> ''";
    assert_eq!(ask(&mut acme.ann, of_bob).await.unwrap(), ["4", "10001", "2"]);
    let cost = "SELECT sum(cost) > 0, sum(processor_us) / 1000000.0 - sum(cost) < 0.01 FROM system.usage";
    assert_eq!(ask(&mut acme.ann, cost).await.unwrap(), ["true", "true"]);
    assert_eq!(acme.server.value("SELECT count(*) FROM system.usage WHERE user_name = 'bob'").await, "0");

    // It comes again until it is acknowledged.
    let again = acme.told(&told.source, 0).await;
    assert_eq!(again.batches[..told.batches.len()], told.batches);
    let last = again.batches.last().unwrap().sequence;
    let rest = acme.told(&told.source, last).await;
    assert!(rest.batches.iter().all(|batch| batch.sequence > last));
    assert_eq!(sum(&rest, "bob", "dash boards"), Measures::default());
    for wrong in ["SET query_label = 'a\nb'", &format!("SET query_label = '{}'", "x".repeat(65))] {
        assert!(ask(&mut acme.ann, wrong).await.unwrap_err().contains("query_label"));
    }
    let (status, _) = acme.server.http("/api/v1/usage?taken=soon").await;
    assert_eq!(status, 400);
    acme.server.stop().await;
}

#[tokio::test]
async fn a_budget_stops_a_runaway_user_and_nobody_else() {
    let mut acme = acme().await;
    acme.budgets(vec![budget("bob", 2_000_000, OnLimit::Stop)]).await;
    let begun = Instant::now();
    let mut bob = acme.server.client_with(&api_key("acme", "bob")).await;
    let runaway = tokio::spawn(async move { ask(&mut bob, ENDLESS).await });
    while !runaway.is_finished() {
        assert_eq!(ask(&mut acme.ann, COUNT).await.unwrap(), ["50"]);
        assert!(begun.elapsed() < Duration::from_secs(60), "it goes on");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let why = runaway.await.unwrap().unwrap_err();
    for part in ["budget 'b' of the user 'bob' is spent", "of 2.000000 for this month", "UTC"] {
        assert!(why.contains(part), "{why}");
    }
    assert!(why.contains("exhausted"), "{why}");
    // What was used until then is counted, and what comes is refused.
    let told = acme.told("", 0).await;
    let used = sum(&told, "bob", "");
    assert!((1_900_000..4_000_000).contains(&used.processor_us), "{used:?}");
    let refused = ask(&mut acme.bob, COUNT).await.unwrap_err();
    assert!(refused.contains("budget 'b'"), "{refused}");
    let budgets = "SELECT state, spent >= 2, \"limit\", on_limit FROM system.budgets";
    assert_eq!(ask(&mut acme.bob, budgets).await.unwrap(), ["stopped", "true", "2.000000", "stop"]);
    ask(&mut acme.bob, "EXPLAIN SELECT count(*) FROM n").await.unwrap();
    assert_eq!(ask(&mut acme.ann, COUNT).await.unwrap(), ["50"]);
    // Raised, he goes on.
    acme.budgets(vec![budget("bob", 200_000_000, OnLimit::Stop)]).await;
    assert_eq!(ask(&mut acme.bob, COUNT).await.unwrap(), ["50"]);
    acme.server.stop().await;
}

#[tokio::test]
async fn what_others_spent_counts_and_quotas_are_budgets() {
    let mut acme = acme().await;
    acme.budgets(vec![budget("", 5_000_000, OnLimit::Stop)]).await;
    assert_eq!(ask(&mut acme.ann, COUNT).await.unwrap(), ["50"]);
    let told = acme.told("", 0).await;
    let now_us =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros() as i64;
    let (began_us, _) = Period::Month.around(now_us);
    let spend = |micros: [u64; 2]| {
        let by = [(told.source.clone(), micros[0]), ("another".to_string(), micros[1])];
        let by = by.map(|(source, micros)| SpentBy { source, micros, scanned_bytes: 0 });
        let spent = Spent { period: Period::Month.into(), began_us, by: by.into(), ..Spent::default() };
        Subject::Spend(Spend { tenant: "acme".into(), spent: vec![spent] })
    };
    // Its own part counts once: it is the greater of what it knows and what it is told.
    publish(&mut acme.control, &acme.server, "spend/acme", spend([1_000_000, 1_000_000])).await;
    assert_eq!(ask(&mut acme.ann, COUNT).await.unwrap(), ["50"]);
    publish(&mut acme.control, &acme.server, "spend/acme", spend([5_000_000, 0])).await;
    let refused = ask(&mut acme.ann, COUNT).await.unwrap_err();
    assert!(refused.contains("budget 'b' is spent"), "{refused}");
    publish(&mut acme.control, &acme.server, "spend/acme", spend([0, 5_000_000])).await;
    assert!(ask(&mut acme.ann, COUNT).await.unwrap_err().contains("budget 'b' is spent"));
    acme.budgets(vec![budget("", 5_000_000, OnLimit::Warn)]).await;
    assert_eq!(ask(&mut acme.ann, COUNT).await.unwrap(), ["50"]);

    let quotas = Quotas { scanned_bytes_per_day: 1, ..Quotas::default() };
    let tenant = Tenant {
        name: "acme".into(),
        status: TenantStatus::Active.into(),
        quotas: Some(quotas),
        ..Tenant::default()
    };
    acme.control.decide(&acme.server, tenant).await;
    assert_eq!(ask(&mut acme.ann, "SELECT 1").await.unwrap(), ["1"]);
    let refused = ask(&mut acme.ann, COUNT).await.unwrap_err();
    assert!(refused.contains("quota scanned_per_day") && refused.contains("of 1 bytes"), "{refused}");
    assert_eq!(acme.server.value("SELECT 7").await, "7", "the tenant default has none");
    acme.server.stop().await;
}

#[tokio::test]
async fn who_is_throttled_runs_one_statement_at_a_time() {
    let mut acme = acme().await;
    acme.budgets(vec![budget("bob", 1, OnLimit::Throttle)]).await;
    ask(&mut acme.bob, "SELECT count(*) FROM n a, n b, n c").await.unwrap();
    // What budgets have to say is a quarter of a second old at most.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut running = Vec::new();
    for _ in 0..2 {
        let mut bob = acme.server.client_with(&api_key("acme", "bob")).await;
        running.push(tokio::spawn(async move { ask(&mut bob, ENDLESS).await }));
    }
    let begun = Instant::now();
    let listed = async |acme: &mut Acme| {
        let sql = "SELECT query FROM system.queries WHERE principal = 'bob'";
        ask(&mut acme.ann, sql).await.unwrap()
    };
    while listed(&mut acme).await.len() < 2 {
        assert!(begun.elapsed() < Duration::from_secs(20));
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (status, load) = acme.server.http("/api/v1/load").await;
    let load: serde_json::Value = serde_json::from_str(&load).unwrap();
    assert_eq!((status, &load["running"], &load["queued"]), (200, &1.into(), &1.into()), "{load}");
    assert_eq!(ask(&mut acme.ann, COUNT).await.unwrap(), ["50"]);
    for query in listed(&mut acme).await {
        acme.server.request("DELETE", &format!("/api/v1/queries/{query}"), "", "").await;
    }
    for one in running {
        assert!(one.await.unwrap().is_err());
    }
    acme.server.stop().await;
}
