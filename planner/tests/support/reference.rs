//! A plain interpreter of fragments, a row at a time, on any number of pretended shards: the oracle against
//! which plans are judged. Casts and functions are evaluated by the engine, one value at a time.

use super::TestCatalog;
use columnar::{DataType, Scalar, Value};
use exec::plan::*;
use exec::{ArithmeticOp, CompareOp, Expr};
use planner::PlannedQuery;
use planner::catalog::Partitioning;
use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::HashMap;

pub(crate) type Row = Vec<Scalar>;
/// Rows of each dataset.
pub(crate) type Data = HashMap<u64, Vec<Row>>;
type Answer<T> = Result<T, String>;

/// The rows of a query on `shards` shards, whose tables lie as `catalog` says.
pub(crate) fn run(
    query: &PlannedQuery,
    catalog: &TestCatalog,
    data: &Data,
    shards: usize,
) -> Answer<Vec<Row>> {
    // What each fragment sent to each shard.
    let mut sent: HashMap<u32, Vec<Vec<Row>>> = HashMap::new();
    let mut result = Vec::new();
    for fragment in &query.fragments {
        let bytes = exec::codec::encode(fragment);
        let decoded = exec::codec::decode(&bytes).map_err(|error| error.to_string())?;
        assert_eq!(decoded, *fragment, "a fragment changes when it is sent");
        let mut boxes = vec![Vec::new(); shards];
        let on: Vec<usize> = match fragment.placement {
            FragmentPlacement::AllShards => (0..shards).collect(),
            FragmentPlacement::OneShard => vec![0],
        };
        for &shard in &on {
            let alone = on.len() == 1;
            let place =
                Place { catalog, data, shard, shards, sent: &sent, alone, shared: RefCell::default() };
            let rows = place.rows(&fragment.plan)?;
            for row in &rows {
                assert_eq!(row.len(), fragment.plan.output_types().len(), "width of {:?}", fragment.plan);
            }
            match &fragment.output {
                // All that run the root give rows of the result.
                None => result.extend(rows),
                Some(Routing::Ranges { key, span }) => {
                    for row in rows {
                        let to = range(&eval(key, &row)?, *span, shards);
                        boxes[to].push(row);
                    }
                }
                Some(Routing::Gather) => boxes[0].extend(rows),
                Some(Routing::Broadcast) => boxes.iter_mut().for_each(|one| one.extend(rows.clone())),
                Some(Routing::Hash(keys)) => {
                    for row in rows {
                        let keys: Row = keys.iter().map(|key| eval(key, &row)).collect::<Answer<_>>()?;
                        boxes[route(keys.iter(), shards)].push(row);
                    }
                }
            }
        }
        sent.insert(fragment.id, boxes);
    }
    Ok(result)
}

/// The shard of a row with these keys.
fn route<'v>(keys: impl Iterator<Item = &'v Scalar>, shards: usize) -> usize {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    keys.for_each(|key| key.hash(&mut hasher));
    hasher.finish() as usize % shards
}

/// The shard whose range of `span` values has the key.
fn range(key: &Scalar, span: u64, shards: usize) -> usize {
    let Scalar::Integer(value) = key else { return 0 };
    let width = span.div_ceil(shards as u64) as i128;
    value.div_euclid(width).rem_euclid(shards as i128) as usize
}

/// One shard's view.
struct Place<'a> {
    catalog: &'a TestCatalog,
    data: &'a Data,
    shard: usize,
    shards: usize,
    sent: &'a HashMap<u32, Vec<Vec<Row>>>,
    alone: bool,
    shared: RefCell<HashMap<u32, Vec<Row>>>,
}

