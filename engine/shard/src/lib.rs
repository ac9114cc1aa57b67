//! The node: brings datasets from object storage into resident segments and holds them.
//!
//! The way of a version: [`listing`] finds its files, [`footer`] reads what they hold, [`placement`] cuts its rows
//! into buckets, [`dealing`] says which shards hold which, [`hydrate`] decodes row groups, builds segments and
//! keeps them on local disk, a [`Shard`] pins them for queries. This is the lowest floor with I/O (tokio).

mod blocking;
mod budget;
pub mod config;
pub mod credentials;
pub mod dealing;
mod decode;
pub mod deletes;
pub mod error;
pub mod extremes;
mod file_reader;
mod folders;
pub mod footer;
pub mod hydrate;
pub mod hydrations;
pub mod listing;
pub mod node;
pub mod others;
mod pages;
pub mod parquet_writer;
mod pattern;
pub mod placement;
pub mod progress;
pub mod residency;
pub mod schema;
mod segment_files;
pub mod service;
pub mod store;
mod tenant_store;
pub mod version;

pub use blocking::blocking;
pub use config::{Config, Environment};
pub use credentials::{Access, CredentialSource, Given};
pub use dealing::{Member, ShardSet};
pub use deletes::read_deletes;
pub use error::{Error, Result};
pub use flight_proto::manifest::{Deletes, File, FolderValue};
pub use footer::{Inferred, infer, written};
pub use hydrate::{ROW_BITS, hydrate, hydrate_one};
pub use hydrations::{Hydrating, Hydration, HydrationState, Hydrations};
pub use listing::{covers, list};
pub use node::{Holding, Shard};
pub use others::Others;
pub use parquet_writer::ParquetWriter;
pub use placement::{Placement, slices};
pub use progress::{Counts, Progress};
pub use residency::Residency;
pub use store::{Place, Stores, unescape};
pub use version::{Version, VersionId};
