//! A connection of QUIC.

use super::stream::{QuicReceiver, QuicSender};
use super::{NO_CODE, failure};
use crate::{Connection, Error, Result, Stream};
use futures::future::BoxFuture;
use quinn::{RecvStream, SendStream};
use std::sync::Arc;

pub(super) struct QuicConnection {
    connection: quinn::Connection,
    peer: Arc<str>,
}

impl QuicConnection {
    pub(super) fn shared(connection: quinn::Connection, peer: &str) -> Arc<dyn Connection> {
        Arc::new(QuicConnection { connection, peer: peer.into() })
    }

    fn stream(&self, (sender, receiver): (SendStream, RecvStream)) -> Stream {
        let sender = QuicSender::new(sender, self.connection.clone(), self.peer.clone());
        Stream {
            sender: Box::new(sender),
            receiver: Box::new(QuicReceiver::new(receiver, self.peer.clone())),
        }
    }
}

impl Connection for QuicConnection {
    fn peer(&self) -> String {
        self.peer.to_string()
    }

    fn open(&self) -> BoxFuture<'_, Result<Stream>> {
        Box::pin(async {
            let opened = self.connection.open_bi().await;
            opened.map(|halves| self.stream(halves)).map_err(|error| failure::lost(&self.peer, &error))
        })
    }

    fn accept(&self) -> BoxFuture<'_, Result<Stream>> {
        Box::pin(async {
            let accepted = self.connection.accept_bi().await;
            accepted.map(|halves| self.stream(halves)).map_err(|error| failure::lost(&self.peer, &error))
        })
    }

    fn close(&self) {
        self.connection.close(NO_CODE, b"");
    }

    fn closed(&self) -> BoxFuture<'_, Error> {
        Box::pin(async { failure::lost(&self.peer, &self.connection.closed().await) })
    }
}

impl Drop for QuicConnection {
    fn drop(&mut self) {
        // Its streams, which may outlive it, would keep it open.
        self.close();
    }
}
