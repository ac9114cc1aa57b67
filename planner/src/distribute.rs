//! Where rows lie, as a property of a plan; and the one pass that inserts exchanges where an operator needs
//! them to lie elsewhere.

mod extremes;
mod grouped;

use crate::binder::constants::is_any_volatile;
use crate::catalog::Partitioning;
use crate::error::Result;
use crate::estimate::Estimator;
use crate::logical::{
    AggregateCall, ColumnId, ColumnSet, Columns, Join, JoinKind, Logical, Routing, Series, Unroll, Window,
    equality,
};
use crate::slicings;
use columnar::DataType;
use exec::{Expr, Slicing};
use std::collections::HashMap;

/// Keys with fewer distinct values a shard than this would leave shards idle.
const MIN_VALUES_A_SHARD: f64 = 8.0;
/// A key with this many is enough by itself.
const ENOUGH_VALUES_A_SHARD: f64 = 1_000.0;
/// Fewer groups than this are merged on one shard.
const MAX_GATHERED_GROUPS: f64 = 10_000.0;
/// Of fewer than one of so many values of a key, the ranges that have them may be few.
const LEAST_OF_SPAN: f64 = 8.0;
/// Grouping first on each shard must shrink the rows by this much to be worth its while.
const PARTIAL_BENEFIT: f64 = 0.7;

/// Where the rows of a plan lie.
#[derive(Clone, Debug, PartialEq)]
enum Distribution {
    /// On one shard.
    Single,
    /// All of them on every shard.
    Replicated,
    /// Each on some shard.
    Spread,
    /// Each on the shard of its slice by these keys; a key may stand in several columns.
    Sliced(Vec<ColumnSet>, Slicing),
}

impl Distribution {
    /// What of it can be said in the columns that the plan gives.
    fn within(self, plan: &Logical) -> Distribution {
        let Distribution::Sliced(keys, by) = self else { return self };
        let outputs = plan.output_set();
        let keys: Vec<ColumnSet> =
            keys.iter().map(|key| key.intersection(&outputs).copied().collect()).collect();
        if keys.iter().any(ColumnSet::is_empty) {
            Distribution::Spread
        } else {
            Distribution::Sliced(keys, by)
        }
    }

    /// Whether one shard alone has all rows (or any shard does).
    fn is_whole(&self) -> bool {
        matches!(self, Distribution::Single | Distribution::Replicated)
    }
}

/// Inserts exchanges so that the plan's rows end on one shard.
pub(crate) fn distribute(plan: Logical, columns: &mut Columns, shards: usize) -> Result<Logical> {
    if shards <= 1 {
        return Ok(plan);
    }
    let slicings = slicings::of_plan(&plan);
    let (plan, distribution) = Pass { columns, shards: shards as f64, slicings }.place(plan);
    Ok(if distribution.is_whole() { plan } else { exchange(plan, Routing::Gather) })
}

struct Pass<'a> {
    columns: &'a mut Columns,
    shards: f64,
    /// How columns are best dealt where their rows must move.
    slicings: HashMap<ColumnId, Slicing>,
}

fn exchange(plan: Logical, routing: Routing) -> Logical {
    Logical::Exchange { input: Box::new(plan), routing }
}

