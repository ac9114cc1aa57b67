//! Unrolled lists against a loop over rows.

#![allow(clippy::unwrap_used)]

use super::Unroll;
use crate::expr::Expr;
use crate::operators::testing::{Row, batches_of, query, shapes_of, sorted, stream};
use crate::plan;
use columnar::packed::append_scalar;
use columnar::types::{Nested, list_of, nested};
use columnar::{BATCH_ROWS, DataType, Interval, Scalar};

/// A packed list.
fn list(elements: &[Scalar], data_type: DataType) -> Scalar {
    let mut bytes = Vec::new();
    for element in elements {
        bytes.push(if matches!(element, Scalar::Null) { 2 } else { 1 });
        if !matches!(element, Scalar::Null) {
            append_scalar(&mut bytes, element, data_type).unwrap();
        }
    }
    bytes.push(0);
    Scalar::Bytes(bytes)
}

fn input() -> Box<plan::Plan> {
    Box::new(plan::Plan::Values { types: Vec::new(), rows: Vec::new() })
}

/// What a row gives: for each place of the longest list, elements and place.
fn places(lists: &[Option<Vec<Scalar>>], keeps_empty: bool) -> Vec<(Row, Scalar)> {
    let length = |list: &Option<Vec<Scalar>>| list.as_ref().map_or(0, Vec::len);
    let most = lists.iter().map(length).max().unwrap_or(0);
    let element = |list: &Option<Vec<Scalar>>, place: usize| {
        list.as_ref().and_then(|list| list.get(place).cloned()).unwrap_or(Scalar::Null)
    };
    let row = |place: usize| {
        let row = lists.iter().map(|list| element(list, place)).collect();
        (row, if most == 0 { Scalar::Null } else { Scalar::Integer(place as i128 + 1) })
    };
    (0..most.max(usize::from(keeps_empty))).map(row).collect()
}

#[test]
fn rows_come_once_for_each_place() {
    let element_types = [DataType::Int64, DataType::Varchar];
    let types = [
        DataType::Int32,
        list_of(element_types[0]).unwrap(),
        list_of(element_types[1]).unwrap(),
        DataType::Varchar,
    ];
    // Lengths of 0 to 6, some lists null, some elements null.
    let elements = |row: usize, of: usize| -> Option<Vec<Scalar>> {
        if (row + of).is_multiple_of(5) {
            return None;
        }
        let element = |place: usize| match (row * 7 + of * 3 + place) % 11 {
            0 => Scalar::Null,
            value if of == 0 => Scalar::Integer(value as i128 - 5 + (1 << (place * 5))),
            value => Scalar::Bytes(format!("word\0{value}").repeat(value).into_bytes()),
        };
        Some((0..(row * (of + 3)) % 7).map(element).collect())
    };
    let rows: Vec<Row> = (0..60)
        .map(|row| {
            let packed = |of: usize| {
                elements(row, of).map_or(Scalar::Null, |list_of| list(&list_of, element_types[of]))
            };
            let text = Scalar::Bytes(vec![b'a' + (row % 3) as u8]);
            vec![Scalar::Integer(row as i128), packed(0), packed(1), text]
        })
        .collect();
    for both in [false, true] {
        for (position, keeps_empty) in [(false, false), (true, false), (true, true), (false, true)] {
            let used: &[usize] = if both { &[0, 1] } else { &[1] };
            let unrolled = |&of: &usize| plan::Unrolled {
                list: Expr::column(of as u32 + 1, types[of + 1]),
                data_type: element_types[of],
            };
            let lists = used.iter().map(unrolled).collect();
            let unroll = plan::Unroll { input: input(), keep: vec![3, 0], lists, position, keeps_empty };
            let mut wanted: Vec<Row> = Vec::new();
            for (number, row) in rows.iter().enumerate() {
                let lists: Vec<_> = used.iter().map(|&of| elements(number, of)).collect();
                for (given, place) in places(&lists, keeps_empty) {
                    let mut out = vec![row[3].clone(), row[0].clone()];
                    out.extend(given);
                    out.extend(position.then_some(place));
                    wanted.push(out);
                }
            }
            for (batch_rows, most) in [(1, 1), (3, 3), (3, 64), (64, 1), (17, 2048)] {
                let shapes = shapes_of(&types, &rows, most > 1);
                let operator = Unroll::new(&unroll, &shapes, most).unwrap();
                let batches = batches_of(&types, &rows, batch_rows);
                let given = stream(&operator, batches, 2, &query(most, None)).unwrap();
                assert_eq!(sorted(&given), sorted(&wanted), "{both} {position} {keeps_empty} {most}");
            }
        }
    }
}

#[test]
fn a_list_of_a_million_elements_is_given_in_batches() {
    let many = 1_000_000;
    let elements: Vec<Scalar> = (0..many).map(Scalar::Integer).collect();
    let types = [list_of(DataType::Int32).unwrap()];
    let rows: Vec<Row> = vec![vec![list(&elements, DataType::Int32)], vec![Scalar::Null]];
    let lists = vec![plan::Unrolled { list: Expr::column(0, types[0]), data_type: DataType::Int32 }];
    let unroll = plan::Unroll { input: input(), keep: Vec::new(), lists, position: true, keeps_empty: false };
    let operator = Unroll::new(&unroll, &shapes_of(&types, &rows, false), BATCH_ROWS).unwrap();
    let given = stream(&operator, batches_of(&types, &rows, 2), 1, &query(BATCH_ROWS, None)).unwrap();
    let wanted = (0..many).map(|value| vec![Scalar::Integer(value), Scalar::Integer(value + 1)]);
    assert!(given.into_iter().eq(wanted));
}

