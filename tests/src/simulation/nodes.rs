//! The nodes of a simulated cluster, each on a machine of its own: started, killed and started again.

use super::disk::Disk;
use super::host::{Host, TICK};
use super::planted::{Planted, Spoiler};
use super::process;
use super::spoiled::SpoiledNetwork;
use super::store::Objects;
use super::trace::Trace;
use crate::random::Random;
use coordinator::{Cluster, Config, Environment, NodeNetwork, NodeOptions};
use exec::memory::MemoryPool;
use exec::runtime::Workers;
use network::{MemoryNetwork, Network, Peers};
use parking_lot::Mutex;
use shard::hydrate::Options;
use shard::service::{NodeConfig, NodeHandle, serve};
use shard::{Shard, Stores};
use std::collections::BTreeMap;
use std::future::pending;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

pub const COORDINATORS: usize = 3;
pub const SHARDS: usize = 3;

/// How long a node may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(1);
/// How soon a node that has ended by itself is started again.
const RESTART: Duration = Duration::from_millis(500);

/// What a node is while it runs.
enum Running {
    Starting,
    Coordinator(Arc<coordinator::Handle>),
    Shard(Arc<Shard>, #[expect(dead_code, reason = "serves while it is kept")] NodeHandle),
    /// It has ended by itself.
    Ended(String),
}

/// The way of clients to a coordinator.
#[derive(Clone)]
pub struct Door {
    pub runtime: Handle,
    pub coordinator: Arc<coordinator::Handle>,
}

/// The ways to the coordinators that are up.
pub type Doors = Arc<Mutex<Vec<Option<Door>>>>;

/// A node, whether or not it is up.
pub struct Node {
    pub name: String,
    /// Its number among the coordinators, or the shards, from 1.
    number: u64,
    is_shard: bool,
    folder: PathBuf,
    pub disk: Disk,
    life: Option<Life>,
    starts: u64,
    starts_at: Duration,
}

/// A node from a start to a crash.
struct Life {
    host: Host,
    alive: Arc<AtomicBool>,
    running: Arc<Mutex<Running>>,
}

/// All nodes.
pub struct Nodes {
    pub nodes: Vec<Node>,
    pub doors: Doors,
    pub network: MemoryNetwork,
    objects: Arc<Objects>,
    trace: Arc<Trace>,
    random: Random,
    /// How often the coordinator that leads looks into the object store.
    reconcile: Duration,
    planted: Option<Planted>,
    begun: Instant,
    pub now: Duration,
}

/// What a node that is up holds.
#[derive(Debug)]
pub struct Holding {
    pub node: String,
    pub queries: usize,
    pub memory_bytes: u64,
    pub versions: usize,
    pub tasks: usize,
}

impl Nodes {
    /// Nodes that are all about to start, with their data in `folder`.
    pub fn new(
        folder: &std::path::Path,
        begun: Instant,
        objects: Arc<Objects>,
        trace: Arc<Trace>,
        planted: Option<Planted>,
        mut random: Random,
    ) -> Nodes {
        let network = MemoryNetwork::new();
        network.delay(Duration::from_micros(200)..=Duration::from_millis(3), random.number());
        let messages = trace.clone();
        network.observe(Box::new(move |from, to, bytes| messages.message(from, to, bytes)));
        let node = |number: usize, is_shard: bool| {
            let name = format!("{}{number}", if is_shard { 's' } else { 'c' });
            Node {
                folder: folder.join(&name),
                name,
                number: number as u64,
                is_shard,
                disk: Disk::default(),
                life: None,
                starts: 0,
                starts_at: Duration::ZERO,
            }
        };
        let coordinators = (1..=COORDINATORS).map(|number| node(number, false));
        let nodes = coordinators.chain((1..=SHARDS).map(|number| node(number, true))).collect();
        let doors = Arc::new(Mutex::new(vec![None; COORDINATORS]));
        let reconcile = Duration::from_millis(500 + random.below(5_000) as u64);
        let now = Duration::ZERO;
        let nodes = Nodes { nodes, doors, network, objects, trace, random, reconcile, planted, begun, now };
        if planted == Some(Planted::LyingDisk) {
            nodes.nodes.iter().for_each(|node| node.disk.lie());
        }
        nodes
    }

    /// Lets all nodes run for a [`TICK`], in an order that is drawn.
    pub fn tick(&mut self) {
        self.now += TICK;
        self.trace.set_time(self.now);
        let first = self.random.below(self.nodes.len());
        for step in 0..self.nodes.len() {
            let index = (first + step) % self.nodes.len();
            if self.nodes[index].life.is_none() && self.nodes[index].starts_at <= self.now {
                self.start(index);
            }
            if let Some(life) = &mut self.nodes[index].life {
                life.host.run_to(self.now);
            }
            self.look_after(index);
        }
        process::set_clocks(self.now, 0);
    }

