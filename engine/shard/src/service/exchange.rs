//! An exchange between nodes: what stays on this shard goes through memory, what leaves it goes by a stream an edge.
//!
//! Frames are made by the workers that send, and carried by a task an edge. A receiver that is behind fills its
//! queue, then the stream, then the sender's queue: then the sender waits. The other way on the stream comes which keys
//! the receiver wants.

use super::words::{self, FRAMES, frame_limits, frame_rows, pieces, wanted_from, wanted_of};
use bytes::Bytes;
use columnar::Batch;
use columnar::frame::{FrameDecoder, FrameEncoder};
use exec::error::{Error, Result};
use exec::memory::{MemoryPool, Reservation};
use exec::operator::Progress;
use exec::runtime::waiters::Waiters;
use exec::runtime::wanted::{WantedKeys, WantedTest};
use exec::runtime::{Edge, Exchange, LocalExchange, Received, Topology};
use flight_proto::Message;
use flight_proto::node::{self, Rows, Service};
use network::{Peers, Receiver, Sender, Stream};
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Poll, Waker};
use tokio::sync::watch;

/// Frames of an edge that wait at most.
const QUEUE_FRAMES: usize = 4;

/// The exchange of one query on one of its shards.
pub(crate) struct NodeExchange {
    local: Arc<LocalExchange>,
    shard: usize,
    /// By fragment and receiving shard.
    outgoing: HashMap<(u32, usize), Arc<Outgoing>>,
    /// Bytes of frames for other shards so far.
    sent: AtomicU64,
    /// What this shard wants of fragments, for all who send them.
    wanted: watch::Sender<Vec<(u32, Bytes)>>,
}

/// An edge to another shard.
struct Outgoing {
    edge: Edge,
    /// Of a frame.
    rows: usize,
    state: Mutex<OutgoingState>,
}

struct OutgoingState {
    encoder: FrameEncoder,
    frames: VecDeque<Vec<u8>>,
    /// Of the frames.
    reservation: Reservation,
    finished: bool,
    /// The receiver wants no more.
    closed: bool,
    failure: Option<Error>,
    /// The other shard has taken all rows, or wants no more.
    delivered: bool,
    /// Tasks that send, the one that carries, and who waits for the delivery.
    writers: Waiters,
    carrier: Waiters,
    sender: Waiters,
}

impl NodeExchange {
    /// The exchange of `query` on the shard at `shard` of those at `addresses`. Its tasks end with it.
    pub(crate) fn start(
        query: u128,
        topology: Topology,
        shard: usize,
        addresses: &[String],
        peers: &Arc<Peers>,
        memory: &Arc<MemoryPool>,
    ) -> Arc<NodeExchange> {
        let mut outgoing = HashMap::new();
        let rows = frame_rows(peers.spoken().cluster());
        for fragment in topology.fragments().filter(|&fragment| topology.senders(fragment).contains(&shard)) {
            for &to in topology.receivers(fragment).iter().filter(|&&to| to != shard) {
                let state = OutgoingState {
                    encoder: FrameEncoder::new(FRAMES),
                    frames: VecDeque::new(),
                    reservation: memory.reservation("exchange"),
                    finished: false,
                    closed: false,
                    failure: None,
                    delivered: false,
                    writers: Waiters::default(),
                    carrier: Waiters::default(),
                    sender: Waiters::default(),
                };
                let edge = Edge { fragment, from: shard, to };
                outgoing.insert((fragment, to), Arc::new(Outgoing { edge, rows, state: Mutex::new(state) }));
            }
        }
        let exchange = NodeExchange {
            local: LocalExchange::new(topology, memory),
            shard,
            outgoing,
            sent: AtomicU64::new(0),
            wanted: watch::Sender::default(),
        };
        let exchange = Arc::new(exchange);
        for out in exchange.outgoing.values() {
            let (weak, out) = (Arc::downgrade(&exchange), out.clone());
            let (peers, address) = (peers.clone(), addresses.get(out.edge.to).cloned().unwrap_or_default());
            let asked = exchange.topology().is_asked(out.edge.fragment);
            tokio::spawn(async move {
                if let Err(error) = out.carry(query, &peers, &address, asked, &weak).await
                    && let Some(exchange) = weak.upgrade()
                {
                    exchange.fail(Error::Exchange(format!("rows for the shard at {address}: {error}")));
                }
            });
        }
        exchange
    }

