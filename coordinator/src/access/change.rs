//! Statements about roles and grants as changes of the catalog, where the user may make them.

use super::Rights;
use super::check::named;
use crate::catalog::ADMIN;
use crate::error::{Error, Result};
use crate::login::scram;
use crate::view::View;
use flight_proto::access::{
    AccessAction, AlterRole, CreatePolicy, DropPolicy, DropRoles, Grant, Grants, Membership, Object,
    ObjectKind, Reassign, Role, RowPolicy, SetOwner, SetRowSecurity, privilege,
};
use planner::catalog::Table;
use planner::{Access, GrantOn, Grantee, Password, Privilege, PrivilegeSet, RoleOptions};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The longest name of a role, in bytes.
const NAME_BYTES: usize = 256;

/// The change that a statement asks for; `None`: it is as it should be.
pub(crate) fn change_of(rights: &Rights, view: &View, statement: &Access) -> Result<Option<AccessAction>> {
    Ok(Some(match statement {
        Access::CreateRole { name, if_not_exists, options, member_of } => {
            rights.check_admin("CREATE ROLE")?;
            rights.check_closing()?;
            if *if_not_exists && rights.has(name) {
                return Ok(None);
            }
            AccessAction::CreateRole(role(name, options, member_of)?)
        }
        Access::AlterRole { role, options } => AccessAction::AlterRole(rights.alter(role, options)?),
        Access::DropRole { names, if_exists } => {
            rights.check_admin("DROP ROLE")?;
            AccessAction::DropRoles(DropRoles { roles: names.clone(), if_exists: *if_exists })
        }
        Access::Grant { privileges, on, grantees, option, revoke } => {
            rights.check_restricted()?;
            let objects = rights.objects(on, view)?;
            if objects.is_empty() {
                return Ok(None);
            }
            for (object, table) in &objects {
                rights.check_grant(object, table.as_deref(), privileges, *revoke)?;
            }
            let mut columns: BTreeMap<String, u32> = BTreeMap::new();
            for (privilege, column) in &privileges.columns {
                *columns.entry(column.clone()).or_default() |= bit(*privilege);
            }
            AccessAction::Grant(Grant {
                objects: objects.into_iter().map(|(object, _)| object).collect(),
                grantees: grantees
                    .iter()
                    .map(|grantee| rights.grantee(grantee, true))
                    .collect::<Result<_>>()?,
                privileges: privileges.whole.iter().fold(0, |set, privilege| set | bit(*privilege)),
                columns,
                option: *option,
                revoke: *revoke,
            })
        }
        Access::Membership { roles, members, option, revoke } => {
            rights.check_restricted()?;
            roles.iter().try_for_each(|role| rights.check_member(role))?;
            let members = members.iter().map(|member| rights.grantee(member, false));
            AccessAction::Membership(Membership {
                roles: roles.clone(),
                members: members.collect::<Result<_>>()?,
                option: *option,
                revoke: *revoke,
            })
        }
        Access::SetOwner { on, owner } => {
            rights.check_restricted()?;
            let owner = rights.grantee(owner, false)?;
            let (object, table) = rights.objects(on, view)?.pop().ok_or_else(nothing)?;
            rights.check_owner(true, rights.grants_on(&object, table.as_deref()), || described(&object))?;
            // Who gives something away must not give it in the name of another.
            if !rights.has_role(&owner.to_lowercase()) {
                return Err(Error::Denied(format!(
                    "permission denied: '{}' is no member of the role '{owner}'",
                    rights.principal
                )));
            }
            AccessAction::SetOwner(SetOwner { object: Some(object), owner })
        }
        Access::CreatePolicy { name, table, roles, condition, restrictive } => {
            let roles = roles.iter().map(|role| rights.grantee(role, true)).collect::<Result<Vec<_>>>()?;
            if name.is_empty() || name.len() > NAME_BYTES {
                return Err(Error::Statement(format!("a policy's name has 1 to {NAME_BYTES} bytes")));
            }
            let policy = RowPolicy {
                name: name.clone(),
                // One that is for everybody is for whomever else it names.
                roles: if roles.iter().any(String::is_empty) { Vec::new() } else { roles },
                condition: condition.clone(),
                restrictive: *restrictive,
            };
            let table = Some(rights.owned(table)?);
            AccessAction::CreatePolicy(CreatePolicy { table, policy: Some(policy) })
        }
        Access::DropPolicy { name, table, if_exists } => {
            let (table, name, if_exists) = (Some(rights.owned(table)?), name.clone(), *if_exists);
            AccessAction::DropPolicy(DropPolicy { table, name, if_exists })
        }
        Access::SetRowSecurity { table, enabled } => {
            let (table, enabled) = (Some(rights.owned(table)?), *enabled);
            AccessAction::SetRowSecurity(SetRowSecurity { table, enabled })
        }
        Access::Reassign { from, to } => {
            rights.check_admin("REASSIGN OWNED")?;
            let from = from.iter().map(|role| rights.grantee(role, false));
            let from = from.collect::<Result<_>>()?;
            AccessAction::Reassign(Reassign { from, to: rights.grantee(to, false)? })
        }
    }))
}

