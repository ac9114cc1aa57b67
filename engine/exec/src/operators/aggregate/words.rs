//! A few words of keys.

use super::Aggregation;

/// Words in a small table by their hashes.
pub(super) struct Words {
    slots: [Option<u64>; SLOTS],
    /// Whether the hash of a word begins in that slot.
    begins: [bool; SLOTS],
    count: usize,
}

const SLOTS: usize = 256;

impl Words {
    /// The most words.
    pub(super) const MOST: usize = 64;

    pub(super) fn new() -> Words {
        Words { slots: [None; SLOTS], begins: [false; SLOTS], count: 0 }
    }

    /// Adds a word, unless there are [`Words::MOST`] already.
    pub(super) fn insert(&mut self, shared: &Aggregation, word: u64) {
        let slot = self.seek(shared, word);
        if self.slots[slot].is_none() && self.count < Words::MOST {
            self.slots[slot] = Some(word);
            self.begins[shared.hash_of(word) as usize % SLOTS] = true;
            self.count += 1;
        }
    }

    #[inline(always)]
    pub(super) fn contains(&self, shared: &Aggregation, word: u64) -> bool {
        self.begins[shared.hash_of(word) as usize % SLOTS] && self.slots[self.seek(shared, word)].is_some()
    }

    /// The slot of the word, or an empty one.
    #[inline(always)]
    fn seek(&self, shared: &Aggregation, word: u64) -> usize {
        let mut slot = shared.hash_of(word) as usize % SLOTS;
        while self.slots[slot].is_some_and(|known| known != word) {
            slot = (slot + 1) % SLOTS;
        }
        slot
    }
}
