//! Admission: how many statements run at once, and whose turn is next.
//!
//! Each tenant has a workload group with a queue of its own, first come, first served. Of the groups that wait, the one
//! is next that was served least for its share: stride scheduling (Waldspurger, Weihl 1995). A group that had nothing to do
//! saves nothing up. So one tenant's queue, however long, holds up no other tenant for more than its turn.

use crate::error::{Error, Result};
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// What a group of share 1 advances by a turn.
const STRIDE: u64 = 1 << 20;

/// The statements of all tenants, on their way in.
pub(crate) struct Admission {
    state: Mutex<State>,
}

/// What a group may have; 0: no limit of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Statements that run at once.
    pub(crate) concurrency: usize,
    /// Statements that wait; further ones are refused.
    pub(crate) queue: usize,
    pub(crate) queue_timeout: Duration,
    /// Its part of turns; 0 counts as 1.
    pub(crate) share: u32,
    /// It is served only while no other group waits.
    pub(crate) last: bool,
}

struct State {
    /// Statements that may run beside those that do.
    free: usize,
    groups: BTreeMap<Arc<str>, Group>,
    /// Where the group is that was served last.
    pass: u64,
    /// The number of the next one that waits.
    next: u64,
    is_closed: bool,
    /// By group; also of those that have nothing to do.
    served: BTreeMap<Arc<str>, Served>,
}

/// Those that got their turn, and how long they waited for it together.
#[derive(Clone, Copy, Default)]
struct Served {
    admitted: u64,
    waited: Duration,
}

/// The statements of groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) running: usize,
    pub(crate) waiting: usize,
    /// How long the one that has waited longest has.
    pub(crate) oldest_wait: Duration,
    /// Those that got their turn since the start.
    pub(crate) admitted: u64,
    /// How long these waited for it together.
    pub(crate) waited: Duration,
}

#[derive(Default)]
struct Group {
    limits: Limits,
    running: usize,
    waiting: VecDeque<Waiting>,
    /// How far it is served, for its share.
    pass: u64,
}

struct Waiting {
    number: u64,
    since: Instant,
    turn: oneshot::Sender<Slot>,
}

/// The right to run, given back when dropped.
pub(crate) struct Slot {
    admission: Arc<Admission>,
    group: Arc<str>,
    _running: Gauge,
}

/// Counts itself in a gauge while it lives.
struct Gauge(&'static str, Arc<str>);

impl Gauge {
    fn enter(name: &'static str, group: &Arc<str>) -> Gauge {
        metrics::gauge!(name, "group" => group.to_string()).increment(1.0);
        Gauge(name, group.clone())
    }
}

impl Drop for Gauge {
    fn drop(&mut self) {
        metrics::gauge!(self.0, "group" => self.1.to_string()).decrement(1.0);
    }
}

/// Leaves the queue when dropped.
struct Place {
    admission: Arc<Admission>,
    group: Arc<str>,
    number: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.admission.state.lock();
        if let Some(group) = state.groups.get_mut(&self.group) {
            group.waiting.retain(|waiting| waiting.number != self.number);
        }
        state.forget(&self.group);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.admission.state.lock();
        state.free += 1;
        if let Some(group) = state.groups.get_mut(&self.group) {
            group.running -= 1;
        }
        state.forget(&self.group);
        let granted = self.admission.grant(&mut state);
        drop(state);
        // Whoever went meanwhile gives the slot back here, without the lock.
        granted.into_iter().for_each(|(turn, slot)| drop(turn.send(slot)));
    }
}

impl Admission {
    /// `concurrency` statements of all groups run at once.
    pub(crate) fn new(concurrency: usize) -> Arc<Admission> {
        let state = State {
            free: concurrency.max(1),
            groups: BTreeMap::new(),
            pass: 0,
            next: 0,
            is_closed: false,
            served: BTreeMap::new(),
        };
        Arc::new(Admission { state: Mutex::new(state) })
    }

