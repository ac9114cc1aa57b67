//! Projections on top of each other, and projections under an aggregate, become one where nothing is computed
//! twice by it.

use super::{Context, Rule};
use crate::error::Result;
use crate::logical::{ColumnId, Logical, substitute};
use exec::Expr;
use std::collections::HashMap;

pub(super) struct MergeProjections;

impl Rule for MergeProjections {
    fn name(&self) -> &'static str {
        "merge_projections"
    }

    fn apply(&self, plan: Logical, _: &mut Context<'_>) -> Result<Logical> {
        Ok(plan.transform_up(&mut |plan| match plan {
            Logical::Project { input, exprs } => match *input {
                Logical::Project { input, exprs: inner }
                    if is_cheap(&inner, exprs.iter().map(|(_, expr)| expr)) =>
                {
                    let map: HashMap<ColumnId, Expr> = inner.into_iter().collect();
                    let exprs = exprs.into_iter().map(|(id, expr)| (id, substitute(expr, &map))).collect();
                    input.project(exprs)
                }
                input => input.project(exprs),
            },
            other => other,
        }))
    }
}

/// Whether each computed column is used at most once.
fn is_cheap<'e>(inner: &[(ColumnId, Expr)], outer: impl Iterator<Item = &'e Expr>) -> bool {
    let mut uses: HashMap<ColumnId, usize> = HashMap::new();
    for expr in outer {
        expr.visit(&mut |node| {
            if let Expr::Column { id, .. } = node {
                *uses.entry(*id).or_insert(0) += 1;
            }
        });
    }
    inner.iter().all(|(id, expr)| {
        matches!(expr, Expr::Column { .. } | Expr::Literal(_)) || uses.get(id).is_none_or(|&uses| uses <= 1)
    })
}
