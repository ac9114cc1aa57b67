//! Statements as the coordinator runs them: bound, and planned where they query.

mod access;

use crate::catalog::{Engine, Table};
use crate::defined::MacroParameter;
use crate::outline::Outline;
use crate::prepared::Prepared;
pub use access::{Access, GrantOn, Grantee, Password, Privilege, PrivilegeSet, RoleOptions};
use columnar::{DataType, Value};
use exec::plan::{Fragment, TableRef};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use storage::statistics::ColumnSchema;

/// A statement, ready to run.
#[derive(Debug, Clone)]
pub enum Statement {
    Query(PlannedQuery),
    Explain {
        /// Run the query and show what it did.
        analyze: bool,
        /// As one JSON document rather than lines.
        json: bool,
        query: PlannedQuery,
    },
    /// `EXPLAIN ROUTE`
    ExplainRoute {
        query: PlannedQuery,
    },
    /// What the query would use and cost.
    ExplainCost(PlannedQuery),
    CreateExternalTable(CreateExternalTable),
    CreateTable {
        name: TableName,
        if_not_exists: bool,
        columns: Vec<ColumnSchema>,
    },
    CreateTableAs {
        name: TableName,
        if_not_exists: bool,
        /// The columns of the table; the query gives values of these types.
        columns: Vec<ColumnSchema>,
        query: PlannedQuery,
    },
    /// The query gives the table's columns, all of them, in order and with their types.
    Insert {
        table: Arc<Table>,
        /// Positions of the columns that are named, or all: the others get nulls.
        columns: Vec<usize>,
        query: PlannedQuery,
    },
    /// Several names are dropped in order. Whether they exist is the coordinator's to see.
    DropTable {
        names: Vec<TableName>,
        if_exists: bool,
        /// With the views and macros that use them.
        cascade: bool,
    },
    CreateSchema {
        name: String,
        if_not_exists: bool,
    },
    DropSchema {
        name: String,
        if_exists: bool,
        cascade: bool,
    },
    ShowTables {
        schema: Option<String>,
    },
    Describe {
        table: Arc<Table>,
    },
    RefreshTable {
        table: Arc<Table>,
    },
    /// `ALTER TABLE … SET (…)` and `RESET (…)`.
    AlterTable {
        table: Arc<Table>,
        refresh: RefreshOptions,
    },
    /// `SET name = value`; the value as text. `None`: back to the default.
    Set {
        name: String,
        value: Option<String>,
    },
    /// `SHOW name`.
    Show {
        name: String,
    },
    CreateServer(CreateServer),
    DropServer {
        name: String,
        if_exists: bool,
        /// With its tables.
        cascade: bool,
    },
    CreateForeignTable(CreateForeignTable),
    DropForeignTable {
        names: Vec<TableName>,
        if_exists: bool,
        /// With the views and macros that use them.
        cascade: bool,
    },
    ImportForeignSchema(ImportForeignSchema),
    /// Of roles and grants.
    Access(Access),
    /// Of views and macros.
    Define(Define),
    ShowViews {
        schema: Option<String>,
    },
    /// The columns that a query would give.
    DescribeQuery(PlannedQuery),
    /// Of statements that the session keeps by name.
    Prepared(Prepared),
    Change(Box<Change>),
    /// All rows go. Each table once.
    Truncate {
        tables: Vec<Arc<Table>>,
    },
}

/// `DELETE`, `UPDATE` and `MERGE`.
#[derive(Debug, Clone)]
pub struct Change {
    /// As it is read.
    pub table: Arc<Table>,
    pub kind: ChangeKind,
    /// It gives the address of each row that goes, `BIGINT`, null only where a merge inserts. Of a merge the number of the
    /// clause follows, `BIGINT` and from 1. Then, but for a deletion, the columns of the new row, all of them, with their
    /// types. A row may be given several times.
    pub query: PlannedQuery,
}

#[derive(Debug, Clone)]
pub enum ChangeKind {
    Delete,
    /// Positions of the columns that are set.
    Update(Vec<usize>),
    /// What each clause makes of a row.
    Merge(Vec<MergedRow>),
}

/// What becomes of a row; with positions of the columns that are given a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MergedRow {
    Same,
    Deleted,
    Updated(Vec<usize>),
    Inserted(Vec<usize>),
}