impl Place<'_> {
    fn rows(&self, plan: &Plan) -> Answer<Vec<Row>> {
        Ok(match plan {
            Plan::Scan(scan) | Plan::ScanAddressed(scan) => {
                let addressed = matches!(plan, Plan::ScanAddressed(_));
                let all = self.data.get(&scan.table.dataset).ok_or("no data")?;
                let known = self.catalog.0.iter().find(|table| table.dataset == scan.table.dataset);
                let partitioning = &known.ok_or("no table")?.partitioning;
                assert!(
                    self.shards == 1 || !self.alone || *partitioning == Partitioning::Replicated,
                    "a spread table is read on one shard only"
                );
                let mut rows = Vec::new();
                for (number, row) in all.iter().enumerate() {
                    let lies_here = match partitioning {
                        Partitioning::Spread => number % self.shards == self.shard,
                        Partitioning::Replicated => true,
                        Partitioning::Ranges { column, span } => {
                            range(&row[*column as usize], *span, self.shards) == self.shard
                        }
                        Partitioning::Hash(columns) => {
                            let keys = columns.iter().map(|&column| &row[column as usize]);
                            route(keys, self.shards) == self.shard
                        }
                    };
                    if !lies_here {
                        continue;
                    }
                    let mut row = row.clone();
                    if addressed {
                        row.push(Scalar::Integer(number as i128));
                    }
                    let mut keep = true;
                    for test in &scan.predicate {
                        keep = keep && is_true(&eval(test, &row)?);
                    }
                    if keep {
                        rows.push(scan.columns.iter().map(|&column| row[column as usize].clone()).collect());
                    }
                }
                rows
            }
            Plan::Filter { input, predicate } => {
                let mut kept = Vec::new();
                for row in self.rows(input)? {
                    if is_true(&eval(predicate, &row)?) {
                        kept.push(row);
                    }
                }
                kept
            }
            Plan::Project { input, exprs } => self
                .rows(input)?
                .iter()
                .map(|row| exprs.iter().map(|expr| eval(expr, row)).collect())
                .collect::<Answer<_>>()?,
            Plan::HashJoin(join) => self.join(join)?,
            Plan::Aggregate { input, groups, aggregates } => {
                aggregate(self.rows(input)?, groups, aggregates)?
            }
            Plan::Sort { input, keys } => sort(self.rows(input)?, keys)?,
            Plan::Window(window) => super::windows::window(self.rows(&window.input)?, window)?,
            Plan::TopN { input, keys, limit, offset } => sort(self.rows(input)?, keys)?
                .into_iter()
                .skip(*offset as usize)
                .take(*limit as usize)
                .collect(),
            Plan::Limit { input, limit, offset } => self
                .rows(input)?
                .into_iter()
                .skip(*offset as usize)
                .take(limit.map_or(usize::MAX, |limit| limit as usize))
                .collect(),
            Plan::Union { inputs } => {
                let mut rows = Vec::new();
                for input in inputs {
                    assert_eq!(input.output_types(), inputs[0].output_types());
                    rows.extend(self.rows(input)?);
                }
                rows
            }
            Plan::Values { rows, .. } => {
                assert!(self.alone || self.shards == 1, "VALUES runs on every shard");
                rows.iter().map(|row| row.iter().map(|value| value.scalar.clone()).collect()).collect()
            }
            Plan::Receive { fragment, .. } => self.sent[fragment][self.shard].clone(),
            Plan::ReceiveProven { fragment, columns } => {
                let rows = self.sent[fragment][self.shard].clone();
                for row in &rows {
                    let disproven = row.iter().zip(columns).find(|(value, column)| match value {
                        Scalar::Null => !column.nullable,
                        Scalar::Integer(value) => {
                            column.bounds.is_some_and(|(low, high)| !(low..=high).contains(value))
                        }
                        _ => false,
                    });
                    assert!(disproven.is_none(), "{disproven:?} was sent by fragment {fragment}");
                }
                rows
            }
            Plan::Expand { input, lists } => {
                let mut rows = Vec::new();
                for row in self.rows(input)? {
                    for list in lists {
                        rows.push(list.iter().map(|expr| eval(expr, &row)).collect::<Answer<_>>()?);
                    }
                }
                rows
            }
            Plan::Series(series) => {
                let mut rows = Vec::new();
                for row in self.rows(&series.input)? {
                    let bounds = [&series.start, &series.stop, &series.step].map(|expr| eval(expr, &row));
                    let [Scalar::Integer(start), Scalar::Integer(stop), Scalar::Integer(step)] =
                        bounds.map(|bound| bound.unwrap_or(Scalar::Null))
                    else {
                        continue;
                    };
                    let mut value = start;
                    while value * step.signum() < stop * step.signum() || series.inclusive && value == stop {
                        rows.push(row.iter().cloned().chain([Scalar::Integer(value)]).collect());
                        value += step;
                    }
                }
                rows
            }
            Plan::Unroll(unroll) => {
                let mut rows = Vec::new();
                for row in self.rows(&unroll.input)? {
                    let lists = unroll.lists.iter().map(|list| {
                        Ok(match eval(&list.list, &row)? {
                            Scalar::Bytes(bytes) => elements(&bytes, list),
                            _ => Vec::new(),
                        })
                    });
                    let lists = lists.collect::<Answer<Vec<Vec<Scalar>>>>()?;
                    let most = lists.iter().map(Vec::len).max().unwrap_or(0);
                    for place in 0..most.max(usize::from(unroll.keeps_empty)) {
                        let mut given: Row =
                            unroll.keep.iter().map(|&column| row[column as usize].clone()).collect();
                        given.extend(
                            lists.iter().map(|list| list.get(place).cloned().unwrap_or(Scalar::Null)),
                        );
                        let number =
                            if most == 0 { Scalar::Null } else { Scalar::Integer(place as i128 + 1) };
                        given.extend(unroll.position.then_some(number));
                        rows.push(given);
                    }
                }
                rows
            }
            Plan::TopOfGroups(top) => {
                let mut rows = Vec::new();
                for group in grouped(sort(self.rows(&top.input)?, &top.keys)?, &top.groups)? {
                    let keys = |row: &Row| -> Answer<Row> {
                        top.keys.iter().map(|key| eval(&key.expr, row)).collect()
                    };
                    let end = top.offset.saturating_add(top.limit).min(group.len() as u64) as usize;
                    let start = (top.offset as usize).min(end);
                    let last = if start < end { Some(keys(&group[end - 1])?) } else { None };
                    rows.extend_from_slice(&group[start..end]);
                    for row in &group[end..] {
                        if !top.ties || last.as_ref() != Some(&keys(row)?) {
                            break;
                        }
                        rows.push(row.clone());
                    }
                }
                rows
            }
            Plan::AsOf(join) => {
                let mut rows = Vec::new();
                for group in grouped(sort(self.rows(&join.input)?, &join.keys)?, &join.groups)? {
                    let mut last = None;
                    for row in group {
                        if is_true(&eval(&join.source, &row)?) {
                            let carried = join.carried.iter().map(|expr| eval(expr, &row));
                            last = Some(carried.collect::<Answer<Row>>()?);
                        } else if last.is_some() || !join.required {
                            let nulls = vec![Scalar::Null; join.carried.len()];
                            rows.push([row, last.clone().unwrap_or(nulls)].concat());
                        }
                    }
                }
                rows
            }
            Plan::Exchange { .. } => return Err("an exchange was not cut".into()),
            Plan::Shared { number, input } => {
                let rows = self.rows(input)?;
                let before = self.shared.borrow_mut().insert(*number, rows.clone());
                assert!(before.is_none(), "rows are shared twice under number {number}");
                rows
            }
            Plan::Reread { number, columns, .. } => self.shared.borrow()[number]
                .iter()
                .map(|row| columns.iter().map(|&column| row[column as usize].clone()).collect())
                .collect(),
        })
    }

    fn join(&self, join: &HashJoin) -> Answer<Vec<Row>> {
        let (probe, build) = (self.rows(&join.probe)?, self.rows(&join.build)?);
        let (probe_width, build_width) = (join.probe.output_types().len(), join.build.output_types().len());
        let keys_of = |rows: &[Row], side: fn(&JoinKey) -> &Expr| -> Answer<Vec<Row>> {
            rows.iter().map(|row| join.keys.iter().map(|key| eval(side(key), row)).collect()).collect()
        };
        let (probe_keys, build_keys) =
            (keys_of(&probe, |key| &key.probe)?, keys_of(&build, |key| &key.build)?);
        let mut built = vec![false; build.len()];
        let mut rows = Vec::new();
        for (left, own) in probe.iter().zip(&probe_keys) {
            let (mut matches, mut any, mut null) = (0, false, false);
            for (number, (right, others)) in build.iter().zip(&build_keys).enumerate() {
                let equal = join.keys.iter().zip(own.iter().zip(others)).all(|(key, (a, b))| {
                    a.compare(b) == Some(Ordering::Equal) || (key.null_equal && is_null(a) && is_null(b))
                });
                if !equal {
                    continue;
                }
                let pair: Row = left.iter().chain(right).cloned().collect();
                let test = match &join.residual {
                    None => Scalar::Boolean(true),
                    Some(test) => eval(test, &pair)?,
                };
                null |= is_null(&test);
                if !is_true(&test) {
                    continue;
                }
                any = true;
                matches += 1;
                built[number] = true;
                match join.kind {
                    JoinKind::Single if matches > 1 => return Err("more than one row".into()),
                    JoinKind::Inner
                    | JoinKind::ProbeOuter
                    | JoinKind::BuildOuter
                    | JoinKind::Full
                    | JoinKind::Single => rows.push(pair),
                    _ => {}
                }
            }
            match join.kind {
                JoinKind::ProbeOuter | JoinKind::Full | JoinKind::Single if !any => {
                    rows.push(left.iter().cloned().chain(vec![Scalar::Null; build_width]).collect())
                }
                JoinKind::ProbeSemi if any => rows.push(left.clone()),
                JoinKind::ProbeAnti if !any => rows.push(left.clone()),
                JoinKind::Mark => {
                    let mark = match (any, null) {
                        (true, _) => Scalar::Boolean(true),
                        (_, true) => Scalar::Null,
                        _ => Scalar::Boolean(false),
                    };
                    rows.push(left.iter().cloned().chain([mark]).collect());
                }
                _ => {}
            }
        }
        for (right, matched) in build.iter().zip(built) {
            match join.kind {
                JoinKind::BuildOuter | JoinKind::Full if !matched => rows
                    .push(vec![Scalar::Null; probe_width].into_iter().chain(right.iter().cloned()).collect()),
                JoinKind::BuildSemi if matched => rows.push(right.clone()),
                JoinKind::BuildAnti if !matched => rows.push(right.clone()),
                _ => {}
            }
        }
        Ok(rows)
    }
}

