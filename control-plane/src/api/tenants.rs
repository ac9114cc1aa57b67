//! Tenants.

use super::Result;
use super::login::Admitted;
use crate::decisions::tenants;
use crate::json::{Tenant, TenantSettings};
use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query};
use flight_proto::admin::Failure;
use serde::Deserialize;
use utoipa::IntoParams;

/// All tenants.
#[utoipa::path(get, path = "/api/v1/tenants", tag = "tenants", responses((status = OK, body = Vec<Tenant>)))]
pub(crate) async fn list(caller: Admitted) -> Result<Json<Vec<Tenant>>> {
    Ok(Json(tenants::list(&caller.api.database).await?))
}

/// A tenant.
#[utoipa::path(get, path = "/api/v1/tenants/{name}", tag = "tenants", params(("name" = String, Path)),
    responses((status = OK, body = Tenant), (status = NOT_FOUND, body = Failure)))]
pub(crate) async fn show(caller: Admitted, Path(name): Path<String>) -> Result<Json<Tenant>> {
    Ok(Json(tenants::show(&caller.api.database, &name).await?))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expected {
    /// Only where the tenant has this version still; 0: only where there is none.
    version: Option<u64>,
}

/// Create a tenant, or set what it may use.
#[utoipa::path(put, path = "/api/v1/tenants/{name}", tag = "tenants", params(("name" = String, Path), Expected),
    request_body = TenantSettings,
    responses((status = OK, body = Tenant), (status = BAD_REQUEST, body = Failure), (status = CONFLICT, body = Failure)))]
pub(crate) async fn put(
    caller: Admitted,
    Path(name): Path<String>,
    expected: std::result::Result<Query<Expected>, QueryRejection>,
    settings: std::result::Result<Json<TenantSettings>, JsonRejection>,
) -> Result<Json<Tenant>> {
    let (Query(expected), Json(settings)) = (expected?, settings?);
    let database = &caller.api.database;
    if let Some(cluster) = &caller.api.cluster {
        tenants::check_pool(database, &**cluster, &name, &settings).await?;
    }
    Ok(Json(tenants::put(database, &caller.who, &name, settings, expected.version).await?))
}

/// Delete a tenant with its keys; its data in the object store stay. Its name is given again after a day.
#[utoipa::path(delete, path = "/api/v1/tenants/{name}", tag = "tenants", params(("name" = String, Path)),
    responses((status = OK, body = Tenant), (status = NOT_FOUND, body = Failure), (status = CONFLICT, body = Failure)))]
pub(crate) async fn delete(caller: Admitted, Path(name): Path<String>) -> Result<Json<Tenant>> {
    Ok(Json(tenants::delete(&caller.api.database, &caller.who, &name).await?))
}

/// Let nobody of a tenant in any more; its data stay.
#[utoipa::path(post, path = "/api/v1/tenants/{name}/suspend", tag = "tenants", params(("name" = String, Path)),
    responses((status = OK, body = Tenant), (status = NOT_FOUND, body = Failure)))]
pub(crate) async fn suspend(caller: Admitted, Path(name): Path<String>) -> Result<Json<Tenant>> {
    Ok(Json(tenants::suspend(&caller.api.database, &caller.who, &name).await?))
}

/// Let the users of a tenant in again.
#[utoipa::path(post, path = "/api/v1/tenants/{name}/resume", tag = "tenants", params(("name" = String, Path)),
    responses((status = OK, body = Tenant), (status = NOT_FOUND, body = Failure)))]
pub(crate) async fn resume(caller: Admitted, Path(name): Path<String>) -> Result<Json<Tenant>> {
    Ok(Json(tenants::resume(&caller.api.database, &caller.who, &name).await?))
}
