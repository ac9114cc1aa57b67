//! SQL text to distributed physical plans.

pub mod catalog;
