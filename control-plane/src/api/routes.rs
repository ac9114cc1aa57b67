//! Which engines answer a tenant's queries.

use super::Result;
use super::login::Admitted;
use crate::decisions::routes as decisions;
use crate::json::{Routes, TenantRoutes};
use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query};
use flight_proto::admin::Failure;
use serde::Deserialize;
use utoipa::IntoParams;

/// A tenant's routes.
#[utoipa::path(get, path = "/api/v1/tenants/{name}/routes", tag = "routes", params(("name" = String, Path)),
    responses((status = OK, body = TenantRoutes), (status = NOT_FOUND, body = Failure)))]
pub(crate) async fn show(caller: Admitted, Path(name): Path<String>) -> Result<Json<TenantRoutes>> {
    Ok(Json(decisions::show(&caller.api.database, &name).await?))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expected {
    /// Only where the routes have this version still; 0: only where there are none.
    version: Option<u64>,
}

/// Set a tenant's routes, all of them.
#[utoipa::path(put, path = "/api/v1/tenants/{name}/routes", tag = "routes", params(("name" = String, Path), Expected),
    request_body = Routes,
    responses((status = OK, body = TenantRoutes), (status = BAD_REQUEST, body = Failure),
        (status = NOT_FOUND, body = Failure), (status = CONFLICT, body = Failure)))]
pub(crate) async fn put(
    caller: Admitted,
    Path(name): Path<String>,
    expected: std::result::Result<Query<Expected>, QueryRejection>,
    routes: std::result::Result<Json<Routes>, JsonRejection>,
) -> Result<Json<TenantRoutes>> {
    let (Query(expected), Json(routes)) = (expected?, routes?);
    let database = &caller.api.database;
    Ok(Json(decisions::put(database, &caller.who, &name, routes, expected.version).await?))
}

/// Take a tenant's routes back: its queries run as they are written.
#[utoipa::path(delete, path = "/api/v1/tenants/{name}/routes", tag = "routes", params(("name" = String, Path)),
    responses((status = OK, body = TenantRoutes), (status = NOT_FOUND, body = Failure)))]
pub(crate) async fn delete(caller: Admitted, Path(name): Path<String>) -> Result<Json<TenantRoutes>> {
    Ok(Json(decisions::delete(&caller.api.database, &caller.who, &name).await?))
}