    /// Waits for a turn of that group. Dropping the future leaves the queue.
    pub(crate) async fn enter(self: &Arc<Admission>, group: &Arc<str>, limits: Limits) -> Result<Slot> {
        let (place, turn, granted) = {
            let mut state = self.state.lock();
            if state.is_closed {
                return Err(Error::ShuttingDown);
            }
            state.join(group, limits);
            if let Some(slot) = self.take(&mut state, group) {
                return Ok(slot);
            }
            let number = state.next;
            state.next += 1;
            let (turn, given) = oneshot::channel();
            let of = state.groups.entry(group.clone()).or_default();
            if limits.queue > 0 && of.waiting.len() >= limits.queue {
                return Err(Error::Overloaded(format!(
                    "{} statements wait already, which is as many as may; try again later",
                    limits.queue
                )));
            }
            of.waiting.push_back(Waiting { number, since: Instant::now(), turn });
            // Its limits may have been raised.
            let granted = self.grant(&mut state);
            (Place { admission: self.clone(), group: group.clone(), number }, given, granted)
        };
        granted.into_iter().for_each(|(turn, slot)| drop(turn.send(slot)));
        let _queued = Gauge::enter("tundra_queries_queued", group);
        let turn = async { turn.await.map_err(|_| Error::ShuttingDown) };
        let slot = match limits.queue_timeout {
            Duration::ZERO => turn.await,
            most => match tokio::time::timeout(most, turn).await {
                Ok(slot) => slot,
                Err(_) => Err(Error::Overloaded(format!(
                    "the statement waited {} s for its turn, which is as long as it may; try again later",
                    most.as_secs_f64()
                ))),
            },
        };
        drop(place);
        slot
    }

    /// A slot that is free at the moment.
    pub(crate) fn try_enter(self: &Arc<Admission>, group: &Arc<str>, limits: Limits) -> Option<Slot> {
        let mut state = self.state.lock();
        if state.is_closed {
            return None;
        }
        state.join(group, limits);
        self.take(&mut state, group)
    }

    /// How many of these groups run and wait, and have.
    pub(crate) fn load(&self, is_of: impl Fn(&str) -> bool) -> Load {
        let state = self.state.lock();
        let groups: Vec<&Group> =
            state.groups.iter().filter(|(name, _)| is_of(name)).map(|(_, group)| group).collect();
        let waiting = || groups.iter().flat_map(|group| &group.waiting);
        let served = || state.served.iter().filter(|(name, _)| is_of(name)).map(|(_, served)| served);
        Load {
            running: groups.iter().map(|group| group.running).sum(),
            waiting: waiting().count(),
            oldest_wait: waiting().map(|one| one.since.elapsed()).max().unwrap_or_default(),
            admitted: served().map(|served| served.admitted).sum(),
            waited: served().map(|served| served.waited).sum(),
        }
    }

    /// Lets nobody in any more.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.is_closed = true;
        let waiting = state.groups.values_mut().map(|group| std::mem::take(&mut group.waiting));
        let waiting: Vec<_> = waiting.collect();
        drop(state);
        // They hear of it as their turns go.
        drop(waiting);
    }

    /// A slot for a group that nobody of it, and no other group, waits before.
    fn take(self: &Arc<Admission>, state: &mut State, group: &Arc<str>) -> Option<Slot> {
        let of = state.groups.get(group)?;
        let is_first = of.waiting.is_empty() && !state.groups.values().any(Group::is_ready);
        if state.free == 0 || !is_first || !of.has_room() {
            return None;
        }
        Some(self.serve(state, group))
    }

    /// Gives turns to those that wait, as far as there are.
    fn grant(self: &Arc<Admission>, state: &mut State) -> Vec<(oneshot::Sender<Slot>, Slot)> {
        let mut granted = Vec::new();
        while state.free > 0 && !state.is_closed {
            let ready = state.groups.iter().filter(|(_, group)| group.is_ready());
            let Some(group) =
                ready.min_by_key(|(_, group)| (group.limits.last, group.pass)).map(|(name, _)| name.clone())
            else {
                break;
            };
            let next = state.groups.get_mut(&group).and_then(|group| group.waiting.pop_front());
            let Some(next) = next else { break };
            state.served.entry(group.clone()).or_default().waited += next.since.elapsed();
            let slot = self.serve(state, &group);
            granted.push((next.turn, slot));
        }
        granted
    }

    fn serve(self: &Arc<Admission>, state: &mut State, group: &Arc<str>) -> Slot {
        state.free -= 1;
        state.served.entry(group.clone()).or_default().admitted += 1;
        if let Some(of) = state.groups.get_mut(group) {
            of.running += 1;
            state.pass = state.pass.max(of.pass);
            of.pass += STRIDE / u64::from(of.limits.share.max(1));
        }
        let running = Gauge::enter("tundra_queries_running", group);
        Slot { admission: self.clone(), group: group.clone(), _running: running }
    }
}

