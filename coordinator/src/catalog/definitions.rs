//! What the catalog knows of views and macros: texts, and which of them use what.
//!
//! In every state what a definition uses is there, and none uses itself, by whatever way.

use super::reply::Refusal;
use super::{access, comments};
use flight_proto::catalog::{Schema, Tenant};
use flight_proto::definition::{Define, Definition, DefinitionKind, Undefine, Use, UseKind};
use flight_proto::schema::Column;
use std::collections::{BTreeMap, BTreeSet};

type Changed = std::result::Result<(), Refusal>;

/// What a definition may use: names in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Named {
    pub(super) kind: i32,
    pub(super) schema: String,
    pub(super) name: String,
}

impl Named {
    pub(crate) fn new(kind: UseKind, schema: &str, name: &str) -> Named {
        Named { kind: kind.into(), schema: schema.to_lowercase(), name: name.to_lowercase() }
    }

    pub(crate) fn relation(schema: &str, name: &str) -> Named {
        Named::new(UseKind::Relation, schema, name)
    }

    fn of(definition: &Definition) -> Named {
        let kind = match definition.kind() {
            DefinitionKind::View => UseKind::Relation,
            DefinitionKind::Type => UseKind::Type,
            _ => UseKind::Macro,
        };
        Named::new(kind, &definition.schema, &definition.name)
    }

    fn of_use(used: &Use) -> Named {
        Named::new(used.kind(), &used.schema, &used.name)
    }

    fn in_words(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }
}

/// Every view, macro and type of a tenant.
pub(super) fn all(tenant: &Tenant) -> impl Iterator<Item = &Definition> {
    tenant
        .schemas
        .values()
        .flat_map(|schema| schema.views.values().chain(schema.macros.values()).chain(schema.types.values()))
}

/// The definitions of a schema that share names with what is named.
fn kept<'a>(schema: &'a Schema, named: &Named) -> &'a BTreeMap<String, Definition> {
    match UseKind::try_from(named.kind) {
        Ok(UseKind::Relation) => &schema.views,
        Ok(UseKind::Type) => &schema.types,
        _ => &schema.macros,
    }
}

fn kept_mut<'a>(schema: &'a mut Schema, named: &Named) -> &'a mut BTreeMap<String, Definition> {
    match UseKind::try_from(named.kind) {
        Ok(UseKind::Relation) => &mut schema.views,
        Ok(UseKind::Type) => &mut schema.types,
        _ => &mut schema.macros,
    }
}

fn find<'a>(tenant: &'a Tenant, named: &Named) -> Option<&'a Definition> {
    let schema = tenant.schemas.get(&named.schema)?;
    kept(schema, named).get(&named.name)
}

/// What uses something: directly, or what uses it uses it.
pub(super) fn dependents(tenant: &Tenant, used: &Named) -> BTreeSet<Named> {
    let mut users: BTreeMap<Named, Vec<Named>> = BTreeMap::new();
    for definition in all(tenant) {
        let user = Named::of(definition);
        for used in &definition.uses {
            users.entry(Named::of_use(used)).or_default().push(user.clone());
        }
    }
    let mut found = BTreeSet::new();
    let mut next = vec![used.clone()];
    while let Some(one) = next.pop() {
        for user in users.get(&one).into_iter().flatten() {
            if found.insert(user.clone()) {
                next.push(user.clone());
            }
        }
    }
    found
}

/// An error that names one of those that use it, if any does.
pub(super) fn check_unused(tenant: &Tenant, used: &Named) -> Changed {
    match dependents(tenant, used).first() {
        Some(user) => Err(Refusal::InUse(user.in_words())),
        None => Ok(()),
    }
}

