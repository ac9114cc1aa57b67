//! A session: who asks, with which settings, and the statements it runs.

use crate::error::{Error, Result};
use crate::result::Rows;

/// A client's conversation with the coordinator; cheap to clone.
#[derive(Clone)]
pub struct Session {
    principal: String,
}

impl Session {
    pub(crate) fn new(principal: &str) -> Session {
        Session { principal: principal.to_string() }
    }

    pub fn principal(&self) -> &str {
        &self.principal
    }

    /// Runs one statement. A statement that changes something has done so, durably, when this returns; a
    /// query has started, and its rows come as they are computed.
    pub async fn execute(&self, sql: &str) -> Result<Rows> {
        let _ = sql;
        Err(Error::Unsupported("SQL without a planner".into()))
    }
}
