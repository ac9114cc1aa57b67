//! The engines that are compared, and what each of them can do.

use std::path::Path;
use std::time::Duration;

use arrow::array::RecordBatch;
use clap::ValueEnum;
use serde::Deserialize;

use crate::Failure;
use crate::dataset::Table;
use crate::process::Memory;

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub(crate) enum Kind {
    Tundra,
    /// Tables in memory
    Duckdb,
    /// A database file
    DuckdbCompressed,
    /// ClickHouse: MergeTree tables
    Chdb,
    /// Tables in memory, or Parquet where they do not fit
    Datafusion,
    /// Its SQL over frames in memory
    Polars,
    /// A .hyper file
    Hyper,
}

impl Kind {
    pub(crate) const ALL: [Kind; 7] = [
        Kind::Tundra,
        Kind::Duckdb,
        Kind::DuckdbCompressed,
        Kind::Chdb,
        Kind::Datafusion,
        Kind::Polars,
        Kind::Hyper,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Tundra => "tundra",
            Kind::Duckdb => "duckdb",
            Kind::DuckdbCompressed => "duckdb-compressed",
            Kind::Chdb => "chdb",
            Kind::Datafusion => "datafusion",
            Kind::Polars => "polars",
            Kind::Hyper => "hyper",
        }
    }

    /// The Python package that the engine comes in, and the module to import.
    pub(crate) fn package(self) -> Option<(&'static str, &'static str)> {
        match self {
            Kind::Tundra => None,
            Kind::Duckdb | Kind::DuckdbCompressed => Some(("duckdb", "duckdb")),
            Kind::Chdb => Some(("chdb", "chdb")),
            Kind::Datafusion => Some(("datafusion", "datafusion")),
            Kind::Polars => Some(("polars", "polars")),
            Kind::Hyper => Some(("tableauhyperapi", "tableauhyperapi")),
        }
    }

    /// Memory that loading and the largest queries take, page cache included, a byte of Parquet: of TPC-H, rounded
    /// up. DuckDB makes do with less than its largest queries would take, within the limit that it is given.
    fn bytes_a_parquet_byte(self, in_memory: bool) -> f64 {
        match self {
            Kind::Tundra => 1.2,
            Kind::Duckdb => 4.3,
            Kind::DuckdbCompressed => 1.8,
            Kind::Chdb => 2.2,
            Kind::Datafusion if in_memory => 9.5,
            Kind::Datafusion => 4.0,
            Kind::Polars => 12.5,
            Kind::Hyper => 3.0,
        }
    }

    /// Memory that the engine takes with so much Parquet, about.
    pub(crate) fn needed_bytes(self, parquet_bytes: u64, in_memory: bool) -> u64 {
        const IDLE_BYTES: f64 = 250e6;
        (IDLE_BYTES + parquet_bytes as f64 * self.bytes_a_parquet_byte(in_memory)) as u64
    }
}

/// Loading is given up after so long.
pub(crate) const LOAD_TIMEOUT: Duration = Duration::from_secs(3600);

/// What an engine loads, and what it may use.
pub(crate) struct Work<'a> {
    pub(crate) tables: &'a [Table],
    /// Empty, and the engine's own.
    pub(crate) folder: &'a Path,
    pub(crate) threads: usize,
    pub(crate) memory_bytes: u64,
    /// Whether tables in memory fit, for an engine that has another form.
    pub(crate) in_memory: bool,
    /// A query that takes longer is given up.
    pub(crate) timeout: Duration,
}

/// What loading gave.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Loaded {
    pub(crate) seconds: f64,
    pub(crate) version: String,
    /// How the data is held.
    pub(crate) form: String,
    /// Of the files that the engine keeps, where it does.
    pub(crate) store_bytes: Option<u64>,
}

/// One run of a query.
pub(crate) struct Run {
    pub(crate) seconds: f64,
    pub(crate) rows: u64,
    /// The rows, where they were asked for.
    pub(crate) answer: Option<Vec<RecordBatch>>,
}

/// An engine in a process of its own, started.
pub(crate) trait Engine {
    fn load(&mut self, work: &Work) -> Result<Loaded, Failure>;

    /// The time is that from the call to the last row in Arrow form.
    fn run(&mut self, sql: &str, answer: bool) -> Result<Run, Failure>;

    /// Whether it can be asked again; one that hangs or has ended cannot.
    fn usable(&mut self) -> bool;

    fn memory(&self) -> Memory;
}
