//! Preparing data and queries as the command line says, and running them.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Folder, Options, Tpch, Web};
use crate::dataset::{Table, prepare_once};
use crate::engine::Kind;
use crate::machine::{Commit, Machine, cores};
use crate::measure::{Plan, measure};
use crate::parquet_files::Progress;
use crate::queries::{self, Query, Selection};
use crate::report::{Report, Settings};
use crate::{Failure, hits, outputs, progress, python, say, selectivity, shuffle, tpch, tundra};

/// The repository that this harness belongs to.
const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Seeds of the data, so that it is the same everywhere.
const SHUFFLE_SEED: u64 = 42;
const HITS_SEED: u64 = 1;

/// What is run: data and queries under a title and a name for files.
pub(super) struct Benchmark {
    title: String,
    slug: String,
    tables: Vec<Table>,
    queries: Vec<Query>,
}

impl Tpch {
    pub(super) fn prepare(&self, scale: f64) -> Result<Benchmark, Failure> {
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
    pub(super) fn prepare(&self) -> Result<Benchmark, Failure> {
        let rows = self.rows;
        let slug = format!("web-{rows}");
        let folder = self.options.data.join(&slug);
        let told = Progress::new(format!("generating {rows} rows of hits"), rows);
        prepare_once(&folder, |folder| {
            let table = folder.join("hits");
            fs::create_dir(&table)?;
            Ok(hits::write(&table, rows, HITS_SEED, &|done| told.reached(done))?)
        })?;
        let key = ["CounterID", "EventDate", "UserID", "EventTime", "WatchID"];
        let tables = self.options.tables(vec![Table::at("hits", &folder.join("hits"), &key)?], &slug)?;
        let queries = chosen(&self.queries, read_queries("bench/queries/web", "bench/queries/web")?)?;
        Ok(self.options.titled(format!("web analytics, {rows} rows"), slug, tables, queries))
    }
}

impl Folder {
    pub(super) fn prepare(&self) -> Result<Benchmark, Failure> {
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
    pub(super) fn run_all(&self, benchmarks: &[Benchmark]) -> Result<bool, Failure> {
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
                    command: command_line(std::env::args().skip(1)),
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

/// How this run was asked for, as one asks for it again anywhere: without places on this machine.
fn command_line(mut words: impl Iterator<Item = String>) -> String {
    const PLACES: [&str; 3] = ["--tundra", "--data", "--output"];
    let mut line = "cargo run --release -p tundra-bench --".to_string();
    while let Some(word) = words.next() {
        if PLACES.contains(&word.as_str()) {
            words.next();
        } else if !PLACES.iter().any(|place| word.starts_with(&format!("{place}="))) {
            let quoted = word.contains(|letter: char| letter.is_whitespace() || letter == '\'');
            line.push(' ');
            line += &if quoted { format!("'{}'", word.replace('\'', "'\\''")) } else { word };
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_names_no_place() {
        let words = ["tpch", "--data", "/somewhere", "--scale=1", "--tundra=/bin/tundra", "--name", "it's"];
        let line = command_line(words.iter().map(ToString::to_string));
        assert_eq!(line, "cargo run --release -p tundra-bench -- tpch --scale=1 --name 'it'\\''s'");
    }
}
