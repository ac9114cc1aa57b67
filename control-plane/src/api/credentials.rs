//! Tenants' own credentials for the object store.

use super::Result;
use super::login::Admitted;
use crate::decisions::credentials as decisions;
use crate::json::{Credentials, NewCredentials};
use axum::Json;
use axum::extract::Path;
use axum::extract::rejection::JsonRejection;
use flight_proto::admin::Failure;

/// By which access key a tenant's objects are read and written; the secret is told to nobody.
#[utoipa::path(get, path = "/api/v1/tenants/{name}/credentials", tag = "tenants", params(("name" = String, Path)),
    responses((status = OK, body = Credentials), (status = NOT_FOUND, body = Failure)))]
pub(crate) async fn show(caller: Admitted, Path(name): Path<String>) -> Result<Json<Credentials>> {
    Ok(Json(decisions::show(&caller.api.database, &name).await?))
}

/// Have a tenant's objects read and written by an access key of its own. The secret is encrypted with the first key of
/// `--secret-key`; without one it is refused (409). Only stores at s3:// take it.
#[utoipa::path(put, path = "/api/v1/tenants/{name}/credentials", tag = "tenants", params(("name" = String, Path)),
    request_body = NewCredentials,
    responses((status = OK, body = Credentials), (status = BAD_REQUEST, body = Failure),
        (status = NOT_FOUND, body = Failure), (status = CONFLICT, body = Failure)))]
pub(crate) async fn put(
    caller: Admitted,
    Path(name): Path<String>,
    wanted: std::result::Result<Json<NewCredentials>, JsonRejection>,
) -> Result<Json<Credentials>> {
    let (api, Json(wanted)) = (&caller.api, wanted?);
    Ok(Json(decisions::put(&api.database, &api.secret_keys, &caller.who, &name, wanted).await?))
}

/// Have a tenant's objects read and written by the nodes' own credentials.
#[utoipa::path(delete, path = "/api/v1/tenants/{name}/credentials", tag = "tenants", params(("name" = String, Path)),
    responses((status = OK, body = Credentials), (status = NOT_FOUND, body = Failure)))]
pub(crate) async fn delete(caller: Admitted, Path(name): Path<String>) -> Result<Json<Credentials>> {
    Ok(Json(decisions::delete(&caller.api.database, &caller.who, &name).await?))
}
