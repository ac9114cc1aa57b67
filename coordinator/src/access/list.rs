//! Roles and grants as they are listed.

use super::Rights;
use flight_proto::access::{Grants, Held, Role, RowPolicy, privilege};
use flight_proto::definition::{Definition, DefinitionKind};

/// A privilege that somebody has on an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Granted {
    /// `database`, `schema`, `table`, `view` or `server`.
    pub(crate) kind: &'static str,
    pub(crate) schema: String,
    pub(crate) object: String,
    /// Empty: on all of it.
    pub(crate) column: String,
    /// `PUBLIC` for everybody.
    pub(crate) grantee: String,
    /// `OWNER` of whom it is.
    pub(crate) privilege: &'static str,
    pub(crate) grantable: bool,
}

/// A policy of a table.
pub(crate) struct Policy<'a> {
    pub(crate) schema: &'a str,
    pub(crate) table: &'a str,
    pub(crate) in_force: bool,
    pub(crate) policy: &'a RowPolicy,
    /// Names; `PUBLIC` for everybody.
    pub(crate) roles: Vec<&'a str>,
}

impl Rights {
    /// The policies of tables that it owns.
    pub(crate) fn policies(&self) -> Vec<Policy<'_>> {
        let Some(access) = self.access() else { return Vec::new() };
        let mut all = Vec::new();
        for dataset in self.state.datasets(&self.tenant) {
            let Some(grants) = dataset.grants.as_ref().filter(|grants| self.owns(Some(grants))) else {
                continue;
            };
            all.extend(grants.policies.values().map(|policy| Policy {
                schema: &dataset.schema,
                table: &dataset.name,
                in_force: grants.row_security,
                policy,
                roles: match policy.roles.is_empty() {
                    true => vec!["PUBLIC"],
                    false => {
                        policy.roles.iter().filter_map(|key| Some(&*access.roles.get(key)?.name)).collect()
                    }
                },
            }));
        }
        all
    }

    /// The roles that it may know of, and the names of those that each is a member of: all, or its own.
    pub(crate) fn roles(&self) -> Vec<(&Role, Vec<&str>)> {
        let Some(access) = self.access() else { return Vec::new() };
        let seen = access.roles.iter().filter(|(key, _)| self.has_role(key));
        let with_roles = seen.map(|(_, role)| {
            let member_of = role.member_of.keys().filter_map(|key| access.roles.get(key));
            (role, member_of.map(|role| role.name.as_str()).collect())
        });
        with_roles.collect()
    }

    /// What was granted: everything, or what it has itself and what others have on what it owns.
    pub(crate) fn granted(&self) -> Vec<Granted> {
        let mut all = Vec::new();
        let database = self.access().and_then(|access| access.database.as_ref());
        self.list(&mut all, ("database", "", &self.tenant), database);
        for schema in self.state.schemas(&self.tenant) {
            self.list(
                &mut all,
                ("schema", &schema, &schema),
                self.state.schema_grants(&self.tenant, &schema),
            );
        }
        for table in self.state.datasets(&self.tenant) {
            self.list(&mut all, ("table", &table.schema, &table.name), table.grants.as_ref());
        }
        for table in self.state.foreign_tables(&self.tenant) {
            self.list(&mut all, ("table", &table.schema, &table.name), table.grants.as_ref());
        }
        let is_view = |definition: &&Definition| definition.kind() == DefinitionKind::View;
        for view in self.state.definitions(&self.tenant).filter(is_view) {
            self.list(&mut all, ("view", &view.schema, &view.name), view.grants.as_ref());
        }
        for server in self.state.servers(&self.tenant) {
            self.list(&mut all, ("server", "", &server.name), server.grants.as_ref());
        }
        all
    }

    fn list(&self, all: &mut Vec<Granted>, object: (&'static str, &str, &str), grants: Option<&Grants>) {
        let (Some(access), Some(grants)) = (self.access(), grants) else { return };
        let (kind, schema, name) = object;
        let mut add = |column: &str, key: &str, privilege: &'static str, grantable: bool| {
            let grantee = access.roles.get(key).map_or("PUBLIC", |role| &role.name).to_string();
            let (schema, object, column) = (schema.into(), name.into(), column.into());
            all.push(Granted { kind, schema, object, column, grantee, privilege, grantable });
        };
        let is_owner = self.owns(Some(grants));
        if is_owner && !grants.owner.is_empty() {
            add("", &grants.owner, "OWNER", true);
        }
        let seen = grants.held.iter().filter(|(key, _)| is_owner || self.has_role(key));
        for (key, Held { privileges, grantable, columns }) in seen {
            for (bit, name) in privilege::NAMES {
                if privileges & bit != 0 {
                    add("", key, name, grantable & bit != 0);
                }
                for (column, held) in columns.iter().filter(|(_, held)| held.privileges & bit != 0) {
                    add(column, key, name, held.grantable & bit != 0);
                }
            }
        }
    }
}
