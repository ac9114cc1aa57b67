use super::*;
use crate::memory::MemoryPool;
use crate::operators::testing::*;
use crate::plan::{
    AggregateFunction, FrameBound, FrameExclusion, FrameUnit, Plan, WindowCall, WindowFrame, WindowFunction,
};
use columnar::{DataType, Scalar, Value};
use proptest::prelude::*;
use std::cmp::Ordering;

/// A partition, a key, a number of its own, what is summed, and how many rows to look back.
const TYPES: [DataType; 8] = [
    DataType::Int16,
    DataType::Int64,
    DataType::Int64,
    DataType::decimal(38, 0),
    DataType::Float64,
    DataType::Varchar,
    DataType::Boolean,
    DataType::Int64,
];
const KEY: usize = 1;
const ID: usize = 2;

fn rows(random: &mut Random, count: usize, partitions: usize) -> Vec<Row> {
    let row = |id: usize| {
        let mut value = |value: Scalar| if random.below(5) == 0 { Scalar::Null } else { value };
        let (number, partition) = (id * 7_919 % 23, id * 31 % partitions.max(1));
        vec![
            value(Scalar::Integer(partition as i128)),
            value(Scalar::Integer(number as i128 - 9)),
            Scalar::Integer(id as i128),
            value(Scalar::Integer(number as i128 * 10_i128.pow(35) - 10_i128.pow(36))),
            value(Scalar::Float(number as f64 - 4.0)),
            value(Scalar::Bytes(format!("a text of some length {}", number % 7).into_bytes())),
            value(Scalar::Boolean(number.is_multiple_of(3))),
            value(Scalar::Integer(number as i128 % 6 - 1)),
        ]
    };
    (0..count).map(row).collect()
}

fn column(column: usize) -> Expr {
    Expr::column(column as u32, TYPES[column])
}

/// Calls of every function, each with a frame drawn for it. Where rows may be peers only such as do not hang on their order.
fn calls(random: &mut Random, unique: bool) -> Vec<WindowCall> {
    use AggregateFunction::{AnyValue, BoolAnd, BoolOr, Count, CountRows, Max, Min, Sum};
    use WindowFunction::*;
    let big = DataType::Int64;
    let mut all = vec![
        (Rank, vec![], big),
        (DenseRank, vec![], big),
        (PercentRank, vec![], DataType::Float64),
        (CumeDist, vec![], DataType::Float64),
        (Aggregate(CountRows), vec![], big),
        (Aggregate(Count), vec![5], big),
        (Aggregate(Sum), vec![3], DataType::decimal(38, 0)),
        (Aggregate(Sum), vec![7], DataType::decimal(38, 0)),
        (Aggregate(Sum), vec![4], DataType::Float64),
        (Aggregate(Min), vec![5], DataType::Varchar),
        (Aggregate(Max), vec![3], TYPES[3]),
        (Aggregate(Max), vec![5], DataType::Varchar),
        (Aggregate(BoolAnd), vec![6], DataType::Boolean),
        (Aggregate(BoolOr), vec![6], DataType::Boolean),
    ];
    if unique {
        all.extend([
            (RowNumber, vec![], big),
            (Lag, vec![5, 7], DataType::Varchar),
            (Lead, vec![3, 7], TYPES[3]),
            (Lead, vec![5], DataType::Varchar),
            (FirstValue, vec![5], DataType::Varchar),
            (LastValue, vec![4], DataType::Float64),
            (Aggregate(AnyValue), vec![5], DataType::Varchar),
        ]);
    }
    let mut bound = |start: bool, unit: FrameUnit| {
        let offset = Value::new(big, Scalar::Integer(random.below(4) as i128));
        match random.below(if unit == FrameUnit::Rows || !start { 4 } else { 5 }) {
            0 if start => FrameBound::UnboundedPreceding,
            0 => FrameBound::UnboundedFollowing,
            1 => FrameBound::CurrentRow,
            2 => FrameBound::Preceding(offset),
            _ => FrameBound::Following(offset),
        }
    };
    let mut frame = |number: usize| {
        let units = [FrameUnit::Groups, FrameUnit::Range, FrameUnit::Rows];
        let unit = units[number % if unique { 3 } else { 2 }];
        let (start, end) = (bound(true, unit), bound(false, unit));
        let exclusions = [
            FrameExclusion::NoOthers,
            FrameExclusion::NoOthers,
            FrameExclusion::CurrentRow,
            FrameExclusion::Group,
            FrameExclusion::Ties,
        ];
        // A range counts by the only key.
        let by_key = unit == FrameUnit::Range && !unique;
        let offsets = [&start, &end]
            .iter()
            .any(|bound| matches!(bound, FrameBound::Preceding(_) | FrameBound::Following(_)));
        let unit = if offsets && unit == FrameUnit::Range && unique { FrameUnit::Rows } else { unit };
        let key = by_key.then(|| column(KEY));
        WindowFrame { unit, start, end, exclusion: exclusions[(number / 3) % 5], key }
    };
    let call = |(number, (function, args, data_type)): (usize, (WindowFunction, Vec<usize>, DataType))| {
        let ignore_nulls = matches!(function, Lag | Lead | FirstValue | LastValue) && number % 2 == 1;
        let args = args.into_iter().map(column).collect();
        WindowCall { function, args, ignore_nulls, frame: frame(number * 7 + number / 2), data_type }
    };
    all.into_iter().enumerate().map(call).collect()
}

