//! Queries that several engines can answer: one is decided on, and Tundra answers where another fails.

use super::{Call, Planned, Session, schema_of};
use crate::error::{Error, Result};
use crate::explain::{self, query_of};
use crate::result::Rows;
use crate::routing::choice::{Candidate, Choice};
use crate::routing::decide::{Because, Decision, decide};
use crate::routing::features::{Asking, Features, Ground};
use crate::routing::forced::{Who, check, is_forced};
use crate::routing::{TUNDRA, explain as explained};
use exec::error::Error as Execution;
use planner::PlannedQuery;
use std::time::{Duration, Instant};

impl Session {
    /// Refuses an engine that the session may not have.
    pub(super) fn check_engine(&self, engine: &str) -> Result<()> {
        let snapshot = self.coordinator.tenants.catalog().snapshot();
        check(&snapshot, &Who { tenant: self.tenant(), user: &self.principal, roles: &self.roles }, engine)
    }

    /// Runs a query on the engine that is decided on.
    pub(super) async fn run_routed(&self, planned: &Planned, choice: &Choice, call: &Call) -> Result<Rows> {
        let schema = schema_of(&planned.routed.statement);
        let (_, decision) = self.decide(planned, choice)?;
        let history = &self.tenant.routing.history;
        history.decided(&choice.shape);
        let chosen = candidate(choice, &decision)?;
        let error = match self.begin_on(chosen, choice, planned, call, schema.clone()).await {
            Ok(rows) => return Ok(rows),
            Err(error) => error,
        };
        if chosen.is_tundra() || !is_engines_fault(&error) {
            return Err(error);
        }
        history.failed(&choice.shape, &chosen.engine);
        let kind = chosen.kind;
        metrics::counter!("tundra_routes_failed_total", "engine" => kind).increment(1);
        match choice.tundra().filter(|_| decision.because != Because::Forced) {
            Some(tundra) => {
                tracing::warn!("Tundra answers in place of the server {}: {error}", chosen.engine);
                self.begin_on(tundra, choice, planned, call, schema).await
            }
            None => Err(error),
        }
    }

    /// Starts the query on one engine, and waits for its first rows.
    async fn begin_on(
        &self,
        candidate: &Candidate,
        choice: &Choice,
        planned: &Planned,
        call: &Call,
        schema: arrow::datatypes::SchemaRef,
    ) -> Result<Rows> {
        let none = || Error::Internal("a route without a query".into());
        let query = candidate.query().ok_or_else(none)?;
        self.coordinator.does(call.id, &candidate.statement);
        let mut started = match candidate.is_tundra() {
            true => self.begin(query, planned, call).await?,
            false => {
                let mut started = self.start(query, &planned.view, call).await?;
                started.running.wait_for_rows().await?;
                started
            }
        };
        metrics::counter!("tundra_routes_total", "engine" => candidate.kind).increment(1);
        let (tenant, shape, engine) = (self.tenant.clone(), choice.shape.clone(), candidate.engine.clone());
        let kind = candidate.kind;
        started.running.when_done(move |took: Duration| {
            tenant.routing.history.add(&shape, &engine, took);
            metrics::histogram!("tundra_route_seconds", "engine" => kind).record(took.as_secs_f64());
        });
        Ok(started.running.into_rows(schema))
    }

    /// Decides which engine answers, by what is known now.
    fn decide(&self, planned: &Planned, choice: &Choice) -> Result<(Features, Decision)> {
        let coordinator = &self.coordinator;
        let (engine, label) = {
            let settings = self.settings.lock();
            (settings.engine.clone(), settings.query_label.clone())
        };
        let snapshot = coordinator.tenants.catalog().snapshot();
        let tier = snapshot.policy().tenant(self.tenant()).map(|tenant| tenant.tier.clone());
        let asking = Asking { tier: tier.unwrap_or_default(), user: self.principal.clone(), label };
        let ground = Ground {
            view: &planned.view,
            shards: coordinator.tenants.shards(),
            threads: coordinator.config.threads,
            load: coordinator.admission.load(),
        };
        let features = Features::of(choice, &ground, asking, &self.tenant.routing.history);
        if !is_forced(&engine) {
            let decision = decide(&choice.routes, &features);
            return Ok((features, decision));
        }
        self.check_engine(&engine)?;
        let place = choice.candidates.iter().position(|one| one.engine.eq_ignore_ascii_case(&engine));
        match place {
            Some(engine) => Ok((features, Decision { engine, because: Because::Forced, explores: false })),
            None => {
                let why = choice.refused.iter().find(|(refused, _)| refused.eq_ignore_ascii_case(&engine));
                let why = why.map_or("it has none of the query's tables", |(_, why)| why.as_str());
                Err(impossible(&engine, why))
            }
        }
    }

