//! Peers and servers, over QUIC, over TCP and in memory.

#![allow(clippy::unwrap_used)]

#[macro_use]
mod support;

use bytes::Bytes;
use futures::future::BoxFuture;
use network::{
    Connection, Error, Handler, Handlers, Listener, MESSAGE_BYTES_MAX, Network, Peers, Result, Service,
    Spoken, Stream, Versions, call_handler, serve,
};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use support::{Nodes, message};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

over_each!(
    calls_are_answered,
    callers_share_one_connection,
    a_lost_connection_is_opened_again,
    a_failed_attempt_is_not_remembered,
    refusals_are_told,
    versions_that_are_not_understood_are_refused,
    a_cluster_goes_over_to_a_version,
    streams_are_served,
    a_panic_ends_its_stream_alone,
    a_call_that_is_given_up_is_dropped,
    streams_that_begin_wrong_do_no_harm,
    peers_that_are_dropped_close_their_connections,
    the_end_of_a_server_ends_all,
);

const ECHO: Service = Service(1);
const REFUSE: Service = Service(2);
const PANIC: Service = Service(3);
const STALL: Service = Service(4);
const COUNT: Service = Service(5);
const LARGE: Service = Service(6);
const UNKNOWN: Service = Service(99);
const TIME: Duration = Duration::from_secs(20);

/// A node that serves, and one that calls it.
struct Cluster {
    address: String,
    peers: Arc<Peers>,
    network: Arc<Counted>,
    /// Calls that stalled and were dropped.
    dropped: Arc<AtomicUsize>,
    stop: Option<oneshot::Sender<()>>,
    server: tokio::task::JoinHandle<()>,
    _second: Arc<dyn Network>,
}

/// A network that keeps what it connected.
struct Counted {
    network: Arc<dyn Network>,
    connections: Mutex<Vec<Arc<dyn Connection>>>,
}

impl Network for Counted {
    fn listen(&self, address: &str) -> BoxFuture<'_, Result<Box<dyn Listener>>> {
        self.network.listen(address)
    }

    fn connect(&self, address: &str) -> BoxFuture<'_, Result<Arc<dyn Connection>>> {
        let address = address.to_string();
        Box::pin(async move {
            let connection = self.network.connect(&address).await?;
            self.connections.lock().push(connection.clone());
            Ok(connection)
        })
    }
}

/// Counts when it is dropped.
struct Dropped(Arc<AtomicUsize>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Sends as many numbers as it is asked for.
struct Counter;

impl Handler for Counter {
    fn handle(&self, peer: String, mut stream: Stream) -> BoxFuture<'static, ()> {
        assert!(!peer.is_empty());
        Box::pin(async move {
            while let Ok(Some(request)) = stream.receiver.receive().await {
                for number in 0..request[0] {
                    stream.sender.send(Bytes::copy_from_slice(&[number])).await.unwrap();
                }
            }
            stream.sender.finish().unwrap();
        })
    }
}

async fn cluster(nodes: Nodes) -> Cluster {
    let listener = nodes.second.listen("127.0.0.1:0").await.unwrap();
    let address = listener.address();
    let dropped = Arc::new(AtomicUsize::new(0));
    let counter = dropped.clone();
    let handlers = Handlers::new()
        .with(ECHO, call_handler(async |request| Ok(request)))
        .with(REFUSE, call_handler(async |_| Err("not today".to_string())))
        .with(PANIC, call_handler(async |_| panic!("on purpose")))
        .with(LARGE, call_handler(async |_| Ok(vec![0; MESSAGE_BYTES_MAX + 1].into())))
        .with(COUNT, Counter)
        .with(
            STALL,
            call_handler(move |_| {
                let guard = Dropped(counter.clone());
                async move {
                    std::future::pending::<()>().await;
                    drop(guard);
                    Ok(Bytes::new())
                }
            }),
        );
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(serve(listener, handlers, async {
        let _ = stopped.await;
    }));
    let network = Arc::new(Counted { network: nodes.first, connections: Mutex::default() });
    let peers = Arc::new(Peers::new(network.clone(), Duration::from_secs(5)));
    Cluster { address, peers, network, dropped, stop: Some(stop), server, _second: nodes.second }
}

