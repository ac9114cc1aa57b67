//! What a control plane is started with: what it is to be ([`Config`]) and where it stands ([`Environment`]).

use crate::cluster::Cluster;
use crate::error::{Error, Result};
use crate::scaling::Scaling;
use flight_proto::sealed::SecretKeys;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// What a control plane is to be.
#[derive(Clone, Debug)]
pub struct Config {
    /// The folder for the database, unless `database` names one.
    pub data: PathBuf,
    /// The URL of a PostgreSQL database, which several instances may share.
    pub database: Option<String>,
    /// Who may call. Empty: everybody who reaches the address, which is then to be this machine's alone.
    pub operators: Vec<Login>,
    pub intervals: Intervals,
    /// What secrets are encrypted with before they are kept and published; the coordinators have them, too.
    pub secret_keys: SecretKeys,
}

/// How often what is done by the clock.
#[derive(Clone, Copy, Debug)]
pub struct Intervals {
    /// The one that leads looks for decisions of other instances.
    pub look: Duration,
    /// The one that leads compares everything with the cluster.
    pub compare: Duration,
    /// The keys of OpenID providers are fetched again.
    pub fetch: Duration,
    /// The one that leads fetches what was used.
    pub usage: Duration,
    /// The one that leads says that it still does.
    pub renew: Duration,
    /// How long an instance leads without saying so again.
    pub lease: Duration,
}

impl Default for Intervals {
    fn default() -> Intervals {
        Intervals {
            look: Duration::from_millis(500),
            compare: Duration::from_secs(30),
            fetch: Duration::from_secs(300),
            usage: Duration::from_secs(5),
            renew: Duration::from_secs(2),
            lease: Duration::from_secs(6),
        }
    }
}

/// A name with a password. Its `Debug` leaves the password out.
#[derive(Clone)]
pub struct Login {
    pub name: String,
    pub password: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Login({})", self.name)
    }
}

impl std::str::FromStr for Login {
    type Err = String;

    /// Reads `NAME:PASSWORD`.
    fn from_str(text: &str) -> std::result::Result<Login, String> {
        let parts = text.split_once(':').filter(|(name, password)| !name.is_empty() && !password.is_empty());
        let (name, password) = parts.ok_or("expected NAME:PASSWORD")?;
        Ok(Login { name: name.into(), password: password.into() })
    }
}

impl Config {
    /// The defaults: SQLite in this folder, no login.
    pub fn new(data: impl Into<PathBuf>) -> Config {
        Config {
            data: data.into(),
            database: None,
            operators: Vec::new(),
            intervals: Intervals::default(),
            secret_keys: SecretKeys::default(),
        }
    }
}

/// What a control plane takes from the world around it.
pub struct Environment {
    pub listener: TcpListener,
    /// Where decisions are published; `None`: nowhere.
    pub cluster: Option<Arc<dyn Cluster>>,
    /// How pools are looked at and what their nodes are launched on; `None`: no pool is scaled.
    pub scaling: Option<Scaling>,
    /// What `/metrics` gives, in Prometheus's text; `None`: they are not gathered.
    pub metrics: Option<Metrics>,
}

/// Gives the process's metrics as everybody may see them.
pub type Metrics = Arc<dyn Fn() -> Option<String> + Send + Sync>;

impl Environment {
    /// Listens at `HOST:PORT`; port 0 takes a free one.
    pub async fn listen(address: &str, cluster: Option<Arc<dyn Cluster>>) -> Result<Environment> {
        let failed = |error| Error::Environment(format!("cannot listen on {address}: {error}"));
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        Ok(Environment { listener, cluster, scaling: None, metrics: None })
    }
}
