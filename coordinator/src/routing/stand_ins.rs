//! The names that a query uses, with tables of one engine in their places.

use super::twins::{Key, Twins, key};
use crate::system::Names;
use columnar::DataType;
use parking_lot::Mutex;
use planner::catalog::{Catalog, RowFilter, Table, VirtualTable};
use planner::{ErrorKind, Statement, TableRead};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A catalog for one plan of a query.
pub(super) struct StandIns<'a> {
    names: &'a Names,
    twins: &'a Twins,
    /// Whose tables they are to be; `None`: Tundra.
    server: Option<&'a str>,
    read: Mutex<Read>,
    virtual_tables: AtomicBool,
}

#[derive(Default)]
struct Read {
    /// As they are named, and what stands in for each.
    tables: BTreeMap<Key, (Arc<Table>, Arc<Table>)>,
    /// Why tables have no stand-in.
    unmet: Vec<String>,
}

impl<'a> StandIns<'a> {
    pub(super) fn new(names: &'a Names, twins: &'a Twins, server: Option<&'a str>) -> StandIns<'a> {
        StandIns { names, twins, server, read: Mutex::default(), virtual_tables: AtomicBool::new(false) }
    }

    /// The tables that were named.
    pub(super) fn named(&self) -> Vec<Arc<Table>> {
        self.read.lock().tables.values().map(|(named, _)| named.clone()).collect()
    }

    /// What a statement that was planned with these names reads of the tables that it names.
    pub(super) fn reads_as_named(&self, statement: &Statement) -> planner::Result<Arc<[TableRead]>> {
        let read = self.read.lock();
        let lost = || planner::Error::new(ErrorKind::Internal, "a query reads a table that it does not name");
        let mut reads = Vec::new();
        for one in crate::explain::query_of(statement).into_iter().flat_map(|query| &query.reads) {
            // Nothing stands in for a view: its tables have their own.
            if one.table.is_view() {
                reads.push(one.clone());
                continue;
            }
            let of_it = read.tables.values().filter(|(_, stand_in)| Arc::ptr_eq(stand_in, &one.table));
            let before = reads.len();
            for (table, _) in of_it {
                let position = |position: &u32| {
                    let wanted = &one.table.columns.get(*position as usize).ok_or_else(lost)?.name;
                    let mut columns = table.columns.iter();
                    let found = columns.position(|column| column.name.eq_ignore_ascii_case(wanted));
                    found.map(|found| found as u32).ok_or_else(lost)
                };
                let columns = one.columns.iter().map(position).collect::<planner::Result<_>>()?;
                reads.push(TableRead { table: table.clone(), columns });
            }
            if reads.len() == before {
                return Err(lost());
            }
        }
        Ok(reads.into())
    }

    /// Why the engine cannot answer; `None`: it has all tables.
    pub(super) fn unmet(&self) -> Option<String> {
        self.read.lock().unmet.first().cloned()
    }

    /// Whether tables were named that the coordinator makes up.
    pub(super) fn reads_virtual_tables(&self) -> bool {
        self.virtual_tables.load(Ordering::Relaxed)
    }
}

impl Catalog for StandIns<'_> {
    fn table(&self, schema: Option<&str>, name: &str) -> Option<Arc<Table>> {
        let named = self.names.table(schema, name)?;
        let mut read = self.read.lock();
        let key = key(&named);
        if let Some((_, stand_in)) = read.tables.get(&key) {
            return Some(stand_in.clone());
        }
        let stand_in = self.twins.stand_in(&named, self.server).unwrap_or_else(|why| {
            read.unmet.push(why);
            named.clone()
        });
        read.tables.insert(key, (named, stand_in.clone()));
        Some(stand_in)
    }

    fn view(&self, schema: Option<&str>, name: &str) -> Option<Arc<planner::View>> {
        self.names.view(schema, name)
    }

    fn macro_named(&self, schema: Option<&str>, name: &str) -> Option<Arc<planner::Macro>> {
        self.names.macro_named(schema, name)
    }

    fn named_type(&self, schema: Option<&str>, name: &str) -> Option<DataType> {
        self.names.named_type(schema, name)
    }

    fn refusal(&self, table: &Table) -> Option<String> {
        if table.is_view() {
            return self.names.refusal(table);
        }
        let read = self.read.lock();
        let named = read.tables.values().find(|(_, stand_in)| std::ptr::eq(&**stand_in, table));
        named.and_then(|(named, _)| self.names.refusal(named))
    }

    fn sees_column(&self, table: &Table, column: &str) -> bool {
        if table.is_view() {
            return self.names.sees_column(table, column);
        }
        let read = self.read.lock();
        let mut named = read.tables.values().filter(|(_, stand_in)| std::ptr::eq(&**stand_in, table));
        named.all(|(named, _)| self.names.sees_column(named, column))
    }

    fn row_filter(&self, table: &Table) -> Option<RowFilter> {
        let mut read = self.read.lock();
        let named = read.tables.values().filter(|(_, stand_in)| std::ptr::eq(&**stand_in, table));
        let filters: Vec<RowFilter> = named.filter_map(|(named, _)| self.names.row_filter(named)).collect();
        if !filters.is_empty() && table.foreign.is_some() {
            // An engine that fails of a row may tell of it.
            read.unmet.push(format!("table {}.{} has row level security", table.schema, table.name));
        }
        filters.into_iter().next()
    }

    fn current_user(&self) -> Option<String> {
        self.names.current_user()
    }

    fn now_micros(&self) -> i64 {
        self.names.now_micros()
    }

    fn database(&self) -> String {
        self.names.database()
    }

    fn table_names(&self) -> Vec<String> {
        self.names.table_names()
    }

    fn virtual_table(&self, schema: Option<&str>, name: &str) -> Option<VirtualTable> {
        let found = self.names.virtual_table(schema, name)?;
        self.virtual_tables.store(true, Ordering::Relaxed);
        Some(found)
    }
}
