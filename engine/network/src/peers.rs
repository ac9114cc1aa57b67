//! A node's connections to others.

use crate::protocol::{Answer, Header, Service};
use crate::{Connection, Error, Network, Receiver, Result, Spoken, Stream, Versions};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

/// The connections of a node to others by address: one each, opened when it is wanted, and again after it was lost.
/// All are closed when this is dropped. Within a tokio runtime only.
pub struct Peers {
    network: Arc<dyn Network>,
    connect_timeout: Duration,
    spoken: Arc<Spoken>,
    pool: Arc<Pool>,
}

type Connected = Result<Arc<dyn Connection>>;

/// A connection, or the attempt at one that all who want it wait for.
struct Entry {
    number: u64,
    connected: Shared<BoxFuture<'static, Connected>>,
    /// Opens the connection, and keeps it until it is lost.
    keeper: AbortHandle,
}

#[derive(Default)]
struct Pool {
    numbers: AtomicU64,
    entries: Mutex<HashMap<String, Entry>>,
}

impl Pool {
    /// The next caller connects anew, unless another did since.
    fn forget(&self, address: &str, number: u64) {
        let mut entries = self.entries.lock();
        if entries.get(address).is_some_and(|entry| entry.number == number) {
            entries.remove(address);
        }
    }
}

impl Peers {
    pub fn new(network: Arc<dyn Network>, connect_timeout: Duration) -> Peers {
        Peers::speaking(network, connect_timeout, Spoken::new(Versions::OWN))
    }

    /// [`Peers::new`] of a node that speaks other versions than this code does.
    pub fn speaking(network: Arc<dyn Network>, connect_timeout: Duration, spoken: Arc<Spoken>) -> Peers {
        Peers { network, connect_timeout, spoken, pool: Arc::default() }
    }

    /// What the node speaks.
    pub fn spoken(&self) -> &Arc<Spoken> {
        &self.spoken
    }

    /// A stream for a service of the node at `HOST:PORT`. If that node refuses, [`Receiver::receive`] fails with
    /// [`Error::Refused`] or [`Error::Outdated`], and the sender soon with [`Error::Stopped`].
    pub async fn open(&self, address: &str, service: Service) -> Result<Stream> {
        let Stream { mut sender, receiver } = self.open_plain(address).await?;
        let (version, most) = (self.spoken.version(), Some(self.spoken.versions().most));
        sender.send(Header { service, version, most }.encode()).await?;
        let receiver = Answered { receiver, peer: address.to_string(), answer: None };
        Ok(Stream { sender, receiver: Box::new(receiver) })
    }

    /// Asks a service of the node at `HOST:PORT` for one thing. The other node may have done what it was asked even if
    /// no reply came, so a failed call is not repeated here.
    pub async fn call(
        &self,
        address: &str,
        service: Service,
        request: Bytes,
        timeout: Duration,
    ) -> Result<Bytes> {
        match tokio::time::timeout(timeout, self.exchange(address, service, request)).await {
            Ok(reply) => reply,
            Err(_) => Err(timed_out(address, timeout)),
        }
    }

    async fn exchange(&self, address: &str, service: Service, request: Bytes) -> Result<Bytes> {
        let Stream { mut sender, mut receiver } = self.open(address, service).await?;
        match sender.send(request).await.and_then(|()| sender.finish()) {
            // Why it wants no more is in its answer.
            Ok(()) | Err(Error::Stopped) => {}
            Err(error) => return Err(error),
        }
        let malformed = |why: &str| Error::Malformed { peer: address.to_string(), why: why.to_string() };
        let answer = receiver.receive().await?.ok_or_else(|| malformed("no reply"))?;
        match Answer::decode(&answer) {
            Some(Answer::Accepted) => receiver.receive().await?.ok_or_else(|| malformed("an empty reply")),
            Some(Answer::Refused(why)) => Err(Error::Refused(why)),
            Some(Answer::Outdated(why)) => Err(Error::Outdated(why)),
            None => Err(malformed("a reply of unknown form")),
        }
    }

    /// A stream on a connection that is alive as far as is known.
    async fn open_plain(&self, address: &str) -> Result<Stream> {
        let (connection, number, fresh) = self.connection(address).await?;
        match connection.open().await {
            Err(error @ Error::Lost { .. }) => {
                self.pool.forget(address, number);
                if fresh {
                    return Err(error);
                }
            }
            opened => return opened,
        }
        // It was lost since it was last used; nothing was asked on it yet.
        let (connection, ..) = self.connection(address).await?;
        connection.open().await
    }

    /// The connection with a node, its number, and whether it is new.
    async fn connection(&self, address: &str) -> Result<(Arc<dyn Connection>, u64, bool)> {
        let (connected, number) = {
            let mut entries = self.pool.entries.lock();
            let entry = entries.entry(address.to_string()).or_insert_with(|| self.begin(address));
            (entry.connected.clone(), entry.number)
        };
        let fresh = connected.peek().is_none();
        Ok((connected.await?, number, fresh))
    }

    /// Begins to connect. That goes on when whoever wanted it gives up.
    fn begin(&self, address: &str) -> Entry {
        let number = self.pool.numbers.fetch_add(1, Ordering::Relaxed);
        let (tell, told) = oneshot::channel();
        let (network, timeout, pool) =
            (self.network.clone(), self.connect_timeout, Arc::downgrade(&self.pool));
        let peer = address.to_string();
        let keeper = tokio::spawn(async move {
            let attempt = tokio::time::timeout(timeout, network.connect(&peer)).await;
            let connected = attempt.unwrap_or_else(|_| Err(timed_out(&peer, timeout)));
            let forget = || {
                if let Some(pool) = pool.upgrade() {
                    pool.forget(&peer, number);
                }
            };
            let Ok(connection) = connected.clone() else {
                // Whoever hears of the failure and tries again makes another attempt.
                forget();
                let _ = tell.send(connected);
                return;
            };
            // Nobody may wait any more.
            let _ = tell.send(connected);
            let why = connection.closed().await;
            tracing::debug!("{why}");
            forget();
        });
        let peer = address.to_string();
        let told = told.map(move |told| {
            let gone = |_| Err(Error::Unreachable { peer, why: "this node is ending".to_string() });
            told.unwrap_or_else(gone)
        });
        Entry { number, connected: told.boxed().shared(), keeper: keeper.abort_handle() }
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        for (_, entry) in self.pool.entries.lock().drain() {
            entry.keeper.abort();
            if let Some(Ok(connection)) = entry.connected.peek() {
                connection.close();
            }
        }
    }
}

/// A receiver that first takes whether the stream is accepted.
struct Answered {
    receiver: Box<dyn Receiver>,
    peer: String,
    answer: Option<Answer>,
}

impl Answered {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        if self.answer.is_none() {
            let Some(message) = self.receiver.receive().await? else { return Ok(None) };
            let why = "the stream begins with no answer".to_string();
            let answer =
                Answer::decode(&message).ok_or_else(|| Error::Malformed { peer: self.peer.clone(), why })?;
            self.answer = Some(answer);
        }
        match &self.answer {
            Some(Answer::Refused(why)) => Err(Error::Refused(why.clone())),
            Some(Answer::Outdated(why)) => Err(Error::Outdated(why.clone())),
            _ => self.receiver.receive().await,
        }
    }
}

impl Receiver for Answered {
    fn receive(&mut self) -> BoxFuture<'_, Result<Option<Bytes>>> {
        Box::pin(self.next())
    }
}

fn timed_out(peer: &str, timeout: Duration) -> Error {
    let milliseconds = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
    Error::TimedOut { peer: peer.to_string(), milliseconds }
}
