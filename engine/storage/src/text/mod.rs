//! Tests of text as deterministic automata over its bytes: encodings run them on what they hold, without making
//! text of it first.
//!
//! A pattern is built into an automaton once ([`TextAutomaton::of_sequences`]); automata can be negated and combined.
//! Text is taken to be UTF-8; other bytes give some answer.

mod build;

use crate::predicate::{CompareOp, Test};
use crate::zone::Verdict;
use columnar::{Bitmap, Scalar, Views};
use memchr::memmem::Finder;

/// A part of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextToken {
    Byte(u8),
    /// Any one character of UTF-8.
    Character,
    /// Any bytes, or none.
    Run,
}

/// The states that an automaton may have: with as many again for escapes, their numbers fit a byte.
const MAX_STATES: usize = 120;

/// A test of text that reads it byte by byte, keeping one of a few states. The first is that of empty text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextAutomaton {
    /// The state after a state and a byte.
    pub(crate) next: Vec<[u8; 256]>,
    /// Whether text that ends in a state passes.
    pub(crate) accepting: Vec<bool>,
    /// Whether nothing that follows changes that.
    pub(crate) settled: Vec<bool>,
    /// Bytes from a state to the nearest one that accepts otherwise than the first does; `u8::MAX` where none can
    /// be reached.
    pub(crate) distance: Vec<u8>,
    /// What all text holds that is accepted otherwise than empty text is; two bytes or more.
    pub(crate) literal: Option<Vec<u8>>,
}

impl TextAutomaton {
    /// Passes text that any of `sequences` describes from its start to its end; `None` where that takes too many
    /// states. With `fold`, text is compared in lower case to sequences that are; only sequences of ASCII without
    /// [`TextToken::Character`] are built then.
    pub fn of_sequences(sequences: &[Vec<TextToken>], fold: bool) -> Option<TextAutomaton> {
        let literal = match sequences {
            [sequence] if !fold => longest_literal(sequence),
            _ => None,
        };
        let (next, accepting) = build::of_sequences(sequences, fold)?;
        Some(TextAutomaton { literal, ..TextAutomaton::new(next, accepting) })
    }

    /// Passes text that compares so to `bytes`; `None` where they are too many.
    pub fn compared(op: CompareOp, bytes: &[u8]) -> Option<TextAutomaton> {
        let (next, accepting) = build::compared(op, bytes)?;
        Some(TextAutomaton::new(next, accepting))
    }

    /// What text columns are asked by `test`, if it can be said by an automaton.
    pub(crate) fn of_test(test: &Test) -> Option<TextAutomaton> {
        match test {
            Test::Compare(op, Scalar::Bytes(bytes)) => TextAutomaton::compared(*op, bytes),
            Test::Between(Scalar::Bytes(low), Scalar::Bytes(high)) => {
                let above = TextAutomaton::compared(CompareOp::GreaterOrEqual, low)?;
                above.and(&TextAutomaton::compared(CompareOp::LessOrEqual, high)?)
            }
            Test::OrNull(test) => TextAutomaton::of_test(test),
            Test::In(scalars) => {
                let sequence = |scalar: &Scalar| match scalar {
                    Scalar::Bytes(bytes) => {
                        Some(bytes.iter().map(|&byte| TextToken::Byte(byte)).collect::<Vec<_>>())
                    }
                    _ => None,
                };
                TextAutomaton::of_sequences(&scalars.iter().filter_map(sequence).collect::<Vec<_>>(), false)
            }
            _ => None,
        }
    }

    /// Passes what this one does not.
    pub fn inverted(mut self) -> TextAutomaton {
        self.accepting.iter_mut().for_each(|accepting| *accepting = !*accepting);
        self
    }

    /// Passes what both do; `None` where that takes too many states.
    pub fn and(&self, other: &TextAutomaton) -> Option<TextAutomaton> {
        self.combined(other, true)
    }

    /// Passes what one of both does; `None` where that takes too many states.
    pub fn or(&self, other: &TextAutomaton) -> Option<TextAutomaton> {
        self.combined(other, false)
    }

    fn combined(&self, other: &TextAutomaton, both: bool) -> Option<TextAutomaton> {
        let (next, accepting) = build::combined(self, other, both)?;
        Some(TextAutomaton::new(next, accepting))
    }

