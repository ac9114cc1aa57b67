//! Batches of every type and shape, drawn by a seed; for tests.

use crate::kernels::cast::to_width;
use crate::{
    Batch, Codes, DataType, Dictionary, DictionaryVector, Flat, Interval, PhysicalType, Scalar, Selection,
    TimeUnit, Value, Values, Vector,
};
use std::sync::Arc;

pub(super) const TYPES: [DataType; 17] = [
    DataType::Null,
    DataType::Boolean,
    DataType::Int8,
    DataType::Int16,
    DataType::Int32,
    DataType::Int64,
    DataType::decimal(9, 2),
    DataType::decimal(38, 0),
    DataType::Float32,
    DataType::Float64,
    DataType::Date,
    DataType::Time,
    DataType::Timestamp { unit: TimeUnit::Second, zone: true },
    DataType::Timestamp { unit: TimeUnit::Nanosecond, zone: false },
    DataType::Interval,
    DataType::Varchar,
    DataType::Binary,
];

/// SplitMix64 (Steele, Lea, Flood 2014).
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 16) as usize % limit.max(1)
    }

    pub(super) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    pub(super) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

/// Draws batches, some of them with codes into the same few dictionaries.
pub(super) struct Samples {
    pub(super) random: Random,
    dictionaries: Vec<Arc<Dictionary>>,
}

impl Samples {
    pub(super) fn new(seed: u64) -> Samples {
        let mut random = Random(seed);
        let dictionaries = (0..6).map(|_| dictionary(&mut random)).collect();
        Samples { random, dictionaries }
    }

    pub(super) fn batch(&mut self, rows: usize, columns: usize) -> Batch {
        let vectors = (0..columns).map(|_| self.vector(rows)).collect();
        let mut batch = Batch::of_rows(vectors, rows);
        if self.random.one_in(4) {
            let selected = (0..rows as u32).filter(|_| !self.random.one_in(3)).collect();
            batch.selection = Some(Selection::new(selected));
        }
        batch
    }

    fn vector(&mut self, rows: usize) -> Vector {
        let data_type = self.random.pick(&TYPES);
        // Cut out of a longer one.
        let start = self.random.below(3) * self.random.below(70);
        match self.random.below(4) {
            0 => {
                let scalar = scalar(&mut self.random, data_type, 60, 5);
                Vector::constant(Value::new(data_type, scalar), rows)
            }
            1 => self.codes(start + rows).slice(start, rows),
            _ => Vector::Flat(flat(&mut self.random, data_type, start + rows).slice(start, rows)),
        }
    }

    fn codes(&mut self, rows: usize) -> Vector {
        let index = self.random.below(self.dictionaries.len());
        let dictionary = self.dictionaries[index].clone();
        let values = dictionary.values.len();
        let codes = (0..rows).map(|_| self.random.below(values) as u32);
        let codes: Vec<u32> = codes.collect();
        let widest = self.random.one_in(2);
        let codes = match values {
            ..=0x100 if !widest => Codes::U8(codes.iter().map(|&code| code as u8).collect()),
            ..=0x1_0000 if !widest => Codes::U16(codes.iter().map(|&code| code as u16).collect()),
            _ => Codes::U32(codes.into()),
        };
        let nulls = self.random.one_in(2);
        let validity = nulls.then(|| (0..rows).map(|_| !self.random.one_in(4)).collect());
        Vector::Dictionary(DictionaryVector { codes, dictionary, validity })
    }
}

fn flat(random: &mut Random, data_type: DataType, rows: usize) -> Flat {
    let (nulls, bits) =
        (random.pick(&[1, 3, usize::MAX]), random.pick(&[1, 7, 8, 9, 16, 31, 32, 33, 64, 126]));
    let scalars: Vec<Scalar> = (0..rows).map(|_| scalar(random, data_type, bits, nulls)).collect();
    let mut flat = Vector::from_scalars(data_type, &scalars).flatten();
    // As narrow as it may be, or as wide.
    if data_type.is_integral() && random.one_in(2) {
        let integers = scalars.iter().filter_map(Scalar::as_integer);
        let least = integers.clone().min().unwrap_or(0);
        let narrowest = PhysicalType::for_bounds(least, integers.max().unwrap_or(0));
        flat.values = to_width(&flat.values, random.pick(&[narrowest, PhysicalType::I128]));
    }
    flat
}

