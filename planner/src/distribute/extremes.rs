//! Rows that have the greatest or least value of all: `x = (SELECT max(x) FROM the same rows)`.
//!
//! Each shard keeps the rows that have its own greatest value, which are few, and of these one shard keeps those that have
//! the greatest of all. So the rows are computed once, where each of two fragments would compute them.

use super::{Distribution, MAX_GATHERED_GROUPS, Pass, exchange};
use crate::estimate::Estimator;
use crate::logical::{AggregateCall, ColumnId, Join, JoinKind, Logical, Routing, equality};
use crate::share::{Twins, is_pass, merge};
use exec::plan::AggregateFunction;
use exec::{CompareOp, Expr};
use std::collections::HashMap;

/// What a join asks for that keeps rows by an extreme of the same rows.
pub(super) struct Extreme {
    /// The rows again, of which the extreme is.
    same: Logical,
    /// Of the left rows.
    value: ColumnId,
    /// Its greatest or least.
    found: ColumnId,
    call: AggregateCall,
}

impl Pass<'_> {
    /// What the join asks for, where few rows have a value.
    pub(super) fn extreme(&self, join: &Join) -> Option<Extreme> {
        let [condition] = &join.on[..] else { return None };
        let sides = equality(condition, &join.left.output_set(), &join.right.output_set());
        let Some((&Expr::Column { id: value, .. }, &Expr::Column { id: found, .. }, false)) = sides else {
            return None;
        };
        let mut right = &*join.right;
        while let (true, Logical::Project { input, .. }) = (is_pass(right), right) {
            right = input;
        }
        let Logical::Aggregate { input: same, groups, aggregates } = right else { return None };
        let ([], [(id, call)]) = (&groups[..], &aggregates[..]) else { return None };
        let Some(Expr::Column { id: argument, .. }) = call.arg() else { return None };
        let is_extreme = matches!(call.function, AggregateFunction::Max | AggregateFunction::Min);
        if join.kind != JoinKind::Semi || *id != found || !is_extreme || call.filter.is_some() {
            return None;
        }
        let (mut both, mut twins) = ((**same).clone(), Twins::new());
        if !merge(&mut both, &join.left, &mut twins, self.columns) || twins.get(&value) != Some(argument) {
            return None;
        }
        let estimate = Estimator::new(self.columns).estimate(&join.left);
        let values = estimate.expression(&self.columns.reference(value)).distinct;
        let few = self.shards * estimate.rows / values.max(1.0) <= MAX_GATHERED_GROUPS;
        few.then(|| Extreme { same: (**same).clone(), value, found, call: call.clone() })
    }

    /// Those of `rows`, which are spread, that have the extreme. The plans for the same rows are alike, so that each
    /// pair becomes one that is [shared](crate::share).
    pub(super) fn keep_extreme(
        &mut self,
        rows: Logical,
        on: Vec<Expr>,
        extreme: Extreme,
    ) -> (Logical, Distribution) {
        let Extreme { same, value, found, call } = extreme;
        let (same, _) = self.place(same);
        let of_shard = same.aggregate(Vec::new(), vec![(found, call.clone())]);
        let kept = rows.join(of_shard, JoinKind::Semi, on);
        let mut twins = HashMap::new();
        let again = kept.with_fresh_columns(self.columns, &mut twins);
        let args = twins.get(&value).map(|&twin| self.columns.reference(twin)).into_iter().collect();
        let of_all = self.columns.copy(found);
        let again = exchange(again, Routing::Gather)
            .aggregate(Vec::new(), vec![(of_all, AggregateCall { args, ..call })]);
        let (value, of_all) = (self.columns.reference(value), self.columns.reference(of_all));
        let on = vec![Expr::compare(CompareOp::Equal, value, of_all)];
        (exchange(kept, Routing::Gather).join(again, JoinKind::Semi, on), Distribution::Single)
    }
}
