//! What coordinators and shards say to each other: a shard's heartbeat, orders to hydrate, the start of a query
//! and what comes of it, and the head of a stream of rows. Plans, rows and summaries travel inside as bytes of
//! their own.

use crate::catalog::RefreshMode;
use crate::credentials::StoreAccess;
use crate::manifest::Manifest;

/// The streams that nodes open to each other, by the number they begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Service {
    /// Between coordinators: votes, entries, snapshots, and what is for the leader.
    Raft = 1,
    /// From a shard to every coordinator: [`Heartbeat`], answered by [`Orders`].
    Heartbeat = 3,
    /// From a coordinator to a shard: [`Hydrate`], answered by [`Held`].
    Hydrate = 4,
    /// From a coordinator to a shard: [`Summarize`], answered by [`Summaries`].
    Summarize = 5,
    /// From a coordinator to a shard: [`Run`], then [`Ran`] after [`Ran`].
    Run = 6,
    /// From shard to shard: [`Rows`], then frames.
    Rows = 7,
    /// From a shard to a coordinator: [`VersionName`], answered by a [`Manifest`].
    Manifest = 8,
    /// From a coordinator to another: [`AskQueries`], answered by [`Queries`].
    Queries = 9,
    /// From shard to shard: [`AskSegments`], answered by [`HaveSegments`].
    AskSegments = 10,
    /// From shard to shard: [`TakeSegment`], then the segment's bytes in pieces.
    TakeSegment = 11,
    /// From a coordinator to the one that leads: [`AskRefreshes`], answered by nothing once they are noted.
    AskRefreshes = 12,
    /// From a coordinator to every other: [`Refreshes`], answered by nothing.
    TellRefreshes = 13,
    /// From a coordinator to a shard: [`AskWaiting`], answered by [`Waiting`].
    Waiting = 14,
    /// From a coordinator to another: [`AskQuarantine`], answered by [`Quarantine`].
    Quarantine = 15,
}

/// Datasets whose files, or whose manifests, have changed.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct AskRefreshes {
    #[prost(uint64, repeated, tag = "1")]
    pub files: Vec<u64>,
    #[prost(uint64, repeated, tag = "2")]
    pub manifests: Vec<u64>,
    /// Whose those of `manifests` are, in their order; the default tenant's where this is shorter.
    #[prost(string, repeated, tag = "3")]
    pub tenants: Vec<String>,
    /// Schedules that run now. Such are of documents that a leader of a version before would not know.
    #[prost(message, repeated, tag = "4")]
    pub schedules: Vec<ScheduleName>,
}

/// A schedule of [`crate::policy::Schedules`].
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct ScheduleName {
    #[prost(string, tag = "1")]
    pub tenant: String,
    #[prost(string, tag = "2")]
    pub schema: String,
    #[prost(string, tag = "3")]
    pub table: String,
    #[prost(string, tag = "4")]
    pub name: String,
}

/// Refreshes that have begun or ended.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Refreshes {
    #[prost(message, repeated, tag = "1")]
    pub runs: Vec<RefreshRun>,
}

/// A refresh of a dataset.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct RefreshRun {
    #[prost(uint64, tag = "1")]
    pub dataset: u64,
    /// Microseconds since 1970.
    #[prost(int64, tag = "2")]
    pub began_us: i64,
    #[prost(enumeration = "RefreshCause", tag = "3")]
    pub cause: i32,
    #[prost(enumeration = "RefreshMode", tag = "4")]
    pub mode: i32,
    /// What came of it; absent: it runs.
    #[prost(oneof = "RefreshOutcome", tags = "5, 6, 7")]
    pub outcome: Option<RefreshOutcome>,
    #[prost(uint64, tag = "8")]
    pub elapsed_ms: u64,
    /// How many have failed one after the other, this one included.
    #[prost(uint32, tag = "9")]
    pub failures: u32,
    /// When the next one is due, in microseconds since 1970; absent: none is, or it goes by the clock alone.
    #[prost(int64, optional, tag = "10")]
    pub next_us: Option<i64>,
    /// The schedule that had it run; empty: none by a name.
    #[prost(string, tag = "11")]
    pub schedule: String,
    /// Which attempt it is, from 1; 0: of one that a node of a version before tells.
    #[prost(uint32, tag = "12")]
    pub attempt: u32,
    /// Files that were added, replaced or removed.
    #[prost(uint64, tag = "13")]
    pub files_changed: u64,
    /// Whose table it was, and its names as it ran; empty where a node of a version before tells.
    #[prost(string, tag = "14")]
    pub tenant: String,
    #[prost(string, tag = "15")]
    pub schema: String,
    #[prost(string, tag = "16")]
    pub table: String,
}

