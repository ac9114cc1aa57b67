//! Binds parsed queries: names to columns, text to types, SQL's clauses to the logical plan's operators.

pub(crate) mod access;
pub(crate) mod aggregate;
mod as_of;
mod calls;
pub(crate) mod constants;
pub(crate) mod conversion;
pub(crate) mod expression;
mod frame;
mod from;
pub(crate) mod grouping;
mod inlined;
mod integers;
mod interval;
mod json;
mod literals;
mod macros;
mod merge;
mod nested;
mod nested_calls;
mod operators;
mod pivot;
mod policies;
mod predicates;
mod query;
mod sample;
pub(crate) mod scope;
mod select;
mod series;
mod set_operation;
mod sets;
mod subquery;
mod summarize;
pub(crate) mod types;
mod wildcard;
mod window;
mod write;
mod zones;

pub(crate) use inlined::ViewRead;
pub(crate) use write::BoundChange;

use crate::catalog::{Catalog, Table};
use crate::error::{Error, ErrorKind, Result};
use crate::logical::{ColumnId, Columns, Logical};
use crate::statement::{PlannerOptions, TableName};
use columnar::DataType;
use sqlparser::ast;
use sqlparser::tokenizer::Span;
use std::rc::Rc;
use std::sync::Arc;

/// Tables, subqueries and uses of a CTE in one query.
const MAX_RELATIONS: usize = 500;
/// Queries within queries.
const MAX_QUERY_DEPTH: usize = 100;

/// Binds one statement.
pub(crate) struct Binder<'a> {
    catalog: &'a dyn Catalog,
    options: &'a PlannerOptions,
    pub(crate) columns: Columns,
    /// The types of the parameters, as far as they are known.
    pub(crate) parameter_types: Vec<Option<DataType>>,
    /// Those in sight, innermost last.
    ctes: Vec<Cte>,
    relations: usize,
    query_depth: usize,
    /// How often an alias stood for its expression.
    alias_uses: usize,
    /// Some tables have columns that the user may not know of: hints do not tell them.
    hides_columns: bool,
    /// The moment of the statement in microseconds since 1970, once it was asked for.
    now: Option<i64>,
    /// Every view that is read, by itself or by another.
    pub(crate) views: Vec<ViewRead>,
    /// Texts of views and macros that are being bound.
    inlined: inlined::Inlined,
}

/// A query of a `WITH` clause; it is bound anew wherever it is used.
#[derive(Clone)]
struct Cte {
    name: String,
    column_names: Vec<ast::Ident>,
    query: Rc<ast::Query>,
    /// How many of the CTEs in sight it sees itself.
    sees: usize,
}

/// An item of a select list that others may name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Alias<'a> {
    pub(crate) name: &'a ast::Ident,
    pub(crate) expr: &'a ast::Expr,
}

/// A bound query: its rows, and which of the plan's columns are the result.
#[derive(Debug)]
pub(crate) struct BoundQuery {
    pub(crate) plan: Logical,
    /// All with different ids.
    pub(crate) columns: Vec<OutputColumn>,
}

#[derive(Debug, Clone)]
pub(crate) struct OutputColumn {
    pub(crate) name: String,
    pub(crate) id: ColumnId,
    /// The string literal that every row has; it takes the type that its context asks for.
    pub(crate) text: Option<String>,
}

impl OutputColumn {
    pub(crate) fn typed(name: String, id: ColumnId) -> OutputColumn {
        OutputColumn { name, id, text: None }
    }
}

impl<'a> Binder<'a> {
    pub(crate) fn new(catalog: &'a dyn Catalog, options: &'a PlannerOptions) -> Binder<'a> {
        Binder {
            catalog,
            options,
            columns: Columns::default(),
            parameter_types: Vec::new(),
            ctes: Vec::new(),
            relations: 0,
            query_depth: 0,
            alias_uses: 0,
            hides_columns: false,
            now: None,
            views: Vec::new(),
            inlined: inlined::Inlined::default(),
        }
    }

    /// The table of that name, or a view as a table.
    pub(crate) fn relation(&self, name: &TableName, span: Span) -> Result<Arc<Table>> {
        match self.catalog.view(name.schema.as_deref(), &name.name) {
            None => self.table(name, span),
            Some(view) => self.check_allowed(&view.table, span).map(|()| view.table.clone()),
        }
    }

    /// The table of that name, or an error that names a similar one.
    pub(crate) fn table(&self, name: &TableName, span: Span) -> Result<Arc<Table>> {
        let table = self.catalog.table(name.schema.as_deref(), &name.name);
        let table = table.ok_or_else(|| self.unknown_table(name, span))?;
        self.check_allowed(&table, span)?;
        Ok(table)
    }

    /// Whether the user may know of a column.
    pub(crate) fn sees_column(&self, table: &Table, column: &str) -> bool {
        self.catalog.sees_column(table, column)
    }

    /// Refuses a table of which the user may not even know the columns.
    fn check_allowed(&self, table: &Table, span: Span) -> Result<()> {
        match self.catalog.refusal(table) {
            Some(why) => Err(Error::new(ErrorKind::Denied, why).at(span)),
            None => Ok(()),
        }
    }

    fn unknown_table(&self, name: &TableName, span: Span) -> Error {
        if self.catalog.view(name.schema.as_deref(), &name.name).is_some() {
            return Error::value(format!("\"{name}\" is a view, and a table is expected here")).at(span);
        }
        let error = Error::name(format!("unknown table \"{name}\"")).at(span);
        let known = self.catalog.table_names();
        let ctes = self.ctes.iter().map(|cte| cte.name.as_str());
        scope::suggest(error, &name.name, known.iter().map(String::as_str).chain(ctes))
    }

    fn count_relation(&mut self, span: Span) -> Result<()> {
        self.relations += 1;
        if self.relations > MAX_RELATIONS {
            let message = format!("a query reads more than {MAX_RELATIONS} relations");
            return Err(Error::value(message).at(span));
        }
        Ok(())
    }
}

/// Whether two names are alike without regard to case.
pub(crate) fn same_name(a: &str, b: &str) -> bool {
    scope::same_name(a, b)
}

/// Adds the nearest of the names as a hint, if one is near.
pub(crate) fn suggest<'a>(error: Error, wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Error {
    scope::suggest(error, wanted, names)
}
