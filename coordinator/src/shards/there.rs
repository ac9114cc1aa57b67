//! A query whose fragments run on nodes of the cluster.

use super::nodes::Nodes;
use super::pools::no_shard_of;
use super::seating::Seating;
use crate::error::{Error, Result};
use crate::hedge::{Parts, Shape};
use crate::losses::{Losses, LostShard};
use crate::usage::{Account, SHARDS_TELL_MS};
use columnar::frame::FrameDecoder;
use columnar::{Batch, DataType};
use exec::QueryContext;
use exec::plan::TableRef;
use exec::runtime::{Profile, Topology};
use flight_proto::node::{FailureKind, Ran, Run, Service, Share, Told, Used, VersionName};
use flight_proto::{Message, trace};
use network::{Peers, Stream};
use planner::PlannedQuery;
use shard::VersionId;
use shard::service::words::{error_of, frame_limits, from_profile};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Messages of all shards that wait at most.
const QUEUE: usize = 4;
/// How long a failure that another node's may have caused waits for that one to be told.
const CAUSE: Duration = Duration::from_millis(300);
/// How long a shard whose part nobody wants any more may take to tell what it has used.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// A shard that was heard of so long before a query began may well have lived to see it.
const FRESH: Duration = Duration::from_millis(500);

/// A query that runs elsewhere. Dropping it ends it there.
pub(crate) struct QueryThere {
    told: mpsc::Receiver<(usize, network::Result<Told>)>,
    /// One a shard of the query.
    parts: Vec<Part>,
    /// The place of the shard that gives the result.
    root: usize,
    attempt: u128,
    shape: Shape,
    profiles: Vec<(u32, Profile)>,
    exchanged_bytes: u64,
    /// What failed first, and until when something better may come.
    failure: Option<(Error, Instant)>,
    seating: Arc<Seating>,
    nodes: Arc<Nodes>,
    /// The result is whole.
    enough: watch::Sender<bool>,
    /// Tells when a shard may have fallen silent.
    changes: watch::Receiver<u64>,
    /// Addresses that were not reached.
    lost: Vec<String>,
    began: Instant,
    /// Told of shards that are lost while it runs on them.
    losses: Arc<Losses>,
    tasks: JoinSet<()>,
}

struct Part {
    decoder: FrameDecoder,
    /// It runs, or has not said yet that it does not any longer.
    running: bool,
    /// It has said that it runs.
    started: bool,
    /// The shard's incarnation and when it was heard of last, at the start; `None`: it was not where it was sought.
    heard: Option<(u64, Instant)>,
}

impl QueryThere {
    /// Starts the fragments of a plan that reads `tables` on the shards of `seating`, under an identity of its own.
    pub(crate) fn start(
        plan: &PlannedQuery,
        seating: &Arc<Seating>,
        query: &QueryContext,
        attempt: u128,
        (losses, account): (&Arc<Losses>, &Arc<Account>),
        nodes: &Arc<Nodes>,
    ) -> Result<QueryThere> {
        let count = seating.nodes.len();
        if count == 0 {
            let why = no_shard_of(&seating.pool);
            return Err(Error::Unavailable(format!("{why} that holds all tables; try again")));
        }
        let root = (attempt % count as u128) as usize;
        let topology = Topology::with_slices(&plan.fragments, count, root, seating.slices.clone())?;
        let fragments: Vec<bytes::Bytes> =
            plan.fragments.iter().map(|fragment| exec::codec::encode(fragment).into()).collect();
        let shares = plan.tables.iter().map(|table| seating.share_of_table(&id_of(table), &table.name));
        let shares = shares.collect::<Result<Vec<_>>>()?;
        let left = query.deadline.map(|deadline| deadline.saturating_sub(query.now()));
        let runs = |place: usize| {
            let mut fragments = plan.fragments.iter();
            fragments.any(|fragment| topology.senders(fragment.id).contains(&place))
        };
        let result = plan.fragments.iter().find(|fragment| fragment.output.is_none());
        let types: Arc<[DataType]> =
            result.map(|fragment| fragment.plan.output_types()).unwrap_or_default().into();
        let traceparent = trace::sent(&query.span);
        let (sender, told) = mpsc::channel(QUEUE);
        let enough = watch::Sender::new(false);
        let mut tasks = JoinSet::new();
        let mut parts = Vec::new();
        for (place, (id, address)) in seating.nodes.iter().enumerate() {
            let running = runs(place);
            let decoder = FrameDecoder::new(frame_limits()).expecting(types.clone());
            let heard = nodes.last_heard(*id, address);
            parts.push(Part { decoder, running, started: false, heard });
            if !running {
                continue;
            }
            let tables = plan.tables.iter().zip(&shares).map(|(table, seated)| Share {
                version: Some(VersionName::from(&id_of(table))),
                buckets: seated.shares[place].clone(),
            });
            let run = Run {
                epoch: nodes.term(),
                query: attempt.to_be_bytes().to_vec().into(),
                tenant: query.tenant.clone(),
                principal: query.principal.clone(),
                fragments: fragments.clone(),
                shards: seating.nodes.iter().map(|(_, address)| address.clone()).collect(),
                shard: place as u32,
                single: root as u32,
                slices: seating.slices.iter().map(|&place| place as u32).collect(),
                tables: tables.collect(),
                milliseconds_left: left.map(|left| left.as_millis() as u64),
                batch_rows: query.settings.batch_rows as u64,
                parallelism: query.settings.parallelism as u64,
                disturb: query.settings.disturb,
                usage_every_ms: SHARDS_TELL_MS,
                statement: query.query_id.to_be_bytes().to_vec().into(),
                traceparent: traceparent.clone(),
            };
            let is_enough = enough.subscribe();
            let (peers, sender, seating) = (nodes.peers.clone(), sender.clone(), seating.clone());
            let account = account.clone();
            tasks.spawn(async move {
                let address = &seating.nodes[place].1;
                if let Err(error) = follow(&peers, address, run, place, &sender, is_enough, &account).await {
                    // Who does not listen any more has gone.
                    let _ = sender.send((place, Err(error))).await;
                }
            });
        }
        Ok(QueryThere {
            told,
            parts,
            root,
            attempt,
            shape: Shape::new(&plan.fragments, root),
            profiles: Vec::new(),
            exchanged_bytes: 0,
            failure: None,
            seating: seating.clone(),
            nodes: nodes.clone(),
            enough,
            changes: nodes.changes(),
            lost: Vec::new(),
            began: Instant::now(),
            losses: losses.clone(),
            tasks,
        })
    }

