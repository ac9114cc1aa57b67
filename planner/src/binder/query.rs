//! Whole queries: `WITH`, `VALUES`, `ORDER BY`, `LIMIT`.

use super::expression::{Bound, Context, Literal};
use super::scope::{Relation, Scope, ScopeColumn, same_name};
use super::select::Order;
use super::set_operation::outputs;
use super::subquery::attach;
use super::{Binder, BoundQuery, Cte, MAX_QUERY_DEPTH, OutputColumn};
use crate::error::{Error, Result};
use crate::logical::{Logical, SortKey, TopOfGroups};
use columnar::{DataType, Scalar, Value};
use exec::Expr;
use sqlparser::ast::{self, SetExpr, Spanned};
use std::rc::Rc;

/// `LIMIT` and `OFFSET`.
#[derive(Clone, Copy, Debug, Default)]
struct Bounds {
    limit: Option<u64>,
    offset: u64,
    /// Also the rows that the order has beside the last.
    ties: bool,
}

impl Binder<'_> {
    /// A query, whose expressions may also name columns of `outer`.
    pub(crate) fn query(&mut self, query: &ast::Query, outer: Option<&Scope<'_>>) -> Result<BoundQuery> {
        if self.query_depth >= MAX_QUERY_DEPTH {
            let message = format!("queries are nested more than {MAX_QUERY_DEPTH} deep");
            return Err(Error::value(message).at(query.span()));
        }
        self.query_depth += 1;
        let ctes = self.ctes.len();
        let bound = self.query_here(query, outer);
        self.ctes.truncate(ctes);
        self.query_depth -= 1;
        bound
    }

    fn query_here(&mut self, query: &ast::Query, outer: Option<&Scope<'_>>) -> Result<BoundQuery> {
        let span = query.span();
        refuse_if(!query.locks.is_empty(), "FOR UPDATE", span)?;
        refuse_if(query.for_clause.is_some(), "FOR", span)?;
        refuse_if(query.settings.is_some(), "SETTINGS", span)?;
        refuse_if(query.format_clause.is_some(), "FORMAT", span)?;
        refuse_if(!query.pipe_operators.is_empty(), "a pipe operator", span)?;
        if let Some(with) = &query.with {
            refuse_if(with.recursive, "WITH RECURSIVE", with.span())?;
            for (number, cte) in with.cte_tables.iter().enumerate() {
                let name = &cte.alias.name;
                if with.cte_tables[..number]
                    .iter()
                    .any(|other| same_name(&other.alias.name.value, &name.value))
                {
                    let message = format!("WITH names \"{}\" twice", name.value);
                    return Err(Error::name(message).at(name.span));
                }
                self.ctes.push(Cte {
                    name: cte.alias.name.value.clone(),
                    column_names: cte.alias.columns.iter().map(|column| column.name.clone()).collect(),
                    query: Rc::new((*cte.query).clone()),
                    sees: self.ctes.len(),
                });
            }
        }
        let order = order_of(query.order_by.as_ref())?;
        let bounds = self.bounds(query)?;
        let mut bound = match query.body.as_ref() {
            SetExpr::Select(select) => self.select(select, order, outer)?,
            body => {
                let bound = self.set_expr(body, outer)?;
                self.sort_outputs(bound, order)?
            }
        };
        if bounds.ties {
            bound.plan = with_ties(bound.plan, &bounds).map_err(|error| error.at(span))?;
        } else if bounds.limit.is_some() || bounds.offset > 0 {
            let input = Box::new(bound.plan);
            bound.plan = Logical::Limit { input, limit: bounds.limit, offset: bounds.offset };
        }
        Ok(bound)
    }

    /// The plan's columns as these types: those that have another are cast.
    pub(crate) fn cast_columns(
        &mut self,
        plan: Logical,
        columns: &[OutputColumn],
        target: &[DataType],
        span: sqlparser::tokenizer::Span,
    ) -> Result<(Logical, Vec<u32>)> {
        self.convert_columns(plan, columns, target, span, false)
    }

    /// As [`Binder::cast_columns`], with the casts that an `INSERT` does unasked.
    fn assign_columns(
        &mut self,
        plan: Logical,
        columns: &[OutputColumn],
        target: &[DataType],
        span: sqlparser::tokenizer::Span,
    ) -> Result<(Logical, Vec<u32>)> {
        self.convert_columns(plan, columns, target, span, true)
    }

    fn convert_columns(
        &mut self,
        plan: Logical,
        columns: &[OutputColumn],
        target: &[DataType],
        span: sqlparser::tokenizer::Span,
        assign: bool,
    ) -> Result<(Logical, Vec<u32>)> {
        let ids: Vec<u32> = columns.iter().map(|column| column.id).collect();
        if plan.outputs() == ids && ids.iter().zip(target).all(|(&id, &t)| self.columns.data_type(id) == t) {
            return Ok((plan, ids));
        }
        let mut exprs = Vec::with_capacity(ids.len());
        for (column, &data_type) in columns.iter().zip(target) {
            let id = column.id;
            let reference = self.columns.reference(id);
            if reference.data_type() == data_type {
                exprs.push((id, reference));
                continue;
            }
            let (expr, literal) = match &column.text {
                Some(text) => (Expr::Literal(Value::varchar(text)), Literal::Text),
                None if reference.data_type() == DataType::Null => (reference, Literal::Null),
                None => (reference, Literal::No),
            };
            let bound = Bound { expr, literal, span };
            let expr = if assign { self.assign(bound, data_type)? } else { self.coerce(bound, data_type)? };
            let name = self.columns.name(id).to_string();
            exprs.push((self.columns.add(name, data_type), expr));
        }
        let ids = exprs.iter().map(|&(id, _)| id).collect();
        Ok((plan.project(exprs), ids))
    }

    /// The plan's columns assigned to columns of a table: rows of literals become values of its types.
    pub(crate) fn insert_columns(
        &mut self,
        plan: Logical,
        given: &[OutputColumn],
        target: &[DataType],
        span: sqlparser::tokenizer::Span,
    ) -> Result<(Logical, Vec<u32>)> {
        let Logical::Values { columns, rows } = &plan else {
            return self.assign_columns(plan, given, target, span);
        };
        let ids: Vec<u32> = given.iter().map(|column| column.id).collect();
        if *columns != ids {
            return self.assign_columns(plan, given, target, span);
        }
        let mut cast = Vec::with_capacity(rows.len());
        for row in rows {
            let mut values = Vec::with_capacity(row.len());
            for (value, &data_type) in row.iter().zip(target) {
                let literal = match value {
                    value if value.is_null() => Literal::Null,
                    Value { data_type: DataType::Varchar, .. } => Literal::Text,
                    _ => Literal::No,
                };
                let bound = Bound { expr: Expr::Literal(value.clone()), literal, span };
                match self.assign(bound, data_type)? {
                    Expr::Literal(value) => values.push(value),
                    _ => return self.assign_columns(plan, given, target, span),
                }
            }
            cast.push(values);
        }
        let ids: Vec<u32> = ids
            .iter()
            .zip(target)
            .map(|(&id, &data_type)| {
                let name = self.columns.name(id).to_string();
                self.columns.add(name, data_type)
            })
            .collect();
        Ok((Logical::Values { columns: ids.clone(), rows: cast }, ids))
    }

    pub(super) fn values(&mut self, values: &ast::Values, outer: Option<&Scope<'_>>) -> Result<BoundQuery> {
        let scope = Scope { relations: Vec::new(), outer };
        let width = values.rows.first().map_or(0, |row| row.content.len());
        let mut by_column: Vec<Vec<Bound>> = vec![Vec::with_capacity(values.rows.len()); width];
        // Joins with the subqueries of each row.
        let mut pending = Vec::with_capacity(values.rows.len());
        for row in &values.rows {
            if row.content.len() != width {
                let message =
                    format!("a row of VALUES has {} values, the first has {width}", row.content.len());
                let span = row.content.first().map_or(values.rows[0].opening_token.0.span, Spanned::span);
                return Err(Error::value(message).at(span));
            }
            let mut context = Context::new(&scope, "VALUES");
            for (column, ast) in by_column.iter_mut().zip(&row.content) {
                column.push(self.bind(ast, &mut context)?);
            }
            pending.push(context.pending);
        }
        let mut columns = Vec::with_capacity(width);
        let mut names = Vec::with_capacity(width);
        let mut exprs: Vec<Vec<Expr>> = vec![Vec::with_capacity(width); values.rows.len()];
        for (position, column) in by_column.into_iter().enumerate() {
            let (column, data_type) = self.unify_all(column, "VALUES")?;
            for (row, expr) in exprs.iter_mut().zip(column) {
                row.push(expr);
            }
            names.push(format!("column{}", position + 1));
            columns.push(self.columns.add(&names[position], data_type));
        }
        let constants: Option<Vec<Vec<Value>>> = exprs
            .iter()
            .map(|row| {
                row.iter()
                    .map(|expr| match expr {
                        Expr::Literal(value) => Some(value.clone()),
                        _ => None,
                    })
                    .collect()
            })
            .collect();
        let plan = match constants {
            Some(rows) if pending.iter().all(Vec::is_empty) => {
                Logical::Values { columns: columns.clone(), rows }
            }
            _ => {
                let mut inputs = Vec::with_capacity(exprs.len());
                for (row, pending) in exprs.into_iter().zip(pending) {
                    let ids: Vec<_> = columns.iter().map(|&id| self.columns.copy(id)).collect();
                    let exprs = ids.iter().copied().zip(row).collect();
                    inputs.push((attach(Logical::one_row(), pending).project(exprs), ids));
                }
                Logical::Union { inputs, columns: columns.clone() }
            }
        };
        Ok(outputs(plan, names, columns))
    }

    /// `ORDER BY` where only the result's columns can be named.
    fn sort_outputs(&mut self, mut bound: BoundQuery, order: Order<'_>) -> Result<BoundQuery> {
        let columns = bound
            .columns
            .iter()
            .map(|column| ScopeColumn { name: column.name.clone(), id: column.id, qualified_only: false })
            .collect();
        let scope = Scope { relations: vec![Relation { schema: None, name: None, columns }], outer: None };
        let mut context = Context::new(&scope, "ORDER BY");
        let mut keys = Vec::new();
        match order {
            Order::By(items) => {
                for item in items {
                    let expr = match ordinal(&item.expr, bound.columns.len(), "ORDER BY")? {
                        Some(position) => self.columns.reference(bound.columns[position].id),
                        None => self.expression(&item.expr, &mut context)?,
                    };
                    keys.push(sort_key(expr, &item.options));
                }
            }
            Order::All(options) => {
                let all = bound.columns.iter().map(|column| self.columns.reference(column.id));
                keys.extend(all.map(|expr| sort_key(expr, options)));
            }
        }
        if !keys.is_empty() {
            let input = Box::new(attach(bound.plan, context.pending));
            bound.plan = Logical::Sort { input, keys };
        }
        Ok(bound)
    }

    fn bounds(&mut self, query: &ast::Query) -> Result<Bounds> {
        let mut bounds = Bounds::default();
        match &query.limit_clause {
            None => {}
            Some(ast::LimitClause::LimitOffset { limit, offset, limit_by }) => {
                refuse_if(!limit_by.is_empty(), "LIMIT BY", query.span())?;
                if let Some(limit) = limit {
                    bounds.limit = self.row_count(limit, "LIMIT")?;
                }
                if let Some(offset) = offset {
                    bounds.offset = self.row_count(&offset.value, "OFFSET")?.unwrap_or(0);
                }
            }
            Some(ast::LimitClause::OffsetCommaLimit { offset, limit }) => {
                bounds.offset = self.row_count(offset, "OFFSET")?.unwrap_or(0);
                bounds.limit = self.row_count(limit, "LIMIT")?;
            }
        }
        if let Some(fetch) = &query.fetch {
            bounds.ties = fetch.with_ties;
            refuse_if(fetch.percent, "FETCH … PERCENT", query.span())?;
            bounds.limit = match &fetch.quantity {
                None => Some(1),
                Some(quantity) => self.row_count(quantity, "FETCH")?,
            };
        }
        Ok(bounds)
    }

    /// A number of rows; null and `ALL` are none.
    fn row_count(&mut self, ast: &ast::Expr, what: &'static str) -> Result<Option<u64>> {
        let scope = Scope::default();
        let mut context = Context::new(&scope, what);
        let bound = self.bind(ast, &mut context)?;
        let span = bound.span;
        let expr = self.coerce(bound, DataType::Int64)?;
        match super::constants::fold(expr) {
            Expr::Literal(value) if value.is_null() => Ok(None),
            Expr::Literal(Value { scalar: Scalar::Integer(count), .. }) if context.pending.is_empty() => {
                match u64::try_from(count) {
                    Ok(count) => Ok(Some(count)),
                    Err(_) => Err(Error::value(format!("{what} is negative")).at(span)),
                }
            }
            _ => Err(Error::unsupported(format!("{what} of anything but a constant")).at(span)),
        }
    }
}

