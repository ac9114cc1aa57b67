//! What a coordinator knows of each pool that may be scaled to zero: what the control plane says of it, which statements need its
//! shards, and which of these wait until it is woken.
//!
//! What is said holds for a while. Where no control plane says anything, nobody waits here.

use crate::error::{Error, Result};
use crate::shards::Shards;
use flight_proto::admin::{PoolRest, PoolState, PoolUse};
use flight_proto::pool::DEFAULT_POOL;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// For so long after it was said that shards are being ended, no statement begins on those that are there still. It is said
/// again each second: whoever stops saying it holds nobody up for longer.
const CLOSED: Duration = Duration::from_secs(3);
/// What is said holds for so long at most.
const VALID_MOST: Duration = Duration::from_secs(1_800);

/// The pools that were spoken of, or are used.
#[derive(Default)]
pub(crate) struct Pools {
    by_name: Mutex<BTreeMap<String, Arc<Pool>>>,
}

impl Pools {
    /// The pool of that name.
    pub(crate) fn of(&self, name: &str) -> Arc<Pool> {
        let mut pools = self.by_name.lock();
        if let Some(pool) = pools.get(name) {
            return pool.clone();
        }
        let pool = Pool::new(name);
        pools.insert(name.into(), pool.clone());
        pool
    }

    /// What needs a pool's shards.
    pub(crate) fn load(&self, name: &str) -> PoolLoad {
        self.of(name).load()
    }

    /// What needs shards of any pool.
    pub(crate) fn load_of_all(&self) -> PoolLoad {
        // One is there at least, which is idle since the start if nothing else was.
        self.of(DEFAULT_POOL);
        let loads = self.by_name.lock().values().map(|pool| pool.load()).collect::<Vec<_>>();
        loads.into_iter().reduce(PoolLoad::plus).unwrap_or_default()
    }
}

pub(crate) struct Pool {
    name: String,
    state: Mutex<State>,
}

struct State {
    told: Option<(PoolState, Instant)>,
    /// What the log has of that.
    logged: Option<PoolRest>,
    /// Statements that need shards.
    in_use: usize,
    /// When the last one ended; before any, the start.
    last_use: Instant,
    /// Those that wait until shards are there, by workload group.
    held: BTreeMap<Arc<str>, usize>,
}

/// Of the statements that need shards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PoolLoad {
    pub(crate) in_use: usize,
    /// For how long there was none.
    pub(crate) idle: Duration,
    pub(crate) waking: usize,
}

impl PoolLoad {
    /// With so many that use it beside statements.
    pub(crate) fn and_in_use(self, more: usize) -> PoolLoad {
        let idle = if more > 0 { Duration::ZERO } else { self.idle };
        PoolLoad { in_use: self.in_use + more, idle, ..self }
    }

    fn plus(self, other: PoolLoad) -> PoolLoad {
        PoolLoad {
            in_use: self.in_use + other.in_use,
            idle: self.idle.min(other.idle),
            waking: self.waking + other.waking,
        }
    }
}

/// A statement that needs shards, until it is dropped.
pub(crate) struct Use(Arc<Pool>);

impl Drop for Use {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.in_use -= 1;
        state.last_use = Instant::now();
    }
}

/// A statement that waits until shards are there, until it is dropped.
pub(crate) struct Held(Arc<Pool>, Arc<str>);

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        if let Some(count) = state.held.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                state.held.remove(&self.1);
            }
        }
    }
}

