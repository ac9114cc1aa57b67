//! The shard itself: what it holds, and running fragments on it.

use crate::{Config, Environment, Error, Result, VersionId};
use exec::QueryContext;
use exec::plan::Fragment;
use exec::runtime::{Exchange, RunningFragment};
use std::sync::Arc;

/// A node that holds segments and runs fragments on them.
pub struct Shard {
    config: Config,
    environment: Environment,
}

impl Shard {
    /// Starts a shard over its folder, which is created where missing.
    pub fn start(config: Config, environment: Environment) -> Result<Arc<Shard>> {
        std::fs::create_dir_all(&config.data).map_err(|error| Error::disk(&config.data, error))?;
        Ok(Arc::new(Shard { config, environment }))
    }

    pub fn index(&self) -> usize {
        self.config.index
    }

    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Starts a fragment here, over the versions that its scans name.
    pub fn run(
        self: &Arc<Shard>,
        fragment: &Fragment,
        query: Arc<QueryContext>,
        exchange: Arc<dyn Exchange>,
    ) -> exec::Result<RunningFragment> {
        let _ = (fragment, query, exchange);
        Err(exec::Error::Unsupported("running fragments".into()))
    }

    /// Unpins a version. Its segments go when the last query that pins them ends; their files go at once,
    /// unless another pinned version has them too.
    pub fn drop_version(&self, id: &VersionId) {
        let _ = id;
    }

    /// Deletes local files that no pinned version has, such as those of datasets that are gone. To be called
    /// once all live versions are hydrated.
    pub fn sweep(&self) -> Result<()> {
        Ok(())
    }

    /// Bytes of all segments held.
    pub fn segment_bytes(&self) -> u64 {
        0
    }
}

impl exec::runtime::Tables for Shard {
    /// What this shard holds of a hydrated version; it stays for as long as the result lives, also past
    /// [`Shard::drop_version`].
    fn table(&self, table: &exec::plan::TableRef) -> exec::Result<Arc<storage::Table>> {
        Err(exec::Error::Unsupported(format!("holding version {} of {}", table.version, table.name)))
    }
}
