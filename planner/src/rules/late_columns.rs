//! Columns that only the first rows of an order need are read for those rows alone: the rows bring a key of the
//! table, and are joined with it once more.

use super::dependent_groups::any_value;
use super::{Context, Rule};
use crate::catalog::Table;
use crate::dependency::{Dependencies, is_key};
use crate::error::Result;
use crate::estimate::Estimator;
use crate::logical::{ColumnId, ColumnSet, Columns, JoinKind, Logical, Scan, SortKey, collect_columns};
use crate::nullability::not_null;
use columnar::{DataType, Scalar};
use exec::operators::key_filter::KeyFilter;
use exec::plan::AggregateFunction;
use exec::{CompareOp, Expr};
use std::sync::Arc;

/// More rows than this are not looked up again.
const MOST_ROWS: u64 = 10_000;
/// How many rows there must be for each that is looked up.
const FEWER: f64 = 4.0;
/// Columns of smaller tables have few values, and are cheap to carry.
const LEAST_TABLE_ROWS: u64 = 1_000;
/// What must be saved, in nanoseconds of one thread, and how many times what the second reading takes.
const LEAST_SAVED: f64 = 200_000.0;
const MARGIN: f64 = 3.0;

pub(super) struct LateColumns;

impl Rule for LateColumns {
    fn name(&self) -> &'static str {
        "late_columns"
    }

    fn apply(&self, plan: Logical, context: &mut Context<'_>) -> Result<Logical> {
        let required = context.results.iter().copied().collect();
        Ok(visit(plan, &required, context.columns))
    }
}

fn visit(mut plan: Logical, required: &ColumnSet, columns: &mut Columns) -> Logical {
    let mut below = match &plan {
        Logical::Project { .. } | Logical::Aggregate { .. } | Logical::Expand { .. } => ColumnSet::new(),
        _ => required.clone(),
    };
    plan.exprs().into_iter().for_each(|expr| collect_columns(expr, &mut below));
    if let Logical::Union { inputs, .. } = &mut plan {
        for (input, given) in inputs {
            let wanted = given.iter().copied().collect();
            *input = visit(input.take(), &wanted, columns);
        }
        return plan;
    }
    for input in plan.inputs_mut() {
        *input = visit(input.take(), &below, columns);
    }
    match plan {
        Logical::TopN { input, keys, limit, offset } => top_n(*input, keys, limit, offset, required, columns),
        other => other,
    }
}

fn top_n(
    mut input: Logical,
    keys: Vec<SortKey>,
    limit: u64,
    offset: u64,
    required: &ColumnSet,
    columns: &mut Columns,
) -> Logical {
    let mut ordering = ColumnSet::new();
    keys.iter().for_each(|key| collect_columns(&key.expr, &mut ordering));
    let wanted: ColumnSet = required.difference(&ordering).copied().collect();
    let mut late = worthwhile(&input, &wanted, limit.saturating_add(offset), columns);
    late.retain(|late| {
        let given = input.output_set().contains(&late.key) || carry(&mut input, late.key, columns);
        // A null would find no row again.
        given && not_null(&input).contains(&late.key)
    });
    let fetched: ColumnSet = late.iter().flat_map(|late| late.columns.iter().map(|&(_, id)| id)).collect();
    let passed: Vec<ColumnId> = input.outputs().into_iter().filter(|id| !fetched.contains(id)).collect();
    let mut plan = Logical::TopN { input: Box::new(input), keys: keys.clone(), limit, offset };
    if late.is_empty() {
        return plan;
    }
    let mut exprs: Vec<(ColumnId, Expr)> = passed.into_iter().map(|id| (id, columns.reference(id))).collect();
    for Late { table, hides_rows, key, position, columns: wanted } in late {
        let twin = columns.copy(key);
        let mut read = vec![(position, twin)];
        for (position, id) in wanted {
            let copy = columns.copy(id);
            read.push((position, copy));
            exprs.push((id, columns.reference(copy)));
        }
        let scan = Scan { table, columns: read, predicate: Vec::new(), filtered: Vec::new(), hides_rows };
        let on = Expr::compare(CompareOp::Equal, columns.reference(key), columns.reference(twin));
        plan = plan.join(Logical::Scan(scan), JoinKind::Inner, vec![on]);
    }
    Logical::Sort { input: Box::new(plan.project(exprs)), keys }
}

/// Columns of a table to read later.
struct Late {
    table: Arc<Table>,
    /// As [`crate::logical::Scan::hides_rows`].
    hides_rows: bool,
    /// A column of the rows that has the values of the table's key, and the key's position in the table.
    key: ColumnId,
    position: u32,
    /// Positions in the table, and the ids they have so far.
    columns: Vec<(u32, ColumnId)>,
}

/// A scan whose columns come up, and what they pass on their way, the last first.
struct Path<'p> {
    scan: &'p Scan,
    above: Vec<&'p Logical>,
}

