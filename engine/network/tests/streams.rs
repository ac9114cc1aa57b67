//! Connections and streams, over QUIC, over TCP and in memory.

#![allow(clippy::unwrap_used)]

#[macro_use]
mod support;

use bytes::Bytes;
use network::{Error, MESSAGE_BYTES_MAX};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use support::{Nodes, connected, message, rest, stream};
use tokio::time::{sleep, timeout};

over_each!(
    messages_arrive_whole_and_in_order,
    either_side_opens_streams,
    many_streams_at_once,
    messages_have_a_bound,
    a_receiver_that_does_not_read_holds_its_sender_up,
    what_was_finished_arrives,
    a_sender_that_is_dropped_is_noticed,
    a_receiver_that_is_dropped_is_noticed,
    nothing_follows_the_end,
    waiting_for_a_message_may_be_given_up,
    a_closed_connection_is_noticed,
    a_dropped_connection_is_noticed,
    a_dropped_listener_accepts_nothing,
    addresses_that_are_none_are_refused,
);

async fn messages_arrive_whole_and_in_order(nodes: Nodes) {
    let (near, far, _listener) = connected(&nodes).await;
    let (mut opened, mut accepted) = stream(&near, &far).await;
    let lengths = [0, 1, 4, 1_199, 65_536, 0, 65_537, 3_000_000, 7];
    let echo = tokio::spawn(async move {
        while let Some(message) = accepted.receiver.receive().await.unwrap() {
            accepted.sender.send(message).await.unwrap();
        }
        accepted.sender.finish().unwrap();
    });
    let sending = async {
        for (seed, length) in lengths.iter().enumerate() {
            opened.sender.send(message(seed, *length)).await.unwrap();
        }
        opened.sender.finish().unwrap();
    };
    let receiving = async {
        for (seed, length) in lengths.iter().enumerate() {
            assert_eq!(opened.receiver.receive().await.unwrap(), Some(message(seed, *length)));
        }
        for _ in 0..2 {
            assert_eq!(opened.receiver.receive().await.unwrap(), None);
        }
    };
    tokio::join!(sending, receiving);
    echo.await.unwrap();
}

async fn either_side_opens_streams(nodes: Nodes) {
    let (near, far, _listener) = connected(&nodes).await;
    for (one, other) in [(&near, &far), (&far, &near)] {
        let (mut opened, mut accepted) = stream(one, other).await;
        accepted.sender.send(message(1, 100)).await.unwrap();
        assert_eq!(opened.receiver.receive().await.unwrap(), Some(message(1, 100)));
    }
    assert!(!near.peer().is_empty() && !far.peer().is_empty());
}

async fn many_streams_at_once(nodes: Nodes) {
    let (near, far, _listener) = connected(&nodes).await;
    let serving = tokio::spawn(async move {
        let mut streams = tokio::task::JoinSet::new();
        while let Ok(mut stream) = far.accept().await {
            streams.spawn(async move {
                while let Some(message) = stream.receiver.receive().await.unwrap() {
                    stream.sender.send(message).await.unwrap();
                }
                stream.sender.finish().unwrap();
            });
        }
        while let Some(ended) = streams.join_next().await {
            ended.unwrap();
        }
    });
    let asking = (0..300).map(|seed| {
        let near = near.clone();
        async move {
            let mut stream = near.open().await.unwrap();
            for length in [seed, 5_000] {
                stream.sender.send(message(seed, length)).await.unwrap();
                assert_eq!(stream.receiver.receive().await.unwrap(), Some(message(seed, length)));
            }
            stream.sender.finish().unwrap();
            assert_eq!(stream.receiver.receive().await.unwrap(), None);
        }
    });
    futures::future::join_all(asking).await;
    near.close();
    serving.await.unwrap();
}

async fn messages_have_a_bound(nodes: Nodes) {
    let (near, far, _listener) = connected(&nodes).await;
    let (mut opened, mut accepted) = stream(&near, &far).await;
    let largest = Bytes::from(vec![7; MESSAGE_BYTES_MAX]);
    let larger = Bytes::from(vec![7; MESSAGE_BYTES_MAX + 1]);
    let error = opened.sender.send(larger).await.unwrap_err();
    assert!(error.to_string().contains("67108865"), "{error}");
    let (sent, received) = tokio::join!(opened.sender.send(largest.clone()), accepted.receiver.receive());
    sent.unwrap();
    assert!(received.unwrap().unwrap() == largest);
}

