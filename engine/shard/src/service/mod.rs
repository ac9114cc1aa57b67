//! A shard as a node of a cluster: what it does at the word of coordinators and of other shards.

mod contacts;
mod exchange;
mod load;
mod metrics;
mod orders;
mod queries;
mod run;
mod spans;
pub mod words;

use crate::hydrate::Options;
use crate::{Hydrations, Shard, VersionId, others};
use contacts::Contacts;
use flight_proto::Message;
use flight_proto::node::{
    AskSegments, AskWaiting, Failure, FailureKind, Hydrate, Input, Rows, Service, Stage, Summaries,
    Summarize, Waiting,
};
use futures::future::BoxFuture;
use load::LoadMeter;
use network::{Handler, Handlers, Listener, Peers, Stream, call_handler};
use orders::Told;
use queries::Queries;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What a shard is to be in a cluster.
pub struct NodeConfig {
    /// Where coordinators are reached; these tell of the others.
    pub coordinators: Vec<String>,
    /// Where other nodes reach this one; `None`: where it listens.
    pub advertise: Option<String>,
    /// How much it can hold compared with others; at least 1.
    pub weight: u32,
    /// The pool that it is of.
    pub pool: String,
    /// A number that no start before had.
    pub incarnation: u64,
    pub hydration: Options,
}

/// A shard that serves. Dropping it ends its tasks.
pub struct NodeHandle {
    node: Arc<Node>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

pub(crate) struct Node {
    shard: Arc<Shard>,
    peers: Arc<Peers>,
    contacts: Contacts,
    address: String,
    weight: u32,
    pool: String,
    incarnation: u64,
    options: Options,
    hydrations: Arc<Hydrations>,
    queries: Arc<Queries>,
    told: Told,
    load: LoadMeter,
    /// Why the cluster goes on without this node.
    outdated: watch::Sender<Option<String>>,
    /// The latest term of a leader that was heard of.
    epoch: AtomicU64,
}

/// Serves `shard` to the cluster.
pub fn serve(
    shard: Arc<Shard>,
    listener: Box<dyn Listener>,
    peers: Arc<Peers>,
    config: NodeConfig,
) -> NodeHandle {
    let node = Arc::new(Node {
        shard,
        peers,
        contacts: Contacts::default(),
        address: config.advertise.unwrap_or_else(|| listener.address()),
        weight: config.weight.max(1),
        pool: config.pool,
        incarnation: config.incarnation,
        options: config.hydration,
        hydrations: Arc::default(),
        queries: Arc::default(),
        told: Told::default(),
        load: LoadMeter::new(),
        outdated: watch::Sender::new(None),
        epoch: AtomicU64::new(0),
    });
    let (stop, mut stopped) = watch::channel(false);
    let tasks = vec![
        tokio::spawn(network::serve(listener, node.handlers(), async move {
            // A handle that is gone stops it, too.
            let _ = stopped.wait_for(|stop| *stop).await;
        })),
        tokio::spawn(node.clone().follow()),
        tokio::spawn(node.clone().tidy()),
    ];
    config.coordinators.iter().for_each(|address| node.contact(address, false));
    NodeHandle { node, stop, tasks }
}

impl NodeHandle {
    /// Where other nodes reach it.
    pub fn address(&self) -> &str {
        &self.node.address
    }

    /// Whether a coordinator has answered lately.
    pub fn is_heard(&self) -> impl Fn() -> bool + Clone + Send + Sync + use<> {
        let node = self.node.clone();
        move || node.heard() > 0
    }

    /// Keeps gauges of this shard in the process's metrics from now on.
    pub fn gather_metrics(&mut self) {
        self.tasks.push(tokio::spawn(metrics::sample(self.node.clone())));
    }

    /// Ready once a coordinator has said that the cluster is at a version that this node does not speak: why it is of no
    /// more use.
    pub async fn outdated(&self) -> String {
        let mut outdated = self.node.outdated.subscribe();
        let why = outdated.wait_for(Option::is_some).await.ok().and_then(|why| why.clone());
        // The sender lives as long as the node does.
        why.unwrap_or_default()
    }
}

/// Serves parts of queries.
struct Runs(Arc<Node>);

impl Handler for Runs {
    fn handle(&self, _peer: String, stream: Stream) -> BoxFuture<'static, ()> {
        let node = self.0.clone();
        Box::pin(async move { run::serve(&node, stream).await })
    }
}

/// Takes rows of other shards.
struct RowStreams(Arc<Node>);

impl Handler for RowStreams {
    fn handle(&self, _peer: String, stream: Stream) -> BoxFuture<'static, ()> {
        let node = self.0.clone();
        Box::pin(async move { node.take_rows(stream).await })
    }
}

/// Gives segments to other shards.
struct Segments(Arc<Node>);

