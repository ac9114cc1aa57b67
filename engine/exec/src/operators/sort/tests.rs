use super::*;
use crate::operator::Output;
use crate::operators::scan::Scan;
use crate::operators::testing::*;
use crate::operators::top_n::TopN;
use crate::plan::{self, TableRef};
use crate::{Expr, Result};
use columnar::{DataType, Interval, Scalar};
use proptest::prelude::*;
use std::cell::Cell;
use std::task::Waker;

const TYPES: [DataType; 8] = [
    DataType::Int16,
    DataType::Int64,
    DataType::decimal(38, 0),
    DataType::Float64,
    DataType::Float32,
    DataType::Varchar,
    DataType::Interval,
    DataType::Boolean,
];

fn rows(random: &mut Random, count: usize, domain: usize, nulls: bool) -> Vec<Row> {
    let mut value = |data_type: DataType| {
        if nulls && random.below(5) == 0 {
            return Scalar::Null;
        }
        let number = random.below(domain) as i128 - domain as i128 / 3;
        match data_type {
            DataType::Boolean => Scalar::Boolean(number % 2 == 0),
            DataType::Float32 | DataType::Float64 => Scalar::Float(match number {
                0 => f64::NAN,
                1 => -0.0,
                2 => f64::NEG_INFINITY,
                _ => number as f64 / 4.0,
            }),
            DataType::Varchar => Scalar::Bytes(
                ["", "a", "prefix 1", "prefix 12", "prefix 123456789 long", "z"]
                    [number.unsigned_abs() as usize % 6]
                    .into(),
            ),
            DataType::Interval => {
                Scalar::Interval(Interval { months: 0, days: number as i32, micros: number as i64 })
            }
            DataType::Decimal { .. } => Scalar::Integer(number * 1_000_000_000_000_000_000_000_000),
            DataType::Int16 => Scalar::Integer(number % 30_000),
            _ => Scalar::Integer(number),
        }
    };
    (0..count).map(|_| TYPES.iter().map(|&data_type| value(data_type)).collect()).collect()
}

fn keys(of: &[(usize, bool, bool)]) -> Vec<SortKey> {
    of.iter()
        .map(|&(column, descending, nulls_first)| {
            let expr = Expr::column(column as u32, TYPES[column]);
            SortKey { expr, descending, nulls_first }
        })
        .collect()
}