    /// The next rows of the result; `None` once all shards are done.
    pub(crate) async fn next(&mut self) -> Option<Result<Batch>> {
        loop {
            let next = match &self.failure {
                None => tokio::select! {
                    biased;
                    told = self.told.recv() => told,
                    _ = self.changes.changed() => {
                        self.look_for_silent();
                        if self.failure.is_none() && self.parts.iter().all(|part| !part.running) {
                            return None;
                        }
                        continue;
                    }
                },
                Some((_, until)) => tokio::time::timeout_at(*until, self.told.recv()).await.ok().flatten(),
            };
            let Some((place, told)) = next else {
                let failure = self.failure.take().map(|(error, _)| Err(error));
                return failure.or_else(|| {
                    let running = self.parts.iter().any(|part| part.running);
                    running.then(|| Err(Error::Unavailable("shards fell silent".into())))
                });
            };
            // The result is whole: what others have still to do is not needed.
            let whole = !self.parts[self.root].running && self.failure.is_none();
            match told {
                // It was taken in where it came.
                Ok(Told::Used(_)) => {}
                Ok(Told::Started(_)) => self.parts[place].started = true,
                Ok(Told::Rows(frame)) => {
                    if self.failure.is_none() {
                        let batch = self.parts[place].decoder.decode(&frame);
                        let damaged = |error| Error::Internal(format!("rows of a shard: {error}"));
                        return Some(batch.map_err(damaged));
                    }
                }
                Ok(Told::Done(done)) => {
                    self.parts[place].running = false;
                    if place == self.root {
                        // What the others have still to do is not needed; whether what they gave was sound is.
                        self.enough.send_replace(true);
                    }
                    self.exchanged_bytes += done.exchanged_bytes;
                    metrics::counter!("tundra_exchanged_bytes_total").increment(done.exchanged_bytes);
                    self.profiles.extend(done.profiles.into_iter().map(from_profile));
                }
                Ok(Told::Failed(failure)) => {
                    self.parts[place].running = false;
                    let indirect = matches!(
                        failure.kind(),
                        FailureKind::Exchange
                            | FailureKind::NotHeld
                            | FailureKind::Fenced
                            | FailureKind::Cancelled
                    );
                    let damaged = failure.kind() == FailureKind::Damaged;
                    let error = error_of(failure);
                    match (whole && !damaged, indirect || damaged) {
                        (true, _) => {}
                        (false, true) => self.failed(Error::Unavailable(error.to_string())),
                        (false, false) => return Some(Err(error.into())),
                    }
                }
                Err(error) => {
                    self.parts[place].running = false;
                    self.lost.push(self.seating.nodes[place].1.clone());
                    if !whole {
                        // It broke off without its connection, or there never was one: it did not die of the query.
                        if matches!(error, network::Error::Lost { .. }) {
                            self.lose(place);
                        }
                        self.failed(Error::Unavailable(error.to_string()));
                    }
                }
            }
            if self.parts.iter().all(|part| !part.running) {
                return self.failure.take().map(|(error, _)| Err(error));
            }
        }
    }

    /// Notes a shard that was lost, unless it was before the query began.
    fn lose(&self, place: usize) {
        let (Part { started, heard, .. }, (id, address)) = (&self.parts[place], &self.seating.nodes[place]);
        let Some((incarnation, last_heard)) = *heard else { return };
        if *started || last_heard + FRESH >= self.began {
            let at = Instant::now();
            self.losses.add(LostShard { id: *id, address: address.clone(), incarnation, at });
        }
    }

