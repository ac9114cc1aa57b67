//! How fast two nodes on one machine talk, each in a runtime with one worker: MB/s and processor time of messages over
//! one stream and over many, and calls of 100 bytes, one after the other and 64 at a time.
//! `cargo run --release -p tundra-network --example throughput [quic] [tcp] [memory]`

#![allow(clippy::print_stdout, reason = "a program")]

use bytes::Bytes;
use futures::future::try_join_all;
use network::{
    Authority, Connection, Error, Handlers, MemoryNetwork, Network, Peers, Quic, QuicOptions, Result,
    Service, Tcp, TcpOptions, call_handler, serve,
};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};

const CALL: Service = Service(1);
const BYTES: usize = 4 << 30;
/// Bytes of a message, and streams at a time.
const BULKS: [(usize, usize); 3] = [(1 << 20, 1), (64 << 10, 1), (64 << 10, 16)];
const CALLS: usize = 20_000;
const CALLERS: usize = 64;
const TIMEOUT: Duration = Duration::from_secs(10);

/// Two nodes, and what makes them.
type Pair = [Arc<dyn Network>; 2];
type Make = fn() -> Result<Pair>;

fn main() -> Result<()> {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let kinds: [(&str, Make); 3] = [("quic", quic), ("tcp", tcp), ("memory", memory)];
    for (name, pair) in kinds {
        if !asked.is_empty() && !asked.iter().any(|word| word == name) {
            continue;
        }
        for (message_bytes, streams) in BULKS {
            let (time, processor) = bulk(pair()?, message_bytes, streams)?;
            let gigabytes = BYTES as f64 / 1e9;
            println!(
                "{name:<6} {streams:>2} streams of {:>4} KiB: {:>5.0} MB/s, {:.2} s of processor time a GB",
                message_bytes >> 10,
                gigabytes * 1e3 / time.as_secs_f64(),
                processor.as_secs_f64() / gigabytes,
            );
        }
        calls(name, pair()?)?;
    }
    Ok(())
}

fn quic() -> Result<Pair> {
    let authority = Authority::create()?;
    let node = |name| {
        Ok::<_, Error>(Arc::new(Quic::new(&authority.issue(name)?, &QuicOptions::default())?) as Arc<_>)
    };
    Ok([node("one")?, node("other")?])
}

fn tcp() -> Result<Pair> {
    let authority = Authority::create()?;
    let node =
        |name| Ok::<_, Error>(Arc::new(Tcp::new(&authority.issue(name)?, &TcpOptions::default())?) as Arc<_>);
    Ok([node("one")?, node("other")?])
}

fn memory() -> Result<Pair> {
    let hub = MemoryNetwork::new();
    Ok([hub.node("one"), hub.node("other")])
}

fn runtime() -> Result<Runtime> {
    let built = Builder::new_multi_thread().worker_threads(1).enable_all().build();
    built.map_err(|error| Error::Environment(error.to_string()))
}

/// What this process used so far, in steps of 10 ms.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let words = text.rsplit(") ").next().unwrap_or_default().split_whitespace().skip(11).take(2);
    Duration::from_millis(words.filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>() * 10)
}

/// Time and processor time of both ends for messages that go one way.
fn bulk([one, other]: Pair, message_bytes: usize, streams: usize) -> Result<(Duration, Duration)> {
    let (near_runtime, far_runtime) = (runtime()?, runtime()?);
    let (tell, told) = tokio::sync::oneshot::channel();
    let receiving = far_runtime.spawn(async move {
        let mut listener = one.listen("127.0.0.1:0").await?;
        let _ = tell.send(listener.address());
        let connection = listener.accept().await.ok_or(Error::Stopped)?;
        let taking = (0..streams).map(|_| tokio::spawn(take(connection.clone())));
        let mut bytes = 0;
        for taken in try_join_all(taking).await.map_err(|error| Error::Environment(error.to_string()))? {
            bytes += taken?;
        }
        Ok::<usize, Error>(bytes)
    });
    near_runtime.block_on(async {
        let address = told.await.map_err(|_| Error::Stopped)?;
        let connection = other.connect(&address).await?;
        let message = Bytes::from(vec![7; message_bytes]);
        let (begun, used) = (Instant::now(), processor_time());
        let messages = BYTES / streams / message_bytes;
        let giving = (0..streams).map(|_| tokio::spawn(give(connection.clone(), message.clone(), messages)));
        for given in try_join_all(giving).await.map_err(|error| Error::Environment(error.to_string()))? {
            given?;
        }
        let bytes = receiving.await.map_err(|error| Error::Environment(error.to_string()))??;
        assert_eq!(bytes, BYTES);
        Ok((begun.elapsed(), processor_time() - used))
    })
}

async fn give(connection: Arc<dyn Connection>, message: Bytes, messages: usize) -> Result<()> {
    let mut sender = connection.open().await?.sender;
    for _ in 0..messages {
        sender.send(message.clone()).await?;
    }
    sender.finish()
}

async fn take(connection: Arc<dyn Connection>) -> Result<usize> {
    let mut receiver = connection.accept().await?.receiver;
    let mut bytes = 0;
    while let Some(message) = receiver.receive().await? {
        bytes += message.len();
    }
    Ok(bytes)
}

/// Calls of 100 bytes that are answered with the same.
fn calls(name: &str, [one, other]: Pair) -> Result<()> {
    let (near_runtime, far_runtime) = (runtime()?, runtime()?);
    let (address, server) = far_runtime.block_on(async {
        let listener = one.listen("127.0.0.1:0").await?;
        let address = listener.address();
        let handlers = Handlers::new().with(CALL, call_handler(async |request| Ok(request)));
        Ok::<_, Error>((address, tokio::spawn(serve(listener, handlers, std::future::pending()))))
    })?;
    near_runtime.block_on(async {
        let peers = Peers::new(other, TIMEOUT);
        let request = Bytes::from(vec![7; 100]);
        for callers in [1, CALLERS] {
            let (begun, used) = (Instant::now(), processor_time());
            let asking = (0..callers).map(|_| async {
                for _ in 0..CALLS / callers {
                    peers.call(&address, CALL, request.clone(), TIMEOUT).await?;
                }
                Ok::<(), Error>(())
            });
            try_join_all(asking).await?;
            let (time, used) = (begun.elapsed().as_secs_f64(), processor_time() - used);
            println!(
                "{name:<6} calls of 100 bytes, {callers:>2} at a time: {:>6.0} a second, {:.0} us of processor time each",
                CALLS as f64 / time,
                used.as_secs_f64() * 1e6 / CALLS as f64,
            );
        }
        Ok::<(), Error>(())
    })?;
    server.abort();
    Ok(())
}
