//! Whether a statement may be run.

use super::Rights;
use crate::catalog::DEFAULT_SCHEMA;
use crate::error::{Error, Result};
use flight_proto::access::{Grants, privilege};
use flight_proto::definition::Definition;
use planner::catalog::Table;
use planner::{
    ChangeKind, Comment, Define, MergedRow, PlannedQuery, Statement, TableName, TableRead, UseKind,
};

impl Rights {
    /// Refuses a statement that it may not run. `reads` are the tables of a query as they are named.
    pub(crate) fn check(&self, statement: &Statement, reads: Option<&[TableRead]>) -> Result<()> {
        if self.are_all() {
            return Ok(());
        }
        match statement {
            Statement::Query(query)
            | Statement::Explain { query, .. }
            | Statement::ExplainRoute { query }
            | Statement::ExplainCost(query)
            | Statement::DescribeQuery(query) => self.check_query(query, reads),
            Statement::Insert { table, columns, query } => {
                self.check_columns(table, privilege::INSERT, columns.iter().copied())?;
                if self.row_filter(table).is_some() {
                    return Err(Error::Denied(format!(
                        "permission denied for {}: it has row level security, and only its owner inserts into it",
                        named(table)
                    )));
                }
                self.check_query(query, reads)
            }
            Statement::Change(change) => {
                let table = &change.table;
                match &change.kind {
                    ChangeKind::Delete => self.check_columns(table, privilege::DELETE, std::iter::empty())?,
                    ChangeKind::Update(set) => {
                        self.check_columns(table, privilege::UPDATE, set.iter().copied())?;
                    }
                    ChangeKind::Merge(rows) => rows.iter().try_for_each(|row| match row {
                        MergedRow::Same => Ok(()),
                        MergedRow::Deleted => self.check_columns(table, privilege::DELETE, std::iter::empty()),
                        MergedRow::Updated(set) => {
                            self.check_columns(table, privilege::UPDATE, set.iter().copied())
                        }
                        MergedRow::Inserted(set) => {
                            self.check_columns(table, privilege::INSERT, set.iter().copied())
                        }
                    })?,
                }
                if self.row_filter(table).is_some() {
                    return Err(Error::Denied(format!(
                        "permission denied for {}: it has row level security, and only its owner changes its rows",
                        named(table)
                    )));
                }
                self.check_query(&change.query, reads)
            }
            Statement::Truncate { tables } => tables.iter().try_for_each(|table| {
                self.check_columns(table, privilege::TRUNCATE, std::iter::empty())?;
                match self.row_filter(table) {
                    None => Ok(()),
                    Some(_) => Err(Error::Denied(format!(
                        "permission denied for {}: it has row level security, and only its owner truncates it",
                        named(table)
                    ))),
                }
            }),
            Statement::CreateTableAs { name, query, .. } => {
                self.check_create(name)?;
                self.check_query(query, reads)
            }
            Statement::CreateTable { name, .. } => self.check_create(name),
            // Whoever names files reads them, whoever's they are.
            Statement::CreateExternalTable(_) => Err(self.only_administrators("CREATE EXTERNAL TABLE")),
            Statement::CreateServer(_) => Err(self.only_administrators("CREATE SERVER")),
            Statement::CreateForeignTable(create) => {
                self.check_create(&create.name)?;
                self.check_server(&create.server)
            }
            Statement::ImportForeignSchema(import) => {
                self.check_may_own()?;
                self.check_in_schema(&import.into, privilege::CREATE)?;
                self.check_server(&import.server)
            }
            Statement::CreateSchema { .. } => match self.on_database() & privilege::CREATE {
                0 => Err(self.denied(format!("database {}", self.tenant), "CREATE")),
                _ => self.check_may_own(),
            },
            Statement::DropTable { names, .. } | Statement::DropForeignTable { names, .. } => {
                names.iter().try_for_each(|name| self.check_drop(name))
            }
            Statement::DropSchema { name, .. } => {
                let exists = self.state.has_schema(&self.tenant, name);
                let grants = self.state.schema_grants(&self.tenant, name);
                self.check_owner(exists, grants, || format!("schema {name}"))
            }
            Statement::DropServer { name, .. } => {
                let server = self.state.server(&self.tenant, name);
                let grants = server.and_then(|server| server.grants.as_ref());
                self.check_owner(server.is_some(), grants, || format!("server {name}"))
            }
            Statement::RefreshTable { table } | Statement::AlterTable { table, .. } => {
                self.check_owner(true, self.grants_of(table), || named(table))
            }
            Statement::Describe { table } => match self.refusal(table) {
                Some(why) => Err(Error::Denied(why)),
                None => Ok(()),
            },
            Statement::Define(Define::View(create)) => {
                let (schema, name) = parts(&create.name);
                let known = self.state.view(&self.tenant, schema, name);
                self.check_define(&create.name, known.filter(|_| create.or_replace))
            }
            Statement::Define(Define::Macro(create)) => {
                let (schema, name) = parts(&create.name);
                let known = self.state.macro_named(&self.tenant, schema, name);
                self.check_define(&create.name, known.filter(|_| create.or_replace))
            }
            Statement::Define(Define::Type(create)) => {
                let (schema, name) = parts(&create.name);
                let known = self.state.type_named(&self.tenant, schema, name);
                self.check_define(&create.name, known.filter(|_| create.or_replace))
            }
            Statement::Define(Define::Drop { kind: UseKind::Type, names, .. }) => {
                names.iter().try_for_each(|name| self.check_drop_type(name))
            }
            Statement::Define(Define::Drop { kind: UseKind::Relation, names, .. }) => {
                names.iter().try_for_each(|name| self.check_drop(name))
            }
            Statement::Define(Define::Drop { kind: UseKind::Macro, names, .. }) => {
                names.iter().try_for_each(|name| self.check_drop_macro(name))
            }
            Statement::Define(Define::Comment(comment)) => {
                let Comment { kind, schema, name, .. } = comment;
                let schema = if schema.is_empty() { DEFAULT_SCHEMA } else { schema };
                let named = TableName { schema: Some(schema.into()), name: name.clone() };
                match kind {
                    None => {
                        let exists = self.state.has_schema(&self.tenant, schema);
                        let grants = self.state.schema_grants(&self.tenant, schema);
                        self.check_owner(exists, grants, || format!("schema {schema}"))
                    }
                    Some(UseKind::Relation) => self.check_drop(&named),
                    Some(UseKind::Macro) => self.check_drop_macro(&named),
                    Some(UseKind::Type) => self.check_drop_type(&named),
                }
            }
            // Looked at as it is made a change of the catalog.
            Statement::Access(_) => Ok(()),
            Statement::ShowTables { .. }
            | Statement::ShowViews { .. }
            | Statement::Set { .. }
            | Statement::Prepared(_)
            | Statement::Show { .. } => Ok(()),
        }
    }

