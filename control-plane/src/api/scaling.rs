//! Scaling: policies of pools, how they are followed, and what was done.

use super::Result;
use super::audit::entry;
use super::login::Admitted;
use crate::decisions::pools;
use crate::json::{AuditEntry, PoolPolicy, PoolStatus};
use crate::scaling::{ScalePolicy, status};
use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query};
use flight_proto::admin::Failure;
use serde::Deserialize;
use utoipa::IntoParams;

/// Entries that are listed unless asked for others, and at most.
const ENTRIES: (i64, i64) = (50, 1_000);

/// The policies of all pools that have one.
#[utoipa::path(get, path = "/api/v1/scaling/policies", tag = "scaling",
    responses((status = OK, body = Vec<PoolPolicy>)))]
pub(crate) async fn list(caller: Admitted) -> Result<Json<Vec<PoolPolicy>>> {
    Ok(Json(pools::list(&caller.api.database).await?))
}

/// A pool's policy.
#[utoipa::path(get, path = "/api/v1/scaling/policies/{pool}", tag = "scaling", params(("pool" = String, Path)),
    responses((status = OK, body = PoolPolicy), (status = NOT_FOUND, body = Failure)))]
pub(crate) async fn show(caller: Admitted, Path(pool): Path<String>) -> Result<Json<PoolPolicy>> {
    Ok(Json(pools::show(&caller.api.database, &pool).await?))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expected {
    /// Only where the policy has this version still; 0: only where there is none.
    version: Option<u64>,
}

/// Say how a pool is to be scaled. It is followed from the next look on.
#[utoipa::path(put, path = "/api/v1/scaling/policies/{pool}", tag = "scaling",
    params(("pool" = String, Path), Expected), request_body = ScalePolicy,
    responses((status = OK, body = PoolPolicy), (status = BAD_REQUEST, body = Failure),
        (status = NOT_FOUND, body = Failure), (status = CONFLICT, body = Failure)))]
pub(crate) async fn put(
    caller: Admitted,
    Path(pool): Path<String>,
    expected: std::result::Result<Query<Expected>, QueryRejection>,
    policy: std::result::Result<Json<ScalePolicy>, JsonRejection>,
) -> Result<Json<PoolPolicy>> {
    let (Query(expected), Json(policy)) = (expected?, policy?);
    let database = &caller.api.database;
    Ok(Json(pools::put(database, &caller.who, &pool, policy, expected.version).await?))
}

/// Scale a pool no more: it stays as it is.
#[utoipa::path(delete, path = "/api/v1/scaling/policies/{pool}", tag = "scaling",
    params(("pool" = String, Path)),
    responses((status = OK, body = PoolPolicy), (status = NOT_FOUND, body = Failure)))]
pub(crate) async fn delete(caller: Admitted, Path(pool): Path<String>) -> Result<Json<PoolPolicy>> {
    Ok(Json(pools::delete(&caller.api.database, &caller.who, &pool).await?))
}

/// What was decided last of each pool that has a policy, why, and how its nodes are.
#[utoipa::path(get, path = "/api/v1/scaling/status", tag = "scaling",
    responses((status = OK, body = Vec<PoolStatus>)))]
pub(crate) async fn show_status(caller: Admitted) -> Result<Json<Vec<PoolStatus>>> {
    Ok(Json(status::read(&caller.api.database).await?))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct Latest {
    /// The most entries to list.
    limit: Option<i64>,
}

/// The entries of the audit that concern scaling, the latest first: policies, decisions, and what was done with nodes.
#[utoipa::path(get, path = "/api/v1/scaling/history", tag = "scaling", params(Latest),
    responses((status = OK, body = Vec<AuditEntry>)))]
pub(crate) async fn history(
    caller: Admitted,
    latest: std::result::Result<Query<Latest>, QueryRejection>,
) -> Result<Json<Vec<AuditEntry>>> {
    let limit = latest?.0.limit.unwrap_or(ENTRIES.0).clamp(0, ENTRIES.1);
    let rows = caller.api.database.scale_history(limit).await?;
    Ok(Json(rows.into_iter().map(entry).collect::<std::result::Result<_, _>>()?))
}