fn of_table(table: &Arc<Table>) -> (Object, Option<Arc<Table>>) {
    let kind = ObjectKind::Table.into();
    let (schema, name) = (table.schema.clone(), table.name.clone());
    let dataset = if table.foreign.is_some() { 0 } else { table.dataset };
    (Object { kind, schema, name, dataset }, Some(table.clone()))
}

fn nothing() -> Error {
    Error::Internal("an owner of nothing".into())
}

fn role(name: &str, options: &RoleOptions, member_of: &[String]) -> Result<Role> {
    if name.len() > NAME_BYTES || name.contains('/') || name.chars().any(char::is_control) {
        return Err(Error::Statement(format!(
            "a role's name has {NAME_BYTES} bytes at most, no '/' and no control characters"
        )));
    }
    Ok(Role {
        name: name.into(),
        login: options.login.unwrap_or_default(),
        superuser: options.superuser.unwrap_or_default(),
        verifier: verifier(options.password.as_ref())?.unwrap_or_default(),
        member_of: member_of.iter().map(|role| (role.clone(), false)).collect(),
    })
}

/// What is kept of a password; `None`: none was named.
fn verifier(password: Option<&Password>) -> Result<Option<String>> {
    match password {
        None => Ok(None),
        Some(Password(None)) => Ok(Some(String::new())),
        Some(Password(Some(password))) => Ok(Some(scram::verifier_of(password)?)),
    }
}

fn bit(privilege: Privilege) -> u32 {
    match privilege {
        Privilege::Select => privilege::SELECT,
        Privilege::Insert => privilege::INSERT,
        Privilege::Update => privilege::UPDATE,
        Privilege::Delete => privilege::DELETE,
        Privilege::Truncate => privilege::TRUNCATE,
        Privilege::Usage => privilege::USAGE,
        Privilege::Create => privilege::CREATE,
    }
}

fn described(object: &Object) -> String {
    match object.kind() {
        ObjectKind::Database => "the database".into(),
        ObjectKind::Schema => format!("schema {}", object.name),
        ObjectKind::Server => format!("server {}", object.name),
        ObjectKind::Table | ObjectKind::Unknown => format!("table {}.{}", object.schema, object.name),
    }
}

impl Rights {
    fn check_admin(&self, statement: &str) -> Result<()> {
        match self.are_all() {
            true => Ok(()),
            false => Err(self.only_administrators(statement)),
        }
    }

    /// Before there are roles, nothing can be granted to any.
    fn check_restricted(&self) -> Result<()> {
        match self.are_restricted() {
            true => Ok(()),
            false => Err(crate::catalog::Refusal::NotRestricted.into()),
        }
    }

    /// The first role takes from everybody what nobody gave.
    fn check_closing(&self) -> Result<()> {
        match self.are_restricted() || self.is_admin {
            true => Ok(()),
            false => Err(Error::Denied(
                "permission denied: the first role takes everybody's rights but administrators', and is theirs to make: log in \
                 with a key or token that has the role admin (tundra tenant key create TENANT --user USER --role admin)"
                    .into(),
            )),
        }
    }

    fn has(&self, role: &str) -> bool {
        self.access().is_some_and(|access| access.roles.contains_key(&role.to_lowercase()))
    }

    fn alter(&self, role: &Grantee, options: &RoleOptions) -> Result<AlterRole> {
        let role = self.grantee(role, false)?;
        // Everybody may change its own password, and nothing else.
        // A key or a token makes itself no password, which would outlive it.
        let own = self.is_by_password && self.own.as_ref().is_some_and(|own| *own == role.to_lowercase());
        let password_alone = options.login.is_none() && options.superuser.is_none();
        if !(own && password_alone) {
            self.check_admin("ALTER ROLE")?;
        }
        let verifier = verifier(options.password.as_ref())?;
        Ok(AlterRole { role, login: options.login, superuser: options.superuser, verifier })
    }

    /// The name of a role; an empty one stands for everybody, where that may be.
    fn grantee(&self, grantee: &Grantee, everybody: bool) -> Result<String> {
        match grantee {
            Grantee::Role(name) if name.is_empty() => Err(Error::Statement("a role has a name".into())),
            Grantee::Role(name) => Ok(name.clone()),
            Grantee::Everybody if everybody => Ok(String::new()),
            Grantee::Everybody => Err(Error::Statement("PUBLIC is no role".into())),
            Grantee::Oneself => match &self.own {
                Some(own) => Ok(own.clone()),
                None => Err(Error::Statement(format!("'{}' has no role of its name", self.principal))),
            },
        }
    }

