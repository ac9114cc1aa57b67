//! How many rows an operator will give, and how many distinct values a column: from the statistics of
//! tables, and from their samples where a predicate is more than a comparison.
//!
//! Estimates choose between plans that give the same answer; nothing else may rest on them.

use crate::logical::{
    AggregateCall, ColumnId, ColumnSet, Columns, Join, JoinKind, Logical, Scan, Series, collect_columns,
    columns_of, equality, is_never,
};
use columnar::{DataType, Scalar};
use exec::expression::Compiled;
use exec::plan::AggregateFunction;
use exec::{CompareOp, Expr, Shape};
use std::collections::HashMap;
use std::rc::Rc;

/// The share of rows that a condition keeps of which nothing is known.
const UNKNOWN: f64 = 0.3;
/// Fewer sampled rows than this that match say too little.
const MIN_SAMPLE_MATCHES: usize = 8;

/// What is expected of a plan's rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Estimate {
    pub(crate) rows: f64,
    pub(crate) columns: HashMap<ColumnId, ColumnEstimate>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ColumnEstimate {
    /// Distinct values in the rows at hand.
    pub(crate) distinct: f64,
    /// Distinct values in the whole table.
    pub(crate) domain: f64,
    /// Rows of the whole table.
    pub(crate) table_rows: f64,
    /// The share of nulls.
    pub(crate) nulls: f64,
    pub(crate) range: Option<(f64, f64)>,
    pub(crate) bytes: f64,
}

impl ColumnEstimate {
    fn unknown(rows: f64, data_type: DataType) -> ColumnEstimate {
        ColumnEstimate {
            distinct: (rows * 0.1).max(1.0).min(rows.max(1.0)),
            domain: (rows * 0.1).max(1.0),
            table_rows: rows,
            nulls: 0.0,
            range: None,
            bytes: width(data_type),
        }
    }
}

fn width(data_type: DataType) -> f64 {
    match data_type {
        DataType::Varchar | DataType::Binary | DataType::Bits => 24.0,
        DataType::Json { .. } => 200.0,
        DataType::Nested(_) => 48.0,
        other => (other.physical().width_bytes() as f64).max(1.0),
    }
}

/// How many values a series is thought to have whose bounds are no constants.
const UNKNOWN_SERIES: f64 = 1000.0;
/// How many elements a list is thought to have of which no sizes are known.
const UNKNOWN_LIST: f64 = 4.0;

/// How many values a series of constants has.
fn series_length(series: &Series) -> Option<f64> {
    let constant = |expr: &Expr| match expr {
        Expr::Literal(value) => Some(value.scalar.clone()),
        _ => None,
    };
    let (Scalar::Integer(start), Scalar::Integer(stop)) = (constant(&series.start)?, constant(&series.stop)?)
    else {
        return None;
    };
    let step = match constant(&series.step)? {
        Scalar::Integer(step) => step,
        Scalar::Interval(step) => step.comparison_micros(),
        _ => return None,
    };
    Some(((stop as f64 - start as f64) / step as f64 + 1.0).max(0.0)).filter(|count| count.is_finite())
}

/// Estimates plans of one query.
pub(crate) struct Estimator<'a> {
    columns: &'a Columns,
}

