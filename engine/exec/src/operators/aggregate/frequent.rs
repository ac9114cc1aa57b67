//! Keys so frequent that their rows are not set aside: one of them would make its partition larger than all others.

use super::Aggregation;

/// The frequent keys that a task knows of.
pub(super) struct Frequent {
    /// Words by the lowest bits of their hashes; where two would have one place, the first has it.
    words: Vec<Option<u64>>,
    is_empty: bool,
    batches: usize,
}

const PLACES: usize = 512;
/// A word is frequent where it is that of one in so many rows of a batch.
const ONE_IN: usize = 64;
/// One in so many batches is looked through for frequent words.
const BATCHES: usize = 32;
/// Where fewer than one in so many rows of a batch are frequent, it is not worth splitting.
const SPLIT_ONE_IN: usize = 8;

impl Frequent {
    pub(super) fn new() -> Frequent {
        Frequent { words: vec![None; PLACES], is_empty: true, batches: 0 }
    }

    /// The positions of a batch's rows whose words are frequent, and of the others; `None`: treat all as others.
    pub(super) fn split(&mut self, shared: &Aggregation, words: &[u64]) -> Option<(Vec<u32>, Vec<u32>)> {
        if self.batches.is_multiple_of(BATCHES) {
            self.learn(shared, words);
        }
        self.batches += 1;
        if self.is_empty {
            return None;
        }
        let (mut frequent, mut others) = (vec![0; words.len()], vec![0; words.len()]);
        let mut count = 0;
        for (row, &word) in words.iter().enumerate() {
            (frequent[count], others[row - count]) = (row as u32, row as u32);
            count += usize::from(self.words[place(shared, word)] == Some(word));
        }
        if count * SPLIT_ONE_IN < words.len() {
            return None;
        }
        others.truncate(words.len() - count);
        frequent.truncate(count);
        Some((frequent, others))
    }

    fn learn(&mut self, shared: &Aggregation, words: &[u64]) {
        let mut sorted = words.to_vec();
        sorted.sort_unstable();
        let runs = sorted.chunk_by(|a, b| a == b);
        for run in runs.filter(|run| run.len() > 1 && run.len() * ONE_IN >= words.len()) {
            self.words[place(shared, run[0])].get_or_insert(run[0]);
            self.is_empty = false;
        }
    }
}

#[inline(always)]
fn place(shared: &Aggregation, word: u64) -> usize {
    shared.hash_of(word) as usize % PLACES
}
