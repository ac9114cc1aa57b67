use super::*;
use crate::Shape;
use crate::operators::aggregate::{Aggregate, GroupCalls, Position};
use crate::operators::testing::*;
use crate::plan::AggregateFunction::{self, Sum};
use crate::plan::{KeyOrder, Phase};
use columnar::packed::Elements;
use columnar::types::{Nested, list_of, nested};
use columnar::{Interval, Scalar};
use proptest::prelude::*;
use std::collections::HashMap;

/// A key, then what functions take: two doubles, an integer, a text, an interval, a timestamp, a decimal.
const TYPES: [DataType; 8] = [
    DataType::Int32,
    DataType::Float64,
    DataType::Float64,
    DataType::Int64,
    DataType::Varchar,
    DataType::Interval,
    DataType::TIMESTAMP,
    DataType::decimal(20, 2),
];

fn rows(random: &mut Random, count: usize, groups: usize) -> Vec<Row> {
    let mut value = |column: usize, data_type: DataType| {
        if random.below(6) == 0 {
            return Scalar::Null;
        }
        let number = random.below(if column == 0 { groups } else { 40 }) as i128;
        match data_type {
            DataType::Float64 => Scalar::Float(number as f64 / 4.0 + 100.0),
            DataType::Varchar => Scalar::Bytes("some text ".repeat(number as usize % 4).into_bytes()),
            DataType::Interval => Scalar::Interval(Interval {
                months: number as i32,
                days: -3,
                micros: number as i64 * 1_000_000,
            }),
            _ => Scalar::Integer(number),
        }
    };
    let types = || TYPES.iter().copied().enumerate();
    (0..count).map(|_| types().map(|(column, data_type)| value(column, data_type)).collect()).collect()
}

/// Every function over columns that it takes.
fn calls() -> Vec<plan::Aggregate> {
    use StateFunction::*;
    let column = |column: usize| Expr::column(column as u32, TYPES[column]);
    let half = || Expr::Literal(Value::float64(0.5));
    let double = DataType::Float64;
    let mut calls = Vec::new();
    let mut add = |function, order, args: Vec<Expr>, data_type| {
        let function = AggregateFunction::Stateful(Stateful::new(function, order));
        calls.push(plan::Aggregate { function, args, filter: None, data_type });
    };
    let none = KeyOrder::default();
    for function in [
        VarPop,
        VarSamp,
        StddevPop,
        StddevSamp,
        StandardError,
        Skewness,
        Kurtosis,
        KurtosisPop,
        SumCompensated,
        MedianDeviation,
    ] {
        add(function, none, vec![column(1)], double);
    }
    for function in [
        CovarPop,
        CovarSamp,
        Corr,
        RegrSlope,
        RegrIntercept,
        RegrR2,
        RegrAvgX,
        RegrAvgY,
        RegrSxx,
        RegrSyy,
        RegrSxy,
    ] {
        add(function, none, vec![column(1), column(2)], double);
    }
    for function in [BitAnd, BitOr, BitXor] {
        add(function, none, vec![column(3)], TYPES[3]);
    }
    for function in [SumInterval, AvgInterval] {
        add(function, none, vec![column(5)], TYPES[5]);
    }
    add(AvgInteger, none, vec![column(6)], TYPES[6]);
    let by_two = KeyOrder::new([(true, true), (false, false)]);
    for function in [First, Last] {
        add(function, by_two, vec![column(4), column(3), column(2)], TYPES[4]);
        add(function, by_two, vec![column(7), column(4), column(5)], TYPES[7]);
    }
    let text = vec![column(4), Expr::Literal(Value::varchar("-")), column(3), column(1)];
    add(StringAgg, by_two, text, DataType::Varchar);
    for id in [1, 3, 6, 7] {
        add(QuantileCont, none, vec![column(id), half()], TYPES[id]);
        add(ApproxQuantile, none, vec![column(id), half()], TYPES[id]);
    }
    for (id, &data_type) in TYPES.iter().enumerate().take(8).skip(1) {
        add(QuantileDisc, none, vec![column(id), half()], data_type);
        add(Mode, none, vec![column(id)], data_type);
        add(Entropy, none, vec![column(id)], double);
        add(ApproxCountDistinct, none, vec![column(id)], DataType::Int64);
        add(ArrayAgg, by_two, vec![column(id), column(3), column(1)], list_of(data_type).unwrap());
        let map = nested(Nested::Map { key: data_type, value: DataType::UInt64 }).unwrap();
        add(Histogram, none, vec![column(id)], map);
    }
    calls
}

