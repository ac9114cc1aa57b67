//! Filters over lineitem that let a growing part of its rows through: what a scan costs by selectivity.

use std::fs::File;

use arrow::array::ArrayRef;
use arrow::compute::{concat, sort};
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::Failure;
use crate::dataset::Table;
use crate::queries::Query;

/// The columns that are filtered by.
const COLUMNS: [&str; 2] = ["l_extendedprice", "l_shipdate"];

/// The parts of the rows that pass, in percent.
const PERCENT: [f64; 12] = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 35.0, 50.0, 75.0, 100.0];

/// Sums under ranges around the middle of a column, by the values of the table's first file.
pub(crate) fn queries(lineitem: &Table) -> Result<Vec<Query>, Failure> {
    let mut queries = Vec::new();
    for column in COLUMNS {
        let sorted = sort(&read(lineitem, column)?, None)?;
        for percent in PERCENT {
            let last = sorted.len().saturating_sub(1) as f64;
            let at = |part: f64| literal(&sorted, (last * part).round() as usize);
            let (low, high) = (at(0.5 - percent / 200.0)?, at(0.5 + percent / 200.0)?);
            let text = format!(
                "select sum(l_quantity * l_discount), count(*)\nfrom lineitem\n\
                 where {column} between {low} and {high}"
            );
            let name = column.trim_start_matches("l_");
            queries.push(Query::new(&format!("{name} {percent} %"), &text)?);
        }
    }
    Ok(queries)
}

fn read(table: &Table, column: &str) -> Result<ArrayRef, Failure> {
    let first = table.files.first().ok_or("lineitem has no file")?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(first)?)?;
    let only = ProjectionMask::columns(builder.parquet_schema(), [column]);
    let batches = builder.with_projection(only).build()?.collect::<Result<Vec<_>, _>>()?;
    let columns: Vec<_> = batches.iter().map(|batch| batch.column(0).as_ref()).collect();
    Ok(concat(&columns)?)
}

/// A value as SQL writes it.
fn literal(values: &ArrayRef, row: usize) -> Result<String, Failure> {
    let text = ArrayFormatter::try_new(values, &FormatOptions::default())?.value(row).to_string();
    Ok(if values.data_type() == &DataType::Date32 { format!("date '{text}'") } else { text })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tpch;
    use arrow::array::AsArray;
    use arrow::compute::cast;
    use arrow::datatypes::{Date32Type, Decimal128Type};

    #[test]
    fn the_part_that_passes_is_as_named() {
        let folder = tempfile::tempdir().unwrap();
        tpch::write(folder.path(), 0.01).unwrap();
        let lineitem = Table::at("lineitem", &folder.path().join("lineitem"), &[]).unwrap();
        let queries = queries(&lineitem).unwrap();
        assert_eq!(queries.len(), COLUMNS.len() * PERCENT.len());
        let prices =
            cast(&read(&lineitem, "l_extendedprice").unwrap(), &DataType::Decimal128(15, 2)).unwrap();
        let dates = read(&lineitem, "l_shipdate").unwrap();
        for (position, query) in queries.iter().enumerate() {
            let text = query.text(crate::engine::Kind::Tundra);
            let (_, range) = text.split_once("between ").unwrap();
            let (low, high) = range.split_once(" and ").unwrap();
            let passed = if position < PERCENT.len() {
                let cents = |price: &str| price.replace('.', "").parse::<i128>().unwrap();
                let range = cents(low)..=cents(high);
                prices
                    .as_primitive::<Decimal128Type>()
                    .values()
                    .iter()
                    .filter(|value| range.contains(value))
                    .count()
            } else {
                let day = |date: &str| {
                    let date = date.trim_start_matches("date '").trim_end_matches('\'');
                    let days = date
                        .parse::<chrono::NaiveDate>()
                        .unwrap()
                        .signed_duration_since(chrono::NaiveDate::from_ymd_opt(1970, 1, 1).unwrap());
                    days.num_days() as i32
                };
                let range = day(low)..=day(high);
                dates
                    .as_primitive::<Date32Type>()
                    .values()
                    .iter()
                    .filter(|value| range.contains(value))
                    .count()
            };
            let percent = passed as f64 * 100.0 / prices.len() as f64;
            let wanted = PERCENT[position % PERCENT.len()];
            assert!((percent - wanted).abs() < 0.15, "{}: {percent} %", query.name);
        }
    }
}
