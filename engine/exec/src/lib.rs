//! Runs physical plans: expressions, operators, pipelines, scheduler, memory.
//!
//! Synchronous: no sockets, no async runtime, no clock of its own. Upper floors bring segments, exchanges
//! and worker threads.

pub mod codec;
pub mod expr;
pub mod plan;
