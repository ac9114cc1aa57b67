//! Comparisons of whole vectors, a bit a row.

use super::number::Ordered;
use crate::{Bitmap, Interval, PhysicalType, Scalar, Values, View, Views, kernel};

/// The two relations that all others are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    Equal,
    Less,
}

/// Packs 64 bytes, each 0 or 1, to bits.
#[inline(always)]
fn pack(bytes: &[u8; 64]) -> u64 {
    // Eight bytes at a time: the multiplication moves the low bit of byte i to bit 56 + i.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let (groups, _) = bytes.as_chunks::<8>();
    let mut word = 0;
    for (index, group) in groups.iter().enumerate() {
        word |= (u64::from_le_bytes(*group).wrapping_mul(GATHER) >> 56) << (index * 8);
    }
    word
}

/// One bit a row of two slices of one length, 64 rows a step.
#[inline(always)]
fn test_pairs<A: Copy, B: Copy>(a: &[A], b: &[B], test: impl Fn(A, B) -> bool) -> Bitmap {
    let len = a.len().min(b.len());
    let ((full_a, rest_a), (full_b, rest_b)) = (a[..len].as_chunks::<64>(), b[..len].as_chunks::<64>());
    let mut words = Vec::with_capacity(len.div_ceil(64));
    for (a, b) in full_a.iter().zip(full_b) {
        let mut bytes = [0; 64];
        for row in 0..64 {
            bytes[row] = u8::from(test(a[row], b[row]));
        }
        words.push(pack(&bytes));
    }
    if !rest_a.is_empty() {
        let bits = rest_a.iter().zip(rest_b).enumerate();
        words.push(bits.fold(0, |word, (row, (&a, &b))| word | u64::from(test(a, b)) << row));
    }
    Bitmap::from_words(words, len)
}

/// As [`test_pairs`], of one slice.
#[inline(always)]
fn test_each<A: Copy>(a: &[A], test: impl Fn(A) -> bool) -> Bitmap {
    let (full, rest) = a.as_chunks::<64>();
    let mut words = Vec::with_capacity(a.len().div_ceil(64));
    for a in full {
        let mut bytes = [0; 64];
        for row in 0..64 {
            bytes[row] = u8::from(test(a[row]));
        }
        words.push(pack(&bytes));
    }
    if !rest.is_empty() {
        words.push(rest.iter().enumerate().fold(0, |word, (row, &a)| word | u64::from(test(a)) << row));
    }
    Bitmap::from_words(words, a.len())
}

kernel! {
    /// Rows where `a = b`.
    pub fn equal[T: Ordered](a: &[T], b: &[T]) -> Bitmap { test_pairs(a, b, T::equal) }
}
kernel! {
    /// Rows where `a < b`.
    pub fn less[T: Ordered](a: &[T], b: &[T]) -> Bitmap { test_pairs(a, b, T::less) }
}
kernel! {
    /// Rows equal to `b`.
    pub fn equal_constant[T: Ordered](a: &[T], b: T) -> Bitmap { test_each(a, |a| a.equal(b)) }
}
kernel! {
    /// Rows below `b`.
    pub fn less_constant[T: Ordered](a: &[T], b: T) -> Bitmap { test_each(a, |a| a.less(b)) }
}
kernel! {
    /// Rows above `b`.
    pub fn greater_constant[T: Ordered](a: &[T], b: T) -> Bitmap { test_each(a, |a| b.less(a)) }
}
kernel! {
    /// Rows from `low` to `high`, both included.
    pub fn between_constants[T: Ordered](a: &[T], low: T, high: T) -> Bitmap {
        test_each(a, |a| !a.less(low) & !high.less(a))
    }
}
kernel! {
    /// Rows whose bit is set at their code: a predicate that was evaluated once a distinct value.
    pub fn lookup[T: Code](codes: &[T], bytes: &[u8]) -> Bitmap {
        test_each(codes, |code| bytes.get(code.index()).is_some_and(|&byte| byte != 0))
    }
}

/// A dictionary code.
pub trait Code: Copy {
    fn index(self) -> usize;
}
impl Code for u8 {
    #[inline(always)]
    fn index(self) -> usize {
        self.into()
    }
}
impl Code for u16 {
    #[inline(always)]
    fn index(self) -> usize {
        self.into()
    }
}
impl Code for u32 {
    #[inline(always)]
    fn index(self) -> usize {
        self as usize
    }
}

/// The first four bytes in the order of bytes; shorter strings are padded with zeros.
#[inline(always)]
fn prefix(raw: u128) -> u32 {
    ((raw >> 32) as u32).swap_bytes()
}

#[inline(always)]
fn equal_views(a: &Views, b: &Views, row: usize, other: usize) -> bool {
    let (left, right) = (a.view(row), b.view(other));
    left.head() == right.head() && if left.is_inline() { left == right } else { a.get(row) == b.get(other) }
}

#[inline(always)]
fn less_views(a: &Views, row: usize, b: &Views, other: usize) -> bool {
    let (left, right) = (prefix(a.view(row).0), prefix(b.view(other).0));
    if left == right { a.get(row) < b.get(other) } else { left < right }
}

fn compare_strings(relation: Relation, a: &Views, b: &Views) -> Bitmap {
    match relation {
        Relation::Equal => Bitmap::from_fn(a.len(), |row| equal_views(a, b, row, row)),
        Relation::Less => Bitmap::from_fn(a.len(), |row| less_views(a, row, b, row)),
    }
}

