//! What runs beside a member: making the catalog, and a look at Raft's health.

use super::member::Member;
use super::types::{Metrics, MetricsReceiver, Raft};
use super::{OnFatal, internal};
use crate::error::Result;
use openraft::BasicNode;
use openraft::async_runtime::WatchReceiver;
use openraft::errors::{Fatal, InitializeError, RaftError};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Makes the catalog out of the members that the options list, unless there is one already.
///
/// Members do so one after the other. The first one that is up is elected by the others and hands them what
/// it has made; a later one makes the catalog only if those before it do not come.
pub(super) async fn make(member: Arc<Member>) {
    let options = &member.options;
    let Some(rank) = options.members.keys().position(|id| *id == options.id) else { return };
    let turn = options.timings.election_most * 4 * u32::try_from(rank).unwrap_or(u32::MAX);
    let made = |metrics: &Metrics| metrics.last_log_index.is_some();
    let waited = member.raft.wait(Some(turn)).metrics(made, "the catalog to be made").await;
    if waited.is_err()
        && let Err(error) = initialize(&member).await
    {
        tracing::error!("the catalog could not be made: {error}");
    }
}

/// Makes the catalog, or leads the one that is there: others may have been added to it.
pub(super) async fn begin_alone(member: &Member) -> Result<()> {
    initialize(member).await?;
    // Nobody is asked for a vote unless there are others.
    member.raft.trigger().elect(true).await.map_err(internal)
}

async fn initialize(member: &Member) -> Result<()> {
    let node = |(id, address): (&u64, &String)| (*id, BasicNode { addr: address.clone() });
    let members: BTreeMap<u64, BasicNode> = member.options.members.iter().map(node).collect();
    match member.raft.initialize(members).await {
        // There is one, or another member was faster.
        Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(()),
        Err(error) => Err(internal(error)),
    }
}

/// Lets Raft's clock run while there are others to hear from, and tells when Raft dies.
pub(super) async fn watch(raft: Raft, mut metrics: MetricsReceiver, on_fatal: OnFatal) {
    loop {
        let (running, others) = {
            let metrics = metrics.borrow_and_update();
            (metrics.running_state.clone(), has_others(&metrics))
        };
        match running {
            Err(Fatal::Stopped) => return,
            Err(fatal) => return on_fatal(fatal.to_string()),
            Ok(()) => raft.runtime_config().tick(others),
        }
        if metrics.changed().await.is_err() {
            return;
        }
    }
}

fn has_others(metrics: &Metrics) -> bool {
    metrics.membership_config.nodes().any(|(id, _)| *id != metrics.id)
}
