//! Which side of a join is held: the one that takes fewer bytes.

use super::{Context, Rule};
use crate::error::Result;
use crate::estimate::Estimator;
use crate::logical::{JoinKind, Logical};

pub(super) struct BuildSide;

impl Rule for BuildSide {
    fn name(&self) -> &'static str {
        "build_side"
    }

    fn apply(&self, mut plan: Logical, context: &mut Context<'_>) -> Result<Logical> {
        choose(&mut plan, &Estimator::new(context.columns));
        Ok(plan)
    }
}

fn choose(plan: &mut Logical, estimator: &Estimator<'_>) {
    for input in plan.inputs_mut() {
        choose(input, estimator);
    }
    if let Logical::Join(join) = plan {
        join.build_left = match join.kind {
            // A mark and a scalar subquery are looked up for each left row.
            JoinKind::Mark(_) | JoinKind::NullMark(_) | JoinKind::Single => false,
            _ => {
                let (left, right) = (estimator.bytes(&join.left), estimator.bytes(&join.right));
                // Holding the left side of an outer, semi or anti join costs a pass over it at the end.
                let margin = if join.kind == JoinKind::Inner { 1.0 } else { 1.3 };
                left * margin < right
            }
        };
    }
}
