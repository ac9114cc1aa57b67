//! What statements change of views and macros: the catalog alone has them.

use super::{Datasets, shard_error};
use crate::catalog::{CatalogState, DEFAULT_SCHEMA, is_built_in};
use crate::error::{Error, Result};
use columnar::DataType;
use columnar::types::Nested;
use flight_proto::access::Grants;
use flight_proto::catalog::Change;
use flight_proto::definition::{self, Define, Definition, DefinitionKind, Parameter, SetComment, Undefine};
use planner::catalog::Table;
use planner::{CreateMacro, CreateType, CreateView, TableName, Use, UseKind};
use prost::Message;
use shard::schema::columns_to_stored;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use storage::ColumnSchema;

/// Views and macros that a tenant may have, and bytes of their texts.
const MOST: usize = 10_000;
const MOST_BYTES: usize = 64 << 20;
/// Bytes of all that is noted of a tenant's objects.
const MOST_COMMENT_BYTES: usize = 16 << 20;

/// Refuses what the user may not do, by the rights of the moment.
pub(crate) type MayChange<'a> = dyn Fn() -> Result<()> + Send + Sync + 'a;

/// What is asked of a name.
struct Wanted<'a> {
    name: &'a TableName,
    or_replace: bool,
    if_not_exists: bool,
}

impl Datasets {
    /// `owner` is a role, or empty.
    pub(crate) async fn create_view(
        &self,
        create: &CreateView,
        owner: &str,
        may: &MayChange<'_>,
    ) -> Result<()> {
        let definition = Definition {
            kind: DefinitionKind::View.into(),
            columns: columns_to_stored(&create.columns).map_err(shard_error)?,
            column_names: create.column_names.clone(),
            invoker: true,
            ..definition(&create.name, &create.sql, &create.uses, owner)
        };
        let CreateView { name, or_replace, if_not_exists, .. } = create;
        let wanted = Wanted { name, or_replace: *or_replace, if_not_exists: *if_not_exists };
        self.define(definition, wanted, may).await
    }

    pub(crate) async fn create_macro(
        &self,
        create: &CreateMacro,
        owner: &str,
        may: &MayChange<'_>,
    ) -> Result<()> {
        let kind = if create.is_table { DefinitionKind::TableMacro } else { DefinitionKind::ScalarMacro };
        let parameters = create
            .parameters
            .iter()
            .map(|parameter| Parameter { name: parameter.name.clone(), default: parameter.default.clone() });
        let definition = Definition {
            kind: kind.into(),
            parameters: parameters.collect(),
            ..definition(&create.name, &create.sql, &create.uses, owner)
        };
        let CreateMacro { name, or_replace, if_not_exists, .. } = create;
        let wanted = Wanted { name, or_replace: *or_replace, if_not_exists: *if_not_exists };
        self.define(definition, wanted, may).await
    }

    pub(crate) async fn create_type(
        &self,
        create: &CreateType,
        owner: &str,
        may: &MayChange<'_>,
    ) -> Result<()> {
        let CreateType { name, or_replace, if_not_exists, data_type } = create;
        let column = ColumnSchema { name: name.name.clone(), data_type: *data_type, nullable: true };
        let definition = Definition {
            kind: DefinitionKind::Type.into(),
            columns: columns_to_stored(&[column]).map_err(shard_error)?,
            ..definition(name, "", &[], owner)
        };
        let wanted = Wanted { name, or_replace: *or_replace, if_not_exists: *if_not_exists };
        self.define(definition, wanted, may).await
    }

