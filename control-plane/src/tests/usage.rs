//! What was used is kept once, told in reports, and told to the cluster where budgets ask for it; on both databases.

use super::databases::{Place, on_both_databases};
use super::publishing::{has, instance, soon, until};
use crate::cluster::{Cluster, MemoryCluster};
use crate::database::Database;
use crate::decisions::tenants;
use crate::error::Error;
use crate::json::{Budget, NewPrice, OnLimit, Period, TenantSettings};
use crate::lease::Lease;
use crate::usage::collect::Collector;
use crate::usage::report::{Asked, day_us, report};
use crate::usage::{budgets, prices};
use flight_proto::policy::{Subject, spend_document};
use flight_proto::usage::{HOUR_US, Measures, Resident, ShardUsage, Usage, UsageBatch, UsageRow};
use std::sync::Arc;

on_both_databases! {
    a_batch_is_kept_once,
    reports_sum_up_and_keep_their_prices,
    budgets_are_set_and_removed,
    what_is_spent_is_published_when_it_makes_a_difference,
    what_shards_hold_and_ask_is_counted_once,
}

fn used(processor_us: u64) -> Measures {
    Measures { statements: 1, processor_us, ..Measures::default() }
}

fn row(hour_us: i64, tenant: &str, user: &str, label: &str, used: Measures) -> UsageRow {
    UsageRow { hour_us, tenant: tenant.into(), user: user.into(), label: label.into(), used }
}

fn usage(source: &str, batches: Vec<(u64, Vec<UsageRow>)>) -> Usage {
    let batches = batches.into_iter().map(|(sequence, rows)| UsageBatch { sequence, rows }).collect();
    Usage { source: source.into(), batches, shards: Vec::new(), resident: Vec::new() }
}

async fn take(database: &Database, told: &[Usage]) {
    let mut change = database.change("test").await.unwrap();
    change.take_usage(told).await.unwrap();
    change.commit().await.unwrap();
}

fn asked(from: &str, to: &str, by: &str) -> Asked {
    Asked { from: Some(from.into()), to: Some(to.into()), by: Some(by.into()), tenant: None }
}

async fn a_batch_is_kept_once(place: &Place) {
    let database = place.open().await;
    let hour = day_us("2026-11-05").unwrap() + 3 * HOUR_US;
    let first = (1, vec![row(hour, "acme", "ann", "", used(5)), row(hour, "acme", "o'bob", "ü\0", used(7))]);
    let second = (2, vec![row(hour, "acme", "ann", "", used(11))]);
    take(&database, &[usage("a", vec![first.clone()])]).await;
    // Given again, since it was not acknowledged; and by another start, whose numbers are its own.
    take(
        &database,
        &[usage("a", vec![first.clone(), second.clone()]), usage("b", vec![(1, second.1.clone())])],
    )
    .await;
    take(&database, &[usage("a", vec![first, second])]).await;
    let taken = database.usage_taken().await.unwrap();
    assert_eq!(taken, [("a".to_string(), 2), ("b".to_string(), 1)].into());
    let told = report(&database, asked("2026-11-01", "2026-12-01", "user,label")).await.unwrap();
    let rows: Vec<_> = told
        .rows
        .iter()
        .map(|row| {
            (
                row.user.as_deref().unwrap(),
                row.label.as_deref().unwrap(),
                row.used.processor_us,
                row.used.statements,
            )
        })
        .collect();
    assert_eq!(rows, [("ann", "", 27, 3), ("o'bob", "ü", 7, 1)]);
    assert_eq!((told.used.processor_us, told.rows[0].tenant.clone()), (34, None));
    assert!(database.audit(0, 100, Some("usage lost")).await.unwrap().is_empty());
    take(&database, &[usage("a", vec![(4, vec![row(hour, "acme", "ann", "", used(1))])])]).await;
    let lost = database.audit(0, 100, Some("usage lost")).await.unwrap();
    assert!(lost.len() == 1 && lost[0].after.contains("\"kept\":2"), "the third is not there");
    assert!(database.verify_audit().await.unwrap().broken.is_none());
}

