//! Statements that are refused for a while, since shards were lost while they ran, and those that were answered lately,
//! which are not suspected as soon.
//!
//! Each coordinator has its own list. What one puts there it tells the others, so far as they answer.

use crate::error::{Error, Result};
use crate::facts::query_text;
use columnar::Value;
use flight_proto::node::Quarantined;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::time::Duration;
use tokio::time::Instant;

/// The most statements that are refused; the one that would be refused no longer soonest makes room.
const REFUSED: usize = 256;
/// The most statements of which it is known that they were answered lately, half of them at least.
const ANSWERED: usize = 8192;
/// How long that is known, and up to twice as long.
const LATELY: Duration = Duration::from_secs(300);
/// So much of a text is kept, in bytes.
const TEXT_BYTES: usize = 2_000;

/// What is asked, as a number: a hash of tenant, text and parameters. `deleted` tells tenants apart that had a name one after the
/// other: the latest number of a dataset when the one before was deleted.
pub(crate) fn statement_id(tenant: &str, deleted: u64, sql: &str, parameters: &[Value]) -> u128 {
    let mut hash = ring::digest::Context::new(&ring::digest::SHA256);
    hash.update(&deleted.to_le_bytes());
    for part in [tenant, sql] {
        hash.update(&(part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    if !parameters.is_empty() {
        hash.update(format!("{parameters:?}").as_bytes());
    }
    let digest = hash.finish();
    digest.as_ref().iter().take(16).fold(0, |number, &byte| number << 8 | u128::from(byte))
}

/// The statements that one coordinator refuses, and those that it has answered.
pub(crate) struct Quarantine {
    /// How long a statement is refused; zero: none is.
    lasts: Duration,
    state: Mutex<State>,
}

struct State {
    refused: HashMap<u128, Refused>,
    /// Answered since `turned`, and in the time before.
    answered: [HashSet<u128>; 2],
    turned: Instant,
}

/// A statement that is refused.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    pub(crate) tenant: String,
    pub(crate) principal: String,
    pub(crate) sql: String,
    /// Microseconds since 1970.
    pub(crate) since_us: i64,
    pub(crate) until: Instant,
    /// Those that were lost, as people write them.
    pub(crate) shards: Vec<String>,
}

impl Quarantine {
    pub(crate) fn new(lasts: Duration) -> Quarantine {
        let state = State { refused: HashMap::new(), answered: Default::default(), turned: Instant::now() };
        Quarantine { lasts, state: Mutex::new(state) }
    }

    /// How long a statement is refused; `None`: none is.
    pub(crate) fn lasts(&self) -> Option<Duration> {
        Some(self.lasts).filter(|lasts| !lasts.is_zero())
    }

    /// An error where the statement is refused.
    pub(crate) fn check(&self, statement: u128) -> Result<()> {
        let state = self.state.lock();
        match state.refused.get(&statement).filter(|refused| refused.until > Instant::now()) {
            Some(refused) => Err(refused.error(statement)),
            None => Ok(()),
        }
    }

    /// Refuses a statement; who was told of it by others may have it for longer.
    pub(crate) fn put(&self, statement: u128, mut refused: Refused) {
        if self.lasts.is_zero() {
            return;
        }
        refused.sql.truncate(beginning(&refused.sql).len());
        let mut state = self.state.lock();
        state.forget();
        if state.refused.len() >= REFUSED
            && let Some((&first, _)) = state.refused.iter().min_by_key(|(_, refused)| refused.until)
        {
            state.refused.remove(&first);
        }
        state.refused.insert(statement, refused);
    }

    /// Forgets what a tenant asked that is no more: who has its name next is not to see it.
    pub(crate) fn forget(&self, tenant: &str) {
        self.state.lock().refused.retain(|_, refused| refused.tenant != tenant);
    }

    /// Takes a statement off the list; `false`: it is not there.
    pub(crate) fn release(&self, statement: u128) -> bool {
        self.state.lock().refused.remove(&statement).is_some()
    }

    /// What is refused, in the order of its end.
    pub(crate) fn list(&self) -> Vec<(u128, Refused)> {
        let mut state = self.state.lock();
        state.forget();
        let refused = state.refused.iter().map(|(&statement, refused)| (statement, refused.clone()));
        let mut refused: Vec<_> = refused.collect();
        refused.sort_by_key(|(statement, refused)| (refused.until, *statement));
        refused
    }

    /// Remembers that a statement was answered.
    pub(crate) fn answered(&self, statement: u128) {
        if self.lasts.is_zero() {
            return;
        }
        let mut state = self.state.lock();
        state.turn();
        state.answered[0].insert(statement);
    }

    /// Whether a statement was answered lately.
    pub(crate) fn was_answered(&self, statement: u128) -> bool {
        let mut state = self.state.lock();
        state.turn();
        state.answered.iter().any(|answered| answered.contains(&statement))
    }
}

impl State {
    /// Drops those that are refused no longer.
    fn forget(&mut self) {
        let now = Instant::now();
        self.refused.retain(|_, refused| refused.until > now);
    }

    /// Those that were answered long ago make room.
    fn turn(&mut self) {
        let past = self.turned.elapsed();
        if past >= LATELY || self.answered[0].len() >= ANSWERED / 2 {
            let recent = std::mem::take(&mut self.answered[0]);
            self.answered[1] = if past >= 2 * LATELY { HashSet::new() } else { recent };
            self.turned = Instant::now();
        }
    }
}

impl Refused {
    /// What who asks it is told.
    pub(crate) fn error(&self, statement: u128) -> Error {
        let left = self.until.saturating_duration_since(Instant::now()).as_secs_f64().ceil();
        let (shards, statement) = (self.shards.join(", "), query_text(statement));
        Error::Quarantined(format!(
            "shards were lost while this statement ran ({shards}): it is refused for {left} s; \
             `tundra admin release {statement}` ends that"
        ))
    }

    /// As it is told to other coordinators.
    pub(crate) fn told(self, statement: u128) -> Quarantined {
        let left = self.until.saturating_duration_since(Instant::now());
        Quarantined {
            statement: statement.to_be_bytes().to_vec().into(),
            tenant: self.tenant,
            principal: self.principal,
            sql: self.sql,
            since_us: self.since_us,
            milliseconds_left: u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
            shards: self.shards,
        }
    }

    /// What another coordinator told; `None`: it names no statement.
    pub(crate) fn from_told(told: Quarantined) -> Option<(u128, Refused)> {
        let Quarantined { statement, tenant, principal, sql, since_us, milliseconds_left, shards } = told;
        let until = Instant::now().checked_add(Duration::from_millis(milliseconds_left))?;
        Some((statement_of(&statement)?, Refused { tenant, principal, sql, since_us, until, shards }))
    }
}

/// As much of a text as is kept.
pub(crate) fn beginning(sql: &str) -> &str {
    &sql[..sql.floor_char_boundary(TEXT_BYTES)]
}

/// A statement's number of its 16 bytes.
pub(crate) fn statement_of(bytes: &[u8]) -> Option<u128> {
    bytes.try_into().ok().map(u128::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LASTS: Duration = Duration::from_secs(60);

    fn refused(sql: &str) -> Refused {
        let until = Instant::now() + LASTS;
        Refused {
            tenant: "acme".into(),
            principal: "ann".into(),
            sql: sql.into(),
            since_us: 5,
            until,
            shards: vec!["s1".into()],
        }
    }

    #[test]
    fn statements_are_told_apart_by_all_that_they_are() {
        let ids = [
            statement_id("a", 0, "SELECT 1", &[]),
            statement_id("b", 0, "SELECT 1", &[]),
            statement_id("a", 7, "SELECT 1", &[]),
            statement_id("a", 0, "SELECT 2", &[]),
            statement_id("a", 0, "SELECT 1", &[Value::int32(1)]),
            statement_id("a", 0, "SELECT 1", &[Value::int64(1)]),
            statement_id("aS", 0, "ELECT 1", &[]),
        ];
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
        assert_eq!(ids[4], statement_id("a", 0, "SELECT 1", &[Value::int32(1)]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_statement_is_refused_for_a_while_or_until_it_is_released() {
        let quarantine = Quarantine::new(LASTS);
        quarantine.put(1, refused("SELECT 1"));
        quarantine.put(2, refused("SELECT 2"));
        let error = quarantine.check(1).unwrap_err();
        assert!(matches!(error, Error::Quarantined(_)));
        assert!(error.to_string().contains("(s1)") && error.to_string().contains("for 60 s"), "{error}");
        quarantine.check(3).unwrap();
        quarantine.put(4, Refused { tenant: "other".into(), ..refused("SELECT 4") });
        quarantine.forget("other");
        quarantine.check(4).unwrap();
        assert_eq!(quarantine.list().len(), 2);
        assert!(quarantine.release(1) && !quarantine.release(1));
        quarantine.check(1).unwrap();
        tokio::time::advance(LASTS - Duration::from_secs(1)).await;
        assert_eq!(quarantine.list().len(), 1);
        tokio::time::advance(Duration::from_secs(1)).await;
        quarantine.check(2).unwrap();
        assert!(quarantine.list().is_empty());
        let off = Quarantine::new(Duration::ZERO);
        off.put(1, refused("SELECT 1"));
        off.check(1).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn the_list_is_bounded() {
        let quarantine = Quarantine::new(LASTS);
        for statement in 0..=REFUSED as u128 {
            tokio::time::advance(Duration::from_millis(1)).await;
            quarantine.put(statement, refused(&"ä".repeat(TEXT_BYTES)));
        }
        assert_eq!(quarantine.list().len(), REFUSED);
        quarantine.check(0).unwrap();
        assert!(quarantine.check(1).is_err());
        assert!(quarantine.list().iter().all(|(_, refused)| refused.sql.len() <= TEXT_BYTES));
    }

    #[tokio::test(start_paused = true)]
    async fn what_others_are_told_is_the_same_there() {
        let (one, other) = (Quarantine::new(LASTS), Quarantine::new(LASTS));
        one.put(7, refused("SELECT 7"));
        for (statement, refused) in one.list() {
            let (statement, refused) = Refused::from_told(refused.told(statement)).unwrap();
            other.put(statement, refused);
        }
        assert_eq!(format!("{:?}", other.list()), format!("{:?}", one.list()));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_answered_is_known_for_a_while() {
        let quarantine = Quarantine::new(LASTS);
        quarantine.answered(1);
        tokio::time::advance(LATELY).await;
        assert!(quarantine.was_answered(1) && !quarantine.was_answered(2));
        tokio::time::advance(LATELY).await;
        assert!(!quarantine.was_answered(1));
        quarantine.answered(1);
        tokio::time::advance(3 * LATELY).await;
        assert!(!quarantine.was_answered(1));
        for statement in 0..2 * ANSWERED as u128 {
            quarantine.answered(statement);
            assert!(quarantine.was_answered(statement));
        }
        assert!(!quarantine.was_answered(0));
        let held: usize = quarantine.state.lock().answered.iter().map(HashSet::len).sum();
        assert!(held <= ANSWERED);
    }
}
