//! Hashes of key values: 64 bits, the same on every node, in every run, at every physical width and in every
//! shape of vector.
//!
//! Integers (and all that are integers underneath) hash by value, floats by their canonical bits (`-0` as
//! `0`, every `NaN` alike), text by its bytes, null to a fixed word. Directories and partitions take the top
//! bits of a hash, [`route`] the low half, so that rows that share a shard still spread over partitions.
//! Strings are folded by 128-bit products, after wyhash (Wang Yi, 2019).

use columnar::kernels::text::prefetch_text;
use columnar::{Bitmap, Codes, Flat, Interval, Scalar, Values, Vector, View, Views, kernel};

const NULL: u64 = 0x6b79_d8a3_0f2c_51e7;
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
const COMBINE: u64 = 0xd6e8_feb8_6659_fd93;
const FIRST: u64 = 0xa076_1d64_78bd_642f;
const SECOND: u64 = 0xe703_7ed1_a0b4_28db;

/// The hash of an integer that fits 64 bits.
#[inline(always)]
pub fn hash_word(value: u64) -> u64 {
    let product = (value ^ (value >> 32)).wrapping_mul(MULTIPLIER);
    product ^ (product >> 32)
}

/// The hash of a row whose columns so far hash to `left` and whose next one hashes to `right`.
#[inline(always)]
pub fn combine(left: u64, right: u64) -> u64 {
    let product = (left.rotate_left(25) ^ right).wrapping_mul(COMBINE);
    product ^ (product >> 32)
}

/// Which of `targets` a row goes to, by bits that directories do not look at first.
#[inline(always)]
pub fn route(hash: u64, targets: usize) -> usize {
    ((u64::from(hash as u32) * targets as u64) >> 32) as usize
}

/// One hash a row over all `vectors`, each of `rows` rows. Without vectors every row hashes alike.
pub fn hash_vectors(vectors: &[Vector], rows: usize) -> Vec<u64> {
    Hasher::default().hash(vectors, rows)
}

/// Hashes batch after batch and keeps the hashes of the last dictionary it saw at each place, so that a
/// dictionary's values are hashed once rather than once a batch.
#[derive(Default)]
pub struct Hasher {
    dictionaries: Vec<Option<Hashed>>,
}

/// What is known of a dictionary.
struct Hashed {
    id: u64,
    /// How many rows came with it.
    rows: usize,
    /// The hashes of its values, once there are as many rows: few rows of a large one are hashed by themselves.
    values: Option<Vec<u64>>,
}

impl Hasher {
    /// As [`hash_vectors`].
    pub fn hash(&mut self, vectors: &[Vector], rows: usize) -> Vec<u64> {
        self.dictionaries.resize_with(self.dictionaries.len().max(vectors.len()), || None);
        let mut hashes = Vec::new();
        for (place, vector) in vectors.iter().enumerate() {
            let column = self.hash_column(place, vector);
            if place == 0 {
                hashes = column;
            } else {
                combine_all(&mut hashes, &column);
            }
        }
        if vectors.is_empty() {
            hashes = vec![NULL; rows];
        }
        #[cfg(test)]
        weak::weaken(&mut hashes);
        hashes
    }

    fn hash_column(&mut self, place: usize, vector: &Vector) -> Vec<u64> {
        match vector {
            Vector::Flat(flat) => hash_flat(flat),
            Vector::Constant(constant) => vec![hash_scalar(&constant.value.scalar); constant.len],
            Vector::Dictionary(vector) => {
                let id = vector.dictionary.id;
                let known = self.dictionaries[place].take().filter(|known| known.id == id);
                let known = known.unwrap_or(Hashed { id, rows: 0, values: None });
                let known = self.dictionaries[place].insert(known);
                known.rows = known.rows.saturating_add(vector.codes.len());
                if known.rows < vector.dictionary.values.len() {
                    return hash_flat(&Vector::Dictionary(vector.clone()).flatten());
                }
                let values = known.values.get_or_insert_with(|| hash_flat(&vector.dictionary.values));
                let mut hashes: Vec<u64> = match &vector.codes {
                    Codes::U8(codes) => codes.iter().map(|&code| values[usize::from(code)]).collect(),
                    Codes::U16(codes) => codes.iter().map(|&code| values[usize::from(code)]).collect(),
                    Codes::U32(codes) => codes.iter().map(|&code| values[code as usize]).collect(),
                };
                set_nulls(&mut hashes, vector.validity.as_ref());
                hashes
            }
        }
    }
}

/// The hash of one value.
pub fn hash_scalar(scalar: &Scalar) -> u64 {
    match scalar {
        Scalar::Null => NULL,
        Scalar::Boolean(value) => hash_word(u64::from(*value)),
        Scalar::Integer(value) => hash_wide(*value),
        Scalar::Float(value) => hash_float(*value),
        Scalar::Interval(value) => hash_interval(*value),
        Scalar::Bytes(bytes) => hash_bytes(bytes),
    }
}

