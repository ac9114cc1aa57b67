//! What the Admin API of a coordinator takes and gives, as JSON. Shards and queries go by hexadecimal text: numbers
//! of JSON do not reach 64 bits.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Why a call failed, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Failure {
    pub error: String,
}

/// All nodes, as the coordinator that was asked knows them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Nodes {
    /// What all nodes speak; `upgrade` raises it.
    #[serde(default)]
    pub cluster_version: u32,
    pub coordinators: Vec<Coordinator>,
    pub shards: Vec<Shard>,
    /// Tenants whose data are on their way from one pool of shards to another.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moving: Vec<Moving>,
}

/// A tenant whose data are on their way to its pool of shards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Moving {
    pub tenant: String,
    /// Where they are to be.
    pub pool: String,
    /// Where its queries run until all of them are there.
    pub read_in: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Coordinator {
    pub id: u64,
    /// Where other nodes reach it.
    pub address: String,
    /// `leader`, `follower`, `candidate`, or `learner`: its vote does not count yet.
    pub role: String,
    /// It is the one that was asked.
    pub here: bool,
    /// The term of the leader; each election has a later one.
    pub term: u64,
    /// The place in the log up to which the catalog is applied; known of the one that was asked.
    pub applied: Option<u64>,
    /// Absent while it is silent.
    #[serde(default)]
    pub speaks: Option<Speaks>,
}

/// The versions that a node speaks, from `least` to `most`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Speaks {
    pub least: u32,
    pub most: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Shard {
    pub id: String,
    /// Where other nodes reach it; empty in a single process.
    pub address: String,
    /// `active`, `draining`, `drained`, `down`, or `joining`: the catalog does not know it yet.
    pub status: String,
    /// It was heard of lately.
    pub alive: bool,
    /// Buckets of all versions that it holds.
    pub buckets: u64,
    pub rows: u64,
    /// The pool that it is of.
    #[serde(default = "default_pool")]
    pub pool: String,
    /// Absent where it was not heard of.
    #[serde(default)]
    pub speaks: Option<Speaks>,
    /// Absent where it does not tell.
    #[serde(default)]
    pub load: Option<ShardLoad>,
}

/// Of shards that a coordinator of a release before tells of.
fn default_pool() -> String {
    crate::pool::DEFAULT_POOL.into()
}

/// How much of a shard is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShardLoad {
    /// Since its start.
    pub uptime_us: u64,
    /// Processor time of the process since its start.
    pub processor_us: u64,
    /// Workers, each of which can use a processor.
    pub threads: u32,
    /// Of all segments that it holds.
    pub segment_bytes: u64,
    /// For segments and queries.
    pub memory_bytes: u64,
}

/// The statements of the coordinator that was asked, on their way in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Load {
    /// Statements that run.
    pub running: u64,
    /// Statements that wait for their turn, or for shards.
    pub queued: u64,
    /// How long the one that has waited longest for its turn has, in milliseconds; 0: none waits.
    pub oldest_wait_ms: u64,
    /// Statements that got their turn since the start, and how long they waited for it together.
    pub admitted: u64,
    pub waited_us: u64,
    /// Of those that wait, how many wait until a pool that sleeps is woken.
    #[serde(default)]
    pub waking: u64,
    /// Statements that need shards, whether they run or wait; absent where it does not tell.
    #[serde(default)]
    pub in_use: Option<u64>,
    /// For how long none did, in milliseconds; 0: one does now.
    #[serde(default)]
    pub idle_ms: Option<u64>,
    /// In how many milliseconds the next refresh is due, as far as it is known here; 0: one runs.
    #[serde(default)]
    pub refresh_in_ms: Option<u64>,
}

/// Statements of a coordinator, all together and by the pool of shards that they need.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Loads {
    #[serde(flatten)]
    pub all: Load,
    /// Empty where the coordinator knows of no pools.
    #[serde(default)]
    pub pools: BTreeMap<String, Load>,
}

/// What the control plane that launches and ends shards says of them, for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PoolState {
    pub rest: PoolRest,
    /// The shards that there are to be; while it sleeps, those that it will be woken to.
    pub wanted: u32,
    /// How long this holds unless it is said again, in milliseconds.
    pub valid_ms: u64,
}

/// Whether a pool that may be scaled to zero has shards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PoolRest {
    /// Shards are there.
    #[default]
    Awake,
    /// They are ended at once if no statement needs them: what comes now waits for what becomes of it.
    Closing,
    /// There are none; statements that need shards wait, and are what it is woken by.
    Asleep,
    /// Shards are launched.
    Waking,
}

