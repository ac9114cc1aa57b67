//! Kernels, a batch at a time as operators call them: over a column that the cache holds, and over one in memory.

use crate::data::{Random, integers, parts, strings};
use crate::report::{Group, Micro, time};
use columnar::kernels::arithmetic::{Operand, Operation, checked, wrapping};
use columnar::kernels::boolean::Truth;
use columnar::kernels::cast::{integers_outside, integers_to_double, to_width};
use columnar::kernels::compare::{ConstantRelation, compare_constant, equal_string, integers_between};
use columnar::kernels::select::choose_values;
use columnar::kernels::take::{indices_of, take_values};
use columnar::kernels::text::characters;
use columnar::{BATCH_ROWS, Bitmap, PhysicalType, Scalar, Values};
use std::hint::black_box;

const CACHE_BYTES: usize = 256 << 10;
const MEMORY_BYTES: usize = 128 << 20;

pub(crate) fn run(criterion: &mut Micro) {
    let mut group = criterion.benchmark_group("kernels");
    compare(&mut group);
    arithmetic(&mut group);
    select(&mut group);
    boolean(&mut group);
    text(&mut group);
    cast(&mut group);
    group.finish();
}

/// Runs `kernel` on each of the batches that `make` makes of a number of rows; `bits` are read for a row.
fn over<B, O>(
    group: &mut Group<'_>,
    name: &str,
    bits: usize,
    (place, bytes): (&str, usize),
    make: impl Fn(usize) -> Vec<B>,
    kernel: impl Fn(&B) -> O,
) {
    let rows = (bytes * 8 / bits).next_multiple_of(BATCH_ROWS);
    time(
        group,
        format!("{name}/{place}"),
        (rows, rows * bits / 8),
        || make(rows),
        |batches: &Vec<B>| {
            for batch in batches {
                black_box(kernel(black_box(batch)));
            }
        },
    );
}

fn cached<B, O>(
    group: &mut Group<'_>,
    name: &str,
    bits: usize,
    make: impl Fn(usize) -> Vec<B>,
    kernel: impl Fn(&B) -> O,
) {
    over(group, name, bits, ("cache", CACHE_BYTES), make, kernel);
}

fn both<B, O>(
    group: &mut Group<'_>,
    name: &str,
    bits: usize,
    make: impl Fn(usize) -> Vec<B>,
    kernel: impl Fn(&B) -> O,
) {
    over(group, name, bits, ("cache", CACHE_BYTES), &make, &kernel);
    over(group, name, bits, ("memory", MEMORY_BYTES), make, kernel);
}

/// Batches of integers from 0 to 999,999, or what fits the width.
fn drawn(seed: u64, physical: PhysicalType) -> impl Fn(usize) -> Vec<Values> {
    let limit = if physical == PhysicalType::I8 { 100 } else { 1_000_000 };
    move |rows| {
        let mut random = Random(seed);
        parts(&integers((0..rows).map(|_| random.below(limit) as i64), physical), BATCH_ROWS)
    }
}

fn drawn_pairs(a: PhysicalType, b: PhysicalType) -> impl Fn(usize) -> Vec<(Values, Values)> {
    move |rows| drawn(1, a)(rows).into_iter().zip(drawn(2, b)(rows)).collect()
}

/// Bitmaps of batches, `percent` of their bits set.
fn bitmaps(seed: u64, percent: usize) -> impl Fn(usize) -> Vec<Bitmap> {
    move |rows| {
        let mut random = Random(seed);
        let mut bitmap = |_| Bitmap::from_fn(BATCH_ROWS, |_| random.below(100) < percent);
        (0..rows / BATCH_ROWS).map(&mut bitmap).collect()
    }
}

fn compare(group: &mut Group<'_>) {
    let limit = Scalar::Integer(500_000);
    let less = |values: &Values| compare_constant(ConstantRelation::Less, values, &limit);
    both(group, "i32 < constant", 32, drawn(1, PhysicalType::I32), less);
    both(group, "i64 < constant", 64, drawn(1, PhysicalType::I64), less);
    let between = |values: &Values| integers_between(values, 250_000, 750_000);
    both(group, "i64 between constants", 64, drawn(1, PhysicalType::I64), between);
}

