//! What the end-to-end tests stand on: a server in this process, connections to it over Flight SQL and
//! without a network, an S3 server, the canonical text of values that `.slt` files are written in, and
//! statements drawn at random.

pub mod cluster;
pub mod connection;
pub mod control;
pub mod corpus;
pub mod http;
pub mod in_process;
pub mod mutation;
pub mod random;
pub mod s3;
pub mod server;
pub mod simulation;
pub mod tapped;
pub mod text;