fn compare(a: &Row, b: &Row, keys: &[(usize, bool, bool)]) -> Ordering {
    for &(column, descending, nulls_first) in keys {
        let order = match a[column].compare(&b[column]) {
            Some(order) if descending => order.reverse(),
            Some(order) => order,
            None => {
                let null = |row: &Row| matches!(row[column], Scalar::Null) != nulls_first;
                null(a).cmp(&null(b))
            }
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

struct Case<'a> {
    keys: &'a [(usize, bool, bool)],
    range: Option<(u64, u64)>,
    tight: bool,
    tasks: usize,
}

fn run(case: &Case<'_>, rows: &[Row], query: &QueryContext) -> Result<Vec<Row>> {
    let (keys, shapes) = (keys(case.keys), shapes_of(&TYPES, rows, case.tight));
    let (sink, source) = match case.range {
        None => {
            let Sort { sink, source } = Sort::new(&keys, &shapes, query)?;
            (sink, source)
        }
        Some((limit, offset)) => {
            let TopN { sink, source, .. } = TopN::new(&keys, limit, offset, &shapes, query)?;
            (sink, source)
        }
    };
    assert_eq!(source.parallelism(), 1);
    fill(&*sink, batches_of(&TYPES, rows, query.settings.batch_rows), case.tasks, query)?;
    drain(&*source, 1, query)
}

/// Checks a result against the rows it should come from.
fn check(case: &Case<'_>, rows: &[Row], result: &[Row]) {
    let mut expected = rows.to_vec();
    expected.sort_by(|a, b| compare(a, b, case.keys));
    let (limit, offset) = case.range.unwrap_or((u64::MAX, 0));
    let start = expected.len().min(offset as usize);
    let end = expected.len().min(start.saturating_add(usize::try_from(limit).unwrap_or(usize::MAX)));
    assert_eq!(result.len(), end - start);
    for (row, wanted) in result.iter().zip(&expected[start..end]) {
        assert_eq!(compare(row, wanted, case.keys), Ordering::Equal, "{row:?} for {wanted:?}");
    }
    if case.range.is_none() {
        assert_eq!(sorted(result), sorted(&expected));
    } else {
        let all = sorted(rows);
        assert!(sorted(result).iter().all(|row| all.binary_search(row).is_ok()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn rows_come_in_the_order_of_the_keys(
        seed: u64,
        count in prop_oneof![Just(0_usize), Just(1), 2..20_usize, 100..600_usize],
        domain in prop_oneof![Just(1_usize), Just(5), Just(10_000)],
        key_count in 0..4_usize,
        batch_rows in prop_oneof![Just(1_usize), Just(3), Just(2048)],
        tasks in 1..4_usize,
        range in prop_oneof![
            Just(None),
            (prop_oneof![Just(0_u64), 1..30_u64, Just(u64::MAX)], prop_oneof![Just(0_u64), 1..30_u64]).prop_map(Some),
        ],
        flags: (bool, bool, bool),
    ) {
        let (nulls, tight, disturbed) = flags;
        let mut random = Random(seed);
        let rows = rows(&mut random, count, domain, nulls);
        let keys: Vec<(usize, bool, bool)> = (0..key_count)
            .map(|_| (random.below(TYPES.len()), random.below(2) == 0, random.below(2) == 0))
            .collect();
        let query = query(batch_rows, disturbed.then_some(seed));
        let case = Case { keys: &keys, range, tight, tasks };
        let result = run(&case, &rows, &query).unwrap();
        check(&case, &rows, &result);
        prop_assert_eq!(query.memory.used_bytes(), 0);
    }
}

#[test]
fn many_runs_and_ranges_are_merged() {
    let rows: Vec<Row> = {
        let mut random = Random(5);
        (0..150_000)
            .map(|_| {
                let mut row = vec![Scalar::Null; TYPES.len()];
                row[1] = Scalar::Integer(random.below(1 << 40) as i128);
                row[5] = Scalar::Bytes(format!("{:03}", random.below(50)).into_bytes());
                row
            })
            .collect()
    };
    let query = query(2048, None);
    for keys in [&[(1, true, false)][..], &[(5, false, false), (1, false, false)], &[(7, false, false)]] {
        for range in [None, Some((3_000, 10)), Some((60_000, 70_000))] {
            let case = Case { keys, range, tight: true, tasks: 2 };
            let result = run(&case, &rows, &query).unwrap();
            let ordered = |pair: &[Row]| compare(&pair[0], &pair[1], keys) != Ordering::Greater;
            assert!(result.windows(2).all(ordered));
            assert_eq!(result.len(), range.map_or(rows.len(), |(limit, _)| limit as usize));
        }
    }
}

#[test]
fn a_sort_beyond_its_memory_fails_and_a_top_n_needs_little() {
    let rows = rows(&mut Random(2), 20_000, 1_000_000, false);
    let mut query = query(2048, None);
    query.memory = MemoryPool::new(1_300_000);
    let mut case = Case { keys: &[(1, false, false)], range: None, tight: true, tasks: 2 };
    assert!(matches!(run(&case, &rows, &query).unwrap_err(), Error::Memory { .. }));
    assert_eq!(query.memory.used_bytes(), 0);
    case.range = Some((10, 5));
    check(&case, &rows, &run(&case, &rows, &query).unwrap());
}

/// The result of a top-N over a scan that drops what its bound rules out, and how many rows the scan gave.
fn bounded(case: &Case<'_>, rows: &[Row], segment_rows: usize, query: &QueryContext) -> (Vec<Row>, usize) {
    let table = TableRef { tenant: "default".into(), dataset: 1, version: 1, name: "t".into() };
    let columns = (0..TYPES.len() as u32).collect();
    let plan = plan::Scan { table, schema: TYPES.to_vec(), columns, predicate: vec![] };
    let held = table_of(&TYPES, rows, segment_rows);
    let scan = Scan::new(&plan, &held, query.settings.batch_rows, case.tasks, Arc::default()).unwrap();
    let (limit, offset) = case.range.unwrap();
    let top = TopN::new(&keys(case.keys), limit, offset, scan.output(), query).unwrap();
    let (column, bound) = top.bound.unwrap();
    assert_eq!(column, case.keys[0].0);
    scan.bound_by(column, bound);
    let (given, mut turn) = (Cell::new(0), 0);
    let mut tasks: Vec<_> = (0..case.tasks).map(|_| scan.start().unwrap()).collect();
    let batches = std::iter::from_fn(|| {
        while !tasks.is_empty() {
            turn = (turn + 1) % tasks.len();
            match tasks[turn].next(&step(query, Waker::noop())).unwrap() {
                Output::Batch(batch) => {
                    given.set(given.get() + batch.rows);
                    return Some(batch);
                }
                Output::Finished => drop(tasks.remove(turn)),
                _ => {}
            }
        }
        None
    });
    fill(&*top.sink, batches, case.tasks, query).unwrap();
    (drain(&*top.source, 1, query).unwrap(), given.get())
}

#[test]
fn a_scan_within_the_bound_gives_the_first_rows() {
    let mut random = Random(11);
    for round in 0..200 {
        let domain = [1, 5, 100_000][random.below(3)];
        let mut rows = rows(&mut random, [0, 1, 40, 3_000][round % 4], domain, round % 3 > 0);
        let keys: Vec<(usize, bool, bool)> = (0..1 + random.below(2))
            .map(|_| (random.below(TYPES.len()), random.below(2) == 0, random.below(2) == 0))
            .collect();
        let other_way = [(keys[0].0, !keys[0].1, !keys[0].2)];
        match random.below(3) {
            0 => rows.sort_by(|a, b| compare(a, b, &keys)),
            1 => rows.sort_by(|a, b| compare(a, b, &other_way)),
            _ => {}
        }
        let query = query([1, 3, 64, 2048][random.below(4)], (round % 5 == 0).then_some(round as u64));
        let range = Some((1 + random.below(30) as u64, random.below(3) as u64 * 7));
        let case = Case { keys: &keys, range, tight: true, tasks: 1 + random.below(3) };
        let (result, _) = bounded(&case, &rows, [50, 700, 5_000][random.below(3)], &query);
        check(&case, &rows, &result);
    }
}

#[test]
fn a_scan_within_the_bound_leaves_out_most_rows() {
    let numbered = |number: i128| {
        let mut row = vec![Scalar::Null; TYPES.len()];
        row[1] = Scalar::Integer(number);
        row[5] = Scalar::Bytes(format!("text number {number:06}").into_bytes());
        row
    };
    let ascending: Vec<Row> = (0..20_000).map(numbered).collect();
    let scattered: Vec<Row> = (0..20_000).map(|number| numbered(number * 7_919 % 20_000)).collect();
    let query = query(64, None);
    for key in [1, 5] {
        for descending in [false, true] {
            let keys = [(key, descending, descending)];
            let case = Case { keys: &keys, range: Some((10, 0)), tight: true, tasks: 2 };
            // Blocks are read from the end that the order begins at, and the first batches tell the bound.
            let (result, given) = bounded(&case, &ascending, 1_000, &query);
            check(&case, &ascending, &result);
            assert!(given <= if descending { 1_500 } else { 1_000 }, "{given} rows by {keys:?}");
            // Of one block, too, the rest is dropped as soon as the bound is known.
            for segment_rows in [1_000, 20_000] {
                let (result, given) = bounded(&case, &scattered, segment_rows, &query);
                check(&case, &scattered, &result);
                assert!(given <= 3_000, "{given} rows by {keys:?}");
            }
        }
    }
}

#[test]
fn only_a_top_n_by_a_column_that_drops_rows_tells_its_bound() {
    let shapes: Vec<Shape> = TYPES.iter().map(|&data_type| Shape::of_type(data_type)).collect();
    let query = query(2048, None);
    let is_bounded = |keys: &[SortKey], limit| {
        TopN::new(keys, limit, 0, &shapes, &query).unwrap().bound.map(|(column, _)| column)
    };
    let mut by = keys(&[(1, false, false), (0, false, false)]);
    assert_eq!(is_bounded(&by, 10), Some(1));
    assert_eq!(is_bounded(&by, u64::MAX), None);
    let one = Expr::Literal(columnar::Value::new(TYPES[1], Scalar::Integer(1)));
    let column = Expr::column(1, TYPES[1]);
    // It may overflow.
    by[1].expr = Expr::arithmetic(crate::expr::ArithmeticOp::Add, column, one, TYPES[1]);
    assert_eq!(is_bounded(&by, 10), None);
    by.reverse();
    assert_eq!(is_bounded(&by, 10), None);
    assert_eq!(is_bounded(&[], 10), None);
}
