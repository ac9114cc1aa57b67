//! What a coordinator is started with: what it is to be ([`Config`]) and where it stands ([`Environment`]).

use crate::catalog::{Device, OnFatal, Random};
use crate::error::{Error, Result};
use crate::foreign::AllowedHost;
use crate::random::random_u128;
use crate::shards::nodes::NodeOptions;
use exec::context::Settings;
use exec::runtime::Workers;
use flight_proto::sealed::SecretKeys;
use network::{Listener, Peers};
use shard::{Stores, hydrate};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// What a coordinator is to be.
#[derive(Clone, Debug)]
pub struct Config {
    /// The folder for the catalog's log, the shards' segments and, unless `object_store` names another place,
    /// the objects. One process at a time may use it.
    pub data: PathBuf,
    /// Where datasets live: the URL of a store and a prefix in it (`s3://bucket/prefix`, `file:///folder`,
    /// `memory:///`). `None`: the folder `objects` in `data`.
    pub object_store: Option<String>,
    /// URL prefixes that `LOCATION` may name, beside the object store's own.
    pub allow_locations: Vec<String>,
    /// Shards in this process, at least 1.
    pub shards: usize,
    /// Threads that run queries, shared by the shards.
    pub threads: usize,
    /// What resident segments and queries may hold together.
    pub memory_bytes: u64,
    /// Queries of all tenants that run at once; the others queue.
    pub concurrency: usize,
    /// How long a query may take before it is ended; `None`: as long as it likes.
    pub query_timeout: Option<Duration>,
    /// How long a statement is refused whose attempts lost shards, one after the other; zero: none is.
    pub quarantine: Duration,
    /// Who may log in. Empty: everyone, with any password.
    pub users: Vec<User>,
    /// Settings that every query starts with.
    pub settings: Settings,
    /// Datasets of at most this many rows lie on every shard.
    pub replicated_rows: u64,
    /// The cluster that this coordinator is one of; `None`: it has its shards in this process.
    pub cluster: Option<Cluster>,
    /// Buckets of a larger dataset are not cut below so many rows for the sake of several shards.
    pub bucket_rows: u64,
    /// Which engines beside Tundra may be reached.
    pub foreign: ForeignAccess,
    /// How often the trail of logins and statements is written to the object store; `None`: never.
    pub audit_export: Option<Duration>,
    /// What secrets of the catalog are decrypted with.
    pub secret_keys: SecretKeys,
}

/// Which engines beside Tundra tenants may reach. Nothing is allowed that is not named.
#[derive(Clone, Debug, Default)]
pub struct ForeignAccess {
    /// Libraries of ADBC drivers: `postgresql`, `flightsql`.
    pub drivers: BTreeMap<String, PathBuf>,
    pub hosts: Vec<AllowedHost>,
}

/// A coordinator among others, whose shards are nodes of their own.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Its number; never given to another.
    pub id: u64,
    /// The coordinators that make the cluster, with the addresses of their networks: the same on each of them.
    pub members: BTreeMap<u64, String>,
    pub nodes: NodeOptions,
    /// How often the one that leads compares the catalog with the object store: 30 s, unless a test is in a hurry.
    pub reconcile: Duration,
}

impl Cluster {
    /// [`Cluster::reconcile`] of those that serve.
    pub const RECONCILE: Duration = Duration::from_secs(30);
}

/// A user with a password, for Basic authentication.
#[derive(Clone)]
pub struct User {
    pub name: String,
    pub password: String,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "User({})", self.name)
    }
}

impl Config {
    /// The defaults: one shard, every core, no login, four queries a core at once.
    pub fn new(data: impl Into<PathBuf>) -> Config {
        let threads = std::thread::available_parallelism().map_or(1, |count| count.get());
        let hydration = hydrate::Options::default();
        Config {
            data: data.into(),
            object_store: None,
            allow_locations: Vec::new(),
            shards: 1,
            threads,
            memory_bytes: u64::MAX,
            concurrency: threads * 4,
            query_timeout: None,
            quarantine: Duration::from_secs(300),
            users: Vec::new(),
            settings: Settings::default(),
            cluster: None,
            replicated_rows: hydration.replicated_rows,
            bucket_rows: hydration.bucket_rows,
            foreign: ForeignAccess::default(),
            audit_export: None,
            secret_keys: SecretKeys::default(),
        }
    }
}

/// What the coordinator takes from the world around it.
pub struct Environment {
    pub listeners: Listeners,
    /// The way to the other nodes of a cluster.
    pub network: Option<NodeNetwork>,
    /// The object stores that it, and the shards of its process, have open.
    pub stores: Arc<Stores>,
    /// What runs queries; `None`: [`Config::threads`] threads of its own.
    pub workers: Option<Arc<Workers>>,
    /// Where the catalog is kept; `None`: in a file of [`Config::data`].
    pub catalog: Option<Box<dyn Device>>,
    /// Draws identities, which nobody may guess.
    pub random: Random,
    /// What to do when the catalog has died: its coordinator must not go on serving an old one. By default the process
    /// ends.
    pub on_fatal: OnFatal,
}

/// How other nodes reach this one, and it them.
pub struct NodeNetwork {
    pub listener: Box<dyn Listener>,
    pub peers: Arc<Peers>,
}

/// The sockets to serve on; without one, that service is left out.
#[derive(Default)]
pub struct Listeners {
    pub flight: Option<TcpListener>,
    /// The Admin API, `/healthz`, `/readyz` and `/metrics`.
    pub http: Option<TcpListener>,
}

impl Environment {
    /// No sockets: sessions in this process only.
    pub fn embedded() -> Environment {
        Environment {
            listeners: Listeners::default(),
            network: None,
            stores: Stores::new(),
            workers: None,
            catalog: None,
            random: Arc::new(random_u128),
            on_fatal: Arc::new(end_process),
        }
    }

    /// Listens on `HOST:PORT` addresses (port 0: a free one).
    pub async fn listen(flight: &str, http: Option<&str>) -> Result<Environment> {
        let http = match http {
            Some(address) => Some(bind(address, "--http").await?),
            None => None,
        };
        let listeners = Listeners { flight: Some(bind(flight, "--flight").await?), http };
        Ok(Environment { listeners, ..Environment::embedded() })
    }
}

async fn bind(address: &str, flag: &str) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => Error::Environment(format!(
            "cannot listen on {address}: another process uses this port; name another with {flag} HOST:PORT"
        )),
        _ => Error::Environment(format!("cannot listen on {address} ({flag}): {error}")),
    })
}

fn end_process(why: String) {
    tracing::error!("the catalog has died, the process ends: {why}");
    std::process::abort();
}

/// The address a listener is bound to.
pub(crate) fn address_of(listener: &TcpListener) -> Result<SocketAddr> {
    listener.local_addr().map_err(|error| Error::Environment(format!("a socket without address: {error}")))
}
