//! Everything a reader might do with the bytes of a segment; for tests of damaged and forged files.

use crate::{
    BLOCK_ROWS, ColumnPredicate, ColumnSchema, CompareOp, RowsRef, Segment, SegmentBytes, Test,
    TextAutomaton, TextToken,
};
use columnar::{Bitmap, Bytes, DataType, PhysicalType, Scalar, Values, Vector};
use std::sync::Arc;

/// Blocks of a column that are read; forged footers may name millions.
const BLOCKS: usize = 8;

/// Opens `bytes`, reads and filters every block of every column by every call, and returns how many calls
/// failed. Values that are given must hold together; whatever else is wrong must be an error.
pub(crate) fn exhaust(bytes: Vec<u8>) -> usize {
    let Ok(segment) = Segment::open(SegmentBytes::owned(Bytes::from_vec(bytes))) else { return 1 };
    let segment = Arc::new(segment);
    let mut errors = usize::from(segment.statistics().is_err());
    let rows = segment.rows().min(BLOCKS * BLOCK_ROWS);
    let masked = segment.with_visibility(Bitmap::from_fn(rows, |row| row % 3 > 0));
    let masked = masked.unwrap_or_else(|_| segment.clone());
    for column in 0..segment.schema().len() as u32 {
        errors += read(&segment, column) + filter(&segment, column) + filter(&masked, column);
    }
    errors
}

/// Reads every block of a column, whole and in parts, at the widths that its bounds allow.
fn read(segment: &Segment, column: u32) -> usize {
    let mut errors = 0;
    let data_type = segment.schema()[column as usize].data_type;
    let mut widths = vec![data_type.physical()];
    widths.extend(segment.column_facts(column).bounds.and_then(|bounds| narrow(data_type, bounds)));
    for block in 0..segment.block_count().min(BLOCKS) as u32 {
        let rows = segment.block_rows(block as usize);
        let some: Vec<u32> = (0..rows as u32).rev().step_by(97).collect();
        let parts = [
            RowsRef::Range(0, rows),
            RowsRef::Range(rows / 2, 1),
            RowsRef::Range(rows / 3, rows / 3),
            RowsRef::Indices(&some),
            RowsRef::Indices(&[]),
        ];
        for (part, &physical) in parts.iter().flat_map(|part| widths.iter().map(move |width| (part, width))) {
            match segment.read(block, *part, &[(column, physical)]) {
                Ok(vectors) => check(&vectors[0], part.len(), data_type, physical),
                Err(_) => errors += 1,
            }
        }
    }
    errors
}

/// The narrowest width of an integral type that holds its bounds.
fn narrow(data_type: DataType, (min, max): (i128, i128)) -> Option<PhysicalType> {
    use PhysicalType::{I8, I16, I32, I64};
    let holds = |width: &PhysicalType| {
        width.integer_bounds().is_some_and(|(low, high)| low <= min && max <= high)
            && width.width_bytes() < data_type.physical().width_bytes()
    };
    [I8, I16, I32, I64].into_iter().find(holds)
}

/// What was read has the rows, the type and the width that were asked for, and text is UTF-8.
fn check(vector: &Vector, rows: usize, data_type: DataType, physical: PhysicalType) {
    assert_eq!((vector.len(), vector.data_type()), (rows, data_type));
    let flat = vector.flatten();
    assert_eq!((flat.len(), flat.values.physical()), (rows, physical));
    assert!(flat.validity.as_ref().is_none_or(|validity| validity.len() == rows));
    if let Values::View(views) = &flat.values {
        for row in 0..rows {
            let text = std::str::from_utf8(views.get(row));
            assert!(text.is_ok() || data_type != DataType::Varchar, "text that is not UTF-8");
        }
    }
    (0..rows).step_by(50).for_each(|row| drop(vector.scalar(row)));
}

/// Prunes and filters every block of a column by tests of every kind.
fn filter(segment: &Arc<Segment>, column: u32) -> usize {
    let mut errors = 0;
    for test in tests(&segment.schema()[column as usize]) {
        let predicates = [ColumnPredicate { column, test }];
        segment.prune(&predicates);
        let prepared = segment.prepare(&predicates);
        for block in 0..segment.block_count().min(BLOCKS) as u32 {
            let alone = segment.filter(block, &predicates);
            match (&alone, prepared.as_ref().map(|prepared| prepared.filter(block))) {
                (Ok(rows), Ok(Ok(again))) => assert_eq!(*rows, again),
                _ => errors += 1,
            }
        }
    }
    errors
}

fn tests(column: &ColumnSchema) -> Vec<Test> {
    let scalars = match column.data_type {
        DataType::Varchar | DataType::Binary => {
            ["", "5", "é3", "some text about the number 500"].map(|text| Scalar::Bytes(text.into())).to_vec()
        }
        DataType::Float32 | DataType::Float64 => [5.0, f64::NAN, -0.0].map(Scalar::Float).to_vec(),
        DataType::Boolean => [false, true].map(Scalar::Boolean).to_vec(),
        DataType::Interval => vec![Scalar::Interval(columnar::Interval { months: 1, days: 2, micros: 3 })],
        _ => [5, -1, 0, i128::MAX, i128::MIN].map(Scalar::Integer).to_vec(),
    };
    let operators = [CompareOp::Equal, CompareOp::NotEqual, CompareOp::Less, CompareOp::GreaterOrEqual];
    let mut tests = vec![Test::IsNull, Test::IsNotNull, Test::In(scalars.clone())];
    tests.extend(
        scalars
            .iter()
            .zip(operators.iter().cycle())
            .map(|(scalar, operator)| Test::Compare(*operator, scalar.clone())),
    );
    if matches!(column.data_type, DataType::Varchar | DataType::Binary) {
        let token = |&byte: &u8| if byte == b'%' { TextToken::Run } else { TextToken::Byte(byte) };
        for pattern in ["%some%number 5%", "some%", "%7%", "%9"] {
            let sequence = pattern.as_bytes().iter().map(token).collect();
            let automaton = TextAutomaton::of_sequences(&[sequence], false);
            tests.extend(automaton.map(|automaton| Test::Text(Arc::new(automaton))));
        }
    }
    tests.extend(scalars.iter().zip(scalars.iter().rev()).map(|(a, b)| Test::Between(a.clone(), b.clone())));
    tests.extend(scalars.first().map(|a| Test::OrNull(Box::new(Test::Compare(CompareOp::Less, a.clone())))));
    tests
}
