//! `pg_catalog`: what PostgreSQL's clients ask of its system tables, of what the user may know. Object identifiers hold
//! within one query, and while the catalog stays as it is.

use crate::access::Rights;
use crate::view::{View, text, wide};
use columnar::{DataType, Scalar, Value};
use planner::catalog::{Table, VirtualTable};
use std::sync::Arc;
use storage::ColumnSchema;

/// The schema's name.
const SCHEMA: &str = "pg_catalog";
/// PostgreSQL's own for its schema.
const OWN_SCHEMA_OID: i64 = 11;
/// Of the first schema; PostgreSQL keeps smaller ones for itself.
const FIRST_SCHEMA: i64 = 16_384;
const FIRST_TABLE: i64 = 100_000;

/// PostgreSQL's types: identifier, name, length in bytes or -1, category.
const TYPES: [(i64, &str, i64, &str); 16] = [
    (16, "bool", 1, "B"),
    (17, "bytea", -1, "U"),
    (20, "int8", 8, "N"),
    (21, "int2", 2, "N"),
    (23, "int4", 4, "N"),
    (25, "text", -1, "S"),
    (700, "float4", 4, "N"),
    (701, "float8", 8, "N"),
    (705, "unknown", -2, "X"),
    (1043, "varchar", -1, "S"),
    (1082, "date", 4, "D"),
    (1083, "time", 8, "D"),
    (1114, "timestamp", 8, "D"),
    (1184, "timestamptz", 8, "D"),
    (1186, "interval", 16, "T"),
    (1700, "numeric", -1, "N"),
];

/// The table of that name. Names without a schema are sought here, too, where they begin as all of them do.
pub(crate) fn table(view: &View, rights: &Rights, schema: Option<&str>, name: &str) -> Option<VirtualTable> {
    let name = name.to_ascii_lowercase();
    match schema {
        Some(schema) if !schema.eq_ignore_ascii_case(SCHEMA) => return None,
        None if !name.starts_with("pg_") => return None,
        _ => {}
    }
    Some(match name.as_str() {
        "pg_attribute" => attributes(view, rights),
        "pg_class" => classes(view, rights),
        "pg_database" => database(view),
        "pg_namespace" => namespaces(view, rights),
        "pg_tables" => tables(view, rights),
        "pg_type" => types(),
        "pg_views" => views(view, rights),
        _ => return None,
    })
}

fn number(value: i64) -> Value {
    Value::new(DataType::Int64, Scalar::Integer(value.into()))
}

fn yes_or_no(name: &str) -> ColumnSchema {
    ColumnSchema { name: name.into(), data_type: DataType::Boolean, nullable: true }
}

/// Schemas that the user sees, with their identifiers.
fn schemas<'v>(view: &'v View, rights: &'v Rights) -> impl Iterator<Item = (i64, &'v str)> {
    let numbered = view.schemas.iter().enumerate().map(|(place, name)| (FIRST_SCHEMA + place as i64, name));
    numbered.filter(move |(_, name)| rights.sees_schema(name)).map(|(oid, name)| (oid, name.as_str()))
}

fn schema_oid(view: &View, schema: &str) -> Value {
    let place = view.schemas.iter().position(|name| name.eq_ignore_ascii_case(schema));
    number(place.map_or(0, |place| FIRST_SCHEMA + place as i64))
}

/// Tables and views, with their identifiers.
fn numbered(view: &View) -> impl Iterator<Item = (i64, &Arc<Table>)> {
    view.tables_of_all().enumerate().map(|(place, table)| (FIRST_TABLE + place as i64, table))
}

fn namespaces(view: &View, rights: &Rights) -> VirtualTable {
    let own = std::iter::once((OWN_SCHEMA_OID, SCHEMA));
    let rows = own.chain(schemas(view, rights));
    VirtualTable {
        name: "pg_namespace".into(),
        columns: vec![wide("oid"), text("nspname")],
        rows: rows.map(|(oid, name)| vec![number(oid), Value::varchar(name)]).collect(),
    }
}