#[derive(Clone, PartialEq, Eq, Hash, prost::Oneof)]
pub enum RefreshOutcome {
    /// The files were as before.
    #[prost(bool, tag = "5")]
    Unchanged(bool),
    /// The version that was made.
    #[prost(uint64, tag = "6")]
    Version(u64),
    /// Why it failed.
    #[prost(string, tag = "7")]
    Failed(String),
}

/// What started a refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, prost::Enumeration)]
#[repr(i32)]
pub enum RefreshCause {
    /// One that this version does not know.
    Unknown = 0,
    /// The clock: the table's interval, or the schedule that the run names.
    Schedule = 1,
    /// The object store told of a change.
    Event = 2,
    Statement = 3,
    /// Another cluster has committed a version.
    Manifest = 4,
    /// An operator has a schedule run now.
    Operator = 5,
}

/// One version of a dataset.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Message)]
pub struct VersionName {
    #[prost(string, tag = "1")]
    pub tenant: String,
    #[prost(uint64, tag = "2")]
    pub dataset: u64,
    #[prost(uint64, tag = "3")]
    pub version: u64,
}

/// A shard tells that it lives, and what it holds.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Heartbeat {
    #[prost(uint64, tag = "1")]
    pub shard: u64,
    /// Drawn at its start.
    #[prost(uint64, tag = "2")]
    pub incarnation: u64,
    /// Where other nodes reach it.
    #[prost(string, tag = "3")]
    pub address: String,
    #[prost(uint32, tag = "4")]
    pub weight: u32,
    /// Counts the changes of what it holds.
    #[prost(uint64, tag = "5")]
    pub holdings_revision: u64,
    /// Absent where the coordinator has that revision.
    #[prost(message, optional, tag = "6")]
    pub holdings: Option<Holdings>,
    /// The revision of the last [`Wanted`] that it has brought in whole.
    #[prost(uint64, tag = "7")]
    pub hydrated_revision: u64,
    /// The revision of the [`Wanted`] that it has.
    #[prost(uint64, tag = "8")]
    pub wanted_revision: u64,
    /// Absent where the coordinator was told the same before.
    #[prost(message, optional, tag = "9")]
    pub hydrations: Option<Hydrations>,
    /// What it speaks; absent: version 1 alone.
    #[prost(message, optional, tag = "10")]
    pub speaks: Option<Speaks>,
    /// Absent where the coordinator was told lately, and of nodes that do not tell it.
    #[prost(message, optional, tag = "11")]
    pub load: Option<Load>,
    /// Told with the load.
    #[prost(message, repeated, tag = "21")]
    pub store: Vec<StoreUse>,
    /// The pool that it is of; empty: the default one, as of nodes that know of none.
    #[prost(string, tag = "22")]
    pub pool: String,
}

/// What a shard has asked of the object store for a tenant since its start.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct StoreUse {
    #[prost(string, tag = "1")]
    pub tenant: String,
    #[prost(uint64, tag = "2")]
    pub requests: u64,
    #[prost(uint64, tag = "3")]
    pub bytes: u64,
}

/// How much of a shard is used.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Load {
    /// Since its start.
    #[prost(uint64, tag = "1")]
    pub uptime_us: u64,
    /// Processor time of the process since its start.
    #[prost(uint64, tag = "2")]
    pub processor_us: u64,
    /// Workers, each of which can use a processor.
    #[prost(uint32, tag = "3")]
    pub threads: u32,
    /// Of all segments that it holds.
    #[prost(uint64, tag = "4")]
    pub segment_bytes: u64,
    /// For segments and queries.
    #[prost(uint64, tag = "5")]
    pub memory_bytes: u64,
}

