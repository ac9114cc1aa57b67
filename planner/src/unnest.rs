//! Removes dependent joins: those whose right side uses columns of the left.
//!
//! First the simple way: conditions that use the left's columns move up out of the right side until they are
//! conditions of the join, and equalities among them become group keys where they pass an aggregate. Where
//! that does not go, the general way of Neumann and Kemper ("Unnesting Arbitrary Queries", BTW 2015): the
//! right side is evaluated once for each distinct combination of the left's columns that it uses (the
//! *domain*), which moves down to where the columns are used, and the join compares the combinations.

mod lateral;

use crate::error::{Error, Result};
use crate::logical::{
    AggregateCall, AsOf, ColumnId, ColumnSet, Columns, Join, JoinKind, Logical, Series, TopOfGroups, Unroll,
    Window, columns_of, rename, substitute,
};
use columnar::{DataType, Value};
use exec::plan::AggregateFunction;
use exec::{CompareOp, Expr};
use std::collections::HashMap;

/// The plan without dependent joins.
pub(crate) fn unnest(mut plan: Logical, columns: &mut Columns) -> Result<Logical> {
    for input in plan.inputs_mut() {
        *input = unnest(input.take(), columns)?;
    }
    match plan {
        Logical::Join(join) => join_unnested(join, columns),
        other => Ok(other),
    }
}

fn join_unnested(mut join: Join, columns: &mut Columns) -> Result<Logical> {
    if matches!(join.kind, JoinKind::Semi | JoinKind::Anti | JoinKind::Mark(_)) && join.on.is_empty() {
        join.right = Box::new(without_order(join.right.take()));
    }
    let outer = join.left.output_set();
    let free: ColumnSet = join.right.free_columns().intersection(&outer).copied().collect();
    if free.is_empty() {
        if matches!(join.kind, JoinKind::Semi | JoinKind::Anti | JoinKind::Mark(_)) && join.on.is_empty() {
            // One row is as good as many.
            let one = Logical::Limit { input: Box::new(join.right.take()), limit: Some(1), offset: 0 };
            join.right = Box::new(one.project(Vec::new()));
        }
        return Ok(at_most_one(join));
    }
    // A scalar subquery that aggregates: what is computed of the aggregate is computed above the join, where
    // the count of no rows is put right.
    if join.kind == JoinKind::Single
        && join.on.is_empty()
        && let Some(plan) = scalar_aggregate(&join, &outer, columns)
    {
        return Ok(plan);
    }
    let join = match lateral::absorbed(join, columns) {
        Ok(plan) => return Ok(plan),
        Err(join) => join,
    };
    let mut join = *join;
    let mut right = join.right.clone();
    let mut pulled = Vec::new();
    if pull(&mut right, &outer, &mut pulled, columns).is_some() && !uses(&right, &outer) {
        if let JoinKind::NullMark(_) = join.kind {
            pulled = pulled.into_iter().map(two_valued).collect();
        }
        join.right = right;
        join.on.extend(pulled);
        return Ok(at_most_one(join));
    }
    general(join, &free, columns)
}

fn uses(plan: &Logical, outer: &ColumnSet) -> bool {
    plan.free_columns().iter().any(|id| outer.contains(id))
}

/// A condition of the subquery as part of a mark that may be null: its own null is no match.
fn two_valued(expr: Expr) -> Expr {
    match &expr {
        Expr::Compare { op: CompareOp::IsNotDistinctFrom | CompareOp::IsDistinctFrom, .. } => expr,
        _ => Expr::compare(CompareOp::IsNotDistinctFrom, expr, Expr::Literal(Value::boolean(true))),
    }
}

/// Order, and a limit that leaves a row, mean nothing to a test of existence.
fn without_order(plan: Logical) -> Logical {
    match plan {
        Logical::Sort { input, .. } => without_order(*input),
        Logical::Limit { input, limit, offset: 0 } if limit != Some(0) => without_order(*input),
        Logical::Project { input, exprs } => without_order(*input).project(exprs),
        other => other,
    }
}

