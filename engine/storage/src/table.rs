//! What a shard pins of one version of a dataset.

use crate::{error::Result, segment::Segment, statistics::ColumnSchema};
use std::sync::Arc;

/// The segments of one version of a dataset that lie on this shard.
#[derive(Clone, Debug)]
pub struct Table {
    pub schema: Arc<[ColumnSchema]>,
    /// In row order.
    pub segments: Vec<Arc<Segment>>,
}

/// What is proven of a column over pinned segments; answers may depend on it. False and `None` mean "not
/// proven".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColumnFacts {
    pub rows: u64,
    pub nulls: u64,
    /// Inclusive bounds of the unscaled integers of an integral column with at least one value.
    pub bounds: Option<(i128, i128)>,
    /// The sum of the unscaled integers of an integral column; 0 without values.
    pub sum: Option<i128>,
    /// No row was deleted: `nulls` is their number, and `bounds` are values that occur.
    pub exact: bool,
    /// No value occurs twice (nulls aside).
    pub unique: bool,
    /// Unique, without nulls, and every integer within `bounds` occurs.
    pub dense: bool,
    /// Rows ascend by the column, without nulls, from the first segment to the last.
    pub sorted: bool,
    /// Every segment holds the column as codes into a dictionary.
    pub dictionary: bool,
}

impl ColumnFacts {
    /// Nothing proven, not even that there are rows.
    pub const UNKNOWN: ColumnFacts = ColumnFacts {
        rows: 0,
        nulls: 0,
        bounds: None,
        sum: None,
        exact: false,
        unique: false,
        dense: false,
        sorted: false,
        dictionary: false,
    };
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
        let mut facts = ColumnFacts {
            rows: 0,
            nulls: 0,
            bounds: None,
            sum: Some(0),
            exact: true,
            unique: true,
            dense: false,
            sorted: true,
            dictionary: !self.segments.is_empty(),
        };
        let mut ranges = Vec::new();
        let mut last = None;
        for segment in self.segments.iter().filter(|segment| segment.visible_rows() > 0) {
            let one = segment.column_facts(column);
            facts.rows += one.rows;
            facts.nulls += one.nulls;
            facts.sum = facts.sum.zip(one.sum).and_then(|(sum, more)| sum.checked_add(more));
            facts.exact &= one.exact;
            facts.unique &= one.unique;
            facts.dictionary &= one.dictionary;
            facts.sorted &=
                one.sorted && one.bounds.is_some_and(|(min, _)| last.is_none_or(|last| last <= min));
            last = one.bounds.map(|(_, max)| max);
            ranges.extend(one.bounds);
            facts.bounds = match (facts.bounds, one.bounds) {
                (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
                (a, b) => a.or(b),
            };
        }
        if self.segments.len() > 1 {
            // Ranges that do not overlap keep values of one segment out of the others.
            ranges.sort_unstable();
            facts.unique &= !ranges.is_empty() && ranges.windows(2).all(|pair| pair[0].1 < pair[1].0);
            facts.sorted &= !ranges.is_empty();
        }
        facts.dense = facts.unique
            && facts.nulls == 0
            && facts
                .bounds
                .is_some_and(|(min, max)| max.checked_sub(min) == Some(i128::from(facts.rows) - 1));
        facts
    }
}
