//! What a shard is started with.

use crate::{Residency, Stores};
use exec::memory::MemoryPool;
use exec::runtime::Workers;
use std::path::PathBuf;
use std::sync::Arc;

/// What a shard is to be.
#[derive(Clone, Debug)]
pub struct Config {
    /// The folder of its segments, its own.
    pub data: PathBuf,
    /// Its number among the shards; never given to another.
    pub id: u64,
}

/// What a shard takes from the world around it; shards of one process share it.
#[derive(Clone)]
pub struct Environment {
    pub workers: Arc<Workers>,
    pub memory: Arc<MemoryPool>,
    pub stores: Arc<Stores>,
    /// Of `memory`.
    pub residency: Arc<Residency>,
}

impl Environment {
    /// An environment whose resident columns share `memory` with queries.
    pub fn new(workers: Arc<Workers>, memory: Arc<MemoryPool>, stores: Arc<Stores>) -> Environment {
        let residency = Residency::new(&memory);
        Environment { workers, memory, stores, residency }
    }
}
