//! Bringing a control plane up and down.

use crate::api::{self, Api};
use crate::cluster::Cluster;
use crate::config::{Config, Environment, Intervals};
use crate::database::{self, Database};
use crate::decisions::{self, providers};
use crate::error::{Error, Result};
use crate::lease::Lease;
use crate::metrics;
use crate::publisher::Publisher;
use crate::scaling::scale;
use crate::usage::collect::Collector;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long `shutdown` waits for calls to end.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// A running control plane.
pub struct Handle {
    address: SocketAddr,
    database: Arc<Database>,
    lease: Arc<Lease>,
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
    background: Vec<JoinHandle<()>>,
}

impl Handle {
    /// Where the API is served, with the real port.
    pub fn http_address(&self) -> SocketAddr {
        self.address
    }

    /// Stops serving and publishing, and has another instance lead.
    pub async fn shutdown(mut self) -> Result<()> {
        self.stop.send_replace(true);
        if tokio::time::timeout(SHUTDOWN_TIMEOUT, &mut self.server).await.is_err() {
            self.server.abort();
        }
        self.abort().await;
        let released = self.lease.release().await;
        self.database.close().await;
        released
    }

    async fn abort(&mut self) {
        for task in std::mem::take(&mut self.background) {
            task.abort();
            // Its end, rather than the order to end, gives back what it holds.
            let _ = task.await;
        }
    }

    #[cfg(test)]
    pub(crate) fn database(&self) -> &Arc<Database> {
        &self.database
    }

    /// Ends as a process does that is killed.
    #[cfg(test)]
    pub(crate) async fn kill(mut self) {
        self.server.abort();
        self.abort().await;
        self.database.close().await;
    }
}

/// Opens the database, which is made where it is missing, and serves.
pub async fn start(config: Config, environment: Environment) -> Result<Handle> {
    let Environment { listener, cluster, scaling, metrics } = environment;
    let failed = |error| Error::Environment(format!("the system does not tell an address: {error}"));
    let address = listener.local_addr().map_err(failed)?;
    if config.operators.is_empty() && !address.ip().is_loopback() {
        return Err(Error::Invalid(format!(
            "whoever reaches {address} could make tokens: give it an operator, or have it listen on 127.0.0.1"
        )));
    }
    let url = match config.database {
        Some(url) => url,
        None => database::file_url(&config.data)?,
    };
    let database = Arc::new(Database::open(&url).await?);
    decisions::set_up(&database).await?;
    // Fails only where a provider is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build();
    let http = http.map_err(|error| Error::Environment(providers::cause(&error)))?;
    let lease = Arc::new(Lease::new(database.clone(), &config.intervals)?);

    let (stop, mut stopped) = watch::channel(false);
    let api = Api {
        database: database.clone(),
        lease: lease.clone(),
        operators: config.operators,
        http: http.clone(),
        cluster: cluster.clone(),
        metrics,
        secret_keys: config.secret_keys,
    };
    let router = api::router(Arc::new(api));
    let server = tokio::spawn(async move {
        let until = async move {
            let _ = stopped.wait_for(|stopped| *stopped).await;
        };
        if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(until).await {
            tracing::error!("the API ended: {error}");
        }
    });
    let mut background = background(&database, &lease, cluster, http, config.intervals);
    if let Some(scaling) = scaling {
        background.push(tokio::spawn(scale(database.clone(), lease.clone(), scaling)));
    }
    Ok(Handle { address, database, lease, stop, server, background })
}

/// What is done by the clock.
fn background(
    database: &Arc<Database>,
    lease: &Arc<Lease>,
    cluster: Option<Arc<dyn Cluster>>,
    http: reqwest::Client,
    intervals: Intervals,
) -> Vec<JoinHandle<()>> {
    let (keeping, fetching) = (lease.clone(), (database.clone(), lease.clone()));
    let watched = lease.clone();
    let mut tasks = vec![
        tokio::spawn(async move { metrics::sample(&watched).await }),
        tokio::spawn(async move { keeping.keep().await }),
        tokio::spawn(async move { fetch(&fetching.0, &fetching.1, &http, intervals.fetch).await }),
    ];
    if let Some(cluster) = cluster {
        let collector = Collector {
            database: database.clone(),
            lease: lease.clone(),
            cluster: cluster.clone(),
            every: intervals.usage,
        };
        tasks.push(tokio::spawn(collector.run()));
        let publisher = Publisher::new(database.clone(), cluster, lease.clone(), intervals);
        tasks.push(tokio::spawn(publisher.run()));
    }
    tasks
}

/// Has the keys of OpenID providers fetched by the instance that leads, for ever.
async fn fetch(database: &Database, lease: &Lease, http: &reqwest::Client, interval: Duration) {
    loop {
        tokio::time::sleep(interval).await;
        if !lease.leads() {
            continue;
        }
        tokio::select! {
            biased;
            () = lease.lost() => {}
            done = providers::refresh(database, http) => {
                if let Err(error) = done {
                    tracing::warn!("keys of OpenID providers are not fetched: {error}");
                }
            }
        }
    }
}
