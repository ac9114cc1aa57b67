//! Kernels against naive loops, at every instruction set.

use super::arithmetic::{self, FloatOperation, Operand, Operation};
use super::boolean::Truth;
use super::cast::{integer_at, integer_extremes, integers_outside, to_width};
use super::compare::{ConstantRelation, Relation, compare, compare_constant, integers_between, lookup};
use super::concat::concat;
use super::isa::{Isa, force};
use super::select::{choose_values, scatter};
use crate::{Bitmap, DataType, Flat, Interval, PhysicalType, Scalar, Value, Values, Vector, Views};
use proptest::collection::vec;
use proptest::prelude::*;

const INTEGERS: [PhysicalType; 5] =
    [PhysicalType::I8, PhysicalType::I16, PhysicalType::I32, PhysicalType::I64, PhysicalType::I128];

/// Runs a check at every level that the CPU has.
fn at_every_level(check: impl Fn() -> Result<(), TestCaseError>) -> Result<(), TestCaseError> {
    for level in [Isa::Base, Isa::V3, Isa::V4] {
        force(level);
        check()?;
    }
    Ok(())
}

/// Integers of a width: small ones, and those at its ends.
fn integers(width: PhysicalType, len: usize) -> impl Strategy<Value = Vec<i128>> {
    let (low, high) = width.integer_bounds().unwrap();
    vec(prop_oneof![4 => -5_i128..6, 1 => Just(low), 1 => Just(high), 2 => low..=high], len)
}

fn any_width() -> impl Strategy<Value = PhysicalType> {
    proptest::sample::select(&INTEGERS[..])
}

fn any_len() -> impl Strategy<Value = usize> {
    prop_oneof![0_usize..4, 60_usize..70, Just(128), 190_usize..200]
}

fn values(width: PhysicalType, integers: &[i128]) -> Values {
    to_width(&Values::I128(integers.to_vec().into()), width)
}

fn float() -> impl Strategy<Value = f64> {
    prop_oneof![
        Just(f64::NAN),
        Just(-f64::NAN),
        Just(0.0),
        Just(-0.0),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
        Just(1.0),
        any::<f64>()
    ]
}