impl Cluster {
    async fn call(&self, service: Service, request: Bytes) -> Result<Bytes> {
        self.peers.call(&self.address, service, request, TIME).await
    }
}

async fn calls_are_answered(nodes: Nodes) {
    let cluster = cluster(nodes).await;
    for length in [0, 100, 5_000_000] {
        let request = message(length, length);
        assert_eq!(cluster.call(ECHO, request.clone()).await.unwrap(), request);
    }
}

async fn callers_share_one_connection(nodes: Nodes) {
    let cluster = cluster(nodes).await;
    let calls = (0..50).map(|seed| {
        let request = message(seed, 1000);
        let cluster = &cluster;
        async move { assert_eq!(cluster.call(ECHO, request.clone()).await.unwrap(), request) }
    });
    futures::future::join_all(calls).await;
    assert_eq!(cluster.network.connections.lock().len(), 1);
}

async fn a_lost_connection_is_opened_again(nodes: Nodes) {
    let cluster = cluster(nodes).await;
    for count in 1..=3 {
        assert_eq!(cluster.call(ECHO, message(1, 10)).await.unwrap(), message(1, 10));
        let connection = cluster.network.connections.lock().last().unwrap().clone();
        assert_eq!(cluster.network.connections.lock().len(), count);
        connection.close();
    }
}

async fn a_failed_attempt_is_not_remembered(nodes: Nodes) {
    let free = nodes.second.listen("127.0.0.1:0").await.unwrap();
    let address = free.address();
    let Nodes { first, second } = nodes;
    drop((free, second));
    // A node over QUIC lets go of its port when all its tasks have ended.
    sleep(Duration::from_millis(300)).await;
    let peers = Peers::new(first.clone(), Duration::from_secs(2));
    for _ in 0..2 {
        let error = peers.call(&address, ECHO, Bytes::new(), TIME).await.unwrap_err();
        assert!(matches!(error, Error::TimedOut { .. } | Error::Unreachable { .. }), "{error}");
        assert!(error.to_string().contains(&address), "{error}");
    }
    let listener = first.listen(&address).await.unwrap();
    let handlers = Handlers::new().with(ECHO, call_handler(async |request| Ok(request)));
    let server = tokio::spawn(serve(listener, handlers, std::future::pending()));
    assert_eq!(peers.call(&address, ECHO, message(1, 9), TIME).await.unwrap(), message(1, 9));
    server.abort();
}

