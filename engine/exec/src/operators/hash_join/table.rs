//! From the word of a key to rows: an array over words that lie dense, or a directory of hashes.
//!
//! Rows of one slot form a chain through their headers (Leis et al. 2014). A slot of the directory also holds
//! 16 tag bits, one of which each of its rows has set, so that most keys that are not there are turned away
//! without touching a row.

use super::{NEXT, UNREACHABLE, WORD};
use crate::hash::hash_word;
use crate::memory::Reservation;
use crate::pages::FrozenRows;
use crate::runtime::disturb::give_way;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};

/// What the probe looks things up in.
pub(super) struct JoinTable {
    pub(super) rows: FrozenRows,
    pub(super) index: Arc<Index>,
    /// A bit a row number: whether the row has matched. Empty unless the kind asks.
    pub(super) matched: Vec<AtomicU64>,
    pub(super) _reservation: Reservation,
}

/// Built by several workers at once: rows of one key lie in one partition, and partitions of a directory are
/// disjoint ranges of slots, so no two workers write one slot. The order of plain loads and stores is settled
/// by the runtime, which starts the probe after the build.
pub(super) enum Index {
    /// No keys: every row matches.
    Everything,
    /// A slot for each word of the pages where there are any: the number of a row plus one, or 0.
    Direct { pages: Pages, slots: Vec<AtomicU32>, chained: AtomicBool },
    /// By the top bits of the hash: the number of a row plus one in the low half, tags in the top 16 bits.
    Hashed { shift: u32, slots: Vec<AtomicU64>, packed: bool },
}

/// Zeroed slots without touching their memory.
fn zeroed_u64(len: usize) -> Vec<AtomicU64> {
    let mut zeros = std::mem::ManuallyDrop::new(vec![0_u64; len]);
    // SAFETY: `AtomicU64` has the size and alignment of `u64` on the 64-bit targets this runs on, and the
    // allocation is given up by its first owner.
    unsafe { Vec::from_raw_parts(zeros.as_mut_ptr().cast(), zeros.len(), zeros.capacity()) }
}

fn zeroed_u32(len: usize) -> Vec<AtomicU32> {
    let mut zeros = std::mem::ManuallyDrop::new(vec![0_u32; len]);
    // SAFETY: as in `zeroed_u64`.
    unsafe { Vec::from_raw_parts(zeros.as_mut_ptr().cast(), zeros.len(), zeros.capacity()) }
}

/// Words a page, as a power of two.
const PAGE_SHIFT: u32 = 12;
const PAGE_WORDS: usize = 1 << PAGE_SHIFT;
/// Pages whose use is noted; of words beyond them nothing but the bounds is.
const NOTED_PAGES: usize = 1 << 16;

/// The words of the rows that were built of.
#[derive(Default)]
pub(super) struct Words {
    /// The least and the largest.
    bounds: Option<(u64, u64)>,
    /// A bit a page: whether any word is on it.
    used: Vec<u64>,
}

impl Words {
    pub(super) fn is_empty(&self) -> bool {
        self.bounds.is_none()
    }

    #[inline(always)]
    pub(super) fn add(&mut self, word: u64) {
        let (least, most) = self.bounds.unwrap_or((word, word));
        self.bounds = Some((least.min(word), most.max(word)));
        let page = word >> PAGE_SHIFT;
        if page < NOTED_PAGES as u64 {
            let place = page as usize / 64;
            if place >= self.used.len() {
                self.used.resize(place + 1, 0);
            }
            self.used[place] |= 1 << (page % 64);
        }
    }

    pub(super) fn merge(mut self, other: &Words) -> Words {
        self.bounds = match (self.bounds, other.bounds) {
            (Some(own), Some(other)) => Some((own.0.min(other.0), own.1.max(other.1))),
            (own, other) => own.or(other),
        };
        self.used.resize(self.used.len().max(other.used.len()), 0);
        self.used.iter_mut().zip(&other.used).for_each(|(bits, others)| *bits |= others);
        self
    }

    fn uses(&self, page: u64) -> bool {
        page >= NOTED_PAGES as u64
            || self.used.get(page as usize / 64).is_some_and(|bits| (bits >> (page % 64)) & 1 == 1)
    }
}

/// Where the slots of words are: those of each page together, of pages without words none. Words of a shard may lie in
/// the many small ranges that its slices are, and none between.
pub(super) struct Pages {
    first: u64,
    /// The place of each page, in pages.
    places: Vec<u32>,
    used: usize,
}

