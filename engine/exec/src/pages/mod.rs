//! Rows in relocatable pages: the state of joins, aggregates and sorts.
//!
//! A row has a number, not an address: its page and its place there. Pages hold no pointers (long strings lie
//! in heap pages and are named by page and offset), so they can leave memory and come back elsewhere
//! ([`evict`]). Rows are written and read a column at a time through the addresses of one batch of rows, which
//! are never kept. Every growth is reserved before it is allocated.

pub(crate) mod cell;
pub mod evict;
mod frozen;
mod layout;

pub use cell::{Heap, compare_rows, equal_rows, equal_to_vector, read_row_field};
pub use frozen::{FrozenRows, NO_ROW};
pub use layout::{Field, PAGE_BYTES, RowLayout};

use crate::memory::{MemoryPool, Reservation};
use crate::{Error, Result};
use columnar::view::INLINE_BYTES;
use columnar::{PhysicalType, Values, Vector, View};
use evict::{Evictable, PageStore};
use std::sync::Arc;

/// The number of radix partitions of [`Partitions`]: by the top four bits of a hash.
pub const PARTITIONS: usize = 16;
const PARTITION_SHIFT: u32 = 28;
const LOCAL_MASK: u32 = (1 << PARTITION_SHIFT) - 1;
/// The first page of a collection starts with this many rows and doubles, so that small ones stay small.
const FIRST_ROWS: usize = 16;
const FIRST_HEAP_BYTES: usize = 1 << 10;

/// A growing collection of rows of one layout.
pub struct RowPages {
    layout: Arc<RowLayout>,
    /// Those of the layout, close at hand.
    width: usize,
    page_shift: u32,
    pages: Vec<Vec<u8>>,
    /// Bytes of strings longer than a view holds.
    heap: Vec<Vec<u8>>,
    rows: usize,
    /// Rows that `pages` have room for; 0 while evicted.
    capacity: usize,
    reservation: Reservation,
    evicted: Option<Evicted>,
}

/// Where the pages of an evicted collection went.
struct Evicted {
    store: Arc<dyn PageStore>,
    pages: Vec<u64>,
    heap: Vec<u64>,
}

impl RowPages {
    /// An empty collection; `what` names it in errors about memory.
    pub fn new(layout: &Arc<RowLayout>, memory: &Arc<MemoryPool>, what: &'static str) -> RowPages {
        RowPages {
            layout: layout.clone(),
            width: layout.width,
            page_shift: layout.page_shift,
            pages: Vec::new(),
            heap: Vec::new(),
            rows: 0,
            capacity: 0,
            reservation: memory.reservation(what),
            evicted: None,
        }
    }

