//! What a statement gives: a schema and a stream of Arrow batches.

use crate::error::{Error, Result};
use crate::usage::Account;
use arrow::array::{ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// The rows of a statement's result. Dropping it cancels what still runs for it.
pub struct Rows {
    schema: SchemaRef,
    affected: Option<u64>,
    stream: BoxStream<'static, Result<RecordBatch>>,
}

impl Rows {
    pub(crate) fn new(schema: SchemaRef, stream: BoxStream<'static, Result<RecordBatch>>) -> Rows {
        Rows { schema, affected: None, stream }
    }

    /// Rows that are there already.
    pub(crate) fn of_batch(batch: RecordBatch) -> Rows {
        Rows::new(batch.schema(), stream::iter([Ok(batch)]).boxed())
    }

    /// The result of a statement that wrote `count` rows.
    pub(crate) fn written(count: u64) -> Result<Rows> {
        let counts: ArrayRef = Arc::new(Int64Array::from(vec![i64::try_from(count).unwrap_or(i64::MAX)]));
        let mut rows = Rows::of_batch(table(written_schema(), vec![counts])?);
        rows.affected = Some(count);
        Ok(rows)
    }

    /// The result of a statement that changed something other than rows.
    pub(crate) fn changed() -> Rows {
        let mut rows = Rows::new(changed_schema(), stream::empty().boxed());
        rows.affected = Some(0);
        rows
    }

    /// Counts the rows as they are taken; the account is kept until they are read, or dropped.
    pub(crate) fn counted(self, account: Arc<Account>) -> Rows {
        let counted = self.stream.map(move |batch| match batch {
            Ok(batch) => {
                account.add_returned(batch.num_rows() as u64, bytes_of(&batch));
                Ok(batch)
            }
            Err(error) => Err(account.cause(error)),
        });
        Rows { stream: counted.boxed(), ..self }
    }

    /// Has somebody told of an error that comes in place of rows.
    pub(crate) fn on_error(self, told: impl Fn(&Error) + Send + 'static) -> Rows {
        let stream = self.stream.inspect_err(move |error| told(error));
        Rows { stream: stream.boxed(), ..self }
    }

    /// Keeps something until they are read, or dropped.
    pub(crate) fn until_read(self, kept: impl Send + 'static) -> Rows {
        let mut kept = Some(kept);
        let end = stream::poll_fn(move |_| {
            drop(kept.take());
            Poll::Ready(None)
        });
        Rows { stream: self.stream.chain(end).boxed(), ..self }
    }

    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// For a statement that changes something: the rows it wrote (0 where it writes none). `None`: a query.
    pub fn affected(&self) -> Option<u64> {
        self.affected
    }
}

impl Stream for Rows {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.stream.as_mut().poll_next(context)
    }
}

/// Bytes of a batch in memory, of its own rows alone.
fn bytes_of(batch: &RecordBatch) -> u64 {
    let of = |column: &ArrayRef| column.to_data().get_slice_memory_size().unwrap_or(0) as u64;
    batch.columns().iter().map(of).sum()
}

/// One column, `count`.
pub(crate) fn written_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("count", DataType::Int64, false)]))
}

/// No column at all.
pub(crate) fn changed_schema() -> SchemaRef {
    Arc::new(Schema::empty())
}

/// A schema of text columns without nulls.
pub(crate) fn text_schema(names: &[&str]) -> SchemaRef {
    let fields: Vec<_> = names.iter().map(|name| Field::new(*name, DataType::Utf8, false)).collect();
    Arc::new(Schema::new(fields))
}

/// Rows of text, one inner list a column of [`text_schema`].
pub(crate) fn text_rows(schema: SchemaRef, columns: Vec<Vec<String>>) -> Result<Rows> {
    let arrays = columns.into_iter().map(|values| Arc::new(StringArray::from(values)) as ArrayRef);
    Ok(Rows::of_batch(table(schema, arrays.collect())?))
}

fn table(schema: SchemaRef, columns: Vec<ArrayRef>) -> Result<RecordBatch> {
    let rows = columns.first().map_or(0, |column| column.len());
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema, columns, &options)
        .map_err(|error| crate::error::Error::Internal(error.to_string()))
}