/// A scalar subquery of which no row of the left can find two is an outer join; one that always gives
/// exactly one row a product.
fn at_most_one(mut join: Join) -> Logical {
    if join.kind != JoinKind::Single {
        return Logical::Join(join);
    }
    if join.on.is_empty() {
        if exactly_one_row(&join.right) {
            join.kind = JoinKind::Inner;
        } else if at_most_one_row(&join.right) {
            join.kind = JoinKind::Left;
        }
        return Logical::Join(join);
    }
    if let Some(keys) = unique_key(&join.right) {
        let left = join.left.output_set();
        let right = join.right.output_set();
        let bound = keys.iter().all(|key| {
            join.on.iter().any(|expr| {
                matches!(crate::logical::equality(expr, &left, &right),
                    Some((_, Expr::Column { id, .. }, _)) if id == key)
            })
        });
        if bound {
            join.kind = JoinKind::Left;
        }
    }
    Logical::Join(join)
}

fn exactly_one_row(plan: &Logical) -> bool {
    match plan {
        Logical::Aggregate { groups, .. } => groups.is_empty(),
        Logical::Project { input, .. } | Logical::Sort { input, .. } => exactly_one_row(input),
        Logical::Window(window) => exactly_one_row(&window.input),
        Logical::Values { rows, .. } => rows.len() == 1,
        Logical::Join(join) if join.kind == JoinKind::Inner && join.on.is_empty() => {
            exactly_one_row(&join.left) && exactly_one_row(&join.right)
        }
        Logical::Join(join) if join.kind.keeps_left() && join.kind != JoinKind::Full => {
            exactly_one_row(&join.left) && (join.kind != JoinKind::Left || at_most_one_row(&join.right))
        }
        _ => false,
    }
}

fn at_most_one_row(plan: &Logical) -> bool {
    match plan {
        Logical::Filter { input, .. } | Logical::Project { input, .. } | Logical::Sort { input, .. } => {
            at_most_one_row(input)
        }
        Logical::Limit { limit: Some(0 | 1), .. } | Logical::TopN { limit: 0 | 1, .. } => true,
        Logical::Window(window) => at_most_one_row(&window.input),
        other => exactly_one_row(other),
    }
}

/// Columns of which no two rows share the values.
fn unique_key(plan: &Logical) -> Option<Vec<ColumnId>> {
    match plan {
        Logical::Aggregate { groups, .. } => Some(groups.iter().map(|&(id, _)| id).collect()),
        Logical::TopOfGroups(TopOfGroups { groups, limit: 0 | 1, ties: false, .. }) => groups
            .iter()
            .map(|expr| match expr {
                Expr::Column { id, .. } => Some(*id),
                _ => None,
            })
            .collect(),
        Logical::Filter { input, .. } | Logical::Sort { input, .. } | Logical::Limit { input, .. } => {
            unique_key(input)
        }
        Logical::Window(window) => unique_key(&window.input),
        Logical::Project { input, exprs } => {
            let key = unique_key(input)?;
            let passed = |id: &ColumnId| exprs.iter().any(|(own, _)| own == id);
            key.iter().all(passed).then_some(key)
        }
        _ => None,
    }
}