    /// A shard that is not heard of any more will not answer either; its connection may take longer to notice.
    fn look_for_silent(&mut self) {
        let seating = self.seating.clone();
        for (place, (id, address)) in seating.nodes.iter().enumerate() {
            if !self.parts[place].running || self.nodes.is_alive_at(*id, address) {
                continue;
            }
            self.parts[place].running = false;
            // What it had still to do once the result was whole is not missed.
            if place == self.root || self.parts[self.root].running {
                self.lose(place);
                let silent = Error::Unavailable(format!("the shard at {address} is silent"));
                self.failure.get_or_insert_with(|| (silent, Instant::now() + CAUSE));
            }
        }
    }

    fn failed(&mut self, error: Error) {
        self.failure.get_or_insert_with(|| (error, Instant::now() + CAUSE));
    }

    /// Its parts, where they run.
    pub(crate) fn parts(&self) -> Parts {
        let run = self.parts.iter().enumerate().filter(|(_, part)| part.running);
        Parts {
            query: self.attempt,
            seating: self.seating.clone(),
            run: run.map(|(place, _)| place).collect(),
            shape: self.shape.clone(),
        }
    }

    /// Shards that were not reached.
    pub(crate) fn lost(&self) -> &[String] {
        &self.lost
    }

    /// What the fragments did, as far as it was told.
    pub(crate) fn profiles(&self) -> &[(u32, Profile)] {
        &self.profiles
    }

    /// What shards sent to each other, as far as it was told.
    pub(crate) fn exchanged_bytes(&self) -> u64 {
        self.exchanged_bytes
    }
}

impl Drop for QueryThere {
    fn drop(&mut self) {
        // They end soon: nobody takes what they hand on.
        self.tasks.detach_all();
    }
}

pub(crate) fn id_of(table: &TableRef) -> VersionId {
    VersionId { tenant: table.tenant.clone(), dataset: table.dataset, version: table.version }
}

/// Starts a shard's part and hands on what it tells.
async fn follow(
    peers: &Peers,
    address: &str,
    run: Run,
    place: usize,
    sender: &mpsc::Sender<(usize, network::Result<Told>)>,
    mut is_enough: watch::Receiver<bool>,
    account: &Account,
) -> network::Result<()> {
    let mut stream = peers.open(address, network::Service(Service::Run as u16)).await?;
    stream.sender.send(run.encode_to_vec().into()).await?;
    let (mut used, mut finished) = (Used::default(), false);
    loop {
        let message = tokio::select! {
            biased;
            () = sender.closed() => {
                // Nobody follows the query any more; what it has used is of interest still.
                let last = last_words(&mut stream, finished, account, &mut used);
                let _ = tokio::time::timeout(LAST_WORDS, last).await;
                return Ok(());
            }
            message = stream.receiver.receive() => message?,
            // It tells a last word, or has done so already.
            () = enough(&mut is_enough), if !finished => {
                stream.sender.finish()?;
                finished = true;
                continue;
            }
        };
        let told = told_in(address, message)?;
        match &told {
            Told::Used(now) => {
                account.shard_used(&mut used, *now);
                continue;
            }
            Told::Done(done) => account.shard_done(&mut used, done),
            _ => {}
        }
        let last = matches!(told, Told::Done(_) | Told::Failed(_));
        // Where it is not taken, the next round sees that.
        let _ = sender.send((place, Ok(told))).await;
        if last {
            return Ok(());
        }
    }
}

fn told_in(address: &str, message: Option<bytes::Bytes>) -> network::Result<Told> {
    let malformed = |why: &str| network::Error::Malformed { peer: address.to_string(), why: why.to_string() };
    let message = message.ok_or_else(|| malformed("it ended half way"))?;
    let told = Ran::decode(message).map_err(|error| malformed(&error.to_string()))?.told;
    told.ok_or_else(|| malformed("it told nothing that is known here"))
}

/// Ends a shard's part, and takes in what it has used.
async fn last_words(
    stream: &mut Stream,
    finished: bool,
    account: &Account,
    used: &mut Used,
) -> network::Result<()> {
    if !finished {
        stream.sender.finish()?;
    }
    loop {
        match told_in("", stream.receiver.receive().await?)? {
            Told::Used(now) => account.shard_used(used, now),
            Told::Done(done) => {
                account.shard_done(used, &done);
                return Ok(());
            }
            Told::Failed(_) => return Ok(()),
            Told::Started(_) | Told::Rows(_) => {}
        }
    }
}

/// Ready once the result is whole, and once only.
async fn enough(is_enough: &mut watch::Receiver<bool>) {
    loop {
        if is_enough.changed().await.is_err() {
            // Nobody follows the query any more.
            return std::future::pending().await;
        }
        if *is_enough.borrow_and_update() {
            return;
        }
    }
}
