//! Members over the network that nodes have.

use super::{create, never, random};
use crate::catalog::{CatalogStore, RaftCatalog, RaftOptions, Reply, Transport};
use bytes::Bytes;
use futures::future::BoxFuture;
use network::{Handlers, MemoryNetwork, Peers, Service, call_handler};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

const SERVICE: Service = Service(1);

impl Transport for Peers {
    fn call<'a>(
        &'a self,
        address: &'a str,
        request: Bytes,
        timeout: Duration,
    ) -> BoxFuture<'a, network::Result<Bytes>> {
        Box::pin(Peers::call(self, address, SERVICE, request, timeout))
    }
}

fn name(id: u64) -> String {
    format!("node{id}")
}

async fn start(network: &MemoryNetwork, folder: &TempDir, id: u64) -> Arc<RaftCatalog> {
    let node = network.node(&name(id));
    let address = |id| format!("{}:1", name(id));
    let listener = node.listen(&address(id)).await.unwrap();
    let peers = Arc::new(Peers::new(node, Duration::from_millis(500)));
    let members = (1..=3).map(|id| (id, address(id))).collect();
    let options = RaftOptions::new(id, members, peers, random(id));
    let path = folder.path().join(format!("{id}.redb"));
    let member = Arc::new(RaftCatalog::open(&*path, options, never()).await.unwrap());
    let answering = member.clone();
    let handler = call_handler(move |request| {
        let answer = answering.answer(request);
        async move { Ok(answer.await) }
    });
    let handlers = Handlers::new().with(SERVICE, handler);
    tokio::spawn(network::serve(listener, handlers, std::future::pending()));
    member
}

#[tokio::test(start_paused = true)]
async fn members_meet_over_the_network_of_nodes() {
    let (network, folder) = (MemoryNetwork::new(), TempDir::new().unwrap());
    let mut members = Vec::new();
    for id in 1..=3 {
        members.push(start(&network, &folder, id).await);
    }
    for (at, member) in members.iter().enumerate() {
        member.ready().await.unwrap();
        assert_eq!(member.propose(create(format!("s{at}"))).await.unwrap(), Reply::Done);
    }
    let leader = members[0].status().leader.unwrap();
    let others: Vec<u64> = (1..=3).filter(|id| *id != leader).collect();
    for other in &others {
        network.cut(&name(leader), &name(*other));
    }
    let since = Instant::now();
    let heir = &members[others[0] as usize - 1];
    assert_eq!(heir.propose(create("cut")).await.unwrap(), Reply::Done);
    assert!(since.elapsed() < Duration::from_secs(3), "{:?}", since.elapsed());
    sleep(Duration::from_secs(10)).await;
    for other in &others {
        network.heal(&name(leader), &name(*other));
    }
    for member in &members {
        member.ready().await.unwrap();
        assert!(member.snapshot().has_schema("default", "cut"));
    }
    for member in &members {
        member.close().await.unwrap();
    }
}