impl Pool {
    fn new(name: &str) -> Arc<Pool> {
        let state =
            State { told: None, logged: None, in_use: 0, last_use: Instant::now(), held: BTreeMap::new() };
        Arc::new(Pool { name: name.into(), state: Mutex::new(state) })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Takes in what the control plane says. What begins from then on sees it; what began before is told of.
    pub(crate) fn tell(&self, told: PoolState) -> PoolUse {
        let mut state = self.state.lock();
        state.told = Some((told, Instant::now()));
        // It closes for a moment, before it sleeps or does not.
        if told.rest != PoolRest::Closing && state.logged.replace(told.rest) != Some(told.rest) {
            let (name, rest) = (&self.name, told.rest.name());
            tracing::info!("the control plane says that the pool of shards '{name}' is {rest}");
        }
        PoolUse { in_use: state.in_use as u64 }
    }

    /// A statement begins that needs shards.
    pub(crate) fn begin(self: &Arc<Pool>) -> Use {
        self.state.lock().in_use += 1;
        Use(self.clone())
    }

    /// A statement begins to wait until shards are there; of a group, `most` do at once, or as many as like for 0.
    pub(crate) fn hold(self: &Arc<Pool>, group: &Arc<str>, most: usize) -> Result<Held> {
        let mut state = self.state.lock();
        let is_first = state.held.is_empty();
        let count = state.held.entry(group.clone()).or_default();
        if most > 0 && *count >= most {
            return Err(Error::Overloaded(format!(
                "{most} statements wait already until the pool of shards is woken, which is as many as may; try again later"
            )));
        }
        *count += 1;
        if is_first {
            tracing::info!("statements wait until the pool of shards '{}' is woken", self.name);
        }
        Ok(Held(self.clone(), group.clone()))
    }

    pub(crate) fn load(&self) -> PoolLoad {
        let state = self.state.lock();
        let idle = if state.in_use > 0 { Duration::ZERO } else { state.last_use.elapsed() };
        PoolLoad { in_use: state.in_use, idle, waking: state.held.values().sum() }
    }

    /// Whether statements are to wait for shards that are not there: the control plane will launch them.
    pub(crate) fn is_away(&self) -> bool {
        self.state.lock().is_away()
    }

    /// Whether no statement is to begin on the shards that are there, since they are being ended.
    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().is_closed()
    }

    /// Adds to why shards are not there that nobody wakes the pool, where that is so.
    pub(crate) fn explain(&self, error: Error) -> Error {
        let state = self.state.lock();
        match (&error, state.told) {
            (Error::Unavailable(why), Some((told, at)))
                if !state.is_away() && matches!(told.rest, PoolRest::Asleep | PoolRest::Waking) =>
            {
                let (rest, silent) = (told.rest.name(), at.elapsed().as_secs());
                Error::Unavailable(format!(
                    "{why}; the pool of shards was {rest}, and the control plane, which wakes it, was not heard of for {silent} s"
                ))
            }
            _ => error,
        }
    }

    /// How far the shards are that statements wait for.
    pub(crate) fn waking_text(&self, shards: &Shards) -> String {
        let wanted = self.state.lock().told.map_or(0, |(told, _)| told.wanted as usize);
        let own = shards.summaries().into_iter().filter(|shard| shard.alive && shard.pool == self.name);
        let own: Vec<u64> = own.map(|shard| shard.id).collect();
        let (mut done, mut total) = (0, 0);
        for (_, hydrations) in shards.hydrations().into_iter().filter(|(id, _)| own.contains(id)) {
            for one in hydrations {
                (done, total) = (done + one.counts.rows_done, total + one.counts.rows_total);
            }
        }
        waking_text(own.len(), wanted, done, total)
    }
}

impl State {
    fn valid(&self) -> Option<(PoolRest, Duration)> {
        let (told, at) = self.told?;
        let since = at.elapsed();
        (since < Duration::from_millis(told.valid_ms).min(VALID_MOST)).then_some((told.rest, since))
    }

    fn is_away(&self) -> bool {
        match self.valid() {
            Some((PoolRest::Closing, since)) => since < CLOSED,
            Some((PoolRest::Asleep | PoolRest::Waking, _)) => true,
            Some((PoolRest::Awake, _)) | None => false,
        }
    }

    fn is_closed(&self) -> bool {
        let is_ending = |rest| matches!(rest, PoolRest::Closing | PoolRest::Asleep);
        self.valid().is_some_and(|(rest, since)| is_ending(rest) && since < CLOSED)
    }
}

