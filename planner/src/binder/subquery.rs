//! Subqueries in expressions: each becomes a join below the operator that evaluates the expression, and the
//! expression a column of it.

use super::Binder;
use super::expression::{Bound, Context};
use crate::error::{Error, Result};
use crate::logical::{JoinKind, Logical};
use columnar::DataType;
use exec::{CompareOp, Expr};
use sqlparser::ast::{self, Spanned};

/// A join with a subquery that is still to be made.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) plan: Logical,
    pub(crate) kind: JoinKind,
    pub(crate) on: Vec<Expr>,
}

/// Puts the joins on top of a plan.
pub(crate) fn attach(mut plan: Logical, pending: Vec<Pending>) -> Logical {
    for Pending { plan: right, kind, on } in pending {
        plan = plan.join(right, kind, on);
    }
    plan
}

impl Binder<'_> {
    pub(crate) fn exists(&mut self, query: &ast::Query, context: &mut Context<'_>) -> Result<Expr> {
        let bound = self.query(query, Some(context.scope))?;
        let mark = self.columns.add("exists", DataType::Boolean);
        context.pending.push(Pending { plan: bound.plan, kind: JoinKind::Mark(mark), on: Vec::new() });
        Ok(self.columns.reference(mark))
    }

    /// `left op ANY (query)`; `IN` is `= ANY`.
    pub(crate) fn in_subquery(
        &mut self,
        left: &ast::Expr,
        op: CompareOp,
        query: &ast::Query,
        context: &mut Context<'_>,
    ) -> Result<Expr> {
        let null_is_false = std::mem::replace(&mut context.null_is_false, false);
        let lefts = match left {
            ast::Expr::Tuple(parts) if op == CompareOp::Equal => parts.as_slice(),
            other => std::slice::from_ref(other),
        };
        let lefts = lefts.iter().map(|left| self.bind(left, context)).collect::<Result<Vec<_>>>()?;
        let bound = self.query(query, Some(context.scope))?;
        if bound.columns.len() != lefts.len() {
            return Err(Error::value(format!(
                "a subquery here gives {}, this one gives {}",
                columns_in_words(lefts.len()),
                columns_in_words(bound.columns.len())
            ))
            .at(query.span()));
        }
        let mut on = Vec::new();
        for (left, column) in lefts.into_iter().zip(&bound.columns) {
            let right = Bound::typed(self.columns.reference(column.id), query.span());
            on.push(self.compare(op, left, right)?);
        }
        let (name, kind): (_, fn(u32) -> JoinKind) =
            if null_is_false { ("in", JoinKind::Mark) } else { ("in", JoinKind::NullMark) };
        let mark = self.columns.add(name, DataType::Boolean);
        context.pending.push(Pending { plan: bound.plan, kind: kind(mark), on });
        Ok(self.columns.reference(mark))
    }

    pub(crate) fn scalar_subquery(&mut self, query: &ast::Query, context: &mut Context<'_>) -> Result<Bound> {
        let span = query.span();
        let bound = self.query(query, Some(context.scope))?;
        let [column] = bound.columns.as_slice() else {
            let found = columns_in_words(bound.columns.len());
            let message =
                format!("a subquery used as an expression gives one column, this one gives {found}");
            return Err(Error::value(message).at(span));
        };
        let expr = self.columns.reference(column.id);
        context.pending.push(Pending { plan: bound.plan, kind: JoinKind::Single, on: Vec::new() });
        Ok(Bound::typed(expr, span))
    }
}

fn columns_in_words(count: usize) -> String {
    if count == 1 { "one column".into() } else { format!("{count} columns") }
}
