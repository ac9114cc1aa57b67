//! A shard's part of a query: from the words of a coordinator to the last of its rows.

use super::Node;
use super::exchange::NodeExchange;
use super::metrics;
use super::queries::Running;
use super::spans;
use super::words::{FRAMES, failure_of, pieces, profile_of, query_id};
use crate::{Shard, VersionId};
use columnar::Batch;
use columnar::frame::FrameEncoder;
use exec::QueryContext;
use exec::context::{Cancel, Settings};
use exec::error::{Error, Result};
use exec::plan::{Fragment, TableRef};
use exec::runtime::{Exchange, FragmentEnvironment, RunningQuery, Tables, Topology};
use flight_proto::node::{Done, Failure, FailureKind, Ran, Run, Started, Told, Used};
use flight_proto::{Message, trace};
use network::{Sender, Stream};
use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;
use storage::Table;
use tokio::time::Instant;
use tracing::{Instrument, Span};

/// What a shard reads for a query.
struct Shares(HashMap<VersionId, Arc<Table>>);

impl Tables for Shares {
    fn table(&self, table: &TableRef) -> Result<Arc<Table>> {
        let id = VersionId { tenant: table.tenant.clone(), dataset: table.dataset, version: table.version };
        let found = self.0.get(&id).cloned();
        found.ok_or_else(|| Error::Internal(format!("no share of table '{}' was named", table.name)))
    }
}

impl Shares {
    /// That all files are whole.
    fn check(&self) -> std::result::Result<(), Failure> {
        let damage = self.0.values().find_map(|table| table.check().err());
        damage.map_or(Ok(()), |damage| {
            let message = format!("a segment is damaged, and is built again: {damage}");
            Err(Failure { kind: FailureKind::Damaged.into(), message })
        })
    }
}

/// The part of a query that runs here.
struct Part {
    running: RunningQuery,
    query: Arc<QueryContext>,
    exchange: Arc<NodeExchange>,
    tables: Arc<Shares>,
    /// Pages of mapped files that were lost before it began.
    losses: u64,
    deadline: Option<Instant>,
    /// It gives the result.
    is_root: bool,
    /// How often it is told what was used; `None`: never.
    usage_every: Option<Duration>,
    _running: Running,
}

/// How long rows that are on their way may take, once nobody wants more.
const LAST_ROWS: Duration = Duration::from_secs(1);

/// What becomes of the messages of a part.
#[derive(Default)]
struct Sending {
    /// One is half sent; it stays so where that failed.
    under_way: AtomicBool,
    /// No more are wanted.
    over: AtomicBool,
}

impl Sending {
    /// Sends a message; `None`: nobody listens any more, or wants more.
    async fn send(&self, sender: &mut dyn Sender, message: Vec<u8>) -> Option<()> {
        self.under_way.store(true, Ordering::Relaxed);
        sender.send(message.into()).await.ok()?;
        self.under_way.store(false, Ordering::Relaxed);
        (!self.over.load(Ordering::Relaxed)).then_some(())
    }
}

/// Serves the stream by which a coordinator runs a part of a query. The end of the stream ends the part.
pub(super) async fn serve(node: &Arc<Node>, mut stream: Stream) {
    let Ok(Some(request)) = stream.receiver.receive().await else { return };
    match Run::decode(request) {
        Ok(run) => {
            let span = spans::of_part(node, &run);
            serve_part(node, run, stream).instrument(span).await;
        }
        Err(error) => {
            let failure = internal(format!("the start of a query is not understood: {error}"));
            end(&mut *stream.sender, Told::Failed(failure)).await;
        }
    }
}

