//! Batches: what operators hand to each other.

use crate::{Bitmap, Vector, kernels::take};

/// The most rows a batch holds. Tests run with fewer.
pub const BATCH_ROWS: usize = 2048;

/// Vectors of one length, and which of their rows count.
#[derive(Clone, Debug)]
pub struct Batch {
    pub columns: Vec<Vector>,
    /// The length of every column; it stands alone where there are no columns.
    pub rows: usize,
    /// The rows that count; `None`: all of them.
    pub selection: Option<Selection>,
}

/// Row numbers of a batch, strictly ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection(Vec<u32>);

impl Selection {
    /// Takes row numbers that ascend strictly.
    pub fn new(rows: Vec<u32>) -> Selection {
        debug_assert!(rows.windows(2).all(|pair| pair[0] < pair[1]));
        Selection(rows)
    }

    pub fn from_bitmap(bitmap: &Bitmap) -> Selection {
        Selection(take::indices_of(bitmap))
    }

    pub fn rows(&self) -> &[u32] {
        &self.0
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The rows of this selection whose position in it is set in `bitmap` (one bit a selected row).
    pub fn refine(&self, bitmap: &Bitmap) -> Selection {
        Selection(bitmap.ones().map(|position| self.0[position]).collect())
    }
}

impl Batch {
    /// A batch of all rows of `columns`; with no columns use [`Batch::of_rows`].
    pub fn new(columns: Vec<Vector>) -> Batch {
        let rows = columns.first().map_or(0, Vector::len);
        debug_assert!(columns.iter().all(|column| column.len() == rows));
        Batch { columns, rows, selection: None }
    }

    /// `rows` rows of `columns`, which may be none.
    pub fn of_rows(columns: Vec<Vector>, rows: usize) -> Batch {
        debug_assert!(columns.iter().all(|column| column.len() == rows));
        Batch { columns, rows, selection: None }
    }

    /// How many rows count.
    pub fn selected_rows(&self) -> usize {
        self.selection.as_ref().map_or(self.rows, Selection::len)
    }

    /// The same rows without a selection: unselected ones are left out of the columns. Free where there is
    /// no selection.
    pub fn compact(self) -> Batch {
        match self.selection {
            None => self,
            Some(selection) => {
                let columns =
                    self.columns.iter().map(|column| take::take(column, selection.rows())).collect();
                Batch::of_rows(columns, selection.len())
            }
        }
    }

    /// Rows `start .. start + len`; the batch must have no selection.
    pub fn slice(&self, start: usize, len: usize) -> Batch {
        debug_assert!(self.selection.is_none());
        Batch::of_rows(self.columns.iter().map(|column| column.slice(start, len)).collect(), len)
    }
}