impl Handler for Segments {
    fn handle(&self, _peer: String, stream: Stream) -> BoxFuture<'static, ()> {
        let shard = self.0.shard.clone();
        Box::pin(async move { others::give(&shard, stream).await })
    }
}

impl Drop for NodeHandle {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        self.node.contacts.end();
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Node {
    fn handlers(self: &Arc<Node>) -> Handlers {
        let number = |service: Service| network::Service(service as u16);
        let (hydrate, summarize, ask) = (self.clone(), self.clone(), self.clone());
        let hydrate = call_handler(move |request| {
            let node = hydrate.clone();
            async move {
                let request = Hydrate::decode(request).map_err(|error| error.to_string())?;
                Ok(node.hydrate(request).await?.encode_to_vec().into())
            }
        });
        let summarize = call_handler(move |request| {
            let node = summarize.clone();
            async move {
                let request = Summarize::decode(request).map_err(|error| error.to_string())?;
                let summary = crate::blocking(move || node.summarize(request));
                let summary = summary.await.map_err(|error| error.to_string())??;
                Ok(summary.encode_to_vec().into())
            }
        });
        let ask = call_handler(move |request| {
            let node = ask.clone();
            async move {
                let request = AskSegments::decode(request).map_err(|error| error.to_string())?;
                Ok(others::have(&node.shard, &request).encode_to_vec().into())
            }
        });
        let waiting = self.clone();
        let waiting = call_handler(move |request| {
            let waiting = waiting.waiting(request).map(|waiting| waiting.encode_to_vec().into());
            async move { waiting }
        });
        Handlers::speaking(self.peers.spoken().clone())
            .with(number(Service::Waiting), waiting)
            .with(number(Service::AskSegments), ask)
            .with(number(Service::TakeSegment), Segments(self.clone()))
            .with(number(Service::Run), Runs(self.clone()))
            .with(number(Service::Rows), RowStreams(self.clone()))
            .with(number(Service::Hydrate), hydrate)
            .with(number(Service::Summarize), summarize)
    }

    /// Refuses calls of a coordinator that follows an earlier leader than others.
    fn fence(&self, epoch: u64) -> Result<(), Failure> {
        let known = self.epoch.fetch_max(epoch, Ordering::AcqRel);
        if epoch < known {
            let message =
                format!("the coordinator follows the leader of term {epoch}, and there is one of {known}");
            return Err(Failure { kind: FailureKind::Fenced.into(), message });
        }
        Ok(())
    }

    /// What a query waits for here.
    fn waiting(&self, request: bytes::Bytes) -> Result<Waiting, String> {
        let AskWaiting { query } = AskWaiting::decode(request).map_err(|error| error.to_string())?;
        let id = words::query_id(&query).ok_or("a query without identity")?;
        let (stage, exchange) = match self.queries.stage(id) {
            queries::Stage::Unknown => (Stage::Unknown, None),
            queries::Stage::Runs(exchange) => (Stage::Runs, Some(exchange)),
            queries::Stage::Ended => (Stage::Ended, None),
        };
        let awaited = exchange.iter().flat_map(|exchange| exchange.waits_for());
        let inputs = awaited.map(|(fragment, from)| Input { fragment, from: from as u32 }).collect();
        let untold = exchange.iter().flat_map(|exchange| exchange.untold());
        let untold =
            untold.map(|(fragment, to)| flight_proto::node::Edge { fragment, to: to as u32 }).collect();
        Ok(Waiting { stage: stage.into(), inputs, untold })
    }

    fn hear_of(&self, epoch: u64) {
        self.epoch.fetch_max(epoch, Ordering::AcqRel);
    }

    /// Takes rows that another shard sends for a query.
    async fn take_rows(&self, mut stream: Stream) {
        let Ok(Some(head)) = stream.receiver.receive().await else { return };
        let Ok(head) = Rows::decode(head) else { return };
        let Some(id) = words::query_id(&head.query) else { return };
        // A query that does not run here has ended, or its coordinator has gone.
        let Some(exchange) = self.queries.exchange(id).await else { return };
        let (from, to) = (head.from as usize, head.to as usize);
        let edge = exec::runtime::Edge { fragment: head.fragment, from, to };
        exchange.take(edge, head.hears, &mut stream).await;
    }

    fn summarize(&self, request: Summarize) -> Result<Summaries, String> {
        let id: VersionId = request.version.ok_or("a summary of no version")?.into();
        let failed = |error: exec::Error| error.to_string();
        let buckets = request.buckets.iter().map(|&bucket| {
            let statistics = self.shard.statistics(&id, &[bucket]).map_err(failed)?;
            let facts = self.shard.facts(&id, bucket).map_err(failed)?;
            Ok(storage::Summary { statistics, facts }.encode().into())
        });
        Ok(Summaries { buckets: buckets.collect::<Result<_, String>>()? })
    }
}
