//! A cluster in this process: the coordinators on the runtime of the test, each shard on a runtime of its own, which
//! dies as a process would, and is started again.

use crate::connection::{Connection, Failure};
use crate::tapped::TappedNetwork;
use coordinator::{Cluster, Config, Environment, Handle, NodeNetwork, NodeOptions};
use exec::memory::MemoryPool;
use exec::runtime::Workers;
use flight_proto::node::Run;
use network::{MemoryNetwork, Network, Peers};
use parking_lot::Mutex;
use shard::hydrate::Options;
use shard::service::{NodeConfig, serve};
use shard::{Shard, Stores};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};

const CONNECT: Duration = Duration::from_secs(1);
/// How soon a shard that has died is started again.
const RESTART: Duration = Duration::from_millis(300);

/// Whether a shard, by its place, dies of a part of a query that it is told to run.
pub type Deadly = Arc<dyn Fn(usize, &Run) -> bool + Send + Sync>;

/// What a cluster is to be.
pub struct Layout {
    pub coordinators: usize,
    pub shards: usize,
    pub replicas: usize,
    /// [`Config::quarantine`].
    pub quarantine: Duration,
    pub deadly: Deadly,
}

impl Default for Layout {
    /// Two of each, and two copies of every bucket.
    fn default() -> Layout {
        let quarantine = Duration::from_secs(300);
        Layout { coordinators: 2, shards: 2, replicas: 2, quarantine, deadly: Arc::new(|_, _| false) }
    }
}

/// Coordinators and shards. All end, and their data is removed, when it is dropped.
pub struct InProcessCluster {
    coordinators: Vec<Handle>,
    shards: Arc<Shards>,
}

/// The shards and what they stand on.
struct Shards {
    network: MemoryNetwork,
    stores: Arc<Stores>,
    folder: TempDir,
    coordinators: Vec<String>,
    lives: Vec<Mutex<Option<Life>>>,
    alive: Vec<AtomicBool>,
    starts: AtomicU64,
    /// Where those that die are told.
    died: mpsc::UnboundedSender<usize>,
    deaths: AtomicU64,
    deadly: Deadly,
    replicas: usize,
    /// Whether the workers of each may work.
    working: Vec<watch::Sender<bool>>,
}

/// A shard from its start to its death.
struct Life {
    /// `None` once it is taken to be ended.
    runtime: Option<Runtime>,
    shard: Arc<Shard>,
}

impl Drop for Life {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl InProcessCluster {
    /// Starts it, and waits until every coordinator answers.
    pub async fn start(layout: Layout) -> Result<InProcessCluster, Failure> {
        let (died, mut deaths) = mpsc::unbounded_channel();
        let shards = Arc::new(Shards {
            network: MemoryNetwork::new(),
            stores: Stores::new(),
            folder: tempfile::tempdir().map_err(Failure::of)?,
            coordinators: (1..=layout.coordinators).map(|id| format!("c{id}:7000")).collect(),
            lives: (0..layout.shards).map(|_| Mutex::new(None)).collect(),
            alive: (0..layout.shards).map(|_| AtomicBool::new(false)).collect(),
            starts: AtomicU64::new(0),
            died,
            deaths: AtomicU64::new(0),
            deadly: layout.deadly,
            replicas: layout.replicas,
            working: (0..layout.shards).map(|_| watch::Sender::new(true)).collect(),
        });
        for place in 0..layout.shards {
            shards.start(place).await?;
        }
        let keeper = Arc::downgrade(&shards);
        tokio::spawn(async move {
            while let Some(place) = deaths.recv().await {
                let Some(shards) = keeper.upgrade() else { return };
                shards.bury(place).await;
                tokio::time::sleep(RESTART).await;
                // Without it the test does not get its answer.
                let _ = shards.start(place).await;
            }
        });
        let starting = (1..=layout.coordinators as u64).map(|id| shards.coordinator(id, layout.quarantine));
        let coordinators = futures::future::try_join_all(starting).await?;
        Ok(InProcessCluster { coordinators, shards })
    }

    /// A session with the coordinator in that place.
    pub fn session(&self, place: usize) -> Connection {
        Connection::Session(self.coordinators[place].session("test"))
    }

    pub fn coordinator(&self, place: usize) -> &Handle {
        &self.coordinators[place]
    }

    /// How often a shard has died.
    pub fn deaths(&self) -> u64 {
        self.shards.deaths.load(Ordering::SeqCst)
    }

    /// A shard dies.
    pub fn kill(&self, place: usize) {
        self.shards.die(place);
    }

    /// From now on a shard hears and answers, and does no work, or does again.
    pub fn let_work(&self, place: usize, working: bool) {
        self.shards.working[place].send_replace(working);
    }

    /// What the queries of all shards that live hold, in bytes.
    pub fn shard_memory_bytes(&self) -> u64 {
        let used = |life: &Life| life.shard.environment().memory.used_bytes();
        self.shards.lives.iter().map(|life| life.lock().as_ref().map_or(0, used)).sum()
    }