impl Pass<'_> {
    fn place(&mut self, plan: Logical) -> (Logical, Distribution) {
        self.place_for(plan, &[])
    }

    /// Rows that must move anyway are dealt by `wanted`, where they can be.
    fn place_for(&mut self, plan: Logical, wanted: &[ColumnId]) -> (Logical, Distribution) {
        // What each shard computes otherwise is not the same on all.
        let volatile = plan.exprs().into_iter().any(is_any_volatile);
        match self.place_any(plan, wanted) {
            (plan, Distribution::Replicated) if volatile => (plan, Distribution::Single),
            placed => placed,
        }
    }

    fn place_any(&mut self, plan: Logical, wanted: &[ColumnId]) -> (Logical, Distribution) {
        match plan {
            Logical::Scan(scan) => {
                let sliced = |positions: &[u32], by: Slicing| {
                    let id = |position: &u32| {
                        scan.columns.iter().find(|(known, _)| known == position).map(|&(_, id)| id)
                    };
                    let ids: Option<Vec<ColumnId>> = positions.iter().map(id).collect();
                    ids.map_or(Distribution::Spread, |ids| sliced_by(&ids, by))
                };
                let distribution = match &scan.table.partitioning {
                    Partitioning::Spread => Distribution::Spread,
                    Partitioning::Replicated => Distribution::Replicated,
                    Partitioning::Hash(positions) => sliced(positions, Slicing::Hash),
                    Partitioning::Ranges { column, span } => {
                        sliced(&[*column], Slicing::Ranges { span: *span })
                    }
                };
                (Logical::Scan(scan), distribution)
            }
            Logical::Values { .. } | Logical::Foreign(_) => (plan, Distribution::Single),
            Logical::Filter { input, predicate } => {
                let (input, distribution) = self.place_for(*input, wanted);
                (Logical::Filter { input: Box::new(input), predicate }, distribution)
            }
            Logical::Project { input, exprs } => {
                let (input, distribution) = self.place_for(*input, wanted);
                let plan = input.project(exprs);
                let distribution = distribution.within(&plan);
                (plan, distribution)
            }
            Logical::Join(join) => self.join(join),
            Logical::Aggregate { input, groups, aggregates } => {
                self.aggregate(*input, groups, aggregates, wanted)
            }
            Logical::Window(window) => self.window(window),
            Logical::Sort { input, keys } => {
                let (input, _) = self.gathered(*input);
                (Logical::Sort { input: Box::new(input), keys }, Distribution::Single)
            }
            Logical::TopN { input, keys, limit, offset } => {
                let (input, distribution) = self.place(*input);
                let input = if distribution.is_whole() {
                    input
                } else {
                    let limit = limit.saturating_add(offset);
                    let local =
                        Logical::TopN { input: Box::new(input), keys: keys.clone(), limit, offset: 0 };
                    exchange(local, Routing::Gather)
                };
                (Logical::TopN { input: Box::new(input), keys, limit, offset }, Distribution::Single)
            }
            Logical::Limit { input, limit, offset } => {
                let (input, distribution) = self.place(*input);
                let input = if distribution.is_whole() {
                    input
                } else {
                    let local = match limit {
                        Some(limit) => Logical::Limit {
                            input: Box::new(input),
                            limit: Some(limit.saturating_add(offset)),
                            offset: 0,
                        },
                        None => input,
                    };
                    exchange(local, Routing::Gather)
                };
                (Logical::Limit { input: Box::new(input), limit, offset }, Distribution::Single)
            }
            Logical::TopOfGroups(top) => self.top_of_groups(top),
            Logical::AsOf(join) => self.as_of(join),
            Logical::Expand { input, lists, columns, merges } => {
                let (input, distribution) =
                    if merges { self.place_parts(*input) } else { self.place(*input) };
                let plan = Logical::Expand { input: Box::new(input), lists, columns, merges };
                let distribution = distribution.within(&plan);
                (plan, distribution)
            }
            Logical::Series(series) => {
                let (input, distribution) = self.place_for(*series.input, wanted);
                (Logical::Series(Series { input: Box::new(input), ..series }), distribution)
            }
            Logical::Unroll(unroll) => {
                let (input, distribution) = self.place_for(*unroll.input, wanted);
                let plan = Logical::Unroll(Unroll { input: Box::new(input), ..unroll });
                let distribution = distribution.within(&plan);
                (plan, distribution)
            }
            Logical::Union { inputs, columns } => self.union(inputs, columns),
            Logical::Exchange { .. } | Logical::Shared { .. } | Logical::Reread { .. } => {
                (plan, Distribution::Spread)
            }
        }
    }

    /// The plan with its rows on one shard.
    fn gathered(&mut self, plan: Logical) -> (Logical, Distribution) {
        let (plan, distribution) = self.place(plan);
        self.gather(plan, distribution)
    }

    fn gather(&self, plan: Logical, distribution: Distribution) -> (Logical, Distribution) {
        if distribution.is_whole() {
            return (plan, distribution);
        }
        (exchange(plan, Routing::Gather), Distribution::Single)
    }

    fn union(
        &mut self,
        inputs: Vec<(Logical, Vec<ColumnId>)>,
        columns: Vec<ColumnId>,
    ) -> (Logical, Distribution) {
        let placed: Vec<_> = inputs
            .into_iter()
            .map(|(input, given)| {
                let (input, distribution) = self.place(input);
                (input, given, distribution)
            })
            .collect();
        let whole = placed.iter().all(|(_, _, distribution)| distribution.is_whole());
        let gather = !whole && columns.is_empty();
        let mut inputs = Vec::with_capacity(placed.len());
        for (mut input, given, distribution) in placed {
            if gather {
                input = self.gather(input, distribution).0;
            } else if !whole && distribution.is_whole() {
                // Rows of one shard among rows of all: they are spread.
                let keys = given.iter().map(|&id| self.columns.reference(id)).collect();
                input = exchange(input, Routing::Hash(keys));
            }
            inputs.push((input, given));
        }
        let distribution = if whole || gather { Distribution::Single } else { Distribution::Spread };
        (Logical::Union { inputs, columns }, distribution)
    }

    fn aggregate(
        &mut self,
        input: Logical,
        groups: Vec<(ColumnId, Expr)>,
        aggregates: Vec<(ColumnId, AggregateCall)>,
        wanted: &[ColumnId],
    ) -> (Logical, Distribution) {
        let bare: Vec<ColumnId> = groups
            .iter()
            .filter(|(id, expr)| matches!(expr, Expr::Column { id: own, .. } if own == id))
            .map(|&(id, _)| id)
            .collect();
        let (input, distribution) = self.place_for(input, &bare);
        let local = match &distribution {
            Distribution::Sliced(keys, _) => keys.iter().all(|key| bare.iter().any(|id| key.contains(id))),
            other => other.is_whole(),
        };
        if local {
            let plan = input.aggregate(groups, aggregates);
            let distribution = distribution.within(&plan);
            return (plan, distribution);
        }
        let (rows, result, widest, fitting, enough) = {
            let estimator = Estimator::new(self.columns);
            let estimate = estimator.estimate(&input);
            let values = groups.iter().map(|(id, expr)| (estimate.expression(expr).distinct, *id));
            let widest = values.clone().max_by(|a, b| a.0.total_cmp(&b.0));
            // Groups of them alone lie right for whoever wants them so.
            let by = groups.iter().filter(|(id, _)| wanted.contains(id)).cloned().collect::<Vec<_>>();
            let enough = !wanted.is_empty()
                && by.len() == wanted.len()
                && estimate.groups_of(&by) >= self.shards * ENOUGH_VALUES_A_SHARD;
            let fitting = values
                .filter(|(_, id)| !enough || wanted == [*id])
                .filter_map(|(values, id)| self.fitting(id, values).map(|by| (id, by)))
                .next();
            (estimate.rows, estimate.groups_of(&groups), widest, fitting, enough)
        };
        // Rows of a group must come together where results of its parts cannot be put together.
        let whole = aggregates.iter().any(|(_, call)| !call.is_mergeable());
        let gathered = if whole { self.shards * MIN_VALUES_A_SHARD } else { MAX_GATHERED_GROUPS };
        let few = groups.is_empty() || result <= gathered;
        // One key is enough where it spreads the rows well.
        let (by, slicing) = match (fitting, widest) {
            (Some((id, slicing)), _) => (vec![id], slicing),
            _ if enough => (wanted.to_vec(), Slicing::Hash),
            (_, Some((values, id))) if values >= self.shards * ENOUGH_VALUES_A_SHARD => {
                (vec![id], Slicing::Hash)
            }
            _ => (groups.iter().map(|&(id, _)| id).collect(), Slicing::Hash),
        };
        let keys: Vec<Expr> = by.iter().map(|&id| self.columns.reference(id)).collect();
        // A group may lie on every shard: partial groups are at most this many.
        let partial_rows = (result * self.shards).min(rows);
        let routing = if few { Routing::Gather } else { routing_by(slicing, keys) };
        let target = if few { Distribution::Single } else { sliced_by(&by, slicing) };
        if whole || !few && partial_rows > rows * PARTIAL_BENEFIT {
            // The keys must be columns to be sent by.
            let computed: Vec<_> = groups.iter().filter(|(id, _)| !bare.contains(id)).cloned().collect();
            let input = if computed.is_empty() {
                input
            } else {
                let mut exprs: Vec<_> =
                    input.outputs().into_iter().map(|id| (id, self.columns.reference(id))).collect();
                exprs.extend(computed);
                input.project(exprs)
            };
            let groups = groups.iter().map(|&(id, _)| (id, self.columns.reference(id))).collect();
            return (exchange(input, routing).aggregate(groups, aggregates), target);
        }
        let mut partial = Vec::with_capacity(aggregates.len());
        let mut merged = Vec::with_capacity(aggregates.len());
        for (id, call) in aggregates {
            let (between, first, second) = call.in_two(self.columns, id);
            partial.push((between, first));
            merged.push((id, second));
        }
        let local = input.aggregate(groups.clone(), partial);
        let groups = groups.iter().map(|&(id, _)| (id, self.columns.reference(id))).collect();
        (exchange(local, routing).aggregate(groups, merged), target)
    }

    /// Partitions lie whole on some shard.
    fn window(&mut self, mut window: Window) -> (Logical, Distribution) {
        let keys: Vec<ColumnId> = window.partition_columns().into_iter().collect();
        let (input, at) = self.place_for(window.input.take(), &keys);
        let (input, at) = match at {
            // Rows that are alike in all keys need not come in the same order everywhere.
            Distribution::Replicated | Distribution::Single => (input, Distribution::Single),
            Distribution::Sliced(by, slicing)
                if by.iter().all(|key| keys.iter().any(|id| key.contains(id))) =>
            {
                (input, Distribution::Sliced(by, slicing))
            }
            at if keys.is_empty() => self.gather(input, at),
            _ => {
                let fitting = {
                    let estimator = Estimator::new(self.columns);
                    let estimate = estimator.estimate(&input);
                    let values = |id: ColumnId| estimate.expression(&self.columns.reference(id)).distinct;
                    keys.iter().find_map(|&id| self.fitting(id, values(id)).map(|by| (id, by)))
                };
                let (by, slicing) = fitting.map_or((keys, Slicing::Hash), |(id, by)| (vec![id], by));
                let routing = by.iter().map(|&id| self.columns.reference(id)).collect();
                (exchange(input, routing_by(slicing, routing)), sliced_by(&by, slicing))
            }
        };
        window.input = Box::new(input);
        (Logical::Window(window), at)
    }

    fn join(&mut self, join: Join) -> (Logical, Distribution) {
        let extreme = self.extreme(&join);
        let Join { left, right, kind, on, build_left } = join;
        let (left, left_at) = self.place(*left);
        if let Some(extreme) = extreme.filter(|_| !left_at.is_whole()) {
            return self.keep_extreme(left, on, extreme);
        }
        let (right, right_at) = self.place(*right);
        let rejoin = |left: Logical, right: Logical| {
            Logical::Join(Join {
                left: Box::new(left),
                right: Box::new(right),
                kind,
                on: on.clone(),
                build_left,
            })
        };
        if left_at.is_whole() && right_at.is_whole() {
            let replicated = left_at == Distribution::Replicated && right_at == Distribution::Replicated;
            let at = if replicated { Distribution::Replicated } else { Distribution::Single };
            return (rejoin(left, right), at);
        }
        if right_at == Distribution::Replicated && kind != JoinKind::Full {
            return (rejoin(left, right), left_at);
        }
        if left_at == Distribution::Replicated && kind == JoinKind::Inner {
            return (rejoin(left, right), right_at);
        }
        let keys = self.keys(&on, &left, &right, kind);
        let (left_bytes, right_bytes, values, both) = {
            let estimator = Estimator::new(self.columns);
            let estimate = estimator.estimate(&left);
            let values: Vec<f64> = keys.iter().map(|(a, _)| estimate.expression(a).distinct).collect();
            let fitting =
                keys.iter().zip(&values).enumerate().find_map(|(position, ((a, _), &values))| match a {
                    Expr::Column { id, .. } => {
                        Some(Sliced { positions: vec![position], by: self.fitting(*id, values)? })
                    }
                    _ => None,
                });
            let all = || Sliced { positions: (0..keys.len()).collect(), by: Slicing::Hash };
            let both = fitting.unwrap_or_else(all);
            (estimator.bytes(&left), estimator.bytes(&right), values.iter().product::<f64>(), both)
        };
        // Who asks for a match alone has no use for the same row twice.
        let (right_bytes, once) = match kind.gives_right() {
            true => (right_bytes, false),
            false => {
                let estimator = Estimator::new(self.columns);
                let estimate = estimator.estimate(&right);
                let groups = self.groups_of(&right);
                let share = estimate.groups_of(&groups) * self.shards / estimate.rows.max(1.0);
                let once = !groups.is_empty() && share <= PARTIAL_BENEFIT;
                (if once { right_bytes * share } else { right_bytes }, once)
            }
        };
        let moved = |pass: &Pass<'_>, right: Logical| {
            let groups = pass.groups_of(&right);
            if once { right.aggregate(groups, Vec::new()) } else { right }
        };
        // Rows that one shard has, or all have, count as moved when they go to their slice's shard. What all
        // have one shard sends, so that the rows that a join keeps are there once.
        let sliced_left = sliced_among(&left_at, keys.iter().map(|(a, _)| a));
        let sliced_right = sliced_among(&right_at, keys.iter().map(|(_, b)| b));
        let together = sliced_left.is_some() && sliced_left == sliced_right;
        if together && kind != JoinKind::Full {
            return (rejoin(left, right), left_at);
        }
        enum Move {
            BroadcastRight,
            BroadcastLeft,
            /// The right rows go to where the left ones lie.
            ToLeft(Sliced),
            ToRight(Sliced),
            Both,
            Gather,
        }
        // Rows that all get go to all others; of rows that are dealt, some stay where they are.
        let (broadcast, dealt) = (self.shards - 1.0, 1.0 - 1.0 / self.shards);
        let mut best = (Move::Gather, (left_bytes + right_bytes) * 4.0 + 1e6);
        let mut offer = |way: Move, cost: f64| {
            if cost < best.1 {
                best = (way, cost);
            }
        };
        if kind != JoinKind::Full && !left_at.is_whole() {
            offer(Move::BroadcastRight, right_bytes * broadcast);
        }
        if kind == JoinKind::Inner && !right_at.is_whole() {
            offer(Move::BroadcastLeft, left_bytes * broadcast);
        }
        if !keys.is_empty() && values >= self.shards * MIN_VALUES_A_SHARD {
            offer(Move::Both, (left_bytes + right_bytes) * dealt);
            if let Some(order) = sliced_left {
                offer(Move::ToLeft(order), right_bytes * dealt);
            }
            if let Some(order) = sliced_right {
                offer(Move::ToRight(order), left_bytes * dealt);
            }
        }
        let pick = |side: fn(&(Expr, Expr)) -> &Expr, order: &Sliced| -> Vec<Expr> {
            order.positions.iter().map(|&position| side(&keys[position]).clone()).collect()
        };
        // Where the left rows go by their keys, so do the right rows that match them.
        let by_both = |left: &[Expr], right: &[Expr], by: Slicing| -> Distribution {
            let (Some(left), Some(right)) = (columns_only(left), columns_only(right)) else {
                return Distribution::Spread;
            };
            let pair = |(a, b): (ColumnId, ColumnId)| match kind {
                JoinKind::Inner => ColumnSet::from([a, b]),
                _ => ColumnSet::from([a]),
            };
            match kind {
                // Rows that a full join adds have nulls for keys and lie anywhere.
                JoinKind::Full => Distribution::Spread,
                _ => Distribution::Sliced(left.into_iter().zip(right).map(pair).collect(), by),
            }
        };
        let (joined, at) = match best.0 {
            Move::BroadcastRight => (rejoin(left, exchange(moved(self, right), Routing::Broadcast)), left_at),
            Move::BroadcastLeft => (rejoin(exchange(left, Routing::Broadcast), right), right_at),
            Move::ToLeft(order) => {
                let (a, b) = (pick(|key| &key.0, &order), pick(|key| &key.1, &order));
                let at = by_both(&a, &b, order.by);
                (rejoin(left, exchange(moved(self, right), order.routing(b))), at)
            }
            Move::ToRight(order) => {
                let (a, b) = (pick(|key| &key.0, &order), pick(|key| &key.1, &order));
                let at = by_both(&a, &b, order.by);
                (rejoin(exchange(left, order.routing(a)), right), at)
            }
            Move::Both => {
                let (a, b) = (pick(|key| &key.0, &both), pick(|key| &key.1, &both));
                let at = by_both(&a, &b, both.by);
                let right = moved(self, right);
                (rejoin(exchange(left, both.routing(a)), exchange(right, both.routing(b))), at)
            }
            Move::Gather => {
                let (left, _) = self.gather(left, left_at);
                let right = if right_at.is_whole() { right } else { moved(self, right) };
                let (right, _) = self.gather(right, right_at);
                (rejoin(left, right), Distribution::Single)
            }
        };
        let at = at.within(&joined);
        (joined, at)
    }

    /// Groups of rows that are the same.
    fn groups_of(&self, plan: &Logical) -> Vec<(ColumnId, Expr)> {
        plan.outputs().into_iter().map(|id| (id, self.columns.reference(id))).collect()
    }

    /// The ranges by which a column of so many values is best dealt, unless they would leave shards idle.
    fn fitting(&self, id: ColumnId, values: f64) -> Option<Slicing> {
        let slicing = *self.slicings.get(&id)?;
        match slicing {
            Slicing::Ranges { span } => (values * LEAST_OF_SPAN >= span as f64).then_some(slicing),
            Slicing::Hash => None,
        }
    }

    /// The pairs of expressions by which matching rows can be brought together.
    fn keys(&self, on: &[Expr], left: &Logical, right: &Logical, kind: JoinKind) -> Vec<(Expr, Expr)> {
        let (left_set, right_set) = (left.output_set(), right.output_set());
        on.iter()
            .filter_map(|expr| equality(expr, &left_set, &right_set))
            // A comparison that may leave a null mark must see all right rows.
            .filter(|&(_, _, null_equal)| null_equal || !matches!(kind, JoinKind::NullMark(_)))
            .filter(|(a, b, _)| a.data_type() == b.data_type() || both_decimal(a, b))
            .map(|(a, b, _)| (a.clone(), b.clone()))
            .collect()
    }
}

