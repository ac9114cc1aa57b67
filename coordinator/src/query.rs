//! Running a planned query: its fragments on the shards, its rows to whoever asked.
//!
//! A driver task holds the running fragments. It pulls the root's batches, turns them into Arrow and hands
//! them on through a short queue. When the receiver is dropped, or the deadline passes, the driver ends and
//! takes every fragment with it. A client that does not read fills the queue and gives its slot of the
//! workload group back, so that it holds up nobody but itself.

use crate::admission::Slot;
use crate::coordinator::Coordinator;
use crate::error::{Error, Result};
use crate::foreign::Moved;
use crate::hedge::Parts;
use crate::losses::Losses;
use crate::result::Rows;
use crate::shards::Shards;
use crate::shards::there::QueryThere;
use crate::trace;
use crate::usage::Account;
use crate::view::View;
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType as ArrowType, Schema, SchemaRef};
use columnar::Batch;
use columnar::arrow::Strings;
use exec::context::{Cancel, QueryContext};
use exec::plan::TableRef;
use exec::runtime::{self, Profile, Tables, Topology};
use flight_proto::catalog::ForeignServer;
use futures::{StreamExt, stream};
use planner::{PlannedQuery, RemoteQuery};
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tracing::Instrument;

/// Batches between the driver and the client.
const QUEUE_BATCHES: usize = 8;
/// How long a client may leave the queue full before its slot goes to another.
const PATIENCE: Duration = Duration::from_millis(200);

/// The Arrow schema of a query's result.
pub(crate) fn result_schema(query: &PlannedQuery) -> SchemaRef {
    let columns =
        query.columns.iter().map(|column| (column.name.as_str(), column.data_type, column.nullable));
    let schema = columnar::arrow::schema(columns, Strings::Offsets);
    if query.zone == "UTC" {
        return Arc::new(schema);
    }
    // Clients show instants by the clocks that the type names.
    let fields = schema.fields().iter().map(|field| match field.data_type() {
        ArrowType::Timestamp(unit, Some(_)) => {
            let data_type = ArrowType::Timestamp(*unit, Some(query.zone.as_str().into()));
            Arc::new(field.as_ref().clone().with_data_type(data_type))
        }
        _ => field.clone(),
    });
    Arc::new(Schema::new_with_metadata(fields.collect::<Vec<_>>(), schema.metadata().clone()))
}

/// A query whose fragments run on the shards. Dropping it ends them.
pub(crate) struct RunningQuery {
    running: Running,
    /// The first rows, where they were waited for.
    ahead: Option<Batch>,
    /// All rows were given.
    ended: bool,
    /// What is done with how long it took, once it has given all rows.
    done: Option<Done>,
    /// What is done where it fails after its first rows.
    failed: Option<Failed>,
    /// When it was started, by its clock.
    began: Duration,
    query: Arc<QueryContext>,
    sources: Arc<Sources>,
    /// What other engines have sent.
    moved: Vec<Arc<Moved>>,
    /// Held for what it pins.
    _registered: Registered,
    slot: Option<Slot>,
}

/// See [`RunningQuery::when_done`].
type Done = Box<dyn FnOnce(Duration) + Send>;
/// See [`RunningQuery::when_failed`].
type Failed = Box<dyn FnOnce(&Error) + Send>;

/// Where its fragments run.
enum Running {
    Here(runtime::RunningQuery),
    Nodes(QueryThere),
}

/// What is undone when a query ends.
pub(crate) type Registered = Box<dyn Send + Sync>;

/// The tables that a query reads, and whether their files stayed whole.
struct Sources {
    coordinator: Arc<Coordinator>,
    view: Arc<View>,
    tables: Vec<TableRef>,
    /// Pages of mapped files that were lost before the query began.
    losses: u64,
}

/// The tables that one shard holds for one query.
struct PinnedTables {
    view: Arc<View>,
    shard: usize,
}

