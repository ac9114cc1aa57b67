//! The faults that a network in memory can be told to have.

#![allow(clippy::unwrap_used)]

mod support;

use bytes::Bytes;
use network::{Error, MemoryNetwork, SILENCE_TIME};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use support::{Nodes, connected, message, rest, stream};
use tokio::time::{Instant, sleep, timeout};

fn nodes(hub: &MemoryNetwork) -> Nodes {
    Nodes { first: hub.node("first"), second: hub.node("second") }
}

#[tokio::test(start_paused = true)]
async fn what_is_cut_shortly_arrives_late() {
    let hub = MemoryNetwork::new();
    let nodes = nodes(&hub);
    let (near, far, listener) = connected(&nodes).await;
    let (mut opened, mut accepted) = stream(&near, &far).await;
    hub.cut("second", "first");
    opened.sender.send(message(1, 10)).await.unwrap();
    let mut unseen = near.open().await.unwrap();
    unseen.sender.send(message(2, 10)).await.unwrap();
    let connecting = tokio::spawn({
        let (first, address) = (nodes.first.clone(), listener.address());
        async move { first.connect(&address).await.map(|_| ()) }
    });
    assert!(timeout(Duration::from_secs(2), accepted.receiver.receive()).await.is_err());
    assert!(timeout(Duration::from_millis(10), far.accept()).await.is_err());
    assert!(!connecting.is_finished());
    hub.heal("first", "second");
    assert_eq!(accepted.receiver.receive().await.unwrap(), Some(message(1, 10)));
    assert_eq!(far.accept().await.unwrap().receiver.receive().await.unwrap(), Some(message(2, 10)));
    connecting.await.unwrap().unwrap();
    sleep(2 * SILENCE_TIME).await;
    stream(&near, &far).await;
}

#[tokio::test(start_paused = true)]
async fn what_stays_cut_is_lost() {
    let hub = MemoryNetwork::new();
    let nodes = nodes(&hub);
    let (near, far, listener) = connected(&nodes).await;
    let (mut opened, accepted) = stream(&near, &far).await;
    hub.cut("first", "second");
    // Not noticed before: nothing passes.
    drop(accepted);
    assert!(timeout(SILENCE_TIME / 2, opened.sender.stopped()).await.is_err());
    hub.heal("first", "second");
    hub.cut("first", "second");
    let begun = Instant::now();
    assert!(matches!(near.closed().await, Error::Lost { .. }));
    assert_eq!(begun.elapsed().as_secs(), SILENCE_TIME.as_secs());
    assert!(matches!(far.closed().await, Error::Lost { .. }));
    let begun = Instant::now();
    assert!(matches!(nodes.first.connect(&listener.address()).await, Err(Error::Unreachable { .. })));
    assert_eq!(begun.elapsed().as_secs(), SILENCE_TIME.as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_cut_concerns_two_nodes() {
    let hub = MemoryNetwork::new();
    let (near, far, listener) = connected(&nodes(&hub)).await;
    let third = hub.node("third").connect(&listener.address()).await.unwrap();
    hub.cut("first", "second");
    sleep(2 * SILENCE_TIME).await;
    assert!(near.open().await.is_err() && far.open().await.is_err());
    third.open().await.unwrap().sender.send(message(1, 10)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_stopped_is_gone_until_it_is_started() {
    let hub = MemoryNetwork::new();
    let nodes = nodes(&hub);
    let (near, far, mut listener) = connected(&nodes).await;
    let (_opened, mut accepted) = stream(&near, &far).await;
    let address = listener.address();
    hub.stop("second");
    assert!(matches!(near.closed().await, Error::Lost { .. }));
    assert!(matches!(rest(&mut accepted).await, Error::Lost { .. }));
    assert!(listener.accept().await.is_none());
    assert!(matches!(nodes.first.connect(&address).await, Err(Error::Unreachable { .. })));
    // What it still runs reaches nobody.
    assert!(matches!(nodes.second.listen(&address).await, Err(Error::Environment(_))));
    assert!(matches!(nodes.second.connect(&address).await, Err(Error::Environment(_))));
    let started = Nodes { first: nodes.first, second: hub.node("second") };
    let mut again = started.second.listen(&address).await.unwrap();
    drop(listener);
    let (near, far) = tokio::join!(started.first.connect(&address), again.accept());
    stream(&near.unwrap(), &far.unwrap()).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_under_way_is_lost_with_a_connection() {
    let hub = MemoryNetwork::new();
    let nodes = nodes(&hub);
    let (near, far, mut listener) = connected(&nodes).await;
    let (mut opened, mut accepted) = stream(&near, &far).await;
    opened.sender.send(message(1, 10)).await.unwrap();
    hub.reset("second", "third");
    assert_eq!(accepted.receiver.receive().await.unwrap(), Some(message(1, 10)));
    opened.sender.send(message(2, 10)).await.unwrap();
    hub.reset("second", "first");
    assert!(matches!(accepted.receiver.receive().await, Err(Error::Lost { .. })));
    assert!(matches!(opened.sender.send(message(3, 10)).await, Err(Error::Lost { .. })));
    let address = listener.address();
    let (near, far) = tokio::join!(nodes.first.connect(&address), listener.accept());
    stream(&near.unwrap(), &far.unwrap()).await;
}

#[tokio::test(start_paused = true)]
async fn an_observer_sees_every_message() {
    let hub = MemoryNetwork::new();
    let (near, far, _listener) = connected(&nodes(&hub)).await;
    let (mut opened, mut accepted) = stream(&near, &far).await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let seeing = seen.clone();
    hub.observe(Box::new(move |from, to, bytes| seeing.lock().push(format!("{from} {to} {bytes}"))));
    opened.sender.send(message(1, 10)).await.unwrap();
    accepted.sender.send(message(2, 20)).await.unwrap();
    assert_eq!(*seen.lock(), ["first second 10", "second first 20"]);
}

/// When the messages of a run arrive, in microseconds.
async fn arrivals(seed: u64) -> Vec<u128> {
    let hub = MemoryNetwork::new();
    hub.delay(Duration::from_millis(1)..=Duration::from_millis(50), seed);
    let begun = Instant::now();
    let (near, far, _listener) = connected(&nodes(&hub)).await;
    let (mut opened, mut accepted) = stream(&near, &far).await;
    for number in 0..20u8 {
        opened.sender.send(Bytes::copy_from_slice(&[number])).await.unwrap();
    }
    let mut times = vec![begun.elapsed().as_micros()];
    for number in 0..20u8 {
        assert_eq!(accepted.receiver.receive().await.unwrap().unwrap(), vec![number]);
        times.push(begun.elapsed().as_micros());
    }
    times
}

#[tokio::test(start_paused = true)]
async fn delays_follow_from_the_seed() {
    let times = arrivals(1).await;
    assert_eq!(times, arrivals(1).await);
    assert_ne!(times, arrivals(2).await);
    assert!(times.is_sorted());
    assert!(*times.last().unwrap() < 500_000 && times[0] >= 3_000, "{times:?}");
}
