//! The catalog: its state, as snapshots hold it, and the commands that change it, as the log holds them.

use crate::access::{Access, AccessChange, Grants};
use crate::definition::{Comment, Define, Definition, SetComment, Undefine};
use crate::policy::Signed;
use crate::schema::Column;
use std::collections::BTreeMap;

/// The whole catalog. Maps are ordered, so that equal states have equal bytes.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CatalogState {
    /// How many commands made it.
    #[prost(uint64, tag = "1")]
    pub revision: u64,
    /// The highest number that a dataset has or had.
    #[prost(uint64, tag = "2")]
    pub last_dataset: u64,
    #[prost(btree_map = "string, message", tag = "3")]
    pub tenants: BTreeMap<String, Tenant>,
    /// By number.
    #[prost(btree_map = "uint64, message", tag = "10")]
    pub shards: BTreeMap<u64, Shard>,
    /// It was empty and is being filled from the object store: until [`Restored`], it may not know of tables.
    #[prost(bool, tag = "11")]
    pub restoring: bool,
    /// What all nodes speak; 0 in states of version 1, which had none.
    #[prost(uint32, tag = "12")]
    pub cluster_version: u32,
    /// What the control plane has published, by the names of the documents ([`crate::policy`]).
    #[prost(btree_map = "string, message", tag = "13")]
    pub policy: BTreeMap<String, Signed>,
    /// The key that documents are signed with: that of the first one. Empty: there was none yet.
    #[prost(bytes = "vec", tag = "14")]
    pub policy_key: Vec<u8>,
}

/// What a tenant can name.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Tenant {
    /// By lower-case name.
    #[prost(btree_map = "string, message", tag = "1")]
    pub schemas: BTreeMap<String, Schema>,
    #[prost(btree_map = "uint64, message", tag = "2")]
    pub datasets: BTreeMap<u64, Dataset>,
    /// Those dropped lately, with the versions of their tombstones: a version of one that comes late is refused.
    #[prost(btree_map = "uint64, uint64", tag = "3")]
    pub dropped: BTreeMap<u64, u64>,
    /// The latest number that was given when a tenant of that name was deleted: datasets of this and lower numbers are
    /// not of the one that has its name now, and never will be.
    #[prost(uint64, tag = "4")]
    pub deleted_up_to: u64,
    /// Engines beside Tundra, by lower-case name.
    #[prost(btree_map = "string, message", tag = "20")]
    pub servers: BTreeMap<String, ForeignServer>,
    /// Absent: the tenant is open, and whoever is let in may do everything.
    #[prost(message, optional, tag = "21")]
    pub access: Option<Access>,
    /// The revision of the catalog that last changed a definition; 0: none ever did.
    #[prost(uint64, tag = "22")]
    pub definitions_revision: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Schema {
    /// As it was created.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Datasets by lower-case table name.
    #[prost(btree_map = "string, uint64", tag = "2")]
    pub tables: BTreeMap<String, u64>,
    /// The latest number that was given for each lower-case table name. A dataset of that name and a lower number that
    /// is not there by then never will be.
    #[prost(btree_map = "string, uint64", tag = "3")]
    pub numbers: BTreeMap<String, u64>,
    /// Tables of foreign servers by lower-case name; none of them is in `tables`.
    #[prost(btree_map = "string, message", tag = "20")]
    pub foreign_tables: BTreeMap<String, ForeignTable>,
    #[prost(message, optional, tag = "21")]
    pub grants: Option<Grants>,
    /// Views by lower-case name; none of them is in `tables` or `foreign_tables`.
    #[prost(btree_map = "string, message", tag = "22")]
    pub views: BTreeMap<String, Definition>,
    /// By lower-case name.
    #[prost(btree_map = "string, message", tag = "23")]
    pub macros: BTreeMap<String, Definition>,
    /// By lower-case name.
    #[prost(btree_map = "string, message", tag = "25")]
    pub types: BTreeMap<String, Definition>,
    /// Of the schema and of what is in it, ordered.
    #[prost(message, repeated, tag = "24")]
    pub comments: Vec<Comment>,
}