/// A null every `nulls` values; integers of about so many `bits`, far from 0 at times.
fn scalar(random: &mut Random, data_type: DataType, bits: usize, nulls: usize) -> Scalar {
    if data_type == DataType::Null || nulls < usize::MAX && random.one_in(nulls + 1) {
        return Scalar::Null;
    }
    let number = (i128::from(random.next()) << 64 | i128::from(random.next())) & ((1 << bits) - 1);
    match data_type {
        DataType::Boolean => Scalar::Boolean(number % 2 == 0),
        DataType::Float32 => Scalar::Float(f64::from(f32::from_bits(number as u32 & !0x7f80_0000))),
        DataType::Float64 => Scalar::Float(random.pick(&[f64::NAN, -0.0, number as f64 / 8.0])),
        DataType::Interval => Scalar::Interval(Interval {
            months: number as i32,
            days: -(bits as i32),
            micros: (number >> 3) as i64,
        }),
        DataType::Varchar | DataType::Binary => {
            let len = random.pick(&[0, 1, 4, 12, 13, bits]);
            let text = random.pick(&["some text ", "éü ", "0"]).repeat(len);
            let bytes = text.chars().take(len).collect::<String>().into_bytes();
            Scalar::Bytes(if data_type == DataType::Binary { [&bytes[..], &[0xff]].concat() } else { bytes })
        }
        _ => {
            let (least, greatest) = data_type.integer_bounds().unwrap_or((0, 0));
            let base = if bits.is_multiple_of(2) { least } else { -(1 << 20) };
            Scalar::Integer(base.saturating_add(number).clamp(least, greatest))
        }
    }
}

/// A dictionary of few values or many.
fn dictionary(random: &mut Random) -> Arc<Dictionary> {
    let types = [DataType::Varchar, DataType::Binary, DataType::Int64, DataType::Float64, DataType::Interval];
    let (data_type, count) = (random.pick(&types), random.pick(&[1, 5, 256, 257, 1_000, 70_000]));
    let value = |index: usize| match data_type {
        DataType::Varchar => Scalar::Bytes(format!("value {index}").into_bytes()),
        DataType::Binary => Scalar::Bytes(format!("a value of more than twelve bytes: {index}").into_bytes()),
        DataType::Float64 => Scalar::Float(index as f64 / 4.0),
        DataType::Interval => Scalar::Interval(Interval { months: index as i32, days: 1, micros: -1 }),
        _ => Scalar::Integer(index as i128 * 3),
    };
    let scalars: Vec<Scalar> = (0..count).map(value).collect();
    Arc::new(Dictionary::new(Vector::from_scalars(data_type, &scalars).flatten(), random.one_in(2)))
}

/// That two batches hold the same rows, bit by bit, at the same widths.
#[track_caller]
pub(super) fn assert_same(left: &Batch, right: &Batch) {
    assert_eq!((left.rows, left.columns.len()), (right.rows, right.columns.len()));
    for (left, right) in left.columns.iter().zip(&right.columns) {
        assert_eq!(left.data_type(), right.data_type());
        assert_eq!((left.physical(), left.len()), (right.physical(), right.len()));
        for row in 0..left.len() {
            let same = match (left.scalar(row), right.scalar(row)) {
                (Scalar::Float(a), Scalar::Float(b)) => a.to_bits() == b.to_bits(),
                (Scalar::Interval(a), Scalar::Interval(b)) => a == b,
                (a, b) => a == b,
            };
            assert!(
                same,
                "row {row} of {}: {:?}, {:?}",
                left.data_type(),
                left.scalar(row),
                right.scalar(row)
            );
        }
    }
}

/// Vectors that hold together: every row can be read, text is UTF-8.
pub(super) fn assert_sound(batch: &Batch) {
    for column in &batch.columns {
        assert_eq!(column.len(), batch.rows);
        let flat = column.flatten();
        assert_eq!((flat.len(), flat.values.physical()), (batch.rows, column.physical()));
        assert!(flat.validity.as_ref().is_none_or(|validity| validity.len() == batch.rows));
        if let Values::View(views) = &flat.values {
            let is_text = flat.data_type == DataType::Varchar;
            views.iter().for_each(|bytes| assert!(!is_text || std::str::from_utf8(bytes).is_ok()));
        }
    }
}
