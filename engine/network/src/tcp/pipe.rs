//! A stream as its halves and the connection's task share it.

use super::frame::{Frame, Header, Kind};
use super::link::Link;
use super::stream::{TcpReceiver, TcpSender};
use crate::message::{self, Partial};
use crate::{Error, MESSAGE_BYTES_MAX, Result, Stream};
use bytes::Bytes;
use futures::task::AtomicWaker;
use parking_lot::{Mutex, MutexGuard};
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

/// The bytes of one direction that may wait at the receiver. Both sides know it.
pub(super) const WINDOW_BYTES: usize = 1 << 20;
/// What is taken by the receiver is told to the sender in such steps.
const CREDIT_BYTES: usize = WINDOW_BYTES / 4;

pub(super) struct Pipe {
    pub(super) link: Arc<Link>,
    number: u64,
    /// This node opened it.
    own: bool,
    state: Mutex<State>,
    sender: AtomicWaker,
    receiver: AtomicWaker,
}

/// How the direction that comes here ended.
#[derive(Clone)]
enum Over {
    Well,
    Reset,
    Malformed(String),
}

#[derive(Default)]
struct State {
    /// Bytes that may be sent.
    credit: usize,
    /// The other side wants no more.
    stopped: bool,
    /// The end, or that there is none, was told.
    sent_last: bool,
    sender_gone: bool,

    /// Bytes that may come.
    expected: usize,
    partial: Partial,
    /// The bytes of the partial message that were not paid for.
    partial_cost: usize,
    /// Whole messages, and what they cost.
    messages: VecDeque<(Bytes, usize)>,
    /// Bytes that were taken, and of which the sender does not know.
    owed: usize,
    /// The receiver waits for the rest of a message, which may be longer than the window.
    waiting: bool,
    over: Option<Over>,
    received_last: bool,
    receiver_gone: bool,
    released: bool,
}

impl Pipe {
    pub(super) fn new(link: Arc<Link>, number: u64, own: bool) -> Arc<Pipe> {
        let state = State { credit: WINDOW_BYTES, expected: WINDOW_BYTES, ..State::default() };
        let (sender, receiver) = (AtomicWaker::new(), AtomicWaker::new());
        Arc::new(Pipe { link, number, own, state: Mutex::new(state), sender, receiver })
    }

    pub(super) fn stream(self: Arc<Pipe>) -> Stream {
        Stream { sender: Box::new(TcpSender::new(self.clone())), receiver: Box::new(TcpReceiver::new(self)) }
    }

    /// Both halves look again.
    pub(super) fn wake(&self) {
        self.sender.wake();
        self.receiver.wake();
    }

    fn put(&self, kind: Kind, count: usize) {
        self.link.put(Frame::bare(self.header(kind, count)));
    }

    fn header(&self, kind: Kind, count: usize) -> Header {
        // No count is more than the window.
        Header { kind, count: count as u32, stream: self.number }
    }

    /// Lets go of what is not needed any more.
    fn settle(&self, mut state: MutexGuard<'_, State>) {
        let ended = state.sent_last && state.received_last;
        let release = ended && !std::mem::replace(&mut state.released, ended);
        let forget = ended && state.sender_gone;
        drop(state);
        if release {
            self.link.release(self.own);
        }
        if forget {
            self.link.forget(self.number);
        }
    }
}

/// For the half that sends.
impl Pipe {
    /// How many bytes may be sent, once these are at least so many.
    pub(super) fn poll_credit(&self, least: usize, context: &mut Context<'_>) -> Poll<Result<usize>> {
        self.sender.register(context.waker());
        self.link.check()?;
        let state = self.state.lock();
        match state.stopped {
            true => Poll::Ready(Err(Error::Stopped)),
            false if state.credit < least => Poll::Pending,
            false => Poll::Ready(Ok(state.credit)),
        }
    }

    /// Sends a part of a message, for which there is credit.
    pub(super) fn send(&self, length: Option<[u8; message::HEADER_BYTES]>, body: Bytes) {
        let bytes = length.map_or(0, |length| length.len()) + body.len();
        self.state.lock().credit -= bytes;
        self.link.put(Frame::data(self.header(Kind::Data, bytes), length, body));
    }

    /// Tells the end, or that there will be none.
    pub(super) fn send_last(&self, well: bool) {
        let mut state = self.state.lock();
        state.sent_last = true;
        self.put(if well { Kind::End } else { Kind::Reset }, 0);
        self.settle(state);
    }

