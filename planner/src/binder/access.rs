//! Statements about roles and grants, bound: names of tables and columns are looked up, privileges checked against what they
//! are granted on. Roles, schemas and servers are the coordinator's to know.

use crate::binder::{Binder, same_name, suggest};
use crate::catalog::Table;
use crate::error::{Error, Result};
use crate::parse::{AccessSyntax, GrantSyntax, OnSyntax, table_name};
use crate::statement::{Access, GrantOn, Privilege, PrivilegeSet};
use sqlparser::ast::Ident;
use sqlparser::tokenizer::Span;
use std::sync::Arc;

/// What a statement about roles and grants means.
pub(crate) fn statement(binder: &mut Binder<'_>, syntax: &AccessSyntax) -> Result<Access> {
    let names = |idents: &[Ident]| idents.iter().map(|ident| ident.value.clone()).collect::<Vec<_>>();
    Ok(match syntax {
        AccessSyntax::CreateRole { name, if_not_exists, options, member_of } => Access::CreateRole {
            name: name.value.clone(),
            if_not_exists: *if_not_exists,
            options: options.clone(),
            member_of: names(member_of),
        },
        AccessSyntax::AlterRole { role, options } => {
            Access::AlterRole { role: role.clone(), options: options.clone() }
        }
        AccessSyntax::DropRole { names: roles, if_exists } => {
            Access::DropRole { names: names(roles), if_exists: *if_exists }
        }
        AccessSyntax::Grant(grant) => bind_grant(binder, grant)?,
        AccessSyntax::Membership { roles, members, option, revoke } => Access::Membership {
            roles: names(roles),
            members: members.clone(),
            option: *option,
            revoke: *revoke,
        },
        AccessSyntax::AlterOwner { on, owner } => {
            Access::SetOwner { on: bind_on(binder, on)?, owner: owner.clone() }
        }
        AccessSyntax::CreatePolicy { name, table, restrictive, roles, condition } => {
            let (table, span) = table_name(table)?;
            let table = binder.table(&table, span)?;
            if table.foreign.is_some() {
                return Err(Error::unsupported("a policy of a foreign table").at(span));
            }
            let condition = binder.check_policy(&table, condition)?;
            Access::CreatePolicy {
                name: name.value.clone(),
                table,
                roles: roles.clone(),
                condition,
                restrictive: *restrictive,
            }
        }
        AccessSyntax::DropPolicy { name, table, if_exists } => {
            let (table, span) = table_name(table)?;
            let (name, if_exists) = (name.value.clone(), *if_exists);
            Access::DropPolicy { name, table: binder.table(&table, span)?, if_exists }
        }
        AccessSyntax::SetRowSecurity { table, enabled } => {
            let (table, span) = table_name(table)?;
            let table = binder.table(&table, span)?;
            if table.foreign.is_some() {
                return Err(Error::unsupported("row level security of a foreign table").at(span));
            }
            Access::SetRowSecurity { table, enabled: *enabled }
        }
        AccessSyntax::ReassignOwned { from, to } => Access::Reassign { from: from.clone(), to: to.clone() },
    })
}

fn bind_on(binder: &Binder<'_>, on: &OnSyntax) -> Result<GrantOn> {
    let names = |idents: &[Ident]| idents.iter().map(|ident| ident.value.clone()).collect::<Vec<_>>();
    Ok(match on {
        OnSyntax::Tables(tables) => {
            let table = |name| {
                let (name, span) = table_name(name)?;
                binder.relation(&name, span)
            };
            GrantOn::Tables(tables.iter().map(table).collect::<Result<_>>()?)
        }
        OnSyntax::AllTables(schemas) => GrantOn::AllTables(names(schemas)),
        OnSyntax::Schemas(schemas) => GrantOn::Schemas(names(schemas)),
        OnSyntax::Databases(databases) => GrantOn::Databases(names(databases)),
        OnSyntax::Servers(servers) => GrantOn::Servers(names(servers)),
    })
}

fn bind_grant(binder: &Binder<'_>, grant: &GrantSyntax) -> Result<Access> {
    let on = bind_on(binder, &grant.on)?;
    let mut privileges = PrivilegeSet::default();
    for (privilege, columns, span) in &grant.privileges {
        let wanted = match privilege {
            Some(privilege) => vec![*privilege],
            None if columns.is_empty() => all_of(&on).to_vec(),
            None => Privilege::OF_COLUMNS.to_vec(),
        };
        for privilege in wanted {
            check(privilege, &on, columns, *span)?;
            if columns.is_empty() {
                privileges.whole.push(privilege);
            }
            for column in columns {
                privileges.columns.push((privilege, known_column(binder, &on, column)?));
            }
        }
    }
    let (grantees, option, revoke) = (grant.grantees.clone(), grant.option, grant.revoke);
    Ok(Access::Grant { privileges, on, grantees, option, revoke })
}

/// What `ALL` means: as in PostgreSQL, on a schema not what is done with its tables.
fn all_of(on: &GrantOn) -> &'static [Privilege] {
    match on {
        GrantOn::Tables(_) | GrantOn::AllTables(_) => &Privilege::OF_TABLES,
        GrantOn::Schemas(_) => &[Privilege::Usage, Privilege::Create],
        GrantOn::Databases(_) => &[Privilege::Create],
        GrantOn::Servers(_) => &[Privilege::Usage],
    }
}

fn check(privilege: Privilege, on: &GrantOn, columns: &[Ident], span: Span) -> Result<()> {
    let of_tables = Privilege::OF_TABLES.contains(&privilege);
    let (fits, what) = match on {
        GrantOn::Tables(_) | GrantOn::AllTables(_) => (of_tables, "a table"),
        GrantOn::Schemas(_) => (true, "a schema"),
        GrantOn::Databases(_) => (true, "a database"),
        GrantOn::Servers(_) => (privilege == Privilege::Usage, "a server"),
    };
    if !fits {
        let message = format!("{} is no privilege on {what}", privilege.name());
        return Err(Error::value(message).at(span));
    }
    if columns.is_empty() {
        return Ok(());
    }
    if !Privilege::OF_COLUMNS.contains(&privilege) {
        return Err(Error::value(format!("{} is no privilege on columns", privilege.name())).at(span));
    }
    match on {
        GrantOn::Tables(tables) if tables.len() == 1 => Ok(()),
        _ => Err(Error::value("columns are of one table, which ON names alone").at(span)),
    }
}

/// The column's name as it was created.
fn known_column(binder: &Binder<'_>, on: &GrantOn, column: &Ident) -> Result<String> {
    let GrantOn::Tables(tables) = on else { return Ok(column.value.clone()) };
    let of = |table| {
        let table: &Arc<Table> = table;
        table.columns.iter().map(move |column| (table, column.name.as_str()))
    };
    let columns = || tables.iter().flat_map(of);
    match columns().find(|(_, known)| same_name(known, &column.value)) {
        Some((_, known)) => Ok(known.into()),
        None => {
            let error = Error::name(format!("unknown column \"{}\"", column.value)).at(column.span);
            let seen = columns().filter(|(table, name)| binder.sees_column(table, name));
            Err(suggest(error, &column.value, seen.map(|(_, name)| name)))
        }
    }
}
