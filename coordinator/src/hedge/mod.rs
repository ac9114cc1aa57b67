//! Hedging: a query that is late because of one slow shard is tried once more without it, and the first that has rows
//! is the answer ("The Tail at Scale", Dean and Barroso 2013). What is slow of a query is its shard, since streams tie
//! its fragments to each other: what is tried again is the whole.
//!
//! [`times`] tells what is late, [`budget`] how many may be hedged, [`slow`] whose fault it is.

mod budget;
mod slow;
mod times;

pub(crate) use slow::{Parts, Shape};

use budget::Budget;
use times::Times;

/// What a coordinator needs to know for it.
pub(crate) struct Hedging {
    pub(crate) budget: Budget,
    pub(crate) times: Times,
}

impl Hedging {
    pub(crate) fn new() -> Hedging {
        Hedging { budget: Budget::new(), times: Times::default() }
    }
}
