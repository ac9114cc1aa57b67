//! An inner join of which only one side is used, with a partner at most for each of its rows, is a semi join: of the
//! other side nothing but its keys need be held. Not where all shards have the side that is used, and only parts of the
//! other: an inner join gives each row on the shard of its partner, a semi join would have its rows sent there.

use super::{Context, Rule};
use crate::catalog::Partitioning;
use crate::dependency::names_rows;
use crate::error::Result;
use crate::logical::{ColumnSet, Join, JoinKind, Logical, collect_columns, columns_of_all, equality};
use exec::Expr;

pub(super) struct SemiJoins;

impl Rule for SemiJoins {
    fn name(&self) -> &'static str {
        "semi_joins"
    }

    fn apply(&self, mut plan: Logical, context: &mut Context<'_>) -> Result<Logical> {
        let required = context.results.iter().copied().collect();
        convert(&mut plan, &required, context.shards);
        Ok(plan)
    }
}

fn convert(plan: &mut Logical, required: &ColumnSet, shards: usize) {
    if let Logical::Join(join) = plan {
        convert_join(join, required, shards);
    }
    let below = match plan {
        Logical::Project { exprs, .. } => Some(columns_of_all(exprs.iter().map(|(_, expr)| expr))),
        Logical::Aggregate { .. } => Some(used(plan, ColumnSet::new())),
        Logical::Filter { .. }
        | Logical::Join(_)
        | Logical::Sort { .. }
        | Logical::TopN { .. }
        | Logical::TopOfGroups(_)
        | Logical::Window(_)
        | Logical::Limit { .. } => Some(used(plan, required.clone())),
        // All that the inputs give.
        _ => None,
    };
    for input in plan.inputs_mut() {
        let below = below.clone().unwrap_or_else(|| input.output_set());
        convert(input, &below, shards);
    }
}

/// The columns of `beside` and those that the expressions of the plan's root use.
fn used(plan: &Logical, mut beside: ColumnSet) -> ColumnSet {
    plan.exprs().into_iter().for_each(|expr| collect_columns(expr, &mut beside));
    beside
}

/// Where the side that is held has no other use: it must be chosen already, since of a semi join it is the right one.
fn convert_join(join: &mut Join, required: &ColumnSet, shards: usize) {
    let (kept, held) = if join.build_left { (&join.right, &join.left) } else { (&join.left, &join.right) };
    let (of_kept, of_held) = (kept.output_set(), held.output_set());
    let [condition] = &join.on[..] else { return };
    let Some((Expr::Column { id: own, data_type }, Expr::Column { id: key, data_type: of_key }, false)) =
        equality(condition, &of_kept, &of_held)
    else {
        return;
    };
    // In a table with that key the rows of the other side may be looked up, and none need be held.
    let is_table = matches!(**kept, Logical::Scan(_)) && names_rows(kept, &ColumnSet::from([*own]));
    let in_place = shards > 1 && is_replicated(kept) && !is_replicated(held);
    let is_one = join.kind == JoinKind::Inner
        && !is_table
        && !in_place
        && data_type == of_key
        && data_type.is_integral()
        && of_held.is_disjoint(required)
        && names_rows(held, &ColumnSet::from([*key]));
    if is_one {
        if std::mem::take(&mut join.build_left) {
            std::mem::swap(&mut join.left, &mut join.right);
        }
        join.kind = JoinKind::Semi;
    }
}

/// Whether every shard has all rows of the tables that the plan reads.
fn is_replicated(plan: &Logical) -> bool {
    match plan {
        Logical::Scan(scan) => scan.table.partitioning == Partitioning::Replicated,
        Logical::Values { .. } | Logical::Foreign(_) => false,
        _ => plan.inputs().into_iter().all(is_replicated),
    }
}
