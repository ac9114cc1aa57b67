//! Access tokens.

use super::login::Admitted;
use super::{Result, secret};
use crate::decisions::tokens;
use crate::json::{NewToken, Token};
use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use flight_proto::admin::Failure;

/// Make an access token for a user of a tenant.
#[utoipa::path(post, path = "/api/v1/tokens", tag = "keys", request_body = NewToken,
    responses((status = CREATED, body = Token), (status = BAD_REQUEST, body = Failure),
        (status = NOT_FOUND, body = Failure), (status = CONFLICT, body = Failure)))]
pub(crate) async fn create(
    caller: Admitted,
    wanted: std::result::Result<Json<NewToken>, JsonRejection>,
) -> Result<impl IntoResponse> {
    let Json(wanted) = wanted?;
    let token = tokens::create(&caller.api.database, &caller.who, wanted).await?;
    Ok(secret(StatusCode::CREATED, token))
}
