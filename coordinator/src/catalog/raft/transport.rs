//! The way to other members, whatever network it takes.

use bytes::Bytes;
use flight_proto::Message;
use flight_proto::replication::{Answer, Question, Request, Response};
use futures::future::BoxFuture;
use std::time::Duration;

/// One request to a node and its answer, as bytes.
pub trait Transport: Send + Sync {
    /// Asks the member at `HOST:PORT`. The request may have arrived even if no answer comes, except after
    /// [`network::Error::Unreachable`], [`network::Error::Refused`] and [`network::Error::Outdated`].
    fn call<'a>(
        &'a self,
        address: &'a str,
        request: Bytes,
        timeout: Duration,
    ) -> BoxFuture<'a, network::Result<Bytes>>;
}

/// Reaches no one: the network of a catalog of one member.
pub struct Nobody;

impl Transport for Nobody {
    fn call<'a>(
        &'a self,
        address: &'a str,
        _request: Bytes,
        _timeout: Duration,
    ) -> BoxFuture<'a, network::Result<Bytes>> {
        let why = "this coordinator has no network".into();
        Box::pin(async move { Err(network::Error::Unreachable { peer: address.into(), why }) })
    }
}

/// Asks a member, and gives its answer.
pub(super) async fn ask(
    transport: &dyn Transport,
    to: u64,
    address: &str,
    question: Question,
    timeout: Duration,
) -> network::Result<Answer> {
    let request = Request { to, question: Some(question) }.encode_to_vec();
    let response = transport.call(address, request.into(), timeout).await?;
    let answer = Response::decode(response).ok().and_then(|response| response.answer);
    answer.ok_or_else(|| malformed(address))
}

pub(super) fn malformed(address: &str) -> network::Error {
    let why = "it is no answer that this version of Tundra knows".into();
    network::Error::Malformed { peer: address.into(), why }
}
