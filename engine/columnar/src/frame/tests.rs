//! Streams of frames against the batches they were made of, and what does not decode.

use super::dictionaries::{BYTES_MAX, SLOTS, VALUES_MAX};
use super::header::FrameHeader;
use super::samples::{Samples, assert_same};
use super::*;
use crate::{
    Batch, Codes, DataType, Dictionary, DictionaryVector, Flat, Interval, PhysicalType, Scalar, Selection,
    Value, Values, Vector, Views,
};
use proptest::prelude::*;
use std::sync::Arc;

fn limits(rows: usize) -> FrameLimits {
    FrameLimits { rows, ..FrameLimits::default() }
}

fn encoder(compress: bool) -> FrameEncoder {
    FrameEncoder::new(FrameOptions { compress })
}

fn encode(batch: &Batch) -> Vec<u8> {
    encoder(false).encode(batch)
}

fn decode(frame: &[u8]) -> super::Result<Batch> {
    FrameDecoder::default().decode(frame)
}

fn integers(values: impl IntoIterator<Item = i64>) -> Vector {
    let scalars: Vec<Scalar> = values.into_iter().map(|value| Scalar::Integer(value.into())).collect();
    Vector::from_scalars(DataType::Int64, &scalars)
}

fn texts(texts: &[&str]) -> Vector {
    let scalars: Vec<Scalar> = texts.iter().map(|&text| Scalar::Bytes(text.into())).collect();
    Vector::from_scalars(DataType::Varchar, &scalars)
}

/// Texts of 20 bytes.
fn numbered(numbers: impl IntoIterator<Item = usize>) -> Vector {
    let all: Vec<String> = numbers.into_iter().map(|number| format!("the number {number:>9}")).collect();
    texts(&all.iter().map(String::as_str).collect::<Vec<_>>())
}

/// `0 .. rows`, each a code of its own as far as there are.
fn codes(dictionary: &Arc<Dictionary>, rows: usize) -> Vector {
    let codes = (0..rows).map(|row| (row % dictionary.values.len()) as u32).collect();
    Vector::Dictionary(DictionaryVector {
        codes: Codes::U32(codes),
        dictionary: dictionary.clone(),
        validity: None,
    })
}

fn dictionary(values: usize) -> Arc<Dictionary> {
    Arc::new(Dictionary::new(integers((0..values as i64).map(|value| value * 3)).flatten(), true))
}

proptest! {
    #[test]
    fn batches_come_back(
        seed: u64,
        rows in prop_oneof![0..300_usize, Just(2048_usize)],
        columns in 0..6_usize,
        frames in 1..5_usize,
        compress: bool,
    ) {
        let mut samples = Samples::new(seed);
        let (mut encoder, mut decoder) = (encoder(compress), FrameDecoder::default());
        for _ in 0..frames {
            let batch = samples.batch(rows, columns);
            let frame = encoder.encode(&batch);
            let decoded = decoder.decode(&frame).unwrap();
            prop_assert!(decoded.selection.is_none());
            assert_same(&batch.compact(), &decoded);
        }
    }
}

#[test]
fn shapes_are_kept() {
    let dictionary = dictionary(10);
    let constant = Vector::constant(Value::null(DataType::Varchar), 100);
    let batch = Batch::new(vec![constant, codes(&dictionary, 100), integers(0..100)]);
    let (mut encoder, mut decoder) = (encoder(false), FrameDecoder::default());
    let first = encoder.encode(&batch);
    let second = encoder.encode(&batch);
    assert!(first.len() > second.len(), "the dictionary crosses once");
    let (first, second) = (decoder.decode(&first).unwrap(), decoder.decode(&second).unwrap());
    for decoded in [&first, &second] {
        assert_same(&batch, decoded);
        assert!(matches!(decoded.columns[0], Vector::Constant(_)));
        assert!(matches!(decoded.columns[2], Vector::Flat(_)));
    }
    let (Vector::Dictionary(a), Vector::Dictionary(b)) = (&first.columns[1], &second.columns[1]) else {
        panic!("codes became something else");
    };
    assert!(Arc::ptr_eq(&a.dictionary, &b.dictionary));
    assert!(a.dictionary.sorted && matches!(a.codes, Codes::U8(_)));
    assert_ne!(a.dictionary.id, dictionary.id);
}

