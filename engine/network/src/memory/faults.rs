//! What may go wrong on the way between two nodes.

use std::ops::RangeInclusive;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// The way between two nodes.
pub(super) struct Link {
    state: watch::Sender<State>,
}

#[derive(Clone, Copy, Default)]
struct State {
    down: bool,
    /// How often it was cut.
    cuts: u64,
}

impl Default for Link {
    fn default() -> Self {
        Link { state: watch::Sender::new(State::default()) }
    }
}

impl Link {
    /// Lets nothing pass any more; the number of this cut.
    pub(super) fn cut(&self) -> u64 {
        self.state.send_modify(|state| *state = State { down: true, cuts: state.cuts + 1 });
        self.state.borrow().cuts
    }

    pub(super) fn heal(&self) {
        self.state.send_modify(|state| state.down = false);
    }

    /// Waits, and tells whether a cut lasted so long.
    pub(super) async fn stays_cut(&self, cut: u64, time: Duration) -> bool {
        let mut state = self.state.subscribe();
        let ended = state.wait_for(|state| !state.down || state.cuts != cut);
        tokio::time::timeout(time, ended).await.is_err()
    }

    /// What is due then can be taken now.
    pub(super) fn has_arrived(&self, due: Option<Instant>) -> bool {
        !self.state.borrow().down && due.is_none_or(|due| due <= Instant::now())
    }

    /// Ready once what is due then can be taken.
    pub(super) async fn arrived(&self, due: Option<Instant>) {
        if let Some(due) = due {
            tokio::time::sleep_until(due).await;
        }
        // The sender is kept here, so that there is always an answer.
        let _ = self.state.subscribe().wait_for(|state| !state.down).await;
    }
}

/// How long messages take.
pub(super) struct Delay {
    least: Duration,
    spread: Duration,
    random: u64,
}

impl Delay {
    pub(super) fn new(range: RangeInclusive<Duration>, seed: u64) -> Delay {
        let least = *range.start();
        Delay { least, spread: range.end().saturating_sub(least), random: seed }
    }

    /// The time of one message: uniform, by SplitMix64 (Steele, Lea, Flood 2014).
    pub(super) fn draw(&mut self) -> Duration {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        // 53 bits are what a float holds.
        let share = (mixed >> 11) as f64 / (1u64 << 53) as f64;
        self.least + self.spread.mul_f64(share)
    }
}