/// `left` joined with `select f(agg(…)) from …` where the aggregate has no groups of its own.
fn scalar_aggregate(join: &Join, outer: &ColumnSet, columns: &mut Columns) -> Option<Logical> {
    // The projections over the aggregate, as one.
    let mut plan = join.right.as_ref();
    let mut outputs: Vec<(ColumnId, Expr)> =
        plan.outputs().into_iter().map(|id| (id, columns.reference(id))).collect();
    while let Logical::Project { input, exprs } = plan {
        let map: HashMap<ColumnId, Expr> = exprs.iter().cloned().collect();
        outputs = outputs.into_iter().map(|(id, expr)| (id, substitute(expr, &map))).collect();
        plan = input;
    }
    let Logical::Aggregate { input, groups, aggregates } = plan else { return None };
    if !groups.is_empty() || aggregates.is_empty() {
        return None;
    }
    let counts = |call: &AggregateCall| {
        matches!(call.function, AggregateFunction::CountRows | AggregateFunction::Count)
    };
    let mut right =
        Logical::Aggregate { input: input.clone(), groups: groups.clone(), aggregates: aggregates.clone() };
    let mut pulled = Vec::new();
    pull_aggregate(&mut right, outer, &mut pulled, columns, true)?;
    if uses(&right, outer) {
        return None;
    }
    // The count of no rows is 0, where the outer join gives null.
    let repaired: HashMap<ColumnId, Expr> = aggregates
        .iter()
        .filter(|(_, call)| counts(call))
        .map(|(id, call)| {
            let count = columns.reference(*id);
            let known = Expr::IsNull { input: Box::new(count.clone()), negated: true };
            let zero = Expr::Literal(Value::new(call.data_type, columnar::Scalar::Integer(0)));
            let data_type = call.data_type;
            (*id, Expr::Case { branches: vec![(known, count)], otherwise: Some(Box::new(zero)), data_type })
        })
        .collect();
    let left_outputs = join.left.outputs();
    let joined = (*join.left).clone().join(right, JoinKind::Left, pulled);
    let mut exprs: Vec<(ColumnId, Expr)> =
        left_outputs.into_iter().map(|id| (id, columns.reference(id))).collect();
    for (id, expr) in outputs {
        // A count that is a result itself would change under its own id.
        exprs.push((id, substitute(expr, &repaired)));
    }
    Some(joined.project(exprs))
}

/// Moves the conditions of `plan` that use columns of `outer` into `pulled`, as far as that is possible;
/// `None` where it is not. The plan then gives what the conditions need besides.
fn pull(plan: &mut Logical, outer: &ColumnSet, pulled: &mut Vec<Expr>, columns: &mut Columns) -> Option<()> {
    if !uses(plan, outer) {
        return Some(());
    }
    let correlated = |expr: &Expr| columns_of(expr).iter().any(|id| outer.contains(id));
    match plan {
        Logical::Filter { input, predicate } => {
            pull(input, outer, pulled, columns)?;
            let (up, stay): (Vec<Expr>, Vec<Expr>) =
                std::mem::take(predicate).into_iter().partition(|expr| correlated(expr));
            pulled.extend(up);
            *plan = input.take().filter(stay);
        }
        Logical::Project { input, exprs } => {
            if exprs.iter().any(|(_, expr)| correlated(expr)) {
                return None;
            }
            let before = pulled.len();
            pull(input, outer, pulled, columns)?;
            let available = input.output_set();
            for id in pulled[before..].iter().flat_map(columns_of) {
                if available.contains(&id) && !exprs.iter().any(|(own, _)| *own == id) {
                    exprs.push((id, columns.reference(id)));
                }
            }
        }
        Logical::Join(join) => {
            let inner = join.kind == JoinKind::Inner;
            if uses(&join.right, outer) {
                if !inner {
                    return None;
                }
                pull(&mut join.right, outer, pulled, columns)?;
            }
            if join.on.iter().any(correlated) {
                if !inner {
                    return None;
                }
                let (up, stay): (Vec<Expr>, Vec<Expr>) =
                    std::mem::take(&mut join.on).into_iter().partition(|expr| correlated(expr));
                pulled.extend(up);
                join.on = stay;
            }
            if join.kind == JoinKind::Full {
                return None;
            }
            pull(&mut join.left, outer, pulled, columns)?;
        }
        Logical::Aggregate { .. } => return pull_aggregate(plan, outer, pulled, columns, false),
        // What is compared moves up past elements, whose rows have it, too.
        Logical::Unroll(unroll) => {
            if unroll.lists.iter().any(|(_, list)| correlated(list)) {
                return None;
            }
            pull(&mut unroll.input, outer, pulled, columns)?;
        }
        Logical::Window(window) => {
            if window_uses(window, outer) {
                return None;
            }
            let mut own = Vec::new();
            pull(&mut window.input, outer, &mut own, columns)?;
            // Rows with the same values of what is compared are all there, or none is: they are partitions of their own.
            let inside = window.input.output_set();
            for expr in own {
                let (op, inner, rest) = equality_with(expr, &inside)?;
                let id = match &inner {
                    Expr::Column { id, .. } => *id,
                    _ => {
                        let mut exprs: Vec<_> = window
                            .input
                            .outputs()
                            .into_iter()
                            .map(|id| (id, columns.reference(id)))
                            .collect();
                        let id = columns.add("key", inner.data_type());
                        exprs.push((id, inner));
                        *window.input = window.input.take().project(exprs);
                        id
                    }
                };
                let key = columns.reference(id);
                if !window.partition.contains(&key) {
                    window.partition.push(key.clone());
                }
                pulled.push(Expr::compare(op, key, rest));
            }
        }
        Logical::Sort { input, .. } => {
            // A subquery's order without a limit means nothing.
            let mut inner = input.take();
            pull(&mut inner, outer, pulled, columns)?;
            *plan = inner;
        }
        _ => return None,
    }
    Some(())
}