fn hash_flat(flat: &Flat) -> Vec<u64> {
    let mut hashes = match &flat.values {
        Values::Bool(bits) => (0..bits.len()).map(|row| hash_word(u64::from(bits.get(row)))).collect(),
        Values::I8(values) => hash_integers(values),
        Values::I16(values) => hash_integers(values),
        Values::I32(values) => hash_integers(values),
        Values::I64(values) => hash_integers(values),
        Values::I128(values) => values.iter().map(|&value| hash_wide(value)).collect(),
        Values::F32(values) => hash_floats(values),
        Values::F64(values) => hash_floats(values),
        Values::Interval(values) => values.iter().map(|&value| hash_interval(value)).collect(),
        Values::View(views) => hash_views(views),
    };
    set_nulls(&mut hashes, flat.validity.as_ref());
    hashes
}

kernel! {
    fn hash_integers[T: Word](values: &[T]) -> Vec<u64> {
        values.iter().map(|&value| hash_word(value.word())).collect()
    }
}

kernel! {
    fn hash_floats[T: Real](values: &[T]) -> Vec<u64> {
        values.iter().map(|&value| hash_float(value.into())).collect()
    }
}

kernel! {
    fn combine_all(hashes: &mut [u64], column: &[u64]) {
        for (hash, &next) in hashes.iter_mut().zip(column) {
            *hash = combine(*hash, next);
        }
    }
}

/// An integer of at most 64 bits, widened with its sign.
trait Word: Copy {
    fn word(self) -> u64;
}

macro_rules! words {
    ($($type:ty),*) => { $(impl Word for $type {
        #[inline(always)]
        fn word(self) -> u64 {
            i64::from(self) as u64
        }
    })* };
}
words!(i8, i16, i32, i64);

trait Real: Copy + Into<f64> {}
impl Real for f32 {}
impl Real for f64 {}

#[inline(always)]
fn hash_wide(value: i128) -> u64 {
    let low = value as u64;
    if i128::from(low as i64) == value {
        return hash_word(low);
    }
    combine(hash_word(low), hash_word((value >> 64) as u64))
}

#[inline(always)]
fn hash_float(value: f64) -> u64 {
    let canonical = if value.is_nan() { f64::NAN } else { value + 0.0 };
    hash_word(canonical.to_bits())
}

/// By the value that intervals are compared by.
fn hash_interval(value: Interval) -> u64 {
    hash_wide(value.comparison_micros())
}

fn hash_views(views: &Views) -> Vec<u64> {
    /// Texts asked of memory before they are hashed.
    const AHEAD: usize = 8;
    let all = views.raw();
    let hash = |(row, &raw): (usize, &u128)| {
        if all.get(row + AHEAD).is_some_and(|&ahead| !View(ahead).is_inline()) {
            prefetch_text(views.get(row + AHEAD));
        }
        if View(raw).is_inline() { hash_inline(raw) } else { hash_long(views.get(row)) }
    };
    all.iter().enumerate().map(hash).collect()
}

/// The hash of text by its bytes.
pub fn hash_bytes(bytes: &[u8]) -> u64 {
    if bytes.len() <= columnar::view::INLINE_BYTES {
        hash_inline(View::inline(bytes).0)
    } else {
        hash_long(bytes)
    }
}

#[inline(always)]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

#[inline(always)]
fn hash_inline(view: u128) -> u64 {
    hash_word(fold(view as u64 ^ FIRST, (view >> 64) as u64 ^ SECOND))
}

/// The hash of more than 12 bytes.
fn hash_long(bytes: &[u8]) -> u64 {
    let mut state = bytes.len() as u64 ^ FIRST;
    let (chunks, rest) = bytes.as_chunks::<16>();
    for chunk in chunks {
        let word = u128::from_le_bytes(*chunk);
        state = fold(word as u64 ^ state, (word >> 64) as u64 ^ SECOND);
    }
    let word = last_word(bytes, rest.len());
    hash_word(fold(word as u64 ^ state, (word >> 64) as u64 ^ SECOND))
}

/// The last `len` bytes, fewer than 16, of more than 12.
#[inline(always)]
fn last_word(bytes: &[u8], len: usize) -> u128 {
    if len == 0 {
        return 0;
    }
    if let Some(last) = bytes.last_chunk() {
        return u128::from_le_bytes(*last) >> (8 * (16 - len));
    }
    let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) else { return 0 };
    let last = u64::from_le_bytes(*last) >> (8 * (16 - len));
    u128::from(u64::from_le_bytes(*first)) | u128::from(last) << 64
}

/// Makes hashes collide, so that tests reach what hardly ever runs.
#[cfg(test)]
pub(crate) mod weak {
    thread_local!(static MASK: std::cell::Cell<u64> = const { std::cell::Cell::new(u64::MAX) });

    /// Runs `body` with hashes of which only the bits of `mask` are kept, on this thread.
    pub(crate) fn with_mask<T>(mask: u64, body: impl FnOnce() -> T) -> T {
        let before = MASK.replace(mask);
        let result = body();
        MASK.set(before);
        result
    }

    pub(super) fn weaken(hashes: &mut [u64]) {
        let mask = MASK.get();
        hashes.iter_mut().for_each(|hash| *hash &= mask);
    }
}

