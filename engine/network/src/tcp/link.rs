//! What the tasks of a connection share: the frames that wait to be sent, the streams, and why it was lost.

use super::frame::{Frame, Header, Kind};
use super::pipe::Pipe;
use crate::{Error, Result, Stream};
use futures::task::AtomicWaker;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, OnceLock};
use tokio::sync::{Notify, Semaphore, mpsc};

/// The streams that each side may have open at a time.
const STREAMS_MAX: usize = 4096;
/// The bytes of messages that wait to be encrypted, of all streams; whoever sends more waits for its turn.
const OUTBOX_BYTES_MAX: usize = 512 << 10;

/// Which side of a connection this node is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Side {
    Connecting,
    Accepting,
}

pub(super) struct Link {
    pub(super) peer: Arc<str>,
    side: Side,
    state: Mutex<State>,
    why_lost: OnceLock<Arc<str>>,
    pub(super) lost: Notify,
    /// A first frame came: the other side lets this node in.
    pub(super) greeted: Notify,
    /// The task that sends and receives.
    pub(super) driver: AtomicWaker,
    /// Bytes that may be put into the outbox.
    pub(super) room: Semaphore,
    /// Streams that this node may open.
    pub(super) slots: Semaphore,
    pub(super) accepted: tokio::sync::Mutex<mpsc::UnboundedReceiver<Stream>>,
}

struct State {
    outbox: VecDeque<Frame>,
    /// By number.
    streams: HashMap<u64, Arc<Pipe>>,
    /// The numbers of the next streams that either side opens.
    next_own: u64,
    next_theirs: u64,
    /// How many that the other side opened have not ended.
    theirs_open: usize,
    /// Gone once the connection is lost.
    accepting: Option<mpsc::UnboundedSender<Stream>>,
}

impl Link {
    pub(super) fn new(peer: Arc<str>, side: Side) -> Arc<Link> {
        let (accepting, accepted) = mpsc::unbounded_channel();
        let [next_own, next_theirs] = match side {
            Side::Connecting => [0, 1],
            Side::Accepting => [1, 0],
        };
        let state = State {
            outbox: VecDeque::new(),
            streams: HashMap::new(),
            next_own,
            next_theirs,
            theirs_open: 0,
            accepting: Some(accepting),
        };
        Arc::new(Link {
            peer,
            side,
            state: Mutex::new(state),
            why_lost: OnceLock::new(),
            lost: Notify::new(),
            greeted: Notify::new(),
            driver: AtomicWaker::new(),
            room: Semaphore::new(OUTBOX_BYTES_MAX),
            slots: Semaphore::new(STREAMS_MAX),
            accepted: tokio::sync::Mutex::new(accepted),
        })
    }

    /// The error of everything once the connection is lost.
    pub(super) fn why_lost(&self) -> Option<Error> {
        self.why_lost.get().map(|why| self.error(why))
    }

    fn error(&self, why: &str) -> Error {
        Error::Lost { peer: self.peer.to_string(), why: why.to_string() }
    }

    pub(super) fn check(&self) -> Result<()> {
        self.why_lost().map_or(Ok(()), Err)
    }

    /// Ready once the connection is lost.
    pub(super) async fn wait_lost(&self) -> Error {
        loop {
            let mut lost = std::pin::pin!(self.lost.notified());
            lost.as_mut().enable();
            if let Some(error) = self.why_lost() {
                return error;
            }
            lost.await;
        }
    }

    /// Ends the connection, for the first reason that is given, and tells all who wait.
    pub(super) fn lose(&self, why: &str) {
        let (streams, accepting) = {
            let mut state = self.state.lock();
            if self.why_lost.set(why.into()).is_err() {
                return;
            }
            state.outbox.clear();
            (std::mem::take(&mut state.streams), state.accepting.take())
        };
        self.room.close();
        self.slots.close();
        // What nobody accepted looks at the link when it is dropped.
        drop(accepting);
        for pipe in streams.into_values() {
            pipe.wake();
        }
        self.lost.notify_waiters();
        self.driver.wake();
    }

    /// Puts a frame into the outbox; nothing where the connection is lost.
    pub(super) fn put(&self, frame: Frame) {
        let mut state = self.state.lock();
        if self.why_lost.get().is_some() {
            return;
        }
        state.outbox.push_back(frame);
        // While there are others the driver is awake, or waits for the socket.
        let first = state.outbox.len() == 1;
        drop(state);
        if first {
            self.driver.wake();
        }
    }

    /// Says that this node lives.
    pub(super) fn put_alive(&self) {
        self.put(Frame::bare(Header { kind: Kind::Alive, count: 0, stream: 0 }));
    }

    /// Takes frames out of the outbox: at least one, if there is one, and others up to so many bytes.
    pub(super) fn take(&self, frames: &mut Vec<Frame>, frames_max: usize, bytes_max: usize) {
        let mut state = self.state.lock();
        let mut bytes = 0;
        while frames.len() < frames_max
            && bytes < bytes_max
            && let Some(frame) = state.outbox.pop_front()
        {
            bytes += frame.payload_bytes();
            frames.push(frame);
        }
    }

    /// A stream that this node opens, for which it has a slot.
    pub(super) fn open(self: &Arc<Link>) -> Result<Stream> {
        let mut state = self.state.lock();
        self.check()?;
        let number = state.next_own;
        state.next_own += 2;
        let pipe = Pipe::new(self.clone(), number, true);
        state.streams.insert(number, pipe.clone());
        Ok(pipe.stream())
    }

    /// The stream of a frame that came; `None` if it has ended here. An error tells what is wrong with the frame.
    pub(super) fn find(self: &Arc<Link>, number: u64) -> std::result::Result<Option<Arc<Pipe>>, String> {
        let mut state = self.state.lock();
        if let Some(pipe) = state.streams.get(&number) {
            return Ok(Some(pipe.clone()));
        }
        let own = number.is_multiple_of(2) == (self.side == Side::Connecting);
        if own {
            let opened = number < state.next_own;
            return if opened { Ok(None) } else { Err(format!("stream {number}, which nobody opened")) };
        }
        // One that is opened opens those before it.
        let mut found = None;
        while state.next_theirs <= number {
            if state.theirs_open == STREAMS_MAX {
                return Err(format!("more than {STREAMS_MAX} streams at a time"));
            }
            let number = state.next_theirs;
            let pipe = Pipe::new(self.clone(), number, false);
            state.streams.insert(number, pipe.clone());
            state.next_theirs += 2;
            state.theirs_open += 1;
            if let Some(accepting) = &state.accepting {
                // The other end lives as long as the link.
                let _ = accepting.send(pipe.clone().stream());
            }
            found = Some(pipe);
        }
        Ok(found)
    }

    /// Both directions of a stream have ended.
    pub(super) fn release(&self, own: bool) {
        match own {
            true => self.slots.add_permits(1),
            false => self.state.lock().theirs_open -= 1,
        }
    }

    /// Nobody waits for the stream any more.
    pub(super) fn forget(&self, number: u64) {
        self.state.lock().streams.remove(&number);
    }

    /// The streams that somebody uses.
    #[cfg(test)]
    pub(super) fn open_streams(&self) -> usize {
        self.state.lock().streams.len()
    }
}
