//! Whole queries: `WITH`, set operations, `VALUES`, `ORDER BY`, `LIMIT`.

use super::expression::{Bound, Context, Literal};
use super::scope::{Relation, Scope, ScopeColumn, same_name};
use super::subquery::attach;
use super::{Binder, BoundQuery, Cte, MAX_QUERY_DEPTH, OutputColumn, types};
use crate::error::{Error, Result};
use crate::logical::{JoinKind, Logical, SortKey};
use columnar::{DataType, Scalar, Value};
use exec::{CompareOp, Expr};
use sqlparser::ast::{self, SetExpr, SetOperator, SetQuantifier, Spanned};
use std::rc::Rc;

/// `LIMIT` and `OFFSET`.
#[derive(Clone, Copy, Debug, Default)]
struct Bounds {
    limit: Option<u64>,
    offset: u64,
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
        let order_by = order_by(query.order_by.as_ref())?;
        let bounds = self.bounds(query)?;
        let mut bound = match query.body.as_ref() {
            SetExpr::Select(select) => self.select(select, &order_by, outer)?,
            body => {
                let bound = self.set_expr(body, outer)?;
                self.sort_outputs(bound, &order_by)?
            }
        };
        if bounds.limit.is_some() || bounds.offset > 0 {
            let input = Box::new(bound.plan);
            bound.plan = Logical::Limit { input, limit: bounds.limit, offset: bounds.offset };
        }
        Ok(bound)
    }

    fn set_expr(&mut self, body: &SetExpr, outer: Option<&Scope<'_>>) -> Result<BoundQuery> {
        match body {
            SetExpr::Select(select) => self.select(select, &[], outer),
            SetExpr::Query(query) => self.query(query, outer),
            SetExpr::Values(values) => self.values(values, outer),
            SetExpr::SetOperation { op, set_quantifier, .. } => {
                let all = match set_quantifier {
                    SetQuantifier::All => true,
                    SetQuantifier::None | SetQuantifier::Distinct => false,
                    other => return Err(Error::unsupported(format!("{op} {other}")).at(body.span())),
                };
                // A chain of one operator is taken flat.
                let mut parts = Vec::new();
                let mut rest = body;
                while let SetExpr::SetOperation { op: other, set_quantifier: quantifier, left, right } = rest
                    && other == op
                    && matches!(op, SetOperator::Union)
                    && (*quantifier == SetQuantifier::All) == all
                    && !matches!(
                        quantifier,
                        SetQuantifier::ByName | SetQuantifier::AllByName | SetQuantifier::DistinctByName
                    )
                {
                    parts.push(right.as_ref());
                    rest = left;
                }
                if parts.is_empty()
                    && let SetExpr::SetOperation { left, right, .. } = body
                {
                    parts.push(right.as_ref());
                    rest = left;
                }
                parts.push(rest);
                let mut inputs = Vec::with_capacity(parts.len());
                for part in parts.into_iter().rev() {
                    self.query_depth += 1;
                    let input = if self.query_depth > MAX_QUERY_DEPTH {
                        Err(Error::value("set operations are nested too deeply").at(part.span()))
                    } else {
                        self.set_expr(part, outer)
                    };
                    self.query_depth -= 1;
                    inputs.push((input?, part.span()));
                }
                self.set_operation(*op, all, inputs).map_err(|error| error.at(body.span()))
            }
            SetExpr::Table(_) => Err(Error::unsupported("TABLE as a query").at(body.span())),
            _ => Err(Error::unsupported("a change of data inside a query").at(body.span())),
        }
    }

    fn set_operation(
        &mut self,
        op: SetOperator,
        all: bool,
        inputs: Vec<(BoundQuery, sqlparser::tokenizer::Span)>,
    ) -> Result<BoundQuery> {
        let width = inputs[0].0.columns.len();
        let mut target = vec![DataType::Null; width];
        for (input, span) in &inputs {
            if input.columns.len() != width {
                let found = input.columns.len();
                return Err(Error::value(format!("{op} of {width} columns and {found}")).at(*span));
            }
            for (position, column) in input.columns.iter().enumerate() {
                if column.text.is_some() {
                    continue;
                }
                let own = self.columns.data_type(column.id);
                target[position] = types::unify(target[position], own).ok_or_else(|| {
                    let so_far = target[position];
                    let name = &column.name;
                    Error::value(format!("{op} mixes {so_far} and {own} in column \"{name}\"")).at(*span)
                })?;
            }
        }
        // Literals that nothing gives a type are text.
        for column in inputs.iter().flat_map(|(input, _)| input.columns.iter().enumerate()) {
            if let (position, OutputColumn { text: Some(_), .. }) = column
                && target[position] == DataType::Null
            {
                target[position] = DataType::Varchar;
            }
        }
        let names: Vec<String> = inputs[0].0.columns.iter().map(|column| column.name.clone()).collect();
        let mut parts = Vec::new();
        for (input, span) in inputs {
            parts.push(self.cast_columns(input.plan, &input.columns, &target, span)?);
        }
        if op == SetOperator::Union {
            let columns: Vec<_> = names
                .iter()
                .zip(&target)
                .map(|(name, &data_type)| self.columns.add(name, data_type))
                .collect();
            let mut plan = Logical::Union { inputs: parts, columns: columns.clone() };
            if !all {
                plan = plan.distinct(&columns, &self.columns);
            }
            return Ok(outputs(plan, names, columns));
        }
        if all {
            return Err(Error::unsupported(format!("{op} ALL")));
        }
        let kind = if op == SetOperator::Intersect { JoinKind::Semi } else { JoinKind::Anti };
        let (right, right_ids) = parts.pop().ok_or_else(|| Error::internal("a set operation of nothing"))?;
        let (left, left_ids) = parts.pop().ok_or_else(|| Error::internal("a set operation of one"))?;
        let on = left_ids
            .iter()
            .zip(&right_ids)
            .map(|(&a, &b)| {
                let (a, b) = (self.columns.reference(a), self.columns.reference(b));
                Expr::compare(CompareOp::IsNotDistinctFrom, a, b)
            })
            .collect();
        let plan = left.distinct(&left_ids, &self.columns).join(right, kind, on);
        Ok(outputs(plan, names, left_ids))
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

    fn values(&mut self, values: &ast::Values, outer: Option<&Scope<'_>>) -> Result<BoundQuery> {
        let scope = Scope { relations: Vec::new(), outer };
        let width = values.rows.first().map_or(0, |row| row.content.len());
        let mut by_column: Vec<Vec<Bound>> = vec![Vec::with_capacity(values.rows.len()); width];
        for row in &values.rows {
            if row.content.len() != width {
                let message =
                    format!("a row of VALUES has {} values, the first has {width}", row.content.len());
                let span = row.content.first().map_or(values.rows[0].opening_token.0.span, Spanned::span);
                return Err(Error::value(message).at(span));
            }
            for (column, ast) in by_column.iter_mut().zip(&row.content) {
                let mut context = Context::new(&scope, "VALUES");
                column.push(self.bind(ast, &mut context)?);
                if !context.pending.is_empty() {
                    return Err(Error::unsupported("a subquery in VALUES").at(ast.span()));
                }
            }
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
            Some(rows) => Logical::Values { columns: columns.clone(), rows },
            None => {
                let mut inputs = Vec::with_capacity(exprs.len());
                for row in exprs {
                    let ids: Vec<_> = columns.iter().map(|&id| self.columns.copy(id)).collect();
                    let exprs = ids.iter().copied().zip(row).collect();
                    inputs.push((Logical::one_row().project(exprs), ids));
                }
                Logical::Union { inputs, columns: columns.clone() }
            }
        };
        Ok(outputs(plan, names, columns))
    }

    /// `ORDER BY` where only the result's columns can be named.
    fn sort_outputs(&mut self, mut bound: BoundQuery, order_by: &[ast::OrderByExpr]) -> Result<BoundQuery> {
        if order_by.is_empty() {
            return Ok(bound);
        }
        let columns = bound
            .columns
            .iter()
            .map(|column| ScopeColumn { name: column.name.clone(), id: column.id, qualified_only: false })
            .collect();
        let scope = Scope { relations: vec![Relation { schema: None, name: None, columns }], outer: None };
        let mut context = Context::new(&scope, "ORDER BY");
        let mut keys = Vec::with_capacity(order_by.len());
        for item in order_by {
            let expr = match ordinal(&item.expr, bound.columns.len(), "ORDER BY")? {
                Some(position) => self.columns.reference(bound.columns[position].id),
                None => self.expression(&item.expr, &mut context)?,
            };
            keys.push(sort_key(expr, item));
        }
        let input = Box::new(attach(bound.plan, context.pending));
        bound.plan = Logical::Sort { input, keys };
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
            refuse_if(fetch.with_ties, "FETCH … WITH TIES", query.span())?;
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
        match super::expression::fold(expr) {
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

fn outputs(plan: Logical, names: Vec<String>, ids: Vec<u32>) -> BoundQuery {
    let columns = names.into_iter().zip(ids).map(|(name, id)| OutputColumn::typed(name, id)).collect();
    BoundQuery { plan, columns }
}

pub(super) fn refuse_if(present: bool, what: &str, span: sqlparser::tokenizer::Span) -> Result<()> {
    if present { Err(Error::unsupported(what).at(span)) } else { Ok(()) }
}

fn order_by(clause: Option<&ast::OrderBy>) -> Result<Vec<ast::OrderByExpr>> {
    let Some(clause) = clause else { return Ok(Vec::new()) };
    refuse_if(clause.interpolate.is_some(), "INTERPOLATE", clause.span())?;
    match &clause.kind {
        ast::OrderByKind::Expressions(items) => Ok(items.clone()),
        ast::OrderByKind::All(_) => Err(Error::unsupported("ORDER BY ALL").at(clause.span())),
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
pub(super) fn sort_key(expr: Expr, item: &ast::OrderByExpr) -> SortKey {
    let descending = matches!(item.options.sort, Some(ast::OrderBySort::Desc));
    SortKey { expr, descending, nulls_first: item.options.nulls_first.unwrap_or(descending) }
}
