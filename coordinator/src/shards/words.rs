//! What a coordinator serves to other nodes, and how its catalog reaches them.

use super::nodes::Nodes;
use crate::admin::{quarantine, queries};
use crate::catalog::{RaftCatalog, Transport};
use crate::http::Readiness;
use crate::refreshes::Refreshes;
use crate::tenants::Tenants;
use flight_proto::Message;
use flight_proto::node::{
    AskQuarantine, AskQueries, AskRefreshes, Heartbeat, Refreshes as Told, Service, VersionName,
};
use futures::future::BoxFuture;
use network::{Handlers, Peers, call_handler};
use std::sync::Arc;
use std::time::Duration;

/// The catalog's way to other coordinators.
pub(crate) struct RaftTransport(pub(crate) Arc<Peers>);

impl Transport for RaftTransport {
    fn call<'a>(
        &'a self,
        address: &'a str,
        request: bytes::Bytes,
        timeout: Duration,
    ) -> BoxFuture<'a, network::Result<bytes::Bytes>> {
        Box::pin(self.0.call(address, number(Service::Raft), request, timeout))
    }
}

fn number(service: Service) -> network::Service {
    network::Service(service as u16)
}

/// The services of a coordinator.
pub(crate) fn handlers(
    catalog: &Arc<RaftCatalog>,
    tenants: &Arc<Tenants>,
    nodes: &Arc<Nodes>,
    refreshes: &Arc<Refreshes>,
    readiness: Readiness,
) -> Handlers {
    let spoken = nodes.peers.spoken().clone();
    let catalog = catalog.clone();
    let raft = call_handler(move |request| {
        let answer = catalog.answer(request);
        async move { Ok(answer.await) }
    });
    let (heard, nodes) = (tenants.clone(), nodes.clone());
    let heartbeat = call_handler(move |request| {
        let orders = Heartbeat::decode(request).map_err(|error| error.to_string()).and_then(|heartbeat| {
            // What is drained is to keep nothing but what queries that know no better may read there.
            // So is what is of a tenant of another pool.
            let shard = heartbeat.shard;
            let drained = nodes.is_drained(shard);
            let only_there = |tenant: &str| drained || !nodes.is_of_pool_of(shard, tenant);
            let in_use = heard.in_use(|tenant| Some(shard).filter(|_| only_there(tenant)));
            let in_use = in_use.iter().map(VersionName::from).collect();
            nodes.heartbeat(heartbeat, in_use).map_err(|error| error.to_string())
        });
        async move { Ok(orders?.encode_to_vec().into()) }
    });
    let tenants = tenants.clone();
    let manifest = call_handler(move |request| {
        let tenants = tenants.clone();
        async move {
            let name = VersionName::decode(request).map_err(|error| error.to_string())?;
            let manifest = tenants.manifest(&name).await.map_err(|error| error.to_string())?;
            Ok(manifest.encode_to_vec().into())
        }
    });
    let ready = readiness.clone();
    let quarantine = call_handler(move |request| {
        let answer = AskQuarantine::decode(request).map_err(|error| error.to_string()).and_then(|ask| {
            let coordinator = ready.coordinator().ok_or("it does not serve")?;
            Ok(quarantine::answer(&coordinator, ask))
        });
        async move { Ok(answer?.encode_to_vec().into()) }
    });
    let queries = call_handler(move |request| {
        let answer = AskQueries::decode(request).map_err(|error| error.to_string()).and_then(|ask| {
            let coordinator = readiness.coordinator().ok_or("it does not serve")?;
            Ok(queries::answer(&coordinator, &ask))
        });
        async move { Ok(answer?.encode_to_vec().into()) }
    });
    let noting = refreshes.clone();
    let ask = call_handler(move |request| {
        let noted = AskRefreshes::decode(request).map(|ask| noting.note(&ask));
        async move { noted.map(|()| bytes::Bytes::new()).map_err(|error| error.to_string()) }
    });
    let hearing = refreshes.clone();
    let tell = call_handler(move |request| {
        let heard = Told::decode(request).map(|told| hearing.heard(told));
        async move { heard.map(|()| bytes::Bytes::new()).map_err(|error| error.to_string()) }
    });
    Handlers::speaking(spoken)
        .with(number(Service::Raft), raft)
        .with(number(Service::Heartbeat), heartbeat)
        .with(number(Service::Manifest), manifest)
        .with(number(Service::Queries), queries)
        .with(number(Service::AskRefreshes), ask)
        .with(number(Service::TellRefreshes), tell)
        .with(number(Service::Quarantine), quarantine)
}
