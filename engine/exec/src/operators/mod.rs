//! Sources, operators and sinks, one a file.

pub mod aggregate;
pub mod hash_join;
pub mod sort;
pub mod top_n;