#[test]
fn no_rows_and_no_columns_are_batches_too() {
    let batch = decode(&encode(&Batch::of_rows(vec![], 77))).unwrap();
    assert_eq!((batch.rows, batch.columns.len()), (77, 0));
    let batch = Batch::new(vec![integers([]), texts(&[]), codes(&dictionary(3), 0)]);
    assert_same(&batch, &decode(&encode(&batch)).unwrap());
}

#[test]
fn only_selected_rows_cross() {
    let texts = numbered(0..100);
    let mut batch = Batch::new(vec![integers(0..100), texts]);
    let whole = encode(&batch).len();
    batch.selection = Some(Selection::new(vec![3, 50]));
    let frame = encode(&batch);
    assert!(frame.len() < whole / 10);
    assert_same(&batch.compact(), &decode(&frame).unwrap());
}

#[test]
fn integers_cross_as_narrow_as_their_range() {
    let rows = 1_000;
    let bytes =
        |step: i64| encode(&Batch::new(vec![integers((0..rows).map(|row| i64::MIN + row * step))])).len();
    let fixed = FrameHeader::BYTES + 8 + 16;
    assert_eq!(bytes(0), fixed + 1_000);
    assert_eq!(bytes(60), fixed + 2_000);
    assert_eq!(bytes(4_000_000), fixed + 4_000);
    assert_eq!(bytes(1 << 53), fixed - 16 + 8_000);
}

/// The frames of a stream of one column; each comes back as it was. With each, whether it came as codes.
fn column_frames(columns: &[Vector]) -> Vec<(usize, bool)> {
    let (mut encoder, mut decoder) = (encoder(false), FrameDecoder::default());
    let crossed = |column: &Vector| {
        let batch = Batch::new(vec![column.clone()]);
        let frame = encoder.encode(&batch);
        let decoded = decoder.decode(&frame).unwrap();
        assert_same(&batch, &decoded);
        (frame.len(), matches!(decoded.columns[0], Vector::Dictionary(_)))
    };
    columns.iter().map(crossed).collect()
}

#[test]
fn texts_that_repeat_cross_as_codes() {
    let of = |values: usize, rows: usize| numbered((0..rows).map(|row| row * 7 % values));
    let frames =
        column_frames(&[of(50, 1_000), of(50, 1_000), of(60, 1_000), of(256, 2_000), of(256, 2_000)]);
    assert!(frames.iter().all(|&(_, coded)| coded), "{frames:?}");
    assert!(frames[0].0 < 3_000 && frames[1].0 < 1_200, "values cross once: {frames:?}");
    assert!(frames[2].0 > frames[1].0 && frames[4].0 < 2_200, "{frames:?}");
    // One value too many, then and ever after.
    let frames = column_frames(&[of(257, 2_000), of(50, 1_000)]);
    assert!(frames.iter().all(|&(_, coded)| !coded), "{frames:?}");
}

#[test]
fn texts_cross_as_they_are_where_codes_are_no_shorter() {
    let short = texts(&["N", "R", "A"].repeat(300));
    assert!(column_frames(&vec![short; 6]).iter().all(|&(_, coded)| !coded));
    let few = numbered((0..60).map(|row| row % 2));
    assert!(!column_frames(&[few])[0].1, "a short column");
    let long = "x".repeat(300);
    let longs = texts(&vec![long.as_str(); 100]);
    assert!(!column_frames(&[longs])[0].1, "long strings");
}

#[test]
fn texts_that_were_made_to_collide_cross() {
    let collide: Vec<String> = (0..200).map(|n| format!("head{n:<6}{:30}and the tail", "")).collect();
    let collide: Vec<&str> = collide.iter().map(String::as_str).cycle().take(2_000).collect();
    assert!(!column_frames(&[texts(&collide)])[0].1);
}

