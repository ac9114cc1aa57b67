//! `CREATE` and `DROP` of views and macros: their texts are bound, so that what is wrong with them is told at once and what they
//! use is known.

use crate::binder::{Binder, BoundQuery, OutputColumn, same_name};
use crate::catalog::{DEFAULT_SCHEMA, Table};
use crate::defined::{Macro, MacroParameter};
use crate::error::{Error, Result};
use crate::parse::{CommentOn, DefineSyntax, ParameterSyntax, identifiers, table_name};
use crate::physical::needs_version_2;
use crate::planning::{finish, unique_names};
use crate::statement::{
    Comment, CreateMacro, CreateType, CreateView, Define, PlannerOptions, TableName, UseKind,
};
use columnar::DataType;
use columnar::types::enumeration;
use sqlparser::ast::{self, Spanned};
use sqlparser::tokenizer::Span;
use std::sync::Arc;
use storage::statistics::ColumnSchema;

/// What a statement about views and macros means.
pub(crate) fn statement(
    binder: Binder<'_>,
    syntax: &DefineSyntax,
    options: &PlannerOptions,
) -> Result<Define> {
    match syntax {
        DefineSyntax::View { name, or_replace, if_not_exists, columns, query, text } => {
            let (name, span) = table_name(name)?;
            refuse_both(*or_replace, *if_not_exists, span)?;
            let (columns_given, uses) = view(binder, query, columns, options)?;
            Ok(Define::View(CreateView {
                name,
                or_replace: *or_replace,
                if_not_exists: *if_not_exists,
                sql: text.sql.clone(),
                column_names: columns.iter().map(|name| name.value.clone()).collect(),
                columns: columns_given,
                uses,
            }))
        }
        DefineSyntax::Macro { name, or_replace, if_not_exists, parameters, is_table, text } => {
            let (name, span) = table_name(name)?;
            refuse_both(*or_replace, *if_not_exists, span)?;
            let parameters = named_once(parameters)?;
            let (schema, sql) = (name.schema.clone().unwrap_or_default(), text.sql.clone());
            let new = Macro::new(schema, name.name.clone(), parameters.clone(), *is_table, sql.clone());
            let mut binder = binder;
            binder.check_macro(&new, span)?;
            Ok(Define::Macro(CreateMacro {
                name,
                or_replace: *or_replace,
                if_not_exists: *if_not_exists,
                parameters,
                is_table: *is_table,
                sql,
                uses: binder.take_uses().into_iter().collect(),
            }))
        }
        DefineSyntax::Type { name, or_replace, if_not_exists, values } => {
            let (name, span) = table_name(name)?;
            refuse_both(*or_replace, *if_not_exists, span)?;
            let full = match name.schema.as_deref().filter(|schema| !same_name(schema, DEFAULT_SCHEMA)) {
                Some(schema) => format!("{schema}.{}", name.name),
                None => name.name.clone(),
            };
            needs_version_2(options.version, "CREATE TYPE").map_err(|error| error.at(span))?;
            let data_type = enumeration(Some(&full), values.clone());
            let data_type = data_type.map_err(|error| Error::value(error.to_string()).at(span))?;
            let (or_replace, if_not_exists) = (*or_replace, *if_not_exists);
            Ok(Define::Type(CreateType { name, or_replace, if_not_exists, data_type }))
        }
        DefineSyntax::Drop { kind, names, if_exists, cascade } => Ok(Define::Drop {
            kind: *kind,
            names: names.iter().map(|name| Ok(table_name(name)?.0)).collect::<Result<_>>()?,
            if_exists: *if_exists,
            cascade: *cascade,
        }),
        DefineSyntax::Comment { on, text } => Ok(Define::Comment(comment(&binder, on, text.clone())?)),
    }
}

