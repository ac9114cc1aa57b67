//! What is known of a dataset: the summaries that shards publish and the planner estimates with.
//!
//! Summaries may be stale, so nothing here may change an answer. Facts that do (unique, dense, sorted,
//! bounds) are taken from the pinned segments themselves when a pipeline is built.

use columnar::{Batch, DataType, Scalar};

/// A column of a dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnSchema {
    /// As it was created; looked up without regard to case.
    pub name: String,
    pub data_type: DataType,
    pub nullable: bool,
}

/// The summary of one version of a dataset, merged from those of its segments.
#[derive(Clone, Debug, Default)]
pub struct TableStatistics {
    pub rows: u64,
    /// One a column of the schema, in its order.
    pub columns: Vec<ColumnStatistics>,
    /// Some rows of the dataset, drawn evenly, all columns in schema order; `None` where nothing is known.
    pub sample: Option<Batch>,
}

/// The summary of one column.
#[derive(Clone, Debug)]
pub struct ColumnStatistics {
    pub nulls: u64,
    /// The least value, or null where there is none.
    pub min: Scalar,
    pub max: Scalar,
    /// Distinct values that are not null; exact where `unique`.
    pub distinct: f64,
    /// No value occurs twice (nulls aside).
    pub unique: bool,
    /// Rows ascend by this column within every segment.
    pub sorted: bool,
    /// Mean bytes of a value in memory, encoded.
    pub average_bytes: f64,
}
