//! Groups whose keys name a row of a dimension are made before the joins that only add that dimension's columns to them
//! ("invariant grouping", Chaudhuri and Shim 1994): of `GROUP BY c_custkey, c_name` over customers and their orders,
//! the orders are grouped by `o_custkey`, and each group meets its customer once.

use super::{Context, Rule};
use crate::binder::constants::is_any_volatile;
use crate::dependency::{Dependencies, names_rows};
use crate::error::Result;
use crate::estimate::Estimator;
use crate::logical::{
    AggregateCall, ColumnId, ColumnSet, Columns, JoinKind, Logical, collect_columns, columns_of, equality,
};
use crate::shapes::Shapes;
use columnar::DataType;
use exec::Expr;
use exec::plan::AggregateFunction;

/// Fewer rows are joined as they are.
const FEW_ROWS: f64 = 10_000.0;
/// The least share of the rows that the joins must be thought to keep: what they drop would be grouped for nothing.
const KEPT: f64 = 0.6;
/// The most groups for each row that was joined.
const GROUPS: f64 = 0.8;

pub(super) struct EarlyGroups;

type Groups = Vec<(ColumnId, Expr)>;
type Calls = Vec<(ColumnId, AggregateCall)>;

impl Rule for EarlyGroups {
    fn name(&self) -> &'static str {
        "early_groups"
    }

    fn apply(&self, plan: Logical, context: &mut Context<'_>) -> Result<Logical> {
        let columns = &*context.columns;
        Ok(plan.transform_up(&mut |plan| match plan {
            Logical::Aggregate { input, groups, aggregates } => {
                match regrouped(&input, &groups, &aggregates, columns) {
                    Some(better) => better,
                    None => input.aggregate(groups, aggregates),
                }
            }
            other => other,
        }))
    }
}

/// A side of the inner joins below an aggregate.
struct Leaf<'p> {
    plan: &'p Logical,
    outputs: ColumnSet,
}

/// The aggregate with its dimensions joined after it; `None`: there are none, or it does not pay.
fn regrouped(input: &Logical, groups: &Groups, calls: &Calls, columns: &Columns) -> Option<Logical> {
    let (mut leaves, mut conditions) = (Vec::new(), Vec::new());
    collect(input, &mut leaves, &mut conditions);
    if leaves.len() < 2 || groups.is_empty() || !groups.iter().all(is_passed) {
        return None;
    }
    if !leaves.iter().any(|leaf| has_many_rows(leaf.plan)) || conditions.iter().any(|on| is_any_volatile(on))
    {
        return None;
    }
    let conditions: Vec<Condition<'_>> =
        conditions.into_iter().map(|on| Condition { on, columns: columns_of(on) }).collect();
    let Dimensions { order, keys } = dimensions(&leaves, &conditions, input, groups, calls, columns)?;
    let late: ColumnSet = order.iter().flat_map(|&place| leaves[place].outputs.iter().copied()).collect();
    let rest = without(input, &late)??;
    let shapes = Shapes::of(&rest);
    // Any value of a key is the key.
    let comes_later =
        |call: &AggregateCall| passed(call).is_some_and(|id| late.contains(&id) || keys.contains(&id));
    let (passed, made): (Calls, Calls) = calls.iter().cloned().partition(|(_, call)| comes_later(call));
    if !made.iter().all(|(_, call)| can_be_early(call, &shapes)) {
        return None;
    }
    let by: Groups = keys.iter().map(|&id| (id, columns.reference(id))).collect();
    let estimator = Estimator::new(columns);
    let (joined, grouped) = (estimator.rows(input), estimator.estimate(&rest));
    let pays = grouped.rows >= FEW_ROWS
        && joined >= KEPT * grouped.rows
        && grouped.groups_of(&by) <= GROUPS * joined;
    if !pays {
        return None;
    }
    let outputs = groups.iter().map(|&(id, _)| id).chain(made.iter().map(|&(id, _)| id));
    let mut exprs: Groups = outputs.map(|id| (id, columns.reference(id))).collect();
    exprs.extend(passed.into_iter().filter_map(|(id, call)| Some((id, call.args.into_iter().next()?))));
    let mut plan = rest.aggregate(by, made);
    let mut later: Vec<Condition<'_>> =
        conditions.into_iter().filter(|condition| !condition.columns.is_disjoint(&late)).collect();
    for leaf in order.into_iter().map(|place| &leaves[place]) {
        let given: ColumnSet = plan.output_set().union(&leaf.outputs).copied().collect();
        let (now, rest): (Vec<_>, Vec<_>) =
            later.into_iter().partition(|condition| condition.columns.is_subset(&given));
        later = rest;
        let on = now.into_iter().map(|condition| condition.on.clone()).collect();
        plan = plan.join(leaf.plan.clone(), JoinKind::Inner, on);
    }
    Some(plan.project(exprs))
}

