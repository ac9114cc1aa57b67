//! Pairs of nodes over each network: the same tests run over all.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "each test binary uses its part")]

use bytes::Bytes;
use network::{
    Authority, Connection, Error, Listener, MemoryNetwork, Network, Quic, QuicOptions, Stream, Tcp,
    TcpOptions,
};
use std::sync::Arc;
use std::time::Duration;

/// Two nodes of a cluster.
pub struct Nodes {
    pub first: Arc<dyn Network>,
    pub second: Arc<dyn Network>,
}

/// What makes the waits of tests short.
pub fn options() -> QuicOptions {
    QuicOptions {
        keep_alive: Duration::from_millis(200),
        idle_timeout: Duration::from_secs(4),
        ..QuicOptions::default()
    }
}

pub fn over_quic() -> Nodes {
    let authority = Authority::create().unwrap();
    let node = |name| Arc::new(Quic::new(&authority.issue(name).unwrap(), &options()).unwrap());
    Nodes { first: node("first"), second: node("second") }
}

pub fn over_tcp() -> Nodes {
    let authority = Authority::create().unwrap();
    let node = |name| Arc::new(Tcp::new(&authority.issue(name).unwrap(), &TcpOptions::default()).unwrap());
    Nodes { first: node("first"), second: node("second") }
}

pub fn over_memory() -> Nodes {
    let hub = MemoryNetwork::new();
    Nodes { first: hub.node("first"), second: hub.node("second") }
}

/// Runs tests, functions of [`Nodes`], over each network; in memory under a clock that never waits.
#[macro_export]
macro_rules! over_each {
    ($($test:ident),* $(,)?) => {
        mod quic {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test(super::support::over_quic()).await;
            })*
        }
        mod tcp {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test(super::support::over_tcp()).await;
            })*
        }
        mod memory {
            $(#[tokio::test(start_paused = true)]
            async fn $test() {
                super::$test(super::support::over_memory()).await;
            })*
        }
    };
}

/// The first node's end and the second's.
pub async fn connected(nodes: &Nodes) -> (Arc<dyn Connection>, Arc<dyn Connection>, Box<dyn Listener>) {
    let mut listener = nodes.second.listen("127.0.0.1:0").await.unwrap();
    let address = listener.address();
    let (near, far) = tokio::join!(nodes.first.connect(&address), listener.accept());
    (near.unwrap(), far.unwrap(), listener)
}

/// A stream, seen by both ends; the first message is taken.
pub async fn stream(near: &Arc<dyn Connection>, far: &Arc<dyn Connection>) -> (Stream, Stream) {
    let mut opened = near.open().await.unwrap();
    opened.sender.send(Bytes::from_static(b"first")).await.unwrap();
    let mut accepted = far.accept().await.unwrap();
    assert_eq!(accepted.receiver.receive().await.unwrap().unwrap(), "first");
    (opened, accepted)
}

/// Bytes that differ by position and by seed.
pub fn message(seed: usize, length: usize) -> Bytes {
    (0..length).map(|at| (at.wrapping_mul(31) >> 3) as u8 ^ seed as u8).collect()
}

/// What is still to come, up to an error.
pub async fn rest(stream: &mut Stream) -> Error {
    loop {
        match stream.receiver.receive().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the stream ended well"),
            Err(error) => return error,
        }
    }
}
