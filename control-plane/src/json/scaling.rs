//! What the API tells of pools and their nodes.

use crate::scaling::ScalePolicy;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A pool's policy, as it was set last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PoolPolicy {
    pub pool: String,
    /// Counts its changes, from 1.
    pub version: u64,
    pub changed_at_us: i64,
    pub policy: ScalePolicy,
}

/// How a pool is scaled at the moment, as the instance that leads noted it last.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct PoolStatus {
    pub pool: String,
    /// When the pool was looked at last.
    pub at_us: i64,
    /// What nodes are launched on; absent: nowhere.
    pub target: Option<String>,
    /// `awake`, `asleep` (no node is there until a statement needs one) or `waking`; empty: it was not looked at.
    pub rest: String,
    /// Since when it sleeps.
    pub asleep_us: Option<i64>,
    /// The number of nodes that was decided last, and why.
    pub wanted: u32,
    pub reasons: Vec<String>,
    /// Nodes that take part in queries, are on their way, and are on their way out.
    pub ready: u32,
    pub coming: u32,
    pub leaving: u32,
    /// Nodes' worth of processors that are busy.
    pub busy: f64,
    pub running: f64,
    pub queued: f64,
    /// How long statements wait for their turn, in milliseconds.
    pub queue_ms: f64,
    pub resident_bytes: u64,
    pub memory_bytes: u64,
    /// Why nothing is decided or done; absent: all is well.
    pub failure: Option<String>,
    /// Nodes that were launched, the latest first; those that are gone for a day.
    pub nodes: Vec<PoolNode>,
}

/// A node that was launched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PoolNode {
    /// What the target calls it.
    pub instance: String,
    /// Empty until it was heard of.
    pub shard: String,
    pub phase: Phase,
    /// What it went through, the first first.
    pub steps: Vec<Step>,
}

/// When a node came to a phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Step {
    pub phase: Phase,
    pub at_us: i64,
    /// Such as why it failed; empty: nothing is to be said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// Where a node is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It is launched and was not heard of yet.
    Launching,
    /// It fetches its part of the datasets.
    Fetching,
    /// It builds segments.
    Loading,
    /// Segments are there; indexes and statistics are being made.
    Statistics,
    /// It takes part in queries.
    Ready,
    /// It was ready and is not heard of.
    Silent,
    /// Its buckets move to others.
    Draining,
    /// It holds nothing any more.
    Drained,
    /// It did not come, or was lost; another one takes its place.
    Failed,
    /// It was ended.
    Gone,
}

impl Phase {
    pub fn name(self) -> &'static str {
        match self {
            Phase::Launching => "launching",
            Phase::Fetching => "fetching",
            Phase::Loading => "loading",
            Phase::Statistics => "statistics",
            Phase::Ready => "ready",
            Phase::Silent => "silent",
            Phase::Draining => "draining",
            Phase::Drained => "drained",
            Phase::Failed => "failed",
            Phase::Gone => "gone",
        }
    }
}