impl<'a> Estimator<'a> {
    pub(crate) fn new(columns: &'a Columns) -> Estimator<'a> {
        Estimator { columns }
    }

    pub(crate) fn rows(&self, plan: &Logical) -> f64 {
        self.estimate(plan).rows
    }

    /// Bytes of the columns that the plan gives.
    pub(crate) fn bytes(&self, plan: &Logical) -> f64 {
        let estimate = self.estimate(plan);
        let row: f64 = plan.outputs().iter().map(|id| estimate.bytes_of(*id, self.columns)).sum();
        estimate.rows * (row + 8.0)
    }

    pub(crate) fn estimate(&self, plan: &Logical) -> Rc<Estimate> {
        Rc::new(self.compute(plan))
    }

    fn compute(&self, plan: &Logical) -> Estimate {
        match plan {
            Logical::Scan(scan) => self.scan(scan),
            Logical::Values { columns, rows } => {
                let count = rows.len() as f64;
                let mut estimate = Estimate { rows: count, ..Estimate::default() };
                for (position, &id) in columns.iter().enumerate() {
                    let distinct: std::collections::HashSet<_> =
                        rows.iter().take(1000).filter_map(|row| row.get(position)).collect();
                    let mut column = ColumnEstimate::unknown(count, self.columns.data_type(id));
                    column.distinct = distinct.len() as f64;
                    column.domain = column.distinct;
                    estimate.columns.insert(id, column);
                }
                estimate
            }
            Logical::Filter { input, predicate } => {
                let input = self.estimate(input);
                let kept = input.conjunction(predicate);
                input.filtered(kept)
            }
            Logical::Project { input, exprs } => {
                let input = self.estimate(input);
                let columns = exprs.iter().map(|(id, expr)| (*id, input.expression(expr))).collect();
                Estimate { rows: input.rows, columns }
            }
            Logical::Join(join) => {
                let (left, right) = (self.estimate(&join.left), self.estimate(&join.right));
                self.join(join, &left, &right)
            }
            Logical::Aggregate { input, groups, aggregates } => {
                let input = self.estimate(input);
                let keys: Vec<ColumnEstimate> =
                    groups.iter().map(|(_, expr)| input.expression(expr)).collect();
                let rows = if groups.is_empty() { 1.0 } else { input.groups(&keys) };
                let mut columns = HashMap::new();
                for ((id, _), mut key) in groups.iter().zip(keys) {
                    key.distinct = key.distinct.min(rows);
                    columns.insert(*id, key);
                }
                for (id, call) in aggregates {
                    let mut column = ColumnEstimate::unknown(rows, call.data_type);
                    if let Some(values) = input.counts_of(call) {
                        column.distinct = column.distinct.min(values);
                    }
                    columns.insert(*id, column);
                }
                Estimate { rows, columns }
            }
            Logical::Sort { input, .. } | Logical::Exchange { input, .. } | Logical::Shared { input, .. } => {
                self.compute(input)
            }
            Logical::Window(window) => {
                let mut estimate = self.compute(&window.input);
                for (id, call) in &window.calls {
                    let column = ColumnEstimate::unknown(estimate.rows, call.data_type);
                    estimate.columns.insert(*id, column);
                }
                estimate
            }
            Logical::Reread { estimate, .. } => Estimate::clone(estimate),
            Logical::Foreign(foreign) => Estimate::clone(&foreign.estimate),
            Logical::TopN { input, limit, offset, .. } => self.limited(input, Some(*limit), *offset),
            Logical::Limit { input, limit, offset } => self.limited(input, *limit, *offset),
            Logical::TopOfGroups(top) => {
                let input = self.estimate(&top.input);
                let groups: Vec<ColumnEstimate> =
                    top.groups.iter().map(|expr| input.expression(expr)).collect();
                let groups = if groups.is_empty() { 1.0 } else { input.groups(&groups) };
                let rows = (groups * top.limit as f64).min(input.rows);
                input.filtered(if input.rows > 0.0 { rows / input.rows } else { 1.0 })
            }
            Logical::AsOf(join) => {
                let mut estimate = Estimate::clone(&self.estimate(&join.input));
                for (id, expr) in &join.carried {
                    let column = estimate.expression(expr);
                    estimate.columns.insert(*id, column);
                }
                estimate
            }
            Logical::Expand { input, lists, columns, .. } => {
                let input = self.estimate(input);
                let rows = input.rows * lists.len() as f64;
                let mut estimate = Estimate { rows, ..Estimate::default() };
                for (position, &id) in columns.iter().enumerate() {
                    let mut column = ColumnEstimate::unknown(rows, self.columns.data_type(id));
                    let exprs = lists.iter().filter_map(|list| list.get(position));
                    let distinct: Vec<f64> = exprs.map(|expr| input.expression(expr).distinct).collect();
                    // Constants are others in each list, columns the same.
                    let most = distinct.iter().copied().fold(1.0, f64::max);
                    let values = if most > 1.0 { most } else { distinct.len() as f64 };
                    column.distinct = values.min(rows.max(1.0));
                    column.domain = column.distinct;
                    estimate.columns.insert(id, column);
                }
                estimate
            }
            Logical::Series(series) => {
                let input = self.estimate(&series.input);
                let count = series_length(series).unwrap_or(UNKNOWN_SERIES);
                let rows = input.rows * count;
                let mut estimate = input.filtered(1.0);
                estimate.rows = rows;
                let mut column = ColumnEstimate::unknown(rows, self.columns.data_type(series.column));
                column.distinct = count.max(1.0);
                column.domain = column.distinct;
                estimate.columns.insert(series.column, column);
                estimate
            }
            Logical::Unroll(unroll) => {
                let input = self.estimate(&unroll.input);
                let length = unroll
                    .lists
                    .iter()
                    .map(|(id, list)| {
                        let of_element = width(self.columns.data_type(*id)) + 1.0;
                        match list {
                            // What is known of the list is how long it is on average.
                            Expr::Column { id, .. } => match input.columns.get(id) {
                                Some(known) if known.table_rows > 0.0 => known.bytes / of_element,
                                _ => UNKNOWN_LIST,
                            },
                            _ => UNKNOWN_LIST,
                        }
                    })
                    .fold(0.0, f64::max);
                let length = if unroll.keeps_empty { length.max(1.0) } else { length.max(0.1) };
                let rows = input.rows * length;
                let mut estimate = input.filtered(1.0);
                estimate.rows = rows;
                for id in unroll.made() {
                    let column = ColumnEstimate::unknown(rows, self.columns.data_type(id));
                    estimate.columns.insert(id, column);
                }
                estimate
            }
            Logical::Union { inputs, columns } => {
                let parts: Vec<Rc<Estimate>> = inputs.iter().map(|(input, _)| self.estimate(input)).collect();
                let rows = parts.iter().map(|part| part.rows).sum();
                let mut estimate = Estimate { rows, ..Estimate::default() };
                for (position, &id) in columns.iter().enumerate() {
                    let mut merged = ColumnEstimate::unknown(rows, self.columns.data_type(id));
                    let given = parts
                        .iter()
                        .zip(inputs)
                        .filter_map(|(part, (_, ids))| ids.get(position).and_then(|id| part.columns.get(id)));
                    let distinct: f64 = given.map(|column| column.distinct).sum();
                    merged.distinct = distinct.clamp(1.0, rows.max(1.0));
                    merged.domain = merged.distinct;
                    estimate.columns.insert(id, merged);
                }
                estimate
            }
        }
    }

    fn limited(&self, input: &Logical, limit: Option<u64>, offset: u64) -> Estimate {
        let input = self.compute(input);
        let left = (input.rows - offset as f64).max(0.0);
        let rows = limit.map_or(left, |limit| left.min(limit as f64));
        let share = if input.rows > 0.0 { rows / input.rows } else { 1.0 };
        input.filtered(share)
    }

    fn scan(&self, scan: &Scan) -> Estimate {
        let statistics = &scan.table.statistics;
        let rows = statistics.rows as f64;
        let mut estimate = Estimate { rows, ..Estimate::default() };
        for &(position, id) in scan.columns.iter().chain(&scan.filtered) {
            let data_type = self.columns.data_type(id);
            let column = match statistics.columns.get(position as usize).filter(|_| !scan.hides_rows) {
                Some(known) => {
                    let bounds = (number(&known.min), number(&known.max));
                    let distinct = if known.unique { rows } else { known.distinct };
                    ColumnEstimate {
                        distinct: distinct.clamp(1.0, rows.max(1.0)),
                        domain: distinct.clamp(1.0, rows.max(1.0)),
                        table_rows: rows,
                        nulls: if rows > 0.0 { known.nulls as f64 / rows } else { 0.0 },
                        range: bounds.0.zip(bounds.1),
                        bytes: known.average_bytes.max(1.0),
                    }
                }
                None => ColumnEstimate::unknown(rows, data_type),
            };
            estimate.columns.insert(id, column);
        }
        if scan.predicate.is_empty() {
            return estimate;
        }
        let first = scan.columns.iter().chain(&scan.filtered).map(|&(_, id)| id).min().unwrap_or(0);
        let key = (first, scan.predicate.clone());
        let known = self.columns.selectivities.borrow().get(&key).copied();
        let kept = known.unwrap_or_else(|| {
            let kept = self.scan_selectivity(scan, &estimate);
            self.columns.selectivities.borrow_mut().insert(key, kept);
            kept
        });
        estimate.filtered(kept)
    }

    /// The share of a table's rows that its predicate keeps: of the sample where enough of it matches.
    fn scan_selectivity(&self, scan: &Scan, estimate: &Estimate) -> f64 {
        let computed = || estimate.conjunction(&scan.predicate);
        let sample = scan.table.statistics.sample.as_ref().filter(|sample| sample.rows >= 64);
        let Some(sample) = sample.filter(|_| !scan.hides_rows) else {
            return computed();
        };
        let positions: HashMap<ColumnId, u32> =
            scan.columns.iter().chain(&scan.filtered).map(|&(position, id)| (id, position)).collect();
        let shapes: Vec<Shape> = sample
            .columns
            .iter()
            .zip(&scan.table.columns)
            .map(|(vector, column)| Shape {
                physical: vector.physical(),
                bounds: vector.physical().integer_bounds(),
                ..Shape::of_type(column.data_type)
            })
            .collect();
        let matching = |expr: &Expr| -> Option<columnar::Bitmap> {
            let mut local = expr.clone();
            crate::logical::rename(&mut local, &positions);
            Compiled::compile(&local, &shapes).ok()?.matches(sample).ok()
        };
        let total = sample.rows as f64;
        let mut together = columnar::Bitmap::filled(true, sample.rows);
        let mut shares = Vec::with_capacity(scan.predicate.len());
        let mut all_sampled = true;
        for expr in &scan.predicate {
            let guess = estimate.selectivity(expr);
            let Some(bits) = matching(expr) else {
                shares.push(guess);
                all_sampled = false;
                continue;
            };
            let count = bits.count_ones();
            together = together.and(&bits);
            shares.push(if count >= MIN_SAMPLE_MATCHES {
                count as f64 / total
            } else {
                guess.min((count + 2) as f64 / total).max(0.1 / total)
            });
        }
        let count = together.count_ones();
        if all_sampled && count >= MIN_SAMPLE_MATCHES {
            return count as f64 / total;
        }
        combined(shares.into_iter()).min(computed()).min((count + 3) as f64 / total)
    }

    /// What a join gives of two inputs.
    fn join(&self, join: &Join, left: &Estimate, right: &Estimate) -> Estimate {
        let (left_set, right_set) = (join.left.output_set(), join.right.output_set());
        self.joined(join.kind, &join.on, (&left_set, left), (&right_set, right))
    }

    /// What a join of two inputs, of which columns and estimates are known, gives.
    pub(crate) fn joined(
        &self,
        kind: JoinKind,
        on: &[Expr],
        (left_set, left): (&ColumnSet, &Estimate),
        (right_set, right): (&ColumnSet, &Estimate),
    ) -> Estimate {
        let (mut keys, mut residual) = (Vec::new(), Vec::new());
        for conjunct in on {
            match equality(conjunct, left_set, right_set) {
                Some((a, b, _)) => keys.push((left.expression(a), right.expression(b))),
                None => residual.push(conjunct),
            }
        }
        let mut both = Estimate { rows: 1.0, columns: left.columns.clone() };
        both.columns.extend(right.columns.iter().map(|(id, column)| (*id, *column)));
        let rest: f64 = combined(residual.iter().map(|expr| both.selectivity(expr)));
        let pairs = (left.rows * right.rows * key_selectivity(&keys) * rest).max(if on.is_empty() {
            0.0
        } else {
            1e-3
        });
        // The share of left rows with a match: the values of the left among those of the right.
        let matched = || {
            let mut share: f64 = 1.0;
            for (a, b) in &keys {
                share = share.min(b.distinct / a.distinct.max(b.distinct).max(1.0));
            }
            let copies = if keys.is_empty() { right.rows } else { right.rows * key_selectivity(&keys) };
            let residual = 1.0 - (1.0 - rest).powf(copies.max(1.0));
            (share * residual).clamp(0.01, 1.0)
        };
        let rows = match kind {
            JoinKind::Inner => pairs,
            JoinKind::Left => pairs.max(left.rows),
            JoinKind::Full => pairs.max(left.rows).max(right.rows),
            // No more than there are pairs.
            JoinKind::Semi => (left.rows * matched()).min(pairs),
            JoinKind::Anti => left.rows * (1.0 - matched()).max(0.05),
            JoinKind::Mark(_) | JoinKind::NullMark(_) | JoinKind::Single => left.rows,
        };
        let mut result = Estimate { rows, columns: HashMap::new() };
        for (id, column) in &left.columns {
            result.columns.insert(*id, column.scaled(left.rows, rows));
        }
        if kind.gives_right() {
            for (id, column) in &right.columns {
                result.columns.insert(*id, column.scaled(right.rows, rows));
            }
        }
        // Keys that are equal have the values of the smaller side.
        if kind == JoinKind::Inner {
            for conjunct in on {
                if let Some((Expr::Column { id: a, .. }, Expr::Column { id: b, .. }, _)) =
                    equality(conjunct, left_set, right_set)
                    && let (Some(x), Some(y)) = (result.columns.get(a), result.columns.get(b))
                {
                    let distinct = x.distinct.min(y.distinct);
                    for id in [a, b] {
                        if let Some(column) = result.columns.get_mut(id) {
                            column.distinct = distinct;
                        }
                    }
                }
            }
        }
        if let JoinKind::Mark(mark) | JoinKind::NullMark(mark) = kind {
            let mut column = ColumnEstimate::unknown(rows, DataType::Boolean);
            column.distinct = 2.0;
            column.domain = 2.0;
            result.columns.insert(mark, column);
        }
        result
    }
}

/// The share of pairs that keys keep. The values of the side with fewer are taken to be among the other's;
/// of several keys, the combinations are those of the table that has fewer rows.
pub(crate) fn key_selectivity(keys: &[(ColumnEstimate, ColumnEstimate)]) -> f64 {
    let known: f64 = keys.iter().map(|(a, b)| (1.0 - a.nulls) * (1.0 - b.nulls)).product();
    let single = keys.iter().map(|(a, b)| a.distinct.max(b.distinct)).fold(1.0, f64::max);
    if keys.len() < 2 {
        return known / single;
    }
    let side = |pick: fn(&(ColumnEstimate, ColumnEstimate)) -> &ColumnEstimate| {
        let product: f64 = keys.iter().map(|key| pick(key).domain).product();
        let rows = keys.iter().map(|key| pick(key).table_rows).fold(1.0, f64::max);
        product.min(rows)
    };
    let combinations = side(|key| &key.0).min(side(|key| &key.1));
    known / combinations.max(single)
}

impl ColumnEstimate {
    /// The column when only `after` of `before` rows are left, or when they were multiplied.
    fn scaled(&self, before: f64, after: f64) -> ColumnEstimate {
        let share = if before > 0.0 { (after / before).min(1.0) } else { 1.0 };
        ColumnEstimate { distinct: distinct_after(self.distinct, before, share).min(after.max(1.0)), ..*self }
    }
}

/// Distinct values among a random share of the rows (Cardenas, 1975).
fn distinct_after(distinct: f64, rows: f64, share: f64) -> f64 {
    if share >= 1.0 || distinct <= 1.0 {
        return distinct;
    }
    let copies = (rows / distinct).max(1.0);
    (distinct * (1.0 - (1.0 - share).powf(copies))).max(1.0)
}

/// The share that several conditions keep together: later ones count for less, since conditions on one
/// thing tend to go together.
fn combined(shares: impl Iterator<Item = f64>) -> f64 {
    let mut shares: Vec<f64> = shares.collect();
    shares.sort_by(f64::total_cmp);
    shares.iter().enumerate().map(|(rank, share)| share.powf(if rank < 2 { 1.0 } else { 0.7 })).product()
}

/// The column that a comparison with a constant bounds, and whether from above.
fn bound(expr: &Expr) -> Option<(ColumnId, bool)> {
    let Expr::Compare { op, left, right } = expr else { return None };
    match (op, left.as_ref(), right.as_ref()) {
        (CompareOp::Less | CompareOp::LessOrEqual, Expr::Column { id, .. }, Expr::Literal(_)) => {
            Some((*id, true))
        }
        (CompareOp::Greater | CompareOp::GreaterOrEqual, Expr::Column { id, .. }, Expr::Literal(_)) => {
            Some((*id, false))
        }
        _ => None,
    }
}

/// A value as a number, for the share of a range.
fn number(scalar: &Scalar) -> Option<f64> {
    match scalar {
        Scalar::Integer(value) => Some(*value as f64),
        Scalar::Float(value) if value.is_finite() => Some(*value),
        _ => None,
    }
}

impl Estimate {
    fn bytes_of(&self, id: ColumnId, columns: &Columns) -> f64 {
        self.columns.get(&id).map_or_else(|| width(columns.data_type(id)), |column| column.bytes)
    }

