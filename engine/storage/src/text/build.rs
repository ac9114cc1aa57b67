//! Building automata: sequences by the subset construction (Rabin, Scott 1959), comparisons directly, pairs of
//! automata by their product.

use super::{MAX_STATES, TextAutomaton, TextToken};
use crate::predicate::CompareOp;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::hash::Hash;

/// The state after a state and a byte, and whether text that ends in a state passes.
type States = (Vec<[u8; 256]>, Vec<bool>);

/// States numbered in the order in which they are come to.
struct Numbered<K> {
    numbers: HashMap<K, u8>,
    keys: Vec<K>,
}

impl<K: Clone + Eq + Hash> Numbered<K> {
    /// `None` where there are too many.
    fn number(&mut self, key: K) -> Option<u8> {
        if let Some(&number) = self.numbers.get(&key) {
            return Some(number);
        }
        if self.keys.len() == MAX_STATES {
            return None;
        }
        let number = self.keys.len() as u8;
        self.keys.push(key.clone());
        self.numbers.insert(key, number);
        Some(number)
    }
}

/// The automaton of the states that `step` leads to from `start`, byte by byte.
fn explored<K: Clone + Eq + Hash>(
    start: K,
    mut step: impl FnMut(&K, &mut dyn FnMut(u8, u8, K) -> Option<()>) -> Option<()>,
    accepts: impl Fn(&K) -> bool,
) -> Option<States> {
    let mut states = Numbered { numbers: HashMap::new(), keys: Vec::new() };
    states.number(start)?;
    let mut next = Vec::new();
    while let Some(key) = states.keys.get(next.len()).cloned() {
        let mut row = [0; 256];
        step(&key, &mut |first, last, key| {
            row[first.into()..=last.into()].fill(states.number(key)?);
            Some(())
        })?;
        next.push(row);
    }
    Some((next, states.keys.iter().map(accepts).collect()))
}

/// A place within a sequence, or within a character of several bytes there.
#[derive(Default)]
struct Place {
    /// First and last byte, and the place that they lead to.
    edges: Vec<(u8, u8, u16)>,
    /// Any byte may also be passed over.
    runs: bool,
    /// The sequence ends here.
    ends: bool,
    sequence: usize,
}

#[derive(Default)]
struct Places(Vec<Place>);

impl Places {
    fn add(&mut self, sequence: usize) -> Option<u16> {
        self.0.push(Place { sequence, ..Place::default() });
        u16::try_from(self.0.len() - 1).ok()
    }

    /// A sequence's places; gives the first.
    fn sequence(&mut self, sequence: usize, tokens: &[TextToken], fold: bool) -> Option<u16> {
        const REST: (u8, u8) = (0x80, 0xbf);
        let start = self.add(sequence)?;
        let mut at = start;
        for (index, token) in tokens.iter().enumerate() {
            if *token == TextToken::Run {
                self.0[usize::from(at)].runs = true;
                continue;
            }
            let mut steps: Vec<Vec<(u8, u8)>> = Vec::new();
            match *token {
                TextToken::Byte(byte) if fold => {
                    if !byte.is_ascii() {
                        return None;
                    }
                    steps.push(vec![(byte, byte)]);
                    if byte.is_ascii_lowercase() {
                        steps.push(vec![(byte - 32, byte - 32)]);
                    }
                    // The characters beyond ASCII with ASCII in their lower case: the sign of Kelvin, and the
                    // dotted I, which becomes an i and a dot that only a run passes over.
                    match byte {
                        b'k' => steps.push(vec![(0xe2, 0xe2), (0x84, 0x84), (0xaa, 0xaa)]),
                        b'i' if tokens.get(index + 1) == Some(&TextToken::Run) => {
                            steps.push(vec![(0xc4, 0xc4), (0xb0, 0xb0)]);
                        }
                        _ => {}
                    }
                }
                TextToken::Byte(byte) => steps.push(vec![(byte, byte)]),
                TextToken::Character if fold => return None,
                TextToken::Character => steps.extend([
                    vec![(0, 0x7f)],
                    vec![(0xc0, 0xdf), REST],
                    vec![(0xe0, 0xef), REST, REST],
                    vec![(0xf0, 0xff), REST, REST, REST],
                ]),
                TextToken::Run => {}
            }
            at = self.after(at, &steps)?;
        }
        self.0[usize::from(at)].ends = true;
        Some(start)
    }

    /// A new place that each of `steps`, ranges of bytes one after the other, leads to from `at`. It has a higher
    /// number than all places before it.
    fn after(&mut self, at: u16, steps: &[Vec<(u8, u8)>]) -> Option<u16> {
        let sequence = self.0[usize::from(at)].sequence;
        let mut last_edges = Vec::new();
        for step in steps {
            let (&last, before) = step.split_last()?;
            let mut from = at;
            for &range in before {
                let within = self.add(sequence)?;
                self.0[usize::from(from)].edges.push((range.0, range.1, within));
                from = within;
            }
            last_edges.push((from, last));
        }
        let next = self.add(sequence)?;
        for (from, (first, last)) in last_edges {
            self.0[usize::from(from)].edges.push((first, last, next));
        }
        Some(next)
    }

