//! A connection over TCP.

use super::link::Link;
use crate::{Connection, Error, Result, Stream};
use futures::future::BoxFuture;
use std::sync::Arc;

pub(super) struct TcpConnection {
    link: Arc<Link>,
}

impl TcpConnection {
    pub(super) fn shared(link: Arc<Link>) -> Arc<dyn Connection> {
        Arc::new(TcpConnection { link })
    }
}

impl Connection for TcpConnection {
    fn peer(&self) -> String {
        self.link.peer.to_string()
    }

    fn open(&self) -> BoxFuture<'_, Result<Stream>> {
        Box::pin(async {
            match self.link.slots.acquire().await {
                Ok(slot) => slot.forget(),
                Err(_) => self.link.check()?,
            }
            self.link.open()
        })
    }

    fn accept(&self) -> BoxFuture<'_, Result<Stream>> {
        Box::pin(async {
            let accepted = self.link.accepted.lock().await.recv().await;
            match accepted.filter(|_| self.link.check().is_ok()) {
                Some(stream) => Ok(stream),
                None => Err(self.link.wait_lost().await),
            }
        })
    }

    fn close(&self) {
        self.link.lose("this node closed it");
    }

    fn closed(&self) -> BoxFuture<'_, Error> {
        Box::pin(self.link.wait_lost())
    }
}

impl Drop for TcpConnection {
    fn drop(&mut self) {
        // Its streams, which may outlive it, would keep it open.
        self.close();
    }
}
