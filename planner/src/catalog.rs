//! What the planner asks of the floors above.

use crate::defined::{Macro, View};
use columnar::DataType;
use std::sync::Arc;
use storage::ColumnFacts;
use storage::statistics::{ColumnSchema, TableStatistics};

/// The schema of names that give none.
pub(crate) const DEFAULT_SCHEMA: &str = "main";

/// A snapshot of the names that a query may use, already restricted to its tenant. It does not change while
/// the query is planned, and answers without I/O.
pub trait Catalog {
    /// The table of that name, without regard to case; `schema` is absent where the query gave none.
    fn table(&self, schema: Option<&str>, name: &str) -> Option<Arc<Table>>;
    /// Every table name, for suggestions.
    fn table_names(&self) -> Vec<String>;
    /// Why the user may do nothing at all with a table that [`Catalog::table`] gave; `None`: it may do something.
    fn refusal(&self, _table: &Table) -> Option<String> {
        None
    }
    /// Whether the user may know of a column of a table that [`Catalog::table`] gave.
    fn sees_column(&self, _table: &Table, _column: &str) -> bool {
        true
    }
    /// Which rows of a table that [`Catalog::table`] gave the user may read; `None`: all.
    fn row_filter(&self, _table: &Table) -> Option<RowFilter> {
        None
    }
    /// Who asks.
    fn current_user(&self) -> Option<String> {
        None
    }
    /// The moment of the statement, in microseconds since 1970-01-01 00:00:00 UTC.
    fn now_micros(&self) -> i64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        since.as_micros() as i64
    }
    /// What `current_database()` gives.
    fn database(&self) -> String {
        "tundra".into()
    }
    /// The view of that name, which is no table's.
    fn view(&self, _schema: Option<&str>, _name: &str) -> Option<Arc<View>> {
        None
    }
    /// The macro of that name.
    fn macro_named(&self, _schema: Option<&str>, _name: &str) -> Option<Arc<Macro>> {
        None
    }
    /// The type of that name.
    fn named_type(&self, _schema: Option<&str>, _name: &str) -> Option<DataType> {
        None
    }
    /// A table whose rows the catalog knows itself, such as `information_schema.tables`.
    fn virtual_table(&self, _schema: Option<&str>, _name: &str) -> Option<VirtualTable> {
        None
    }
}

/// Conditions on the rows of a table, as SQL over its columns: one of the permissive ones must hold, and all of the restrictive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowFilter {
    pub permissive: Vec<String>,
    pub restrictive: Vec<String>,
}

/// A table held in the catalog itself.
#[derive(Clone, Debug)]
pub struct VirtualTable {
    pub name: String,
    pub columns: Vec<ColumnSchema>,
    /// One value a column.
    pub rows: Vec<Vec<columnar::Value>>,
}

/// One version of a dataset as a table.
#[derive(Clone, Debug)]
pub struct Table {
    pub tenant: String,
    pub schema: String,
    /// As it was created.
    pub name: String,
    pub dataset: u64,
    pub version: u64,
    pub columns: Vec<ColumnSchema>,
    pub statistics: Arc<TableStatistics>,
    /// What the rows of this version prove of each column, on whatever shards they lie. Unlike `statistics`, answers
    /// rest on it. Empty where nothing is known.
    pub facts: Vec<ColumnFacts>,
    pub partitioning: Partitioning,
    /// Where its rows are, if they are not on shards: a table of an engine beside Tundra.
    pub foreign: Option<ForeignTable>,
    /// The last of its columns, which has no name, stands for the addresses of rows ([`Table::with_addresses`]).
    pub addressed: bool,
}

/// A table of an engine beside Tundra.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignTable {
    /// The tenant's name for the server.
    pub server: String,
    /// What tells the server from others that had its name.
    pub server_revision: u64,
    pub engine: Engine,
    /// What the server calls it.
    pub remote_schema: String,
    pub remote_name: String,
}

/// Whose SQL a foreign server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    PostgreSql,
    Tundra,
    /// Any that gives columns of a table: nothing else is asked of it.
    Plain,
}

impl Table {
    /// The table with one more column: what statements name rows by that change them.
    pub(crate) fn with_addresses(&self) -> Arc<Table> {
        let mut table = Table { addressed: true, ..self.clone() };
        let nullable = false;
        table.columns.push(ColumnSchema { name: String::new(), data_type: DataType::Int64, nullable });
        let mut statistics = TableStatistics::clone(&table.statistics);
        statistics.columns.extend(TableStatistics::empty(1).columns);
        // It has no such column.
        statistics.sample = None;
        table.statistics = Arc::new(statistics);
        // Of addresses nothing is known.
        table.facts.resize(self.columns.len(), ColumnFacts::UNKNOWN);
        table.facts.push(ColumnFacts::UNKNOWN);
        Arc::new(table)
    }

    /// What is proven of the column at that position.
    pub fn facts_of(&self, position: u32) -> ColumnFacts {
        self.facts.get(position as usize).copied().unwrap_or(ColumnFacts::UNKNOWN)
    }
}

/// Where a dataset's rows lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Partitioning {
    /// Each row on some shard.
    Spread,
    /// Rows on the shard that the hash of these columns names, as [`exec::plan::Routing::Hash`] would send them.
    Hash(Vec<u32>),
    /// Rows on the shard that this column's range names, as [`exec::plan::Routing::Ranges`] would send them.
    Ranges { column: u32, span: u64 },
    /// Every row on every shard.
    Replicated,
}
