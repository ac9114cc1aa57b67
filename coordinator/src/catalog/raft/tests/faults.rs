//! Members that die, are cut off, and lose messages.

use super::cluster::Cluster;
use super::{allocate, create};
use crate::Error;
use crate::catalog::{CatalogStore, Reply};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;

/// A lost leader's heir acknowledges within this time.
const FAILOVER_MOST: Duration = Duration::from_secs(3);

#[tokio::test(start_paused = true)]
async fn no_acknowledged_command_goes_with_a_leader() {
    let mut cluster = Cluster::start(3, 11, |_| {}).await;
    let mut acknowledged = BTreeSet::new();
    for round in 0..50 {
        let leader = cluster.leader().await;
        for id in 1..=3 {
            let name = format!("s{round}_{id}");
            assert_eq!(cluster.member(id).propose(create(&name)).await.unwrap(), Reply::Done);
            acknowledged.insert(name);
        }
        // One more is under way when the leader dies.
        let dying = cluster.member(leader).propose(create(format!("dying{round}")));
        assert!(tokio::time::timeout(Duration::from_micros(1), dying).await.is_err());
        let since = Instant::now();
        cluster.crash(leader).await;
        let survivor = *cluster.members.keys().next().unwrap();
        let name = format!("after{round}");
        assert_eq!(cluster.member(survivor).propose(create(&name)).await.unwrap(), Reply::Done);
        assert!(since.elapsed() < FAILOVER_MOST, "round {round}: {:?}", since.elapsed());
        acknowledged.insert(name);
        for member in cluster.members.values() {
            member.linearize().await.unwrap();
            let state = member.snapshot();
            assert!(acknowledged.iter().all(|name| state.has_schema("default", name)), "round {round}");
        }
        cluster.up(leader).await;
        cluster.agree().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_minority_acknowledges_nothing() {
    let cluster = Cluster::start(3, 12, |_| {}).await;
    let old = cluster.leader().await;
    cluster.isolate(old);
    let since = Instant::now();
    let (lost, read) =
        tokio::join!(cluster.member(old).propose(create("lost")), cluster.member(old).linearize());
    assert!(since.elapsed() < Duration::from_secs(11), "{:?}", since.elapsed());
    let Err(Error::Environment(why)) = lost else { panic!("{lost:?}") };
    assert!(why.contains("not known whether the change was made"), "{why}");
    assert!(matches!(read, Err(Error::Conflict(_))), "{read:?}");
    // A follower without a majority never sent the command: it says that nothing was done.
    let other = *cluster.members.keys().find(|id| **id != old).unwrap();
    assert_eq!(cluster.member(other).propose(create("kept")).await.unwrap(), Reply::Done);
    assert!(!cluster.member(old).snapshot().has_schema("default", "kept"));
    cluster.heal();
    cluster.agree().await;
    assert!(cluster.member(old).snapshot().has_schema("default", "kept"));
    // What one side may have acknowledged is everywhere or nowhere.
    let held = cluster.members.values().filter(|member| member.snapshot().has_schema("default", "lost"));
    assert!(matches!(held.count(), 0 | 3));
}

#[tokio::test(start_paused = true)]
async fn a_member_that_returns_does_not_unseat_the_leader() {
    let cluster = Cluster::start(3, 13, |_| {}).await;
    let leader = cluster.leader().await;
    let follower = cluster.follower().await;
    let term = cluster.member(leader).status().term;
    cluster.isolate(follower);
    tokio::time::sleep(Duration::from_secs(60)).await;
    cluster.heal();
    cluster.agree().await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let status = cluster.member(follower).status();
    assert_eq!((status.leader, status.term), (Some(leader), term));
}

#[tokio::test(start_paused = true)]
async fn a_command_whose_answer_is_lost_is_applied_once() {
    let cluster = Cluster::start(3, 14, |_| {}).await;
    cluster.trouble(Duration::from_millis(2), 100);
    let mut numbers = BTreeSet::new();
    let mut unknown = 0;
    for round in 0..300 {
        match cluster.member(1 + round % 3).propose(allocate()).await {
            Ok(Reply::Dataset(number)) => assert!(numbers.insert(number), "round {round}: {number} again"),
            Err(Error::Environment(_)) => unknown += 1,
            Err(Error::Conflict(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    cluster.trouble(Duration::ZERO, 0);
    cluster.agree().await;
    let given = cluster.member(1).snapshot().stored().last_dataset;
    let least = numbers.len() as u64;
    assert!(
        (least..=least + unknown).contains(&given),
        "{given} numbers for {least} commands, {unknown} unknown"
    );
    assert!(least >= 250, "{least} commands of 300 went through");
}

#[tokio::test(start_paused = true)]
async fn one_identity_is_one_command_on_all_members() {
    let mut cluster = Cluster::start(3, 15, |_| {}).await;
    let (first, second, third) = tokio::join!(
        cluster.member(1).propose_as(99, allocate()),
        cluster.member(2).propose_as(99, allocate()),
        cluster.member(3).propose_as(99, allocate()),
    );
    assert_eq!(first.unwrap(), Reply::Dataset(1));
    assert_eq!(second.unwrap(), Reply::Dataset(1));
    assert_eq!(third.unwrap(), Reply::Dataset(1));
    let leader = cluster.leader().await;
    cluster.crash(leader).await;
    let survivor = *cluster.members.keys().next().unwrap();
    assert_eq!(cluster.member(survivor).propose_as(99, allocate()).await.unwrap(), Reply::Dataset(1));
    assert_eq!(cluster.member(survivor).propose_as(100, allocate()).await.unwrap(), Reply::Dataset(2));
}

#[tokio::test(start_paused = true)]
async fn a_member_far_behind_gets_a_snapshot_in_parts() {
    let mut cluster = Cluster::start(3, 16, |options| {
        options.snapshot_commands = 50;
        options.kept_commands = 10;
    })
    .await;
    let away = cluster.follower().await;
    cluster.crash(away).await;
    let leader = cluster.leader().await;
    // Names of 100 kB: the snapshot takes several parts, and an append holds few of them.
    for at in 0..70 {
        let name = format!("{at}{}", "x".repeat(100_000));
        assert_eq!(cluster.member(leader).propose_as(at, create(name)).await.unwrap(), Reply::Done);
    }
    // The leader keeps what a member that it lost still needs; the next one does not.
    cluster.stop(leader).await;
    cluster.up(leader).await;
    assert_ne!(cluster.leader().await, leader);
    cluster.up(away).await;
    cluster.agree().await;
    let metrics = cluster.member(away).member.metrics_now();
    let first = metrics.purged.map(|id| id.index).unwrap();
    assert!(first >= 40, "the log was sent, not a snapshot: cut behind {first}");
    // The replies came with the snapshot.
    let again = cluster.member(away).propose_as(3, create("another")).await.unwrap();
    assert_eq!(again, Reply::Done);
    assert!(!cluster.member(away).snapshot().has_schema("default", "another"));
}

#[tokio::test(start_paused = true)]
async fn a_member_that_lost_its_disk_does_no_harm() {
    let mut cluster = Cluster::start(3, 17, |_| {}).await;
    for at in 0..20 {
        cluster.member(1).propose(create(format!("s{at}"))).await.unwrap();
    }
    let lost = cluster.follower().await;
    cluster.crash(lost).await;
    cluster.wipe(lost);
    cluster.up(lost).await;
    cluster.agree().await;
    assert!(cluster.member(lost).snapshot().has_schema("default", "s19"));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_lost_in_a_bad_network() {
    let mut cluster = Cluster::start(3, 18, |options| {
        options.snapshot_commands = 20;
        options.kept_commands = 5;
    })
    .await;
    cluster.trouble(Duration::from_millis(20), 50);
    let mut acknowledged = Vec::new();
    for round in 0..60_u64 {
        let name = format!("s{round}");
        let victim = 1 + round % 3;
        match round % 10 {
            3 => cluster.isolate(victim),
            6 => cluster.heal(),
            8 => {
                cluster.crash(victim).await;
                cluster.up(victim).await;
            }
            _ => {}
        }
        match cluster.member(1 + (round + 1) % 3).propose(create(&name)).await {
            Ok(reply) => {
                assert_eq!(reply, Reply::Done);
                acknowledged.push(name);
            }
            Err(Error::Environment(_) | Error::Conflict(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    cluster.heal();
    cluster.trouble(Duration::ZERO, 0);
    cluster.agree().await;
    assert!(acknowledged.len() >= 30, "{} of 60 were acknowledged", acknowledged.len());
    let state = cluster.member(2).snapshot();
    assert!(acknowledged.iter().all(|name| state.has_schema("default", name)));
}
