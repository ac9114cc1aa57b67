//! Processor time of joins, aggregations and sorts on one thread over made-up columns shaped like TPC-H's at scale 1.
//!
//! `cargo run --release -p tundra-exec --example operators_speed`

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a measuring tool")]

use columnar::{Batch, Codes, DataType, Dictionary, DictionaryVector, Flat, Values, Vector, Views};
use exec::memory::MemoryPool;
use exec::operator::{Operator, Output, Progress, Sink, Source, Step};
use exec::operators::aggregate::Aggregate;
use exec::operators::hash_join::HashJoin;
use exec::operators::sort::Sort;
use exec::operators::top_n::TopN;
use exec::plan::{self, AggregateFunction, JoinKey, JoinKind, SortKey};
use exec::{Expr, QueryContext, Shape};
use std::sync::Arc;
use std::task::Waker;

const BATCH: usize = 2048;

fn step<'a>(query: &'a QueryContext, waker: &'a Waker) -> Step<'a> {
    Step { query, waker, started: query.now() }
}

fn fill(sink: &dyn Sink, batches: &[Batch], query: &QueryContext) {
    let waker = Waker::noop();
    let mut task = sink.start().unwrap();
    for batch in batches {
        task.push(batch.clone()).unwrap();
        while task.advance(&step(query, waker)).unwrap() == Progress::Yield {}
    }
    while task.combine(&step(query, waker)).unwrap() == Progress::Yield {}
    for mut work in sink.finalize().unwrap() {
        while work.advance(&step(query, waker)).unwrap() == Progress::Yield {}
    }
}

fn drain(source: &dyn Source, query: &QueryContext) -> usize {
    let mut task = source.start().unwrap();
    let mut rows = 0;
    loop {
        match task.next(&step(query, Waker::noop())).unwrap() {
            Output::Batch(batch) => rows += batch.selected_rows(),
            Output::Finished => return rows,
            _ => {}
        }
    }
}

fn stream(operator: &dyn Operator, batches: &[Batch], query: &QueryContext) -> usize {
    let mut task = operator.start().unwrap();
    let mut rows = 0;
    for batch in batches {
        task.push(batch.clone()).unwrap();
        loop {
            match task.pull(&step(query, Waker::noop())).unwrap() {
                Output::Batch(batch) => rows += batch.selected_rows(),
                Output::NeedsInput => break,
                Output::Finished => return rows,
                _ => {}
            }
        }
    }
    rows
}

fn integers(values: impl Iterator<Item = i64>, most: i64) -> (Vec<Vector>, Shape) {
    let values: Vec<i64> = values.collect();
    let physical = columnar::PhysicalType::for_bounds(0, most.into());
    let chunks = values.chunks(BATCH).map(|chunk| {
        let values = match physical {
            columnar::PhysicalType::I8 => Values::I8(chunk.iter().map(|&value| value as i8).collect()),
            columnar::PhysicalType::I16 => Values::I16(chunk.iter().map(|&value| value as i16).collect()),
            columnar::PhysicalType::I32 => Values::I32(chunk.iter().map(|&value| value as i32).collect()),
            _ => Values::I64(chunk.to_vec().into()),
        };
        Flat::new(DataType::Int64, values, None).into()
    });
    let bounds = Some((0, most.into()));
    (chunks.collect(), Shape { data_type: DataType::Int64, physical, nullable: false, bounds })
}

fn dictionary(words: &[&str], codes: impl Iterator<Item = u8>) -> (Vec<Vector>, Shape) {
    let views = Views::from_strings(words.iter().map(|word| word.as_bytes()));
    let values = Flat::new(DataType::Varchar, Values::View(views), None);
    let dictionary = Arc::new(Dictionary::new(values, true));
    let codes: Vec<u8> = codes.collect();
    let vector = |chunk: &[u8]| {
        let (codes, dictionary) = (Codes::U8(chunk.to_vec().into()), dictionary.clone());
        Vector::Dictionary(DictionaryVector { codes, dictionary, validity: None })
    };
    let vectors = codes.chunks(BATCH).map(vector).collect();
    (vectors, Shape { nullable: false, ..Shape::of_type(DataType::Varchar) })
}

fn table(columns: Vec<(Vec<Vector>, Shape)>) -> (Vec<Batch>, Vec<Shape>) {
    let batches = (0..columns[0].0.len())
        .map(|batch| Batch::new(columns.iter().map(|column| column.0[batch].clone()).collect()))
        .collect();
    (batches, columns.into_iter().map(|column| column.1).collect())
}

fn random(seed: u64) -> impl FnMut(u64) -> i64 {
    let mut state = seed;
    move |below| {
        state = exec::hash::hash_word(state.wrapping_add(0x9e37_79b9_7f4a_7c15));
        ((state >> 16) % below) as i64
    }
}

fn column(shapes: &[Shape], id: usize) -> Expr {
    Expr::column(id as u32, shapes[id].data_type)
}

fn aggregate(shapes: &[Shape], function: AggregateFunction, id: Option<usize>) -> plan::Aggregate {
    let data_type = match function {
        AggregateFunction::Sum => DataType::decimal(38, 0),
        _ => DataType::Int64,
    };
    let args = id.map(|id| column(shapes, id)).into_iter().collect();
    plan::Aggregate { function, args, filter: None, data_type }
}

/// Time this process ran, which other processes do not disturb as much as they do the clock.
fn processor_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let nanoseconds = text.split(' ').next().and_then(|text| text.parse::<f64>().ok());
    nanoseconds.unwrap_or_default() / 1e9
}

