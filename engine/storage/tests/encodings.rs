//! Every encoding against the plain values: reads at every width, filters with every test.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use columnar::{Batch, Bitmap, DataType, Interval, PhysicalType, Scalar, Vector};
use std::sync::Arc;
use storage::{
    BLOCK_ROWS, BlockRows, ColumnPredicate, ColumnSchema, CompareOp, Error, Length, RowsRef, Segment,
    SegmentBuilder, Test, TextAutomaton, TextToken, VectorTest,
};

/// A small generator: the high bits of a linear congruence.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

fn schema(data_type: DataType) -> Arc<[ColumnSchema]> {
    [ColumnSchema { name: "c".into(), data_type, nullable: true }].into()
}

fn build(data_type: DataType, values: &[Scalar], batch_rows: usize) -> Arc<Segment> {
    let mut builder = SegmentBuilder::new(schema(data_type));
    for chunk in values.chunks(batch_rows) {
        builder.push(&Batch::new(vec![Vector::from_scalars(data_type, chunk)])).unwrap();
    }
    assert_eq!(builder.rows(), values.len());
    Arc::new(Segment::open(builder.finish().unwrap().into_bytes()).unwrap())
}

fn integers(values: impl IntoIterator<Item = i128>) -> Vec<Scalar> {
    values.into_iter().map(Scalar::Integer).collect()
}

fn strings(values: impl IntoIterator<Item = String>) -> Vec<Scalar> {
    values.into_iter().map(|value| Scalar::Bytes(value.into_bytes())).collect()
}