#[test]
fn texts_of_many_columns_cross() {
    let (mut encoder, mut decoder) = (encoder(false), FrameDecoder::default());
    let columns = (0..100).map(|column| numbered((0..200).map(|row| row % 50 + column * 1_000)));
    let batch = Batch::new(columns.collect());
    let sizes = [0; 3].map(|_| {
        let frame = encoder.encode(&batch);
        let decoded = decoder.decode(&frame).unwrap();
        assert_same(&batch, &decoded);
        let coded = decoded.columns.iter().filter(|column| matches!(column, Vector::Dictionary(_))).count();
        assert_eq!(coded, 32);
        frame.len()
    });
    assert!(sizes[1] < sizes[0] && sizes[1] == sizes[2], "{sizes:?}");
}

#[test]
fn nulls_among_texts_that_repeat_stay_null() {
    let row = |row: usize| match row % 5 {
        0 => Scalar::Null,
        other => Scalar::Bytes(format!("text number {other:>12}").into_bytes()),
    };
    let scalars: Vec<Scalar> = (0..500).map(row).collect();
    let nulls = Vector::from_scalars(DataType::Varchar, &vec![Scalar::Null; 500]);
    let some = Vector::from_scalars(DataType::Varchar, &scalars);
    let frames = column_frames(&[nulls.flatten().into(), some.clone(), some]);
    assert_eq!(frames.iter().map(|&(_, coded)| coded).collect::<Vec<_>>(), [false, true, true]);
}

#[test]
fn strings_of_null_rows_do_not_cross() {
    let views = Views::from_strings([&b"a secret of more than twelve bytes"[..], b"another", b"told"]);
    let validity = [false, false, true].into_iter().collect();
    let batch = Batch::new(vec![Flat::new(DataType::Varchar, Values::View(views), Some(validity)).into()]);
    let frame = encode(&batch);
    assert!(!frame.windows(6).any(|bytes| bytes == b"secret" || bytes == b"anothe"));
    assert_same(&batch, &decode(&frame).unwrap());
}

#[test]
fn a_dictionary_crosses_once_its_rows_pay_for_it() {
    let dictionary = dictionary(2_000);
    let batch = Batch::new(vec![codes(&dictionary, 500)]);
    let (mut encoder, mut decoder) = (encoder(false), FrameDecoder::default());
    let are_codes: Vec<bool> = (0..6)
        .map(|_| {
            let decoded = decoder.decode(&encoder.encode(&batch)).unwrap();
            assert_same(&batch, &decoded);
            matches!(decoded.columns[0], Vector::Dictionary(_))
        })
        .collect();
    // 500, 1,000, 1,500 rows and 256 are fewer than its values.
    assert_eq!(are_codes, [false, false, false, true, true, true]);
}

#[test]
fn large_dictionaries_never_cross() {
    let long = "x".repeat(BYTES_MAX / 2);
    let texts = texts(&[&long[..], &format!("{long}y"), "z"]);
    let long = Arc::new(Dictionary::new(texts.flatten(), true));
    for dictionary in [long, dictionary(VALUES_MAX + 1)] {
        let batch = Batch::new(vec![codes(&dictionary, VALUES_MAX)]);
        let (mut encoder, mut decoder) = (encoder(true), FrameDecoder::new(limits(1 << 16)));
        for _ in 0..2 {
            let few = batch.slice(0, if dictionary.values.len() == 3 { 3 } else { VALUES_MAX });
            let decoded = decoder.decode(&encoder.encode(&few)).unwrap();
            assert!(matches!(decoded.columns[0], Vector::Flat(_)));
        }
    }
    let largest = Batch::new(vec![codes(&dictionary(VALUES_MAX), VALUES_MAX)]);
    let decoded = FrameDecoder::new(limits(1 << 16)).decode(&encode(&largest)).unwrap();
    assert!(matches!(decoded.columns[0], Vector::Dictionary(_)));
    assert_same(&largest, &decoded);
}