    async fn define(&self, definition: Definition, wanted: Wanted<'_>, may: &MayChange<'_>) -> Result<()> {
        let (schema, name) = (&definition.schema, wanted.name);
        if is_built_in(&schema.to_lowercase()) {
            return Err(Error::Statement(format!("schema '{}' is built in", schema.to_lowercase())));
        }
        let snapshot = self.catalog().snapshot();
        let (kind, word) = match definition.kind() {
            DefinitionKind::View => (UseKind::Relation, "view"),
            DefinitionKind::Type => (UseKind::Type, "type"),
            _ => (UseKind::Macro, "macro"),
        };
        let known = self.known_definition(&snapshot, kind, schema, &name.name);
        if let Some(known) = known {
            if wanted.if_not_exists {
                return Ok(());
            }
            let is_same = known.kind == definition.kind || kind == UseKind::Macro;
            if kind == UseKind::Type && wanted.or_replace {
                self.check_no_column(name)?;
            }
            if !(wanted.or_replace && is_same) {
                return Err(Error::AlreadyExists(format!("{word} '{name}' already exists")));
            }
        } else if kind == UseKind::Relation {
            let is_table = snapshot.table(&self.tenant, schema, &name.name).is_some()
                || snapshot.foreign_table(&self.tenant, schema, &name.name).is_some();
            if is_table {
                return Err(Error::AlreadyExists(format!("'{name}' already exists, and is a table")));
            }
        }
        let replaces = known.map_or(0, |known| known.revision);
        self.check_definitions(&snapshot, definition.encoded_len())?;
        if kind == UseKind::Relation && replaces == 0 {
            self.see_unread().await?;
        }
        may()?;
        let above = self.ground.shared.highest_seen.load(Ordering::Relaxed);
        self.propose(Change::Define(Define { definition: Some(definition), replaces, above })).await?;
        self.show();
        Ok(())
    }

    fn known_definition<'a>(
        &self,
        snapshot: &'a CatalogState,
        kind: UseKind,
        schema: &str,
        name: &str,
    ) -> Option<&'a Definition> {
        match kind {
            UseKind::Relation => snapshot.view(&self.tenant, schema, name),
            UseKind::Macro => snapshot.macro_named(&self.tenant, schema, name),
            UseKind::Type => snapshot.type_named(&self.tenant, schema, name),
        }
    }

    /// Refuses more definitions than a catalog can carry.
    fn check_definitions(&self, snapshot: &CatalogState, more_bytes: usize) -> Result<()> {
        let sizes = snapshot.definitions(&self.tenant).map(Definition::encoded_len);
        let (count, bytes) = sizes.fold((1, more_bytes), |(count, bytes), more| (count + 1, bytes + more));
        match count > MOST || bytes > MOST_BYTES {
            true => Err(Error::Overloaded(format!(
                "a tenant has {MOST} views and macros at most, and {} MiB of their texts",
                MOST_BYTES >> 20
            ))),
            false => Ok(()),
        }
    }

    /// Refuses to take a type away of which there is a column: it has its values itself, but nobody could write a cast to it
    /// any more.
    fn check_no_column(&self, name: &TableName) -> Result<()> {
        let schema = name.schema.as_deref().unwrap_or(DEFAULT_SCHEMA);
        let view = self.view();
        let Some(data_type) = view.definitions.named_type(Some(schema), &name.name) else { return Ok(()) };
        let of_type = |table: &&Arc<Table>| {
            // What a view names, the catalog knows.
            !table.is_view() && table.columns.iter().any(|column| is_within(column.data_type, data_type))
        };
        match view.tables_of_all().find(of_type) {
            Some(table) => Err(Error::Statement(format!(
                "the type '{name}' cannot be dropped or replaced: table '{}.{}' has a column of it",
                table.schema, table.name
            ))),
            None => Ok(()),
        }
    }

    pub(crate) async fn drop_definition(
        &self,
        kind: UseKind,
        name: &TableName,
        if_exists: bool,
        cascade: bool,
        may: &MayChange<'_>,
    ) -> Result<()> {
        let schema = name.schema.as_deref().unwrap_or(DEFAULT_SCHEMA);
        let snapshot = self.catalog().snapshot();
        let Some(known) = self.known_definition(&snapshot, kind, schema, &name.name) else {
            let is_foreign = snapshot.foreign_table(&self.tenant, schema, &name.name).is_some();
            let is_table = is_foreign || snapshot.table(&self.tenant, schema, &name.name).is_some();
            return match kind {
                UseKind::Relation if is_table => {
                    let drop = if is_foreign { "DROP FOREIGN TABLE" } else { "DROP TABLE" };
                    Err(Error::Statement(format!("'{name}' is not a view; use {drop}")))
                }
                _ if if_exists => Ok(()),
                UseKind::Relation => Err(Error::NotFound(format!("there is no view '{name}'"))),
                UseKind::Macro => Err(Error::NotFound(format!("there is no macro '{name}'"))),
                UseKind::Type => Err(Error::NotFound(format!("there is no type '{name}'"))),
            };
        };
        if kind == UseKind::Type {
            self.check_no_column(name)?;
        }
        // What has the name by the time it is dropped may be another's.
        may()?;
        let undefine = Undefine {
            schema: schema.into(),
            kind: stored_kind(kind),
            name: name.name.clone(),
            cascade,
            revision: known.revision,
        };
        self.propose(Change::Undefine(undefine)).await?;
        self.show();
        Ok(())
    }

    pub(crate) async fn set_comment(&self, comment: &planner::Comment) -> Result<()> {
        let planner::Comment { kind, schema, name, column, text } = comment;
        let schema = if schema.is_empty() { DEFAULT_SCHEMA } else { schema };
        let snapshot = self.catalog().snapshot();
        let text = text.clone().unwrap_or_default();
        let sizes = snapshot.comments(&self.tenant).map(|(_, comment)| comment.text.len());
        let bytes = sizes.sum::<usize>() + text.len();
        if bytes > MOST_COMMENT_BYTES {
            let most = MOST_COMMENT_BYTES >> 20;
            return Err(Error::Overloaded(format!("the comments of a tenant have {most} MiB at most")));
        }
        let comment = definition::Comment {
            kind: kind.map_or(definition::UseKind::Unknown.into(), stored_kind),
            name: name.to_lowercase(),
            column: column.as_deref().unwrap_or_default().to_lowercase(),
            text,
        };
        let set = SetComment { schema: schema.into(), comment: Some(comment) };
        self.propose(Change::SetComment(set)).await.map(drop)
    }

    /// Drops the views and macros of a schema, or its types, and what uses them elsewhere.
    pub(super) async fn drop_definitions(&self, schema: &str, types: bool) -> Result<()> {
        let snapshot = self.catalog().snapshot();
        let within = |definition: &&Definition| {
            definition.schema.to_lowercase() == schema.to_lowercase()
                && (definition.kind() == DefinitionKind::Type) == types
        };
        for definition in snapshot.definitions(&self.tenant).filter(within) {
            let kind = match definition.kind() {
                DefinitionKind::View => UseKind::Relation,
                DefinitionKind::Type => UseKind::Type,
                _ => UseKind::Macro,
            };
            let name = TableName { schema: Some(schema.into()), name: definition.name.clone() };
            self.drop_definition(kind, &name, true, true, &|| Ok(())).await?;
        }
        Ok(())
    }
}

