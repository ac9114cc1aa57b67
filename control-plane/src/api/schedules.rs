//! Schedules of tenants' tables, and what came of them.

use super::login::Admitted;
use super::{Api, Result};
use crate::cluster::Cluster;
use crate::decisions::schedules::{self, Name};
use crate::error::Error;
use crate::json::{Schedule, ScheduleSettings};
use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query};
use axum::http::StatusCode;
use flight_proto::admin::{Failure, PastRefresh, RunSchedule};
use serde::Deserialize;
use utoipa::IntoParams;

/// Runs that are listed unless asked for others, and at most.
const RUNS: (usize, usize) = (50, 1_000);

/// The schedules of a tenant's tables, each with its next moments.
#[utoipa::path(get, path = "/api/v1/schedules/{tenant}", tag = "schedules", params(("tenant" = String, Path)),
    responses((status = OK, body = Vec<Schedule>), (status = NOT_FOUND, body = Failure)))]
pub(crate) async fn list(caller: Admitted, Path(tenant): Path<String>) -> Result<Json<Vec<Schedule>>> {
    Ok(Json(schedules::list(&caller.api.database, &tenant).await?))
}

/// Tenant, schema, table and name.
type Names = (String, String, String, String);

fn name((tenant, schema, table, name): &Names) -> Name<'_> {
    Name { tenant, schema, table, name }
}

/// A schedule, with its next moments.
#[utoipa::path(get, path = "/api/v1/schedules/{tenant}/{schema}/{table}/{name}", tag = "schedules",
    params(("tenant" = String, Path), ("schema" = String, Path), ("table" = String, Path), ("name" = String, Path)),
    responses((status = OK, body = Schedule), (status = NOT_FOUND, body = Failure)))]
pub(crate) async fn show(caller: Admitted, Path(names): Path<Names>) -> Result<Json<Schedule>> {
    Ok(Json(schedules::show(&caller.api.database, &name(&names)).await?))
}

/// Set a schedule of a table, which need not be there yet.
#[utoipa::path(put, path = "/api/v1/schedules/{tenant}/{schema}/{table}/{name}", tag = "schedules",
    params(("tenant" = String, Path), ("schema" = String, Path), ("table" = String, Path), ("name" = String, Path)),
    request_body = ScheduleSettings,
    responses((status = OK, body = Schedule), (status = BAD_REQUEST, body = Failure),
        (status = NOT_FOUND, body = Failure), (status = CONFLICT, body = Failure)))]
pub(crate) async fn put(
    caller: Admitted,
    Path(names): Path<Names>,
    settings: std::result::Result<Json<ScheduleSettings>, JsonRejection>,
) -> Result<Json<Schedule>> {
    let Json(settings) = settings?;
    Ok(Json(schedules::put(&caller.api.database, &caller.who, &name(&names), settings).await?))
}

/// Remove a schedule.
#[utoipa::path(delete, path = "/api/v1/schedules/{tenant}/{schema}/{table}/{name}", tag = "schedules",
    params(("tenant" = String, Path), ("schema" = String, Path), ("table" = String, Path), ("name" = String, Path)),
    responses((status = OK, body = Schedule), (status = NOT_FOUND, body = Failure)))]
pub(crate) async fn remove(caller: Admitted, Path(names): Path<Names>) -> Result<Json<Schedule>> {
    Ok(Json(schedules::remove(&caller.api.database, &caller.who, &name(&names)).await?))
}

/// Have a schedule not come until it is resumed.
#[utoipa::path(post, path = "/api/v1/schedules/{tenant}/{schema}/{table}/{name}/pause", tag = "schedules",
    params(("tenant" = String, Path), ("schema" = String, Path), ("table" = String, Path), ("name" = String, Path)),
    responses((status = OK, body = Schedule), (status = NOT_FOUND, body = Failure)))]
pub(crate) async fn pause(caller: Admitted, Path(names): Path<Names>) -> Result<Json<Schedule>> {
    Ok(Json(schedules::set_paused(&caller.api.database, &caller.who, &name(&names), true).await?))
}

/// Have a schedule come again.
#[utoipa::path(post, path = "/api/v1/schedules/{tenant}/{schema}/{table}/{name}/resume", tag = "schedules",
    params(("tenant" = String, Path), ("schema" = String, Path), ("table" = String, Path), ("name" = String, Path)),
    responses((status = OK, body = Schedule), (status = NOT_FOUND, body = Failure)))]
pub(crate) async fn resume(caller: Admitted, Path(names): Path<Names>) -> Result<Json<Schedule>> {
    Ok(Json(schedules::set_paused(&caller.api.database, &caller.who, &name(&names), false).await?))
}

/// Have a schedule run now, whether it is paused or not: the coordinators do it, and know of what was published.
#[utoipa::path(post, path = "/api/v1/schedules/{tenant}/{schema}/{table}/{name}/run", tag = "schedules",
    params(("tenant" = String, Path), ("schema" = String, Path), ("table" = String, Path), ("name" = String, Path)),
    responses((status = ACCEPTED, body = Schedule), (status = NOT_FOUND, body = Failure),
        (status = BAD_GATEWAY, body = Failure)))]
pub(crate) async fn run(caller: Admitted, Path(names): Path<Names>) -> Result<(StatusCode, Json<Schedule>)> {
    let schedule = schedules::show(&caller.api.database, &name(&names)).await?;
    let wanted = RunSchedule {
        tenant: schedule.tenant.clone(),
        schema: schedule.schema.clone(),
        table: schedule.table.clone(),
        name: schedule.name.clone(),
    };
    cluster(&caller.api)?.run_schedule(wanted).await?;
    schedules::record_run(&caller.api.database, &caller.who, &schedule).await?;
    Ok((StatusCode::ACCEPTED, Json(schedule)))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct Latest {
    /// The most runs to list.
    limit: Option<usize>,
}

/// What has been refreshed of a tenant's tables, by schedules and otherwise, the latest first: as a coordinator knows it.
#[utoipa::path(get, path = "/api/v1/schedules/{tenant}/history", tag = "schedules",
    params(("tenant" = String, Path), Latest),
    responses((status = OK, body = Vec<PastRefresh>), (status = BAD_GATEWAY, body = Failure)))]
pub(crate) async fn history(
    caller: Admitted,
    Path(tenant): Path<String>,
    latest: std::result::Result<Query<Latest>, QueryRejection>,
) -> Result<Json<Vec<PastRefresh>>> {
    let limit = latest?.0.limit.unwrap_or(RUNS.0).min(RUNS.1);
    Ok(Json(cluster(&caller.api)?.past_refreshes(tenant, limit).await?))
}

fn cluster(api: &Api) -> Result<&dyn Cluster> {
    let none =
        || Error::Cluster("this control plane has no coordinators; name them by --coordinators".into());
    Ok(api.cluster.as_deref().ok_or_else(none)?)
}
