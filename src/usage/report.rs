//! A report as text, as CSV, and as a Parquet file.

use std::sync::Arc;

use arrow::array::{ArrayRef, Decimal128Array, RecordBatch, StringArray, UInt64Array};
use control_plane::json::{Report, ReportRow};
use flight_proto::usage::{MEASURES, Measures};
use parquet::arrow::ArrowWriter;

use crate::Failure;
use crate::usage::settings::amount;

/// What a row is told apart by, in this order.
const KEYS: [&str; 5] = ["tenant", "user", "label", "day", "month"];

fn key<'a>(row: &'a ReportRow, name: &str) -> &'a str {
    let value = match name {
        "tenant" => &row.tenant,
        "user" => &row.user,
        "label" => &row.label,
        "day" => &row.day,
        _ => &row.month,
    };
    value.as_deref().unwrap_or_default()
}

/// The keys that are asked for.
fn keys(by: &str) -> Vec<&'static str> {
    let asked: Vec<&str> = by.split(',').map(str::trim).collect();
    KEYS.into_iter().filter(|name| asked.contains(name)).collect()
}

/// Lines for people: a measure that is nowhere used has no column.
pub(super) fn table(report: &Report) -> String {
    let keys: Vec<&str> = KEYS
        .into_iter()
        .filter(|name| {
            let has = |row: &ReportRow| match *name {
                "tenant" => row.tenant.is_some(),
                "user" => row.user.is_some(),
                "label" => row.label.is_some(),
                "day" => row.day.is_some(),
                _ => row.month.is_some(),
            };
            report.rows.iter().any(has)
        })
        .collect();
    let total = report.used.values();
    let measures: Vec<usize> = (0..MEASURES.len()).filter(|&at| total[at] > 0).collect();
    let cells = |keys: Vec<String>, used: &Measures, cost_micros: u64| {
        let values = used.values();
        let measures = measures.iter().map(|&at| readable(MEASURES[at], values[at]));
        keys.into_iter().chain(measures).chain([amount(cost_micros)]).collect::<Vec<String>>()
    };
    let titles = keys.iter().map(|name| name.to_uppercase());
    let titles = titles.chain(measures.iter().map(|&at| title(MEASURES[at]).into())).chain(["COST".into()]);
    let mut rows = vec![titles.collect::<Vec<String>>()];
    for row in &report.rows {
        let shown = |name: &&str| match key(row, name) {
            "" => "-".to_string(),
            value => value.to_string(),
        };
        rows.push(cells(keys.iter().map(shown).collect(), &row.used, row.cost_micros));
    }
    let mut totals = vec![String::new(); keys.len()];
    if let Some(first) = totals.first_mut() {
        *first = "TOTAL".into();
    }
    rows.push(cells(totals, &report.used, report.cost_micros));
    format!("from {} up to {}\n{}", report.from, report.to, crate::table::lines(&rows, keys.len()))
}

fn title(measure: &str) -> &str {
    match measure {
        "statements" => "STATEMENTS",
        "processor_us" => "PROCESSOR-S",
        "resident_mib_s" => "RESIDENT-GIB-H",
        "scanned_bytes" => "READ-MIB",
        "exchanged_bytes" => "EXCHANGED-MIB",
        "returned_rows" => "ROWS",
        "returned_bytes" => "RETURNED-MIB",
        "store_requests" => "REQUESTS",
        "store_bytes" => "STORE-MIB",
        "foreign_us" => "FOREIGN-S",
        "foreign_rows" => "FOREIGN-ROWS",
        _ => "FOREIGN-MIB",
    }
}

/// In the unit of the title.
fn readable(measure: &str, value: u64) -> String {
    match measure {
        "resident_mib_s" => format!("{:.3}", value as f64 / 1024.0 / 3600.0),
        _ if measure.ends_with("_us") => format!("{:.3}", value as f64 / 1e6),
        _ if measure.ends_with("_bytes") => format!("{:.3}", value as f64 / (1 << 20) as f64),
        _ => value.to_string(),
    }
}

/// With a header, all measures, and what each row costs.
pub(super) fn csv(report: &Report, by: &str) -> String {
    let keys = keys(by);
    let header = keys.iter().copied().chain(MEASURES).chain(["cost"]);
    let mut text = header.collect::<Vec<_>>().join(",") + "\r\n";
    for row in &report.rows {
        let named = keys.iter().map(|name| quoted(key(row, name)));
        let measures = row.used.values().map(|value| value.to_string());
        let cells = named.chain(measures).chain([amount(row.cost_micros)]);
        text += &(cells.collect::<Vec<_>>().join(",") + "\r\n");
    }
    text
}