/// Every relation between two columns and between a column and the first of the other, row by row.
fn check_comparisons(a: &Values, b: &Values) -> Result<(), TestCaseError> {
    let rows = a.len();
    let order = |row: usize, other: usize| a.scalar(row).compare(&b.scalar(other)).unwrap();
    at_every_level(|| {
        prop_assert_eq!(compare(Relation::Equal, a, b), Bitmap::from_fn(rows, |row| order(row, row).is_eq()));
        prop_assert_eq!(compare(Relation::Less, a, b), Bitmap::from_fn(rows, |row| order(row, row).is_lt()));
        if rows > 0 {
            let constant = b.scalar(0);
            for (relation, holds) in [
                (ConstantRelation::Equal, [false, true, false]),
                (ConstantRelation::Less, [true, false, false]),
                (ConstantRelation::Greater, [false, false, true]),
            ] {
                let expected = Bitmap::from_fn(rows, |row| holds[(order(row, 0) as i8 + 1) as usize]);
                prop_assert_eq!(compare_constant(relation, a, &constant), expected, "{:?}", relation);
            }
        }
        Ok(())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn integers_compare(
        (width, a, b) in (any_width(), any_len())
            .prop_flat_map(|(width, len)| (Just(width), integers(width, len), integers(width, len)))
    ) {
        check_comparisons(&values(width, &a), &values(width, &b))?;
    }

    #[test]
    fn floats_compare(pairs in vec((float(), float()), 0..140)) {
        let (a, b): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
        check_comparisons(&Values::F64(a.clone().into()), &Values::F64(b.clone().into()))?;
        let narrow = |values: &[f64]| Values::F32(values.iter().map(|&value| value as f32).collect());
        check_comparisons(&narrow(&a), &narrow(&b))?;
    }

    #[test]
    fn strings_compare(pairs in vec(("[ab\u{0}é]{0,16}", "[ab\u{0}é]{0,16}"), 0..140), long in "a{10,14}") {
        let strings = |pick: fn(&(String, String)) -> &String| {
            let all: Vec<&[u8]> = pairs.iter().map(|pair| pick(pair).as_bytes()).collect();
            Values::View(Views::from_strings(all))
        };
        check_comparisons(&strings(|pair| &pair.0), &strings(|pair| &pair.1))?;
        let same = Values::View(Views::from_strings(vec![long.as_bytes(); 5]));
        check_comparisons(&same, &same)?;
    }

    #[test]
    fn booleans_and_intervals_compare(pairs in vec((any::<bool>(), any::<bool>(), -3..3, -90..90), 0..140)) {
        let bits = |pick: fn(&(bool, bool, i32, i32)) -> bool| Values::Bool(pairs.iter().map(pick).collect());
        check_comparisons(&bits(|pair| pair.0), &bits(|pair| pair.1))?;
        let interval = |months, days| Interval { months, days, micros: 0 };
        let a = Values::Interval(pairs.iter().map(|pair| interval(pair.2, pair.3)).collect());
        let b = Values::Interval(pairs.iter().map(|pair| interval(0, pair.2 * 30)).collect());
        check_comparisons(&a, &b)?;
    }

    #[test]
    fn arithmetic_is_exact_modulo_the_width(
        (widths, a, b, low, high) in ((any_width(), any_width(), any_width()), any_len()).prop_flat_map(
            |(widths, len)| {
                let (a, b) = (integers(widths.0, len), integers(widths.1, len));
                (Just(widths), a, b, integers(widths.2, 1), integers(widths.2, 1))
            }
        )
    ) {
        let (left, right, output) = (values(widths.0, &a), values(widths.1, &b), widths.2);
        at_every_level(|| {
            for operation in [Operation::Add, Operation::Subtract, Operation::Multiply] {
                let apply = |a: i128, b: i128| match operation {
                    Operation::Add => a.wrapping_add(b),
                    Operation::Subtract => a.wrapping_sub(b),
                    Operation::Multiply => a.wrapping_mul(b),
                };
                let run = |a, b| arithmetic::wrapping(operation, a, b, output);
                let expect = |result: Values, expected: Vec<i128>| {
                    let expected = values(output, &expected);
                    let equal = (0..expected.len()).all(|row| integer_at(&result, row) == integer_at(&expected, row));
                    prop_assert!(result.physical() == output && result.len() == expected.len() && equal,
                        "{:?} {:?}", operation, widths);
                    Ok(())
                };
                expect(
                    run(Operand::Values(&left), Operand::Values(&right)),
                    a.iter().zip(&b).map(|(&a, &b)| apply(a, b)).collect(),
                )?;
                if let Some(&constant) = b.first() {
                    let columns = (Operand::Values(&left), Operand::Constant(constant));
                    expect(run(columns.0, columns.1), a.iter().map(|&a| apply(a, constant)).collect())?;
                    expect(run(columns.1, columns.0), a.iter().map(|&a| apply(constant, a)).collect())?;
                }
                let (checked, overflow) = arithmetic::checked(operation, &left, &right);
                let (min, max) = checked.physical().integer_bounds().unwrap();
                let exact = a.iter().zip(&b).map(|(&a, &b)| match operation {
                    Operation::Add => a.checked_add(b),
                    Operation::Subtract => a.checked_sub(b),
                    Operation::Multiply => a.checked_mul(b),
                });
                let exact: Vec<_> = exact.map(|value| value.filter(|v| (min..=max).contains(v))).collect();
                prop_assert_eq!(overflow, exact.iter().any(Option::is_none));
                for (row, value) in exact.iter().enumerate() {
                    prop_assert!(value.is_none_or(|value| value == integer_at(&checked, row)));
                }
            }
            // Ranges and extremes of a column.
            let outside = a.iter().any(|value| !(low[0]..=high[0]).contains(value));
            prop_assert_eq!(integers_outside(&left, low[0], high[0]), outside);
            let between = Bitmap::from_fn(a.len(), |row| (low[0]..=high[0]).contains(&a[row]));
            prop_assert_eq!(integers_between(&left, low[0], high[0]), Some(between));
            let extremes = a.iter().min().copied().zip(a.iter().max().copied());
            prop_assert_eq!(integer_extremes(&left), extremes);
            Ok(())
        })?;
    }

    #[test]
    fn quotients_truncate(
        (width, a, b) in (any_width(), any_len())
            .prop_flat_map(|(width, len)| (Just(width), integers(width, len), integers(width, len)))
    ) {
        let (left, right) = (values(width, &a), values(width, &b));
        at_every_level(|| {
            for remainders in [false, true] {
                let result = arithmetic::quotients(&left, &right, remainders);
                for (row, (&a, &b)) in a.iter().zip(&b).enumerate() {
                    let b = if b == 0 { 1 } else { b };
                    let exact = if remainders { a.wrapping_rem(b) } else { a.wrapping_div(b) };
                    prop_assert_eq!(integer_at(&result, row), integer_at(&values(width, &[exact]), 0));
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn floats_compute(pairs in vec((float(), float()), 0..140)) {
        let (a, b): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
        at_every_level(|| {
            type Apply = fn(f64, f64) -> f64;
            let all: [(FloatOperation, Apply); 5] = [
                (FloatOperation::Add, |a, b| a + b),
                (FloatOperation::Subtract, |a, b| a - b),
                (FloatOperation::Multiply, |a, b| a * b),
                (FloatOperation::Divide, |a, b| a / b),
                (FloatOperation::Modulo, |a, b| a % b),
            ];
            for (operation, apply) in all {
                let (results, special) = arithmetic::float64(operation, &a, &b);
                let expected: Vec<f64> = a.iter().zip(&b).map(|(&a, &b)| apply(a, b)).collect();
                prop_assert_eq!(special, expected.iter().any(|value| !value.is_finite()));
                for (result, expected) in results.iter().zip(&expected) {
                    prop_assert!(result.to_bits() == expected.to_bits() || result.is_nan() && expected.is_nan());
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn logic_has_three_values(rows in vec((0..3, 0..3), 0..140)) {
        // 0: false, 1: true, 2: null.
        let truth = |pick: fn(&(i32, i32)) -> i32| {
            let values = rows.iter().map(|row| pick(row) == 1).collect();
            Truth::new(values, Some(rows.iter().map(|row| pick(row) != 2).collect()))
        };
        let (a, b) = (truth(|row| row.0), truth(|row| row.1));
        let check = |result: &Truth, expected: fn(i32, i32) -> i32| {
            for (row, &(x, y)) in rows.iter().enumerate() {
                let found = if result.is_true().get(row) { 1 } else if result.is_false().get(row) { 0 } else { 2 };
                prop_assert_eq!(found, expected(x, y), "of {} and {}", x, y);
            }
            Ok(())
        };
        check(&a.and(&b), |x, y| if x == 0 || y == 0 { 0 } else { x.max(y) })?;
        check(&a.or(&b), |x, y| if x == 1 || y == 1 { 1 } else { x.max(y) })?;
        check(&a.not(), |x, _| [1, 0, 2][x as usize])?;
    }

    #[test]
    fn chosen_and_scattered_rows_stand_where_they_belong(
        rows in vec((any::<bool>(), "[a-c]{0,20}", "[a-c]{0,20}", any::<i32>(), any::<i32>()), 0..140)
    ) {
        let mask: Bitmap = rows.iter().map(|row| row.0).collect();
        let text = |strings: Vec<&String>| {
            Values::View(Views::from_strings(strings.into_iter().map(|text| text.as_bytes())))
        };
        let strings = (text(rows.iter().map(|row| &row.1).collect()), text(rows.iter().map(|row| &row.2).collect()));
        let numbers: (Values, Values) = (
            Values::I32(rows.iter().map(|row| row.3).collect()),
            Values::I32(rows.iter().map(|row| row.4).collect()),
        );
        let ones: Vec<u32> = mask.ones().map(|row| row as u32).collect();
        at_every_level(|| {
            for (a, b) in [&strings, &numbers] {
                let chosen = choose_values(&mask, a, b);
                let few = super::take::take_values(a, &ones);
                let spread = scatter(&few, &ones, rows.len());
                for row in 0..rows.len() {
                    let source = if mask.get(row) { a } else { b };
                    prop_assert_eq!(chosen.scalar(row), source.scalar(row));
                    prop_assert!(!mask.get(row) || spread.scalar(row) == a.scalar(row));
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn looked_up_bits_are_those_of_the_codes(codes in vec(0_u8..20, 0..200), bytes in vec(0_u8..2, 20)) {
        at_every_level(|| {
            let expected = Bitmap::from_fn(codes.len(), |row| bytes[usize::from(codes[row])] == 1);
            prop_assert_eq!(lookup(&codes[..], &bytes), expected.clone());
            let wide: Vec<u32> = codes.iter().map(|&code| code.into()).collect();
            prop_assert_eq!(lookup(&wide[..], &bytes), expected);
            Ok(())
        })?;
    }
}

#[test]
fn floats_change_width_and_other_kinds_stay() {
    let floats = Values::F64(vec![1.5, f64::MAX].into());
    let narrow = to_width(&floats, PhysicalType::F32);
    assert_eq!(narrow.scalar(0), Scalar::Float(1.5));
    assert_eq!(to_width(&narrow, PhysicalType::F64).scalar(1), Scalar::Float(f64::INFINITY));
    let text = Vector::constant(crate::Value::varchar("x"), 2).flatten();
    assert_eq!(Flat::len(&text), to_width(&text.values, PhysicalType::I8).len());
}

/// Constants that are equal need not be the same.
#[test]
fn constants_of_equal_values_stay_apart() {
    let float = |value: f64| Value::new(DataType::Float64, Scalar::Float(value));
    let span =
        |months, days| Value::new(DataType::Interval, Scalar::Interval(Interval { months, days, micros: 0 }));
    for (one, other) in [(float(0.0), float(-0.0)), (span(1, 0), span(0, 30))] {
        assert_eq!(one, other);
        let vectors = [Vector::constant(one.clone(), 2), Vector::constant(other.clone(), 1)];
        let joined = concat(&[&vectors[0], &vectors[1]]).unwrap();
        let value = |row| Value::new(one.data_type, joined.scalar(row));
        assert!((0..2).all(|row| value(row).is_identical(&one)));
        assert!(value(2).is_identical(&other), "{joined:?}");
        let alike = concat(&[&vectors[0], &vectors[0]]).unwrap();
        assert!(matches!(alike, Vector::Constant(_)));
    }
}
