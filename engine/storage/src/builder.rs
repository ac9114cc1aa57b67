//! Building segments from batches.

use crate::bytes::SegmentBytes;
use crate::column_builder::{BuiltColumn, ColumnBuilder, encode_scalars};
use crate::encoding::Writer;
use crate::error::{Error, Result};
use crate::format::{self, ALIGNMENT, Footer};
use crate::segment::BLOCK_ROWS;
use crate::statistics::{ColumnSchema, SAMPLE_ROWS, spread};
use arrow::buffer::MutableBuffer;
use columnar::{Batch, Bytes, Scalar};
use std::sync::Arc;

/// Takes rows in order and encodes them, block by block.
pub struct SegmentBuilder {
    schema: Arc<[ColumnSchema]>,
    columns: Vec<ColumnBuilder>,
    rows: usize,
}

/// A finished segment: the content of its file.
#[derive(Clone, Debug)]
pub struct SegmentImage {
    bytes: Bytes,
}

impl SegmentBuilder {
    pub fn new(schema: Arc<[ColumnSchema]>) -> SegmentBuilder {
        let columns = schema.iter().cloned().map(ColumnBuilder::new).collect();
        SegmentBuilder { schema, columns, rows: 0 }
    }

    /// Appends the selected rows of a batch whose columns are those of the schema, at any physical widths.
    /// After an error the builder is of no further use.
    pub fn push(&mut self, batch: &Batch) -> Result<()> {
        if batch.columns.len() != self.columns.len() {
            let (found, expected) = (batch.columns.len(), self.columns.len());
            return Err(Error::Internal(format!("a batch of {found} columns for a segment of {expected}")));
        }
        let compacted;
        let batch = match &batch.selection {
            None => batch,
            Some(_) => {
                compacted = batch.clone().compact();
                &compacted
            }
        };
        if self.rows + batch.rows > u32::MAX as usize || (self.columns.is_empty() && batch.rows > 0) {
            return Err(Error::Internal("more rows than a segment holds".into()));
        }
        let mut start = 0;
        while start < batch.rows {
            let len = (batch.rows - start).min(BLOCK_ROWS - self.rows % BLOCK_ROWS);
            for (column, vector) in self.columns.iter_mut().zip(&batch.columns) {
                if start == 0 && len == batch.rows {
                    column.push(vector)?;
                } else {
                    column.push(&vector.slice(start, len))?;
                }
            }
            self.rows += len;
            start += len;
        }
        Ok(())
    }

    /// Rows pushed so far.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes that the builder holds, about; finishing takes as many again for the image.
    pub fn memory_bytes(&self) -> usize {
        self.columns.iter().map(ColumnBuilder::memory_bytes).sum()
    }

    pub fn finish(self) -> Result<SegmentImage> {
        let built = self.columns.into_iter().map(ColumnBuilder::finish).collect::<Result<Vec<_>>>()?;
        let size: usize = built.iter().map(|column| column.bytes.len() + ALIGNMENT).sum();
        let mut image = MutableBuffer::with_capacity(size + 64 * 1024);
        image.extend_from_slice(&format::header());
        let (mut columns, mut samples) = (Vec::new(), Writer::default());
        let mut sample_rows = 0;
        for BuiltColumn { mut message, bytes, samples: values } in built {
            let shift = append(&mut image, &bytes);
            message.blocks.iter_mut().chain(&mut message.dictionary).for_each(|block| block.shift(shift));
            let sample = thin(values, &message.blocks, self.rows);
            sample_rows = sample.len() as u64;
            if !sample.is_empty() {
                let data_type = self.schema[columns.len()].data_type;
                message.sample = Some(encode_scalars(&mut samples, data_type, &sample)?);
            }
            columns.push(message);
        }
        // Samples lie after all columns, so that the pages of a column hold nothing else.
        let shift = append(&mut image, &samples.finish());
        columns.iter_mut().filter_map(|column| column.sample.as_mut()).for_each(|block| block.shift(shift));
        let footer = Footer { rows: self.rows as u64, columns, sample_rows };
        image.extend_from_slice(&format::close(&footer, image.len()));
        Ok(SegmentImage { bytes: image.into() })
    }
}

/// Appends bytes at the next multiple of the alignment; gives where they start.
fn append(image: &mut MutableBuffer, bytes: &[u8]) -> u64 {
    image.resize(image.len().next_multiple_of(ALIGNMENT), 0);
    let start = image.len() as u64;
    image.extend_from_slice(bytes);
    start
}

/// Values of at most [`SAMPLE_ROWS`] rows, as many of each block as its share of the rows. The same rows are
/// picked in every column.
fn thin(values: Vec<Vec<Scalar>>, blocks: &[format::Block], rows: usize) -> Vec<Scalar> {
    let mut sample = Vec::new();
    for (mut values, block) in values.into_iter().zip(blocks) {
        let share = match rows <= SAMPLE_ROWS {
            true => values.len(),
            false => SAMPLE_ROWS * block.rows as usize / rows,
        };
        let picked = spread(values.len(), share);
        sample.extend(picked.into_iter().map(|row| std::mem::replace(&mut values[row], Scalar::Null)));
    }
    sample
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
