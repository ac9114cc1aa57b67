//! Roles and grants as the state machine changes them. Who may change them is looked at before ([`crate::access`]).

use super::reply::Refusal;
use super::state::DEFAULT_SCHEMA;
use flight_proto::access::{
    Access, AccessAction, AccessChange, AlterRole, CreatePolicy, DropPolicy, DropRoles, Grant, Grants, Held,
    Membership, Object, ObjectKind, Reassign, Role, SetOwner, privilege,
};
use flight_proto::catalog::{Dataset, Tenant};
use std::collections::BTreeSet;

type Changed = std::result::Result<(), Refusal>;

/// What logins call administrators.
pub const ADMIN: &str = "admin";
/// Names that mean something else where a role may stand.
const RESERVED: [&str; 6] = [ADMIN, "public", "none", "current_user", "current_role", "session_user"];
/// Roles that a tenant may have.
const MOST_ROLES: usize = 10_000;
/// Datasets with a number and no version whose owners are remembered.
const REMEMBERED: usize = 10_000;

/// Changes a tenant's roles and grants, or nothing.
pub(super) fn change(tenant: &mut Tenant, change: &AccessChange, revision: u64) -> Changed {
    // Whoever asks was allowed to by what it saw.
    if change.seen.is_some_and(|seen| seen != tenant.access.as_ref().map_or(0, |access| access.revision)) {
        return Err(Refusal::AccessChanged);
    }
    let before = tenant.clone();
    let changed = match change.action.as_ref().ok_or(Refusal::UnknownCommand)? {
        AccessAction::CreateRole(role) => create_role(tenant, role),
        AccessAction::AlterRole(alter) => alter_role(tenant, alter),
        AccessAction::DropRoles(drop) => drop_roles(tenant, drop),
        AccessAction::Grant(grant) => change_grants(tenant, grant),
        AccessAction::Membership(membership) => change_members(tenant, membership),
        AccessAction::SetOwner(set) => set_owner(tenant, set),
        AccessAction::Reassign(reassign) => reassign_owned(tenant, reassign),
        AccessAction::CreatePolicy(create) => create_policy(tenant, create),
        AccessAction::DropPolicy(drop) => drop_policy(tenant, drop),
        AccessAction::SetRowSecurity(set) => {
            let table = set.table.as_ref().ok_or(Refusal::UnknownCommand);
            table
                .and_then(|table| grants_of(tenant, table))
                .map(|(grants, _)| grants.row_security = set.enabled)
        }
    };
    match (&changed, &mut tenant.access) {
        (Ok(()), Some(access)) => access.revision = revision,
        (Ok(()), None) => {}
        (Err(_), _) => *tenant = before,
    }
    changed
}

fn roles(tenant: &mut Tenant) -> std::result::Result<&mut Access, Refusal> {
    tenant.access.as_mut().ok_or(Refusal::NotRestricted)
}

/// The key of a role that is there.
fn key_of(access: &Access, name: &str) -> std::result::Result<String, Refusal> {
    let key = name.to_lowercase();
    match access.roles.contains_key(&key) {
        true => Ok(key),
        false => Err(Refusal::NoRole(name.into())),
    }
}

fn create_role(tenant: &mut Tenant, role: &Role) -> Changed {
    let key = role.name.to_lowercase();
    if key.is_empty() || RESERVED.contains(&&*key) {
        return Err(Refusal::ReservedName(role.name.clone()));
    }
    if tenant.access.is_none() {
        // As in PostgreSQL, everybody may name what is in the schema of names that give none.
        if let Some(main) = tenant.schemas.get_mut(DEFAULT_SCHEMA) {
            let held = Held { privileges: privilege::USAGE, ..Held::default() };
            main.grants.get_or_insert_default().held.insert(String::new(), held);
        }
    }
    let access = tenant.access.get_or_insert_default();
    if access.roles.contains_key(&key) {
        return Err(Refusal::RoleExists(role.name.clone()));
    }
    if access.roles.len() >= MOST_ROLES {
        return Err(Refusal::TooManyRoles);
    }
    let mut role = role.clone();
    role.member_of = std::mem::take(&mut role.member_of)
        .into_iter()
        .map(|(name, option)| Ok((key_of(access, &name)?, option)))
        .collect::<std::result::Result<_, Refusal>>()?;
    access.roles.insert(key, role);
    Ok(())
}