/// Columns that call for each encoding, by name.
fn columns(rows: usize) -> Vec<(&'static str, DataType, Vec<Scalar>)> {
    let mut random = Random(rows as u64 + 7);
    let n = rows as u64;
    let mut next = |limit: u64| random.below(limit) as i128;
    let draw = |limit: u64, next: &mut dyn FnMut(u64) -> i128| {
        integers((0..n).map(|_| next(limit)).collect::<Vec<_>>())
    };
    let words = ["furiously", "special", "requests", "sleep", "quickly", "über", "ideas", "packages"];
    let sentence = |next: &mut dyn FnMut(u64) -> i128| {
        (0..next(9)).map(|_| words[next(8) as usize]).collect::<Vec<_>>().join(" ")
    };
    let decimal = DataType::decimal(15, 2);
    vec![
        ("constant", DataType::Int32, integers((0..n).map(|_| -7))),
        ("one byte", DataType::Int64, draw(200, &mut next)),
        (
            "one byte from a base",
            decimal,
            integers((0..n).map(|_| 1_000_000 + next(256)).collect::<Vec<_>>()),
        ),
        ("hundreds", decimal, integers((0..n).map(|_| 100 * (1 + next(50))).collect::<Vec<_>>())),
        ("two bytes", DataType::Date, integers((0..n).map(|_| 8000 + next(2500)).collect::<Vec<_>>())),
        (
            "four bytes",
            DataType::Int32,
            integers((0..n).map(|_| next(1 << 31) - (1 << 30)).collect::<Vec<_>>()),
        ),
        ("positive four bytes", DataType::Int32, integers((0..n).map(|_| next(1 << 31)).collect::<Vec<_>>())),
        (
            "eight bytes",
            DataType::Int64,
            integers(
                (0..n)
                    .map(|i| if i % 2 == 0 { i64::MIN.into() } else { i64::MAX as i128 - next(9) })
                    .collect::<Vec<_>>(),
            ),
        ),
        (
            "sixteen bytes",
            DataType::decimal(38, 0),
            integers(
                (0..n).map(|_| (next(1 << 31) - (1 << 30)) * 10_i128.pow(28) + next(5)).collect::<Vec<_>>(),
            ),
        ),
        (
            "wide but near",
            DataType::decimal(38, 0),
            integers((0..n).map(|i| 10_i128.pow(30) + i as i128 * 5)),
        ),
        ("runs", DataType::Int64, integers((0..n).map(|i| (i / 500) as i128 * 1_000_003))),
        ("ascending", DataType::Int64, integers((0..n).map(|i| i as i128 * 4 + 1))),
        ("shuffled key", DataType::Int64, integers((0..n).map(|i| (i as i128 * 7_919) % 65_537 * 4))),
        ("boolean", DataType::Boolean, (0..n).map(|_| Scalar::Boolean(next(3) == 0)).collect()),
        (
            "double",
            DataType::Float64,
            (0..n)
                .map(|i| {
                    Scalar::Float(match i % 7 {
                        0 => f64::NAN,
                        1 => -0.0,
                        2 => f64::INFINITY,
                        _ => next(1000) as f64 / 8.0 - 50.0,
                    })
                })
                .collect(),
        ),
        ("double runs", DataType::Float64, (0..n).map(|i| Scalar::Float((i / 900) as f64)).collect()),
        ("real", DataType::Float32, (0..n).map(|_| Scalar::Float(next(1000) as f64 / 8.0)).collect()),
        (
            "interval",
            DataType::Interval,
            (0..n)
                .map(|_| {
                    Scalar::Interval(Interval {
                        months: next(3) as i32,
                        days: next(40) as i32 - 20,
                        micros: next(100) as i64 - 50,
                    })
                })
                .collect(),
        ),
        (
            "few strings",
            DataType::Varchar,
            strings((0..n).map(|_| format!("{}-brand", next(25))).collect::<Vec<_>>()),
        ),
        (
            "some strings",
            DataType::Varchar,
            strings((0..n).map(|_| format!("Clerk#{:09}", next(n / 8 + 1))).collect::<Vec<_>>()),
        ),
        ("string runs", DataType::Varchar, strings((0..n).map(|i| format!("key {:06}", i / 700)))),
        ("one string", DataType::Varchar, strings((0..n).map(|_| "the same thing everywhere".to_string()))),
        (
            "short strings",
            DataType::Varchar,
            strings((0..n).map(|i| format!("{:x}", i.wrapping_mul(0x9e37_79b9)))),
        ),
        (
            "text",
            DataType::Varchar,
            strings((0..n).map(|i| format!("{} {i}", sentence(&mut next))).collect::<Vec<_>>()),
        ),
        (
            "text with rare characters",
            DataType::Varchar,
            strings(
                (0..n)
                    .map(|_| {
                        let rare =
                            (0..next(4)).map(|_| char::from_u32(0x4e00 + next(20_000) as u32).unwrap());
                        rare.collect::<String>() + &sentence(&mut next)
                    })
                    .collect::<Vec<_>>(),
            ),
        ),
        (
            "binary",
            DataType::Binary,
            (0..n)
                .map(|i| {
                    Scalar::Bytes((0..next(20)).map(|_| next(256) as u8).chain(i.to_le_bytes()).collect())
                })
                .collect(),
        ),
        (
            "long strings",
            DataType::Varchar,
            strings(
                (0..n).map(|i| "long ".repeat(next(3) as usize * 100) + &i.to_string()).collect::<Vec<_>>(),
            ),
        ),
    ]
}

/// The same values with nulls: none, some, leading, all, a block of nothing else.
fn with_nulls(values: &[Scalar], kind: usize) -> Vec<Scalar> {
    let null = |row: usize| match kind {
        0 => false,
        1 => row % 5 == 3 || (100..230).contains(&row),
        2 => row < 70,
        3 => true,
        _ => (BLOCK_ROWS..2 * BLOCK_ROWS).contains(&row),
    };
    values
        .iter()
        .enumerate()
        .map(|(row, value)| if null(row) { Scalar::Null } else { value.clone() })
        .collect()
}

/// Widths that hold the column.
fn widths(data_type: DataType, values: &[Scalar]) -> Vec<PhysicalType> {
    if !data_type.is_integral() {
        return vec![data_type.physical()];
    }
    let held = || values.iter().filter_map(Scalar::as_integer);
    let (min, max) = (held().min().unwrap_or(0), held().max().unwrap_or(0));
    let least = PhysicalType::for_bounds(min, max);
    [PhysicalType::I8, PhysicalType::I16, PhysicalType::I32, PhysicalType::I64, PhysicalType::I128]
        .into_iter()
        .filter(|&width| width >= least)
        .collect()
}

