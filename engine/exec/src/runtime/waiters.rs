//! Those who wait for an event, each once.

use std::task::Waker;

/// Wakers of tasks that wait for one event. Kept under the lock that guards the event's state, so that no
/// wake-up falls between the look and the wait.
#[derive(Debug, Default)]
pub struct Waiters(Vec<Waker>);

impl Waiters {
    /// Remembers `waker`, unless it is there already.
    pub fn add(&mut self, waker: &Waker) {
        if !self.0.iter().any(|known| known.will_wake(waker)) {
            self.0.push(waker.clone());
        }
    }

    /// Forgets `waker`.
    pub fn remove(&mut self, waker: &Waker) {
        self.0.retain(|known| !known.will_wake(waker));
    }

    /// All waiters, to be woken after the lock is released.
    #[must_use]
    pub fn take(&mut self) -> Waiters {
        std::mem::take(self)
    }

    pub fn wake(self) {
        self.0.into_iter().for_each(Waker::wake);
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
