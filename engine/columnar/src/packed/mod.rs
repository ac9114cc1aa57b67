//! Nested values as bytes whose order is that of the values.

mod build;
mod elements;
mod parse;
#[cfg(test)]
mod tests;
mod text;
mod value;

pub use build::{pack_list, pack_map, pack_struct};
pub use elements::{Element, Elements, Place};
pub use parse::{Leaf, parse};
pub use text::text;
pub use value::{append_scalar, len_of, parts, scalar_of};

/// The most elements of a list.
pub const MAX_ELEMENTS: usize = 1 << 24;

/// The most bytes of a packed value.
pub const MAX_BYTES: usize = 256 << 20;
