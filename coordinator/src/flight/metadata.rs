//! What clients ask of the catalog: catalogs, schemas, tables, keys. Every answer is a typed table, empty
//! where there is nothing.

use super::status::internal;
use crate::access::Rights;
use crate::catalog::INFORMATION_SCHEMA;
use crate::information_schema;
use crate::view::View;
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow_flight::sql::{CommandGetDbSchemas, CommandGetTables};
use columnar::arrow::{Strings, arrow_type_of};
use std::collections::HashMap;
use std::sync::Arc;
use storage::ColumnSchema;
use tonic::Status;

const TABLE: &str = "TABLE";
const SYSTEM_TABLE: &str = "SYSTEM TABLE";
const FOREIGN_TABLE: &str = "FOREIGN TABLE";
const VIEW: &str = "VIEW";

pub(super) fn catalogs(view: &View) -> Result<RecordBatch, Status> {
    let mut builder = arrow_flight::sql::CommandGetCatalogs {}.into_builder();
    builder.append(&view.tenant);
    builder.build().map_err(internal)
}

pub(super) fn schemas(
    view: &View,
    rights: &Rights,
    command: CommandGetDbSchemas,
) -> Result<RecordBatch, Status> {
    let of_tenant = command.catalog.as_deref().is_none_or(|catalog| catalog == view.tenant);
    let mut builder = command.into_builder();
    if of_tenant {
        let seen = view.schemas.iter().filter(|schema| rights.sees_schema(schema));
        for schema in seen.map(String::as_str).chain([INFORMATION_SCHEMA]) {
            builder.append(&view.tenant, schema);
        }
    }
    builder.build().map_err(internal)
}

pub(super) fn tables(view: &View, rights: &Rights, command: CommandGetTables) -> Result<RecordBatch, Status> {
    let mut builder = command.into_builder();
    for table in view.tables_of_all().filter(|table| rights.sees(table)) {
        let columns = rights.columns_seen(table).into_iter().map(|(_, column)| column.clone());
        let columns: Vec<ColumnSchema> = columns.collect();
        let kind = match &table.foreign {
            Some(_) => FOREIGN_TABLE,
            None if table.is_view() => VIEW,
            None => TABLE,
        };
        let schema = table_schema(&view.tenant, &table.schema, &table.name, &columns);
        builder.append(&view.tenant, &table.schema, &table.name, kind, &schema).map_err(internal)?;
    }
    for name in information_schema::TABLES {
        let found = information_schema::table(view, rights, INFORMATION_SCHEMA, name);
        let Some(table) = found else { continue };
        let schema = table_schema(&view.tenant, INFORMATION_SCHEMA, name, &table.columns);
        builder.append(&view.tenant, INFORMATION_SCHEMA, name, SYSTEM_TABLE, &schema).map_err(internal)?;
    }
    builder.build().map_err(internal)
}

pub(super) fn table_types() -> Result<RecordBatch, Status> {
    let mut builder = arrow_flight::sql::CommandGetTableTypes {}.into_builder();
    builder.append(TABLE);
    builder.append(SYSTEM_TABLE);
    builder.append(FOREIGN_TABLE);
    builder.append(VIEW);
    builder.build().map_err(internal)
}

/// A table's columns as results carry them, with what drivers read of each from its metadata.
fn table_schema(tenant: &str, schema: &str, table: &str, columns: &[ColumnSchema]) -> Schema {
    let field = |column: &ColumnSchema| {
        let mut metadata = HashMap::new();
        let mut say = |key: &str, value: String| {
            metadata.insert(format!("ARROW:FLIGHT:SQL:{key}"), value);
        };
        say("CATALOG_NAME", tenant.into());
        say("SCHEMA_NAME", schema.into());
        say("TABLE_NAME", table.into());
        say("TYPE_NAME", column.data_type.to_string());
        if let columnar::DataType::Decimal { precision, scale } = column.data_type {
            say("PRECISION", precision.to_string());
            say("SCALE", scale.to_string());
        }
        say("IS_AUTO_INCREMENT", "0".into());
        say("IS_CASE_SENSITIVE", u8::from(column.data_type == columnar::DataType::Varchar).to_string());
        say("IS_READ_ONLY", "0".into());
        say("IS_SEARCHABLE", "1".into());
        let arrow_type = arrow_type_of(column.data_type, Strings::Offsets);
        Field::new(&column.name, arrow_type, column.nullable).with_metadata(metadata)
    };
    Schema::new(columns.iter().map(field).collect::<Vec<_>>())
}

/// The columns of GetPrimaryKeys.
pub(super) fn primary_keys_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("catalog_name", DataType::Utf8, true),
        Field::new("db_schema_name", DataType::Utf8, true),
        Field::new("table_name", DataType::Utf8, false),
        Field::new("column_name", DataType::Utf8, false),
        Field::new("key_sequence", DataType::Int32, false),
        Field::new("key_name", DataType::Utf8, true),
    ]))
}

/// The columns of GetExportedKeys, GetImportedKeys and GetCrossReference.
pub(super) fn foreign_keys_schema() -> SchemaRef {
    let text = |name: &str, nullable: bool| Field::new(name, DataType::Utf8, nullable);
    Arc::new(Schema::new(vec![
        text("pk_catalog_name", true),
        text("pk_db_schema_name", true),
        text("pk_table_name", false),
        text("pk_column_name", false),
        text("fk_catalog_name", true),
        text("fk_db_schema_name", true),
        text("fk_table_name", false),
        text("fk_column_name", false),
        Field::new("key_sequence", DataType::Int32, false),
        text("fk_key_name", true),
        text("pk_key_name", true),
        Field::new("update_rule", DataType::UInt8, false),
        Field::new("delete_rule", DataType::UInt8, false),
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_catalog_still_answers() {
        let view = View::new("default", vec!["main".into()], [], None);
        let rights = Rights::of_everything();
        assert_eq!(catalogs(&view).unwrap().num_rows(), 1);
        assert_eq!(schemas(&view, &rights, CommandGetDbSchemas::default()).unwrap().num_rows(), 2);
        let other = CommandGetDbSchemas { catalog: Some("other".into()), db_schema_filter_pattern: None };
        assert_eq!(schemas(&view, &rights, other).unwrap().num_rows(), 0);
        let command = CommandGetTables { include_schema: true, ..CommandGetTables::default() };
        let listed = tables(&view, &rights, command).unwrap();
        assert_eq!((listed.num_rows(), listed.num_columns()), (information_schema::TABLES.len(), 5));
        assert_eq!(table_types().unwrap().num_rows(), 4);
    }
}
