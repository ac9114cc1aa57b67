//! Tests of servers and of clusters in this process, as one binary: each that is linked takes its time. Logic tests and
//! simulations have binaries of their own.

mod access;
mod admin;
mod bad_input;
mod cluster;
mod dropped;
mod functions;
mod fuzz_sql;
mod hedging;
mod isolation;
mod joins;
mod placement;
mod pools;
mod quarantine;
mod refresh;
mod s3;
mod tenants;
mod versions;