fn check_values(what: &str, vector: &Vector, expected: impl ExactSizeIterator<Item = Scalar>) {
    assert_eq!(vector.len(), expected.len(), "{what}");
    let flat = vector.flatten();
    for (row, expected) in expected.enumerate() {
        assert_eq!(vector.scalar(row), expected, "{what}, row {row}");
        assert_eq!(flat.scalar(row), expected, "{what}, row {row}, flat");
    }
}

fn check_reads(what: &str, segment: &Segment, data_type: DataType, values: &[Scalar]) {
    let mut random = Random(3);
    for (block, values) in values.chunks(BLOCK_ROWS).enumerate() {
        assert_eq!(segment.block_rows(block), values.len());
        for width in widths(data_type, values) {
            let rows = values.len();
            let ranges = [
                (0, rows.min(2048)),
                (rows / 2, (rows - rows / 2).min(300)),
                (rows, 0),
                (rows - 1, 1),
                (rows / 3, 1),
            ];
            for (start, len) in ranges {
                let read = segment.read(block as u32, RowsRef::Range(start, len), &[(0, width)]).unwrap();
                assert_eq!(read[0].physical(), width, "{what}");
                assert_eq!(read[0].data_type(), data_type, "{what}");
                check_values(what, &read[0], values[start..start + len].iter().cloned());
            }
            let indices: Vec<u32> = (0..100).map(|_| random.below(rows as u64) as u32).collect();
            for indices in [&indices[..], &indices[..1], &[]] {
                let read = segment.read(block as u32, RowsRef::Indices(indices), &[(0, width)]).unwrap();
                assert_eq!(read[0].physical(), width, "{what}");
                check_values(what, &read[0], indices.iter().map(|&row| values[row as usize].clone()));
            }
        }
    }
}

/// Lengths, where they are given, are those of the texts.
fn check_lengths(what: &str, segment: &Segment, values: &[Scalar]) {
    for (block, values) in values.chunks(BLOCK_ROWS).enumerate() {
        let all: Vec<u32> = (0..values.len() as u32).collect();
        let third = values.len() / 3..values.len() * 2 / 3;
        let scattered: Vec<u32> = all.iter().rev().step_by(7).copied().collect();
        let rows = [
            (RowsRef::Range(0, values.len()), &all[..]),
            (RowsRef::Range(third.start, third.len()), &all[third.clone()]),
            (RowsRef::Indices(&scattered), &scattered[..]),
        ];
        for (length, (rows, positions)) in
            [Length::Characters, Length::Bytes].into_iter().flat_map(|length| rows.map(|rows| (length, rows)))
        {
            let Some(lengths) = segment.lengths(block as u32, rows, 0, length).unwrap() else { continue };
            let expected = positions.iter().map(|&row| match &values[row as usize] {
                Scalar::Bytes(bytes) => Scalar::Integer(match length {
                    Length::Characters => std::str::from_utf8(bytes).unwrap().chars().count() as i128,
                    Length::Bytes => bytes.len() as i128,
                }),
                other => other.clone(),
            });
            check_values(what, &lengths, expected);
        }
    }
}

/// Passes values that print with an odd number of characters: nothing an encoding could know.
struct OddLength;

impl OddLength {
    fn passes(scalar: &Scalar) -> bool {
        format!("{scalar:?}").len() % 2 == 1
    }
}

impl VectorTest for OddLength {
    fn test(&self, values: &Vector) -> storage::Result<Bitmap> {
        Ok(Bitmap::from_fn(values.len(), |row| OddLength::passes(&values.scalar(row))))
    }
}

