//! Segment files: mapping, giving pages back, damage, and the format held still.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use columnar::{Batch, Bytes, DataType, PhysicalType, Scalar, Vector};
use std::fs;
use std::sync::Arc;
use storage::{
    BLOCK_ROWS, ColumnPredicate, ColumnSchema, CompareOp, Error, RowsRef, Segment, SegmentBuilder,
    SegmentBytes, Test,
};

const TYPES: [(&str, DataType); 6] = [
    ("id", DataType::Int64),
    ("price", DataType::decimal(15, 2)),
    ("flag", DataType::Varchar),
    ("comment", DataType::Varchar),
    ("ratio", DataType::Float64),
    ("day", DataType::Date),
];

fn schema() -> Arc<[ColumnSchema]> {
    TYPES.map(|(name, data_type)| ColumnSchema { name: name.into(), data_type, nullable: true }).into()
}

fn value(column: usize, row: usize) -> Scalar {
    match column {
        _ if row % 11 == 5 && column > 2 => Scalar::Null,
        0 => Scalar::Integer(row as i128 + 1),
        1 => Scalar::Integer((row as i128 * 7919) % 100_000),
        2 => Scalar::Bytes(["A", "N", "R"][row % 3].into()),
        3 => Scalar::Bytes(format!("the {} packages sleep furiously {row}", row * 31 % 97).into()),
        4 => Scalar::Float(row as f64 / 3.0),
        _ => Scalar::Integer(8_000 + (row / 40) as i128),
    }
}

fn image(rows: usize) -> Vec<u8> {
    let mut builder = SegmentBuilder::new(schema());
    for start in (0..rows).step_by(2_048) {
        let columns = TYPES.iter().enumerate().map(|(column, (_, data_type))| {
            let scalars: Vec<Scalar> =
                (start..rows.min(start + 2_048)).map(|row| value(column, row)).collect();
            Vector::from_scalars(*data_type, &scalars)
        });
        builder.push(&Batch::new(columns.collect())).unwrap();
    }
    builder.finish().unwrap().as_slice().to_vec()
}

/// Opens bytes and reads and filters every column.
fn read_all(bytes: Vec<u8>) -> storage::Result<Vec<Vec<Scalar>>> {
    let segment = Segment::open(SegmentBytes::owned(Bytes::from_vec(bytes)))?;
    segment.statistics()?;
    (0..segment.schema().len())
        .map(|column| {
            let physical = segment.schema()[column].data_type.physical();
            let predicate = ColumnPredicate { column: column as u32, test: Test::IsNull };
            segment.filter(0, &[predicate])?;
            let rows = RowsRef::Range(0, segment.block_rows(0));
            let vector = segment.read(0, rows, &[(column as u32, physical)])?.remove(0);
            Ok((0..vector.len()).map(|row| vector.scalar(row)).collect())
        })
        .collect()
}

fn expected(rows: usize) -> Vec<Vec<Scalar>> {
    (0..TYPES.len()).map(|column| (0..rows).map(|row| value(column, row)).collect()).collect()
}

#[test]
fn a_changed_byte_is_noticed_or_means_nothing() {
    let rows = 40;
    let image = image(rows);
    let expected = expected(rows);
    assert_eq!(read_all(image.clone()).unwrap(), expected);
    let mut noticed = 0;
    for at in 0..image.len() {
        let mut changed = image.clone();
        changed[at] ^= 1 << (at % 8);
        match read_all(changed) {
            // Only bytes between buffers may change unseen.
            Ok(values) => assert_eq!(values, expected, "byte {at}"),
            Err(Error::Damaged(_) | Error::Version { .. }) => noticed += 1,
            Err(other) => panic!("byte {at}: {other}"),
        }
    }
    assert!(noticed > image.len() / 2);
}

#[test]
fn a_file_cut_short_is_refused() {
    let image = image(40);
    for len in 0..image.len() {
        let result = Segment::open(SegmentBytes::owned(Bytes::from_vec(image[..len].to_vec())));
        assert!(matches!(result, Err(Error::Damaged(_))), "{len} bytes");
    }
    let mut longer = image.clone();
    longer.push(0);
    assert!(read_all(longer).is_err());
    assert!(read_all(vec![0; 4096]).is_err());
}