/// An engine beside Tundra that a tenant reads tables of.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
#[prost(skip_debug)]
pub struct ForeignServer {
    /// As it was created.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The foreign data wrapper: which driver speaks with it.
    #[prost(string, tag = "2")]
    pub wrapper: String,
    /// By lower-case name; no secrets.
    #[prost(btree_map = "string, string", tag = "3")]
    pub options: BTreeMap<String, String>,
    /// Options that nobody is shown.
    #[prost(btree_map = "string, string", tag = "4")]
    pub secrets: BTreeMap<String, String>,
    /// The revision of the catalog that created it, which tells it from others of that name.
    #[prost(uint64, tag = "5")]
    pub created_revision: u64,
    #[prost(message, optional, tag = "6")]
    pub grants: Option<Grants>,
}

/// Secrets are in no log.
impl std::fmt::Debug for ForeignServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ForeignServer")
            .field("name", &self.name)
            .field("wrapper", &self.wrapper)
            .field("options", &self.options)
            .field("secrets", &self.secrets.keys().collect::<Vec<_>>())
            .field("created_revision", &self.created_revision)
            .field("grants", &self.grants)
            .finish()
    }
}

/// A table of a foreign server.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct ForeignTable {
    #[prost(string, tag = "1")]
    pub schema: String,
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(string, tag = "3")]
    pub server: String,
    /// What the server calls it.
    #[prost(string, tag = "4")]
    pub remote_schema: String,
    #[prost(string, tag = "5")]
    pub remote_name: String,
    #[prost(message, repeated, tag = "6")]
    pub columns: Vec<Column>,
    /// About, when it was described; 0: not known.
    #[prost(uint64, tag = "7")]
    pub rows: u64,
    #[prost(message, optional, tag = "8")]
    pub grants: Option<Grants>,
}

/// A dataset and the version of it that queries see.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Dataset {
    #[prost(uint64, tag = "1")]
    pub id: u64,
    #[prost(string, tag = "2")]
    pub schema: String,
    #[prost(string, tag = "3")]
    pub name: String,
    #[prost(message, repeated, tag = "4")]
    pub columns: Vec<Column>,
    /// Empty for a dataset that Tundra writes itself.
    #[prost(string, tag = "5")]
    pub location: String,
    #[prost(string, repeated, tag = "6")]
    pub partition_by: Vec<String>,
    #[prost(message, optional, tag = "7")]
    pub version: Option<Version>,
    /// Absent: nothing was set.
    #[prost(message, optional, tag = "8")]
    pub refresh: Option<Refresh>,
    #[prost(message, optional, tag = "9")]
    pub grants: Option<Grants>,
}

/// When a dataset's files are looked at again, and what is done with them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Refresh {
    /// Microseconds; 0: at nobody's clock.
    #[prost(uint64, tag = "1")]
    pub every_us: u64,
    #[prost(enumeration = "RefreshMode", tag = "2")]
    pub mode: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, prost::Enumeration)]
#[repr(i32)]
pub enum RefreshMode {
    /// Files that were added, replaced or removed.
    Incremental = 0,
    /// Every file is read anew.
    Full = 1,
}

/// A version as the catalog knows it; its files are in its manifest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Version {
    #[prost(uint64, tag = "1")]
    pub number: u64,
    #[prost(uint64, tag = "2")]
    pub rows: u64,
    #[prost(uint64, tag = "3")]
    pub size_bytes: u64,
    #[prost(int64, tag = "4")]
    pub published_at_us: i64,
}

/// A change of the catalog. The log carries the time, so that applying is a function of its arguments.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Command {
    /// Microseconds since 1970, of the coordinator that proposed it.
    #[prost(int64, tag = "1")]
    pub at_us: i64,
    #[prost(string, tag = "2")]
    pub tenant: String,
    #[prost(
        oneof = "Change",
        tags = "3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 20, 21, 22, 23, 60, 61, 62, 63, 70, 80, 81, 82"
    )]
    pub change: Option<Change>,
}