fn definition(name: &TableName, sql: &str, uses: &[Use], owner: &str) -> Definition {
    let uses = uses.iter().map(|one| definition::Use {
        kind: stored_kind(one.kind),
        schema: one.schema.clone(),
        name: one.name.clone(),
    });
    Definition {
        name: name.name.clone(),
        schema: name.schema.clone().unwrap_or_else(|| DEFAULT_SCHEMA.into()),
        sql: sql.into(),
        uses: uses.collect(),
        grants: Some(Grants { owner: owner.into(), ..Grants::default() }),
        ..Definition::default()
    }
}

/// Whether a type is the other one, or has it within.
fn is_within(data_type: DataType, sought: DataType) -> bool {
    if data_type == sought {
        return true;
    }
    match data_type.as_nested().map(|kind| &kind.info().shape) {
        Some(Nested::List(element) | Nested::Array { element, .. }) => is_within(*element, sought),
        Some(Nested::Map { key, value }) => is_within(*key, sought) || is_within(*value, sought),
        Some(Nested::Struct(fields)) => fields.iter().any(|field| is_within(field.data_type, sought)),
        None => false,
    }
}

fn stored_kind(kind: UseKind) -> i32 {
    let kind = match kind {
        UseKind::Relation => definition::UseKind::Relation,
        UseKind::Macro => definition::UseKind::Macro,
        UseKind::Type => definition::UseKind::Type,
    };
    kind.into()
}
