//! Queries that several engines can answer: one is decided on, and Tundra answers where another fails.

use super::{Call, Planned, Session, Started, schema_of};
use crate::error::{Error, Result};
use crate::explain::{self, query_of};
use crate::result::Rows;
use crate::routing::choice::{Candidate, Choice};
use crate::routing::decide::{Because, Decision, decide, is_compared};
use crate::routing::explain::Hidden;
use crate::routing::features::{Asking, EngineFeatures, Features, Ground};
use crate::routing::forced::{Who, check, is_forced, is_named};
use crate::routing::{TUNDRA, explain as explained};
use exec::error::Error as Execution;
use flight_proto::policy::{DEFAULT_TENANT, Routes};
use planner::PlannedQuery;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long another engine may take for its first row where Tundra can answer: at least so long, and so many times what
/// is expected.
const FIRST_ROW_WITHIN: Duration = Duration::from_secs(10);
const FIRST_ROW_TIMES: f64 = 20.0;
/// Who has less patience learns nothing of the engine: short timeouts of one are no matter of others.
const LATE: Duration = Duration::from_secs(1);

/// Why an engine does not answer.
struct Failed {
    error: Error,
    /// It gave no row for so long.
    waited: Option<Duration>,
    /// It is well, and what was asked of it is not.
    blameless: bool,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Failed {
        Failed { error, waited: None, blameless: false }
    }
}

impl Session {
    /// Refuses an engine that the session may not have.
    pub(super) fn check_engine(&self, engine: &str) -> Result<()> {
        let snapshot = self.coordinator.tenants.catalog().snapshot();
        let mut roles = self.caller.roles.clone();
        roles.extend(self.rights()?.role_names());
        check(&snapshot, &Who { tenant: self.tenant(), user: &self.principal, roles: &roles }, engine)
    }

    /// Runs a query on the engine that is decided on.
    pub(super) async fn run_routed(&self, planned: &Planned, choice: &Choice, call: &Call) -> Result<Rows> {
        let schema = schema_of(&planned.routed.statement);
        let history = &self.tenant.routing.history;
        let (features, mut decision) = self.decide_in_turn(planned, choice)?;
        // Who has no other engine is not kept from this one, and does not keep others from it.
        let mut turn = match choice.tundra().is_some() && !is_wanted(&decision) {
            true => history.try_again(&candidate(choice, &decision)?.engine),
            false => Ok(None),
        };
        if turn.is_err() {
            // Another query tries that server just now: by now it counts as one that failed.
            decision = self.decide(planned, choice)?.1;
            turn = history.try_again(&candidate(choice, &decision)?.engine);
        }
        let chosen = candidate(choice, &decision)?;
        let tundra = choice.tundra().filter(|_| !chosen.is_tundra() && !is_wanted(&decision));
        let expected_ms = features.engines.get(decision.engine).map_or(0.0, EngineFeatures::expected_ms);
        let most = tundra.map(|_| first_row_within(expected_ms));
        let begun = self.begin_on(chosen, choice, planned, call, schema.clone(), most).await;
        let Failed { error, waited, blameless } = match begun {
            Ok(rows) => return Ok(rows),
            Err(failed) => failed,
        };
        if chosen.is_tundra() {
            return Err(error);
        }
        match waited {
            Some(waited) if waited >= LATE => history.late(&choice.shape, &chosen.engine, waited),
            None if is_engines_fault(&error) && !blameless => history.failed(&choice.shape, &chosen.engine),
            _ => {}
        }
        drop(turn);
        let late = waited.is_some();
        if late || is_engines_fault(&error) {
            metrics::counter!("tundra_routes_failed_total", "engine" => chosen.kind).increment(1);
        }
        match tundra.filter(|_| late || is_engines_fault(&error)) {
            Some(tundra) => {
                tracing::warn!("Tundra answers in place of the server {}: {error}", chosen.engine);
                let begun = self.begin_on(tundra, choice, planned, call, schema, None).await;
                begun.map_err(|failed| failed.error)
            }
            None => Err(error),
        }
    }

