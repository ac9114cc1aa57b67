//! A server in this process with a data folder of its own.

use coordinator::{Config, Environment, Handle};
use exec::context::Settings;
use tempfile::TempDir;

use crate::connection::{Connection, Failure};

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
        // Fails only when a provider is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().map_err(Failure::of)?;
        let mut config = Config::new(folder.path());
        config.shards = variation.shards;
        config.threads = variation.threads;
        config.memory_bytes = 2 << 30;
        config.settings = variation.settings.clone();
        if variation.spread {
            (config.replicated_rows, config.bucket_rows) = (0, 0);
        }
        change(&mut config);
        let environment = Environment::listen("127.0.0.1:0", None).await.map_err(Failure::of)?;
        let handle = coordinator::start(config, environment).await.map_err(Failure::of)?;
        Ok(TestServer { handle, folder })
    }

    /// A connection over Flight SQL.
    pub async fn connect(&self) -> Result<Connection, Failure> {
        let address = self.handle.flight_address().ok_or_else(|| Failure::of("no Flight address"))?;
        Connection::flight(&address.to_string()).await
    }

    /// A connection without a network.
    pub fn session(&self) -> Connection {
        Connection::Session(self.handle.session("test"))
    }

    /// The data folder.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    pub async fn stop(self) -> Result<(), Failure> {
        self.handle.shutdown().await.map_err(Failure::of)
    }
}
