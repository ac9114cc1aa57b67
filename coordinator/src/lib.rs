//! The coordinator: the catalog of datasets and versions, their hydration, sessions, admission, and the
//! Flight SQL service.
//!
//! [`start`] brings up a coordinator with its shards in this process and serves until
//! [`Handle::shutdown`]. Everything a client can do, [`Session::execute`] can do without a network.

mod access;
mod admin;
mod admission;
mod blame;
pub mod catalog;
pub mod config;
mod coordinator;
mod credentials;
mod datasets;
mod definitions;
pub mod error;
mod explain;
mod facts;
mod flight;
mod folder;
mod foreign;
mod hedge;
mod http;
mod information_schema;
mod login;
mod losses;
mod manifests;
pub mod metrics;
mod pg_catalog;
mod plans;
mod pool;
mod progress;
mod quarantine;
mod query;
mod random;
mod refreshes;
pub mod result;
mod routing;
pub mod session;
mod settings;
mod shards;
pub mod start;
mod system;
mod tenants;
mod trace;
mod trail;
mod upgrade;
mod usage;
mod view;
mod write;

pub use config::{Cluster, Config, Environment, ForeignAccess, Listeners, NodeNetwork, User};
pub use datasets::TableSummary;
pub use error::{Error, Result};
pub use exec::runtime::STACK_BYTES;
pub use folder::FolderLock;
pub use foreign::AllowedHost;
pub use result::Rows;
pub use session::Session;
pub use shards::nodes::NodeOptions;
pub use start::{Handle, start};
pub use trail::verify::{VerifiedChain, verify_trail};
