//! The policy that the control plane publishes.

use super::{Admitted, Result};
use crate::catalog::{CatalogState, Refusal, Reply};
use crate::coordinator::Coordinator;
use crate::error::Error;
use axum::Json;
use axum::extract::rejection::JsonRejection;
use flight_proto::Message;
use flight_proto::admin::{
    Failure, Policy, PolicyDocument, PolicyKey, Publish, PublishOutcome, Published, PublishedDocument,
};
use flight_proto::catalog::{Change, SetPolicyKey};
use flight_proto::policy::{Signed, Subject};

/// The policy documents that the cluster has taken.
#[utoipa::path(get, path = "/api/v1/policy", tag = "policy",
    responses((status = OK, body = Policy), (status = SERVICE_UNAVAILABLE, body = Failure)))]
pub(crate) async fn show(Admitted(coordinator): Admitted) -> Result<Json<Policy>> {
    let catalog = coordinator.tenants.catalog();
    catalog.linearize().await?;
    Ok(Json(policy(&catalog.snapshot())))
}

/// Take policy documents: each, if it is signed with the cluster's policy key and later than what is known of its name.
/// The key of the first document that a cluster takes becomes its policy key.
#[utoipa::path(put, path = "/api/v1/policy", tag = "policy", request_body = Publish,
    responses((status = OK, body = Published), (status = BAD_REQUEST, body = Failure),
        (status = FORBIDDEN, body = Failure), (status = SERVICE_UNAVAILABLE, body = Failure)))]
pub(crate) async fn publish(
    Admitted(coordinator): Admitted,
    body: std::result::Result<Json<Publish>, JsonRejection>,
) -> Result<Json<Published>> {
    let mut documents = Vec::new();
    for document in body?.0.documents {
        documents.push(publish_one(&coordinator, &document).await?);
    }
    Ok(Json(Published { documents }))
}

/// Take documents that are signed with another key from now on. Those that were taken stay.
#[utoipa::path(put, path = "/api/v1/policy/key", tag = "policy", request_body = PolicyKey,
    responses((status = OK, body = Policy), (status = BAD_REQUEST, body = Failure),
        (status = SERVICE_UNAVAILABLE, body = Failure)))]
pub(crate) async fn change_key(
    Admitted(coordinator): Admitted,
    body: std::result::Result<Json<PolicyKey>, JsonRejection>,
) -> Result<Json<Policy>> {
    let malformed = || Error::Statement("a key is given as hexadecimal text of its bytes".into());
    let key = from_hex(&body?.0.key).ok_or_else(malformed)?;
    coordinator.tenants.try_propose(Change::SetPolicyKey(SetPolicyKey { key })).await?.accepted()?;
    show(Admitted(coordinator)).await
}

async fn publish_one(coordinator: &Coordinator, hexadecimal: &str) -> Result<PublishedDocument> {
    let malformed = || Error::Statement("a document is given as hexadecimal text of its signed bytes".into());
    let bytes = from_hex(hexadecimal).ok_or_else(malformed)?;
    let signed = Signed::decode(&*bytes).map_err(|_| malformed())?;
    let document = signed.read().map_err(|error| Error::Statement(error.to_string()))?;
    let (name, catalog) = (document.name, coordinator.tenants.catalog());
    catalog.linearize().await?;
    check_known(&document.subject, &catalog.snapshot())?;
    let known =
        catalog.snapshot().documents().get(&name).is_some_and(|known| known.document == signed.document);
    let (outcome, version) = match coordinator.tenants.try_propose(Change::Publish(signed)).await? {
        Reply::Refused(Refusal::StaleDocument { current, .. }) => (PublishOutcome::Stale, current),
        reply => {
            reply.accepted()?;
            // What a tenant had that is no more is gone before anybody hears of it; nodes of a cluster follow the catalog.
            coordinator.tenants.forget_dropped();
            (if known { PublishOutcome::Known } else { PublishOutcome::Taken }, document.version)
        }
    };
    Ok(PublishedDocument { name, outcome, version })
}

/// Refuses what nodes of an earlier version, which may be among those of the cluster, do not know.
fn check_known(subject: &Option<Subject>, state: &CatalogState) -> Result<()> {
    let version = state.cluster_version();
    if version < 2 && matches!(subject, Some(Subject::TenantInPool(_))) {
        return Err(Error::Statement(format!(
            "the cluster is at version {version}, which knows of no pools: raise it (tundra admin upgrade) first"
        ))
        .into());
    }
    Ok(())
}

fn policy(state: &CatalogState) -> Policy {
    let document = |signed: &Signed| {
        let document = signed.read().ok()?;
        Some(PolicyDocument {
            name: document.name,
            version: document.version,
            decided_at_us: document.decided_at_us,
            gone: matches!(document.subject, Some(Subject::Gone(_))),
            signed: to_hex(&signed.encode_to_vec()),
        })
    };
    Policy {
        key: state.policy_key().map(to_hex),
        version: state.policy_version(),
        documents: state.documents().values().filter_map(document).collect(),
    }
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.bytes().map(|digit| (digit as char).to_digit(16).map(|digit| digit as u8));
    let digits: Vec<u8> = digits.collect::<Option<_>>()?;
    let pairs = digits.chunks(2).map(|pair| match pair {
        [high, low] => Some(high << 4 | low),
        _ => None,
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::super::Failed;
    use super::*;
    use flight_proto::catalog as stored;
    use flight_proto::policy::Tenant;

    #[test]
    fn pools_are_taken_once_all_nodes_know_of_them() {
        let of = |pool: &str| Some(Subject::of_tenant(Tenant { pool: pool.into(), ..Tenant::default() }));
        let early = CatalogState::default();
        assert!(check_known(&of(""), &early).is_ok());
        let Err(Failed(why)) = check_known(&of("acme"), &early) else { panic!("it is taken") };
        assert!(why.to_string().contains("raise it (tundra admin upgrade) first"), "{why}");
        let stored = stored::CatalogState { cluster_version: 2, ..stored::CatalogState::default() };
        assert!(check_known(&of("acme"), &CatalogState::from_stored(stored)).is_ok());
    }

    #[test]
    fn hexadecimal_text() {
        assert_eq!(to_hex(b"\x00\xff\x1a"), "00ff1a");
        assert_eq!(from_hex("00ff1A").unwrap(), b"\x00\xff\x1a");
        assert!(from_hex("0").is_none() && from_hex("0g").is_none() && from_hex("é0").is_none());
    }
}
