//! What a statement gives: a schema and a stream of Arrow batches.

use crate::error::Result;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::Stream;
use futures::stream::BoxStream;
use std::pin::Pin;
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