fn order(unique: bool, descending: bool, nulls_first: bool) -> Vec<SortKey> {
    let key = SortKey { expr: column(KEY), descending, nulls_first };
    let own = SortKey { expr: column(ID), descending: false, nulls_first: false };
    if unique { vec![key, own] } else { vec![key] }
}

/// The rows with the calls, by what the words mean.
struct Naive<'a> {
    order: &'a [SortKey],
    calls: &'a [WindowCall],
}

impl Naive<'_> {
    fn compare(&self, a: &Row, b: &Row) -> Ordering {
        let by_key = |key: &SortKey| {
            let Expr::Column { id, .. } = key.expr else { panic!("{key:?}") };
            let (a, b) = (&a[id as usize], &b[id as usize]);
            match a.compare(b) {
                Some(order) if key.descending => order.reverse(),
                Some(order) => order,
                None => {
                    let last = |value: &Scalar| matches!(value, Scalar::Null) != key.nulls_first;
                    last(a).cmp(&last(b))
                }
            }
        };
        self.order.iter().map(by_key).find(|order| *order != Ordering::Equal).unwrap_or(Ordering::Equal)
    }

    fn answer(&self, rows: &[Row]) -> Vec<Row> {
        let mut answer = Vec::new();
        let mut partitions: Vec<Vec<Row>> = Vec::new();
        for row in rows {
            match partitions.iter_mut().find(|partition| partition[0][0] == row[0]) {
                Some(partition) => partition.push(row.clone()),
                None => partitions.push(vec![row.clone()]),
            }
        }
        for mut partition in partitions {
            partition.sort_by(|a, b| self.compare(a, b));
            for (at, row) in partition.iter().enumerate() {
                let calls = self.calls.iter().map(|call| self.value(call, &partition, at));
                answer.push(row.iter().cloned().chain(calls).collect());
            }
        }
        answer
    }

    fn value(&self, call: &WindowCall, rows: &[Row], at: usize) -> Scalar {
        use WindowFunction::*;
        let peers = |a: usize, b: usize| self.compare(&rows[a], &rows[b]) == Ordering::Equal;
        let group = |row: usize| (1..=row).filter(|&row| !peers(row - 1, row)).count();
        let number = |count: usize| Scalar::Integer(count as i128);
        let (first_peer, peers_end) = (
            (0..rows.len()).find(|&row| peers(row, at)).unwrap(),
            (0..rows.len()).rfind(|&row| peers(row, at)).unwrap() + 1,
        );
        let argument = |row: usize, at: usize| match call.args[at] {
            Expr::Column { id, .. } => rows[row][id as usize].clone(),
            _ => panic!("no column"),
        };
        let usable = |row: &usize| !call.ignore_nulls || !matches!(argument(*row, 0), Scalar::Null);
        match call.function {
            RowNumber => return number(at + 1),
            Rank => return number(first_peer + 1),
            DenseRank => return number(group(at) + 1),
            PercentRank if rows.len() == 1 => return Scalar::Float(0.0),
            PercentRank => return Scalar::Float(first_peer as f64 / (rows.len() - 1) as f64),
            CumeDist => return Scalar::Float(peers_end as f64 / rows.len() as f64),
            Lag | Lead => {
                let by = match call.args.len() {
                    1 => 1,
                    _ => match argument(at, 1) {
                        Scalar::Integer(by) => by,
                        _ => return Scalar::Null,
                    },
                };
                let by = if call.function == Lag { -by } else { by };
                let steps = by.unsigned_abs() as usize;
                let found = match by.cmp(&0) {
                    Ordering::Equal => Some(at),
                    Ordering::Less => (0..at).rev().filter(usable).nth(steps - 1),
                    Ordering::Greater => (at + 1..rows.len()).filter(usable).nth(steps - 1),
                };
                return found.map_or(Scalar::Null, |row| argument(row, 0));
            }
            _ => {}
        }
        let key = |row: usize| rows[row][KEY].as_integer();
        let descending = self.order[0].descending;
        let nulls_first = self.order[0].nulls_first;
        // How far a row is from this one in the unit of the frame; where that is a null, on which side it lies.
        let distance = |row: usize| -> std::result::Result<i128, bool> {
            Ok(match call.frame.unit {
                FrameUnit::Rows => row as i128 - at as i128,
                FrameUnit::Groups => group(row) as i128 - group(at) as i128,
                FrameUnit::Range => match (key(row), key(at)) {
                    (Some(a), Some(b)) if descending => b - a,
                    (Some(a), Some(b)) => a - b,
                    (None, Some(_)) => return Err(nulls_first),
                    // A null has its peers.
                    (None, None) => return Ok(i128::MAX),
                    (Some(_), None) => return Err(!nulls_first),
                },
            })
        };
        let offset = |value: &Value| value.scalar.as_integer().unwrap();
        let own_null = call.frame.unit == FrameUnit::Range && key(at).is_none();
        let reaches = |row: usize, bound: &FrameBound, start: bool| {
            let by = match bound {
                FrameBound::UnboundedPreceding | FrameBound::UnboundedFollowing => return true,
                FrameBound::CurrentRow => {
                    return match (call.frame.unit, start) {
                        (FrameUnit::Rows, true) => row >= at,
                        (FrameUnit::Rows, false) => row <= at,
                        (_, true) => row >= first_peer,
                        (_, false) => row < peers_end,
                    };
                }
                FrameBound::Preceding(value) => -offset(value),
                FrameBound::Following(value) => offset(value),
            };
            if own_null {
                return if start { row >= first_peer } else { row < peers_end };
            }
            match distance(row) {
                Ok(distance) => {
                    if start {
                        distance >= by
                    } else {
                        distance <= by
                    }
                }
                Err(before) => before != start,
            }
        };
        let frame: Vec<usize> = (0..rows.len())
            .filter(|&row| reaches(row, &call.frame.start, true) && reaches(row, &call.frame.end, false))
            .filter(|&row| match call.frame.exclusion {
                FrameExclusion::NoOthers => true,
                FrameExclusion::CurrentRow => row != at,
                FrameExclusion::Group => !peers(row, at),
                FrameExclusion::Ties => row == at || !peers(row, at),
            })
            .collect();
        let values =
            || frame.iter().map(|&row| argument(row, 0)).filter(|value| !matches!(value, Scalar::Null));
        let best = |wanted: Ordering| {
            let best = values().reduce(|a, b| if b.compare(&a) == Some(wanted) { b } else { a });
            best.unwrap_or(Scalar::Null)
        };
        let truth = |decides: bool| match values().count() {
            0 => Scalar::Null,
            _ => Scalar::Boolean(values().any(|value| value == Scalar::Boolean(decides)) == decides),
        };
        match call.function {
            FirstValue => frame.iter().find(|row| usable(row)).map_or(Scalar::Null, |&row| argument(row, 0)),
            LastValue => frame.iter().rfind(|row| usable(row)).map_or(Scalar::Null, |&row| argument(row, 0)),
            Aggregate(AggregateFunction::CountRows) => number(frame.len()),
            Aggregate(AggregateFunction::Count) => number(values().count()),
            Aggregate(AggregateFunction::Sum) => values()
                .reduce(|a, b| match (a, b) {
                    (Scalar::Float(a), Scalar::Float(b)) => Scalar::Float(a + b),
                    (a, b) => Scalar::Integer(a.as_integer().unwrap() + b.as_integer().unwrap()),
                })
                .unwrap_or(Scalar::Null),
            Aggregate(AggregateFunction::Min) => best(Ordering::Less),
            Aggregate(AggregateFunction::Max) => best(Ordering::Greater),
            Aggregate(AggregateFunction::AnyValue) => values().next().unwrap_or(Scalar::Null),
            Aggregate(AggregateFunction::BoolAnd) => truth(false),
            Aggregate(AggregateFunction::BoolOr) => truth(true),
            other => panic!("{other:?}"),
        }
    }
}