async fn reports_sum_up_and_keep_their_prices(place: &Place) {
    let database = place.open().await;
    let now_us = database.now_us().await.unwrap();
    let (today, tomorrow) = flight_proto::spending::Period::Day.around(now_us);
    let hour = 3_600_000_000;
    let rows = vec![
        row(today - HOUR_US, "acme", "ann", "", used(hour)),
        row(today, "acme", "ann", "x", used(hour)),
        row(today, "beta", "ann", "", used(hour / 2)),
    ];
    take(&database, &[usage("a", vec![(1, rows)])]).await;
    let day = |at_us: i64| {
        let days = (-40..40).map(|offset| today + offset * 24 * HOUR_US);
        let at_us = days.clone().find(|day| *day == at_us).unwrap();
        // Written as the API takes it.
        (1..=31)
            .flat_map(|day| {
                (1..=12).flat_map(move |month| {
                    (2024..2100).map(move |year| format!("{year}-{month:02}-{day:02}"))
                })
            })
            .find(|text| day_us(text).is_ok_and(|day| day == at_us))
            .unwrap()
    };
    let all = |by: &str| asked(&day(today - 24 * HOUR_US), &day(tomorrow), by);
    let standard = prices::list(&database).await.unwrap()[0].processor_hour_micros;
    let told = report(&database, all("tenant,day")).await.unwrap();
    assert_eq!(told.cost_micros, standard * 5 / 2);
    // Prices of today on do not change what yesterday cost.
    let new = NewPrice { processor_hour_micros: Some(1_000_000), ..NewPrice::default() };
    let set = prices::set(&database, "ann", new.clone()).await.unwrap();
    assert_eq!((set.len(), set[1].from_us, set[1].scanned_gib_micros), (2, today, set[0].scanned_gib_micros));
    let told = report(&database, all("tenant,day")).await.unwrap();
    let costs: Vec<_> = told
        .rows
        .iter()
        .map(|row| (row.tenant.as_deref().unwrap(), row.day.clone().unwrap(), row.cost_micros))
        .collect();
    let yesterday = day(today - 24 * HOUR_US);
    assert_eq!(
        costs,
        [
            ("acme", yesterday.clone(), standard),
            ("acme", day(today), 1_000_000),
            ("beta", day(today), 500_000)
        ]
    );
    assert_eq!(told.cost_micros, standard + 1_500_000);
    let dear = NewPrice { processor_hour_micros: Some(u64::MAX), ..NewPrice::default() };
    assert!(matches!(prices::set(&database, "ann", dear).await, Err(Error::Invalid(_))));
    let past = NewPrice { from: Some(yesterday), ..new };
    assert!(matches!(prices::set(&database, "ann", past).await, Err(Error::Invalid(_))));
    let one = report(&database, Asked { tenant: Some("beta".into()), ..all("user") }).await.unwrap();
    assert_eq!((one.rows.len(), one.cost_micros), (1, 500_000));
    for (from, to, by) in [
        ("2026-11-31", "2026-12-01", "user"),
        ("2026-11-02", "2026-11-01", "user"),
        ("2026-11-01", "2026-12-01", "colour"),
    ] {
        assert!(
            matches!(report(&database, asked(from, to, by)).await, Err(Error::Invalid(_))),
            "{from} {to} {by}"
        );
    }
}

fn budget(limit_micros: u64) -> Budget {
    Budget {
        user: String::new(),
        label: String::new(),
        period: Period::Month,
        limit_micros,
        warn_percent: 80,
        on_limit: OnLimit::Stop,
    }
}

async fn budgets_are_set_and_removed(place: &Place) {
    let database = place.open().await;
    let put = |tenant: &'static str, name: &'static str, budget: Budget| {
        let database = database.clone();
        async move { budgets::put(&database, "ann", tenant, name, budget).await }
    };
    assert!(matches!(put("acme", "all", budget(5)).await, Err(Error::NotFound(_))));
    tenants::put(&database, "ann", "acme", TenantSettings::default(), None).await.unwrap();
    put("acme", "all", budget(5)).await.unwrap();
    put("acme", "all", Budget { user: "bob".into(), ..budget(6) }).await.unwrap();
    put("default", "b", budget(7)).await.unwrap();
    for wrong in
        [budget(0), Budget { warn_percent: 101, ..budget(1) }, Budget { label: "a\nb".into(), ..budget(1) }]
    {
        assert!(matches!(put("acme", "x", wrong).await, Err(Error::Invalid(_))));
    }
    assert!(matches!(put("acme", "", budget(1)).await, Err(Error::Invalid(_))));
    assert!(matches!(put("acme", "quota spend_per_month", budget(1)).await, Err(Error::Invalid(_))));
    let listed = budgets::list(&database, "").await.unwrap();
    let names: Vec<_> =
        listed.iter().map(|one| (&*one.tenant, &*one.name, one.budget.limit_micros)).collect();
    assert_eq!(names, [("acme", "all", 6), ("default", "b", 7)]);
    assert_eq!(budgets::remove(&database, "ann", "acme", "all").await.unwrap().budget.user, "bob");
    assert!(matches!(budgets::remove(&database, "ann", "acme", "all").await, Err(Error::NotFound(_))));
    assert!(budgets::list(&database, "acme").await.unwrap().is_empty());
    let audit = database.audit(0, 100, Some("set budget")).await.unwrap();
    assert_eq!(audit.len(), 3);
    assert!(audit[1].before.contains("\"limit_micros\":5") && audit[1].after.contains("\"user\":\"bob\""));
}