fn alter_role(tenant: &mut Tenant, alter: &AlterRole) -> Changed {
    let access = roles(tenant)?;
    let key = key_of(access, &alter.role)?;
    let Some(role) = access.roles.get_mut(&key) else { return Err(Refusal::NoRole(alter.role.clone())) };
    role.login = alter.login.unwrap_or(role.login);
    role.superuser = alter.superuser.unwrap_or(role.superuser);
    if let Some(verifier) = &alter.verifier {
        role.verifier.clone_from(verifier);
    }
    Ok(())
}

fn drop_roles(tenant: &mut Tenant, drop: &DropRoles) -> Changed {
    let Some(access) = tenant.access.as_mut() else {
        return if drop.if_exists { Ok(()) } else { Err(Refusal::NotRestricted) };
    };
    let mut gone = BTreeSet::new();
    for name in &drop.roles {
        match key_of(access, name) {
            Ok(key) => drop_one(access, key, &mut gone),
            Err(_) if drop.if_exists => {}
            Err(refusal) => return Err(refusal),
        }
    }
    if let Some(owner) = owners(tenant).into_iter().find(|owner| gone.contains(owner)) {
        return Err(Refusal::RoleInUse(owner));
    }
    every_grants(tenant, |grants| grants.held.retain(|key, _| !gone.contains(key)));
    if let Some(access) = tenant.access.as_mut() {
        access.roles.values_mut().for_each(|role| role.member_of.retain(|key, _| !gone.contains(key)));
    }
    Ok(())
}

fn drop_one(access: &mut Access, key: String, gone: &mut BTreeSet<String>) {
    access.roles.remove(&key);
    gone.insert(key);
}

/// Those who own anything, or whom a policy names.
fn owners(tenant: &mut Tenant) -> BTreeSet<String> {
    let mut owners = BTreeSet::new();
    every_grants(tenant, |grants| {
        owners.insert(grants.owner.clone());
        owners.extend(grants.policies.values().flat_map(|policy| policy.roles.iter().cloned()));
    });
    owners.extend(tenant.access.iter().flat_map(|access| access.owners.values().cloned()));
    owners.remove("");
    owners
}

/// The grants of all objects.
fn every_grants(tenant: &mut Tenant, mut one: impl FnMut(&mut Grants)) {
    let of_schemas = tenant.schemas.values_mut().flat_map(|schema| {
        let of_tables = schema.foreign_tables.values_mut().filter_map(|table| table.grants.as_mut());
        let defined = schema.views.values_mut().chain(schema.macros.values_mut());
        let defined = defined.chain(schema.types.values_mut());
        let of_views = defined.filter_map(|definition| definition.grants.as_mut());
        schema.grants.iter_mut().chain(of_tables).chain(of_views)
    });
    of_schemas.for_each(&mut one);
    tenant.datasets.values_mut().filter_map(|dataset| dataset.grants.as_mut()).for_each(&mut one);
    tenant.servers.values_mut().filter_map(|server| server.grants.as_mut()).for_each(&mut one);
    tenant.access.iter_mut().filter_map(|access| access.database.as_mut()).for_each(&mut one);
}

