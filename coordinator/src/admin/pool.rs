//! What the control plane says of the pool of shards that it scales.

use super::{Admitted, Result};
use crate::error::Error;
use axum::Json;
use axum::extract::rejection::JsonRejection;
use flight_proto::admin::{Failure, PoolState, PoolUse};

/// Where it is told.
pub(super) const PATH: &str = "/api/v1/pool";

/// Say whether a pool that is scaled to zero has shards; the control plane does, again and again. Statements wait for shards only
/// while it does. Each coordinator is told by itself.
#[utoipa::path(put, path = "/api/v1/pool", tag = "nodes", request_body = PoolState,
    responses((status = OK, body = PoolUse), (status = NOT_IMPLEMENTED, body = Failure)))]
pub(crate) async fn tell(
    Admitted(coordinator): Admitted,
    told: std::result::Result<Json<PoolState>, JsonRejection>,
) -> Result<Json<PoolUse>> {
    let Json(told) = told?;
    if coordinator.tenants.shards().nodes().is_none() {
        let why = "this is a single process (tundra up), whose shards neither come nor go";
        return Err(Error::Refused(why.into()).into());
    }
    Ok(Json(coordinator.pool.tell(told)))
}
