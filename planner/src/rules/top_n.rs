//! A limit over a sort is a top-N; a projection between the two moves above.

use super::{Context, Rule};
use crate::error::Result;
use crate::logical::Logical;

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
            Logical::TopN { input, keys, limit, offset }
        }
        Logical::Project { input, exprs } => fuse(*input, limit, offset).project(exprs),
        other => Logical::Limit { input: Box::new(other), limit: Some(limit), offset },
    }
}
