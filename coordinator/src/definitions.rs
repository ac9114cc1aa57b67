//! The views, macros and types of a tenant as the planner takes them.

use crate::catalog::{CatalogState, DEFAULT_SCHEMA};
use columnar::DataType;
use flight_proto::definition::{Definition, DefinitionKind};
use planner::catalog::Table;
use planner::{Macro, MacroParameter, View};
use shard::schema::columns_from_stored;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Lower-case schema and name.
type Key = (String, String);

/// All of a tenant's, at one revision.
#[derive(Default)]
pub(crate) struct Definitions {
    /// The revision of the catalog that last changed any; 0: there never were some.
    pub(crate) revision: u64,
    views: BTreeMap<Key, Arc<View>>,
    macros: BTreeMap<Key, Arc<Macro>>,
    types: BTreeMap<Key, DataType>,
}

impl Definitions {
    pub(crate) fn of(state: &CatalogState, tenant: &str) -> Definitions {
        let revision = state.definitions_revision(tenant);
        let mut definitions = Definitions { revision, ..Definitions::default() };
        for definition in state.definitions(tenant) {
            definitions.add(tenant, definition);
        }
        definitions
    }

    fn add(&mut self, tenant: &str, definition: &Definition) {
        let Definition { schema, name, sql, .. } = definition;
        match definition.kind() {
            DefinitionKind::View => {
                let columns = match columns_from_stored(&definition.columns) {
                    Ok(columns) => columns,
                    Err(error) => return tracing::warn!("view '{schema}.{name}' cannot be used: {error}"),
                };
                let table = Arc::new(Table::of_view(tenant, schema, name, columns));
                let view = View::new(table, sql.clone(), definition.column_names.clone());
                self.views.insert(key(schema, name), Arc::new(view));
            }
            kind @ (DefinitionKind::ScalarMacro | DefinitionKind::TableMacro) => {
                let parameters = definition.parameters.iter().map(|parameter| MacroParameter {
                    name: parameter.name.clone(),
                    default: parameter.default.clone(),
                });
                let is_table = kind == DefinitionKind::TableMacro;
                let (schema, name) = (schema.clone(), name.clone());
                let key = key(&schema, &name);
                let new = Macro::new(schema, name, parameters.collect(), is_table, sql.clone());
                self.macros.insert(key, Arc::new(new));
            }
            DefinitionKind::Type => match columns_from_stored(&definition.columns).as_deref() {
                Ok([column]) => {
                    self.types.insert(key(schema, name), column.data_type);
                }
                _ => tracing::warn!("the type '{schema}.{name}' cannot be used"),
            },
            DefinitionKind::Unknown => {
                tracing::warn!("'{schema}.{name}' is something that this version of Tundra does not know");
            }
        }
    }

    /// The view of that name; `schema` is absent where a query gave none.
    pub(crate) fn view(&self, schema: Option<&str>, name: &str) -> Option<&Arc<View>> {
        self.views.get(&key(schema.unwrap_or(DEFAULT_SCHEMA), name))
    }

    /// The macro of that name; `schema` is absent where a query gave none.
    pub(crate) fn macro_named(&self, schema: Option<&str>, name: &str) -> Option<&Arc<Macro>> {
        // Most tenants have none, and every call of a function asks.
        if self.macros.is_empty() {
            return None;
        }
        self.macros.get(&key(schema.unwrap_or(DEFAULT_SCHEMA), name))
    }

    /// The type of that name; `schema` is absent where a query gave none.
    pub(crate) fn named_type(&self, schema: Option<&str>, name: &str) -> Option<DataType> {
        self.types.get(&key(schema.unwrap_or(DEFAULT_SCHEMA), name)).copied()
    }

    /// In the order of schema and name.
    pub(crate) fn views(&self) -> impl Iterator<Item = (&Key, &Arc<View>)> {
        self.views.iter()
    }

    /// In the order of schema and name.
    pub(crate) fn macros(&self) -> impl Iterator<Item = &Arc<Macro>> {
        self.macros.values()
    }
}

fn key(schema: &str, name: &str) -> Key {
    (schema.to_lowercase(), name.to_lowercase())
}
