//! Queries that are tried once more, without the shard that holds them up.

use super::{Call, Planned, Session, Started, schema_of};
use crate::error::{Error, Result};
use crate::hedge::Parts;
use crate::plans::Asked;
use planner::{PlannedQuery, Statement};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Another attempt beside the first.
struct Second {
    started: Started,
    begun: Instant,
}

impl Session {
    /// Starts a query and waits for its first rows. Where one shard holds it up it is tried without that one, too; the
    /// attempt that has rows first goes on, and the other ends.
    pub(super) async fn begin(
        &self,
        query: &PlannedQuery,
        planned: &Planned,
        call: &Call,
    ) -> Result<Started> {
        let mut first = self.start(query, &planned.view, call).await?;
        let begun = Instant::now();
        let Some(parts) = first.running.parts() else {
            first.running.begin().await?;
            return Ok(first);
        };
        let hedging = &self.coordinator.hedging;
        hedging.budget.count();
        // Shards of earlier versions do not tell whom they wait for.
        let tells = self.coordinator.tenants.catalog().snapshot().cluster_version() >= 2;
        let wanted = self.settings.lock().hedge && tells;
        let late = hedging.times.late_after(call.statement).filter(|_| wanted);
        let second = self.second(planned, call, &parts, late);
        let second = race(first.running.begin(), second).await?;
        let (started, begun) = match second {
            None => (first, begun),
            Some(Second { started, begun }) => (started, begun),
        };
        // That of the attempt which was not held up, else the late would soon be what is usual.
        hedging.times.add(call.statement, begun.elapsed());
        Ok(started)
    }

    /// The query on all shards but one, once it is late and that one holds it up; `None`: it may not be tried again.
    async fn second(
        &self,
        planned: &Planned,
        call: &Call,
        parts: &Parts,
        late: Option<Duration>,
    ) -> Option<Second> {
        let (coordinator, mut pause) = (&self.coordinator, late?);
        let nodes = coordinator.tenants.shards().nodes()?;
        let slow = loop {
            sleep(pause).await;
            if !coordinator.hedging.budget.has_room() {
                return None;
            }
            if let Some(slow) = parts.slow_shard(nodes).await {
                break slow;
            }
            // Who it is may be seen later.
            pause *= 2;
        };
        let pool = &planned.view.seating.as_ref()?.pool;
        let view = self.tenant.datasets.view_without(pool, slow)?;
        let asked = Asked {
            sql: planned.sql.clone(),
            parameters: Some(planned.parameters.clone()),
            routes: planned.routes,
            access: planned.access,
            optimizer: self.settings.lock().optimizer,
            zone: planned.zone.clone(),
        };
        let rights = Arc::new(self.rights().ok()?);
        let (routed, _) = self.plan_on(&view, asked, self.routes(), &rights).await.ok()?;
        rights.check(&routed.statement, routed.reads.as_deref()).ok()?;
        let statement = routed.on_tundra();
        let Statement::Query(query) = &**statement else { return None };
        // A bucket that no other shard holds cannot be read without it.
        let readable = query.tables.iter().all(|table| view.check(table).is_ok());
        if !readable || schema_of(statement) != planned.schema() {
            return None;
        }
        let (group, limits) = self.group(call);
        let slot = coordinator.admission.try_enter(&group, limits)?;
        if !coordinator.hedging.budget.take() {
            return None;
        }
        let begun = Instant::now();
        tracing::debug!("a query is tried without shard {slow:016x}, which holds it up");
        match self.start_in(slot, query, &view, call) {
            Ok(started) => {
                let span = &started.query.span;
                span.record("without_shard", tracing::field::display(format_args!("{slow:016x}")));
                Some(Second { started, begun })
            }
            Err(error) => {
                tracing::debug!("a query is not tried without shard {slow:016x}: {error}");
                None
            }
        }
    }
}

/// Waits for the first rows of the first attempt, or of a second one beside it, which is given where that was sooner.
async fn race(
    first: impl Future<Output = Result<()>>,
    second: impl Future<Output = Option<Second>>,
) -> Result<Option<Second>> {
    tokio::pin!(first);
    let second = tokio::select! {
        biased;
        done = &mut first => return done.map(|()| None),
        second = second => second,
    };
    let Some(mut second) = second else { return first.await.map(|()| None) };
    let won = {
        let rows = second.started.running.begin();
        tokio::pin!(rows);
        tokio::select! {
            biased;
            done = &mut first => match done {
                // What the first lost the second may have.
                Err(Error::Unavailable(why)) => match rows.await {
                    Ok(()) => Ok(true),
                    Err(_) => Err(Error::Unavailable(why)),
                },
                done => done.map(|()| false),
            },
            done = &mut rows => match done {
                Ok(()) => Ok(true),
                Err(_) => first.await.map(|()| false),
            },
        }
    };
    let outcome = if matches!(won, Ok(true)) { "won" } else { "lost" };
    metrics::counter!("tundra_statements_hedged_total", "outcome" => outcome).increment(1);
    won.map(|won| won.then_some(second))
}
