//! How long statements took until their first rows, of late: whether one takes longer than it mostly does.

use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// The most statements of which times are kept; the one that was not asked for longest makes room.
const STATEMENTS: usize = 256;
/// Times of a statement that are kept at most, and that must be known.
const KEPT: usize = 32;
const LEAST: usize = 5;
/// No statement is late before.
const FLOOR: Duration = Duration::from_millis(500);
/// Late is what takes so many times as long as 95 of 100 did.
const FACTOR: u32 = 3;

#[derive(Default)]
pub(crate) struct Times(Mutex<State>);

#[derive(Default)]
struct State {
    statements: HashMap<u128, Kept>,
    /// How often a time was added.
    clock: u64,
}

#[derive(Default)]
struct Kept {
    times: VecDeque<Duration>,
    used: u64,
}

impl Times {
    pub(crate) fn add(&self, statement: u128, time: Duration) {
        let State { statements, clock } = &mut *self.0.lock();
        *clock += 1;
        if statements.len() >= STATEMENTS
            && !statements.contains_key(&statement)
            && let Some((&oldest, _)) = statements.iter().min_by_key(|(_, kept)| kept.used)
        {
            statements.remove(&oldest);
        }
        let kept = statements.entry(statement).or_default();
        kept.used = *clock;
        if kept.times.len() >= KEPT {
            kept.times.pop_front();
        }
        kept.times.push_back(time);
    }

    /// From when on an execution of the statement is late; `None`: too little is known of it.
    pub(crate) fn late_after(&self, statement: u128) -> Option<Duration> {
        let state = self.0.lock();
        let kept = state.statements.get(&statement).filter(|kept| kept.times.len() >= LEAST)?;
        let mut times: Vec<Duration> = kept.times.iter().copied().collect();
        times.sort_unstable();
        // The least that at least 95 of 100 do not exceed.
        let place = (times.len() * 95).div_ceil(100) - 1;
        Some((times[place] * FACTOR).max(FLOOR))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn late_is_far_beyond_what_was_seen_of_late() {
        let times = Times::default();
        for _ in 0..LEAST - 1 {
            times.add(1, 400 * MS);
        }
        assert_eq!(times.late_after(1), None);
        times.add(1, 600 * MS);
        assert_eq!(times.late_after(1), Some(1800 * MS));
        // One of 32 is no rule.
        for _ in 0..27 {
            times.add(1, 200 * MS);
        }
        assert_eq!(times.late_after(1), Some(1200 * MS));
        for _ in 0..KEPT {
            times.add(1, MS);
        }
        assert_eq!(times.late_after(1), Some(FLOOR));
        assert_eq!(times.late_after(2), None);
    }

    #[test]
    fn the_statement_not_asked_for_longest_makes_room() {
        let times = Times::default();
        for statement in 0..STATEMENTS as u128 {
            (0..LEAST).for_each(|_| times.add(statement, MS));
        }
        times.add(0, MS);
        times.add(1000, MS);
        assert!(times.late_after(0).is_some() && times.late_after(1).is_none());
        assert_eq!(times.0.lock().statements.len(), STATEMENTS);
    }
}
