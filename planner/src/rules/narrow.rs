//! Columns that served a join alone are dropped after it, so that nothing above carries them.

use super::prune_columns::exactly;
use super::{Context, Rule};
use crate::error::Result;
use crate::logical::{ColumnId, ColumnSet, Columns, Logical, collect_columns};

pub(super) struct Narrow;

impl Rule for Narrow {
    fn name(&self) -> &'static str {
        "narrow"
    }

    fn apply(&self, plan: Logical, context: &mut Context<'_>) -> Result<Logical> {
        let required = context.results.iter().copied().collect();
        Ok(narrow(plan, &required, context.columns, false))
    }
}

/// `held`: the rows go into a join, a sort or an exchange, where columns cost.
fn narrow(mut plan: Logical, required: &ColumnSet, columns: &Columns, held: bool) -> Logical {
    let mut below = match &plan {
        Logical::Project { .. } | Logical::Aggregate { .. } | Logical::Union { .. } => ColumnSet::new(),
        _ => required.clone(),
    };
    for expr in plan.exprs() {
        collect_columns(expr, &mut below);
    }
    if let Logical::Union { inputs, .. } = &mut plan {
        for (input, given) in inputs {
            let wanted = given.iter().copied().collect();
            *input = narrow(input.take(), &wanted, columns, false);
        }
        return plan;
    }
    let holds =
        matches!(plan, Logical::Join(_) | Logical::Sort { .. } | Logical::TopN { .. } | Logical::Window(_));
    for input in plan.inputs_mut() {
        *input = narrow(input.take(), &below, columns, holds);
    }
    let drops = matches!(plan, Logical::Join(_) | Logical::Filter { .. } | Logical::Window(_));
    let outputs = plan.outputs();
    let kept: Vec<ColumnId> = outputs.iter().copied().filter(|id| required.contains(id)).collect();
    if held && drops && kept.len() < outputs.len() { exactly(plan, &kept, columns) } else { plan }
}
