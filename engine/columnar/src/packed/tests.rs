#![allow(clippy::unwrap_used)]

use super::*;
use crate::types::{Interval, list_of};
use crate::{DataType, Scalar};

/// Values in ascending order.
fn ascending() -> Vec<(DataType, Vec<Scalar>)> {
    let integers = |values: &[i128]| values.iter().copied().map(Scalar::Integer).collect();
    let texts = |values: &[&[u8]]| values.iter().map(|text| Scalar::Bytes(text.to_vec())).collect();
    let interval = |months, days, micros| Scalar::Interval(Interval { months, days, micros });
    vec![
        (DataType::Boolean, vec![Scalar::Boolean(false), Scalar::Boolean(true)]),
        (DataType::Int8, integers(&[-128, -1, 0, 1, 127])),
        (DataType::Int64, integers(&[i64::MIN.into(), -1, 0, i64::MAX.into()])),
        (DataType::Int128, integers(&[i128::MIN, -1, 0, 1, i128::MAX])),
        (DataType::Float32, [f64::NEG_INFINITY, -1.5, 0.0, 2.25, f64::INFINITY].map(Scalar::Float).to_vec()),
        (DataType::Float64, [f64::MIN, -1e-300, 0.0, 1e-300, f64::MAX].map(Scalar::Float).to_vec()),
        (
            DataType::Interval,
            vec![interval(-1, 0, 0), interval(0, 0, 0), interval(0, 29, 5), interval(1, 0, 0)],
        ),
        (DataType::Binary, texts(&[b"", b"\0", b"\0\0", b"\0\xff", b"a", b"a\0", b"ab", b"\xff"])),
        (DataType::Varchar, texts(&[b"", b"a", b"a\0b", b"b"])),
    ]
}

#[test]
fn values_are_read_back_and_bytes_order_as_they_do() {
    for (data_type, values) in ascending() {
        let packed: Vec<Vec<u8>> = values
            .iter()
            .map(|value| {
                let mut bytes = Vec::new();
                append_scalar(&mut bytes, value, data_type).unwrap();
                assert_eq!(value::len_of(&bytes, data_type).unwrap(), bytes.len());
                assert_eq!(value::scalar_of(&bytes, data_type).unwrap(), *value, "{data_type}");
                bytes
            })
            .collect();
        assert!(packed.is_sorted(), "{data_type}");
        // No value is the beginning of another, so that what follows does not change the order.
        for (a, b) in packed.iter().zip(&packed[1..]) {
            assert!(!b.starts_with(a), "{data_type}");
        }
    }
}

#[test]
fn equal_floats_have_one_form() {
    let packed = |value: f64| {
        let mut bytes = Vec::new();
        append_scalar(&mut bytes, &Scalar::Float(value), DataType::Float64).unwrap();
        bytes
    };
    assert_eq!(packed(-0.0), packed(0.0));
    assert_eq!(packed(-f64::NAN), packed(f64::NAN));
    assert!(packed(f64::INFINITY) < packed(f64::NAN));
}

#[test]
fn damaged_bytes_are_an_error() {
    let list = list_of(DataType::Varchar).unwrap();
    for bytes in [&[][..], &[1], &[1, b'a'], &[1, b'a', 0], &[1, b'a', 0, 1], &[7, 0], &[2]] {
        assert!(Elements::new(bytes, list).any(|element| element.is_err()), "{bytes:?}");
    }
    let text = [1, 0xc3, 0, 0, 0];
    let element = Elements::new(&text, list).next().unwrap().unwrap();
    assert!(element.string(DataType::Varchar).is_err());
    assert!(element.string(DataType::Binary).is_ok());
    assert!(append_scalar(&mut Vec::new(), &Scalar::Boolean(true), DataType::Int32).is_err());
}
