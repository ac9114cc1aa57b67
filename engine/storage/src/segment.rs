//! Segments: the resident, encoded, immutable columns of some rows of a bucket.

use crate::bytes::SegmentBytes;
use crate::error::{Error, Result};
use crate::predicate::ColumnPredicate;
use crate::rows::{BlockRows, RowsRef};
use crate::statistics::{ColumnSchema, TableStatistics};
use crate::table::ColumnFacts;
use columnar::{Bitmap, PhysicalType, Vector};
use std::sync::Arc;

/// Rows of a block: the unit of zone maps, pruning and morsels.
pub const BLOCK_ROWS: usize = 65_536;

/// Encoded columns of some rows, in blocks of [`BLOCK_ROWS`] (the last may be shorter).
#[derive(Debug)]
pub struct Segment {
    schema: Arc<[ColumnSchema]>,
}

/// A segment with predicates made ready for it.
#[derive(Debug)]
pub struct SegmentFilter {
    segment: Arc<Segment>,
}

impl Segment {
    /// Checks the footer and everything it points at; blocks are checked when first touched.
    pub fn open(_bytes: SegmentBytes) -> Result<Segment> {
        Err(Error::Unsupported("segments".into()))
    }

    /// The same segment under a visibility mask: one bit a row of the segment, clear where it is deleted.
    pub fn with_visibility(self: &Arc<Segment>, _visible: Bitmap) -> Result<Arc<Segment>> {
        Err(Error::Unsupported("segments".into()))
    }

    pub fn schema(&self) -> &Arc<[ColumnSchema]> {
        &self.schema
    }

    /// Rows held, deleted ones included.
    pub fn rows(&self) -> usize {
        0
    }

    /// Rows that are not deleted.
    pub fn visible_rows(&self) -> usize {
        0
    }

    pub fn block_count(&self) -> usize {
        0
    }

    /// Rows of a block, deleted ones included.
    pub fn block_rows(&self, _block: usize) -> usize {
        0
    }

    /// The blocks that may hold matches, ascending. Proves one way only: a block left out holds none.
    pub fn prune(&self, _predicates: &[ColumnPredicate]) -> Vec<u32> {
        Vec::new()
    }

    /// The visible rows of a block that match all predicates. Scans call it (or [`SegmentFilter::filter`]) even
    /// without predicates, since rows may be deleted.
    pub fn filter(&self, _block: u32, _predicates: &[ColumnPredicate]) -> Result<BlockRows> {
        Err(Error::Unsupported("segments".into()))
    }

    /// Makes predicates ready for many blocks: dictionaries are looked through once.
    pub fn prepare(self: &Arc<Segment>, _predicates: &[ColumnPredicate]) -> Result<SegmentFilter> {
        Err(Error::Unsupported("segments".into()))
    }

    /// Rows of a block, one vector a column asked for (by position in the schema), each at the width asked for
    /// or a constant or dictionary vector of that width. The width must hold the column's bounds.
    pub fn read(
        &self,
        _block: u32,
        _rows: RowsRef<'_>,
        _columns: &[(u32, PhysicalType)],
    ) -> Result<Vec<Vector>> {
        Err(Error::Unsupported("segments".into()))
    }

    /// What is proven of a column within this segment.
    pub fn column_facts(&self, _column: u32) -> ColumnFacts {
        ColumnFacts {
            rows: 0,
            nulls: 0,
            bounds: None,
            unique: false,
            dense: false,
            sorted: false,
            dictionary: false,
        }
    }

    /// The summary of this segment for the planner; merge those of many with [`TableStatistics::merge`].
    pub fn statistics(&self) -> Result<TableStatistics> {
        Err(Error::Unsupported("segments".into()))
    }

    /// Bytes of the whole segment.
    pub fn bytes(&self) -> u64 {
        0
    }
}

impl SegmentFilter {
    pub fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    /// The blocks that may hold matches, ascending.
    pub fn blocks(&self) -> &[u32] {
        &[]
    }

    /// As [`Segment::filter`].
    pub fn filter(&self, _block: u32) -> Result<BlockRows> {
        Err(Error::Unsupported("segments".into()))
    }
}
