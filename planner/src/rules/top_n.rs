//! A limit over a sort is a top-N; a projection between the two moves above, and so does one below that computes of
//! columns which it passes on.

use super::{Context, Rule};
use crate::error::Result;
use crate::logical::{ColumnId, ColumnSet, Logical, SortKey, columns_of, columns_of_all};
use crate::shapes::Shapes;
use exec::Expr;

/// More rows than this are cheaper to sort than to keep in a heap.
const MOST_ROWS: u64 = 100_000;

pub(super) struct FuseTopN;

impl Rule for FuseTopN {
    fn name(&self) -> &'static str {
        "fuse_top_n"
    }

    fn apply(&self, plan: Logical, _: &mut Context<'_>) -> Result<Logical> {
        Ok(plan.transform_up(&mut |plan| match plan {
            Logical::Limit { input, limit: Some(limit), offset } => fuse(*input, limit, offset),
            other => other,
        }))
    }
}

fn fuse(input: Logical, limit: u64, offset: u64) -> Logical {
    match input {
        Logical::Sort { input, keys } if limit.saturating_add(offset) <= MOST_ROWS => {
            top_n(*input, keys, limit, offset)
        }
        Logical::Project { input, exprs } => fuse(*input, limit, offset).project(exprs),
        other => Logical::Limit { input: Box::new(other), limit: Some(limit), offset },
    }
}

fn top_n(input: Logical, keys: Vec<SortKey>, limit: u64, offset: u64) -> Logical {
    match input {
        Logical::Project { input, exprs } if can_wait(&input, &exprs, &keys) => {
            top_n(*input, keys, limit, offset).project(exprs)
        }
        input => Logical::TopN { input: Box::new(input), keys, limit, offset },
    }
}

/// Whether computing the columns for fewer rows carries no more columns there, and loses no error.
fn can_wait(input: &Logical, exprs: &[(ColumnId, Expr)], keys: &[SortKey]) -> bool {
    let passes = |(id, expr): &&(ColumnId, Expr)| matches!(expr, Expr::Column { id: own, .. } if own == id);
    let passed: ColumnSet = exprs.iter().filter(passes).map(|&(id, _)| id).collect();
    let mut computed = exprs.iter().filter(|column| !passes(column)).map(|(_, expr)| expr).peekable();
    if computed.peek().is_none() || !columns_of_all(keys.iter().map(|key| &key.expr)).is_subset(&passed) {
        return false;
    }
    let shapes = Shapes::of(input);
    computed.all(|expr| {
        columns_of(expr).is_subset(&passed)
            && shapes.compile(expr).is_some_and(|compiled| !compiled.is_fallible())
    })
}
