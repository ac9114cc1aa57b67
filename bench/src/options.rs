//! The command line.

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};

use crate::bytes::Size;
use crate::compare::compare;
use crate::dataset::{Table, prepare_once};
use crate::engine::Kind;
use crate::machine::{Commit, Machine, cores};
use crate::measure::{Plan, measure};
use crate::queries::{self, Query, Selection};
use crate::report::{Report, Settings};
use crate::{Failure, hits, outputs, progress, python, say, selectivity, shuffle, tpch, tundra};

/// The repository that this harness belongs to.
const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Seeds of the data, so that it is the same everywhere.
const SHUFFLE_SEED: u64 = 42;
const HITS_SEED: u64 = 1;

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

/// What is run: data and queries under a title and a name for files.
struct Benchmark {
    title: String,
    slug: String,
    tables: Vec<Table>,
    queries: Vec<Query>,
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

impl Tpch {
    fn prepare(&self, scale: f64) -> Result<Benchmark, Failure> {
        let slug = format!("tpch-sf{scale}");
        let folder = self.options.data.join(&slug);
        prepare_once(&folder, |folder| tpch::write(folder, scale))?;
        let table = |(name, key, _): (&str, &[&str], f64)| Table::at(name, &folder.join(name), key);
        let tables = tpch::TABLES.into_iter().map(table).collect::<Result<Vec<_>, _>>()?;
        let tables = self.options.tables(tables, &slug)?;
        let (queries, suffix) = match (self.selectivity, tables.first()) {
            (true, Some(lineitem)) => (selectivity::queries(lineitem)?, "-selectivity"),
            _ => (read_queries("tests/tpch", "bench/queries/tpch")?, ""),
        };
        let queries = chosen(&self.queries, queries)?;
        let what = if self.selectivity { "filters over lineitem, TPC-H" } else { "TPC-H" };
        Ok(self.options.titled(format!("{what} scale {scale}"), format!("{slug}{suffix}"), tables, queries))
    }
}

impl Web {
    fn prepare(&self) -> Result<Benchmark, Failure> {
        let rows = self.rows;
        let slug = format!("web-{rows}");
        let folder = self.options.data.join(&slug);
        let told = crate::parquet_files::Progress::new(format!("generating {rows} rows of hits"), rows);
        prepare_once(&folder, |folder| {
            let table = folder.join("hits");
            std::fs::create_dir(&table)?;
            Ok(hits::write(&table, rows, HITS_SEED, &|done| told.reached(done))?)
        })?;
        let key = ["CounterID", "EventDate", "UserID", "EventTime", "WatchID"];
        let tables = self.options.tables(vec![Table::at("hits", &folder.join("hits"), &key)?], &slug)?;
        let queries = chosen(&self.queries, read_queries("bench/queries/web", "bench/queries/web")?)?;
        Ok(self.options.titled(format!("web analytics, {rows} rows"), slug, tables, queries))
    }
}

impl Folder {
    fn prepare(&self) -> Result<Benchmark, Failure> {
        if self.table.len() > self.parquet.len() {
            return Err("there are more --table than --parquet".into());
        }
        let mut tables = Vec::new();
        for (position, place) in self.parquet.iter().enumerate() {
            tables.push(match self.table.get(position) {
                Some(name) => Table::at(name, place, &[])?,
                None => Table::named_after(place)?,
            });
        }
        let absolute = std::path::absolute(&self.queries)?;
        let name = absolute.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let prints = tables.iter().map(Table::fingerprint).collect::<Result<Vec<_>, _>>()?;
        let print = prints.into_iter().fold(0u64, |all, print| all.rotate_left(7) ^ print);
        let tables = self.options.tables(tables, &format!("folder-{print:016x}"))?;
        let queries = chosen(&self.only, queries::read(&self.queries, &self.queries)?)?;
        Ok(self.options.titled(format!("queries of {name}"), name, tables, queries))
    }
}

fn read_queries(folder: &str, overrides: &str) -> Result<Vec<Query>, Failure> {
    queries::read(&Path::new(REPOSITORY).join(folder), &Path::new(REPOSITORY).join(overrides))
}

fn chosen(selection: &Option<Selection>, queries: Vec<Query>) -> Result<Vec<Query>, Failure> {
    match selection {
        Some(selection) => selection.of(queries),
        None => Ok(queries),
    }
}

impl Options {
    /// The tables, or copies of them in random order, which are kept under a name.
    fn tables(&self, tables: Vec<Table>, slug: &str) -> Result<Vec<Table>, Failure> {
        if !self.shuffled {
            return Ok(tables);
        }
        let folder = self.data.join(format!("{slug}-shuffled"));
        let shuffle = |folder: &Path| {
            tables.iter().try_for_each(|table| shuffle::write(table, &folder.join(&table.name), SHUFFLE_SEED))
        };
        prepare_once(&folder, shuffle)?;
        let shuffled = |table: &Table| {
            let key: Vec<_> = table.key.iter().map(String::as_str).collect();
            Table::at(&table.name, &folder.join(&table.name), &key)
        };
        tables.iter().map(shuffled).collect()
    }