impl Pages {
    /// `None`: the words do not lie dense enough for `rows` rows.
    pub(super) fn of(words: &Words, rows: usize) -> Option<Pages> {
        let (least, most) = words.bounds?;
        let range = most.checked_sub(least)?.checked_add(1)?;
        let (first, last) = (least >> PAGE_SHIFT, most >> PAGE_SHIFT);
        // The list of pages must not outgrow the slots.
        if (last - first) as usize > rows + PAGE_WORDS {
            return None;
        }
        let used = (first..=last).filter(|&page| words.uses(page)).count();
        let slots = range.min((used * PAGE_WORDS) as u64);
        let dense = slots <= 4 * rows as u64 + 1024 || (slots <= 1 << 20 && slots <= 64 * rows as u64);
        let mut next = 0..;
        let mut place = |page| if words.uses(page) { next.next() } else { None }.unwrap_or(u32::MAX);
        dense.then(|| Pages { first, places: (first..=last).map(&mut place).collect(), used })
    }

    /// What they take, with all slots.
    pub(super) fn bytes(&self) -> u64 {
        4 * (self.places.len() + self.slots()) as u64
    }

    /// How many slots there are.
    fn slots(&self) -> usize {
        self.used * PAGE_WORDS
    }

    /// The slot of a word, beyond all slots if it has none.
    #[inline(always)]
    fn slot(&self, word: u64) -> usize {
        let page = (word >> PAGE_SHIFT).wrapping_sub(self.first) as usize;
        let place = self.places.get(page).copied().unwrap_or(u32::MAX);
        ((place as usize) << PAGE_SHIFT) | (word as usize % PAGE_WORDS)
    }
}

/// Slots of a directory for `rows` rows.
pub(super) fn hashed_slots(rows: usize) -> usize {
    (rows + rows / 2).next_power_of_two().max(16)
}

impl Index {
    pub(super) fn direct(pages: Pages) -> Index {
        Index::Direct { slots: zeroed_u32(pages.slots()), pages, chained: AtomicBool::new(false) }
    }

    /// `slots` is a power of two. `packed` says whether words are keys rather than their hashes.
    pub(super) fn hashed(slots: usize, packed: bool) -> Index {
        Index::Hashed { shift: 64 - slots.ilog2(), slots: zeroed_u64(slots), packed }
    }

    /// Puts a row into its chain: `row` is its address, `number` its number.
    #[inline(always)]
    pub(super) fn insert(&self, row: *mut u8, number: u32) {
        // SAFETY: rows of a join start with a word and the next row's number, and the caller owns the row.
        let (word, next) =
            unsafe { (row.add(WORD).cast::<u64>().read_unaligned(), row.add(NEXT).cast::<u32>()) };
        // SAFETY: as above.
        if unsafe { next.read_unaligned() } == UNREACHABLE {
            return;
        }
        let before = match self {
            Index::Everything => return,
            Index::Direct { pages, slots, chained } => {
                let Some(slot) = slots.get(pages.slot(word)) else { return };
                let before = slot.load(Relaxed);
                give_way(number);
                slot.store(number + 1, Relaxed);
                if before != 0 && !chained.load(Relaxed) {
                    chained.store(true, Relaxed);
                }
                before
            }
            Index::Hashed { shift, slots, packed } => {
                let hash = if *packed { hash_word(word) } else { word };
                let slot = &slots[(hash >> shift) as usize];
                let before = slot.load(Relaxed);
                give_way(number);
                let tags = before & (0xffff << 48) | tag(hash);
                slot.store(tags | u64::from(number + 1), Relaxed);
                before as u32
            }
        };
        // SAFETY: as above.
        unsafe { next.write_unaligned(before) };
    }

    /// Whether a row found through the index may have others after it.
    pub(super) fn is_chained(&self) -> bool {
        match self {
            Index::Direct { chained, .. } => chained.load(Relaxed),
            _ => true,
        }
    }

    /// The first row of each chain that may hold matches: for each position in `positions` (`None`: all)
    /// whose `words` lead anywhere, the position and the row's number are appended.
    pub(super) fn look_up(
        &self,
        words: &[u64],
        positions: Option<&[u32]>,
        found: &mut Vec<u32>,
        rows: &mut Vec<u32>,
    ) {
        match positions {
            None => self.look_up_each(words.len(), |position| position as u32, words, found, rows),
            Some(positions) => {
                self.look_up_each(positions.len(), |index| positions[index], words, found, rows);
            }
        }
    }

