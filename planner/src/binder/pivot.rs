//! `PIVOT` and `UNPIVOT` in `FROM`: values of a column become columns of an aggregate each, and columns become rows.

use super::Binder;
use super::aggregate::{Aggregation, above_groups};
use super::expression::{Bound, Context};
use super::from::{Source, rename_relation};
use super::query::refuse_if;
use super::scope::{Relation, Scope, ScopeColumn};
use crate::error::{Error, Result};
use crate::logical::{ColumnId, ColumnSet, Logical, collect_columns};
use columnar::{DataType, Value};
use exec::Expr;
use sqlparser::ast::{self, PivotValueSource, Spanned, TableFactor};
use sqlparser::tokenizer::Span;

/// The most columns that a `PIVOT` makes.
const MAX_PIVOT_COLUMNS: usize = 1_000;

impl Binder<'_> {
    /// Groups by the columns that are not named, with each aggregate once for each value.
    pub(super) fn pivot(
        &mut self,
        factor: &TableFactor,
        known: &[Relation],
        outer: Option<&Scope<'_>>,
    ) -> Result<Source> {
        let TableFactor::Pivot {
            table,
            aggregate_functions,
            value_column,
            value_source,
            default_on_null,
            alias,
        } = factor
        else {
            return Err(Error::internal("a PIVOT is none"));
        };
        let span = factor.span();
        refuse_if(default_on_null.is_some(), "DEFAULT ON NULL in PIVOT", span)?;
        let PivotValueSource::List(values) = value_source else {
            return Err(Error::unsupported("PIVOT with anything but a list of values in IN").at(span));
        };
        if values.len().saturating_mul(aggregate_functions.len()) > MAX_PIVOT_COLUMNS {
            return Err(Error::value(format!("PIVOT makes more than {MAX_PIVOT_COLUMNS} columns")).at(span));
        }
        let (plan, relations) = self.table_factor(table, known, outer)?;
        let scope = Scope { relations, outer };
        let mut context = Context::new(&scope, "PIVOT");
        context.aggregation = Some(Aggregation::default());
        let mut results = Vec::new();
        for value in values {
            let condition = equals(value_column, &value.expr, span)?;
            for function in aggregate_functions {
                let ast::Expr::Function(call) = &function.expr else {
                    return Err(Error::value("PIVOT takes aggregates").at(function.expr.span()));
                };
                let mut call = call.clone();
                let filter = match call.filter.take() {
                    None => condition.clone(),
                    Some(filter) => {
                        let (left, right) =
                            (Box::new(ast::Expr::Nested(filter)), Box::new(condition.clone()));
                        ast::Expr::BinaryOp { left, op: ast::BinaryOperator::And, right }
                    }
                };
                call.filter = Some(Box::new(filter));
                let expr = self.expression(&ast::Expr::Function(call), &mut context)?;
                let mut name = value.alias.as_ref().map_or_else(|| name_of(&value.expr), |a| a.value.clone());
                match &function.alias {
                    Some(alias) => name = format!("{name}_{}", alias.value),
                    None if aggregate_functions.len() > 1 => {
                        name = format!("{name}_{}", super::select::name_of(&function.expr));
                    }
                    None => {}
                }
                results.push((name, expr));
            }
        }
        let Context { pending, aggregation, .. } = context;
        let aggregation = aggregation.unwrap_or_default();
        if !pending.is_empty() || !aggregation.pending.is_empty() {
            return Err(Error::unsupported("a subquery in PIVOT").at(span));
        }
        let mut used = ColumnSet::new();
        for (_, call) in &aggregation.calls {
            call.args.iter().chain(&call.filter).for_each(|expr| collect_columns(expr, &mut used));
        }
        let below = plan.output_set();
        let all = scope.relations.iter().flat_map(|relation| &relation.columns);
        let left: Vec<ScopeColumn> =
            all.filter(|column| !column.qualified_only && !used.contains(&column.id)).cloned().collect();
        let groups: Vec<(ColumnId, Expr)> =
            left.iter().map(|column| (column.id, self.columns.reference(column.id))).collect();
        let plan = plan.aggregate(groups.clone(), aggregation.calls);
        let mut exprs = groups.clone();
        let mut columns = left;
        for (name, expr) in results {
            let expr = above_groups(expr, &groups, &below).map_err(|id| {
                let message = format!("PIVOT takes aggregates, not column \"{}\"", self.columns.name(id));
                Error::value(message).at(span)
            })?;
            let id = self.columns.add(&name, expr.data_type());
            columns.push(ScopeColumn { name, id, qualified_only: false });
            exprs.push((id, expr));
        }
        finish((plan.project(exprs), vec![Relation { schema: None, name: None, columns }]), alias.as_ref())
    }

    /// A row for each of the columns, with its name and its value.
    pub(super) fn unpivot(
        &mut self,
        factor: &TableFactor,
        known: &[Relation],
        outer: Option<&Scope<'_>>,
    ) -> Result<Source> {
        let TableFactor::Unpivot { table, value, name, columns: chosen, null_inclusion, alias } = factor
        else {
            return Err(Error::internal("an UNPIVOT is none"));
        };
        let span = factor.span();
        let ast::Expr::Identifier(value) = value else {
            return Err(Error::unsupported("UNPIVOT into several columns").at(value.span()));
        };
        let (plan, relations) = self.table_factor(table, known, outer)?;
        let scope = Scope { relations, outer: None };
        let mut values = Vec::with_capacity(chosen.len());
        let mut names = Vec::with_capacity(chosen.len());
        let mut used = ColumnSet::new();
        for column in chosen {
            let parts = match &column.expr {
                ast::Expr::Identifier(one) => std::slice::from_ref(one),
                ast::Expr::CompoundIdentifier(parts) => parts,
                other => return Err(Error::unsupported("UNPIVOT of anything but columns").at(other.span())),
            };
            let id = scope.resolve(parts)?;
            used.insert(id);
            values.push(Bound::typed(self.columns.reference(id), column.expr.span()));
            let own = parts.last().map_or_else(String::new, |part| part.value.clone());
            names.push(column.alias.as_ref().map_or(own, |alias| alias.value.clone()));
        }
        let (values, data_type) = self.unify_all(values, "UNPIVOT").map_err(|error| error.at(span))?;
        let all = scope.relations.iter().flat_map(|relation| &relation.columns);
        let left: Vec<&ScopeColumn> =
            all.filter(|column| !column.qualified_only && !used.contains(&column.id)).collect();
        let mut columns: Vec<ScopeColumn> = Vec::with_capacity(left.len() + 2);
        for column in &left {
            columns.push(ScopeColumn { id: self.columns.copy(column.id), ..(*column).clone() });
        }
        for (name, data_type) in [(name, DataType::Varchar), (value, data_type)] {
            let id = self.columns.add(&name.value, data_type);
            columns.push(ScopeColumn { name: name.value.clone(), id, qualified_only: false });
        }
        let list = |(name, value): (&String, Expr)| -> Vec<Expr> {
            let passed = left.iter().map(|column| self.columns.reference(column.id));
            passed.chain([Expr::Literal(Value::varchar(name)), value]).collect()
        };
        let lists = names.iter().zip(values).map(list).collect();
        let ids: Vec<ColumnId> = columns.iter().map(|column| column.id).collect();
        let value = self.columns.reference(ids[ids.len() - 1]);
        let mut plan = Logical::Expand { input: Box::new(plan), lists, columns: ids, merges: false };
        if !matches!(null_inclusion, Some(ast::NullInclusion::IncludeNulls)) {
            plan = plan.filter(vec![Expr::IsNull { input: Box::new(value), negated: true }]);
        }
        finish((plan, vec![Relation { schema: None, name: None, columns }]), alias.as_ref())
    }
}