    pub(crate) fn filtered(&self, kept: f64) -> Estimate {
        let rows = self.rows * kept.clamp(0.0, 1.0);
        let columns = self.columns.iter().map(|(id, column)| (*id, column.scaled(self.rows, rows))).collect();
        Estimate { rows, columns }
    }

    /// How many groups these keys make.
    pub(crate) fn groups_of(&self, groups: &[(ColumnId, Expr)]) -> f64 {
        let keys: Vec<ColumnEstimate> = groups.iter().map(|(_, expr)| self.expression(expr)).collect();
        if keys.is_empty() { 1.0 } else { self.groups(&keys) }
    }

    /// The most values that differ among the groups' counts: those add up to the rows, so that n of them take at least
    /// n²/2 rows.
    fn counts_of(&self, call: &AggregateCall) -> Option<f64> {
        let most = (self.rows * 2.0).sqrt().max(1.0);
        match (call.function, call.arg()) {
            (AggregateFunction::CountRows | AggregateFunction::Count, _) => Some(most),
            (AggregateFunction::SumCounts, Some(counts)) => Some(most.max(self.expression(counts).distinct)),
            _ => None,
        }
    }

    fn groups(&self, keys: &[ColumnEstimate]) -> f64 {
        let mut keys: Vec<f64> = keys.iter().map(|key| key.distinct + f64::from(key.nulls > 0.0)).collect();
        keys.sort_by(|a, b| b.total_cmp(a));
        let product: f64 = keys.iter().product();
        product.min(self.rows).max(1.0f64.min(self.rows))
    }

