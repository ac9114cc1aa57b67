//! What a shard is started with.

use exec::memory::MemoryPool;
use exec::runtime::Workers;
use std::path::PathBuf;
use std::sync::Arc;

/// What a shard is to be.
#[derive(Clone, Debug)]
pub struct Config {
    /// The folder of its segments, its own.
    pub data: PathBuf,
    /// Its number among the shards.
    pub index: usize,
}

/// What a shard takes from the world around it; shards of one process share it.
#[derive(Clone)]
pub struct Environment {
    pub workers: Arc<Workers>,
    pub memory: Arc<MemoryPool>,
    pub stores: Arc<crate::Stores>,
}
