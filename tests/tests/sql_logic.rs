//! The `.slt` files under `tests/slt`, run against servers that must all give the same answers.
//!
//! `SLT=joins` runs the files whose path holds that text. `SLT_SEED=n` repeats a random variation,
//! `SLT_ROOT` names another folder.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use columnar::kernels::isa::Isa;
use exec::context::Settings;
use sqllogictest::{Record, Runner, parse_file};
use tundra_tests::cluster::ProcessCluster;
use tundra_tests::connection::{Connection, Failure};
use tundra_tests::s3::S3Server;
use tundra_tests::server::{TestServer, Variation};
use tundra_tests::text::Letter;

/// Failures printed of one file.
const SHOWN: usize = 12;

/// How statements reach the server.
#[derive(Clone, Copy, Debug)]
enum Way {
    Flight,
    InProcess,
}

#[test]
fn one_shard_over_flight_sql() {
    run(&Variation::shards(1), Way::Flight);
}

#[test]
fn three_shards_over_flight_sql() {
    run(&Variation::shards(3), Way::Flight);
}

/// Three coordinators, asked in turn, and four shards that hold each table in parts, each part twice, of objects on S3.
#[test]
fn a_cluster_of_processes() {
    let arguments = [
        ["--coordinators", "3", "--shards", "4", "--memory", "4GB"].as_slice(),
        &["--replicated-rows", "0", "--bucket-rows", "1", "--buckets", "8"],
    ];
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let failures = runtime.block_on(async {
        let s3 = S3Server::start().await.unwrap();
        let location = s3.location("tundra");
        let arguments = [&arguments.concat()[..], &["--object-store", &location]].concat();
        let folder = tempfile::tempdir().unwrap();
        let cluster = ProcessCluster::start_with(folder, &arguments, &s3.settings()).await.unwrap();
        let failures = run_files("a cluster", async || cluster.connect().await).await.unwrap();
        cluster.stop().await.unwrap();
        failures
    });
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
}

/// One further combination a run, drawn at random and printed.
#[test]
fn random_settings_in_process() {
    let drawn =
        || SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.subsec_nanos()) / 1000;
    let seed = std::env::var("SLT_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(drawn);
    let pick = |choices: &[usize], bits: u32| choices[(seed >> bits) as usize % choices.len()];
    let variation = Variation {
        shards: pick(&[1, 2, 3], 0),
        threads: pick(&[1, 2, 4], 3),
        spread: seed & 4096 != 0,
        settings: Settings {
            batch_rows: pick(&[1, 3, 64, 2048], 6),
            disturb: (seed & 512 != 0).then_some(u64::from(seed)),
            ..Settings::default()
        },
    };
    let levels = [Isa::Base, Isa::V3, Isa::V4];
    let level = columnar::kernels::isa::force(levels[pick(&[0, 1, 2], 10)]);
    println!("SLT_SEED={seed}: {variation:?}, {level:?}");
    run(&variation, Way::InProcess);
}

fn run(variation: &Variation, way: Way) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let failures = runtime.block_on(async {
        let server = TestServer::start(variation).await.unwrap();
        let connect = async || match way {
            Way::Flight => server.connect().await,
            Way::InProcess => Ok(server.session()),
        };
        let failures = run_files(&format!("{variation:?} {way:?}"), connect).await.unwrap();
        server.stop().await.unwrap();
        failures
    });
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
}

/// Runs every file; what failed, as text.
async fn run_files(
    with: &str,
    connect: impl AsyncFn() -> Result<Connection, Failure>,
) -> Result<Vec<String>, Failure> {
    let mut failures = Vec::new();
    let mut records = 0;
    for file in files() {
        clean(&mut connect().await?).await?;
        let mut runner = Runner::new(|| connect());
        runner.with_normalizer(String::clone);
        runner.with_validator(|_, actual, expected| {
            actual.iter().map(|row| row.join("\t")).eq(expected.iter().cloned())
        });
        runner.with_column_validator(sqllogictest::strict_column_validator);
        let mut of_file = Vec::new();
        for record in parse_file::<Letter>(&file).map_err(Failure::of)? {
            records += usize::from(matches!(record, Record::Query { .. } | Record::Statement { .. }));
            if let Err(error) = runner.run_async(record).await {
                of_file.push(error.to_string());
            }
        }
        if !of_file.is_empty() {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            let shown: Vec<String> = of_file.iter().take(SHOWN).cloned().collect();
            failures.push(format!("== {name}: {} failed\n{}", of_file.len(), shown.join("\n")));
        }
    }
    println!("{records} statements with {with}, {} files failed", failures.len());
    Ok(failures)
}

/// Drops the views, macros and tables that a file has left behind.
async fn clean(connection: &mut Connection) -> Result<(), Failure> {
    let macros = "SELECT routine_schema, routine_name FROM information_schema.routines";
    for (listed, drop) in [
        ("SHOW VIEWS", "DROP VIEW IF EXISTS"),
        (macros, "DROP MACRO IF EXISTS"),
        ("SHOW TABLES", "DROP TABLE"),
    ] {
        for row in connection.rows(listed).await? {
            let names: Vec<String> = row.iter().map(|name| format!("\"{name}\"")).collect();
            connection.execute(&format!("{drop} {} CASCADE", names[..names.len().min(2)].join("."))).await?;
        }
    }
    Ok(())
}

/// The `.slt` files in order.
fn files() -> Vec<PathBuf> {
    let folder = || Path::new(env!("CARGO_MANIFEST_DIR")).join("slt");
    let root = std::env::var_os("SLT_ROOT").map_or_else(folder, PathBuf::from);
    let wanted = std::env::var("SLT").unwrap_or_default();
    let mut files = Vec::new();
    let mut folders = vec![root];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "slt")
                && path.to_string_lossy().contains(&wanted)
            {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}
