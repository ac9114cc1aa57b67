//! What queries see of a tenant: its schemas, and the hydrated version of each dataset.
//!
//! A view never changes. Whoever plans against one holds it, and with it the segments of every version in
//! it, until the query is done.

use columnar::DataType;
use exec::plan::TableRef;
use planner::catalog::{Catalog, Partitioning, Table};
use shard::VersionId;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use storage::ColumnSchema;

use crate::catalog::DEFAULT_SCHEMA;
use crate::definitions::Definitions;
use crate::error::Error;
use crate::shards::seating::Seating;
use crate::shards::there::id_of;

/// The tables of one tenant at one moment.
#[derive(Default)]
pub(crate) struct View {
    pub(crate) tenant: String,
    /// As they were created.
    pub(crate) schemas: Vec<String>,
    /// By lower-case schema and table name.
    names: BTreeMap<(String, String), Arc<Resident>>,
    datasets: HashMap<u64, Arc<Resident>>,
    /// Tables of engines beside Tundra, by lower-case schema and table name.
    foreign: BTreeMap<(String, String), Arc<Table>>,
    /// Views and macros.
    pub(crate) definitions: Arc<Definitions>,
    /// Who reads what, where shards are nodes of a cluster.
    pub(crate) seating: Option<Arc<Seating>>,
}

/// A version of a dataset, ready to be queried.
pub(crate) struct Resident {
    pub(crate) table: Arc<Table>,
    /// What each shard holds of it, or why it could not be brought in.
    pub(crate) shards: Result<Vec<Arc<storage::Table>>, String>,
}

impl View {
    pub(crate) fn new(
        tenant: &str,
        schemas: Vec<String>,
        residents: impl IntoIterator<Item = Arc<Resident>>,
        seating: Option<Arc<Seating>>,
    ) -> View {
        let mut view = View { tenant: tenant.into(), schemas, seating, ..View::default() };
        for resident in residents {
            let resident = view.seated(resident);
            let table = &resident.table;
            view.names.insert((table.schema.to_lowercase(), table.name.to_lowercase()), resident.clone());
            view.datasets.insert(table.dataset, resident);
        }
        view
    }

    /// The view with tables of engines beside Tundra.
    pub(crate) fn with_foreign(mut self, tables: impl Iterator<Item = Arc<Table>>) -> View {
        let named = tables.map(|table| ((table.schema.to_lowercase(), table.name.to_lowercase()), table));
        self.foreign = named.collect();
        self
    }

    /// The view with what SQL defines.
    pub(crate) fn with_definitions(mut self, definitions: Arc<Definitions>) -> View {
        self.definitions = definitions;
        self
    }

    fn foreign(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.foreign.values()
    }

    /// All tables, and views as tables, in the order of schema and name.
    pub(crate) fn tables_of_all(&self) -> impl Iterator<Item = &Arc<Table>> {
        let own = self.names.iter().map(|(name, resident)| (name, &resident.table));
        let views = self.definitions.views().map(|(name, view)| (name, &view.table));
        let all: BTreeMap<_, _> = own.chain(&self.foreign).chain(views).collect();
        all.into_values()
    }

    /// In the order of schema and name.
    pub(crate) fn residents(&self) -> impl Iterator<Item = &Arc<Resident>> {
        self.names.values()
    }

