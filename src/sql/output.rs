//! Printing rows: as a table, CSV, JSON lines or an Arrow stream.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType as ArrowType, Schema, TimeUnit};
use arrow::ipc::writer::StreamWriter;
use clap::ValueEnum;
use columnar::{DataType, Scalar, Value, Vector};
use futures::TryStreamExt;

use super::client::Rows;
use super::table::{Limits, Table};
use crate::Failure;

/// How rows are printed.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub(super) enum Format {
    /// A table fitted to the terminal
    Table,
    /// RFC 4180 with a header row; a null is an empty field, an empty text is ""
    Csv,
    /// One JSON object a line
    Json,
    /// An Arrow IPC stream a statement
    Arrow,
}

pub(super) struct Printer {
    format: Format,
    limits: Limits,
    /// In place of a table, a line for each value.
    pub(super) expanded: bool,
}

impl Printer {
    pub(super) fn new(format: Format) -> Printer {
        Printer { format, limits: Limits::of_terminal(), expanded: false }
    }

    /// Shows at most so many rows of a table.
    pub(super) fn limit_rows(&mut self, rows: usize) {
        self.limits.rows = rows;
    }

    /// Prints the rows of one statement as they come; a table is printed when all have come.
    pub(super) async fn print(&self, mut rows: Rows, out: &mut impl Write) -> Result<(), Failure> {
        let schema = rows.schema.clone();
        if schema.fields().is_empty() {
            while rows.batches.try_next().await?.is_some() {}
            if self.format == Format::Table {
                writeln!(out, "OK")?;
            }
            return Ok(());
        }
        match self.format {
            Format::Table => {
                let mut table = Table::new(&schema, self.limits);
                while let Some(batch) = rows.batches.try_next().await? {
                    let columns = columns_of(&batch)?;
                    table.push(batch.num_rows(), |row, column| {
                        columns[column].text(row).unwrap_or_else(|| "NULL".to_string())
                    });
                }
                if self.expanded { table.write_expanded(out)? } else { table.write(out)? }
            }
            Format::Csv => {
                write_csv_line(out, schema.fields().iter().map(|field| Some(field.name().as_str())))?;
                while let Some(batch) = rows.batches.try_next().await? {
                    write_csv(&batch, out)?;
                }
            }
            Format::Json => {
                while let Some(batch) = rows.batches.try_next().await? {
                    write_json(&batch, &schema, out)?;
                }
            }
            Format::Arrow => {
                let mut writer = StreamWriter::try_new(&mut *out, &schema)?;
                while let Some(batch) = rows.batches.try_next().await? {
                    writer.write(&batch)?;
                }
                writer.finish()?;
            }
        }
        out.flush()?;
        Ok(())
    }
}

/// The columns of a batch, whose values print as SQL writes them.
fn columns_of(batch: &RecordBatch) -> Result<Vec<Column>, Failure> {
    let schema = batch.schema();
    let named = schema.fields().iter().zip(batch.columns());
    named
        .map(|(field, array)| {
            let values = columnar::arrow::column(field, array)?;
            let zone = match array.data_type() {
                ArrowType::Timestamp(TimeUnit::Microsecond, Some(zone)) if zone.as_ref() != "UTC" => {
                    Some(zone.to_string())
                }
                _ => None,
            };
            Ok(Column { data_type: values.data_type(), values, zone })
        })
        .collect()
}

struct Column {
    data_type: DataType,
    values: Vector,
    /// The zone whose clocks show its instants, where it is not UTC.
    zone: Option<String>,
}

impl Column {
    /// `None`: null.
    fn text(&self, row: usize) -> Option<String> {
        let value = Value::new(self.data_type, self.values.scalar(row));
        if let (Some(zone), Scalar::Integer(micros)) = (&self.zone, &value.scalar)
            && let Some(text) = exec::functions::instant_text(*micros as i64, zone)
        {
            return Some(text);
        }
        (!value.is_null()).then(|| value.to_string())
    }
}

