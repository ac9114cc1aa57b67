//! Who leads, and how publishing goes.

use super::Result;
use super::login::Admitted;
use crate::hex;
use crate::json::Status;
use axum::Json;

/// Who leads, what is published, and which coordinators are reached.
#[utoipa::path(get, path = "/api/v1/status", tag = "status", responses((status = OK, body = Status)))]
pub(crate) async fn show(caller: Admitted) -> Result<Json<Status>> {
    let api = &caller.api;
    let leader = api.lease.leader().await?;
    let published = if api.cluster.is_some() { api.database.publication().await? } else { None };
    let behind = api.database.count_after(published.as_ref().map_or(0, |report| report.version)).await?;
    Ok(Json(Status {
        instance: api.lease.holder.clone(),
        leads: leader.holder.as_ref() == Some(&api.lease.holder),
        leader: leader.holder,
        term: leader.term.try_into().unwrap_or(0),
        version: api.database.version().await?,
        behind: if api.cluster.is_some() { behind } else { 0 },
        policy_key: hex::encode(api.database.policy_key()),
        published,
    }))
}