/// An aggregate lets equalities with its input's columns pass: those become keys. Without groups of its own
/// it would then give no row where it gave one, so the caller must allow that.
fn pull_aggregate(
    plan: &mut Logical,
    outer: &ColumnSet,
    pulled: &mut Vec<Expr>,
    columns: &mut Columns,
    allow_scalar: bool,
) -> Option<()> {
    let Logical::Aggregate { input, groups, aggregates } = plan else { return None };
    if groups.is_empty() && !allow_scalar {
        return None;
    }
    let calls = aggregates.iter().flat_map(|(_, call)| call.args.iter().chain(&call.filter));
    if groups
        .iter()
        .map(|(_, expr)| expr)
        .chain(calls)
        .any(|expr| columns_of(expr).iter().any(|id| outer.contains(id)))
    {
        return None;
    }
    let mut own = Vec::new();
    pull(input, outer, &mut own, columns)?;
    let inside = input.output_set();
    for expr in own {
        let (op, inner, rest) = equality_with(expr, &inside)?;
        let known = groups.iter().find(|(_, expr)| *expr == inner).map(|&(id, _)| id);
        let id = known.unwrap_or_else(|| {
            let id = match &inner {
                Expr::Column { id, .. } => *id,
                other => columns.add("key", other.data_type()),
            };
            groups.push((id, inner));
            id
        });
        pulled.push(Expr::compare(op, columns.reference(id), rest));
    }
    Some(())
}

/// An equality of something that `inside` gives with something else, in that order.
fn equality_with(expr: Expr, inside: &ColumnSet) -> Option<(CompareOp, Expr, Expr)> {
    let Expr::Compare { op: op @ (CompareOp::Equal | CompareOp::IsNotDistinctFrom), left, right } = expr
    else {
        return None;
    };
    let (a, b) = (columns_of(&left), columns_of(&right));
    let only_inside = |set: &ColumnSet| !set.is_empty() && set.is_subset(inside);
    let none_inside = |set: &ColumnSet| set.is_disjoint(inside);
    if only_inside(&a) && none_inside(&b) {
        Some((op, *left, *right))
    } else if only_inside(&b) && none_inside(&a) {
        Some((op, *right, *left))
    } else {
        None
    }
}

/// Whether a window itself, rather than what it reads, uses columns of `outer`.
fn window_uses(window: &Window, outer: &ColumnSet) -> bool {
    window.exprs().any(|expr| !columns_of(expr).is_disjoint(outer))
}

