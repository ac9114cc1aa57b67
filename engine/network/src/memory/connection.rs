//! One end of a connection in memory.

use super::stream::Pipe;
use super::wire::Wire;
use crate::{Connection, Error, Result, Stream};
use futures::future::BoxFuture;
use std::sync::Arc;

pub(super) struct MemoryConnection {
    wire: Arc<Wire>,
    end: usize,
    /// As the other end is called in messages.
    peer: Arc<str>,
}

impl MemoryConnection {
    /// Both ends; the second is at an address.
    pub(super) fn ends(wire: Arc<Wire>, address: &str) -> [Arc<dyn Connection>; 2] {
        let caller = wire.node(0).into();
        let near = MemoryConnection { wire: wire.clone(), end: 0, peer: address.into() };
        [Arc::new(near), Arc::new(MemoryConnection { wire, end: 1, peer: caller })]
    }

    fn lost(&self, why: String) -> Error {
        Error::Lost { peer: self.peer.to_string(), why }
    }

    async fn open_stream(&self) -> Result<Stream> {
        let permits = self.wire.ends[self.end].permits.clone();
        let permit = tokio::select! {
            biased;
            why = self.wire.lost() => return Err(self.lost(why)),
            permit = permits.acquire_owned() => permit.map_err(|error| self.lost(error.to_string()))?,
        };
        Ok(Pipe::open(&self.wire, self.end, self.peer.clone(), permit))
    }
}

impl Connection for MemoryConnection {
    fn peer(&self) -> String {
        self.peer.to_string()
    }

    fn open(&self) -> BoxFuture<'_, Result<Stream>> {
        Box::pin(self.open_stream())
    }

    fn accept(&self) -> BoxFuture<'_, Result<Stream>> {
        Box::pin(async { self.wire.next_offer(self.end).await.map_err(|why| self.lost(why)) })
    }

    fn close(&self) {
        self.wire.lose(&format!("{} closed it", self.wire.node(self.end)));
    }

    fn closed(&self) -> BoxFuture<'_, Error> {
        Box::pin(async { self.lost(self.wire.lost().await) })
    }
}

impl Drop for MemoryConnection {
    fn drop(&mut self) {
        self.close();
    }
}
