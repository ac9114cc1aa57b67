//! The node: brings datasets from object storage into resident segments, holds them, runs fragments on them.
//!
//! The way of a version: [`listing`] finds its files, [`footer`] reads what they hold, [`placement`] decides
//! which shard gets which rows, [`hydrate`] decodes row groups, builds segments and keeps them on local disk,
//! a [`Shard`] pins them for queries. This is the lowest floor with I/O (tokio).

mod budget;
pub mod config;
mod decode;
pub mod error;
mod file_reader;
mod folders;
pub mod footer;
pub mod hydrate;
pub mod listing;
pub mod node;
pub mod parquet_writer;
mod pattern;
pub mod placement;
pub mod progress;
pub mod residency;
mod segment_files;
pub mod store;
pub mod version;

pub use config::{Config, Environment};
pub use error::{Error, Result};
pub use flight_proto::manifest::{File, FolderValue};
pub use footer::{Inferred, infer, written};
pub use hydrate::{Hydrated, hydrate};
pub use listing::list;
pub use node::Shard;
pub use parquet_writer::ParquetWriter;
pub use placement::Placement;
pub use progress::{Counts, Progress};
pub use residency::Residency;
pub use store::{Place, Stores};
pub use version::{Version, VersionId};