    /// What a statement without a choice is: that the engine which the session forces is the one that it is for.
    pub(super) fn check_forced(&self, query: &PlannedQuery) -> Result<()> {
        let engine = self.settings.lock().engine.clone();
        if !is_forced(&engine) {
            return Ok(());
        }
        self.check_engine(&engine)?;
        if engine.eq_ignore_ascii_case(TUNDRA) {
            return match query.foreign.first() {
                Some(remote) => {
                    Err(impossible(&engine, &format!("it reads tables of the server {}", remote.server)))
                }
                None => Ok(()),
            };
        }
        if let Some(table) = query.tables.first() {
            return Err(impossible(&engine, &format!("table {} has no twin there", table.name)));
        }
        match query.foreign.iter().find(|remote| !remote.server.eq_ignore_ascii_case(&engine)) {
            Some(remote) => {
                Err(impossible(&engine, &format!("it reads tables of the server {}", remote.server)))
            }
            None => Ok(()),
        }
    }

    /// The plan that would run: of the engine that is decided on, where there is a choice.
    pub(super) fn chosen<'a>(
        &self,
        planned: &'a Planned,
        query: &'a PlannedQuery,
    ) -> Result<&'a PlannedQuery> {
        let Some(choice) = &planned.routed.choice else {
            self.check_forced(query)?;
            return Ok(query);
        };
        let (_, decision) = self.decide(planned, choice)?;
        let chosen = candidate(choice, &decision)?;
        Ok(query_of(&chosen.statement).unwrap_or(query))
    }

    /// `EXPLAIN ROUTE`
    pub(super) fn explain_route(&self, planned: &Planned, query: &PlannedQuery) -> Result<Vec<String>> {
        if let Some(choice) = &planned.routed.choice {
            let begun = Instant::now();
            let (features, decision) = self.decide(planned, choice)?;
            let took = begun.elapsed();
            let mut lines = explained::lines(choice, &features, &decision);
            lines.push(format!("decided in {} us", took.as_micros()));
            return Ok(lines);
        }
        self.check_forced(query)?;
        let mut servers: Vec<&str> = query.foreign.iter().map(|remote| remote.server.as_str()).collect();
        servers.dedup();
        let snapshot = self.coordinator.tenants.catalog().snapshot();
        let why = match (snapshot.policy().routes(self.tenant()), query.tables.is_empty(), servers.as_slice())
        {
            (None, ..) => "the tenant has no routes",
            (_, true, []) => "it reads no tables",
            _ => "its tables have no twins",
        };
        let engine = if servers.is_empty() { TUNDRA.into() } else { servers.join(", ") };
        Ok(explained::without_choice(&engine, why))
    }

    /// The lines of `EXPLAIN`, where the statement is one.
    pub(super) async fn explain(
        &self,
        planned: &Planned,
        analyze: bool,
        query: &PlannedQuery,
        call: &Call,
    ) -> Result<Vec<String>> {
        let query = self.chosen(planned, query)?;
        let measured = match analyze {
            true => Some(self.measure(query, planned, call).await?),
            false => None,
        };
        Ok(explain::lines(query, measured.as_ref()))
    }

    /// The version of the routes that plans are made by; 0: there are none.
    pub(super) fn routes_version(&self) -> u64 {
        let snapshot = self.coordinator.tenants.catalog().snapshot();
        snapshot.policy().routes(self.tenant()).map_or(0, |(version, _)| *version)
    }
}

fn candidate<'a>(choice: &'a Choice, decision: &Decision) -> Result<&'a Candidate> {
    let candidate = choice.candidates.get(decision.engine);
    candidate.ok_or_else(|| Error::Internal("a decision for an engine that there is not".into()))
}

fn impossible(engine: &str, why: &str) -> Error {
    Error::Refused(format!(
        "the engine '{engine}', which this session wants, cannot answer: {why}; SET engine = 'auto'"
    ))
}

/// Whether another engine may succeed: the query was not ended, and its values are not to blame.
fn is_engines_fault(error: &Error) -> bool {
    match error {
        Error::Execution(error) => !matches!(
            error,
            Execution::Cancelled
                | Execution::DeadlineExceeded
                | Execution::Value(_)
                | Execution::SubqueryRows
                | Execution::Memory { .. }
                | Execution::MemoryElsewhere(_)
        ),
        Error::Environment(_)
        | Error::Unavailable(_)
        | Error::Conflict(_)
        | Error::Refused(_)
        | Error::Denied(_) => true,
        Error::Unsupported(_) | Error::Internal(_) => true,
        _ => false,
    }
}