/// The general way: `left ⋈ right` with `right` evaluated over the domain of the left's columns it uses.
fn general(mut join: Join, free: &ColumnSet, columns: &mut Columns) -> Result<Logical> {
    let ids: Vec<ColumnId> = free.iter().copied().collect();
    let template = join.left.clone().distinct(&ids, columns);
    let domain = Domain { template, ids };
    let (right, made) = domain.push(join.right.take(), columns)?;
    let mut on = std::mem::take(&mut join.on);
    for (&outside, &inside) in domain.ids.iter().zip(&made) {
        let (outside, inside) = (columns.reference(outside), columns.reference(inside));
        on.push(Expr::compare(CompareOp::IsNotDistinctFrom, outside, inside));
    }
    let right = Box::new(right);
    Ok(at_most_one(Join { right, on, ..join }))
}

fn is_ordered(plan: &Logical) -> bool {
    match plan {
        Logical::Sort { .. } | Logical::TopN { .. } => true,
        Logical::Project { input, .. } => is_ordered(input),
        _ => false,
    }
}

/// The distinct combinations of the columns that a right side uses.
struct Domain {
    template: Logical,
    ids: Vec<ColumnId>,
}

impl Domain {
    /// A copy with columns of its own.
    fn copy(&self, columns: &mut Columns) -> (Logical, Vec<ColumnId>) {
        let mut map = HashMap::new();
        let plan = self.template.with_fresh_columns(columns, &mut map);
        let made = self.ids.iter().map(|id| map.get(id).copied().unwrap_or(*id)).collect();
        (plan, made)
    }

    /// From the left's columns to those of a copy of the domain.
    fn map(&self, made: &[ColumnId]) -> HashMap<ColumnId, ColumnId> {
        self.ids.iter().copied().zip(made.iter().copied()).collect()
    }

    fn is_used_by(&self, plan: &Logical) -> bool {
        plan.free_columns().iter().any(|id| self.ids.contains(id))
    }

