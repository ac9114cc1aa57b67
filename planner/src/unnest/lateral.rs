//! Lateral lists and series: a join whose right side makes rows of each left row alone needs no join. The lists are
//! unrolled over the left side itself, which then is evaluated once, and no combination of its columns is hashed.

use crate::logical::{ColumnSet, Columns, Join, JoinKind, Logical, Series, Unroll, columns_of_all, is_true};

/// The join as a step over its left side, or the join as it was.
pub(super) fn absorbed(join: Join, columns: &Columns) -> Result<Logical, Box<Join>> {
    let outer = join.left.output_set();
    match join.kind {
        JoinKind::Inner if is_chain(&join.right, &outer) => {
            let Join { left, right, on, .. } = join;
            Ok(over(*left, *right, columns).filter(on))
        }
        // A row without elements is kept by the step itself, if that is all of the right side.
        JoinKind::Left if join.on.iter().all(is_true) => match *join.right {
            Logical::Unroll(unroll) if is_one_row(&unroll.input) => {
                Ok(unrolled(*join.left, Unroll { keeps_empty: true, ..unroll }))
            }
            right => Err(Box::new(Join { right: Box::new(right), ..join })),
        },
        _ => Err(Box::new(join)),
    }
}

/// Whether the plan is steps over a list or a series of columns of `outer`, each of which treats a row of `outer`
/// whatever others there are.
fn is_chain(plan: &Logical, outer: &ColumnSet) -> bool {
    let input = match plan {
        Logical::Filter { input, .. } | Logical::Project { input, .. } => input,
        Logical::Unroll(unroll) => &unroll.input,
        Logical::Series(series) => &series.input,
        _ => return false,
    };
    is_chain(input, outer) || input.free_columns().is_disjoint(outer)
}

/// The rows of the chain for each row of `left`, after its columns.
fn over(left: Logical, chain: Logical, columns: &Columns) -> Logical {
    match chain {
        Logical::Filter { input, predicate } => over(left, *input, columns).filter(predicate),
        Logical::Project { input, mut exprs } => {
            let kept = left.outputs();
            let below = over(left, *input, columns);
            let known: ColumnSet = exprs.iter().map(|&(id, _)| id).collect();
            let passed = kept.into_iter().filter(|id| !known.contains(id));
            exprs.splice(0..0, passed.map(|id| (id, columns.reference(id))).collect::<Vec<_>>());
            below.project(exprs)
        }
        Logical::Unroll(unroll) if is_one_row(&unroll.input) => unrolled(left, unroll),
        Logical::Unroll(mut unroll) => {
            unroll.input = Box::new(over(left, *unroll.input, columns));
            Logical::Unroll(unroll)
        }
        Logical::Series(series) => {
            let input = Box::new(over(left, *series.input, columns));
            Logical::Series(Series { input, ..series })
        }
        leaf if is_one_row(&leaf) => left,
        leaf => left.join(leaf, JoinKind::Inner, Vec::new()),
    }
}

/// The lists unrolled over `left`; of a product over the side alone that has the lists, since the other is joined by what
/// conditions say later.
fn unrolled(mut left: Logical, mut unroll: Unroll) -> Logical {
    let used = columns_of_all(unroll.lists.iter().map(|(_, list)| list));
    if let Logical::Join(join) = &mut left
        && join.kind == JoinKind::Inner
        && join.on.is_empty()
    {
        let side = match used.is_subset(&join.left.output_set()) {
            true => Some(&mut join.left),
            false if used.is_subset(&join.right.output_set()) => Some(&mut join.right),
            false => None,
        };
        if let Some(side) = side {
            let inner = side.take();
            **side = unrolled(inner, unroll);
            return left;
        }
    }
    unroll.input = Box::new(left);
    Logical::Unroll(unroll)
}

fn is_one_row(plan: &Logical) -> bool {
    matches!(plan, Logical::Values { columns, rows } if columns.is_empty() && rows.len() == 1)
}