async fn serve_part(node: &Arc<Node>, run: Run, mut stream: Stream) {
    let span = Span::current();
    let began = Instant::now();
    let mut part = match start(node, run, &span) {
        Ok(part) => part,
        Err(failure) => {
            spans::fail(&span, &failure);
            metrics::part_refused();
            if failure.kind() == FailureKind::Damaged {
                node.mend(node.shard.versions().into_iter());
            }
            return end(&mut *stream.sender, Told::Failed(failure)).await;
        }
    };
    let (sender, receiver) = (&mut *stream.sender, &mut *stream.receiver);
    let (exchange, query, sending) = (part.exchange.clone(), part.query.clone(), Sending::default());
    let (told, enough) = {
        let run = part.run(sender, &sending);
        tokio::pin!(run);
        tokio::select! {
            biased;
            said = receiver.receive() => {
                sending.over.store(true, Ordering::Relaxed);
                exchange.fail(Error::Cancelled);
                query.cancel.cancel();
                // Nothing can be said after half a message: what is under way goes out first.
                if sending.under_way.load(Ordering::Relaxed) {
                    let _ = tokio::time::timeout(LAST_ROWS, &mut run).await;
                }
                let whole = !sending.under_way.load(Ordering::Relaxed);
                (None, whole && matches!(said, Ok(None)))
            }
            told = &mut run => (told, false),
        }
    };
    // The coordinator has all that it wants, and asks whether what it got was sound.
    let told = if enough { Some(part.ended()) } else { told };
    spans::end(&span, &part.used(), told.as_ref());
    metrics::part_ended(&part.used(), told.as_ref(), began.elapsed().as_secs_f64());
    if let Some(told) = told {
        if part.usage_every.is_some() {
            let used = Ran { told: Some(Told::Used(part.used())) };
            // Who does not listen any more has gone.
            let _ = sender.send(used.encode_to_vec().into()).await;
        }
        if matches!(&told, Told::Failed(failure) if failure.kind() == FailureKind::Damaged) {
            node.mend(part.tables.0.keys().cloned());
        }
        end(sender, told).await;
    }
}

/// Says the last word.
async fn end(sender: &mut dyn Sender, told: Told) {
    let told = Ran { told: Some(told) };
    // Who does not listen any more has gone.
    if sender.send(told.encode_to_vec().into()).await.is_ok() {
        let _ = sender.finish();
    }
}

fn internal(message: String) -> Failure {
    Failure { kind: FailureKind::Internal.into(), message }
}

/// Starts the fragments.
fn start(node: &Arc<Node>, run: Run, span: &Span) -> std::result::Result<Part, Failure> {
    node.fence(run.epoch)?;
    let failed = |error: Error| failure_of(&error);
    let id = query_id(&run.query).ok_or_else(|| internal("a query without identity".into()))?;
    let shard = run.shard as usize;
    let fragments = run.fragments.iter().map(|bytes| exec::codec::decode(bytes));
    let fragments: Vec<Fragment> =
        fragments.collect::<std::result::Result<_, _>>().map_err(|error| internal(error.to_string()))?;
    let slices = run.slices.iter().map(|&shard| shard as usize).collect();
    let topology = Topology::with_slices(&fragments, run.shards.len(), run.single as usize, slices);
    let topology = topology.map_err(failed)?;
    let tables = Arc::new(shares(&node.shard, &run)?);
    let environment = node.shard.environment();
    let memory = environment.memory.child(u64::MAX);
    let started = Instant::now();
    let left = run.milliseconds_left.map(Duration::from_millis);
    let query = Arc::new(QueryContext {
        query_id: id,
        tenant: run.tenant,
        principal: run.principal,
        epoch: run.epoch,
        deadline: left,
        cancel: Cancel::default(),
        settings: Settings {
            batch_rows: (run.batch_rows as usize).clamp(1, columnar::BATCH_ROWS),
            parallelism: (run.parallelism as usize).max(1),
            disturb: run.disturb,
        },
        clock: Arc::new(move || started.elapsed()),
        span: trace::kept(span.clone()),
        ..QueryContext::new(id, memory.clone())
    });
    let losses = storage::mapping::losses();
    // What was lost before and is not built again yet must not be read.
    if losses > 0 {
        tables.check()?;
    }
    let exchange = NodeExchange::start(id, topology, shard, &run.shards, &node.peers, &memory);
    let late = || Error::Exchange("rows of other shards came long before the query did".into());
    let registered = node.queries.register(id, &exchange).ok_or_else(|| failed(late()))?;
    let environment = FragmentEnvironment {
        query: query.clone(),
        workers: environment.workers.clone(),
        tables: tables.clone(),
        exchange: exchange.clone(),
        shard,
    };
    let running = RunningQuery::start_part(&fragments, &environment).map_err(failed)?;
    let deadline = left.map(|left| started + left);
    let is_root = run.shard == run.single;
    let usage_every = Some(Duration::from_millis(run.usage_every_ms.into())).filter(|every| !every.is_zero());
    Ok(Part {
        running,
        query,
        exchange,
        tables,
        losses,
        deadline,
        is_root,
        usage_every,
        _running: registered,
    })
}

