//! How many of the executions of the last minute may be hedged: few enough that a cluster which is slow as a whole is
//! not made slower ("The Tail at Scale", Dean and Barroso 2013).

use parking_lot::Mutex;
use std::time::Duration;
use tokio::time::Instant;

/// One in so many executions may be hedged.
const ONE_IN: u64 = 20;
/// A minute is counted in parts.
const PARTS: usize = 6;
const PART: Duration = Duration::from_secs(10);

pub(crate) struct Budget {
    begun: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The part of time that is counted now, since the beginning.
    part: u64,
    executions: [u64; PARTS],
    hedges: [u64; PARTS],
}

impl Budget {
    pub(crate) fn new() -> Budget {
        Budget { begun: Instant::now(), state: Mutex::default() }
    }

    /// Counts an execution.
    pub(crate) fn count(&self) {
        self.with(|state, at| state.executions[at] += 1);
    }

    /// Whether one more may be hedged.
    pub(crate) fn has_room(&self) -> bool {
        self.with(|state, _| state.has_room())
    }

    /// Counts a hedge, where one more may be.
    pub(crate) fn take(&self) -> bool {
        self.with(|state, at| {
            let has_room = state.has_room();
            state.hedges[at] += u64::from(has_room);
            has_room
        })
    }

    fn with<T>(&self, change: impl FnOnce(&mut State, usize) -> T) -> T {
        let part = (self.begun.elapsed().as_nanos() / PART.as_nanos()) as u64;
        let mut state = self.state.lock();
        // What is longer ago than all parts is forgotten.
        for passed in (state.part + 1..=part).take(PARTS) {
            let at = passed as usize % PARTS;
            (state.executions[at], state.hedges[at]) = (0, 0);
        }
        state.part = state.part.max(part);
        let at = state.part as usize % PARTS;
        change(&mut state, at)
    }
}

impl State {
    fn has_room(&self) -> bool {
        let (executions, hedges): (u64, u64) = (self.executions.iter().sum(), self.hedges.iter().sum());
        (hedges + 1) * ONE_IN <= executions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_in_twenty_of_the_last_minute() {
        let budget = Budget::new();
        (0..ONE_IN - 1).for_each(|_| budget.count());
        assert!(!budget.has_room() && !budget.take());
        budget.count();
        assert!(budget.has_room() && budget.take() && !budget.take());
        (0..3 * ONE_IN).for_each(|_| budget.count());
        assert_eq!((0..100).filter(|_| budget.take()).count(), 3);
        tokio::time::advance(PART * 3).await;
        (0..2 * ONE_IN).for_each(|_| budget.count());
        assert_eq!((0..100).filter(|_| budget.take()).count(), 2);
        // The first are forgotten, and what they were worth.
        tokio::time::advance(PART * 3).await;
        assert!(!budget.take());
        (0..ONE_IN).for_each(|_| budget.count());
        assert!(budget.take() && !budget.take());
        tokio::time::advance(PART * 100).await;
        assert!(!budget.has_room());
    }
}
