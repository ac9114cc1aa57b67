//! Bringing a coordinator up and down.

use crate::catalog::{RaftCatalog, RaftOptions, Random, Storage};
use crate::config::{Cluster, Config, Environment, NodeNetwork, address_of};
use crate::coordinator::Coordinator;
use crate::credentials::TenantCredentials;
use crate::datasets::{Ground, Shared, TableSummary, shard_error};
use crate::error::{Error, Result};
use crate::folder::FolderLock;
use crate::foreign::Foreign;
use crate::login::Caller;
use crate::refreshes::Refreshes;
use crate::session::Session;
use crate::shards::here::ShardsHere;
use crate::shards::nodes::Nodes;
use crate::shards::{Shards, words};
use crate::tenants::{Tenants, closing};
use crate::trail;
use crate::{flight, http, metrics, upgrade, usage};
use exec::memory::MemoryPool;
use exec::runtime::Workers;
use shard::{Place, Shard, Stores, hydrate};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long `shutdown` waits for queries and connections to end.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// A running coordinator.
pub struct Handle {
    coordinator: Arc<Coordinator>,
    flight: Option<SocketAddr>,
    http: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    servers: Vec<JoinHandle<()>>,
    background: Vec<JoinHandle<()>>,
    _folder: FolderLock,
}

impl Handle {
    /// Where Flight SQL is served, with the real port.
    pub fn flight_address(&self) -> Option<SocketAddr> {
        self.flight
    }

    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http
    }

    /// A session in this process.
    pub fn session(&self, principal: &str) -> Session {
        Session::new(self.coordinator.clone(), self.coordinator.tenants.default(), &Caller::within(principal))
    }

    /// Whether statements are served.
    pub fn is_ready(&self) -> bool {
        !self.coordinator.is_stopping()
    }

    /// The URL of the place where Tundra keeps its objects.
    pub fn object_store(&self) -> String {
        self.coordinator.tenants.root().url()
    }

    /// The place where Tundra keeps its objects.
    pub fn objects(&self) -> Place {
        self.coordinator.tenants.root().clone()
    }

    /// The tables that there are.
    pub fn tables(&self) -> Vec<TableSummary> {
        self.coordinator.tenants.default().datasets.tables()
    }

    /// Statements that run or queue at the moment.
    pub fn running_queries(&self) -> usize {
        self.coordinator.running_queries()
    }

    /// Bytes that queries hold at the moment, and results on their way to clients.
    pub fn memory_bytes(&self) -> u64 {
        self.coordinator.memory.used_bytes()
    }

    /// Rows that hydrations have brought in, and rows that they are to bring in, since the start.
    pub fn hydration_progress(&self) -> (u64, u64) {
        let counts = self.coordinator.tenants.hydrated();
        (counts.rows_done, counts.rows_total)
    }

    /// Ends running queries, stops serving and closes the catalog.
    pub async fn shutdown(mut self) -> Result<()> {
        self.coordinator.stop();
        self.stop.send_replace(true);
        for mut server in std::mem::take(&mut self.servers) {
            if tokio::time::timeout(SHUTDOWN_TIMEOUT, &mut server).await.is_err() {
                server.abort();
            }
        }
        let ended = async {
            while self.coordinator.running_queries() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(SHUTDOWN_TIMEOUT, ended).await.is_err() {
            tracing::warn!("{} queries did not end in time", self.coordinator.running_queries());
        }
        for task in std::mem::take(&mut self.background) {
            task.abort();
            // Its end, rather than the order to end, gives back what it holds of the catalog.
            let _ = task.await;
        }
        let tenants = &self.coordinator.tenants;
        if let Err(error) = trail::export::write(&self.coordinator.trail, tenants.root()).await {
            tracing::error!("the end of the trail is not written: {error}");
        }
        tenants.publish_pending().await;
        if let Err(error) = tenants.copy_catalog_now().await {
            tracing::warn!("the catalog could not be copied to the object store: {error}");
        }
        tenants.catalog().close().await
    }
}

