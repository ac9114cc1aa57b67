//! The select list: `*`, `t.*` and `COLUMNS(…)` are spread into columns.

use super::scope::{Relation, Scope, ScopeColumn, same_name, suggest};
use super::select::{Listed, name_of};
use super::{Binder, query::refuse_if};
use crate::error::{Error, Result};
use crate::parse::table_name;
use columnar::{DataType, Scalar, Value};
use exec::Expr;
use sqlparser::ast::{self, FunctionArg, FunctionArgExpr, SelectItem, Spanned};
use std::borrow::Cow;

/// A column in sight, and the relation that has it.
type Column<'s> = (&'s Relation, &'s ScopeColumn);

impl Binder<'_> {
    /// Spreads `*` and names the items.
    pub(super) fn listed<'q>(
        &self,
        projection: &'q [SelectItem],
        scope: &Scope<'_>,
    ) -> Result<Vec<Listed<'q>>> {
        let mut listed = Vec::with_capacity(projection.len());
        for item in projection {
            match item {
                SelectItem::UnnamedExpr(expr) => self.list(expr, None, scope, &mut listed)?,
                SelectItem::ExprWithAlias { expr, alias } => {
                    self.list(expr, Some(alias), scope, &mut listed)?;
                }
                SelectItem::ExprWithAliases { .. } => {
                    return Err(Error::unsupported("several aliases of one expression").at(item.span()));
                }
                SelectItem::Wildcard(options) => {
                    if scope.relations.is_empty() {
                        return Err(Error::name("SELECT * needs a FROM clause").at(item.span()));
                    }
                    spread(visible(scope).collect(), options, &mut listed)?;
                }
                SelectItem::QualifiedWildcard(kind, options) => {
                    let ast::SelectItemQualifiedWildcardKind::ObjectName(name) = kind else {
                        return Err(Error::unsupported("an expression before .*").at(item.span()));
                    };
                    spread(columns_of(name, scope)?, options, &mut listed)?;
                }
            }
        }
        if listed.is_empty() {
            return Err(Error::value("the select list is empty"));
        }
        Ok(listed)
    }

    /// An item with an expression: of one with `COLUMNS` as many as that has columns.
    fn list<'q>(
        &self,
        expr: &'q ast::Expr,
        alias: Option<&'q ast::Ident>,
        scope: &Scope<'_>,
        listed: &mut Vec<Listed<'q>>,
    ) -> Result<()> {
        let mut chosen: Option<Vec<Column<'_>>> = None;
        let mut failed = None;
        let mut spread = expr.clone();
        each_columns_call(&mut spread, &mut |call| match self.chosen(call, scope) {
            Ok(columns) => {
                let same = chosen.as_ref().is_none_or(|known| {
                    known.iter().map(|(_, column)| column.id).eq(columns.iter().map(|(_, column)| column.id))
                });
                if !same {
                    let error = Error::value("two COLUMNS of one expression give other columns");
                    failed.get_or_insert(error.at(call.span()));
                }
                chosen = Some(columns);
            }
            Err(error) => {
                failed.get_or_insert(error);
            }
        });
        if let Some(failed) = failed {
            return Err(failed);
        }
        let Some(columns) = chosen else {
            let name = alias.map_or_else(|| name_of(expr), |alias| alias.value.clone());
            listed.push(Listed::Expr { name, alias, expr: Cow::Borrowed(expr) });
            return Ok(());
        };
        let bare = matches!(expr, ast::Expr::Function(_)) && is_columns_call(expr);
        for (relation, column) in columns {
            let name = alias.map_or_else(|| column.name.clone(), |alias| alias.value.clone());
            if bare {
                listed.push(Listed::Column { name, id: column.id });
                continue;
            }
            let own = ast::Ident::with_quote('"', column.name.clone());
            let reference = match &relation.name {
                Some(of) => ast::Expr::CompoundIdentifier(vec![ast::Ident::with_quote('"', of.clone()), own]),
                None => ast::Expr::Identifier(own),
            };
            let mut one = expr.clone();
            each_columns_call(&mut one, &mut |call| *call = reference.clone());
            listed.push(Listed::Expr { name, alias: None, expr: Cow::Owned(one) });
        }
        Ok(())
    }

    /// The columns that `COLUMNS(*)`, `COLUMNS(t.*)` or `COLUMNS('pattern')` chooses.
    fn chosen<'s>(&self, call: &ast::Expr, scope: &'s Scope<'_>) -> Result<Vec<Column<'s>>> {
        let span = call.span();
        let args = match call {
            ast::Expr::Function(ast::Function { args: ast::FunctionArguments::List(list), .. }) => {
                &list.args[..]
            }
            _ => &[],
        };
        let columns = match args {
            [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)] => visible(scope).collect(),
            [FunctionArg::Unnamed(FunctionArgExpr::WildcardWithOptions(options))] => {
                let plain = options.opt_replace.is_none() && options.opt_rename.is_none();
                refuse_if(!plain, "REPLACE and RENAME within COLUMNS", span)?;
                let columns: Vec<Column<'s>> = visible(scope).collect();
                let excluded = excluded(options, &columns)?;
                columns.into_iter().filter(|column| !excluded.contains(&column.1.id)).collect()
            }
            [FunctionArg::Unnamed(FunctionArgExpr::QualifiedWildcard(name))] => columns_of(name, scope)?,
            [FunctionArg::Unnamed(FunctionArgExpr::Expr(ast::Expr::Value(value)))] => {
                let Some(pattern) = super::literals::text_of(&value.value) else {
                    return Err(Error::unsupported("COLUMNS of anything but * or a pattern").at(span));
                };
                let mut columns = Vec::new();
                for column in visible(scope) {
                    if matches(&column.1.name, &pattern).map_err(|error| error.at(span))? {
                        columns.push(column);
                    }
                }
                columns
            }
            _ => return Err(Error::unsupported("COLUMNS of anything but * or a pattern").at(span)),
        };
        match columns.is_empty() {
            true => Err(Error::name("COLUMNS chooses no column").at(span)),
            false => Ok(columns),
        }
    }
}