impl ChangeKind {
    /// As SQL names it, before the name of the table.
    pub fn words(&self) -> &'static str {
        match self {
            ChangeKind::Delete => "DELETE from",
            ChangeKind::Update(_) => "UPDATE of",
            ChangeKind::Merge(_) => "MERGE into",
        }
    }

    /// Whether rows may be inserted since others are not there.
    pub fn inserts(&self) -> bool {
        matches!(self, ChangeKind::Merge(rows) if rows.iter().any(|row| matches!(row, MergedRow::Inserted(_))))
    }
}

/// What makes or removes views and macros.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Define {
    View(CreateView),
    Macro(CreateMacro),
    Type(CreateType),
    /// In order. Whether they exist is the coordinator's to see.
    Drop {
        kind: UseKind,
        names: Vec<TableName>,
        if_exists: bool,
        cascade: bool,
    },
    Comment(Comment),
}

/// `COMMENT ON`. Names are as they were created, where the planner knows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// `None`: the schema itself.
    pub kind: Option<UseKind>,
    pub schema: String,
    pub name: String,
    /// Of a table or view; `None`: it is not of a column.
    pub column: Option<String>,
    /// `None`: there is to be none.
    pub text: Option<String>,
}

/// `CREATE VIEW`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateView {
    pub name: TableName,
    pub or_replace: bool,
    pub if_not_exists: bool,
    /// The query as it was written.
    pub sql: String,
    /// Names of its first columns, in place of its own.
    pub column_names: Vec<String>,
    /// What it gives, named and typed.
    pub columns: Vec<ColumnSchema>,
    pub uses: Vec<Use>,
}

/// `CREATE MACRO`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateMacro {
    pub name: TableName,
    pub or_replace: bool,
    pub if_not_exists: bool,
    pub parameters: Vec<MacroParameter>,
    /// Whether it gives rows rather than a value.
    pub is_table: bool,
    pub sql: String,
    pub uses: Vec<Use>,
}

/// `CREATE TYPE … AS ENUM`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateType {
    pub name: TableName,
    pub or_replace: bool,
    pub if_not_exists: bool,
    /// An enum of that name.
    pub data_type: DataType,
}

/// What a text names of the catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum UseKind {
    /// A table or a view.
    Relation,
    Macro,
    Type,
}

/// Something that a view or macro names, as it was created.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Use {
    pub kind: UseKind,
    pub schema: String,
    pub name: String,
}

/// `CREATE SERVER`. Which options there are is the wrapper's to say.
#[derive(Clone, PartialEq, Eq)]
pub struct CreateServer {
    pub name: String,
    pub if_not_exists: bool,
    /// In lower case.
    pub wrapper: String,
    /// Names in lower case.
    pub options: Vec<(String, String)>,
}

/// Values of options may be secrets.
impl fmt::Debug for CreateServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CreateServer({}, {})", self.name, self.wrapper)
    }
}

/// `CREATE FOREIGN TABLE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateForeignTable {
    pub name: TableName,
    pub if_not_exists: bool,
    /// Absent where the server is to be asked for them.
    pub columns: Option<Vec<ColumnSchema>>,
    pub server: String,
    /// The option `schema`: that of the server.
    pub remote_schema: Option<String>,
    /// The option `table`, or the table's own name.
    pub remote_name: String,
}

/// `IMPORT FOREIGN SCHEMA`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportForeignSchema {
    pub remote_schema: String,
    /// `LIMIT TO`: these tables alone.
    pub only: Option<Vec<String>>,
    /// `EXCEPT`: not these.
    pub except: Vec<String>,
    pub server: String,
    pub into: String,
}

/// `CREATE EXTERNAL TABLE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateExternalTable {
    pub name: TableName,
    pub if_not_exists: bool,
    /// Absent where the schema is to be read from the files.
    pub columns: Option<Vec<ColumnSchema>>,
    pub location: String,
    pub partition_by: Option<PartitionBy>,
    pub refresh: RefreshOptions,
}

/// When a table is refreshed, and how. What is absent was not named.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RefreshOptions {
    /// `refresh_every`, from a second to 366 days; `Some(None)`: not by the clock.
    pub every: Option<Option<Duration>>,
    pub mode: Option<RefreshMode>,
}

/// `refresh_mode`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshMode {
    /// Files that were added, replaced or removed.
    Incremental,
    /// Every file is read anew.
    Full,
}

/// `PARTITION BY`: by what the rows of a table are dealt to shards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartitionBy {
    /// `HASH (column, …)`
    Hash(Vec<String>),
    /// `RANGE (column)`
    Range(String),
}

