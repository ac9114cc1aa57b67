//! Several members that all go well.

use super::cluster::Cluster;
use super::{allocate, create};
use crate::Error;
use crate::catalog::{CatalogStore, MemberState, Reply};
use flight_proto::catalog::{Change, Command};
use std::time::Duration;
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn every_member_takes_commands() {
    let cluster = Cluster::start(3, 1, |_| {}).await;
    for (at, id) in [1, 2, 3, 1, 2, 3].into_iter().enumerate() {
        let name = format!("s{at}");
        assert_eq!(cluster.member(id).propose(create(&name)).await.unwrap(), Reply::Done);
        for member in cluster.members.values() {
            member.linearize().await.unwrap();
            assert!(member.snapshot().has_schema("default", &name));
        }
    }
    let refused = cluster.member(cluster.follower().await).propose(create("S0")).await.unwrap();
    assert!(matches!(refused.accepted(), Err(Error::AlreadyExists(_))));
    cluster.agree().await;
    let leader = cluster.leader().await;
    for status in cluster.statuses() {
        assert_eq!(status.leader, Some(leader));
        assert_eq!(status.members.iter().filter(|member| member.votes).count(), 3);
        let leads = status.id == leader;
        assert_eq!(status.state, if leads { MemberState::Leader } else { MemberState::Follower });
    }
}

#[tokio::test(start_paused = true)]
async fn a_cluster_starts_fast_and_whoever_comes_first() {
    let since = Instant::now();
    let mut cluster = Cluster::start(3, 2, |_| {}).await;
    assert!(since.elapsed() < Duration::from_millis(500), "{:?}", since.elapsed());
    // All stop and start again in another order.
    assert_eq!(cluster.member(1).propose(create("kept")).await.unwrap(), Reply::Done);
    for id in [1, 2, 3] {
        cluster.crash(id).await;
    }
    cluster.up(3).await;
    assert!(matches!(cluster.member(3).linearize().await, Err(Error::Conflict(_))));
    assert!(matches!(cluster.member(3).propose(allocate()).await, Err(Error::Conflict(_))));
    cluster.up(1).await;
    cluster.member(3).ready().await.unwrap();
    assert!(cluster.member(3).snapshot().has_schema("default", "kept"));
    cluster.up(2).await;
    cluster.agree().await;
}

#[tokio::test(start_paused = true)]
async fn the_first_members_make_a_catalog_without_the_rest() {
    let mut cluster = Cluster::start(0, 3, |_| {}).await;
    cluster.found(3);
    cluster.up(3).await;
    cluster.up(2).await;
    cluster.member(2).ready().await.unwrap();
    assert_eq!(cluster.member(3).propose(create("early")).await.unwrap(), Reply::Done);
    cluster.up(1).await;
    cluster.agree().await;
    assert!(cluster.member(1).snapshot().has_schema("default", "early"));
}

#[tokio::test(start_paused = true)]
async fn what_was_acknowledged_is_read_everywhere() {
    let cluster = Cluster::start(3, 4, |_| {}).await;
    cluster.trouble(Duration::from_millis(3), 0);
    let leader = cluster.leader().await;
    let follower = cluster.follower().await;
    for round in 0..1_000 {
        let number = match cluster.member(leader).propose(allocate()).await.unwrap() {
            Reply::Dataset(number) => number,
            other => panic!("{other:?}"),
        };
        cluster.member(follower).linearize().await.unwrap();
        assert!(cluster.member(follower).snapshot().stored().last_dataset >= number, "round {round}");
    }
}

#[tokio::test(start_paused = true)]
async fn callers_share_questions() {
    let cluster = Cluster::start(3, 5, |_| {}).await;
    cluster.trouble(Duration::from_millis(10), 0);
    let follower = cluster.member(cluster.follower().await);
    let before = cluster.read_indexes();
    let calls = futures::future::join_all((0..500).map(|_| follower.linearize())).await;
    assert!(calls.iter().all(Result::is_ok));
    let asked = cluster.read_indexes() - before;
    assert!((1..=3).contains(&asked), "{asked} questions");
}

#[tokio::test(start_paused = true)]
async fn a_command_that_fits_no_message_is_refused() {
    let cluster = Cluster::start(1, 6, |_| {}).await;
    let tenant = "t".repeat(64 << 20);
    let large = Command { at_us: 1, tenant, change: Some(Change::DropSchema(Default::default())) };
    assert!(matches!(cluster.member(1).propose(large).await, Err(Error::Statement(_))));
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_stops_hands_over() {
    let mut cluster = Cluster::start(3, 7, |_| {}).await;
    for round in 0..10 {
        let leader = cluster.leader().await;
        let since = Instant::now();
        cluster.stop(leader).await;
        let next = cluster.leader().await;
        assert_eq!(cluster.member(next).propose(create(format!("s{round}"))).await.unwrap(), Reply::Done);
        assert!(since.elapsed() < Duration::from_millis(250), "round {round}: {:?}", since.elapsed());
        cluster.up(leader).await;
        cluster.agree().await;
    }
}
