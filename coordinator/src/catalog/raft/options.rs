//! What a member of the catalog is started with.

use super::transport::{Nobody, Transport};
use crate::error::Result;
use network::Versions;
use openraft::{Config, SnapshotPolicy};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Gives random numbers. In a simulation they follow from a seed, another one for each life of a member: they
/// tell its commands from those of its former lives.
pub type Random = Arc<dyn Fn() -> Result<u128> + Send + Sync>;

/// What a member of the catalog is started with.
#[derive(Clone)]
pub struct RaftOptions {
    /// This member's number; it is never given to another.
    pub id: u64,
    /// The members that make a new catalog, with the addresses of their networks: the same list on each of
    /// them. Once there is a catalog, its own list counts. A member that is not in the list waits to be
    /// added.
    pub members: BTreeMap<u64, String>,
    pub timings: Timings,
    /// Commands between two snapshots of the state.
    pub snapshot_commands: u64,
    /// Commands in the log before a snapshot, so that a member that was away for a while needs none.
    pub kept_commands: u64,
    /// The way to the other members.
    pub transport: Arc<dyn Transport>,
    pub random: Random,
    /// What this member speaks.
    pub versions: Versions,
}

impl RaftOptions {
    /// The defaults of a member among `members`.
    pub fn new(
        id: u64,
        members: BTreeMap<u64, String>,
        transport: Arc<dyn Transport>,
        random: Random,
    ) -> RaftOptions {
        RaftOptions {
            id,
            members,
            timings: Timings::default(),
            snapshot_commands: 1_000,
            kept_commands: 2_000,
            transport,
            random,
            versions: Versions::OWN,
        }
    }

    /// A catalog of one member that nobody else can reach.
    pub fn alone(random: Random) -> RaftOptions {
        RaftOptions::new(1, BTreeMap::from([(1, String::new())]), Arc::new(Nobody), random)
    }

    /// Whether this member makes the catalog by itself.
    pub(super) fn is_alone(&self) -> bool {
        self.members.len() == 1 && self.members.contains_key(&self.id)
    }

    pub(super) fn config(&self) -> Config {
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Config {
            cluster_name: "tundra".into(),
            heartbeat_interval: milliseconds(self.timings.heartbeat),
            election_timeout_min: milliseconds(self.timings.election_least),
            election_timeout_max: milliseconds(self.timings.election_most),
            install_snapshot_timeout: milliseconds(self.timings.attempt),
            enable_pre_vote: Some(true),
            // A member that restarts must not lead with a state that lags behind what it acknowledged.
            enable_leader_restore: Some(false),
            // A member whose disk was lost starts anew; by default the leader of a debug build would die of
            // it.
            allow_log_reversion: Some(true),
            // Switched on while there are others to hear from: one member alone sleeps.
            enable_tick: false,
            snapshot_policy: SnapshotPolicy::LogsSinceLast(self.snapshot_commands),
            max_in_snapshot_log_to_keep: self.kept_commands,
            replication_lag_threshold: self.snapshot_commands.saturating_mul(2),
            backoff: "50ms 100ms 200ms ...1s".into(),
            ..Config::default()
        }
    }
}

/// How long members wait.
///
/// A follower that hears nothing of its leader for `election_most` no longer counts on it, and campaigns
/// after another time drawn between `election_least` and `election_most`.
#[derive(Clone, Copy, Debug)]
pub struct Timings {
    /// Between two signs of life of the leader.
    pub heartbeat: Duration,
    pub election_least: Duration,
    pub election_most: Duration,
    /// For one answer of another member; a proposal is tried again then.
    pub attempt: Duration,
    /// For a proposal, or a state that is up to date, whoever leads in the meantime.
    pub patience: Duration,
    /// For a change of the members, which includes the time a new one needs to catch up.
    pub change_patience: Duration,
}

impl Default for Timings {
    /// A new leader 0.75 to 1 s after the old one is lost.
    fn default() -> Timings {
        Timings {
            heartbeat: Duration::from_millis(150),
            election_least: Duration::from_millis(250),
            election_most: Duration::from_millis(500),
            attempt: Duration::from_secs(2),
            patience: Duration::from_secs(10),
            change_patience: Duration::from_secs(60),
        }
    }
}