pub(super) fn refuse_if(present: bool, what: &str, span: sqlparser::tokenizer::Span) -> Result<()> {
    if present { Err(Error::unsupported(what).at(span)) } else { Ok(()) }
}

fn order_of(clause: Option<&ast::OrderBy>) -> Result<Order<'_>> {
    let Some(clause) = clause else { return Ok(Order::By(&[])) };
    refuse_if(clause.interpolate.is_some(), "INTERPOLATE", clause.span())?;
    Ok(match &clause.kind {
        ast::OrderByKind::Expressions(items) => Order::By(items),
        ast::OrderByKind::All(options) => Order::All(options),
    })
}

/// The first rows of a sorted plan, and those that are alike to the last of them.
fn with_ties(plan: Logical, bounds: &Bounds) -> Result<Logical> {
    match plan {
        Logical::Project { input, exprs } => Ok(with_ties(*input, bounds)?.project(exprs)),
        Logical::Sort { input, keys } => {
            let Bounds { limit, offset, ties } = *bounds;
            let (groups, limit) = (Vec::new(), limit.unwrap_or(u64::MAX));
            let top = TopOfGroups { input, groups, keys: keys.clone(), limit, offset, ties };
            Ok(Logical::Sort { input: Box::new(Logical::TopOfGroups(top)), keys })
        }
        _ => Err(Error::value("WITH TIES needs ORDER BY")),
    }
}

/// The position that an integer literal names, 0-based.
pub(super) fn ordinal(ast: &ast::Expr, width: usize, clause: &str) -> Result<Option<usize>> {
    let ast::Expr::Value(value) = ast else { return Ok(None) };
    let ast::Value::Number(digits, _) = &value.value else { return Ok(None) };
    match digits.parse::<usize>() {
        Ok(position) if (1..=width).contains(&position) => Ok(Some(position - 1)),
        Ok(position) => {
            let message = format!("{clause} {position} is not a position in the select list of {width}");
            Err(Error::name(message).at(value.span))
        }
        Err(_) => Ok(None),
    }
}

/// Nulls are last ascending and first descending, unless the query says otherwise.
pub(super) fn sort_key(expr: Expr, options: &ast::OrderByOptions) -> SortKey {
    let descending = matches!(options.sort, Some(ast::OrderBySort::Desc));
    SortKey { expr, descending, nulls_first: options.nulls_first.unwrap_or(descending) }
}