/// The grants of an object, and the lower-case names of its columns.
fn grants_of<'a>(
    tenant: &'a mut Tenant,
    object: &Object,
) -> std::result::Result<(&'a mut Grants, Vec<String>), Refusal> {
    let key = object.name.to_lowercase();
    let no_table = || Refusal::NoTable(object.name.clone());
    let lower = |columns: &[flight_proto::schema::Column]| -> Vec<String> {
        columns.iter().map(|column| column.name.to_lowercase()).collect()
    };
    let (grants, columns) = match object.kind() {
        ObjectKind::Database => {
            (tenant.access.as_mut().map(|access| &mut access.database).ok_or(Refusal::NotRestricted)?, vec![])
        }
        ObjectKind::Schema => {
            let schema = tenant.schemas.get_mut(&key);
            (&mut schema.ok_or_else(|| Refusal::NoSchema(object.name.clone()))?.grants, vec![])
        }
        ObjectKind::Server => {
            let server = tenant.servers.get_mut(&key);
            (&mut server.ok_or_else(|| Refusal::NoServer(object.name.clone()))?.grants, vec![])
        }
        ObjectKind::Table if object.dataset == 0 => {
            let schema = tenant.schemas.get_mut(&object.schema.to_lowercase());
            let schema = schema.ok_or_else(no_table)?;
            match (schema.foreign_tables.get_mut(&key), schema.views.get_mut(&key)) {
                (Some(table), _) => (&mut table.grants, lower(&table.columns)),
                (None, Some(view)) => (&mut view.grants, lower(&view.columns)),
                (None, None) => return Err(no_table()),
            }
        }
        ObjectKind::Table => {
            let dataset = tenant.datasets.get_mut(&object.dataset).ok_or_else(no_table)?;
            let columns = lower(&dataset.columns);
            (&mut dataset.grants, columns)
        }
        ObjectKind::Unknown => return Err(Refusal::UnknownCommand),
    };
    Ok((grants.get_or_insert_default(), columns))
}

fn change_grants(tenant: &mut Tenant, grant: &Grant) -> Changed {
    let access = roles(tenant)?;
    let grantees = grant.grantees.iter().map(|name| match name.is_empty() {
        true => Ok(String::new()),
        false => key_of(access, name),
    });
    let grantees = grantees.collect::<std::result::Result<Vec<_>, _>>()?;
    for object in &grant.objects {
        let (grants, known) = grants_of(tenant, object)?;
        let columns = grant.columns.iter().map(|(name, set)| (name.to_lowercase(), *set));
        let columns: Vec<(String, u32)> = columns.collect();
        if let Some((column, _)) = columns.iter().find(|(column, _)| !known.contains(column)) {
            return Err(Refusal::NoColumn(column.clone()));
        }
        for grantee in &grantees {
            let held = grants.held.entry(grantee.clone()).or_default();
            match grant.revoke {
                true => take(held, grant, &columns),
                false => give(held, grant, &columns),
            }
        }
        grants.held.retain(|_, held| held.privileges != 0 || !held.columns.is_empty());
    }
    Ok(())
}

fn give(held: &mut Held, grant: &Grant, columns: &[(String, u32)]) {
    let option = |set: u32| if grant.option { set } else { 0 };
    held.privileges |= grant.privileges;
    held.grantable |= option(grant.privileges);
    for (column, set) in columns {
        let of_column = held.columns.entry(column.clone()).or_default();
        of_column.privileges |= set;
        of_column.grantable |= option(*set);
    }
}

fn take(held: &mut Held, grant: &Grant, columns: &[(String, u32)]) {
    let left = |privileges: &mut u32, grantable: &mut u32, set: u32| {
        *grantable &= !set;
        if !grant.option {
            *privileges &= !set;
        }
    };
    left(&mut held.privileges, &mut held.grantable, grant.privileges);
    for (column, of_column) in &mut held.columns {
        let named = columns.iter().filter(|(name, _)| name == column).fold(0, |set, (_, more)| set | more);
        left(&mut of_column.privileges, &mut of_column.grantable, grant.privileges | named);
    }
    held.columns.retain(|_, of_column| of_column.privileges != 0);
}

fn change_members(tenant: &mut Tenant, change: &Membership) -> Changed {
    let access = roles(tenant)?;
    for name in &change.roles {
        let role = key_of(access, name)?;
        for member in &change.members {
            let member = key_of(access, member)?;
            if !change.revoke && (member == role || closure(access, [&role]).contains(&member)) {
                return Err(Refusal::CircularRoles(member));
            }
            let Some(member) = access.roles.get_mut(&member) else { continue };
            match (change.revoke, change.option) {
                (false, option) => *member.member_of.entry(role.clone()).or_default() |= option,
                (true, true) => {
                    if let Some(option) = member.member_of.get_mut(&role) {
                        *option = false;
                    }
                }
                (true, false) => {
                    member.member_of.remove(&role);
                }
            }
        }
    }
    Ok(())
}