    /// Starts the query on one engine, and waits for its first rows; `most`: of another engine no longer than so.
    async fn begin_on(
        &self,
        candidate: &Candidate,
        choice: &Choice,
        planned: &Planned,
        call: &Call,
        schema: arrow::datatypes::SchemaRef,
        most: Option<Duration>,
    ) -> std::result::Result<Rows, Failed> {
        let none = || Error::Internal("a route without a query".into());
        let query = candidate.query().ok_or_else(none)?;
        self.coordinator.does(call.id, &candidate.statement);
        let mut started = match candidate.is_tundra() {
            true => self.begin(query, planned, call).await?,
            false => {
                let mut started = self.start(query, &planned.view, call).await?;
                self.first_row(&mut started, call, most).await?;
                started
            }
        };
        call.span.record("engine", &*candidate.engine);
        metrics::counter!("tundra_routes_total", "engine" => candidate.kind).increment(1);
        let (tenant, shape, engine) = (self.tenant.clone(), choice.shape.clone(), candidate.engine.clone());
        let kind = candidate.kind;
        started.running.when_done(move |took: Duration| {
            tenant.routing.history.add(&shape, &engine, took);
            metrics::histogram!("tundra_route_seconds", "engine" => kind).record(took.as_secs_f64());
        });
        if !candidate.is_tundra() {
            let (tenant, shape, engine) =
                (self.tenant.clone(), choice.shape.clone(), candidate.engine.clone());
            let moved = started.running.moved().to_vec();
            started.running.when_failed(move |error| {
                if is_engines_fault(error) && !moved.iter().any(|moved| moved.is_blameless()) {
                    tenant.routing.history.failed(&shape, &engine);
                    metrics::counter!("tundra_routes_failed_total", "engine" => kind).increment(1);
                }
            });
        }
        Ok(started.running.into_rows(schema))
    }

    /// Waits for the first rows of another engine, with time left for Tundra where `most` says that it can answer.
    async fn first_row(
        &self,
        started: &mut Started,
        call: &Call,
        most: Option<Duration>,
    ) -> std::result::Result<(), Failed> {
        let begun = Instant::now();
        let left = call.deadline.map(|deadline| deadline.saturating_sub(self.coordinator.now()));
        let most = most.map(|most| left.map_or(most, |left| most.min(left / 2)));
        let answered = match most {
            None => started.running.wait_for_rows().await,
            Some(most) => match tokio::time::timeout(most, started.running.wait_for_rows()).await {
                Ok(answered) => answered,
                Err(_) => Err(Execution::DeadlineExceeded.into()),
            },
        };
        let Err(error) = answered else { return Ok(()) };
        // What it still does there is of no use.
        started.query.cancel.cancel();
        let late = matches!(error, Error::Execution(Execution::DeadlineExceeded));
        let blameless = started.running.moved().iter().any(|moved| moved.is_blameless());
        Err(Failed { error, waited: late.then(|| begun.elapsed()), blameless })
    }

    /// As [`Session::decide`], for a query that runs: what is decided by what is expected has a turn of its own.
    fn decide_in_turn(&self, planned: &Planned, choice: &Choice) -> Result<(Features, Decision)> {
        let (mut features, mut decision) = self.decide(planned, choice)?;
        if is_compared(&choice.routes, &decision.because) {
            features.turn = self.tenant.routing.history.turn(&choice.shape);
            decision = decide(&choice.routes, &features);
        }
        Ok((features, decision))
    }

