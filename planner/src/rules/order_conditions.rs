//! Conditions of a scan or filter in the order in which they are cheapest to test: plain comparisons that
//! keep few rows first, text patterns and computed values last.

use super::{Context, Rule};
use crate::error::Result;
use crate::estimate::{Estimate, Estimator};
use crate::logical::{Logical, Scan};
use exec::Expr;

pub(super) struct OrderConditions;

impl Rule for OrderConditions {
    fn name(&self) -> &'static str {
        "order_conditions"
    }

    fn apply(&self, plan: Logical, context: &mut Context<'_>) -> Result<Logical> {
        let estimator = Estimator::new(context.columns);
        Ok(plan.transform_up(&mut |plan| match plan {
            Logical::Scan(mut scan) if scan.predicate.len() > 1 => {
                let bare = Logical::Scan(Scan { predicate: Vec::new(), ..scan.clone() });
                sort(&mut scan.predicate, &estimator.estimate(&bare));
                Logical::Scan(scan)
            }
            Logical::Filter { input, mut predicate } if predicate.len() > 1 => {
                sort(&mut predicate, &estimator.estimate(&input));
                Logical::Filter { input, predicate }
            }
            other => other,
        }))
    }
}

fn sort(predicate: &mut [Expr], estimate: &Estimate) {
    // A condition that can fail keeps its place behind those written before it: it has the last class, and
    // the sort is stable.
    predicate.sort_by(|a, b| {
        let (x, y) = (class(a), class(b));
        x.cmp(&y).then_with(|| {
            if x < 3 {
                estimate.selectivity(a).total_cmp(&estimate.selectivity(b))
            } else {
                std::cmp::Ordering::Equal
            }
        })
    });
}

/// How costly a condition is to test.
pub(crate) fn class(expr: &Expr) -> u8 {
    let plain = |expr: &Expr| matches!(expr, Expr::Column { .. } | Expr::Literal(_));
    match expr {
        Expr::Compare { left, right, .. } if plain(left) && plain(right) => {
            if matches!(right.as_ref(), Expr::Literal(_)) { 0 } else { 1 }
        }
        Expr::InList { input, .. } | Expr::IsNull { input, .. } if plain(input) => 0,
        Expr::Like { input, .. } if plain(input) => 2,
        Expr::Or(operands) | Expr::And(operands) => operands.iter().map(class).max().unwrap_or(0).max(1),
        Expr::Not(input) => class(input),
        Expr::Column { .. } | Expr::Literal(_) => 0,
        _ => 3,
    }
}