/// The rows that this shard reads.
fn shares(shard: &Shard, run: &Run) -> std::result::Result<Shares, Failure> {
    let mut shares = HashMap::new();
    for share in &run.tables {
        let id: VersionId = share.version.clone().unwrap_or_default().into();
        if id.tenant != run.tenant {
            return Err(internal(format!("a query of the tenant '{}' names a table of another", run.tenant)));
        }
        let not_held =
            |error: Error| Failure { kind: FailureKind::NotHeld.into(), message: error.to_string() };
        let table = shard.share(&id, &share.buckets).map_err(not_held)?;
        shares.insert(id, table);
    }
    Ok(Shares(shares))
}

impl Part {
    /// Runs to the end and tells what came of it; `None`: nobody listens any more.
    async fn run(&mut self, sender: &mut dyn Sender, sending: &Sending) -> Option<Told> {
        let mut encoder = FrameEncoder::new(FRAMES);
        let mut told = vec![Told::Started(Started {})];
        let mut tell_at = Instant::now() + self.usage_every.unwrap_or_default();
        loop {
            for told in told {
                let message = Ran { told: Some(told) }.encode_to_vec();
                if message.len() > network::MESSAGE_BYTES_MAX {
                    let message = format!("a row of {} bytes is more than nodes send", message.len());
                    return Some(Told::Failed(failure_of(&Error::Unsupported(message))));
                }
                sending.send(sender, message).await?;
            }
            // While rows are always ready the timer below is never looked at.
            if let Some(every) = self.usage_every
                && Instant::now() >= tell_at
            {
                let used = Ran { told: Some(Told::Used(self.used())) };
                sending.send(sender, used.encode_to_vec()).await?;
                tell_at = Instant::now() + every;
            }
            let next = match self.usage_every {
                None => self.next().await,
                Some(every) => loop {
                    tokio::select! {
                        biased;
                        next = self.next() => break next,
                        () = tokio::time::sleep_until(tell_at) => {
                            let used = Ran { told: Some(Told::Used(self.used())) };
                            sending.send(sender, used.encode_to_vec()).await?;
                            tell_at = Instant::now() + every;
                        }
                    }
                },
            };
            if let Err(damage) = self.check() {
                return Some(Told::Failed(damage));
            }
            told = match next {
                Ok(Some(batch)) => pieces(batch, columnar::BATCH_ROWS)
                    .iter()
                    .map(|piece| Told::Rows(encoder.encode(piece).into()))
                    .collect(),
                Ok(None) => return Some(self.ended()),
                Err(error) => return Some(Told::Failed(failure_of(&error))),
            };
        }
    }

    /// What it has used so far.
    fn used(&self) -> Used {
        let meter = &self.query.meter;
        Used {
            processor_us: u64::try_from(meter.processor().as_micros()).unwrap_or(u64::MAX),
            scanned_bytes: meter.scanned_bytes(),
            exchanged_bytes: self.exchange.sent_bytes(),
        }
    }

    /// What is told where nothing more is wanted.
    fn ended(&self) -> Told {
        if let Err(damage) = self.check() {
            return Told::Failed(damage);
        }
        let profiles = self.running.profiles().into_iter();
        let profiles = profiles.map(|(fragment, _, profile)| profile_of(fragment, profile));
        Told::Done(Done { profiles: profiles.collect(), exchanged_bytes: self.exchange.sent_bytes() })
    }

    async fn next(&mut self) -> Result<Option<Batch>> {
        let next = poll_fn(|context| match self.running.poll_next(context.waker()) {
            // Others still need what they were sent; the result needs nothing more.
            Poll::Ready(None) if !self.is_root => {
                self.exchange.poll_delivered(context.waker()).map(|delivered| delivered.err().map(Err))
            }
            next => next,
        });
        let next = match self.deadline {
            None => next.await,
            Some(deadline) => match tokio::time::timeout_at(deadline, next).await {
                Ok(next) => next,
                Err(_) => Some(Err(Error::DeadlineExceeded)),
            },
        };
        next.transpose()
    }

    /// That no file lost a page while it was read.
    fn check(&self) -> std::result::Result<(), Failure> {
        if storage::mapping::losses() == self.losses {
            return Ok(());
        }
        self.tables.check()
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.query.cancel.cancel();
    }
}
