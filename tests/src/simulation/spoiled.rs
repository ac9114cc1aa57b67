//! A node's way to others on which messages are not what they were: see [`super::planted`].

use super::planted::{Place, Spoiler};
use bytes::Bytes;
use futures::future::BoxFuture;
use network::{Connection, Error, Listener, Network, Receiver, Result, Sender, Stream};
use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

/// Spoils the streams that its node opens; those that others open to it are left alone.
pub struct SpoiledNetwork {
    pub network: Arc<dyn Network>,
    pub spoiler: Arc<Spoiler>,
}

impl Network for SpoiledNetwork {
    fn listen(&self, address: &str) -> BoxFuture<'_, Result<Box<dyn Listener>>> {
        self.network.listen(address)
    }

    fn connect(&self, address: &str) -> BoxFuture<'_, Result<Arc<dyn Connection>>> {
        let to: Arc<str> = address.into();
        Box::pin(async move {
            let connection = self.network.connect(&to).await?;
            let spoiled = SpoiledConnection { connection, to, spoiler: self.spoiler.clone() };
            Ok(Arc::new(spoiled) as Arc<dyn Connection>)
        })
    }
}

struct SpoiledConnection {
    connection: Arc<dyn Connection>,
    to: Arc<str>,
    spoiler: Arc<Spoiler>,
}

impl Connection for SpoiledConnection {
    fn peer(&self) -> String {
        self.connection.peer()
    }

    fn open(&self) -> BoxFuture<'_, Result<Stream>> {
        Box::pin(async {
            let Stream { sender, receiver } = self.connection.open().await?;
            let half = Half { service: Arc::default(), to: self.to.clone(), spoiler: self.spoiler.clone() };
            let sender = SpoiledSender { sender: Some(sender), half: half.clone(), number: 0 };
            let receiver =
                SpoiledReceiver { receiver: Some(receiver), half, number: 0, ready: VecDeque::new() };
            Ok(Stream { sender: Box::new(sender), receiver: Box::new(receiver) })
        })
    }

    fn accept(&self) -> BoxFuture<'_, Result<Stream>> {
        self.connection.accept()
    }

    fn close(&self) {
        self.connection.close();
    }

    fn closed(&self) -> BoxFuture<'_, Error> {
        self.connection.closed()
    }
}

/// What both halves of a stream know.
#[derive(Clone)]
struct Half {
    /// What the header asked for.
    service: Arc<OnceLock<u16>>,
    to: Arc<str>,
    spoiler: Arc<Spoiler>,
}

impl Half {
    fn place(&self, number: usize) -> Place<'_> {
        Place { service: self.service(), to: &self.to, number }
    }

    fn service(&self) -> u16 {
        self.service.get().copied().unwrap_or_default()
    }
}

struct SpoiledSender {
    /// `None` once this is dropped.
    sender: Option<Box<dyn Sender>>,
    half: Half,
    number: usize,
}

impl SpoiledSender {
    fn sender(&mut self) -> Result<&mut Box<dyn Sender>> {
        self.sender.as_mut().ok_or(Error::Stopped)
    }

    async fn send_spoiled(&mut self, message: Bytes) -> Result<()> {
        if let (None, [low, high, ..]) = (self.half.service.get(), &*message) {
            // The first message is the header.
            let _ = self.half.service.set(u16::from_le_bytes([*low, *high]));
            return self.sender()?.send(message).await;
        }
        let number = self.number;
        self.number += 1;
        for message in self.half.spoiler.sent(self.half.place(number), message) {
            self.sender()?.send(message).await?;
        }
        Ok(())
    }
}

impl Sender for SpoiledSender {
    fn send(&mut self, message: Bytes) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.send_spoiled(message))
    }

    fn finish(&mut self) -> Result<()> {
        if self.half.spoiler.keeps(self.half.service()) {
            return Ok(());
        }
        self.sender()?.finish()
    }

    fn stopped(&mut self) -> BoxFuture<'_, Error> {
        Box::pin(async {
            match &mut self.sender {
                Some(sender) => sender.stopped().await,
                None => Error::Stopped,
            }
        })
    }
}

impl Drop for SpoiledSender {
    fn drop(&mut self) {
        if self.half.spoiler.keeps(self.half.service()) {
            std::mem::forget(self.sender.take());
        }
    }
}

struct SpoiledReceiver {
    /// `None` once this is dropped.
    receiver: Option<Box<dyn Receiver>>,
    half: Half,
    number: usize,
    /// Received and not handed on.
    ready: VecDeque<Bytes>,
}

impl SpoiledReceiver {
    async fn receive_spoiled(&mut self) -> Result<Option<Bytes>> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Ok(Some(message));
            }
            let receiver = self.receiver.as_mut().ok_or(Error::Stopped)?;
            let Some(message) = receiver.receive().await? else { return Ok(None) };
            let number = self.number;
            self.number += 1;
            match number {
                // Whether the stream is accepted.
                0 => return Ok(Some(message)),
                _ => self.ready.extend(self.half.spoiler.received(self.half.place(number - 1), message)),
            }
        }
    }
}

impl Receiver for SpoiledReceiver {
    fn receive(&mut self) -> BoxFuture<'_, Result<Option<Bytes>>> {
        Box::pin(self.receive_spoiled())
    }
}

impl Drop for SpoiledReceiver {
    fn drop(&mut self) {
        if self.half.spoiler.keeps(self.half.service()) {
            std::mem::forget(self.receiver.take());
        }
    }
}