#[test]
fn more_dictionaries_than_slots_replace_each_other() {
    let dictionaries: Vec<_> = (0..SLOTS + 10).map(|extra| dictionary(3 + extra)).collect();
    let (mut encoder, mut decoder) = (encoder(false), FrameDecoder::default());
    let all = Batch::new(dictionaries.iter().map(|dictionary| codes(dictionary, 100)).collect());
    assert_same(&all, &decoder.decode(&encoder.encode(&all)).unwrap());
    for turn in 0..500 {
        // One is asked for all the time and so never lost.
        let batch =
            Batch::new(vec![all.columns[0].clone(), all.columns[turn * 7 % dictionaries.len()].clone()]);
        let frame = encoder.encode(&batch);
        assert_same(&batch, &decoder.decode(&frame).unwrap());
        if turn > 0 {
            assert_eq!(frame[FrameHeader::BYTES], 2, "a known dictionary");
        }
    }
}

#[test]
fn bodies_are_compressed_where_that_saves() {
    let same = Batch::new(vec![numbered((0..1_000).map(|row| row % 300))]);
    let (plain, packed) = (encode(&same), encoder(true).encode(&same));
    assert!(packed.len() < plain.len() / 2);
    assert_same(&same, &decode(&packed).unwrap());
    let mut random = super::samples::Random(1);
    let noise = Batch::new(vec![integers((0..1_000).map(|_| random.next() as i64))]);
    assert_eq!(encoder(true).encode(&noise), encode(&noise));
}

#[test]
fn limits_hold() {
    let batch = Batch::new(vec![integers(0..2_049)]);
    let frame = encode(&batch);
    assert_eq!(decode(&frame).unwrap_err(), FrameError::TooLarge { what: "rows", limit: 2_048 });
    assert!(FrameDecoder::new(limits(2_049)).decode(&frame).is_ok());
    // A body of zeros that claims much: more than its limit, and more than an LZ4 block of its length can hold.
    let header = FrameHeader { is_compressed: true, columns: 1, rows: 1, body_bytes: 300 << 20 };
    let zeros = crate::lz4::compress(&vec![0; 300 << 20]).unwrap();
    let bomb = [&header.to_bytes()[..], &zeros].concat();
    assert_eq!(
        decode(&bomb).unwrap_err(),
        FrameError::TooLarge { what: "bytes in memory", limit: 256 << 20 }
    );
    let lie = [&header.to_bytes()[..], &[0; 100]].concat();
    let mut decoder = FrameDecoder::new(FrameLimits { rows: 1, bytes: 1 << 30 });
    assert!(matches!(decoder.decode(&lie).unwrap_err(), FrameError::Malformed(_)));
    // One-byte differences of 16-byte integers take 17 times their size.
    let wide = Vector::from_scalars(DataType::decimal(38, 0), &vec![Scalar::Integer(7); 2_048]);
    let wide = encode(&Batch::new(vec![wide; 10]));
    let bounded = |bytes| FrameDecoder::new(FrameLimits { rows: 2_048, bytes }).decode(&wide);
    assert!(bounded(17 * 20_480 + 4_096).is_ok());
    assert!(matches!(bounded(17 * 20_480).unwrap_err(), FrameError::TooLarge { .. }));
}

#[test]
fn frames_cut_short_are_refused_at_every_length() {
    let mut samples = Samples::new(5);
    for columns in 0..12 {
        let batch = samples.batch(70, columns);
        for compress in [false, true] {
            let frame = encoder(compress).encode(&batch);
            for len in 0..frame.len() {
                assert!(decode(&frame[..len]).is_err(), "{len} bytes of {}", frame.len());
            }
            assert!(decode(&[&frame[..], &[0; 8]].concat()).is_err());
        }
    }
}