/// The columns that `*` stands for.
fn visible<'s>(scope: &'s Scope<'_>) -> impl Iterator<Item = Column<'s>> {
    let all = scope
        .relations
        .iter()
        .flat_map(|relation| relation.columns.iter().map(move |column| (relation, column)));
    all.filter(|(_, column)| !column.qualified_only)
}

/// The columns of a relation by its name.
fn columns_of<'s>(name: &ast::ObjectName, scope: &'s Scope<'_>) -> Result<Vec<Column<'s>>> {
    let (name, span) = table_name(name)?;
    let is_meant = |relation: &&Relation| {
        relation.name.as_ref().is_some_and(|own| same_name(own, &name.name))
            && name
                .schema
                .as_ref()
                .is_none_or(|schema| relation.schema.as_ref().is_some_and(|own| same_name(own, schema)))
    };
    let relation = scope.relations.iter().find(is_meant);
    let relation =
        relation.ok_or_else(|| Error::name(format!("unknown table \"{name}\" in this query")).at(span))?;
    Ok(relation.columns.iter().map(|column| (relation, column)).collect())
}

/// Lists columns without those of `EXCLUDE`, with `REPLACE` and `RENAME`.
fn spread<'q>(
    columns: Vec<Column<'_>>,
    options: &'q ast::WildcardAdditionalOptions,
    listed: &mut Vec<Listed<'q>>,
) -> Result<()> {
    let span = options.wildcard_token.0.span;
    refuse_if(options.opt_ilike.is_some(), "* ILIKE", span)?;
    refuse_if(options.opt_except.is_some(), "* EXCEPT", span)?;
    refuse_if(options.opt_alias.is_some(), "an alias of *", span)?;
    let excluded = excluded(options, &columns)?;
    let replaced = options.opt_replace.as_ref().map_or(&[][..], |replace| &replace.items[..]);
    let renamed = match &options.opt_rename {
        None => &[][..],
        Some(ast::RenameSelectItem::Single(item)) => std::slice::from_ref(item),
        Some(ast::RenameSelectItem::Multiple(items)) => items,
    };
    let is_left = |(_, column): &Column<'_>| !excluded.contains(&column.id);
    let columns: Vec<Column<'_>> = columns.into_iter().filter(is_left).collect();
    let names = replaced.iter().map(|item| &item.column_name).chain(renamed.iter().map(|item| &item.ident));
    for name in names {
        if !columns.iter().any(|(_, column)| same_name(&column.name, &name.value)) {
            return Err(unknown(name, &columns));
        }
    }
    for column in columns {
        let is = |name: &ast::Ident| same_name(&name.value, &column.1.name);
        let replacement = replaced.iter().find(|item| is(&item.column_name));
        let name = match renamed.iter().find(|item| is(&item.ident)) {
            Some(item) => item.alias.value.clone(),
            None => column.1.name.clone(),
        };
        listed.push(match replacement {
            Some(item) => Listed::Expr { name, alias: None, expr: Cow::Borrowed(&item.expr) },
            None => Listed::Column { name, id: column.1.id },
        });
    }
    Ok(())
}