/// Whether the definition may be made. `true`: it is a view whose name was nobody's.
pub(super) fn check(tenant: &Tenant, define: &Define) -> std::result::Result<bool, Refusal> {
    let definition = define.definition.as_ref().ok_or(Refusal::UnknownCommand)?;
    let is_view = match definition.kind() {
        DefinitionKind::View => true,
        DefinitionKind::ScalarMacro | DefinitionKind::TableMacro | DefinitionKind::Type => false,
        DefinitionKind::Unknown => return Err(Refusal::UnknownCommand),
    };
    let own = Named::of(definition);
    let schema = tenant.schemas.get(&own.schema);
    let schema = schema.ok_or_else(|| Refusal::NoSchema(definition.schema.clone()))?;
    let known = find(tenant, &own);
    match known {
        None if define.replaces != 0 => return Err(Refusal::DefinitionChanged(definition.name.clone())),
        Some(known) if define.replaces != 0 && known.revision != define.replaces => {
            return Err(Refusal::DefinitionChanged(definition.name.clone()));
        }
        Some(_) if define.replaces == 0 && !is_view => {
            return Err(match definition.kind() {
                // Who asked saw none.
                DefinitionKind::Type => Refusal::DefinitionChanged(definition.name.clone()),
                _ => Refusal::MacroExists(definition.name.clone()),
            });
        }
        Some(_) if define.replaces == 0 => return Err(Refusal::TableExists(definition.name.clone())),
        None if is_view && holds(schema, &own.name) => {
            return Err(Refusal::TableExists(definition.name.clone()));
        }
        _ => {}
    }
    let users = dependents(tenant, &own);
    for used in &definition.uses {
        let named = Named::of_use(used);
        if named == own || users.contains(&named) {
            return Err(Refusal::CircularDefinition(definition.name.clone()));
        }
        let there = tenant.schemas.get(&named.schema).is_some_and(|schema| match used.kind() {
            UseKind::Relation => holds(schema, &named.name),
            UseKind::Macro => schema.macros.contains_key(&named.name),
            UseKind::Type => schema.types.contains_key(&named.name),
            UseKind::Unknown => false,
        });
        if !there {
            return Err(Refusal::NoTable(used.name.clone()));
        }
    }
    if let (Some(known), Some(user), true) = (known, users.first(), is_view)
        && !has_all(&definition.columns, &known.columns)
    {
        return Err(Refusal::ColumnsInUse(user.in_words()));
    }
    Ok(is_view && known.is_none())
}

/// Whether a table, foreign table or view of a schema has that name, in lower case.
pub(super) fn holds(schema: &Schema, name: &str) -> bool {
    schema.tables.contains_key(name)
        || schema.foreign_tables.contains_key(name)
        || schema.views.contains_key(name)
}

/// Whether there are all columns of before, with their types.
fn has_all(columns: &[Column], before: &[Column]) -> bool {
    before.iter().all(|wanted| {
        let mut columns = columns.iter();
        let name = wanted.name.to_lowercase();
        columns.any(|column| column.name.to_lowercase() == name && column.data_type == wanted.data_type)
    })
}

/// Makes a definition that [`check`] has found good.
pub(super) fn insert(tenant: &mut Tenant, define: &Define, revision: u64) {
    let Some(definition) = &define.definition else { return };
    let owner = definition.grants.as_ref().map_or("", |grants| &grants.owner);
    let grants = access::owned_by(tenant, owner);
    let own = Named::of(definition);
    let Some(schema) = tenant.schemas.get_mut(&own.schema) else { return };
    let mut definition = Definition { schema: schema.name.clone(), revision, grants, ..definition.clone() };
    if let Some(before) = kept_mut(schema, &own).remove(&own.name) {
        (definition.name, definition.grants) = (before.name, before.grants);
        let columns = &definition.columns;
        schema.comments.retain(|comment| {
            let of_it = comments::is_of(comment, &own) && !comment.column.is_empty();
            !of_it || columns.iter().any(|column| column.name.to_lowercase() == comment.column)
        });
    }
    kept_mut(schema, &own).insert(own.name, definition);
    tenant.definitions_revision = revision;
}

pub(super) fn undefine(tenant: &mut Tenant, undefine: &Undefine, revision: u64) -> Changed {
    let named = Named::new(undefine.kind(), &undefine.schema, &undefine.name);
    match find(tenant, &named) {
        None => return Err(Refusal::NoDefinition(undefine.name.clone())),
        Some(known) if known.revision != undefine.revision => {
            return Err(Refusal::DefinitionChanged(undefine.name.clone()));
        }
        Some(_) => {}
    }
    if !undefine.cascade {
        check_unused(tenant, &named)?;
    }
    remove_dependents(tenant, &named, revision);
    remove(tenant, &named);
    tenant.definitions_revision = revision;
    Ok(())
}

/// Removes what uses something that goes.
pub(super) fn remove_dependents(tenant: &mut Tenant, used: &Named, revision: u64) {
    for user in dependents(tenant, used) {
        remove(tenant, &user);
        tenant.definitions_revision = revision;
    }
}

fn remove(tenant: &mut Tenant, named: &Named) {
    let Some(schema) = tenant.schemas.get_mut(&named.schema) else { return };
    kept_mut(schema, named).remove(&named.name);
    comments::forget(tenant, named);
}

/// A table that the object store knows has the name of a view that the copy of the catalog still had.
pub(super) fn give_way(tenant: &mut Tenant, schema: &str, name: &str, revision: u64) {
    let view = Named::relation(schema, name);
    if find(tenant, &view).is_some() {
        remove_dependents(tenant, &view, revision);
        remove(tenant, &view);
        tenant.definitions_revision = revision;
    }
}

#[cfg(test)]
mod tests;
