//! A server in this process with a data folder of its own.

use coordinator::{Config, Environment, Handle};
use exec::context::Settings;
use shard::Stores;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

use crate::connection::{Connection, Failure};

/// How long the one before may take to let go of its catalog.
const PATIENCE: Duration = Duration::from_secs(10);

/// How a server is varied without changing an answer.
#[derive(Clone, Debug)]
pub struct Variation {
    pub shards: usize,
    pub threads: usize,
    /// Every table lies in parts on all shards, however small; else small ones lie on each shard whole.
    pub spread: bool,
    pub settings: Settings,
}

impl Variation {
    /// So many shards on two threads with a part of each table, everything else as served.
    pub fn shards(shards: usize) -> Variation {
        Variation { shards, threads: 2, spread: true, settings: Settings::default() }
    }
}

/// Stops, and removes its data, when [`TestServer::stop`] is called.
pub struct TestServer {
    handle: Handle,
    folder: TempDir,
}

impl TestServer {
    /// Starts on a free port.
    pub async fn start(variation: &Variation) -> Result<TestServer, Failure> {
        TestServer::start_with(variation, |_| ()).await
    }

    /// Starts with a changed configuration.
    pub async fn start_with(
        variation: &Variation,
        change: impl FnOnce(&mut Config),
    ) -> Result<TestServer, Failure> {
        let folder = tempfile::tempdir().map_err(Failure::of)?;
        TestServer::start_in(folder, Stores::new(), variation, change).await
    }

    /// As [`TestServer::start_with`], in a folder and with object stores that are given.
    pub async fn start_in(
        folder: TempDir,
        stores: Arc<Stores>,
        variation: &Variation,
        change: impl FnOnce(&mut Config),
    ) -> Result<TestServer, Failure> {
        // Fails only when a provider is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut config = Config::new(folder.path());
        config.shards = variation.shards;
        config.threads = variation.threads;
        config.memory_bytes = 2 << 30;
        config.settings = variation.settings.clone();
        if variation.spread {
            (config.replicated_rows, config.bucket_rows) = (0, 0);
        }
        change(&mut config);
        let begun = Instant::now();
        loop {
            let environment =
                Environment::listen("127.0.0.1:0", Some("127.0.0.1:0")).await.map_err(Failure::of)?;
            let environment = Environment { stores: stores.clone(), ..environment };
            match coordinator::start(config.clone(), environment).await {
                Ok(handle) => return Ok(TestServer { handle, folder }),
                // The last task of a coordinator that was shut down lets go of the catalog a little later.
                Err(error) if error.to_string().contains("already open") && begun.elapsed() < PATIENCE => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(error) => return Err(Failure::of(error)),
            }
        }
    }

    /// A connection over Flight SQL.
    pub async fn connect(&self) -> Result<Connection, Failure> {
        let address = self.handle.flight_address().ok_or_else(|| Failure::of("no Flight address"))?;
        Connection::flight(&address.to_string()).await
    }

    /// As [`TestServer::connect`], of a user.
    pub async fn login(&self, user: &str, password: &str) -> Result<Connection, Failure> {
        let address = self.handle.flight_address().ok_or_else(|| Failure::of("no Flight address"))?;
        Connection::flight_login(&address.to_string(), user, password).await
    }

    /// `HOST:PORT` of the Admin API.
    pub fn http(&self) -> Result<String, Failure> {
        let address = self.handle.http_address().ok_or_else(|| Failure::of("no HTTP address"))?;
        Ok(address.to_string())
    }

    /// A connection without a network.
    pub fn session(&self) -> Connection {
        Connection::Session(self.handle.session("test"))
    }

    /// The data folder.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Stops, and gives the folder.
    pub async fn end(self) -> Result<TempDir, Failure> {
        self.handle.shutdown().await.map_err(Failure::of)?;
        Ok(self.folder)
    }

    pub async fn stop(self) -> Result<(), Failure> {
        self.end().await.map(drop)
    }
}