    /// Decides which engine answers, by what is known now.
    fn decide(&self, planned: &Planned, choice: &Choice) -> Result<(Features, Decision)> {
        let coordinator = &self.coordinator;
        let (engine, label) = {
            let settings = self.settings.lock();
            let label = self.label.as_deref().unwrap_or(&settings.query_label);
            (settings.engine.clone(), label.to_string())
        };
        let snapshot = coordinator.tenants.catalog().snapshot();
        let tier = snapshot.policy().tenant(self.tenant()).map(|tenant| tenant.tier.clone());
        let asking = Asking { tier: tier.unwrap_or_default(), user: self.principal.clone(), label };
        let ground = Ground {
            view: &planned.view,
            shards: coordinator.tenants.shards(),
            threads: coordinator.config.threads,
            load: coordinator.admission.load(|_| true),
        };
        let features = Features::of(choice, &ground, asking, &self.tenant.routing.history);
        if !is_forced(&engine) {
            let decision = decide(&choice.routes, &features);
            return Ok((features, decision));
        }
        self.check_engine(&engine)?;
        if is_named(&engine) {
            let named = choice.named.as_deref();
            let place = choice.candidates.iter().position(|one| Some(&*one.engine) == named);
            return match place {
                Some(engine) => Ok((features, Decision { engine, because: Because::Named, explores: false })),
                None => {
                    Err(impossible(&engine, "its tables are of several engines, or their engine refuses it"))
                }
            };
        }
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
        if !is_forced(&engine) || is_named(&engine) {
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
            let rights = self.rights()?;
            let is_operators = self.tenant() == DEFAULT_TENANT && rights.are_all();
            let nodes = self.coordinator.tenants.shards().nodes().is_some();
            let hidden = Hidden { others: !is_operators, resident: !is_operators && nodes };
            let mut lines = explained::lines(choice, &features, &decision, &hidden, rights.are_all());
            lines.push(format!("decided in {} us", took.as_micros()));
            return Ok(lines);
        }
        self.check_forced(query)?;
        let mut servers: Vec<&str> = query.foreign.iter().map(|remote| remote.server.as_str()).collect();
        servers.dedup();
        let routes = self.routes();
        let why = match (&routes, query.tables.is_empty(), servers.as_slice()) {
            (None, ..) => "the tenant has no routes",
            (_, true, []) => "it reads no tables",
            _ => "its tables have no twins",
        };
        let engine = if servers.is_empty() { TUNDRA.into() } else { servers.join(", ") };
        let twins = routes.map(|(version, routes)| {
            // Where no tables are read they say nothing.
            let reads = !query.tables.is_empty() || !servers.is_empty();
            // Twins are of tables that not everybody may know of.
            let told = reads && self.rights().is_ok_and(|rights| rights.are_all());
            told.then(|| self.tenant.routing.twins(&planned.view, version, &routes))
        });
        let twins = twins.flatten();
        Ok(explained::without_choice(&engine, why, &planned.routed.refused, twins.as_deref()))
    }

    /// The lines of `EXPLAIN`, or its document in one, where the statement is one.
    pub(super) async fn explain(
        &self,
        planned: &Planned,
        analyze: bool,
        json: bool,
        query: &PlannedQuery,
        call: &Call,
    ) -> Result<Vec<String>> {
        let query = self.chosen(planned, query)?;
        let measured = match analyze {
            true => Some(self.measure(query, planned, call).await?),
            false => None,
        };
        Ok(match json {
            true => vec![explain::document(query, measured.as_ref())],
            false => explain::lines(query, measured.as_ref()),
        })
    }

    /// The version of the routes that plans are made by; 0: there are none.
    pub(super) fn routes_version(&self) -> u64 {
        self.routes().map_or(0, |(version, _)| version)
    }

    /// The tenant's routes and their version.
    pub(super) fn routes(&self) -> Option<(u64, Arc<Routes>)> {
        let snapshot = self.coordinator.tenants.catalog().snapshot();
        snapshot.policy().routes(self.tenant()).cloned()
    }
}

/// The longest that another engine may take for its first row where Tundra can answer, too.
fn first_row_within(expected_ms: f64) -> Duration {
    let expected = expected_ms * FIRST_ROW_TIMES / 1e3;
    FIRST_ROW_WITHIN.max(Duration::try_from_secs_f64(expected).unwrap_or(FIRST_ROW_WITHIN))
}

/// Whether the session says which engine answers: then no other one does.
fn is_wanted(decision: &Decision) -> bool {
    matches!(decision.because, Because::Forced | Because::Named)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_rows_have_time_by_what_is_expected() {
        assert_eq!(first_row_within(3.0), FIRST_ROW_WITHIN);
        assert_eq!(first_row_within(1_000.0), Duration::from_secs(20));
        assert_eq!(first_row_within(f64::INFINITY), FIRST_ROW_WITHIN);
        assert_eq!(first_row_within(f64::NAN), FIRST_ROW_WITHIN);
    }
}