/// Rows with equal values of the expressions, each group in the order in which its rows come.
fn grouped(rows: Vec<Row>, by: &[Expr]) -> Answer<Vec<Vec<Row>>> {
    let mut groups: Vec<(Row, Vec<Row>)> = Vec::new();
    for row in rows {
        let key: Row = by.iter().map(|expr| eval(expr, &row)).collect::<Answer<_>>()?;
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, group)) => group.push(row),
            None => groups.push((key, vec![row])),
        }
    }
    Ok(groups.into_iter().map(|(_, group)| group).collect())
}

fn aggregate(rows: Vec<Row>, groups: &[Expr], aggregates: &[Aggregate]) -> Answer<Vec<Row>> {
    let mut order: Vec<Row> = Vec::new();
    let mut members: HashMap<Row, Vec<Row>> = HashMap::new();
    if groups.is_empty() {
        order.push(Vec::new());
        members.insert(Vec::new(), Vec::new());
    }
    for row in rows {
        let key: Row = groups.iter().map(|expr| eval(expr, &row)).collect::<Answer<_>>()?;
        if !members.contains_key(&key) {
            order.push(key.clone());
        }
        members.entry(key).or_default().push(row);
    }
    let mut result = Vec::new();
    for key in order {
        let mut row = key.clone();
        for call in aggregates {
            let mut values = Vec::new();
            for member in &members[&key] {
                if let Some(filter) = &call.filter
                    && !is_true(&eval(filter, member)?)
                {
                    continue;
                }
                values.push(match call.args.first() {
                    Some(arg) => eval(arg, member)?,
                    None => Scalar::Boolean(true),
                });
            }
            values.retain(|value| !is_null(value));
            row.push(fold(call.function, &values));
        }
        result.push(row);
    }
    Ok(result)
}