/// The versions that a node speaks, from `least` to `most`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Speaks {
    #[prost(uint32, tag = "1")]
    pub least: u32,
    #[prost(uint32, tag = "2")]
    pub most: u32,
}

#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Hydrations {
    #[prost(message, repeated, tag = "1")]
    pub hydrations: Vec<Hydration>,
}

/// How far a version is brought in, or was at the end.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Hydration {
    #[prost(message, optional, tag = "1")]
    pub version: Option<VersionName>,
    /// Microseconds since 1970.
    #[prost(int64, tag = "2")]
    pub began_us: i64,
    #[prost(uint64, tag = "3")]
    pub elapsed_ms: u64,
    #[prost(uint64, tag = "4")]
    pub rows_total: u64,
    #[prost(uint64, tag = "5")]
    pub rows_done: u64,
    #[prost(uint64, tag = "6")]
    pub bytes_read: u64,
    #[prost(bool, tag = "7")]
    pub ended: bool,
    /// Why it ended before it was done; absent: it did not.
    #[prost(string, optional, tag = "8")]
    pub failure: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Holdings {
    #[prost(message, repeated, tag = "1")]
    pub versions: Vec<Held>,
}

/// What a shard holds of a version.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Held {
    #[prost(message, optional, tag = "1")]
    pub version: Option<VersionName>,
    #[prost(enumeration = "PlacementKind", tag = "2")]
    pub placement: i32,
    /// Of the hash, or of the ranges: positions of columns.
    #[prost(uint32, repeated, tag = "3")]
    pub keys: Vec<u32>,
    /// On all shards.
    #[prost(uint32, tag = "4")]
    pub buckets: u32,
    /// Numbers of those held here, ascending.
    #[prost(uint32, repeated, tag = "5")]
    pub numbers: Vec<u32>,
    /// Their rows.
    #[prost(uint64, repeated, tag = "6")]
    pub rows: Vec<u64>,
    /// Of the ranges: how many values of the key go once round all buckets.
    #[prost(uint64, tag = "7")]
    pub span: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, prost::Enumeration)]
#[repr(i32)]
pub enum PlacementKind {
    /// One that this version does not know.
    Unknown = 0,
    Spread = 1,
    Hash = 2,
    Replicated = 3,
    Ranges = 4,
}

/// What a coordinator answers to a heartbeat.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Orders {
    /// The term of the leader; calls of earlier terms are refused.
    #[prost(uint64, tag = "1")]
    pub epoch: u64,
    /// The revision of the holdings that the coordinator has.
    #[prost(uint64, tag = "2")]
    pub holdings_revision: u64,
    /// Absent where the shard has the coordinator's.
    #[prost(message, optional, tag = "3")]
    pub wanted: Option<Wanted>,
    /// Versions that queries of the coordinator may read, wanted or not.
    #[prost(message, repeated, tag = "4")]
    pub in_use: Vec<VersionName>,
    /// Every shard that takes part has brought in what was wanted at this revision; 0: none.
    #[prost(uint64, tag = "5")]
    pub settled_revision: u64,
    /// The addresses of all coordinators, each of which is to hear of the shard.
    #[prost(string, repeated, tag = "6")]
    pub coordinators: Vec<String>,
    /// While the shard has not all that is wanted: the addresses of the others that live, who may have its segments.
    #[prost(string, repeated, tag = "7")]
    pub shards: Vec<String>,
    /// Of the catalog; 0: version 1.
    #[prost(uint32, tag = "8")]
    pub cluster_version: u32,
}

/// Which of these segments of a dataset are held?
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct AskSegments {
    #[prost(string, tag = "1")]
    pub tenant: String,
    #[prost(uint64, tag = "2")]
    pub dataset: u64,
    /// What they are made of, as 16 bytes each.
    #[prost(bytes = "bytes", repeated, tag = "3")]
    pub keys: Vec<prost::bytes::Bytes>,
}

#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct HaveSegments {
    /// Bytes of each, in the order that was asked; 0: it is not held.
    #[prost(uint64, repeated, tag = "1")]
    pub bytes: Vec<u64>,
}

