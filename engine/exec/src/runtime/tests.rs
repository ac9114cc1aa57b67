//! Whole queries over shards of this process: the answer is the same whatever the shards, threads, batch sizes
//! and disturbances, and whatever ends a query leaves nothing behind.

use super::*;
use crate::context::Settings;
use crate::error::Error;
use crate::memory::MemoryPool;
use crate::plan::{Fragment, FragmentPlacement, Plan, Routing};
use columnar::{Batch, DataType, Scalar, Value};
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, Wake, Waker};
use std::time::{Duration, Instant};

/// Shards that hold nothing.
struct NoTables;

impl Tables for NoTables {
    fn table(&self, table: &TableRef) -> Result<Arc<storage::Table>> {
        Err(Error::Storage(format!("{} is not here", table.name)))
    }
}

/// A waker that says whether it was woken.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Woken>) {
        self.0.store(true, Ordering::Release);
    }
}

/// All rows that a query gives. Fails the test where nothing happens any more.
fn collect(query: &mut RunningQuery, workers: &Workers) -> Result<Vec<Batch>> {
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    let mut batches = Vec::new();
    loop {
        woken.0.store(false, Ordering::Release);
        match query.poll_next(&waker) {
            Poll::Ready(None) => return Ok(batches),
            Poll::Ready(Some(batch)) => batches.push(batch?),
            Poll::Pending => {
                let start = Instant::now();
                workers.run_until_idle();
                while !woken.0.load(Ordering::Acquire) {
                    assert!(start.elapsed() < Duration::from_secs(30), "the query stands still");
                    workers.run_until_idle();
                    std::thread::yield_now();
                }
            }
        }
    }
}

fn query(settings: Settings) -> Arc<QueryContext> {
    Arc::new(QueryContext { settings, ..QueryContext::new(1, MemoryPool::unlimited()) })
}

fn shards(count: usize) -> Vec<Arc<dyn Tables>> {
    (0..count).map(|_| Arc::new(NoTables) as Arc<dyn Tables>).collect()
}

/// Every pool of interest and every setting that may not matter.
fn variants() -> Vec<(Arc<Workers>, Settings)> {
    let mut variants = Vec::new();
    for threads in [None, Some(1), Some(4)] {
        for batch_rows in [1, 3, 2048] {
            for disturb in [None, Some(7), Some(u64::MAX)] {
                let workers = threads.map_or_else(Workers::inline, |threads| Workers::new(threads).unwrap());
                variants.push((workers, Settings { batch_rows, disturb, ..Settings::default() }));
            }
        }
    }
    variants
}

/// Rows `start .. end` of one integer.
fn numbers(start: i32, end: i32) -> Plan {
    let rows = (start..end).map(|value| vec![Value::int32(value)]).collect();
    Plan::Values { types: vec![DataType::Int32], rows }
}

fn fragment(id: u32, plan: Plan, placement: FragmentPlacement, output: Option<Routing>) -> Fragment {
    Fragment { id, plan, placement, output }
}

fn receive(fragment: u32) -> Plan {
    Plan::Receive { fragment, types: vec![DataType::Int32] }
}

fn integers(batches: &[Batch]) -> Vec<i128> {
    let values = |batch: &Batch| {
        assert!(batch.selection.is_none());
        (0..batch.rows).filter_map(|row| batch.columns[0].scalar(row).as_integer()).collect::<Vec<_>>()
    };
    batches.iter().flat_map(values).collect()
}

fn sorted(mut values: Vec<i128>) -> Vec<i128> {
    values.sort_unstable();
    values
}

/// Runs `fragments` over `count` shards under all variants and checks the rows, order aside.
#[track_caller]
fn check(fragments: &[Fragment], count: usize, expected: &[i128]) {
    for (workers, settings) in variants() {
        let mut running =
            RunningQuery::start(fragments, &shards(count), &query(settings.clone()), &workers).unwrap();
        let rows = integers(&collect(&mut running, &workers).unwrap());
        assert_eq!(sorted(rows), expected, "{settings:?}, {} threads", workers.threads());
    }
}

use FragmentPlacement::{AllShards, OneShard};

#[test]
fn a_union_gives_the_rows_of_all_inputs() {
    let plan = Plan::Union { inputs: vec![numbers(0, 50), numbers(100, 100), numbers(50, 120)] };
    check(&[fragment(0, plan, OneShard, None)], 1, &(0..120).collect::<Vec<_>>());
}