async fn what_is_spent_is_published_when_it_makes_a_difference(place: &Place) {
    let cluster = Arc::new(MemoryCluster::default());
    let served = instance(place, &cluster, soon()).await;
    has(&cluster, "issuers", 2).await;
    let database = served.database().clone();
    tenants::put(&database, "ann", "acme", TenantSettings::default(), None).await.unwrap();
    // A hundred million millionths, at the standard price of an hour.
    let price = prices::list(&database).await.unwrap()[0].processor_hour_micros;
    budgets::put(&database, "ann", "acme", "all", budget(price * 100)).await.unwrap();
    let spent = || {
        let document = cluster.document(&spend_document("acme"))?;
        let Some(Subject::Spend(spend)) = document.subject else { return None };
        Some(spend.spent[0].by.iter().map(|by| by.micros).sum::<u64>())
    };
    let tells = |hours: u64| {
        let micros = price * hours;
        async move || spent() == Some(micros)
    };
    until("nothing spent", tells(0)).await;
    let hour = flight_proto::spending::Period::Hour.around(database.now_us().await.unwrap()).0;
    let of = |hours: u64| vec![row(hour, "acme", "ann", "", used(hours * 3_600_000_000))];
    cluster.set_usage(vec![usage("a", vec![(1, of(50))]), usage("b", vec![(1, of(10))])]);
    until("60 hours spent", tells(60)).await;
    let entries =
        || cluster.history().into_iter().filter(|(name, _)| *name == spend_document("acme")).count();
    let before = entries();
    cluster.set_usage(vec![usage("a", vec![(2, vec![row(hour, "acme", "ann", "", used(1_000_000))])])]);
    until("batch 2", async || database.usage_taken().await.unwrap()["a"] == 2).await;
    tokio::time::sleep(std::time::Duration::from_millis(400)).await;
    assert_eq!(entries(), before, "a second is no difference");
    // It is nearly spent, then spent, which the audit tells once.
    cluster.set_usage(vec![usage("a", vec![(3, of(21)), (4, of(30))])]);
    let notices = async |action: &str| database.audit(0, 100, Some(action)).await.unwrap().len();
    until("a notice", async || notices("budget spent").await == 1).await;
    let told = cluster.usage([("a".to_string(), 4)].into()).await;
    assert!(told.iter().all(|usage| usage.batches.is_empty()), "everything was acknowledged or is there");
    // An instance that starts anew neither loses nor doubles anything.
    served.kill().await;
    cluster.set_usage(vec![usage("a", vec![(4, of(30)), (5, of(1))])]);
    let served = instance(place, &cluster, soon()).await;
    let database = served.database().clone();
    until("batch 5", async || database.usage_taken().await.unwrap()["a"] == 5).await;
    let told = report(&database, Asked { by: Some("user".into()), ..Asked::default() }).await.unwrap();
    assert_eq!(told.used.processor_us, (50 + 10 + 21 + 30 + 1) * 3_600_000_000 + 1_000_000);
    assert_eq!(database.audit(0, 100, Some("budget spent")).await.unwrap().len(), 1);
    // Nobody limits it any more.
    budgets::remove(&database, "ann", "acme", "all").await.unwrap();
    let gone = async || {
        cluster
            .document(&spend_document("acme"))
            .is_some_and(|one| matches!(one.subject, Some(Subject::Gone(_))))
    };
    until("the end of what was spent", gone).await;
    assert!(database.verify_audit().await.unwrap().broken.is_none());
    served.shutdown().await.unwrap();
}

async fn what_shards_hold_and_ask_is_counted_once(place: &Place) {
    let database = place.open().await;
    let shard = |requests, bytes| ShardUsage {
        source: "1-7".into(),
        tenant: "acme".into(),
        store_requests: requests,
        store_bytes: bytes,
    };
    let told = |shards: Vec<ShardUsage>, bytes| Usage {
        shards,
        resident: vec![Resident { tenant: "acme".into(), bytes }],
        ..usage("a", Vec::new())
    };
    // Two coordinators tell of the same shard, one of them late.
    take(&database, &[told(vec![shard(5, 50)], 1 << 30), told(vec![shard(3, 30)], 0)]).await;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    take(&database, &[told(vec![shard(9, 90)], 1 << 30), told(vec![shard(9, 90)], 1 << 30)]).await;
    take(&database, &[told(vec![shard(9, 90)], 1 << 30)]).await;
    let told = report(&database, Asked { by: Some("tenant,user".into()), ..Asked::default() }).await.unwrap();
    assert_eq!((told.rows.len(), told.rows[0].user.as_deref()), (1, Some("")));
    assert_eq!((told.used.store_requests, told.used.store_bytes), (9, 90));
    // A GiB for 0.3 s or somewhat more.
    assert!((250..60_000).contains(&told.used.resident_mib_s), "{}", told.used.resident_mib_s);
}

#[tokio::test]
async fn who_does_not_lead_collects_nothing() {
    let place = Place::sqlite().unwrap();
    let database = place.open().await;
    let cluster = Arc::new(MemoryCluster::default());
    cluster.set_usage(vec![usage("a", vec![(1, vec![row(0, "acme", "ann", "", used(1))])])]);
    let lease = Arc::new(Lease::new(database.clone(), &soon()).unwrap());
    let every = std::time::Duration::from_millis(10);
    let collector = Collector { database: database.clone(), lease, cluster, every };
    let running = tokio::spawn(collector.run());
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert!(database.usage_taken().await.unwrap().is_empty());
    running.abort();
}
