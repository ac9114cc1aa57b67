//! An exchange between nodes: what stays on this shard goes through memory, what leaves it goes by a stream an edge.
//!
//! Frames are made by the workers that send, and carried by a task an edge. A receiver that is behind fills its
//! queue, then the stream, then the sender's queue: then the sender waits.

use super::words::{FRAMES, frame_limits, pieces};
use columnar::Batch;
use columnar::frame::{FrameDecoder, FrameEncoder};
use exec::error::{Error, Result};
use exec::memory::{MemoryPool, Reservation};
use exec::operator::Progress;
use exec::runtime::waiters::Waiters;
use exec::runtime::{Edge, Exchange, LocalExchange, Received, Topology};
use flight_proto::Message;
use flight_proto::node::{Rows, Service};
use network::{Peers, Receiver, Stream};
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Poll, Waker};

/// Frames of an edge that wait at most.
const QUEUE_FRAMES: usize = 8;

/// The exchange of one query on one of its shards.
pub(crate) struct NodeExchange {
    local: Arc<LocalExchange>,
    shard: usize,
    /// By fragment and receiving shard.
    outgoing: HashMap<(u32, usize), Arc<Outgoing>>,
    /// Bytes of frames for other shards so far.
    sent: AtomicU64,
}

/// An edge to another shard.
struct Outgoing {
    edge: Edge,
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
                outgoing.insert((fragment, to), Arc::new(Outgoing { edge, state: Mutex::new(state) }));
            }
        }
        let exchange = NodeExchange {
            local: LocalExchange::new(topology, memory),
            shard,
            outgoing,
            sent: AtomicU64::new(0),
        };
        let exchange = Arc::new(exchange);
        for out in exchange.outgoing.values() {
            let (weak, out) = (Arc::downgrade(&exchange), out.clone());
            let (peers, address) = (peers.clone(), addresses.get(out.edge.to).cloned().unwrap_or_default());
            tokio::spawn(async move {
                if let Err(error) = out.carry(query, &peers, &address).await
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
    /// dropped before: the connection is lost.
    pub(crate) async fn take(&self, edge: Edge, stream: &mut Stream) {
        let mut taking = Taking { exchange: self, edge, ended: false };
        self.take_all(edge, &mut *stream.receiver).await;
        taking.ended = true;
        // Who does not listen any more has gone.
        let _ = stream.sender.finish();
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
        let mut decoder = FrameDecoder::new(frame_limits());
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

    fn close(&self, fragment: u32, to: usize) {
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
                for piece in pieces(held) {
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

    /// Carries frames to the receiving shard until it has taken them, or nobody wants them.
    async fn carry(&self, query: u128, peers: &Peers, address: &str) -> network::Result<()> {
        match self.carry_all(query, peers, address).await {
            Ok(()) => self.change(|state| state.delivered = true),
            Err(network::Error::Stopped) => self.change(|state| {
                state.closed = true;
                state.delivered = true;
                state.clear();
            }),
            Err(lost) => return Err(lost),
        }
        Ok(())
    }

    async fn carry_all(&self, query: u128, peers: &Peers, address: &str) -> network::Result<()> {
        let mut stream = peers.open(address, network::Service(Service::Rows as u16)).await?;
        let head = Rows {
            query: query.to_be_bytes().to_vec().into(),
            fragment: self.edge.fragment,
            from: self.edge.from as u32,
            to: self.edge.to as u32,
        };
        stream.sender.send(head.encode_to_vec().into()).await?;
        loop {
            let next = tokio::select! {
                biased;
                stopped = stream.sender.stopped() => return Err(stopped),
                next = self.next() => next,
            };
            match next {
                Ok(Some(frame)) => stream.sender.send(frame.into()).await?,
                Ok(None) => break,
                // The query has failed here; the stream that is dropped tells the other shard.
                Err(_) => return Ok(()),
            }
        }
        stream.sender.finish()?;
        // What was sent may be lost with the connection: only its receiver knows that it came.
        stream.receiver.receive().await.map(|_| ())
    }
}

#[cfg(test)]
mod tests;
