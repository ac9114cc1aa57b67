//! The rows of a query as Parquet files, for `INSERT` and `CREATE TABLE AS`.

use crate::datasets::shard_error;
use crate::error::{Error, Result};
use crate::query::RunningQuery;
use bytes::Bytes;
use columnar::Batch;
use shard::ParquetWriter;
use storage::ColumnSchema;
use tokio::sync::mpsc;

/// A file is closed and the next begun once it holds about so much.
const FILE_BYTES: usize = 256 << 20;
/// A file of at most so many rows is not compressed.
const FEW_ROWS: usize = 256;
/// Batches between the query and the encoder.
const QUEUE_BATCHES: usize = 16;

/// Runs the query to its end and returns its rows encoded; no rows, no files.
pub(crate) async fn collect_parquet(
    query: &mut RunningQuery,
    columns: &[ColumnSchema],
) -> Result<Vec<Bytes>> {
    let (sender, receiver) = mpsc::channel(QUEUE_BATCHES);
    let columns = columns.to_vec();
    let encoder = tokio::task::spawn_blocking(move || encode(&columns, receiver));
    while let Some(batch) = query.next().await? {
        // The encoder is gone only when it failed.
        if sender.send(batch).await.is_err() {
            break;
        }
    }
    drop(sender);
    let files = encoder.await.map_err(|error| Error::Internal(format!("writing Parquet: {error}")))?;
    query.check()?;
    files
}

fn encode(columns: &[ColumnSchema], mut batches: mpsc::Receiver<Batch>) -> Result<Vec<Bytes>> {
    let mut next = || std::iter::from_fn(|| batches.blocking_recv()).find(|batch| batch.selected_rows() > 0);
    let Some(first) = next() else { return Ok(Vec::new()) };
    let second = next();
    let mut files = Vec::new();
    let mut writer: Option<ParquetWriter> = None;
    if second.is_none() && first.selected_rows() <= FEW_ROWS {
        writer = Some(ParquetWriter::of_few_rows(columns).map_err(shard_error)?);
    }
    let rest = std::iter::from_fn(next);
    for batch in std::iter::once(first).chain(second).chain(rest) {
        refuse_nulls(columns, &batch)?;
        let mut current = match writer.take() {
            Some(writer) => writer,
            None => ParquetWriter::new(columns).map_err(shard_error)?,
        };
        current.push(batch).map_err(shard_error)?;
        match current.memory_bytes() < FILE_BYTES {
            true => writer = Some(current),
            false => files.push(current.finish().map_err(shard_error)?),
        }
    }
    if let Some(writer) = writer {
        files.push(writer.finish().map_err(shard_error)?);
    }
    Ok(files)
}

/// A column that was declared `NOT NULL` takes none.
fn refuse_nulls(columns: &[ColumnSchema], batch: &Batch) -> Result<()> {
    for (column, vector) in columns.iter().zip(&batch.columns).filter(|(column, _)| !column.nullable) {
        let is_null = |row: usize| vector.is_null(row);
        let found = match &batch.selection {
            Some(selection) => selection.rows().iter().any(|&row| is_null(row as usize)),
            None => vector.validity().is_some_and(|validity| !validity.all()),
        };
        if found {
            return Err(Error::Statement(format!(
                "a null for column \"{}\", which is NOT NULL",
                column.name
            )));
        }
    }
    Ok(())
}
