//! Queries whose shards are all in this process: an exchange through bounded queues, and all fragments
//! started together.

use super::exchange::{Edge, Exchange, Received, Topology};
use super::waiters::Waiters;
use super::wanted::{Wanted, WantedKeys, WantedTest};
use super::{FragmentEnvironment, Profile, RunningFragment, Tables, WorkDone, Workers, run};
use crate::context::QueryContext;
use crate::error::{Error, Result};
use crate::memory::{MemoryPool, Reservation};
use crate::operator::Progress;
use crate::plan::{Fragment, TableRef};
use columnar::{Batch, Vector};
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::task::{Poll, Waker};

/// An exchange in memory: one queue for each fragment and shard that receives it.
pub struct LocalExchange {
    topology: Topology,
    /// By sending fragment and receiving shard.
    queues: HashMap<(u32, usize), Mutex<Queue>>,
    /// By sending fragment.
    wanted: HashMap<u32, Mutex<Wanted>>,
    /// The error that ended it.
    failure: Mutex<Option<Error>>,
}

struct Queue {
    batches: VecDeque<Queued>,
    /// Of the batches.
    reservation: Reservation,
    senders: HashMap<usize, Sender>,
    /// No more is wanted, or it has failed.
    closed: bool,
    failed: bool,
    readers: Waiters,
    writers: Waiters,
}

struct Queued {
    from: usize,
    batch: Batch,
    bytes: u64,
}

#[derive(Default)]
struct Sender {
    queued: usize,
    finished: bool,
}

impl Queue {
    /// What waited.
    fn clear(&mut self) -> VecDeque<Queued> {
        self.reservation.shrink(self.reservation.bytes());
        std::mem::take(&mut self.batches)
    }
}

/// What a batch holds, about; text that it shares with a segment is not counted.
fn bytes_of(batch: &Batch) -> u64 {
    let selection = batch.selection.as_ref().map_or(0, |_| batch.selected_rows() * size_of::<u32>());
    let columns = batch.columns.iter().map(|column| match column {
        Vector::Constant(_) => 0,
        Vector::Dictionary(_) => batch.rows * size_of::<u32>(),
        Vector::Flat(_) => batch.rows * column.physical().width_bytes(),
    });
    (selection + columns.sum::<usize>()) as u64
}

impl LocalExchange {
    /// Batches of one sender that wait for one receiver at most.
    const CAPACITY: usize = 4;

    /// An exchange whose queues reserve what they hold.
    pub fn new(topology: Topology, memory: &Arc<MemoryPool>) -> Arc<LocalExchange> {
        let mut queues = HashMap::new();
        for fragment in topology.fragments() {
            for &to in topology.receivers(fragment) {
                let senders = topology.senders(fragment).iter();
                let senders = senders.map(|&from| (from, Sender::default())).collect();
                let queue = Queue {
                    batches: VecDeque::new(),
                    reservation: memory.reservation("exchange"),
                    senders,
                    closed: false,
                    failed: false,
                    readers: Waiters::default(),
                    writers: Waiters::default(),
                };
                queues.insert((fragment, to), Mutex::new(queue));
            }
        }
        let wanted = topology.fragments().map(|fragment| {
            let receivers = topology.receivers(fragment).len();
            (fragment, Mutex::new(Wanted::new(receivers, memory.reservation("exchange"))))
        });
        let wanted = wanted.collect();
        Arc::new(LocalExchange { topology, queues, wanted, failure: Mutex::new(None) })
    }

    /// The fragments, with the shards that run them, whose rows shard `to` waits for: it has taken all that came of
    /// the fragment, and wants more.
    pub fn waits_for(&self, to: usize) -> Vec<(u32, usize)> {
        let mut awaited = Vec::new();
        for (&(fragment, _), queue) in self.queues.iter().filter(|((_, receiver), _)| *receiver == to) {
            // Who has not told yet what it wants does not wait for rows either.
            if self.topology.is_asked(fragment) && !self.has_told(fragment, to) {
                continue;
            }
            let queue = queue.lock();
            if queue.closed || queue.failed || !queue.batches.is_empty() {
                continue;
            }
            let unfinished = queue.senders.iter().filter(|(_, sender)| !sender.finished);
            awaited.extend(unfinished.map(|(&from, _)| (fragment, from)));
        }
        awaited.sort_unstable();
        awaited
    }