/// Rows of `a` that are equal to `b`.
pub fn equal_string(a: &Views, b: &[u8]) -> Bitmap {
    if b.len() <= crate::view::INLINE_BYTES {
        return equal_constant(a.raw(), View::inline(b).0);
    }
    let head = View::new(b, 0, 0).head();
    Bitmap::from_fn(a.len(), |row| a.view(row).head() == head && a.get(row) == b)
}

fn order_string(a: &Views, b: &[u8], below: bool) -> Bitmap {
    let one = Views::from_strings([b]);
    if below {
        Bitmap::from_fn(a.len(), |row| less_views(a, row, &one, 0))
    } else {
        Bitmap::from_fn(a.len(), |row| less_views(&one, 0, a, row))
    }
}

/// Rows where `relation` holds between `a` and `b`, which have one length and one width.
pub fn compare(relation: Relation, a: &Values, b: &Values) -> Bitmap {
    macro_rules! numbers {
        ($($variant:ident)*) => {
            match (a, b) {
                $((Values::$variant(a), Values::$variant(b)) => match relation {
                    Relation::Equal => equal(a, b),
                    Relation::Less => less(a, b),
                },)*
                (Values::Bool(a), Values::Bool(b)) => match relation {
                    Relation::Equal => a.zip_with(b, |a, b| !(a ^ b)),
                    Relation::Less => a.zip_with(b, |a, b| !a & b),
                },
                (Values::View(a), Values::View(b)) => compare_strings(relation, a, b),
                (Values::Interval(a), Values::Interval(b)) => Bitmap::from_fn(a.len(), |row| {
                    interval_test(relation, a[row], b[row])
                }),
                _ => {
                    debug_assert!(false, "compared widths differ");
                    Bitmap::filled(false, a.len())
                }
            }
        };
    }
    numbers!(I8 I16 I32 I64 I128 F32 F64)
}

fn interval_test(relation: Relation, a: Interval, b: Interval) -> bool {
    let (a, b) = (a.comparison_micros(), b.comparison_micros());
    if relation == Relation::Equal { a == b } else { a < b }
}

/// How rows relate to a constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConstantRelation {
    Equal,
    Less,
    Greater,
}

/// Rows of `a` that stand in `relation` to `b`, which is not null and fits the width of `a`.
pub fn compare_constant(relation: ConstantRelation, a: &Values, b: &Scalar) -> Bitmap {
    macro_rules! number {
        ($a:expr, $b:expr) => {
            match relation {
                ConstantRelation::Equal => equal_constant($a, $b),
                ConstantRelation::Less => less_constant($a, $b),
                ConstantRelation::Greater => greater_constant($a, $b),
            }
        };
    }
    match (a, b) {
        (Values::I8(a), Scalar::Integer(b)) => number!(a, *b as i8),
        (Values::I16(a), Scalar::Integer(b)) => number!(a, *b as i16),
        (Values::I32(a), Scalar::Integer(b)) => number!(a, *b as i32),
        (Values::I64(a), Scalar::Integer(b)) => number!(a, *b as i64),
        (Values::I128(a), Scalar::Integer(b)) => number!(a, *b),
        (Values::F32(a), Scalar::Float(b)) => number!(a, *b as f32),
        (Values::F64(a), Scalar::Float(b)) => number!(a, *b),
        (Values::View(a), Scalar::Bytes(b)) => match relation {
            ConstantRelation::Equal => equal_string(a, b),
            ConstantRelation::Less => order_string(a, b, true),
            ConstantRelation::Greater => order_string(a, b, false),
        },
        (Values::Bool(a), Scalar::Boolean(b)) => match (relation, b) {
            (ConstantRelation::Equal, true) | (ConstantRelation::Greater, false) => a.clone(),
            (ConstantRelation::Equal, false) | (ConstantRelation::Less, true) => a.not(),
            _ => Bitmap::filled(false, a.len()),
        },
        (Values::Interval(a), Scalar::Interval(b)) => Bitmap::from_fn(a.len(), |row| match relation {
            ConstantRelation::Equal => interval_test(Relation::Equal, a[row], *b),
            ConstantRelation::Less => interval_test(Relation::Less, a[row], *b),
            ConstantRelation::Greater => interval_test(Relation::Less, *b, a[row]),
        }),
        _ => {
            debug_assert!(false, "a constant of another kind than the rows");
            Bitmap::filled(false, a.len())
        }
    }
}

/// Integer rows from `low` to `high`, both included; `None` for other rows than integers.
pub fn integers_between(a: &Values, low: i128, high: i128) -> Option<Bitmap> {
    let (min, max) = a.physical().integer_bounds()?;
    if low > max || high < min || low > high {
        return Some(Bitmap::filled(false, a.len()));
    }
    let (low, high) = (low.max(min), high.min(max));
    Some(match a {
        Values::I8(a) => between_constants(a, low as i8, high as i8),
        Values::I16(a) => between_constants(a, low as i16, high as i16),
        Values::I32(a) => between_constants(a, low as i32, high as i32),
        Values::I64(a) => between_constants(a, low as i64, high as i64),
        Values::I128(a) => between_constants(a, low, high),
        _ => return None,
    })
}

/// Whether a scalar integer fits a width.
pub fn fits(value: i128, physical: PhysicalType) -> bool {
    physical.integer_bounds().is_some_and(|(low, high)| low <= value && value <= high)
}