    /// Bytes of all tables in the memory of shards, one copy of each counted.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let bytes = self.residents().filter(|resident| resident.shards.is_ok()).map(|resident| {
            let statistics = &resident.table.statistics;
            let of_row: f64 = statistics.columns.iter().map(|column| column.average_bytes).sum();
            (of_row * statistics.rows as f64) as u64
        });
        bytes.sum()
    }

    pub(crate) fn resident(&self, schema: Option<&str>, name: &str) -> Option<&Arc<Resident>> {
        let schema = schema.unwrap_or(DEFAULT_SCHEMA).to_lowercase();
        self.names.get(&(schema, name.to_lowercase()))
    }

    pub(crate) fn resident_of(&self, table: &TableRef) -> Option<&Resident> {
        let resident = self.datasets.get(&table.dataset)?;
        let same = resident.table.version == table.version && resident.table.tenant == table.tenant;
        same.then_some(resident)
    }

    /// A table whose slices are not read where rows of them are sent lies anywhere, to the planner.
    fn seated(&self, resident: Arc<Resident>) -> Arc<Resident> {
        let Some(seating) = &self.seating else { return resident };
        let table = &resident.table;
        let id = VersionId { tenant: table.tenant.clone(), dataset: table.dataset, version: table.version };
        let apart = seating.share_of(&id).is_ok_and(|seated| !seated.by_slices);
        if !apart || !matches!(table.partitioning, Partitioning::Hash(_) | Partitioning::Ranges { .. }) {
            return resident;
        }
        let table = Arc::new(Table { partitioning: Partitioning::Spread, ..Table::clone(table) });
        Arc::new(Resident { table, shards: resident.shards.clone() })
    }

    /// Whether shards are nodes of a cluster.
    pub(crate) fn is_seated(&self) -> bool {
        self.seating.is_some()
    }

    /// Whether queries would see the same, from the same nodes.
    pub(crate) fn same_as(&self, other: &View) -> bool {
        let versions = |view: &View| {
            let residents = view.names.values();
            residents
                .map(|one| (one.table.dataset, one.table.version, one.shards.is_ok()))
                .collect::<Vec<_>>()
        };
        let same_foreign = |a: &Arc<Table>, b: &Arc<Table>| {
            (&a.schema, &a.name, &a.columns, &a.foreign) == (&b.schema, &b.name, &b.columns, &b.foreign)
        };
        self.schemas == other.schemas
            && self.definitions.revision == other.definitions.revision
            && self.foreign.len() == other.foreign.len()
            && self.foreign().zip(other.foreign()).all(|(a, b)| same_foreign(a, b))
            && self.seating == other.seating
            && self.names.keys().eq(other.names.keys())
            && versions(self) == versions(other)
    }

    /// How many shards a query runs on.
    pub(crate) fn shards(&self, here: usize) -> usize {
        self.seating.as_ref().map_or(here, |seating| seating.nodes.len().max(1))
    }

    /// Whether queries have shards to run on.
    pub(crate) fn has_shards(&self) -> bool {
        self.seating.as_ref().is_none_or(|seating| !seating.nodes.is_empty())
    }

    /// Whether a dataset is known that cannot be read at the moment.
    pub(crate) fn lacks(&self, dataset: u64) -> bool {
        self.datasets.get(&dataset).is_some_and(|resident| self.state_of(resident).is_err())
    }

    /// Whether a table can be read, or why not.
    pub(crate) fn state_of(&self, resident: &Resident) -> Result<(), String> {
        let table = &resident.table;
        let reference = TableRef {
            tenant: table.tenant.clone(),
            dataset: table.dataset,
            version: table.version,
            name: table.name.clone(),
        };
        self.check(&reference).map_err(|error| error.to_string())
    }

    /// That the version which `table` names can be read.
    pub(crate) fn check(&self, table: &TableRef) -> Result<(), Error> {
        self.pinned(table)?;
        match &self.seating {
            Some(seating) => seating.share_of_table(&id_of(table), &table.name).map(drop),
            None => Ok(()),
        }
    }

    /// The version that `table` names; an error where it could not be brought in.
    pub(crate) fn pinned(&self, table: &TableRef) -> Result<&[Arc<storage::Table>], Error> {
        match self.resident_of(table).map(|resident| &resident.shards) {
            Some(Ok(shards)) => Ok(shards),
            Some(Err(why)) if self.is_seated() => Err(Error::Unavailable(why.clone())),
            Some(Err(why)) => Err(Error::Environment(why.clone())),
            None => {
                Err(Error::Internal(format!("version {} of '{}' is not pinned", table.version, table.name)))
            }
        }
    }
}

impl Catalog for View {
    fn table(&self, schema: Option<&str>, name: &str) -> Option<Arc<Table>> {
        if let Some(resident) = self.resident(schema, name) {
            return Some(resident.table.clone());
        }
        let key = (schema.unwrap_or(DEFAULT_SCHEMA).to_lowercase(), name.to_lowercase());
        self.foreign.get(&key).cloned()
    }

    fn view(&self, schema: Option<&str>, name: &str) -> Option<Arc<planner::View>> {
        self.definitions.view(schema, name).cloned()
    }

    fn macro_named(&self, schema: Option<&str>, name: &str) -> Option<Arc<planner::Macro>> {
        self.definitions.macro_named(schema, name).cloned()
    }

    fn named_type(&self, schema: Option<&str>, name: &str) -> Option<DataType> {
        self.definitions.named_type(schema, name)
    }

    fn table_names(&self) -> Vec<String> {
        self.tables_of_all().map(|table| named(table)).collect()
    }
}

/// A table as queries name it.
pub(crate) fn named(table: &Table) -> String {
    match table.schema.as_str() {
        DEFAULT_SCHEMA => table.name.clone(),
        schema => format!("{schema}.{}", table.name),
    }
}

/// A column of text without nulls.
pub(crate) fn text(name: &str) -> ColumnSchema {
    ColumnSchema { name: name.into(), data_type: DataType::Varchar, nullable: false }
}

/// A column of 64-bit counts without nulls.
pub(crate) fn wide(name: &str) -> ColumnSchema {
    ColumnSchema { name: name.into(), data_type: DataType::Int64, nullable: false }
}
