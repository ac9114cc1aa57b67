//! What is noted of schemas and of what is in them.

use super::definitions::Named;
use super::reply::Refusal;
use flight_proto::catalog::{Schema, Tenant};
use flight_proto::definition::{Comment, SetComment, UseKind};
use flight_proto::schema::Column;

/// Whether it is of that object, or of a column of it.
pub(super) fn is_of(comment: &Comment, object: &Named) -> bool {
    (comment.kind, &comment.name) == (object.kind, &object.name)
}

/// Nothing is noted any more of an object that goes.
pub(super) fn forget(tenant: &mut Tenant, object: &Named) {
    if let Some(schema) = tenant.schemas.get_mut(&object.schema) {
        schema.comments.retain(|comment| !is_of(comment, object));
    }
}

pub(super) fn set(tenant: &mut Tenant, set: &SetComment) -> Result<(), Refusal> {
    let comment = set.comment.as_ref().ok_or(Refusal::UnknownCommand)?;
    let key = set.schema.to_lowercase();
    let schema = tenant.schemas.get(&key).ok_or_else(|| Refusal::NoSchema(set.schema.clone()))?;
    let there = match comment.kind() {
        UseKind::Unknown => comment.name.is_empty(),
        UseKind::Macro => schema.macros.contains_key(&comment.name),
        UseKind::Type => schema.types.contains_key(&comment.name),
        UseKind::Relation => {
            let columns = columns_of(tenant, schema, &comment.name);
            let columns = columns.ok_or_else(|| Refusal::NoTable(comment.name.clone()))?;
            let has = columns.iter().any(|column| column.name.to_lowercase() == comment.column);
            if !comment.column.is_empty() && !has {
                return Err(Refusal::NoColumn(comment.column.clone()));
            }
            true
        }
    };
    if !there || (comment.kind() != UseKind::Relation && !comment.column.is_empty()) {
        return Err(Refusal::NoDefinition(comment.name.clone()));
    }
    let Some(schema) = tenant.schemas.get_mut(&key) else { return Err(Refusal::UnknownCommand) };
    let is_same = |other: &Comment| {
        (other.kind, &other.name, &other.column) == (comment.kind, &comment.name, &comment.column)
    };
    schema.comments.retain(|other| !is_same(other));
    if !comment.text.is_empty() {
        schema.comments.push(comment.clone());
        schema.comments.sort_unstable();
    }
    Ok(())
}

fn columns_of<'a>(tenant: &'a Tenant, schema: &'a Schema, name: &str) -> Option<&'a [Column]> {
    if let Some(id) = schema.tables.get(name) {
        return tenant.datasets.get(id).map(|dataset| &*dataset.columns);
    }
    let foreign = schema.foreign_tables.get(name).map(|table| &*table.columns);
    foreign.or_else(|| schema.views.get(name).map(|view| &*view.columns))
}
