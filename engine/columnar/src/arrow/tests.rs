use super::*;
use crate::{
    Batch, Bitmap, Codes, Dictionary, DictionaryVector, Flat, Interval, Scalar, TimeUnit, Value, Values,
    Vector, Views,
};
use ::arrow::array::*;
use ::arrow::datatypes::*;
use proptest::prelude::*;
use std::sync::Arc;

type Type = crate::DataType;

fn scalars(vector: &Vector) -> Vec<Scalar> {
    (0..vector.len()).map(|row| vector.scalar(row)).collect()
}

fn integers(values: impl IntoIterator<Item = i128>) -> Vec<Scalar> {
    values.into_iter().map(Scalar::Integer).collect()
}

/// Imports an array whole and cut, and compares with what is expected of it.
fn check_import(array: impl Array + 'static, data_type: Type, expected: &[Scalar]) {
    let array: ArrayRef = Arc::new(array);
    let whole = vector("c", &array).unwrap();
    assert_eq!((whole.data_type(), whole.physical()), (data_type, data_type.physical()));
    assert_eq!(scalars(&whole), expected);
    for start in 0..=array.len() {
        let cut = vector("c", &array.slice(start, array.len() - start)).unwrap();
        assert_eq!(scalars(&cut), expected[start..], "from {start}");
    }
}

fn any_type() -> impl Strategy<Value = Type> {
    prop::sample::select(vec![
        Type::Boolean,
        Type::Int8,
        Type::Int16,
        Type::Int32,
        Type::Int64,
        Type::UInt8,
        Type::UInt16,
        Type::UInt32,
        Type::UInt64,
        Type::decimal(1, 0),
        Type::decimal(4, 2),
        Type::decimal(9, 9),
        Type::decimal(15, 2),
        Type::decimal(18, 0),
        Type::decimal(38, 10),
        Type::Float32,
        Type::Float64,
        Type::Date,
        Type::Time,
        Type::TIMESTAMP,
        Type::Timestamp { unit: TimeUnit::Second, zone: true },
        Type::Timestamp { unit: TimeUnit::Millisecond, zone: false },
        Type::Timestamp { unit: TimeUnit::Nanosecond, zone: true },
        Type::Interval,
        Type::Varchar,
        Type::Binary,
        Type::Null,
    ])
}

fn scalar_of(data_type: Type, seed: i128, text: &str) -> Scalar {
    let fold = |low: i128, high: i128| match seed % 5 {
        0 => low,
        1 => high,
        _ => low + seed.rem_euclid((high - low).saturating_add(1).max(1)),
    };
    match data_type {
        Type::Null => Scalar::Null,
        Type::Boolean => Scalar::Boolean(seed % 2 == 0),
        Type::Float32 => Scalar::Float((seed as f32).into()),
        Type::Float64 => Scalar::Float(seed as f64 / 3.0),
        Type::Interval => Scalar::Interval(Interval {
            months: seed as i32,
            days: (seed >> 32) as i32,
            micros: seed as i64 / 1_000,
        }),
        Type::Varchar => Scalar::Bytes(text.as_bytes().to_vec()),
        Type::Binary => Scalar::Bytes([text.as_bytes(), &[255, 0]].concat()),
        integral => {
            let (low, high) = match integral {
                Type::Time => (0, 86_400_000_000),
                _ => integral.integer_bounds().unwrap(),
            };
            if low == i128::MIN {
                Scalar::Integer(seed)
            } else {
                Scalar::Integer(fold(low / 2, high / 2) * 2)
            }
        }
    }
}

#[test]
fn hugeints_leave_as_decimals_where_they_can() {
    let huge = |value: i128| Vector::from_scalars(Type::Int128, &[Scalar::Integer(value), Scalar::Null]);
    let most = 10_i128.pow(38) - 1;
    for value in [0, -1, most, -most] {
        let out = array(&huge(value), Strings::Views).unwrap();
        assert_eq!(out.as_primitive::<Decimal128Type>().value(0), value);
        assert!(out.is_null(1));
    }
    for value in [most + 1, -most - 1, i128::MIN, i128::MAX] {
        let error = array(&huge(value), Strings::Views).unwrap_err().to_string();
        assert!(error.contains("VARCHAR"), "{error}");
        // In files there is room for all.
        let field = Field::new("c", STORED_HUGEINT, true);
        let batch = record_batch(Batch::new(vec![huge(value)]), Arc::new(Schema::new(vec![field])));
        check_import_of(batch.unwrap().column(0), Type::Int128, &[Scalar::Integer(value), Scalar::Null]);
    }
}

