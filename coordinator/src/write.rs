//! The rows of a query as Parquet files, for `INSERT` and `CREATE TABLE AS`, and for those that [`changes`] makes.

pub(crate) mod changes;

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

/// Takes the rows of a query.
pub(crate) trait Taker: Send + 'static {
    type Output: Send + 'static;

    fn push(&mut self, batch: Batch) -> Result<()>;
    fn finish(self) -> Result<Self::Output>;
}

/// Runs the query to its end and returns its rows encoded; no rows, no files.
pub(crate) async fn collect_parquet(
    query: &mut RunningQuery,
    columns: &[ColumnSchema],
) -> Result<Vec<Bytes>> {
    take_all(query, Encoder::new(columns)).await
}

/// Runs the query to its end and has its rows taken meanwhile.
async fn take_all<T: Taker>(query: &mut RunningQuery, taker: T) -> Result<T::Output> {
    let (sender, receiver) = mpsc::channel(QUEUE_BATCHES);
    let taking = tokio::spawn(take(taker, receiver));
    while let Some(batch) = query.next().await? {
        // The taker is gone only when it failed.
        if sender.send(batch).await.is_err() {
            break;
        }
    }
    drop(sender);
    let taken = taking.await.map_err(|error| broken(error.into()))?;
    query.check()?;
    taken
}

/// Takes while the query goes on.
async fn take<T: Taker>(mut taker: T, mut batches: mpsc::Receiver<Batch>) -> Result<T::Output> {
    let mut waiting = Vec::new();
    while batches.recv_many(&mut waiting, QUEUE_BATCHES).await > 0 {
        let taken = std::mem::take(&mut waiting);
        let taking = shard::blocking(move || {
            taken.into_iter().try_for_each(|batch| taker.push(batch)).map(|()| taker)
        });
        taker = taking.await.map_err(broken)??;
    }
    shard::blocking(move || taker.finish()).await.map_err(broken)?
}

fn broken(error: std::io::Error) -> Error {
    Error::Internal(format!("writing Parquet: {error}"))
}

/// Rows on their way into files.
struct Encoder {
    columns: Vec<ColumnSchema>,
    /// The first rows, as long as there are no others.
    first: Option<Batch>,
    writer: Option<ParquetWriter>,
    files: Vec<Bytes>,
}

impl Encoder {
    fn new(columns: &[ColumnSchema]) -> Encoder {
        Encoder { columns: columns.to_vec(), first: None, writer: None, files: Vec::new() }
    }

    fn write(&mut self, batch: Batch) -> Result<()> {
        refuse_nulls(&self.columns, &batch)?;
        let mut writer = match self.writer.take() {
            Some(writer) => writer,
            None => ParquetWriter::new(&self.columns).map_err(shard_error)?,
        };
        writer.push(batch).map_err(shard_error)?;
        match writer.memory_bytes() < FILE_BYTES {
            true => self.writer = Some(writer),
            false => self.files.push(writer.finish().map_err(shard_error)?),
        }
        Ok(())
    }
}

impl Taker for Encoder {
    type Output = Vec<Bytes>;

    fn push(&mut self, batch: Batch) -> Result<()> {
        if batch.selected_rows() == 0 {
            return Ok(());
        }
        if self.first.is_none() && self.writer.is_none() && self.files.is_empty() {
            self.first = Some(batch);
            return Ok(());
        }
        let first = self.first.take();
        first.into_iter().chain([batch]).try_for_each(|batch| self.write(batch))
    }

    fn finish(mut self) -> Result<Vec<Bytes>> {
        if let Some(only) = self.first.take() {
            if only.selected_rows() <= FEW_ROWS {
                self.writer = Some(ParquetWriter::of_few_rows(&self.columns).map_err(shard_error)?);
            }
            self.write(only)?;
        }
        if let Some(writer) = self.writer {
            self.files.push(writer.finish().map_err(shard_error)?);
        }
        Ok(self.files)
    }
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
