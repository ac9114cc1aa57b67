//! Queries of all coordinators: each knows its own, and asks the others for theirs.

use super::others::ask_others;
use super::{Admitted, Result, number};
use crate::coordinator::Coordinator;
use crate::error::Error;
use crate::facts;
use crate::pool::PoolLoad;
use axum::Json;
use axum::extract::Path;
use flight_proto::admin::{Failure, Load, Loads, Queries, Query};
use flight_proto::node::{self, AskQueries, RunningQuery, Service};
use flight_proto::pool::{DEFAULT_POOL, named};
use std::collections::BTreeSet;
use std::time::Duration;

/// The queries that run or wait, on all coordinators.
#[utoipa::path(get, path = "/api/v1/queries", tag = "queries", responses((status = OK, body = Queries)))]
pub(crate) async fn list(Admitted(coordinator): Admitted) -> Json<Queries> {
    Json(ask(&coordinator, AskQueries::default()).await)
}

/// The statements of this coordinator on their way in: how many run and wait, and how long they waited.
#[utoipa::path(get, path = "/api/v1/load", tag = "queries", responses((status = OK, body = Loads)))]
pub(crate) async fn load(Admitted(coordinator): Admitted) -> Json<Loads> {
    let snapshot = coordinator.tenants.catalog().snapshot();
    let shards = snapshot.shards().values().map(|shard| named(&shard.pool));
    let tenants = snapshot.tenants().map(|tenant| snapshot.pool_of(tenant));
    let pools: BTreeSet<&str> = shards.chain(tenants).chain([DEFAULT_POOL]).collect();
    let of = |pool: &str| {
        let is_of = |tenant: &str| snapshot.pool_of(tenant) == pool;
        let moving = coordinator.tenants.moving_from(pool);
        load_of(&coordinator, coordinator.pools.load(pool).and_in_use(moving), is_of)
    };
    let pools = pools.into_iter().map(|pool| (pool.to_string(), of(pool))).collect();
    Json(Loads { all: load_of(&coordinator, coordinator.pools.load_of_all(), |_| true), pools })
}

/// Of the statements of these tenants, which need shards so.
fn load_of(coordinator: &Coordinator, pool: PoolLoad, is_of: impl Fn(&str) -> bool) -> Load {
    // Groups are of tenants, and may say what is with them.
    let load = coordinator.admission.load(|group| is_of(group.split(' ').next().unwrap_or(group)));
    let snapshot = coordinator.tenants.catalog().snapshot();
    let is_refreshed = |dataset| snapshot.find(dataset).is_some_and(|(tenant, _)| is_of(tenant));
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    Load {
        running: load.running as u64,
        queued: (load.waiting + pool.waking) as u64,
        oldest_wait_ms: millis(load.oldest_wait),
        admitted: load.admitted,
        waited_us: u64::try_from(load.waited.as_micros()).unwrap_or(u64::MAX),
        waking: pool.waking as u64,
        in_use: Some(pool.in_use as u64),
        idle_ms: Some(millis(pool.idle)),
        refresh_in_ms: coordinator.refreshes.next_in(is_refreshed).map(millis),
    }
}

/// A query, with its plan.
#[utoipa::path(get, path = "/api/v1/queries/{query}", tag = "queries", params(("query" = String, Path)),
    responses((status = OK, body = Query), (status = NOT_FOUND, body = Failure)))]
pub(crate) async fn show(Admitted(coordinator): Admitted, Path(query): Path<String>) -> Result<Json<Query>> {
    one(&coordinator, query, false).await
}

/// End a query.
#[utoipa::path(delete, path = "/api/v1/queries/{query}", tag = "queries", params(("query" = String, Path)),
    responses((status = OK, body = Query), (status = NOT_FOUND, body = Failure)))]
pub(crate) async fn cancel(
    Admitted(coordinator): Admitted,
    Path(query): Path<String>,
) -> Result<Json<Query>> {
    one(&coordinator, query, true).await
}

async fn one(coordinator: &Coordinator, query: String, cancel: bool) -> Result<Json<Query>> {
    number(&query, "query")?;
    let Queries { queries, silent } =
        ask(coordinator, AskQueries { query: Some(query.clone()), cancel }).await;
    match queries.into_iter().next() {
        Some(found) => Ok(Json(found)),
        None if silent.is_empty() => {
            Err(Error::NotFound(format!("no query {query} runs; it may have ended")).into())
        }
        None => {
            let silent: Vec<String> = silent.iter().map(u64::to_string).collect();
            let silent = silent.join(", ");
            let why =
                format!("query {query} is not known, and coordinator {silent} does not answer; try again");
            Err(Error::Unavailable(why).into())
        }
    }
}

/// Asks all coordinators.
async fn ask(coordinator: &Coordinator, ask: AskQueries) -> Queries {
    let mut all = Queries { queries: Vec::new(), silent: Vec::new() };
    let (own, id) = (answer(coordinator, &ask), coordinator.tenants.catalog().status().id);
    let others = ask_others::<node::Queries>(coordinator, Service::Queries, &ask).await;
    for (id, answer) in others.into_iter().chain([(id, Some(own))]) {
        match answer {
            None => all.silent.push(id),
            Some(answer) => all.queries.extend(answer.queries.into_iter().map(|query| Query {
                query: query.query,
                coordinator: id,
                tenant: query.tenant,
                principal: query.principal,
                sql: query.sql,
                elapsed_ms: query.elapsed_ms,
                state: query.state,
                plan: query.plan,
            })),
        }
    }
    all.queries.sort_by_key(|query| std::cmp::Reverse(query.elapsed_ms));
    all
}

/// What this coordinator alone answers.
pub(crate) fn answer(coordinator: &Coordinator, ask: &AskQueries) -> node::Queries {
    let found = match &ask.query {
        None => facts::queries(coordinator),
        Some(query) => {
            let id = u128::from_str_radix(query, 16).ok();
            let found = id.and_then(|id| facts::query(coordinator, id));
            if let Some(id) = id.filter(|_| ask.cancel) {
                coordinator.cancel(id);
            }
            found.into_iter().collect()
        }
    };
    let queries = found.into_iter().map(|query| RunningQuery {
        query: query.query,
        tenant: query.tenant,
        principal: query.principal,
        sql: query.sql,
        elapsed_ms: query.elapsed_ms,
        state: query.state,
        plan: query.plan,
    });
    node::Queries { queries: queries.collect() }
}
