//! Schedules as this cluster keeps them, and what has been refreshed.

use super::{Admitted, Result};
use axum::Json;
use axum::extract::Query;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::http::StatusCode;
use flight_proto::admin::{Failure, PastRefresh, RunSchedule, TableSchedule};
use flight_proto::node::ScheduleName;
use serde::Deserialize;
use utoipa::IntoParams;

/// Runs that are listed unless asked for others, and at most.
const RUNS: (usize, usize) = (50, 1_000);

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct Of {
    /// Of this tenant alone.
    tenant: Option<String>,
}

/// The schedules that tables are refreshed by, and what comes of them.
#[utoipa::path(get, path = "/api/v1/schedules", tag = "datasets", params(Of),
    responses((status = OK, body = Vec<TableSchedule>)))]
pub(crate) async fn list(
    Admitted(coordinator): Admitted,
    of: std::result::Result<Query<Of>, QueryRejection>,
) -> Result<Json<Vec<TableSchedule>>> {
    Ok(Json(coordinator.refreshes.schedules(of?.0.tenant.as_deref())))
}

/// Have a schedule run now, whether it is paused or not.
#[utoipa::path(post, path = "/api/v1/schedules/run", tag = "datasets", request_body = RunSchedule,
    responses((status = ACCEPTED, body = RunSchedule), (status = BAD_REQUEST, body = Failure), (status = NOT_FOUND, body = Failure),
        (status = CONFLICT, body = Failure), (status = SERVICE_UNAVAILABLE, body = Failure)))]
pub(crate) async fn run(
    Admitted(coordinator): Admitted,
    body: std::result::Result<Json<RunSchedule>, JsonRejection>,
) -> Result<(StatusCode, Json<RunSchedule>)> {
    let Json(wanted) = body?;
    let RunSchedule { tenant, schema, table, name } = wanted.clone();
    coordinator.refreshes.run_schedule(ScheduleName { tenant, schema, table, name }).await?;
    Ok((StatusCode::ACCEPTED, Json(wanted)))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct Latest {
    /// Of this tenant alone.
    tenant: Option<String>,
    /// The most runs to list.
    limit: Option<usize>,
}

/// Refreshes that have ended, on whatever coordinator since this one started: the latest first.
#[utoipa::path(get, path = "/api/v1/refreshes", tag = "datasets", params(Latest),
    responses((status = OK, body = Vec<PastRefresh>)))]
pub(crate) async fn history(
    Admitted(coordinator): Admitted,
    latest: std::result::Result<Query<Latest>, QueryRejection>,
) -> Result<Json<Vec<PastRefresh>>> {
    let Query(Latest { tenant, limit }) = latest?;
    let limit = limit.unwrap_or(RUNS.0).min(RUNS.1);
    Ok(Json(coordinator.refreshes.past(tenant.as_deref(), limit)))
}