impl PoolRest {
    pub fn name(self) -> &'static str {
        match self {
            PoolRest::Awake => "awake",
            PoolRest::Closing => "closing",
            PoolRest::Asleep => "asleep",
            PoolRest::Waking => "waking",
        }
    }
}

/// What a coordinator answers to that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PoolUse {
    /// Statements that need shards, whether they run or wait. Of a pool that closes none is added that runs.
    pub in_use: u64,
}

/// What the cluster's version was, and is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Upgrade {
    pub before: u32,
    pub after: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Leader {
    /// Absent while none is known.
    pub coordinator: Option<u64>,
    pub address: String,
    pub term: u64,
}

/// The coordinator that is to lead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LeaderChange {
    pub coordinator: u64,
}

/// Where other nodes reach a coordinator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CoordinatorAddress {
    pub address: String,
}

/// A dataset and the version of it that queries see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Dataset {
    /// Whose it is.
    #[serde(default)]
    pub tenant: String,
    pub dataset: u64,
    pub schema: String,
    pub table: String,
    pub version: u64,
    pub rows: u64,
    /// Of its Parquet files.
    pub size_bytes: u64,
    /// `replicated`, `hash` or `spread`.
    pub placement: String,
    /// `resident`, or why it cannot be read at the moment.
    pub state: String,
    /// What an external table was created over; empty for one that statements fill.
    pub location: String,
    /// Absent where nothing is set and none has run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh: Option<Refresh>,
}

/// When a dataset's files are looked at again, and what came of it last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Refresh {
    /// An interval, such as `00:15:00` or `1 day`; absent: not by the clock.
    pub every: Option<String>,
    /// `incremental`: files that were added, replaced or removed; `full`: all of them anew.
    pub mode: String,
    /// Microseconds since 1970.
    pub next_at_us: Option<i64>,
    /// The last one, which may still run.
    pub last: Option<RefreshRun>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefreshRun {
    /// Microseconds since 1970.
    pub began_at_us: i64,
    pub elapsed_ms: u64,
    /// `clock`, `schedule NAME`, `event`, `manifest`, `operator` or `statement`.
    pub started_by: String,
    /// `incremental` or `full`.
    pub mode: String,
    /// `running`, `unchanged`, `refreshed` or `failed`.
    pub state: String,
    /// The version that was made.
    pub version: Option<u64>,
    /// Why it failed.
    pub error: String,
    /// How many have failed one after the other.
    pub failures: u32,
    /// Which attempt of a schedule it is, from 1.
    #[serde(default)]
    pub attempt: u32,
    /// Files that were added, replaced or removed.
    #[serde(default)]
    pub files_changed: u64,
}

/// A refresh that has ended, and the table's names as it ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PastRefresh {
    pub tenant: String,
    pub dataset: u64,
    pub schema: String,
    pub table: String,
    /// The schedule that had it run; empty: none by a name.
    pub schedule: String,
    pub run: RefreshRun,
}

/// A schedule that was decided, and what comes of it here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TableSchedule {
    pub tenant: String,
    pub schema: String,
    pub table: String,
    pub name: String,
    pub cron: String,
    /// Of the IANA database.
    pub zone: String,
    /// `incremental` or `full`.
    pub mode: String,
    /// `waiting`, `paused`, or why it does not come.
    pub state: String,
    /// When it comes next, in microseconds since 1970; absent: it does not.
    pub next_at_us: Option<i64>,
    /// The last run that it had, as far as this coordinator has heard.
    pub last: Option<RefreshRun>,
}

/// Which schedule is to run now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RunSchedule {
    pub tenant: String,
    pub schema: String,
    pub table: String,
    pub name: String,
}

/// What comes of changes that an object store has told of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EventsTaken {
    /// Datasets that are refreshed soon, since files of theirs have changed.
    pub refresh: Vec<EventDataset>,
    /// Datasets whose latest manifest is looked at soon.
    pub reconcile: Vec<EventDataset>,
    /// Records of which no dataset is concerned.
    pub ignored: u64,
    /// What is to be done, where the store asks something of a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EventDataset {
    /// Empty for a dataset that the catalog does not have.
    #[serde(default)]
    pub tenant: String,
    pub dataset: u64,
    /// Empty for a dataset that the catalog does not have.
    pub schema: String,
    pub table: String,
}

