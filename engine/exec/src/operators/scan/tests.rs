//! Scans against a row-by-row oracle.

use super::*;
use crate::context::QueryContext;
use crate::expr::{CompareOp, Expr};
use crate::memory::MemoryPool;
use crate::operator::Operator;
use crate::operators::key_filter::NoteKeys;
use crate::plan::TableRef;
use columnar::{Value, Vector};
use std::cmp::Ordering as Order;
use std::task::Waker;
use storage::{ColumnSchema, SegmentBuilder};

pub(crate) const TYPES: [DataType; 5] =
    [DataType::Int32, DataType::Int64, DataType::Varchar, DataType::Boolean, DataType::decimal(12, 2)];

/// Row `row`: ascending, scattered with nulls, few strings with nulls, boolean, all but constant.
pub(crate) fn row(row: usize) -> Vec<Scalar> {
    let scattered = (row as i128 * 7919) % 100_003 - 5_000;
    vec![
        Scalar::Integer(row as i128),
        if row % 11 == 3 { Scalar::Null } else { Scalar::Integer(scattered) },
        match row % 5 {
            4 => Scalar::Null,
            kind => Scalar::Bytes(format!("kind number {kind} of strings").into_bytes()),
        },
        Scalar::Boolean(row.is_multiple_of(3)),
        Scalar::Integer(if row % 1000 == 999 { 250 } else { 100 }),
    ]
}

/// A table of rows `0 .. rows` in segments of `segment_rows`.
fn table(rows: usize, segment_rows: usize) -> Table {
    table_of(0..rows, segment_rows)
}

/// As [`table`], of some rows.
pub(crate) fn table_of(rows: std::ops::Range<usize>, segment_rows: usize) -> Table {
    let schema: Arc<[ColumnSchema]> = TYPES
        .iter()
        .enumerate()
        .map(|(column, &data_type)| ColumnSchema { name: format!("c{column}"), data_type, nullable: true })
        .collect();
    let segment = |start: usize| {
        let mut builder = SegmentBuilder::new(schema.clone());
        for first in (start..rows.end.min(start + segment_rows)).step_by(2048) {
            let rows: Vec<Vec<Scalar>> =
                (first..rows.end.min(start + segment_rows).min(first + 2048)).map(row).collect();
            let column = |column: usize| {
                let scalars: Vec<Scalar> = rows.iter().map(|row| row[column].clone()).collect();
                Vector::from_scalars(TYPES[column], &scalars)
            };
            builder.push(&Batch::of_rows((0..TYPES.len()).map(column).collect(), rows.len())).unwrap();
        }
        Arc::new(storage::Segment::open(builder.finish().unwrap().into_bytes()).unwrap())
    };
    Table { segments: rows.clone().step_by(segment_rows).map(segment).collect(), schema }
}

pub(crate) fn plan(columns: &[u32], predicate: &[Expr]) -> plan::Scan {
    let table = TableRef { tenant: "default".into(), dataset: 1, version: 1, name: "t".into() };
    plan::Scan { table, schema: TYPES.to_vec(), columns: columns.to_vec(), predicate: predicate.to_vec() }
}

/// All rows that two interleaved tasks of a scan give, sorted by the first column.
fn drain(scan: &Scan, batch_rows: usize) -> Vec<Vec<Scalar>> {
    let query = QueryContext::new(1, MemoryPool::unlimited());
    let mut tasks = [scan.start().unwrap(), scan.start().unwrap()];
    let (mut rows, mut ended) = (Vec::new(), [false; 2]);
    while ended != [true; 2] {
        for (task, ended) in tasks.iter_mut().zip(&mut ended) {
            match task.next(&Step { query: &query, waker: Waker::noop(), started: query.now() }).unwrap() {
                Output::Batch(batch) => {
                    assert!(batch.selection.is_none() && batch.rows > 0 && batch.rows <= batch_rows);
                    for (column, shape) in batch.columns.iter().zip(scan.output()) {
                        assert_eq!(
                            (column.data_type(), column.physical()),
                            (shape.data_type, shape.physical)
                        );
                        assert!(shape.nullable || column.validity().is_none_or(|validity| validity.all()));
                    }
                    rows.extend((0..batch.rows).map(|row| {
                        batch.columns.iter().map(|column| column.scalar(row)).collect::<Vec<_>>()
                    }));
                }
                Output::Finished => *ended = true,
                Output::Yield => {}
                other => panic!("{other:?}"),
            }
        }
    }
    rows.sort_by(|a, b| a.first().zip(b.first()).and_then(|(a, b)| a.compare(b)).unwrap_or(Order::Equal));
    rows
}