/// Names and labels are free texts: spreadsheets must not take them for formulas.
fn quoted(text: &str) -> String {
    let guarded = text.starts_with(['=', '+', '-', '@', '\t', '\r']).then(|| format!("'{text}"));
    let text = guarded.as_deref().unwrap_or(text);
    match text.contains(['"', ',', '\r', '\n']) || text.is_empty() {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.into(),
    }
}

/// As [`csv`].
pub(super) fn parquet(report: &Report, by: &str) -> Result<Vec<u8>, Failure> {
    let mut columns: Vec<(String, ArrayRef)> = Vec::new();
    for name in keys(by) {
        let values = StringArray::from_iter_values(report.rows.iter().map(|row| key(row, name)));
        columns.push((name.into(), Arc::new(values)));
    }
    for (at, name) in MEASURES.iter().enumerate() {
        let values = UInt64Array::from_iter_values(report.rows.iter().map(|row| row.used.values()[at]));
        columns.push((name.to_string(), Arc::new(values)));
    }
    let costs = Decimal128Array::from_iter_values(report.rows.iter().map(|row| row.cost_micros.into()));
    columns.push(("cost".into(), Arc::new(costs.with_precision_and_scale(20, 6)?)));
    let batch = RecordBatch::try_from_iter(columns)?;
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None)?;
    writer.write(&batch)?;
    Ok(writer.into_inner()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::AsArray;
    use arrow::datatypes::{Decimal128Type, UInt64Type};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    fn report() -> Report {
        let row = |user: &str, processor_us, cost_micros| ReportRow {
            tenant: Some("acme".into()),
            user: Some(user.into()),
            label: None,
            day: None,
            month: None,
            used: Measures { statements: 1, processor_us, ..Measures::default() },
            cost_micros,
        };
        let rows = vec![row("o\"bob, jr", 1_500_000, 7), row("", 0, 1_000_000)];
        let used = Measures { statements: 2, processor_us: 1_500_000, ..Measures::default() };
        Report { from: "2026-11-01".into(), to: "2026-12-01".into(), rows, used, cost_micros: 1_000_007 }
    }

    #[test]
    fn people_see_what_was_used() {
        let text = table(&report());
        let expected = "from 2026-11-01 up to 2026-12-01\n\
                        TENANT  USER       STATEMENTS  PROCESSOR-S      COST\n\
                        acme    o\"bob, jr           1        1.500  0.000007\n\
                        acme    -                   1        0.000  1.000000\n\
                        TOTAL                       2        1.500  1.000007\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn csv_has_every_measure() {
        let text = csv(&report(), "user,tenant");
        let lines: Vec<&str> = text.split("\r\n").collect();
        assert_eq!(lines.len(), 4);
        assert!(lines[0].starts_with("tenant,user,statements,processor_us,") && lines[0].ends_with(",cost"));
        assert!(
            lines[1].starts_with("acme,\"o\"\"bob, jr\",1,1500000,0,") && lines[1].ends_with(",0.000007")
        );
        assert!(lines[2].starts_with("acme,\"\",1,0,"));
    }

    #[test]
    fn names_are_no_formulas() {
        for (name, cell) in
            [("=1+1", "'=1+1"), ("@a,b", "\"'@a,b\""), ("-", "'-"), ("+", "'+"), ("a=b", "a=b"), ("", "\"\"")]
        {
            assert_eq!(quoted(name), cell);
        }
    }

    #[test]
    fn parquet_is_read_back() {
        let bytes = parquet(&report(), "tenant,user").unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(file.reopen().unwrap()).unwrap();
        let batch = reader.build().unwrap().next().unwrap().unwrap();
        assert_eq!((batch.num_rows(), batch.num_columns()), (2, 2 + MEASURES.len() + 1));
        let of = |name: &str| batch.column_by_name(name).unwrap();
        assert_eq!(of("user").as_string::<i32>().value(0), "o\"bob, jr");
        assert_eq!(of("processor_us").as_primitive::<UInt64Type>().values(), &[1_500_000, 0]);
        assert_eq!(of("cost").as_primitive::<Decimal128Type>().values(), &[7, 1_000_000]);
        let none = Report { rows: Vec::new(), ..report() };
        assert!(!parquet(&none, "tenant").unwrap().is_empty());
    }
}