/// Send a segment.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct TakeSegment {
    #[prost(string, tag = "1")]
    pub tenant: String,
    #[prost(uint64, tag = "2")]
    pub dataset: u64,
    /// 16 bytes.
    #[prost(bytes = "bytes", tag = "3")]
    pub key: prost::bytes::Bytes,
}

/// What all shards together are to hold.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Wanted {
    /// Of the catalog that it was taken from; the greatest one counts.
    #[prost(uint64, tag = "1")]
    pub revision: u64,
    #[prost(message, optional, tag = "2")]
    pub dealing: Option<Dealing>,
    #[prost(message, repeated, tag = "3")]
    pub versions: Vec<VersionName>,
    /// The shard that is told is drained: it is to hold nothing of them.
    #[prost(bool, tag = "4")]
    pub nothing: bool,
    /// By which credentials the tenants' objects are read, where they have some or had them. A shard of a version before reads
    /// with its own.
    #[prost(message, repeated, tag = "31")]
    pub access: Vec<StoreAccess>,
}

/// To whom buckets are dealt, and how datasets are cut into them.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Dealing {
    /// In the order of their numbers.
    #[prost(message, repeated, tag = "1")]
    pub shards: Vec<Member>,
    #[prost(uint32, tag = "2")]
    pub replicas: u32,
    #[prost(uint64, tag = "3")]
    pub replicated_rows: u64,
    #[prost(uint32, tag = "4")]
    pub buckets: u32,
    #[prost(uint64, tag = "5")]
    pub bucket_rows: u64,
    #[prost(uint32, tag = "6")]
    pub slices: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Member {
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// 0: it drains, and is dealt nothing.
    #[prost(uint32, tag = "2")]
    pub weight: u32,
}

/// Bring a version in that is not wanted yet.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Hydrate {
    #[prost(uint64, tag = "1")]
    pub epoch: u64,
    #[prost(message, optional, tag = "2")]
    pub manifest: Option<Manifest>,
    #[prost(message, optional, tag = "3")]
    pub dealing: Option<Dealing>,
    /// As [`Run::traceparent`].
    #[prost(string, tag = "4")]
    pub traceparent: String,
    /// As in [`Wanted`], of the manifest's tenant.
    #[prost(message, optional, tag = "31")]
    pub access: Option<StoreAccess>,
}

/// Summarise buckets of a version.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Summarize {
    #[prost(message, optional, tag = "1")]
    pub version: Option<VersionName>,
    #[prost(uint32, repeated, tag = "2")]
    pub buckets: Vec<u32>,
}

#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Summaries {
    /// One a bucket, in the order that was asked: statistics and facts.
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub buckets: Vec<prost::bytes::Bytes>,
}

/// What runs or waits on a coordinator.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct AskQueries {
    /// Its hexadecimal number: of this one alone, with its plan; absent: all.
    #[prost(string, optional, tag = "1")]
    pub query: Option<String>,
    /// That one is to end.
    #[prost(bool, tag = "2")]
    pub cancel: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Queries {
    #[prost(message, repeated, tag = "1")]
    pub queries: Vec<RunningQuery>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct RunningQuery {
    /// Its hexadecimal number.
    #[prost(string, tag = "1")]
    pub query: String,
    #[prost(string, tag = "2")]
    pub principal: String,
    #[prost(string, tag = "3")]
    pub sql: String,
    #[prost(uint64, tag = "4")]
    pub elapsed_ms: u64,
    #[prost(string, optional, tag = "5")]
    pub plan: Option<String>,
    #[prost(string, tag = "6")]
    pub tenant: String,
    /// What it does or waits for; empty: one of a release before does not tell.
    #[prost(string, tag = "7")]
    pub state: String,
}

/// What does a coordinator refuse, and what is it to do about it?
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct AskQuarantine {
    /// This one is to be refused.
    #[prost(message, optional, tag = "1")]
    pub put: Option<Quarantined>,
    /// This one is not, by its 16 bytes.
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub release: Option<prost::bytes::Bytes>,
    /// Was this one answered lately? By its 16 bytes.
    #[prost(bytes = "bytes", optional, tag = "3")]
    pub answered: Option<prost::bytes::Bytes>,
}

#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Quarantine {
    /// What was refused before, in the order of its end.
    #[prost(message, repeated, tag = "1")]
    pub statements: Vec<Quarantined>,
    /// What was asked for was answered lately.
    #[prost(bool, tag = "2")]
    pub answered: bool,
}

