//! Tests of text on the codes of FSST: an automaton's steps over bytes become steps over codes, and where a few codes
//! of the block stand between it and another answer, only rows that hold one of them are run.

use super::fsst::{ESCAPE, SymbolTable};
use super::text_filter::{MOST_CODES, Search, Steps, Texts};
use crate::text::TextAutomaton;
use columnar::Bitmap;

/// The steps of a state take as long as decoding about so many texts.
const ROWS_A_STATE: usize = 32;
/// Codes looked at to tell how frequent each is, and how many of them lie together.
const SAMPLE: usize = 4096;
const TOGETHER: usize = 256;

/// A bit a row, set where the text passes; `None` where there are too few texts for the steps to pay.
pub(super) fn filter(automaton: &TextAutomaton, table: &SymbolTable, texts: &Texts<'_>) -> Option<Bitmap> {
    if texts.count() < ROWS_A_STATE * automaton.next.len() {
        return None;
    }
    let steps = steps(automaton, table);
    let search = match steps.first_code_decides(texts) {
        true => Search::FirstCode,
        false if texts.are_mostly_alive() => {
            needed_codes(automaton, &steps, texts).map_or(Search::All, Search::Codes)
        }
        false => Search::All,
    };
    Some(steps.filter(texts, &search))
}

/// Steps over codes. An escape leads from state `s` to `s` plus the number of states, where a byte stands for
/// itself; text that ends there ends as in `s`.
fn steps(automaton: &TextAutomaton, table: &SymbolTable) -> Steps {
    let states = automaton.next.len();
    let mut steps = Steps::new();
    let mut reached = vec![0_u8; states];
    for code in 0..ESCAPE {
        reached.iter_mut().enumerate().for_each(|(state, reached)| *reached = state as u8);
        let (symbol, len) = table.symbol(code);
        for &byte in &symbol[..len] {
            for state in &mut reached {
                *state = automaton.next[usize::from(*state)][usize::from(byte)];
            }
        }
        reached.iter().enumerate().for_each(|(state, &next)| steps.set(state, code, next.into()));
    }
    for state in 0..states {
        let (accepting, settled) = (automaton.accepting[state], automaton.settled[state]);
        steps.set_state(state, accepting, settled);
        steps.set_state(states + state, accepting, settled);
        steps.set(state, ESCAPE, states + state);
        for byte in 0..=u8::MAX {
            steps.set(states + state, byte, automaton.next[state][usize::from(byte)].into());
        }
    }
    steps
}

/// A few rare codes of which all text that is accepted otherwise than empty text holds one; `None` where there are
/// none such.
///
/// On its way from the first state to one that accepts otherwise, text comes from states that are `d` bytes or more
/// away from those to states that are nearer. For every `d` the codes that can do so are such codes.
fn needed_codes(automaton: &TextAutomaton, steps: &Steps, texts: &Texts<'_>) -> Option<Vec<u8>> {
    let states = automaton.next.len();
    let first = automaton.distance[0];
    if first == u8::MAX {
        return None;
    }
    // Bit `d`, set where a code crosses distance `d`.
    let mut crosses = [0_u128; 256];
    let below = |distance: u8| (1_u128 << (distance.min(first) + 1)) - 1;
    for state in 0..states {
        let from = below(automaton.distance[state]);
        for code in 0..ESCAPE {
            let to = below(automaton.distance[steps.get(state, code)]);
            crosses[usize::from(code)] |= from & !to;
        }
        for &after in &automaton.next[state] {
            crosses[usize::from(ESCAPE)] |= from & !below(automaton.distance[usize::from(after)]);
        }
    }
    let counts = frequencies(texts);
    let total: usize = counts.iter().sum();
    let rate = |codes: &Vec<u8>| codes.iter().map(|&code| counts[usize::from(code)]).sum::<usize>();
    let crossing = |distance: u8| {
        let codes = (0..=u8::MAX).filter(|&code| crosses[usize::from(code)] >> distance & 1 == 1);
        codes.collect::<Vec<u8>>()
    };
    let few = (1..=first).map(crossing).filter(|codes| codes.len() <= MOST_CODES);
    let best = few.min_by_key(|codes| (rate(codes), codes.len()))?;
    // Searching pays where it leaves out half of the rows.
    let found = rate(&best) as f64 / total.max(1) as f64 * texts.bytes.len() as f64;
    (found < texts.rows as f64 / 2.0).then_some(best)
}

/// How often each code is among some of a block.
fn frequencies(texts: &Texts<'_>) -> [usize; 256] {
    let mut counts = [0; 256];
    let stretches = texts.bytes.chunks(TOGETHER);
    let every = stretches.len().div_ceil(SAMPLE / TOGETHER).max(1);
    stretches.step_by(every).flatten().for_each(|&code| counts[usize::from(code)] += 1);
    counts
}
