//! What statements change of foreign servers and their tables.

use super::{Datasets, shard_error};
use crate::catalog::DEFAULT_SCHEMA;
use crate::error::{Error, Result};
use crate::foreign::{Foreign, RemoteTable, check_types};
use exec::context::Cancel;
use flight_proto::access::Grants;
use flight_proto::catalog::{
    Change, CreateForeignTables, DropForeignTable, DropServer, ForeignServer, ForeignTable,
};
use planner::{CreateForeignTable, CreateServer, ImportForeignSchema, TableName};
use shard::schema::columns_to_stored;
use std::sync::Arc;
use storage::ColumnSchema;

/// Servers, and foreign tables, that a tenant may have.
const MOST_SERVERS: usize = 1_000;
const MOST_TABLES: usize = 100_000;

impl Datasets {
    /// `owner` of what is created is a role, or empty.
    pub(crate) async fn create_server(
        &self,
        foreign: &Foreign,
        create: &CreateServer,
        owner: &str,
    ) -> Result<()> {
        let snapshot = self.catalog().snapshot();
        if create.if_not_exists && snapshot.server(&self.tenant, &create.name).is_some() {
            return Ok(());
        }
        let mut server = foreign.server_of(&self.tenant, create)?;
        server.grants = Some(Grants { owner: owner.into(), ..Grants::default() });
        if snapshot.servers(&self.tenant).count() >= MOST_SERVERS {
            return Err(Error::Overloaded(format!("a tenant has {MOST_SERVERS} servers at most")));
        }
        self.propose(Change::CreateServer(server)).await.map(drop)
    }

    pub(crate) async fn drop_server(&self, name: &str, if_exists: bool, cascade: bool) -> Result<()> {
        if if_exists && self.catalog().snapshot().server(&self.tenant, name).is_none() {
            return Ok(());
        }
        self.propose(Change::DropServer(DropServer { name: name.into(), cascade })).await?;
        self.show();
        Ok(())
    }

    /// The server of that name.
    pub(crate) fn server(&self, name: &str) -> Result<ForeignServer> {
        let snapshot = self.catalog().snapshot();
        let server = snapshot.server(&self.tenant, name).cloned();
        server.ok_or_else(|| Error::NotFound(format!("there is no server '{name}'")))
    }

    /// Asks the server what the table is; `None`: it exists already, and that is no fault.
    pub(crate) async fn describe_foreign(
        &self,
        foreign: &Arc<Foreign>,
        create: &CreateForeignTable,
        cancel: &Cancel,
    ) -> Result<Option<CreateForeignTables>> {
        let schema = create.name.schema.as_deref().unwrap_or(DEFAULT_SCHEMA);
        let snapshot = self.catalog().snapshot();
        let exists = snapshot.table(&self.tenant, schema, &create.name.name).is_some()
            || snapshot.foreign_table(&self.tenant, schema, &create.name.name).is_some()
            || snapshot.view(&self.tenant, schema, &create.name.name).is_some();
        if exists && create.if_not_exists {
            return Ok(None);
        }
        let server = self.server(&create.server)?;
        let remote_schema = create.remote_schema.as_deref().unwrap_or(Foreign::default_schema(&server));
        if let Some(columns) = &create.columns {
            check_types(columns)?;
        }
        let (columns, rows) = if Foreign::describes(&server) {
            let tenant = &self.tenant;
            let table = foreign.table(tenant, &server, remote_schema, &create.remote_name, cancel).await?;
            let columns = match &create.columns {
                Some(declared) => table.declared(declared)?,
                None => table.schema()?,
            };
            (columns, table.rows)
        } else {
            let columns = create.columns.clone().ok_or_else(|| {
                Error::Statement(format!(
                    "server {} does not say what its tables are: name the columns of \"{}\"",
                    server.name, create.name
                ))
            })?;
            (columns, 0)
        };
        let table =
            stored(&server, schema, &create.name.name, remote_schema, &create.remote_name, &columns, rows)?;
        self.check_room(1)?;
        Ok(Some(CreateForeignTables { tables: vec![table], server_revision: server.created_revision }))
    }