    /// The fragments that shard `from` does not send yet, with the shards that are to tell what they want of them.
    pub fn untold(&self, from: usize) -> Vec<(u32, usize)> {
        let asked = self.topology.fragments().filter(|&fragment| self.topology.is_asked(fragment));
        let sent = asked.filter(|&fragment| self.topology.senders(fragment).contains(&from));
        let edges = sent.flat_map(|fragment| {
            let receivers = self.topology.receivers(fragment).iter().copied();
            receivers.map(move |to| (fragment, to))
        });
        let mut untold: Vec<_> = edges.filter(|&(fragment, to)| !self.has_told(fragment, to)).collect();
        untold.sort_unstable();
        untold
    }

    fn has_told(&self, fragment: u32, receiver: usize) -> bool {
        self.wanted.get(&fragment).is_some_and(|wanted| wanted.lock().told_by(receiver))
    }

    /// Shard `to` will tell no more of what it wants of `fragment`: it wants all, or nothing any more.
    pub fn ends_telling(&self, fragment: u32, to: usize) {
        if self.topology.receivers(fragment).contains(&to)
            && let Some(wanted) = self.wanted.get(&fragment)
        {
            let waiters = wanted.lock().has_told(to);
            waiters.wake();
        }
    }

    fn failure(&self) -> Error {
        self.failure.lock().clone().unwrap_or(Error::Cancelled)
    }

    fn unknown(fragment: u32, shard: usize) -> Error {
        Error::Internal(format!("shard {shard} does not receive fragment {fragment}"))
    }
}

impl Exchange for LocalExchange {
    fn topology(&self) -> &Topology {
        &self.topology
    }

    fn send(&self, edge: Edge, batch: &mut Option<Batch>, waker: &Waker) -> Result<Progress> {
        let Some(queue) = self.queues.get(&(edge.fragment, edge.to)) else {
            return Err(LocalExchange::unknown(edge.fragment, edge.to));
        };
        let readers = {
            let mut queue = queue.lock();
            let queue = &mut *queue;
            if queue.failed {
                return Err(self.failure());
            }
            if queue.closed {
                *batch = None;
                return Ok(Progress::Finished);
            }
            let Some(sender) = queue.senders.get_mut(&edge.from) else {
                return Err(Error::Internal(format!("{edge:?} is no edge of the query")));
            };
            if sender.queued >= LocalExchange::CAPACITY {
                queue.writers.add(waker);
                return Ok(Progress::Blocked);
            }
            if let Some(held) = batch.take() {
                let bytes = bytes_of(&held);
                if let Err(error) = queue.reservation.grow(bytes) {
                    *batch = Some(held);
                    // With less memory fewer batches wait; where none does, there is nothing to wait for.
                    if sender.queued == 0 {
                        return Err(error);
                    }
                    queue.writers.add(waker);
                    return Ok(Progress::Blocked);
                }
                sender.queued += 1;
                queue.batches.push_back(Queued { from: edge.from, batch: held, bytes });
            }
            queue.readers.take()
        };
        readers.wake();
        Ok(Progress::Ready)
    }

    fn finish(&self, edge: Edge) {
        let Some(queue) = self.queues.get(&(edge.fragment, edge.to)) else { return };
        let readers = {
            let mut queue = queue.lock();
            if let Some(sender) = queue.senders.get_mut(&edge.from) {
                sender.finished = true;
            }
            queue.readers.take()
        };
        readers.wake();
    }

    fn receive(&self, fragment: u32, to: usize, waker: &Waker) -> Result<Received> {
        let Some(queue) = self.queues.get(&(fragment, to)) else {
            // Rows gathered on one shard are for no other.
            return Ok(Received::Finished);
        };
        let (batch, writers) = {
            let mut queue = queue.lock();
            if queue.failed {
                return Err(self.failure());
            }
            let Some(Queued { from, batch, bytes }) = queue.batches.pop_front() else {
                let finished = queue.closed || queue.senders.values().all(|sender| sender.finished);
                if !finished {
                    queue.readers.add(waker);
                }
                return Ok(if finished { Received::Finished } else { Received::Blocked });
            };
            queue.reservation.shrink(bytes);
            if let Some(sender) = queue.senders.get_mut(&from) {
                sender.queued -= 1;
            }
            (batch, queue.writers.take())
        };
        writers.wake();
        Ok(Received::Batch(batch))
    }

