//! API keys of tenants.

use super::login::Admitted;
use super::{Result, secret};
use crate::decisions::keys;
use crate::json::{ApiKey, CreatedKey, NewKey};
use axum::Json;
use axum::extract::Path;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use flight_proto::admin::Failure;

/// The keys of a tenant, without their secrets.
#[utoipa::path(get, path = "/api/v1/tenants/{name}/keys", tag = "keys", params(("name" = String, Path)),
    responses((status = OK, body = Vec<ApiKey>), (status = NOT_FOUND, body = Failure)))]
pub(crate) async fn list(caller: Admitted, Path(name): Path<String>) -> Result<Json<Vec<ApiKey>>> {
    Ok(Json(keys::list(&caller.api.database, &name).await?))
}

/// Make a key. It is told this once.
#[utoipa::path(post, path = "/api/v1/tenants/{name}/keys", tag = "keys", params(("name" = String, Path)),
    request_body = NewKey,
    responses((status = CREATED, body = CreatedKey), (status = BAD_REQUEST, body = Failure),
        (status = NOT_FOUND, body = Failure), (status = CONFLICT, body = Failure)))]
pub(crate) async fn create(
    caller: Admitted,
    Path(name): Path<String>,
    wanted: std::result::Result<Json<NewKey>, JsonRejection>,
) -> Result<impl IntoResponse> {
    let Json(wanted) = wanted?;
    let created = keys::create(&caller.api.database, &caller.who, &name, wanted).await?;
    Ok(secret(StatusCode::CREATED, created))
}

/// Have a key be good for nothing.
#[utoipa::path(delete, path = "/api/v1/tenants/{name}/keys/{id}", tag = "keys",
    params(("name" = String, Path), ("id" = String, Path)),
    responses((status = OK, body = ApiKey), (status = NOT_FOUND, body = Failure)))]
pub(crate) async fn revoke(
    caller: Admitted,
    Path((name, id)): Path<(String, String)>,
) -> Result<Json<ApiKey>> {
    Ok(Json(keys::revoke(&caller.api.database, &caller.who, &name, &id).await?))
}