#[test]
fn another_streams_frames_are_refused() {
    let (mut first, mut second) = (encoder(false), encoder(false));
    let number_batch = Batch::new(vec![codes(&dictionary(5), 100)]);
    let text = Arc::new(Dictionary::new(texts(&["a", "b", "c"]).flatten(), true));
    let text_batch = Batch::new(vec![codes(&text, 100)]);
    first.encode(&number_batch);
    let known = first.encode(&number_batch);
    assert_eq!(decode(&known).unwrap_err(), FrameError::Malformed("codes of a dictionary that never came"));
    let mut decoder = FrameDecoder::default();
    decoder.decode(&second.encode(&text_batch)).unwrap();
    let error = decoder.decode(&known).unwrap_err();
    assert_eq!(error, FrameError::Malformed("codes of a dictionary of another type"));
    let mut later = known;
    later[0] = 2;
    assert_eq!(decoder.decode(&later).unwrap_err(), FrameError::Version { found: 2, expected: 1 });
}

#[test]
fn what_codes_and_text_must_be_is_checked() {
    let changed = |batch: &Batch, from: &[u8], to: &[u8]| {
        let mut frame = encode(batch);
        let at = frame.windows(from.len()).rposition(|bytes| bytes == from).unwrap();
        frame[at..at + to.len()].copy_from_slice(to);
        decode(&frame).unwrap_err()
    };
    let few = Batch::new(vec![codes(&dictionary(5), 10)]);
    let error = changed(&few, &[3, 4, 0, 1, 2], &[3, 5, 0, 1, 2]);
    assert_eq!(error, FrameError::Malformed("a code beyond its dictionary"));
    let text = Batch::new(vec![texts(&["aé", "éa", "plain"])]);
    let error = changed(&text, "aééa".as_bytes(), b"a\xff");
    assert_eq!(error, FrameError::Malformed("text that is not UTF-8"));
    let error = changed(&text, &[3, 3, 5], &[2, 4, 5]);
    assert_eq!(error, FrameError::Malformed("a string that ends within a character"));
    let constant = Batch::new(vec![Vector::constant(Value::varchar("aé"), 10)]);
    let error = changed(&constant, "aé".as_bytes(), b"a\xff");
    assert_eq!(error, FrameError::Malformed("text that is not UTF-8"));
    let null = Vector::from_scalars(DataType::Boolean, &[Scalar::Null, Scalar::Boolean(true)]);
    let error = changed(&Batch::new(vec![null]), &[2, 0, 0, 0, 0, 0, 0, 0], &[4]);
    assert_eq!(error, FrameError::Malformed("bits beyond the last row"));
}

/// A batch for every shape and kind of values.
fn golden_batches() -> Vec<(&'static str, Batch)> {
    let scalars = |data_type, scalars: &[Scalar]| Batch::new(vec![Vector::from_scalars(data_type, scalars)]);
    let numbers =
        |numbers: &[i128]| numbers.iter().map(|&number| Scalar::Integer(number)).collect::<Vec<_>>();
    let interval = Interval { months: 1, days: -2, micros: 3 };
    let narrow = Flat::new(DataType::decimal(15, 2), Values::I16(vec![-1, 300, 7].into()), None);
    let mut nullable = numbers(&[5, 6, 7, 8, 9]);
    nullable[3] = Scalar::Null;
    vec![
        ("no columns", Batch::of_rows(vec![], 3)),
        ("no rows", Batch::new(vec![integers([]), texts(&[])])),
        ("bits", scalars(DataType::Boolean, &[true, false, true].map(Scalar::Boolean))),
        ("integers", scalars(DataType::Int32, &numbers(&[1, -1]))),
        ("integers with a null", scalars(DataType::Int8, &nullable)),
        ("narrow decimals", Batch::new(vec![narrow.into()])),
        ("differences of one byte", scalars(DataType::Int64, &numbers(&[1_000_000, 1_000_255, 1_000_000]))),
        ("differences of eight bytes", scalars(DataType::decimal(38, 4), &numbers(&[-1, 1 << 40, 5]))),
        ("floats", scalars(DataType::Float64, &[1.5, -0.0].map(Scalar::Float))),
        ("single floats", scalars(DataType::Float32, &[1.5, -0.0].map(Scalar::Float))),
        ("intervals", scalars(DataType::Interval, &[Scalar::Interval(interval)])),
        ("texts", Batch::new(vec![texts(&["", "short", "more than twelve bytes"])])),
        ("long texts", Batch::new(vec![texts(&[&"x".repeat(256)])])),
        ("constant", Batch::new(vec![Vector::constant(Value::int32(-3), 2_000)])),
        ("constant text", Batch::new(vec![Vector::constant(Value::varchar("text"), 3)])),
        ("constant null", Batch::new(vec![Vector::constant(Value::null(DataType::TIMESTAMP), 3)])),
        ("dictionary, new then known", Batch::new(vec![codes(&dictionary(3), 5); 2])),
        ("dictionary of many", Batch::new(vec![codes(&dictionary(257), 3)])),
        ("compressed", Batch::new(vec![texts(&["again and again"; 40])])),
    ]
}