fn set_nulls(hashes: &mut [u64], validity: Option<&Bitmap>) {
    if let Some(validity) = validity {
        for (row, hash) in hashes.iter_mut().enumerate() {
            if !validity.get(row) {
                *hash = NULL;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use columnar::{Constant, DataType, Dictionary, DictionaryVector, PhysicalType, Value};
    use std::sync::Arc;

    fn flat(values: Values) -> Vector {
        Flat::new(DataType::Int64, values, None).into()
    }

    #[test]
    fn width_and_shape_do_not_matter() {
        let wide = hash_vectors(&[flat(Values::I128(vec![-5, 0, 100, 7].into()))], 4);
        assert_eq!(wide, hash_vectors(&[flat(Values::I8(vec![-5, 0, 100, 7].into()))], 4));
        assert_eq!(wide, hash_vectors(&[flat(Values::I16(vec![-5, 0, 100, 7].into()))], 4));
        assert_eq!(wide, hash_vectors(&[flat(Values::I32(vec![-5, 0, 100, 7].into()))], 4));
        assert_eq!(wide, hash_vectors(&[flat(Values::I64(vec![-5, 0, 100, 7].into()))], 4));
        assert_eq!(hash_vectors(&[flat(Values::F32(vec![0.0, f32::NAN].into()))], 2), {
            hash_vectors(&[flat(Values::F64(vec![-0.0, -f64::NAN].into()))], 2)
        });
        let constant = Constant { value: Value::int64(100), physical: PhysicalType::I8, len: 2 };
        assert_eq!(hash_vectors(&[Vector::Constant(constant)], 2), [wide[2]; 2]);
    }

    #[test]
    fn dictionaries_hash_as_the_values_they_stand_for() {
        let words: [&[u8]; 3] = [b"a", b"exactly twelve and more", b""];
        let values = Flat::new(DataType::Varchar, Values::View(Views::from_strings(words)), None);
        let dictionary = Vector::Dictionary(DictionaryVector {
            codes: Codes::U8(vec![1, 0, 2, 1].into()),
            dictionary: Arc::new(Dictionary::new(values, false)),
            validity: Some(Bitmap::from_fn(4, |row| row != 3)),
        });
        let other = flat(Values::I32(vec![1, 2, 3, 4].into()));
        let plain: Vector = dictionary.flatten().into();
        let mut hasher = Hasher::default();
        for _ in 0..2 {
            let hashes = hasher.hash(&[dictionary.clone(), other.clone()], 4);
            assert_eq!(hashes, hash_vectors(&[plain.clone(), other.clone()], 4));
            assert_eq!(hashes[0], combine(hash_bytes(words[1]), hash_scalar(&Scalar::Integer(1))));
            assert_eq!(hashes[3], combine(NULL, hash_scalar(&Scalar::Integer(4))));
        }
    }

    #[test]
    fn few_rows_of_a_large_dictionary_hash_alike() {
        let words: Vec<String> = (0..50).map(|word| format!("the word number {word}")).collect();
        let dictionary = |words: &[String]| {
            let values = Values::View(Views::from_strings(words.iter().map(String::as_bytes)));
            Arc::new(Dictionary::new(Flat::new(DataType::Varchar, values, None), false))
        };
        let (first, second) = (dictionary(&words), dictionary(&words[..20]));
        let mut hasher = Hasher::default();
        for round in 0..20_u16 {
            // Another dictionary in between starts anew.
            let dictionary = if round == 12 { &second } else { &first };
            let vector = Vector::Dictionary(DictionaryVector {
                codes: Codes::U16((0..8).map(|row| (row * 7 + round) % 20).collect()),
                dictionary: dictionary.clone(),
                validity: Some(Bitmap::from_fn(8, |row| row != 5)),
            });
            let plain: Vector = vector.flatten().into();
            assert_eq!(hasher.hash(&[vector], 8), hash_vectors(&[plain], 8), "round {round}");
        }
    }

    /// A change here breaks clusters whose nodes run two versions.
    #[test]
    fn hashes_are_what_they_have_always_been() {
        assert_eq!(hash_scalar(&Scalar::Integer(42)), hash_word(42));
        assert_eq!(hash_word(1), 0x9e37_79b9_e17d_05ac);
        assert_eq!([hash_bytes(b"tundra"), hash_bytes(b"a longer piece of text")], GOLDEN);
    }

    const GOLDEN: [u64; 2] = [3_287_764_294_575_437_207, 1_517_899_416_456_328_179];

    #[test]
    fn dense_keys_spread_over_partitions_and_routes() {
        let (mut partitions, mut routes) = ([0; 16], [0; 3]);
        for key in 0..48_000 {
            partitions[(hash_word(key) >> 60) as usize] += 1;
            routes[route(hash_word(key), 3)] += 1;
        }
        assert!(partitions.iter().all(|&count| (2_700..3_300).contains(&count)), "{partitions:?}");
        assert!(routes.iter().all(|&count| (15_000..17_000).contains(&count)), "{routes:?}");
    }
}
