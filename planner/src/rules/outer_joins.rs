//! An outer join whose added nulls a condition above removes is an inner join.

use super::{Context, Rule};
use crate::error::Result;
use crate::logical::{ColumnSet, JoinKind, Logical, collect_columns};
use exec::{CompareOp, Expr};

pub(super) struct SimplifyOuterJoins;

impl Rule for SimplifyOuterJoins {
    fn name(&self) -> &'static str {
        "simplify_outer_joins"
    }

    fn apply(&self, plan: Logical, _: &mut Context<'_>) -> Result<Logical> {
        Ok(simplify(plan, ColumnSet::new()))
    }
}

/// `rejected`: rows in which one of these columns is null do not matter above.
fn simplify(mut plan: Logical, mut rejected: ColumnSet) -> Logical {
    match plan {
        Logical::Filter { input, predicate } => {
            predicate.iter().for_each(|expr| null_rejected(expr, &mut rejected));
            simplify(*input, rejected).filter(predicate)
        }
        Logical::Project { input, exprs } => {
            let below = exprs
                .iter()
                .filter(|(id, _)| rejected.contains(id))
                .filter_map(|(_, expr)| match expr {
                    Expr::Column { id, .. } => Some(*id),
                    _ => None,
                })
                .collect();
            simplify(*input, below).project(exprs)
        }
        Logical::Unroll(mut unroll) => {
            // What is given for lists without elements is null.
            if unroll.made().any(|id| rejected.contains(&id)) {
                unroll.keeps_empty = false;
            }
            let kept: ColumnSet = unroll.kept().into_iter().collect();
            rejected.retain(|id| kept.contains(id));
            *unroll.input = simplify(unroll.input.take(), rejected);
            Logical::Unroll(unroll)
        }
        Logical::Sort { input, keys } => Logical::Sort { input: Box::new(simplify(*input, rejected)), keys },
        Logical::Join(mut join) => {
            let (left_set, right_set) = (join.left.output_set(), join.right.output_set());
            let (of_left, of_right) = (!rejected.is_disjoint(&left_set), !rejected.is_disjoint(&right_set));
            match join.kind {
                JoinKind::Left if of_right => join.kind = JoinKind::Inner,
                JoinKind::Full if of_left && of_right => join.kind = JoinKind::Inner,
                JoinKind::Full if of_left => join.kind = JoinKind::Left,
                JoinKind::Full if of_right => {
                    std::mem::swap(&mut join.left, &mut join.right);
                    join.kind = JoinKind::Left;
                }
                _ => {}
            }
            let mut matched = ColumnSet::new();
            join.on.iter().for_each(|expr| null_rejected(expr, &mut matched));
            let (mut left, mut right) = (ColumnSet::new(), ColumnSet::new());
            match join.kind {
                JoinKind::Inner => {
                    left = rejected.union(&matched).copied().collect();
                    right = left.clone();
                }
                JoinKind::Semi => {
                    left = rejected.union(&matched).copied().collect();
                    right = matched;
                }
                JoinKind::Left | JoinKind::Single | JoinKind::Anti | JoinKind::Mark(_) => {
                    left = rejected;
                    right = matched;
                }
                JoinKind::NullMark(_) => left = rejected,
                JoinKind::Full => {}
            }
            join.left = Box::new(simplify(*join.left, left));
            join.right = Box::new(simplify(*join.right, right));
            Logical::Join(join)
        }
        _ => {
            for input in plan.inputs_mut() {
                *input = simplify(input.take(), ColumnSet::new());
            }
            plan
        }
    }
}

/// Adds the columns of which a null keeps the condition from being true.
pub(crate) fn null_rejected(expr: &Expr, into: &mut ColumnSet) {
    match expr {
        Expr::Compare { op, left, right }
            if !matches!(op, CompareOp::IsDistinctFrom | CompareOp::IsNotDistinctFrom) =>
        {
            strict(left, into);
            strict(right, into);
        }
        // `x IS TRUE` and the like.
        Expr::Compare { op: CompareOp::IsNotDistinctFrom, left, right } => {
            if matches!(right.as_ref(), Expr::Literal(value) if !value.is_null()) {
                if left.data_type() == columnar::DataType::Boolean {
                    null_rejected(left, into);
                } else {
                    strict(left, into);
                }
            }
        }
        Expr::InList { input, .. } | Expr::Like { input, .. } => strict(input, into),
        Expr::IsNull { input, negated: true } => strict(input, into),
        Expr::Not(input) if matches!(**input, Expr::Column { .. }) => strict(input, into),
        Expr::And(operands) => operands.iter().for_each(|operand| null_rejected(operand, into)),
        Expr::Or(operands) => {
            let mut sets = operands.iter().map(|operand| {
                let mut set = ColumnSet::new();
                null_rejected(operand, &mut set);
                set
            });
            if let Some(first) = sets.next() {
                into.extend(sets.fold(first, |common, set| common.intersection(&set).copied().collect()));
            }
        }
        Expr::Column { id, .. } => {
            into.insert(*id);
        }
        _ => {}
    }
}

/// Adds the columns of which a null makes the value null.
fn strict(expr: &Expr, into: &mut ColumnSet) {
    match expr {
        Expr::Column { .. } => collect_columns(expr, into),
        Expr::Arithmetic { left, right, .. } => {
            strict(left, into);
            strict(right, into);
        }
        Expr::Cast { input, try_cast: false, .. } => strict(input, into),
        _ => {}
    }
}
