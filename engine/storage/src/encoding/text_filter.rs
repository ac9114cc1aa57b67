//! Running an automaton, over bytes or over codes that stand for several, on the texts of a block. The chain of loads of
//! one text waits for itself, so several are run side by side; where something cheaper tells that most texts need not be
//! run, it is asked first.

use super::places::Places;
use crate::kernels::{pack, within_words};
use crate::text::TextAutomaton;
use columnar::{Bitmap, kernel};
use memchr::memmem::Finder;

/// Texts that are run side by side, and codes of each that are read at a time.
const LANES: usize = 8;
const STRIDE: usize = 4;
/// Texts that are looked at together: a whole number of bitmap words.
const CHUNK: usize = 512;
/// Texts of this many codes or more count as equally long.
const LONG: usize = 64;
/// Texts looked at to tell whether the first code decides most.
const SAMPLE: usize = 256;
/// The most codes that texts are searched for.
pub(super) const MOST_CODES: usize = 8;

/// The texts of a block as they are held.
#[derive(Clone, Copy)]
pub(super) struct Texts<'a> {
    pub places: &'a Places,
    pub bytes: &'a [u8],
    pub rows: usize,
    /// The rows whose answer matters; `None`: all.
    pub alive: Option<&'a Bitmap>,
}

/// The state after each state and code, and what the states mean. The first is that of empty text.
pub(super) struct Steps {
    /// The states, times 256, by state and code.
    next: Box<[u16; 1 << 16]>,
    /// Whether text that ends there passes.
    accepting: [bool; 256],
    /// Whether nothing that follows changes that.
    settled: [bool; 256],
}

/// How the texts are found that need to be run: the others are answered as empty text is, or by their first code.
pub(super) enum Search<'a> {
    All,
    FirstCode,
    /// Those that hold one of these codes, [`MOST_CODES`] at most.
    Codes(Vec<u8>),
    /// Those that hold this.
    Literal(Finder<'a>),
}

/// Some texts on their way through a filter.
struct Chunk<'a> {
    bytes: &'a [u8],
    /// Where each text starts, and the last one ends.
    starts: &'a [u32],
    /// 1 where a text passes, as far as is known.
    passes: &'a mut [u8; CHUNK],
    /// The texts to run.
    open: &'a mut Vec<u16>,
}

impl Texts<'_> {
    /// How many rows matter.
    pub(super) fn count(&self) -> usize {
        self.alive.map_or(self.rows, Bitmap::count_ones)
    }

    pub(super) fn are_mostly_alive(&self) -> bool {
        2 * self.count() >= self.rows
    }
}

impl Steps {
    pub(super) fn new() -> Steps {
        let next = vec![0; 1 << 16].into_boxed_slice().try_into();
        let next = next.unwrap_or_else(|_| Box::new([0; 1 << 16]));
        Steps { next, accepting: [false; 256], settled: [false; 256] }
    }

    /// Those of an automaton on bytes.
    pub(super) fn of(automaton: &TextAutomaton) -> Steps {
        let mut steps = Steps::new();
        for (state, next) in automaton.next.iter().enumerate() {
            steps.set_state(state, automaton.accepting[state], automaton.settled[state]);
            next.iter().enumerate().for_each(|(byte, &next)| steps.set(state, byte as u8, next.into()));
        }
        steps
    }

    /// Says what a state below 256 means.
    pub(super) fn set_state(&mut self, state: usize, accepting: bool, settled: bool) {
        self.accepting[state] = accepting;
        self.settled[state] = settled;
    }

    /// Leads from one state to another.
    pub(super) fn set(&mut self, state: usize, code: u8, next: usize) {
        self.next[state << 8 | usize::from(code)] = (next << 8) as u16;
    }

    pub(super) fn get(&self, state: usize, code: u8) -> usize {
        usize::from(self.next[state << 8 | usize::from(code)] >> 8)
    }