    pub fn layout(&self) -> &Arc<RowLayout> {
        &self.layout
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// How many pages hold its rows; all but the last are full.
    pub fn page_count(&self) -> usize {
        self.rows.div_ceil(self.layout.page_rows())
    }

    /// Bytes reserved: what is in memory.
    pub fn bytes(&self) -> u64 {
        self.reservation.bytes()
    }

    /// Bytes of the strings that views do not hold.
    pub fn text_bytes(&self) -> usize {
        self.heap.iter().map(Vec::len).sum()
    }

    /// Appends a row of zeros and gives its number.
    #[inline(always)]
    pub fn push(&mut self) -> Result<u32> {
        if self.rows >= self.capacity {
            self.grow()?;
        }
        self.rows += 1;
        Ok((self.rows - 1) as u32)
    }

    /// Makes room for `rows` more rows at once, as far as they fit the first page.
    pub fn make_room(&mut self, rows: usize) -> Result<()> {
        let full = self.layout.page_rows();
        let wanted = (self.rows + rows).next_power_of_two().min(full);
        if wanted <= self.capacity || self.pages.len() > 1 || self.evicted.is_some() {
            return Ok(());
        }
        self.reservation.grow(((wanted - self.capacity) * self.layout.width) as u64)?;
        match self.pages.last_mut() {
            Some(page) => page.resize(wanted * self.layout.width, 0),
            None => self.pages.push(vec![0; wanted * self.layout.width]),
        }
        self.capacity = wanted;
        Ok(())
    }

    #[cold]
    fn grow(&mut self) -> Result<()> {
        self.reload()?;
        if self.rows < self.capacity {
            return Ok(());
        }
        if self.rows > LOCAL_MASK as usize - self.layout.page_rows() {
            return Err(Error::Unsupported("state of more than 2^28 rows a partition".into()));
        }
        let full = self.layout.page_rows();
        let (more, width) = match self.pages.len() {
            0 => (FIRST_ROWS.min(full), self.layout.width),
            1 if self.capacity < full => (self.capacity, self.layout.width),
            _ => (full, self.layout.width),
        };
        self.reservation.grow((more * width) as u64)?;
        match self.pages.last_mut() {
            Some(page) if self.capacity < full => page.resize((self.capacity + more) * width, 0),
            _ => self.pages.push(vec![0; more * width]),
        }
        self.capacity += more;
        Ok(())
    }

    /// The address of a row for writing. It holds until the next [`RowPages::push`] or eviction.
    #[inline(always)]
    pub fn pointer_mut(&mut self, row: u32) -> *mut u8 {
        debug_assert!((row as usize) < self.rows);
        let page = &mut self.pages[(row >> self.page_shift) as usize];
        let place = (row as usize & ((1 << self.page_shift) - 1)) * self.width;
        debug_assert!(place + self.width <= page.len());
        // SAFETY: `row` was given by `push`, so its page holds `width` bytes from `place` on. A number that
        // was not is refused by the slice index where its page is missing; within the last page it is the
        // caller's duty, which the assertions above check in debug builds.
        unsafe { page.as_mut_ptr().add(place) }
    }

    /// The address of a row for reading; as [`RowPages::pointer_mut`].
    #[inline(always)]
    pub fn pointer(&self, row: u32) -> *const u8 {
        debug_assert!((row as usize) < self.rows);
        let page = &self.pages[(row >> self.page_shift) as usize];
        let place = (row as usize & ((1 << self.page_shift) - 1)) * self.width;
        // SAFETY: as in `pointer_mut`.
        unsafe { page.as_ptr().add(place) }
    }

    /// Keeps a string and gives a view of it: inline, or by heap page and offset.
    pub fn keep(&mut self, bytes: &[u8]) -> Result<View> {
        if bytes.len() <= INLINE_BYTES {
            return Ok(View::inline(bytes));
        }
        let fits = self.heap.last().is_some_and(|page| page.capacity() - page.len() >= bytes.len());
        if !fits {
            let size = match self.heap.last() {
                None => FIRST_HEAP_BYTES,
                Some(page) => (page.capacity() * 2).min(PAGE_BYTES),
            };
            let size = size.max(bytes.len());
            self.reservation.grow(size as u64)?;
            self.heap.push(Vec::with_capacity(size));
        }
        let page_index = self.heap.len() - 1;
        let page = &mut self.heap[page_index];
        let offset = page.len();
        page.extend_from_slice(bytes);
        Ok(View::new(bytes, page_index as u32, offset as u32))
    }

    /// The bytes behind a view that [`RowPages::keep`] gave and that is not inline.
    #[inline]
    pub fn long_bytes(&self, view: View) -> &[u8] {
        &self.heap[view.buffer() as usize][view.offset() as usize..][..view.len()]
    }

    /// Writes `vector`, a value for each of `rows`, into `field` of those rows. `pointers` are their addresses.
    pub fn write(
        &mut self,
        field: &Field,
        vector: &Vector,
        rows: &[u32],
        pointers: &[*mut u8],
    ) -> Result<()> {
        write(field, vector, rows, pointers, |_, bytes| self.keep(bytes))
    }

    /// Appends a row of another collection of the same layout and gives its number here.
    pub fn copy_row(&mut self, from: &RowPages, row: u32) -> Result<u32> {
        let (copy, layout) = (self.push()?, self.layout.clone());
        let (source, target) = (from.pointer(row), self.pointer_mut(copy));
        // SAFETY: both are addresses of rows of `width` bytes, in two collections.
        unsafe { std::ptr::copy_nonoverlapping(source, target, layout.width) };
        for field in &layout.fields {
            if field.shape.physical == PhysicalType::View {
                let view = View(cell::load(source, field.offset));
                if !view.is_inline() {
                    let kept = self.keep(from.long_bytes(view))?;
                    cell::store(target, field.offset, kept.0);
                }
            }
        }
        Ok(copy)
    }

    /// Moves all pages into `store`; they come back by themselves when a row is pushed, else with
    /// [`RowPages::reload`]. Returns the bytes freed.
    pub fn evict(&mut self, store: &Arc<dyn PageStore>) -> Result<u64> {
        if self.evicted.is_some() || self.rows == 0 {
            return Ok(0);
        }
        let write = |pages: &[Vec<u8>]| pages.iter().map(|page| store.write(page)).collect::<Result<_>>();
        let evicted = Evicted { store: store.clone(), pages: write(&self.pages)?, heap: write(&self.heap)? };
        (self.pages, self.heap, self.capacity) = (Vec::new(), Vec::new(), 0);
        self.evicted = Some(evicted);
        let freed = self.reservation.bytes();
        self.reservation.shrink(freed);
        Ok(freed)
    }

    /// Brings evicted pages back.
    pub fn reload(&mut self) -> Result<()> {
        let Some(evicted) = &self.evicted else { return Ok(()) };
        let mut read = |tickets: &[u64]| {
            let mut pages = Vec::with_capacity(tickets.len());
            for &ticket in tickets {
                self.reservation.grow(evicted.store.size(ticket)?)?;
                pages.push(evicted.store.read(ticket)?);
            }
            Ok::<_, Error>(pages)
        };
        let (pages, heap) = (read(&evicted.pages)?, read(&evicted.heap)?);
        self.capacity = pages.iter().map(Vec::len).sum::<usize>() / self.layout.width;
        (self.pages, self.heap, self.evicted) = (pages, heap, None);
        Ok(())
    }
}

impl Heap for RowPages {
    #[inline]
    fn long(&self, _row: u32, view: View) -> &[u8] {
        self.long_bytes(view)
    }
}

/// Rows spread over [`PARTITIONS`] collections by the top bits of their hashes. A row's number holds its
/// partition in its top four bits.
pub struct Partitions {
    parts: Vec<RowPages>,
}

impl Partitions {
    pub fn new(layout: &Arc<RowLayout>, memory: &Arc<MemoryPool>, what: &'static str) -> Partitions {
        Partitions { parts: (0..PARTITIONS).map(|_| RowPages::new(layout, memory, what)).collect() }
    }