impl State {
    /// Makes a group known, with the limits of now.
    fn join(&mut self, group: &Arc<str>, limits: Limits) {
        let pass = self.pass;
        let of = self.groups.entry(group.clone()).or_default();
        of.limits = limits;
        if of.waiting.is_empty() {
            of.pass = of.pass.max(pass);
        }
    }

    /// Forgets a group that has nothing to do and is not ahead of its share.
    fn forget(&mut self, group: &Arc<str>) {
        let pass = self.pass;
        let is_idle = |of: &Group| of.running == 0 && of.waiting.is_empty() && of.pass <= pass;
        if self.groups.get(group).is_some_and(is_idle) {
            self.groups.remove(group);
        }
    }
}

impl Group {
    fn has_room(&self) -> bool {
        self.limits.concurrency == 0 || self.running < self.limits.concurrency
    }

    /// Whether someone waits who may run as far as the group goes.
    fn is_ready(&self) -> bool {
        !self.waiting.is_empty() && self.has_room()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use futures::future::BoxFuture;

    type Entering = BoxFuture<'static, Result<Slot>>;

    fn enter(admission: &Arc<Admission>, group: &str, limits: Limits) -> Entering {
        let (admission, group) = (admission.clone(), Arc::from(group));
        let mut entering: Entering = async move { admission.enter(&group, limits).await }.boxed();
        match (&mut entering).now_or_never() {
            Some(done) => futures::future::ready(done).boxed(),
            None => entering,
        }
    }

    fn slot(entering: &mut Entering) -> Option<Slot> {
        entering.now_or_never().map(Result::unwrap)
    }

    const FREE: Limits =
        Limits { concurrency: 0, queue: 0, queue_timeout: Duration::ZERO, share: 0, last: false };

    #[tokio::test]
    async fn the_others_wait_their_turn() {
        let admission = Admission::new(1);
        let first = slot(&mut enter(&admission, "a", FREE)).unwrap();
        let mut second = enter(&admission, "a", FREE);
        assert!(slot(&mut second).is_none() && admission.try_enter(&"b".into(), FREE).is_none());
        drop(first);
        let second = slot(&mut second).unwrap();
        let third = enter(&admission, "a", FREE);
        admission.close();
        assert!(matches!(third.await, Err(Error::ShuttingDown)));
        drop(second);
        assert!(admission.try_enter(&"a".into(), FREE).is_none());
    }

    #[tokio::test]
    async fn those_who_wait_are_counted() {
        let admission = Admission::new(1);
        let all = |_: &str| true;
        assert_eq!(admission.load(all), Load::default());
        let first = slot(&mut enter(&admission, "a", FREE)).unwrap();
        let mut second = enter(&admission, "b", FREE);
        std::thread::sleep(Duration::from_millis(20));
        let load = admission.load(all);
        assert_eq!((load.running, load.waiting, load.admitted, load.waited), (1, 1, 1, Duration::ZERO));
        let of = |group: &'static str| admission.load(move |name| name == group);
        assert_eq!((of("a").running, of("a").waiting, of("a").admitted), (1, 0, 1));
        assert_eq!((of("b").running, of("b").waiting, of("b").admitted), (0, 1, 0));
        assert!(load.oldest_wait >= Duration::from_millis(20));
        drop(first);
        let second = slot(&mut second).unwrap();
        let load = admission.load(all);
        assert_eq!((load.running, load.waiting, load.admitted), (1, 0, 2));
        assert!(of("a").waited == Duration::ZERO && of("b").waited >= Duration::from_millis(20));
        assert!(load.waited >= Duration::from_millis(20) && load.oldest_wait == Duration::ZERO);
        drop(second);
        assert_eq!(admission.load(all).running, 0);
    }

    /// Whoever leaves the queue, before or at its turn, takes nothing along.
    #[tokio::test]
    async fn those_who_leave_give_their_turn_away() {
        let admission = Admission::new(1);
        let first = slot(&mut enter(&admission, "a", FREE)).unwrap();
        let gone = enter(&admission, "a", FREE);
        let mut served = enter(&admission, "b", FREE);
        let mut last = enter(&admission, "a", FREE);
        drop(gone);
        drop(first);
        // Its turn has come, and nobody takes it.
        drop(std::mem::replace(&mut served, futures::future::pending().boxed()));
        assert!(slot(&mut last).is_some());
        let state = admission.state.lock();
        assert_eq!((state.free, state.groups.values().map(|group| group.running).sum::<usize>()), (1, 0));
    }

    /// A long queue holds up nobody else, and turns follow shares.
    #[tokio::test]
    async fn turns_follow_shares() {
        let admission = Admission::new(1);
        let limits = |share| Limits { share, ..FREE };
        let mut held = Some(slot(&mut enter(&admission, "a", limits(1))).unwrap());
        let mut waiting: Vec<(char, Entering)> = Vec::new();
        for _ in 0..90 {
            waiting.push(('a', enter(&admission, "a", limits(1))));
        }
        for _ in 0..60 {
            waiting.push(('b', enter(&admission, "b", limits(2))));
        }
        let mut served = String::new();
        for _ in 0..90 {
            held.take();
            let next = waiting
                .iter_mut()
                .enumerate()
                .find_map(|(at, (name, entering))| slot(entering).map(|slot| (at, *name, slot)));
            let (at, name, slot) = next.unwrap();
            drop(waiting.remove(at));
            served.push(name);
            held = Some(slot);
        }
        for part in 1..=9 {
            let b = served[..part * 10].matches('b').count() as f64;
            assert!((b - part as f64 * 20.0 / 3.0).abs() <= 1.5, "{served}");
        }
        // Who comes back after a pause has saved nothing up.
        let mut late = enter(&admission, "c", limits(1));
        let mut turns = 0;
        while slot(&mut late).is_none() {
            held.take();
            held = waiting.iter_mut().find_map(|(_, entering)| slot(entering));
            turns += 1;
        }
        assert!((1..=4).contains(&turns), "{turns}");
    }

    /// A group that always has something to do saves no turns up either.
    #[tokio::test]
    async fn nothing_is_saved_up_while_one_runs() {
        let admission = Admission::new(2);
        let _long = slot(&mut enter(&admission, "a", FREE)).unwrap();
        for _ in 0..1_000 {
            drop(slot(&mut enter(&admission, "b", FREE)).unwrap());
        }
        let mut held = Some(slot(&mut enter(&admission, "b", FREE)).unwrap());
        let mut waiting: Vec<Entering> = (0..20).map(|_| enter(&admission, "a", FREE)).collect();
        let mut other = enter(&admission, "b", FREE);
        let mut turns = 0;
        while slot(&mut other).is_none() {
            held.take();
            // Those who have had their turn are asked no more.
            let at = waiting.iter_mut().enumerate().find_map(|(at, entering)| Some((at, slot(entering)?)));
            held = at.map(|(at, slot)| {
                drop(waiting.remove(at));
                slot
            });
            turns += 1;
        }
        assert!(turns <= 3, "{turns}");
    }

    /// Whoever has waited longer runs as soon as its group may have more.
    #[tokio::test]
    async fn limits_that_are_raised() {
        let admission = Admission::new(4);
        let limits = |concurrency| Limits { concurrency, ..FREE };
        let _first = slot(&mut enter(&admission, "a", limits(1))).unwrap();
        let mut second = enter(&admission, "a", limits(1));
        assert!(slot(&mut second).is_none());
        let mut third = enter(&admission, "a", limits(4));
        assert!(slot(&mut second).is_some() && slot(&mut third).is_some());
        assert!(slot(&mut enter(&admission, "b", FREE)).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn groups_have_limits_of_their_own() {
        let admission = Admission::new(4);
        let limits =
            Limits { concurrency: 1, queue: 1, queue_timeout: Duration::from_secs(5), share: 1, last: false };
        let first = slot(&mut enter(&admission, "a", limits)).unwrap();
        let mut second = enter(&admission, "a", limits);
        assert!(slot(&mut second).is_none(), "one at once");
        let refused = enter(&admission, "a", limits).await;
        assert!(matches!(refused, Err(Error::Overloaded(why)) if why.contains("1 statements wait")));
        let other = slot(&mut enter(&admission, "b", limits)).unwrap();
        let refused = second.await;
        assert!(matches!(refused, Err(Error::Overloaded(why)) if why.contains("waited 5 s")));
        let mut third = enter(&admission, "a", limits);
        drop((first, other));
        assert!(slot(&mut third).is_some());
    }
}
