//! Members that come and go.

use super::cluster::{Cluster, address};
use super::{allocate, create};
use crate::Error;
use crate::catalog::{CatalogStore, MemberState, Reply};
use std::time::Duration;

fn voters(cluster: &Cluster, id: u64) -> Vec<u64> {
    let members = cluster.member(id).members();
    members.iter().filter(|member| member.votes).map(|member| member.id).collect()
}

#[tokio::test(start_paused = true)]
async fn a_member_comes_and_another_goes() {
    let mut cluster = Cluster::start(3, 21, |options| {
        options.snapshot_commands = 20;
        options.kept_commands = 5;
    })
    .await;
    for at in 0..60 {
        cluster.member(1).propose(create(format!("s{at}"))).await.unwrap();
    }
    cluster.up(4).await;
    assert_eq!(cluster.member(4).status().state, MemberState::Learner);
    // Any member takes the change; asked for twice, it is made once.
    let follower = cluster.follower().await;
    cluster.member(follower).add_member(4, &address(4)).await.unwrap();
    cluster.member(follower).add_member(4, &address(4)).await.unwrap();
    cluster.agree().await;
    assert_eq!(voters(&cluster, 4), [1, 2, 3, 4]);
    assert_eq!(cluster.member(4).propose(create("by4")).await.unwrap(), Reply::Done);
    let moved = cluster.member(1).add_member(4, "elsewhere:1").await;
    assert!(matches!(moved, Err(Error::Statement(_))), "{moved:?}");

    let leader = cluster.leader().await;
    cluster.member(follower).remove_member(leader).await.unwrap();
    cluster.member(follower).remove_member(leader).await.unwrap();
    let old = cluster.members.remove(&leader).unwrap();
    let next = cluster.leader().await;
    assert_ne!(next, leader);
    cluster.agree().await;
    assert_eq!(voters(&cluster, next).len(), 3);
    assert!(!voters(&cluster, next).contains(&leader));
    assert_eq!(cluster.member(next).propose(create("without")).await.unwrap(), Reply::Done);
    // Who was removed neither acknowledges nor reads any more, nor disturbs the others.
    let term = cluster.member(next).status().term;
    assert!(old.linearize().await.is_err() || old.snapshot().has_schema("default", "without"));
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(cluster.member(next).status().term, term);
}

#[tokio::test(start_paused = true)]
async fn one_member_grows_to_three() {
    let mut cluster = Cluster::start(1, 22, |_| {}).await;
    assert_eq!(cluster.member(1).propose(create("one")).await.unwrap(), Reply::Done);
    for id in [2, 3] {
        cluster.up(id).await;
        cluster.member(1).add_member(id, &address(id)).await.unwrap();
    }
    cluster.agree().await;
    assert_eq!(voters(&cluster, 3), [1, 2, 3]);
    cluster.crash(1).await;
    assert_eq!(cluster.member(2).propose(create("two")).await.unwrap(), Reply::Done);
    // It comes back with its old list, where it was alone: the catalog's own list counts.
    cluster.up(1).await;
    cluster.agree().await;
    assert!(cluster.member(1).snapshot().has_schema("default", "two"));
    assert_eq!(voters(&cluster, 1), [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_member_that_cannot_be_reached_gets_no_vote() {
    let cluster = Cluster::start(3, 23, |options| {
        options.timings.change_patience = Duration::from_secs(5);
    })
    .await;
    let added = cluster.member(1).add_member(4, &address(4)).await;
    assert!(matches!(added, Err(Error::Environment(_))), "{added:?}");
    assert_eq!(voters(&cluster, cluster.leader().await), [1, 2, 3]);
    assert_eq!(cluster.member(2).propose(allocate()).await.unwrap(), Reply::Dataset(1));
    cluster.member(2).remove_member(4).await.unwrap();
    assert_eq!(cluster.member(cluster.leader().await).members().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_lead_is_handed_over() {
    let cluster = Cluster::start(3, 25, |_| {}).await;
    let (leader, next) = (cluster.leader().await, cluster.follower().await);
    // Whoever is asked has the leader do it; asked for twice, it is done once.
    cluster.member(next).hand_over(next).await.unwrap();
    cluster.member(leader).hand_over(next).await.unwrap();
    assert_eq!(cluster.leader().await, next);
    assert_eq!(cluster.member(leader).propose(create("after")).await.unwrap(), Reply::Done);
    let nobody = cluster.member(leader).hand_over(9).await;
    assert!(matches!(nobody, Err(Error::Statement(_))), "{nobody:?}");
}

#[tokio::test(start_paused = true)]
async fn the_last_member_stays() {
    let cluster = Cluster::start(1, 24, |_| {}).await;
    assert!(matches!(cluster.member(1).remove_member(1).await, Err(Error::Statement(_))));
    cluster.member(1).remove_member(7).await.unwrap();
    assert_eq!(cluster.member(1).propose(allocate()).await.unwrap(), Reply::Dataset(1));
}