/// The value of an expression for a row; of those that scans are tested with.
fn oracle(expr: &Expr, row: &[Scalar]) -> Scalar {
    let truth = |value: Option<bool>| value.map_or(Scalar::Null, Scalar::Boolean);
    let bool = |expr: &Expr| match oracle(expr, row) {
        Scalar::Boolean(value) => Some(value),
        _ => None,
    };
    match expr {
        Expr::Column { id, .. } => row[*id as usize].clone(),
        Expr::Literal(value) => value.scalar.clone(),
        Expr::Compare { op, left, right } => {
            let (left, right) = (oracle(left, row), oracle(right, row));
            let order = left.compare(&right);
            match op {
                CompareOp::IsDistinctFrom => Scalar::Boolean(left != right),
                CompareOp::IsNotDistinctFrom => Scalar::Boolean(left == right),
                CompareOp::Equal => truth(order.map(Order::is_eq)),
                CompareOp::NotEqual => truth(order.map(Order::is_ne)),
                CompareOp::Less => truth(order.map(Order::is_lt)),
                CompareOp::LessOrEqual => truth(order.map(Order::is_le)),
                CompareOp::Greater => truth(order.map(Order::is_gt)),
                CompareOp::GreaterOrEqual => truth(order.map(Order::is_ge)),
            }
        }
        Expr::And(operands) => {
            let values: Vec<Option<bool>> = operands.iter().map(bool).collect();
            truth(if values.contains(&Some(false)) {
                Some(false)
            } else {
                (!values.contains(&None)).then_some(true)
            })
        }
        Expr::Or(operands) => {
            let values: Vec<Option<bool>> = operands.iter().map(bool).collect();
            truth(if values.contains(&Some(true)) {
                Some(true)
            } else {
                (!values.contains(&None)).then_some(false)
            })
        }
        Expr::Not(input) => truth(bool(input).map(|value| !value)),
        Expr::IsNull { input, negated } => {
            Scalar::Boolean(matches!(oracle(input, row), Scalar::Null) != *negated)
        }
        Expr::InList { input, list, negated } => {
            let value = oracle(input, row);
            let found = list.iter().any(|item| value.compare(&item.scalar) == Some(Order::Equal));
            let unknown = value == Scalar::Null || !found && list.iter().any(Value::is_null);
            truth((!unknown).then_some(found != *negated))
        }
        other => panic!("no oracle for {other:?}"),
    }
}

fn column(id: u32) -> Expr {
    Expr::column(id, TYPES[id as usize])
}

fn literal(id: u32, scalar: Scalar) -> Expr {
    Expr::Literal(Value::new(TYPES[id as usize], scalar))
}

fn compare(op: CompareOp, id: u32, value: i128) -> Expr {
    Expr::compare(op, column(id), literal(id, Scalar::Integer(value)))
}

fn text(op: CompareOp, value: &str) -> Expr {
    Expr::compare(op, column(2), literal(2, Scalar::Bytes(value.into())))
}

#[track_caller]
fn check(table: &Table, rows: usize, columns: &[u32], predicate: &[Expr]) {
    let keeps = |row: &Vec<Scalar>| predicate.iter().all(|expr| oracle(expr, row) == Scalar::Boolean(true));
    let pick =
        |row: Vec<Scalar>| columns.iter().map(|&column| row[column as usize].clone()).collect::<Vec<_>>();
    let expected: Vec<Vec<Scalar>> = (0..rows).map(row).filter(keeps).map(pick).collect();
    for batch_rows in [3, 2048] {
        let count = Arc::new(MorselCount::default());
        let scan = Scan::new(&plan(columns, predicate), table, batch_rows, 2, count.clone()).unwrap();
        let found = drain(&scan, batch_rows);
        assert!(found == expected, "{} rows, expected {}: {predicate:?}", found.len(), expected.len());
        assert_eq!(count.read().done, count.read().total);
    }
}