/// A statement that is refused for a while, since shards were lost while it ran.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Quarantined {
    /// A hash of its tenant, text and parameters, of 16 bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub statement: prost::bytes::Bytes,
    #[prost(string, tag = "2")]
    pub principal: String,
    /// The beginning of it, where it is long.
    #[prost(string, tag = "3")]
    pub sql: String,
    /// Microseconds since 1970.
    #[prost(int64, tag = "4")]
    pub since_us: i64,
    #[prost(uint64, tag = "5")]
    pub milliseconds_left: u64,
    /// Those that were lost, as people write them.
    #[prost(string, repeated, tag = "6")]
    pub shards: Vec<String>,
    #[prost(string, tag = "7")]
    pub tenant: String,
}

/// Start a shard's part of a query.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Run {
    #[prost(uint64, tag = "1")]
    pub epoch: u64,
    /// 16 bytes.
    #[prost(bytes = "bytes", tag = "2")]
    pub query: prost::bytes::Bytes,
    #[prost(string, tag = "3")]
    pub tenant: String,
    #[prost(string, tag = "4")]
    pub principal: String,
    #[prost(bytes = "bytes", repeated, tag = "5")]
    pub fragments: Vec<prost::bytes::Bytes>,
    /// The shards of the query, by address.
    #[prost(string, repeated, tag = "6")]
    pub shards: Vec<String>,
    /// Which of them is asked.
    #[prost(uint32, tag = "7")]
    pub shard: u32,
    /// Which of them runs the fragments that run on one.
    #[prost(uint32, tag = "8")]
    pub single: u32,
    /// The shard of each slice of the hashes.
    #[prost(uint32, repeated, tag = "9")]
    pub slices: Vec<u32>,
    #[prost(message, repeated, tag = "10")]
    pub tables: Vec<Share>,
    /// What is left of its time; absent: as long as it likes.
    #[prost(uint64, optional, tag = "11")]
    pub milliseconds_left: Option<u64>,
    #[prost(uint64, tag = "12")]
    pub batch_rows: u64,
    #[prost(uint64, tag = "13")]
    pub parallelism: u64,
    #[prost(uint64, optional, tag = "14")]
    pub disturb: Option<u64>,
    /// How often the shard tells what was used, and before its last word; 0: never.
    #[prost(uint32, tag = "21")]
    pub usage_every_ms: u32,
    /// The statement that it is an attempt of, as clients know it: 16 bytes; empty where a node of a release before asks.
    #[prost(bytes = "bytes", tag = "22")]
    pub statement: prost::bytes::Bytes,
    /// The span that this belongs to, as [`crate::trace::TraceParent`] writes it; empty: none that is kept.
    #[prost(string, tag = "23")]
    pub traceparent: String,
}

/// What does a query wait for?
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct AskWaiting {
    /// 16 bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub query: prost::bytes::Bytes,
}

#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Waiting {
    #[prost(enumeration = "Stage", tag = "1")]
    pub stage: i32,
    /// Rows that it cannot go on without, or end.
    #[prost(message, repeated, tag = "2")]
    pub inputs: Vec<Input>,
    /// Fragments that it does not send yet, with shards that receive them and are yet to tell which rows they want.
    #[prost(message, repeated, tag = "3")]
    pub untold: Vec<Edge>,
}

/// How far a shard is with its part of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, prost::Enumeration)]
#[repr(i32)]
pub enum Stage {
    /// It has not heard of it, or not begun.
    Unknown = 0,
    Runs = 1,
    Ended = 2,
}

/// Rows of a fragment that come from one shard.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Input {
    #[prost(uint32, tag = "1")]
    pub fragment: u32,
    /// A place among the query's shards.
    #[prost(uint32, tag = "2")]
    pub from: u32,
}

/// Rows of a fragment that go to one shard.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Edge {
    #[prost(uint32, tag = "1")]
    pub fragment: u32,
    /// A place among the query's shards.
    #[prost(uint32, tag = "2")]
    pub to: u32,
}