    fn rename_all<'e>(&self, exprs: impl Iterator<Item = &'e mut Expr>, made: &[ColumnId]) {
        let map = self.map(made);
        exprs.for_each(|expr| rename(expr, &map));
    }

    /// Conditions that two copies hold the same combination.
    fn same(&self, a: &[ColumnId], b: &[ColumnId], columns: &Columns) -> Vec<Expr> {
        a.iter()
            .zip(b)
            .map(|(&a, &b)| {
                Expr::compare(CompareOp::IsNotDistinctFrom, columns.reference(a), columns.reference(b))
            })
            .collect()
    }

    /// The plan for every combination of the domain, and the columns in which it gives the combination.
    fn push(&self, mut plan: Logical, columns: &mut Columns) -> Result<(Logical, Vec<ColumnId>)> {
        if !self.is_used_by(&plan) {
            let (domain, made) = self.copy(columns);
            return Ok((domain.join(plan, JoinKind::Inner, Vec::new()), made));
        }
        match plan {
            Logical::Filter { input, mut predicate } => {
                let (input, made) = self.push(*input, columns)?;
                self.rename_all(predicate.iter_mut(), &made);
                Ok((input.filter(predicate), made))
            }
            Logical::Project { input, mut exprs } => {
                let (input, made) = self.push(*input, columns)?;
                self.rename_all(exprs.iter_mut().map(|(_, expr)| expr), &made);
                exprs.extend(made.iter().map(|&id| (id, columns.reference(id))));
                Ok((input.project(exprs), made))
            }
            Logical::Join(join) => self.push_join(join, columns),
            Logical::Aggregate { ref mut groups, ref mut aggregates, .. } => {
                let scalar = groups.is_empty();
                let (mut groups, mut aggregates) = (std::mem::take(groups), std::mem::take(aggregates));
                let Logical::Aggregate { input, .. } = plan else {
                    return Err(Error::internal("an aggregate is none"));
                };
                let (mut input, mut made) = self.push(*input, columns)?;
                let exprs = groups.iter_mut().map(|(_, expr)| expr).chain(
                    aggregates.iter_mut().flat_map(|(_, call)| call.args.iter_mut().chain(&mut call.filter)),
                );
                self.rename_all(exprs, &made);
                if scalar {
                    // A combination without rows has a row, too: an outer join keeps it, and what it adds
                    // is not counted.
                    let marker = columns.add("present", DataType::Boolean);
                    let mut exprs: Vec<_> =
                        input.outputs().into_iter().map(|id| (id, columns.reference(id))).collect();
                    exprs.push((marker, Expr::Literal(Value::boolean(true))));
                    input = input.project(exprs);
                    let (domain, all) = self.copy(columns);
                    let on = self.same(&all, &made, columns);
                    input = domain.join(input, JoinKind::Left, on);
                    made = all;
                    let present = Expr::IsNull { input: Box::new(columns.reference(marker)), negated: true };
                    for (_, call) in &mut aggregates {
                        call.filter =
                            Some(Expr::and(std::iter::once(present.clone()).chain(call.filter.take())));
                    }
                }
                groups.extend(made.iter().map(|&id| (id, columns.reference(id))));
                Ok((input.aggregate(groups, aggregates), made))
            }
            Logical::Union { inputs, columns: mut ids } => {
                let mut parts = Vec::with_capacity(inputs.len());
                for (input, mut given) in inputs {
                    let (input, made) = self.push(input, columns)?;
                    given.extend(made);
                    parts.push((input, given));
                }
                let made: Vec<ColumnId> = self.ids.iter().map(|&id| columns.copy(id)).collect();
                ids.extend(made.iter().copied());
                Ok((Logical::Union { inputs: parts, columns: ids }, made))
            }
            Logical::Expand { input, mut lists, columns: mut ids, merges } => {
                let (input, made) = self.push(*input, columns)?;
                self.rename_all(lists.iter_mut().flatten(), &made);
                let given: Vec<ColumnId> = made.iter().map(|&id| columns.copy(id)).collect();
                for list in &mut lists {
                    list.extend(made.iter().map(|&id| columns.reference(id)));
                }
                ids.extend(given.iter().copied());
                Ok((Logical::Expand { input: Box::new(input), lists, columns: ids, merges }, given))
            }
            Logical::Series(mut series) => {
                let (input, made) = self.push(*series.input, columns)?;
                self.rename_all([&mut series.start, &mut series.stop, &mut series.step].into_iter(), &made);
                Ok((Logical::Series(Series { input: Box::new(input), ..series }), made))
            }
            Logical::Unroll(mut unroll) => {
                let (input, made) = self.push(*unroll.input, columns)?;
                self.rename_all(unroll.lists.iter_mut().map(|(_, list)| list), &made);
                Ok((Logical::Unroll(Unroll { input: Box::new(input), ..unroll }), made))
            }
            Logical::TopOfGroups(mut top) => {
                let (input, made) = self.push(*top.input, columns)?;
                let exprs = top.groups.iter_mut().chain(top.keys.iter_mut().map(|key| &mut key.expr));
                self.rename_all(exprs, &made);
                top.groups.extend(made.iter().map(|&id| columns.reference(id)));
                Ok((Logical::TopOfGroups(TopOfGroups { input: Box::new(input), ..top }), made))
            }
            Logical::AsOf(join) => {
                let AsOf { input, mut groups, mut keys, mut source, mut carried, required } = join;
                let (input, made) = self.push(*input, columns)?;
                let keys_of = keys.iter_mut().map(|key| &mut key.expr);
                let carried_of = carried.iter_mut().map(|(_, expr)| expr);
                self.rename_all(groups.iter_mut().chain(keys_of).chain(carried_of), &made);
                self.rename_all(std::iter::once(&mut source), &made);
                groups.extend(made.iter().map(|&id| columns.reference(id)));
                let input = Box::new(input);
                Ok((Logical::AsOf(AsOf { input, groups, keys, source, carried, required }), made))
            }
            Logical::Sort { input, .. } => self.push(*input, columns),
            Logical::Window(mut window) => {
                let (input, made) = self.push(window.input.take(), columns)?;
                window.input = Box::new(input);
                self.rename_all(window.exprs_mut(), &made);
                let keys = made.iter().map(|&id| columns.reference(id));
                window.partition.extend(keys);
                Ok((Logical::Window(window), made))
            }
            // Any one row of each combination: an aggregate gives one of a single column's values.
            Logical::Limit { input, limit: Some(1), offset: 0 }
                if input.outputs().len() == 1 && !is_ordered(&input) =>
            {
                let id = input.outputs()[0];
                let (input, made) = self.push(*input, columns)?;
                let groups = made.iter().map(|&id| (id, columns.reference(id))).collect();
                let call = AggregateCall {
                    function: AggregateFunction::AnyValue,
                    distinct: false,
                    args: vec![columns.reference(id)],
                    filter: None,
                    data_type: columns.data_type(id),
                };
                let any = columns.copy(id);
                let mut exprs: Vec<_> = made.iter().map(|&id| (id, columns.reference(id))).collect();
                exprs.push((id, columns.reference(any)));
                Ok((input.aggregate(groups, vec![(any, call)]).project(exprs), made))
            }
            Logical::Limit { input, limit, offset } => {
                // A projection between the limit and the order changes neither.
                let (mut input, mut above) = (*input, Vec::new());
                while let Logical::Project { input: below, exprs } = input {
                    above.push(exprs);
                    input = *below;
                }
                let (input, mut keys) = match input {
                    Logical::Sort { input, keys } => (*input, keys),
                    other => (other, Vec::new()),
                };
                let (input, made) = self.push(input, columns)?;
                self.rename_all(keys.iter_mut().map(|key| &mut key.expr), &made);
                let groups = made.iter().map(|&id| columns.reference(id)).collect();
                let limit = limit.unwrap_or(u64::MAX);
                let input = Box::new(input);
                let top = TopOfGroups { input, groups, keys, limit, offset, ties: false };
                let mut plan = Logical::TopOfGroups(top);
                for mut exprs in above.into_iter().rev() {
                    self.rename_all(exprs.iter_mut().map(|(_, expr)| expr), &made);
                    exprs.extend(made.iter().map(|&id| (id, columns.reference(id))));
                    plan = plan.project(exprs);
                }
                Ok((plan, made))
            }
            Logical::TopN { .. } => Err(Error::internal("a top-N is there before its rule")),
            Logical::Scan(_)
            | Logical::Foreign(_)
            | Logical::Values { .. }
            | Logical::Exchange { .. }
            | Logical::Shared { .. }
            | Logical::Reread { .. } => {
                Err(Error::internal("a leaf of a plan uses columns of a query around it"))
            }
        }
    }

    fn push_join(&self, join: Join, columns: &mut Columns) -> Result<(Logical, Vec<ColumnId>)> {
        let Join { left, right, kind, mut on, .. } = join;
        let (in_left, in_right) = (self.is_used_by(&left), self.is_used_by(&right));
        if kind == JoinKind::Full {
            return Err(Error::unsupported("a FULL JOIN over columns of the query around it"));
        }
        if kind == JoinKind::Inner && in_right && !in_left {
            let (right, made) = self.push(*right, columns)?;
            self.rename_all(on.iter_mut(), &made);
            return Ok((left.join(right, kind, on), made));
        }
        let (left, made) = self.push(*left, columns)?;
        self.rename_all(on.iter_mut(), &made);
        if !in_right {
            return Ok((left.join(*right, kind, on), made));
        }
        let (right, twin) = self.push(*right, columns)?;
        on.extend(self.same(&made, &twin, columns));
        let joined = left.join(right, kind, on);
        if !kind.gives_right() {
            return Ok((joined, made));
        }
        // Only one of the copies goes on.
        let exprs = joined
            .outputs()
            .into_iter()
            .filter(|id| !twin.contains(id))
            .map(|id| (id, columns.reference(id)))
            .collect();
        Ok((joined.project(exprs), made))
    }
}
