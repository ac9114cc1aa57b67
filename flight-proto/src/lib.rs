//! The words that nodes and clients say to each other, and the formats that outlive a process: catalog
//! commands, catalog snapshots, manifests, policy documents, tickets. All but [`admin`], which is JSON, and [`cron`], which is text, are protobuf, written here as
//! Rust structs; golden tests hold their bytes. Nothing here knows the engine.

pub mod access;
pub mod admin;
pub mod catalog;
pub mod credentials;
pub mod cron;
pub mod definition;
pub mod log;
pub mod manifest;
pub mod node;
pub mod policy;
pub mod pool;
pub mod replication;
pub mod schema;
pub mod sealed;
pub mod spending;
pub mod ticket;
pub mod trace;
pub mod usage;

pub use prost::Message;