#[test]
fn predicates_that_storage_tests() {
    let rows = 70_000;
    let table = table(rows, 66_000);
    use CompareOp::*;
    for predicate in [
        vec![],
        vec![compare(Less, 0, 10)],
        vec![compare(GreaterOrEqual, 0, 65_530), compare(Less, 0, 66_010)],
        vec![compare(Less, 0, 66_010), compare(Greater, 0, 65_530), compare(LessOrEqual, 1, 4_000)],
        vec![compare(Greater, 0, 10), compare(Less, 0, 10)],
        vec![Expr::compare(Less, literal(1, Scalar::Integer(90_000)), column(1))],
        vec![Expr::And(vec![compare(NotEqual, 1, 0), text(Equal, "kind number 2 of strings")])],
        vec![text(Greater, "kind number 2"), compare(Equal, 4, 250)],
        vec![Expr::IsNull { input: Box::new(column(2)), negated: false }, compare(Less, 0, 100)],
        vec![Expr::IsNull { input: Box::new(column(1)), negated: true }, column(3)],
        vec![Expr::Not(Box::new(column(3))), compare(IsNotDistinctFrom, 0, 66_002)],
        vec![Expr::InList {
            input: Box::new(column(0)),
            list: [1, 70_000, 149_999, 150_000]
                .map(|value| Value::new(TYPES[0], Scalar::Integer(value)))
                .into(),
            negated: false,
        }],
        vec![Expr::compare(Equal, column(0), literal(0, Scalar::Null))],
        vec![Expr::Literal(Value::boolean(true)), compare(Greater, 0, 69_990)],
        vec![Expr::Literal(Value::boolean(false))],
        vec![Expr::Literal(Value::null(DataType::Boolean))],
    ] {
        check(&table, rows, &[0, 1, 2, 3, 4], &predicate);
    }
    check(&table, rows, &[0, 2], &[compare(Less, 1, 2_000), text(NotEqual, "kind number 0 of strings")]);
    check(&table, rows, &[], &[compare(Less, 0, 2_000)]);
    check(&table, rows, &[], &[]);
}

#[test]
fn predicates_evaluated_on_rows() {
    let rows = 70_000;
    let table = table(rows, 66_000);
    use CompareOp::*;

    let booleans =
        Expr::compare(Equal, column(3), Expr::IsNull { input: Box::new(column(2)), negated: false });
    for predicate in [
        vec![Expr::Or(vec![compare(Less, 1, 100), compare(Greater, 0, 69_000)])],
        vec![Expr::Or(vec![compare(Less, 0, 100), compare(Greater, 0, 69_000)])],
        vec![compare(IsDistinctFrom, 1, 5), compare(Less, 0, 1_000)],
        vec![booleans.clone()],
        vec![booleans, compare(Greater, 0, 65_000), compare(Less, 0, 67_000)],
        vec![Expr::InList {
            input: Box::new(column(2)),
            list: vec![Value::varchar("kind number 1 of strings"), Value::null(DataType::Varchar)],
            negated: false,
        }],
        vec![Expr::InList {
            input: Box::new(column(2)),
            list: vec![Value::varchar("kind number 1 of strings")],
            negated: true,
        }],
        vec![Expr::Not(Box::new(Expr::Or(vec![
            text(Equal, "kind number 1 of strings"),
            compare(Less, 1, 3),
        ])))],
    ] {
        check(&table, rows, &[0, 1, 2, 3, 4], &predicate);
    }
}