fn write_csv(batch: &RecordBatch, out: &mut impl Write) -> Result<(), Failure> {
    let columns = columns_of(batch)?;
    for row in 0..batch.num_rows() {
        write_csv_line(out, columns.iter().map(|column| column.text(row)))?;
    }
    Ok(())
}

/// Writes one line of CSV; `None` is a null.
fn write_csv_line<S: AsRef<str>>(
    out: &mut impl Write,
    fields: impl Iterator<Item = Option<S>>,
) -> std::io::Result<()> {
    for (position, field) in fields.enumerate() {
        if position > 0 {
            out.write_all(b",")?;
        }
        let Some(field) = field else { continue };
        let field = field.as_ref();
        if field.is_empty() || field.contains(['"', ',', '\n', '\r']) {
            write!(out, "\"{}\"", field.replace('"', "\"\""))?;
        } else {
            out.write_all(field.as_bytes())?;
        }
    }
    out.write_all(b"\r\n")
}

fn write_json(batch: &RecordBatch, schema: &Schema, out: &mut impl Write) -> Result<(), Failure> {
    let columns = columns_of(batch)?;
    let names: Vec<String> =
        schema.fields().iter().map(|field| serde_json::to_string(field.name())).collect::<Result<_, _>>()?;
    for row in 0..batch.num_rows() {
        for (position, column) in columns.iter().enumerate() {
            let separator = if position == 0 { '{' } else { ',' };
            write!(out, "{separator}{}:", names[position])?;
            match column.text(row) {
                None => out.write_all(b"null")?,
                Some(text) if is_json_literal(column.data_type, &text) => out.write_all(text.as_bytes())?,
                Some(text) => out.write_all(serde_json::to_string(&text)?.as_bytes())?,
            }
        }
        out.write_all(b"}\n")?;
    }
    Ok(())
}

/// Whether a value's text stands in JSON as it is: booleans and finite numbers.
fn is_json_literal(data_type: DataType, text: &str) -> bool {
    data_type == DataType::Boolean
        || data_type.is_numeric() && text.ends_with(|last: char| last.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{
        ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, StringArray,
        TimestampMicrosecondArray,
    };
    use std::sync::Arc;

    fn print(format: Format) -> String {
        let decimals = Decimal128Array::from(vec![Some(150), None]).with_precision_and_scale(5, 2).unwrap();
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("flag", Arc::new(BooleanArray::from(vec![Some(true), None]))),
            ("price", Arc::new(decimals)),
            ("ratio", Arc::new(Float64Array::from(vec![0.5, f64::NAN]))),
            ("day", Arc::new(Date32Array::from(vec![0, 9131]))),
            ("at", Arc::new(TimestampMicrosecondArray::from(vec![0, 1_500_000]).with_timezone("UTC"))),
            ("say, \"name\"", Arc::new(StringArray::from(vec!["a, \"b\"\n", ""]))),
        ];
        let nullable = columns.into_iter().map(|(name, column)| (name, column, true));
        let batch = RecordBatch::try_from_iter_with_nullable(nullable).unwrap();
        let rows = Rows { schema: batch.schema(), batches: Box::pin(futures::stream::iter([Ok(batch)])) };
        let mut out = Vec::new();
        futures::executor::block_on(Printer::new(format).print(rows, &mut out)).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn csv_quotes_what_needs_it() {
        let expected = "flag,price,ratio,day,at,\"say, \"\"name\"\"\"\r\n\
                        true,1.50,0.5,1970-01-01,1970-01-01 00:00:00+00,\"a, \"\"b\"\"\n\"\r\n\
                        ,,NaN,1995-01-01,1970-01-01 00:00:01.5+00,\"\"\r\n";
        assert_eq!(print(Format::Csv), expected);
    }

    #[test]
    fn json_is_one_object_a_line() {
        let printed = print(Format::Json);
        let lines: Vec<serde_json::Value> =
            printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines[0]["price"], serde_json::json!(1.5));
        assert_eq!(lines[0]["say, \"name\""], serde_json::json!("a, \"b\"\n"));
        assert_eq!(lines[1]["flag"], serde_json::Value::Null);
        assert_eq!(lines[1]["ratio"], serde_json::json!("NaN"));
    }
}
