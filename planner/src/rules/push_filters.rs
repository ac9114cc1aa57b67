//! Conditions move towards the scans: through joins, projections, groups and unions; and what follows from
//! equalities (`a = b and a < 5` gives `b < 5`) and from alternatives over two relations is added on the way.

use super::{Context, Rule};
use crate::binder::constants::is_any_volatile;
use crate::error::Result;
use crate::logical::{
    ColumnId, ColumnSet, Join, JoinKind, Logical, columns_of, conjuncts, is_true, substitute,
};
use crate::shapes::Shapes;
use exec::{CompareOp, Expr};
use std::collections::HashMap;

pub(super) struct PushFilters;

impl Rule for PushFilters {
    fn name(&self) -> &'static str {
        "push_filters"
    }

    fn apply(&self, plan: Logical, _: &mut Context<'_>) -> Result<Logical> {
        Ok(push(plan, Vec::new()))
    }
}

/// `plan` with `predicate` kept, as deep as it goes.
fn push(plan: Logical, mut predicate: Vec<Expr>) -> Logical {
    predicate.retain(|expr| !is_true(expr));
    // What differs from row to row stays with the rows that it was asked of.
    let (staying, predicate): (Vec<Expr>, Vec<Expr>) = predicate.into_iter().partition(is_any_volatile);
    if !staying.is_empty() {
        return push(plan, predicate).filter(staying);
    }
    let mut predicate = predicate;
    match plan {
        Logical::Filter { input, predicate: own } => {
            predicate.splice(0..0, own);
            push(*input, predicate)
        }
        Logical::Project { input, exprs } => {
            let volatile: ColumnSet =
                exprs.iter().filter(|(_, expr)| is_any_volatile(expr)).map(|&(id, _)| id).collect();
            let map: HashMap<ColumnId, Expr> = exprs.iter().cloned().collect();
            let (below, above) = split(predicate, |columns| columns.is_disjoint(&volatile));
            let pushed = below.into_iter().map(|expr| substitute(expr, &map)).collect();
            push(*input, pushed).project(exprs).filter(above)
        }
        Logical::Join(join) => push_join(join, predicate),
        Logical::Aggregate { input, groups, aggregates } => {
            let map: HashMap<ColumnId, Expr> = groups.iter().cloned().collect();
            let fixed = map.iter().filter(|(_, expr)| !is_any_volatile(expr));
            let keys: ColumnSet = fixed.map(|(&id, _)| id).collect();
            let (below, above) = split(predicate, |columns| !columns.is_empty() && columns.is_subset(&keys));
            let below = below.into_iter().map(|expr| substitute(expr, &map)).collect();
            push(*input, below).aggregate(groups, aggregates).filter(above)
        }
        // What keeps or drops partitions whole changes nothing of those that are kept.
        Logical::Window(mut window) => {
            let keys = window.partition_columns();
            let (below, above) = split(predicate, |columns| !columns.is_empty() && columns.is_subset(&keys));
            *window.input = push(window.input.take(), below);
            Logical::Window(window).filter(above)
        }
        // A row whose lists are empty is given by none above: a condition that fails for it must not be tested below.
        Logical::Unroll(mut unroll) => {
            let kept: ColumnSet = unroll.kept().into_iter().collect();
            let shapes = Shapes::of(&unroll.input);
            let (below, above): (Vec<Expr>, Vec<Expr>) = predicate.into_iter().partition(|expr| {
                let used = columns_of(expr);
                !used.is_empty()
                    && used.is_subset(&kept)
                    && shapes.compile(expr).is_some_and(|compiled| !compiled.is_fallible())
            });
            *unroll.input = push(unroll.input.take(), below);
            Logical::Unroll(unroll).filter(above)
        }
        Logical::Sort { input, keys } => Logical::Sort { input: Box::new(push(*input, predicate)), keys },
        Logical::Union { inputs, columns } => {
            let inputs = inputs
                .into_iter()
                .map(|(input, given)| {
                    let types: HashMap<ColumnId, ColumnId> =
                        columns.iter().copied().zip(given.iter().copied()).collect();
                    let own = predicate
                        .iter()
                        .map(|expr| {
                            let mut expr = expr.clone();
                            crate::logical::rename(&mut expr, &types);
                            expr
                        })
                        .collect();
                    (push(input, own), given)
                })
                .collect();
            Logical::Union { inputs, columns }
        }
        Logical::Scan(mut scan) => {
            let given: ColumnSet = scan.columns.iter().chain(&scan.filtered).map(|&(_, id)| id).collect();
            let (own, rest) = split(predicate, |columns| !columns.is_empty() && columns.is_subset(&given));
            for expr in own {
                if !scan.predicate.contains(&expr) {
                    scan.predicate.push(expr);
                }
            }
            Logical::Scan(scan).filter(rest)
        }
        mut other => {
            for input in other.inputs_mut() {
                *input = push(input.take(), Vec::new());
            }
            other.filter(predicate)
        }
    }
}