impl Tables for PinnedTables {
    fn table(&self, table: &TableRef) -> exec::error::Result<Arc<storage::Table>> {
        let shards =
            self.view.pinned(table).map_err(|error| exec::error::Error::Storage(error.to_string()))?;
        shards.get(self.shard).cloned().ok_or_else(|| {
            exec::error::Error::Internal(format!("table {} is not on shard {}", table.name, self.shard))
        })
    }
}

impl RunningQuery {
    /// Starts the fragments on all shards, against the versions that `view` pins.
    pub(crate) fn start(
        plan: &PlannedQuery,
        view: &Arc<View>,
        coordinator: &Arc<Coordinator>,
        query: Arc<QueryContext>,
        slot: Slot,
        registered: Registered,
        (losses, account): (&Arc<Losses>, &Arc<Account>),
    ) -> Result<RunningQuery> {
        let began = query.now();
        let sources = Arc::new(Sources {
            coordinator: coordinator.clone(),
            view: view.clone(),
            tables: plan.tables.clone(),
            losses: storage::mapping::losses(),
        });
        // What was lost before, too, and is not built again yet, must not be read.
        if sources.losses > 0 {
            sources.check()?;
        }
        let mut moved = Vec::new();
        let running = match (coordinator.tenants.shards(), &view.seating) {
            _ if !plan.foreign.is_empty() => {
                let servers = servers_of(plan, view, coordinator)?;
                let fed: Vec<u32> = plan.foreign.iter().map(|remote| remote.fragment).collect();
                let topology = Topology::fed(&plan.fragments, &fed)?;
                let (fragments, workers) = (&plan.fragments, &coordinator.workers);
                let (running, exchange) =
                    runtime::RunningQuery::start_fed(topology, fragments, &query, workers)?;
                moved = coordinator.foreign.feed(servers, &query, &exchange);
                account.add_foreign(&moved);
                Running::Here(running)
            }
            (Shards::Nodes(nodes), Some(seating)) if !plan.tables.is_empty() || plan.fragments.len() > 1 => {
                let attempt = coordinator.random()?;
                Running::Nodes(QueryThere::start(plan, seating, &query, attempt, (losses, account), nodes)?)
            }
            (shards, _) => {
                // A query without tables needs no node.
                let slices = shards.here().map_or(vec![0], |here| here.slices().to_vec());
                let count = shards.here().map_or(1, |_| coordinator.config.shards);
                let tables: Vec<Arc<dyn Tables>> = (0..count)
                    .map(|shard| Arc::new(PinnedTables { view: view.clone(), shard }) as Arc<dyn Tables>)
                    .collect();
                let topology = Topology::with_slices(&plan.fragments, count, 0, slices)?;
                let (fragments, workers) = (&plan.fragments, &coordinator.workers);
                let running =
                    runtime::RunningQuery::start_over(topology, fragments, &tables, &query, workers);
                Running::Here(sources.vouch(running.map_err(Error::from))?)
            }
        };
        Ok(RunningQuery {
            running,
            ahead: None,
            ended: false,
            done: None,
            failed: None,
            began,
            query,
            sources,
            moved,
            _registered: registered,
            slot: Some(slot),
        })
    }

    /// What other engines have sent so far.
    pub(crate) fn moved(&self) -> &[Arc<Moved>] {
        &self.moved
    }

    /// The next batch of the result.
    pub(crate) async fn next(&mut self) -> Result<Option<Batch>> {
        if let Some(batch) = self.ahead.take() {
            return Ok(Some(batch));
        }
        if self.ended {
            return Ok(None);
        }
        let query = self.query.clone();
        let batch = match &mut self.running {
            Running::Here(running) => {
                let next = poll_fn(|context| running.poll_next(context.waker()));
                match in_time(&query, next).await {
                    Ok(batch) => batch.transpose().map_err(Error::from),
                    Err(late) => Err(late),
                }
            }
            Running::Nodes(there) => {
                let cancelled = cancelled(&query.cancel);
                let next = async {
                    tokio::select! {
                        biased;
                        () = cancelled => Err(exec::error::Error::Cancelled.into()),
                        next = there.next() => next.transpose(),
                    }
                };
                in_time(&query, next).await.and_then(|next| next)
            }
        };
        let batch = self.sources.vouch(batch);
        let batch = batch.inspect_err(|error| trace::attempt_failed(&self.query.span, error));
        self.ended = matches!(batch, Ok(None));
        batch
    }