fn plan(order: Vec<SortKey>, calls: Vec<WindowCall>) -> plan::Window {
    let input = Box::new(Plan::Values { types: TYPES.to_vec(), rows: vec![] });
    plan::Window { input, partition: vec![column(0)], order, calls }
}

fn run(
    window: &plan::Window,
    rows: &[Row],
    tight: bool,
    tasks: usize,
    query: &QueryContext,
) -> Result<Vec<Row>> {
    let parts = Window::new(window, &shapes_of(&TYPES, rows, tight), query)?;
    fill(&*parts.sink, batches_of(&TYPES, rows, query.settings.batch_rows), tasks, query)?;
    drain(&*parts.source, tasks, query)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn calls_have_the_values_that_the_words_mean(
        seed: u64,
        count in prop_oneof![Just(0_usize), Just(1), 2..20_usize, 50..120_usize],
        partitions in prop_oneof![Just(1_usize), Just(3), Just(40)],
        batch_rows in prop_oneof![Just(1_usize), Just(3), Just(2048)],
        tasks in 1..4_usize,
        flags: (bool, bool, bool, bool, bool),
    ) {
        let (unique, tight, disturbed, descending, nulls_first) = flags;
        let mut random = Random(seed);
        let rows = rows(&mut random, count, partitions);
        let (order, calls) = (order(unique, descending, nulls_first), calls(&mut random, unique));
        let expected = Naive { order: &order, calls: &calls }.answer(&rows);
        let query = query(batch_rows, disturbed.then_some(seed));
        let result = run(&plan(order, calls), &rows, tight, tasks, &query).unwrap();
        prop_assert_eq!(sorted(&result), sorted(&expected));
        prop_assert_eq!(query.memory.used_bytes(), 0);
    }
}