    #[inline(always)]
    fn look_up_each(
        &self,
        count: usize,
        position: impl Fn(usize) -> u32,
        words: &[u64],
        found: &mut Vec<u32>,
        rows: &mut Vec<u32>,
    ) {
        found.clear();
        rows.clear();
        found.resize(count, 0);
        rows.resize(count, 0);
        let mut len = 0;
        match self {
            Index::Everything => {}
            Index::Direct { pages, slots, .. } => {
                for index in 0..count {
                    let position = position(index);
                    let slot = slots.get(pages.slot(words[position as usize]));
                    let row = slot.map_or(0, |slot| slot.load(Relaxed));
                    (found[len], rows[len]) = (position, row.wrapping_sub(1));
                    len += usize::from(row != 0);
                }
            }
            Index::Hashed { shift, slots, packed } => {
                for index in 0..count {
                    let position = position(index);
                    let word = words[position as usize];
                    let hash = if *packed { hash_word(word) } else { word };
                    let entry = slots[(hash >> shift) as usize].load(Relaxed);
                    (found[len], rows[len]) = (position, (entry as u32).wrapping_sub(1));
                    len += usize::from(entry & tag(hash) != 0);
                }
            }
        }
        found.truncate(len);
        rows.truncate(len);
    }
}

/// The bit that stands for a hash among a slot's tags; by bits that choose no slot.
#[inline(always)]
fn tag(hash: u64) -> u64 {
    1 << (48 + (hash & 15))
}

/// The word in the header of a row.
#[inline(always)]
pub(super) fn word_of(row: *const u8) -> u64 {
    // SAFETY: `row` is the address of a row of a join's layout.
    unsafe { row.add(WORD).cast::<u64>().read_unaligned() }
}

/// The next row of the chain plus one, or 0.
#[inline(always)]
pub(super) fn next_of(row: *const u8) -> u32 {
    // SAFETY: as in `word_of`.
    unsafe { row.add(NEXT).cast::<u32>().read_unaligned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(of: impl IntoIterator<Item = u64>) -> Words {
        let mut words = Words::default();
        of.into_iter().for_each(|word| words.add(word));
        words
    }

    /// As a shard has them that was dealt every eighth slice.
    fn scattered() -> impl Iterator<Item = u64> {
        (0..8).flat_map(|slice| slice * 250_000 + 7..slice * 250_000 + 31_250)
    }

    #[test]
    fn words_in_small_ranges_far_apart_are_dense() {
        let pages = Pages::of(&words(scattered()), 80_000).unwrap();
        assert!(pages.slots() < 300_000, "{}", pages.slots());
        let mut slots: Vec<usize> = scattered().map(|word| pages.slot(word)).collect();
        assert!(slots.iter().all(|&slot| slot < pages.slots()));
        slots.sort();
        assert!(slots.windows(2).all(|pair| pair[0] < pair[1]));
        for word in [100_000, 1_900_000, 2_000_000_000, u64::MAX] {
            assert!(pages.slot(word) >= pages.slots(), "{word}");
        }
        assert!(Pages::of(&words(scattered()), 1_000).is_none());
    }

    #[test]
    fn what_tasks_have_adds_up() {
        let (low, high) = (|| words(0..5_000), || words(90_000..91_000));
        for both in [low().merge(&high()), high().merge(&low())] {
            let pages = Pages::of(&both, 6_000).unwrap();
            assert_eq!(pages.slots(), 4 * PAGE_WORDS);
            assert!((0..5_000).chain(90_000..91_000).all(|word| pages.slot(word) < pages.slots()));
        }
        assert!(words([]).merge(&words([])).is_empty());
        assert!(Pages::of(&words([]), 0).is_none());
    }

    #[test]
    fn words_beyond_the_noted_pages_are_as_dense_as_their_range() {
        let far = (NOTED_PAGES * PAGE_WORDS) as u64;
        let pages = Pages::of(&words(far + 10..far + 20_000), 20_000).unwrap();
        assert!((far + 10..far + 20_000).all(|word| pages.slot(word) < pages.slots()));
        // Across the end of what is noted, and from one end of all words to the other.
        let pages = Pages::of(&words(far - 5_000..far + 5_000), 10_000).unwrap();
        assert!((far - 5_000..far + 5_000).all(|word| pages.slot(word) < pages.slots()));
        assert!(Pages::of(&words([0, u64::MAX]), 2).is_none());
        assert!(Pages::of(&words([1, u64::MAX]), 1 << 30).is_none());
    }
}