fn database(view: &View) -> VirtualTable {
    VirtualTable {
        name: "pg_database".into(),
        columns: vec![wide("oid"), text("datname")],
        rows: vec![vec![number(1), Value::varchar(&view.tenant)]],
    }
}

fn classes(view: &View, rights: &Rights) -> VirtualTable {
    let rows = numbered(view).filter(|(_, table)| rights.sees(table)).map(|(oid, table)| {
        let kind = match &table.foreign {
            Some(_) => "f",
            None if table.is_view() => "v",
            None => "r",
        };
        vec![
            number(oid),
            Value::varchar(&table.name),
            schema_oid(view, &table.schema),
            Value::varchar(kind),
            Value::varchar("p"),
            number(table.columns.len() as i64),
            Value::boolean(false),
        ]
    });
    VirtualTable {
        name: "pg_class".into(),
        columns: vec![
            wide("oid"),
            text("relname"),
            wide("relnamespace"),
            text("relkind"),
            text("relpersistence"),
            wide("relnatts"),
            yes_or_no("relispartition"),
        ],
        rows: rows.collect(),
    }
}

fn attributes(view: &View, rights: &Rights) -> VirtualTable {
    let mut rows = Vec::new();
    for (oid, table) in numbered(view) {
        for (position, column) in rights.columns_seen(table) {
            rows.push(vec![
                number(oid),
                Value::varchar(&column.name),
                number(type_oid(column.data_type)),
                number(position as i64 + 1),
                Value::boolean(!column.nullable),
                Value::boolean(false),
            ]);
        }
    }
    VirtualTable {
        name: "pg_attribute".into(),
        columns: vec![
            wide("attrelid"),
            text("attname"),
            wide("atttypid"),
            wide("attnum"),
            yes_or_no("attnotnull"),
            yes_or_no("attisdropped"),
        ],
        rows,
    }
}

fn types() -> VirtualTable {
    let row = |&(oid, name, length, category): &(i64, &str, i64, &str)| {
        let texts = [name, "b", category].map(Value::varchar);
        let [name, kind, category] = texts;
        vec![number(oid), name, number(OWN_SCHEMA_OID), number(length), kind, category]
    };
    VirtualTable {
        name: "pg_type".into(),
        columns: vec![
            wide("oid"),
            text("typname"),
            wide("typnamespace"),
            wide("typlen"),
            text("typtype"),
            text("typcategory"),
        ],
        rows: TYPES.iter().map(row).collect(),
    }
}

fn tables(view: &View, rights: &Rights) -> VirtualTable {
    let seen = numbered(view).filter(|(_, table)| !table.is_view() && rights.sees(table));
    VirtualTable {
        name: "pg_tables".into(),
        columns: vec![text("schemaname"), text("tablename")],
        rows: seen
            .map(|(_, table)| vec![Value::varchar(&table.schema), Value::varchar(&table.name)])
            .collect(),
    }
}

fn views(view: &View, rights: &Rights) -> VirtualTable {
    let seen = view.definitions.views().map(|(_, view)| view).filter(|view| rights.sees(&view.table));
    VirtualTable {
        name: "pg_views".into(),
        columns: ["schemaname", "viewname", "definition"].map(text).to_vec(),
        rows: seen
            .map(|one| [&one.table.schema, &one.table.name, &one.sql].map(|it| Value::varchar(it)).to_vec())
            .collect(),
    }
}

/// PostgreSQL's type for a column; what it has not, or not yet, is unknown.
fn type_oid(data_type: DataType) -> i64 {
    match data_type {
        DataType::Boolean => 16,
        DataType::Binary => 17,
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => 21,
        DataType::Int32 | DataType::UInt16 => 23,
        DataType::Int64 | DataType::UInt32 => 20,
        DataType::Float32 => 700,
        DataType::Float64 => 701,
        DataType::Decimal { .. } | DataType::UInt64 | DataType::Int128 => 1700,
        DataType::Uuid => 2950,
        DataType::Date => 1082,
        DataType::Time => 1083,
        DataType::Timestamp { zone: false, .. } => 1114,
        DataType::Timestamp { zone: true, .. } => 1184,
        DataType::Interval => 1186,
        DataType::Varchar => 1043,
        _ => 705,
    }
}