fn passes(test: &Test, value: &Scalar) -> bool {
    match test {
        Test::IsNull => matches!(value, Scalar::Null),
        Test::IsNotNull => !matches!(value, Scalar::Null),
        Test::OrNull(test) => matches!(value, Scalar::Null) || passes(test, value),
        Test::Compare(op, scalar) => value.compare(scalar).is_some_and(|ordering| op.holds(ordering)),
        Test::Between(low, high) => {
            value.compare(low).is_some_and(|o| o.is_ge()) && value.compare(high).is_some_and(|o| o.is_le())
        }
        Test::In(scalars) => scalars.iter().any(|scalar| value.compare(scalar).is_some_and(|o| o.is_eq())),
        Test::Text(automaton) => matches!(value, Scalar::Bytes(bytes) if automaton.accepts(bytes)),
        Test::Custom(_) => !matches!(value, Scalar::Null) && OddLength::passes(value),
    }
}

const OPS: [CompareOp; 6] = [
    CompareOp::Equal,
    CompareOp::NotEqual,
    CompareOp::Less,
    CompareOp::LessOrEqual,
    CompareOp::Greater,
    CompareOp::GreaterOrEqual,
];

fn tests_for(data_type: DataType, values: &[Scalar]) -> Vec<Test> {
    let mut points: Vec<Scalar> =
        [0, values.len() / 3, values.len() - 1].iter().map(|&row| values[row].clone()).collect();
    match data_type.physical() {
        PhysicalType::Bool => points.extend([Scalar::Boolean(true), Scalar::Boolean(false)]),
        PhysicalType::F32 | PhysicalType::F64 => {
            points.extend([0.0, 3.3, f64::NAN, f64::NEG_INFINITY].map(Scalar::Float))
        }
        PhysicalType::Interval => points.push(Scalar::Interval(Interval { months: 1, days: 0, micros: 0 })),
        PhysicalType::View => {
            points.extend(["", "m", "zzzz", "12-brand"].map(|text| Scalar::Bytes(text.into())));
        }
        _ => {
            points.extend(
                [i128::MIN, i64::MIN.into(), -1, 0, 150, 8001, i64::MAX.into(), i128::MAX]
                    .map(Scalar::Integer),
            );
            let near = points[1].as_integer().map(|value| Scalar::Integer(value + 1));
            points.extend(near);
        }
    }
    points.push(Scalar::Null);
    let texts = if data_type.physical() == PhysicalType::View { patterns(values) } else { Vec::new() };
    let mut tests = vec![Test::IsNull, Test::IsNotNull, Test::Custom(Arc::new(OddLength)), Test::In(vec![])];
    for point in &points {
        tests.extend(OPS.map(|op| Test::Compare(op, point.clone())));
        tests.push(Test::In(vec![point.clone()]));
    }
    tests.push(Test::In(points.clone()));
    tests.push(Test::In(values.iter().step_by(values.len() / 20 + 1).cloned().collect()));
    for pair in points.windows(2) {
        tests.push(Test::Between(pair[0].clone(), pair[1].clone()));
        tests.push(Test::Between(pair[1].clone(), pair[0].clone()));
    }
    tests.extend(texts.into_iter().map(|text| Test::Text(Arc::new(text))));
    let or_null: Vec<Test> =
        tests.iter().step_by(3).map(|test| Test::OrNull(Box::new(test.clone()))).collect();
    tests.extend(or_null);
    tests
}

