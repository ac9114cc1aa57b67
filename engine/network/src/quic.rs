//! The network between processes: QUIC over UDP, with TLS by which both sides know each other.
//!
//! A process has one UDP port for what it serves and what it asks. A connection that fell silent is noticed by its
//! keep-alive within [`QuicOptions::idle_timeout`]; one whose other end was restarted at once, by a reset that the
//! new process signs with its node's key.

mod configuration;
mod connection;
mod failure;
mod listener;
mod probe;
mod socket;
mod stream;

use crate::certificates::SERVER_NAME;
use crate::{Connection, Credentials, Error, Listener, Network, Result, Tcp, TcpOptions, tls, transport};
use configuration::Configuration;
use connection::QuicConnection;
use futures::future::BoxFuture;
use listener::QuicListener;
use parking_lot::Mutex;
pub(crate) use probe::answers;
use quinn::{Endpoint, VarInt};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// How long [`Quic::close`] waits until the other nodes know.
const FAREWELL_TIME: Duration = Duration::from_secs(1);
/// How long a node may be silent before it is asked whether it listens for TCP.
const SILENCE_TIME: Duration = Duration::from_millis(500);
/// What connections, halves of streams and nodes say when they end; nobody reads it.
const NO_CODE: VarInt = VarInt::from_u32(0);

/// What may be chosen about connections.
#[derive(Clone, Debug)]
pub struct QuicOptions {
    /// How often whoever opened a silent connection tries it.
    pub keep_alive: Duration,
    /// How long a connection may be silent before it is lost.
    pub idle_timeout: Duration,
    /// The bytes of a stream that may wait at the receiver.
    pub stream_window_bytes: u32,
    /// The bytes of all streams of a connection that may wait at the receiver. Streams that nobody reads hold up the
    /// others once they fill it, so it is the product of the two options around it unless memory is scarce.
    pub connection_window_bytes: u64,
    /// The streams that the other node may have open at a time.
    pub streams_max: u32,
    /// The bytes of a connection that may be sent before they are acknowledged.
    pub send_window_bytes: u64,
    /// What is asked of the system for each direction of the UDP socket; it may give less.
    pub socket_buffer_bytes: usize,
}

impl Default for QuicOptions {
    fn default() -> Self {
        QuicOptions {
            keep_alive: Duration::from_secs(1),
            idle_timeout: Duration::from_secs(3),
            stream_window_bytes: 1 << 20,
            connection_window_bytes: 4 << 30,
            streams_max: 4096,
            send_window_bytes: 16 << 20,
            socket_buffer_bytes: 8 << 20,
        }
    }
}

/// Connections over QUIC. Needs a tokio runtime with I/O.
pub struct Quic {
    configuration: Configuration,
    /// What connects: the endpoint that listens, or one with a free port until there is one.
    endpoint: Mutex<Option<Endpoint>>,
    /// Tells whether a silent node listens for TCP.
    tcp: Tcp,
}

impl Quic {
    /// A node with these credentials; nothing is opened yet.
    pub fn new(credentials: &Credentials, options: &QuicOptions) -> Result<Quic> {
        let identity = tls::identity(credentials)?;
        Ok(Quic {
            configuration: Configuration::new(&identity, options)?,
            endpoint: Mutex::new(None),
            tcp: Tcp::with_identity(&identity, &TcpOptions::default())?,
        })
    }

    /// Ends the listener and all connections; returns once the other nodes know, or a second later.
    pub async fn close(&self) {
        let endpoint = self.endpoint.lock().take();
        if let Some(endpoint) = endpoint {
            endpoint.close(NO_CODE, b"");
            let _ = tokio::time::timeout(FAREWELL_TIME, endpoint.wait_idle()).await;
        }
    }

    async fn listen_at(&self, address: &str) -> Result<Box<dyn Listener>> {
        let refused = |why: String| Error::Environment(format!("cannot listen at {address}: {why}"));
        let resolved = resolve(address).await.map_err(refused)?;
        let local = resolved.first().ok_or_else(|| refused("no such host".to_string()))?;
        let endpoint = self.configuration.endpoint(*local).map_err(|error| refused(error.to_string()))?;
        let listener = QuicListener::new(endpoint.clone()).map_err(|error| refused(error.to_string()))?;
        endpoint.set_server_config(Some(self.configuration.server.clone()));
        *self.endpoint.lock() = Some(endpoint);
        Ok(Box::new(listener))
    }

    /// A connection, or that the node listens for TCP: to those who speak QUIC it is silent.
    async fn connect_or_tell(&self, address: &str) -> Result<Arc<dyn Connection>> {
        let mut connecting = std::pin::pin!(self.connect_to(address));
        if let Ok(done) = tokio::time::timeout(SILENCE_TIME, &mut connecting).await {
            return done;
        }
        tokio::select! {
            done = &mut connecting => done,
            true = self.tcp.answers(address) => Err(Error::Unreachable {
                peer: address.to_string(),
                why: transport::why_other(address, "TCP", "QUIC"),
            }),
        }
    }

    async fn connect_to(&self, address: &str) -> Result<Arc<dyn Connection>> {
        let unreachable = |why: String| Error::Unreachable { peer: address.to_string(), why };
        let endpoint = self.connecting()?;
        let local = endpoint.local_addr().map_err(|error| unreachable(error.to_string()))?;
        let mut why = "no such host".to_string();
        for remote in resolve(address).await.map_err(unreachable)? {
            if local.is_ipv4() && remote.is_ipv6() {
                why = format!("{remote} cannot be reached from {local}");
                continue;
            }
            let client = self.configuration.client.clone();
            match endpoint.connect_with(client, remote, SERVER_NAME) {
                Ok(connecting) => match connecting.await {
                    Ok(connection) => return Ok(QuicConnection::shared(connection, address)),
                    Err(error) => why = failure::describe(&error),
                },
                Err(error) => why = error.to_string(),
            }
        }
        Err(unreachable(why))
    }

    /// The endpoint that connects.
    fn connecting(&self) -> Result<Endpoint> {
        let mut endpoint = self.endpoint.lock();
        if let Some(endpoint) = &*endpoint {
            return Ok(endpoint.clone());
        }
        let opened = self.configuration.ephemeral_endpoint();
        let opened =
            opened.map_err(|error| Error::Environment(format!("cannot open a UDP port: {error}")))?;
        Ok(endpoint.insert(opened).clone())
    }
}

impl Network for Quic {
    fn listen(&self, address: &str) -> BoxFuture<'_, Result<Box<dyn Listener>>> {
        let address = address.to_string();
        Box::pin(async move { self.listen_at(&address).await })
    }

    fn connect(&self, address: &str) -> BoxFuture<'_, Result<Arc<dyn Connection>>> {
        let address = address.to_string();
        Box::pin(async move { self.connect_or_tell(&address).await })
    }
}

async fn resolve(address: &str) -> std::result::Result<Vec<SocketAddr>, String> {
    let found = tokio::net::lookup_host(address).await;
    Ok(found.map_err(|error| error.to_string())?.collect())
}

#[cfg(test)]
mod tests;
