//! What a run found, as it lies in `NAME.json`, and the figures that follow from it.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Failure;
use crate::machine::{Commit, Machine};
use crate::statistics::{geometric_mean, median, minimum};

/// The version of this form; a file of another is refused.
const FORMAT: u32 = 1;

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Report {
    pub(crate) format: u32,
    pub(crate) name: String,
    /// What was run, such as "TPC-H scale 10".
    pub(crate) title: String,
    /// When it ended, in UTC.
    pub(crate) date: String,
    /// The command line that repeats the run.
    pub(crate) command: String,
    pub(crate) machine: Machine,
    pub(crate) commit: Commit,
    pub(crate) settings: Settings,
    pub(crate) parquet_bytes: u64,
    pub(crate) rows: u64,
    pub(crate) engines: Vec<EngineReport>,
    pub(crate) queries: Vec<QueryReport>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Settings {
    pub(crate) threads: usize,
    /// Hot runs of a query, after one that warms up.
    pub(crate) runs: usize,
    pub(crate) shuffled: bool,
    pub(crate) timeout_seconds: u64,
    pub(crate) memory_budget_bytes: u64,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct EngineReport {
    pub(crate) name: String,
    pub(crate) version: String,
    /// How it holds the data.
    pub(crate) form: String,
    /// The engines of a group ran at the same time; Tundra runs in all groups.
    pub(crate) groups: Vec<usize>,
    pub(crate) load_seconds: Option<f64>,
    /// In memory after loading.
    pub(crate) loaded_bytes: Option<u64>,
    /// In memory at most, by the end of the run.
    pub(crate) peak_bytes: Option<u64>,
    /// Of the files that it keeps.
    pub(crate) store_bytes: Option<u64>,
    /// Why it did not run.
    pub(crate) problem: Option<String>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct QueryReport {
    pub(crate) name: String,
    pub(crate) sql: String,
    pub(crate) measured: Vec<Measured>,
}

/// What one engine did with one query in one group.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Measured {
    pub(crate) engine: String,
    pub(crate) group: usize,
    pub(crate) warm_up_ms: Option<f64>,
    pub(crate) runs_ms: Vec<f64>,
    /// The least and the middle of the runs.
    pub(crate) minimum_ms: Option<f64>,
    pub(crate) median_ms: Option<f64>,
    pub(crate) rows: Option<u64>,
    /// Why there is no time.
    pub(crate) problem: Option<String>,
    /// How the answer differs from the one it was compared with.
    pub(crate) difference: Option<String>,
}

impl QueryReport {
    fn of<'a, 'n>(&'a self, engine: &'n str) -> impl Iterator<Item = &'a Measured> + use<'a, 'n> {
        self.measured.iter().filter(move |measured| measured.engine == engine)
    }

    /// The least hot time of an engine, over all groups.
    pub(crate) fn hot_ms(&self, engine: &str) -> Option<f64> {
        minimum(self.of(engine).filter_map(|measured| measured.minimum_ms))
    }

    /// The engine that is no Tundra and answered right in the least time.
    pub(crate) fn best_peer(&self) -> Option<(&str, f64)> {
        let right = self
            .measured
            .iter()
            .filter(|measured| measured.engine != TUNDRA && measured.difference.is_none());
        let timed = right.filter_map(|measured| Some((measured.engine.as_str(), measured.minimum_ms?)));
        timed.min_by(|one, other| one.1.total_cmp(&other.1))
    }

    /// Tundra's time over that of the best peer.
    pub(crate) fn ratio(&self) -> Option<f64> {
        Some(self.hot_ms(TUNDRA)? / self.best_peer()?.1)
    }

    pub(crate) fn problem(&self, engine: &str) -> Option<&str> {
        self.of(engine).find_map(|measured| measured.problem.as_deref())
    }

    pub(crate) fn difference(&self, engine: &str) -> Option<&str> {
        self.of(engine).find_map(|measured| measured.difference.as_deref())
    }
}

pub(crate) const TUNDRA: &str = "tundra";

/// An engine over all queries that it answered.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Summary {
    pub(crate) answered: usize,
    pub(crate) geometric_mean_ms: f64,
    pub(crate) total_ms: f64,
}

impl Report {
    pub(crate) const FORMAT: u32 = FORMAT;

    pub(crate) fn read(path: &Path) -> Result<Report, Failure> {
        let cannot = |error: &dyn std::fmt::Display| format!("cannot read {}: {error}", path.display());
        let text = fs::read_to_string(path).map_err(|error| cannot(&error))?;
        let report: Report = serde_json::from_str(&text).map_err(|error| cannot(&error))?;
        if report.format != FORMAT {
            return Err(cannot(&format!("expected format {FORMAT}, found {}", report.format)).into());
        }
        Ok(report)
    }

    pub(crate) fn summary(&self, engine: &str) -> Summary {
        let times: Vec<f64> = self.queries.iter().filter_map(|query| query.hot_ms(engine)).collect();
        Summary {
            answered: times.len(),
            geometric_mean_ms: geometric_mean(&times).unwrap_or(0.0),
            total_ms: times.iter().sum(),
        }
    }

