//! Whether a node listens for QUIC, asked by one that does not speak it.

use ring::rand::{SecureRandom, SystemRandom};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::{sleep, timeout};

/// How long an answer may take, and how often it is asked: datagrams are lost.
const ANSWER_TIME: Duration = Duration::from_millis(300);
const ATTEMPTS: usize = 2;
/// Shorter ones may be ignored (RFC 9000, section 6).
const DATAGRAM_BYTES: usize = 1200;
const LONG_HEADER: u8 = 0xc0;
/// A version that nobody speaks, so that whoever speaks QUIC says which it does (RFC 9000, section 15).
const NO_VERSION: [u8; 4] = [0x1a, 0x2a, 0x3a, 0x4a];
const NUMBER_BYTES: usize = 8;

/// Whether somebody at the address speaks QUIC.
pub(crate) async fn answers(address: SocketAddr) -> bool {
    for _ in 0..ATTEMPTS {
        match timeout(ANSWER_TIME, ask(address)).await {
            Ok(Ok(())) => return true,
            // Nobody listens there, which may come at once.
            Ok(Err(_)) => sleep(ANSWER_TIME / 10).await,
            Err(_) => {}
        }
    }
    false
}

async fn ask(address: SocketAddr) -> io::Result<()> {
    let own: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(own).await?;
    socket.connect(address).await?;
    let mut numbers = [0; 2 * NUMBER_BYTES];
    SystemRandom::new().fill(&mut numbers).map_err(|_| io::Error::other("no randomness"))?;
    let (theirs, ours) = numbers.split_at(NUMBER_BYTES);
    let mut datagram = vec![LONG_HEADER];
    for part in [&NO_VERSION[..], &[NUMBER_BYTES as u8], theirs, &[NUMBER_BYTES as u8], ours] {
        datagram.extend_from_slice(part);
    }
    datagram.resize(DATAGRAM_BYTES, 0);
    socket.send(&datagram).await?;
    let mut answer = [0; DATAGRAM_BYTES];
    loop {
        let bytes = socket.recv(&mut answer).await?;
        // A list of versions has version 0, and is for the number that asked.
        let [kind, 0, 0, 0, 0, length, number @ ..] = &answer[..bytes] else { continue };
        if kind & 0x80 != 0 && usize::from(*length) == NUMBER_BYTES && number.starts_with(ours) {
            return Ok(());
        }
    }
}
