//! Datasets: their versions, where they lie, and the copy of the catalog that knows them.

use super::{Admitted, Result};
use crate::facts;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query};
use flight_proto::admin::{Dataset, Failure, Hydration, Placement, Snapshot, Version};
use serde::Deserialize;
use utoipa::IntoParams;

/// Versions that are listed unless asked for others, and at most.
const VERSIONS: (usize, usize) = (20, 1_000);

/// The datasets that queries see.
#[utoipa::path(get, path = "/api/v1/datasets", tag = "datasets", responses((status = OK, body = Vec<Dataset>)))]
pub(crate) async fn list(Admitted(coordinator): Admitted) -> Json<Vec<Dataset>> {
    let all = coordinator.tenants.all();
    Json(all.iter().flat_map(|datasets| facts::datasets(&datasets.view(), &coordinator)).collect())
}

#[derive(Deserialize, IntoParams)]
pub(crate) struct Limit {
    /// The most versions to list.
    limit: Option<usize>,
}

/// The committed versions of a dataset, the latest first, by its number, as schema.table or as tenant/schema.table.
#[utoipa::path(get, path = "/api/v1/datasets/{dataset}/versions", tag = "datasets",
    params(("dataset" = String, Path), Limit),
    responses((status = OK, body = Vec<Version>), (status = NOT_FOUND, body = Failure)))]
pub(crate) async fn versions(
    Admitted(coordinator): Admitted,
    Path(dataset): Path<String>,
    limit: std::result::Result<Query<Limit>, QueryRejection>,
) -> Result<Json<Vec<Version>>> {
    let limit = limit?.0.limit.unwrap_or(VERSIONS.0).min(VERSIONS.1);
    let (datasets, number) = coordinator.tenants.named(&dataset)?;
    Ok(Json(datasets.versions(number, limit).await?))
}

#[derive(Deserialize, IntoParams)]
pub(crate) struct Of {
    /// The dataset alone: its number, schema.table or tenant/schema.table.
    dataset: Option<String>,
}

/// Which shards hold which buckets.
#[utoipa::path(get, path = "/api/v1/placement", tag = "datasets", params(Of),
    responses((status = OK, body = Vec<Placement>), (status = NOT_FOUND, body = Failure)))]
pub(crate) async fn placement(
    Admitted(coordinator): Admitted,
    of: std::result::Result<Query<Of>, QueryRejection>,
) -> Result<Json<Vec<Placement>>> {
    let mut placement = facts::placement(&coordinator);
    if let Some(name) = of?.0.dataset {
        let (_, dataset) = coordinator.tenants.named(&name)?;
        placement.retain(|placement| placement.dataset == dataset);
    }
    Ok(Json(placement))
}

/// What the shards bring in, and for each dataset what they brought in last.
#[utoipa::path(get, path = "/api/v1/hydrations", tag = "datasets",
    responses((status = OK, body = Vec<Hydration>)))]
pub(crate) async fn hydrations(Admitted(coordinator): Admitted) -> Json<Vec<Hydration>> {
    Json(facts::hydrations(&coordinator.tenants))
}

/// Copy the catalog to the object store now. It is copied after each change anyway.
#[utoipa::path(post, path = "/api/v1/snapshot", tag = "datasets",
    responses((status = OK, body = Snapshot), (status = BAD_GATEWAY, body = Failure)))]
pub(crate) async fn snapshot(Admitted(coordinator): Admitted) -> Result<Json<Snapshot>> {
    Ok(Json(coordinator.tenants.copy_latest_catalog().await?))
}