/// A count, a sum and a maximum over some rows around each.
fn sliding() -> Vec<WindowCall> {
    use AggregateFunction::{CountRows, Max, Sum};
    let frame = WindowFrame {
        unit: FrameUnit::Rows,
        start: FrameBound::Preceding(Value::int64(1_000)),
        end: FrameBound::Following(Value::int64(1_000)),
        exclusion: FrameExclusion::NoOthers,
        key: None,
    };
    let of = |function, args: Vec<Expr>, data_type| WindowCall {
        function: WindowFunction::Aggregate(function),
        args,
        ignore_nulls: false,
        frame: frame.clone(),
        data_type,
    };
    vec![
        of(CountRows, vec![], DataType::Int64),
        of(Sum, vec![column(ID)], DataType::decimal(38, 0)),
        of(Max, vec![column(ID)], DataType::Int64),
        of(Sum, vec![column(4)], DataType::Float64),
    ]
}

#[test]
fn partitions_of_many_rows_lie_over_ranges_and_units() {
    let count = 300_000_usize;
    let row = |id: usize| {
        let mut row = vec![Scalar::Null; TYPES.len()];
        // One partition has half of the rows, the others a few each.
        row[0] = Scalar::Integer(if id.is_multiple_of(2) { 0 } else { id as i128 % 9_973 });
        row[KEY] = Scalar::Integer(id as i128 * 7_919 % 300_007);
        row[ID] = Scalar::Integer(id as i128 % 1_009);
        row[4] = Scalar::Float(1.0);
        row
    };
    let rows: Vec<Row> = (0..count).map(row).collect();
    let query = query(2048, None);
    let window = plan(order(true, false, false), sliding());
    let mut result = run(&window, &rows, true, 3, &query).unwrap();
    assert_eq!(result.len(), count);
    let by = |row: &Row| (row[0].as_integer(), row[KEY].as_integer(), row[ID].as_integer());
    result.sort_by_key(by);
    for partition in result.chunk_by(|a, b| a[0] == b[0]) {
        let step = if partition.len() > 1_000 { 997 } else { 1 };
        for at in (0..partition.len()).step_by(step) {
            let frame = &partition[at.saturating_sub(1_000)..partition.len().min(at + 1_001)];
            let values = || frame.iter().map(|row| row[ID].as_integer().unwrap());
            let expected = vec![
                Scalar::Integer(frame.len() as i128),
                Scalar::Integer(values().sum()),
                Scalar::Integer(values().max().unwrap()),
                Scalar::Float(frame.len() as f64),
            ];
            assert_eq!(partition[at][TYPES.len()..], expected);
        }
    }
    assert_eq!(query.memory.used_bytes(), 0);
}