    /// A set of places without those that make no difference: before a run all others of its sequence do not,
    /// and nothing does next to a run that ends its sequence.
    fn reduced(&self, mut set: Vec<u16>) -> Vec<u16> {
        set.sort_unstable();
        set.dedup();
        let place = |at: u16| &self.0[usize::from(at)];
        if let Some(&last) = set.iter().find(|&&at| place(at).runs && place(at).ends) {
            return vec![last];
        }
        let runs: Vec<u16> = set.iter().copied().filter(|&at| place(at).runs).collect();
        set.retain(|&at| !runs.iter().any(|&run| at < run && place(run).sequence == place(at).sequence));
        set
    }
}

pub(super) fn of_sequences(sequences: &[Vec<TextToken>], fold: bool) -> Option<States> {
    // They would hardly fit, and finding out is dear.
    if sequences.len() > MAX_STATES {
        return None;
    }
    let mut places = Places::default();
    let starts = sequences.iter().enumerate().map(|(index, tokens)| places.sequence(index, tokens, fold));
    let starts = starts.collect::<Option<Vec<u16>>>()?;
    // Bytes between two of these act alike.
    let mut bounds = vec![0_u16, 256];
    for &(first, last, _) in places.0.iter().flat_map(|place| &place.edges) {
        bounds.extend([first.into(), u16::from(last) + 1]);
    }
    bounds.sort_unstable();
    bounds.dedup();
    explored(
        places.reduced(starts),
        |set, reach| {
            for bound in bounds.windows(2) {
                let (first, last) = (bound[0] as u8, (bound[1] - 1) as u8);
                let mut after = Vec::new();
                for &at in set {
                    let place = &places.0[usize::from(at)];
                    after.extend(place.runs.then_some(at));
                    let edges = place.edges.iter().filter(|edge| edge.0 <= first && last <= edge.1);
                    after.extend(edges.map(|edge| edge.2));
                }
                reach(first, last, places.reduced(after))?;
            }
            Some(())
        },
        |set| set.iter().any(|&at| places.0[usize::from(at)].ends),
    )
}

/// How text read so far stands to the bytes that it is compared with.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Standing {
    /// It is as many of them.
    Equal(usize),
    Less,
    Greater,
}

pub(super) fn compared(op: CompareOp, bytes: &[u8]) -> Option<States> {
    explored(
        Standing::Equal(0),
        |standing, reach| {
            let (at, byte) = match *standing {
                Standing::Equal(at) => match bytes.get(at) {
                    Some(&byte) => (at, byte),
                    None => return reach(0, u8::MAX, Standing::Greater),
                },
                settled => return reach(0, u8::MAX, settled),
            };
            if byte > 0 {
                reach(0, byte - 1, Standing::Less)?;
            }
            reach(byte, byte, Standing::Equal(at + 1))?;
            if byte < u8::MAX {
                reach(byte + 1, u8::MAX, Standing::Greater)?;
            }
            Some(())
        },
        |standing| {
            op.holds(match *standing {
                Standing::Equal(at) => at.cmp(&bytes.len()),
                Standing::Less => Ordering::Less,
                Standing::Greater => Ordering::Greater,
            })
        },
    )
}

/// What passes both automata, or one of both.
pub(super) fn combined(a: &TextAutomaton, b: &TextAutomaton, both: bool) -> Option<States> {
    // A settled state of one may settle the pair, whatever the other's.
    let settles = |automaton: &TextAutomaton, state: u8| {
        automaton.settled[usize::from(state)] && automaton.accepting[usize::from(state)] != both
    };
    let pair = |(first, second): (u8, u8)| match settles(a, first) || settles(b, second) {
        true => None,
        false => Some((first, second)),
    };
    explored(
        pair((0, 0)),
        |state, reach| {
            let Some((first, second)) = *state else { return reach(0, u8::MAX, None) };
            let (first, second) = (&a.next[usize::from(first)], &b.next[usize::from(second)]);
            let after = |byte: u8| (first[usize::from(byte)], second[usize::from(byte)]);
            let mut start = 0;
            for byte in 0..=u8::MAX {
                if byte == u8::MAX || after(byte) != after(byte + 1) {
                    reach(start, byte, pair(after(byte)))?;
                    start = byte.wrapping_add(1);
                }
            }
            Some(())
        },
        |state| match *state {
            None => !both,
            Some((first, second)) => {
                let (first, second) = (a.accepting[usize::from(first)], b.accepting[usize::from(second)]);
                if both { first && second } else { first || second }
            }
        },
    )
}
