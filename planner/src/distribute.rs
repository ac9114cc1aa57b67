//! Where rows lie, as a property of a plan; and the one pass that inserts exchanges where an operator needs
//! them to lie elsewhere.

use crate::catalog::Partitioning;
use crate::error::Result;
use crate::estimate::Estimator;
use crate::logical::{
    AggregateCall, ColumnId, ColumnSet, Columns, Join, JoinKind, Logical, Routing, equality,
};
use crate::rules::merge;
use columnar::DataType;
use exec::Expr;

/// Keys with fewer distinct values a shard than this would leave shards idle.
const MIN_VALUES_A_SHARD: f64 = 8.0;
/// A key with this many is enough by itself.
const ENOUGH_VALUES_A_SHARD: f64 = 1_000.0;
/// Fewer groups than this are merged on one shard.
const MAX_GATHERED_GROUPS: f64 = 10_000.0;
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
    /// Each on the shard that the hash of these keys names; a key may stand in several columns.
    Hash(Vec<ColumnSet>),
}

impl Distribution {
    /// What of it can be said in the columns that the plan gives.
    fn within(self, plan: &Logical) -> Distribution {
        let Distribution::Hash(keys) = self else { return self };
        let outputs = plan.output_set();
        let keys: Vec<ColumnSet> =
            keys.iter().map(|key| key.intersection(&outputs).copied().collect()).collect();
        if keys.iter().any(ColumnSet::is_empty) { Distribution::Spread } else { Distribution::Hash(keys) }
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
    let (plan, distribution) = Pass { columns, shards: shards as f64 }.place(plan);
    Ok(if distribution.is_whole() { plan } else { exchange(plan, Routing::Gather) })
}

struct Pass<'a> {
    columns: &'a mut Columns,
    shards: f64,
}

fn exchange(plan: Logical, routing: Routing) -> Logical {
    Logical::Exchange { input: Box::new(plan), routing }
}

