//! What a shard pins of one version of a dataset.

use crate::{error::Result, facts::ColumnFacts, segment::Segment, statistics::ColumnSchema};
use std::sync::Arc;

/// The segments of one version of a dataset that lie on this shard.
#[derive(Clone, Debug)]
pub struct Table {
    pub schema: Arc<[ColumnSchema]>,
    /// In row order.
    pub segments: Vec<Arc<Segment>>,
}

impl Table {
    /// Visible rows.
    pub fn rows(&self) -> u64 {
        self.segments.iter().map(|segment| segment.visible_rows() as u64).sum()
    }

    /// That the files of all segments are whole: to be asked after reading where [`crate::mapping::losses`] has
    /// changed.
    pub fn check(&self) -> Result<()> {
        self.segments.iter().try_for_each(|segment| segment.check())
    }

    /// The facts of the column at position `column` of the schema.
    pub fn column_facts(&self, column: u32) -> ColumnFacts {
        let visible = self.segments.iter().filter(|segment| segment.visible_rows() > 0);
        ColumnFacts::merge(visible.map(|segment| segment.column_facts(column)))
    }
}
