//! `information_schema`: the tables and columns of SQL:2016 that Tundra can fill, of what the user may know.

use crate::access::Rights;
use crate::catalog::INFORMATION_SCHEMA;
use crate::view::{View, text};
use columnar::{DataType, Value};
use planner::catalog::VirtualTable;
use storage::ColumnSchema;

/// Its tables.
pub(crate) const TABLES: [&str; 5] = ["columns", "routines", "schemata", "tables", "views"];

/// The table of that name, in a schema that a query names.
pub(crate) fn table(view: &View, rights: &Rights, schema: &str, name: &str) -> Option<VirtualTable> {
    if !schema.eq_ignore_ascii_case(INFORMATION_SCHEMA) {
        return None;
    }
    match name.to_ascii_lowercase().as_str() {
        "schemata" => Some(schemata(view, rights)),
        "tables" => Some(tables(view, rights)),
        "columns" => Some(columns(view, rights)),
        "routines" => Some(routines(view, rights)),
        "views" => Some(views(view, rights)),
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
                let kind = match &table.foreign {
                    Some(_) => "FOREIGN",
                    None if table.is_view() => "VIEW",
                    None => "BASE TABLE",
                };
                let values = [&view.tenant, &table.schema, &table.name, kind];
                values.into_iter().map(Value::varchar).collect()
            })
            .collect(),
    }
}

fn views(view: &View, rights: &Rights) -> VirtualTable {
    let names = ["table_catalog", "table_schema", "table_name", "view_definition", "check_option"];
    let names = names.into_iter().chain(["is_updatable", "is_insertable_into"]);
    let seen = view.definitions.views().map(|(_, view)| view).filter(|view| rights.sees(&view.table));
    VirtualTable {
        name: "views".into(),
        columns: names.map(text).collect(),
        rows: seen
            .map(|one| {
                let (table, sql) = (&one.table, &one.sql);
                let values = [&view.tenant, &table.schema, &table.name, sql].map(|text| Value::varchar(text));
                values.into_iter().chain(["NONE", "NO", "NO"].map(Value::varchar)).collect()
            })
            .collect(),
    }
}

/// Macros.
fn routines(view: &View, rights: &Rights) -> VirtualTable {
    let names = ["routine_catalog", "routine_schema", "routine_name", "routine_type", "routine_body"];
    let names = names.into_iter().chain(["routine_definition", "external_language"]);
    let seen = view.definitions.macros().filter(|one| rights.uses_schema(&one.schema));
    VirtualTable {
        name: "routines".into(),
        columns: names.map(text).collect(),
        rows: seen
            .map(|one| {
                let kind = if one.is_table { "TABLE FUNCTION" } else { "FUNCTION" };
                let values = [&view.tenant, &one.schema, &one.name, kind, "SQL", &one.sql, "SQL"];
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