    /// Why it may do nothing with a table; `None`: it may do something.
    pub(crate) fn refusal(&self, table: &Table) -> Option<String> {
        (!self.sees(table)).then(|| self.denied(named(table), "privilege").to_string())
    }

    fn check_query(&self, query: &PlannedQuery, reads: Option<&[TableRead]>) -> Result<()> {
        for read in reads.unwrap_or(&query.reads) {
            let columns = read.columns.iter().map(|&position| position as usize);
            self.check_columns(&read.table, privilege::SELECT, columns)?;
        }
        Ok(())
    }

    /// One privilege on some columns, or on any where none is named.
    fn check_columns(&self, table: &Table, wanted: u32, columns: impl Iterator<Item = usize>) -> Result<()> {
        if self.on_table(table) & wanted != 0 {
            return Ok(());
        }
        let name = privilege::names(wanted).next().unwrap_or_default();
        if self.on_column(table, None) & wanted == 0 {
            return Err(self.denied(named(table), name));
        }
        for position in columns {
            let column = table.columns.get(position);
            let column =
                column.ok_or_else(|| Error::Internal("a column that is not there is read".into()))?;
            if self.on_column(table, Some(&column.name)) & wanted == 0 {
                // Which one is not told: it may be hidden.
                let some = format!("{name} on all columns that it takes, but on some only,");
                return Err(self.denied(named(table), &some));
            }
        }
        Ok(())
    }

    fn check_create(&self, name: &TableName) -> Result<()> {
        self.check_may_own()?;
        self.check_in_schema(name.schema.as_deref().unwrap_or(DEFAULT_SCHEMA), privilege::CREATE)
    }

    /// A privilege on a schema; that there is none of that name is told by others.
    fn check_in_schema(&self, schema: &str, wanted: u32) -> Result<()> {
        if self.state.has_schema(&self.tenant, schema) && self.on_schema(schema) & wanted == 0 {
            let name = privilege::names(wanted).next().unwrap_or_default();
            return Err(self.denied(format!("schema {schema}"), name));
        }
        Ok(())
    }

