//! Whole queries over shards of this process: the answer is the same whatever the shards, threads, batch sizes
//! and disturbances, and whatever ends a query leaves nothing behind.

mod parallel;

use super::*;
use crate::context::Settings;
use crate::error::Error;
use crate::expr::{ArithmeticOp, CompareOp, Expr};
use crate::memory::MemoryPool;
use crate::operators::scan::tests as scan_tests;
use crate::plan::{self, AggregateFunction, Fragment, FragmentPlacement, JoinKind, Plan, Routing};
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
fn shared_rows_are_read_by_all() {
    let shared = |input| Plan::Shared { number: 3, input: Box::new(input) };
    let reread = || Plan::Reread { number: 3, columns: vec![0], types: vec![DataType::Int32] };
    let groups = |input| Plan::Aggregate {
        input: Box::new(input),
        groups: vec![column(0, DataType::Int32)],
        aggregates: vec![],
    };
    let twice: Vec<i128> = (0..120).flat_map(|value| [value; 2]).collect();
    let parts = Plan::Union { inputs: vec![numbers(0, 50), numbers(50, 120)] };
    for input in [numbers(0, 120), parts.clone(), groups(Plan::Union { inputs: vec![parts.clone(), parts] })]
    {
        let plan = Plan::Union { inputs: vec![shared(input.clone()), reread()] };
        check(&[fragment(0, plan, OneShard, None)], 1, &twice);
        // The probe side stands first and is read last.
        let join = plan::HashJoin {
            probe: Box::new(shared(input)),
            build: Box::new(Plan::Limit { input: Box::new(reread()), limit: Some(120), offset: 0 }),
            kind: plan::JoinKind::ProbeSemi,
            keys: vec![plan::JoinKey {
                probe: column(0, DataType::Int32),
                build: column(0, DataType::Int32),
                null_equal: false,
            }],
            residual: None,
        };
        let plan = Plan::Union { inputs: vec![Plan::HashJoin(join), reread()] };
        check(&[fragment(0, plan, OneShard, None)], 1, &twice);
    }
}

