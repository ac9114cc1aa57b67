//! The halves of a stream.

use super::frame::PAYLOAD_BYTES_MAX;
use super::pipe::Pipe;
use crate::message::{self, Progress};
use crate::{Error, Receiver, Result, Sender};
use bytes::Bytes;
use futures::future::BoxFuture;
use std::future::poll_fn;
use std::sync::Arc;

pub(super) struct TcpSender {
    pipe: Arc<Pipe>,
    progress: Progress,
}

impl TcpSender {
    pub(super) fn new(pipe: Arc<Pipe>) -> TcpSender {
        TcpSender { pipe, progress: Progress::Whole }
    }

    async fn send_whole(&mut self, message: Bytes) -> Result<()> {
        self.progress.check_whole()?;
        let header = message::header(&message)?;
        self.progress = Progress::Torn;
        let sent = self.send_parts(header, message).await;
        self.progress = Progress::Whole;
        sent
    }

    async fn send_parts(&self, header: [u8; message::HEADER_BYTES], mut rest: Bytes) -> Result<()> {
        let mut header = Some(header);
        while header.is_some() || !rest.is_empty() {
            // The length is not cut.
            let head = header.map_or(0, |header| header.len());
            let credit = poll_fn(|context| self.pipe.poll_credit(head.max(1), context)).await?;
            let bytes = (head + rest.len()).min(credit).min(PAYLOAD_BYTES_MAX);
            match self.pipe.link.room.acquire_many(bytes as u32).await {
                Ok(room) => room.forget(),
                Err(_) => self.pipe.link.check()?,
            }
            self.pipe.send(header.take(), rest.split_to(bytes - head));
        }
        Ok(())
    }
}

impl Sender for TcpSender {
    fn send(&mut self, message: Bytes) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.send_whole(message))
    }

    fn finish(&mut self) -> Result<()> {
        self.progress.check_whole()?;
        self.pipe.link.check()?;
        self.pipe.send_last(true);
        self.progress = Progress::Finished;
        Ok(())
    }

    fn stopped(&mut self) -> BoxFuture<'_, Error> {
        Box::pin(poll_fn(|context| self.pipe.poll_stopped(context)))
    }
}

impl Drop for TcpSender {
    fn drop(&mut self) {
        if self.progress != Progress::Finished {
            self.pipe.send_last(false);
        }
        self.pipe.drop_sender();
    }
}

pub(super) struct TcpReceiver {
    pipe: Arc<Pipe>,
}

impl TcpReceiver {
    pub(super) fn new(pipe: Arc<Pipe>) -> TcpReceiver {
        TcpReceiver { pipe }
    }
}

impl Receiver for TcpReceiver {
    fn receive(&mut self) -> BoxFuture<'_, Result<Option<Bytes>>> {
        Box::pin(poll_fn(|context| self.pipe.poll_message(context)))
    }
}

impl Drop for TcpReceiver {
    fn drop(&mut self) {
        self.pipe.drop_receiver();
    }
}