pub(super) fn fold(function: AggregateFunction, values: &[Scalar]) -> Scalar {
    let extreme = |wanted: Ordering| {
        values.iter().cloned().reduce(|a, b| if b.compare(&a) == Some(wanted) { b } else { a })
    };
    let sum = || {
        values.iter().cloned().reduce(|a, b| match (a, b) {
            (Scalar::Integer(a), Scalar::Integer(b)) => Scalar::Integer(a + b),
            (Scalar::Float(a), Scalar::Float(b)) => Scalar::Float(a + b),
            other => panic!("a sum of {other:?}"),
        })
    };
    match function {
        AggregateFunction::CountRows | AggregateFunction::Count => Scalar::Integer(values.len() as i128),
        AggregateFunction::SumCounts => sum().unwrap_or(Scalar::Integer(0)),
        AggregateFunction::Sum => sum().unwrap_or(Scalar::Null),
        AggregateFunction::Min => extreme(Ordering::Less).unwrap_or(Scalar::Null),
        AggregateFunction::Max => extreme(Ordering::Greater).unwrap_or(Scalar::Null),
        AggregateFunction::AnyValue => values.first().cloned().unwrap_or(Scalar::Null),
        AggregateFunction::BoolAnd if values.is_empty() => Scalar::Null,
        AggregateFunction::BoolAnd => Scalar::Boolean(values.iter().all(is_true)),
        AggregateFunction::BoolOr if values.is_empty() => Scalar::Null,
        AggregateFunction::BoolOr => Scalar::Boolean(values.iter().any(is_true)),
        AggregateFunction::Stateful(call) => {
            panic!("{} is not among what is drawn here", call.function.name())
        }
    }
}

