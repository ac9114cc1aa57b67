//! Nodes: which there are, and what they do.

use super::Admitted;
use crate::facts;
use axum::Json;
use flight_proto::admin::{Leader, Nodes};

/// All coordinators and shards.
#[utoipa::path(get, path = "/api/v1/nodes", tag = "nodes", responses((status = OK, body = Nodes)))]
pub(crate) async fn list(Admitted(coordinator): Admitted) -> Json<Nodes> {
    Json(facts::nodes(&coordinator))
}

/// The coordinator that leads.
#[utoipa::path(get, path = "/api/v1/leader", tag = "nodes", responses((status = OK, body = Leader)))]
pub(crate) async fn leader(Admitted(coordinator): Admitted) -> Json<Leader> {
    Json(facts::leader(coordinator.datasets.catalog()))
}
