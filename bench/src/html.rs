//! The page: what was found, the chart, the table, the machine, and how to run it again.

use std::fmt::Write;

use crate::bytes;
use crate::report::{Report, TUNDRA};
use crate::svg::escaped;
use crate::table::{Table, notes};

const STYLE: &str = "\
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1180px; margin: 2rem auto; padding: 0 1rem; }
:root { color-scheme: light dark; }
svg { max-width: 100%; height: auto; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
td, th { padding: .15rem .7rem; text-align: right; border-bottom: 1px solid #8884; }
td:first-child, th:first-child { text-align: left; }
tr.sum td { font-weight: 600; }
pre { overflow: auto; padding: .6rem; background: #8881; border-radius: 6px; }
";

/// A page that needs no other file.
pub(crate) fn page(report: &Report, chart: &str) -> String {
    let title = escaped(&report.title);
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n<title>{title}</title>\n\
         <style>\n{STYLE}</style></head><body>\n<h1>{title}</h1>\n<p>{}</p>\n{chart}",
        escaped(&in_words(report))
    );
    table(&mut page, &Table::of(report));
    let notes = notes(report);
    if !notes.is_empty() {
        page += "<ul>\n";
        for note in notes {
            let _ = writeln!(page, "<li>{}</li>", escaped(&note));
        }
        page += "</ul>\n";
    }
    page += "<h2>Engines</h2>\n";
    engines(&mut page, report);
    let _ = write!(
        page,
        "<h2>How</h2>\n<p>{}</p>\n<p>{}</p>\n<pre>{}</pre>\n<h2>Queries</h2>\n",
        escaped(METHOD),
        escaped(&circumstances(report)),
        escaped(&report.command)
    );
    for query in &report.queries {
        let _ = writeln!(
            page,
            "<details><summary>{}</summary><pre>{}</pre></details>",
            escaped(&query.name),
            escaped(&query.sql)
        );
    }
    page + "</body></html>\n"
}

const METHOD: &str = "Every engine runs in a process of its own and has loaded the same Parquet files into the form \
    named above. A query is asked once to warm up and then several times, the engines of a group in turn; its time is \
    the least of the hot runs, from the call to the last row in Arrow form. Tundra's includes Flight SQL over \
    loopback. Result caches are off. Answers are compared with DuckDB's. A ratio is Tundra's time over that of the \
    best peer of the query: below 1, Tundra is faster.";

/// The outcome in a sentence or two.
fn in_words(report: &Report) -> String {
    let Some(ratio) = report.ratio() else {
        return "Tundra was not compared with another engine.".to_string();
    };
    let ratios: Vec<f64> = report.queries.iter().filter_map(|query| query.ratio()).collect();
    let ahead = ratios.iter().filter(|ratio| **ratio < 1.0).count();
    let best = report.best_peers();
    format!(
        "Tundra's time is {ratio:.2} of the best peer's of each query (geometric mean), less in {ahead} of {} \
         queries; {:.0} ms in all, beside {:.0} ms of the best peers put together.",
        ratios.len(),
        report.summary(TUNDRA).total_ms,
        best.total_ms
    )
}

fn table(page: &mut String, table: &Table) {
    let cells = |cells: &[String], name: &str| {
        cells.iter().map(|cell| format!("<{name}>{}</{name}>", escaped(cell))).collect::<String>()
    };
    let _ = writeln!(page, "<table>\n<tr>{}</tr>", cells(&table.head, "th"));
    for (number, row) in table.rows.iter().enumerate() {
        let class = if number >= table.queries { " class=\"sum\"" } else { "" };
        let _ = writeln!(page, "<tr{class}>{}</tr>", cells(row, "td"));
    }
    *page += "</table>\n";
}

fn engines(page: &mut String, report: &Report) {
    let head = ["engine", "version", "form", "groups"].map(str::to_string).to_vec();
    let rows = report.engines.iter().map(|engine| {
        let groups: Vec<_> = engine.groups.iter().map(ToString::to_string).collect();
        vec![engine.name.clone(), engine.version.clone(), engine.form.clone(), groups.join(", ")]
    });
    let rows: Vec<_> = rows.collect();
    table(page, &Table { queries: rows.len(), head, rows });
}

fn circumstances(report: &Report) -> String {
    let (machine, settings) = (&report.machine, &report.settings);
    let changes = if report.commit.dirty { " with changes" } else { "" };
    format!(
        "{}. {}, {} cores, {} of memory, {}. {} threads, {} hot runs, memory budget {}. {} rows, {} of Parquet. \
         Commit {}{changes}.",
        report.date,
        machine.cpu,
        machine.cores,
        bytes::in_words(machine.memory_bytes),
        machine.kernel,
        settings.threads,
        settings.runs,
        bytes::in_words(settings.memory_budget_bytes),
        report.rows,
        bytes::in_words(report.parquet_bytes),
        report.commit.hash,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn the_page_tells_everything() {
        let page = page(&sample(), "<svg></svg>\n");
        let told = [
            "<svg></svg>",
            "Tundra's time is 1.00 of the best peer's",
            "less in 1 of 2 queries; 50 ms in all, beside 50 ms",
            "<td>≠ 20.0</td>",
            "<li>≠ q01 chdb: 3 rows, not 4</li>",
            "CPU &lt;model&gt;, 2 cores, 25.8 GB of memory",
            "Commit 0123456789ab with changes",
            "<pre>select 'q01' where 1 &lt; 2</pre>",
            "cargo run --release -p tundra-bench -- tpch --scale 1",
        ];
        for words in told {
            assert!(page.contains(words), "{words} is not in {page}");
        }
        assert!(!page.contains("src=") && !page.contains("href="), "it needs no other file");
    }
}
