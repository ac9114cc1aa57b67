//! Exchange: the end of a fragment whose rows go to other fragments.

use super::result::canonical;
use crate::error::{Error, Result};
use crate::expr::Expr;
use crate::expression::Compiled;
use crate::hash::Hasher;
use crate::operator::{Progress, Sink, SinkTask, Step};
use crate::plan::Routing;
use crate::runtime::exchange::{Edge, Exchange};
use crate::shape::Shape;
use crate::slices::Slicing;
use columnar::{Batch, Vector, kernels::concat::concat, kernels::take::take};
use std::collections::VecDeque;
use std::sync::Arc;

/// So many batches are sent as one: each that is sent wakes its receiver, maybe on another node.
const JOINED_BATCHES: usize = 4;
/// The most rows that are sent as one batch.
pub const SENT_ROWS: usize = JOINED_BATCHES * columnar::BATCH_ROWS;

/// Sends rows to the shards that receive a fragment.
pub struct ExchangeSink {
    outgoing: Arc<Outgoing>,
}

struct Outgoing {
    exchange: Arc<dyn Exchange>,
    fragment: u32,
    /// The shard that sends.
    shard: usize,
    receivers: Vec<usize>,
    /// Keys to route by, and how; `None`: every row goes to all receivers.
    keys: Option<(Vec<Compiled>, Slicing)>,
    /// Of a batch that is sent.
    rows: usize,
}

struct ExchangeTask {
    outgoing: Arc<Outgoing>,
    hasher: Hasher,
    /// Rows that wait until all receivers have told which they want.
    pending: Option<Batch>,
    all_told: bool,
    /// Rows for all receivers alike.
    for_all: Pieces,
    /// One a receiver.
    destinations: Vec<Destination>,
}

/// Rows that do not make a full batch yet.
#[derive(Default)]
struct Pieces {
    pieces: Vec<Batch>,
    rows: usize,
}

#[derive(Default)]
struct Destination {
    pieces: Pieces,
    ready: VecDeque<Batch>,
    /// The receiver wants no more.
    closed: bool,
}

impl ExchangeSink {
    /// `input` are the shapes of the rows that `fragment` sends from `shard`.
    pub fn new(
        exchange: Arc<dyn Exchange>,
        fragment: u32,
        shard: usize,
        routing: &Routing,
        input: &[Shape],
        batch_rows: usize,
    ) -> Result<ExchangeSink> {
        let receivers = exchange.topology().receivers(fragment).to_vec();
        if receivers.is_empty() {
            return Err(Error::Internal(format!("nobody receives fragment {fragment}")));
        }
        let compile =
            |keys: &[Expr]| keys.iter().map(|key| Compiled::compile(key, input)).collect::<Result<_>>();
        let keys = match routing {
            // Several receivers are all shards, in their order.
            Routing::Hash(keys) if receivers.len() > 1 => Some((compile(keys)?, Slicing::Hash)),
            Routing::Ranges { key, span } if receivers.len() > 1 => {
                Some((compile(std::slice::from_ref(key))?, Slicing::Ranges { span: *span }))
            }
            _ => None,
        };
        let rows = batch_rows * JOINED_BATCHES;
        let outgoing = Outgoing { exchange, fragment, shard, receivers, keys, rows };
        Ok(ExchangeSink { outgoing: Arc::new(outgoing) })
    }
}

impl Sink for ExchangeSink {
    fn start(&self) -> Result<Box<dyn SinkTask>> {
        let destinations = self.outgoing.receivers.iter().map(|_| Destination::default()).collect();
        let outgoing = self.outgoing.clone();
        Ok(Box::new(ExchangeTask {
            outgoing,
            hasher: Hasher::default(),
            pending: None,
            all_told: !self.outgoing.exchange.topology().is_asked(self.outgoing.fragment),
            for_all: Pieces::default(),
            destinations,
        }))
    }

    fn finalize(&self) -> Result<Vec<Box<dyn crate::operator::Work>>> {
        let outgoing = &self.outgoing;
        outgoing.receivers.iter().for_each(|&to| outgoing.exchange.finish(outgoing.edge(to)));
        Ok(Vec::new())
    }
}

impl Outgoing {
    fn edge(&self, to: usize) -> Edge {
        Edge { fragment: self.fragment, from: self.shard, to }
    }
}