/// What is worth reading later, of the columns `wanted` of `rows` rows.
fn worthwhile(plan: &Logical, wanted: &ColumnSet, rows: u64, columns: &Columns) -> Vec<Late> {
    let mut paths = Vec::new();
    collect_paths(plan, &mut Vec::new(), &mut paths);
    let mut used = ColumnSet::new();
    collect_used(plan, &mut used);
    let outputs = plan.output_set();
    let carried = |id: &ColumnId| wanted.contains(id) && outputs.contains(id) && !used.contains(id);
    paths.retain(|path| {
        path.scan.table.statistics.rows >= LEAST_TABLE_ROWS
            && path.scan.columns.iter().any(|(_, id)| carried(id))
    });
    let estimator = Estimator::new(columns);
    if rows == 0 || rows > MOST_ROWS || paths.is_empty() || estimator.rows(plan) < FEWER * rows as f64 {
        return Vec::new();
    }
    let dependencies = Dependencies::of(plan);
    let late = |path: Path<'_>| {
        let Path { scan, above } = path;
        let is_key = |(position, id): &&(u32, ColumnId)| {
            is_key(&scan.table, *position) && columns.data_type(*id).is_integral()
        };
        let &(position, key) = scan.columns.iter().find(is_key)?;
        if !is_filtered_by_keys(scan, position) {
            return None;
        }
        let given = dependencies.equal_to(key).into_iter().find(|id| outputs.contains(id));
        let fetched: Vec<(u32, ColumnId)> =
            scan.columns.iter().filter(|(_, id)| carried(id) && *id != key).copied().collect();
        let each: f64 = fetched.iter().map(|&(_, id)| cost_of(columns.data_type(id))).sum();
        let instead = if given.is_some() { 0.0 } else { cost_of(columns.data_type(key)) };
        let read = scan.table.statistics.rows as f64;
        // Where keys of a join reach the scan, it gives about what the join gives.
        let first = above.last().map_or(read, |plan| estimator.rows(plan).min(read));
        let passed: f64 = above.iter().map(|plan| estimator.rows(plan)).sum();
        let saved = (first + passed) * (each - instead);
        let again = read + 200.0 * rows as f64;
        let table = scan.table.clone();
        (saved > MARGIN * again + LEAST_SAVED).then(|| Late {
            table,
            hides_rows: scan.hides_rows,
            key: given.unwrap_or(key),
            position,
            columns: fetched,
        })
    };
    paths.into_iter().filter_map(late).collect()
}

/// Whether the scan will read only the rows that a join asks for by this column, and not the whole table.
fn is_filtered_by_keys(scan: &Scan, position: u32) -> bool {
    let known = scan.table.statistics.columns.get(position as usize);
    known.is_some_and(|known| match (&known.min, &known.max) {
        (Scalar::Integer(min), Scalar::Integer(max)) => {
            max.checked_sub(*min).is_some_and(|range| range < KeyFilter::RANGE_LIMIT)
        }
        _ => false,
    })
}

/// What it takes to carry a value through an operator, in nanoseconds.
fn cost_of(data_type: DataType) -> f64 {
    match data_type {
        data_type if data_type.is_bytes() => 8.0,
        _ => 1.0,
    }
}

/// The scans whose columns the plan may give as they are; joins and what an aggregate takes count as passed.
fn collect_paths<'p>(plan: &'p Logical, above: &mut Vec<&'p Logical>, into: &mut Vec<Path<'p>>) {
    match plan {
        Logical::Scan(scan) => into.push(Path { scan, above: above.clone() }),
        Logical::Filter { input, .. } | Logical::Project { input, .. } | Logical::Sort { input, .. } => {
            collect_paths(input, above, into);
        }
        Logical::Aggregate { input, .. } => {
            above.push(input);
            collect_paths(input, above, into);
            above.pop();
        }
        Logical::Join(join) => {
            above.push(plan);
            collect_paths(&join.left, above, into);
            if join.kind.gives_right() {
                collect_paths(&join.right, above, into);
            }
            above.pop();
        }
        _ => {}
    }
}

/// The columns that something does more with than pass them on; a scan may test them anyway.
fn collect_used(plan: &Logical, into: &mut ColumnSet) {
    let passes = |id: ColumnId, expr: &Expr| matches!(expr, Expr::Column { id: own, .. } if *own == id);
    match plan {
        Logical::Scan(_) => {}
        Logical::Project { exprs, .. } => exprs
            .iter()
            .filter(|(id, expr)| !passes(*id, expr))
            .for_each(|(_, expr)| collect_columns(expr, into)),
        Logical::Aggregate { groups, aggregates, .. } => {
            groups.iter().for_each(|(_, expr)| collect_columns(expr, into));
            for (id, call) in aggregates {
                let carries = call.function == AggregateFunction::AnyValue
                    && call.filter.is_none()
                    && call.arg().is_some_and(|arg| passes(*id, arg));
                if !carries {
                    call.args.iter().chain(&call.filter).for_each(|expr| collect_columns(expr, into));
                }
            }
        }
        other => other.exprs().into_iter().for_each(|expr| collect_columns(expr, into)),
    }
    plan.inputs().into_iter().for_each(|input| collect_used(input, into));
}

/// Makes the plan give a column of one of its scans; false where it cannot.
fn carry(plan: &mut Logical, id: ColumnId, columns: &Columns) -> bool {
    if plan.outputs().contains(&id) {
        return true;
    }
    match plan {
        Logical::Filter { input, .. } | Logical::Sort { input, .. } => carry(input, id, columns),
        Logical::Project { input, exprs } => {
            let carried = carry(input, id, columns);
            if carried {
                exprs.push((id, columns.reference(id)));
            }
            carried
        }
        Logical::Join(join) => {
            carry(&mut join.left, id, columns)
                || join.kind.gives_right() && carry(&mut join.right, id, columns)
        }
        Logical::Aggregate { input, groups, aggregates } => {
            let known = groups.iter().map(|&(id, _)| id).collect();
            let carried = carry(input, id, columns) && Dependencies::of(input).closure(known).contains(&id);
            if carried {
                aggregates.push((id, any_value(id, columns)));
            }
            carried
        }
        _ => false,
    }
}