/// Automata of patterns that some values match, and of what they leave. Their own tests say what they accept.
fn patterns(values: &[Scalar]) -> Vec<TextAutomaton> {
    let sequence = |pattern: &[u8]| -> Vec<TextToken> {
        let token = |&byte: &u8| match byte {
            b'%' => TextToken::Run,
            b'_' => TextToken::Character,
            other => TextToken::Byte(other),
        };
        pattern.iter().map(token).collect()
    };
    let written = [
        "",
        "%",
        "%special%requests%",
        "%über %",
        "s%",
        "%9",
        "%_%e%",
        "k__ 0%",
        "%a%e%o%",
        "_",
        "%ideas _%",
        "long %",
        "Clerk#0000000_%",
        "%the same thing everywhere%",
        "% %",
        "%99%",
        "%e packages%9_",
    ];
    let mut automata: Vec<TextAutomaton> = written
        .iter()
        .filter_map(|pattern| TextAutomaton::of_sequences(&[sequence(pattern.as_bytes())], false))
        .collect();
    assert_eq!(automata.len(), written.len());
    for value in values.iter().step_by(values.len() / 3 + 1) {
        let Scalar::Bytes(bytes) = value else { continue };
        let (start, middle) =
            (&bytes[..bytes.len().min(4)], &bytes[bytes.len() / 2..bytes.len().min(bytes.len() / 2 + 40)]);
        let around = [b"%".as_slice(), middle, b"%"].concat();
        let sequences = [sequence(&[start, b"%"].concat()), sequence(&around)];
        automata.extend(TextAutomaton::of_sequences(&sequences[1..], false));
        automata.extend(TextAutomaton::of_sequences(&sequences, false));
    }
    let negated: Vec<TextAutomaton> =
        automata.iter().step_by(2).map(|automaton| automaton.clone().inverted()).collect();
    automata.into_iter().chain(negated).collect()
}

fn check_filter(what: &str, segment: &Arc<Segment>, tests: &[Test], values: &[Scalar]) {
    let predicates: Vec<_> =
        tests.iter().map(|test| ColumnPredicate { column: 0, test: test.clone() }).collect();
    let prepared = segment.prepare(&predicates).unwrap();
    assert_eq!(prepared.blocks(), segment.prune(&predicates));
    for (block, values) in values.chunks(BLOCK_ROWS).enumerate() {
        let expected: Vec<u32> = (0..values.len() as u32)
            .filter(|&row| tests.iter().all(|test| passes(test, &values[row as usize])))
            .collect();
        let expected = match expected.len() {
            0 => BlockRows::None,
            len if len == values.len() => BlockRows::All,
            _ => BlockRows::Some(expected),
        };
        let block = block as u32;
        assert_eq!(segment.filter(block, &predicates).unwrap(), expected, "{what}: {tests:?}");
        assert_eq!(prepared.filter(block).unwrap(), expected, "{what}: {tests:?}");
        let late = segment.prepare(&[]).unwrap().filter_also(block, &predicates);
        assert_eq!(late.unwrap(), expected, "{what}: {tests:?}");
        let among: Vec<u32> = (0..values.len() as u32).step_by(3).collect();
        let mut kept = among.clone();
        kept.retain(|row| match &expected {
            BlockRows::All => true,
            BlockRows::Some(rows) => rows.binary_search(row).is_ok(),
            BlockRows::None => false,
        });
        match segment.filter_rows(block, RowsRef::Indices(&among), &predicates).unwrap() {
            BlockRows::All => assert_eq!(kept.len(), values.len(), "{what}: {tests:?}"),
            BlockRows::Some(rows) => assert_eq!(rows, kept, "{what}: {tests:?}"),
            BlockRows::None => assert!(kept.is_empty(), "{what}: {tests:?}"),
        }
        assert!(prepared.blocks().contains(&block) || expected == BlockRows::None, "{what}: {tests:?}");
    }
}

fn check(rows: usize, batch_rows: usize) {
    for (name, data_type, values) in columns(rows) {
        for nulls in 0..4 {
            let values = with_nulls(&values, nulls);
            let what = format!("{name}, {rows} rows, nulls {nulls}");
            let segment = build(data_type, &values, batch_rows);
            assert_eq!(segment.rows(), rows);
            check_reads(&what, &segment, data_type, &values);
            check_lengths(&what, &segment, &values);
            let tests = tests_for(data_type, &values);
            for test in &tests {
                check_filter(&what, &segment, std::slice::from_ref(test), &values);
            }
            for pair in tests.chunks(2).step_by(5) {
                check_filter(&what, &segment, pair, &values);
            }
            check_facts(&what, &segment, &values);
        }
    }
}