    /// What was sent to other shards.
    pub(crate) fn sent_bytes(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// The fragments, with the shards that run them, whose rows are waited for here.
    pub(crate) fn waits_for(&self) -> Vec<(u32, usize)> {
        self.local.waits_for(self.shard)
    }

    /// Fragments that are not sent from here yet, with the shards that are to tell what they want of them.
    pub(crate) fn untold(&self) -> Vec<(u32, usize)> {
        self.local.untold(self.shard)
    }

    /// Ready once the other shards have taken, or do not want, all that was sent to them.
    pub(crate) fn poll_delivered(&self, waker: &Waker) -> Poll<Result<()>> {
        for outgoing in self.outgoing.values() {
            let mut state = outgoing.state.lock();
            if let Some(failure) = &state.failure {
                return Poll::Ready(Err(failure.clone()));
            }
            if !state.delivered {
                state.sender.add(waker);
                return Poll::Pending;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Takes the rows of an edge that another shard sends, to their end, and says so. The exchange fails if this is
    /// dropped before: the connection is lost. Where the other shard `hears`, it is told which keys are wanted.
    pub(crate) async fn take(&self, edge: Edge, hears: bool, stream: &mut Stream) {
        let mut taking = Taking { exchange: self, edge, ended: false };
        let (all_taken, ended) = watch::channel(false);
        let take = async {
            self.take_all(edge, &mut *stream.receiver).await;
            all_taken.send_replace(true);
        };
        let tell = async {
            if hears {
                self.tell_wanted(edge.fragment, &mut *stream.sender, ended).await;
            }
        };
        tokio::join!(take, tell);
        taking.ended = true;
        // Who does not listen any more has gone.
        let _ = stream.sender.finish();
    }

    fn tell(&self, fragment: u32, keys: &node::WantedKeys) {
        let told = (fragment, keys.encode_to_vec().into());
        self.wanted.send_modify(|wanted| wanted.push(told));
    }

    /// Tells what is wanted of a fragment, as it is known, until all rows are taken.
    async fn tell_wanted(&self, fragment: u32, sender: &mut dyn Sender, mut ended: watch::Receiver<bool>) {
        let (mut wanted, mut told) = (self.wanted.subscribe(), 0);
        loop {
            let all = wanted.borrow_and_update().clone();
            for (_, keys) in all[told..].iter().filter(|(of, _)| *of == fragment) {
                if sender.send(keys.clone()).await.is_err() {
                    return;
                }
            }
            told = all.len();
            tokio::select! {
                biased;
                _ = ended.wait_for(|&ended| ended) => return,
                _ = wanted.changed() => {}
            }
        }
    }

    async fn take_all(&self, edge: Edge, receiver: &mut dyn Receiver) {
        let topology = self.local.topology();
        let known = edge.to == self.shard
            && edge.from != self.shard
            && topology.senders(edge.fragment).contains(&edge.from)
            && topology.receivers(edge.fragment).contains(&edge.to);
        if !known {
            return self.fail(Error::Exchange(format!("{edge:?} is no edge of the query")));
        }
        let mut decoder = FrameDecoder::new(frame_limits()).expecting(topology.types(edge.fragment));
        loop {
            let lost = |why: String| Error::Exchange(format!("rows of shard {}: {why}", edge.from));
            let batch = match receiver.receive().await {
                Ok(Some(frame)) => decoder.decode(&frame),
                Ok(None) => return self.local.finish(edge),
                Err(error) => return self.fail(lost(error.to_string())),
            };
            let mut batch = match batch {
                Ok(batch) => Some(batch),
                Err(error) => return self.fail(lost(error.to_string())),
            };
            let taken = poll_fn(|context| match self.local.send(edge, &mut batch, context.waker()) {
                Ok(Progress::Blocked) => Poll::Pending,
                other => Poll::Ready(other),
            });
            match taken.await {
                Ok(Progress::Finished) => return,
                Ok(_) => {}
                // Whoever receives here learns of it by the same exchange.
                Err(error) => return self.fail(error),
            }
        }
    }
}

/// Rows of an edge that are being taken.
struct Taking<'a> {
    exchange: &'a NodeExchange,
    edge: Edge,
    ended: bool,
}

impl Drop for Taking<'_> {
    fn drop(&mut self) {
        if !self.ended {
            let why = format!("rows of shard {}: the connection was lost", self.edge.from);
            self.exchange.fail(Error::Exchange(why));
        }
    }
}

impl Exchange for NodeExchange {
    fn topology(&self) -> &Topology {
        self.local.topology()
    }

    fn send(&self, edge: Edge, batch: &mut Option<Batch>, waker: &Waker) -> Result<Progress> {
        match self.outgoing.get(&(edge.fragment, edge.to)) {
            Some(outgoing) => outgoing.send(batch, waker, &self.sent),
            None => self.local.send(edge, batch, waker),
        }
    }

    fn finish(&self, edge: Edge) {
        match self.outgoing.get(&(edge.fragment, edge.to)) {
            Some(outgoing) => outgoing.change(|state| state.finished = true),
            None => self.local.finish(edge),
        }
    }

    fn receive(&self, fragment: u32, to: usize, waker: &Waker) -> Result<Received> {
        self.local.receive(fragment, to, waker)
    }

    fn want(&self, fragment: u32, to: usize, keys: WantedKeys) {
        let Some(told) = wanted_of(&keys) else { return self.want_all(fragment, to) };
        self.tell(fragment, &told);
        self.local.want(fragment, to, keys);
    }

    fn want_all(&self, fragment: u32, to: usize) {
        self.tell(fragment, &words::all_wanted());
        self.local.want_all(fragment, to);
    }

    fn all_told(&self, fragment: u32, waker: &Waker) -> Result<bool> {
        self.local.all_told(fragment, waker)
    }

    fn wanted(&self, fragment: u32) -> Vec<Arc<WantedTest>> {
        self.local.wanted(fragment)
    }

    fn close(&self, fragment: u32, to: usize) {
        // Who waits to be told sends again, and learns that no more is wanted.
        if self.local.topology().is_asked(fragment) {
            self.want_all(fragment, to);
        }
        self.local.close(fragment, to);
    }

    fn fail(&self, error: Error) {
        for outgoing in self.outgoing.values() {
            outgoing.change(|state| {
                state.failure.get_or_insert_with(|| error.clone());
                state.clear();
            });
        }
        self.local.fail(error);
    }
}

impl Drop for NodeExchange {
    fn drop(&mut self) {
        // What was finished is still carried to its end; streams of the other edges are reset.
        for outgoing in self.outgoing.values() {
            outgoing.change(|state| {
                if !state.finished {
                    state.failure.get_or_insert(Error::Cancelled);
                    state.clear();
                }
            });
        }
    }
}

impl OutgoingState {
    fn clear(&mut self) {
        self.frames.clear();
        self.reservation.shrink(self.reservation.bytes());
    }
}

impl Outgoing {
    /// Changes the state and wakes all who wait for it.
    fn change(&self, change: impl FnOnce(&mut OutgoingState)) {
        let waiters = {
            let mut state = self.state.lock();
            change(&mut state);
            [state.writers.take(), state.carrier.take(), state.sender.take()]
        };
        waiters.into_iter().for_each(Waiters::wake);
    }

    fn send(&self, batch: &mut Option<Batch>, waker: &Waker, sent: &AtomicU64) -> Result<Progress> {
        let carrier = {
            let mut state = self.state.lock();
            let state = &mut *state;
            if let Some(failure) = &state.failure {
                return Err(failure.clone());
            }
            if state.closed {
                *batch = None;
                return Ok(Progress::Finished);
            }
            if state.frames.len() >= QUEUE_FRAMES {
                state.writers.add(waker);
                return Ok(Progress::Blocked);
            }
            if let Some(held) = batch.take() {
                for piece in pieces(held, self.rows) {
                    let frame = state.encoder.encode(&piece);
                    state.reservation.grow(frame.len() as u64)?;
                    sent.fetch_add(frame.len() as u64, Ordering::Relaxed);
                    state.frames.push_back(frame);
                }
            }
            state.carrier.take()
        };
        carrier.wake();
        Ok(Progress::Ready)
    }

    /// The next frame; `None` at the end of the rows.
    async fn next(&self) -> Result<Option<Vec<u8>>> {
        poll_fn(|context| {
            let mut state = self.state.lock();
            if let Some(failure) = &state.failure {
                return Poll::Ready(Err(failure.clone()));
            }
            match state.frames.pop_front() {
                Some(frame) => {
                    state.reservation.shrink(frame.len() as u64);
                    let writers = state.writers.take();
                    drop(state);
                    writers.wake();
                    Poll::Ready(Ok(Some(frame)))
                }
                None if state.finished || state.closed => Poll::Ready(Ok(None)),
                None => {
                    state.carrier.add(context.waker());
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// Ready once there is something to carry, or nothing will be.
    async fn begun(&self) {
        poll_fn(|context| {
            let mut state = self.state.lock();
            if !state.frames.is_empty() || state.finished || state.closed || state.failure.is_some() {
                return Poll::Ready(());
            }
            state.carrier.add(context.waker());
            Poll::Pending
        })
        .await;
    }

    /// Carries frames to the receiving shard until it has taken them, or nobody wants them. The stream is opened at once
    /// where the receiver is `asked` which rows it wants.
    async fn carry(
        &self,
        query: u128,
        peers: &Peers,
        address: &str,
        asked: bool,
        exchange: &Weak<NodeExchange>,
    ) -> network::Result<()> {
        // A stream that opens with its first rows, or with their end, takes fewer messages.
        if !asked {
            self.begun().await;
        }
        let mut stream = match peers.open(address, network::Service(Service::Rows as u16)).await {
            Ok(stream) => stream,
            Err(network::Error::Stopped) => return self.delivered(true, exchange),
            Err(lost) => return Err(lost),
        };
        let carried = {
            let mut heard = std::pin::pin!(self.hear(&mut *stream.receiver, exchange));
            let mut carried = std::pin::pin!(self.carry_all(query, &mut *stream.sender));
            tokio::select! {
                biased;
                // Whoever has taken enough says so, and lets the rest lie.
                ended = &mut heard => match ended {
                    Ok(()) => carried.await.map(|_| ()),
                    Err(lost) => Err(lost),
                },
                // What was sent may be lost with the connection: only its receiver knows that it came.
                carried = &mut carried => match carried {
                    Ok(true) => heard.await,
                    // The query has failed here; the stream that is dropped tells the other shard.
                    Ok(false) => Ok(()),
                    Err(lost) => Err(lost),
                },
            }
        };
        match carried {
            Ok(()) => self.delivered(false, exchange),
            Err(network::Error::Stopped) => self.delivered(true, exchange),
            Err(lost) => Err(lost),
        }
    }

    /// All was taken, or no more is wanted.
    fn delivered(&self, closed: bool, exchange: &Weak<NodeExchange>) -> network::Result<()> {
        self.change(|state| {
            state.delivered = true;
            if closed {
                state.closed = true;
                state.clear();
            }
        });
        if let Some(exchange) = exchange.upgrade() {
            exchange.local.ends_telling(self.edge.fragment, self.edge.to);
        }
        Ok(())
    }

    /// Hears which keys are wanted, until the other shard has taken all that it wants.
    async fn hear(&self, receiver: &mut dyn Receiver, exchange: &Weak<NodeExchange>) -> network::Result<()> {
        while let Some(message) = receiver.receive().await? {
            let Some(exchange) = exchange.upgrade() else { continue };
            // What is not understood is all.
            match node::WantedKeys::decode(message).ok().and_then(wanted_from) {
                Some(keys) => exchange.local.want(self.edge.fragment, self.edge.to, keys),
                None => exchange.local.want_all(self.edge.fragment, self.edge.to),
            }
        }
        Ok(())
    }

    /// Sends all frames; `false`: the query has failed before.
    async fn carry_all(&self, query: u128, sender: &mut dyn Sender) -> network::Result<bool> {
        let head = Rows {
            query: query.to_be_bytes().to_vec().into(),
            fragment: self.edge.fragment,
            from: self.edge.from as u32,
            to: self.edge.to as u32,
            hears: true,
        };
        sender.send(head.encode_to_vec().into()).await?;
        loop {
            let next = tokio::select! {
                biased;
                stopped = sender.stopped() => return Err(stopped),
                next = self.next() => next,
            };
            match next {
                Ok(Some(frame)) => sender.send(frame.into()).await?,
                Ok(None) => break,
                Err(_) => return Ok(false),
            }
        }
        sender.finish()?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
