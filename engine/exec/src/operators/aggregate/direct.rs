//! Groups by their packed keys: the word of a key is the place of its group. Nothing is hashed and no key is kept,
//! which pays once a task has seen enough rows for the number of words there can be.

use super::groups::Groups;
use super::state::Keep;
use super::{Aggregation, Call, Merged, WORD_BYTES};
use crate::memory::Reservation;
use crate::operator::{Progress, Step, Work};
use crate::operators::keys::Packing;
use crate::pages::cell::load;
use crate::pages::{FrozenRows, Heap, RowLayout, RowPages};
use crate::{Error, Result};
use columnar::kernels::take::indices_of;
use columnar::{Bitmap, Vector, View};
use std::sync::Arc;

/// The most words, and the most bytes a task, that groups are kept by their words for.
const DOMAIN_LIMIT: u128 = 1 << 26;
const BYTES_LIMIT: u128 = 64 << 20;
/// A task goes over once it has a row for so many words of the pages that it needs: to make these takes about as long
/// as to look up that many rows in a table.
const WORDS_A_ROW: usize = 32;
/// The same where a group is a bit.
const BITS_A_ROW: usize = 256;
/// Groups a page, as a power of two.
const PAGE_SHIFT: u32 = 14;
const PAGE_GROUPS: usize = 1 << PAGE_SHIFT;
/// Pages a piece of work.
const PIECE_PAGES: usize = 8;
/// Rows merged at a time.
const CHUNK_ROWS: usize = 2048;

/// How many words there are, where groups may be kept by them.
pub(super) fn domain(packing: &Packing, calls: &[Call], layout: &RowLayout) -> Option<usize> {
    let domain = packing.domain();
    let bytes = domain.checked_mul((layout.width - WORD_BYTES) as u128)?;
    let fits = domain <= DOMAIN_LIMIT && bytes <= BYTES_LIMIT;
    (fits && !calls.iter().any(|call| call.state.keeps_text())).then_some(domain as usize)
}

/// The pages that the groups of a task would need: rows that were sent here may be of few.
#[derive(Default)]
pub(super) struct Touched {
    /// A bit a page.
    pages: Vec<u64>,
    rows: usize,
}

impl Touched {
    /// Adds a batch of rows with these keys; whether the task should go over.
    pub(super) fn add(&mut self, shared: &Aggregation, keys: &[Vector], rows: usize) -> bool {
        let (Some(domain), Some(packing)) = (shared.direct, &shared.packing) else { return false };
        self.pages.resize(domain.div_ceil(PAGE_GROUPS).div_ceil(64), 0);
        for word in packing.pack(keys, rows, None) {
            let page = (word >> PAGE_SHIFT) as usize;
            self.pages[page / 64] |= 1 << (page % 64);
        }
        self.rows += rows;
        let pages: u32 = self.pages.iter().map(|bits| bits.count_ones()).sum();
        let words = domain.min(pages as usize * PAGE_GROUPS);
        let words_a_row = if shared.calls.is_empty() { BITS_A_ROW } else { WORDS_A_ROW };
        self.rows >= if shared.settings.disturb.is_some() { 20 } else { words / words_a_row }
    }
}

/// A task's groups. Rows are those of the layout without the word that they start with.
pub(super) struct Direct {
    width: usize,
    /// By the high bits of a word; those never used are empty.
    pages: Vec<Page>,
}

#[derive(Default)]
struct Page {
    rows: Vec<u8>,
    /// A bit a group.
    present: Vec<u64>,
    reservation: Option<Reservation>,
}

impl Page {
    fn new(shared: &Aggregation, width: usize) -> Result<Page> {
        let mut reservation = shared.memory.reservation("the groups of an aggregation");
        reservation.grow((PAGE_GROUPS * width + PAGE_GROUPS / 8) as u64)?;
        let (rows, present) = (vec![0; PAGE_GROUPS * width], vec![0; PAGE_GROUPS / 64]);
        Ok(Page { rows, present, reservation: Some(reservation) })
    }

    fn is_empty(&self) -> bool {
        self.present.is_empty()
    }

    /// Where the row of a group would start with its word: only what follows the word is there.
    #[inline(always)]
    fn pointer_mut(&mut self, place: usize, width: usize) -> *mut u8 {
        self.rows[place * width..].as_mut_ptr().wrapping_sub(WORD_BYTES)
    }

    /// The places of the groups that are there, ascending.
    fn places(&self) -> Vec<u32> {
        indices_of(&Bitmap::from_words(self.present.clone(), PAGE_GROUPS))
    }
}

impl Direct {
    /// Takes over what `groups` has so far.
    pub(super) fn new(shared: &Aggregation, groups: Groups) -> Result<Direct> {
        let domain = shared.direct.unwrap_or(0);
        let pages = (0..domain.div_ceil(PAGE_GROUPS)).map(|_| Page::default()).collect();
        let mut direct = Direct { width: shared.layout.width - WORD_BYTES, pages };
        for rows in groups.into_rows() {
            direct.take(shared, rows)?;
        }
        Ok(direct)
    }

    /// The addresses of the groups of `words`, which from now on are there, as if their rows started with words:
    /// only what follows those may be touched.
    pub(super) fn pointers(&mut self, shared: &Aggregation, words: &[u64]) -> Result<Vec<*mut u8>> {
        let width = self.width;
        let mut pointers = Vec::with_capacity(words.len());
        for &word in words {
            let page = &mut self.pages[(word >> PAGE_SHIFT) as usize];
            if page.is_empty() {
                *page = Page::new(shared, width)?;
            }
            let place = word as usize % PAGE_GROUPS;
            page.present[place / 64] |= 1 << (place % 64);
            pointers.push(page.pointer_mut(place, width));
        }
        Ok(pointers)
    }

