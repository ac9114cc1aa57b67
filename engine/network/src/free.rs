//! Addresses for nodes that are started on this machine.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{Error, ErrorKind, Result};
use std::net::{TcpListener, UdpSocket};
use std::ops::Range;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The lowest port that is drawn; well-known services listen below it.
const LOWEST: u16 = 10_000;
/// Where the ports of connections begin on Linux, unless it was told otherwise.
const CONNECTIONS: u16 = 32_768;

/// `127.0.0.1:PORT`, with a port that nobody uses for streams or datagrams, and that this process has not drawn
/// before, unless it has drawn all.
///
/// A port is drawn from those that the kernel gives to no connection: one of these could be taken while the node
/// that listens there is started again.
///
/// # Errors
/// Where all such ports are in use, or this machine has no loopback address.
pub fn free_address() -> Result<String> {
    static DRAWN: LazyLock<AtomicUsize> =
        LazyLock::new(|| AtomicUsize::new(RandomState::new().build_hasher().finish() as usize >> 1));
    let ports = ports();
    for _ in ports.clone() {
        let drawn = DRAWN.fetch_add(1, Ordering::Relaxed) % ports.len();
        let address = format!("127.0.0.1:{}", usize::from(ports.start) + drawn);
        let bound = TcpListener::bind(&address).and_then(|_| UdpSocket::bind(&address));
        match bound {
            Ok(_) => return Ok(address),
            Err(error) if error.kind() == ErrorKind::AddrInUse => {}
            Err(error) => return Err(error),
        }
    }
    Err(Error::new(
        ErrorKind::AddrInUse,
        format!("all ports from {} to {} are in use", ports.start, ports.end - 1),
    ))
}

/// The ports to draw from: all above [`LOWEST`] where the kernel leaves none to draw.
fn ports() -> Range<u16> {
    let told = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok();
    let first = told.and_then(|told| told.split_whitespace().next()?.parse().ok()).unwrap_or(CONNECTIONS);
    if first > LOWEST { LOWEST..first } else { LOWEST..u16::MAX }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn addresses_are_free_and_drawn_once() {
        let taken: Vec<_> = (0..100).map(|_| TcpListener::bind(free_address().unwrap()).unwrap()).collect();
        let ports: HashSet<u16> = taken.iter().map(|one| one.local_addr().unwrap().port()).collect();
        assert_eq!(ports.len(), taken.len());
        assert!(ports.iter().all(|port| super::ports().contains(port)));
    }
}
