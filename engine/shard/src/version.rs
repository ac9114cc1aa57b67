//! Versions of datasets, as shards are told of them.

use flight_proto::manifest::File;
use std::sync::Arc;
use storage::ColumnSchema;

/// Names one version of a dataset.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VersionId {
    pub tenant: String,
    pub dataset: u64,
    pub version: u64,
}

/// One version of a dataset: what its manifest says, with the schema in our types.
#[derive(Clone, Debug)]
pub struct Version {
    pub id: VersionId,
    /// Columns as declared or inferred; those that no file has come from its folders.
    pub schema: Arc<[ColumnSchema]>,
    /// In the order of the rows.
    pub files: Arc<[File]>,
    /// Positions of the columns whose hash places a row; empty: rows lie where their files do.
    pub partition_by: Vec<u32>,
}