fn comment(binder: &Binder<'_>, on: &CommentOn, text: Option<String>) -> Result<Comment> {
    let relation = |name: &TableName, span: Span| -> Result<(Arc<Table>, Comment)> {
        let table = binder.relation(name, span)?;
        let (kind, schema, name) = (Some(UseKind::Relation), table.schema.clone(), table.name.clone());
        Ok((table, Comment { kind, schema, name, column: None, text: text.clone() }))
    };
    match on {
        CommentOn::Schema(name) => {
            let (schema, name) = (name.value.clone(), String::new());
            Ok(Comment { kind: None, schema, name, column: None, text: text.clone() })
        }
        CommentOn::Relation(name) => {
            let (name, span) = table_name(name)?;
            Ok(relation(&name, span)?.1)
        }
        CommentOn::Column(name) => {
            let span = name.span();
            let parts: Vec<&ast::Ident> = identifiers(name)?;
            let (schema, table, column) = match parts.as_slice() {
                [table, column] => (None, table, column),
                [schema, table, column] => (Some(schema.value.clone()), table, column),
                _ => {
                    let error = Error::name(format!("\"{name}\" is not a column's name")).at(span);
                    return Err(error.hint("a column is named [schema.]table.column"));
                }
            };
            let name = TableName { schema, name: table.value.clone() };
            let (table, mut comment) = relation(&name, span)?;
            let mut seen = table.columns.iter().filter(|known| binder.sees_column(&table, &known.name));
            let Some(known) = seen.find(|known| same_name(&known.name, &column.value)) else {
                return Err(Error::name(format!("unknown column \"{}\"", column.value)).at(column.span));
            };
            comment.column = Some(known.name.clone());
            Ok(comment)
        }
        CommentOn::Macro(name) => {
            let TableName { schema, name } = table_name(name)?.0;
            let schema = schema.unwrap_or_default();
            Ok(Comment { kind: Some(UseKind::Macro), schema, name, column: None, text: text.clone() })
        }
    }
}

fn refuse_both(or_replace: bool, if_not_exists: bool, span: Span) -> Result<()> {
    match or_replace && if_not_exists {
        true => Err(Error::value("OR REPLACE and IF NOT EXISTS exclude each other").at(span)),
        false => Ok(()),
    }
}

/// The columns of a view with such a query, and what it uses.
fn view(
    mut binder: Binder<'_>,
    query: &ast::Query,
    names: &[ast::Ident],
    options: &PlannerOptions,
) -> Result<(Vec<ColumnSchema>, Vec<crate::statement::Use>)> {
    let mut bound = binder.query(query, None)?;
    if !binder.parameter_types.is_empty() {
        return Err(Error::unsupported("a parameter in a view").at(query.span()));
    }
    if let Some(extra) = names.get(bound.columns.len()) {
        let message = format!("the query gives {} columns, more are named", bound.columns.len());
        return Err(Error::name(message).at(extra.span));
    }
    for (column, name) in bound.columns.iter_mut().zip(names) {
        column.name = name.value.clone();
    }
    let uses = binder.take_uses().into_iter().collect();
    // A column of nulls alone is text.
    let target: Vec<DataType> = bound
        .columns
        .iter()
        .map(|column| match binder.columns.data_type(column.id) {
            DataType::Null => DataType::Varchar,
            other => other,
        })
        .collect();
    let (plan, ids) = binder.cast_columns(bound.plan, &bound.columns, &target, query.span())?;
    let names = bound.columns.into_iter().map(|column| column.name);
    let columns = names.zip(ids).map(|(name, id)| OutputColumn::typed(name, id)).collect();
    // What cannot be planned cannot be used.
    let planned = finish(binder, BoundQuery { plan, columns }, options)?;
    let columns = planned.columns.into_iter();
    let columns: Vec<ColumnSchema> = columns
        .map(|column| ColumnSchema { name: column.name, data_type: column.data_type, nullable: true })
        .collect();
    unique_names(&columns)?;
    Ok((columns, uses))
}

fn named_once(parameters: &[ParameterSyntax]) -> Result<Vec<MacroParameter>> {
    for (place, parameter) in parameters.iter().enumerate() {
        let name = &parameter.name;
        if parameters[..place].iter().any(|other| same_name(&other.name.value, &name.value)) {
            let message = format!("parameter \"{}\" is named twice", name.value);
            return Err(Error::name(message).at(name.span));
        }
    }
    Ok(parameters.iter().map(MacroParameter::from).collect())
}