/// The buckets of a version that one shard reads for a query.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Share {
    #[prost(message, optional, tag = "1")]
    pub version: Option<VersionName>,
    #[prost(uint32, repeated, tag = "2")]
    pub buckets: Vec<u32>,
}

/// What a shard tells of its part of a query.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Ran {
    #[prost(oneof = "Told", tags = "1, 2, 3, 4, 9")]
    pub told: Option<Told>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Told {
    /// All its fragments run.
    #[prost(message, tag = "1")]
    Started(Started),
    /// A frame of rows of the result.
    #[prost(bytes, tag = "2")]
    Rows(prost::bytes::Bytes),
    #[prost(message, tag = "3")]
    Done(Done),
    #[prost(message, tag = "4")]
    Failed(Failure),
    /// Only where it was asked for ([`Run::usage_every_ms`]).
    #[prost(message, tag = "9")]
    Used(Used),
}

/// What a shard's part of a query has used so far.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Used {
    /// Processor time.
    #[prost(uint64, tag = "1")]
    pub processor_us: u64,
    /// Of segments, as they are encoded.
    #[prost(uint64, tag = "2")]
    pub scanned_bytes: u64,
    /// Sent to other shards.
    #[prost(uint64, tag = "3")]
    pub exchanged_bytes: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Started {}

#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Done {
    #[prost(message, repeated, tag = "1")]
    pub profiles: Vec<Profile>,
    /// Sent to other shards.
    #[prost(uint64, tag = "2")]
    pub exchanged_bytes: u64,
}

/// What a fragment did on a shard.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Profile {
    #[prost(uint32, tag = "1")]
    pub fragment: u32,
    /// One a node of its plan.
    #[prost(message, repeated, tag = "2")]
    pub nodes: Vec<NodeProfile>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct NodeProfile {
    #[prost(uint64, tag = "1")]
    pub rows: u64,
    #[prost(uint64, tag = "2")]
    pub batches: u64,
    #[prost(uint64, tag = "3")]
    pub nanoseconds: u64,
    #[prost(uint64, tag = "4")]
    pub memory_peak_bytes: u64,
}

/// Why a query failed on a shard.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Failure {
    #[prost(enumeration = "FailureKind", tag = "1")]
    pub kind: i32,
    #[prost(string, tag = "2")]
    pub message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, prost::Enumeration)]
#[repr(i32)]
pub enum FailureKind {
    /// One that this version does not know.
    Unknown = 0,
    /// A fault of values; the message is SQL's.
    Value = 1,
    SubqueryRows = 2,
    Memory = 3,
    Cancelled = 4,
    Deadline = 5,
    Storage = 6,
    /// Another node, or the way to it.
    Exchange = 7,
    Unsupported = 8,
    Internal = 9,
    /// The shard does not hold what it was asked for.
    NotHeld = 10,
    /// The call is of a coordinator that has been replaced.
    Fenced = 11,
    /// What the shard has read was damaged: rows that it gave must not be used.
    Damaged = 12,
}

/// Heads a stream of rows from one shard to another.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Rows {
    /// 16 bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub query: prost::bytes::Bytes,
    #[prost(uint32, tag = "2")]
    pub fragment: u32,
    /// Places among the query's shards.
    #[prost(uint32, tag = "3")]
    pub from: u32,
    #[prost(uint32, tag = "4")]
    pub to: u32,
    /// Whoever sends hears what is wanted: [`WantedKeys`] may come before the end.
    #[prost(bool, tag = "5")]
    pub hears: bool,
}

/// Whoever receives rows has a use for those alone whose key is one of these.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct WantedKeys {
    /// The position of the key, an integer, among the columns that are sent.
    #[prost(uint32, tag = "1")]
    pub column: u32,
    /// The integer of the first bit, divided by 64.
    #[prost(sint64, tag = "2")]
    pub first: i64,
    /// A bit an integer, in words of 64, little-endian. Without one no row is wanted; with 2^32 - 1, which is more
    /// than are ever told, all are.
    #[prost(uint32, tag = "3")]
    pub words: u32,
    /// The words, compressed as an LZ4 block where they are longer than this.
    #[prost(bytes = "bytes", tag = "4")]
    pub block: prost::bytes::Bytes,
}
