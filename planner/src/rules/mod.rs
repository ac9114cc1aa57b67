//! The rules that improve a plan. The order of the list is the order in which they run.

mod build_side;
mod common_subexpressions;
mod dependent_groups;
mod distinct_aggregates;
mod eager_aggregates;
mod early_groups;
mod join_order;
mod late_columns;
mod lone_groups;
mod merge_projections;
mod moved_sums;
mod narrow;
mod null_marks;
mod order_conditions;
mod outer_joins;
mod prune_columns;
mod push_filters;
mod reduce_aggregates;
mod semi_joins;
mod simplify;
mod top_n;
mod verify;

use crate::error::Result;
use crate::logical::{ColumnId, Columns, Logical};

pub(crate) use order_conditions::class;
pub(crate) use outer_joins::null_rejected;
pub(crate) use prune_columns::{exactly, prune};
pub(crate) use simplify::simplify;

/// What rules share.
pub(crate) struct Context<'a> {
    pub(crate) columns: &'a mut Columns,
    /// The columns that the query gives.
    pub(crate) results: &'a [ColumnId],
    /// How many shards run the query.
    pub(crate) shards: usize,
    /// By which orders of joins are drawn, instead of looked for.
    pub(crate) join_seed: Option<u64>,
}

/// A step from a plan to one that gives the same rows.
trait Rule {
    fn name(&self) -> &'static str;
    fn apply(&self, plan: Logical, context: &mut Context<'_>) -> Result<Logical>;
}

const RULES: &[&dyn Rule] = &[
    &null_marks::NullMarks,
    &distinct_aggregates::DistinctAggregates,
    &simplify::Simplify,
    &push_filters::PushFilters,
    &outer_joins::SimplifyOuterJoins,
    &push_filters::PushFilters,
    &simplify::Simplify,
    &prune_columns::PruneColumns,
    &reduce_aggregates::ReduceAggregates,
    &prune_columns::PruneColumns,
    &dependent_groups::DependentGroups,
    &lone_groups::LoneGroups,
    &moved_sums::MovedSums,
    &join_order::JoinOrder,
    &merge_projections::MergeProjections,
    &common_subexpressions::CommonSubexpressions,
    &merge_projections::MergeProjections,
    &early_groups::EarlyGroups,
    &eager_aggregates::EagerAggregates,
    &lone_groups::LoneGroups,
    &merge_projections::MergeProjections,
    &order_conditions::OrderConditions,
    &top_n::FuseTopN,
    &late_columns::LateColumns,
    &prune_columns::PruneColumns,
    &narrow::Narrow,
    &build_side::BuildSide,
    &semi_joins::SemiJoins,
];

/// Rules without which no plan runs.
const NEEDED: &[&dyn Rule] =
    &[&null_marks::NullMarks, &distinct_aggregates::DistinctAggregates, &prune_columns::PruneColumns];

/// Those after which a plan says what its query does in the fewest words, for engines that plan it themselves.
const PLAIN: &[&dyn Rule] = &[
    &simplify::Simplify,
    &push_filters::PushFilters,
    &outer_joins::SimplifyOuterJoins,
    &push_filters::PushFilters,
    &simplify::Simplify,
    &prune_columns::PruneColumns,
];

/// Makes a plan without dependent joins plain.
pub(crate) fn make_plain(mut plan: Logical, context: &mut Context<'_>) -> Result<Logical> {
    for rule in PLAIN {
        plan = rule.apply(plan, context)?;
        verify(&plan, context, rule.name())?;
    }
    Ok(plan)
}

/// Runs the rules over a plan without dependent joins.
pub(crate) fn optimize(mut plan: Logical, context: &mut Context<'_>, optimize: bool) -> Result<Logical> {
    for rule in if optimize { RULES } else { NEEDED } {
        plan = rule.apply(plan, context)?;
        tracing::trace!(rule = rule.name(), plan = %crate::explain::tree(&plan, context.columns));
        verify(&plan, context, rule.name())?;
    }
    Ok(plan)
}

/// In debug builds: that the plan `rule` gave makes sense.
pub(crate) fn verify(plan: &Logical, context: &Context<'_>, rule: &str) -> Result<()> {
    if !cfg!(debug_assertions) {
        return Ok(());
    }
    verify::verify(plan, context).map_err(|fault| {
        let tree = crate::explain::tree(plan, context.columns);
        crate::Error::internal(format!("the rule {rule} broke the plan: {fault}\n{tree}"))
    })
}