impl Command {
    /// The version of the cluster from which on it may be proposed: nodes of earlier ones do not know it.
    pub fn since(&self) -> u32 {
        match self.change {
            Some(
                Change::SetRefresh(_)
                | Change::Publish(_)
                | Change::SetPolicyKey(_)
                | Change::CreateServer(_)
                | Change::DropServer(_)
                | Change::CreateForeignTables(_)
                | Change::DropForeignTable(_)
                | Change::Access(_)
                | Change::Define(_)
                | Change::Undefine(_)
                | Change::SetComment(_),
            ) => 2,
            // All nodes know the version that they go over to.
            _ => 1,
        }
    }
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Change {
    #[prost(message, tag = "3")]
    CreateSchema(CreateSchema),
    #[prost(message, tag = "4")]
    DropSchema(DropSchema),
    #[prost(message, tag = "5")]
    AllocateDataset(AllocateDataset),
    #[prost(message, tag = "6")]
    SwitchVersion(SwitchVersion),
    #[prost(message, tag = "7")]
    DropDataset(DropDataset),
    /// Takes over a state copied from the object store; only into an empty catalog.
    #[prost(message, tag = "8")]
    Restore(CatalogState),
    #[prost(message, tag = "9")]
    Restored(Restored),
    #[prost(message, tag = "10")]
    SetRefresh(SetRefresh),
    /// Takes a policy document, if it is later than the one of its name.
    #[prost(message, tag = "11")]
    Publish(Signed),
    #[prost(message, tag = "12")]
    SetPolicyKey(SetPolicyKey),
    #[prost(message, tag = "20")]
    SetShard(SetShard),
    #[prost(message, tag = "21")]
    RemoveShard(RemoveShard),
    #[prost(message, tag = "22")]
    SetShardStatus(SetShardStatus),
    /// Since version 2.
    #[prost(message, tag = "23")]
    SetClusterVersion(SetClusterVersion),
    #[prost(message, tag = "60")]
    CreateServer(ForeignServer),
    #[prost(message, tag = "61")]
    DropServer(DropServer),
    #[prost(message, tag = "62")]
    CreateForeignTables(CreateForeignTables),
    #[prost(message, tag = "63")]
    DropForeignTable(DropForeignTable),
    #[prost(message, tag = "70")]
    Access(AccessChange),
    #[prost(message, tag = "80")]
    Define(Define),
    #[prost(message, tag = "81")]
    Undefine(Undefine),
    #[prost(message, tag = "82")]
    SetComment(SetComment),
}

/// Removes a foreign server.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct DropServer {
    #[prost(string, tag = "1")]
    pub name: String,
    /// With its tables; without, one that has any stays.
    #[prost(bool, tag = "2")]
    pub cascade: bool,
}

/// Creates all of these tables, or none.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct CreateForeignTables {
    #[prost(message, repeated, tag = "1")]
    pub tables: Vec<ForeignTable>,
    /// The server that was asked what they are; another that has its name by now is refused.
    #[prost(uint64, tag = "2")]
    pub server_revision: u64,
}

#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct DropForeignTable {
    #[prost(string, tag = "1")]
    pub schema: String,
    #[prost(string, tag = "2")]
    pub name: String,
    /// With the views and macros that use it; without, one that is used stays.
    #[prost(bool, tag = "3")]
    pub cascade: bool,
}

/// A shard that buckets may be dealt to.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Shard {
    /// How much it can hold compared with others.
    #[prost(uint32, tag = "1")]
    pub weight: u32,
    #[prost(enumeration = "ShardStatus", tag = "2")]
    pub status: i32,
    /// Where it was last reached, for people.
    #[prost(string, tag = "3")]
    pub address: String,
    /// The revision of the catalog that [`SetShardStatus`] last made of this shard; 0: none.
    #[prost(uint64, tag = "4")]
    pub ordered_revision: u64,
    /// The pool that it is of; empty: the default one.
    #[prost(string, tag = "5")]
    pub pool: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, prost::Enumeration)]
#[repr(i32)]
pub enum ShardStatus {
    /// One that this version does not know.
    Unknown = 0,
    Active = 1,
    /// It gives its buckets to the others.
    Draining = 2,
    /// It has been silent for long: the others take its buckets.
    Down = 3,
    /// It has given its buckets to the others, and holds nothing.
    Drained = 4,
}

/// Makes a shard known, or changes what is known of it; one that drains goes on doing so.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct SetShard {
    #[prost(uint64, tag = "1")]
    pub shard: u64,
    #[prost(message, optional, tag = "2")]
    pub state: Option<Shard>,
}

/// Has a shard drain, tells that it has done so, or has it take buckets again.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct SetShardStatus {
    #[prost(uint64, tag = "1")]
    pub shard: u64,
    #[prost(enumeration = "ShardStatus", tag = "2")]
    pub status: i32,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct RemoveShard {
    #[prost(uint64, tag = "1")]
    pub shard: u64,
}

/// The cluster goes over to a version that all its nodes speak; it never goes back.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct SetClusterVersion {
    #[prost(uint32, tag = "1")]
    pub version: u32,
}

