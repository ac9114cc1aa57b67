//! Nodes: which there are, how they come and go.

use super::{Admitted, Failed, Result, number};
use crate::coordinator::Coordinator;
use crate::error::Error;
use crate::facts;
use crate::shards::nodes::Nodes as ShardNodes;
use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query};
use flight_proto::admin::{CoordinatorAddress, Failure, Leader, LeaderChange, Nodes, Shard, Upgrade};
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;

/// A body, or why it is none.
type Body<T> = std::result::Result<Json<T>, JsonRejection>;

/// All coordinators and shards.
#[utoipa::path(get, path = "/api/v1/nodes", tag = "nodes", responses((status = OK, body = Nodes)))]
pub(crate) async fn list(Admitted(coordinator): Admitted) -> Json<Nodes> {
    Json(facts::nodes(&coordinator))
}

/// The coordinator that leads.
#[utoipa::path(get, path = "/api/v1/leader", tag = "nodes", responses((status = OK, body = Leader)))]
pub(crate) async fn leader(Admitted(coordinator): Admitted) -> Json<Leader> {
    Json(facts::leader(coordinator.tenants.catalog()))
}

/// Have another coordinator lead.
#[utoipa::path(put, path = "/api/v1/leader", tag = "nodes", request_body = LeaderChange,
    responses((status = OK, body = Leader), (status = BAD_REQUEST, body = Failure)))]
pub(crate) async fn hand_over(
    Admitted(coordinator): Admitted,
    change: Body<LeaderChange>,
) -> Result<Json<Leader>> {
    shards(&coordinator)?;
    let Json(LeaderChange { coordinator: to }) = change?;
    let catalog = coordinator.tenants.catalog();
    catalog.hand_over(to).await?;
    // This coordinator hears of it when the new leader first speaks.
    catalog.linearize().await?;
    Ok(Json(facts::leader(catalog)))
}

/// Add a coordinator that was started with --peers that leave it out. It gets the catalog, then a vote; shards tell
/// it of themselves from then on.
#[utoipa::path(put, path = "/api/v1/coordinators/{coordinator}", tag = "nodes",
    params(("coordinator" = u64, Path)), request_body = CoordinatorAddress,
    responses((status = OK, body = Nodes), (status = BAD_REQUEST, body = Failure)))]
pub(crate) async fn add_coordinator(
    Admitted(coordinator): Admitted,
    Path(id): Path<String>,
    address: Body<CoordinatorAddress>,
) -> Result<Json<Nodes>> {
    shards(&coordinator)?;
    let Json(CoordinatorAddress { address }) = address?;
    let port = address.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    if port.is_none() {
        return Err(Error::Statement(format!("expected an address as HOST:PORT, got '{address}'")).into());
    }
    coordinator.tenants.catalog().add_member(member(&id)?, &address).await?;
    Ok(changed(&coordinator).await)
}

/// Leave a coordinator out; then stop it. One that leads hands over.
#[utoipa::path(delete, path = "/api/v1/coordinators/{coordinator}", tag = "nodes",
    params(("coordinator" = u64, Path)),
    responses((status = OK, body = Nodes), (status = NOT_FOUND, body = Failure)))]
pub(crate) async fn remove_coordinator(
    Admitted(coordinator): Admitted,
    Path(id): Path<String>,
) -> Result<Json<Nodes>> {
    shards(&coordinator)?;
    let id = member(&id)?;
    let members = coordinator.tenants.catalog().status().members;
    if !members.iter().any(|member| member.id == id) {
        return Err(Error::NotFound(format!("there is no coordinator {id}")).into());
    }
    coordinator.tenants.catalog().remove_member(id).await?;
    Ok(changed(&coordinator).await)
}

/// Move a shard's buckets to the others in the background; queries go on. It is `drained` once it may be stopped.
#[utoipa::path(put, path = "/api/v1/shards/{shard}/drain", tag = "nodes", params(("shard" = String, Path)),
    responses((status = OK, body = Shard), (status = NOT_FOUND, body = Failure),
        (status = CONFLICT, body = Failure)))]
