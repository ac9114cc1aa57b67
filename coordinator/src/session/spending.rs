//! Statements whose use is counted, and what budgets have to say to them.

use super::{Call, Planned, Session};
use crate::admission::Limits;
use crate::error::{Error, Result};
use crate::explain;
use crate::result::Rows;
use crate::trace::Ending;
use crate::usage::Verdict;
use planner::{PlannedQuery, Statement};
use std::sync::Arc;

/// A query of no table that gives no more rows by the planner's estimate may look why others are refused.
const SMALL_ROWS: f64 = 10_000.0;

impl Session {
    /// Runs a statement and counts what it uses, until its rows are read.
    pub(super) async fn run_counted(&self, planned: Planned, query_id: u128) -> Result<Rows> {
        let call = self.call(query_id, &planned)?;
        self.check_budgets(&planned, &call)?;
        let rows = self.run_planned(planned, &call).await;
        match rows {
            Ok(rows) => {
                let rows = rows.counted(call.account.clone());
                Ok(match call.span.is_disabled() {
                    true => rows,
                    false => rows.until_read(Ending { span: call.span, account: call.account }),
                })
            }
            Err(error) => Err(call.account.cause(error)),
        }
    }

    /// Refuses a statement whose budget is spent.
    fn check_budgets(&self, planned: &Planned, call: &Call) -> Result<()> {
        let Some(query) = explain::query_of(&planned.routed.statement) else {
            call.account.exempt();
            return Ok(());
        };
        let runs = !matches!(
            &*planned.routed.statement,
            Statement::Explain { analyze: false, .. }
                | Statement::ExplainCost(_)
                | Statement::ExplainRoute { .. }
        );
        if !runs {
            call.account.exempt();
            return Ok(());
        }
        let snapshot = self.coordinator.tenants.catalog().snapshot();
        match self.coordinator.usage.verdict(snapshot.policy(), call.account.who()) {
            Verdict::Stop(why) if planned.changes() || !is_small(query) => Err(Error::Overloaded(why)),
            Verdict::Stop(_) => {
                call.account.let_in();
                Ok(())
            }
            Verdict::Free | Verdict::Throttle => Ok(()),
        }
    }

    /// Refuses what would have shards hold more of the tenant than its quota; `more` is what is known of it, in bytes of
    /// Parquet.
    pub(super) fn check_resident(&self, more: u64) -> Result<()> {
        let snapshot = self.coordinator.tenants.catalog().snapshot();
        let tenant = snapshot.policy().tenant(self.tenant());
        let most = tenant.and_then(|tenant| tenant.quotas).map_or(0, |quotas| quotas.resident_bytes);
        let held = self.tenant.datasets.view().resident_bytes();
        match most > 0 && held.saturating_add(more.max(1)) > most {
            true => Err(Error::Overloaded(format!(
                "the tenant's tables take {held} bytes of the memory of shards, and may take {most}: this would be more; \
                 drop what is not needed, or have an operator raise the quota resident_bytes"
            ))),
            false => Ok(()),
        }
    }

    /// The workload group of a statement, and what it may have: one whose budget is spent may have to wait for all others.
    pub(super) fn group(&self, call: &Call) -> (Arc<str>, Limits) {
        let (tenant, limits) = (self.tenant.name(), self.limits());
        let snapshot = self.coordinator.tenants.catalog().snapshot();
        match self.coordinator.usage.verdict(snapshot.policy(), call.account.who()) {
            Verdict::Throttle => {
                let limits = Limits { concurrency: 1, last: true, ..limits };
                (format!("{tenant} (throttled)").into(), limits)
            }
            // Those that run all the same are small; one at a time, they come to little.
            Verdict::Stop(_) => {
                let limits = Limits { concurrency: 1, last: true, ..limits };
                (format!("{tenant} (stopped)").into(), limits)
            }
            Verdict::Free => (tenant.clone(), limits),
        }
    }
}

/// Whether a query reads nothing but what a coordinator knows, and little of it.
fn is_small(query: &PlannedQuery) -> bool {
    let notes = query.notes.iter().flat_map(|notes| &notes.operators);
    query.tables.is_empty()
        && query.foreign.is_empty()
        && notes.map(|note| note.estimated_rows).all(|rows| rows <= SMALL_ROWS)
}
