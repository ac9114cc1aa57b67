//! `information_schema`: the tables and columns of SQL:2016 that Tundra can fill, of what the user may know.

use crate::access::Rights;
use crate::catalog::INFORMATION_SCHEMA;
use crate::view::{View, text};
use columnar::{DataType, Value};
use planner::catalog::VirtualTable;
use storage::ColumnSchema;

/// Its tables.
pub(crate) const TABLES: [&str; 3] = ["columns", "schemata", "tables"];

/// The table of that name, in a schema that a query names.
pub(crate) fn table(view: &View, rights: &Rights, schema: &str, name: &str) -> Option<VirtualTable> {
    if !schema.eq_ignore_ascii_case(INFORMATION_SCHEMA) {
        return None;
    }
    match name.to_ascii_lowercase().as_str() {
        "schemata" => Some(schemata(view, rights)),
        "tables" => Some(tables(view, rights)),
        "columns" => Some(columns(view, rights)),
        _ => None,
    }
}

fn schemata(view: &View, rights: &Rights) -> VirtualTable {
    let built_in = [INFORMATION_SCHEMA.to_string()];
    let seen = view.schemas.iter().filter(|schema| rights.sees_schema(schema)).chain(&built_in);
    VirtualTable {
        name: "schemata".into(),
        columns: vec![text("catalog_name"), text("schema_name")],
        rows: seen.map(|schema| vec![Value::varchar(&view.tenant), Value::varchar(schema)]).collect(),
    }
}

fn tables(view: &View, rights: &Rights) -> VirtualTable {
    let columns = ["table_catalog", "table_schema", "table_name", "table_type"];
    let seen = view.tables_of_all().filter(|table| rights.sees(table));
    VirtualTable {
        name: "tables".into(),
        columns: columns.into_iter().map(text).collect(),
        rows: seen
            .map(|table| {
                let kind = if table.foreign.is_some() { "FOREIGN" } else { "BASE TABLE" };
                let values = [&view.tenant, &table.schema, &table.name, kind];
                values.into_iter().map(Value::varchar).collect()
            })
            .collect(),
    }
}

fn columns(view: &View, rights: &Rights) -> VirtualTable {
    let texts = ["table_catalog", "table_schema", "table_name", "column_name"];
    let mut columns: Vec<_> = texts.into_iter().map(text).collect();
    columns.push(number("ordinal_position"));
    columns.extend(["is_nullable", "data_type"].into_iter().map(text));
    columns.extend(["numeric_precision", "numeric_scale"].into_iter().map(number));
    let mut rows = Vec::new();
    for table in view.tables_of_all() {
        for (position, column) in rights.columns_seen(table) {
            let (precision, scale) = match column.data_type {
                DataType::Decimal { precision, scale } => (Some(precision), Some(scale)),
                _ => (None, None),
            };
            let digits = |digits: Option<u8>| {
                digits.map_or(Value::null(DataType::Int32), |digits| Value::int32(digits.into()))
            };
            rows.push(vec![
                Value::varchar(&view.tenant),
                Value::varchar(&table.schema),
                Value::varchar(&table.name),
                Value::varchar(&column.name),
                Value::int32(position as i32 + 1),
                Value::varchar(if column.nullable { "YES" } else { "NO" }),
                Value::varchar(&column.data_type.to_string()),
                digits(precision),
                digits(scale),
            ]);
        }
    }
    VirtualTable { name: "columns".into(), columns, rows }
}

fn number(name: &str) -> ColumnSchema {
    ColumnSchema { name: name.into(), data_type: DataType::Int32, nullable: true }
}