    fn titled(&self, title: String, slug: String, tables: Vec<Table>, queries: Vec<Query>) -> Benchmark {
        match self.shuffled {
            true => Benchmark {
                title: format!("{title}, rows in random order"),
                slug: format!("{slug}-shuffled"),
                tables,
                queries,
            },
            false => Benchmark { title, slug, tables, queries },
        }
    }

    /// Runs each benchmark with each number of threads, writing every result as it is there.
    fn run_all(&self, benchmarks: &[Benchmark]) -> Result<bool, Failure> {
        let mut kinds: Vec<Kind> = Kind::ALL.to_vec();
        kinds.retain(|kind| self.engines.contains(kind));
        let python = python::with_engines(&std::path::absolute(self.data.join("venv"))?, &kinds)?;
        let tundra = match (&self.tundra, kinds.contains(&Kind::Tundra)) {
            (Some(binary), _) => binary.clone(),
            (None, true) => tundra::build(Path::new(REPOSITORY))?,
            (None, false) => PathBuf::new(),
        };
        let all_cores = vec![cores() as u16];
        let threads = if self.threads.is_empty() { &all_cores } else { &self.threads };
        let alone = benchmarks.len() * threads.len() == 1;
        let mut reports = Vec::new();
        for benchmark in benchmarks {
            for threads in threads {
                let mut name = self.name.clone().unwrap_or_else(|| benchmark.slug.clone());
                if self.name.is_some() && benchmarks.len() > 1 {
                    name += &format!("-{}", benchmark.slug);
                }
                if !alone && self.threads.len() > 1 {
                    name += &format!("-{threads}t");
                }
                progress(&format!("== {}, {threads} threads", benchmark.title));
                let plan = Plan {
                    name,
                    title: benchmark.title.clone(),
                    command: command_line(),
                    tables: benchmark.tables.clone(),
                    queries: benchmark.queries.clone(),
                    kinds: kinds.clone(),
                    settings: self.settings(usize::from(*threads)),
                    commit: Commit::of(Path::new(REPOSITORY)),
                    tundra: tundra.clone(),
                    python: python.clone(),
                    data: self.data.clone(),
                };
                let report = measure(&plan)?;
                outputs::print(&report);
                outputs::write(&report, &self.output)?;
                reports.push(report);
            }
        }
        if !alone {
            say(&outputs::growth(&reports));
        }
        Ok(!reports.iter().any(Report::differs))
    }

    fn settings(&self, threads: usize) -> Settings {
        Settings {
            threads,
            runs: usize::from(self.runs),
            shuffled: self.shuffled,
            timeout_seconds: self.timeout,
            memory_budget_bytes: self.memory_budget.of(Machine::here().memory_bytes),
        }
    }
}

/// How this run was asked for, as one asks for it again.
fn command_line() -> String {
    let quoted = |word: String| match word.contains(|letter: char| letter.is_whitespace() || letter == '\'') {
        true => format!("'{}'", word.replace('\'', "'\\''")),
        false => word,
    };
    let words: Vec<_> = std::env::args().skip(1).map(quoted).collect();
    format!("cargo run --release -p tundra-bench -- {}", words.join(" "))
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