fn finish(mut source: Source, alias: Option<&ast::TableAlias>) -> Result<Source> {
    if let Some(alias) = alias {
        rename_relation(&mut source, alias)?;
    }
    Ok(source)
}

/// Whether the columns have a value of the list; nulls are values.
fn equals(columns: &[ast::Expr], value: &ast::Expr, span: Span) -> Result<ast::Expr> {
    let values = match value {
        ast::Expr::Tuple(values) if columns.len() > 1 => values.as_slice(),
        one => std::slice::from_ref(one),
    };
    if values.len() != columns.len() {
        let message = format!("PIVOT for {} columns and a value for {}", columns.len(), values.len());
        return Err(Error::value(message).at(span));
    }
    let test = |(column, value): (&ast::Expr, &ast::Expr)| {
        ast::Expr::IsNotDistinctFrom(Box::new(column.clone()), Box::new(value.clone()))
    };
    let all = columns.iter().zip(values).map(test).reduce(|left, right| ast::Expr::BinaryOp {
        left: Box::new(left),
        op: ast::BinaryOperator::And,
        right: Box::new(right),
    });
    all.ok_or_else(|| Error::value("PIVOT for no column").at(span))
}

/// The name of the column of a value.
fn name_of(value: &ast::Expr) -> String {
    match value {
        ast::Expr::Value(literal) => {
            super::literals::text_of(&literal.value).unwrap_or_else(|| value.to_string())
        }
        ast::Expr::Tuple(values) => values.iter().map(name_of).collect::<Vec<_>>().join("_"),
        other => super::select::name_of(other),
    }
}
