use super::*;
use columnar::{DataType, Scalar, Vector};
use exec::plan::{Fragment, FragmentPlacement, Plan, Routing};
use futures::future::BoxFuture;
use network::{Handler, Handlers, MemoryNetwork, Network};
use std::time::Duration;

const QUERY: u128 = 7;
/// Rows of the first shard's for the second, which runs the root.
const EDGE: Edge = Edge { fragment: 0, from: 0, to: 1 };

fn topology() -> Topology {
    let types = vec![DataType::Int64];
    let sending = Fragment {
        id: 0,
        plan: Plan::Values { rows: vec![], types: types.clone() },
        placement: FragmentPlacement::AllShards,
        output: Some(Routing::Gather),
    };
    let root = Fragment {
        id: 1,
        plan: Plan::Receive { fragment: 0, types },
        placement: FragmentPlacement::OneShard,
        output: None,
    };
    Topology::new(&[sending, root], 2, 1).unwrap()
}

struct Shards {
    network: Arc<MemoryNetwork>,
    sending: Arc<NodeExchange>,
    receiving: Arc<NodeExchange>,
}

/// Two shards; the second takes rows for as long as is said, or lets them lie.
async fn shards(taking: Option<Duration>) -> Shards {
    let network = MemoryNetwork::new();
    let node = network.node("second");
    let listener = node.listen("second:1").await.unwrap();
    let addresses = ["first:1".to_string(), "second:1".to_string()];
    let start = |shard: usize, node: Arc<dyn Network>| {
        let peers = Arc::new(Peers::new(node, Duration::from_secs(1)));
        NodeExchange::start(QUERY, topology(), shard, &addresses, &peers, &MemoryPool::unlimited())
    };
    let (sending, receiving) = (start(0, network.node("first")), start(1, node));
    let handler = Taker { exchange: receiving.clone(), taking };
    let handlers = Handlers::new().with(network::Service(Service::Rows as u16), handler);
    tokio::spawn(network::serve(listener, handlers, std::future::pending()));
    Shards { network: Arc::new(network), sending, receiving }
}

struct Taker {
    exchange: Arc<NodeExchange>,
    taking: Option<Duration>,
}

impl Handler for Taker {
    fn handle(&self, _peer: String, mut stream: Stream) -> BoxFuture<'static, ()> {
        let (exchange, taking) = (self.exchange.clone(), self.taking);
        Box::pin(async move {
            let Some(taking) = taking else {
                return std::future::pending().await;
            };
            let head = stream.receiver.receive().await.unwrap().unwrap();
            assert_eq!(Rows::decode(head).unwrap().query, QUERY.to_be_bytes().to_vec());
            let _ = tokio::time::timeout(taking, exchange.take(EDGE, true, &mut stream)).await;
        })
    }
}

impl Shards {
    async fn send(&self) {
        let batch = Batch::new(vec![Vector::from_scalars(DataType::Int64, &[Scalar::Integer(5)])]);
        let mut batch = Some(batch);
        let sent = poll_fn(|context| match self.sending.send(EDGE, &mut batch, context.waker()) {
            Ok(Progress::Blocked) => Poll::Pending,
            other => Poll::Ready(other),
        });
        assert_eq!(sent.await.unwrap(), Progress::Ready);
    }

    /// The end of what the first shard sends.
    async fn delivered(&self) -> Result<()> {
        poll_fn(|context| self.sending.poll_delivered(context.waker())).await
    }

    async fn receive(&self) -> Result<Option<Batch>> {
        poll_fn(|context| match self.receiving.receive(EDGE.fragment, EDGE.to, context.waker()) {
            Ok(Received::Batch(batch)) => Poll::Ready(Ok(Some(batch))),
            Ok(Received::Finished) => Poll::Ready(Ok(None)),
            Ok(Received::Blocked) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        })
        .await
    }
}

/// What comes of it, which is not to take for ever.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("it hangs")
}

#[tokio::test(start_paused = true)]
async fn rows_are_delivered_once_they_are_taken() {
    let shards = shards(Some(Duration::MAX)).await;
    shards.send().await;
    assert_eq!(soon(shards.receive()).await.unwrap().unwrap().rows, 1);
    assert!(tokio::time::timeout(Duration::from_secs(20), shards.delivered()).await.is_err());
    shards.sending.finish(EDGE);
    soon(shards.delivered()).await.unwrap();
    shards.receiving.finish(Edge { from: 1, ..EDGE });
    assert!(soon(shards.receive()).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn rows_that_nobody_wants_are_delivered() {
    let shards = shards(Some(Duration::MAX)).await;
    shards.send().await;
    assert!(soon(shards.receive()).await.unwrap().is_some());
    shards.receiving.close(EDGE.fragment, EDGE.to);
    shards.send().await;
    soon(shards.delivered()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn rows_that_are_lost_with_their_connection_fail_whoever_sent_them() {
    let shards = shards(None).await;
    shards.send().await;
    shards.sending.finish(EDGE);
    // All is under way before the connection is lost.
    tokio::time::sleep(Duration::from_secs(1)).await;
    shards.network.cut("first", "second");
    assert!(matches!(soon(shards.delivered()).await, Err(Error::Exchange(_))));
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_fails_whoever_takes_rows() {
    let shards = shards(Some(Duration::MAX)).await;
    shards.send().await;
    assert!(soon(shards.receive()).await.unwrap().is_some());
    shards.network.cut("first", "second");
    assert!(matches!(soon(shards.receive()).await, Err(Error::Exchange(_))));
}

#[tokio::test(start_paused = true)]
async fn taking_that_is_given_up_fails_the_exchange() {
    let shards = shards(Some(Duration::from_secs(1))).await;
    shards.send().await;
    assert!(soon(shards.receive()).await.unwrap().is_some());
    assert!(matches!(soon(shards.receive()).await, Err(Error::Exchange(_))));
}

#[tokio::test(start_paused = true)]
async fn who_sends_hears_what_is_wanted() {
    let shards = shards(Some(Duration::MAX)).await;
    shards.send().await;
    let keys = WantedKeys { column: 0, first: 0, words: vec![1 << 5, 0, 7] };
    shards.receiving.want(EDGE.fragment, EDGE.to, keys);
    let tests = soon(async {
        loop {
            let tests = shards.sending.wanted(EDGE.fragment);
            if !tests.is_empty() {
                return tests;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    let keys: Vec<Scalar> = (0..200).map(Scalar::Integer).collect();
    let batch = Batch::new(vec![Vector::from_scalars(DataType::Int64, &keys)]);
    let wanted = tests.await[0].wanted_of(batch);
    let wanted: Vec<_> = (0..wanted.rows).map(|row| wanted.columns[0].scalar(row).as_integer()).collect();
    assert_eq!(wanted, [Some(5), Some(128), Some(129), Some(130)]);
    shards.sending.finish(EDGE);
    assert!(soon(shards.receive()).await.unwrap().is_some());
    soon(shards.delivered()).await.unwrap();
}
