//! How connections are secured and how much they carry.

use super::{QuicOptions, socket};
use crate::certificates::Identity;
use crate::{Error, Result, tls};
use quinn::congestion::CubicConfig;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{
    AckFrequencyConfig, ClientConfig, Endpoint, EndpointConfig, MtuDiscoveryConfig, ServerConfig,
    TokioRuntime, TransportConfig, VarInt,
};
use ring::hmac;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// What is spoken; another major version of this protocol would get another name.
const PROTOCOL: &[u8] = b"tundra/1";
/// The largest datagram that is tried; networks with jumbo frames carry it. The library hands the system ten at once,
/// which must not be more than the 64 KiB of one send: more would be dropped without a word.
const DATAGRAM_BYTES_MAX: u16 = 6500;
/// How long an answer takes before any was measured: rather that of a data centre than that of the internet.
const FIRST_ROUND_TRIP: Duration = Duration::from_millis(100);
/// So many datagrams are acknowledged at once, fewer after a while: an acknowledgement costs both sides about what a
/// datagram does. They must fit the window that a connection begins with.
const ACKNOWLEDGED_DATAGRAMS: u32 = 8;
const ACKNOWLEDGED_AFTER: Duration = Duration::from_millis(5);
/// What may be on its way before anything is known of the path; the buffers of sockets hold it by default.
const FIRST_WINDOW_BYTES: u64 = 128 << 10;
/// The handshakes that wait for the listener; more are refused.
const INCOMING_MAX: usize = 1024;

/// All that an endpoint needs.
pub(super) struct Configuration {
    pub(super) client: ClientConfig,
    pub(super) server: ServerConfig,
    endpoint: EndpointConfig,
    socket_buffer_bytes: usize,
}

impl Configuration {
    pub(super) fn new(identity: &Identity, options: &QuicOptions) -> Result<Configuration> {
        // One side is enough to keep a connection alive: the other one's answers do the same for it.
        let mut alive = transport(options)?;
        alive.keep_alive_interval(Some(options.keep_alive));
        let mut client = client(identity)?;
        client.transport_config(Arc::new(alive));
        let mut server = server(identity)?;
        server.transport_config(Arc::new(transport(options)?)).max_incoming(INCOMING_MAX);
        let endpoint = endpoint(identity)?;
        Ok(Configuration { client, server, endpoint, socket_buffer_bytes: options.socket_buffer_bytes })
    }

    /// An endpoint at an address; it accepts nothing yet.
    pub(super) fn endpoint(&self, address: SocketAddr) -> io::Result<Endpoint> {
        let socket = socket::bind(address, self.socket_buffer_bytes)?;
        Endpoint::new(self.endpoint.clone(), None, socket, Arc::new(TokioRuntime))
    }

    /// An endpoint with a free port that reaches both kinds of addresses, where the system has both.
    pub(super) fn ephemeral_endpoint(&self) -> io::Result<Endpoint> {
        let both = self.endpoint((Ipv6Addr::UNSPECIFIED, 0).into());
        both.or_else(|_| self.endpoint((Ipv4Addr::UNSPECIFIED, 0).into()))
    }
}

fn client(identity: &Identity) -> Result<ClientConfig> {
    let tls = tls::client(identity, PROTOCOL)?;
    Ok(ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).map_err(unusable)?)))
}

fn server(identity: &Identity) -> Result<ServerConfig> {
    let tls = tls::server(identity, PROTOCOL)?;
    Ok(ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls).map_err(unusable)?)))
}

/// An endpoint that knows the connections of its node's former processes as such, and resets them: keys that others
/// draw at random follow from the node's key.
fn endpoint(identity: &Identity) -> Result<EndpointConfig> {
    let secret = hmac::Key::new(hmac::HMAC_SHA256, identity.key.secret_der());
    let reset = hmac::sign(&secret, b"tundra resets of connections");
    let numbers = hmac::sign(&secret, b"tundra numbers of connections");
    let mut endpoint = EndpointConfig::new(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, reset.as_ref())));
    let key = numbers.as_ref().iter().take(8).fold(0, |key, byte| key << 8 | u64::from(*byte));
    endpoint.cid_generator(move || Box::new(quinn_proto::HashedConnectionIdGenerator::from_key(key)));
    endpoint.max_udp_payload_size(DATAGRAM_BYTES_MAX).map_err(unusable)?;
    Ok(endpoint)
}

fn transport(options: &QuicOptions) -> Result<TransportConfig> {
    let mut discovery = MtuDiscoveryConfig::default();
    discovery.upper_bound(DATAGRAM_BYTES_MAX);
    let mut acknowledging = AckFrequencyConfig::default();
    acknowledging
        .ack_eliciting_threshold(ACKNOWLEDGED_DATAGRAMS.into())
        .max_ack_delay(Some(ACKNOWLEDGED_AFTER));
    let mut congestion = CubicConfig::default();
    congestion.initial_window(FIRST_WINDOW_BYTES);
    let mut transport = TransportConfig::default();
    transport
        .max_idle_timeout(Some(options.idle_timeout.try_into().map_err(unusable)?))
        .stream_receive_window(options.stream_window_bytes.into())
        .receive_window(VarInt::from_u64(options.connection_window_bytes).map_err(unusable)?)
        .send_window(options.send_window_bytes)
        .max_concurrent_bidi_streams(options.streams_max.into())
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        .initial_rtt(FIRST_ROUND_TRIP)
        .mtu_discovery_config(Some(discovery))
        .ack_frequency_config(Some(acknowledging))
        .congestion_controller_factory(Arc::new(congestion));
    Ok(transport)
}

fn unusable(error: impl std::fmt::Display) -> Error {
    Error::Environment(format!("QUIC cannot be set up: {error}"))
}
