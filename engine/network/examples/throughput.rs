//! How fast two nodes on one machine talk over QUIC: MB/s of messages of 1 MiB over one stream, and calls of 100
//! bytes, one after the other and 64 at a time. `cargo run --release -p tundra-network --example throughput`

#![allow(clippy::print_stdout, reason = "a program")]

use bytes::Bytes;
use futures::future::try_join_all;
use network::{
    Authority, Error, Handlers, Network, Peers, Quic, QuicOptions, Result, Service, call_handler, serve,
};
use std::sync::Arc;
use std::time::{Duration, Instant};

const CALL: Service = Service(1);
const MESSAGE_BYTES: usize = 1 << 20;
const MESSAGES: usize = 2000;
const CALLS: usize = 20_000;
const CALLERS: usize = 64;
const TIMEOUT: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> Result<()> {
    let authority = Authority::create()?;
    let node =
        |name: &str| Ok::<_, Error>(Arc::new(Quic::new(&authority.issue(name)?, &QuicOptions::default())?));
    stream(&*node("one")?, &*node("other")?).await?;
    calls(&*node("one")?, node("other")?).await
}

/// One stream, one way.
async fn stream(one: &Quic, other: &Quic) -> Result<()> {
    let mut listener = one.listen("127.0.0.1:0").await?;
    let address = listener.address();
    let (near, far) = tokio::join!(other.connect(&address), listener.accept());
    let (near, far) = (near?, far.ok_or(Error::Stopped)?);
    let mut sender = near.open().await?.sender;
    let begun = Instant::now();
    let receiving = tokio::spawn(async move {
        let mut receiver = far.accept().await?.receiver;
        let mut bytes = 0;
        while let Some(message) = receiver.receive().await? {
            bytes += message.len();
        }
        Ok::<usize, Error>(bytes)
    });
    let message = Bytes::from(vec![7; MESSAGE_BYTES]);
    for _ in 0..MESSAGES {
        sender.send(message.clone()).await?;
    }
    sender.finish()?;
    let bytes = receiving.await.map_err(|error| Error::Environment(error.to_string()))??;
    println!("one stream: {:.0} MB/s", bytes as f64 / begun.elapsed().as_secs_f64() / 1e6);
    Ok(())
}

/// Calls of 100 bytes that are answered with the same.
async fn calls(one: &Quic, other: Arc<Quic>) -> Result<()> {
    let listener = one.listen("127.0.0.1:0").await?;
    let address = listener.address();
    let handlers = Handlers::new().with(CALL, call_handler(async |request| Ok(request)));
    let server = tokio::spawn(serve(listener, handlers, std::future::pending()));
    let peers = Peers::new(other, TIMEOUT);
    let request = Bytes::from(vec![7; 100]);
    for callers in [1, CALLERS] {
        let begun = Instant::now();
        let asking = (0..callers).map(|_| async {
            for _ in 0..CALLS / callers {
                peers.call(&address, CALL, request.clone(), TIMEOUT).await?;
            }
            Ok::<(), Error>(())
        });
        try_join_all(asking).await?;
        let rate = CALLS as f64 / begun.elapsed().as_secs_f64();
        println!("calls of 100 bytes, {callers} at a time: {rate:.0} round trips/s");
    }
    server.abort();
    Ok(())
}