/// The aggregate of groups by the first column, as a map from it.
fn run(
    aggregates: &[plan::Aggregate],
    types: &[DataType],
    rows: &[Row],
    tasks: usize,
    batch_rows: usize,
) -> HashMap<Scalar, Row> {
    let query = query(batch_rows, None);
    let key = Expr::column(0, types[0]);
    let parts = Aggregate::new(&[key], aggregates, &Shape::of_types(types), &query).unwrap();
    fill(&*parts.sink(), batches_of(types, rows, batch_rows), tasks, &query).unwrap();
    let groups = drain(&*parts.source(), tasks, &query).unwrap();
    let found: HashMap<Scalar, Row> = groups.iter().map(|row| (row[0].clone(), row[1..].to_vec())).collect();
    assert_eq!(found.len(), groups.len(), "a group came twice");
    found
}

fn alike(left: &Scalar, right: &Scalar) -> bool {
    match (left, right) {
        (Scalar::Float(a), Scalar::Float(b)) if a.is_finite() => {
            (a - b).abs() <= 1e-9 * a.abs().max(b.abs()) + 1e-12
        }
        (a, b) => a == b,
    }
}

fn assert_alike(left: &HashMap<Scalar, Row>, right: &HashMap<Scalar, Row>, aggregates: &[plan::Aggregate]) {
    assert_eq!(left.len(), right.len());
    for (key, row) in left {
        for ((a, b), aggregate) in row.iter().zip(&right[key]).zip(aggregates) {
            assert!(alike(a, b), "{key:?} {:?}: {a:?} and {b:?}", aggregate.function);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    /// However rows come to tasks and batches, and however states are cut into phases, results are alike.
    #[test]
    fn results_do_not_hang_on_tasks_batches_and_phases(seed: u64, count in 0..300_usize, groups in 1..30_usize) {
        let rows = rows(&mut Random(seed), count, groups);
        let all = calls();
        let whole = run(&all, &TYPES, &rows, 1, 2048);
        assert_alike(&run(&all, &TYPES, &rows, 3, 7), &whole, &all);

        let mergeable: Vec<plan::Aggregate> = all
            .iter()
            .filter(|call| matches!(call.function, AggregateFunction::Stateful(call) if call.function.is_mergeable()))
            .cloned()
            .collect();
        let phase = |phase: Phase| -> Vec<plan::Aggregate> {
            let call = |(index, aggregate): (usize, &plan::Aggregate)| {
                let AggregateFunction::Stateful(call) = aggregate.function else { unreachable!() };
                let args = match phase {
                    Phase::Partial => aggregate.args.clone(),
                    _ => vec![Expr::column(index as u32 + 1, DataType::Binary)],
                };
                let data_type = if phase == Phase::Final { aggregate.data_type } else { DataType::Binary };
                let function = AggregateFunction::Stateful(Stateful { phase, ..call });
                plan::Aggregate { function, args, filter: None, data_type }
            };
            mergeable.iter().enumerate().map(call).collect()
        };
        let between: Vec<DataType> =
            std::iter::once(TYPES[0]).chain(mergeable.iter().map(|_| DataType::Binary)).collect();
        let states = |parts: Vec<HashMap<Scalar, Row>>| -> Vec<Row> {
            let row = |(key, row): (Scalar, Row)| std::iter::once(key).chain(row).collect();
            parts.into_iter().flatten().map(row).collect()
        };
        let parts = rows.chunks(60).map(|part| run(&phase(Phase::Partial), &TYPES, part, 2, 16)).collect();
        let parts = states(parts);
        let combined = states(parts.chunks(40).map(|part| run(&phase(Phase::Combine), &between, part, 1, 9)).collect());
        let whole = run(&mergeable, &TYPES, &rows, 1, 2048);
        assert_alike(&run(&phase(Phase::Final), &between, &parts, 2, 5), &whole, &mergeable);
        assert_alike(&run(&phase(Phase::Final), &between, &combined, 1, 2048), &whole, &mergeable);
    }
}

#[test]
fn bytes_that_are_no_state_are_an_error() {
    let types = [DataType::Int32, DataType::Binary];
    for aggregate in calls() {
        let AggregateFunction::Stateful(call) = aggregate.function else { unreachable!() };
        if !call.function.is_mergeable() {
            continue;
        }
        for bytes in [vec![], vec![7; 3], vec![255; 48], vec![255; 64], vec![255; 4097]] {
            // Some numbers are a state of every function that keeps as many.
            let function = AggregateFunction::Stateful(Stateful { phase: Phase::Final, ..call });
            let args = vec![Expr::column(1, DataType::Binary)];
            let aggregate = plan::Aggregate { function, args, ..aggregate.clone() };
            let query = query(10, None);
            let calls = GroupCalls::new(&[aggregate], &Shape::of_types(&types)).unwrap();
            let mut states = calls.states(&query.memory).unwrap();
            states.grow(1).unwrap();
            let row = vec![Scalar::Integer(1), Scalar::Bytes(bytes)];
            for batch in batches_of(&types, &[row], 10) {
                let read = states.update(&batch.compact(), &[0]);
                if read.is_ok() {
                    settle(&mut states);
                    let _ = states.finish().unwrap().read(0, &[0]);
                    break;
                }
            }
        }
    }
}

fn settle(states: &mut crate::operators::aggregate::GroupStates) {
    let mut position = Some(Position::default());
    while let Some(at) = position {
        position = states.settle(at).unwrap();
    }
}

/// Simple functions and others, by whoever numbers groups.
#[test]
fn groups_of_others_have_states_of_any_function() {
    let types = [DataType::Int32, DataType::Int64, DataType::Varchar];
    let column = |column: usize| Expr::column(column as u32, types[column]);
    let of = |function, args, data_type| plan::Aggregate { function, args, filter: None, data_type };
    let median = AggregateFunction::Stateful(Stateful::new(StateFunction::QuantileDisc, KeyOrder::default()));
    let aggregates = [
        of(Sum, vec![column(1)], DataType::decimal(38, 0)),
        of(AggregateFunction::Max, vec![column(2)], DataType::Varchar),
        of(median, vec![column(1), Expr::Literal(Value::float64(0.5))], DataType::Int64),
    ];
    let row = |number: i128, text: &str| {
        vec![Scalar::Integer(0), Scalar::Integer(number), Scalar::Bytes(text.as_bytes().to_vec())]
    };
    let query = query(10, None);
    let calls = GroupCalls::new(&aggregates, &Shape::of_types(&types)).unwrap();
    let long = "a text of more than twelve bytes";
    let states = |rows: &[Row], groups: &[u32], count: usize| {
        let mut states = calls.states(&query.memory).unwrap();
        states.grow(count).unwrap();
        for batch in batches_of(&types, rows, 10) {
            states.update(&batch.compact(), groups).unwrap();
        }
        states
    };
    let mut one = states(&[row(5, "a"), row(7, "x"), row(9, "b")], &[0, 2, 0], 3);
    let mut other = states(&[row(1, long), row(8, "c")], &[0, 1], 2);
    let mut position = Some(Position::default());
    while let Some(at) = position {
        position = one.absorb(&mut other, &[2, 0], at).unwrap();
    }
    settle(&mut one);
    let results = one.finish().unwrap();
    let read = |call: usize, group: u32| results.read(call, &[group]).unwrap().scalar(0);
    assert_eq!(
        [0, 1, 2].map(|call| read(call, 0)),
        [Scalar::Integer(22), Scalar::Bytes(b"c".to_vec()), Scalar::Integer(8)]
    );
    assert_eq!([0, 1, 2].map(|call| read(call, 1)), [Scalar::Null, Scalar::Null, Scalar::Null]);
    assert_eq!(
        [0, 1, 2].map(|call| read(call, 2)),
        [Scalar::Integer(8), Scalar::Bytes(b"x".to_vec()), Scalar::Integer(1)]
    );
}

#[test]
fn memory_is_reserved_and_given_back() {
    let pool = MemoryPool::new(4 << 20);
    let mut query = query(2048, None);
    query.memory = pool.clone();
    let types = [DataType::Int32, DataType::Varchar];
    let text = |number: usize| Scalar::Bytes(format!("{number} {}", "long ".repeat(30)).into_bytes());
    let rows: Vec<Row> = (0..60_000).map(|number| vec![Scalar::Integer(0), text(number)]).collect();
    let column = Expr::column(1, DataType::Varchar);
    let function = AggregateFunction::Stateful(Stateful::new(StateFunction::Mode, KeyOrder::default()));
    let aggregate =
        plan::Aggregate { function, args: vec![column], filter: None, data_type: DataType::Varchar };
    let calls = GroupCalls::new(&[aggregate], &Shape::of_types(&types)).unwrap();
    let mut states = calls.states(&pool).unwrap();
    states.grow(1).unwrap();
    let failed = batches_of(&types, &rows, 2000).into_iter().find_map(|batch| {
        let batch = batch.compact();
        states.update(&batch, &vec![0; batch.rows]).err()
    });
    assert!(matches!(failed, Some(Error::Memory { .. })), "{failed:?}");
    drop(states);
    assert_eq!(pool.used_bytes(), 0);
}

/// The results of one call over rows of one group.
fn of_one_group(
    function: StateFunction,
    args: Vec<Expr>,
    data_type: DataType,
    rows: &[Row],
) -> Result<Scalar> {
    let types = [DataType::Int32, DataType::Int64, DataType::Varchar];
    let order = KeyOrder::new([(true, false)]);
    let order = if args.len() > 2 { order } else { KeyOrder::default() };
    let function = AggregateFunction::Stateful(Stateful::new(function, order));
    let aggregate = plan::Aggregate { function, args, filter: None, data_type };
    let query = query(10, None);
    let calls = GroupCalls::new(&[aggregate], &Shape::of_types(&types))?;
    let mut states = calls.states(&query.memory)?;
    states.grow(1)?;
    for batch in batches_of(&types, rows, 3) {
        let batch = batch.compact();
        states.update(&batch, &vec![0; batch.rows])?;
    }
    settle(&mut states);
    Ok(states.finish()?.read(0, &[0])?.scalar(0))
}

#[test]
fn lists_keep_nulls_and_maps_have_each_key_once() {
    let text = |text: &str| Scalar::Bytes(text.as_bytes().to_vec());
    let row = |number: Option<i128>, word: Scalar| {
        vec![Scalar::Integer(0), number.map_or(Scalar::Null, Scalar::Integer), word]
    };
    let rows =
        [row(Some(1), text("a")), row(None, text("b")), row(Some(3), Scalar::Null), row(Some(2), text("c"))];
    let (number, word) = (Expr::column(1, DataType::Int64), Expr::column(2, DataType::Varchar));
    let list = list_of(DataType::Int64).unwrap();
    let given = of_one_group(StateFunction::ArrayAgg, vec![number.clone()], list, &rows).unwrap();
    let Scalar::Bytes(bytes) = given else { panic!("no list") };
    let elements: Vec<Scalar> = Elements::new(&bytes, list)
        .map(|element| element.unwrap().scalar(DataType::Int64).unwrap())
        .collect();
    assert_eq!(elements, rows.iter().map(|row| row[1].clone()).collect::<Vec<_>>());
    let none = of_one_group(StateFunction::ArrayAgg, vec![number.clone()], list, &[]).unwrap();
    assert_eq!(none, Scalar::Null);

    let map = nested(Nested::Map { key: DataType::Varchar, value: DataType::Int64 }).unwrap();
    let args = vec![word.clone(), number.clone(), number];
    let given = of_one_group(StateFunction::MapAgg, args.clone(), map, &rows).unwrap();
    let Scalar::Bytes(bytes) = given else { panic!("no map") };
    assert_eq!(
        Elements::new(&bytes, map).collect::<columnar::Result<Vec<_>>>().unwrap().len(),
        3,
        "one key is null"
    );
    let twice = [row(Some(1), text("a")), row(Some(2), text("a"))];
    let error = of_one_group(StateFunction::MapAgg, args, map, &twice).unwrap_err().to_string();
    assert!(error.contains("key 'a'") || error.contains("key a"), "{error}");
}