    fn want(&self, fragment: u32, to: usize, keys: WantedKeys) {
        if self.topology.receivers(fragment).contains(&to)
            && let Some(wanted) = self.wanted.get(&fragment)
        {
            let mut wanted = wanted.lock();
            wanted.tell(to, keys);
            let waiters = wanted.has_told(to);
            drop(wanted);
            waiters.wake();
        }
    }

    fn want_all(&self, fragment: u32, to: usize) {
        self.ends_telling(fragment, to);
    }

    fn all_told(&self, fragment: u32, waker: &Waker) -> Result<bool> {
        let Some(wanted) = self.wanted.get(&fragment) else { return Ok(true) };
        let mut wanted = wanted.lock();
        if wanted.all_told() {
            return Ok(true);
        }
        // Whoever fails the exchange looks here after it has said so.
        if let Some(failure) = &*self.failure.lock() {
            return Err(failure.clone());
        }
        wanted.wait(waker);
        Ok(false)
    }

    fn wanted(&self, fragment: u32) -> Vec<Arc<WantedTest>> {
        self.wanted.get(&fragment).map_or(Vec::new(), |wanted| wanted.lock().tests())
    }

    fn close(&self, fragment: u32, to: usize) {
        self.ends_telling(fragment, to);
        let Some(queue) = self.queues.get(&(fragment, to)) else { return };
        let (dropped, writers, readers) = {
            let mut queue = queue.lock();
            queue.closed = true;
            (queue.clear(), queue.writers.take(), queue.readers.take())
        };
        drop(dropped);
        writers.wake();
        readers.wake();
    }

    fn fail(&self, error: Error) {
        self.failure.lock().get_or_insert(error);
        for wanted in self.wanted.values() {
            let waiters = wanted.lock().release();
            waiters.wake();
        }
        for queue in self.queues.values() {
            let (dropped, writers, readers) = {
                let mut queue = queue.lock();
                queue.failed = true;
                (queue.clear(), queue.writers.take(), queue.readers.take())
            };
            drop(dropped);
            writers.wake();
            readers.wake();
        }
    }
}

/// All fragments of a query on all shards of this process. Dropping it ends them.
pub struct RunningQuery {
    /// Fragment, shard, and what runs.
    fragments: Vec<(u32, usize, RunningFragment)>,
    /// Positions in `fragments` of roots that may give more.
    roots: Vec<usize>,
}

impl RunningQuery {
    /// Starts every fragment on the shards it belongs to; shard `i` holds `tables[i]`, and one slice of the hashes.
    /// Fragments that run on one shard run on the first.
    pub fn start(
        fragments: &[Fragment],
        tables: &[Arc<dyn Tables>],
        query: &Arc<QueryContext>,
        workers: &Arc<Workers>,
    ) -> Result<RunningQuery> {
        let topology = Topology::new(fragments, tables.len(), 0)?;
        RunningQuery::start_over(topology, fragments, tables, query, workers)
    }

    /// As [`RunningQuery::start`], over a topology of as many shards as there are `tables`.
    pub fn start_over(
        topology: Topology,
        fragments: &[Fragment],
        tables: &[Arc<dyn Tables>],
        query: &Arc<QueryContext>,
        workers: &Arc<Workers>,
    ) -> Result<RunningQuery> {
        let exchange = LocalExchange::new(topology.clone(), &query.memory);
        let mut running = RunningQuery { fragments: Vec::new(), roots: Vec::new() };
        for fragment in fragments {
            for &shard in topology.senders(fragment.id) {
                let Some(tables) = tables.get(shard) else {
                    return Err(Error::Internal("a query needs at least one shard".into()));
                };
                let environment = FragmentEnvironment {
                    query: query.clone(),
                    workers: workers.clone(),
                    tables: tables.clone(),
                    exchange: exchange.clone(),
                    shard,
                };
                if fragment.output.is_none() {
                    running.roots.push(running.fragments.len());
                }
                running.fragments.push((fragment.id, shard, run(fragment, environment)?));
            }
        }
        Ok(running)
    }

