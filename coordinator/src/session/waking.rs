//! Statements that wait for shards: while a pool sleeps that the control plane wakes.

use super::{Call, Session};
use crate::error::{Error, Result};
use crate::pool::Pool;
use crate::progress::Stage;
use crate::query::cancelled;
use crate::shards::pools::no_shard_of;
use planner::{PlannedQuery, Statement};
use std::sync::Arc;
use std::time::Duration;

/// How soon it is seen that shards have come.
const LOOK: Duration = Duration::from_millis(100);

impl Session {
    /// The pool of shards that the tenant's data are to be on.
    pub(super) fn pool(&self) -> Arc<Pool> {
        let snapshot = self.coordinator.tenants.catalog().snapshot();
        self.coordinator.pools.of(snapshot.pool_of(self.tenant.name()))
    }

    /// That pool, and the one that they are read in while they move.
    fn pools(&self) -> Vec<Arc<Pool>> {
        let (own, view) = (self.pool(), self.tenant.datasets.view());
        let other = view.seating.as_ref().filter(|seating| seating.pool != own.name());
        let other = other.map(|seating| self.coordinator.pools.of(&seating.pool));
        [own].into_iter().chain(other).collect()
    }

    /// Notes that a query needs shards, where it does. Fails where these are just being ended.
    pub(super) fn need_shards(&self, query: &PlannedQuery, call: &Call) -> Result<()> {
        let reads = !query.tables.is_empty() || query.fragments.len() > 1;
        if !reads || !query.foreign.is_empty() {
            return Ok(());
        }
        self.need(query.tables.iter().map(|table| table.dataset).collect(), call)
    }

    /// As [`Session::need_shards`], of a statement that has shards bring something in.
    pub(super) fn need_shards_to_change(&self, statement: &Statement, call: &Call) -> Result<()> {
        let brings_in = matches!(
            statement,
            Statement::CreateTable { .. }
                | Statement::CreateTableAs { .. }
                | Statement::CreateExternalTable(_)
                | Statement::Insert { .. }
                | Statement::RefreshTable { .. }
                | Statement::Truncate { .. }
                | Statement::Change(_)
        );
        if !brings_in {
            return Ok(());
        }
        self.need(Vec::new(), call)?;
        let pool = self.pool();
        match pool.is_away() && !self.tenant.datasets.view().has_shards() {
            true => Err(Error::Unavailable(no_shard_of(pool.name()))),
            false => Ok(()),
        }
    }

    fn need(&self, datasets: Vec<u64>, call: &Call) -> Result<()> {
        if self.coordinator.tenants.shards().nodes().is_none() {
            return self.tenant.datasets.check_pool();
        }
        // Counted first: who ends shards either hears of it, or has said so before.
        let pools = self.pools();
        call.listed.progress().needs(datasets, pools.iter().map(Pool::begin).collect());
        match pools.iter().any(|pool| pool.is_closed()) {
            true => Err(Error::Unavailable("the pool of shards sleeps".into())),
            false => Ok(()),
        }
    }

    /// Waits, where the pool sleeps or is being woken, until shards hold what the statement needs; `false`: there is nothing
    /// to wait for.
    pub(super) async fn hold(&self, call: &Call) -> Result<bool> {
        let progress = call.listed.progress();
        let Some(datasets) = progress.needed() else { return Ok(false) };
        let Some(pool) = self.pools().into_iter().find(|pool| pool.is_away()) else { return Ok(false) };
        let held = pool.hold(self.tenant.name(), self.limits().queue)?;
        progress.comes_to(Stage::Waking);
        let are_there = || {
            let view = self.tenant.datasets.view();
            view.has_shards() && !datasets.iter().any(|&dataset| view.lacks(dataset))
        };
        let woken = async {
            while pool.is_closed() || pool.is_away() && !are_there() {
                tokio::time::sleep(LOOK).await;
            }
        };
        let late = async {
            match call.deadline {
                None => std::future::pending().await,
                Some(deadline) => {
                    tokio::time::sleep(deadline.saturating_sub(self.coordinator.now())).await;
                }
            }
        };
        tokio::select! {
            biased;
            () = cancelled(&call.cancel) => return Err(exec::error::Error::Cancelled.into()),
            () = woken => {}
            () = late => {
                let far = pool.waking_text(self.coordinator.tenants.shards());
                return Err(Error::Unavailable(format!(
                    "the statement's time limit passed while the pool of shards was being woken: {far}; \
                     ask again in a while, or with a longer query_timeout"
                )));
            }
        }
        drop(held);
        progress.comes_to(Stage::Planning);
        Ok(true)
    }
}