/// A condition of a join, and the columns in it.
struct Condition<'p> {
    on: &'p Expr,
    columns: ColumnSet,
}

fn has_many_rows(plan: &Logical) -> bool {
    match plan {
        Logical::Scan(scan) => scan.table.statistics.rows as f64 >= FEW_ROWS,
        plan => plan.inputs().into_iter().any(has_many_rows),
    }
}

/// The inputs of inner joins, and the joins' conditions.
fn collect<'p>(plan: &'p Logical, leaves: &mut Vec<Leaf<'p>>, conditions: &mut Vec<&'p Expr>) {
    match plan {
        Logical::Join(join) if join.kind == JoinKind::Inner => {
            collect(&join.left, leaves, conditions);
            collect(&join.right, leaves, conditions);
            conditions.extend(&join.on);
        }
        Logical::Project { input, exprs } if exprs.iter().all(is_passed) => {
            collect(input, leaves, conditions)
        }
        plan => leaves.push(Leaf { plan, outputs: plan.output_set() }),
    }
}

fn is_passed((id, expr): &(ColumnId, Expr)) -> bool {
    matches!(expr, Expr::Column { id: own, .. } if own == id)
}

/// The column of which the call gives any value.
fn passed(call: &AggregateCall) -> Option<ColumnId> {
    match (call.arg(), call.function) {
        (Some(Expr::Column { id, .. }), AggregateFunction::AnyValue) if call.filter.is_none() => Some(*id),
        _ => None,
    }
}

/// Leaves to join after the grouping, in an order in which each has a partner, and what to group by.
struct Dimensions {
    order: Vec<usize>,
    keys: Vec<ColumnId>,
}