pub(crate) async fn drain(Admitted(coordinator): Admitted, Path(shard): Path<String>) -> Result<Json<Shard>> {
    set_draining(&coordinator, &shard, true).await
}

/// Have a shard take buckets again.
#[utoipa::path(delete, path = "/api/v1/shards/{shard}/drain", tag = "nodes", params(("shard" = String, Path)),
    responses((status = OK, body = Shard), (status = NOT_FOUND, body = Failure)))]
pub(crate) async fn undrain(
    Admitted(coordinator): Admitted,
    Path(shard): Path<String>,
) -> Result<Json<Shard>> {
    set_draining(&coordinator, &shard, false).await
}

async fn set_draining(coordinator: &Coordinator, shard: &str, drain: bool) -> Result<Json<Shard>> {
    let nodes = shards(coordinator)?;
    let id = shard_number(shard)?;
    nodes.drain(id, drain).await?;
    coordinator.tenants.catalog().linearize().await?;
    let text = facts::shard_text(id);
    let known = facts::shards(coordinator.tenants.shards()).into_iter().find(|shard| shard.id == text);
    known.map(Json).ok_or_else(|| Error::NotFound(format!("there is no shard {text}")).into())
}

#[derive(Deserialize, IntoParams)]
pub(crate) struct Removal {
    /// Also if it has buckets that no other shard holds.
    #[serde(default)]
    force: bool,
}

/// Forget a shard that was stopped. One that comes back is known anew.
#[utoipa::path(delete, path = "/api/v1/shards/{shard}", tag = "nodes",
    params(("shard" = String, Path), Removal),
    responses((status = OK, body = Nodes), (status = NOT_FOUND, body = Failure),
        (status = CONFLICT, body = Failure)))]
pub(crate) async fn remove_shard(
    Admitted(coordinator): Admitted,
    Path(shard): Path<String>,
    removal: std::result::Result<Query<Removal>, QueryRejection>,
) -> Result<Json<Nodes>> {
    let Query(Removal { force }) = removal?;
    shards(&coordinator)?.remove(shard_number(&shard)?, force).await?;
    Ok(changed(&coordinator).await)
}

/// Raise the cluster's version to the latest that all nodes speak, after each was started with a new release. From then
/// on nodes of the release before are refused.
#[utoipa::path(post, path = "/api/v1/upgrade", tag = "nodes",
    responses((status = OK, body = Upgrade), (status = CONFLICT, body = Failure)))]
pub(crate) async fn upgrade(Admitted(coordinator): Admitted) -> Result<Json<Upgrade>> {
    let tenants = &coordinator.tenants;
    Ok(Json(crate::upgrade::upgrade(tenants.catalog(), tenants.shards()).await?))
}

/// The nodes after a change that the leader has made.
async fn changed(coordinator: &Coordinator) -> Json<Nodes> {
    if let Err(error) = coordinator.tenants.catalog().linearize().await {
        // The change was made all the same; a coordinator that was left out does not hear of it.
        tracing::debug!("a change is not seen here yet: {error}");
    }
    Json(facts::nodes(coordinator))
}

/// The shards of a cluster; a single process has none that come and go.
fn shards(coordinator: &Coordinator) -> Result<&Arc<ShardNodes>> {
    let why = "this is a single process (tundra up), whose coordinator and shards neither come nor go";
    coordinator.tenants.shards().nodes().ok_or_else(|| Failed::from(Error::Refused(why.into())))
}

fn shard_number(text: &str) -> Result<u64> {
    let number = u64::try_from(number(text, "shard")?);
    number.map_err(|_| Error::Statement(format!("'{text}' is no number of a shard: it is too long")).into())
}

fn member(text: &str) -> Result<u64> {
    let number = text.parse().ok().filter(|&number| number > 0);
    number.ok_or_else(|| Error::Statement(format!("'{text}' is no number of a coordinator")).into())
}