    pub(super) fn poll_stopped(&self, context: &mut Context<'_>) -> Poll<Error> {
        self.sender.register(context.waker());
        match self.link.why_lost() {
            Some(error) => Poll::Ready(error),
            None if self.state.lock().stopped => Poll::Ready(Error::Stopped),
            None => Poll::Pending,
        }
    }

    pub(super) fn drop_sender(&self) {
        let mut state = self.state.lock();
        state.sender_gone = true;
        self.settle(state);
    }
}

/// For the half that receives.
impl Pipe {
    pub(super) fn poll_message(&self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>>> {
        self.receiver.register(context.waker());
        let mut state = self.state.lock();
        if let Some((message, cost)) = state.messages.pop_front() {
            state.waiting = false;
            self.pay(&mut state, cost);
            return Poll::Ready(Ok(Some(message)));
        }
        match &state.over {
            Some(Over::Well) => return Poll::Ready(Ok(None)),
            Some(Over::Reset) => return Poll::Ready(Err(Error::Stopped)),
            Some(Over::Malformed(why)) => {
                return Poll::Ready(Err(Error::Malformed {
                    peer: self.link.peer.to_string(),
                    why: why.clone(),
                }));
            }
            None => self.link.check()?,
        }
        state.waiting = true;
        let cost = std::mem::take(&mut state.partial_cost);
        self.pay(&mut state, cost);
        Poll::Pending
    }

    /// So many bytes wait no more: others may come.
    fn pay(&self, state: &mut State, bytes: usize) {
        state.owed += bytes;
        if state.owed >= CREDIT_BYTES && !state.received_last {
            let owed = std::mem::take(&mut state.owed);
            state.expected += owed;
            self.put(Kind::Credit, owed);
        }
    }

    pub(super) fn drop_receiver(&self) {
        let mut state = self.state.lock();
        state.receiver_gone = true;
        state.messages.clear();
        state.partial = Partial::default();
        if !state.received_last && !matches!(state.over, Some(Over::Malformed(_))) {
            self.put(Kind::Stop, 0);
        }
    }
}

/// For the connection's task.
impl Pipe {
    /// Takes bytes that came. An error tells what is wrong with them for the connection.
    pub(super) fn arrived(&self, mut bytes: &[u8]) -> std::result::Result<(), String> {
        let mut state = self.state.lock();
        let state = &mut *state;
        state.expected = state.expected.checked_sub(bytes.len()).ok_or("more of a stream than was let in")?;
        if state.received_last {
            return Err("bytes of a stream after its end".to_string());
        }
        while !bytes.is_empty() && !state.receiver_gone && state.over.is_none() {
            let before = bytes.len();
            let taken = state.partial.take(&mut bytes);
            state.partial_cost += before - bytes.len();
            match taken {
                Ok(None) => continue,
                Ok(Some(message)) => {
                    let cost = std::mem::take(&mut state.partial_cost);
                    state.messages.push_back((message, cost));
                    state.waiting = false;
                }
                Err(length) => {
                    let why = format!("a message of {length} bytes, more than {MESSAGE_BYTES_MAX}");
                    state.over = Some(Over::Malformed(why));
                    self.put(Kind::Stop, 0);
                }
            }
            self.receiver.wake();
        }
        if state.waiting {
            let cost = std::mem::take(&mut state.partial_cost);
            self.pay(state, cost);
        }
        Ok(())
    }

    /// Takes a frame that has no payload.
    pub(super) fn told(&self, header: Header) -> std::result::Result<(), String> {
        let mut state = self.state.lock();
        match header.kind {
            Kind::End | Kind::Reset => {
                let over = match header.kind {
                    Kind::End if state.partial.is_empty() => Over::Well,
                    Kind::End => Over::Malformed("the end within a message".to_string()),
                    _ => Over::Reset,
                };
                state.received_last = true;
                state.over.get_or_insert(over);
                self.receiver.wake();
                self.settle(state);
            }
            Kind::Stop => {
                state.stopped = true;
                self.sender.wake();
            }
            Kind::Credit => {
                state.credit += header.count as usize;
                if state.credit > WINDOW_BYTES {
                    return Err("more room than a stream has".to_string());
                }
                self.sender.wake();
            }
            Kind::Data | Kind::Alive => {}
        }
        Ok(())
    }
}