impl ExchangeTask {
    /// Puts rows where they go.
    fn route(&mut self, batch: Batch) -> Result<()> {
        let wanted = self.outgoing.exchange.wanted(self.outgoing.fragment);
        let batch = wanted.iter().fold(batch.compact(), |batch, test| test.wanted_of(batch));
        if batch.rows == 0 {
            return Ok(());
        }
        let Some((keys, slicing)) = &self.outgoing.keys else {
            for batch in self.for_all.add(canonical(batch), self.outgoing.rows) {
                send_to_all(&mut self.destinations, &batch);
            }
            return Ok(());
        };
        let keys: Vec<Vector> = keys.iter().map(|key| key.evaluate(&batch)).collect::<Result<_>>()?;
        let shards = self.outgoing.exchange.topology().slices();
        let slices = slicing.slices_of(&mut self.hasher, &keys, batch.rows, shards.len());
        let batch = canonical(batch);
        for (destination, rows) in
            self.destinations.iter_mut().zip(rows_by_shard(&slices, shards, self.outgoing.receivers.len()))
        {
            if !rows.is_empty() && !destination.closed {
                let columns = batch.columns.iter().map(|column| take(column, &rows)).collect();
                let piece = Batch::of_rows(columns, rows.len());
                destination.ready.extend(destination.pieces.add(piece, self.outgoing.rows));
            }
        }
        Ok(())
    }
}

impl SinkTask for ExchangeTask {
    fn push(&mut self, batch: Batch) -> Result<()> {
        self.pending = Some(batch);
        Ok(())
    }

    fn advance(&mut self, step: &Step<'_>) -> Result<Progress> {
        if let Some(batch) = self.pending.take() {
            let Outgoing { exchange, fragment, .. } = &*self.outgoing;
            self.all_told = self.all_told || exchange.all_told(*fragment, step.waker)?;
            if !self.all_told {
                self.pending = Some(batch);
                return Ok(Progress::Blocked);
            }
            self.route(batch)?;
        }
        let mut blocked = false;
        for (destination, &to) in self.destinations.iter_mut().zip(&self.outgoing.receivers) {
            while let Some(batch) = destination.ready.pop_front() {
                let mut batch = Some(batch);
                match self.outgoing.exchange.send(self.outgoing.edge(to), &mut batch, step.waker)? {
                    Progress::Blocked => {
                        blocked = true;
                        destination.ready.extend(batch);
                        destination.ready.rotate_right(1);
                        break;
                    }
                    Progress::Finished => *destination = Destination { closed: true, ..Default::default() },
                    Progress::Ready | Progress::Yield => {}
                }
            }
        }
        Ok(if blocked {
            Progress::Blocked
        } else if self.destinations.iter().all(|destination| destination.closed) {
            Progress::Finished
        } else {
            Progress::Ready
        })
    }

    fn combine(&mut self, step: &Step<'_>) -> Result<Progress> {
        if let Some(batch) = self.for_all.join() {
            send_to_all(&mut self.destinations, &batch);
        }
        for destination in self.destinations.iter_mut() {
            destination.ready.extend(destination.pieces.join());
        }
        self.advance(step)
    }
}

fn send_to_all(destinations: &mut [Destination], batch: &Batch) {
    for destination in destinations.iter_mut().filter(|destination| !destination.closed) {
        destination.ready.push_back(batch.clone());
    }
}

impl Pieces {
    /// Adds rows; gives batches of `rows`, or nearly, that are full now.
    fn add(&mut self, piece: Batch, rows: usize) -> impl Iterator<Item = Batch> + use<> {
        let before = if self.rows + piece.rows > rows { self.join() } else { None };
        self.rows += piece.rows;
        self.pieces.push(piece);
        let full = if self.rows >= rows { self.join() } else { None };
        before.into_iter().chain(full)
    }

    /// What there is, as one batch.
    fn join(&mut self) -> Option<Batch> {
        let pieces = std::mem::take(&mut self.pieces);
        let rows = std::mem::take(&mut self.rows);
        let columns = (0..pieces.first()?.columns.len()).filter_map(|column| {
            concat(&pieces.iter().map(|piece| &piece.columns[column]).collect::<Vec<_>>())
        });
        Some(Batch::of_rows(columns.collect(), rows))
    }
}

/// The rows that go to each of `count` shards, ascending, by their slices; `shards` has the shard of each slice.
fn rows_by_shard(slices: &[u32], shards: &[usize], count: usize) -> Vec<Vec<u32>> {
    let mut rows = vec![Vec::with_capacity(slices.len() / count + 16); count];
    for (row, &slice) in slices.iter().enumerate() {
        rows[shards[slice as usize]].push(row as u32);
    }
    rows
}
