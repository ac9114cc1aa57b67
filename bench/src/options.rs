//! The command line.

mod benchmarks;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::bytes::Size;
use crate::compare::compare;
use crate::engine::Kind;
use crate::queries::Selection;
use crate::report::Report;
use crate::{Failure, outputs, say};

/// Tundra against its alternatives: the same Parquet files, the same queries, the same cores, in one run.
#[derive(Debug, Parser)]
#[command(
    name = "tundra-bench",
    after_help = "\
Examples:
  tundra-bench tpch --scale 10                           the 22 queries of TPC-H against all open engines
  tundra-bench tpch --scale 1,3,10 --threads 1,2         growth: every scale with every number of threads
  tundra-bench tpch --scale 10 --shuffled                the same rows in random order
  tundra-bench tpch --scale 10 --selectivity             filters that let 0.1 % to 100 % of lineitem through
  tundra-bench web --rows 10000000                       web analytics over one wide table
  tundra-bench folder --queries sql/ --parquet trips/    any .sql files over any Parquet files
  tundra-bench compare before.json after.json
  tundra-bench report bench/results/tpch-sf10.json

From the repository, `tundra-bench` is `cargo run --release -p tundra-bench --`.

Every engine runs in a process of its own, loads the Parquet files into its own form first, and is asked each query
once to warm up and then --runs times; engines take turns. A time is that from the call to the last row in Arrow
form, the least of the hot runs; Tundra's includes Flight SQL over loopback. Result caches are off. Answers are
compared with DuckDB's; where one differs, the exit code is 1. Engines that do not fit into --memory-budget together
run in groups, and Tundra in each of them. The peers come from PyPI, into a Python environment under --data."
)]
pub(crate) struct Command {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// TPC-H: the 22 queries, or filters over lineitem
    Tpch(Tpch),
    /// Web analytics: the shapes of ClickBench over synthetic rows
    Web(Web),
    /// The .sql files of a folder over any Parquet files
    Folder(Folder),
    /// Show two results side by side: Tundra and the best peer, before and after
    Compare { before: PathBuf, after: PathBuf },
    /// Write the chart and the page of results again, and print their tables
    Report {
        #[arg(required = true, value_name = "FILE.json")]
        files: Vec<PathBuf>,
    },
}

#[derive(Args, Debug)]
struct Tpch {
    /// Scale factors, such as 10 or 1,3,10
    #[arg(long, value_name = "SCALE", value_delimiter = ',', default_value = "1", value_parser = scale)]
    scale: Vec<f64>,
    /// Only these queries, such as 1,6,13-15
    #[arg(long, value_name = "LIST")]
    queries: Option<Selection>,
    /// In place of the 22 queries, filters that let a growing part of lineitem through
    #[arg(long)]
    selectivity: bool,
    #[command(flatten)]
    options: Options,
}

#[derive(Args, Debug)]
struct Web {
    /// Rows to generate
    #[arg(long, value_name = "N", default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    rows: u64,
    /// Only these queries, such as 1,6,13-15
    #[arg(long, value_name = "LIST")]
    queries: Option<Selection>,
    #[command(flatten)]
    options: Options,
}

#[derive(Args, Debug)]
struct Folder {
    /// A folder of .sql files, a query each; ENGINE/NAME.sql in it stands in for NAME.sql
    #[arg(long, value_name = "FOLDER")]
    queries: PathBuf,
    /// A Parquet file, or a folder of them: one table, named after it; may be repeated
    #[arg(long, required = true, value_name = "FILE_OR_FOLDER")]
    parquet: Vec<PathBuf>,
    /// The name of the table of the --parquet at the same place
    #[arg(long, value_name = "NAME")]
    table: Vec<String>,
    /// Only these queries, by number or by name
    #[arg(long, value_name = "LIST")]
    only: Option<Selection>,
    #[command(flatten)]
    options: Options,
}

#[derive(Args, Debug)]
struct Options {
    /// The engines that run. hyper needs the package tableauhyperapi, which has a licence of its own: only if named
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        value_enum,
        default_value = "tundra,duckdb,duckdb-compressed,chdb,datafusion,polars"
    )]
    engines: Vec<Kind>,
    /// Threads of every engine; several numbers make several runs [default: all cores]
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Vec<u16>,
    /// Hot runs of every query
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
    runs: u16,
    /// Put the rows of every table in a random order first
    #[arg(long)]
    shuffled: bool,
    /// Give a query up after so long
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,
    /// What engines that are up at the same time may take of memory
    #[arg(long, value_name = "SIZE", default_value = "80%")]
    memory_budget: Size,
    /// The binary to measure [default: built from this repository]
    #[arg(long, value_name = "PATH")]
    tundra: Option<PathBuf>,
    /// Where data and the Python environment are kept
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    data: PathBuf,
    /// Where results are written
    #[arg(long, value_name = "DIR", default_value = "bench/results")]
    output: PathBuf,
    /// The name of the results [default: after what is run]
    #[arg(long)]
    name: Option<String>,
}

fn scale(text: &str) -> Result<f64, String> {
    let scale = text.parse::<f64>().ok().filter(|scale| (0.001..=1000.0).contains(scale));
    scale.ok_or_else(|| "expected a scale factor from 0.001 to 1000".to_string())
}

impl Command {
    /// Whether all answers agreed.
    pub(crate) fn run(self) -> Result<bool, Failure> {
        match self.task {
            Task::Tpch(tpch) => {
                let benchmarks: Result<Vec<_>, _> =
                    tpch.scale.iter().map(|scale| tpch.prepare(*scale)).collect();
                tpch.options.run_all(&benchmarks?)
            }
            Task::Web(web) => web.options.run_all(&[web.prepare()?]),
            Task::Folder(folder) => folder.options.run_all(&[folder.prepare()?]),
            Task::Compare { before, after } => {
                say(&compare(&Report::read(&before)?, &Report::read(&after)?));
                Ok(true)
            }
            Task::Report { files } => {
                for file in files {
                    let report = Report::read(&file)?;
                    outputs::print(&report);
                    outputs::write_pictures(&report, &file)?;
                }
                Ok(true)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, clap::Error> {
        Command::try_parse_from(std::iter::once("tundra-bench").chain(line.split_whitespace()))
    }

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Command::command().debug_assert();
    }

    #[test]
    fn options_are_read_as_written() {
        let Task::Tpch(tpch) = parsed("tpch --scale 1,0.1 --threads 1,2 --queries 1,13-15").unwrap().task
        else {
            panic!("no TPC-H")
        };
        assert_eq!(tpch.scale, [1.0, 0.1]);
        assert_eq!(tpch.options.threads, [1, 2]);
        assert_eq!(tpch.options.runs, 5);
        assert!(!tpch.options.engines.contains(&Kind::Hyper) && tpch.options.engines.len() == 6);
        let line = "folder --queries sql --parquet a --parquet b.parquet --table x --engines tundra,hyper";
        let Task::Folder(folder) = parsed(line).unwrap().task else { panic!("no folder") };
        assert_eq!((folder.parquet.len(), folder.table.len()), (2, 1));
        assert_eq!(folder.options.engines, [Kind::Tundra, Kind::Hyper]);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let lines = [
            "tpch --scale 0",
            "tpch --scale x",
            "tpch --engines oracle",
            "tpch --runs 0",
            "tpch --threads 0",
            "tpch --queries 5-3",
            "folder --queries sql",
            "web --rows 0",
            "report",
            "compare a.json",
            "",
        ];
        for line in lines {
            assert!(parsed(line).is_err(), "{line} was accepted");
        }
    }
}