    /// The objects that a statement names, with the tables.
    fn objects(&self, on: &GrantOn, view: &View) -> Result<Vec<(Object, Option<Arc<Table>>)>> {
        let plain = |kind: ObjectKind, name: &str| {
            (Object { kind: kind.into(), name: name.into(), ..Object::default() }, None)
        };
        match on {
            GrantOn::Tables(tables) => Ok(tables.iter().map(of_table).collect()),
            GrantOn::AllTables(schemas) => {
                schemas.iter().try_for_each(|schema| self.check_schema(schema))?;
                let within = |table: &&Arc<Table>| {
                    schemas.iter().any(|schema| schema.eq_ignore_ascii_case(&table.schema))
                };
                let seen = view.tables_of_all().filter(within).filter(|table| self.sees(table));
                Ok(seen.map(of_table).collect())
            }
            GrantOn::Schemas(schemas) => {
                schemas.iter().try_for_each(|schema| self.check_schema(schema))?;
                Ok(schemas.iter().map(|schema| plain(ObjectKind::Schema, schema)).collect())
            }
            GrantOn::Databases(names) => match names.iter().find(|name| ***name != *self.tenant) {
                Some(other) => Err(Error::NotFound(format!(
                    "there is no database '{other}': the only one is '{}'",
                    self.tenant
                ))),
                None => Ok(vec![plain(ObjectKind::Database, "")]),
            },
            GrantOn::Servers(names) => Ok(names.iter().map(|name| plain(ObjectKind::Server, name)).collect()),
        }
    }

    /// A table, which must be its own.
    fn owned(&self, table: &Arc<Table>) -> Result<Object> {
        self.check_restricted()?;
        self.check_owner(true, self.grants_of(table), || named(table))?;
        Ok(of_table(table).0)
    }

    fn check_schema(&self, schema: &str) -> Result<()> {
        match self.state.has_schema(&self.tenant, schema) && self.sees_schema(schema) {
            true => Ok(()),
            false => Err(Error::NotFound(format!("there is no schema '{schema}'"))),
        }
    }

    fn grants_on(&self, object: &Object, table: Option<&Table>) -> Option<&Grants> {
        match object.kind() {
            ObjectKind::Database => self.access()?.database.as_ref(),
            ObjectKind::Schema => self.state.schema_grants(&self.tenant, &object.name),
            ObjectKind::Server => self.state.server(&self.tenant, &object.name)?.grants.as_ref(),
            ObjectKind::Table => self.grants_of(table?),
            ObjectKind::Unknown => None,
        }
    }

    /// Whether it may grant and revoke privileges on an object: as its owner, or those that it was granted so. Those on
    /// tables that a schema or the database gives are of others' tables, which only administrators may.
    fn check_grant(
        &self,
        object: &Object,
        table: Option<&Table>,
        privileges: &PrivilegeSet,
        revoke: bool,
    ) -> Result<()> {
        if self.are_all() {
            return Ok(());
        }
        let grants = self.grants_on(object, table);
        let is_table = object.kind() == ObjectKind::Table;
        let may = |wanted: u32, grantable: u32| {
            let of_others = !is_table && wanted & privilege::OF_TABLES != 0;
            // Who granted what is not kept, so that a grant option takes nothing from others.
            (grantable & wanted != 0 && !revoke) || (self.owns(grants) && !of_others)
        };
        let (_, grantable) = self.held(grants);
        let whole = privileges.whole.iter().find(|privilege| !may(bit(**privilege), grantable));
        let of_column = privileges.columns.iter().find(|(privilege, column)| {
            !may(bit(*privilege), grantable | self.held_on_column(grants, Some(column)).1)
        });
        let Some(missing) = whole.or(of_column.map(|(privilege, _)| privilege)) else { return Ok(()) };
        let what = table.map_or_else(|| described(object), named);
        Err(Error::Denied(format!(
            "permission denied for {what}: '{}' may not grant or revoke {} on it: its owner and administrators may, and who was \
             granted it WITH GRANT OPTION may grant it",
            self.principal,
            missing.name()
        )))
    }

    /// Whether it may say who is a member of a role.
    fn check_member(&self, role: &str) -> Result<()> {
        let key = role.to_lowercase();
        if key == ADMIN {
            return Err(Error::Statement(format!(
                "'{ADMIN}' is a role of logins, which keys and tokens have; SUPERUSER is its like for users"
            )));
        }
        if self.are_all() {
            return Ok(());
        }
        let access = self.access();
        let own = self.roles.iter().flatten();
        let mut own = own.filter_map(|own| access?.roles.get(own));
        let may = own.any(|own| own.member_of.get(&key) == Some(&true));
        let superuser = access.and_then(|access| access.roles.get(&key)).is_some_and(|role| role.superuser);
        match may && !superuser {
            true => Ok(()),
            false => Err(Error::Denied(format!(
                "permission denied: '{}' may not say who is a member of the role '{role}': administrators may, and members \
                 WITH ADMIN OPTION",
                self.principal
            ))),
        }
    }
}
