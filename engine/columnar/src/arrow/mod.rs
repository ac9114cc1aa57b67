//! Arrow in and out: without a copy where the layouts agree, else with one.
//!
//! In: every Arrow type with a counterpart in SQL ([`data_type_of`]); others are refused by the name of
//! their column. Out: one canonical Arrow type for each of ours ([`arrow_type_of`]).

mod export;
mod import;
mod nested;
mod packed;
mod types;

pub use export::{array, record_batch};
pub use import::{batch, column, vector};
pub use types::{STORED_HUGEINT, STORED_INTERVAL, Strings, arrow_type_of, arrow_unit, data_type_of, schema};

#[cfg(test)]
mod tests;