    /// What is expected of an expression's values.
    pub(crate) fn expression(&self, expr: &Expr) -> ColumnEstimate {
        let unknown = || ColumnEstimate::unknown(self.rows, expr.data_type());
        match expr {
            Expr::Column { id, .. } => self.columns.get(id).copied().unwrap_or_else(unknown),
            Expr::Literal(value) => {
                ColumnEstimate { distinct: 1.0, domain: 1.0, nulls: f64::from(value.is_null()), ..unknown() }
            }
            Expr::Cast { input, .. } => self.expression(input),
            Expr::Call { function, args, .. } if args.len() == 1 => {
                let input = self.expression(&args[0]);
                let distinct: f64 = match function.as_str() {
                    "year" => 8.0,
                    "month" => 12.0,
                    "quarter" => 4.0,
                    _ => input.distinct,
                };
                ColumnEstimate {
                    distinct: distinct.min(input.distinct),
                    domain: distinct,
                    range: None,
                    ..input
                }
            }
            // The start of a text has few values.
            Expr::Call { function, args, .. } if matches!(function.as_str(), "substring" | "left") => {
                let input = self.expression(&args[0]);
                ColumnEstimate { distinct: input.distinct.min(64.0), domain: 64.0, range: None, ..input }
            }
            _ if expr.data_type() == DataType::Boolean => {
                ColumnEstimate { distinct: 2.0, domain: 2.0, ..unknown() }
            }
            other => {
                // No more combinations than the columns have.
                let mut used = ColumnSet::new();
                collect_columns(other, &mut used);
                let product: f64 =
                    used.iter().filter_map(|id| self.columns.get(id)).map(|column| column.distinct).product();
                let distinct = product.min(self.rows).max(1.0);
                ColumnEstimate { distinct, domain: distinct, ..unknown() }
            }
        }
    }