    /// Makes the groups of `words` be there, where they have no states.
    pub(super) fn mark(&mut self, shared: &Aggregation, words: &[u64]) -> Result<()> {
        for &word in words {
            let page = &mut self.pages[(word >> PAGE_SHIFT) as usize];
            if page.is_empty() {
                *page = Page::new(shared, self.width)?;
            }
            let place = word as usize % PAGE_GROUPS;
            page.present[place / 64] |= 1 << (place % 64);
        }
        Ok(())
    }

    /// Adds the groups of `rows`, which start with their words.
    fn take(&mut self, shared: &Aggregation, mut rows: RowPages) -> Result<()> {
        rows.reload()?;
        let count = rows.rows() as u32;
        for start in (0..count).step_by(CHUNK_ROWS) {
            let others: Vec<*const u8> =
                (start..count.min(start + CHUNK_ROWS as u32)).map(|row| rows.pointer(row)).collect();
            let words: Vec<u64> = others.iter().map(|&row| load(row, 0)).collect();
            // The state of a group that was not there is zeros, which any other may be added to.
            let pointers = self.pointers(shared, &words)?;
            merge_states(shared, &pointers, &others)?;
        }
        Ok(())
    }
}

/// Adds states pairwise.
fn merge_states(shared: &Aggregation, rows: &[*mut u8], others: &[*const u8]) -> Result<()> {
    let numbers = vec![0; rows.len()];
    let merge = |call: &Call| call.state.merge((&numbers, rows), (&numbers, others), &mut NoText);
    shared.calls.iter().try_for_each(merge)
}

/// The work of merging what tasks hold by words; `hashed` are the groups of those that never went over.
pub(super) fn merges(
    shared: &Arc<Aggregation>,
    mut directs: Vec<Direct>,
    hashed: impl Iterator<Item = RowPages>,
) -> Result<Vec<Box<dyn Work>>> {
    let Some(first) = directs.first_mut() else { return Ok(Vec::new()) };
    for rows in hashed {
        first.take(shared, rows)?;
    }
    let (width, pages) = (first.width, first.pages.len());
    let page_shift = PAGE_SHIFT;
    let layout = Arc::new(RowLayout { fields: Vec::new(), tail: 0, width, page_shift });
    let starts: Vec<usize> = (0..pages).step_by(PIECE_PAGES).collect();
    let piece = |&first_page: &usize| {
        let end = pages.min(first_page + PIECE_PAGES);
        let page =
            |page: usize| directs.iter_mut().map(|direct| std::mem::take(&mut direct.pages[page])).collect();
        let pages = (first_page..end).map(page).rev().collect();
        let (shared, layout, done) = (shared.clone(), layout.clone(), Vec::new());
        Box::new(MergeDirect { shared, layout, next: first_page, pages, done, pieces: starts.len() })
            as Box<dyn Work>
    };
    Ok(starts.iter().map(piece).collect())
}

/// Merges some pages of all tasks, one after the other.
struct MergeDirect {
    shared: Arc<Aggregation>,
    layout: Arc<RowLayout>,
    /// The number of the page that is merged next.
    next: usize,
    /// That page of each task at the end, those that follow before it.
    pages: Vec<Vec<Page>>,
    done: Vec<Merged>,
    /// How many pieces of work there are in all.
    pieces: usize,
}

impl Work for MergeDirect {
    fn advance(&mut self, step: &Step<'_>) -> Result<Progress> {
        while let Some(pages) = self.pages.pop() {
            if let Some(page) = self.merge(pages)? {
                let first_word = Some((self.next as u64) << PAGE_SHIFT);
                let numbers = page.places();
                let rows = FrozenRows::of_page(&self.layout, page.rows, PAGE_GROUPS, page.reservation);
                self.done.push(Merged { rows, numbers, first_word });
            }
            self.next += 1;
            if step.expired() {
                return Ok(Progress::Yield);
            }
        }
        self.shared.piece_done(&mut self.done, self.pieces)?;
        Ok(Progress::Ready)
    }
}

impl MergeDirect {
    /// One page of the groups of all; `None` where there is none.
    fn merge(&self, pages: Vec<Page>) -> Result<Option<Page>> {
        let mut pages = pages.into_iter().filter(|page| !page.is_empty());
        let Some(mut merged) = pages.next() else { return Ok(None) };
        let width = self.layout.width;
        for mut page in pages {
            for chunk in page.places().chunks(CHUNK_ROWS) {
                let rows: Vec<*mut u8> =
                    chunk.iter().map(|&place| merged.pointer_mut(place as usize, width)).collect();
                let others: Vec<*const u8> =
                    chunk.iter().map(|&place| page.pointer_mut(place as usize, width).cast_const()).collect();
                merge_states(&self.shared, &rows, &others)?;
            }
            merged.present.iter_mut().zip(&page.present).for_each(|(word, other)| *word |= other);
        }
        Ok(Some(merged))
    }
}

/// Stands where strings would be kept: no state that keeps any is here.
pub(super) struct NoText;

impl Heap for NoText {
    fn long(&self, _: u32, _: View) -> &[u8] {
        &[]
    }
}

impl Keep for NoText {
    fn keep(&mut self, _: u32, _: &[u8]) -> Result<View> {
        Err(Error::Internal("text in a group that keeps none".into()))
    }
}
