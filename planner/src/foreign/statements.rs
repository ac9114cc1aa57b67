//! Statements about foreign servers and their tables, as the coordinator runs them.

use crate::binder::same_name;
use crate::catalog::Catalog;
use crate::error::{Error, Result};
use crate::parse::{ServerOption, Syntax, table_name};
use crate::planning::schema;
use crate::statement::{CreateForeignTable, CreateServer, ImportForeignSchema, Statement, TableName};
use sqlparser::ast;

pub(crate) fn statement(syntax: &Syntax, catalog: &dyn Catalog) -> Result<Statement> {
    let named = |name: &ast::ObjectName| -> Result<TableName> { Ok(table_name(name)?.0) };
    let values = |names: &[ast::Ident]| names.iter().map(|name| name.value.clone()).collect::<Vec<_>>();
    Ok(match syntax {
        Syntax::CreateServer { name, if_not_exists, wrapper, options } => {
            let option = |option: &ServerOption| (option.name.clone(), option.value.clone());
            Statement::CreateServer(CreateServer {
                name: name.value.clone(),
                if_not_exists: *if_not_exists,
                wrapper: wrapper.value.to_lowercase(),
                options: options.iter().map(option).collect(),
            })
        }
        Syntax::DropServer { name, if_exists, cascade } => {
            Statement::DropServer { name: name.value.clone(), if_exists: *if_exists, cascade: *cascade }
        }
        Syntax::CreateForeignTable { name, if_not_exists, columns, server, options } => {
            let name = named(name)?;
            let mut create = CreateForeignTable {
                if_not_exists: *if_not_exists,
                columns: if columns.is_empty() { None } else { Some(schema(columns, catalog)?) },
                server: server.value.clone(),
                remote_schema: None,
                remote_name: name.name.clone(),
                name,
            };
            for option in options {
                match option.name.as_str() {
                    "schema" | "schema_name" => create.remote_schema = Some(option.value.clone()),
                    "table" | "table_name" => create.remote_name = option.value.clone(),
                    other => {
                        let message = format!("a foreign table has no option {other}");
                        let error = Error::value(message).at(option.span);
                        return Err(error.hint("there are schema and table"));
                    }
                }
            }
            Statement::CreateForeignTable(create)
        }
        Syntax::DropForeignTable { names, if_exists, cascade } => Statement::DropForeignTable {
            names: names.iter().map(named).collect::<Result<_>>()?,
            if_exists: *if_exists,
            cascade: *cascade,
        },
        Syntax::ImportForeignSchema { remote, selection, server, into } => {
            let (mut only, mut except) = (None, Vec::new());
            if let Some((limited, names)) = selection {
                for (place, name) in names.iter().enumerate() {
                    if names[..place].iter().any(|other| same_name(&other.value, &name.value)) {
                        let message = format!("table \"{}\" is named twice", name.value);
                        return Err(Error::name(message).at(name.span));
                    }
                }
                match limited {
                    true => only = Some(values(names)),
                    false => except = values(names),
                }
            }
            Statement::ImportForeignSchema(ImportForeignSchema {
                remote_schema: remote.value.clone(),
                only,
                except,
                server: server.value.clone(),
                into: into.value.clone(),
            })
        }
        _ => return Err(Error::internal("a statement of no foreign server")),
    })
}
