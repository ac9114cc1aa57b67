//! Views and macros as the catalog has them: texts, which are parsed where they are first used.

use crate::catalog::{Partitioning, Table};
use crate::error::Result;
use crate::parse::{self, Kept};
use sqlparser::ast;
use std::sync::{Arc, OnceLock};
use storage::statistics::{ColumnSchema, TableStatistics};

/// A view.
#[derive(Debug)]
pub struct View {
    /// Its name, columns and tenant.
    pub table: Arc<Table>,
    /// The query. Names that give no schema are of the default one.
    pub sql: String,
    /// Names of the query's first columns, in place of its own.
    pub column_names: Vec<String>,
    parsed: OnceLock<Result<Kept<Box<ast::Query>>>>,
}

impl View {
    pub fn new(table: Arc<Table>, sql: String, column_names: Vec<String>) -> View {
        View { table, sql, column_names, parsed: OnceLock::new() }
    }

    pub(crate) fn query(&self) -> Result<&Kept<Box<ast::Query>>> {
        self.parsed.get_or_init(|| parse::query_of(&self.sql)).as_ref().map_err(Clone::clone)
    }
}

/// A macro: an expression or a query with parameters.
#[derive(Debug)]
pub struct Macro {
    pub schema: String,
    pub name: String,
    pub parameters: Vec<MacroParameter>,
    /// Whether it gives rows rather than a value.
    pub is_table: bool,
    pub sql: String,
    parsed: OnceLock<Result<ParsedMacro>>,
}

/// A parameter of a macro.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MacroParameter {
    pub name: String,
    /// The constant expression that stands for it where a call gives none.
    pub default: Option<String>,
}

#[derive(Debug)]
pub(crate) struct ParsedMacro {
    pub(crate) body: Kept<MacroBody>,
    /// One a parameter.
    pub(crate) defaults: Vec<Option<ast::Expr>>,
}

#[derive(Debug)]
pub(crate) enum MacroBody {
    Expr(Box<ast::Expr>),
    Query(Box<ast::Query>),
}

impl Macro {
    pub fn new(
        schema: String,
        name: String,
        parameters: Vec<MacroParameter>,
        is_table: bool,
        sql: String,
    ) -> Macro {
        Macro { schema, name, parameters, is_table, sql, parsed: OnceLock::new() }
    }

    pub(crate) fn parsed(&self) -> Result<&ParsedMacro> {
        self.parsed.get_or_init(|| self.parse()).as_ref().map_err(Clone::clone)
    }

    fn parse(&self) -> Result<ParsedMacro> {
        let body = match self.is_table {
            true => parse::query_of(&self.sql)?.map(MacroBody::Query),
            false => parse::expression_of(&self.sql)?.map(|expr| MacroBody::Expr(Box::new(expr))),
        };
        let default = |parameter: &MacroParameter| {
            let parsed = parameter.default.as_deref().map(parse::expression_of).transpose()?;
            Ok(parsed.map(|parsed| parsed.syntax))
        };
        let defaults = self.parameters.iter().map(default).collect::<Result<_>>()?;
        Ok(ParsedMacro { body, defaults })
    }
}

impl Table {
    /// A view as a relation that has a name, columns and privileges. It has no rows of its own, and no number.
    pub fn of_view(tenant: &str, schema: &str, name: &str, columns: Vec<ColumnSchema>) -> Table {
        Table {
            tenant: tenant.into(),
            schema: schema.into(),
            name: name.into(),
            dataset: 0,
            version: 0,
            columns,
            statistics: Arc::new(TableStatistics::default()),
            facts: Vec::new(),
            partitioning: Partitioning::Spread,
            foreign: None,
            addressed: false,
        }
    }

    /// Whether it stands for a view.
    pub fn is_view(&self) -> bool {
        self.dataset == 0 && self.foreign.is_none()
    }
}