fn split(exprs: Vec<Expr>, test: impl Fn(&ColumnSet) -> bool) -> (Vec<Expr>, Vec<Expr>) {
    exprs.into_iter().partition(|expr| test(&columns_of(expr)))
}

fn push_join(mut join: Join, mut predicate: Vec<Expr>) -> Logical {
    let (left_set, right_set) = (join.left.output_set(), join.right.output_set());
    match join.kind {
        JoinKind::Inner => {
            predicate.append(&mut join.on);
            gather_inner(&mut join.left, &mut predicate);
            gather_inner(&mut join.right, &mut predicate);
            deduplicate(&mut predicate);
            infer(&mut predicate);
            let mut below_left: Vec<Expr> = Vec::new();
            let mut below_right: Vec<Expr> = Vec::new();
            let mut above: Vec<Expr> = Vec::new();
            for expr in predicate {
                let used = columns_of(&expr);
                if used.is_empty() {
                    above.push(expr);
                } else if used.is_subset(&left_set) {
                    below_left.push(expr);
                } else if used.is_subset(&right_set) {
                    below_right.push(expr);
                } else if used.iter().all(|id| left_set.contains(id) || right_set.contains(id)) {
                    if let Expr::Or(operands) = &expr {
                        below_left.extend(implied(operands, &left_set));
                        below_right.extend(implied(operands, &right_set));
                    }
                    join.on.push(expr);
                } else {
                    above.push(expr);
                }
            }
            join.left = Box::new(push(*join.left, below_left));
            join.right = Box::new(push(*join.right, below_right));
            Logical::Join(join).filter(above)
        }
        kind => {
            // Conditions above a join that keeps or only tests its left rows.
            let moves = kind != JoinKind::Full;
            let (below_left, above) =
                split(predicate, |columns| moves && !columns.is_empty() && columns.is_subset(&left_set));
            let mut below_left = below_left;
            // Conditions of the join itself.
            let (below_right, on) = split(std::mem::take(&mut join.on), |columns| {
                !matches!(kind, JoinKind::Full | JoinKind::NullMark(_))
                    && !columns.is_empty()
                    && columns.is_subset(&right_set)
            });
            let mut below_right = below_right;
            let mut on = on;
            if kind == JoinKind::Semi {
                let (tested, rest) = split(on, |columns| !columns.is_empty() && columns.is_subset(&left_set));
                below_left.extend(tested);
                on = rest;
            }
            if !matches!(kind, JoinKind::Full | JoinKind::NullMark(_)) {
                // A condition on a left key holds for the right key that equals it.
                let mut known = below_left.clone();
                known.extend(on.iter().cloned());
                let before = known.len();
                infer(&mut known);
                below_right
                    .extend(known.drain(before..).filter(|expr| columns_of(expr).is_subset(&right_set)));
            }
            join.on = on;
            join.left = Box::new(push(*join.left, below_left));
            join.right = Box::new(push(*join.right, below_right));
            Logical::Join(join).filter(above)
        }
    }
}

