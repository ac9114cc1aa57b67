//! Where the first rows of groups are found, and groups that are put together later.

use super::{Distribution, PARTIAL_BENEFIT, Pass, columns_only, exchange, sliced_by};
use crate::estimate::Estimator;
use crate::logical::{AsOf, ColumnId, ColumnSet, Logical, Routing, TopOfGroups};
use exec::Slicing;

impl Pass<'_> {
    /// Each shard's own first rows of a group are enough for those of all, where that makes them fewer.
    pub(super) fn top_of_groups(&mut self, plan: TopOfGroups) -> (Logical, Distribution) {
        let TopOfGroups { input, groups, limit, offset, .. } = &plan;
        let (limit, offset) = (*limit, *offset);
        let top = |input: Logical, limit: u64, offset: u64| {
            let input = Box::new(input);
            Logical::TopOfGroups(TopOfGroups { input, limit, offset, ..plan.clone() })
        };
        let columns = columns_only(groups);
        let known = columns.clone().unwrap_or_default();
        let (input, distribution) = self.place_for((**input).clone(), &known);
        let is_known = |key: &ColumnSet| known.iter().any(|id| key.contains(id));
        match &distribution {
            // Which of rows that are alike are the first may differ from shard to shard.
            whole if whole.is_whole() => return (top(input, limit, offset), Distribution::Single),
            Distribution::Sliced(keys, _) if keys.iter().all(is_known) => {
                return (top(input, limit, offset), distribution);
            }
            _ => {}
        }
        let enough = limit.saturating_add(offset);
        let local = top(input.clone(), enough, 0);
        let fewer = {
            let estimator = Estimator::new(self.columns);
            estimator.rows(&local) * self.shards <= estimator.rows(&input) * PARTIAL_BENEFIT
        };
        let input = if fewer { local } else { input };
        let (routing, distribution) = match &columns {
            _ if groups.is_empty() => (Routing::Gather, Distribution::Single),
            Some(ids) => (Routing::Hash(groups.clone()), sliced_by(ids, Slicing::Hash)),
            None => (Routing::Hash(groups.clone()), Distribution::Spread),
        };
        (top(exchange(input, routing), limit, offset), distribution)
    }

    /// All rows of a group on one shard.
    pub(super) fn as_of(&mut self, join: AsOf) -> (Logical, Distribution) {
        let columns = columns_only(&join.groups);
        let known = columns.clone().unwrap_or_default();
        let (input, distribution) = self.place_for(*join.input, &known);
        let is_known = |key: &ColumnSet| known.iter().any(|id| key.contains(id));
        let local = match &distribution {
            Distribution::Sliced(keys, _) => keys.iter().all(is_known),
            other => other.is_whole(),
        };
        let (input, distribution) = match columns {
            // Which of rows that are alike is the last may differ from shard to shard.
            _ if local && distribution.is_whole() => (input, Distribution::Single),
            _ if local => (input, distribution),
            _ if join.groups.is_empty() => (exchange(input, Routing::Gather), Distribution::Single),
            Some(ids) => {
                let routing = Routing::Hash(join.groups.clone());
                (exchange(input, routing), sliced_by(&ids, Slicing::Hash))
            }
            None => (exchange(input, Routing::Hash(join.groups.clone())), Distribution::Spread),
        };
        (Logical::AsOf(AsOf { input: Box::new(input), ..join }), distribution)
    }

    /// As [`Pass::place`], for rows that something above groups further by the same keys: each shard's groups stay
    /// where they are, even if other shards have rows of them.
    pub(super) fn place_parts(&mut self, plan: Logical) -> (Logical, Distribution) {
        let (plan, distribution) = match plan {
            Logical::Aggregate { input, groups, aggregates } if !groups.is_empty() => {
                let own: Vec<ColumnId> = groups.iter().map(|&(id, _)| id).collect();
                let (input, distribution) = self.place_for(*input, &own);
                (input.aggregate(groups, aggregates), distribution)
            }
            Logical::Project { input, exprs } => {
                let (input, distribution) = self.place_parts(*input);
                (input.project(exprs), distribution)
            }
            other => return self.place(other),
        };
        let distribution = distribution.within(&plan);
        (plan, distribution)
    }
}