/// The roles of those keys that are there, and all that they are members of.
pub(crate) fn closure<'a>(access: &Access, keys: impl IntoIterator<Item = &'a String>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut next: Vec<&String> = keys.into_iter().collect();
    while let Some(key) = next.pop() {
        let Some(role) = access.roles.get(key) else { continue };
        if found.insert(key.clone()) {
            next.extend(role.member_of.keys());
        }
    }
    found
}

fn create_policy(tenant: &mut Tenant, create: &CreatePolicy) -> Changed {
    let access = roles(tenant)?;
    let (Some(table), Some(policy)) = (&create.table, &create.policy) else {
        return Err(Refusal::UnknownCommand);
    };
    let mut policy = policy.clone();
    policy.roles =
        policy.roles.iter().map(|name| key_of(access, name)).collect::<std::result::Result<_, _>>()?;
    let (grants, _) = grants_of(tenant, table)?;
    let key = policy.name.to_lowercase();
    if grants.policies.contains_key(&key) {
        return Err(Refusal::PolicyExists(policy.name));
    }
    grants.policies.insert(key, policy);
    Ok(())
}

fn drop_policy(tenant: &mut Tenant, drop: &DropPolicy) -> Changed {
    let table = drop.table.as_ref().ok_or(Refusal::UnknownCommand)?;
    match grants_of(tenant, table)?.0.policies.remove(&drop.name.to_lowercase()) {
        None if !drop.if_exists => Err(Refusal::NoPolicy(drop.name.clone())),
        _ => Ok(()),
    }
}

fn set_owner(tenant: &mut Tenant, set: &SetOwner) -> Changed {
    let owner = key_of(roles(tenant)?, &set.owner)?;
    let object = set.object.as_ref().ok_or(Refusal::UnknownCommand)?;
    grants_of(tenant, object)?.0.owner = owner;
    Ok(())
}

fn reassign_owned(tenant: &mut Tenant, reassign: &Reassign) -> Changed {
    let access = roles(tenant)?;
    let to = key_of(access, &reassign.to)?;
    let from = reassign.from.iter().map(|name| key_of(access, name));
    let from = from.collect::<std::result::Result<BTreeSet<_>, _>>()?;
    let given = |owner: &mut String| {
        if from.contains(owner) {
            owner.clone_from(&to);
        }
    };
    access.owners.values_mut().for_each(given);
    every_grants(tenant, |grants| given(&mut grants.owner));
    Ok(())
}

/// What an object begins with that the role of that name creates.
pub(super) fn owned_by(tenant: &Tenant, owner: &str) -> Option<Grants> {
    let owner = key_of(tenant.access.as_ref()?, owner).ok()?;
    Some(Grants { owner, ..Grants::default() })
}

/// Remembers who will own a dataset.
pub(super) fn will_own(tenant: &mut Tenant, dataset: u64, owner: &str) {
    let Some(access) = tenant.access.as_mut() else { return };
    if let Ok(owner) = key_of(access, owner) {
        access.owners.insert(dataset, owner);
        while access.owners.len() > REMEMBERED {
            access.owners.pop_first();
        }
    }
}