#[test]
fn elements_are_of_all_types() {
    let interval = |months| Scalar::Interval(Interval { months, days: -2, micros: 3 });
    let of_type = |data_type: DataType, elements: Vec<Scalar>| (data_type, elements);
    let inner = list_of(DataType::Int8).unwrap();
    let cases = [
        of_type(DataType::Boolean, vec![Scalar::Boolean(true), Scalar::Null, Scalar::Boolean(false)]),
        of_type(DataType::Int8, vec![Scalar::Integer(-128), Scalar::Integer(127)]),
        of_type(DataType::Int16, vec![Scalar::Integer(-32768), Scalar::Integer(0)]),
        of_type(DataType::UInt64, vec![Scalar::Integer(u64::MAX.into()), Scalar::Integer(0)]),
        of_type(DataType::Int128, vec![Scalar::Integer(i128::MIN), Scalar::Integer(i128::MAX)]),
        of_type(DataType::decimal(38, 4), vec![Scalar::Integer(-(10_i128.pow(38) - 1))]),
        of_type(DataType::Date, vec![Scalar::Integer(-1), Scalar::Integer(20_000)]),
        of_type(DataType::TIMESTAMP, vec![Scalar::Integer(-1), Scalar::Null]),
        of_type(DataType::Float32, vec![Scalar::Float(-1.5), Scalar::Float(0.0)]),
        of_type(DataType::Float64, vec![Scalar::Float(f64::MIN), Scalar::Float(f64::INFINITY)]),
        of_type(DataType::Interval, vec![interval(1), interval(-7)]),
        of_type(DataType::Binary, vec![Scalar::Bytes(vec![0, 0, 255, 1]), Scalar::Bytes(Vec::new())]),
        of_type(inner, vec![list(&[Scalar::Integer(3)], DataType::Int8), Scalar::Null]),
        of_type(DataType::Null, vec![Scalar::Null, Scalar::Null]),
    ];
    for (element, elements) in cases {
        let types = [list_of(element).unwrap()];
        let rows: Vec<Row> = vec![vec![list(&elements, element)]];
        let lists = vec![plan::Unrolled { list: Expr::column(0, types[0]), data_type: element }];
        let unroll =
            plan::Unroll { input: input(), keep: Vec::new(), lists, position: false, keeps_empty: false };
        let operator = Unroll::new(&unroll, &shapes_of(&types, &rows, false), 64).unwrap();
        let given = stream(&operator, batches_of(&types, &rows, 1), 1, &query(64, None)).unwrap();
        let wanted: Vec<Row> = elements.iter().map(|element| vec![element.clone()]).collect();
        assert_eq!(given, wanted, "{element}");
    }
}

#[test]
fn entries_of_a_map_are_structs_of_key_and_value() {
    let map = nested(Nested::Map { key: DataType::Varchar, value: DataType::Int32 }).unwrap();
    let mut bytes = Vec::new();
    let mut entry = |key: &str, value: Option<i128>| {
        bytes.push(1);
        append_scalar(&mut bytes, &Scalar::Bytes(key.into()), DataType::Varchar).unwrap();
        bytes.push(if value.is_some() { 1 } else { 2 });
        if let Some(value) = value {
            append_scalar(&mut bytes, &Scalar::Integer(value), DataType::Int32).unwrap();
        }
    };
    entry("a", Some(7));
    entry("b", None);
    bytes.push(0);
    let rows: Vec<Row> = vec![vec![Scalar::Bytes(bytes.clone())]];
    let element = plan::element_type(map).unwrap();
    let lists = vec![plan::Unrolled { list: Expr::column(0, map), data_type: element }];
    let unroll =
        plan::Unroll { input: input(), keep: Vec::new(), lists, position: false, keeps_empty: false };
    let operator = Unroll::new(&unroll, &shapes_of(&[map], &rows, false), 64).unwrap();
    let given = stream(&operator, batches_of(&[map], &rows, 1), 1, &query(64, None)).unwrap();
    // The bytes of a struct are those of its fields, each after its marker.
    // The last entry is its marker, a letter and the end of it, a null; then comes the end of the map.
    let second = bytes.len() - 6;
    let wanted: Vec<Row> = vec![
        vec![Scalar::Bytes(bytes[..second].to_vec())],
        vec![Scalar::Bytes(bytes[second..bytes.len() - 1].to_vec())],
    ];
    assert_eq!(given, wanted);
}

#[test]
fn damaged_lists_and_other_types_are_refused() {
    let types = [list_of(DataType::Int32).unwrap()];
    let lists = vec![plan::Unrolled { list: Expr::column(0, types[0]), data_type: DataType::Int32 }];
    let unroll =
        plan::Unroll { input: input(), keep: Vec::new(), lists, position: false, keeps_empty: false };
    for bytes in [vec![], vec![3], vec![1, 0, 0], vec![2], vec![1, 0, 0, 0, 0]] {
        let rows: Vec<Row> = vec![vec![Scalar::Bytes(bytes.clone())]];
        let operator = Unroll::new(&unroll, &shapes_of(&types, &rows, false), 64).unwrap();
        assert!(stream(&operator, batches_of(&types, &rows, 1), 1, &query(64, None)).is_err(), "{bytes:?}");
    }
    let wrong = plan::Unroll {
        lists: vec![plan::Unrolled { list: Expr::column(0, types[0]), data_type: DataType::Int64 }],
        ..unroll.clone()
    };
    assert!(Unroll::new(&wrong, &shapes_of(&types, &[], false), 64).is_err());
    assert!(
        Unroll::new(&plan::Unroll { keep: vec![1], ..unroll }, &shapes_of(&types, &[], false), 64).is_err()
    );
}