    /// The share of rows for which all conditions are true. Two bounds of one column are one range.
    pub(crate) fn conjunction(&self, exprs: &[Expr]) -> f64 {
        let mut ranges: HashMap<ColumnId, (f64, f64)> = HashMap::new();
        let mut shares = Vec::with_capacity(exprs.len());
        for expr in exprs {
            let share = self.selectivity(expr);
            match bound(expr) {
                // (share below the upper bound, share above the lower)
                Some((id, upper)) if self.columns.get(&id).is_some_and(|column| column.range.is_some()) => {
                    let range = ranges.entry(id).or_insert((1.0, 1.0));
                    let side = if upper { &mut range.0 } else { &mut range.1 };
                    *side = side.min(share);
                }
                _ => shares.push(share),
            }
        }
        let least = 0.5 / self.rows.max(1.0);
        shares.extend(ranges.into_values().map(|(below, above)| (below + above - 1.0).max(least)));
        combined(shares.into_iter())
    }

    /// The share of rows for which a condition is true.
    pub(crate) fn selectivity(&self, expr: &Expr) -> f64 {
        let share = match expr {
            _ if is_never(expr) => 0.0,
            Expr::Literal(_) => 1.0,
            Expr::And(operands) => self.conjunction(operands),
            Expr::Or(operands) => {
                1.0 - operands.iter().map(|operand| 1.0 - self.selectivity(operand)).product::<f64>()
            }
            Expr::Not(input) => 1.0 - self.selectivity(input),
            Expr::IsNull { input, negated } => {
                let nulls = self.expression(input).nulls;
                if *negated { 1.0 - nulls } else { nulls }
            }
            Expr::InList { input, list, negated } => {
                let share = (list.len() as f64 / self.expression(input).distinct).min(1.0);
                if *negated { 1.0 - share } else { share }
            }
            Expr::Like { pattern, negated, .. } => {
                let share = match pattern.as_ref() {
                    Expr::Literal(value) => match &value.scalar {
                        Scalar::Bytes(text) if text.first() == Some(&b'%') => 0.1,
                        _ => 0.05,
                    },
                    _ => UNKNOWN,
                };
                if *negated { 1.0 - share } else { share }
            }
            Expr::Column { .. } => 0.5,
            Expr::Compare { op, left, right } => self.comparison(*op, left, right),
            _ => UNKNOWN,
        };
        share.clamp(0.0, 1.0)
    }

