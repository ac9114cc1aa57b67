//! The catalog kept by Raft: openraft over redb, one member.
//!
//! A command is acknowledged once its log entry is on disk (fsync) and applied. The state lives in memory and
//! is rebuilt from the last snapshot and the log. A defect in Raft ends the process, for a supervisor to
//! start it again: a node whose Raft has stopped must not serve an ageing catalog.

mod codec;
mod disk;
mod log;
mod machine;
mod network;
#[cfg(test)]
mod tests;
mod types;

use crate::catalog::{CatalogState, CatalogStore, Reply};
use crate::error::{Error, Result};
use disk::Disk;
use flight_proto::catalog::Command;
use futures::future::BoxFuture;
use log::LogStore;
use machine::StateMachine;
use network::NoNetwork;
use openraft::async_runtime::WatchReceiver;
use openraft::errors::{ClientWriteError, RaftError};
use openraft::{BasicNode, Config, Raft, SnapshotPolicy};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use types::{Proposal, TypeConfig};

/// The only member's number.
const NODE: u64 = 1;
/// How long opening waits for the log to be applied.
const OPEN_TIMEOUT: Duration = Duration::from_secs(30);
/// Commands between two snapshots of the state.
const SNAPSHOT_COMMANDS: u64 = 1_000;

/// What to do when Raft has died of a defect or of a failing disk.
pub(crate) type OnFatal = Arc<dyn Fn(String) + Send + Sync>;

/// A catalog kept by Raft.
pub struct RaftCatalog {
    raft: Raft<TypeConfig, StateMachine>,
    state: watch::Receiver<Arc<CatalogState>>,
}

impl RaftCatalog {
    /// Opens the catalog in the file `path`, or makes an empty one, and waits until its log is applied.
    pub async fn open(path: &Path, on_fatal: OnFatal) -> Result<RaftCatalog> {
        let disk = Disk::open(path).map_err(|error| {
            Error::Environment(format!("the catalog {} cannot be opened: {error}", path.display()))
        })?;
        let machine = StateMachine::open(disk.clone()).map_err(environment)?;
        let state = machine.watch();
        let config = Config {
            cluster_name: "tundra".into(),
            // With one member there is nobody to hear from; long intervals keep an idle process idle.
            heartbeat_interval: 1_000,
            election_timeout_min: 3_000,
            election_timeout_max: 6_000,
            snapshot_policy: SnapshotPolicy::LogsSinceLast(SNAPSHOT_COMMANDS),
            max_in_snapshot_log_to_keep: 0,
            ..Config::default()
        };
        let config = config.validate().map_err(|error| Error::Internal(error.to_string()))?;
        let raft = Raft::new(NODE, Arc::new(config), NoNetwork, LogStore::new(disk), machine)
            .await
            .map_err(|error| Error::Internal(format!("raft did not start: {error}")))?;
        let catalog = RaftCatalog { raft, state };
        catalog.lead().await?;
        catalog.watch_for_death(on_fatal);
        Ok(catalog)
    }

    /// Becomes the leader, and applies what the log holds.
    async fn lead(&self) -> Result<()> {
        let internal =
            |error: &dyn std::fmt::Display| Error::Internal(format!("raft did not start: {error}"));
        if self.raft.is_initialized().await.map_err(|error| internal(&error))? {
            self.raft.trigger().elect(false).await.map_err(|error| internal(&error))?;
        } else {
            let members = BTreeMap::from([(NODE, BasicNode::default())]);
            self.raft.initialize(members).await.map_err(|error| internal(&error))?;
        }
        self.raft
            .wait(Some(OPEN_TIMEOUT))
            .metrics(
                |metrics| {
                    metrics.current_leader == Some(NODE)
                        && metrics.last_applied.map(|id| id.index) == metrics.last_log_index
                },
                "the log to be applied",
            )
            .await
            .map_err(|error| internal(&error))?;
        // The blank entry of this leadership: once it is applied, everything before it is.
        self.raft.write_blank().await.map_err(|error| internal(&error))?;
        Ok(())
    }

    fn watch_for_death(&self, on_fatal: OnFatal) {
        let mut metrics = self.raft.metrics();
        tokio::spawn(async move {
            loop {
                let running = metrics.borrow_watched().running_state.clone();
                match running {
                    Err(openraft::errors::Fatal::Stopped) => return,
                    Err(fatal) => return on_fatal(fatal.to_string()),
                    Ok(()) => {}
                }
                if metrics.changed().await.is_err() {
                    return;
                }
            }
        });
    }
}

impl CatalogStore for RaftCatalog {
    fn propose(&self, command: Command) -> BoxFuture<'_, Result<Reply>> {
        Box::pin(async move {
            match self.raft.client_write(Proposal(command)).await {
                Ok(response) => Ok(response.data),
                Err(RaftError::APIError(ClientWriteError::ForwardToLeader(_))) => {
                    Err(Error::Conflict("this coordinator does not lead at the moment; try again".into()))
                }
                Err(RaftError::Fatal(openraft::errors::Fatal::Stopped)) => Err(Error::ShuttingDown),
                Err(error) => Err(Error::Environment(format!("the catalog cannot be changed: {error}"))),
            }
        })
    }

    fn snapshot(&self) -> Arc<CatalogState> {
        self.state.borrow().clone()
    }

    fn changes(&self) -> watch::Receiver<Arc<CatalogState>> {
        self.state.clone()
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.raft.shutdown().await.map_err(|error| Error::Internal(format!("raft did not stop: {error}")))
        })
    }
}

fn environment(error: std::io::Error) -> Error {
    Error::Environment(format!("the catalog cannot be read: {error}"))
}