#[test]
fn bytes_are_those_that_were_written_before() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/frame/golden.txt");
    let hex = |frame: &[u8]| frame.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let frames: Vec<(&str, Batch, Vec<u8>)> = golden_batches()
        .into_iter()
        .map(|(name, batch)| {
            let frame = encoder(name == "compressed").encode(&batch);
            (name, batch, frame)
        })
        .collect();
    // Set to write the frames anew, after a new version was given to the format.
    if std::env::var_os("TUNDRA_WRITE_GOLDEN").is_some() {
        let lines = frames.iter().map(|(name, _, frame)| format!("{name}: {}\n", hex(frame)));
        std::fs::write(path, lines.collect::<String>()).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap();
    assert_eq!(golden.lines().count(), frames.len());
    for ((name, batch, frame), line) in frames.iter().zip(golden.lines()) {
        let (golden_name, digits) = line.split_once(": ").unwrap();
        assert_eq!(*name, golden_name);
        let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
        let bytes: Vec<u8> = (0..digits.len()).step_by(2).map(byte).collect();
        assert_same(batch, &decode(&bytes).unwrap());
        // Which block of the many that decompress alike is written is the compressor's affair.
        assert!(bytes == *frame || *name == "compressed", "{name}: {}", hex(frame));
    }
}

#[test]
fn physical_widths_are_kept() {
    for physical in [PhysicalType::I8, PhysicalType::I32, PhysicalType::I128] {
        let values = crate::kernels::cast::to_width(&Values::I64(vec![1, 2, 100].into()), physical);
        let batch = Batch::new(vec![Flat::new(DataType::Int64, values, None).into()]);
        assert_eq!(decode(&encode(&batch)).unwrap().columns[0].physical(), physical);
    }
}

#[test]
fn nested_types_are_known_by_whoever_expects_them() {
    let list = crate::types::list_of(DataType::Int32).unwrap();
    let other = crate::types::list_of(DataType::Varchar).unwrap();
    let flat = Vector::from_scalars(list, &[Scalar::Bytes(vec![0]), Scalar::Null, Scalar::Bytes(vec![2, 0])]);
    let constant = Vector::constant(Value::new(list, Scalar::Bytes(vec![0])), 3);
    for vector in [flat, constant] {
        let frame = encode(&Batch::new(vec![vector.clone()]));
        let decoder = || FrameDecoder::new(limits(1 << 16));
        let decoded = decoder().expecting(vec![list]).decode(&frame).unwrap();
        for row in 0..3 {
            assert_eq!(decoded.columns[0].scalar(row), vector.scalar(row));
        }
        assert_eq!(decoded.columns[0].data_type(), list);
        assert!(decoder().decode(&frame).is_err());
        assert!(decoder().expecting(vec![other]).decode(&frame).is_err());
    }
}
