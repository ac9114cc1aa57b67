//! Statements that change rows of a table: which rows by their addresses, and what they become.

use super::expression::Context;
use super::from::together;
use super::scope::{Relation, Scope, ScopeColumn};
use super::select::filter;
use super::subquery::attach;
use super::{Binder, BoundQuery, OutputColumn, same_name, suggest};
use crate::catalog::Table;
use crate::error::{Error, Result};
use crate::logical::{ColumnId, JoinKind, Logical, Scan};
use crate::parse::{ChangeSyntax, table_name};
use crate::statement::ChangeKind;
use columnar::{DataType, Value};
use exec::Expr;
use sqlparser::ast::{self, AssignmentTarget, FunctionArg, FunctionArgExpr, FunctionArguments, Spanned};
use std::sync::Arc;

/// A bound change. Its query gives the address of each row and, of an update, the new row.
pub(crate) struct BoundChange {
    pub(crate) table: Arc<Table>,
    pub(crate) kind: ChangeKind,
    pub(crate) query: BoundQuery,
    /// The results for which columns are read: others are but copied.
    pub(crate) asked: Vec<ColumnId>,
}

/// A table whose rows a statement changes.
pub(super) struct Target {
    pub(super) table: Arc<Table>,
    /// Of all its columns.
    pub(super) ids: Vec<(u32, ColumnId)>,
    pub(super) address: ColumnId,
    pub(super) plan: Logical,
    pub(super) relation: Relation,
}

impl Binder<'_> {
    pub(crate) fn change(&mut self, syntax: &ChangeSyntax) -> Result<BoundChange> {
        let statement = if syntax.assignments.is_some() { "UPDATE" } else { "DELETE" };
        let Target { table, ids, address, mut plan, relation } =
            self.target(&syntax.table, syntax.alias.as_ref(), statement)?;
        let (mut relations, span) = (vec![relation], syntax.table.span());
        if !syntax.sources.is_empty() {
            let (others, known) = self.from(&syntax.sources, None)?;
            relations = together(relations, known, span)?;
            plan = plan.join(others, JoinKind::Inner, Vec::new());
        }
        let scope = Scope { relations, outer: None };
        if let Some(condition) = &syntax.condition {
            let mut context = Context::new(&scope, "WHERE");
            context.null_is_false = true;
            let condition = self.condition(condition, &mut context)?;
            plan = filter(plan, condition, context.pending);
        }
        let mut exprs: Vec<(ColumnId, Expr)> = vec![(address, self.columns.reference(address))];
        let mut asked = vec![address];
        let mut kind = ChangeKind::Delete;
        if let Some(assignments) = &syntax.assignments {
            let mut context = Context::new(&scope, "SET");
            let values = self.set_values(&table, assignments, &mut context)?;
            plan = attach(plan, context.pending);
            kind = ChangeKind::Update(given(&values));
            for ((value, &(_, id)), column) in values.into_iter().zip(&ids).zip(&table.columns) {
                exprs.push(match value {
                    None => (id, self.columns.reference(id)),
                    Some(value) => {
                        let new = self.columns.add(&column.name, column.data_type);
                        asked.push(new);
                        (new, value)
                    }
                });
            }
        }
        Ok(BoundChange { table, kind, query: self.giving(plan, exprs), asked })
    }

    /// The query that gives these.
    pub(super) fn giving(&self, plan: Logical, exprs: Vec<(ColumnId, Expr)>) -> BoundQuery {
        let columns = exprs.iter().map(|&(id, _)| {
            let name = self.columns.name(id).to_string();
            OutputColumn::typed(name, id)
        });
        BoundQuery { columns: columns.collect(), plan: plan.project(exprs) }
    }

    /// The table whose rows a statement changes.
    pub(super) fn target(
        &mut self,
        name: &ast::ObjectName,
        alias: Option<&ast::Ident>,
        statement: &str,
    ) -> Result<Target> {
        let (name, span) = table_name(name)?;
        let table = self.table(&name, span)?;
        if table.foreign.is_some() {
            let what = format!("{statement} of the foreign table \"{}\"", table.name);
            return Err(Error::unsupported(what).at(span));
        }
        self.count_relation(span)?;
        let ids: Vec<(u32, ColumnId)> = (0..)
            .zip(&table.columns)
            .map(|(position, column)| (position, self.columns.add(&column.name, column.data_type)))
            .collect();
        self.hides_columns |= !table.columns.iter().all(|column| self.sees_column(&table, &column.name));
        let columns = ids.iter().zip(&table.columns).map(|(&(_, id), column)| ScopeColumn {
            name: column.name.clone(),
            id,
            qualified_only: false,
        });
        let relation = Relation {
            schema: if alias.is_some() { None } else { Some(table.schema.clone()) },
            name: Some(alias.map_or_else(|| table.name.clone(), |alias| alias.value.clone())),
            columns: columns.collect(),
        };
        let filter_of_rows = self.row_filter(&table, &ids)?;
        let hides_rows = filter_of_rows.is_some();
        let addressed = table.with_addresses();
        let address = self.columns.add("address", DataType::Int64);
        let mut scanned = ids.clone();
        scanned.push((table.columns.len() as u32, address));
        let predicate = filter_of_rows.unwrap_or_default();
        let scan = Scan { table: addressed, columns: scanned, predicate, filtered: Vec::new(), hides_rows };
        Ok(Target { table, ids, address, plan: Logical::Scan(scan), relation })
    }

    /// The value of each column that is set.
    pub(super) fn set_values(
        &mut self,
        table: &Arc<Table>,
        assignments: &[ast::Assignment],
        context: &mut Context<'_>,
    ) -> Result<Vec<Option<Expr>>> {
        let mut values: Vec<Option<Expr>> = vec![None; table.columns.len()];
        for (name, value) in assigned(assignments)? {
            let position = self.position(table, name)?;
            if values[position].is_some() {
                let message = format!("column \"{}\" is set twice", table.columns[position].name);
                return Err(Error::name(message).at(name.span()));
            }
            values[position] = Some(self.value_for(value, table.columns[position].data_type, context)?);
        }
        Ok(values)
    }

    /// A value for a column of that type, by the rules of `INSERT`.
    pub(super) fn value_for(
        &mut self,
        value: &ast::Expr,
        target: DataType,
        context: &mut Context<'_>,
    ) -> Result<Expr> {
        if is_default(value) {
            // No column has another default.
            return Ok(Expr::Literal(Value::null(target)));
        }
        let bound = self.bind(value, context)?;
        self.assign(bound, target)
    }

    /// The column of that name that is set.
    pub(super) fn position(&self, table: &Arc<Table>, name: &ast::ObjectName) -> Result<usize> {
        let [ast::ObjectNamePart::Identifier(name)] = name.0.as_slice() else {
            return Err(Error::name("SET takes plain column names").at(name.span()));
        };
        let position = table.columns.iter().position(|column| same_name(&column.name, &name.value));
        position.ok_or_else(|| {
            let message = format!("table \"{}\" has no column \"{}\"", table.name, name.value);
            let error = Error::name(message).at(name.span);
            let known = table.columns.iter().map(|column| column.name.as_str());
            suggest(error, &name.value, known.filter(|name| self.sees_column(table, name)))
        })
    }
}

