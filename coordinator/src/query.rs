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
use futures::StreamExt;
use planner::PlannedQuery;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
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
        let batch = match query.deadline {
            None => next.await,
            Some(deadline) => {
                let left = deadline.saturating_sub(query.now());
                tokio::time::timeout(left, next)
                    .await
                    .unwrap_or(Some(Err(exec::error::Error::DeadlineExceeded)))
            }
        };
        Ok(batch.transpose()?)
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
        tokio::spawn(self.drive(schema.clone(), sender));
        Rows::new(schema, ReceiverStream::new(receiver).boxed())
    }

    async fn drive(mut self, schema: SchemaRef, sender: mpsc::Sender<Result<RecordBatch>>) {
        loop {
            let next = tokio::select! {
                biased;
                () = sender.closed() => return,
                next = self.next() => next,
            };
            let item = match next {
                Ok(None) => return,
                Ok(Some(batch)) if batch.selected_rows() == 0 => continue,
                Ok(Some(batch)) => columnar::arrow::record_batch(batch, schema.clone())
                    .map_err(|error| Error::Execution(error.into())),
                Err(error) => Err(error),
            };
            let failed = item.is_err();
            let place = match tokio::time::timeout(PATIENCE, sender.reserve()).await {
                Ok(place) => place,
                Err(_) => {
                    self.slot = None;
                    sender.reserve().await
                }
            };
            match place {
                Ok(place) => place.send(item),
                Err(_) => return,
            }
            if failed {
                return;
            }
        }
    }
}

impl Drop for RunningQuery {
    fn drop(&mut self) {
        self.query.cancel.cancel();
    }
}
