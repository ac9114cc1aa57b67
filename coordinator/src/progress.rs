//! How far a statement is, for those who look at it.

use crate::pool::Use;
use parking_lot::Mutex;

/// What a statement does, or waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stage {
    #[default]
    Planning,
    /// It waits for its turn.
    Queued,
    /// It waits until the pool of shards is woken.
    Waking,
    Running,
}

/// Where a statement is.
#[derive(Default)]
pub(crate) struct Progress {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    stage: Stage,
    needs: Option<Needs>,
}

/// Shards that a statement needs.
struct Needs {
    /// Of what it reads.
    datasets: Vec<u64>,
    _uses: Vec<Use>,
}

impl Progress {
    pub(crate) fn stage(&self) -> Stage {
        self.state.lock().stage
    }

    pub(crate) fn comes_to(&self, stage: Stage) {
        self.state.lock().stage = stage;
    }

    /// It needs shards from now until it ends, of the pools that are used so: for these datasets, if it reads any.
    pub(crate) fn needs(&self, datasets: Vec<u64>, uses: Vec<Use>) {
        self.state.lock().needs = Some(Needs { datasets, _uses: uses });
    }

    /// The datasets that it needs shards for; `None`: it needs none.
    pub(crate) fn needed(&self) -> Option<Vec<u64>> {
        self.state.lock().needs.as_ref().map(|needs| needs.datasets.clone())
    }
}
