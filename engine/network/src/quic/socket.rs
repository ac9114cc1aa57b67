//! UDP sockets with room for bursts.

use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{SocketAddr, UdpSocket};

/// A bound socket. The system may give its buffers less than was asked for.
pub(super) fn bind(address: SocketAddr, buffer_bytes: usize) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_recv_buffer_size(buffer_bytes)?;
    socket.set_send_buffer_size(buffer_bytes)?;
    let given = socket.recv_buffer_size()?;
    if given < buffer_bytes {
        tracing::debug!(given, asked = buffer_bytes, "a small UDP buffer: net.core.rmem_max bounds it");
    }
    socket.bind(&address.into())?;
    Ok(socket.into())
}