#[test]
fn another_version_is_named() {
    let mut image = image(1);
    image[8] = 9;
    let error = read_all(image).unwrap_err();
    assert_eq!(error, Error::Version { found: 9, expected: 1 });
}

#[test]
fn a_mapped_segment_gives_pages_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("segment");
    let rows = BLOCK_ROWS + 10;
    fs::write(&path, image(rows)).unwrap();
    let segment = Segment::open(SegmentBytes::map(&path).unwrap()).unwrap();
    let comment = [(3, PhysicalType::View)];
    assert_eq!(segment.resident_bytes(3), 0);
    let before = segment.read(0, RowsRef::Range(100, 50), &comment).unwrap().remove(0);
    assert_eq!(segment.resident_bytes(3), segment.column_bytes(3));
    assert_eq!(segment.resident_bytes(0), 0);
    let used = segment.last_used(3);
    storage::residency::advance_clock();
    segment.read(1, RowsRef::Range(0, 10), &comment).unwrap();
    assert!(segment.last_used(3) > used);
    assert_eq!(segment.release(3), segment.column_bytes(3));
    assert_eq!((segment.resident_bytes(3), segment.last_used(3)), (0, 0));
    let after = segment.read(0, RowsRef::Range(100, 50), &comment).unwrap().remove(0);
    for row in 0..50 {
        assert_eq!(before.scalar(row), value(3, 100 + row));
        assert_eq!(after.scalar(row), value(3, 100 + row));
    }
    let columns: u64 = (0..6).map(|column| segment.column_bytes(column)).sum();
    assert!(columns < segment.bytes());
    // Vectors outlive the segment and the file's name.
    drop(segment);
    fs::remove_file(&path).unwrap();
    assert_eq!(after.scalar(7), value(3, 107));
}

#[test]
fn a_mapped_file_cut_short_is_noticed_before_it_is_touched() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("segment");
    fs::write(&path, image(5_000)).unwrap();
    let segment = Segment::open(SegmentBytes::map(&path).unwrap()).unwrap();
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(100).unwrap();
    let error = segment.read(0, RowsRef::Range(0, 1), &[(0, PhysicalType::I64)]).unwrap_err();
    assert!(matches!(&error, Error::Damaged(what) if what.contains("100 bytes")), "{error}");
    assert!(matches!(SegmentBytes::map(&folder.path().join("absent")), Err(Error::Io(_))));
    fs::write(&path, b"").unwrap();
    let empty = SegmentBytes::map(&path).and_then(Segment::open);
    assert!(empty.is_err());
}

#[test]
fn the_format_stays_still() {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/segment-1");
    let rows = 40;
    // Set to write the file anew, after a new version or a field was given to the format.
    if std::env::var_os("TUNDRA_WRITE_GOLDEN").is_some() {
        fs::write(golden, image(rows)).unwrap();
    }
    let file = fs::read(golden).unwrap();
    assert_eq!(read_all(file.clone()).unwrap(), expected(rows));
    assert!(file == image(rows), "the writer's bytes have changed");
    let before = fs::read(format!("{golden}-without-sums")).unwrap();
    assert_eq!(read_all(before).unwrap(), expected(rows));
}