/// A committed version, as its manifest in the object store has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Version {
    pub version: u64,
    pub rows: u64,
    pub size_bytes: u64,
    pub files: u64,
    /// Microseconds since 1970.
    pub created_at_us: i64,
    /// It is the one that queries see.
    pub published: bool,
    /// It drops the dataset.
    pub tombstone: bool,
}

/// Which shards hold a dataset's buckets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Placement {
    /// Whose it is.
    #[serde(default)]
    pub tenant: String,
    pub dataset: u64,
    pub schema: String,
    pub table: String,
    pub version: u64,
    /// `replicated`, `hash` or `spread`.
    pub placement: String,
    pub buckets: Vec<Bucket>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Bucket {
    pub bucket: u32,
    pub rows: u64,
    /// The shards that live and hold it. A bucket without rows may have none.
    pub shards: Vec<String>,
}

/// How far a shard has brought a version in, or had when it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Hydration {
    pub shard: String,
    /// Whose it is.
    #[serde(default)]
    pub tenant: String,
    pub dataset: u64,
    /// Empty for a dataset that the catalog does not have.
    pub schema: String,
    pub table: String,
    pub version: u64,
    /// `running`, `done` or `failed`.
    pub state: String,
    /// Why it failed.
    pub error: String,
    /// Rows that lie in segments, those found on local disk included.
    pub rows_done: u64,
    pub rows_total: u64,
    /// Fetched from the object store.
    pub bytes_read: u64,
    /// Microseconds since 1970.
    pub began_at_us: i64,
    pub elapsed_ms: u64,
}

/// Queries that run or wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Queries {
    pub queries: Vec<Query>,
    /// Coordinators that did not answer: their queries are missing.
    pub silent: Vec<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Query {
    pub query: String,
    /// The coordinator that its client is connected to.
    pub coordinator: u64,
    #[serde(default)]
    pub tenant: String,
    pub principal: String,
    pub sql: String,
    pub elapsed_ms: u64,
    /// What it does or waits for: `planning`, `queued`, `waking (…)` or `running`; empty where it is not told.
    #[serde(default)]
    pub state: String,
    /// As `EXPLAIN` gives it; given for a single query, once it is planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
}

/// Statements that are refused for a while, since shards were lost while they ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Quarantine {
    pub statements: Vec<QuarantinedStatement>,
    /// Coordinators that did not answer: what they refuse is missing.
    pub silent: Vec<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QuarantinedStatement {
    /// A hash of its tenant, text and parameters.
    pub statement: String,
    /// Those that refuse it.
    pub coordinators: Vec<u64>,
    #[serde(default)]
    pub tenant: String,
    /// Who asked it when the shards were lost.
    pub principal: String,
    /// The beginning of it, where it is long.
    pub sql: String,
    /// Microseconds since 1970.
    pub since_us: i64,
    pub until_us: i64,
    /// The shards that were lost.
    pub shards: Vec<String>,
}

/// A copy of the catalog in the object store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Snapshot {
    /// How many commands made it.
    pub revision: u64,
    pub url: String,
}

/// The policy that a cluster acts on: the documents of [`crate::policy`] that it has taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Policy {
    /// The Ed25519 public key that documents are signed with, in hexadecimal; absent until the first one was taken, whose
    /// key it becomes.
    #[serde(default)]
    pub key: Option<String>,
    /// The highest version of a document.
    pub version: u64,
    /// By name.
    pub documents: Vec<PolicyDocument>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyDocument {
    pub name: String,
    pub version: u64,
    /// In microseconds since 1970.
    pub decided_at_us: i64,
    /// What it is about is no more.
    pub gone: bool,
    /// The document and its signature (`policy::Signed`), in hexadecimal.
    pub signed: String,
}

/// The key that documents are to be signed with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyKey {
    /// An Ed25519 public key, in hexadecimal.
    pub key: String,
}

/// Documents to take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Publish {
    /// Each with its signature, in hexadecimal; taken in this order.
    pub documents: Vec<String>,
}

/// What became of them, in the same order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Published {
    pub documents: Vec<PublishedDocument>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PublishedDocument {
    pub name: String,
    pub outcome: PublishOutcome,
    /// The version of that name that the cluster has now.
    pub version: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PublishOutcome {
    /// The cluster acts on it.
    Taken,
    /// It was taken before.
    Known,
    /// The cluster has a later one of that name, or another one of that version.
    Stale,
}
