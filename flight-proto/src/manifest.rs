//! Manifests: the objects `<tenant>/<dataset>/manifests/<n>` whose creation commits a version.

use crate::catalog::Refresh;
use crate::schema::Column;

/// The manifest format that this code writes. A reader refuses a later one.
pub const MANIFEST_FORMAT: u32 = 1;

/// One version of a dataset: everything needed to name, read and check it, without any catalog.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Manifest {
    /// [`MANIFEST_FORMAT`].
    #[prost(uint32, tag = "1")]
    pub format: u32,
    #[prost(string, tag = "2")]
    pub tenant: String,
    #[prost(uint64, tag = "3")]
    pub dataset: u64,
    /// Counts from 1; the number in the object's name.
    #[prost(uint64, tag = "4")]
    pub version: u64,
    #[prost(string, tag = "5")]
    pub schema: String,
    #[prost(string, tag = "6")]
    pub name: String,
    #[prost(message, repeated, tag = "7")]
    pub columns: Vec<Column>,
    /// What an external dataset was created over; empty for one that Tundra writes itself.
    #[prost(string, tag = "8")]
    pub location: String,
    /// Columns that place a row on a shard, by their hash; empty: rows lie where their files do.
    #[prost(string, repeated, tag = "9")]
    pub partition_by: Vec<String>,
    /// In the order of the rows.
    #[prost(message, repeated, tag = "10")]
    pub files: Vec<File>,
    /// The dataset is dropped as of this version.
    #[prost(bool, tag = "11")]
    pub tombstone: bool,
    /// Microseconds since 1970.
    #[prost(int64, tag = "12")]
    pub created_at_us: i64,
    /// The columns were declared, not read from the files.
    #[prost(bool, tag = "13")]
    pub columns_declared: bool,
    /// Not 0: rows are placed by ranges of the only column in `partition_by`, and so many of its values go once round
    /// all shards' slices.
    #[prost(uint64, tag = "14")]
    pub partition_span: u64,
    /// As the catalog had it when the version was made; what the catalog has goes before it.
    #[prost(message, optional, tag = "15")]
    pub refresh: Option<Refresh>,
}

/// A Parquet file of a version, and the identity by which a change of it is noticed.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct File {
    #[prost(string, tag = "1")]
    pub url: String,
    #[prost(uint64, tag = "2")]
    pub size_bytes: u64,
    /// Empty where the store gives none.
    #[prost(string, tag = "3")]
    pub etag: String,
    #[prost(int64, tag = "4")]
    pub modified_at_us: i64,
    #[prost(uint64, tag = "5")]
    pub rows: u64,
    /// Values of columns that the file's folder names (`date=2024-01-01/`).
    #[prost(message, repeated, tag = "6")]
    pub folder_values: Vec<FolderValue>,
    /// How often the dataset was to be read anew as a whole: what was read of an earlier generation is not used, though
    /// all else is the same.
    #[prost(uint64, tag = "7")]
    pub generation: u64,
}

/// A column's value in all rows of a file.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct FolderValue {
    #[prost(string, tag = "1")]
    pub column: String,
    /// As the folder spells it; absent: null.
    #[prost(string, optional, tag = "2")]
    pub text: Option<String>,
}

impl Manifest {
    pub fn rows(&self) -> u64 {
        self.files.iter().map(|file| file.rows).sum()
    }

    pub fn size_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size_bytes).sum()
    }
}