    /// What it creates must be somebody's.
    fn check_may_own(&self) -> Result<()> {
        match &self.own {
            Some(_) => Ok(()),
            None => Err(Error::Denied(format!(
                "permission denied: what '{0}' creates would be nobody's, since there is no role of its name: \
                 CREATE USER \"{0}\"",
                self.principal
            ))),
        }
    }

    fn check_server(&self, server: &str) -> Result<()> {
        match self.uses_server(server) {
            true => Ok(()),
            false => Err(self.denied(format!("server {server}"), "USAGE")),
        }
    }

    /// Of a table to be dropped; whoever owns the schema may, too.
    fn check_drop(&self, name: &TableName) -> Result<()> {
        let schema = name.schema.as_deref().unwrap_or(DEFAULT_SCHEMA);
        if self.owns(self.state.schema_grants(&self.tenant, schema)) {
            return Ok(());
        }
        let own = self.state.table(&self.tenant, schema, &name.name);
        let foreign = self.state.foreign_table(&self.tenant, schema, &name.name);
        let view = self.state.view(&self.tenant, schema, &name.name);
        let grants = own.and_then(|table| table.grants.as_ref());
        let grants = grants.or_else(|| foreign.and_then(|table| table.grants.as_ref()));
        let grants = grants.or_else(|| view.and_then(|view| view.grants.as_ref()));
        self.check_owner(own.is_some() || foreign.is_some() || view.is_some(), grants, || {
            format!("{} {schema}.{}", if view.is_some() { "view" } else { "table" }, name.name)
        })
    }

    /// The same of a macro.
    fn check_drop_macro(&self, name: &TableName) -> Result<()> {
        let (schema, name) = parts(name);
        if self.owns(self.state.schema_grants(&self.tenant, schema)) {
            return Ok(());
        }
        let known = self.state.macro_named(&self.tenant, schema, name);
        let grants = known.and_then(|known| known.grants.as_ref());
        self.check_owner(known.is_some(), grants, || format!("macro {schema}.{name}"))
    }

    /// The same of a type.
    fn check_drop_type(&self, name: &TableName) -> Result<()> {
        let (schema, name) = parts(name);
        if self.owns(self.state.schema_grants(&self.tenant, schema)) {
            return Ok(());
        }
        let known = self.state.type_named(&self.tenant, schema, name);
        let grants = known.and_then(|known| known.grants.as_ref());
        self.check_owner(known.is_some(), grants, || format!("type {schema}.{name}"))
    }

    /// Of a view or macro to be created, in the place of `known` where it is there.
    fn check_define(&self, name: &TableName, known: Option<&Definition>) -> Result<()> {
        match known {
            None => self.check_create(name),
            Some(known) => {
                self.check_owner(true, known.grants.as_ref(), || format!("{}.{}", known.schema, known.name))
            }
        }
    }

    /// The same of a dataset; the names that a statement has may be of another by now.
    pub(crate) fn check_drop_dataset(&self, id: u64) -> Result<()> {
        let Some(dataset) = self.state.dataset(&self.tenant, id) else { return Ok(()) };
        if self.owns(self.state.schema_grants(&self.tenant, &dataset.schema)) {
            return Ok(());
        }
        let what = || format!("table {}.{}", dataset.schema, dataset.name);
        self.check_owner(true, dataset.grants.as_ref(), what)
    }

    /// Refuses what only an owner may do with an object that is there.
    pub(super) fn check_owner(
        &self,
        exists: bool,
        grants: Option<&Grants>,
        what: impl FnOnce() -> String,
    ) -> Result<()> {
        match !exists || self.owns(grants) {
            true => Ok(()),
            false => Err(Error::Denied(format!(
                "permission denied: '{}' does not own {}, and is no administrator",
                self.principal,
                what()
            ))),
        }
    }

    pub(super) fn only_administrators(&self, statement: &str) -> Error {
        Error::Denied(format!(
            "permission denied: {statement} is for administrators, and '{}' is none: superusers are, and logins that \
             have the role admin",
            self.principal
        ))
    }

    pub(super) fn denied(&self, what: String, privilege: &str) -> Error {
        Error::Denied(format!("permission denied for {what}: '{}' has no {privilege} on it", self.principal))
    }
}

/// Schema and name.
fn parts(name: &TableName) -> (&str, &str) {
    (name.schema.as_deref().unwrap_or(DEFAULT_SCHEMA), &name.name)
}

/// A table or view, as errors name it.
pub(super) fn named(table: &Table) -> String {
    let what = if table.is_view() { "view" } else { "table" };
    format!("{what} {}.{}", table.schema, table.name)
}