    fn comparison(&self, op: CompareOp, left: &Expr, right: &Expr) -> f64 {
        if matches!(left, Expr::Literal(_)) && !matches!(right, Expr::Literal(_)) {
            return self.comparison(op.swapped(), right, left);
        }
        let column = self.expression(left);
        let known = 1.0 - column.nulls;
        let constant = match right {
            Expr::Literal(value) => Some(number(&value.scalar)),
            other if columns_of(other).is_empty() => Some(None),
            _ => None,
        };
        let equal = match constant {
            Some(_) => known / column.distinct.max(1.0),
            None => known / column.distinct.max(self.expression(right).distinct).max(1.0),
        };
        match op {
            CompareOp::Equal | CompareOp::IsNotDistinctFrom => match (column.range, constant) {
                (Some((low, high)), Some(Some(value))) if value < low || value > high => {
                    0.5 / self.rows.max(1.0)
                }
                _ => equal,
            },
            CompareOp::NotEqual | CompareOp::IsDistinctFrom => known - equal,
            _ => match (column.range, constant) {
                (Some((low, high)), Some(Some(value))) if high > low => {
                    let below = ((value - low) / (high - low)).clamp(0.0, 1.0);
                    let share = match op {
                        CompareOp::Less | CompareOp::LessOrEqual => below,
                        _ => 1.0 - below,
                    };
                    (share * known).max(0.5 / self.rows.max(1.0))
                }
                _ => UNKNOWN,
            },
        }
    }
}