fn check_facts(what: &str, segment: &Segment, values: &[Scalar]) {
    let facts = segment.column_facts(0);
    let held: Vec<i128> = values.iter().filter_map(Scalar::as_integer).collect();
    let nulls = values.iter().filter(|value| matches!(value, Scalar::Null)).count();
    assert_eq!((facts.rows, facts.nulls), (values.len() as u64, nulls as u64), "{what}");
    assert_eq!(facts.bounds, held.iter().min().copied().zip(held.iter().max().copied()), "{what}");
    let distinct: std::collections::HashSet<&Scalar> =
        values.iter().filter(|value| !matches!(value, Scalar::Null)).collect();
    if facts.unique {
        assert_eq!(distinct.len(), values.len() - nulls, "{what}");
    }
    if what.starts_with("shuffled key") {
        assert!(facts.unique, "{what}");
    }
    if facts.dense {
        assert!(facts.bounds.is_some_and(|(min, max)| (max - min) as usize + 1 == values.len()), "{what}");
    }
    let sorted = nulls == 0 && !held.is_empty() && held.is_sorted();
    assert_eq!(facts.sorted, sorted, "{what}");
    let statistics = segment.statistics().unwrap();
    let estimate = statistics.columns[0].distinct;
    assert!(
        (estimate - distinct.len() as f64).abs() <= 1.0 + 0.07 * distinct.len() as f64,
        "{what}: {estimate}"
    );
    let sample = statistics.sample.unwrap();
    assert_eq!(sample.rows, values.len().min(1024), "{what}");
    for row in 0..sample.rows {
        let value = sample.columns[0].scalar(row);
        assert!(matches!(value, Scalar::Null) && nulls > 0 || distinct.contains(&value), "{what}");
    }
}

#[test]
fn small_columns() {
    check(1, 1);
    check(2, 3);
    check(300, 3);
}

#[test]
fn columns_of_a_few_batches() {
    check(5_000, 2_048);
}

#[test]
fn columns_of_two_blocks() {
    for (name, data_type, values) in columns(BLOCK_ROWS + 700) {
        let values = with_nulls(&values, name.len() % 3);
        let segment = build(data_type, &values, 50_000);
        assert_eq!(segment.block_count(), 2);
        check_reads(name, &segment, data_type, &values);
        for test in tests_for(data_type, &values).iter().step_by(7) {
            check_filter(name, &segment, std::slice::from_ref(test), &values);
        }
    }
}

/// In the middle, and a last one of few rows.
#[test]
fn blocks_of_nulls_among_others() {
    for rows in [BLOCK_ROWS + 3, 2 * BLOCK_ROWS + 500] {
        for (name, data_type, values) in columns(rows) {
            let values = with_nulls(&values, 4);
            let segment = build(data_type, &values, 50_000);
            check_reads(name, &segment, data_type, &values);
            check_lengths(name, &segment, &values);
            let nulls = values.iter().filter(|value| matches!(value, Scalar::Null)).count();
            assert_eq!(segment.column_facts(0).nulls, nulls as u64, "{name}");
            check_filter(name, &segment, &[Test::IsNull], &values);
        }
    }
}

#[test]
fn no_rows_and_no_columns() {
    for data_type in [DataType::Int32, DataType::Varchar, DataType::Null] {
        let segment = build(data_type, &[], 1);
        assert_eq!((segment.rows(), segment.block_count()), (0, 0));
        assert_eq!(segment.prune(&[]), Vec::<u32>::new());
        assert_eq!(segment.filter(0, &[]).unwrap(), BlockRows::None);
        assert_eq!(segment.statistics().unwrap().rows, 0);
    }
    let segment = build(DataType::Null, &[Scalar::Null, Scalar::Null], 1);
    let read = segment.read(0, RowsRef::Range(0, 2), &[(0, PhysicalType::I8)]).unwrap();
    assert!(read[0].is_null(0) && read[0].is_null(1));
}