    /// Starts the fragments of a query on one shard that has no tables, and gives what carries its rows: who sends
    /// those of [`Topology::fed`] does so there.
    pub fn start_fed(
        topology: Topology,
        fragments: &[Fragment],
        query: &Arc<QueryContext>,
        workers: &Arc<Workers>,
    ) -> Result<(RunningQuery, Arc<LocalExchange>)> {
        let exchange = LocalExchange::new(topology, &query.memory);
        let environment = FragmentEnvironment {
            query: query.clone(),
            workers: workers.clone(),
            tables: Arc::new(NoTables),
            exchange: exchange.clone(),
            shard: 0,
        };
        let mut running = RunningQuery { fragments: Vec::new(), roots: Vec::new() };
        for fragment in fragments {
            if fragment.output.is_none() {
                running.roots.push(running.fragments.len());
            }
            running.fragments.push((fragment.id, 0, run(fragment, environment.clone())?));
        }
        Ok((running, exchange))
    }

    /// Starts the fragments that one shard of a query runs. All of them are polled: those that are not the root give
    /// their end alone.
    pub fn start_part(fragments: &[Fragment], environment: &FragmentEnvironment) -> Result<RunningQuery> {
        let mut running = RunningQuery { fragments: Vec::new(), roots: Vec::new() };
        let topology = environment.exchange.topology();
        for fragment in fragments {
            if topology.senders(fragment.id).contains(&environment.shard) {
                running.roots.push(running.fragments.len());
                let started = run(fragment, environment.clone())?;
                running.fragments.push((fragment.id, environment.shard, started));
            }
        }
        Ok(running)
    }

    /// The next rows of the result; see [`RunningFragment::poll_next`].
    pub fn poll_next(&mut self, waker: &Waker) -> Poll<Option<Result<Batch>>> {
        let mut index = 0;
        while let Some(&root) = self.roots.get(index) {
            match self.fragments[root].2.poll_next(waker) {
                Poll::Ready(None) => drop(self.roots.remove(index)),
                Poll::Ready(some) => return Poll::Ready(some),
                Poll::Pending => index += 1,
            }
        }
        if self.roots.is_empty() { Poll::Ready(None) } else { Poll::Pending }
    }

    /// The counters so far, by fragment and shard.
    pub fn profiles(&self) -> Vec<(u32, usize, Profile)> {
        self.fragments.iter().map(|(id, shard, running)| (*id, *shard, running.profile())).collect()
    }

    /// How far all scans are.
    pub fn progress(&self) -> WorkDone {
        let parts = self.fragments.iter().map(|(_, _, running)| running.progress());
        parts.fold(WorkDone::default(), |a, b| WorkDone { done: a.done + b.done, total: a.total + b.total })
    }

    #[cfg(test)]
    pub(crate) fn fragments_for_test(&mut self) -> &mut [(u32, usize, RunningFragment)] {
        &mut self.fragments
    }

    /// Ends it with [`Error::Cancelled`].
    pub fn cancel(&self) {
        self.fragments.iter().for_each(|(_, _, running)| running.cancel());
    }
}

/// Of a query whose rows all come from elsewhere.
struct NoTables;