#[test]
fn key_filters_drop_rows_without_a_partner() {
    let rows = 70_000;
    let table = table(rows, 66_000);
    let query = QueryContext::new(1, MemoryPool::unlimited());
    let shape = Shape { bounds: Some((-5_000, 96_000)), ..Shape::of_type(DataType::Int64) };
    for keys in [vec![], vec![-5_000, 17, 95_000], (0..70_000).collect::<Vec<i128>>()] {
        let filter = KeyFilter::new(&shape, &shape, &query).unwrap();
        let operator = NoteKeys::new(filter.clone(), 0, std::slice::from_ref(&shape));
        let mut task = operator.start().unwrap();
        let scalars: Vec<Scalar> = keys.iter().map(|&key| Scalar::Integer(key)).collect();
        for chunk in scalars.chunks(2048) {
            task.push(Batch::new(vec![Vector::from_scalars(DataType::Int64, chunk)])).unwrap();
            let step = Step { query: &query, waker: Waker::noop(), started: query.now() };
            while !matches!(task.pull(&step).unwrap(), Output::NeedsInput) {}
        }
        task.end().unwrap();
        let count = Arc::new(MorselCount::default());
        let scan = Scan::new(&plan(&[0, 1], &[compare(CompareOp::Less, 0, 69_000)]), &table, 2048, 2, count)
            .unwrap();
        scan.filter_keys(1, filter);
        let found = drain(&scan, 2048);
        let lost = (0..69_000)
            .map(row)
            .filter(|row| row[1].as_integer().is_some_and(|key| keys.contains(&key)) && keys.len() < 10)
            .filter(|row| !found.contains(&row[..2].to_vec()))
            .count();
        assert_eq!(lost, 0);
        // The last filter passes most rows, so that the scan may leave it out after a while.
        if keys.len() < 10 {
            let passes = |row: &Vec<Scalar>| row[1].as_integer().is_some_and(|key| keys.contains(&key));
            assert!(found.iter().all(passes));
        } else {
            let expected = (0..69_000)
                .map(row)
                .filter(|row| row[1].as_integer().is_some_and(|key| (0..70_000).contains(&key)));
            assert!(found.len() >= expected.count());
        }
    }
}

/// The rows of `table` less those that `gone` names, with the address of each: its place and 100.
fn masked(table: &Table, gone: impl Fn(usize) -> bool) -> Table {
    let mut first = 0;
    let segments = table.segments.iter().map(|segment| {
        let rows = segment.rows();
        let visible = columnar::Bitmap::from_fn(rows, |row| !gone(first + row));
        let address = first as i64 + 100;
        let origin = storage::Origin { first: 0, rows: rows as u32, address };
        first += rows;
        let origins = Arc::new(storage::Origins::new([origin]).unwrap());
        segment.seen_as(Some(visible), Some(origins)).unwrap()
    });
    Table { segments: segments.collect(), schema: table.schema.clone() }
}

fn addressed(columns: &[u32], predicate: &[Expr]) -> plan::Scan {
    let mut plan = plan(columns, predicate);
    plan.schema.push(DataType::Int64);
    plan
}

