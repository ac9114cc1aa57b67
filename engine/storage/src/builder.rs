//! Building segments from batches.

use crate::bytes::SegmentBytes;
use crate::error::{Error, Result};
use crate::statistics::ColumnSchema;
use columnar::{Batch, Bytes};
use std::sync::Arc;

/// Takes rows in order and encodes them.
pub struct SegmentBuilder {
    _schema: Arc<[ColumnSchema]>,
}

/// A finished segment: the content of its file.
#[derive(Clone, Debug)]
pub struct SegmentImage {
    bytes: Bytes,
}

impl SegmentBuilder {
    pub fn new(schema: Arc<[ColumnSchema]>) -> SegmentBuilder {
        SegmentBuilder { _schema: schema }
    }

    /// Appends the selected rows of a batch whose columns are those of the schema, at any physical widths.
    pub fn push(&mut self, _batch: &Batch) -> Result<()> {
        Err(Error::Unsupported("building segments".into()))
    }

    /// Rows pushed so far.
    pub fn rows(&self) -> usize {
        0
    }

    /// Bytes that the builder holds, about.
    pub fn memory_bytes(&self) -> usize {
        0
    }

    pub fn finish(self) -> Result<SegmentImage> {
        Err(Error::Unsupported("building segments".into()))
    }
}

impl SegmentImage {
    /// What to write to the file.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    /// The segment in memory, without a file.
    pub fn into_bytes(self) -> SegmentBytes {
        SegmentBytes::owned(self.bytes)
    }
}
