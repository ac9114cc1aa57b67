//! The network between processes over TCP, with TLS by which both sides know each other.
//!
//! Two nodes have one socket for each connection, and on it frames of all streams in turn; each stream has a window of
//! its own, so that one that nobody reads holds up no other. Both sides say several times a second that they live.

mod connection;
mod driver;
mod frame;
mod handshake;
mod link;
mod listener;
mod pipe;
mod stream;

use crate::certificates::{Identity, SERVER_NAME};
use crate::{Connection, Credentials, Error, Listener, Network, Result, quic, tls, transport};
use connection::TcpConnection;
use driver::Driver;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use link::{Link, Side};
use listener::SecureListener;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, ServerConfig};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::time::timeout;

/// What is spoken; another layout of frames would get another name.
const PROTOCOL: &[u8] = b"tundra-tcp/1";
/// How long a handshake may take.
const HANDSHAKE_TIME: Duration = Duration::from_secs(5);

/// What may be chosen about connections.
#[derive(Clone, Debug)]
pub struct TcpOptions {
    /// How often a silent connection says that this node lives. Less than the idle timeout of the others.
    pub keep_alive: Duration,
    /// How long a connection may be silent before it is lost.
    pub idle_timeout: Duration,
}

impl Default for TcpOptions {
    fn default() -> Self {
        TcpOptions { keep_alive: Duration::from_secs(1), idle_timeout: Duration::from_secs(3) }
    }
}

/// Connections over TCP. Needs a tokio runtime with I/O.
pub struct Tcp {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
    options: TcpOptions,
}

impl Tcp {
    /// A node with these credentials; nothing is opened yet.
    pub fn new(credentials: &Credentials, options: &TcpOptions) -> Result<Tcp> {
        Tcp::with_identity(&tls::identity(credentials)?, options)
    }

    pub(crate) fn with_identity(identity: &Identity, options: &TcpOptions) -> Result<Tcp> {
        Ok(Tcp {
            client: Arc::new(tls::client(identity, PROTOCOL)?),
            server: Arc::new(tls::server(identity, PROTOCOL)?),
            options: options.clone(),
        })
    }

    async fn listen_at(&self, address: &str) -> Result<Box<dyn Listener>> {
        let refused = |error| Error::Environment(format!("cannot listen at {address}: {error}"));
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        Ok(Box::new(SecureListener {
            address: listener.local_addr().map_err(refused)?,
            listener,
            tls: self.server.clone(),
            options: self.options.clone(),
            handshakes: FuturesUnordered::new(),
        }))
    }

    /// A connection, or that the node listens for QUIC.
    async fn connect_to(&self, address: &str) -> Result<Arc<dyn Connection>> {
        let mut why = "no such host".to_string();
        let unreachable = |why| Error::Unreachable { peer: address.to_string(), why };
        let found = lookup_host(address).await.map_err(|error| unreachable(error.to_string()))?;
        for remote in found {
            why = match TcpStream::connect(remote).await {
                Ok(socket) => match self.begin(socket, address).await {
                    Ok(connection) => return Ok(connection),
                    Err(why) => why,
                },
                Err(error)
                    if error.kind() == io::ErrorKind::ConnectionRefused && quic::answers(remote).await =>
                {
                    transport::why_other(address, "QUIC", "TCP")
                }
                Err(error) => error.to_string(),
            };
        }
        Err(unreachable(why))
    }

    /// Whether a node listens for TCP there.
    pub(crate) async fn answers(&self, address: &str) -> bool {
        let Ok(socket) = TcpStream::connect(address).await else { return false };
        self.begin(socket, address).await.is_ok()
    }

    /// Agrees with the node at the other end of a socket, in time.
    async fn begin(
        &self,
        socket: TcpStream,
        address: &str,
    ) -> std::result::Result<Arc<dyn Connection>, String> {
        let done = timeout(HANDSHAKE_TIME, self.agree(socket, address)).await;
        done.unwrap_or_else(|_| Err("it does not answer".to_string()))
    }

    async fn agree(
        &self,
        socket: TcpStream,
        address: &str,
    ) -> std::result::Result<Arc<dyn Connection>, String> {
        let name = ServerName::try_from(SERVER_NAME).map_err(|error| error.to_string())?;
        let tls = ClientConnection::new(self.client.clone(), name).map_err(|error| error.to_string())?;
        let secured = handshake::secure(socket, tls.into()).await?;
        let link = Link::new(address.into(), Side::Connecting);
        let connection = TcpConnection::shared(link.clone());
        Driver::spawn(secured, link.clone(), &self.options);
        tokio::select! {
            () = link.greeted.notified() => Ok(connection),
            error = link.wait_lost() => match error {
                Error::Lost { why, .. } => Err(why),
                other => Err(other.to_string()),
            },
        }
    }
}

impl Network for Tcp {
    fn listen(&self, address: &str) -> BoxFuture<'_, Result<Box<dyn Listener>>> {
        let address = address.to_string();
        Box::pin(async move { self.listen_at(&address).await })
    }

    fn connect(&self, address: &str) -> BoxFuture<'_, Result<Arc<dyn Connection>>> {
        let address = address.to_string();
        Box::pin(async move { self.connect_to(&address).await })
    }
}

#[cfg(test)]
mod tests;
