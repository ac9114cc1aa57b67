//! Summaries that come back, that contradict themselves, and that were changed at random.

use super::*;
use crate::fuzz::{Random, change_bytes, run};
use crate::{Segment, SegmentBuilder, Table};
use columnar::{TimeUnit, Vector};
use std::sync::Arc;

const TYPES: [DataType; 9] = [
    DataType::Boolean,
    DataType::Int16,
    DataType::Int64,
    DataType::decimal(38, 2),
    DataType::Float64,
    DataType::Timestamp { unit: TimeUnit::Millisecond, zone: true },
    DataType::Interval,
    DataType::Varchar,
    DataType::Binary,
];

fn schema() -> Vec<ColumnSchema> {
    let column = |(index, &data_type): (usize, &DataType)| ColumnSchema {
        name: format!("c{index}"),
        data_type,
        nullable: true,
    };
    TYPES.iter().enumerate().map(column).collect()
}

fn scalar(data_type: DataType, row: usize) -> Scalar {
    let number = row as i128 * 3 - 500;
    match data_type {
        _ if row % 17 == 3 && data_type != DataType::Int64 => Scalar::Null,
        DataType::Boolean => Scalar::Boolean(row.is_multiple_of(3)),
        DataType::Decimal { .. } => Scalar::Integer(number << 70),
        DataType::Float64 => Scalar::Float(if row == 5 { f64::NAN } else { number as f64 }),
        DataType::Interval => {
            Scalar::Interval(columnar::Interval { months: row as i32, days: 1, micros: -7 })
        }
        DataType::Varchar => Scalar::Bytes(format!("é{}", row % 7).into_bytes()),
        DataType::Binary => Scalar::Bytes(vec![0xff; row % 60]),
        _ => Scalar::Integer(number),
    }
}

/// The summary of `rows` rows, as their segment tells it.
fn summary(rows: usize) -> Summary {
    let mut builder = SegmentBuilder::new(schema().into());
    let column = |&data_type| {
        let scalars: Vec<Scalar> = (0..rows).map(|row| scalar(data_type, row)).collect();
        Vector::from_scalars(data_type, &scalars)
    };
    builder.push(&Batch::new(TYPES.iter().map(column).collect())).unwrap();
    let segment = Segment::open(builder.finish().unwrap().into_bytes()).unwrap();
    let statistics = segment.statistics().unwrap();
    let table = Table { schema: schema().into(), segments: vec![Arc::new(segment)] };
    let facts = (0..TYPES.len() as u32).map(|column| table.column_facts(column)).collect();
    Summary { statistics, facts }
}

fn decode(bytes: &[u8]) -> Result<Summary> {
    Summary::decode(bytes, &schema())
}

/// Merges what was decoded with an honest summary, as its receiver does.
fn use_up(summary: &Summary, honest: &Summary) {
    let merged = summary.statistics.merge(&honest.statistics).merge(&summary.statistics);
    merged.columns.iter().for_each(|column| assert!(column.distinct.is_finite()));
    for (facts, honest) in summary.facts.iter().zip(&honest.facts) {
        ColumnFacts::merge([*honest, *facts, *honest]);
    }
}

#[test]
fn summaries_come_back() {
    for rows in [1, 20, 3_000] {
        let before = summary(rows);
        let after = decode(&before.encode()).unwrap();
        assert_eq!(before.facts, after.facts);
        assert_eq!(format!("{:?}", before.statistics.columns), format!("{:?}", after.statistics.columns));
        assert_eq!(before.statistics.rows, after.statistics.rows);
        let sketches = |summary: &Summary| -> Vec<Option<DistinctSketch>> {
            summary.statistics.columns.iter().map(|column| column.sketch.clone()).collect()
        };
        assert!(sketches(&before) == sketches(&after));
        let (left, right) = (before.statistics.sample.unwrap(), after.statistics.sample.unwrap());
        assert_eq!(left.rows, right.rows);
        for (left, right) in left.columns.iter().zip(&right.columns) {
            assert!((0..left.len()).all(|row| left.scalar(row) == right.scalar(row)));
        }
    }
}