/// What a dataset has of grants as its first version is switched on, whatever it comes with.
pub(super) fn settle(tenant: &mut Tenant, dataset: &mut Dataset) {
    let owner = tenant.access.as_mut().and_then(|access| access.owners.remove(&dataset.id));
    dataset.grants = owner.map(|owner| Grants { owner, ..Grants::default() });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{CatalogState, Reply};
    use flight_proto::catalog::{AllocateDataset, Change, Command, CreateSchema, SwitchVersion, Version};
    use flight_proto::schema::Column;

    fn apply(state: &mut CatalogState, change: Change) -> Reply {
        state.apply(&Command { at_us: 5, tenant: "default".into(), change: Some(change) })
    }

    fn act(state: &mut CatalogState, action: AccessAction) -> Reply {
        apply(state, Change::Access(AccessChange { action: Some(action), seen: None }))
    }

    fn role(name: &str) -> Role {
        Role { name: name.into(), login: true, verifier: "v".into(), ..Role::default() }
    }

    /// A table of two columns, which is to be the role's.
    fn table(state: &mut CatalogState, owner: &str) -> Object {
        let allocate =
            AllocateDataset { schema: "main".into(), name: "t".into(), owner: owner.into(), above: 0 };
        let Reply::Dataset(dataset) = apply(state, Change::AllocateDataset(allocate)) else { panic!() };
        let column = |name: &str| Column { name: name.into(), ..Column::default() };
        // What it comes with of grants is not believed.
        let dataset = Dataset {
            id: dataset,
            schema: "main".into(),
            name: "t".into(),
            columns: vec![column("A"), column("b")],
            version: Some(Version { number: 1, ..Version::default() }),
            grants: Some(Grants { owner: "eve".into(), ..Grants::default() }),
            ..Dataset::default()
        };
        let (id, switch) = (dataset.id, SwitchVersion { dataset: Some(dataset) });
        assert_eq!(apply(state, Change::SwitchVersion(switch)), Reply::Done);
        Object { kind: ObjectKind::Table.into(), schema: "main".into(), name: "t".into(), dataset: id }
    }

    fn grants<'a>(state: &'a CatalogState, object: &Object) -> &'a Grants {
        state.dataset("default", object.dataset).unwrap().grants.as_ref().unwrap()
    }

    #[test]
    fn the_first_role_closes_a_tenant() {
        let mut state = CatalogState::default();
        let grant = || AccessAction::Grant(Grant::default());
        assert_eq!(act(&mut state, grant()), Reply::Refused(Refusal::NotRestricted));
        for reserved in ["", "Public", "ADMIN"] {
            let refused = Reply::Refused(Refusal::ReservedName(reserved.into()));
            assert_eq!(act(&mut state, AccessAction::CreateRole(role(reserved))), refused);
        }
        assert!(state.access("default").is_none());
        assert_eq!(act(&mut state, AccessAction::CreateRole(role("Ann"))), Reply::Done);
        let again = act(&mut state, AccessAction::CreateRole(role("ann")));
        assert_eq!(again, Reply::Refused(Refusal::RoleExists("ann".into())));
        let main = &state.schema_grants("default", "main").unwrap().held[""];
        assert_eq!(main.privileges, privilege::USAGE);
        let drop = |name: &str| DropRoles { roles: vec![name.into()], if_exists: false };
        assert_eq!(act(&mut state, AccessAction::DropRoles(drop("ANN"))), Reply::Done);
        assert!(state.access("default").is_some(), "it stays closed");
        let none = Reply::Refused(Refusal::NoRole("ann".into()));
        assert_eq!(act(&mut state, AccessAction::DropRoles(drop("ann"))), none);
        assert_eq!(CatalogState::from_bytes(&state.to_bytes()).unwrap(), state, "snapshots have it");
    }

    #[test]
    fn who_creates_something_owns_it() {
        let mut state = CatalogState::default();
        act(&mut state, AccessAction::CreateRole(role("ann")));
        let object = table(&mut state, "Ann");
        assert_eq!(grants(&state, &object).owner, "ann");
        assert!(state.access("default").unwrap().owners.is_empty());
        apply(&mut state, Change::CreateSchema(CreateSchema { name: "s".into(), owner: "ann".into() }));
        apply(&mut state, Change::CreateSchema(CreateSchema { name: "u".into(), owner: "eve".into() }));
        assert_eq!(state.schema_grants("default", "s").unwrap().owner, "ann");
        assert!(state.schema_grants("default", "u").is_none(), "there is no such role");
        let drop = DropRoles { roles: vec!["ann".into()], if_exists: true };
        let owns = Reply::Refused(Refusal::RoleInUse("ann".into()));
        assert_eq!(act(&mut state, AccessAction::DropRoles(drop.clone())), owns);
        act(&mut state, AccessAction::CreateRole(role("bob")));
        let reassign = Reassign { from: vec!["ANN".into()], to: "Bob".into() };
        assert_eq!(act(&mut state, AccessAction::Reassign(reassign)), Reply::Done);
        assert_eq!(grants(&state, &object).owner, "bob");
        assert_eq!(act(&mut state, AccessAction::DropRoles(drop)), Reply::Done);
    }

    #[test]
    fn privileges_come_and_go() {
        let mut state = CatalogState::default();
        act(&mut state, AccessAction::CreateRole(role("ann")));
        let object = table(&mut state, "");
        assert!(state.dataset("default", object.dataset).unwrap().grants.is_none());
        let grant = |privileges: u32, columns: &[&str], option: bool, revoke: bool| {
            let of_columns = columns.iter().map(|name| (name.to_string(), privilege::SELECT));
            AccessAction::Grant(Grant {
                objects: vec![object.clone()],
                grantees: vec!["Ann".into(), String::new()],
                privileges,
                columns: of_columns.collect(),
                option,
                revoke,
            })
        };
        let (select, insert) = (privilege::SELECT, privilege::INSERT);
        assert_eq!(act(&mut state, grant(insert, &["a", "B"], true, false)), Reply::Done);
        let held = |state: &CatalogState| grants(state, &object).held.get("ann").cloned();
        let found = held(&state).unwrap();
        assert_eq!((found.privileges, found.grantable, found.columns.len()), (insert, insert, 2));
        let unknown = Reply::Refused(Refusal::NoColumn("c".into()));
        let before = state.stored().tenants.clone();
        assert_eq!(act(&mut state, grant(select, &["a", "c"], false, false)), unknown);
        assert_eq!(state.stored().tenants, before, "it is done whole or not at all");
        // The option alone, then one column, then all of them with the table's.
        act(&mut state, grant(insert, &[], true, true));
        assert_eq!((held(&state).unwrap().privileges, held(&state).unwrap().grantable), (insert, 0));
        act(&mut state, grant(0, &["a"], false, true));
        assert_eq!(held(&state).unwrap().columns.keys().collect::<Vec<_>>(), ["b"]);
        act(&mut state, grant(select | insert, &[], false, true));
        assert_eq!(held(&state), None);
        let gone = Object { dataset: 99, ..object.clone() };
        let grant = Grant { objects: vec![gone], grantees: vec!["ann".into()], ..Grant::default() };
        let no_table = Reply::Refused(Refusal::NoTable("t".into()));
        assert_eq!(act(&mut state, AccessAction::Grant(grant)), no_table);
    }

    #[test]
    fn members_are_of_no_circle() {
        let mut state = CatalogState::default();
        for name in ["a", "b", "c"] {
            act(&mut state, AccessAction::CreateRole(role(name)));
        }
        let member = |role: &str, member: &str, option: bool, revoke: bool| {
            let (roles, members) = (vec![role.to_string()], vec![member.to_string()]);
            AccessAction::Membership(Membership { roles, members, option, revoke })
        };
        assert_eq!(act(&mut state, member("a", "b", true, false)), Reply::Done);
        assert_eq!(act(&mut state, member("b", "c", false, false)), Reply::Done);
        for (role, of) in [("c", "a"), ("b", "a"), ("a", "a")] {
            let circle = Reply::Refused(Refusal::CircularRoles(of.into()));
            assert_eq!(act(&mut state, member(role, of, false, false)), circle);
        }
        let all = |state: &CatalogState| closure(state.access("default").unwrap(), [&"c".to_string()]);
        assert_eq!(all(&state).len(), 3);
        // Taking an option from who is no member makes no member.
        act(&mut state, member("a", "c", true, true));
        act(&mut state, member("a", "b", true, true));
        assert_eq!(state.access("default").unwrap().roles["b"].member_of, [("a".into(), false)].into());
        assert!(!state.access("default").unwrap().roles["c"].member_of.contains_key("a"));
        act(&mut state, member("a", "b", false, true));
        assert_eq!(all(&state).len(), 2);
    }

    #[test]
    fn what_was_allowed_by_other_grants_is_not_done() {
        let mut state = CatalogState::default();
        let change = |seen: Option<u64>, name: &str| {
            let action = Some(AccessAction::CreateRole(role(name)));
            Change::Access(AccessChange { action, seen })
        };
        let changed = Reply::Refused(Refusal::AccessChanged);
        assert_eq!(apply(&mut state, change(Some(1), "a")), changed);
        assert_eq!(apply(&mut state, change(Some(0), "a")), Reply::Done);
        assert_eq!(apply(&mut state, change(Some(0), "b")), changed);
        let seen = state.access("default").unwrap().revision;
        assert_eq!((apply(&mut state, change(Some(seen), "b")), seen), (Reply::Done, 2));
    }
}
