//! What other nodes connect to.

use super::connection::TcpConnection;
use super::driver::Driver;
use super::handshake::{self, Secured};
use super::link::{Link, Side};
use super::{HANDSHAKE_TIME, TcpOptions};
use crate::{Connection, Listener};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use rustls::{ServerConfig, ServerConnection};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// The handshakes under way at a time; others wait.
const HANDSHAKES_MAX: usize = 256;
/// How long nothing is accepted where the system has no more sockets.
const PAUSE: Duration = Duration::from_millis(100);

type Handshake = (SocketAddr, Result<Secured, String>);

/// A socket that accepts connections until it is dropped.
pub(super) struct SecureListener {
    pub(super) listener: TcpListener,
    pub(super) address: SocketAddr,
    pub(super) tls: Arc<ServerConfig>,
    pub(super) options: TcpOptions,
    pub(super) handshakes: FuturesUnordered<BoxFuture<'static, Handshake>>,
}

impl SecureListener {
    async fn next(&mut self) -> Option<Arc<dyn Connection>> {
        loop {
            tokio::select! {
                accepted = self.listener.accept(), if self.handshakes.len() < HANDSHAKES_MAX => match accepted {
                    Ok((socket, remote)) => self.begin(socket, remote),
                    Err(error) => {
                        tracing::warn!("no connection can be accepted: {error}");
                        tokio::time::sleep(PAUSE).await;
                    }
                },
                Some((remote, done)) = self.handshakes.next() => match done {
                    Ok(secured) => return Some(self.connection(secured, remote)),
                    Err(why) => tracing::warn!("a connection from {remote} failed: {why}"),
                },
            }
        }
    }

    fn begin(&mut self, socket: TcpStream, remote: SocketAddr) {
        let tls = ServerConnection::new(self.tls.clone()).map_err(|error| error.to_string());
        self.handshakes.push(Box::pin(async move {
            let handshake = async { handshake::secure(socket, tls?.into()).await };
            let done = tokio::time::timeout(HANDSHAKE_TIME, handshake).await;
            let late = |_| Err(format!("no handshake within {} s", HANDSHAKE_TIME.as_secs()));
            (remote, done.unwrap_or_else(late))
        }));
    }

    fn connection(&self, secured: Secured, remote: SocketAddr) -> Arc<dyn Connection> {
        let link = Link::new(remote.to_string().into(), Side::Accepting);
        // The other side waits for it: its certificate was accepted.
        link.put_alive();
        Driver::spawn(secured, link.clone(), &self.options);
        TcpConnection::shared(link)
    }
}

impl Listener for SecureListener {
    fn address(&self) -> String {
        self.address.to_string()
    }

    fn accept(&mut self) -> BoxFuture<'_, Option<Arc<dyn Connection>>> {
        Box::pin(self.next())
    }
}