    /// Asks the server which tables a schema has.
    pub(crate) async fn describe_schema(
        &self,
        foreign: &Arc<Foreign>,
        import: &ImportForeignSchema,
        cancel: &Cancel,
    ) -> Result<CreateForeignTables> {
        let server = self.server(&import.server)?;
        if !self.catalog().snapshot().has_schema(&self.tenant, &import.into) {
            return Err(Error::NotFound(format!("there is no schema '{}'", import.into)));
        }
        let found = foreign.tables(&self.tenant, &server, &import.remote_schema, cancel).await?;
        let named = |names: &[String], table: &RemoteTable| {
            names.iter().any(|name| name.eq_ignore_ascii_case(&table.name))
        };
        if let Some(only) = &import.only
            && let Some(missing) =
                only.iter().find(|name| !found.iter().any(|table| table.name.eq_ignore_ascii_case(name)))
        {
            return Err(Error::NotFound(format!(
                "schema {} of server {} has no table {missing}",
                import.remote_schema, server.name
            )));
        }
        let wanted = found.iter().filter(|table| {
            import.only.as_ref().is_none_or(|only| named(only, table)) && !named(&import.except, table)
        });
        let stored = wanted.map(|table| {
            let columns = table.schema()?;
            stored(&server, &import.into, &table.name, &table.schema, &table.name, &columns, table.rows)
        });
        let tables = stored.collect::<Result<Vec<_>>>()?;
        if tables.is_empty() {
            return Err(Error::NotFound(format!(
                "schema {} of server {} has no such tables",
                import.remote_schema, server.name
            )));
        }
        self.check_room(tables.len())?;
        Ok(CreateForeignTables { tables, server_revision: server.created_revision })
    }

    fn check_room(&self, more: usize) -> Result<()> {
        match self.catalog().snapshot().foreign_tables(&self.tenant).count() + more > MOST_TABLES {
            true => Err(Error::Overloaded(format!("a tenant has {MOST_TABLES} foreign tables at most"))),
            false => Ok(()),
        }
    }

    pub(crate) async fn create_foreign(&self, mut create: CreateForeignTables, owner: &str) -> Result<()> {
        for table in &mut create.tables {
            table.grants = Some(Grants { owner: owner.into(), ..Grants::default() });
        }
        self.propose(Change::CreateForeignTables(create)).await?;
        self.show();
        Ok(())
    }

    /// `cascade`: with the views and macros that use it.
    pub(crate) async fn drop_foreign(&self, name: &TableName, if_exists: bool, cascade: bool) -> Result<()> {
        let schema = name.schema.as_deref().unwrap_or(DEFAULT_SCHEMA);
        let snapshot = self.catalog().snapshot();
        if snapshot.foreign_table(&self.tenant, schema, &name.name).is_none() {
            if snapshot.table(&self.tenant, schema, &name.name).is_some() {
                return Err(Error::Statement(format!("'{name}' is not a foreign table; use DROP TABLE")));
            }
            if snapshot.view(&self.tenant, schema, &name.name).is_some() {
                return Err(Error::Statement(format!("'{name}' is a view; use DROP VIEW")));
            }
            if if_exists {
                return Ok(());
            }
        }
        let drop = DropForeignTable { schema: schema.into(), name: name.name.clone(), cascade };
        self.propose(Change::DropForeignTable(drop)).await?;
        self.show();
        Ok(())
    }
}

fn stored(
    server: &ForeignServer,
    schema: &str,
    name: &str,
    remote_schema: &str,
    remote_name: &str,
    columns: &[ColumnSchema],
    rows: u64,
) -> Result<ForeignTable> {
    for (place, column) in columns.iter().enumerate() {
        let lower = column.name.to_lowercase();
        if columns[..place].iter().any(|other| other.name.to_lowercase() == lower) {
            return Err(Error::Refused(format!(
                "table \"{remote_name}\" has two columns \"{}\", which differ by case alone; name one of them in \
                 CREATE FOREIGN TABLE",
                column.name
            )));
        }
    }
    Ok(ForeignTable {
        schema: schema.into(),
        name: name.into(),
        server: server.name.clone(),
        remote_schema: remote_schema.into(),
        remote_name: remote_name.into(),
        columns: columns_to_stored(columns).map_err(shard_error)?,
        rows,
        grants: None,
    })
}