async fn refusals_are_told(nodes: Nodes) {
    let cluster = cluster(nodes).await;
    let refusal = async |service, request| match cluster.call(service, request).await {
        Err(Error::Refused(why)) => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(refusal(REFUSE, Bytes::new()).await, "not today");
    assert!(refusal(LARGE, Bytes::new()).await.contains("67108865"));
    // The refusal is told even to whoever has much to say.
    let why = refusal(UNKNOWN, message(1, 20_000_000)).await;
    assert!(why.contains("service 99") && why.contains("version 1, this node versions 1 to 2"), "{why}");
    let mut stream = cluster.peers.open(&cluster.address, UNKNOWN).await.unwrap();
    for _ in 0..2 {
        assert!(matches!(stream.receiver.receive().await, Err(Error::Refused(_))));
    }
    assert!(matches!(stream.sender.stopped().await, Error::Stopped));
    assert_eq!(cluster.network.connections.lock().len(), 1);
}

async fn versions_that_are_not_understood_are_refused(nodes: Nodes) {
    let cluster = cluster(nodes).await;
    let connection = cluster.network.connect(&cluster.address).await.unwrap();
    for (version, told) in [(0u8, "none later than 0"), (3, "this node understands versions 1 to 2")] {
        let mut stream = connection.open().await.unwrap();
        stream.sender.send(Bytes::copy_from_slice(&[1, 0, version, 0])).await.unwrap();
        let answer = stream.receiver.receive().await.unwrap().unwrap();
        let why = String::from_utf8_lossy(&answer[1..]).to_string();
        assert!(why.contains(told), "{why}");
        assert_eq!(stream.receiver.receive().await.unwrap(), None);
    }
}

async fn a_cluster_goes_over_to_a_version(nodes: Nodes) {
    let listener = nodes.second.listen("127.0.0.1:0").await.unwrap();
    let address = listener.address();
    let here = Spoken::new(Versions { least: 1, most: 2 });
    // The version that was spoken cannot be seen by a handler: a node that understands it alone shows it.
    let old = nodes.second.listen("127.0.0.1:0").await.unwrap();
    let old_address = old.address();
    let handlers = |spoken: &Arc<Spoken>| {
        Handlers::speaking(spoken.clone()).with(ECHO, call_handler(async |request| Ok(request)))
    };
    let first = Spoken::new(Versions { least: 1, most: 1 });
    let servers = [
        tokio::spawn(serve(listener, handlers(&here), std::future::pending())),
        tokio::spawn(serve(old, handlers(&first), std::future::pending())),
    ];
    let spoken = Spoken::new(Versions { least: 1, most: 2 });
    let peers = Peers::speaking(nodes.first.clone(), Duration::from_secs(5), spoken.clone());
    let old_peers = Peers::speaking(nodes.first.clone(), Duration::from_secs(5), first.clone());
    let ask = async |peers: &Peers, address: &str| peers.call(address, ECHO, message(1, 9), TIME).await;
    // All understand each other.
    for address in [&address, &old_address] {
        assert_eq!(ask(&peers, address).await.unwrap(), message(1, 9));
        assert_eq!(ask(&old_peers, address).await.unwrap(), message(1, 9));
    }
    // One has not heard of it yet, and is served all the same.
    here.agree(2);
    assert_eq!(ask(&peers, &address).await.unwrap(), message(1, 9));
    let error = ask(&old_peers, &address).await.unwrap_err();
    assert!(matches!(error, Error::Outdated(_)) && error.to_string().contains("version 2"), "{error}");
    let mut stream = old_peers.open(&address, ECHO).await.unwrap();
    assert!(matches!(stream.receiver.receive().await, Err(Error::Outdated(_))));
    // Version 1 knows no such answer, and says nothing of what it could speak.
    let connection = nodes.first.connect(&address).await.unwrap();
    let mut stream = connection.open().await.unwrap();
    stream.sender.send(Bytes::copy_from_slice(&[ECHO.0 as u8, 0, 1, 0])).await.unwrap();
    let answer = stream.receiver.receive().await.unwrap().unwrap();
    assert_eq!(answer[0], 1);
    assert!(String::from_utf8_lossy(&answer[1..]).contains("newer release"), "{answer:?}");
    // Who has heard of it speaks so.
    spoken.agree(2);
    assert_eq!(ask(&peers, &address).await.unwrap(), message(1, 9));
    let error = ask(&peers, &old_address).await.unwrap_err();
    assert!(matches!(error, Error::Refused(_)), "{error}");
    assert!(error.to_string().contains("this node understands version 1"), "{error}");
    servers.iter().for_each(tokio::task::JoinHandle::abort);
}

async fn streams_are_served(nodes: Nodes) {
    let cluster = cluster(nodes).await;
    let mut stream = cluster.peers.open(&cluster.address, COUNT).await.unwrap();
    for count in [3, 0, 200] {
        stream.sender.send(Bytes::copy_from_slice(&[count])).await.unwrap();
        for number in 0..count {
            assert_eq!(stream.receiver.receive().await.unwrap().unwrap(), vec![number]);
        }
    }
    stream.sender.finish().unwrap();
    assert_eq!(stream.receiver.receive().await.unwrap(), None);
    // One that ends without a word was accepted all the same.
    let mut stream = cluster.peers.open(&cluster.address, COUNT).await.unwrap();
    stream.sender.finish().unwrap();
    assert_eq!(stream.receiver.receive().await.unwrap(), None);
}

async fn a_panic_ends_its_stream_alone(nodes: Nodes) {
    let cluster = cluster(nodes).await;
    let mut counting = cluster.peers.open(&cluster.address, COUNT).await.unwrap();
    assert!(matches!(cluster.call(PANIC, Bytes::new()).await, Err(Error::Stopped)));
    counting.sender.send(Bytes::from_static(&[1])).await.unwrap();
    assert_eq!(counting.receiver.receive().await.unwrap().unwrap(), vec![0]);
    assert_eq!(cluster.call(ECHO, message(1, 10)).await.unwrap(), message(1, 10));
    assert_eq!(cluster.network.connections.lock().len(), 1);
}

async fn a_call_that_is_given_up_is_dropped(nodes: Nodes) {
    let cluster = cluster(nodes).await;
    let call = cluster.peers.call(&cluster.address, STALL, Bytes::new(), Duration::from_millis(200));
    match call.await {
        Err(Error::TimedOut { peer, milliseconds: 200 }) => assert_eq!(peer, cluster.address),
        other => panic!("{other:?}"),
    }
    let noticed = async {
        while cluster.dropped.load(Ordering::SeqCst) == 0 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(2), noticed).await.unwrap();
}

async fn streams_that_begin_wrong_do_no_harm(nodes: Nodes) {
    let cluster = cluster(nodes).await;
    let connection = cluster.network.connect(&cluster.address).await.unwrap();
    let mut kept = Vec::new();
    for first in [&b""[..], b"x", b"abc", b"GET / HTTP/1.1\r\n\r\n", &[0xff; 100]] {
        let mut stream = connection.open().await.unwrap();
        stream.sender.send(Bytes::copy_from_slice(first)).await.unwrap();
        let answer = stream.receiver.receive().await.unwrap().unwrap();
        assert_eq!(answer[0], 1, "{first:?}");
        kept.push(stream);
    }
    let mut ended = connection.open().await.unwrap();
    ended.sender.finish().unwrap();
    assert!(matches!(ended.receiver.receive().await, Err(Error::Stopped)));
    // The connection is as good as before.
    let mut good = connection.open().await.unwrap();
    good.sender.send(Bytes::from_static(&[1, 0, 1, 0])).await.unwrap();
    good.sender.send(message(1, 10)).await.unwrap();
    assert_eq!(good.receiver.receive().await.unwrap().unwrap(), vec![0]);
}

async fn peers_that_are_dropped_close_their_connections(nodes: Nodes) {
    let cluster = cluster(nodes).await;
    let mut counting = cluster.peers.open(&cluster.address, COUNT).await.unwrap();
    counting.sender.send(Bytes::from_static(&[1])).await.unwrap();
    assert_eq!(counting.receiver.receive().await.unwrap().unwrap(), vec![0]);
    let connection = cluster.network.connections.lock()[0].clone();
    assert!(timeout(Duration::from_millis(20), connection.closed()).await.is_err());
    drop(Arc::try_unwrap(cluster.peers).ok().unwrap());
    assert!(matches!(connection.closed().await, Error::Lost { .. }));
    assert!(matches!(support::rest(&mut counting).await, Error::Lost { .. }));
}

async fn the_end_of_a_server_ends_all(nodes: Nodes) {
    let mut cluster = cluster(nodes).await;
    let mut counting = cluster.peers.open(&cluster.address, COUNT).await.unwrap();
    counting.sender.send(Bytes::from_static(&[1])).await.unwrap();
    assert_eq!(counting.receiver.receive().await.unwrap().unwrap(), vec![0]);
    cluster.stop.take().unwrap().send(()).unwrap();
    (&mut cluster.server).await.unwrap();
    assert!(matches!(support::rest(&mut counting).await, Error::Lost { .. }));
}
