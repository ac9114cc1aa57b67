//! What only QUIC has: certificates, sockets that vanish, bytes that are no messages.

use super::*;
use crate::{Authority, MESSAGE_BYTES_MAX, Receiver};
use bytes::Bytes;
use quinn::SendStream;
use std::time::Instant;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::time::timeout;

const PLENTY: Duration = Duration::from_secs(20);

fn options() -> QuicOptions {
    QuicOptions {
        keep_alive: Duration::from_millis(200),
        idle_timeout: Duration::from_secs(2),
        ..QuicOptions::default()
    }
}

fn node(authority: &Authority, name: &str) -> Quic {
    Quic::new(&authority.issue(name).unwrap(), &options()).unwrap()
}

/// A message goes there and back, which is the first that either side can be sure of.
async fn check_works(near: &Arc<dyn Connection>, far: &Arc<dyn Connection>) {
    let mut opened = near.open().await.unwrap();
    opened.sender.send(Bytes::from_static(b"there")).await.unwrap();
    let mut accepted = far.accept().await.unwrap();
    assert_eq!(accepted.receiver.receive().await.unwrap().unwrap(), "there");
    accepted.sender.send(Bytes::from_static(b"back")).await.unwrap();
    assert_eq!(opened.receiver.receive().await.unwrap().unwrap(), "back");
}

async fn connect(
    node: &Quic,
    listener: &mut Box<dyn Listener>,
) -> (Arc<dyn Connection>, Arc<dyn Connection>) {
    let address = listener.address();
    let (near, far) = tokio::join!(node.connect(&address), listener.accept());
    (near.unwrap(), far.unwrap())
}

#[tokio::test]
async fn nodes_of_another_authority_are_refused() {
    let (ours, theirs) = (Authority::create().unwrap(), Authority::create().unwrap());
    let server = node(&ours, "server");
    let mut listener = server.listen("127.0.0.1:0").await.unwrap();
    let address = listener.address();
    let accepting = tokio::spawn(async move { (listener.accept().await, listener) });
    // It does not trust the server.
    match node(&theirs, "stranger").connect(&address).await {
        Err(Error::Unreachable { peer, why }) => {
            assert_eq!(peer, address);
            assert!(why.starts_with("its certificate is of another authority"), "{why}");
        }
        other => panic!("{:?}", other.err()),
    }
    // It trusts the server, which does not trust it.
    let (server_part, own) = (ours.issue("x").unwrap(), theirs.issue("stranger").unwrap());
    let both = format!("{}{}", server_part.authority_pem, own.authority_pem);
    let stranger = Quic::new(&Credentials { authority_pem: both, ..own }, &options()).unwrap();
    let error = match stranger.connect(&address).await {
        Ok(connection) => timeout(PLENTY, connection.closed()).await.unwrap(),
        Err(error) => error,
    };
    let refusal = "to it this node's certificate is of another authority";
    assert!(error.to_string().contains(refusal), "{error}");
    // The listener showed neither, and takes who belongs to it.
    assert!(!accepting.is_finished());
    let friend = node(&ours, "friend");
    let near = friend.connect(&address).await.unwrap();
    let (far, _listener) = accepting.await.unwrap();
    check_works(&near, &far.unwrap()).await;
}

#[tokio::test]
async fn credentials_that_do_not_fit_are_refused_at_the_start() {
    let authority = Authority::create().unwrap();
    let (one, other) = (authority.issue("one").unwrap(), authority.issue("other").unwrap());
    let mixed = Credentials { key_pem: other.key_pem, ..one };
    let error = Quic::new(&mixed, &options()).err().unwrap();
    assert!(error.to_string().contains("node.key is not the key of node.pem"), "{error}");
}

#[tokio::test]
async fn one_port_serves_and_asks() {
    let authority = Authority::create().unwrap();
    let (one, other) = (node(&authority, "one"), node(&authority, "other"));
    let mut listener = one.listen("127.0.0.1:0").await.unwrap();
    let own = other.listen("127.0.0.1:0").await.unwrap();
    let (_, far) = connect(&other, &mut listener).await;
    assert_eq!(far.peer(), own.address());
    // By name, and by the other kind of address from a port that no listener has.
    let port = listener.address().rsplit_once(':').unwrap().1.to_string();
    let third = node(&authority, "third");
    let by_name = format!("localhost:{port}");
    let (near, far) = tokio::join!(third.connect(&by_name), listener.accept());
    let near = near.unwrap();
    assert_eq!(near.peer(), by_name);
    check_works(&near, &far.unwrap()).await;
}

#[tokio::test]
async fn a_node_reaches_itself() {
    let node = node(&Authority::create().unwrap(), "node");
    let mut listener = node.listen("127.0.0.1:0").await.unwrap();
    let (near, far) = connect(&node, &mut listener).await;
    check_works(&near, &far).await;
}

#[tokio::test]
async fn a_node_that_closes_says_so() {
    let authority = Authority::create().unwrap();
    let (one, other) = (node(&authority, "one"), node(&authority, "other"));
    let mut listener = one.listen("127.0.0.1:0").await.unwrap();
    let (near, far) = connect(&other, &mut listener).await;
    check_works(&near, &far).await;
    let begun = Instant::now();
    let ((), error) = tokio::join!(one.close(), near.closed());
    assert!(error.to_string().contains("it closed the connection"), "{error}");
    assert!(begun.elapsed() < options().idle_timeout, "{:?}", begun.elapsed());
    assert!(listener.accept().await.is_none());
}

