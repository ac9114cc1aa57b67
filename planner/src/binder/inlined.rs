//! Texts that stand for a name: views, and what macros have in common with them. A text is bound apart from the statement that
//! names it: it sees neither its columns nor its CTEs, and its errors say whose they are.

use super::expression::{Bound, Literal};
use super::from::{Source, apply_alias, rename_columns};
use super::macros::Frame;
use super::scope::{Relation, ScopeColumn, same_name};
use super::{Binder, types};
use crate::catalog::{DEFAULT_SCHEMA, Table};
use crate::defined::View;
use crate::error::{Error, Result};
use crate::logical::ColumnId;
use crate::statement::{Use, UseKind};
use columnar::DataType;
use sqlparser::ast;
use sqlparser::tokenizer::Span;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Texts within texts.
const MAX_OPEN: usize = 64;
/// Operators and parentheses of all texts that are open: plans are as deep as they are together.
const MAX_DEPTH: usize = 4_000;

/// A view that is read, and its columns by position.
#[derive(Debug)]
pub(crate) struct ViewRead {
    pub(crate) view: Arc<Table>,
    pub(crate) columns: Vec<ColumnId>,
}

/// What the binder knows of the texts that it is in.
#[derive(Default)]
pub(super) struct Inlined {
    open: usize,
    depth: usize,
    /// The macro whose text it is in, if it is in one.
    pub(super) frame: Option<Frame>,
    /// Nodes of expressions that arguments of macros have become so far.
    pub(super) nodes: usize,
    /// What the statement itself names.
    uses: BTreeSet<Use>,
}

impl Binder<'_> {
    /// Notes what the statement names; what views and macros name is theirs.
    pub(super) fn uses(&mut self, kind: UseKind, schema: &str, name: &str) {
        if self.inlined.open == 0 {
            self.inlined.uses.insert(Use { kind, schema: schema.into(), name: name.into() });
        }
    }

    /// The type that is written; of one that has a name in the catalog, the statement names it.
    pub(crate) fn type_of(&mut self, data_type: &ast::DataType) -> Result<DataType> {
        let catalog = self.catalog;
        let found = std::cell::RefCell::new(Vec::new());
        let data_type = types::from_sql(data_type, &|name| {
            let data_type = types::named(catalog, name)?;
            found.borrow_mut().push(name.clone());
            Some(data_type)
        })?;
        for name in found.into_inner() {
            let parts = crate::parse::identifiers(&name)?;
            match parts.as_slice() {
                [name] => self.uses(UseKind::Type, DEFAULT_SCHEMA, &name.value),
                [schema, name] => self.uses(UseKind::Type, &schema.value, &name.value),
                _ => {}
            }
        }
        Ok(data_type)
    }

    /// What the statement has named so far.
    pub(crate) fn take_uses(&mut self) -> BTreeSet<Use> {
        std::mem::take(&mut self.inlined.uses)
    }

    /// Binds a text of such a depth, with the arguments of a macro where it is one's; gives them back.
    pub(super) fn apart<T>(
        &mut self,
        frame: Option<Frame>,
        depth: usize,
        bind: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<(T, Option<Frame>)> {
        if self.inlined.open >= MAX_OPEN {
            return Err(Error::value(format!("views and macros use each other more than {MAX_OPEN} deep")));
        }
        if self.inlined.depth + depth > MAX_DEPTH {
            let message = "views and macros that use each other have too many operators together";
            return Err(Error::value(format!("{message}; the most is {MAX_DEPTH}")));
        }
        let ctes = std::mem::take(&mut self.ctes);
        let frame = std::mem::replace(&mut self.inlined.frame, frame);
        self.inlined.open += 1;
        self.inlined.depth += depth;
        let bound = crate::with_stack_of_text(|| bind(self));
        self.inlined.open -= 1;
        self.inlined.depth -= depth;
        self.ctes = ctes;
        let own = std::mem::replace(&mut self.inlined.frame, frame);
        Ok((bound?, own))
    }

    /// A view: its query as a relation, whose columns have the names and types that the view was created with.
    pub(super) fn view(
        &mut self,
        view: &Arc<View>,
        alias: Option<&ast::TableAlias>,
        span: Span,
    ) -> Result<Source> {
        let table = &view.table;
        self.check_allowed(table, span)?;
        self.uses(UseKind::Relation, &table.schema, &table.name);
        self.hides_columns |= !table.columns.iter().all(|column| self.sees_column(table, &column.name));
        let bound = view
            .query()
            .and_then(|query| self.apart(None, query.depth, |binder| binder.query(&query.syntax, None)));
        let (mut bound, _) = bound.map_err(|error| of_text(error, "view", &table.name, &view.sql, span))?;
        let given: Vec<ast::Ident> =
            view.column_names.iter().map(|name| ast::Ident::new(name.as_str())).collect();
        let misfit = |what: String| {
            let message = format!("view \"{}\" does not fit what it reads any more: {what}", table.name);
            Error::value(message).at(span).hint("CREATE OR REPLACE VIEW makes it anew")
        };
        let found = bound.columns.len();
        rename_columns(&mut bound, &given, &table.name)
            .map_err(|_| misfit(format!("its query gives {found} columns")))?;
        let mut exprs = Vec::with_capacity(table.columns.len());
        let mut names = Vec::with_capacity(table.columns.len());
        for column in &table.columns {
            let own = bound.columns.iter().find(|own| same_name(&own.name, &column.name));
            let own = own.ok_or_else(|| misfit(format!("column \"{}\" is gone", column.name)))?;
            let reference = self.columns.reference(own.id);
            let (found, wanted) = (reference.data_type(), column.data_type);
            if !types::casts_implicitly(found, wanted) && found != wanted {
                return Err(misfit(format!("column \"{}\" is {found} and was {wanted}", column.name)));
            }
            let literal = if found == DataType::Null { Literal::Null } else { Literal::No };
            let expr = self.coerce(Bound { expr: reference, literal, span }, wanted)?;
            let id = self.columns.add(&column.name, wanted);
            exprs.push((id, expr));
            names.push(ScopeColumn { name: column.name.clone(), id, qualified_only: false });
        }
        let columns = exprs.iter().map(|&(id, _)| id).collect();
        self.views.push(ViewRead { view: table.clone(), columns });
        apply_alias(&mut names, alias, &table.name)?;
        let relation = Relation {
            schema: if alias.is_some() { None } else { Some(table.schema.clone()) },
            name: Some(alias.map_or_else(|| table.name.clone(), |alias| alias.name.value.clone())),
            columns: names,
        };
        Ok((bound.plan.project(exprs), vec![relation]))
    }
}

/// An error of the text of a view or macro, at the place that names it.
pub(super) fn of_text(error: Error, kind: &str, name: &str, sql: &str, span: Span) -> Error {
    let error = error.in_text(sql);
    let place = match error.line {
        0 => String::new(),
        line => format!(" (line {line}, column {})", error.column),
    };
    // Of texts within texts the outermost and the innermost are named.
    let innermost = error.message.rfind("in view \"").max(error.message.rfind("in macro \""));
    let inner = match innermost {
        Some(at) if at > 0 => format!("… {}", &error.message[at..]),
        _ => error.message,
    };
    let message = format!("in {kind} \"{name}\"{place}: {inner}");
    Error { hint: error.hint, ..Error::new(error.kind, message) }.at(span)
}