#[test]
fn shared_rows_keep_their_order() {
    let keys = vec![plan::SortKey { expr: column(0, DataType::Int32), descending: true, nulls_first: false }];
    let sort = Plan::Sort { input: Box::new(numbers(0, 100)), keys };
    let first = |input| Plan::Limit { input: Box::new(input), limit: Some(3), offset: 0 };
    let reread = Plan::Reread { number: 0, columns: vec![0], types: vec![DataType::Int32] };
    let shared = Plan::Shared { number: 0, input: Box::new(sort) };
    let plan = Plan::Union { inputs: vec![first(shared), first(reread)] };
    check(&[fragment(0, plan, OneShard, None)], 1, &[97, 97, 98, 98, 99, 99]);
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

/// The groups of numbers dealt by hash, where nulls and bounds of the numbers are told.
fn told_groups(nullable: bool, bounds: Option<(i128, i128)>) -> [Fragment; 3] {
    let told = plan::ReceivedColumn { data_type: DataType::Int32, nullable, bounds };
    let groups = Plan::Aggregate {
        input: Box::new(Plan::ReceiveProven { fragment: 2, columns: vec![told] }),
        groups: vec![column(0, DataType::Int32)],
        aggregates: vec![],
    };
    let int = DataType::Int32;
    let null = Plan::Values { types: vec![int], rows: vec![vec![Value::null(int)]] };
    let mut inputs = vec![numbers(-5, 40), numbers(39, 60)];
    if nullable {
        inputs.push(null);
    }
    let by_hash = Some(Routing::Hash(vec![column(0, int)]));
    [
        fragment(2, Plan::Union { inputs }, AllShards, by_hash),
        fragment(1, groups, AllShards, Some(Routing::Gather)),
        fragment(0, receive(1), OneShard, None),
    ]
}

#[test]
fn what_is_told_of_rows_changes_no_answer() {
    let expected: Vec<i128> = (-5..60).collect();
    for bounds in [None, Some((-5, 59)), Some((-5, 60_000)), Some((-(1 << 40), 1 << 40)), Some((9, 3))] {
        for nullable in [false, true] {
            // A null is no integer.
            check(&told_groups(nullable, bounds), 3, &expected);
        }
    }
}

#[test]
fn rows_that_are_not_as_told_are_refused() {
    for (workers, settings) in variants() {
        let refused = |fragments: &[Fragment]| {
            let running = RunningQuery::start(fragments, &shards(3), &query(settings.clone()), &workers);
            collect(&mut running.unwrap(), &workers).unwrap_err().to_string()
        };
        for nullable in [false, true] {
            let error = refused(&told_groups(nullable, Some((-5, 58))));
            assert!(error.contains("beyond its bounds was sent in column 0 of fragment 2"), "{error}");
        }
        let mut nulls = told_groups(true, None);
        if let Plan::Aggregate { input, .. } = &mut nulls[1].plan {
            let told = plan::ReceivedColumn { data_type: DataType::Int32, nullable: false, bounds: None };
            **input = Plan::ReceiveProven { fragment: 2, columns: vec![told] };
        }
        let error = refused(&nulls);
        assert!(error.contains("a null was sent in column 0 of fragment 2"), "{error}");
    }
}

/// Numbers of which each shard has 0 to 99, dealt by hash, perhaps grouped before, to a join with 20 to 39, of which some
/// stand twice.
fn asked_join(kind: JoinKind, grouped: bool) -> [Fragment; 4] {
    let int = DataType::Int32;
    let received = |fragment, bounds| {
        let told = plan::ReceivedColumn { data_type: int, nullable: false, bounds: Some(bounds) };
        Box::new(Plan::ReceiveProven { fragment, columns: vec![told] })
    };
    let sent = match grouped {
        true => {
            let input = Plan::Union { inputs: vec![numbers(0, 100), numbers(30, 60)] };
            Plan::Aggregate { input: Box::new(input), groups: vec![column(0, int)], aggregates: vec![] }
        }
        false => numbers(0, 100),
    };
    let build = Plan::Union { inputs: vec![numbers(20, 40), numbers(25, 30)] };
    let join = plan::HashJoin {
        probe: received(2, (0, 99)),
        build: received(3, (20, 39)),
        kind,
        keys: vec![plan::JoinKey { probe: column(0, int), build: column(0, int), null_equal: false }],
        residual: None,
    };
    let first = Plan::Project { input: Box::new(Plan::HashJoin(join)), exprs: vec![column(0, int)] };
    [
        fragment(3, build, OneShard, Some(Routing::Broadcast)),
        fragment(2, sent, AllShards, Some(Routing::Hash(vec![column(0, int)]))),
        fragment(1, first, AllShards, Some(Routing::Gather)),
        fragment(0, receive(1), OneShard, None),
    ]
}

#[test]
fn joins_of_rows_that_are_sent_once_it_is_told_which_are_wanted() {
    let times = |value: i128, count: usize| std::iter::repeat_n(value, count);
    for grouped in [false, true] {
        let inner = (20..40).flat_map(|value| times(value, if (25..30).contains(&value) { 6 } else { 3 }));
        check(&asked_join(JoinKind::Inner, grouped), 3, &inner.collect::<Vec<_>>());
        let semi: Vec<i128> = (20..40).flat_map(|value| times(value, 3)).collect();
        check(&asked_join(JoinKind::ProbeSemi, grouped), 3, &semi);
        let anti: Vec<i128> = (0..20).chain(40..100).flat_map(|value| times(value, 3)).collect();
        check(&asked_join(JoinKind::ProbeAnti, grouped), 3, &anti);
    }
}

#[test]
fn who_is_asked_waits_until_all_have_told() {
    let fragments = asked_join(JoinKind::Inner, false);
    let topology = Topology::new(&fragments, 3, 0).unwrap();
    assert_eq!([1, 2, 3].map(|fragment| topology.is_asked(fragment)), [false, true, false]);
    let anti = Topology::new(&asked_join(JoinKind::ProbeAnti, false), 3, 0).unwrap();
    assert!(!anti.is_asked(2));
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    let exchange = LocalExchange::new(topology.clone(), &MemoryPool::unlimited());
    assert!(!exchange.all_told(2, &waker).unwrap());
    // Who has not told yet what it wants does not wait for it.
    assert_eq!((exchange.waits_for(1), exchange.untold(1)), (vec![(3, 0)], vec![(2, 0), (2, 1), (2, 2)]));
    exchange.want_all(2, 0);
    exchange.want(2, 2, wanted::WantedKeys { column: 0, first: 0, words: vec![1] });
    assert!(!woken.0.load(Ordering::Acquire) && !exchange.all_told(2, &waker).unwrap());
    assert_eq!((exchange.waits_for(2).len(), exchange.untold(0)), (4, vec![(2, 1)]));
    // Who has gone tells nothing.
    exchange.close(2, 1);
    assert!(woken.0.load(Ordering::Acquire) && exchange.all_told(2, &waker).unwrap());
    assert!(exchange.wanted(2).is_empty());
    let exchange = LocalExchange::new(topology, &MemoryPool::unlimited());
    assert!(!exchange.all_told(2, &waker).unwrap());
    woken.0.store(false, Ordering::Release);
    exchange.fail(Error::Exchange("lost".into()));
    assert!(woken.0.load(Ordering::Acquire) && exchange.all_told(2, &waker).is_err());
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
fn a_sink_that_wants_no_rows_ends_every_task() {
    let keys =
        vec![plan::SortKey { expr: column(0, DataType::Int32), descending: false, nulls_first: false }];
    let plan = Plan::TopN { input: Box::new(scan(&[0], &[])), keys, limit: 0, offset: 2 };
    check_rows(&[fragment(0, plan, OneShard, None)], &[]);
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
                Plan::Reread { number: 1, columns: vec![0], types: vec![DataType::Int32] },
                OneShard,
                None,
            )],
            "are shared under number 1",
        ),
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

