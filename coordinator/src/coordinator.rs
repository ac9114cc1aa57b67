//! What all sessions of a coordinator share.

use crate::admission::Admission;
use crate::catalog::Random;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::foreign::Foreign;
use crate::hedge::Hedging;
use crate::pool::Pools;
use crate::progress::{Progress, Stage};
use crate::quarantine::Quarantine;
use crate::refreshes::Refreshes;
use crate::tenants::Tenants;
use crate::trail::Trail;
use crate::usage::Usage;
use exec::context::Cancel;
use exec::memory::MemoryPool;
use exec::runtime::Workers;
use parking_lot::Mutex;
use planner::Statement;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The shared part of a coordinator.
pub(crate) struct Coordinator {
    pub(crate) config: Config,
    pub(crate) tenants: Arc<Tenants>,
    pub(crate) refreshes: Arc<Refreshes>,
    pub(crate) workers: Arc<Workers>,
    pub(crate) memory: Arc<MemoryPool>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) pools: Pools,
    pub(crate) started: Instant,
    pub(crate) quarantine: Quarantine,
    pub(crate) hedging: Hedging,
    pub(crate) foreign: Arc<Foreign>,
    pub(crate) trail: Arc<Trail>,
    pub(crate) usage: Arc<Usage>,
    random: Random,
    /// By number, and by a count of those of this process: a ticket may be redeemed while its query runs.
    queries: Mutex<BTreeMap<(u128, u64), Running>>,
    /// How many were listed.
    listed: AtomicU64,
    stopping: AtomicBool,
}

/// A query that runs, or waits for its turn.
struct Running {
    cancel: Cancel,
    asked: AskedBy,
    /// As it was planned last.
    planned: Option<Arc<Statement>>,
    progress: Arc<Progress>,
    started: Instant,
}

/// A statement, and who wants it done.
#[derive(Clone)]
pub(crate) struct AskedBy {
    pub(crate) tenant: Arc<str>,
    pub(crate) principal: Arc<str>,
    pub(crate) sql: Arc<str>,
}

/// A query as operators see it.
pub(crate) struct QuerySummary {
    pub(crate) id: u128,
    pub(crate) tenant: Arc<str>,
    pub(crate) principal: Arc<str>,
    pub(crate) sql: Arc<str>,
    pub(crate) elapsed: Duration,
    pub(crate) stage: Stage,
}

/// A query in the list of those that run; dropping it takes it off.
pub(crate) struct ListedQuery {
    coordinator: Arc<Coordinator>,
    key: (u128, u64),
    progress: Arc<Progress>,
    started: Instant,
}

impl Coordinator {
    pub(crate) fn new(
        config: Config,
        tenants: Arc<Tenants>,
        refreshes: Arc<Refreshes>,
        workers: Arc<Workers>,
        memory: Arc<MemoryPool>,
        foreign: Arc<Foreign>,
        random: Random,
    ) -> Result<Coordinator> {
        let admission = Admission::new(config.concurrency);
        let started = Instant::now();
        let (queries, stopping) = (Mutex::default(), AtomicBool::new(false));
        let quarantine = Quarantine::new(config.quarantine);
        let id = config.cluster.as_ref().map_or(1, |cluster| cluster.id);
        let trail = Arc::new(Trail::new(id, random()? as u64, config.audit_export.is_some()));
        Ok(Coordinator {
            config,
            tenants,
            refreshes,
            workers,
            memory,
            admission,
            pools: Pools::default(),
            started,
            quarantine,
            hedging: Hedging::new(),
            foreign,
            trail,
            usage: Usage::new(random()?),
            random,
            queries,
            listed: AtomicU64::new(0),
            stopping,
        })
    }

    /// An identity that nobody guesses.
    pub(crate) fn random(&self) -> Result<u128> {
        (self.random)()
    }

