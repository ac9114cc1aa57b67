//! The control plane: decides slowly who may use a cluster and how much, and publishes that. Coordinators act on what was
//! published last, also while it is away; it is in no query's way.
//!
//! [`start`] takes what it is to be ([`Config`]) and where it stands ([`Environment`]). Several instances may share a
//! database: any of them answers calls and decides, one of them publishes. It knows the contract with the coordinators
//! (`flight_proto::policy`) and nothing else of them.

mod api;
mod cluster;
mod config;
mod database;
mod decisions;
mod error;
mod hex;
pub mod json;
mod lease;
mod metrics;
mod publisher;
mod reconcile;
pub mod scaling;
mod signing;
mod start;
mod usage;

pub use cluster::{Cluster, HttpCluster, MemoryCluster};
pub use config::{Config, Environment, Intervals, Login, Metrics};
pub use error::{Error, Result};
pub use scaling::Scaling;
pub use start::{Handle, start};

#[cfg(test)]
mod tests;
