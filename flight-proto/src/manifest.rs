//! Manifests: the objects `<tenant>/<dataset>/manifests/<n>` whose creation commits a version.

use crate::catalog::Refresh;
use crate::schema::Column;

/// The least manifest format: that of manifests which a reader of this format does not misread.
pub const MANIFEST_FORMAT: u32 = 1;
/// The latest that this code reads and writes: its manifests have what must not be left out, such as deleted rows. A
/// reader refuses a later one.
pub const MANIFEST_FORMAT_MOST: u32 = 2;

/// One version of a dataset: everything needed to name, read and check it, without any catalog.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Manifest {
    /// [`Manifest::format_needed`].
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
    /// The number of the statement that made the version, where rows were changed: two statements never make the same
    /// bytes.
    #[prost(bytes = "vec", tag = "24")]
    pub statement: Vec<u8>,
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
    /// Rows that are no part of the version. Format 2.
    #[prost(message, optional, tag = "9")]
    pub deletes: Option<Deletes>,
}

/// Rows of a file, as `docs/row-sets.md` has them: here or in an object.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Deletes {
    /// How many.
    #[prost(uint64, tag = "1")]
    pub rows: u64,
    /// Empty where they are in an object.
    #[prost(bytes = "vec", tag = "2")]
    pub inline: Vec<u8>,
    /// The object; empty where they are inline.
    #[prost(string, tag = "3")]
    pub url: String,
    /// Where they lie in the object.
    #[prost(uint64, tag = "4")]
    pub offset: u64,
    #[prost(uint64, tag = "5")]
    pub length: u64,
    /// XXH64 of the bytes in the object, with seed 0.
    #[prost(fixed64, tag = "6")]
    pub checksum: u64,
    /// Of the object; empty where the store gives none.
    #[prost(string, tag = "7")]
    pub etag: String,
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
    /// Rows that are not deleted.
    pub fn rows(&self) -> u64 {
        self.files.iter().map(File::rows_left).sum()
    }

    /// The least format whose readers do not misread this.
    pub fn format_needed(&self) -> u32 {
        match self.files.iter().any(|file| file.deletes.is_some()) {
            true => MANIFEST_FORMAT_MOST,
            false => MANIFEST_FORMAT,
        }
    }

    pub fn size_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size_bytes).sum()
    }
}

impl File {
    /// Rows that are not deleted.
    pub fn rows_left(&self) -> u64 {
        self.rows.saturating_sub(self.deletes.as_ref().map_or(0, |deletes| deletes.rows))
    }
}
