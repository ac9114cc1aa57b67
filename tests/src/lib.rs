//! What the end-to-end tests stand on: a server in this process, connections to it over Flight SQL and
//! without a network, and the canonical text of values that `.slt` files are written in.

pub mod connection;
pub mod server;
pub mod text;
