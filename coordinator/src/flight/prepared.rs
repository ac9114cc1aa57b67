//! Prepared statements. Drivers leak their handles: each has a lifetime, and there is a most of them.

use super::kept::Kept;
use super::parameters::coerce;
use crate::error::{Error, Result};
use crate::random::random_u128;
use crate::session::{Outline, Session};
use columnar::Value;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

/// A statement is forgotten when it was not used for so long.
const IDLE: Duration = Duration::from_secs(3600);
/// The most statements that are remembered.
const STATEMENTS_MAX: usize = 10_000;

/// The prepared statements of all sessions.
pub(super) struct PreparedStatements {
    open: Mutex<Kept<u128, Prepared>>,
}

impl Default for PreparedStatements {
    fn default() -> PreparedStatements {
        PreparedStatements { open: Mutex::new(Kept::new(STATEMENTS_MAX, IDLE)) }
    }
}

/// A prepared statement with what is bound to it.
#[derive(Clone)]
pub(super) struct Prepared {
    pub(super) session: Session,
    pub(super) sql: Arc<str>,
    pub(super) outline: Arc<Outline>,
    /// Rows of parameters.
    pub(super) bound: Vec<Vec<Value>>,
}

impl PreparedStatements {
    /// Takes a statement in and gives its handle.
    pub(super) fn open(&self, session: Session, sql: &str, outline: Outline) -> Result<u128> {
        let handle = random_u128()?;
        let tenant = session.tenant().to_string();
        let prepared = Prepared { session, sql: sql.into(), outline: Arc::new(outline), bound: Vec::new() };
        self.open.lock().insert(&tenant, handle, prepared);
        Ok(handle)
    }

    pub(super) fn get(&self, handle: u128) -> Result<Prepared> {
        self.with(handle, |prepared| prepared.clone())
    }

    /// Binds rows of parameters; they replace those bound before.
    pub(super) fn bind(&self, handle: u128, rows: Vec<Vec<Value>>) -> Result<()> {
        let outline = self.get(handle)?.outline;
        let expected = &outline.parameters;
        if let Some(row) = rows.iter().find(|row| row.len() != expected.len()) {
            return Err(Error::Statement(format!(
                "the statement takes {} parameters, {} were given",
                expected.len(),
                row.len()
            )));
        }
        let coerced = rows.into_iter().map(|row| {
            let values = row.into_iter().zip(expected);
            values.map(|(value, &expected)| coerce(value, expected)).collect::<Result<Vec<_>>>()
        });
        let rows = coerced.collect::<Result<Vec<_>>>()?;
        self.with(handle, |prepared| prepared.bound = rows)
    }

    pub(super) fn close(&self, handle: u128) {
        self.open.lock().remove(&handle);
    }

    fn with<T>(&self, handle: u128, f: impl FnOnce(&mut Prepared) -> T) -> Result<T> {
        let mut open = self.open.lock();
        let found = open.get(&handle).ok_or_else(|| {
            Error::NotFound("this prepared statement was closed, or has expired; prepare it again".into())
        })?;
        Ok(f(found))
    }
}
