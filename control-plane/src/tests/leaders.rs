//! Several instances on one database, of which one leads.

use super::databases::{Place, on_both_databases};
use super::publishing::{has, instance, put, soon, until};
use crate::cluster::MemoryCluster;
use crate::config::Intervals;
use crate::lease::Lease;
use flight_proto::policy::ISSUERS;
use std::sync::Arc;
use std::time::{Duration, Instant};

on_both_databases! {
    one_leads_until_its_lease_ends,
    one_that_cannot_renew_stops_before_another_leads,
    another_instance_goes_on_where_one_was_killed,
    one_that_is_shut_down_hands_over_at_once,
}

fn short() -> Intervals {
    Intervals {
        usage: Duration::from_millis(100),
        renew: Duration::from_millis(200),
        lease: Duration::from_millis(1_200),
        ..Intervals::default()
    }
}

async fn one_leads_until_its_lease_ends(place: &Place) {
    let database = place.open().await;
    let (one, other) =
        (Lease::new(database.clone(), &short()).unwrap(), Lease::new(place.open().await, &short()).unwrap());
    assert_eq!(one.leader().await.unwrap().holder, None);
    assert!(one.renew().await.unwrap() && one.leads());
    assert!(!other.renew().await.unwrap() && !other.leads());
    let (first, seen) = (one.leader().await.unwrap(), other.leader().await.unwrap());
    assert_eq!((first.holder.as_ref(), first.term), (Some(&one.holder), 1));
    assert_eq!(first, seen);
    assert!(one.renew().await.unwrap());
    assert_eq!(one.leader().await.unwrap().term, 1, "renewing is no new term");
    one.release().await.unwrap();
    assert!(!one.leads());
    assert!(other.renew().await.unwrap());
    assert_eq!(other.leader().await.unwrap().term, 2);
    // Giving back what one no longer has takes nothing away.
    one.release().await.unwrap();
    assert_eq!(other.leader().await.unwrap().holder, Some(other.holder.clone()));
}

async fn one_that_cannot_renew_stops_before_another_leads(place: &Place) {
    let own = place.open().await;
    let one = Arc::new(Lease::new(own.clone(), &short()).unwrap());
    let other = Lease::new(place.open().await, &short()).unwrap();
    assert!(one.renew().await.unwrap());
    // Its way to the database is cut.
    own.close().await;
    assert!(one.renew().await.is_err());
    let lost = {
        let one = one.clone();
        tokio::spawn(async move {
            one.lost().await;
            Instant::now()
        })
    };
    until("another leader", async || {
        // As they act: who still leads now led before the other one asked.
        let still = one.leads();
        let taken = other.renew().await.unwrap();
        assert!(!(taken && still && one.leads()), "two lead");
        taken
    })
    .await;
    let taken = Instant::now();
    assert!(lost.await.unwrap() < taken, "it stops before");
}

async fn another_instance_goes_on_where_one_was_killed(place: &Place) {
    let cluster = Arc::new(MemoryCluster::default());
    let one = instance(place, &cluster, soon()).await;
    has(&cluster, ISSUERS, 2).await;
    let other = instance(place, &cluster, soon()).await;
    // Who does not lead decides as well, and the other one publishes.
    let version = put(other.database(), "acme", "gold").await;
    has(&cluster, "tenant/acme", version).await;
    let status = async || -> crate::json::Status {
        let answer = reqwest::get(format!("http://{}/api/v1/status", other.http_address())).await.unwrap();
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    };
    let before = status().await;
    assert!(!before.leads && before.leader.is_some(), "{before:?}");
    until("a report", async || status().await.behind == 0).await;
    one.kill().await;
    let version = put(other.database(), "acme", "iron").await;
    assert_eq!(status().await.behind, 1);
    let took = has(&cluster, "tenant/acme", version).await;
    // The lease, a renewal and a look, with time for a slow machine.
    assert!(took < Duration::from_secs(4), "{took:?}");
    let after = status().await;
    assert!(after.leads && after.term == before.term + 1, "{after:?}");
    other.shutdown().await.unwrap();
}

async fn one_that_is_shut_down_hands_over_at_once(place: &Place) {
    let cluster = Arc::new(MemoryCluster::default());
    let long = Intervals { lease: Duration::from_secs(60), ..soon() };
    let one = instance(place, &cluster, long).await;
    has(&cluster, ISSUERS, 2).await;
    let other = instance(place, &cluster, long).await;
    one.shutdown().await.unwrap();
    let version = put(other.database(), "acme", "gold").await;
    let took = has(&cluster, "tenant/acme", version).await;
    assert!(took < Duration::from_secs(3), "{took:?}");
    other.shutdown().await.unwrap();
}