/// A table as a statement names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TableName {
    pub schema: Option<String>,
    pub name: String,
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// A query as fragments that shards run.
#[derive(Debug, Clone)]
pub struct PlannedQuery {
    pub columns: Vec<ResultColumn>,
    /// The type of each parameter, in order.
    pub parameters: Vec<DataType>,
    /// Each after those whose rows it receives; the last is the root, which runs on one shard.
    pub fragments: Vec<Fragment>,
    /// What a person reads of each fragment, beside it in the same order.
    pub notes: Vec<FragmentNotes>,
    /// The versions that the query reads, each once.
    pub tables: Vec<TableRef>,
    /// What other engines are asked. A query that asks any runs on the coordinator.
    pub foreign: Vec<RemoteQuery>,
    /// What may be read of the tables that the query names, whatever becomes of them in its plan.
    pub reads: Vec<TableRead>,
    /// Where it was asked for.
    pub outline: Option<Arc<Outline>>,
    /// The time zone whose clocks show the instants of the result.
    pub zone: String,
}

/// A table or view that a query names.
#[derive(Debug, Clone)]
pub struct TableRead {
    pub table: Arc<Table>,
    /// Positions of the columns that its answer hangs on. Empty: on how many rows there are, if on anything.
    pub columns: Vec<u32>,
}

/// A query that a foreign server answers.
#[derive(Debug, Clone)]
pub struct RemoteQuery {
    /// The number under which fragments receive its rows: of none that is in the plan.
    pub fragment: u32,
    pub server: String,
    pub server_revision: u64,
    pub engine: Engine,
    /// In the engine's words.
    pub sql: String,
    /// What it gives, in order.
    pub types: Vec<DataType>,
    /// Positions of columns that have no nulls, if the tables are as they are described.
    pub not_null: Vec<usize>,
    /// The foreign tables that it reads, each once: it means what it should only while they are as they are described.
    pub tables: Vec<Arc<Table>>,
}

/// A column of a query's result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultColumn {
    pub name: String,
    pub data_type: DataType,
    pub nullable: bool,
}

/// The operators of a fragment in preorder ([`exec::Plan::inputs`] gives the order of children), as
/// counters number them.
#[derive(Debug, Clone, PartialEq)]
pub struct FragmentNotes {
    pub fragment: u32,
    pub operators: Vec<OperatorNote>,
}

/// One operator, described.
#[derive(Debug, Clone, PartialEq)]
pub struct OperatorNote {
    /// Edges to the fragment's root.
    pub depth: usize,
    /// One line: what it does, with names of columns.
    pub text: String,
    /// The fragment whose rows it receives.
    pub receives: Option<u32>,
    /// Rows that the planner expects, of all shards together.
    pub estimated_rows: f64,
}

/// The latest version of plans.
pub const PLAN_VERSION: u16 = 2;

/// How far plans are improved. All give the same rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Optimizer {
    /// Only what is needed to run a plan at all is done to it.
    Off,
    On,
    /// As `On`, but joins in an order that the seed draws among those that their conditions connect: to see what the
    /// chosen one is worth.
    Random(u64),
}

impl Optimizer {
    /// By which orders of joins are drawn.
    pub(crate) fn seed(self) -> Option<u64> {
        match self {
            Optimizer::Random(seed) => Some(seed),
            Optimizer::Off | Optimizer::On => None,
        }
    }
}

/// What a statement is planned for.
#[derive(Debug, Clone)]
pub struct PlannerOptions {
    /// How many shards run the query.
    pub shards: usize,
    /// The version of plans that all of them understand, which is the cluster's.
    pub version: u16,
    /// The values of `$1`, `$2`, … or of each `?`. `None`: only their types are wanted; the plan then has
    /// nulls in their places and must not be run.
    pub parameters: Option<Vec<Value>>,
    pub optimizer: Optimizer,
    /// The session's time zone, as [`exec::functions::zone_name`] calls it.
    pub zone: String,
    /// Whether [`PlannedQuery::outline`] is wanted.
    pub outline: bool,
}

impl Default for PlannerOptions {
    fn default() -> PlannerOptions {
        PlannerOptions {
            shards: 1,
            version: PLAN_VERSION,
            parameters: Some(Vec::new()),
            optimizer: Optimizer::On,
            zone: "UTC".into(),
            outline: false,
        }
    }
}
