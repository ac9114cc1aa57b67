//! Statements that are run again where a node is lost, unless they are to blame for it.

use super::{Call, Planned, Session};
use crate::blame::{blamed, refuse};
use crate::error::{Error, Result};
use crate::query::cancelled;
use crate::result::Rows;
use std::time::Duration;

/// How soon a statement that lacked a node is tried again, at first and at most.
const AGAIN: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));
/// For how long it is.
const RETRIES: Duration = Duration::from_secs(30);

impl Session {
    /// Where a node is lost before the first row, the statement runs again on those that are left.
    pub(super) async fn run_planned(&self, mut planned: Planned, call: &Call) -> Result<Rows> {
        self.coordinator.quarantine.check(call.statement)?;
        let mut pause = AGAIN.0;
        let mut since = None;
        loop {
            let (sql, parameters) = (planned.sql.clone(), planned.parameters.clone());
            call.losses.begin();
            let error = match self.run_once(planned, call).await {
                Ok(rows) => {
                    self.coordinator.quarantine.answered(call.statement);
                    return Ok(rows);
                }
                Err(error) => error,
            };
            if !matches!(error, Error::Unavailable(_)) {
                return Err(error);
            }
            let begun = *since.get_or_insert_with(tokio::time::Instant::now);
            let judged = async {
                tokio::time::sleep(pause).await;
                self.judge(call, &sql).await
            };
            tokio::select! {
                biased;
                judged = judged => judged?,
                () = cancelled(&call.cancel) => return Err(exec::error::Error::Cancelled.into()),
            }
            if self.hold(call).await? {
                // It waited for what is there now; time counts from here.
                since = None;
            } else if begun.elapsed() >= RETRIES {
                return Err(self.pool().explain(error));
            }
            tracing::debug!("a statement runs again: {error}");
            metrics::counter!("tundra_statements_repeated_total").increment(1);
            if call.deadline.is_some_and(|deadline| self.coordinator.now() >= deadline) {
                return Err(exec::error::Error::DeadlineExceeded.into());
            }
            pause = (pause * 2).min(AGAIN.1);
            // Who asked the same may have been blamed for it meanwhile.
            self.coordinator.quarantine.check(call.statement)?;
            planned = self.plan_numbered(&sql, parameters).await?;
        }
    }

    /// An error where the statement is to blame for the shards that its attempts lost: it is refused from now on.
    async fn judge(&self, call: &Call, sql: &str) -> Result<()> {
        match blamed(&self.coordinator, &call.losses, call.statement).await {
            Some(lost) => {
                let who = (self.tenant(), self.principal());
                Err(refuse(&self.coordinator, call.statement, who, sql, &lost).await)
            }
            None => Ok(()),
        }
    }
}
