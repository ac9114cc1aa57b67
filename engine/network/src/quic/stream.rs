//! The halves of a stream of QUIC.

use super::{NO_CODE, failure};
use crate::message::{self, Partial, Progress};
use crate::{Error, MESSAGE_BYTES_MAX, Receiver, Result, Sender};
use bytes::{Buf, Bytes};
use futures::future::BoxFuture;
use quinn::{ReadError, RecvStream, SendStream, WriteError};
use std::sync::Arc;

/// The most that is read at a time.
const READ_BYTES_MAX: usize = 256 << 10;

pub(super) struct QuicSender {
    stream: SendStream,
    connection: quinn::Connection,
    peer: Arc<str>,
    progress: Progress,
}

impl QuicSender {
    pub(super) fn new(stream: SendStream, connection: quinn::Connection, peer: Arc<str>) -> QuicSender {
        QuicSender { stream, connection, peer, progress: Progress::Whole }
    }

    async fn send_whole(&mut self, message: Bytes) -> Result<()> {
        self.progress.check_whole()?;
        let mut chunks = [Bytes::copy_from_slice(&message::header(&message)?), message];
        self.progress = Progress::Torn;
        let sent = self.stream.write_all_chunks(&mut chunks).await;
        self.progress = Progress::Whole;
        sent.map_err(|error| match error {
            WriteError::ConnectionLost(error) => failure::lost(&self.peer, &error),
            WriteError::Stopped(_) | WriteError::ClosedStream | WriteError::ZeroRttRejected => Error::Stopped,
        })
    }
}

impl Sender for QuicSender {
    fn send(&mut self, message: Bytes) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.send_whole(message))
    }

    fn finish(&mut self) -> Result<()> {
        self.progress.check_whole()?;
        if let Some(error) = self.connection.close_reason() {
            return Err(failure::lost(&self.peer, &error));
        }
        // Fails only after an end, which was checked.
        let _ = self.stream.finish();
        self.progress = Progress::Finished;
        Ok(())
    }

    fn stopped(&mut self) -> BoxFuture<'_, Error> {
        Box::pin(async {
            match self.stream.stopped().await {
                Ok(Some(_)) => Error::Stopped,
                // All was received: what can still come is the end of the connection.
                Ok(None) | Err(_) => failure::lost(&self.peer, &self.connection.closed().await),
            }
        })
    }
}

impl Drop for QuicSender {
    fn drop(&mut self) {
        // The library would finish it.
        if self.progress != Progress::Finished {
            let _ = self.stream.reset(NO_CODE);
        }
    }
}

/// The library tells the other side when it is dropped before the end.
pub(super) struct QuicReceiver {
    stream: RecvStream,
    peer: Arc<str>,
    partial: Partial,
    /// What was read and not looked at.
    unread: Bytes,
    /// What ended it, other than the end.
    broken: Option<Error>,
}

impl QuicReceiver {
    pub(super) fn new(stream: RecvStream, peer: Arc<str>) -> QuicReceiver {
        QuicReceiver { stream, peer, partial: Partial::default(), unread: Bytes::new(), broken: None }
    }

    async fn next(&mut self) -> Result<Option<Bytes>> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        // Bytes that were read are kept before the next wait.
        loop {
            if !self.unread.is_empty() {
                let mut bytes = &self.unread[..];
                let taken = self.partial.take(&mut bytes);
                let left = bytes.len();
                self.unread.advance(self.unread.len() - left);
                match taken {
                    Ok(None) => continue,
                    Ok(Some(message)) => return Ok(Some(message)),
                    Err(length) => {
                        let why = format!("a message of {length} bytes, more than {MESSAGE_BYTES_MAX}");
                        return Err(self.give_up(self.malformed(why)));
                    }
                }
            }
            let error = match self.stream.read_chunk(READ_BYTES_MAX, true).await {
                Ok(Some(chunk)) => {
                    self.unread = chunk.bytes;
                    continue;
                }
                Ok(None) if self.partial.is_empty() => return Ok(None),
                Ok(None) => self.malformed("the end within a message".to_string()),
                Err(ReadError::ConnectionLost(error)) => failure::lost(&self.peer, &error),
                Err(_) => Error::Stopped,
            };
            return Err(self.give_up(error));
        }
    }

    /// Ends the stream; the same error is told from now on.
    fn give_up(&mut self, error: Error) -> Error {
        // Fails only if the stream has ended, which is as good.
        let _ = self.stream.stop(NO_CODE);
        self.broken = Some(error.clone());
        error
    }

    fn malformed(&self, why: String) -> Error {
        Error::Malformed { peer: self.peer.to_string(), why }
    }
}

impl Receiver for QuicReceiver {
    fn receive(&mut self) -> BoxFuture<'_, Result<Option<Bytes>>> {
        Box::pin(self.next())
    }
}