fn waking_text(there: usize, wanted: usize, done: u64, total: u64) -> String {
    let percent = done.saturating_mul(100).checked_div(total).unwrap_or(0).min(100);
    format!("waking ({there} of {} shards, {percent} % loaded)", wanted.max(there).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(rest: PoolRest) -> PoolState {
        PoolState { rest, wanted: 2, valid_ms: 30_000 }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_said_holds_for_a_while() {
        let pool = Pool::new("default");
        assert!(!pool.is_away() && !pool.is_closed(), "nothing was said");
        let wait = async |seconds| tokio::time::advance(Duration::from_secs(seconds)).await;
        for (rest, away, closed, later) in [
            (PoolRest::Awake, false, false, false),
            (PoolRest::Waking, true, false, true),
            (PoolRest::Closing, true, true, false),
            (PoolRest::Asleep, true, true, true),
        ] {
            pool.tell(told(rest));
            assert_eq!((pool.is_away(), pool.is_closed()), (away, closed), "{rest:?}");
            wait(4).await;
            assert_eq!((pool.is_away(), pool.is_closed()), (later, false), "{rest:?}, not said again");
        }
        wait(27).await;
        assert!(!pool.is_away(), "the control plane is away");
        let Error::Unavailable(why) = pool.explain(Error::Unavailable("no shard".into())) else { panic!() };
        assert!(why.contains("no shard") && why.contains("31 s"), "{why}");
        pool.tell(PoolState { valid_ms: u64::MAX, ..told(PoolRest::Asleep) });
        wait(1_801).await;
        assert!(!pool.is_away(), "nobody holds statements for ever");
    }

    #[tokio::test(start_paused = true)]
    async fn who_needs_shards_is_told_of_and_is_not_idle() {
        let pool = Pool::new("default");
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(pool.load(), PoolLoad { in_use: 0, idle: Duration::from_secs(60), waking: 0 });
        let use_ = pool.begin();
        assert_eq!(pool.tell(told(PoolRest::Closing)).in_use, 1);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(pool.load().idle, Duration::ZERO);
        drop(use_);
        tokio::time::advance(Duration::from_secs(7)).await;
        assert_eq!(pool.load().idle, Duration::from_secs(7));
    }

    #[tokio::test]
    async fn so_many_wait_as_may() {
        let (pool, group) = (Pool::new("default"), Arc::from("a"));
        let first = pool.hold(&group, 1).unwrap();
        assert!(matches!(pool.hold(&group, 1), Err(Error::Overloaded(_))));
        let other = pool.hold(&"b".into(), 1).unwrap();
        let free = pool.hold(&group, 0).unwrap();
        assert_eq!(pool.load().waking, 3);
        drop((first, other, free));
        assert_eq!(pool.load().waking, 0);
        drop(pool.hold(&group, 1).unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn pools_are_used_and_told_of_each_by_itself() {
        let pools = Pools::default();
        tokio::time::advance(Duration::from_secs(60)).await;
        let use_ = pools.of("acme").begin();
        pools.of("acme").tell(told(PoolRest::Asleep));
        assert!(pools.of("acme").is_away() && !pools.of("default").is_away());
        let held = pools.of("acme").hold(&"acme".into(), 1).unwrap();
        assert_eq!((pools.load("acme").in_use, pools.load("acme").waking), (1, 1));
        assert_eq!((pools.load("default").in_use, pools.load("default").waking), (0, 0));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(pools.load_of_all(), PoolLoad { in_use: 1, idle: Duration::ZERO, waking: 1 });
        drop((use_, held));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(pools.load_of_all().idle, Duration::from_secs(5), "of the one that was used last");
        assert_eq!(pools.load("default").idle, Duration::from_secs(10));
    }

    #[test]
    fn progress_is_told_of_shards_and_rows() {
        assert_eq!(waking_text(2, 4, 35, 100), "waking (2 of 4 shards, 35 % loaded)");
        assert_eq!(waking_text(0, 0, 0, 0), "waking (0 of 1 shards, 0 % loaded)");
        assert_eq!(waking_text(3, 2, 9, 8), "waking (3 of 3 shards, 100 % loaded)");
    }
}