impl Tables for NoTables {
    fn table(&self, table: &TableRef) -> Result<Arc<storage::Table>> {
        Err(Error::Internal(format!("table {} is read where no tables are", table.name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{FragmentPlacement, Plan, Routing};
    use columnar::{DataType, Scalar};

    /// Two senders, one receiver.
    fn exchange() -> Arc<LocalExchange> {
        exchange_within(&MemoryPool::unlimited())
    }

    fn exchange_within(memory: &Arc<MemoryPool>) -> Arc<LocalExchange> {
        let values = Plan::Values { types: vec![], rows: vec![] };
        let receive = Plan::Receive { fragment: 1, types: vec![] };
        let fragments = [
            Fragment {
                id: 1,
                plan: values,
                placement: FragmentPlacement::AllShards,
                output: Some(Routing::Gather),
            },
            Fragment { id: 0, plan: receive, placement: FragmentPlacement::OneShard, output: None },
        ];
        LocalExchange::new(Topology::new(&fragments, 2, 0).unwrap(), memory)
    }

    const FIRST: Edge = Edge { fragment: 1, from: 0, to: 0 };
    const SECOND: Edge = Edge { fragment: 1, from: 1, to: 0 };

    fn send(exchange: &LocalExchange, edge: Edge) -> Result<Progress> {
        exchange.send(edge, &mut Some(Batch::of_rows(vec![], 1)), Waker::noop())
    }

    fn receive(exchange: &LocalExchange) -> Result<Received> {
        exchange.receive(1, 0, Waker::noop())
    }

    #[test]
    fn a_sender_ahead_waits_and_does_not_hold_up_the_other() {
        let exchange = exchange();
        for _ in 0..LocalExchange::CAPACITY {
            assert_eq!(send(&exchange, FIRST).unwrap(), Progress::Ready);
        }
        assert_eq!(send(&exchange, FIRST).unwrap(), Progress::Blocked);
        assert_eq!(send(&exchange, SECOND).unwrap(), Progress::Ready);
        assert!(matches!(receive(&exchange).unwrap(), Received::Batch(_)));
        assert_eq!(send(&exchange, FIRST).unwrap(), Progress::Ready);
    }

    #[test]
    fn what_waits_is_reserved() {
        let memory = MemoryPool::new(1000);
        let exchange = exchange_within(&memory);
        let send = |edge: Edge| {
            let values: Vec<Scalar> = (0..100).map(Scalar::Integer).collect();
            let column = Vector::from_scalars(DataType::Int32, &values);
            exchange.send(edge, &mut Some(Batch::of_rows(vec![column], 100)), Waker::noop())
        };
        assert_eq!(send(FIRST).unwrap(), Progress::Ready);
        assert_eq!(send(FIRST).unwrap(), Progress::Ready);
        assert_eq!(memory.used_bytes(), 800);
        assert_eq!(send(FIRST).unwrap(), Progress::Blocked);
        assert!(matches!(send(SECOND), Err(Error::Memory { .. })), "nobody would wake it");
        receive(&exchange).unwrap();
        assert_eq!(send(SECOND).unwrap(), Progress::Ready);
        exchange.close(1, 0);
        assert_eq!(memory.used_bytes(), 0);
    }

    #[test]
    fn the_end_comes_after_all_senders_and_all_batches() {
        let exchange = exchange();
        assert_eq!(send(&exchange, FIRST).unwrap(), Progress::Ready);
        exchange.finish(FIRST);
        assert!(matches!(receive(&exchange).unwrap(), Received::Batch(_)));
        assert!(matches!(receive(&exchange).unwrap(), Received::Blocked));
        exchange.finish(SECOND);
        assert!(matches!(receive(&exchange).unwrap(), Received::Finished));
        // A shard that nobody sends to has nothing to wait for.
        assert!(matches!(exchange.receive(1, 1, Waker::noop()).unwrap(), Received::Finished));
    }

    #[test]
    fn a_shard_waits_for_those_that_have_not_finished_once_it_has_taken_all() {
        let exchange = exchange();
        assert_eq!(exchange.waits_for(0), [(1, 0), (1, 1)]);
        assert_eq!(exchange.waits_for(1), []);
        exchange.finish(FIRST);
        assert_eq!(exchange.waits_for(0), [(1, 1)]);
        assert_eq!(send(&exchange, SECOND).unwrap(), Progress::Ready);
        assert_eq!(exchange.waits_for(0), []);
        receive(&exchange).unwrap();
        assert_eq!(exchange.waits_for(0), [(1, 1)]);
        exchange.close(1, 0);
        assert_eq!(exchange.waits_for(0), []);
    }

    #[test]
    fn rows_from_outside_are_received_once() {
        let root = |from: u32| Fragment {
            id: 0,
            plan: Plan::Receive { fragment: from, types: vec![] },
            placement: FragmentPlacement::OneShard,
            output: None,
        };
        let topology = Topology::fed(&[root(9)], &[9]).unwrap();
        assert_eq!(
            (topology.senders(9), topology.receivers(9), topology.senders(0)),
            (&[0][..], &[0][..], &[0][..])
        );
        for fed in [&[8][..], &[9, 8], &[9, 9], &[0], &[]] {
            assert!(Topology::fed(&[root(9)], fed).is_err(), "{fed:?}");
        }
    }

    #[test]
    fn closing_tells_senders_and_failing_tells_all() {
        let exchange = exchange();
        assert_eq!(send(&exchange, FIRST).unwrap(), Progress::Ready);
        exchange.close(1, 0);
        assert_eq!(send(&exchange, FIRST).unwrap(), Progress::Finished);
        assert!(matches!(receive(&exchange).unwrap(), Received::Finished));
        exchange.fail(Error::Exchange("first".into()));
        exchange.fail(Error::Exchange("second".into()));
        assert!(send(&exchange, SECOND).unwrap_err().to_string().contains("first"));
        assert!(receive(&exchange).unwrap_err().to_string().contains("first"));
    }
}