/// The leaves of which nothing is computed, and of which a group's keys name at most one row each.
fn dimensions(
    leaves: &[Leaf<'_>],
    conditions: &[Condition<'_>],
    input: &Logical,
    groups: &Groups,
    calls: &Calls,
    columns: &Columns,
) -> Option<Dimensions> {
    let mut used = ColumnSet::new();
    for (_, call) in calls.iter().filter(|(_, call)| passed(call).is_none()) {
        call.args.iter().chain(&call.filter).for_each(|expr| collect_columns(expr, &mut used));
    }
    let equal = Dependencies::of(input);
    // Step by step those that must stay are taken away.
    let mut late: Vec<bool> = leaves.iter().map(|leaf| leaf.outputs.is_disjoint(&used)).collect();
    loop {
        let stays = leaves.iter().zip(&late).filter(|(_, late)| !**late);
        let early: ColumnSet = stays.flat_map(|(leaf, _)| leaf.outputs.iter().copied()).collect();
        if !late.contains(&true) {
            return None;
        }
        let mut keys = Vec::new();
        let mut lacking = None;
        for &(id, _) in groups {
            if early.contains(&id) {
                keys.push(id);
                continue;
            }
            let same = equal.equal_to(id);
            match same.iter().filter(|id| early.contains(id)).min() {
                Some(&key) => keys.push(key),
                None => lacking = lacking.or(Some(same)),
            }
        }
        if let Some(same) = lacking {
            // Rather a table that refers to another than that other one.
            let has = |leaf: &Leaf<'_>| leaf.outputs.iter().find(|id| same.contains(id)).copied();
            let refers =
                |leaf: &&Leaf<'_>| has(leaf).is_some_and(|id| !names_rows(leaf.plan, &ColumnSet::from([id])));
            let place = leaves
                .iter()
                .position(|leaf| refers(&leaf))
                .or_else(|| leaves.iter().position(|leaf| has(leaf).is_some()))?;
            late[place] = false;
            continue;
        }
        keys.sort_unstable();
        keys.dedup();
        match order_of(leaves, &late, conditions, &early, &keys, columns) {
            Ok(order) => return Some(Dimensions { order, keys }),
            Err(stay) => stay.into_iter().for_each(|place| late[place] = false),
        }
    }
}

/// The late leaves in an order in which those before, and the keys, name at most one row of each; else those that
/// cannot be late.
fn order_of(
    leaves: &[Leaf<'_>],
    late: &[bool],
    conditions: &[Condition<'_>],
    early: &ColumnSet,
    keys: &[ColumnId],
    columns: &Columns,
) -> std::result::Result<Vec<usize>, Vec<usize>> {
    // A group of several forms of a value has one of them.
    let mut known: ColumnSet =
        keys.iter().copied().filter(|&id| columns.data_type(id).has_one_form()).collect();
    let all = || (0..leaves.len()).filter(|&place| late[place]);
    // What the groups have no value of.
    let lost: ColumnSet = early.difference(&known).copied().collect();
    let bound = |place: &usize| {
        conditions.iter().any(|condition| {
            !condition.columns.is_disjoint(&leaves[*place].outputs) && !condition.columns.is_disjoint(&lost)
        })
    };
    let stay: Vec<usize> = all().filter(bound).collect();
    if !stay.is_empty() {
        return Err(stay);
    }
    let mut order = Vec::new();
    loop {
        let named = |place: &usize| {
            let Leaf { plan, outputs } = &leaves[*place];
            let column = |condition: &Condition<'_>| match equality(condition.on, &known, outputs) {
                Some((_, Expr::Column { id, .. }, _)) if !condition.columns.is_disjoint(outputs) => Some(*id),
                _ => None,
            };
            names_rows(plan, &conditions.iter().filter_map(column).collect())
        };
        match all().find(|place| !order.contains(place) && named(place)) {
            Some(place) => {
                known.extend(&leaves[place].outputs);
                order.push(place);
            }
            None => break,
        }
    }
    let left: Vec<usize> = all().filter(|place| !order.contains(place)).collect();
    if left.is_empty() { Ok(order) } else { Err(left) }
}

/// The joins without the leaves that have columns of `late`: `Some(None)` where that is all, `None` where what is left
/// would be joined by nothing.
fn without(plan: &Logical, late: &ColumnSet) -> Option<Option<Logical>> {
    match plan {
        Logical::Join(join) if join.kind == JoinKind::Inner => {
            let on: Vec<Expr> =
                join.on.iter().filter(|on| columns_of(on).is_disjoint(late)).cloned().collect();
            match (without(&join.left, late)?, without(&join.right, late)?) {
                (Some(left), Some(right)) => {
                    (!on.is_empty()).then(|| Some(left.join(right, JoinKind::Inner, on)))
                }
                (left, right) => Some(left.or(right).map(|side| side.filter(on))),
            }
        }
        Logical::Project { input, exprs } if exprs.iter().all(is_passed) => without(input, late),
        plan => Some((plan.output_set().is_disjoint(late)).then(|| plan.clone())),
    }
}

/// Whether a call can be made of rows that the joins may not give: it must not fail there.
fn can_be_early(call: &AggregateCall, shapes: &Shapes) -> bool {
    use AggregateFunction::*;
    let cannot_fail = match call.function {
        CountRows | Count | Min | Max | BoolAnd | BoolOr | AnyValue => true,
        Sum => matches!(call.data_type, DataType::Decimal { .. }),
        SumCounts | Stateful(_) => false,
    };
    let is_plain = |expr: &Expr| {
        !is_any_volatile(expr) && shapes.compile(expr).is_some_and(|compiled| !compiled.is_fallible())
    };
    cannot_fail && !call.distinct && call.args.iter().chain(&call.filter).all(is_plain)
}