/// A shard that holds some rows of the table that scans are tested with.
struct Rows(Arc<storage::Table>);

impl Tables for Rows {
    fn table(&self, _: &TableRef) -> Result<Arc<storage::Table>> {
        Ok(self.0.clone())
    }
}

const ROWS: usize = 6_000;

/// Rows `0 .. ROWS`, a part on each of `count` shards.
fn holding(count: usize) -> Vec<Arc<dyn Tables>> {
    let part = ROWS.div_ceil(count);
    let shard = |shard: usize| {
        let table = scan_tests::table_of(shard * part..ROWS.min((shard + 1) * part), 1_500);
        Arc::new(Rows(Arc::new(table))) as Arc<dyn Tables>
    };
    (0..count).map(shard).collect()
}

fn scan(columns: &[u32], predicate: &[Expr]) -> Plan {
    Plan::Scan(scan_tests::plan(columns, predicate))
}

fn column(id: u32, data_type: DataType) -> Expr {
    Expr::column(id, data_type)
}

fn below(id: u32, data_type: DataType, value: i128) -> Expr {
    let literal = Expr::Literal(Value::new(data_type, Scalar::Integer(value)));
    Expr::compare(CompareOp::Less, column(id, data_type), literal)
}

/// Runs `fragments` over 1 and 3 shards under all variants and checks the rows as they are given.
#[track_caller]
fn check_rows(fragments: &[Fragment], expected: &[Vec<Scalar>]) {
    for count in [1, 3] {
        let tables = holding(count);
        for (workers, settings) in variants() {
            let mut running =
                RunningQuery::start(fragments, &tables, &query(settings.clone()), &workers).unwrap();
            let batches = collect(&mut running, &workers).unwrap();
            let rows = batches.iter().flat_map(|batch| {
                (0..batch.rows)
                    .map(|row| batch.columns.iter().map(|column| column.scalar(row)).collect::<Vec<_>>())
            });
            assert_eq!(rows.collect::<Vec<_>>(), expected, "{settings:?}, {count} shards");
        }
    }
}

#[test]
fn groups_meet_on_the_shard_that_their_hash_names() {
    let text = DataType::Varchar;
    let counts = plan::Aggregate {
        function: AggregateFunction::CountRows,
        args: vec![],
        filter: None,
        data_type: DataType::Int64,
    };
    let grouped = Plan::Aggregate {
        input: Box::new(Plan::Receive { fragment: 2, types: vec![text] }),
        groups: vec![column(0, text)],
        aggregates: vec![counts],
    };
    let ordered = Plan::Sort {
        input: Box::new(Plan::Receive { fragment: 1, types: vec![text, DataType::Int64] }),
        keys: vec![plan::SortKey { expr: column(0, text), descending: false, nulls_first: false }],
    };
    let fragments = [
        fragment(
            2,
            scan(&[2], &[below(0, DataType::Int32, 5_000)]),
            AllShards,
            Some(Routing::Hash(vec![column(0, text)])),
        ),
        fragment(1, grouped, AllShards, Some(Routing::Gather)),
        fragment(0, ordered, OneShard, None),
    ];
    let mut expected: Vec<Vec<Scalar>> = (0..4)
        .map(|kind| format!("kind number {kind} of strings").into_bytes())
        .map(|text| vec![Scalar::Bytes(text), Scalar::Integer(1_000)])
        .collect();
    expected.push(vec![Scalar::Null, Scalar::Integer(1_000)]);
    check_rows(&fragments, &expected);
}