    /// The best peer of every query put together.
    pub(crate) fn best_peers(&self) -> Summary {
        let times: Vec<f64> = self.queries.iter().filter_map(|query| Some(query.best_peer()?.1)).collect();
        Summary {
            answered: times.len(),
            geometric_mean_ms: geometric_mean(&times).unwrap_or(0.0),
            total_ms: times.iter().sum(),
        }
    }

    /// The geometric mean of Tundra's ratios to the best peer.
    pub(crate) fn ratio(&self) -> Option<f64> {
        geometric_mean(&self.queries.iter().filter_map(QueryReport::ratio).collect::<Vec<_>>())
    }

    /// The engines that answered anything.
    pub(crate) fn timed_engines(&self) -> Vec<&EngineReport> {
        self.engines.iter().filter(|engine| self.summary(&engine.name).answered > 0).collect()
    }

    /// Whether any answer differed from the one it was compared with.
    pub(crate) fn differs(&self) -> bool {
        self.queries.iter().flat_map(|query| &query.measured).any(|measured| measured.difference.is_some())
    }
}

impl Measured {
    /// With the figures of its runs.
    pub(crate) fn summed_up(mut self) -> Measured {
        self.minimum_ms = minimum(self.runs_ms.iter().copied());
        self.median_ms = median(&self.runs_ms);
        self
    }
}

/// A small report with everything that may be in one.
#[cfg(test)]
pub(crate) fn sample() -> Report {
    let engine = |name: &str, form: &str| EngineReport {
        name: name.to_string(),
        version: "1.2".to_string(),
        form: form.to_string(),
        groups: vec![1],
        ..EngineReport::default()
    };
    let measured = |engine: &str, runs_ms: &[f64]| {
        let measured = Measured {
            engine: engine.to_string(),
            group: 1,
            runs_ms: runs_ms.to_vec(),
            ..Measured::default()
        };
        measured.summed_up()
    };
    let query = |name: &str, measured: Vec<Measured>| QueryReport {
        name: name.to_string(),
        sql: format!("select '{name}' where 1 < 2"),
        measured,
    };
    let differing = Measured { difference: Some("3 rows, not 4".to_string()), ..measured("chdb", &[20.0]) };
    let failed = Measured { problem: Some("Unknown\nfunction f".to_string()), ..measured("chdb", &[]) };
    Report {
        format: FORMAT,
        name: "sample".to_string(),
        title: "TPC-H scale 1 & more".to_string(),
        date: "2026-11-26 10:00 UTC".to_string(),
        command: "cargo run --release -p tundra-bench -- tpch --scale 1".to_string(),
        machine: Machine {
            cpu: "CPU <model>".to_string(),
            cores: 2,
            memory_bytes: 24 << 30,
            kernel: "linux 6".to_string(),
        },
        commit: Commit { hash: "0123456789ab".to_string(), dirty: true },
        settings: Settings {
            threads: 2,
            runs: 2,
            shuffled: false,
            timeout_seconds: 300,
            memory_budget_bytes: 20 << 30,
        },
        parquet_bytes: 350_000_000,
        rows: 8_661_245,
        engines: vec![
            EngineReport {
                load_seconds: Some(2.0),
                loaded_bytes: Some(500_000_000),
                peak_bytes: Some(600_000_000),
                store_bytes: Some(400_000_000),
                ..engine("tundra", "segments")
            },
            EngineReport {
                load_seconds: Some(1.0),
                loaded_bytes: Some(1_000_000_000),
                peak_bytes: Some(1_200_000_000),
                ..engine("duckdb", "tables in memory")
            },
            engine("chdb", "MergeTree"),
        ],
        queries: vec![
            query(
                "q01",
                vec![measured("tundra", &[12.0, 10.0]), measured("duckdb", &[40.0, 50.0]), differing],
            ),
            query("q02", vec![measured("tundra", &[40.0]), measured("duckdb", &[10.0]), failed]),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_survives_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sample.json");
        fs::write(&path, serde_json::to_string_pretty(&sample()).unwrap()).unwrap();
        assert_eq!(Report::read(&path).unwrap(), sample());
        let other = serde_json::to_string(&Report { format: 99, ..sample() }).unwrap();
        fs::write(&path, other).unwrap();
        assert!(Report::read(&path).unwrap_err().to_string().contains("expected format 1, found 99"));
        assert!(Report::read(&folder.path().join("absent.json")).is_err());
    }

    #[test]
    fn figures_follow_from_the_runs() {
        let report = sample();
        let first = &report.queries[0];
        assert_eq!((first.hot_ms("tundra"), first.measured[0].median_ms), (Some(10.0), Some(11.0)));
        assert_eq!(first.best_peer(), Some(("duckdb", 40.0)), "chdb was faster, with a wrong answer");
        assert_eq!(first.ratio(), Some(0.25));
        assert!((report.ratio().unwrap() - 1.0).abs() < 1e-9);
        assert_eq!(report.summary("chdb").answered, 1);
        assert!(report.differs());
    }

    #[test]
    fn the_least_of_all_groups_counts() {
        let mut report = sample();
        let second = Measured { group: 2, ..report.queries[0].measured[0].clone() };
        report.queries[0].measured.push(Measured { runs_ms: vec![8.0], ..second }.summed_up());
        assert_eq!(report.queries[0].hot_ms("tundra"), Some(8.0));
    }
}
