//! What a node serves: streams of other nodes, each handed to the handler of its service.

use crate::protocol::{Answer, Header, Service};
use crate::{Connection, Error, Listener, MESSAGE_BYTES_MAX, Result, Sender, Spoken, Stream, Versions};
use bytes::Bytes;
use futures::future::BoxFuture;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{JoinError, JoinSet};

/// The streams of a connection that are served at a time; others wait.
pub const SERVED_STREAMS_MAX: usize = 4096;
/// How long a stream may take to say what it is for.
const HEADER_TIME: Duration = Duration::from_secs(5);

/// Serves the streams of one service.
pub trait Handler: Send + Sync {
    /// Serves a stream of a node, called by its address. The future is dropped when the connection is lost; if it
    /// panics its stream is reset.
    fn handle(&self, peer: String, stream: Stream) -> BoxFuture<'static, ()>;
}

/// The services of a node.
#[derive(Clone)]
pub struct Handlers {
    services: HashMap<Service, Arc<dyn Handler>>,
    spoken: Arc<Spoken>,
}

impl Default for Handlers {
    fn default() -> Handlers {
        Handlers::speaking(Spoken::new(Versions::OWN))
    }
}

impl Handlers {
    pub fn new() -> Handlers {
        Handlers::default()
    }

    /// [`Handlers::new`] of a node that speaks so.
    pub fn speaking(spoken: Arc<Spoken>) -> Handlers {
        Handlers { services: HashMap::new(), spoken }
    }

    /// Adds a service, or replaces it.
    pub fn with(mut self, service: Service, handler: impl Handler + 'static) -> Handlers {
        self.services.insert(service, Arc::new(handler));
        self
    }

    /// Whoever serves what is asked for, or why nobody does.
    fn find(&self, message: &[u8]) -> std::result::Result<&Arc<dyn Handler>, Answer> {
        let Some(Header { service, version, most }) = Header::decode(message) else {
            let why = "the stream does not begin with a service and a version";
            return Err(Answer::Refused(why.to_string()));
        };
        let (versions, cluster) = (self.spoken.versions(), self.spoken.cluster());
        if most.unwrap_or(version) < cluster {
            let latest = most.unwrap_or(version);
            let why = format!(
                "the cluster is at version {cluster}, and the node that calls speaks none later than {latest}: start it \
                 with a newer release of Tundra"
            );
            // Version 1 knows no other answer.
            return Err(if most.is_some() { Answer::Outdated(why) } else { Answer::Refused(why) });
        }
        if !versions.contains(version) {
            let why = format!(
                "version {version} of the protocol is not understood: this node understands {versions}"
            );
            return Err(Answer::Refused(why));
        }
        self.services.get(&service).ok_or_else(|| {
            let speaks = format!("you speak version {version}, this node {versions}");
            Answer::Refused(format!("service {} is not known here: {speaks}", service.0))
        })
    }
}

/// Serves all nodes that connect, until the listener is closed or `shutdown` is ready; then all ends at once.
pub async fn serve(mut listener: Box<dyn Listener>, handlers: Handlers, shutdown: impl Future<Output = ()>) {
    let handlers = Arc::new(handlers);
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => return,
            Some(ended) = connections.join_next() => report(ended),
            accepted = listener.accept() => match accepted {
                Some(connection) => {
                    connections.spawn(serve_connection(connection, handlers.clone()));
                }
                None => return,
            },
        }
    }
}

async fn serve_connection(connection: Arc<dyn Connection>, handlers: Arc<Handlers>) {
    let mut streams = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            Some(ended) = streams.join_next() => report(ended),
            accepted = connection.accept(), if streams.len() < SERVED_STREAMS_MAX => match accepted {
                Ok(stream) => {
                    streams.spawn(serve_stream(connection.peer(), stream, handlers.clone()));
                }
                Err(error) => {
                    tracing::debug!("{error}");
                    return;
                }
            },
        }
    }
}

/// Tells of a panic, which has ended its stream and nothing else.
fn report(ended: std::result::Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!("a stream of another node was given up: {error}");
    }
}

async fn serve_stream(peer: String, stream: Stream, handlers: Arc<Handlers>) {
    let Stream { mut sender, mut receiver } = stream;
    // Without a header there is nobody to answer.
    let Ok(Ok(Some(header))) = tokio::time::timeout(HEADER_TIME, receiver.receive()).await else { return };
    match handlers.find(&header) {
        Ok(handler) => {
            let sender = Box::new(Accepting { sender, accepted: false });
            handler.handle(peer, Stream { sender, receiver }).await;
        }
        Err(answer) => {
            if let Answer::Refused(why) | Answer::Outdated(why) = &answer {
                tracing::warn!("a stream of node {peer} was refused: {why}");
            }
            let refused = sender.send(answer.encode()).await.and_then(|()| sender.finish());
            if let Err(error) = refused {
                tracing::debug!("{error}");
            }
        }
    }
}

/// A sender that says first that the stream is accepted.
struct Accepting {
    sender: Box<dyn Sender>,
    accepted: bool,
}

impl Accepting {
    async fn send_accepted(&mut self, message: Bytes) -> Result<()> {
        if !self.accepted {
            self.sender.send(Answer::Accepted.encode()).await?;
            self.accepted = true;
        }
        self.sender.send(message).await
    }
}

impl Sender for Accepting {
    fn send(&mut self, message: Bytes) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.send_accepted(message))
    }

    fn finish(&mut self) -> Result<()> {
        self.sender.finish()
    }

    fn stopped(&mut self) -> BoxFuture<'_, Error> {
        self.sender.stopped()
    }
}

/// A handler of calls: a request, and a reply or why there is none. The call is dropped when the caller gives up.
pub fn call_handler<F, Reply>(answer: F) -> impl Handler + use<F, Reply>
where
    F: Fn(Bytes) -> Reply + Send + Sync + 'static,
    Reply: Future<Output = std::result::Result<Bytes, String>> + Send + 'static,
{
    Calls { answer: Arc::new(answer) }
}

struct Calls<F> {
    answer: Arc<F>,
}

impl<F, Reply> Handler for Calls<F>
where
    F: Fn(Bytes) -> Reply + Send + Sync + 'static,
    Reply: Future<Output = std::result::Result<Bytes, String>> + Send + 'static,
{
    fn handle(&self, peer: String, stream: Stream) -> BoxFuture<'static, ()> {
        let answer = self.answer.clone();
        Box::pin(async move {
            if let Err(error) = answer_call(stream, &*answer).await {
                tracing::debug!("node {peer} did not get its reply: {error}");
            }
        })
    }
}

async fn answer_call<F, Reply>(stream: Stream, answer: &F) -> Result<()>
where
    F: Fn(Bytes) -> Reply,
    Reply: Future<Output = std::result::Result<Bytes, String>>,
{
    // The receiver is kept to the end: without it the caller would think that its request is not wanted.
    let Stream { mut sender, mut receiver } = stream;
    let Some(request) = receiver.receive().await? else { return Ok(()) };
    let reply = tokio::select! {
        biased;
        reply = answer(request) => reply,
        given_up = sender.stopped() => return Err(given_up),
    };
    let reply = reply.and_then(|reply| match reply.len() {
        0..=MESSAGE_BYTES_MAX => Ok(reply),
        bytes => Err(format!("a reply of {bytes} bytes, more than {MESSAGE_BYTES_MAX}")),
    });
    match reply {
        Ok(reply) => {
            sender.send(Answer::Accepted.encode()).await?;
            sender.send(reply).await?;
        }
        Err(why) => sender.send(Answer::Refused(why).encode()).await?,
    }
    sender.finish()
}