#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct CreateSchema {
    #[prost(string, tag = "1")]
    pub name: String,
    /// A role; empty: none.
    #[prost(string, tag = "2")]
    pub owner: String,
}

/// Only an empty schema can be dropped.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct DropSchema {
    #[prost(string, tag = "1")]
    pub name: String,
}

/// From now on policy documents are signed with another key.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct SetPolicyKey {
    #[prost(bytes = "vec", tag = "1")]
    pub key: Vec<u8>,
}

/// Everything that the object store has is in the catalog again.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Restored {}

/// Gives a dataset number that no other dataset has or had, for a table that is about to be created.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct AllocateDataset {
    /// The highest number seen in the object store, which may know of more datasets than the catalog.
    #[prost(uint64, tag = "1")]
    pub above: u64,
    #[prost(string, tag = "2")]
    pub schema: String,
    /// Empty in logs of versions that gave numbers without names.
    #[prost(string, tag = "3")]
    pub name: String,
    /// The role that will own the table; empty: none.
    #[prost(string, tag = "4")]
    pub owner: String,
}

/// Makes a committed and hydrated version the one that queries see; the first one creates the dataset.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SwitchVersion {
    #[prost(message, optional, tag = "1")]
    pub dataset: Option<Dataset>,
}

/// Changes when a dataset is refreshed, and how; what is absent stays as it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct SetRefresh {
    #[prost(uint64, tag = "1")]
    pub dataset: u64,
    /// Microseconds; 0: not by the clock any more.
    #[prost(uint64, optional, tag = "2")]
    pub every_us: Option<u64>,
    #[prost(enumeration = "RefreshMode", optional, tag = "3")]
    pub mode: Option<i32>,
}

/// `version` is that of the tombstone.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct DropDataset {
    #[prost(uint64, tag = "1")]
    pub dataset: u64,
    #[prost(uint64, tag = "2")]
    pub version: u64,
}

/// What the state machine answers to a command.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Reply {
    #[prost(oneof = "Outcome", tags = "1, 2, 3")]
    pub outcome: Option<Outcome>,
}

#[derive(Clone, PartialEq, Eq, Hash, prost::Oneof)]
pub enum Outcome {
    #[prost(message, tag = "1")]
    Done(Done),
    /// The number of a new dataset.
    #[prost(uint64, tag = "2")]
    Dataset(u64),
    #[prost(message, tag = "3")]
    Refused(Refused),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Done {}

/// Why a command changed nothing; what `name`, `offered` and `current` say depends on the reason.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Refused {
    #[prost(enumeration = "Reason", tag = "1")]
    pub reason: i32,
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(uint64, tag = "3")]
    pub offered: u64,
    #[prost(uint64, tag = "4")]
    pub current: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum Reason {
    UnknownCommand = 0,
    SchemaExists = 1,
    NoSchema = 2,
    SchemaNotEmpty = 3,
    BuiltIn = 4,
    TableExists = 5,
    NoDataset = 6,
    StaleVersion = 7,
    NotEmpty = 8,
    Restoring = 9,
    Overtaken = 10,
    NoShard = 20,
    /// Nobody else would take its buckets.
    LastShard = 21,
    ShardStatus = 22,
    NoTenant = 30,
    /// Of a policy document.
    BadDocument = 32,
    ForeignKey = 33,
    StaleDocument = 34,
    NoNumbers = 35,
    ServerExists = 60,
    NoServer = 61,
    /// Tables of it are there.
    ServerInUse = 62,
    NoForeignTable = 63,
    RoleExists = 70,
    NoRole = 71,
    /// It owns something.
    RoleInUse = 72,
    /// Nothing is restricted: there are no roles.
    NotRestricted = 73,
    /// A role would be a member of itself.
    CircularRoles = 74,
    /// Roles or grants, meanwhile.
    AccessChanged = 75,
    ReservedName = 76,
    NoTable = 77,
    NoColumn = 78,
    TooManyRoles = 79,
    PolicyExists = 80,
    NoPolicy = 81,
    /// Of a view or macro.
    NoDefinition = 90,
    /// Views or macros use it.
    InUse = 91,
    /// A definition would use itself.
    CircularDefinition = 92,
    /// It is another than the one that was seen.
    DefinitionChanged = 93,
    MacroExists = 94,
    /// Other definitions use columns that it would not have any more.
    ColumnsInUse = 95,
}