pub(super) fn sort(rows: Vec<Row>, keys: &[SortKey]) -> Answer<Vec<Row>> {
    let mut keyed = rows
        .into_iter()
        .map(|row| Ok((keys.iter().map(|key| eval(&key.expr, &row)).collect::<Answer<Row>>()?, row)))
        .collect::<Answer<Vec<_>>>()?;
    keyed.sort_by(|(a, _), (b, _)| {
        keys.iter()
            .zip(a.iter().zip(b))
            .map(|(key, (a, b))| match (is_null(a), is_null(b)) {
                (true, true) => Ordering::Equal,
                (true, false) => {
                    if key.nulls_first {
                        Ordering::Less
                    } else {
                        Ordering::Greater
                    }
                }
                (false, true) => {
                    if key.nulls_first {
                        Ordering::Greater
                    } else {
                        Ordering::Less
                    }
                }
                _ => {
                    let order = a.compare(b).expect("values of one type");
                    if key.descending { order.reverse() } else { order }
                }
            })
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    });
    Ok(keyed.into_iter().map(|(_, row)| row).collect())
}

pub(super) fn is_null(value: &Scalar) -> bool {
    matches!(value, Scalar::Null)
}

fn is_true(value: &Scalar) -> bool {
    *value == Scalar::Boolean(true)
}

fn scale_of(data_type: DataType) -> u32 {
    match data_type {
        DataType::Decimal { scale, .. } => scale.into(),
        _ => 0,
    }
}

