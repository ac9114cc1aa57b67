//! What only TCP has: certificates, sockets that fall silent, frames that are none, nodes of the other transport.

use super::frame::{Frame, Header, Kind};
use super::pipe::WINDOW_BYTES;
use super::*;
use crate::{Authority, MESSAGE_BYTES_MAX, Quic, QuicOptions};
use bytes::Bytes;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;

const PLENTY: Duration = Duration::from_secs(20);

fn options() -> TcpOptions {
    TcpOptions { keep_alive: Duration::from_millis(200), idle_timeout: Duration::from_secs(2) }
}

fn node(authority: &Authority, name: &str) -> Tcp {
    Tcp::new(&authority.issue(name).unwrap(), &options()).unwrap()
}

/// A message goes there and back.
async fn check_works(near: &Arc<dyn Connection>, far: &Arc<dyn Connection>) {
    let mut opened = near.open().await.unwrap();
    opened.sender.send(Bytes::from_static(b"there")).await.unwrap();
    let mut accepted = far.accept().await.unwrap();
    assert_eq!(accepted.receiver.receive().await.unwrap().unwrap(), "there");
    accepted.sender.send(Bytes::from_static(b"back")).await.unwrap();
    assert_eq!(opened.receiver.receive().await.unwrap().unwrap(), "back");
}

async fn connect(node: &Tcp, listener: &mut Box<dyn Listener>) -> (Arc<dyn Connection>, Arc<dyn Connection>) {
    let address = listener.address();
    let (near, far) = tokio::join!(node.connect(&address), listener.accept());
    (near.unwrap(), far.unwrap())
}

#[tokio::test]
async fn nodes_of_another_authority_are_refused() {
    let (ours, theirs) = (Authority::create().unwrap(), Authority::create().unwrap());
    let mut listener = node(&ours, "server").listen("127.0.0.1:0").await.unwrap();
    let address = listener.address();
    let accepting = tokio::spawn(async move { (listener.accept().await, listener) });
    // It does not trust the server; and one that does is not trusted by it.
    let (server_part, own) = (ours.issue("x").unwrap(), theirs.issue("stranger").unwrap());
    let both = format!("{}{}", server_part.authority_pem, own.authority_pem);
    let trusting = Tcp::new(&Credentials { authority_pem: both, ..own }, &options()).unwrap();
    for (stranger, words) in [
        (node(&theirs, "stranger"), "its certificate is of another authority"),
        (trusting, "to it this node's certificate is of another authority"),
    ] {
        match stranger.connect(&address).await {
            Err(Error::Unreachable { peer, why }) => {
                assert_eq!(peer, address);
                assert!(why.starts_with(words), "{why}");
            }
            other => panic!("{:?}", other.err()),
        }
    }
    // The listener showed neither, and takes who belongs to it.
    assert!(!accepting.is_finished());
    let near = node(&ours, "friend").connect(&address).await.unwrap();
    let (far, _listener) = accepting.await.unwrap();
    check_works(&near, &far.unwrap()).await;
}

#[tokio::test]
async fn a_node_of_the_other_transport_is_told_so() {
    let authority = Authority::create().unwrap();
    let quic = Quic::new(&authority.issue("quic").unwrap(), &QuicOptions::default()).unwrap();
    let tcp = node(&authority, "tcp");
    let over_tcp = tcp.listen("127.0.0.1:0").await.unwrap();
    let mut over_tcp = (over_tcp.address(), tokio::spawn(accept_all(over_tcp)));
    let error = quic.connect(&over_tcp.0).await.err().unwrap().to_string();
    assert!(error.contains("it listens for TCP, and this node speaks QUIC"), "{error}");
    let over_quic = quic.listen("127.0.0.1:0").await.unwrap();
    let address = over_quic.address();
    let serving = tokio::spawn(accept_all(over_quic));
    let error = tcp.connect(&address).await.err().unwrap().to_string();
    assert!(error.contains("it listens for QUIC, and this node speaks TCP"), "{error}");
    serving.abort();
    over_tcp.1.abort();
    // Where nobody listens, nothing is said of transports.
    let _ = (&mut over_tcp.1).await;
    let error = tcp.connect(&over_tcp.0).await.err().unwrap().to_string();
    assert!(error.contains("refused") && !error.contains("QUIC"), "{error}");
}

