//! Rows that no longer change, of many collections under one numbering.

use super::RowPages;
use super::cell::{self, Heap};
use super::layout::{Field, RowLayout};
use crate::memory::Reservation;
use crate::{Error, Result};
use columnar::{Bytes, Vector, View};
use std::sync::Arc;

/// The number of no row: it reads as null.
pub const NO_ROW: u32 = u32::MAX;

/// Rows to read by number. Strings are given as views into its heap, without a copy.
pub struct FrozenRows {
    layout: Arc<RowLayout>,
    pages: Vec<FrozenPage>,
    heap: Arc<[Bytes]>,
    rows: usize,
    _reservations: Vec<Reservation>,
}

struct FrozenPage {
    bytes: Vec<u8>,
    rows: usize,
    /// Where the heap of the page's collection starts in the whole heap.
    heap_start: u32,
}

impl FrozenRows {
    /// Takes collections of one layout, which are reloaded first where they are evicted. Pages are numbered in
    /// the order given.
    pub fn new(layout: &Arc<RowLayout>, collections: Vec<RowPages>) -> Result<FrozenRows> {
        let (mut pages, mut heap, mut reservations, mut rows) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for mut collection in collections {
            collection.reload()?;
            let heap_start = heap.len() as u32;
            let mut left = collection.rows;
            rows += left;
            for bytes in collection.pages {
                let page_rows = left.min(layout.page_rows());
                left -= page_rows;
                if page_rows > 0 {
                    pages.push(FrozenPage { bytes, rows: page_rows, heap_start });
                }
            }
            heap.extend(collection.heap.into_iter().map(Bytes::from_vec));
            reservations.push(collection.reservation);
        }
        if pages.len() as u64 >= u64::from(u32::MAX) >> layout.page_shift {
            return Err(Error::Unsupported("state of more than 2^32 rows".into()));
        }
        Ok(FrozenRows { layout: layout.clone(), pages, heap: heap.into(), rows, _reservations: reservations })
    }

    /// The rows of one page, which need no heap.
    pub fn of_page(
        layout: &Arc<RowLayout>,
        bytes: Vec<u8>,
        rows: usize,
        reservation: Option<Reservation>,
    ) -> FrozenRows {
        debug_assert!(rows <= layout.page_rows() && rows * layout.width <= bytes.len());
        let pages = vec![FrozenPage { bytes, rows, heap_start: 0 }];
        let _reservations = reservation.into_iter().collect();
        FrozenRows { layout: layout.clone(), pages, heap: Arc::default(), rows, _reservations }
    }

    pub fn layout(&self) -> &Arc<RowLayout> {
        &self.layout
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn page_count(&self) -> usize {
        self.pages.len()
    }

    /// The numbers of the rows of a page.
    pub fn page_numbers(&self, page: usize) -> std::ops::Range<u32> {
        let first = (page << self.layout.page_shift) as u32;
        first..first + self.pages[page].rows as u32
    }

    /// An upper bound of row numbers.
    pub fn numbers(&self) -> usize {
        self.pages.len() << self.layout.page_shift
    }

    /// The address of a row, which must be one of the numbers of a page.
    #[inline(always)]
    pub fn pointer(&self, row: u32) -> *const u8 {
        let page = &self.pages[(row >> self.layout.page_shift) as usize];
        let place = row as usize & (self.layout.page_rows() - 1);
        debug_assert!(place < page.rows);
        // SAFETY: pages hold `rows` rows of `width` bytes, and numbers come from `page_numbers` or from
        // collections whose rows kept their places.
        unsafe { page.bytes.as_ptr().add(place * self.layout.width) }
    }

    /// The addresses of many rows, none of which is [`NO_ROW`].
    pub fn pointers(&self, rows: &[u32]) -> Vec<*const u8> {
        rows.iter().map(|&row| self.pointer(row)).collect()
    }

    /// The addresses of many rows; null for [`NO_ROW`].
    pub fn pointers_or_null(&self, rows: &[u32]) -> Vec<*const u8> {
        let pointer = |&row: &u32| if row == NO_ROW { std::ptr::null() } else { self.pointer(row) };
        rows.iter().map(pointer).collect()
    }

    /// The values of a field in `rows`, whose addresses are `pointers`; with `missing` some may be null.
    pub fn read(&self, field: usize, rows: &[u32], pointers: &[*const u8], missing: bool) -> Vector {
        self.read_as(&self.layout.fields[field], rows, pointers, missing)
    }

    /// As [`FrozenRows::read`], of any part of the row that holds what `field` says.
    pub fn read_as(&self, field: &Field, rows: &[u32], pointers: &[*const u8], missing: bool) -> Vector {
        let shift = |row: u32| self.pages[(row >> self.layout.page_shift) as usize].heap_start;
        cell::read(field, pointers, rows, &self.heap, shift, missing).into()
    }
}

impl Heap for FrozenRows {
    #[inline]
    fn long(&self, row: u32, view: View) -> &[u8] {
        let view = view.shifted(self.pages[(row >> self.layout.page_shift) as usize].heap_start);
        &self.heap[view.buffer() as usize][view.offset() as usize..][..view.len()]
    }
}
