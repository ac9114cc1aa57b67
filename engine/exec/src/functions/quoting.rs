//! Text as SQL would have it written: literals and names.

use super::text::append;
use super::{Function, Parameter, Returns};
use columnar::DataType;

const TEXT: Parameter = Parameter::Exact(DataType::Varchar);
const RETURNS_TEXT: Returns = Returns::Type(DataType::Varchar);

/// Words that are no names without quotes in PostgreSQL.
const RESERVED: [&str; 98] = [
    "all",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "asymmetric",
    "authorization",
    "between",
    "bigint",
    "binary",
    "bit",
    "boolean",
    "both",
    "case",
    "cast",
    "char",
    "character",
    "check",
    "coalesce",
    "collate",
    "column",
    "concurrently",
    "constraint",
    "create",
    "cross",
    "current_catalog",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "default",
    "deferrable",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "exists",
    "extract",
    "false",
    "fetch",
    "for",
    "foreign",
    "freeze",
    "from",
    "full",
    "grant",
    "group",
    "having",
    "ilike",
    "in",
    "initially",
    "inner",
    "intersect",
    "into",
    "is",
    "isnull",
    "join",
    "lateral",
    "leading",
    "left",
    "like",
    "limit",
    "natural",
    "not",
    "notnull",
    "null",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "outer",
    "overlaps",
    "placing",
    "primary",
    "references",
    "returning",
    "right",
    "select",
    "session_user",
    "similar",
    "some",
    "symmetric",
    "table",
    "then",
    "to",
    "union",
    "unique",
    "user",
    "using",
    "where",
];

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function::new(
            "quote_ident",
            "A name, in quotes where it needs them.",
            "quote_ident('Foo bar') → \"Foo bar\"",
        )
        .with_fallible(&[TEXT], RETURNS_TEXT, |args, _| {
            args.map_text(|row, out| append(out, &identifier(args.text(0, row))))
        }),
        Function::new(
            "quote_literal",
            "A text as SQL writes it.",
            "quote_literal('O''Reilly') → 'O''Reilly'",
        )
        .with_fallible(&[Parameter::Printed], RETURNS_TEXT, |args, _| {
            args.map_text(|row, out| append(out, &literal(args.text(0, row))))
        }),
        Function::new(
            "quote_nullable",
            "As quote_literal, where a null is the word.",
            "quote_nullable(NULL) || '!' → NULL!",
        )
        .with_fallible(&[Parameter::Printed], RETURNS_TEXT, |args, _| {
            args.map_text(|row, out| match args.flats[0].is_null(row) {
                true => append(out, "NULL"),
                false => append(out, &literal(args.text(0, row))),
            })
        })
        .sees_nulls(),
    ]
}

/// A name as it may stand in SQL.
pub(super) fn identifier(name: &str) -> String {
    let mut letters = name.chars();
    let plain = letters.next().is_some_and(|first| first.is_ascii_lowercase() || first == '_')
        && letters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !RESERVED.contains(&name);
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// A text as a literal: with a backslash in it, one that names escapes.
pub(super) fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    match text.contains('\\') {
        true => format!("E'{}'", quoted.replace('\\', "\\\\")),
        false => format!("'{quoted}'"),
    }
}
