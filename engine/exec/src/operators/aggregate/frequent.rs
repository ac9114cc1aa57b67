//! Keys so frequent that their rows are not set aside: one of them would make its partition larger than all others.

use super::Aggregation;

/// Words of keys, in a small table by their hashes.
pub(super) struct Frequent {
    slots: [Option<u64>; SLOTS],
    /// Whether a word of a hash that begins in that slot is frequent.
    begins: [bool; SLOTS],
    count: usize,
    batches: usize,
}

const SLOTS: usize = 256;
/// The most words.
const WORDS: usize = 64;
/// A word is frequent where it is that of one in so many rows of a batch.
const ONE_IN: usize = 64;
/// One in so many batches is looked through for frequent words.
const BATCHES: usize = 32;
/// Where fewer than one in so many rows of a batch are frequent, it is not worth splitting.
const SPLIT_ONE_IN: usize = 8;

impl Frequent {
    pub(super) fn new() -> Frequent {
        Frequent { slots: [None; SLOTS], begins: [false; SLOTS], count: 0, batches: 0 }
    }

    /// The positions of a batch's rows whose words are frequent, and of the others; `None`: treat all as others.
    pub(super) fn split(&mut self, shared: &Aggregation, words: &[u64]) -> Option<(Vec<u32>, Vec<u32>)> {
        if self.batches.is_multiple_of(BATCHES) {
            self.learn(shared, words);
        }
        self.batches += 1;
        if self.count == 0 {
            return None;
        }
        let slot_of = |&word: &u64| shared.hash_of(word) as usize % SLOTS;
        let likely = words.iter().filter(|word| self.begins[slot_of(word)]).count();
        if likely * SPLIT_ONE_IN < words.len() {
            return None;
        }
        let (mut frequent, mut others) = (Vec::with_capacity(likely), Vec::with_capacity(words.len()));
        for (position, &word) in words.iter().enumerate() {
            let is_frequent = self.slots[self.seek(shared, word)].is_some();
            (if is_frequent { &mut frequent } else { &mut others }).push(position as u32);
        }
        Some((frequent, others))
    }

    fn learn(&mut self, shared: &Aggregation, words: &[u64]) {
        let mut sorted = words.to_vec();
        sorted.sort_unstable();
        for run in
            sorted.chunk_by(|a, b| a == b).filter(|run| run.len() > 1 && run.len() * ONE_IN >= words.len())
        {
            let slot = self.seek(shared, run[0]);
            if self.slots[slot].is_none() && self.count < WORDS {
                self.slots[slot] = Some(run[0]);
                self.begins[shared.hash_of(run[0]) as usize % SLOTS] = true;
                self.count += 1;
            }
        }
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