#[test]
fn predicates_over_columns_of_a_row_agree() {
    let rows = BLOCK_ROWS + 500;
    let segment = Segment::open(SegmentBytes::owned(Bytes::from_vec(image(rows)))).unwrap();
    let predicates = [
        ColumnPredicate { column: 3, test: Test::Compare(CompareOp::Less, Scalar::Bytes(b"the 5".to_vec())) },
        ColumnPredicate { column: 1, test: Test::Between(Scalar::Integer(100), Scalar::Integer(70_000)) },
        ColumnPredicate { column: 2, test: Test::Compare(CompareOp::NotEqual, Scalar::Bytes(b"N".to_vec())) },
        ColumnPredicate { column: 5, test: Test::Compare(CompareOp::GreaterOrEqual, Scalar::Integer(8_500)) },
    ];
    let mut matches = 0;
    for block in 0..2 {
        let found = match segment.filter(block, &predicates).unwrap() {
            storage::BlockRows::Some(rows) => rows,
            other => panic!("{other:?}"),
        };
        let start = block as usize * BLOCK_ROWS;
        let wanted: Vec<u32> = (0..segment.block_rows(block as usize))
            .filter(|&row| {
                let value = |column| value(column, start + row);
                value(3).compare(&Scalar::Bytes(b"the 5".to_vec())).is_some_and(|o| o.is_lt())
                    && value(1).as_integer().is_some_and(|v| (100..=70_000).contains(&v))
                    && value(2) != Scalar::Bytes(b"N".to_vec())
                    && value(5).as_integer().is_some_and(|v| v >= 8_500)
            })
            .map(|row| row as u32)
            .collect();
        assert_eq!(found, wanted);
        matches += found.len();
    }
    assert!(matches > 100);
}

#[test]
fn summaries_merge() {
    let segment_of = |values: &[Scalar]| {
        let schema: Arc<[ColumnSchema]> =
            [ColumnSchema { name: "c".into(), data_type: DataType::Int64, nullable: true }].into();
        let mut builder = SegmentBuilder::new(schema);
        builder.push(&Batch::new(vec![Vector::from_scalars(DataType::Int64, values)])).unwrap();
        Segment::open(builder.finish().unwrap().into_bytes()).unwrap()
    };
    let one =
        |start: i128, len: i128| segment_of(&(start..start + len).map(Scalar::Integer).collect::<Vec<_>>());
    let (a, b, c) = (one(0, 3_000), one(3_000, 1_000), one(500, 1_000));
    let merge = |x: &Segment, y: &Segment| x.statistics().unwrap().merge(&y.statistics().unwrap());
    let apart = merge(&a, &b);
    assert_eq!((apart.rows, apart.columns[0].distinct), (4_000, 4_000.0));
    assert!(apart.columns[0].unique);
    assert_eq!(apart.columns[0].max, Scalar::Integer(3_999));
    let sample = apart.sample.unwrap();
    assert!(sample.rows <= 1024 && sample.rows > 900);
    let late =
        (0..sample.rows).filter(|&row| sample.columns[0].scalar(row).as_integer() >= Some(3_000)).count();
    assert!((sample.rows / 5..sample.rows / 3).contains(&late), "a quarter of the rows, not {late}");
    let overlapping = merge(&a, &c);
    assert!(!overlapping.columns[0].unique);
    assert!((overlapping.columns[0].distinct / 3_000.0 - 1.0).abs() < 0.06);

    let table = |segments: Vec<Segment>| storage::Table {
        schema: segments[0].schema().clone(),
        segments: segments.into_iter().map(Arc::new).collect(),
    };
    let facts = table(vec![a.clone(), b.clone()]).column_facts(0);
    assert!(facts.unique && facts.dense && facts.sorted);
    assert_eq!((facts.rows, facts.bounds), (4_000, Some((0, 3_999))));
    let facts = table(vec![b, a.clone()]).column_facts(0);
    assert!(facts.unique && facts.dense && !facts.sorted);
    let facts = table(vec![a.clone(), c]).column_facts(0);
    assert!(!facts.unique && !facts.dense && !facts.sorted);
    // One value of both.
    let facts = table(vec![a, one(2_999, 10)]).column_facts(0);
    assert!(!facts.unique && !facts.dense && facts.sorted);
    // As many rows as integers within the bounds, one of them null.
    let values = [0, 1, 3].map(Scalar::Integer).into_iter().chain([Scalar::Null]).collect::<Vec<_>>();
    let facts = table(vec![segment_of(&values)]).column_facts(0);
    assert!(facts.unique && !facts.dense && !facts.sorted);
}
