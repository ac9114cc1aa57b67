//! The catalog: which schemas, datasets and versions there are.
//!
//! [`CatalogState`] is the pure state machine; [`CatalogStore`] makes its changes durable and orders them.
//! [`RaftCatalog`] does so with openraft over redb. Nothing outside `raft` knows either.

mod raft;
mod state;

pub use raft::RaftCatalog;
pub use state::{CatalogState, DEFAULT_SCHEMA, INFORMATION_SCHEMA, Refusal, Reply};

use crate::error::Result;
use flight_proto::catalog::Command;
use futures::future::BoxFuture;
use std::sync::Arc;
use tokio::sync::watch;

/// Where the catalog is kept.
pub trait CatalogStore: Send + Sync {
    /// Orders the command, makes it durable, applies it, and gives the state machine's reply.
    fn propose(&self, command: Command) -> BoxFuture<'_, Result<Reply>>;
    /// The latest applied state; it does not change.
    fn snapshot(&self) -> Arc<CatalogState>;
    /// Tells of every new state.
    fn changes(&self) -> watch::Receiver<Arc<CatalogState>>;
    /// Stops taking commands.
    fn close(&self) -> BoxFuture<'_, Result<()>>;
}