    /// Waits for the first rows.
    pub(crate) async fn wait_for_rows(&mut self) -> Result<()> {
        self.ahead = self.next().await?;
        Ok(())
    }

    /// Has `done` called with how long the query ran, once it has given all its rows to a client that took them as they came.
    pub(crate) fn when_done(&mut self, done: impl FnOnce(Duration) + Send + 'static) {
        self.done = Some(Box::new(done));
    }

    /// Has `failed` called with why, where it fails while its rows are on their way.
    pub(crate) fn when_failed(&mut self, failed: impl FnOnce(&Error) + Send + 'static) {
        self.failed = Some(Box::new(failed));
    }

    /// Waits for the first rows of a query that runs on nodes, so that it can be run again where one is lost.
    pub(crate) async fn begin(&mut self) -> Result<()> {
        if !matches!(self.running, Running::Nodes(_)) {
            return Ok(());
        }
        let first = self.next().await;
        if let Running::Nodes(there) = &self.running
            && let Some(nodes) = self.sources.coordinator.tenants.shards().nodes()
        {
            there.lost().iter().for_each(|address| nodes.suspect(address));
        }
        self.ahead = first?;
        Ok(())
    }

    /// Its parts, where they run on nodes.
    pub(crate) fn parts(&self) -> Option<Parts> {
        match &self.running {
            Running::Here(_) => None,
            Running::Nodes(there) => Some(there.parts()),
        }
    }

    /// Whether what was read up to here stands: for those who read a batch's values later than they got it.
    pub(crate) fn check(&self) -> Result<()> {
        self.sources.vouch(Ok(()))
    }

    /// The counters of each fragment, summed over its shards.
    pub(crate) fn profiles(&self) -> Vec<(u32, Profile)> {
        let mut sums: Vec<(u32, Profile)> = Vec::new();
        let profiles = match &self.running {
            Running::Here(running) => {
                running.profiles().into_iter().map(|(fragment, _, profile)| (fragment, profile)).collect()
            }
            Running::Nodes(there) => there.profiles().to_vec(),
        };
        for (fragment, profile) in profiles {
            match sums.iter_mut().find(|(known, _)| *known == fragment) {
                Some((_, sum)) => sum.add(&profile),
                None => sums.push((fragment, profile)),
            }
        }
        sums
    }

    /// What shards sent to each other; `None`: they are in this process.
    pub(crate) fn exchanged_bytes(&self) -> Option<u64> {
        match &self.running {
            Running::Here(_) => None,
            Running::Nodes(there) => Some(there.exchanged_bytes()),
        }
    }

    /// Its rows as a stream; a task of its own drives it.
    pub(crate) fn into_rows(mut self, schema: SchemaRef) -> Rows {
        let (sender, receiver) = mpsc::channel(QUEUE_BATCHES);
        let sources = self.sources.clone();
        let (failed, failure) = oneshot::channel();
        let when_failed = self.failed.take();
        let driver = self.drive(schema.clone(), sender);
        let driven = async move {
            if let Err(error) = driver.await {
                if let Some(when_failed) = when_failed {
                    when_failed(&error);
                }
                // Who does not listen any more has gone.
                let _ = failed.send(error);
            }
        };
        // Its log lines are the statement's.
        tokio::spawn(driven.in_current_span());
        // Values of a batch may lie in mapped files. Once its reader asks for more it has read them.
        let last = stream::once(async move {
            match failure.await {
                Ok(error) => Some(Err(error)),
                Err(_) => sources.vouch(Ok(())).err().map(Err),
            }
        });
        let last = last.filter_map(std::future::ready);
        Rows::new(schema, ReceiverStream::new(receiver).map(Ok).chain(last).boxed())
    }