#[test]
fn gathered_rows_come_from_every_shard() {
    let fragments = [
        fragment(1, numbers(0, 40), AllShards, Some(Routing::Gather)),
        fragment(0, receive(1), OneShard, None),
    ];
    let expected: Vec<i128> = (0..40).flat_map(|value| [value; 3]).collect();
    check(&fragments, 3, &expected);
}

#[test]
fn broadcast_rows_reach_every_shard() {
    let fragments = [
        fragment(2, numbers(0, 30), OneShard, Some(Routing::Broadcast)),
        fragment(1, receive(2), AllShards, Some(Routing::Gather)),
        fragment(0, receive(1), OneShard, None),
    ];
    let expected: Vec<i128> = (0..30).flat_map(|value| [value; 3]).collect();
    check(&fragments, 3, &expected);
}

#[test]
fn a_gather_into_a_fragment_of_all_shards_gives_its_rows_once() {
    let fragments = [
        fragment(2, numbers(0, 9), OneShard, Some(Routing::Gather)),
        fragment(1, receive(2), AllShards, Some(Routing::Gather)),
        fragment(0, receive(1), OneShard, None),
    ];
    check(&fragments, 3, &(0..9).collect::<Vec<_>>());
}

#[test]
fn a_limit_of_ordered_rows_gives_the_first_after_the_offset() {
    for (limit, offset, expected) in [
        (Some(5), 0, (0..5).collect::<Vec<_>>()),
        (Some(5), 98, (98..100).collect()),
        (Some(10), 3, (3..13).collect()),
        (Some(0), 0, vec![]),
        (None, 90, (90..100).collect()),
        (Some(u64::MAX), 95, (95..100).collect()),
        (Some(3), u64::MAX, vec![]),
    ] {
        let plan = Plan::Limit { input: Box::new(numbers(0, 100)), limit, offset };
        for (workers, settings) in variants() {
            let fragments = [fragment(0, plan.clone(), OneShard, None)];
            let mut running =
                RunningQuery::start(&fragments, &shards(1), &query(settings), &workers).unwrap();
            assert_eq!(integers(&collect(&mut running, &workers).unwrap()), expected);
        }
    }
}

#[test]
fn a_limit_ends_fragments_that_would_send_more() {
    // Far more batches than the exchange holds: senders must learn that nobody receives.
    let limited = |id| Plan::Limit { input: Box::new(receive(id)), limit: Some(2), offset: 0 };
    let fragments = [
        fragment(2, numbers(0, 400), AllShards, Some(Routing::Gather)),
        fragment(1, limited(2), OneShard, Some(Routing::Gather)),
        fragment(0, receive(1), OneShard, None),
    ];
    for (workers, settings) in variants() {
        let mut running = RunningQuery::start(&fragments, &shards(3), &query(settings), &workers).unwrap();
        assert_eq!(integers(&collect(&mut running, &workers).unwrap()).len(), 2);
        // The senders end by themselves, too.
        let start = Instant::now();
        let waker = Waker::from(Arc::new(Woken::default()));
        for (_, _, sender) in running.fragments_for_test() {
            while !matches!(sender.poll_next(&waker), Poll::Ready(None)) {
                assert!(start.elapsed() < Duration::from_secs(30), "a sender does not end");
                workers.run_until_idle();
                std::thread::yield_now();
            }
        }
    }
}

#[test]
fn a_client_that_does_not_read_holds_no_worker() {
    let workers = Workers::new(1).unwrap();
    let settings = Settings { batch_rows: 1, ..Settings::default() };
    let fragments = [fragment(0, numbers(0, 1000), OneShard, None)];
    let start = || RunningQuery::start(&fragments, &shards(1), &query(settings.clone()), &workers).unwrap();
    let mut idle: Vec<RunningQuery> = (0..4).map(|_| start()).collect();
    let mut read = start();
    assert_eq!(integers(&collect(&mut read, &workers).unwrap()).len(), 1000);
    for query in &mut idle {
        assert_eq!(integers(&collect(query, &workers).unwrap()).len(), 1000);
    }
}