    /// Opens the door of a coordinator that has come up, and buries a node that has ended by itself.
    fn look_after(&mut self, index: usize) {
        let Some(life) = &self.nodes[index].life else { return };
        let why = match &*life.running.lock() {
            Running::Coordinator(coordinator) => {
                let mut doors = self.doors.lock();
                if doors[index].is_none() {
                    self.trace.event(format_args!("{} is up", self.nodes[index].name));
                    let (runtime, coordinator) = (life.host.handle().clone(), coordinator.clone());
                    doors[index] = Some(Door { runtime, coordinator });
                }
                return;
            }
            Running::Starting | Running::Shard(..) => return,
            Running::Ended(why) => why.clone(),
        };
        self.trace.event(format_args!("{} has ended: {why}", self.nodes[index].name));
        self.crash(index, RESTART);
    }

    fn start(&mut self, index: usize) {
        let Ok(host) = Host::new(self.begun, self.now) else { return };
        let node = &mut self.nodes[index];
        node.starts += 1;
        self.trace.event(format_args!("{} starts", node.name));
        let alive = Arc::new(AtomicBool::new(true));
        let running = Arc::new(Mutex::new(Running::Starting));
        let stores = Stores::new();
        stores.mount("memory://", self.objects.of_node(alive.clone()));
        let seed = self.random.number();
        let network = self.network.node(&node.name);
        let spoilt: Arc<dyn Network> = match self.planted.filter(|planted| planted.is_in_messages()) {
            Some(planted) => {
                let spoiler = Arc::new(Spoiler::new(planted, &node.name, Random::new(seed)));
                Arc::new(SpoiledNetwork { network, spoiler })
            }
            None => network,
        };
        let start = Start {
            number: node.number,
            seed,
            folder: node.folder.clone(),
            network: spoilt,
            reconcile: self.reconcile,
            name: node.name.clone(),
            stores,
            running: running.clone(),
            // Their order is that of time.
            incarnation: node.starts,
        };
        match node.is_shard {
            true => host.handle().spawn(start.shard()),
            false => host.handle().spawn(start.coordinator(node.disk.open())),
        };
        node.life = Some(Life { host, alive, running });
    }

    /// Ends a node as the end of its machine would; it starts again after `rest`.
    pub fn crash(&mut self, index: usize, rest: Duration) {
        let node = &mut self.nodes[index];
        node.starts_at = self.now + rest;
        let Some(life) = node.life.take() else { return };
        self.network.stop(&node.name);
        life.alive.store(false, Ordering::Relaxed);
        node.disk.crash(&mut self.random);
        if !node.is_shard {
            self.doors.lock()[index] = None;
        }
        let Life { host, running, .. } = life;
        // What it held goes with its tasks, within its runtime: it ends tasks of its own.
        let entered = host.handle().enter();
        let held = std::mem::replace(&mut *running.lock(), Running::Starting);
        drop(held);
        drop(entered);
        drop(host);
    }

    /// The node's folder is lost, as with its machine. It must be down.
    pub fn wipe(&mut self, index: usize) {
        // There is nothing before its first start.
        let _ = std::fs::remove_dir_all(&self.nodes[index].folder);
    }

    /// Lets a node stand still, as `SIGSTOP` does.
    pub fn pause(&mut self, index: usize, time: Duration) {
        if let Some(life) = &mut self.nodes[index].life {
            life.host.stopped_until = self.now + time;
        }
    }

    /// Lets the wall clock of a node go wrong.
    pub fn skew(&mut self, index: usize, skew_ms: i64) {
        if let Some(life) = &mut self.nodes[index].life {
            life.host.skew_ms = skew_ms;
        }
    }

    /// Whether all coordinators serve.
    pub fn are_all_up(&self) -> bool {
        self.doors.lock().iter().all(Option::is_some)
    }

    /// How many tables there are, where all coordinators are up and agree.
    pub fn tables(&self) -> Option<usize> {
        let doors = self.doors.lock();
        let mut counts = doors.iter().map(|door| door.as_ref().map(|door| door.coordinator.tables().len()));
        let first = counts.next()??;
        counts.all(|count| count == Some(first)).then_some(first)
    }