#[test]
fn a_mask_hides_rows() {
    let values = integers((0..1_000).map(|row| row / 3));
    let segment = build(DataType::Int64, &values, 100);
    let visible = Bitmap::from_fn(1_000, |row| row % 4 != 0);
    let masked = segment.with_visibility(visible.clone()).unwrap();
    assert_eq!(masked.visible_rows(), 750);
    let rows: Vec<u32> = (0..1_000).filter(|&row| visible.get(row as usize)).collect();
    assert_eq!(masked.filter(0, &[]).unwrap(), BlockRows::Some(rows.clone()));
    let less = ColumnPredicate { column: 0, test: Test::Compare(CompareOp::Less, Scalar::Integer(50)) };
    let rows: Vec<u32> = rows.into_iter().filter(|row| row / 3 < 50).collect();
    assert_eq!(masked.filter(0, &[less]).unwrap(), BlockRows::Some(rows));
    let dense = build(DataType::Int64, &integers(0..1_000), 100);
    assert!(dense.column_facts(0).dense && dense.column_facts(0).exact);
    let facts = dense.with_visibility(visible).unwrap().column_facts(0);
    assert!(facts.unique && facts.sorted && !facts.dense && !facts.exact);
    assert_eq!(facts.rows, 750);
    assert_eq!(
        dense.with_visibility(Bitmap::filled(false, 1_000)).unwrap().filter(0, &[]).unwrap(),
        BlockRows::None
    );
    assert!(matches!(dense.with_visibility(Bitmap::filled(true, 9)), Err(Error::Internal(_))));
}

#[test]
fn dictionaries_are_shared_and_ordered() {
    let values = strings((0..BLOCK_ROWS + 100).map(|row| format!("{}", row % 300)));
    let segment = build(DataType::Varchar, &values, 2_048);
    assert!(segment.column_facts(0).dictionary);
    let read = |block: u32| {
        segment.read(block, RowsRef::Range(0, 50), &[(0, PhysicalType::View)]).unwrap().remove(0)
    };
    let (Vector::Dictionary(a), Vector::Dictionary(b)) = (read(0), read(1)) else { panic!("no dictionary") };
    assert_eq!(a.dictionary.id, b.dictionary.id);
    assert!(a.dictionary.sorted && a.dictionary.values.len() == 300);
    // Pushing what was read gives the same column, from codes this time.
    let mut builder = SegmentBuilder::new(schema(DataType::Varchar));
    builder.push(&Batch::new(vec![Vector::Dictionary(a)])).unwrap();
    builder.push(&Batch::new(vec![Vector::Dictionary(b)])).unwrap();
    let again = Segment::open(builder.finish().unwrap().into_bytes()).unwrap();
    let expected: Vec<_> = values[..50].iter().chain(&values[BLOCK_ROWS..BLOCK_ROWS + 50]).cloned().collect();
    check_reads("again", &again, DataType::Varchar, &expected);
}

#[test]
fn misuse_is_an_error() {
    let segment = build(DataType::Int64, &integers(0..10), 10);
    let wide = [(0, PhysicalType::I64)];
    assert!(segment.read(0, RowsRef::Range(5, 6), &wide).is_err());
    assert!(segment.read(0, RowsRef::Range(usize::MAX, 2), &wide).is_err());
    assert!(segment.read(0, RowsRef::Indices(&[10]), &wide).is_err());
    assert!(segment.read(1, RowsRef::Range(0, 1), &wide).is_err());
    assert!(segment.read(0, RowsRef::Range(0, 1), &[(1, PhysicalType::I64)]).is_err());
    assert!(segment.read(0, RowsRef::Range(0, 1), &[(0, PhysicalType::View)]).is_err());
    let text = Test::Compare(CompareOp::Equal, Scalar::Bytes(b"x".to_vec()));
    assert!(segment.filter(0, &[ColumnPredicate { column: 0, test: text }]).is_err());
    assert!(segment.filter(0, &[ColumnPredicate { column: 9, test: Test::IsNull }]).is_err());
    let mut builder = SegmentBuilder::new(schema(DataType::Int64));
    assert!(
        builder.push(&Batch::new(vec![Vector::from_scalars(DataType::Varchar, &[Scalar::Null])])).is_err()
    );
    assert!(builder.push(&Batch::new(vec![])).is_err());
}
