//! Running a planned query: its fragments on the shards, its rows to whoever asked.
//!
//! A driver task holds the running fragments. It pulls the root's batches, turns them into Arrow and hands
//! them on through a short queue. When the receiver is dropped, or the deadline passes, the driver ends and
//! takes every fragment with it. A client that does not read fills the queue and gives its slot of the
//! workload group back, so that it holds up nobody but itself.

use crate::admission::Slot;
use crate::error::{Error, Result};
use crate::result::Rows;
use crate::view::View;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use columnar::Batch;
use columnar::arrow::Strings;
use exec::context::QueryContext;
use exec::plan::{Fragment, TableRef};
use exec::runtime::{self, Profile, Tables, Workers};
use futures::{StreamExt, stream};
use planner::PlannedQuery;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;

/// Batches between the driver and the client.
const QUEUE_BATCHES: usize = 8;
/// How long a client may leave the queue full before its slot goes to another.
const PATIENCE: Duration = Duration::from_millis(200);

/// The Arrow schema of a query's result.
pub(crate) fn result_schema(query: &PlannedQuery) -> SchemaRef {
    let columns =
        query.columns.iter().map(|column| (column.name.as_str(), column.data_type, column.nullable));
    Arc::new(columnar::arrow::schema(columns, Strings::Offsets))
}

/// A query whose fragments run on the shards. Dropping it ends them.
pub(crate) struct RunningQuery {
    running: runtime::RunningQuery,
    query: Arc<QueryContext>,
    /// Held for what it pins.
    _registered: Registered,
    slot: Option<Slot>,
}

/// What is undone when a query ends.
pub(crate) type Registered = Box<dyn Send + Sync>;

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
    /// Starts the fragments on `shards` shards, against the versions that `view` pins.
    pub(crate) fn start(
        fragments: &[Fragment],
        shards: usize,
        view: &Arc<View>,
        workers: &Arc<Workers>,
        query: Arc<QueryContext>,
        slot: Slot,
        registered: Registered,
    ) -> Result<RunningQuery> {
        let tables: Vec<Arc<dyn Tables>> = (0..shards)
            .map(|shard| Arc::new(PinnedTables { view: view.clone(), shard }) as Arc<dyn Tables>)
            .collect();
        let running = runtime::RunningQuery::start(fragments, &tables, &query, workers)?;
        Ok(RunningQuery { running, query, _registered: registered, slot: Some(slot) })
    }

    /// The next batch of the result.
    pub(crate) async fn next(&mut self) -> Result<Option<Batch>> {
        let query = self.query.clone();
        let next = poll_fn(|context| self.running.poll_next(context.waker()));
        Ok(in_time(&query, next).await?.transpose()?)
    }

    /// The counters of each fragment, summed over its shards.
    pub(crate) fn profiles(&self) -> Vec<(u32, Profile)> {
        let mut sums: Vec<(u32, Profile)> = Vec::new();
        for (fragment, _, profile) in self.running.profiles() {
            match sums.iter_mut().find(|(known, _)| *known == fragment) {
                Some((_, sum)) => {
                    for (sum, node) in sum.nodes.iter_mut().zip(profile.nodes) {
                        sum.rows += node.rows;
                        sum.batches += node.batches;
                        sum.time += node.time;
                        sum.memory_peak_bytes += node.memory_peak_bytes;
                    }
                }
                None => sums.push((fragment, profile)),
            }
        }
        sums
    }

    /// Its rows as a stream; a task of its own drives it.
    pub(crate) fn into_rows(self, schema: SchemaRef) -> Rows {
        let (sender, receiver) = mpsc::channel(QUEUE_BATCHES);
        let (failed, failure) = oneshot::channel();
        let driver = self.drive(schema.clone(), sender);
        tokio::spawn(async move {
            if let Err(error) = driver.await {
                // Who does not listen any more has gone.
                let _ = failed.send(error);
            }
        });
        let failure = stream::once(failure).filter_map(async |failure| failure.ok().map(Err));
        Rows::new(schema, ReceiverStream::new(receiver).map(Ok).chain(failure).boxed())
    }

    async fn drive(mut self, schema: SchemaRef, sender: mpsc::Sender<RecordBatch>) -> Result<()> {
        loop {
            let next = tokio::select! {
                biased;
                () = sender.closed() => return Ok(()),
                next = self.next() => next?,
            };
            let Some(batch) = next else { return Ok(()) };
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
        self.slot = None;
        Ok(in_time(&self.query, sender.reserve()).await?.ok())
    }
}

/// What `work` gives, unless the query's deadline passes before.
async fn in_time<T>(query: &QueryContext, work: impl Future<Output = T>) -> Result<T> {
    let Some(deadline) = query.deadline else { return Ok(work.await) };
    let left = deadline.saturating_sub(query.now());
    let done = tokio::time::timeout(left, work).await;
    Ok(done.map_err(|_| exec::error::Error::DeadlineExceeded)?)
}

impl Drop for RunningQuery {
    fn drop(&mut self) {
        self.query.cancel.cancel();
    }
}