/// A server in a runtime of its own, whose end leaves nobody to say goodbye; it is connected to.
async fn doomed(
    credentials: &Credentials,
    client: &Quic,
    options: &QuicOptions,
) -> (Runtime, Arc<dyn Connection>) {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server = Quic::new(credentials, options).unwrap();
    let (tell, told) = oneshot::channel();
    let (tell_accepted, accepted) = oneshot::channel();
    runtime.spawn(async move {
        let mut listener = server.listen("127.0.0.1:0").await.unwrap();
        tell.send(listener.address()).unwrap();
        let connection = listener.accept().await.unwrap();
        tell_accepted.send(()).unwrap();
        connection.closed().await;
        drop((server, listener));
    });
    let connection = client.connect(&told.await.unwrap()).await.unwrap();
    accepted.await.unwrap();
    (runtime, connection)
}

#[tokio::test]
async fn a_socket_that_vanishes_is_noticed_by_its_silence() {
    let authority = Authority::create().unwrap();
    let client = node(&authority, "client");
    let (runtime, connection) = doomed(&authority.issue("server").unwrap(), &client, &options()).await;
    let mut stream = connection.open().await.unwrap();
    // That nobody speaks is nothing.
    assert!(timeout(2 * options().idle_timeout, connection.closed()).await.is_err());
    runtime.shutdown_background();
    let begun = Instant::now();
    let error = timeout(PLENTY, stream.receiver.receive()).await.unwrap().unwrap_err();
    assert!(error.to_string().contains("it does not answer"), "{error}");
    assert!(begun.elapsed() < 4 * options().idle_timeout, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_node_that_was_restarted_is_noticed_at_once() {
    let authority = Authority::create().unwrap();
    let credentials = authority.issue("server").unwrap();
    let patient = QuicOptions { idle_timeout: Duration::from_secs(60), ..options() };
    let client = Quic::new(&authority.issue("client").unwrap(), &patient).unwrap();
    let (runtime, connection) = doomed(&credentials, &client, &patient).await;
    runtime.shutdown_background();
    let again = Quic::new(&credentials, &patient).unwrap();
    let begun = Instant::now();
    let mut listener = loop {
        match again.listen(&connection.peer()).await {
            Ok(listener) => break listener,
            Err(error) => assert!(begun.elapsed() < PLENTY, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    let error = timeout(PLENTY, connection.closed()).await.unwrap();
    assert!(error.to_string().contains("it was restarted"), "{error}");
    let (near, far) = connect(&client, &mut listener).await;
    check_works(&near, &far).await;
}

#[tokio::test]
async fn garbage_at_the_port_does_no_harm() {
    let authority = Authority::create().unwrap();
    let (one, other) = (node(&authority, "one"), node(&authority, "other"));
    let mut listener = one.listen("127.0.0.1:0").await.unwrap();
    let address = listener.address();
    let (near, far) = connect(&other, &mut listener).await;
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut random = 1u64;
    for round in 0..3000usize {
        let mut datagram: Vec<u8> = (0..round % 1500)
            .map(|_| {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (random >> 56) as u8
            })
            .collect();
        // Every other looks like the first packet of a handshake.
        if round % 2 == 0 && datagram.len() > 6 {
            datagram[..6].copy_from_slice(&[0xc3, 0, 0, 0, 1, 8]);
        }
        let _ = socket.send_to(&datagram, &address).await;
    }
    check_works(&near, &far).await;
    let (near, far) = connect(&other, &mut listener).await;
    check_works(&near, &far).await;
}

/// A stream on which bytes are sent that need not be messages, and what receives them.
async fn raw() -> (Quic, Quic, Arc<dyn Connection>, quinn::Connection, SendStream, Box<dyn Receiver>) {
    let authority = Authority::create().unwrap();
    let (one, other) = (node(&authority, "one"), node(&authority, "other"));
    let mut listener = one.listen("127.0.0.1:0").await.unwrap();
    let remote = listener.address().parse().unwrap();
    let client = other.configuration.client.clone();
    let connecting = other.connecting().unwrap().connect_with(client, remote, SERVER_NAME).unwrap();
    let (near, far) = tokio::join!(connecting, listener.accept());
    let (near, far) = (near.unwrap(), far.unwrap());
    let (mut sender, _) = near.open_bi().await.unwrap();
    sender.write_all(&[1, 0, 0, 0, 9]).await.unwrap();
    let mut receiver = far.accept().await.unwrap().receiver;
    assert_eq!(receiver.receive().await.unwrap().unwrap().as_ref(), [9]);
    (one, other, far, near, sender, receiver)
}

#[tokio::test]
async fn bytes_that_are_no_messages_end_their_stream() {
    let (_one, _other, far, near, mut sender, mut receiver) = raw().await;
    sender.write_all(&(MESSAGE_BYTES_MAX as u32 + 1).to_le_bytes()).await.unwrap();
    for _ in 0..2 {
        match receiver.receive().await {
            Err(Error::Malformed { why, .. }) => assert!(why.contains("67108865"), "{why}"),
            other => panic!("{other:?}"),
        }
    }
    // Whoever sent them is told, and may open others.
    assert!(sender.stopped().await.unwrap().is_some());
    for cut in [1, 4, 100] {
        let (mut sender, _) = near.open_bi().await.unwrap();
        let mut bytes = 200u32.to_le_bytes().to_vec();
        bytes.resize(204, 7);
        sender.write_all(&bytes[..cut]).await.unwrap();
        sender.finish().unwrap();
        let mut receiver = far.accept().await.unwrap().receiver;
        assert!(matches!(receiver.receive().await, Err(Error::Malformed { .. })));
    }
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
