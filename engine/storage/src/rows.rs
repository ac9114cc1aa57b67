//! Rows of a block: what a filter leaves, what a read is asked for.

/// The rows of a block that match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlockRows {
    All,
    /// Row numbers within the block, strictly ascending, at least one and not all.
    Some(Vec<u32>),
    None,
}

/// Rows of a block to read.
#[derive(Clone, Copy, Debug)]
pub enum RowsRef<'a> {
    /// `start`, `len`.
    Range(usize, usize),
    /// Row numbers within the block, in any order.
    Indices(&'a [u32]),
}

impl RowsRef<'_> {
    pub fn len(&self) -> usize {
        match self {
            RowsRef::Range(_, len) => *len,
            RowsRef::Indices(indices) => indices.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a text's length counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    Characters,
    Bytes,
}
