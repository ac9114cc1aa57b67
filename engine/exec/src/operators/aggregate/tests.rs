use super::*;
use crate::Error;
use crate::hash::weak;
use crate::operators::testing::*;
use crate::plan::AggregateFunction::{self, *};
use columnar::{DataType, Interval, Scalar};
use proptest::prelude::*;

/// Keys: a small number, a text, a wide number, a boolean; arguments: one of each kind; a filter.
const TYPES: [DataType; 12] = [
    DataType::Int16,
    DataType::Varchar,
    DataType::Int64,
    DataType::Boolean,
    DataType::Int64,
    DataType::decimal(38, 2),
    DataType::Float64,
    DataType::Varchar,
    DataType::Boolean,
    DataType::Interval,
    DataType::Date,
    DataType::Boolean,
];
const FILTER: usize = 11;

fn rows(random: &mut Random, count: usize, domain: usize, nulls: bool) -> Vec<Row> {
    let mut value = |data_type: DataType, column: usize| {
        if nulls && random.below(5) == 0 {
            return Scalar::Null;
        }
        let number = random.below(domain) as i128;
        match data_type {
            DataType::Boolean => Scalar::Boolean(number % 2 == 0),
            DataType::Varchar if column == 1 => Scalar::Bytes(format!("key {number}").into_bytes()),
            DataType::Varchar => Scalar::Bytes("long text ".repeat(number as usize % 4).into_bytes()),
            DataType::Float64 => Scalar::Float(number as f64 / 8.0 - 3.0),
            DataType::Interval => {
                Scalar::Interval(Interval { months: 0, days: number as i32 % 3, micros: 86_400_000_000 })
            }
            DataType::Int16 => Scalar::Integer(number % 100 - 50),
            DataType::Decimal { .. } => Scalar::Integer((number - 3) * 1_000_000_000_000_000_000_000),
            DataType::Date => Scalar::Integer(number),
            _ => Scalar::Integer((number - 4) * 1_234_567_890_123),
        }
    };
    (0..count)
        .map(|_| TYPES.iter().enumerate().map(|(column, &data_type)| value(data_type, column)).collect())
        .collect()
}

fn call(function: AggregateFunction, column: Option<usize>, filtered: bool) -> plan::Aggregate {
    let argument = column.map(|column| Expr::column(column as u32, TYPES[column]));
    let data_type = match (function, column) {
        (CountRows | Count, _) => DataType::Int64,
        (Sum, Some(4)) => DataType::decimal(38, 0),
        (Sum, Some(0)) => DataType::Int64,
        (_, Some(column)) => TYPES[column],
        (_, None) => DataType::Int64,
    };
    let filter = filtered.then(|| Expr::column(FILTER as u32, DataType::Boolean));
    plan::Aggregate { function, args: argument.into_iter().collect(), filter, data_type }
}

fn calls() -> Vec<plan::Aggregate> {
    let mut calls = vec![call(CountRows, None, false), call(CountRows, None, true)];
    for column in 4..11 {
        calls.extend([Count, Min, Max].map(|function| call(function, Some(column), column % 2 == 0)));
    }
    for column in [0, 4, 5, 6] {
        calls.extend([false, true].map(|filtered| call(Sum, Some(column), filtered)));
    }
    calls.push(call(SumCounts, Some(4), false));
    calls.extend([BoolAnd, BoolOr].map(|function| call(function, Some(8), false)));
    calls
}