    /// The clock of queries.
    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Lists a query, so that it can be cancelled by its identity.
    pub(crate) fn list(
        self: &Arc<Coordinator>,
        query_id: u128,
        asked: AskedBy,
        cancel: Cancel,
    ) -> Result<ListedQuery> {
        let mut queries = self.queries.lock();
        if self.stopping.load(Ordering::Acquire) {
            return Err(Error::ShuttingDown);
        }
        let key = (query_id, self.listed.fetch_add(1, Ordering::Relaxed));
        let (progress, started) = (Arc::<Progress>::default(), Instant::now());
        queries.insert(key, Running { cancel, asked, planned: None, progress: progress.clone(), started });
        Ok(ListedQuery { coordinator: self.clone(), key, progress, started })
    }

    /// Keeps what a listed query does, for who asks for its plan.
    pub(crate) fn does(&self, query_id: u128, planned: &Arc<Statement>) {
        for (_, running) in self.queries.lock().range_mut(runs_of(query_id)) {
            running.planned = Some(planned.clone());
        }
    }

    /// What a query does, where it is listed and planned.
    pub(crate) fn planned(&self, query_id: u128) -> Option<Arc<Statement>> {
        self.queries.lock().range(runs_of(query_id)).find_map(|(_, running)| running.planned.clone())
    }

    /// Ends a query; `false` if none of that identity runs.
    pub(crate) fn cancel(&self, query_id: u128) -> bool {
        let queries = self.queries.lock();
        let cancels: Vec<Cancel> =
            queries.range(runs_of(query_id)).map(|(_, running)| running.cancel.clone()).collect();
        drop(queries);
        cancels.iter().for_each(Cancel::cancel);
        !cancels.is_empty()
    }

    /// Ends the queries of a tenant.
    pub(crate) fn cancel_all(&self, tenant: &str) {
        let queries = self.queries.lock();
        let of_tenant = queries.values().filter(|running| &*running.asked.tenant == tenant);
        let cancels: Vec<Cancel> = of_tenant.map(|running| running.cancel.clone()).collect();
        drop(queries);
        cancels.iter().for_each(Cancel::cancel);
    }

    /// Whose query it is, where it is listed: the tenant and the user.
    pub(crate) fn asked_by(&self, query_id: u128) -> Option<(Arc<str>, Arc<str>)> {
        let queries = self.queries.lock();
        let (_, running) = queries.range(runs_of(query_id)).next()?;
        Some((running.asked.tenant.clone(), running.asked.principal.clone()))
    }

    /// The queries that run or wait, the oldest first.
    pub(crate) fn listed(&self) -> Vec<QuerySummary> {
        let queries = self.queries.lock();
        let summary = |(&(id, _), running): (&(u128, u64), &Running)| QuerySummary {
            id,
            tenant: running.asked.tenant.clone(),
            principal: running.asked.principal.clone(),
            sql: running.asked.sql.clone(),
            elapsed: running.started.elapsed(),
            stage: running.progress.stage(),
        };
        let mut listed: Vec<QuerySummary> = queries.iter().map(summary).collect();
        listed.sort_by_key(|query| std::cmp::Reverse(query.elapsed));
        listed
    }

    pub(crate) fn running_queries(&self) -> usize {
        self.queries.lock().len()
    }

    /// Takes no further statement and ends those that run.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.admission.close();
        for running in self.queries.lock().values() {
            running.cancel.cancel();
        }
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }
}

/// Where the runs of a query are in the list.
fn runs_of(query_id: u128) -> RangeInclusive<(u128, u64)> {
    (query_id, 0)..=(query_id, u64::MAX)
}

impl ListedQuery {
    /// How far it is.
    pub(crate) fn progress(&self) -> &Progress {
        &self.progress
    }
}

impl Drop for ListedQuery {
    fn drop(&mut self) {
        self.coordinator.queries.lock().remove(&self.key);
        metrics::histogram!("tundra_query_seconds").record(self.started.elapsed().as_secs_f64());
    }
}
