//! Hydrations that run, and the last one of each dataset, for those who watch.

use crate::{Counts, Progress, VersionId};
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Hydrations that are remembered once they have ended, each of another dataset.
const ENDED: usize = 256;

/// What a shard has brought in, and is bringing in.
#[derive(Default)]
pub struct Hydrations(Mutex<State>);

#[derive(Default)]
struct State {
    running: Vec<Begun>,
    /// The latest last.
    ended: VecDeque<Hydration>,
    next: u64,
    /// Of all that have ended.
    counts: Counts,
    /// The same, by tenant.
    by_tenant: BTreeMap<String, Counts>,
}

struct Begun {
    number: u64,
    version: VersionId,
    began_us: i64,
    began: Instant,
    progress: Arc<Progress>,
}

/// A hydration at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hydration {
    pub version: VersionId,
    /// Microseconds since 1970.
    pub began_us: i64,
    pub elapsed_ms: u64,
    pub counts: Counts,
    pub state: HydrationState,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HydrationState {
    Running,
    Done,
    /// With the reason.
    Failed(String),
}

/// A hydration that runs; one that is dropped was given up.
pub struct Hydrating {
    hydrations: Arc<Hydrations>,
    number: u64,
    progress: Arc<Progress>,
    state: HydrationState,
}

impl Hydrations {
    pub fn begin(self: &Arc<Hydrations>, version: &VersionId) -> Hydrating {
        let progress = Arc::new(Progress::default());
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut state = self.0.lock();
        state.next += 1;
        let number = state.next;
        state.running.push(Begun {
            number,
            version: version.clone(),
            began_us: i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
            began: Instant::now(),
            progress: progress.clone(),
        });
        let given_up = HydrationState::Failed("it was given up".into());
        Hydrating { hydrations: self.clone(), number, progress, state: given_up }
    }

    /// Those that run, then those that have ended, the latest first.
    pub fn list(&self) -> Vec<Hydration> {
        let state = self.0.lock();
        let running = state.running.iter().map(|begun| begun.at_the_moment(HydrationState::Running));
        running.chain(state.ended.iter().rev().cloned()).collect()
    }

    /// How many run.
    pub fn running(&self) -> usize {
        self.0.lock().running.len()
    }

    /// What all of them have done.
    pub fn counts(&self) -> Counts {
        let state = self.0.lock();
        let running = state.running.iter().map(|begun| begun.progress.counts());
        running.fold(state.counts, Counts::plus)
    }

    /// What all of them have done, by tenant.
    pub fn by_tenant(&self) -> BTreeMap<String, Counts> {
        let state = self.0.lock();
        let mut counts = state.by_tenant.clone();
        for begun in &state.running {
            let of_tenant = counts.entry(begun.version.tenant.clone()).or_default();
            *of_tenant = of_tenant.plus(begun.progress.counts());
        }
        counts
    }
}

impl Begun {
    fn at_the_moment(&self, state: HydrationState) -> Hydration {
        Hydration {
            version: self.version.clone(),
            began_us: self.began_us,
            elapsed_ms: u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX),
            counts: self.progress.counts(),
            state,
        }
    }
}

impl Hydrating {
    pub fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    pub fn end<T, E: ToString>(mut self, outcome: &Result<T, E>) {
        self.state = match outcome {
            Ok(_) => HydrationState::Done,
            Err(error) => HydrationState::Failed(error.to_string()),
        };
    }
}

impl Drop for Hydrating {
    fn drop(&mut self) {
        let mut state = self.hydrations.0.lock();
        let Some(place) = state.running.iter().position(|begun| begun.number == self.number) else { return };
        let begun = state.running.swap_remove(place);
        let ended = begun.at_the_moment(self.state.clone());
        state.counts = state.counts.plus(ended.counts);
        let of_tenant = state.by_tenant.entry(ended.version.tenant.clone()).or_default();
        *of_tenant = of_tenant.plus(ended.counts);
        let dataset = |one: &Hydration| (one.version.tenant.clone(), one.version.dataset);
        state.ended.retain(|known| dataset(known) != dataset(&ended));
        if state.ended.len() >= ENDED {
            state.ended.pop_front();
        }
        state.ended.push_back(ended);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(dataset: u64, version: u64) -> VersionId {
        VersionId { tenant: "default".into(), dataset, version }
    }

    #[test]
    fn those_that_run_and_the_last_of_each_dataset() {
        let hydrations = Arc::new(Hydrations::default());
        let first = hydrations.begin(&id(1, 1));
        first.progress().add_rows(5);
        first.progress().add_request();
        let other = hydrations.begin(&id(2, 1));
        assert_eq!(hydrations.list().len(), 2);
        first.end(&Ok::<(), String>(()));
        other.end(&Err::<(), _>("no disk"));
        hydrations.begin(&id(1, 2)).end(&Ok::<(), String>(()));
        let running = hydrations.begin(&id(3, 1));
        running.progress().add_rows(2);
        let states: Vec<_> = hydrations.list().into_iter().map(|one| (one.version, one.state)).collect();
        let failed = HydrationState::Failed("no disk".into());
        let expected =
            [(id(3, 1), HydrationState::Running), (id(1, 2), HydrationState::Done), (id(2, 1), failed)];
        assert_eq!(states, expected);
        assert_eq!(hydrations.counts().rows_done, 7);
        running.progress().add_request();
        assert_eq!(hydrations.by_tenant()["default"], hydrations.counts());
        assert_eq!(hydrations.counts().requests, 2);
        drop(running);
        assert_eq!(hydrations.by_tenant()["default"], hydrations.counts());
        assert!(matches!(hydrations.list()[0].state, HydrationState::Failed(_)));
        assert_eq!(hydrations.counts().rows_done, 7);
    }
}
