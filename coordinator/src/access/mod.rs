//! What a user may do with its tenant's objects: [`Rights`], as the catalog's roles and grants give them.
//!
//! A tenant without roles is open. In one that has some, administrators may do everything: operators in the default tenant,
//! logins whose key or token says `admin`, superusers. Everybody else may do what the role of its name, the roles of its
//! login, and those that these are members of were granted, and everything with what they own. Rights are worked out anew for
//! each statement, from the catalog as the statement sees it.

mod change;
mod check;
mod list;

pub(crate) use change::change_of;

use crate::catalog::{CatalogState, closure};
use crate::datasets::now_us;
use crate::error::{Error, Result};
use crate::login::Caller;
use flight_proto::access::{Access, Grants, Role, RowPolicy, privilege};
use planner::catalog::{RowFilter, Table};
use std::collections::BTreeSet;
use std::sync::Arc;
use storage::ColumnSchema;

/// Whose rights they are.
pub(crate) struct Who<'a> {
    pub(crate) tenant: &'a Arc<str>,
    pub(crate) principal: &'a Arc<str>,
    pub(crate) caller: &'a Caller,
}

/// What a user may do.
pub(crate) struct Rights {
    state: Arc<CatalogState>,
    tenant: Arc<str>,
    principal: Arc<str>,
    /// The key of the role of its name, if it has one.
    own: Option<String>,
    /// Keys of its roles, and an empty one for what everybody has. `None`: it may do everything.
    roles: Option<BTreeSet<String>>,
    /// Of an open tenant everybody may do everything, but not close it.
    is_admin: bool,
    is_by_password: bool,
}

impl Rights {
    /// An error where what the caller has shown is good no longer, or where the role of its name may not log in.
    pub(crate) fn of(state: Arc<CatalogState>, who: &Who<'_>) -> Result<Rights> {
        let (tenant, principal, caller) = (who.tenant.clone(), who.principal.clone(), who.caller);
        caller.check(&state, now_us())?;
        let (is_admin, is_by_password) = (caller.is_admin(), caller.is_by_password());
        let Some(access) = state.access(&tenant) else {
            let (own, roles) = (None, None);
            return Ok(Rights { state, tenant, principal, own, roles, is_admin, is_by_password });
        };
        let own = role_of(access, &principal).map(|(key, role)| (key, role.login, role.superuser));
        if own.is_some_and(|(_, login, _)| !login) && !is_admin {
            return Err(Error::Denied(format!("the role '{principal}' may not log in")));
        }
        let is_admin = is_admin || own.is_some_and(|(_, _, superuser)| superuser);
        let own = own.map(|(key, ..)| key.clone());
        let roles = (!is_admin).then(|| {
            let of_login = caller.roles.iter().filter_map(|name| role_of(access, name)).map(|(key, _)| key);
            let mut roles = closure(access, own.iter().chain(of_login));
            roles.insert(String::new());
            roles
        });
        Ok(Rights { state, tenant, principal, own, roles, is_admin, is_by_password })
    }

    /// Of an open tenant without anything.
    #[cfg(test)]
    pub(crate) fn of_everything() -> Rights {
        let who =
            Who { tenant: &"default".into(), principal: &"test".into(), caller: &Caller::within("test") };
        Rights::of(Arc::default(), &who).unwrap()
    }

    /// Whether it may do everything with the tenant's objects.
    pub(crate) fn are_all(&self) -> bool {
        self.roles.is_none()
    }

    /// Whether rights differ from user to user.
    pub(crate) fn are_restricted(&self) -> bool {
        self.access().is_some()
    }

    pub(crate) fn principal(&self) -> &str {
        &self.principal
    }

    /// The name of the role that owns what it creates; empty: it has none.
    pub(crate) fn owner(&self) -> &str {
        self.own.as_deref().unwrap_or_default()
    }

    fn access(&self) -> Option<&Access> {
        self.state.access(&self.tenant)
    }

    /// Whether it has a role, itself or as a member.
    pub(crate) fn has_role(&self, key: &str) -> bool {
        self.roles.as_ref().is_none_or(|roles| roles.contains(key))
    }

    /// The names of its roles.
    pub(crate) fn role_names(&self) -> Vec<String> {
        let Some(access) = self.access() else { return Vec::new() };
        let mut keys = closure(access, &self.own);
        keys.extend(self.roles.iter().flatten().cloned());
        keys.iter().filter_map(|key| access.roles.get(key)).map(|role| role.name.clone()).collect()
    }

    fn owns(&self, grants: Option<&Grants>) -> bool {
        match (&self.roles, grants) {
            (None, _) => true,
            (Some(roles), Some(grants)) => !grants.owner.is_empty() && roles.contains(&grants.owner),
            (Some(_), None) => false,
        }
    }

    /// What its roles hold on an object, and what of that they may grant.
    fn held(&self, grants: Option<&Grants>) -> (u32, u32) {
        let held = grants.into_iter().flat_map(|grants| &grants.held);
        let own = held.filter(|(key, _)| self.has_role(key)).map(|(_, held)| held);
        own.fold((0, 0), |(set, grantable), held| (set | held.privileges, grantable | held.grantable))
    }

    /// The same of a column; `None`: of any of them.
    fn held_on_column(&self, grants: Option<&Grants>, column: Option<&str>) -> (u32, u32) {
        let held = grants.into_iter().flat_map(|grants| &grants.held);
        let own = held.filter(|(key, _)| self.has_role(key)).flat_map(|(_, held)| &held.columns);
        let column = column.map(str::to_lowercase);
        let wanted = own.filter(|(name, _)| column.as_ref().is_none_or(|column| column == *name));
        wanted.fold((0, 0), |(set, grantable), (_, held)| (set | held.privileges, grantable | held.grantable))
    }

