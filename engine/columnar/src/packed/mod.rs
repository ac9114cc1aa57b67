//! Nested values as bytes whose order is that of the values.

mod elements;
#[cfg(test)]
mod tests;
mod value;

pub use elements::{Element, Elements, Place};
pub use value::append_scalar;

/// The most elements of a list.
pub const MAX_ELEMENTS: usize = 1 << 24;
