//! JSON as text: checks, extraction by paths, PostgreSQL's canonical form, and what is made of values.
//!
//! A document stays the text that it came as. Extraction walks over the text and makes no tree; what turns whole
//! documents round (canonical text, merging, containment) reads one into a [`Tree`], which lives as long as its row.

mod canonical;
mod nested;
mod number;
mod path;
mod scan;
mod structure;
#[cfg(test)]
mod tests;
mod text;
mod tree;
mod value;

pub(crate) use canonical::{canonical, pretty};
pub(crate) use nested::{Reading, value_of};
pub(crate) use path::{Path, Step};
pub(crate) use scan::{Fault, Kind, check, elements, kind, members};
pub(crate) use structure::{Structure, type_name};
pub(crate) use text::{quote, unquote};
pub(crate) use tree::{Tree, Work, compact, contains, contains_within, merge_patch, strip_nulls};
pub(crate) use value::{moment, read, scalar_text, write_json};

/// How deep arrays and objects nest at most.
pub(crate) const MAX_DEPTH: usize = 128;