/// Opens the catalog in `config.data`, starts the shards, hydrates what the catalog holds (from local
/// segments where they are whole) and serves on the listeners.
pub async fn start(config: Config, environment: Environment) -> Result<Handle> {
    if config.shards == 0 || config.threads == 0 || config.concurrency == 0 {
        return Err(Error::Statement("shards, threads and concurrency are at least 1".into()));
    }
    let recorder = metrics::recorder();
    let reconcile = config.cluster.as_ref().map_or(Cluster::RECONCILE, |cluster| cluster.reconcile);
    let folder = FolderLock::take(&config.data)?;
    let Environment { listeners, network, stores, workers, catalog, random, on_fatal } = environment;
    let flight = listeners.flight.as_ref().map(address_of).transpose()?;
    let http = listeners.http.as_ref().map(address_of).transpose()?;

    let memory = MemoryPool::new(config.memory_bytes);
    let workers = match workers {
        Some(workers) => workers,
        None => Workers::new(config.threads)
            .map_err(|error| Error::Environment(format!("the system gives no threads: {error}")))?,
    };
    let (stop, stopped) = watch::channel(false);
    let mut servers = Vec::new();
    // Liveness is answered from the start, readiness once the datasets are there.
    let readiness = http::Readiness::default();
    if let Some(listener) = listeners.http {
        servers.push(http::serve(listener, readiness.clone(), recorder, stopped.clone()));
    }

    let storage = match catalog {
        Some(device) => Storage::Device(device),
        None => Storage::File(config.data.join("catalog.redb")),
    };
    let foreign = Foreign::new(config.foreign.clone(), config.secret_keys.clone())?;
    let options = raft_options(&config, network.as_ref(), random.clone())?;
    let catalog = Arc::new(RaftCatalog::open(storage, options, on_fatal).await?);
    let credentials = Arc::new(TenantCredentials::new(catalog.clone(), config.secret_keys.clone()));
    let stores = stores.with_source(credentials.clone());
    let shards = open_shards(&config, &memory, &workers, &stores, &catalog, network.as_ref(), credentials)?;
    let tenants = Arc::new(open_tenants(&config, catalog.clone(), shards, stores, random.clone())?);
    let refreshes = Arc::new(Refreshes::new(tenants.clone()));
    let mut background = Vec::new();
    match (network, tenants.shards().nodes()) {
        (Some(network), Some(nodes)) => {
            let handlers = words::handlers(&catalog, &tenants, nodes, &refreshes, readiness.clone());
            let ended = ended(stopped.clone());
            servers.push(tokio::spawn(network::serve(network.listener, handlers, ended)));
            background.push(tokio::spawn(nodes.clone().watch()));
            background.push(tokio::spawn(nodes.clone().tell()));
            background.push(tokio::spawn(tenants.clone().follow()));
            let spoken = nodes.peers.spoken().clone();
            background.push(tokio::spawn(upgrade::follow(catalog.clone(), spoken)));
            catalog.ready().await?;
            upgrade::begin(&*catalog, tenants.shards()).await?;
            tenants.begin().await?;
            background.push(tokio::spawn(tenants.clone().reconcile(reconcile)));
        }
        _ => {
            upgrade::begin(&*catalog, tenants.shards()).await?;
            tenants.restore().await?;
            background.push(tokio::spawn(tenants.clone().follow_credentials()));
        }
    }
    let snapshots = tenants.clone();
    background.push(tokio::spawn(foreign.clone().sweep(move || snapshots.catalog().snapshot())));
    let (of_all, refresher) = (tenants.clone(), refreshes.clone());
    let coordinator = Coordinator::new(config, of_all, refresher, workers, memory, foreign, random)?;
    let coordinator = Arc::new(coordinator);
    if let Some(interval) = coordinator.config.audit_export {
        let (trail, root) = (coordinator.trail.clone(), tenants.root().clone());
        background.push(tokio::spawn(trail::export::run(trail, root, interval)));
    }
    background.extend([
        tokio::spawn(refreshes.run()),
        tokio::spawn(tenants.clone().publish_all()),
        tokio::spawn(tenants.copy_catalog()),
        tokio::spawn(metrics::sample(coordinator.clone())),
        tokio::spawn(closing::follow(coordinator.clone())),
        tokio::spawn(usage::watch(coordinator.clone())),
    ]);
    if let Some(listener) = listeners.flight {
        servers.push(flight::serve(listener, coordinator.clone(), stopped)?);
    }
    readiness.set(coordinator.clone());
    Ok(Handle { coordinator, flight, http, stop, servers, background, _folder: folder })
}

