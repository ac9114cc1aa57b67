//! What is noted of schemas and of what is in them, as far as the user may know of them.

use super::{Names, row};
use crate::view::text;
use flight_proto::definition::{Comment, UseKind};
use planner::catalog::{Catalog, VirtualTable};

impl Names {
    pub(super) fn comments(&self) -> VirtualTable {
        let columns = ["object_type", "schema_name", "object_name", "column_name", "comment"];
        let snapshot = self.coordinator.tenants.catalog().snapshot();
        let noted = snapshot.comments(self.tenant.name());
        let rows = noted.filter_map(|(schema, comment)| {
            let (kind, name, column) = self.noted(schema, comment)?;
            Some(row(&[kind.into(), schema.into(), name, column, comment.text.clone()], &[]))
        });
        VirtualTable { name: "comments".into(), rows: rows.collect(), columns: columns.map(text).into() }
    }

    /// What a comment is on: the kind, the name, and the column's name.
    fn noted(&self, schema: &str, comment: &Comment) -> Option<(&'static str, String, String)> {
        match comment.kind() {
            UseKind::Unknown => {
                self.rights.sees_schema(schema).then(|| ("schema", schema.to_string(), String::new()))
            }
            UseKind::Macro => {
                let found = self.view.definitions.macro_named(Some(schema), &comment.name)?;
                self.rights.uses_schema(schema).then(|| ("macro", found.name.clone(), String::new()))
            }
            // There is no COMMENT ON TYPE.
            UseKind::Type => None,
            UseKind::Relation => {
                let view = self.view.definitions.view(Some(schema), &comment.name);
                let table = match view {
                    Some(view) => view.table.clone(),
                    None => self.view.table(Some(schema), &comment.name)?,
                };
                let kind = match (comment.column.is_empty(), view) {
                    (false, _) => "column",
                    (true, Some(_)) => "view",
                    (true, None) => "table",
                };
                let mut columns = self.rights.columns_seen(&table).into_iter();
                let column = columns.find(|(_, column)| column.name.to_lowercase() == comment.column);
                let column = column.map(|(_, column)| column.name.clone());
                let sees = self.rights.sees(&table) && (comment.column.is_empty() || column.is_some());
                sees.then(|| (kind, table.name.clone(), column.unwrap_or_default()))
            }
        }
    }
}