#[test]
fn deleted_rows_are_not_given_and_the_others_have_addresses() {
    let rows = 150_000;
    let whole = table(rows, 66_000);
    let address = TYPES.len() as u32;
    let kinds: [&dyn Fn(usize) -> bool; 7] = [
        &|_| false,
        &|_| true,
        &|row| row % 3 == 0,
        &|row| row == 65_536,
        &|row| row != 149_999,
        // A whole block, and a whole segment.
        &|row| row < 65_536,
        &|row| (66_000..132_000).contains(&row),
    ];
    use CompareOp::*;
    let predicates = [
        vec![],
        vec![compare(Less, 1, 20_000), compare(GreaterOrEqual, 0, 40_000)],
        vec![Expr::Or(vec![compare(Less, 1, 100), compare(Greater, 0, 120_000)])],
    ];
    for gone in kinds {
        let table = masked(&whole, gone);
        for predicate in &predicates {
            let keeps =
                |row: &Vec<Scalar>| predicate.iter().all(|expr| oracle(expr, row) == Scalar::Boolean(true));
            let left = (0..rows).filter(|&number| !gone(number)).map(|number| (number, row(number)));
            let left: Vec<_> = left.filter(|(_, row)| keeps(row)).collect();
            for (batch_rows, tasks) in [(1000, 2), (2048, 64)] {
                let count = Arc::new(MorselCount::default());
                let scan = Scan::new(&plan(&[0, 2], predicate), &table, batch_rows, tasks, count).unwrap();
                let expected: Vec<Vec<Scalar>> =
                    left.iter().map(|(_, row)| vec![row[0].clone(), row[2].clone()]).collect();
                assert!(drain(&scan, batch_rows) == expected, "{predicate:?}");
                let count = Arc::new(MorselCount::default());
                let plan = addressed(&[0, address, 2], predicate);
                let scan = Scan::addressed(&plan, &table, batch_rows, tasks, count).unwrap();
                assert!(!scan.is_sorted(1) && !scan.output()[1].nullable);
                let with_address = |(number, row): &(usize, Vec<Scalar>)| {
                    vec![row[0].clone(), Scalar::Integer(*number as i128 + 100), row[2].clone()]
                };
                let expected: Vec<Vec<Scalar>> = left.iter().map(with_address).collect();
                assert!(drain(&scan, batch_rows) == expected, "{predicate:?}");
            }
        }
    }
}

#[test]
fn addresses_are_neither_tested_nor_told_of_other_tables() {
    let whole = table(10, 10);
    let address = TYPES.len() as u32;
    let make = |table: &Table, plan: &plan::Scan| Scan::addressed(plan, table, 10, 1, Arc::default());
    let tested = Expr::compare(
        CompareOp::Less,
        Expr::column(address, DataType::Int64),
        Expr::Literal(Value::int64(5)),
    );
    let held = masked(&whole, |_| false);
    let error = make(&held, &addressed(&[0], &[tested])).err().unwrap();
    assert!(error.to_string().contains("tests the addresses"), "{error}");
    assert!(make(&held, &plan(&[0], &[])).is_err(), "a plan without addresses");
    assert!(Scan::new(&addressed(&[0], &[]), &held, 10, 1, Arc::default()).is_err());
    // Of a table whose rows have none nothing is made up.
    let query = QueryContext::new(1, MemoryPool::unlimited());
    let scan = make(&whole, &addressed(&[address], &[])).unwrap();
    let step = Step { query: &query, waker: Waker::noop(), started: query.now() };
    let error = scan.start().unwrap().next(&step).err().unwrap();
    assert!(error.to_string().contains("no addresses"), "{error}");
}

/// A segment without a row that is left does not make what follows it seem out of order.
#[test]
fn dead_segments_between_others_are_left_out() {
    let parts = [table_of(0..10, 10), table_of(100..110, 10), table_of(10..20, 10)];
    let (schema, segments) = (parts[0].schema.clone(), parts.iter().flat_map(|part| part.segments.clone()));
    let table = masked(&Table { schema, segments: segments.collect() }, |row| (10..20).contains(&row));
    let scan = Scan::new(&plan(&[0], &[]), &table, 4, 1, Arc::default()).unwrap();
    assert!(scan.is_sorted(0) && scan.shared.segments.len() == 2);
    let found = drain(&scan, 4);
    assert_eq!(found, (0..20).map(|row| vec![Scalar::Integer(row)]).collect::<Vec<_>>());
}

#[test]
fn an_empty_table_and_a_plan_of_another_schema() {
    let empty = table(0, 1);
    check(&empty, 0, &[0, 2], &[compare(CompareOp::Less, 0, 10)]);
    let held = table(10, 10);
    let mut wrong = plan(&[0], &[]);
    wrong.schema[0] = DataType::Int64;
    let count = Arc::new(MorselCount::default());
    let error = Scan::new(&wrong, &held, 10, 1, count.clone()).err().unwrap();
    assert!(error.to_string().contains("the plan's schema of t"), "{error}");
    assert!(Scan::new(&plan(&[9], &[]), &held, 10, 1, count).is_err());
}