#[test]
fn a_join_of_scattered_rows_finds_every_pair() {
    let (int, long) = (DataType::Int32, DataType::Int64);
    // Both sides are spread by the key; the build side holds few of the keys.
    let join = Plan::HashJoin(plan::HashJoin {
        probe: Box::new(Plan::Receive { fragment: 2, types: vec![int, long] }),
        build: Box::new(Plan::Receive { fragment: 3, types: vec![long] }),
        kind: plan::JoinKind::Inner,
        keys: vec![plan::JoinKey { probe: column(1, long), build: column(0, long), null_equal: false }],
        residual: None,
    });
    let top = Plan::TopN {
        input: Box::new(Plan::Receive { fragment: 1, types: vec![int, long, long] }),
        keys: vec![plan::SortKey { expr: column(0, int), descending: true, nulls_first: false }],
        limit: 5,
        offset: 1,
    };
    let fragments = [
        fragment(3, scan(&[1], &[below(0, int, 100)]), AllShards, Some(Routing::Hash(vec![column(0, long)]))),
        fragment(2, scan(&[0, 1], &[]), AllShards, Some(Routing::Hash(vec![column(1, long)]))),
        fragment(1, join, AllShards, Some(Routing::Gather)),
        fragment(0, top, OneShard, None),
    ];
    // The scattered column is a key, but for its nulls.
    let mut pairs: Vec<Vec<Scalar>> = (0..100)
        .map(scan_tests::row)
        .filter(|row| row[1] != Scalar::Null)
        .map(|row| vec![row[0].clone(), row[1].clone(), row[1].clone()])
        .collect();
    pairs.reverse();
    check_rows(&fragments, &pairs[1..6]);
}

#[test]
fn a_scan_drops_what_a_later_join_would() {
    let (int, long) = (DataType::Int32, DataType::Int64);
    let join = |kind| {
        Plan::HashJoin(plan::HashJoin {
            probe: Box::new(scan(&[0, 1], &[])),
            build: Box::new(scan(&[1], &[below(0, int, 100)])),
            kind,
            keys: vec![plan::JoinKey { probe: column(1, long), build: column(0, long), null_equal: false }],
            residual: None,
        })
    };
    let matching = (0..100).map(scan_tests::row).filter(|row| row[1] != Scalar::Null).count();
    for (kind, expected) in [
        (plan::JoinKind::Inner, matching),
        (plan::JoinKind::ProbeSemi, matching),
        (plan::JoinKind::ProbeAnti, ROWS - matching),
        (plan::JoinKind::ProbeOuter, ROWS),
        (plan::JoinKind::BuildOuter, 100),
        (plan::JoinKind::BuildAnti, 100 - matching),
        (plan::JoinKind::Full, ROWS + 100 - matching),
    ] {
        for (workers, settings) in variants() {
            let fragments = [fragment(0, join(kind), OneShard, None)];
            let mut running =
                RunningQuery::start(&fragments, &holding(1), &query(settings), &workers).unwrap();
            let rows: usize = collect(&mut running, &workers).unwrap().iter().map(|batch| batch.rows).sum();
            assert_eq!(rows, expected, "{kind:?}");
            // The join sees only the rows that have a partner; see the scan's count.
            let scanned = running.profiles()[0].2.nodes[1].rows;
            if matches!(kind, plan::JoinKind::Inner | plan::JoinKind::ProbeSemi) {
                assert_eq!(scanned, matching as u64);
            } else if !matches!(kind, plan::JoinKind::BuildOuter | plan::JoinKind::BuildAnti) {
                assert_eq!(scanned, ROWS as u64);
            }
        }
    }
}

#[test]
fn an_error_on_one_shard_ends_the_query_everywhere() {
    let int = DataType::Int32;
    // Row 5,500 lies on the last shard.
    let difference =
        Expr::arithmetic(ArithmeticOp::Subtract, column(0, int), Expr::Literal(Value::int32(5_500)), int);
    let quotient = Expr::arithmetic(ArithmeticOp::Divide, Expr::Literal(Value::int32(1)), difference, int);
    let fragments = [
        fragment(
            1,
            Plan::Project { input: Box::new(scan(&[0], &[])), exprs: vec![quotient] },
            AllShards,
            Some(Routing::Gather),
        ),
        fragment(0, receive(1), OneShard, None),
    ];
    for (workers, settings) in variants() {
        let context = query(settings);
        let mut running = RunningQuery::start(&fragments, &holding(3), &context, &workers).unwrap();
        let error = collect(&mut running, &workers).unwrap_err();
        assert!(matches!(error, Error::Value(columnar::Error::DivisionByZero)), "{error}");
        assert_eq!(running.progress().total, 6);
    }
}