    fn on_database(&self) -> u32 {
        match self.are_all() {
            true => u32::MAX,
            false => self.held(self.access().and_then(|access| access.database.as_ref())).0,
        }
    }

    fn on_schema(&self, schema: &str) -> u32 {
        let grants = self.state.schema_grants(&self.tenant, schema);
        let mut set = self.on_database() | self.held(grants).0;
        if self.owns(grants) {
            set |= privilege::USAGE | privilege::CREATE;
        }
        if set & privilege::OF_TABLES != 0 {
            set |= privilege::USAGE;
        }
        set
    }

    /// Of a table that is there no longer, whoever may still see it, nothing is granted.
    fn knows(&self, table: &Table) -> bool {
        self.are_all()
            || match table.foreign {
                Some(_) => self.state.foreign_table(&self.tenant, &table.schema, &table.name).is_some(),
                None if table.is_view() => {
                    self.state.view(&self.tenant, &table.schema, &table.name).is_some()
                }
                None => self.state.dataset(&self.tenant, table.dataset).is_some(),
            }
    }

    fn grants_of(&self, table: &Table) -> Option<&Grants> {
        match table.foreign {
            Some(_) => self.state.foreign_table(&self.tenant, &table.schema, &table.name)?.grants.as_ref(),
            None if table.is_view() => {
                self.state.view(&self.tenant, &table.schema, &table.name)?.grants.as_ref()
            }
            None => self.state.dataset(&self.tenant, table.dataset)?.grants.as_ref(),
        }
    }

    /// What it may do with all columns of a table.
    fn on_table(&self, table: &Table) -> u32 {
        if !self.knows(table) {
            return 0;
        }
        let grants = self.grants_of(table);
        if self.owns(grants) {
            return u32::MAX;
        }
        let schema = self.on_schema(&table.schema);
        match schema & privilege::USAGE {
            0 => 0,
            _ => (schema & privilege::OF_TABLES) | self.held(grants).0,
        }
    }

    /// What it may do with a column of a table; `None`: with any.
    fn on_column(&self, table: &Table, column: Option<&str>) -> u32 {
        match self.on_schema(&table.schema) & privilege::USAGE {
            _ if !self.knows(table) => 0,
            0 => self.on_table(table),
            _ => self.on_table(table) | self.held_on_column(self.grants_of(table), column).0,
        }
    }

    /// When roles, grants or policies last changed; 0: there are no roles.
    pub(crate) fn revision(&self) -> u64 {
        self.access().map_or(0, |access| access.revision)
    }

    /// Whether what is read of a table hangs on who reads.
    pub(crate) fn has_row_security(&self, table: &Table) -> bool {
        self.grants_of(table).is_some_and(|grants| grants.row_security)
    }

    /// Which rows of a table it may read; `None`: all.
    pub(crate) fn row_filter(&self, table: &Table) -> Option<RowFilter> {
        let grants = self.grants_of(table).filter(|grants| grants.row_security)?;
        if self.owns(Some(grants)) {
            return None;
        }
        let mut filter = RowFilter::default();
        let own = |policy: &&RowPolicy| {
            policy.roles.is_empty() || policy.roles.iter().any(|role| self.has_role(role))
        };
        for policy in grants.policies.values().filter(own) {
            let of_kind = if policy.restrictive { &mut filter.restrictive } else { &mut filter.permissive };
            of_kind.push(policy.condition.clone());
        }
        Some(filter)
    }

    /// Whether it may know that there is a schema.
    pub(crate) fn sees_schema(&self, schema: &str) -> bool {
        self.on_schema(schema) != 0
    }

    /// Whether it may name what is in a schema.
    pub(crate) fn uses_schema(&self, schema: &str) -> bool {
        self.on_schema(schema) & privilege::USAGE != 0
    }

    /// Whether it may know what a table is.
    pub(crate) fn sees(&self, table: &Table) -> bool {
        self.on_column(table, None) != 0
    }

    pub(crate) fn sees_column(&self, table: &Table, column: &str) -> bool {
        self.on_column(table, Some(column)) != 0
    }

    /// The columns of a table that it may know of.
    pub(crate) fn columns_seen<'a>(&self, table: &'a Table) -> Vec<(usize, &'a ColumnSchema)> {
        let all = self.on_table(table) != 0;
        let columns = table.columns.iter().enumerate();
        columns.filter(|(_, column)| all || self.on_column(table, Some(&column.name)) != 0).collect()
    }

    /// As [`Rights::sees`], of a table of that name.
    pub(crate) fn sees_name(&self, schema: &str, name: &str, tables: &crate::view::View) -> bool {
        use planner::catalog::Catalog;
        self.are_all() || tables.table(Some(schema), name).is_some_and(|table| self.sees(&table))
    }

    /// Whether it may know of a server, or use it.
    pub(crate) fn uses_server(&self, server: &str) -> bool {
        let grants = self.state.server(&self.tenant, server).and_then(|server| server.grants.as_ref());
        self.owns(grants) || (self.held(grants).0 | self.on_database()) & privilege::USAGE != 0
    }
}

/// The role of exactly that name, and its key: names of users that others give out may differ by case alone.
pub(crate) fn role_of<'a>(access: &'a Access, name: &str) -> Option<(&'a String, &'a Role)> {
    let (key, role) = access.roles.get_key_value(&name.to_lowercase())?;
    (role.name == name).then_some((key, role))
}
