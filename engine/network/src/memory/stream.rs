//! The halves of a stream in memory.

use super::wire::Wire;
use crate::{Error, MESSAGE_BYTES_MAX, Receiver, Result, Sender, Stream};
use bytes::Bytes;
use futures::future::BoxFuture;
use parking_lot::{Mutex, MutexGuard};
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::time::Instant;

/// The bytes of messages that are sent and not received, beyond which a sender waits. A longer message passes alone.
const UNDER_WAY_BYTES_MAX: usize = 1 << 20;
/// What a message counts beside its bytes.
const MESSAGE_COST: usize = 64;

/// What a sender tells a receiver.
enum Item {
    Message(Bytes),
    End,
    Reset,
}

/// One direction of a stream.
pub(super) struct Pipe {
    wire: Arc<Wire>,
    /// The end that sends.
    end: usize,
    state: Mutex<State>,
    /// For the receiver: an item was sent. For the sender: there is room, or nobody receives.
    sent: Notify,
    received: Notify,
    /// Held until all four halves of the stream are gone.
    _permit: Arc<OwnedSemaphorePermit>,
}

#[derive(Default)]
struct State {
    items: VecDeque<(Option<Instant>, Item)>,
    /// What the items count.
    cost: usize,
    /// Nothing follows what was sent.
    ended: bool,
    /// The receiver is gone, which the sender knows at that time.
    stopped: Option<Option<Instant>>,
}

impl Pipe {
    /// A stream that an end opens. The other end sees it as its first item is sent.
    pub(super) fn open(wire: &Arc<Wire>, end: usize, peer: Arc<str>, permit: OwnedSemaphorePermit) -> Stream {
        let permit = Arc::new(permit);
        let pipe = |end| {
            Arc::new(Pipe {
                wire: wire.clone(),
                end,
                state: Mutex::default(),
                sent: Notify::new(),
                received: Notify::new(),
                _permit: permit.clone(),
            })
        };
        let (there, back) = (pipe(end), pipe(1 - end));
        let name: Arc<str> = wire.node(end).into();
        let far = Stream {
            sender: Box::new(MemorySender { pipe: back.clone(), peer: name.clone(), unseen: None }),
            receiver: Box::new(MemoryReceiver { pipe: there.clone(), peer: name, over: None }),
        };
        let unseen = Some((1 - end, far));
        Stream {
            sender: Box::new(MemorySender { pipe: there, peer: peer.clone(), unseen }),
            receiver: Box::new(MemoryReceiver { pipe: back, peer, over: None }),
        }
    }

    fn check_connected(&self, peer: &str) -> Result<()> {
        match self.wire.why_lost() {
            Some(why) => Err(Error::Lost { peer: peer.to_string(), why }),
            None => Ok(()),
        }
    }
}

struct MemorySender {
    pipe: Arc<Pipe>,
    peer: Arc<str>,
    /// The other halves, until the other end sees them.
    unseen: Option<(usize, Stream)>,
}

impl MemorySender {
    /// Puts an item on its way, and shows the stream to the other end if it does not know it.
    fn put(&mut self, mut state: MutexGuard<'_, State>, item: Item) {
        let due = self.pipe.wire.due();
        // Once nobody receives it is dropped, though the sender does not know yet.
        if state.stopped.is_none() {
            state.items.push_back((due, item));
            self.pipe.sent.notify_one();
        }
        // A stream that is not wanted any more is dropped there, and takes the lock.
        drop(state);
        if let Some((end, stream)) = self.unseen.take() {
            self.pipe.wire.offer(end, due, stream);
        }
    }

    async fn send_message(&mut self, message: Bytes) -> Result<()> {
        if message.len() > MESSAGE_BYTES_MAX {
            return Err(Error::too_long(message.len()));
        }
        let (pipe, cost) = (self.pipe.clone(), message.len() + MESSAGE_COST);
        loop {
            let stopping = {
                let mut state = pipe.state.lock();
                pipe.check_connected(&self.peer)?;
                check_open(&state)?;
                if state.stopped.is_some_and(|due| pipe.wire.link.has_arrived(due)) {
                    return Err(Error::Stopped);
                }
                if state.cost == 0 || state.cost + cost <= UNDER_WAY_BYTES_MAX {
                    if state.stopped.is_none() {
                        state.cost += cost;
                    }
                    pipe.wire.observe(pipe.end, message.len());
                    self.put(state, Item::Message(message));
                    return Ok(());
                }
                state.stopped
            };
            pipe.wire.event(&pipe.received, stopping).await;
        }
    }
}

/// Refuses what would follow the last message.
fn check_open(state: &State) -> Result<()> {
    match state.ended {
        true => Err(Error::Environment("the last message was sent already".to_string())),
        false => Ok(()),
    }
}

impl Sender for MemorySender {
    fn send(&mut self, message: Bytes) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.send_message(message))
    }

    fn finish(&mut self) -> Result<()> {
        let pipe = self.pipe.clone();
        let mut state = pipe.state.lock();
        check_open(&state)?;
        pipe.check_connected(&self.peer)?;
        state.ended = true;
        self.put(state, Item::End);
        Ok(())
    }

    fn stopped(&mut self) -> BoxFuture<'_, Error> {
        Box::pin(async {
            loop {
                if let Err(error) = self.pipe.check_connected(&self.peer) {
                    return error;
                }
                let stopping = self.pipe.state.lock().stopped;
                if stopping.is_some_and(|due| self.pipe.wire.link.has_arrived(due)) {
                    return Error::Stopped;
                }
                self.pipe.wire.event(&self.pipe.received, stopping).await;
            }
        })
    }
}

impl Drop for MemorySender {
    fn drop(&mut self) {
        let pipe = self.pipe.clone();
        let mut state = pipe.state.lock();
        if !state.ended {
            state.ended = true;
            state.items.clear();
            self.put(state, Item::Reset);
        }
    }
}

struct MemoryReceiver {
    pipe: Arc<Pipe>,
    peer: Arc<str>,
    /// How it ended.
    over: Option<Result<()>>,
}

impl MemoryReceiver {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            if let Some(over) = &self.over {
                return over.clone().map(|()| None);
            }
            let under_way = {
                let mut state = self.pipe.state.lock();
                self.pipe.check_connected(&self.peer)?;
                match state.items.front() {
                    None => None,
                    Some((due, _)) if !self.pipe.wire.link.has_arrived(*due) => Some(*due),
                    Some(_) => match state.items.pop_front() {
                        Some((_, Item::Message(message))) => {
                            state.cost -= message.len() + MESSAGE_COST;
                            self.pipe.received.notify_one();
                            return Ok(Some(message));
                        }
                        Some((_, Item::Reset)) => {
                            self.over = Some(Err(Error::Stopped));
                            continue;
                        }
                        Some((_, Item::End)) | None => {
                            self.over = Some(Ok(()));
                            continue;
                        }
                    },
                }
            };
            self.pipe.wire.event(&self.pipe.sent, under_way).await;
        }
    }
}

impl Receiver for MemoryReceiver {
    fn receive(&mut self) -> BoxFuture<'_, Result<Option<Bytes>>> {
        Box::pin(self.next())
    }
}

impl Drop for MemoryReceiver {
    fn drop(&mut self) {
        if self.over.is_none() {
            let mut state = self.pipe.state.lock();
            state.items.clear();
            state.cost = 0;
            state.stopped = Some(self.pipe.wire.due());
            self.pipe.received.notify_one();
        }
    }
}
