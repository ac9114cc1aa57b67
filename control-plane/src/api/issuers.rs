//! Who makes access tokens.

use super::login::Admitted;
use super::{Api, Result};
use crate::decisions::{issuers, jwt, providers};
use crate::json::{Issuer, Provider, Rotate};
use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Query, State};
use flight_proto::admin::Failure;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use utoipa::IntoParams;

/// Whose tokens coordinators take: the control plane's, and those of OpenID providers.
#[utoipa::path(get, path = "/api/v1/issuers", tag = "issuers", responses((status = OK, body = Vec<Issuer>)))]
pub(crate) async fn list(caller: Admitted) -> Result<Json<Vec<Issuer>>> {
    Ok(Json(issuers::list(&caller.api.database).await?))
}

/// Have coordinators take the tokens of an OpenID provider, or change how. Its keys are fetched now, and every few minutes.
#[utoipa::path(put, path = "/api/v1/issuers", tag = "issuers", request_body = Provider,
    responses((status = OK, body = Issuer), (status = BAD_REQUEST, body = Failure),
        (status = NOT_FOUND, body = Failure), (status = BAD_GATEWAY, body = Failure)))]
pub(crate) async fn put(
    caller: Admitted,
    provider: std::result::Result<Json<Provider>, JsonRejection>,
) -> Result<Json<Issuer>> {
    let Json(provider) = provider?;
    let Api { database, http, .. } = &*caller.api;
    Ok(Json(providers::put(database, http, &caller.who, provider).await?))
}

#[derive(Deserialize, IntoParams)]
pub(crate) struct Which {
    /// What its tokens have in `iss`.
    issuer: String,
}

/// Have coordinators take a provider's tokens no more.
#[utoipa::path(delete, path = "/api/v1/issuers", tag = "issuers", params(Which),
    responses((status = OK, body = Issuer), (status = NOT_FOUND, body = Failure), (status = CONFLICT, body = Failure)))]
pub(crate) async fn delete(
    caller: Admitted,
    which: std::result::Result<Query<Which>, QueryRejection>,
) -> Result<Json<Issuer>> {
    let Query(Which { issuer }) = which?;
    Ok(Json(providers::delete(&caller.api.database, &caller.who, &issuer).await?))
}

/// Make a new key that signs access tokens. It does so in a minute, when coordinators know it and the old one is retired.
#[utoipa::path(post, path = "/api/v1/signing-keys/rotate", tag = "issuers", request_body = Option<Rotate>,
    responses((status = OK, body = Issuer), (status = BAD_REQUEST, body = Failure)))]
pub(crate) async fn rotate(
    caller: Admitted,
    rotate: std::result::Result<Option<Json<Rotate>>, JsonRejection>,
) -> Result<Json<Issuer>> {
    let rotate = rotate?.map(|Json(rotate)| rotate).unwrap_or_default();
    Ok(Json(issuers::rotate(&caller.api.database, &caller.who, rotate).await?))
}

/// The control plane's own public keys, as OpenID providers show theirs; for everybody.
pub(crate) async fn jwks(State(api): State<Arc<Api>>) -> Result<Json<Value>> {
    let keys = issuers::own_keys(&api.database).await?;
    let keys: Vec<Value> = keys.iter().map(|key| jwt::public_key(&key.id, &key.public_key)).collect();
    Ok(Json(json!({ "keys": keys })))
}
