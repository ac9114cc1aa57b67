//! Tests of a coordinator in this process, as one binary: each that is linked takes its time.

mod admin;
mod changes;
mod flight;
mod metadata;
mod overtaken;
mod routing;
mod server;
mod statements;
mod tenants;
mod usage;