/// Rows that lie by the keys at these positions among those of a join.
#[derive(Clone, Debug, PartialEq)]
struct Sliced {
    positions: Vec<usize>,
    by: Slicing,
}

impl Sliced {
    /// How rows are sent to where they lie so by these keys.
    fn routing(&self, keys: Vec<Expr>) -> Routing {
        routing_by(self.by, keys)
    }
}

fn routing_by(slicing: Slicing, mut keys: Vec<Expr>) -> Routing {
    match (slicing, keys.len()) {
        (Slicing::Ranges { span }, 1) => Routing::Ranges { key: keys.remove(0), span },
        _ => Routing::Hash(keys),
    }
}

/// The positions among `keys` of the columns by which the rows lie, if all are there.
fn sliced_among<'e>(at: &Distribution, keys: impl Iterator<Item = &'e Expr> + Clone) -> Option<Sliced> {
    let Distribution::Sliced(columns, by) = at else { return None };
    let position = |known: &ColumnSet| {
        keys.clone().position(|key| matches!(key, Expr::Column { id, .. } if known.contains(id)))
    };
    Some(Sliced { positions: columns.iter().map(position).collect::<Option<_>>()?, by: *by })
}

fn sliced_by(ids: &[ColumnId], by: Slicing) -> Distribution {
    Distribution::Sliced(ids.iter().map(|&id| ColumnSet::from([id])).collect(), by)
}

/// Decimals of one scale hash alike, whatever their digits.
fn both_decimal(a: &Expr, b: &Expr) -> bool {
    matches!(
        (a.data_type(), b.data_type()),
        (DataType::Decimal { scale: x, .. }, DataType::Decimal { scale: y, .. }) if x == y
    )
}

fn columns_only(keys: &[Expr]) -> Option<Vec<ColumnId>> {
    keys.iter()
        .map(|key| match key {
            Expr::Column { id, .. } => Some(*id),
            _ => None,
        })
        .collect()
}