/// What one aggregate should give for the rows of a group.
fn expected(aggregate: &plan::Aggregate, rows: &[&Row]) -> Scalar {
    let column = aggregate.args.first().map(|arg| match arg {
        Expr::Column { id, .. } => *id as usize,
        _ => unreachable!(),
    });
    let filtered =
        rows.iter().filter(|row| aggregate.filter.is_none() || row[FILTER] == Scalar::Boolean(true));
    let values: Vec<&Scalar> = filtered
        .map(|row| column.map_or(&Scalar::Boolean(true), |column| &row[column]))
        .filter(|scalar| !matches!(scalar, Scalar::Null))
        .collect();
    let order = |a: &&&Scalar, b: &&&Scalar| a.compare(b).unwrap();
    let or_null = |value: Option<Scalar>| value.unwrap_or(Scalar::Null);
    match aggregate.function {
        CountRows | Count => Scalar::Integer(values.len() as i128),
        SumCounts if values.is_empty() => Scalar::Integer(0),
        _ if values.is_empty() => Scalar::Null,
        Sum | SumCounts => match values[0] {
            Scalar::Float(_) => Scalar::Float(
                values.iter().map(|value| if let Scalar::Float(value) = value { *value } else { 0.0 }).sum(),
            ),
            _ => Scalar::Integer(values.iter().map(|value| value.as_integer().unwrap()).sum()),
        },
        Min => or_null(values.iter().min_by(order).map(|value| (*value).clone())),
        Max => or_null(values.iter().max_by(order).map(|value| (*value).clone())),
        BoolAnd => Scalar::Boolean(values.iter().all(|value| **value == Scalar::Boolean(true))),
        BoolOr => Scalar::Boolean(values.iter().any(|value| **value == Scalar::Boolean(true))),
        AnyValue => values[0].clone(),
        Stateful(_) => {
            Scalar::Integer(values.iter().map(|value| value.as_integer().unwrap()).fold(0, |a, b| a ^ b))
        }
    }
}

/// The aggregation of functions whose states lie in rows.
fn in_rows(aggregate: &Aggregate) -> &Aggregation {
    match &aggregate.0 {
        Way::InRows(shared) => shared,
        Way::General(_) => panic!("an aggregation of other functions"),
    }
}

/// A function whose states do not lie in rows.
fn beside_rows(filtered: bool) -> plan::Aggregate {
    let function = plan::Stateful::new(plan::StateFunction::BitXor, plan::KeyOrder::default());
    call(Stateful(function), Some(4), filtered)
}

fn run(
    keys: &[usize],
    calls: &[plan::Aggregate],
    rows: &[Row],
    tight: bool,
    tasks: usize,
    query: &QueryContext,
) -> Result<Vec<Row>> {
    let keys: Vec<Expr> = keys.iter().map(|&key| Expr::column(key as u32, TYPES[key])).collect();
    let aggregate = Aggregate::new(&keys, calls, &shapes_of(&TYPES, rows, tight), query)?;
    fill(&*aggregate.sink(), batches_of(&TYPES, rows, query.settings.batch_rows), tasks, query)?;
    drain(&*aggregate.source(), tasks, query)
}

