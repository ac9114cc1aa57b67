//! The queries that run on a shard, by identity: rows that other shards send find them here.

use super::exchange::NodeExchange;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// How long rows wait for their query to start here.
const PATIENCE: Duration = Duration::from_secs(10);
/// Queries that are remembered once they have ended: their rows are not waited with.
const ENDED: usize = 4096;

#[derive(Default)]
pub(super) struct Queries {
    state: Mutex<State>,
    started: Notify,
}

#[derive(Default)]
struct State {
    running: HashMap<u128, Arc<NodeExchange>>,
    ended: VecDeque<u128>,
}

impl State {
    fn end(&mut self, id: u128) {
        if self.ended.len() >= ENDED {
            self.ended.pop_front();
        }
        self.ended.push_back(id);
    }
}

/// How far a query is here.
pub(super) enum Stage {
    /// It has not begun.
    Unknown,
    Runs(Arc<NodeExchange>),
    Ended,
}

/// A query that runs; dropping it takes it off.
pub(super) struct Running {
    queries: Arc<Queries>,
    id: u128,
}

impl Queries {
    /// `None`: rows for it have come and were given up already.
    pub(super) fn register(self: &Arc<Queries>, id: u128, exchange: &Arc<NodeExchange>) -> Option<Running> {
        {
            let mut state = self.state.lock();
            if state.ended.contains(&id) {
                return None;
            }
            state.running.insert(id, exchange.clone());
        }
        self.started.notify_waiters();
        Some(Running { queries: self.clone(), id })
    }

    /// How many run.
    pub(super) fn running(&self) -> usize {
        self.state.lock().running.len()
    }

    pub(super) fn stage(&self, id: u128) -> Stage {
        let state = self.state.lock();
        match state.running.get(&id) {
            Some(exchange) => Stage::Runs(exchange.clone()),
            None if state.ended.contains(&id) => Stage::Ended,
            None => Stage::Unknown,
        }
    }

    /// The exchange of a query, as soon as it has started; `None` if it has ended, or does not start.
    pub(super) async fn exchange(&self, id: u128) -> Option<Arc<NodeExchange>> {
        let wait = async {
            loop {
                let started = self.started.notified();
                tokio::pin!(started);
                // Before the look, so that no start falls between.
                started.as_mut().enable();
                {
                    let state = self.state.lock();
                    if let Some(exchange) = state.running.get(&id) {
                        return Some(exchange.clone());
                    }
                    if state.ended.contains(&id) {
                        return None;
                    }
                }
                started.await;
            }
        };
        if let Ok(found) = tokio::time::timeout(PATIENCE, wait).await {
            return found;
        }
        let mut state = self.state.lock();
        let found = state.running.get(&id).cloned();
        if found.is_none() {
            // It must not start without them.
            state.end(id);
        }
        found
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let ended = {
            let mut state = self.queries.state.lock();
            state.end(self.id);
            state.running.remove(&self.id)
        };
        drop(ended);
        // Rows that wait for it need not any longer.
        self.queries.started.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use exec::memory::MemoryPool;
    use exec::runtime::Topology;
    use network::{MemoryNetwork, Peers};

    fn exchange() -> Arc<NodeExchange> {
        let peers = Arc::new(Peers::new(MemoryNetwork::new().node("here"), Duration::from_secs(1)));
        NodeExchange::start(7, Topology::default(), 0, &[], &peers, &MemoryPool::unlimited())
    }

    #[tokio::test(start_paused = true)]
    async fn rows_wait_for_their_query_and_not_for_one_that_has_ended() {
        let queries = Arc::new(Queries::default());
        let waiting = {
            let queries = queries.clone();
            tokio::spawn(async move { queries.exchange(7).await.is_some() })
        };
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert!(matches!(queries.stage(7), Stage::Unknown));
        let running = queries.register(7, &exchange()).unwrap();
        assert!(waiting.await.unwrap());
        assert!(matches!(queries.stage(7), Stage::Runs(_)));
        drop(running);
        assert!(matches!(queries.stage(7), Stage::Ended));
        let begun = tokio::time::Instant::now();
        assert!(queries.exchange(7).await.is_none());
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_query_whose_rows_were_given_up_does_not_start() {
        let queries = Arc::new(Queries::default());
        assert!(queries.exchange(7).await.is_none());
        assert!(queries.register(7, &exchange()).is_none());
        assert!(queries.register(8, &exchange()).is_some());
    }
}