pub(crate) fn eval(expr: &Expr, row: &[Scalar]) -> Answer<Scalar> {
    Ok(match expr {
        Expr::Column { id, .. } => row[*id as usize].clone(),
        Expr::Literal(value) => value.scalar.clone(),
        Expr::Lambda { .. } => panic!("no lambda is drawn here"),
        Expr::Compare { op, left, right } => {
            let (types, a, b) = ((left.data_type(), right.data_type()), eval(left, row)?, eval(right, row)?);
            assert_eq!(scale_of(types.0), scale_of(types.1), "scales of {expr:?}");
            let same = a == b;
            match op {
                CompareOp::IsDistinctFrom => Scalar::Boolean(!same),
                CompareOp::IsNotDistinctFrom => Scalar::Boolean(same),
                _ if is_null(&a) || is_null(&b) => Scalar::Null,
                _ => {
                    let order = a.compare(&b).ok_or_else(|| format!("{a:?} against {b:?}"))?;
                    Scalar::Boolean(match op {
                        CompareOp::Equal => order.is_eq(),
                        CompareOp::NotEqual => order.is_ne(),
                        CompareOp::Less => order.is_lt(),
                        CompareOp::LessOrEqual => order.is_le(),
                        CompareOp::Greater => order.is_gt(),
                        _ => order.is_ge(),
                    })
                }
            }
        }
        Expr::Arithmetic { op, left, right, .. } => match (eval(left, row)?, eval(right, row)?) {
            (Scalar::Null, _) | (_, Scalar::Null) => Scalar::Null,
            (Scalar::Integer(a), Scalar::Integer(b)) => Scalar::Integer(match op {
                ArithmeticOp::Add => a + b,
                ArithmeticOp::Subtract => a - b,
                ArithmeticOp::Multiply => a * b,
                _ if b == 0 => return Err("division by zero".into()),
                ArithmeticOp::Divide => a / b,
                ArithmeticOp::Modulo => a % b,
            }),
            (Scalar::Float(a), Scalar::Float(b)) => Scalar::Float(match op {
                ArithmeticOp::Add => a + b,
                ArithmeticOp::Subtract => a - b,
                ArithmeticOp::Multiply => a * b,
                _ if b == 0.0 => return Err("division by zero".into()),
                ArithmeticOp::Divide => a / b,
                ArithmeticOp::Modulo => a % b,
            }),
            other => return Err(format!("arithmetic of {other:?}")),
        },
        Expr::And(operands) | Expr::Or(operands) => {
            let decides = matches!(expr, Expr::Or(_));
            let mut null = false;
            for operand in operands {
                match eval(operand, row)? {
                    Scalar::Boolean(value) if value == decides => return Ok(Scalar::Boolean(decides)),
                    Scalar::Null => null = true,
                    _ => {}
                }
            }
            if null { Scalar::Null } else { Scalar::Boolean(!decides) }
        }
        Expr::Not(input) => match eval(input, row)? {
            Scalar::Boolean(value) => Scalar::Boolean(!value),
            _ => Scalar::Null,
        },
        Expr::IsNull { input, negated } => Scalar::Boolean(is_null(&eval(input, row)?) != *negated),
        Expr::InList { input, list, negated } => {
            let value = eval(input, row)?;
            if is_null(&value) {
                Scalar::Null
            } else if list.iter().any(|item| item.scalar == value) {
                Scalar::Boolean(!negated)
            } else if list.iter().any(Value::is_null) {
                Scalar::Null
            } else {
                Scalar::Boolean(*negated)
            }
        }
        Expr::Like { input, pattern, negated, .. } => match (eval(input, row)?, eval(pattern, row)?) {
            (Scalar::Bytes(text), Scalar::Bytes(pattern)) => {
                Scalar::Boolean(like(&text, &pattern) != *negated)
            }
            _ => Scalar::Null,
        },
        Expr::Case { branches, otherwise, .. } => {
            for (condition, value) in branches {
                if is_true(&eval(condition, row)?) {
                    return eval(value, row);
                }
            }
            otherwise.as_ref().map_or(Ok(Scalar::Null), |value| eval(value, row))?
        }
        Expr::Call { function, args, .. } if function == "coalesce" => {
            for arg in args {
                let value = eval(arg, row)?;
                if !is_null(&value) {
                    return Ok(value);
                }
            }
            Scalar::Null
        }
        // Casts and functions are not the planner's business: the engine computes them.
        Expr::Cast { .. } | Expr::Call { .. } => {
            let mut applied = expr.clone();
            for child in applied.children_mut() {
                *child = Expr::Literal(Value::new(child.data_type(), eval(child, row)?));
            }
            exec::expression::constant::evaluate(&applied).map_err(|error| error.to_string())?.scalar
        }
    })
}

fn like(text: &[u8], pattern: &[u8]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((b'%', rest)) => (0..=text.len()).any(|start| like(&text[start..], rest)),
        Some((b'_', rest)) => !text.is_empty() && like(&text[1..], rest),
        Some((first, rest)) => text.first() == Some(first) && like(&text[1..], rest),
    }
}

fn elements(bytes: &[u8], list: &exec::plan::Unrolled) -> Vec<Scalar> {
    let walk = columnar::packed::Elements::new(bytes, list.list.data_type());
    let scalars = walk.map(|element| element.and_then(|element| element.scalar(list.data_type)));
    scalars.collect::<columnar::Result<_>>().unwrap_or_else(|error| panic!("{error}"))
}
