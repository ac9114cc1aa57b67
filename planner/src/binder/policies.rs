//! Policies of rows: conditions that a table's scan tests whatever a query asks.
//!
//! A scan tests what cannot fail first, and conditions of policies cannot: a condition of the query that fails does so on rows
//! alone that its user may read, and tells nothing of others.

use super::Binder;
use super::expression::Context;
use super::scope::{Relation, Scope, ScopeColumn};
use crate::catalog::{RowFilter, Table};
use crate::error::{Error, Result};
use crate::logical::{ColumnId, conjuncts, is_true};
use crate::parse::condition;
use crate::rules::simplify;
use crate::shapes::Shapes;
use columnar::Value;
use exec::Expr;
use sqlparser::ast::{self, Spanned};
use std::sync::Arc;

impl Binder<'_> {
    /// What the user's policies have a scan of a table test; `None`: there are none for it.
    pub(super) fn row_filter(
        &mut self,
        table: &Arc<Table>,
        ids: &[(u32, ColumnId)],
    ) -> Result<Option<Vec<Expr>>> {
        let Some(RowFilter { permissive, restrictive }) = self.catalog.row_filter(table) else {
            return Ok(None);
        };
        let mut bind = |texts: Vec<String>| -> Result<Vec<Expr>> {
            texts.iter().map(|text| self.policy(table, ids, &condition(text)?)).collect()
        };
        // What is wrong with a policy is its owner's to know.
        let broken = |_| {
            let name = format!("{}.{}", table.schema, table.name);
            Error::value(format!(
                "a policy of table {name} does not fit its columns any more; its owner can mend that"
            ))
        };
        let (permissive, restrictive) =
            (bind(permissive).map_err(broken)?, bind(restrictive).map_err(broken)?);
        let any = match permissive.len() {
            0 => Expr::Literal(Value::boolean(false)),
            _ => Expr::Or(permissive),
        };
        let all = [any].into_iter().chain(restrictive).map(simplify).flat_map(conjuncts);
        Ok(Some(all.filter(|expr| !is_true(expr)).collect()))
    }

    /// The condition of a policy, which can hold for a row or not, and not fail.
    fn policy(&mut self, table: &Arc<Table>, ids: &[(u32, ColumnId)], condition: &ast::Expr) -> Result<Expr> {
        let columns = ids.iter().zip(&table.columns).map(|(&(_, id), column)| ScopeColumn {
            name: column.name.clone(),
            id,
            qualified_only: false,
        });
        let relation = Relation {
            schema: Some(table.schema.clone()),
            name: Some(table.name.clone()),
            columns: columns.collect(),
        };
        let scope = Scope { relations: vec![relation], outer: None };
        let mut context = Context::new(&scope, "a policy");
        context.null_is_false = true;
        let parameters = self.parameter_types.len();
        let expr = self.condition(condition, &mut context)?;
        let span = condition.span();
        if !context.pending.is_empty() {
            return Err(Error::unsupported("a subquery in a policy").at(span));
        }
        if self.parameter_types.len() > parameters {
            return Err(Error::value("a policy has no parameters").at(span));
        }
        // Whatever values the table has now or later.
        let fails = Shapes::default().compile(&simplify(expr.clone()));
        if fails.is_none_or(|compiled| compiled.is_fallible()) {
            let message =
                "the condition of a policy may fail for some values, which would tell of rows that it hides";
            return Err(Error::value(message)
                .at(span)
                .hint("compare columns with constants and with each other"));
        }
        Ok(expr)
    }

    /// Checks the condition of a policy that is to be made, and gives it as the text that is kept.
    pub(crate) fn check_policy(&mut self, table: &Arc<Table>, written: &ast::Expr) -> Result<String> {
        let ids = table.columns.iter().map(|column| self.columns.add(&column.name, column.data_type));
        let ids: Vec<(u32, ColumnId)> = (0..).zip(ids).collect();
        self.policy(table, &ids, written)?;
        let text = written.to_string();
        // What is read again must be what was checked.
        if condition(&text).ok().as_ref() != Some(written) {
            return Err(Error::unsupported("a policy with such quotes or signs").at(written.span()));
        }
        Ok(text)
    }
}
