//! What object stores tell of changes.

mod notification;

use super::{Admitted, Result};
use crate::coordinator::Coordinator;
use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use flight_proto::admin::{EventDataset, EventsTaken, Failure};
use flight_proto::catalog::Dataset;
use flight_proto::node::AskRefreshes;
use flight_proto::policy::check_tenant_name;
use notification::{Change, Notification};
use std::collections::{BTreeMap, BTreeSet};

/// Take what an object store tells of changes: S3 or MinIO event notifications as they are, by way of SNS, or as
/// EventBridge gives them. Tables over the objects are refreshed within seconds, and versions that others committed are
/// switched on. What comes within a second is joined.
#[utoipa::path(post, path = "/api/v1/events", tag = "datasets", request_body = serde_json::Value,
    responses((status = OK, body = EventsTaken), (status = BAD_REQUEST, body = Failure),
        (status = SERVICE_UNAVAILABLE, body = Failure)))]
pub(crate) async fn take(
    Admitted(coordinator): Admitted,
    body: std::result::Result<Bytes, BytesRejection>,
) -> Result<Json<EventsTaken>> {
    let Notification { changes, ignored, message } = notification::parse(&body?)?;
    if let Some(message) = &message {
        tracing::warn!("{message}");
    }
    // Before it is looked up what is concerned: a table may have been created on another coordinator.
    if !changes.is_empty() {
        coordinator.tenants.catalog().linearize().await?;
    }
    let (ask, unconcerned) = concerned(&coordinator, &changes);
    if !ask.files.is_empty() || !ask.manifests.is_empty() {
        coordinator.refreshes.ask(ask.clone()).await?;
    }
    let named = |datasets: Vec<u64>| named(&coordinator, datasets);
    let (refresh, reconcile) = (named(ask.files), named(ask.manifests));
    Ok(Json(EventsTaken { refresh, reconcile, ignored: ignored + unconcerned, message }))
}

/// The datasets that changes concern, and how many changes concern none.
fn concerned(coordinator: &Coordinator, changes: &[Change]) -> (AskRefreshes, u64) {
    let (mut files, mut manifests) = (BTreeSet::new(), BTreeMap::new());
    let tenants = &coordinator.tenants;
    let snapshot = tenants.catalog().snapshot();
    let all = snapshot.tenants().flat_map(|tenant| snapshot.datasets(tenant));
    let external: Vec<_> = all.filter(|dataset| !dataset.location.is_empty()).collect();
    let mut unconcerned = 0;
    for Change { bucket, key } in changes {
        let over = external.iter().filter(|dataset| shard::covers(&dataset.location, bucket, key));
        let over: Vec<u64> = over.map(|dataset| dataset.id).collect();
        let manifest = tenants.root().below(bucket, key).and_then(dataset_of_manifest);
        unconcerned += u64::from(over.is_empty() && manifest.is_none());
        files.extend(over);
        manifests.extend(manifest);
    }
    let (manifests, tenants) = manifests.into_iter().unzip();
    (AskRefreshes { files: files.into_iter().collect(), manifests, tenants, schedules: vec![] }, unconcerned)
}

/// The dataset whose manifest an object below the root is, and its tenant.
fn dataset_of_manifest(name: &str) -> Option<(u64, String)> {
    let parts: Vec<&str> = name.split('/').collect();
    let &[tenant, dataset, "manifests", version] = &parts[..] else { return None };
    version.parse::<u64>().ok()?;
    check_tenant_name(tenant).ok()?;
    Some((dataset.parse().ok()?, tenant.to_string()))
}

fn named(coordinator: &Coordinator, datasets: Vec<u64>) -> Vec<EventDataset> {
    let snapshot = coordinator.tenants.catalog().snapshot();
    let named = |dataset| {
        let known = snapshot.find(dataset);
        let names =
            |(tenant, known): (&str, &Dataset)| (tenant.into(), known.schema.clone(), known.name.clone());
        let (tenant, schema, table) = known.map(names).unwrap_or_default();
        EventDataset { tenant, dataset, schema, table }
    };
    datasets.into_iter().map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::Failed;
    use axum::body::Body;
    use axum::extract::{FromRequest, Request};
    use axum::http::StatusCode;
    use axum::response::IntoResponse;

    #[tokio::test]
    async fn a_body_that_is_too_long_is_refused() {
        let long = Request::new(Body::from(vec![b' '; 3 << 20]));
        let rejection = Bytes::from_request(long, &()).await.unwrap_err();
        assert_eq!(Failed::from(rejection).into_response().status(), StatusCode::BAD_REQUEST);
    }

    #[test]
    fn manifests_are_known_by_their_names() {
        let named =
            |name: &str| dataset_of_manifest(name).map(|(dataset, tenant)| format!("{tenant} {dataset}"));
        assert_eq!(named("default/12/manifests/00000000000000000007").unwrap(), "default 12");
        assert_eq!(named("other/12/manifests/7").unwrap(), "other 12");
        for other in [
            "default/12/data/x.parquet",
            "default/12/manifests/x",
            "default/12/manifests/7/x",
            "Other/12/manifests/7",
            "default/x/manifests/7",
            "catalog/7",
            "",
        ] {
            assert_eq!(dataset_of_manifest(other), None, "{other}");
        }
    }
}