async fn accept_all(mut listener: Box<dyn Listener>) {
    let mut accepted = Vec::new();
    while let Some(connection) = listener.accept().await {
        accepted.push(connection);
    }
}

/// A way to a node that can fall silent without a word, as one whose machine is lost.
async fn proxy(address: String) -> (String, watch::Sender<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = listener.local_addr().unwrap().to_string();
    let (silence, silent) = watch::channel(false);
    tokio::spawn(async move {
        let (near, _) = listener.accept().await.unwrap();
        let far = TcpStream::connect(address).await.unwrap();
        let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
        for (mut from, mut to) in [(near_read, far_write), (far_read, near_write)] {
            let silent = silent.clone();
            tokio::spawn(async move {
                let mut bytes = vec![0; 64 << 10];
                loop {
                    let count = from.read(&mut bytes).await.unwrap_or(0);
                    if *silent.borrow() {
                        return std::future::pending().await;
                    }
                    if count == 0 || to.write_all(&bytes[..count]).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (own, silence)
}

#[tokio::test]
async fn a_node_that_falls_silent_is_noticed() {
    let authority = Authority::create().unwrap();
    let mut listener = node(&authority, "server").listen("127.0.0.1:0").await.unwrap();
    let (address, silence) = proxy(listener.address()).await;
    let client = node(&authority, "client");
    let (near, far) = tokio::join!(client.connect(&address), listener.accept());
    let (near, far) = (near.unwrap(), far.unwrap());
    let mut stream = near.open().await.unwrap();
    // That nobody speaks is nothing.
    assert!(timeout(2 * options().idle_timeout, near.closed()).await.is_err());
    silence.send(true).unwrap();
    let begun = Instant::now();
    for error in [stream.receiver.receive().await.unwrap_err(), far.closed().await] {
        assert!(error.to_string().contains("it does not answer"), "{error}");
    }
    assert!(begun.elapsed() < 3 * options().idle_timeout, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_node_that_closes_is_noticed_at_once() {
    let authority = Authority::create().unwrap();
    let (one, other) = (node(&authority, "one"), node(&authority, "other"));
    let mut listener = one.listen("127.0.0.1:0").await.unwrap();
    let (near, far) = connect(&other, &mut listener).await;
    check_works(&near, &far).await;
    let begun = Instant::now();
    drop(far);
    let error = near.closed().await;
    assert!(error.to_string().contains("it closed the connection"), "{error}");
    assert!(begun.elapsed() < options().idle_timeout, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn garbage_at_the_port_does_no_harm() {
    let authority = Authority::create().unwrap();
    let (one, other) = (node(&authority, "one"), node(&authority, "other"));
    let mut listener = one.listen("127.0.0.1:0").await.unwrap();
    let address = listener.address();
    let (near, far) = connect(&other, &mut listener).await;
    let serving = tokio::spawn(async move { (listener.accept().await.unwrap(), listener) });
    let mut kept = Vec::new();
    for garbage in [&b""[..], b"GET / HTTP/1.1\r\n\r\n", &[0xff; 5000], &[0x16, 3, 1, 0x40, 0, 1, 2]] {
        let mut socket = TcpStream::connect(&address).await.unwrap();
        // It may be closed before all was sent.
        let _ = socket.write_all(garbage).await;
        kept.push(socket);
    }
    check_works(&near, &far).await;
    let near = other.connect(&address).await.unwrap();
    let (far, _listener) = timeout(PLENTY, serving).await.unwrap().unwrap();
    check_works(&near, &far).await;
}

/// A connection, and what puts frames on it that need not be right.
async fn raw() -> (Arc<Link>, Arc<dyn Connection>, Arc<dyn Connection>) {
    let authority = Authority::create().unwrap();
    let (one, other) = (node(&authority, "one"), node(&authority, "other"));
    let mut listener = one.listen("127.0.0.1:0").await.unwrap();
    let address = listener.address();
    let connecting = async {
        let socket = TcpStream::connect(&address).await.unwrap();
        let name = ServerName::try_from(SERVER_NAME).unwrap();
        let tls = ClientConnection::new(other.client.clone(), name).unwrap();
        let secured = handshake::secure(socket, tls.into()).await.unwrap();
        let link = Link::new("other".into(), Side::Connecting);
        Driver::spawn(secured, link.clone(), &options());
        link
    };
    let (link, far) = tokio::join!(connecting, listener.accept());
    (link.clone(), TcpConnection::shared(link), far.unwrap())
}

fn frame(kind: Kind, stream: u64, body: &[u8]) -> Frame {
    let header = Header { kind, count: body.len() as u32, stream };
    Frame::data(header, None, Bytes::copy_from_slice(body))
}

#[tokio::test]
async fn bytes_that_are_no_messages_end_their_stream() {
    let (link, near, far) = raw().await;
    let mut opened = near.open().await.unwrap();
    link.put(frame(Kind::Data, 0, &(MESSAGE_BYTES_MAX as u32 + 1).to_le_bytes()));
    let mut accepted = far.accept().await.unwrap();
    for _ in 0..2 {
        match accepted.receiver.receive().await {
            Err(Error::Malformed { why, .. }) => assert!(why.contains("67108865"), "{why}"),
            other => panic!("{other:?}"),
        }
    }
    // Whoever sent them is told, and may open others.
    assert!(matches!(opened.sender.stopped().await, Error::Stopped));
    for (number, cut) in [(2, 1), (4, 4), (6, 100)] {
        let _opened = near.open().await.unwrap();
        let mut bytes = 200u32.to_le_bytes().to_vec();
        bytes.resize(204, 7);
        link.put(frame(Kind::Data, number, &bytes[..cut]));
        link.put(frame(Kind::End, number, &[]));
        let mut receiver = far.accept().await.unwrap().receiver;
        assert!(matches!(receiver.receive().await, Err(Error::Malformed { .. })));
    }
}

#[tokio::test]
async fn frames_that_break_the_rules_end_the_connection() {
    let full = vec![1; 32 << 10];
    let more_than_fits = (0..=WINDOW_BYTES / full.len()).map(|_| frame(Kind::Data, 0, &full)).collect();
    let after_the_end = vec![frame(Kind::End, 0, &[]), frame(Kind::Data, 0, &[1])];
    for (frames, words) in [
        (more_than_fits, "more of a stream than was let in"),
        (after_the_end, "after its end"),
        (vec![frame(Kind::Stop, 1, &[])], "stream 1, which nobody opened"),
        (vec![frame(Kind::End, 1 << 40, &[])], "more than 4096 streams"),
    ] {
        let (link, _near, far) = raw().await;
        for frame in frames {
            link.put(frame);
        }
        let error = timeout(PLENTY, far.closed()).await.unwrap();
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn streams_that_have_ended_leave_nothing() {
    let (link, near, far) = raw().await;
    for _ in 0..5000 {
        let mut opened = near.open().await.unwrap();
        opened.sender.send(Bytes::from_static(b"x")).await.unwrap();
        let mut accepted = far.accept().await.unwrap();
        accepted.sender.finish().unwrap();
        assert_eq!(accepted.receiver.receive().await.unwrap().unwrap(), "x");
        assert_eq!(opened.receiver.receive().await.unwrap(), None);
    }
    check_works(&near, &far).await;
    let freed = async {
        while link.open_streams() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PLENTY, freed).await.unwrap();
}

#[tokio::test]
async fn a_message_that_was_given_up_tears_its_stream() {
    let authority = Authority::create().unwrap();
    let (one, other) = (node(&authority, "one"), node(&authority, "other"));
    let mut listener = one.listen("127.0.0.1:0").await.unwrap();
    let (near, far) = connect(&other, &mut listener).await;
    let mut opened = near.open().await.unwrap();
    let large = Bytes::from(vec![0; 8 << 20]);
    assert!(timeout(Duration::from_millis(100), opened.sender.send(large)).await.is_err());
    assert!(matches!(opened.sender.send(Bytes::new()).await, Err(Error::Environment(_))));
    assert!(opened.sender.finish().is_err());
    drop(opened.sender);
    let mut accepted = far.accept().await.unwrap();
    assert!(matches!(accepted.receiver.receive().await, Err(Error::Stopped)));
}
