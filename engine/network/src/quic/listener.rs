//! What other nodes connect to.

use super::connection::QuicConnection;
use super::failure;
use crate::{Connection, Listener};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use quinn::{Endpoint, Incoming};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// The handshakes under way at a time; others wait.
const HANDSHAKES_MAX: usize = 256;
/// Where so many are under way, an address must show first that it is reached: a handshake costs a signature.
const HANDSHAKES_UNPROVEN_MAX: usize = 32;
/// How long a handshake may take.
const HANDSHAKE_TIME: Duration = Duration::from_secs(5);

type Handshake = (SocketAddr, Result<quinn::Connection, String>);

/// An endpoint that accepts connections until it is dropped.
pub(super) struct QuicListener {
    endpoint: Endpoint,
    address: SocketAddr,
    handshakes: FuturesUnordered<BoxFuture<'static, Handshake>>,
}

impl QuicListener {
    pub(super) fn new(endpoint: Endpoint) -> io::Result<QuicListener> {
        let address = endpoint.local_addr()?;
        Ok(QuicListener { endpoint, address, handshakes: FuturesUnordered::new() })
    }

    async fn next(&mut self) -> Option<Arc<dyn Connection>> {
        loop {
            tokio::select! {
                incoming = self.endpoint.accept(), if self.handshakes.len() < HANDSHAKES_MAX => {
                    self.begin(incoming?);
                }
                Some((remote, done)) = self.handshakes.next() => match done {
                    Ok(connection) => return Some(QuicConnection::shared(connection, &remote.to_string())),
                    Err(why) => tracing::warn!("a connection from {remote} failed: {why}"),
                },
            }
        }
    }

    fn begin(&mut self, incoming: Incoming) {
        if self.handshakes.len() >= HANDSHAKES_UNPROVEN_MAX && incoming.may_retry() {
            // Fails only where a retry is not possible, which was asked.
            let _ = incoming.retry();
            return;
        }
        let remote = incoming.remote_address();
        self.handshakes.push(Box::pin(async move {
            let done = tokio::time::timeout(HANDSHAKE_TIME, incoming.into_future()).await;
            let done = match done {
                Ok(done) => done.map_err(|error| failure::describe(&error)),
                Err(_) => Err(format!("no handshake within {} s", HANDSHAKE_TIME.as_secs())),
            };
            (remote, done)
        }));
    }
}

impl Listener for QuicListener {
    fn address(&self) -> String {
        self.address.to_string()
    }

    fn accept(&mut self) -> BoxFuture<'_, Option<Arc<dyn Connection>>> {
        Box::pin(self.next())
    }
}

impl Drop for QuicListener {
    fn drop(&mut self) {
        self.endpoint.set_server_config(None);
    }
}
