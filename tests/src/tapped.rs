//! The network of a shard on which it is seen which parts of queries it is told to run.

use bytes::Bytes;
use flight_proto::Message;
use flight_proto::node::{Run, Service};
use futures::future::BoxFuture;
use network::{Connection, Error, Listener, Network, Receiver, Result, Stream};
use std::sync::Arc;

/// Is shown a part of a query before the shard is; `false`: the shard is never told.
pub type Tap = Arc<dyn Fn(&Run) -> bool + Send + Sync>;

/// Taps the streams that others open to a node.
pub struct TappedNetwork {
    pub network: Arc<dyn Network>,
    pub tap: Tap,
}

impl Network for TappedNetwork {
    fn listen(&self, address: &str) -> BoxFuture<'_, Result<Box<dyn Listener>>> {
        let address = address.to_string();
        Box::pin(async move {
            let listener = self.network.listen(&address).await?;
            Ok(Box::new(TappedListener { listener, tap: self.tap.clone() }) as Box<dyn Listener>)
        })
    }

    fn connect(&self, address: &str) -> BoxFuture<'_, Result<Arc<dyn Connection>>> {
        self.network.connect(address)
    }
}

struct TappedListener {
    listener: Box<dyn Listener>,
    tap: Tap,
}

impl Listener for TappedListener {
    fn address(&self) -> String {
        self.listener.address()
    }

    fn accept(&mut self) -> BoxFuture<'_, Option<Arc<dyn Connection>>> {
        Box::pin(async {
            let connection = self.listener.accept().await?;
            Some(Arc::new(TappedConnection { connection, tap: self.tap.clone() }) as Arc<dyn Connection>)
        })
    }
}

struct TappedConnection {
    connection: Arc<dyn Connection>,
    tap: Tap,
}

impl Connection for TappedConnection {
    fn peer(&self) -> String {
        self.connection.peer()
    }

    fn open(&self) -> BoxFuture<'_, Result<Stream>> {
        self.connection.open()
    }

    fn accept(&self) -> BoxFuture<'_, Result<Stream>> {
        Box::pin(async {
            let Stream { sender, receiver } = self.connection.accept().await?;
            let receiver = TappedReceiver { receiver, tap: self.tap.clone(), place: Place::Header };
            Ok(Stream { sender, receiver: Box::new(receiver) })
        })
    }

    fn close(&self) {
        self.connection.close();
    }

    fn closed(&self) -> BoxFuture<'_, Error> {
        self.connection.closed()
    }
}

/// What the next message of a stream is.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Header,
    Run,
    Other,
}

struct TappedReceiver {
    receiver: Box<dyn Receiver>,
    tap: Tap,
    place: Place,
}

impl TappedReceiver {
    async fn receive_tapped(&mut self) -> Result<Option<Bytes>> {
        let message = self.receiver.receive().await?;
        let Some(bytes) = &message else { return Ok(None) };
        let place = std::mem::replace(&mut self.place, Place::Other);
        if place == Place::Header && bytes.starts_with(&(Service::Run as u16).to_le_bytes()) {
            self.place = Place::Run;
        }
        if place == Place::Run
            && let Ok(run) = Run::decode(bytes.clone())
            && !(self.tap)(&run)
        {
            std::future::pending::<()>().await;
        }
        Ok(message)
    }
}

impl Receiver for TappedReceiver {
    fn receive(&mut self) -> BoxFuture<'_, Result<Option<Bytes>>> {
        Box::pin(self.receive_tapped())
    }
}