/// Takes the conditions of nested inner joins, so that all are seen together.
fn gather_inner(plan: &mut Logical, into: &mut Vec<Expr>) {
    match plan {
        Logical::Join(join) if join.kind == JoinKind::Inner => {
            into.append(&mut join.on);
            gather_inner(&mut join.left, into);
            gather_inner(&mut join.right, into);
        }
        Logical::Filter { input, predicate } => {
            into.append(predicate);
            let mut inner = input.take();
            gather_inner(&mut inner, into);
            *plan = inner;
        }
        _ => {}
    }
}

fn deduplicate(exprs: &mut Vec<Expr>) {
    let mut seen = std::collections::HashSet::new();
    exprs.retain(|expr| seen.insert(expr.clone()));
}

/// Adds what follows for a column from the conditions on a column that equals it.
fn infer(predicate: &mut Vec<Expr>) {
    let mut classes: Vec<Vec<ColumnId>> = Vec::new();
    for expr in predicate.iter() {
        if let Expr::Compare { op: CompareOp::Equal, left, right } = expr
            && let (Expr::Column { id: a, data_type: x }, Expr::Column { id: b, data_type: y }) =
                (left.as_ref(), right.as_ref())
            && x == y
        {
            let find = |id| classes.iter().position(|class| class.contains(id));
            match (find(a), find(b)) {
                (None, None) => classes.push(vec![*a, *b]),
                (Some(class), None) => classes[class].push(*b),
                (None, Some(class)) => classes[class].push(*a),
                (Some(x), Some(y)) if x != y => {
                    let merged = classes.swap_remove(x.max(y));
                    classes[x.min(y)].extend(merged);
                }
                _ => {}
            }
        }
    }
    let mut added = Vec::new();
    for expr in predicate.iter() {
        let Some(id) = tested_column(expr) else { continue };
        let Some(class) = classes.iter().find(|class| class.contains(&id)) else { continue };
        for &other in class.iter().filter(|&&other| other != id) {
            let mut copy = expr.clone();
            crate::logical::rename(&mut copy, &HashMap::from([(id, other)]));
            if !predicate.contains(&copy) && !added.contains(&copy) {
                added.push(copy);
            }
        }
    }
    predicate.extend(added);
}

/// The only column of a comparison with constants.
fn tested_column(expr: &Expr) -> Option<ColumnId> {
    let (input, constant) = match expr {
        Expr::Compare { op, left, right } if *op != CompareOp::IsDistinctFrom => {
            match (left.as_ref(), right.as_ref()) {
                (column @ Expr::Column { .. }, Expr::Literal(_))
                | (Expr::Literal(_), column @ Expr::Column { .. }) => (column, true),
                _ => return None,
            }
        }
        Expr::InList { input, .. } => (input.as_ref(), true),
        Expr::Like { input, pattern, .. } => (input.as_ref(), matches!(pattern.as_ref(), Expr::Literal(_))),
        Expr::Or(_) => {
            let used = columns_of(expr);
            return if used.len() == 1 { used.into_iter().next() } else { None };
        }
        _ => return None,
    };
    match input {
        Expr::Column { id, .. } if constant => Some(*id),
        _ => None,
    }
}

/// What a disjunction says of one side alone: each alternative must say something.
fn implied(operands: &[Expr], side: &ColumnSet) -> Option<Expr> {
    let mut alternatives = Vec::with_capacity(operands.len());
    for operand in operands {
        let own: Vec<Expr> = conjuncts(operand.clone())
            .into_iter()
            .filter(|expr| {
                let used = columns_of(expr);
                !used.is_empty() && used.is_subset(side)
            })
            .collect();
        if own.is_empty() {
            return None;
        }
        let own = Expr::and(own);
        if !alternatives.contains(&own) {
            alternatives.push(own);
        }
    }
    if alternatives.len() == 1 { alternatives.pop() } else { Some(Expr::Or(alternatives)) }
}
