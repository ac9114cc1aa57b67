//! Asking the other coordinators.

use crate::coordinator::Coordinator;
use flight_proto::Message;
use flight_proto::node::Service;
use futures::future::join_all;
use std::time::Duration;

/// How long another coordinator may take to answer.
const ANSWER: Duration = Duration::from_secs(2);

/// What each of the other coordinators answers, by its number; `None`: it does not.
pub(crate) async fn ask_others<A: Message + Default>(
    coordinator: &Coordinator,
    service: Service,
    request: &impl Message,
) -> Vec<(u64, Option<A>)> {
    let tenants = &coordinator.tenants;
    let Some(nodes) = tenants.shards().nodes() else { return Vec::new() };
    let status = tenants.catalog().status();
    let request = bytes::Bytes::from(request.encode_to_vec());
    let others = status.members.into_iter().filter(|member| member.id != status.id);
    let calls = others.map(|member| {
        let request = request.clone();
        async move {
            let service = network::Service(service as u16);
            let answer = nodes.peers.call(&member.address, service, request, ANSWER).await;
            (member.id, answer.ok().and_then(|bytes| A::decode(bytes).ok()))
        }
    });
    join_all(calls).await
}