#[test]
fn what_is_not_known_may_lack() {
    let nothing = decode(&Summary::default().encode()).unwrap();
    assert!(nothing.statistics.columns.is_empty() && nothing.facts.is_empty());
    let empty = Summary {
        statistics: TableStatistics::empty(TYPES.len()),
        facts: vec![ColumnFacts::UNKNOWN; TYPES.len()],
    };
    let decoded = decode(&empty.encode()).unwrap();
    assert_eq!(decoded.facts, empty.facts);
    assert_eq!(decoded.statistics.columns.len(), TYPES.len());
    assert!(decoded.statistics.sample.is_none());
}

#[test]
fn sketches_of_few_values_are_short() {
    let few = summary(20).encode().len();
    assert!(few < TYPES.len() * 400, "{few} bytes");
}

#[test]
fn fields_of_later_nodes_are_left_out() {
    let before = summary(20);
    let mut bytes = before.encode();
    // Field 100: five bytes.
    bytes.extend([0xa2, 0x06, 5]);
    bytes.extend(b"later");
    assert_eq!(decode(&bytes).unwrap().facts, before.facts);
    bytes[0] = VERSION + 1;
    assert!(decode(&bytes).is_err());
    assert!(decode(&[]).is_err());
}

#[test]
fn contradictions_are_refused() {
    let honest = summary(20);
    let refused = |change: &dyn Fn(&mut Summary)| {
        let mut summary = honest.clone();
        change(&mut summary);
        assert!(matches!(decode(&summary.encode()).unwrap_err(), Error::Summary(_)));
    };
    refused(&|summary| summary.statistics.rows = ROWS_MAX + 1);
    refused(&|summary| summary.facts.truncate(3));
    refused(&|summary| summary.statistics.columns.truncate(3));
    refused(&|summary| summary.statistics.columns.swap(0, 1));
    refused(&|summary| summary.statistics.columns[2].nulls = u64::MAX);
    refused(&|summary| summary.statistics.columns[2].max = Scalar::Integer(-501));
    refused(&|summary| summary.statistics.columns[2].distinct = f64::NAN);
    refused(&|summary| summary.statistics.columns[2].average_bytes = -1.0);
    refused(&|summary| {
        if let Some(sample) = &mut summary.statistics.sample {
            sample.columns.swap(0, 1);
        }
    });
    refused(&|summary| summary.facts[1].nulls = 21);
    refused(&|summary| summary.facts[1].rows = u64::MAX);
    refused(&|summary| summary.facts[1].bounds = Some((2, 1)));
    refused(&|summary| summary.facts[1].bounds = Some((0, 1 << 20)));
    refused(&|summary| summary.facts[7].bounds = Some((1, 2)));
    refused(&|summary| summary.facts[2].dense = true);
    refused(&|summary| summary.facts[1].sorted = true);
}

#[test]
fn summaries_cut_short_do_no_harm() {
    let bytes = summary(20).encode();
    let sound = (0..bytes.len()).filter(|&len| decode(&bytes[..len]).is_ok()).count();
    // Whole fields may be missing at the end.
    assert!(sound <= 2 * TYPES.len() + 3, "{sound}");
}

#[test]
fn summaries_changed_at_random_do_no_harm() {
    let images: Vec<Vec<u8>> = [1, 20, 300].into_iter().map(|rows| summary(rows).encode()).collect();
    let changed = |random: &mut Random| {
        let mut bytes = random.pick(&images).clone();
        let other: &Vec<u8> = random.pick(&images);
        change_bytes(&mut bytes, other, random);
        bytes
    };
    let honest = summary(20);
    let read = |bytes: Vec<u8>| {
        let summary = decode(&bytes);
        summary.iter().for_each(|summary| use_up(summary, &honest));
        summary.is_ok()
    };
    let (rounds, sound) = run(5, changed, read, |bytes| 64 * bytes + (1 << 20));
    assert!(sound > rounds / 50 && sound < rounds, "{sound} of {rounds} summaries sound");
}