fn time(name: &str, rows: usize, mut body: impl FnMut() -> usize) {
    let mut best = f64::MAX;
    let mut result = 0;
    for _ in 0..4 {
        let start = processor_seconds();
        result = body();
        best = best.min(processor_seconds() - start);
    }
    println!("{name:44} {:8.1} ms {:7.2} ns/row  {result} rows", best * 1e3, best * 1e9 / rows as f64);
}

fn main() {
    let only = std::env::args().nth(1).unwrap_or_default();
    let wanted = |name: &str| name.contains(&only);
    let query = QueryContext::new(1, MemoryPool::unlimited());
    const LINES: usize = 6_000_000;

    let mut next = random(1);
    let flags = dictionary(&["A", "N", "R"], (0..LINES).map(|_| next(3) as u8));
    let mut next = random(2);
    let status = dictionary(&["F", "O"], (0..LINES).map(|_| next(2) as u8));
    let mut next = random(3);
    let quantity = integers((0..LINES).map(|_| next(50)), 50);
    let price = integers((0..LINES).map(|_| next(10_000_000)), 10_000_000);
    let charge = integers((0..LINES).map(|_| next(100_000_000_000)), 100_000_000_000);
    let order = integers((0..LINES as i64).map(|row| row / 4 * 4 + 1), 6_000_000);
    let part = integers((0..LINES).map(|_| next(200_000)), 200_000);
    let (lines, shapes) = table(vec![flags, status, quantity, price, charge, order, part]);
    use AggregateFunction::{CountRows, Sum};

    let group = |name: &str, keys: &[usize], calls: &[plan::Aggregate]| {
        if wanted(name) {
            time(name, LINES, || {
                let keys: Vec<Expr> = keys.iter().map(|&key| column(&shapes, key)).collect();
                let aggregate = Aggregate::new(&keys, calls, &shapes, &query).unwrap();
                fill(&*aggregate.sink(), &lines, &query);
                drain(&*aggregate.source(), &query)
            });
        }
    };
    let sums = |ids: &[usize]| -> Vec<plan::Aggregate> {
        let mut calls: Vec<_> = ids.iter().map(|&id| aggregate(&shapes, Sum, Some(id))).collect();
        calls.push(aggregate(&shapes, CountRows, None));
        calls
    };
    group("aggregate: no keys, 2 sums", &[], &sums(&[3, 4]));
    group("aggregate: 2 dictionary keys, 5 sums", &[0, 1], &sums(&[2, 3, 3, 4, 4]));
    group("aggregate: 50 small integers, 1 sum", &[2], &sums(&[3]));
    group("aggregate: 200,000 scattered keys, 1 sum", &[6], &sums(&[3]));
    group("aggregate: 1.5 M clustered keys, 1 sum", &[5], &sums(&[2]));
    group("aggregate: flags and parts, 1 sum", &[6, 0], &sums(&[3]));

    let mut next = random(4);
    let orders: i64 = 1_500_000;
    let (order_rows, order_shapes) = table(vec![
        integers((0..orders).map(|row| row * 4 + 1), 6_000_000),
        integers((0..orders).map(|_| next(150_000)), 150_000),
    ]);
    let mut next = random(5);
    let (sparse_rows, sparse_shapes) = table(vec![
        integers((0..150_000).map(|row| (row * 10 + next(10)) * 4 + 1), 6_000_000),
        integers((0..150_000).map(|_| next(150_000)), 150_000),
    ]);
    let (part_rows, part_shapes) =
        table(vec![integers(0..200_000, 200_000), integers((0..200_000).map(|row| row * 7), 1_400_000)]);
    let join = |name: &str, kind, (build, build_shapes): (&[Batch], &[Shape]), probe: usize| {
        if wanted(name) {
            let new = || {
                let key = JoinKey {
                    probe: column(&shapes, probe),
                    build: column(build_shapes, 0),
                    null_equal: false,
                };
                let join = HashJoin::new(kind, &[key], None, &shapes, build_shapes, &query).unwrap();
                fill(&*join.build, build, &query);
                join
            };
            let rows = build.iter().map(|batch| batch.rows).sum();
            time(&format!("{name}: build"), rows, || {
                drop(new());
                rows
            });
            let join = new();
            time(name, LINES, || stream(&*join.probe, &lines, &query));
        }
    };
    let orders = (&order_rows[..], &order_shapes[..]);
    let sparse = (&sparse_rows[..], &sparse_shapes[..]);
    let parts = (&part_rows[..], &part_shapes[..]);
    join("join: all orders, clustered", JoinKind::Inner, orders, 5);
    join("join: a tenth of orders, clustered", JoinKind::Inner, sparse, 5);
    join("join: parts, scattered", JoinKind::Inner, parts, 6);
    join("semi join: a tenth of orders, clustered", JoinKind::ProbeSemi, sparse, 5);
    join("left join: a tenth of orders, clustered", JoinKind::ProbeOuter, sparse, 5);

    let key = SortKey { expr: column(&shapes, 4), descending: true, nulls_first: false };
    if wanted("sort: by one integer") {
        time("sort: by one integer", LINES, || {
            let sort = Sort::new(std::slice::from_ref(&key), &shapes, &query).unwrap();
            fill(&*sort.sink, &lines, &query);
            drain(&*sort.source, &query)
        });
    }
    if wanted("top-N: 100") {
        time("top-N: 100", LINES, || {
            let top = TopN::new(std::slice::from_ref(&key), 100, 0, &shapes, &query).unwrap();
            fill(&*top.sink, &lines, &query);
            drain(&*top.source, &query)
        });
    }
}