    async fn drive(mut self, schema: SchemaRef, sender: mpsc::Sender<RecordBatch>) -> Result<()> {
        loop {
            let next = tokio::select! {
                biased;
                () = sender.closed() => return Ok(()),
                next = self.next() => next?,
            };
            let Some(batch) = next else {
                if let Some(done) = self.done.take() {
                    done(self.query.now().saturating_sub(self.began));
                }
                return Ok(());
            };
            if batch.selected_rows() == 0 {
                continue;
            }
            let batch = columnar::arrow::record_batch(batch, schema.clone());
            let batch = batch.map_err(|error| Error::Execution(error.into()))?;
            match self.room(&sender).await? {
                Some(room) => room.send(batch),
                None => return Ok(()),
            }
        }
    }

    /// Room in the queue; `None`: nobody reads it any more.
    async fn room<'a>(
        &mut self,
        sender: &'a mpsc::Sender<RecordBatch>,
    ) -> Result<Option<mpsc::Permit<'a, RecordBatch>>> {
        let patient = tokio::time::timeout(PATIENCE, sender.reserve());
        if let Ok(room) = in_time(&self.query, patient).await? {
            return Ok(room.ok());
        }
        // What the client takes is not the engine's time.
        (self.slot, self.done) = (None, None);
        let cancel = self.query.cancel.clone();
        tokio::select! {
            biased;
            room = in_time(&self.query, sender.reserve()) => Ok(room?.ok()),
            () = cancelled(&cancel) => Err(exec::error::Error::Cancelled.into()),
        }
    }
}

/// The servers that a plan asks, as they are now.
fn servers_of(
    plan: &PlannedQuery,
    view: &View,
    coordinator: &Coordinator,
) -> Result<Vec<(ForeignServer, RemoteQuery)>> {
    let snapshot = coordinator.tenants.catalog().snapshot();
    let server = |remote: &RemoteQuery| {
        let server = snapshot.server(&view.tenant, &remote.server);
        match server.filter(|server| server.created_revision == remote.server_revision) {
            Some(server) => Ok((server.clone(), remote.clone())),
            None => {
                let name = &remote.server;
                Err(Error::Conflict(format!(
                    "server {name} was dropped since the query was planned; try again"
                )))
            }
        }
    };
    plan.foreign.iter().map(server).collect()
}

/// Ready once the query is cancelled.
pub(crate) async fn cancelled(cancel: &Cancel) {
    poll_fn(|context| {
        if cancel.is_cancelled() {
            return std::task::Poll::Ready(());
        }
        cancel.on_cancel(context.waker());
        std::task::Poll::Pending
    })
    .await;
}

/// What `work` gives, unless the query's deadline passes before.
async fn in_time<T>(query: &QueryContext, work: impl Future<Output = T>) -> Result<T> {
    let Some(deadline) = query.deadline else { return Ok(work.await) };
    let left = deadline.saturating_sub(query.now());
    let done = tokio::time::timeout(left, work).await;
    Ok(done.map_err(|_| exec::error::Error::DeadlineExceeded)?)
}

impl Sources {
    /// What was read stands where no file lost a page meanwhile. Where one did, the query fails, and the table is
    /// built again for those that follow.
    fn vouch<T>(&self, read: Result<T>) -> Result<T> {
        if read.is_ok() && storage::mapping::losses() == self.losses {
            return read;
        }
        self.check().and(read)
    }

    /// That the files of all tables are whole.
    fn check(&self) -> Result<()> {
        for table in self.tables.iter().filter(|_| !self.view.is_seated()) {
            let damage = self.view.pinned(table)?.iter().find_map(|shard| shard.check().err());
            if let Some(damage) = damage {
                if let Some(datasets) = self.coordinator.tenants.known(&self.view.tenant) {
                    datasets.mend(&self.view, table);
                }
                return Err(Error::Environment(format!(
                    "table '{}': {damage}; it is built again from Parquet, try again",
                    table.name
                )));
            }
        }
        Ok(())
    }
}

impl Drop for RunningQuery {
    fn drop(&mut self) {
        self.query.cancel.cancel();
        if let Some(bytes) = self.exchanged_bytes() {
            self.query.span.record("exchanged_bytes", bytes);
        }
    }
}
