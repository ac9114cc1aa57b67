//! What was used, for the control plane.

use super::{Admitted, Result};
use crate::usage;
use axum::Json;
use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use flight_proto::usage::Usage;
use serde::Deserialize;
use utoipa::IntoParams;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct Taken {
    /// The start of the coordinator that `taken` is about.
    #[serde(default)]
    source: String,
    /// The last number that was kept: what has it, and what came before, is not given again.
    #[serde(default)]
    taken: u64,
}

/// What statements of this coordinator used and nobody has kept yet, in batches that are given until they are acknowledged;
/// what shards asked of the object store since their starts; and what they hold of each tenant.
#[utoipa::path(get, path = "/api/v1/usage", tag = "usage", params(Taken), responses((status = OK, body = Usage)))]
pub(crate) async fn give(
    Admitted(coordinator): Admitted,
    taken: std::result::Result<Query<Taken>, QueryRejection>,
) -> Result<Json<Usage>> {
    let Query(Taken { source, taken }) = taken?;
    Ok(Json(usage::told(&coordinator, &source, taken)))
}