fn arithmetic(group: &mut Group<'_>) {
    use PhysicalType::{I8, I32, I64, I128};
    let multiply = |(a, b): &(Values, Values)| {
        wrapping(Operation::Multiply, Operand::Values(a), Operand::Values(b), I64)
    };
    both(group, "i32 * i8 as i64, unchecked", 40, drawn_pairs(I32, I8), multiply);
    let multiply = |(a, b): &(Values, Values)| checked(Operation::Multiply, a, b);
    both(group, "i64 * i64, checked", 128, drawn_pairs(I64, I64), multiply);
    both(group, "i128 * i128, checked", 256, drawn_pairs(I128, I128), multiply);
}

fn select(group: &mut Group<'_>) {
    for percent in [1, 50] {
        cached(group, &format!("row numbers of {percent} % of bits"), 1, bitmaps(3, percent), indices_of);
    }
    let halves = |rows| -> Vec<(Values, Vec<u32>)> {
        let rows_taken = bitmaps(3, 50)(rows).into_iter().map(|bits| indices_of(&bits));
        drawn(1, PhysicalType::I64)(rows).into_iter().zip(rows_taken).collect()
    };
    // A value a row, a row number every second row.
    both(group, "take 50 % of i64", 80, halves, |(values, rows)| take_values(values, rows));
    let choices = |rows| -> Vec<(Bitmap, (Values, Values))> {
        bitmaps(3, 50)(rows)
            .into_iter()
            .zip(drawn_pairs(PhysicalType::I64, PhysicalType::I64)(rows))
            .collect()
    };
    both(group, "choose of i64", 129, choices, |(mask, (a, b))| choose_values(mask, a, b));
}

fn boolean(group: &mut Group<'_>) {
    let pairs = |rows| bitmaps(3, 50)(rows).into_iter().zip(bitmaps(4, 50)(rows)).collect();
    cached(group, "and", 2, pairs, |(a, b): &(Bitmap, Bitmap)| a.and(b));
    cached(group, "or", 2, pairs, |(a, b): &(Bitmap, Bitmap)| a.or(b));
    let truths = |seed, rows| {
        let valid = bitmaps(seed + 1, 90)(rows);
        bitmaps(seed, 50)(rows).into_iter().zip(valid).map(|(values, valid)| Truth::new(values, Some(valid)))
    };
    let pairs = |rows| truths(3, rows).zip(truths(5, rows)).collect();
    cached(group, "and with nulls", 4, pairs, |(a, b): &(Truth, Truth)| a.and(b));
    cached(group, "or with nulls", 4, pairs, |(a, b): &(Truth, Truth)| a.or(b));
}

fn text(group: &mut Group<'_>) {
    const BYTES: usize = 48;
    let texts = |rows| {
        let mut random = Random(7);
        let text = |_| {
            let text: String = (0..BYTES / 3).map(|_| ["abc", "aé", "é "][random.below(3)]).collect();
            text
        };
        parts(&strings(&(0..rows).map(text).collect::<Vec<_>>()), BATCH_ROWS)
    };
    let length = |values: &Values| match values {
        Values::View(views) => (0..views.len()).map(|row| characters(views.get(row))).sum(),
        _ => 0,
    };
    both(group, "length of text of 48 bytes", 8 * (16 + BYTES), texts, length);
    let words = |rows| {
        let mut random = Random(8);
        let word = |_| format!("word {}", random.below(100));
        parts(&strings(&(0..rows).map(word).collect::<Vec<_>>()), BATCH_ROWS)
    };
    let equal = |values: &Values| match values {
        Values::View(views) => Some(equal_string(views, b"word 42")),
        _ => None,
    };
    both(group, "short text = constant", 128, words, equal);
}

fn cast(group: &mut Group<'_>) {
    use PhysicalType::{I32, I64};
    both(group, "i32 as i64", 32, drawn(1, I32), |values| to_width(values, I64));
    let narrow = |values: &Values| {
        let fits = !integers_outside(values, i32::MIN.into(), i32::MAX.into());
        fits.then(|| to_width(values, I32))
    };
    both(group, "i64 as i32, checked", 64, drawn(1, I64), narrow);
    both(group, "decimal i64 as f64", 64, drawn(1, I64), |values| integers_to_double(values, 100.0));
}