async fn a_receiver_that_does_not_read_holds_its_sender_up(nodes: Nodes) {
    const LENGTH: usize = 256 << 10;
    const COUNT: usize = 64;
    let (near, far, _listener) = connected(&nodes).await;
    let (mut opened, mut accepted) = stream(&near, &far).await;
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = sent.clone();
    let sending = tokio::spawn(async move {
        for seed in 0..COUNT {
            opened.sender.send(message(seed, LENGTH)).await.unwrap();
            counter.fetch_add(1, Ordering::Relaxed);
        }
        opened.sender.finish().unwrap();
        opened
    });
    let mut held = 0;
    while held == 0 || held != sent.load(Ordering::Relaxed) {
        held = sent.load(Ordering::Relaxed);
        sleep(Duration::from_millis(300)).await;
    }
    assert!((1..=8).contains(&held), "{held} messages are under way");
    // Other streams of the connection go on.
    let (mut other, mut other_accepted) = stream(&near, &far).await;
    for seed in 0..8 {
        let (sent, received) =
            tokio::join!(other.sender.send(message(seed, LENGTH)), other_accepted.receiver.receive());
        sent.unwrap();
        assert_eq!(received.unwrap(), Some(message(seed, LENGTH)));
    }
    assert_eq!(sent.load(Ordering::Relaxed), held);
    for seed in 0..COUNT {
        assert_eq!(accepted.receiver.receive().await.unwrap(), Some(message(seed, LENGTH)));
    }
    assert_eq!(accepted.receiver.receive().await.unwrap(), None);
    sending.await.unwrap();
}

async fn what_was_finished_arrives(nodes: Nodes) {
    let (near, far, _listener) = connected(&nodes).await;
    let (opened, mut accepted) = stream(&near, &far).await;
    let mut sender = opened.sender;
    for seed in 0..3 {
        sender.send(message(seed, 100_000)).await.unwrap();
    }
    sender.finish().unwrap();
    drop(sender);
    sleep(Duration::from_millis(50)).await;
    for seed in 0..3 {
        assert_eq!(accepted.receiver.receive().await.unwrap(), Some(message(seed, 100_000)));
    }
    assert_eq!(accepted.receiver.receive().await.unwrap(), None);
}

async fn a_sender_that_is_dropped_is_noticed(nodes: Nodes) {
    let (near, far, _listener) = connected(&nodes).await;
    let (opened, mut accepted) = stream(&near, &far).await;
    drop(opened.sender);
    for _ in 0..2 {
        assert!(matches!(rest(&mut accepted).await, Error::Stopped));
    }
    // The other direction is not concerned.
    let mut receiver = opened.receiver;
    accepted.sender.send(message(1, 10)).await.unwrap();
    assert_eq!(receiver.receive().await.unwrap(), Some(message(1, 10)));
    // A stream that was never used is seen, and ends in the same way.
    drop(near.open().await.unwrap());
    let mut accepted = far.accept().await.unwrap();
    assert!(matches!(rest(&mut accepted).await, Error::Stopped));
}

async fn a_receiver_that_is_dropped_is_noticed(nodes: Nodes) {
    let (near, far, _listener) = connected(&nodes).await;
    let (mut opened, accepted) = stream(&near, &far).await;
    assert!(timeout(Duration::from_millis(50), opened.sender.stopped()).await.is_err());
    drop(accepted.receiver);
    assert!(matches!(opened.sender.stopped().await, Error::Stopped));
    assert!(matches!(opened.sender.send(message(1, 10)).await, Err(Error::Stopped)));
    // One that waits for room is told, too.
    let (mut opened, accepted) = stream(&near, &far).await;
    let filling = tokio::spawn(async move {
        loop {
            if let Err(error) = opened.sender.send(message(1, 300_000)).await {
                return error;
            }
        }
    });
    sleep(Duration::from_millis(100)).await;
    assert!(!filling.is_finished());
    drop(accepted);
    assert!(matches!(filling.await.unwrap(), Error::Stopped));
}

