//! Printing a report, and writing its files: `NAME.json`, `NAME.svg`, `NAME.html`.

use std::fs;
use std::path::Path;

use crate::report::Report;
use crate::table::{Table, milliseconds, notes};
use crate::{Failure, html, progress, say, svg};

pub(crate) fn print(report: &Report) {
    say(&format!("\n{}, {} threads\n\n{}", report.title, report.settings.threads, Table::of(report).text()));
    for note in notes(report) {
        say(&note);
    }
}

/// Writes all files of a report into a folder.
pub(crate) fn write(report: &Report, folder: &Path) -> Result<(), Failure> {
    let json = folder.join(format!("{}.json", report.name));
    let cannot = |error| format!("cannot write {}: {error}", json.display());
    fs::create_dir_all(folder).map_err(cannot)?;
    fs::write(&json, serde_json::to_string_pretty(report)? + "\n").map_err(cannot)?;
    write_pictures(report, &json)
}

/// Writes the chart and the page beside the JSON file of a report.
pub(crate) fn write_pictures(report: &Report, json: &Path) -> Result<(), Failure> {
    let chart = svg::chart(report);
    fs::write(json.with_extension("svg"), &chart)?;
    fs::write(json.with_extension("html"), html::page(report, &chart))?;
    progress(&format!("written: {} with .svg and .html", json.display()));
    Ok(())
}

/// The totals of several runs, a line each.
pub(crate) fn growth(reports: &[Report]) -> String {
    let engines: Vec<&str> = reports
        .first()
        .map_or(Vec::new(), |report| report.engines.iter().map(|engine| engine.name.as_str()).collect());
    let mut head = vec!["total ms".to_string(), "threads".to_string()];
    head.extend(engines.iter().map(ToString::to_string));
    let rows = reports.iter().map(|report| {
        let total = |engine: &&str| match report.summary(engine) {
            none if none.answered == 0 => "-".to_string(),
            all if all.answered == report.queries.len() => milliseconds(all.total_ms),
            some => format!("{}*", milliseconds(some.total_ms)),
        };
        let mut row = vec![report.title.clone(), report.settings.threads.to_string()];
        row.extend(engines.iter().map(total));
        row
    });
    Table { head, rows: rows.collect(), queries: reports.len() }.text()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn a_report_leaves_three_files() {
        let folder = tempfile::tempdir().unwrap();
        let results = folder.path().join("results");
        write(&sample(), &results).unwrap();
        assert_eq!(Report::read(&results.join("sample.json")).unwrap(), sample());
        let page = fs::read_to_string(results.join("sample.html")).unwrap();
        let chart = fs::read_to_string(results.join("sample.svg")).unwrap();
        assert!(page.contains(&chart));
    }

    #[test]
    fn growth_is_told_by_totals() {
        let mut larger = sample();
        larger.title = "TPC-H scale 3".to_string();
        larger.queries[0].measured[0].minimum_ms = Some(1000.0);
        let text = growth(&[sample(), larger]);
        let expected = "\
total ms              threads  tundra  duckdb   chdb
TPC-H scale 1 & more        2    50.0    50.0  20.0*
TPC-H scale 3               2    1040    50.0  20.0*
";
        assert_eq!(text, expected);
    }
}