#[test]
fn a_window_beyond_its_memory_fails() {
    let rows = rows(&mut Random(2), 20_000, 5);
    let mut query = query(2048, None);
    query.memory = MemoryPool::new(2_600_000);
    let window = plan(order(true, false, false), sliding());
    assert!(matches!(run(&window, &rows, true, 1, &query).unwrap_err(), Error::Memory { .. }));
    assert_eq!(query.memory.used_bytes(), 0);
}

#[test]
fn a_sum_that_leaves_its_type_fails_and_one_that_comes_back_does_not() {
    let largest = 10_i128.pow(38) - 1;
    let value = |id: i128, value: i128| {
        let mut row = vec![Scalar::Null; TYPES.len()];
        (row[ID], row[3]) = (Scalar::Integer(id), Scalar::Integer(value));
        row
    };
    let sum = |frame: WindowFrame| WindowCall {
        function: WindowFunction::Aggregate(AggregateFunction::Sum),
        args: vec![column(3)],
        ignore_nulls: false,
        frame,
        data_type: DataType::decimal(38, 0),
    };
    let query = query(2048, None);
    let window = |frame| plan(order(true, false, false), vec![sum(frame)]);
    let rows: Vec<Row> = [largest, largest, -largest, -largest, 5]
        .iter()
        .enumerate()
        .map(|(id, &one)| value(id as i128, one))
        .collect();
    // All of them together are 5, but not the first two.
    let result = run(&window(WindowFrame::whole()), &rows, false, 1, &query).unwrap();
    assert!(result.iter().all(|row| row[TYPES.len()] == Scalar::Integer(5)));
    let growing = WindowFrame { end: FrameBound::CurrentRow, ..WindowFrame::whole() };
    let error = run(&window(growing), &rows, false, 1, &query).unwrap_err();
    assert!(error.to_string().contains("sum of DECIMAL(38,0) is out of range"), "{error}");
}
