//! What the control plane says of the pool of shards that it scales.

use super::{Admitted, Result};
use crate::coordinator::Coordinator;
use crate::error::Error;
use axum::Json;
use axum::extract::Path;
use axum::extract::rejection::JsonRejection;
use flight_proto::admin::{Failure, PoolState, PoolUse};
use flight_proto::pool::{DEFAULT_POOL, check_pool_name};

/// Where it is told.
pub(super) fn is_told(path: &str) -> bool {
    path == "/api/v1/pool" || path.starts_with("/api/v1/pools/")
}

/// Say whether the pool `default`, scaled to zero, has shards; the control plane does, again and again. Statements wait for shards only
/// while it does. Each coordinator is told by itself.
#[utoipa::path(put, path = "/api/v1/pool", tag = "nodes", request_body = PoolState,
    responses((status = OK, body = PoolUse), (status = NOT_IMPLEMENTED, body = Failure)))]
pub(crate) async fn tell(
    Admitted(coordinator): Admitted,
    told: std::result::Result<Json<PoolState>, JsonRejection>,
) -> Result<Json<PoolUse>> {
    take(&coordinator, DEFAULT_POOL, told?.0)
}

/// As for the pool `default`, of another one.
#[utoipa::path(put, path = "/api/v1/pools/{pool}", tag = "nodes", params(("pool" = String, Path)), request_body = PoolState,
    responses((status = OK, body = PoolUse), (status = BAD_REQUEST, body = Failure),
        (status = NOT_IMPLEMENTED, body = Failure)))]
pub(crate) async fn tell_of(
    Admitted(coordinator): Admitted,
    Path(pool): Path<String>,
    told: std::result::Result<Json<PoolState>, JsonRejection>,
) -> Result<Json<PoolUse>> {
    check_pool_name(&pool).map_err(|error| Error::Statement(error.to_string()))?;
    take(&coordinator, &pool, told?.0)
}

fn take(coordinator: &Coordinator, pool: &str, told: PoolState) -> Result<Json<PoolUse>> {
    if coordinator.tenants.shards().nodes().is_none() {
        let why = "this is a single process (tundra up), whose shards neither come nor go";
        return Err(Error::Refused(why.into()).into());
    }
    let mut used = coordinator.pools.of(pool).tell(told);
    used.in_use += coordinator.tenants.moving_from(pool) as u64;
    Ok(Json(used))
}
