//! Snapshots every few entries under load: what openraft#2116 died of.
//!
//! `SOAK_SECONDS=600 cargo test -p tundra-coordinator --lib soak -- --ignored` in real time.

use super::allocate;
use super::cluster::Cluster;
use crate::Error;
use crate::catalog::{CatalogStore, Reply};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Proposals under way at once, by each member.
const PROPOSERS: usize = 16;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs for SOAK_SECONDS"]
#[expect(clippy::print_stdout, reason = "what the run was worth")]
async fn snapshots_under_load() {
    let seconds = std::env::var("SOAK_SECONDS").ok().and_then(|value| value.parse().ok()).unwrap_or(30);
    let mut cluster = Cluster::start(3, 41, |options| {
        options.snapshot_commands = 50;
        options.kept_commands = 0;
    })
    .await;
    let until = Instant::now() + Duration::from_secs(seconds);
    let (mut acknowledged, mut unknown, mut round) = (BTreeSet::new(), 0_u64, 0_u64);
    while Instant::now() < until {
        let victim = 1 + round % 3;
        match round % 4 {
            0 => cluster.isolate(victim),
            2 => {
                cluster.crash(victim).await;
                cluster.up(victim).await;
            }
            _ => cluster.heal(),
        }
        round += 1;
        let slice = Instant::now() + Duration::from_secs(2);
        let propose = async |id: u64| {
            let mut done = Vec::new();
            while Instant::now() < slice {
                done.push(cluster.member(id).propose(allocate()).await);
            }
            done
        };
        let all = [1, 2, 3].into_iter().flat_map(|id| std::iter::repeat_n(id, PROPOSERS)).map(propose);
        for reply in futures::future::join_all(all).await.into_iter().flatten() {
            match reply {
                Ok(Reply::Dataset(number)) => {
                    assert!(acknowledged.insert(number), "{number} was given twice")
                }
                Err(Error::Environment(_)) => unknown += 1,
                Err(Error::Conflict(_)) => sleep(Duration::from_millis(1)).await,
                other => panic!("{other:?}"),
            }
        }
    }
    cluster.heal();
    cluster.agree().await;
    let given = cluster.member(1).snapshot().stored().last_dataset;
    let least = acknowledged.len() as u64;
    assert!(
        (least..=least + unknown).contains(&given),
        "{given} given, {least} acknowledged, {unknown} unknown"
    );
    println!("{least} commands acknowledged, {unknown} unknown, {round} faults, state at {given}");
}