    /// A bit a row, set where the text passes.
    pub(super) fn filter(&self, texts: &Texts<'_>, search: &Search<'_>) -> Bitmap {
        let mut words = vec![0_u64; texts.rows.div_ceil(64)];
        let (mut starts, mut open) = ([0; CHUNK + 1], Vec::with_capacity(CHUNK));
        for (index, words) in words.chunks_mut(CHUNK / 64).enumerate() {
            let first = index * CHUNK;
            let alive = texts.alive.map(|alive| &alive.words()[first / 64..first / 64 + words.len()]);
            if alive.is_some_and(|alive| alive.iter().all(|&word| word == 0)) {
                continue;
            }
            let rows = CHUNK.min(texts.rows - first);
            let starts = &mut starts[..=rows];
            texts.places.starts(first, starts);
            let mut passes = [u8::from(self.accepting[0]); CHUNK];
            open.clear();
            let mut chunk = Chunk { bytes: texts.bytes, starts, passes: &mut passes, open: &mut open };
            match search {
                Search::All => chunk.open.extend(0..rows as u16),
                Search::FirstCode => chunk.decide_by_first(self),
                Search::Codes(codes) => chunk.open_with_codes(codes),
                Search::Literal(finder) => chunk.open_with_literal(finder),
            }
            if let Some(alive) = alive {
                chunk.open.retain(|&row| alive[usize::from(row) / 64] >> (row % 64) & 1 == 1);
            }
            chunk.run(self);
            let (bytes, _) = passes.as_chunks::<64>();
            words.iter_mut().zip(bytes).for_each(|(word, bytes)| *word = pack(bytes));
        }
        Bitmap::from_words(words, texts.rows)
    }

    /// Whether the first code of most texts decides.
    pub(super) fn first_code_decides(&self, texts: &Texts<'_>) -> bool {
        if !(0..=u8::MAX).any(|code| self.settled[self.get(0, code)]) {
            return false;
        }
        let picked = (0..texts.rows).step_by(texts.rows.div_ceil(SAMPLE).max(1));
        let decided = picked.clone().filter(|&row| {
            let start = texts.places.start(row);
            let code = texts.bytes.get(start).filter(|_| start < texts.places.start(row + 1));
            self.settled[code.map_or(0, |&code| self.get(0, code))]
        });
        4 * decided.count() > 3 * picked.count()
    }
}

