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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::places::{self, Places};
    use crate::text::TextToken;
    use proptest::prelude::*;

    proptest! {
        /// Any codes: of symbols, past the table's end, escaped bytes, escapes at the end of a text.
        #[test]
        fn codes_are_answered_as_what_they_decode_to(
            symbols in prop::collection::vec("[ab]{1,8}", 1..6),
            texts in prop::collection::vec(
                prop::collection::vec(prop_oneof![6 => 0..6_u8, 2 => Just(ESCAPE), 1 => Just(b'a'), 1 => Just(b'b')], 0..12),
                1..12,
            ),
            pattern in prop::sample::select(
                &["%a%b%", "%abba%", "a%", "ab_%", "%b", "%aaabbb%", "ab", "%", "", "%a_b%", "%ab%ba%aab%"],
            ),
            negated: bool,
            shift in 0..7_usize,
        ) {
            let words: Vec<u64> = symbols
                .iter()
                .map(|symbol| {
                    let mut word = [0; 8];
                    word[..symbol.len()].copy_from_slice(symbol.as_bytes());
                    u64::from_le_bytes(word)
                })
                .collect();
            let lens: Vec<u8> = symbols.iter().map(|symbol| symbol.len() as u8).collect();
            let table = SymbolTable::new(&words, &lens);
            let token = |byte| match byte {
                b'%' => TextToken::Run,
                b'_' => TextToken::Character,
                byte => TextToken::Byte(byte),
            };
            let automaton = TextAutomaton::of_sequences(&[pattern.bytes().map(token).collect()], false).unwrap();
            let automaton = if negated { automaton.inverted() } else { automaton };

            // The texts over and over, some of them longer than a word of marks.
            let rows: Vec<Vec<u8>> =
                (0..700).map(|row| texts[row % texts.len()].repeat(if row % 97 == 5 { 9 } else { 1 })).collect();
            let starts: Vec<u32> = std::iter::once(0)
                .chain(rows.iter().scan(0, |end, row| {
                    *end += row.len() as u32;
                    Some(*end)
                }))
                .collect();
            let (bytes, wide) = places::encode(&starts);
            let places = Places::new(bytes, starts.len(), wide).unwrap();
            let bytes = [rows.concat(), vec![0; 16]].concat();
            let alive = Bitmap::from_fn(rows.len(), |row| row % 7 != shift);
            let expected = Bitmap::from_fn(rows.len(), |row| {
                let mut text = Vec::new();
                table.decode(&rows[row], &mut text);
                automaton.accepts(&text)
            });
            for alive in [None, Some(&alive)] {
                let texts = Texts { places: &places, bytes: &bytes, rows: rows.len(), alive };
                let steps = steps(&automaton, &table);
                let mut searches = vec![Search::All, Search::FirstCode];
                searches.extend(needed_codes(&automaton, &steps, &texts).map(Search::Codes));
                for (index, search) in searches.iter().enumerate() {
                    let found = steps.filter(&texts, search);
                    for row in (0..rows.len()).filter(|&row| alive.is_none_or(|alive| alive.get(row))) {
                        prop_assert_eq!(found.get(row), expected.get(row), "row {}, search {}", row, index);
                    }
                }
            }
        }
    }
}
