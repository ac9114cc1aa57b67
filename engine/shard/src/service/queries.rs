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

/// A query that runs; dropping it takes it off.
pub(super) struct Running {
    queries: Arc<Queries>,
    id: u128,
}

impl Queries {
    pub(super) fn register(self: &Arc<Queries>, id: u128, exchange: &Arc<NodeExchange>) -> Running {
        self.state.lock().running.insert(id, exchange.clone());
        self.started.notify_waiters();
        Running { queries: self.clone(), id }
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
        tokio::time::timeout(PATIENCE, wait).await.ok().flatten()
    }

    pub(super) fn count(&self) -> usize {
        self.state.lock().running.len()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let ended = {
            let mut state = self.queries.state.lock();
            if state.ended.len() >= ENDED {
                state.ended.pop_front();
            }
            state.ended.push_back(self.id);
            state.running.remove(&self.id)
        };
        drop(ended);
        // Rows that wait for it need not any longer.
        self.queries.started.notify_waiters();
    }
}
