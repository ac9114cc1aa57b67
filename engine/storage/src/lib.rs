//! Resident segments: encodings, zone maps, statistics, files.
//!
//! A [`Segment`] holds the encoded columns of some rows and is never changed. Scans prune its blocks, filter
//! a block on the encoding, and read the rows that are left. The file's layout is the memory's: see
//! `docs/segment-format.md`. This floor knows nothing of plans, networks or clocks.

pub mod builder;
pub mod bytes;
pub mod checksum;
mod column_builder;
mod encoding;
pub mod error;
mod evaluate;
#[cfg(test)]
mod exhaust;
pub mod facts;
pub mod filter;
#[cfg(test)]
mod forged;
mod format;
#[cfg(test)]
mod fuzz;
mod interner;
mod kernels;
pub mod mapping;
pub mod origins;
mod pending;
pub mod predicate;
mod prepared;
pub mod residency;
pub mod rows;
pub mod segment;
pub mod sketch;
pub mod statistics;
pub mod summary;
pub mod table;
pub mod text;
mod zone;

pub use builder::{SegmentBuilder, SegmentImage};
pub use bytes::SegmentBytes;
pub use error::{Error, Result};
pub use facts::ColumnFacts;
pub use filter::SegmentFilter;
pub use origins::{Origin, Origins};
pub use predicate::{ColumnPredicate, CompareOp, Test, VectorTest};
pub use rows::{BlockRows, Length, RowsRef};
pub use segment::{BLOCK_ROWS, Segment};
pub use sketch::DistinctSketch;
pub use statistics::{ColumnSchema, ColumnStatistics, TableStatistics};
pub use summary::Summary;
pub use table::Table;
pub use text::{TextAutomaton, TextToken};
