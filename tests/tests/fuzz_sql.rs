//! Statements drawn at random against a small server: each is answered or refused in time, nothing panics,
//! and the server goes on.
//!
//! A run takes `FUZZ_SECONDS` (15 where it is not set) and draws by `FUZZ_SEED` (always the same where it is not
//! set; `FUZZ_SEED=random FUZZ_SECONDS=600` looks for new failures). A failure names the seed that begins with it;
//! the statement that runs is kept in the file `fuzz_sql_running`, should the process end with it.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::collections::BTreeMap;
use std::panic;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use coordinator::Error;
use futures::TryStreamExt;
use tundra_tests::connection::Connection;
use tundra_tests::corpus;
use tundra_tests::mutation::{EVERY_TYPE, Mutator};
use tundra_tests::random::{Random, Run};
use tundra_tests::server::{TestServer, Variation};

/// How long a statement that fills a table may run.
const FILLING: Duration = Duration::from_secs(60);
/// How long a query may run.
const DEADLINE: Duration = Duration::from_millis(300);
/// How long after that a statement counts as stuck; a busy machine plans a long one in seconds.
const PATIENCE: Duration = Duration::from_secs(30);
/// One statement in so many that changes something is run, since each writes files.
const CHANGES: usize = 16;
/// Different failures that end a run.
const FAILURES: usize = 20;

/// Tables of TPC-H's shape, of a thousand rows at most.
const TPCH: [&str; 9] = [
    "CREATE TABLE numbers AS SELECT 100 * a.d + 10 * b.d + c.d AS n \
     FROM (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) AS a(d), \
          (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) AS b(d), \
          (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) AS c(d)",
    "CREATE TABLE region AS SELECT n AS r_regionkey, CASE n WHEN 0 THEN 'EUROPE' ELSE 'ASIA' END AS r_name, \
     'none' AS r_comment FROM numbers WHERE n < 5",
    "CREATE TABLE nation AS SELECT n AS n_nationkey, CASE n % 3 WHEN 0 THEN 'FRANCE' WHEN 1 THEN 'GERMANY' \
     ELSE 'BRAZIL' END AS n_name, n % 5 AS n_regionkey, 'none' AS n_comment FROM numbers WHERE n < 25",
    "CREATE TABLE supplier AS SELECT CAST(n AS BIGINT) AS s_suppkey, 'Supplier#' || n AS s_name, \
     'street ' || n AS s_address, n % 25 AS s_nationkey, '1' || n || '-555' AS s_phone, \
     CAST(n * 9.5 - 100 AS DECIMAL(15,2)) AS s_acctbal, 'Customer Complaints' AS s_comment \
     FROM numbers WHERE n < 10",
    "CREATE TABLE part AS SELECT CAST(n AS BIGINT) AS p_partkey, 'forest green ' || n AS p_name, \
     'Manufacturer#' || (n % 5) AS p_mfgr, 'Brand#' || (n % 50) AS p_brand, \
     CASE n % 2 WHEN 0 THEN 'PROMO BRASS' ELSE 'SMALL TIN' END AS p_type, n % 50 AS p_size, \
     'MED BOX' AS p_container, CAST(n * 1.5 AS DECIMAL(15,2)) AS p_retailprice, 'final' AS p_comment \
     FROM numbers WHERE n < 40",
    "CREATE TABLE partsupp AS SELECT CAST(n % 40 AS BIGINT) AS ps_partkey, CAST(n % 10 AS BIGINT) AS ps_suppkey, \
     n AS ps_availqty, CAST(n * 0.25 AS DECIMAL(15,2)) AS ps_supplycost, 'quick' AS ps_comment \
     FROM numbers WHERE n < 80",
    "CREATE TABLE customer AS SELECT CAST(n AS BIGINT) AS c_custkey, 'Customer#' || n AS c_name, \
     'road ' || n AS c_address, n % 25 AS c_nationkey, '13-' || n AS c_phone, \
     CAST(n * 3.25 AS DECIMAL(15,2)) AS c_acctbal, 'BUILDING' AS c_mktsegment, 'silent' AS c_comment \
     FROM numbers WHERE n < 60",
    "CREATE TABLE orders AS SELECT CAST(n AS BIGINT) AS o_orderkey, CAST(n % 60 AS BIGINT) AS o_custkey, \
     CASE n % 2 WHEN 0 THEN 'F' ELSE 'O' END AS o_orderstatus, CAST(n * 100.5 AS DECIMAL(15,2)) AS o_totalprice, \
     DATE '1993-01-01' + n AS o_orderdate, '1-URGENT' AS o_orderpriority, 'Clerk' AS o_clerk, \
     0 AS o_shippriority, 'special requests' AS o_comment FROM numbers WHERE n < 250",
    "CREATE TABLE lineitem AS SELECT CAST(n / 4 AS BIGINT) AS l_orderkey, CAST(n % 40 AS BIGINT) AS l_partkey, \
     CAST(n % 10 AS BIGINT) AS l_suppkey, n % 4 + 1 AS l_linenumber, CAST(n % 50 AS DECIMAL(15,2)) AS l_quantity, \
     CAST(n * 12.75 AS DECIMAL(15,2)) AS l_extendedprice, CAST((n % 10) * 0.01 AS DECIMAL(15,2)) AS l_discount, \
     CAST((n % 8) * 0.01 AS DECIMAL(15,2)) AS l_tax, CASE n % 3 WHEN 0 THEN 'R' ELSE 'N' END AS l_returnflag, \
     CASE n % 2 WHEN 0 THEN 'F' ELSE 'O' END AS l_linestatus, DATE '1993-01-01' + n AS l_shipdate, \
     DATE '1993-02-01' + n AS l_commitdate, DATE '1993-01-20' + n AS l_receiptdate, \
     'DELIVER IN PERSON' AS l_shipinstruct, CASE n % 2 WHEN 0 THEN 'AIR' ELSE 'MAIL' END AS l_shipmode, \
     'slyly' AS l_comment FROM numbers",
];