impl Pass<'_> {
    fn place(&mut self, plan: Logical) -> (Logical, Distribution) {
        match plan {
            Logical::Scan(scan) => {
                let distribution = match &scan.table.partitioning {
                    Partitioning::Spread => Distribution::Spread,
                    Partitioning::Replicated => Distribution::Replicated,
                    Partitioning::Hash(positions) => {
                        let id = |position: &u32| {
                            scan.columns.iter().find(|(known, _)| known == position).map(|&(_, id)| id)
                        };
                        let ids: Option<Vec<ColumnId>> = positions.iter().map(id).collect();
                        ids.map_or(Distribution::Spread, |ids| hashed_by(&ids))
                    }
                };
                (Logical::Scan(scan), distribution)
            }
            Logical::Values { .. } => (plan, Distribution::Single),
            Logical::Filter { input, predicate } => {
                let (input, distribution) = self.place(*input);
                (Logical::Filter { input: Box::new(input), predicate }, distribution)
            }
            Logical::Project { input, exprs } => {
                let (input, distribution) = self.place(*input);
                let plan = input.project(exprs);
                let distribution = distribution.within(&plan);
                (plan, distribution)
            }
            Logical::Join(join) => self.join(join),
            Logical::Aggregate { input, groups, aggregates } => self.aggregate(*input, groups, aggregates),
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
    ) -> (Logical, Distribution) {
        let (input, distribution) = self.place(input);
        let bare: Vec<ColumnId> = groups
            .iter()
            .filter(|(id, expr)| matches!(expr, Expr::Column { id: own, .. } if own == id))
            .map(|&(id, _)| id)
            .collect();
        let local = match &distribution {
            Distribution::Hash(keys) => keys.iter().all(|key| bare.iter().any(|id| key.contains(id))),
            other => other.is_whole(),
        };
        if local {
            let plan = input.aggregate(groups, aggregates);
            let distribution = distribution.within(&plan);
            return (plan, distribution);
        }
        let (rows, result, widest) = {
            let estimator = Estimator::new(self.columns);
            let estimate = estimator.estimate(&input);
            let widest = groups
                .iter()
                .map(|(id, expr)| (estimate.expression(expr).distinct, *id))
                .max_by(|a, b| a.0.total_cmp(&b.0));
            (estimate.rows, estimate.groups_of(&groups), widest)
        };
        let few = groups.is_empty() || result <= MAX_GATHERED_GROUPS;
        // One key is enough where it spreads the rows well.
        let by: Vec<ColumnId> = match widest {
            Some((values, id)) if values >= self.shards * ENOUGH_VALUES_A_SHARD => vec![id],
            _ => groups.iter().map(|&(id, _)| id).collect(),
        };
        let keys: Vec<Expr> = by.iter().map(|&id| self.columns.reference(id)).collect();
        // A group may lie on every shard: partial groups are at most this many.
        let partial_rows = (result * self.shards).min(rows);
        let routing = if few { Routing::Gather } else { Routing::Hash(keys) };
        let target = if few { Distribution::Single } else { hashed_by(&by) };
        if !groups.is_empty() && !few && partial_rows > rows * PARTIAL_BENEFIT {
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
            let between = self.columns.add(self.columns.name(id).to_string(), call.data_type);
            merged.push((id, merge(&call, self.columns.reference(between))));
            partial.push((between, call));
        }
        let local = input.aggregate(groups.clone(), partial);
        let groups = groups.iter().map(|&(id, _)| (id, self.columns.reference(id))).collect();
        (exchange(local, routing).aggregate(groups, merged), target)
    }

    fn join(&mut self, join: Join) -> (Logical, Distribution) {
        let Join { left, right, kind, on, build_left } = join;
        let (left, left_at) = self.place(*left);
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
        let (left_bytes, right_bytes, values) = {
            let estimator = Estimator::new(self.columns);
            let estimate = estimator.estimate(&left);
            let values: f64 = keys.iter().map(|(a, _)| estimate.expression(a).distinct).product();
            (estimator.bytes(&left), estimator.bytes(&right), values)
        };
        // Rows that one shard has, or all have, count as moved when they go to their hash's shard.
        let hashed_left = self.hashed(&left_at, keys.iter().map(|(a, _)| a));
        let hashed_right = self.hashed(&right_at, keys.iter().map(|(_, b)| b));
        let together = match (&hashed_left, &hashed_right) {
            (Some(a), Some(b)) => a == b,
            _ => false,
        };
        if together && kind != JoinKind::Full {
            return (rejoin(left, right), left_at);
        }
        #[derive(Clone, Copy, PartialEq)]
        enum Move {
            BroadcastRight,
            BroadcastLeft,
            HashRight,
            HashLeft,
            HashBoth,
            Gather,
        }
        let broadcast = self.shards - 1.0;
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
            if left_at != Distribution::Replicated && right_at != Distribution::Replicated {
                offer(Move::HashBoth, left_bytes + right_bytes);
            }
            if hashed_left.is_some() && right_at != Distribution::Replicated {
                offer(Move::HashRight, right_bytes);
            }
            if hashed_right.is_some() && left_at != Distribution::Replicated {
                offer(Move::HashLeft, left_bytes);
            }
        }
        let pick = |side: fn(&(Expr, Expr)) -> &Expr, order: Option<&Vec<usize>>| -> Vec<Expr> {
            match order {
                Some(order) => order.iter().map(|&position| side(&keys[position]).clone()).collect(),
                None => keys.iter().map(|key| side(key).clone()).collect(),
            }
        };
        // Where the left rows go by their keys, so do the right rows that match them.
        let by_both = |left: &[Expr], right: &[Expr]| -> Distribution {
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
                _ => Distribution::Hash(left.into_iter().zip(right).map(pair).collect()),
            }
        };
        let (joined, at) = match best.0 {
            Move::BroadcastRight => (rejoin(left, exchange(right, Routing::Broadcast)), left_at),
            Move::BroadcastLeft => (rejoin(exchange(left, Routing::Broadcast), right), right_at),
            Move::HashRight => {
                let (a, b) =
                    (pick(|key| &key.0, hashed_left.as_ref()), pick(|key| &key.1, hashed_left.as_ref()));
                let at = by_both(&a, &b);
                (rejoin(left, exchange(right, Routing::Hash(b))), at)
            }
            Move::HashLeft => {
                let (a, b) =
                    (pick(|key| &key.0, hashed_right.as_ref()), pick(|key| &key.1, hashed_right.as_ref()));
                let at = by_both(&a, &b);
                (rejoin(exchange(left, Routing::Hash(a)), right), at)
            }
            Move::HashBoth => {
                let (a, b) = (pick(|key| &key.0, None), pick(|key| &key.1, None));
                let at = by_both(&a, &b);
                (rejoin(exchange(left, Routing::Hash(a)), exchange(right, Routing::Hash(b))), at)
            }
            Move::Gather => {
                let (left, _) = self.gather(left, left_at);
                let (right, _) = self.gather(right, right_at);
                (rejoin(left, right), Distribution::Single)
            }
        };
        let at = at.within(&joined);
        (joined, at)
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

    /// The positions among `keys` of the columns by which the rows are hashed, if all are there.
    fn hashed<'e>(
        &self,
        at: &Distribution,
        keys: impl Iterator<Item = &'e Expr> + Clone,
    ) -> Option<Vec<usize>> {
        let Distribution::Hash(columns) = at else { return None };
        columns
            .iter()
            .map(|known| {
                keys.clone().position(|key| matches!(key, Expr::Column { id, .. } if known.contains(id)))
            })
            .collect()
    }
}

fn hashed_by(ids: &[ColumnId]) -> Distribution {
    Distribution::Hash(ids.iter().map(|&id| ColumnSet::from([id])).collect())
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