    /// An automaton without a literal.
    fn new(next: Vec<[u8; 256]>, accepting: Vec<bool>) -> TextAutomaton {
        let followers: Vec<Vec<u8>> = next.iter().map(followers).collect();
        let to_passing = distances(&followers, |state| accepting[state]);
        let to_failing = distances(&followers, |state| !accepting[state]);
        let settled = to_passing.iter().zip(&to_failing).map(|(a, b)| *a.max(b) == u8::MAX).collect();
        let distance = if accepting[0] { to_failing } else { to_passing };
        TextAutomaton { next, accepting, settled, distance, literal: None }
    }

    /// Whether text passes.
    pub fn accepts(&self, text: &[u8]) -> bool {
        self.accepting[usize::from(self.run(0, text))]
    }

    /// The state after `text`, or a settled one on the way.
    fn run(&self, start: u8, text: &[u8]) -> u8 {
        let mut state = start;
        for &byte in text {
            if self.settled[usize::from(state)] {
                break;
            }
            state = self.next[usize::from(state)][usize::from(byte)];
        }
        state
    }

    /// A bit a text, set where it passes.
    pub(crate) fn test(&self, views: &Views) -> Bitmap {
        match &self.literal {
            Some(literal) => {
                let finder = Finder::new(literal);
                Bitmap::from_fn(views.len(), |row| {
                    let text = views.get(row);
                    if finder.find(text).is_some() { self.accepts(text) } else { self.accepting[0] }
                })
            }
            None => Bitmap::from_fn(views.len(), |row| self.accepts(views.get(row))),
        }
    }

    /// How many of the texts from `min` to `max` pass, as far as it is proven: each begins as both bounds do, and
    /// goes on with a byte in between or ends there.
    pub(crate) fn judge(&self, min: &[u8], max: &[u8]) -> Verdict {
        let shared = min.iter().zip(max).take_while(|(a, b)| a == b).count();
        let state = usize::from(self.run(0, &min[..shared]));
        let (low, high) = (min.get(shared), max.get(shared));
        if high.is_none() && low.is_some() {
            return Verdict::Unknown;
        }
        let all = |passing: bool| {
            let agrees = |state: usize| self.accepting[state] == passing;
            let mut following = high.into_iter().flat_map(|&high| low.map_or(0, |&low| low)..=high);
            (low.is_some() || agrees(state))
                && following.all(|byte| {
                    let next = usize::from(self.next[state][usize::from(byte)]);
                    self.settled[next] && agrees(next)
                })
        };
        match (all(false), all(true)) {
            (true, _) => Verdict::None,
            (_, true) => Verdict::All,
            _ => Verdict::Unknown,
        }
    }
}

/// The states that a state leads to, each once.
fn followers(next: &[u8; 256]) -> Vec<u8> {
    let mut states = next.to_vec();
    // Neighbours mostly lead to one state: less to sort.
    states.dedup();
    states.sort_unstable();
    states.dedup();
    states
}

/// Bytes from each state to the nearest one among `targets`; `u8::MAX` where none can be reached.
fn distances(followers: &[Vec<u8>], target: impl Fn(usize) -> bool) -> Vec<u8> {
    let start = |state| if target(state) { 0 } else { u8::MAX };
    let mut distances: Vec<u8> = (0..followers.len()).map(start).collect();
    loop {
        let mut changed = false;
        for state in (0..followers.len()).rev() {
            let nearest = followers[state].iter().map(|&next| distances[usize::from(next)]).min();
            let through = nearest.unwrap_or(u8::MAX).saturating_add(1);
            if through < distances[state] {
                distances[state] = through;
                changed = true;
            }
        }
        if !changed {
            return distances;
        }
    }
}

/// The longest stretch of bytes that a sequence asks for; none of less than two.
fn longest_literal(sequence: &[TextToken]) -> Option<Vec<u8>> {
    let stretches = sequence.split(|token| !matches!(token, TextToken::Byte(_)));
    let longest = stretches.max_by_key(|stretch| stretch.len()).filter(|stretch| stretch.len() > 1)?;
    let byte = |token: &TextToken| match token {
        TextToken::Byte(byte) => Some(*byte),
        _ => None,
    };
    Some(longest.iter().filter_map(byte).collect())
}

#[cfg(test)]
mod tests;
