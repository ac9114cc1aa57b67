//! A report as a table of text, and as the rows that the page shows.

use crate::bytes;
use crate::report::{EngineReport, QueryReport, Report, TUNDRA};

/// A heading and rows of equally many cells; the rows after `queries` sum up.
pub(crate) struct Table {
    pub(crate) head: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
    pub(crate) queries: usize,
}

/// What is known of an engine.
type Fact = fn(&EngineReport) -> Option<String>;

impl Table {
    /// Queries by engines, in milliseconds.
    pub(crate) fn of(report: &Report) -> Table {
        let engines: Vec<_> = report.engines.iter().collect();
        let compared = engines.len() > 1 && report.ratio().is_some();
        let mut head = vec!["ms".to_string()];
        head.extend(engines.iter().map(|engine| engine.name.clone()));
        if compared {
            head.extend(["best peer".to_string(), "ratio".to_string()]);
        }
        let mut rows: Vec<_> =
            report.queries.iter().map(|query| query_row(query, &engines, compared)).collect();
        let queries = rows.len();
        rows.extend(summary_rows(report, &engines, compared));
        let facts: [(&str, Fact); 4] = [
            ("load s", |engine| engine.load_seconds.map(|seconds| format!("{seconds:.1}"))),
            ("loaded, in memory", |engine| engine.loaded_bytes.map(bytes::in_words)),
            ("peak, in memory", |engine| engine.peak_bytes.map(bytes::in_words)),
            ("files", |engine| engine.store_bytes.map(bytes::in_words)),
        ];
        for (name, fact) in facts {
            let mut row = vec![name.to_string()];
            row.extend(engines.iter().map(|engine| fact(engine).unwrap_or_else(|| "-".to_string())));
            row.resize(head.len(), String::new());
            rows.push(row);
        }
        Table { head, rows, queries }
    }

    /// In columns: the first to the left, the others to the right.
    pub(crate) fn text(&self) -> String {
        let lines = || std::iter::once(&self.head).chain(&self.rows);
        let width = |column: usize| lines().map(|line| line[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.head.len()).map(width).collect();
        let mut text = String::new();
        for (number, line) in lines().enumerate() {
            if number == self.queries + 1 {
                text.push('\n');
            }
            let mut written = format!("{:<1$}", line[0], widths[0]);
            for (cell, width) in line.iter().zip(&widths).skip(1) {
                written += &format!("  {cell:>width$}");
            }
            text += written.trim_end();
            text.push('\n');
        }
        text
    }
}

fn query_row(query: &QueryReport, engines: &[&EngineReport], compared: bool) -> Vec<String> {
    let mut row = vec![query.name.clone()];
    row.extend(engines.iter().map(|engine| cell(query, &engine.name)));
    if compared {
        let (best, ratio) = (query.best_peer(), query.ratio());
        row.push(best.map_or("-".to_string(), |(_, time)| milliseconds(time)));
        row.push(ratio.map_or("-".to_string(), |ratio| format!("{ratio:.2}")));
    }
    row
}

/// The time, with a mark where the answer differs; or why there is none.
fn cell(query: &QueryReport, engine: &str) -> String {
    match (query.hot_ms(engine), query.difference(engine), query.problem(engine)) {
        (Some(time), None, _) => milliseconds(time),
        (Some(time), Some(_), _) => format!("≠ {}", milliseconds(time)),
        (None, Some(_), _) => "≠".to_string(),
        (None, None, Some(_)) => "failed".to_string(),
        (None, None, None) => "-".to_string(),
    }
}

fn summary_rows(report: &Report, engines: &[&EngineReport], compared: bool) -> [Vec<String>; 2] {
    let mut mean = vec!["geometric mean".to_string()];
    let mut total = vec!["total".to_string()];
    for engine in engines {
        let summary = report.summary(&engine.name);
        if summary.answered == 0 {
            mean.push("-".to_string());
            total.push("-".to_string());
            continue;
        }
        // An engine that left queries out has no sum that may be compared.
        let mark = if summary.answered < report.queries.len() { "*" } else { "" };
        mean.push(format!("{}{mark}", milliseconds(summary.geometric_mean_ms)));
        total.push(format!("{}{mark}", milliseconds(summary.total_ms)));
    }
    if compared {
        let best = report.best_peers();
        mean.push(milliseconds(best.geometric_mean_ms));
        mean.push(report.ratio().map_or("-".to_string(), |ratio| format!("{ratio:.2}")));
        total.push(milliseconds(best.total_ms));
        total.push(format!("{:.2}", report.summary(TUNDRA).total_ms / best.total_ms));
    }
    [mean, total]
}

/// With three digits that mean something.
pub(crate) fn milliseconds(time: f64) -> String {
    match time {
        small if small < 9.995 => format!("{small:.2}"),
        middle if middle < 99.95 => format!("{middle:.1}"),
        large => format!("{large:.0}"),
    }
}

/// What the marks of the table stand for, and what went wrong, a line each.
pub(crate) fn notes(report: &Report) -> Vec<String> {
    let mut notes = Vec::new();
    for engine in &report.engines {
        let answered = report.summary(&engine.name).answered;
        match &engine.problem {
            Some(problem) => notes.push(format!("{}: {problem}", engine.name)),
            None if answered < report.queries.len() => {
                let all = report.queries.len();
                notes.push(format!(
                    "* {} answered {answered} of {all} queries: its sums are over these",
                    engine.name
                ));
            }
            None => {}
        }
    }
    let engines: Vec<_> = report.engines.iter().filter(|engine| engine.problem.is_none()).collect();
    for query in &report.queries {
        for engine in &engines {
            if let Some(difference) = query.difference(&engine.name) {
                notes.push(format!("≠ {} {}: {difference}", query.name, engine.name));
            }
            if let Some(problem) = query.problem(&engine.name) {
                notes.push(format!("{} {} failed: {}", query.name, engine.name, one_line(problem)));
            }
        }
    }
    notes
}

fn one_line(text: &str) -> String {
    let joined = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match joined.char_indices().nth(300) {
        Some((end, _)) => format!("{}…", &joined[..end]),
        None => joined,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn a_report_is_a_table() {
        let text = Table::of(&sample()).text();
        let expected = "\
ms                 tundra  duckdb    chdb  best peer  ratio
q01                  10.0    40.0  ≠ 20.0       40.0   0.25
q02                  40.0    10.0  failed       10.0   4.00

geometric mean       20.0    20.0   20.0*       20.0   1.00
total                50.0    50.0   20.0*       50.0   1.00
load s                2.0     1.0       -
loaded, in memory  500 MB  1.0 GB       -
peak, in memory    600 MB  1.2 GB       -
files              400 MB       -       -
";
        assert_eq!(text, expected);
    }

    #[test]
    fn what_went_wrong_is_noted() {
        let notes = notes(&sample());
        assert_eq!(
            notes,
            [
                "* chdb answered 1 of 2 queries: its sums are over these",
                "≠ q01 chdb: 3 rows, not 4",
                "q02 chdb failed: Unknown function f",
            ]
        );
    }

    #[test]
    fn times_have_three_digits() {
        assert_eq!(
            [0.123, 9.999, 12.34, 99.99, 1234.5].map(milliseconds),
            ["0.12", "10.0", "12.3", "100", "1234"]
        );
    }
}