#[test]
fn what_is_cancelled_ends_and_leaves_nothing() {
    for how in 0..3 {
        let workers = Workers::inline();
        let context = query(Settings { batch_rows: 1, ..Settings::default() });
        let fragments = [
            fragment(1, numbers(0, 500), AllShards, Some(Routing::Gather)),
            fragment(0, receive(1), OneShard, None),
        ];
        let mut running = RunningQuery::start(&fragments, &shards(2), &context, &workers).unwrap();
        // All are blocked: nobody reads the result.
        workers.run_until_idle();
        match how {
            0 => context.cancel.cancel(),
            1 => running.cancel(),
            _ => {}
        }
        if how < 2 {
            assert!(matches!(collect(&mut running, &workers), Err(Error::Cancelled)));
        }
        drop(running);
        workers.run_until_idle();
        // Every task, and with it every part of the query, is gone.
        assert_eq!(Arc::strong_count(&context), 1);
        assert_eq!(Arc::strong_count(&workers), 1);
        assert_eq!(context.memory.used_bytes(), 0);
    }
}

#[test]
fn a_finished_query_leaves_nothing() {
    let workers = Workers::inline();
    let context = query(Settings::default());
    let fragments = [fragment(0, numbers(0, 5), OneShard, None)];
    let mut running = RunningQuery::start(&fragments, &shards(1), &context, &workers).unwrap();
    collect(&mut running, &workers).unwrap();
    assert_eq!(running.profiles()[0].2.nodes[0].rows, 5);
    drop(running);
    assert_eq!(Arc::strong_count(&context), 1);
}

#[test]
fn a_deadline_ends_a_query() {
    let workers = Workers::inline();
    let context = Arc::new(QueryContext {
        deadline: Some(Duration::ZERO),
        clock: Arc::new(|| Duration::from_secs(1)),
        ..QueryContext::new(1, MemoryPool::unlimited())
    });
    let fragments = [fragment(0, numbers(0, 5), OneShard, None)];
    let mut running = RunningQuery::start(&fragments, &shards(1), &context, &workers).unwrap();
    assert!(matches!(collect(&mut running, &workers), Err(Error::DeadlineExceeded)));
}

#[test]
fn plans_that_contradict_themselves_are_refused() {
    let start = |fragments: &[Fragment]| {
        let workers = Workers::inline();
        RunningQuery::start(fragments, &shards(2), &query(Settings::default()), &workers).map(|_| ())
    };
    let sender = fragment(1, numbers(0, 1), AllShards, Some(Routing::Gather));
    let twice = Plan::Union { inputs: vec![receive(1), receive(1)] };
    for (fragments, message) in [
        (vec![fragment(0, receive(9), OneShard, None)], "does not exist"),
        (vec![sender.clone(), fragment(0, twice, OneShard, None)], "received twice"),
        (vec![sender], "nobody receives"),
        (
            vec![fragment(
                0,
                Plan::Exchange { input: Box::new(numbers(0, 1)), routing: Routing::Gather },
                OneShard,
                None,
            )],
            "left in a fragment",
        ),
        (
            vec![fragment(
                0,
                Plan::Values { types: vec![DataType::Int32], rows: vec![vec![]] },
                OneShard,
                None,
            )],
            "another length",
        ),
    ] {
        let error = start(&fragments).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn rows_without_columns_are_counted() {
    let plan = Plan::Values { types: vec![], rows: vec![vec![]; 10] };
    let fragments =
        [fragment(0, Plan::Limit { input: Box::new(plan), limit: Some(7), offset: 0 }, OneShard, None)];
    for (workers, settings) in variants() {
        let mut running = RunningQuery::start(&fragments, &shards(1), &query(settings), &workers).unwrap();
        let rows: usize = collect(&mut running, &workers).unwrap().iter().map(|batch| batch.rows).sum();
        assert_eq!(rows, 7);
    }
}

#[test]
fn results_have_canonical_widths() {
    let decimal = DataType::decimal(10, 2);
    let rows = vec![vec![Value::new(decimal, Scalar::Integer(5))], vec![Value::null(decimal)]];
    let fragments = [fragment(0, Plan::Values { types: vec![decimal], rows }, OneShard, None)];
    let workers = Workers::inline();
    let mut running =
        RunningQuery::start(&fragments, &shards(1), &query(Settings::default()), &workers).unwrap();
    let batches = collect(&mut running, &workers).unwrap();
    assert_eq!(batches[0].columns[0].physical(), decimal.physical());
}