/// The ids of the columns that `EXCLUDE` names.
fn excluded(options: &ast::WildcardAdditionalOptions, columns: &[Column<'_>]) -> Result<Vec<u32>> {
    let names = match &options.opt_exclude {
        None => &[][..],
        Some(ast::ExcludeSelectItem::Single(name)) => std::slice::from_ref(name),
        Some(ast::ExcludeSelectItem::Multiple(names)) => names.as_slice(),
    };
    let mut ids = Vec::with_capacity(names.len());
    for name in names {
        let parts: Option<Vec<&ast::Ident>> = name.0.iter().map(|part| part.as_ident()).collect();
        let (relation, name) = match parts.as_deref() {
            Some([name]) => (None, *name),
            Some([relation, name]) => (Some(*relation), *name),
            _ => return Err(Error::unsupported("such a name in EXCLUDE").at(name.span())),
        };
        let is_meant = |(of, column): &&Column<'_>| {
            same_name(&column.name, &name.value)
                && relation.is_none_or(|relation| {
                    of.name.as_ref().is_some_and(|own| same_name(own, &relation.value))
                })
        };
        let before = ids.len();
        ids.extend(columns.iter().filter(is_meant).map(|(_, column)| column.id));
        if ids.len() == before {
            return Err(unknown(name, columns));
        }
    }
    Ok(ids)
}

fn unknown(name: &ast::Ident, columns: &[Column<'_>]) -> Error {
    let error = Error::name(format!("* has no column \"{}\"", name.value)).at(name.span);
    suggest(error, &name.value, columns.iter().map(|(_, column)| column.name.as_str()))
}

/// Whether the pattern is found in a name.
fn matches(name: &str, pattern: &str) -> Result<bool> {
    let call = exec::functions::resolve("regexp_matches", &[DataType::Varchar, DataType::Varchar])
        .map_err(|error| Error::internal(error.to_string()))?;
    let args = vec![Expr::Literal(Value::varchar(name)), Expr::Literal(Value::varchar(pattern))];
    let call = Expr::Call { function: call.function, args, data_type: call.returns };
    match exec::expression::constant::evaluate(&call) {
        Ok(value) => Ok(value.scalar == Scalar::Boolean(true)),
        Err(error) => Err(Error::value(error.to_string())),
    }
}

fn is_columns_call(expr: &ast::Expr) -> bool {
    matches!(expr, ast::Expr::Function(call) if call.name.to_string().eq_ignore_ascii_case("columns"))
}

/// The calls of `COLUMNS` in an expression, as far as they may stand there.
fn each_columns_call(expr: &mut ast::Expr, visit: &mut impl FnMut(&mut ast::Expr)) {
    if is_columns_call(expr) {
        return visit(expr);
    }
    match expr {
        ast::Expr::Function(call) => {
            if let ast::FunctionArguments::List(list) = &mut call.args {
                for arg in &mut list.args {
                    if let FunctionArg::Unnamed(FunctionArgExpr::Expr(arg)) = arg {
                        each_columns_call(arg, visit);
                    }
                }
            }
            if let Some(filter) = &mut call.filter {
                each_columns_call(filter, visit);
            }
        }
        ast::Expr::BinaryOp { left, right, .. } => {
            each_columns_call(left, visit);
            each_columns_call(right, visit);
        }
        ast::Expr::UnaryOp { expr, .. }
        | ast::Expr::Nested(expr)
        | ast::Expr::Cast { expr, .. }
        | ast::Expr::IsNull(expr)
        | ast::Expr::IsNotNull(expr)
        | ast::Expr::InList { expr, .. } => each_columns_call(expr, visit),
        ast::Expr::Between { expr, low, high, .. } => {
            [expr, low, high].into_iter().for_each(|expr| each_columns_call(expr, visit));
        }
        ast::Expr::Case { operand, conditions, else_result, .. } => {
            operand.iter_mut().chain(else_result).for_each(|expr| each_columns_call(expr, visit));
            for when in conditions {
                each_columns_call(&mut when.condition, visit);
                each_columns_call(&mut when.result, visit);
            }
        }
        _ => {}
    }
}
