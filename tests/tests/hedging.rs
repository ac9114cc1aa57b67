//! Queries that one slow shard holds up.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tundra_tests::in_process::{InProcessCluster, Layout};

const ITEMS: &str = "CREATE TABLE item AS SELECT a.n * 10 + b.n AS id, 'item ' || CAST(b.n AS VARCHAR) AS name FROM \
                     (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) AS a (n), \
                     (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) AS b (n)";
const SQL: &str = "SELECT name, count(*), sum(id) FROM item GROUP BY name ORDER BY name";
/// Executions that earn a hedge.
const EARN: usize = 20;
const PATIENCE: Duration = Duration::from_secs(30);

/// A cluster of three shards, and what it counts.
struct Watched {
    cluster: InProcessCluster,
    /// The attempts that shards were told of.
    attempts: Arc<Mutex<HashSet<Vec<u8>>>>,
    expected: Vec<Vec<String>>,
}

impl Watched {
    async fn start(replicas: usize) -> Watched {
        let attempts: Arc<Mutex<HashSet<Vec<u8>>>> = Arc::default();
        let told = attempts.clone();
        let layout = Layout {
            shards: 3,
            replicas,
            deadly: Arc::new(move |_, run| {
                told.lock().insert(run.query.to_vec());
                false
            }),
            ..Layout::default()
        };
        let cluster = InProcessCluster::start(layout).await.unwrap();
        cluster.session(0).execute(ITEMS).await.unwrap();
        let expected = cluster.session(0).rows(SQL).await.unwrap();
        assert_eq!(expected.len(), 10);
        Watched { cluster, attempts, expected }
    }

    fn attempts(&self) -> usize {
        self.attempts.lock().len()
    }

    async fn earn_a_hedge(&self) {
        for _ in 0..EARN {
            assert_eq!(self.cluster.session(0).rows(SQL).await.unwrap(), self.expected);
        }
    }

    /// Asks in a task of its own.
    fn ask(&self, before: Option<&'static str>) -> JoinHandle<Vec<Vec<String>>> {
        let mut connection = self.cluster.session(0);
        tokio::spawn(async move {
            if let Some(setting) = before {
                connection.execute(setting).await.unwrap();
            }
            connection.rows(SQL).await.unwrap()
        })
    }

    async fn expect(&self, asked: JoinHandle<Vec<Vec<String>>>) {
        let rows = tokio::time::timeout(PATIENCE, asked).await.expect("no answer").unwrap();
        assert_eq!(rows, self.expected);
    }

    /// A query that waits for a shard until that one works again.
    async fn wait_it_out(&self, slow: usize, before: Option<&'static str>) {
        let attempts = self.attempts();
        self.cluster.let_work(slow, false);
        let asked = self.ask(before);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(!asked.is_finished());
        self.cluster.let_work(slow, true);
        self.expect(asked).await;
        assert_eq!(self.attempts(), attempts + 1);
    }

    /// That nothing is left of any query.
    async fn stop(self) {
        let begun = Instant::now();
        let coordinator = self.cluster.coordinator(0);
        let held =
            || (coordinator.running_queries(), coordinator.memory_bytes(), self.cluster.shard_memory_bytes());
        while held() != (0, 0, 0) {
            assert!(begun.elapsed() < Duration::from_secs(10), "queries, bytes here and there: {:?}", held());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.cluster.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_does_not_work_is_done_without() {
    let watched = Watched::start(2).await;
    for slow in 0..3 {
        watched.earn_a_hedge().await;
        let attempts = watched.attempts();
        watched.cluster.let_work(slow, false);
        let begun = Instant::now();
        watched.expect(watched.ask(None)).await;
        assert!(begun.elapsed() >= Duration::from_millis(500));
        assert_eq!(watched.attempts(), attempts + 2);
        watched.cluster.let_work(slow, true);
    }
    // No more than one in twenty.
    watched.wait_it_out(1, None).await;
    watched.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_other_shard_holds_is_waited_for() {
    let watched = Watched::start(1).await;
    watched.earn_a_hedge().await;
    watched.wait_it_out(0, None).await;
    watched.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_wants_no_hedge_waits() {
    let watched = Watched::start(2).await;
    watched.earn_a_hedge().await;
    watched.wait_it_out(2, Some("SET hedge = off")).await;
    watched.stop().await;
}