impl Chunk<'_> {
    /// A text's start and length; within the bytes, whatever a page that was lost says of it.
    #[inline(always)]
    fn stretch(&self, row: usize) -> (usize, usize) {
        let end = (self.starts[row + 1] as usize).min(self.bytes.len());
        let start = (self.starts[row] as usize).min(end);
        (start, end - start)
    }

    /// Opens the texts that their first code does not decide.
    fn decide_by_first(&mut self, steps: &Steps) {
        let mut open = [0; CHUNK];
        let mut count = 0;
        for row in 0..self.starts.len() - 1 {
            let (start, len) = self.stretch(row);
            let state = if len > 0 { steps.get(0, self.bytes[start]) } else { 0 };
            self.passes[row] = u8::from(steps.accepting[state]);
            open[count] = row as u16;
            count += usize::from(!steps.settled[state]);
        }
        self.open.extend_from_slice(&open[..count]);
    }

    /// Opens the texts that hold one of some codes.
    fn open_with_codes(&mut self, codes: &[u8]) {
        let rows = self.starts.len() - 1;
        let base = self.stretch(0).0;
        let end = self.stretch(rows - 1);
        let ranges: Vec<(u8, u8)> = codes.iter().map(|&code| (code, 0)).collect();
        let mut marks = within_words(&self.bytes[base..(end.0 + end.1).max(base)], &ranges);
        // Bits are taken from two words at a time.
        marks.push(0);
        let mut open = [0; CHUNK];
        let mut count = 0;
        for row in 0..rows {
            let (start, len) = self.stretch(row);
            open[count] = row as u16;
            count += usize::from(any(&marks, start.saturating_sub(base), len));
        }
        self.open.extend_from_slice(&open[..count]);
    }

    /// Opens the texts that hold a literal, which is looked for in all of them at once.
    fn open_with_literal(&mut self, finder: &Finder<'_>) {
        let rows = self.starts.len() - 1;
        let (mut row, mut from) = (0, self.stretch(0).0);
        let (last, len) = self.stretch(rows - 1);
        let end = last + len;
        while let Some(at) = self.bytes.get(from..end).and_then(|bytes| finder.find(bytes)) {
            let at = from + at;
            while row < rows && self.starts[row + 1] as usize <= at {
                row += 1;
            }
            if row == rows {
                return;
            }
            let text_end = self.starts[row + 1] as usize;
            match at + finder.needle().len() <= text_end {
                true => {
                    self.open.push(row as u16);
                    (row, from) = (row + 1, text_end);
                    if row == rows {
                        return;
                    }
                }
                // It lies across two texts.
                false => from = at + 1,
            }
        }
    }

    /// Runs the open texts, those of one length together.
    fn run(&mut self, steps: &Steps) {
        let mut ends = [0_u16; LONG + 1];
        for &row in &*self.open {
            ends[self.stretch(row.into()).1.min(LONG)] += 1;
        }
        let mut total = 0;
        for end in &mut ends {
            (total, *end) = (total + *end, total);
        }
        let mut sorted = [(0, 0, 0); CHUNK];
        for &row in &*self.open {
            let (start, len) = self.stretch(row.into());
            let end = &mut ends[len.min(LONG)];
            sorted[usize::from(*end)] = (row, start as u32, len as u32);
            *end += 1;
        }
        let count = self.open.len().next_multiple_of(LANES);
        let mut states = [0; CHUNK];
        last_states(&steps.next, &steps.settled, self.bytes, &sorted[..count], &mut states[..count]);
        for ((row, ..), state) in sorted[..self.open.len()].iter().zip(states) {
            self.passes[usize::from(*row)] = u8::from(steps.accepting[usize::from(state >> 8)]);
        }
    }
}

kernel! {
    /// The state, times 256, that each text (a row, where it starts, how long it is) ends in, or a settled one on
    /// the way.
    fn last_states(
        next: &[u16; 1 << 16],
        settled: &[bool; 256],
        bytes: &[u8],
        texts: &[(u16, u32, u32)],
        states: &mut [u16],
    ) {
        let (texts, _) = texts.as_chunks::<LANES>();
        let (states, _) = states.as_chunks_mut::<LANES>();
        for (texts, last) in texts.iter().zip(states) {
            let lens = texts.map(|(.., len)| len as usize);
            let rests = texts.map(|(_, start, len)| &bytes[start as usize..start as usize + len as usize]);
            let shortest = lens.into_iter().fold(usize::MAX, usize::min);
            let longest = lens.into_iter().fold(0, usize::max);
            let mut now = [0_u16; LANES];
            let mut at = 0;
            while at + STRIDE <= shortest {
                for (now, text) in now.iter_mut().zip(&rests) {
                    if let Some(codes) = text[at..].first_chunk::<STRIDE>() {
                        for &code in codes {
                            *now = next[usize::from(*now | u16::from(code))];
                        }
                    }
                }
                at += STRIDE;
                if now.iter().all(|&state| settled[usize::from(state >> 8)]) {
                    at = longest;
                }
            }
            while at < longest {
                for (now, text) in now.iter_mut().zip(&rests) {
                    if let Some(&code) = text.get(at) {
                        *now = next[usize::from(*now | u16::from(code))];
                    }
                }
                at += 1;
            }
            *last = now;
        }
    }
}

/// Whether a mark is set among `len` from `start` on.
#[inline(always)]
fn any(marks: &[u64], mut start: usize, mut len: usize) -> bool {
    while len > 0 {
        let (word, shift) = (start / 64, start % 64);
        let (Some(low), Some(high)) = (marks.get(word), marks.get(word + 1)) else { return false };
        let looked = len.min(64);
        let found = (low >> shift | high << 1 << (63 - shift)) << (64 - looked) != 0;
        if found || len <= 64 {
            return found;
        }
        (start, len) = (start + looked, len - looked);
    }
    false
}