async fn nothing_follows_the_end(nodes: Nodes) {
    let (near, far, _listener) = connected(&nodes).await;
    let (mut opened, mut accepted) = stream(&near, &far).await;
    opened.sender.finish().unwrap();
    assert!(matches!(opened.sender.send(message(1, 10)).await, Err(Error::Environment(_))));
    assert!(opened.sender.finish().is_err());
    assert_eq!(accepted.receiver.receive().await.unwrap(), None);
}

async fn waiting_for_a_message_may_be_given_up(nodes: Nodes) {
    let (near, far, _listener) = connected(&nodes).await;
    let (mut opened, mut accepted) = stream(&near, &far).await;
    let sending = tokio::spawn(async move {
        for seed in 0..20 {
            sleep(Duration::from_millis(3)).await;
            opened.sender.send(message(seed, 400_000)).await.unwrap();
        }
        opened.sender.finish().unwrap();
        opened
    });
    let (mut received, mut given_up) = (0, 0);
    loop {
        match timeout(Duration::from_micros(200), accepted.receiver.receive()).await {
            Ok(Ok(Some(arrived))) => {
                assert_eq!(arrived, message(received, 400_000));
                received += 1;
            }
            Ok(Ok(None)) => break,
            Ok(Err(error)) => panic!("{error}"),
            Err(_) => given_up += 1,
        }
    }
    assert_eq!(received, 20);
    assert!(given_up > 0);
    sending.await.unwrap();
}

/// All that either end may wait for fails.
async fn all_is_lost(
    near: &Arc<dyn network::Connection>,
    mut opened: network::Stream,
    far: &Arc<dyn network::Connection>,
    mut accepted: network::Stream,
) {
    for connection in [near, far] {
        assert!(matches!(connection.closed().await, Error::Lost { .. }));
        assert!(matches!(connection.open().await, Err(Error::Lost { .. })));
        assert!(matches!(connection.accept().await, Err(Error::Lost { .. })));
    }
    for stream in [&mut opened, &mut accepted] {
        assert!(matches!(rest(stream).await, Error::Lost { .. }));
        assert!(matches!(stream.sender.send(message(1, 10)).await, Err(Error::Lost { .. })));
        assert!(matches!(stream.sender.stopped().await, Error::Lost { .. }));
        assert!(matches!(stream.sender.finish(), Err(Error::Lost { .. })));
    }
}

async fn a_closed_connection_is_noticed(nodes: Nodes) {
    let (near, far, mut listener) = connected(&nodes).await;
    let (opened, mut accepted) = stream(&near, &far).await;
    let waiting = tokio::spawn(async move {
        let error = accepted.receiver.receive().await.unwrap_err();
        assert!(matches!(error, Error::Lost { .. }), "{error}");
        accepted
    });
    sleep(Duration::from_millis(20)).await;
    near.close();
    let accepted = timeout(Duration::from_secs(10), waiting).await.unwrap().unwrap();
    all_is_lost(&near, opened, &far, accepted).await;
    // The listener takes the next.
    let address = listener.address();
    let (near, far) = tokio::join!(nodes.first.connect(&address), listener.accept());
    stream(&near.unwrap(), &far.unwrap()).await;
}

async fn a_dropped_connection_is_noticed(nodes: Nodes) {
    let (near, far, _listener) = connected(&nodes).await;
    let (_opened, mut accepted) = stream(&near, &far).await;
    drop(near);
    assert!(matches!(far.closed().await, Error::Lost { .. }));
    assert!(matches!(rest(&mut accepted).await, Error::Lost { .. }));
}

async fn a_dropped_listener_accepts_nothing(nodes: Nodes) {
    let (near, far, listener) = connected(&nodes).await;
    let address = listener.address();
    drop(listener);
    assert!(matches!(nodes.first.connect(&address).await, Err(Error::Unreachable { .. })));
    // What was accepted stays.
    stream(&near, &far).await;
}

async fn addresses_that_are_none_are_refused(nodes: Nodes) {
    for address in ["", "127.0.0.1", "127.0.0.1:many", "127.0.0.1:70000"] {
        assert!(matches!(nodes.first.listen(address).await, Err(Error::Environment(_))), "{address}");
        assert!(matches!(nodes.first.connect(address).await, Err(Error::Unreachable { .. })), "{address}");
    }
    let listener = nodes.first.listen("127.0.0.1:0").await.unwrap();
    let error = nodes.second.listen(&listener.address()).await.err().unwrap();
    assert!(error.to_string().contains(&listener.address()), "{error}");
}
