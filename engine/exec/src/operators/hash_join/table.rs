//! From the word of a key to rows: an array over a small domain, or a directory of hashes.
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
    /// A slot for each word from `base` on: the number of a row plus one, or 0.
    Direct { base: u64, slots: Vec<AtomicU32>, chained: AtomicBool },
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

/// Slots for the words seen, `least ..= most`: an array where they lie dense enough.
pub(super) fn direct_slots(rows: usize, least: u64, most: u64) -> Option<usize> {
    let range = most.checked_sub(least)?.checked_add(1)?;
    (range <= 4 * rows as u64 + 1024 || (range <= 1 << 20 && range <= 64 * rows as u64))
        .then_some(range as usize)
}

/// Slots of a directory for `rows` rows.
pub(super) fn hashed_slots(rows: usize) -> usize {
    (rows + rows / 2).next_power_of_two().max(16)
}

impl Index {
    pub(super) fn direct(base: u64, slots: usize) -> Index {
        Index::Direct { base, slots: zeroed_u32(slots), chained: AtomicBool::new(false) }
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
            Index::Direct { base, slots, chained } => {
                let Some(slot) = slots.get(word.wrapping_sub(*base) as usize) else { return };
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
            Index::Direct { base, slots, .. } => {
                for index in 0..count {
                    let position = position(index);
                    let slot = words[position as usize].wrapping_sub(*base) as usize;
                    let row = slots.get(slot).map_or(0, |slot| slot.load(Relaxed));
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