fn check_import_of(array: &ArrayRef, data_type: Type, expected: &[Scalar]) {
    let back = vector("c", array).unwrap();
    assert_eq!((back.data_type(), scalars(&back)), (data_type, expected.to_vec()));
}

#[test]
fn uuids_and_enums_leave() {
    let uuid = crate::uuid::read("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11").unwrap();
    let out = array(&Vector::from_scalars(Type::Uuid, &[Scalar::Integer(uuid)]), Strings::Views).unwrap();
    assert_eq!(out.as_fixed_size_binary().value(0)[..3], [0xa0, 0xee, 0xbc]);
    let colour = crate::types::enumeration(None, vec!["red".into(), "green".into()]).unwrap();
    let codes = [Scalar::Integer(1), Scalar::Null, Scalar::Integer(0)];
    let out = array(&Vector::from_scalars(colour, &codes), Strings::Offsets).unwrap();
    assert_eq!(out.as_string::<i32>().iter().collect::<Vec<_>>(), [Some("green"), None, Some("red")]);
}

#[test]
fn a_time_beyond_the_day_is_an_error() {
    use arrow::array::{ArrayRef, Time64MicrosecondArray};
    for (micros, fits) in [(0, true), (86_400_000_000, true), (86_400_000_001, false), (-1, false)] {
        let times: ArrayRef = std::sync::Arc::new(Time64MicrosecondArray::from(vec![Some(micros), None]));
        assert_eq!(vector("c", &times).is_ok(), fits, "{micros}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn values_survive_the_round_trip(
        data_type in any_type(),
        rows in prop::collection::vec((any::<bool>(), any::<i64>(), "[a-zäß]{0,20}"), 0..150),
        start in 0..70_usize,
        views in any::<bool>(),
    ) {
        let values: Vec<Scalar> = rows
            .iter()
            .map(|(null, seed, text)| match null {
                true => Scalar::Null,
                false => scalar_of(data_type, (*seed).into(), text),
            })
            .collect();
        let start = start.min(values.len());
        let whole = Vector::from_scalars(data_type, &values);
        let strings = if views { Strings::Views } else { Strings::Offsets };
        let out = array(&whole.slice(start, values.len() - start), strings).unwrap();
        prop_assert_eq!(out.data_type(), &arrow_type_of(data_type, strings));
        prop_assert_eq!(data_type_of("c", out.data_type()).unwrap(), data_type);
        let back = vector("c", &out).unwrap();
        prop_assert_eq!(scalars(&back), &values[start..]);
    }

    #[test]
    fn cut_bitmaps_arrive_whole(bits in prop::collection::vec(any::<bool>(), 0..300), start in 0..130_usize) {
        let start = start.min(bits.len());
        let array: ArrayRef = Arc::new(BooleanArray::from(bits.clone()));
        let cut = vector("c", &array.slice(start, bits.len() - start)).unwrap().flatten();
        let Values::Bool(found) = cut.values else { panic!("not bits") };
        prop_assert_eq!(found, bits[start..].iter().copied().collect::<Bitmap>());
    }
}

#[test]
fn unsigned_integers_stay_unsigned() {
    check_import(UInt8Array::from(vec![0, 255]), Type::UInt8, &integers([0, 255]));
    check_import(UInt16Array::from(vec![0, 65_535]), Type::UInt16, &integers([0, 65_535]));
    check_import(UInt32Array::from(vec![7, u32::MAX]), Type::UInt32, &integers([7, u32::MAX.into()]));
    check_import(UInt64Array::from(vec![0, u64::MAX]), Type::UInt64, &integers([0, u64::MAX.into()]));
}

#[test]
fn times_and_intervals_take_our_units() {
    check_import(Date64Array::from(vec![-1, 86_400_000]), Type::Date, &integers([-1, 1]));
    check_import(Time32SecondArray::from(vec![3]), Type::Time, &integers([3_000_000]));
    check_import(Time32MillisecondArray::from(vec![3]), Type::Time, &integers([3_000]));
    check_import(Time64NanosecondArray::from(vec![3_999]), Type::Time, &integers([3]));
    let interval = |months, days, micros| Scalar::Interval(Interval { months, days, micros });
    check_import(IntervalYearMonthArray::from(vec![14]), Type::Interval, &[interval(14, 0, 0)]);
    check_import(
        IntervalDayTimeArray::from(vec![IntervalDayTime::new(2, 5)]),
        Type::Interval,
        &[interval(0, 2, 5_000)],
    );
    check_import(DurationSecondArray::from(vec![2]), Type::Interval, &[interval(0, 0, 2_000_000)]);
    let array: ArrayRef = Arc::new(DurationSecondArray::from(vec![i64::MAX]));
    assert!(vector("c", &array).unwrap_err().to_string().contains("\"c\""));
}

#[test]
fn decimals_narrow_and_are_checked() {
    let of = |values: Vec<Option<i128>>, precision| {
        Decimal128Array::from(values).with_precision_and_scale(precision, 2).unwrap()
    };
    check_import(
        of(vec![Some(-99), None, Some(99)], 2),
        Type::decimal(2, 2),
        &[Scalar::Integer(-99), Scalar::Null, Scalar::Integer(99)],
    );
    check_import(
        of(vec![Some(10_i128.pow(18) - 1)], 18),
        Type::decimal(18, 2),
        &integers([10_i128.pow(18) - 1]),
    );
    for (value, precision) in [(1_000, 3), (1 << 70, 3), (-(1 << 64), 15), (10_i128.pow(20), 20)] {
        let array: ArrayRef = Arc::new(of(vec![Some(value)], precision));
        assert!(matches!(vector("c", &array), Err(crate::Error::OutOfRange { .. })), "{value}");
        // What lies behind a null does not matter.
        let values = crate::Buffer::from(vec![value, 5]);
        let hidden = Decimal128Array::new(values, Some(vec![false, true].into()));
        let hidden: ArrayRef = Arc::new(hidden.with_precision_and_scale(precision, 2).unwrap());
        assert_eq!(scalars(&vector("c", &hidden).unwrap()), [Scalar::Null, Scalar::Integer(5)]);
    }
    let narrow = Decimal32Array::from(vec![12]).with_precision_and_scale(4, 1).unwrap();
    check_import(narrow, Type::decimal(4, 1), &integers([12]));
    let middle = Decimal64Array::from(vec![12, -7]).with_precision_and_scale(12, 1).unwrap();
    check_import(middle, Type::decimal(12, 1), &integers([12, -7]));
    let wide = Decimal256Array::from(vec![i256::from_i128(-5)]).with_precision_and_scale(30, 1).unwrap();
    check_import(wide, Type::decimal(30, 1), &integers([-5]));
    let beyond: ArrayRef = Arc::new(Decimal256Array::from(vec![i256::from_i128(1)]));
    assert!(vector("c", &beyond).unwrap_err().to_string().contains("not supported"));
}

#[test]
fn dictionaries_with_repeats_and_nulls_become_flat() {
    let bytes = |text: &str| Scalar::Bytes(text.as_bytes().to_vec());
    let values: ArrayRef =
        Arc::new(StringArray::from(vec![Some("x"), None, Some("x"), Some("longer than inline")]));
    let keys = Int8Array::from(vec![Some(0), Some(1), None, Some(2), Some(3)]);
    let expected = [bytes("x"), Scalar::Null, Scalar::Null, bytes("x"), bytes("longer than inline")];
    check_import(DictionaryArray::new(keys, values), Type::Varchar, &expected);
    let empty: ArrayRef = Arc::new(StringArray::new_null(0));
    let keys = Int32Array::from(vec![None, None]);
    check_import(DictionaryArray::new(keys, empty), Type::Varchar, &[Scalar::Null, Scalar::Null]);
}

#[test]
fn every_shape_and_width_leaves_alike() {
    let narrow = Flat::new(Type::Int64, Values::I8(vec![1, -2, 3].into()), None).into();
    let constant = Vector::constant(Value::int64(-2), 3);
    let values = Flat::new(Type::Int64, Values::I16(vec![-2, 3].into()), None);
    let coded = Vector::Dictionary(DictionaryVector {
        codes: Codes::U8(vec![1, 0, 0].into()),
        dictionary: Arc::new(Dictionary::new(values, true)),
        validity: Some([true, true, false].into_iter().collect()),
    });
    let schema = schema(
        [("a", Type::Int64, false), ("b", Type::Int64, false), ("c", Type::Int64, true)],
        Strings::Offsets,
    );
    let batch = Batch::new(vec![narrow, constant, coded]);
    let out = record_batch(batch, Arc::new(schema)).unwrap();
    for (column, expected) in
        [[Some(1), Some(-2), Some(3)], [Some(-2); 3], [Some(3), Some(-2), None]].iter().enumerate()
    {
        assert_eq!(out.column(column).as_primitive::<Int64Type>(), &Int64Array::from(expected.to_vec()));
    }
}

#[test]
fn selections_and_columnless_batches_leave() {
    let mut batch = Batch::new(vec![Vector::from_scalars(Type::Int32, &integers([1, 2, 3]))]);
    batch.selection = Some(crate::Selection::new(vec![0, 2]));
    let out = record_batch(batch, Arc::new(schema([("a", Type::Int32, false)], Strings::Offsets))).unwrap();
    assert_eq!(out.column(0).as_primitive::<Int32Type>().values()[..], [1, 3]);
    let out = record_batch(Batch::of_rows(vec![], 5), Arc::new(Schema::empty())).unwrap();
    assert_eq!(out.num_rows(), 5);
    assert!(
        record_batch(
            Batch::of_rows(vec![], 5),
            Arc::new(schema([("a", Type::Int32, false)], Strings::Offsets))
        )
        .is_err()
    );
}

#[test]
fn unions_are_refused_by_name() {
    let union = ::arrow::datatypes::DataType::Union(UnionFields::empty(), UnionMode::Sparse);
    let error = data_type_of("tags", &union).unwrap_err().to_string();
    assert!(error.contains("tags") && error.contains("nested"), "{error}");
}

#[test]
fn memory_is_shared_where_layouts_agree() {
    let array: ArrayRef = Arc::new(Int64Array::from((0..100).collect::<Vec<_>>()));
    let flat = vector("c", &array).unwrap().flatten();
    let Values::I64(values) = &flat.values else { panic!("not 64 bits") };
    assert_eq!(values.as_ptr(), array.as_primitive::<Int64Type>().values().as_ptr());
    let back = super::array(&flat.clone().into(), Strings::Offsets).unwrap();
    assert_eq!(back.as_primitive::<Int64Type>().values().as_ptr(), values.as_ptr());
    let text: ArrayRef = Arc::new(StringArray::from(vec!["a string that is not inline"; 3]));
    let Values::View(views) = vector("c", &text).unwrap().flatten().values else { panic!("not text") };
    assert_eq!(views.buffers()[0].as_ptr(), text.as_string::<i32>().values().as_ptr());
}

#[test]
fn few_rows_of_a_large_buffer_leave_alone() {
    let strings: Vec<String> = (0..10_000).map(|row| format!("a long enough string {row}")).collect();
    let views = Views::from_strings(strings.iter().map(String::as_bytes));
    let whole: Vector = Flat::new(Type::Varchar, Values::View(views), None).into();
    let out = array(&whole.slice(50, 2), Strings::Views).unwrap();
    assert!(out.get_array_memory_size() < 10_000);
    assert_eq!(out.as_string_view().value(1), strings[51]);
}

#[test]
fn invalid_text_is_an_error() {
    let views = Views::from_strings([&[0xff, 0xfe][..]]);
    let vector: Vector = Flat::new(Type::Varchar, Values::View(views), None).into();
    assert!(array(&vector, Strings::Offsets).is_err());
    assert!(array(&vector, Strings::Views).is_err());
}
