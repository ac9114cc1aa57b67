//! How fast columns are encoded, filtered and read: one line an encoding. Run with `--release`.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement for the terminal")]

use columnar::{Batch, DataType, Flat, PhysicalType, Scalar, Values, Vector, Views};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;
use storage::{BlockRows, ColumnPredicate, ColumnSchema, CompareOp, RowsRef, Segment, SegmentBuilder, Test};

const ROWS: usize = 1 << 20;
const BATCH: usize = 2_048;

fn main() {
    println!(
        "{:<28} {:>9} {:>9} {:>11} {:>11} {:>11}",
        "column", "bytes/row", "encode", "filter", "read", "gather 10%"
    );
    println!(
        "{:<28} {:>9} {:>9} {:>11} {:>11} {:>11}",
        "", "", "M rows/s", "M rows/s", "M rows/s", "M rows/s"
    );
    let decimal = DataType::decimal(15, 2);
    integers("u8, step 100 to i16", decimal, PhysicalType::I16, 2_400, |i| (i * 7919 % 50 + 1) * 100);
    integers("u8 to i8", decimal, PhysicalType::I8, 5, |i| i * 7919 % 11);
    integers("u16 to i16", DataType::Date, PhysicalType::I16, 9_000, |i| 8_036 + i * 7919 % 2_526);
    integers("u32 to i32 (shared)", DataType::Int64, PhysicalType::I32, 100_000, |i| i * 7919 % 200_000);
    integers("u32 to i32", decimal, PhysicalType::I32, 1_000_000, |i| 90_000 + i * 104_729 % 10_400_000);
    integers("u32 to i64", decimal, PhysicalType::I64, 1_000_000, |i| 90_000 + i * 104_729 % 10_400_000);
    integers("run length to i32", DataType::Int64, PhysicalType::I32, 1_000, |i| i / 300 * 17);
    strings("dictionary u8", "mode 3", |i| format!("mode {}", i * 7919 % 7));
    strings("dictionary u16", "Clerk#000000500", |i| format!("Clerk#{:09}", i * 7919 % 1_000));
    strings("plain strings", "8", |i| format!("{:x}", i.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    let words = ["furiously", "special", "requests", "sleep", "quickly", "final", "ideas", "packages", "the"];
    strings("fsst", "s", |i| {
        (0..7)
            .map(|word| words[(i.wrapping_mul(0x9e37_79b9) >> (word * 3)) as usize % 9])
            .collect::<Vec<_>>()
            .join(" ")
    });
}

fn integers(
    name: &str,
    data_type: DataType,
    physical: PhysicalType,
    limit: i128,
    value: impl Fn(i64) -> i64,
) {
    let values: Vec<i64> = (0..ROWS as i64).map(value).collect();
    let batches = values
        .chunks(BATCH)
        .map(|chunk| Batch::new(vec![Flat::new(data_type, Values::I64(chunk.to_vec().into()), None).into()]));
    measure(name, data_type, physical, Scalar::Integer(limit), &batches.collect::<Vec<_>>());
}

fn strings(name: &str, limit: &str, value: impl Fn(u64) -> String) {
    let values: Vec<String> = (0..ROWS as u64).map(value).collect();
    let batches = values.chunks(BATCH).map(|chunk| {
        let views = Views::from_strings(chunk.iter().map(|string| string.as_bytes()));
        Batch::new(vec![Flat::new(DataType::Varchar, Values::View(views), None).into()])
    });
    let limit = Scalar::Bytes(limit.as_bytes().to_vec());
    measure(name, DataType::Varchar, PhysicalType::View, limit, &batches.collect::<Vec<_>>());
}

/// Seconds that this thread has run, where the system tells, so that other work on the machine counts less.
fn seconds(start: Instant) -> f64 {
    let run = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let run = run.and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
    run.map_or_else(|| start.elapsed().as_secs_f64(), |nanoseconds| nanoseconds / 1e9)
}

/// Millions of rows a second, of as many runs over all rows as make the clock's steps of 4 ms small.
fn rate(mut run: impl FnMut()) -> f64 {
    let start = Instant::now();
    run();
    let (before, mut runs) = (seconds(start), 0);
    loop {
        run();
        runs += 1;
        let taken = seconds(start) - before;
        if taken > 0.15 {
            return (ROWS * runs) as f64 / taken / 1e6;
        }
    }
}

fn measure(name: &str, data_type: DataType, physical: PhysicalType, limit: Scalar, batches: &[Batch]) {
    let schema: Arc<[ColumnSchema]> = [ColumnSchema { name: "c".into(), data_type, nullable: false }].into();
    let build = || {
        let mut builder = SegmentBuilder::new(schema.clone());
        batches.iter().for_each(|batch| builder.push(batch).unwrap());
        builder.finish().unwrap()
    };
    let encode = rate(|| drop(black_box(build())));
    let segment = Arc::new(Segment::open(build().into_bytes()).unwrap());
    let test = Test::Compare(CompareOp::Less, limit);
    let filter = segment.prepare(&[ColumnPredicate { column: 0, test }]).unwrap();
    let mut matches = 0;
    let filter_rate = rate(|| {
        matches = (0..segment.block_count() as u32)
            .map(|block| match filter.filter(block).unwrap() {
                BlockRows::All => segment.block_rows(block as usize),
                BlockRows::Some(rows) => rows.len(),
                BlockRows::None => 0,
            })
            .sum();
    });
    let read_rate = rate(|| {
        for block in 0..segment.block_count() {
            for start in (0..segment.block_rows(block)).step_by(BATCH) {
                let vectors = segment.read(block as u32, RowsRef::Range(start, BATCH), &[(0, physical)]);
                black_box::<Vec<Vector>>(vectors.unwrap());
            }
        }
    });
    let tenth: Vec<u32> = (0..65_536).step_by(10).collect();
    let gather_rate = rate(|| {
        for block in 0..segment.block_count() {
            for rows in tenth.chunks(BATCH) {
                black_box(segment.read(block as u32, RowsRef::Indices(rows), &[(0, physical)]).unwrap());
            }
        }
    }) / 10.0;
    println!(
        "{name:<28} {:>9.2} {encode:>9.0} {filter_rate:>11.0} {read_rate:>11.0} {gather_rate:>11.0}   {:.0}% pass",
        segment.column_bytes(0) as f64 / ROWS as f64,
        100.0 * matches as f64 / ROWS as f64
    );
}
