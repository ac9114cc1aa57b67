//! Sources, operators and sinks, one a file.

pub mod aggregate;
pub mod as_of;
pub mod bound;
pub mod exchange;
pub mod expand;
pub mod filter;
pub mod filter_keys;
pub mod hash_join;
pub mod kept;
pub mod key_filter;
pub(crate) mod keys;
pub mod limit;
pub mod project;
pub mod receive;
pub mod result;
pub mod scan;
pub mod semi_join;
pub mod series;
pub mod sort;
pub mod top_n;
pub mod top_of_groups;
pub mod union;
pub mod unroll;
pub mod values;
pub mod wanted_rows;
pub mod window;

#[cfg(test)]
pub(crate) mod testing;