/// The places of the columns that have a value.
pub(super) fn given(values: &[Option<Expr>]) -> Vec<usize> {
    (0..values.len()).filter(|&position| values[position].is_some()).collect()
}

/// Each column that is set with its value; those of rows, such as `(a, b) = (1, 2)`, one by one.
fn assigned(assignments: &[ast::Assignment]) -> Result<Vec<(&ast::ObjectName, &ast::Expr)>> {
    let mut assigned = Vec::with_capacity(assignments.len());
    for ast::Assignment { target, value } in assignments {
        match target {
            AssignmentTarget::ColumnName(name) => assigned.push((name, value)),
            AssignmentTarget::Tuple(names) => {
                let values = row(value).ok_or_else(|| {
                    Error::unsupported("SET of several columns to anything but a row of values")
                        .at(value.span())
                })?;
                if values.len() != names.len() {
                    let (found, wanted) = (values.len(), names.len());
                    let message = format!("SET has {found} values for {wanted} columns");
                    return Err(Error::value(message).at(value.span()));
                }
                assigned.extend(names.iter().zip(values));
            }
        }
    }
    Ok(assigned)
}

/// The values of `(a, b)` or of `ROW(a, b)`.
fn row(expr: &ast::Expr) -> Option<Vec<&ast::Expr>> {
    match expr {
        ast::Expr::Tuple(values) => Some(values.iter().collect()),
        ast::Expr::Nested(value) => Some(vec![value]),
        ast::Expr::Function(ast::Function { name, args: FunctionArguments::List(list), .. }) => {
            let [ast::ObjectNamePart::Identifier(name)] = name.0.as_slice() else { return None };
            let plain = name.value.eq_ignore_ascii_case("row") && list.clauses.is_empty();
            plain.then(|| list.args.iter().map(value_of).collect::<Option<Vec<_>>>()).flatten()
        }
        _ => None,
    }
}

fn value_of(arg: &FunctionArg) -> Option<&ast::Expr> {
    match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => Some(value),
        _ => None,
    }
}

/// The word `DEFAULT` in place of a value.
fn is_default(expr: &ast::Expr) -> bool {
    matches!(expr, ast::Expr::Identifier(name) if name.quote_style.is_none() && name.value.eq_ignore_ascii_case("default"))
}