    pub fn rows(&self) -> usize {
        self.parts.iter().map(RowPages::rows).sum()
    }

    /// As [`RowPages::text_bytes`].
    pub fn text_bytes(&self) -> usize {
        self.parts.iter().map(RowPages::text_bytes).sum()
    }

    /// The numbers of all rows.
    pub fn numbers(&self) -> impl Iterator<Item = u32> {
        let of_part = |(part, rows): (usize, &RowPages)| {
            (0..rows.rows() as u32).map(move |local| (part as u32) << PARTITION_SHIFT | local)
        };
        self.parts.iter().enumerate().flat_map(of_part)
    }

    /// The collections, by partition.
    pub fn into_parts(self) -> Vec<RowPages> {
        self.parts
    }

    /// Appends a row of zeros to the partition of `hash`.
    #[inline(always)]
    pub fn push(&mut self, hash: u64) -> Result<u32> {
        let partition = (hash >> 60) as usize;
        let local = self.parts[partition].push()?;
        Ok((partition as u32) << PARTITION_SHIFT | local)
    }

    /// The address of a row for writing; see [`RowPages::pointer_mut`].
    #[inline(always)]
    pub fn pointer_mut(&mut self, row: u32) -> *mut u8 {
        self.parts[(row >> PARTITION_SHIFT) as usize].pointer_mut(row & LOCAL_MASK)
    }

    /// The address of a row for reading.
    #[inline(always)]
    pub fn pointer(&self, row: u32) -> *const u8 {
        self.parts[(row >> PARTITION_SHIFT) as usize].pointer(row & LOCAL_MASK)
    }

    /// The addresses of many rows.
    pub fn pointers_mut(&mut self, rows: &[u32]) -> Vec<*mut u8> {
        rows.iter().map(|&row| self.pointer_mut(row)).collect()
    }

    /// Keeps a string in the partition of `row`.
    pub fn keep(&mut self, row: u32, bytes: &[u8]) -> Result<View> {
        self.parts[(row >> PARTITION_SHIFT) as usize].keep(bytes)
    }

    /// Writes `vector`, a value for each of `rows`, into `field` of those rows. `pointers` are their addresses.
    pub fn write(
        &mut self,
        field: &Field,
        vector: &Vector,
        rows: &[u32],
        pointers: &[*mut u8],
    ) -> Result<()> {
        write(field, vector, rows, pointers, |row, bytes| self.keep(row, bytes))
    }
}

/// Writes a value for each of `rows`; `keep` keeps the bytes of a long string for a row.
fn write(
    field: &Field,
    vector: &Vector,
    rows: &[u32],
    pointers: &[*mut u8],
    mut keep: impl FnMut(u32, &[u8]) -> Result<View>,
) -> Result<()> {
    assert!(vector.len() == rows.len() && rows.len() == pointers.len(), "a value for each row");
    assert!(vector.physical() == field.shape.physical, "values of the field's width");
    if field.shape.physical != PhysicalType::View {
        cell::write_fixed(field, vector, pointers);
        return Ok(());
    }
    cell::write_nulls(field, vector, pointers);
    let flat = vector.flatten();
    let Values::View(views) = &flat.values else { return Ok(()) };
    for (position, (&row, &pointer)) in rows.iter().zip(pointers).enumerate() {
        let view = views.view(position);
        let kept = match view.is_inline() {
            true => view,
            false if flat.is_null(position) => View(0),
            false => keep(row, views.get(position))?,
        };
        cell::store(pointer, field.offset, kept.0);
    }
    Ok(())
}

impl Heap for Partitions {
    #[inline]
    fn long(&self, row: u32, view: View) -> &[u8] {
        self.parts[(row >> PARTITION_SHIFT) as usize].long_bytes(view)
    }
}

impl Evictable for Partitions {
    fn bytes(&self) -> u64 {
        self.parts.iter().map(RowPages::bytes).sum()
    }

    fn partitions(&self) -> usize {
        self.parts.len()
    }

    fn evict(&mut self, partition: usize, store: &Arc<dyn PageStore>) -> Result<u64> {
        self.parts[partition].evict(store)
    }
}

#[cfg(test)]
mod tests;