    pub async fn stop(self) -> Result<(), Failure> {
        for coordinator in self.coordinators {
            coordinator.shutdown().await.map_err(Failure::of)?;
        }
        for place in 0..self.shards.lives.len() {
            self.shards.bury(place).await;
        }
        Ok(())
    }
}

/// Rows lie in parts on all shards, however few they are.
fn hydration() -> Options {
    Options { threads: 1, replicated_rows: 4, buckets: 8, bucket_rows: 4, slices: 8, ..Options::default() }
}

impl Shards {
    fn name(place: usize) -> String {
        format!("s{}", place + 1)
    }

    fn data(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn coordinator(&self, id: u64, quarantine: Duration) -> Result<Handle, Failure> {
        let name = format!("c{id}");
        let network = self.network.node(&name);
        let listener = network.listen(&format!("{name}:7000")).await.map_err(Failure::of)?;
        let peers = Arc::new(Peers::new(network, CONNECT));
        let members = (1..).zip(self.coordinators.iter().cloned()).collect::<BTreeMap<_, _>>();
        let nodes = NodeOptions {
            replicas: self.replicas,
            silence: Duration::from_secs(1),
            down_after: Duration::from_secs(60),
            hydration: hydration(),
        };
        let cluster = Cluster { id, members, nodes, reconcile: Cluster::RECONCILE };
        let config = Config {
            object_store: Some(format!("file://{}", self.data("objects").display())),
            threads: 1,
            quarantine,
            cluster: Some(cluster),
            ..Config::new(self.data(&name))
        };
        std::fs::create_dir_all(self.data("objects")).map_err(Failure::of)?;
        let environment = Environment {
            network: Some(NodeNetwork { listener, peers }),
            stores: self.stores.clone(),
            ..Environment::embedded()
        };
        coordinator::start(config, environment).await.map_err(Failure::of)
    }

    async fn start(self: &Arc<Shards>, place: usize) -> Result<(), Failure> {
        let name = Shards::name(place);
        let incarnation = self.starts.fetch_add(1, Ordering::SeqCst) + 1;
        let shards = Arc::downgrade(self);
        let tap = Arc::new(move |run: &Run| {
            let Some(shards) = shards.upgrade() else { return false };
            let dies = (shards.deadly)(place, run);
            if dies {
                shards.die(place);
            }
            !dies
        });
        let network = Arc::new(TappedNetwork { network: self.network.node(&name), tap });
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(Failure::of)?;
        let workers = Workers::inline();
        let environment =
            shard::Environment::new(workers.clone(), MemoryPool::unlimited(), self.stores.clone());
        let config = shard::Config { data: self.data(&name), id: place as u64 + 1 };
        let shard = Shard::start(config, environment).map_err(Failure::of)?;
        let node = NodeConfig {
            coordinators: self.coordinators.clone(),
            advertise: None,
            weight: 1,
            pool: flight_proto::pool::DEFAULT_POOL.into(),
            incarnation,
            hydration: hydration(),
        };
        self.alive[place].store(true, Ordering::SeqCst);
        let (served, mut working) = (shard.clone(), self.working[place].subscribe());
        let started = runtime.spawn(async move {
            let listener = network.listen(&format!("{name}:7000")).await.map_err(Failure::of)?;
            let peers = Arc::new(Peers::new(network, CONNECT));
            let handle = serve(served, listener, peers, node);
            tokio::spawn(async move {
                let _handle = handle;
                loop {
                    let (mut stop, mut go) = (working.clone(), working.clone());
                    // What is queued already is left as soon as it is not to work.
                    tokio::select! {
                        biased;
                        _ = stop.wait_for(|working| !*working) => {}
                        () = workers.drive() => {}
                    }
                    if go.wait_for(|working| *working).await.is_err() {
                        return;
                    }
                    working.mark_unchanged();
                }
            });
            Ok::<(), Failure>(())
        });
        started.await.map_err(Failure::of)??;
        *self.lives[place].lock() = Some(Life { runtime: Some(runtime), shard });
        Ok(())
    }

    /// Nothing of it reaches anyone any more.
    fn die(&self, place: usize) {
        if !self.alive[place].swap(false, Ordering::SeqCst) {
            return;
        }
        self.network.stop(&Shards::name(place));
        self.deaths.fetch_add(1, Ordering::SeqCst);
        // Who buries it is gone with the cluster.
        let _ = self.died.send(place);
    }

    /// Waits until nothing of it is left.
    async fn bury(&self, place: usize) {
        let life = self.lives[place].lock().take();
        let Some(runtime) = life.and_then(|mut life| life.runtime.take()) else { return };
        // A runtime waits for its threads, which no task may.
        let ended = tokio::task::spawn_blocking(|| runtime.shutdown_timeout(Duration::from_secs(5)));
        // It does not panic.
        let _ = ended.await;
    }
}