    /// What the nodes hold.
    pub fn holdings(&self) -> Vec<Holding> {
        let mut holdings = Vec::new();
        for node in &self.nodes {
            let Some(life) = &node.life else { continue };
            let (queries, memory_bytes, versions) = match &*life.running.lock() {
                Running::Coordinator(coordinator) => {
                    (coordinator.running_queries(), coordinator.memory_bytes(), 0)
                }
                Running::Shard(shard, _) => {
                    // What is known of deleted rows is held with the versions.
                    let used = shard.environment().memory.used_bytes();
                    (0, used.saturating_sub(shard.deletes_bytes()), shard.versions().len())
                }
                Running::Starting | Running::Ended(_) => continue,
            };
            let tasks = life.host.tasks();
            holdings.push(Holding { node: node.name.clone(), queries, memory_bytes, versions, tasks });
        }
        holdings
    }
}

/// What a node is started with.
struct Start {
    number: u64,
    seed: u64,
    folder: PathBuf,
    network: Arc<dyn Network>,
    reconcile: Duration,
    name: String,
    stores: Arc<Stores>,
    running: Arc<Mutex<Running>>,
    incarnation: u64,
}

/// Where a node listens.
fn address(name: &str) -> String {
    format!("{name}:7000")
}

/// How datasets are cut: so small that a few rows lie on all shards.
fn hydration() -> Options {
    Options {
        threads: 1,
        replicated_rows: 8,
        buckets: 4,
        bucket_rows: 4,
        slices: 6,
        segment_rows: 64,
        ..Options::default()
    }
}

impl Start {
    async fn coordinator(self, disk: Box<dyn coordinator::catalog::Device>) {
        let workers = Workers::inline();
        let driven = workers.clone();
        tokio::spawn(async move { driven.drive().await });
        let running = self.running.clone();
        match self.start_coordinator(disk, workers).await {
            Ok(handle) => {
                let mut running = running.lock();
                if matches!(*running, Running::Starting) {
                    *running = Running::Coordinator(Arc::new(handle));
                }
            }
            Err(why) => *running.lock() = Running::Ended(why),
        }
    }

    async fn start_coordinator(
        self,
        disk: Box<dyn coordinator::catalog::Device>,
        workers: Arc<Workers>,
    ) -> Result<coordinator::Handle, String> {
        let listener = self.network.listen(&address(&self.name)).await.map_err(|error| error.to_string())?;
        let peers = Arc::new(Peers::new(self.network, CONNECT));
        let members = (1..=COORDINATORS as u64).map(|id| (id, address(&format!("c{id}"))));
        let nodes = NodeOptions {
            replicas: 2,
            silence: Duration::from_secs(1),
            down_after: Duration::from_secs(5),
            hydration: hydration(),
        };
        let members = members.collect::<BTreeMap<_, _>>();
        let cluster = Cluster { id: self.number, members, nodes, reconcile: self.reconcile };
        let config = Config {
            object_store: Some("memory:///tundra".into()),
            threads: 1,
            concurrency: 8,
            // In the end all must be answered soon.
            quarantine: Duration::from_secs(20),
            cluster: Some(cluster),
            ..Config::new(self.folder)
        };
        let (ended, random) = (self.running, Mutex::new(Random::new(self.seed)));
        let draw = move || {
            let mut random = random.lock();
            Ok(u128::from(random.number()) << 64 | u128::from(random.number()))
        };
        let environment = Environment {
            network: Some(NodeNetwork { listener, peers }),
            stores: self.stores,
            workers: Some(workers),
            catalog: Some(disk),
            random: Arc::new(draw),
            on_fatal: Arc::new(move |why| *ended.lock() = Running::Ended(why)),
            ..Environment::embedded()
        };
        coordinator::start(config, environment).await.map_err(|error| error.to_string())
    }

    async fn shard(self) {
        let workers = Workers::inline();
        let environment =
            shard::Environment::new(workers.clone(), MemoryPool::unlimited(), self.stores.clone());
        let running = self.running.clone();
        match self.start_shard(environment).await {
            Ok((shard, handle)) => *running.lock() = Running::Shard(shard, handle),
            Err(why) => *running.lock() = Running::Ended(why),
        }
        workers.drive().await;
        pending::<()>().await;
    }

    async fn start_shard(self, environment: shard::Environment) -> Result<(Arc<Shard>, NodeHandle), String> {
        let listener = self.network.listen(&address(&self.name)).await.map_err(|error| error.to_string())?;
        let peers = Arc::new(Peers::new(self.network, CONNECT));
        let config = shard::Config { data: self.folder, id: self.number };
        let shard = Shard::start(config, environment).map_err(|error| error.to_string())?;
        let config = NodeConfig {
            coordinators: (1..=COORDINATORS).map(|id| address(&format!("c{id}"))).collect(),
            advertise: None,
            weight: 1,
            pool: flight_proto::pool::DEFAULT_POOL.into(),
            incarnation: self.incarnation,
            hydration: hydration(),
        };
        let handle = serve(shard.clone(), listener, peers, config);
        Ok((shard, handle))
    }
}