/// Ready once the coordinator is to stop.
async fn ended(mut stopped: watch::Receiver<bool>) {
    // A sender that is gone stops it, too.
    let _ = stopped.wait_for(|stop| *stop).await;
}

fn raft_options(config: &Config, network: Option<&NodeNetwork>, random: Random) -> Result<RaftOptions> {
    Ok(match (&config.cluster, network) {
        (Some(cluster), Some(network)) => {
            let transport = Arc::new(words::RaftTransport(network.peers.clone()));
            let versions = network.peers.spoken().versions();
            let options = RaftOptions::new(cluster.id, cluster.members.clone(), transport, random);
            RaftOptions { versions, ..options }
        }
        (None, None) => RaftOptions::alone(random),
        _ => return Err(Error::Internal("a cluster needs a network, and a network a cluster".into())),
    })
}

fn open_shards(
    config: &Config,
    memory: &Arc<MemoryPool>,
    workers: &Arc<Workers>,
    stores: &Arc<Stores>,
    catalog: &Arc<RaftCatalog>,
    network: Option<&NodeNetwork>,
    credentials: Arc<TenantCredentials>,
) -> Result<Shards> {
    if let (Some(cluster), Some(network)) = (&config.cluster, network) {
        let nodes = Nodes::new(catalog.clone(), network.peers.clone(), cluster.nodes.clone(), credentials);
        return Ok(Shards::Nodes(Arc::new(nodes)));
    }
    let environment = shard::Environment::new(workers.clone(), memory.clone(), stores.clone());
    let shards = (0..config.shards).map(|index| {
        let folder = config.data.join("segments").join(format!("{index}-of-{}", config.shards));
        let config = shard::Config { data: folder, id: index as u64 };
        Shard::start(config, environment.clone()).map_err(shard_error)
    });
    let hydration = hydrate::Options {
        threads: config.threads,
        memory_bytes: (config.memory_bytes / 8).clamp(64 << 20, 4 << 30),
        replicated_rows: config.replicated_rows,
        bucket_rows: config.bucket_rows,
        ..hydrate::Options::default()
    };
    Ok(Shards::Here(ShardsHere::new(shards.collect::<Result<Vec<_>>>()?, hydration)))
}

fn open_tenants(
    config: &Config,
    catalog: Arc<RaftCatalog>,
    shards: Shards,
    stores: Arc<Stores>,
    random: Random,
) -> Result<Tenants> {
    let url = match &config.object_store {
        Some(url) => url.clone(),
        None => {
            let folder = config.data.join("objects");
            std::fs::create_dir_all(&folder)
                .map_err(|error| Error::Environment(format!("{}: {error}", folder.display())))?;
            folder.display().to_string()
        }
    };
    let root = stores.open(&url).map_err(shard_error)?;
    let allowed = config.allow_locations.iter().map(|url| stores.open(url).map_err(shard_error));
    let allowed = allowed.collect::<Result<Vec<_>>>()?;
    let shared = Shared::default();
    Ok(Tenants::new(Ground { catalog, stores, root, allowed, shards, random, shared }))
}