#[tokio::test(flavor = "multi_thread")]
async fn statements_at_random_do_no_harm() {
    let run = Run::from_environment(15);
    println!("FUZZ_SEED={}", run.seed);
    let panics = watch_panics();
    let variation = Variation::shards(2);
    let server = TestServer::start_with(&variation, |config| {
        config.query_timeout = Some(FILLING);
        config.memory_bytes = 512 << 20;
    });
    let server = server.await.unwrap();
    let mut corpus = corpus::statements().unwrap();
    corpus.retain(|sql| !is_first(sql, &["DROP"]));
    fill(&server, &corpus).await;
    corpus.retain(|sql| !sql.trim_start().to_uppercase().starts_with("INSERT"));
    let mutator = Mutator::new(&corpus);

    let mut failures: BTreeMap<String, String> = BTreeMap::new();
    let (begun, mut rounds, mut answered, mut slowest) = (Instant::now(), 0, 0_u64, (Duration::ZERO, 0));
    let running = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz_sql_running");
    while begun.elapsed() < run.time && failures.len() < FAILURES {
        let round = run.seed.wrapping_add(rounds);
        let mut random = Random::new(round);
        let sql = mutator.statement(&mut random);
        rounds += 1;
        if is_first(&sql, &["CREATE", "INSERT", "DROP"]) && !random.one_in(CHANGES) {
            continue;
        }
        std::fs::write(&running, format!("FUZZ_SEED={round}\n{sql}\n")).unwrap();
        let started = Instant::now();
        let outcome = execute(&server, &sql).await;
        slowest = slowest.max((started.elapsed(), round));
        answered += u64::from(outcome == Ok(true));
        let panicked: Vec<String> = panics.lock().unwrap().drain(..).collect();
        let failure = panicked.first().cloned().or_else(|| outcome.err());
        if let Some(failure) = failure {
            let shown: String = sql.chars().take(2_000).collect();
            failures.entry(kind(&failure)).or_insert(format!("{failure}\n  FUZZ_SEED={round}\n  {shown}"));
        }
        if rounds % 32 == 0 {
            assert_eq!(server.session().rows("SELECT 1 + 1").await.unwrap(), [["2"]]);
        }
    }
    let (time, round) = slowest;
    println!("{rounds} statements, {answered} answered, the slowest took {time:?} with FUZZ_SEED={round}");
    let shown: Vec<String> = failures.into_values().collect();
    assert!(shown.is_empty(), "{} kinds of failures:\n{}", shown.len(), shown.join("\n"));
    assert!(
        answered > rounds / 50,
        "{answered} of {rounds} statements are answered: too few reach the engine"
    );
    server.stop().await.unwrap();
}

fn is_first(sql: &str, words: &[&str]) -> bool {
    let first = sql.split_whitespace().next().unwrap_or_default().to_uppercase();
    words.contains(&first.as_str())
}

/// Creates the tables that the statements speak of; of two of one name, the first.
async fn fill(server: &TestServer, corpus: &[String]) {
    let mut session = server.session();
    for sql in TPCH.iter().chain(&EVERY_TYPE) {
        session.execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
    for sql in corpus.iter().filter(|sql| is_first(sql, &["CREATE", "INSERT"])) {
        // Some are meant to fail, some speak of a table that has other columns here.
        let _ = session.execute(sql).await;
    }
}

/// Runs a statement to its end: whether it was answered, or how it failed as none may.
async fn execute(server: &TestServer, sql: &str) -> Result<bool, String> {
    let Connection::Session(session) = server.session() else { return Err("no session".into()) };
    let run = async {
        session.execute(&format!("SET query_timeout = '{}ms'", DEADLINE.as_millis())).await?;
        let mut rows = session.execute(sql).await?;
        while rows.try_next().await?.is_some() {}
        Ok::<_, Error>(())
    };
    match tokio::time::timeout(PATIENCE, run).await {
        Err(_) => Err(format!("stuck for {PATIENCE:?}")),
        Ok(Ok(())) => Ok(true),
        Ok(Err(error @ (Error::Internal(_) | Error::Execution(exec::error::Error::Internal(_))))) => {
            Err(error.to_string())
        }
        Ok(Err(_)) => Ok(false),
    }
}

/// What panics from now on, wherever it is caught.
fn watch_panics() -> Arc<Mutex<Vec<String>>> {
    let panics = Arc::new(Mutex::new(Vec::new()));
    let seen = panics.clone();
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        seen.lock().unwrap().push(panic.to_string());
        // The test's own panics are reported as ever.
        if std::thread::current().name().is_some_and(|name| name.starts_with("statements_")) {
            before(panic);
        }
    }));
    panics
}

/// The failure without its numbers, to tell one kind from another.
fn kind(failure: &str) -> String {
    failure.chars().filter(|letter| !letter.is_ascii_digit()).take(160).collect()
}