fn oracle(keys: &[usize], calls: &[plan::Aggregate], rows: &[Row]) -> Vec<Row> {
    let mut groups: Vec<(Row, Vec<&Row>)> = Vec::new();
    for row in rows {
        let key: Row = keys.iter().map(|&key| row[key].clone()).collect();
        match groups.iter_mut().find(|group| group.0 == key) {
            Some(group) => group.1.push(row),
            None => groups.push((key, vec![row])),
        }
    }
    if keys.is_empty() && rows.is_empty() {
        groups.push((Vec::new(), Vec::new()));
    }
    let finish = |(key, rows): (Row, Vec<&Row>)| {
        [key, calls.iter().map(|call| expected(call, &rows)).collect()].concat()
    };
    groups.into_iter().map(finish).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(80))]

    #[test]
    fn groups_equal_the_oracle(
        seed: u64,
        count in prop_oneof![Just(0_usize), Just(1), 2..20_usize, 100..400_usize],
        domain in prop_oneof![Just(1_usize), Just(4), Just(90)],
        keys in proptest::sample::subsequence(vec![0_usize, 1, 2, 3], 0..4),
        batch_rows in prop_oneof![Just(1_usize), Just(3), Just(64), Just(2048)],
        tasks in 1..4_usize,
        flags: (bool, bool, bool, bool, bool),
    ) {
        let (nulls, tight, disturbed, colliding, general) = flags;
        let rows = rows(&mut Random(seed), count, domain, nulls);
        let query = query(batch_rows, disturbed.then_some(seed));
        let mut calls = calls();
        if general {
            calls.extend([false, true].map(beside_rows));
        }
        let mask = if colliding { 0x3000_0000_0000_0001 } else { u64::MAX };
        let result = weak::with_mask(mask, || run(&keys, &calls, &rows, tight, tasks, &query).unwrap());
        prop_assert_eq!(sorted(&result), sorted(&oracle(&keys, &calls, &rows)));
        prop_assert_eq!(query.memory.used_bytes(), 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn runs_equal_the_oracle(
        seed: u64,
        count in prop_oneof![Just(0_usize), Just(1), 2..20_usize, 100..400_usize],
        domain in prop_oneof![Just(1_usize), Just(4), Just(90)],
        batch_rows in prop_oneof![Just(1_usize), Just(3), Just(64), Just(2048)],
        flags: (bool, bool),
    ) {
        let (nulls, tight) = flags;
        let mut rows = rows(&mut Random(seed), count, domain, nulls);
        rows.iter_mut().filter(|row| row[0] == Scalar::Null).for_each(|row| row[0] = Scalar::Integer(3));
        rows.sort_by(|a, b| a[0].compare(&b[0]).unwrap());
        let query = query(batch_rows, None);
        let mut shapes = shapes_of(&TYPES, &rows, tight);
        shapes[0].nullable = false;
        let (key, calls) = (Expr::column(0, TYPES[0]), calls());
        let operator = Aggregate::of_runs(&key, &calls, &shapes, &query).unwrap().unwrap();
        let mut task = operator.start().unwrap();
        let waker = std::task::Waker::noop();
        let mut result = Vec::new();
        let mut pull = |task: &mut dyn crate::operator::OperatorTask| {
            while let crate::operator::Output::Batch(batch) = task.pull(&step(&query, waker)).unwrap() {
                result.extend(rows_of(batch, operator.output(), batch_rows));
            }
        };
        for batch in batches_of(&TYPES, &rows, batch_rows) {
            task.push(batch).unwrap();
            pull(&mut *task);
        }
        task.end().unwrap();
        pull(&mut *task);
        drop(task);
        // Groups come in order as well.
        prop_assert!(result.is_sorted_by(|a, b| a[0].compare(&b[0]).is_some_and(|order| order.is_lt())));
        prop_assert_eq!(sorted(&result), sorted(&oracle(&[0], &calls, &rows)));
        prop_assert_eq!(query.memory.used_bytes(), 0);
    }
}

#[test]
fn many_rows_of_few_words_go_by_their_words() {
    let key = |number: i128| number * 7_919 % 60_000;
    let rows: Vec<Row> = (0..100_000_i128)
        .map(|number| {
            let mut row = vec![Scalar::Null; TYPES.len()];
            row[2] = if number % 1_000 == 0 { Scalar::Null } else { Scalar::Integer(key(number)) };
            row[4] = Scalar::Integer(number % 3);
            row[9] = Scalar::Null;
            row
        })
        .collect();
    let query = query(2048, None);
    let calls = [call(Sum, Some(4), false), call(CountRows, None, false), call(Min, Some(9), false)];
    let shapes = shapes_of(&TYPES, &rows, true);
    let group = [Expr::column(2, TYPES[2])];
    assert!(Aggregation::new(&group, &calls, &shapes, &query).unwrap().direct.is_some());
    let mut expected = std::collections::HashMap::<Option<i128>, (i128, i128)>::new();
    for row in &rows {
        let (sum, count) = expected.entry(row[2].as_integer()).or_default();
        (*sum, *count) = (*sum + row[4].as_integer().unwrap(), *count + 1);
    }
    // The third task has too few rows to go over.
    for tasks in [1, 2, 3] {
        let aggregate = Aggregate::new(&group, &calls, &shapes, &query).unwrap();
        let mut batches = batches_of(&TYPES, &rows, 2048);
        let last = batches.split_off(if tasks == 3 { batches.len() - 1 } else { batches.len() });
        let waker = std::task::Waker::noop();
        let mut parts: Vec<_> = (0..tasks).map(|_| aggregate.sink().start().unwrap()).collect();
        for (number, batch) in batches.into_iter().enumerate() {
            parts[number % tasks.min(2)].push(batch).unwrap();
            parts[number % tasks.min(2)].advance(&step(&query, waker)).unwrap();
        }
        for batch in last {
            parts[2].push(batch).unwrap();
            parts[2].advance(&step(&query, waker)).unwrap();
        }
        for part in &mut parts {
            assert_eq!(part.combine(&step(&query, waker)).unwrap(), crate::operator::Progress::Ready);
        }
        for mut work in aggregate.sink().finalize().unwrap() {
            while work.advance(&step(&query, waker)).unwrap() == crate::operator::Progress::Yield {}
        }
        let result = drain(&*aggregate.source(), tasks, &query).unwrap();
        assert_eq!(result.len(), expected.len());
        for row in result {
            let (sum, count) = expected[&row[0].as_integer()];
            assert_eq!(row[1..], [Scalar::Integer(sum), Scalar::Integer(count), Scalar::Null]);
        }
    }
}

#[test]
fn keys_of_few_pages_lie_by_bits() {
    // Two stretches of keys, far apart.
    let key = |number: i128| number * 7_919 % 9_000 + if number % 3 == 0 { 30_000_000 } else { 0 };
    let rows: Vec<Row> = (0..60_000_i128)
        .map(|number| {
            let mut row = vec![Scalar::Null; TYPES.len()];
            row[2] = if number % 1_000 == 0 { Scalar::Null } else { Scalar::Integer(key(number)) };
            row
        })
        .collect();
    let expected: std::collections::HashSet<Option<i128>> =
        rows.iter().map(|row| row[2].as_integer()).collect();
    let (group, shapes) = ([Expr::column(2, TYPES[2])], shapes_of(&TYPES, &rows, true));
    for (tasks, batch_rows, disturb) in [(1, 2048, None), (2, 64, None), (3, 2048, Some(5))] {
        let query = query(batch_rows, disturb);
        let aggregate = Aggregate::new(&group, &[], &shapes, &query).unwrap();
        fill(&*aggregate.sink(), batches_of(&TYPES, &rows, batch_rows), tasks, &query).unwrap();
        let merged = in_rows(&aggregate).result.get().unwrap();
        assert!(merged.len() == 2 && merged.iter().all(|page| page.first_word.is_some()));
        let result = drain(&*aggregate.source(), tasks, &query).unwrap();
        assert_eq!(result.len(), expected.len());
        assert!(result.iter().all(|row| expected.contains(&row[0].as_integer())));
        drop(aggregate);
        assert_eq!(query.memory.used_bytes(), 0);
    }
}

#[test]
fn rows_of_scattered_keys_are_set_aside() {
    let rows: Vec<Row> = (0..240_000_i128)
        .map(|number| {
            let mut row = vec![Scalar::Null; TYPES.len()];
            // One key has a third of the rows, the others four each.
            let key = if number % 3 == 0 { 0 } else { 1 + number * 7_919 % 40_000 };
            row[1] = Scalar::Bytes(format!("the key of number {key}").into_bytes());
            row[2] = if key == 77 { Scalar::Null } else { Scalar::Integer(key * 1_000_000_007) };
            row[4] = if number % 7 == 0 { Scalar::Null } else { Scalar::Integer(number % 5) };
            row[7] = Scalar::Bytes(format!("a text of {:06}", number % 1_000).into_bytes());
            row
        })
        .collect();
    let calls = [call(CountRows, None, false), call(Sum, Some(4), false), call(Min, Some(7), false)];
    let mut expected = std::collections::HashMap::<&[Scalar], (i128, Option<i128>, &Scalar)>::new();
    for row in &rows {
        let (count, sum, least) = expected.entry(&row[1..3]).or_insert((0, None, &row[7]));
        *count += 1;
        *sum = row[4].as_integer().map(|value| value + sum.unwrap_or(0)).or(*sum);
        *least = if row[7].compare(least).unwrap().is_lt() { &row[7] } else { least };
    }
    for (keys, tight) in [(vec![2_usize], true), (vec![2], false), (vec![1, 2], true), (vec![1, 2], false)] {
        let query = query(2048, None);
        let groups: Vec<Expr> = keys.iter().map(|&key| Expr::column(key as u32, TYPES[key])).collect();
        let aggregate = Aggregate::new(&groups, &calls, &shapes_of(&TYPES, &rows, tight), &query).unwrap();
        let (sink, waker) = (aggregate.sink(), std::task::Waker::noop());
        let mut parts: Vec<_> = (0..2).map(|_| sink.start().unwrap()).collect();
        for (number, batch) in batches_of(&TYPES, &rows, 2048).into_iter().enumerate() {
            parts[number % 2].push(batch).unwrap();
            parts[number % 2].advance(&step(&query, waker)).unwrap();
        }
        for part in &mut parts {
            part.combine(&step(&query, waker)).unwrap();
        }
        assert_eq!(in_rows(&aggregate).scattered.lock().len(), 2);
        for mut work in sink.finalize().unwrap() {
            while work.advance(&step(&query, waker)).unwrap() == crate::operator::Progress::Yield {}
        }
        let result = drain(&*aggregate.source(), 2, &query).unwrap();
        assert_eq!(result.len(), expected.len());
        let by_key: std::collections::HashMap<_, _> = expected
            .iter()
            .map(|(key, value)| (if keys.len() == 1 { &key[1..] } else { *key }, value))
            .collect();
        for row in result {
            let (count, sum, least) = by_key[&row[..keys.len()]];
            let sum = sum.map_or(Scalar::Null, Scalar::Integer);
            assert_eq!(row[keys.len()..], [Scalar::Integer(*count), sum, (*least).clone()]);
        }
        drop((aggregate, sink, parts));
        assert_eq!(query.memory.used_bytes(), 0);
    }
}

#[test]
fn any_value_is_one_of_the_group() {
    let rows = rows(&mut Random(7), 500, 20, true);
    let query = query(64, Some(3));
    for row in run(&[0], &[call(AnyValue, Some(7), false)], &rows, false, 3, &query).unwrap() {
        let of_group = |other: &&Row| other[0] == row[0] && !matches!(other[7], Scalar::Null);
        let group: Vec<&Row> = rows.iter().filter(of_group).collect();
        assert!(group.is_empty() == matches!(row[1], Scalar::Null));
        assert!(group.is_empty() || group.iter().any(|other| other[7] == row[1]));
    }
}

#[test]
fn sums_beyond_their_type_are_errors() {
    let huge = 9 * 10_i128.pow(37);
    for (column, value) in [(5, huge), (4, i128::from(i64::MAX))] {
        let mut row = vec![Scalar::Null; TYPES.len()];
        row[column] = Scalar::Integer(value);
        let mut sum = call(Sum, Some(column), false);
        sum.data_type = TYPES[column];
        let query = query(2048, None);
        let twice = [row.clone(), row.clone()];
        for tasks in [1, 2] {
            let error = run(&[], &[sum.clone()], &twice, false, tasks, &query).unwrap_err();
            assert!(matches!(error, Error::Value(columnar::Error::OutOfRange { .. })), "{error}");
        }
        assert_eq!(run(&[], &[sum], &[row], false, 1, &query).unwrap(), [[Scalar::Integer(value)]]);
    }
    let mut row = vec![Scalar::Null; TYPES.len()];
    row[6] = Scalar::Float(1e308);
    let query = query(2048, None);
    let sum = [call(Sum, Some(6), false)];
    assert!(run(&[], &sum, &[row.clone(), row.clone()], false, 1, &query).is_err());
    row[6] = Scalar::Float(f64::INFINITY);
    assert_eq!(run(&[], &sum, &[row], false, 1, &query).unwrap(), [[Scalar::Float(f64::INFINITY)]]);
}

#[test]
fn many_groups_of_two_tasks_are_merged() {
    let rows: Vec<Row> = (0..280_000_i128)
        .map(|number| {
            let mut row = vec![Scalar::Null; TYPES.len()];
            row[2] = Scalar::Integer(number * 7_919 % 140_000);
            row[4] = Scalar::Integer(1);
            row
        })
        .collect();
    let query = query(2048, None);
    let calls = [call(Sum, Some(4), false)];
    for tight in [true, false] {
        let result = run(&[2], &calls, &rows, tight, 2, &query).unwrap();
        assert_eq!(result.len(), 140_000);
        assert!(result.iter().all(|row| row[1] == Scalar::Integer(2)));
    }
}

#[test]
fn an_aggregation_beyond_its_memory_fails() {
    let rows = rows(&mut Random(1), 5_000, 1_000_000, false);
    let mut query = query(2048, None);
    query.memory = MemoryPool::new(200_000);
    let error = run(&[2, 1], &[call(CountRows, None, false)], &rows, false, 2, &query).unwrap_err();
    assert!(matches!(error, Error::Memory { .. }), "{error}");
    assert_eq!(query.memory.used_bytes(), 0);
}
