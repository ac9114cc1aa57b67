//! Rows that foreign servers send into a query: each of its remote queries has a thread, which asks, and hands on what
//! comes as fast as it is taken.

use super::Foreign;
use super::connection::{Asked, BATCH_BYTES, Remote};
use super::describe::{self, Which};
use super::import::import;
use super::options::Wrapper;
use super::pool::{Key, Permits};
use super::watch::Watch;
use crate::error::{Error, Result};
use crate::trace;
use exec::QueryContext;
use exec::memory::Reservation;
use exec::operator::Progress;
use exec::runtime::{Edge, Exchange, LocalExchange};
use flight_proto::catalog::ForeignServer;
use flight_proto::work;
use planner::RemoteQuery;
use planner::catalog::Engine;
use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};
use tracing::field::Empty;
use tracing::{Instrument, Span};

/// How long a thread that waits for room sleeps before it looks by itself.
const LOOK: Duration = Duration::from_millis(100);
/// Pieces of rows that may be on their way when the next come.
const ON_THEIR_WAY: usize = 6;

/// What a remote query has moved so far.
pub(crate) struct Moved {
    pub(crate) server: String,
    rows: AtomicU64,
    bytes: AtomicU64,
    begun: Instant,
    /// How long it took, in microseconds; 0: it goes on.
    took_us: AtomicU64,
    /// It failed by what was asked or by a limit of ours, and not since the server is not well.
    blameless: AtomicBool,
}

impl Moved {
    /// Whether it failed through no fault of the server.
    pub(crate) fn is_blameless(&self) -> bool {
        self.blameless.load(Ordering::Acquire)
    }

    /// Before the query learns of the error.
    fn fails(&self, error: &Error) {
        let servers = matches!(
            error,
            Error::Environment(_) | Error::Unavailable(_) | Error::Execution(_) | Error::Internal(_)
        );
        self.blameless.store(!servers, Ordering::Release);
    }

    pub(crate) fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// For how long it has been asked, or was.
    pub(crate) fn asked_for(&self) -> Duration {
        match self.took_us.load(Ordering::Relaxed) {
            0 => self.begun.elapsed(),
            took_us => Duration::from_micros(took_us),
        }
    }

    fn ends(&self) {
        let took_us = u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX).max(1);
        self.took_us.store(took_us, Ordering::Relaxed);
    }
}

/// A remote query on its way.
struct Feed {
    foreign: Arc<Foreign>,
    key: Key,
    server: ForeignServer,
    remote: RemoteQuery,
    query: Arc<QueryContext>,
    exchange: Arc<LocalExchange>,
    moved: Arc<Moved>,
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Unpark>) {
        self.0.unpark();
    }
}

impl Foreign {
    /// Has the servers send what a query asks them for; it ends with the query.
    pub(crate) fn feed(
        self: &Arc<Foreign>,
        asked: Vec<(ForeignServer, RemoteQuery)>,
        query: &Arc<QueryContext>,
        exchange: &Arc<LocalExchange>,
    ) -> Vec<Arc<Moved>> {
        let moved = |(server, _): &(ForeignServer, RemoteQuery)| {
            Arc::new(Moved {
                server: server.name.clone(),
                rows: AtomicU64::new(0),
                bytes: AtomicU64::new(0),
                begun: Instant::now(),
                took_us: AtomicU64::new(0),
                blameless: AtomicBool::new(false),
            })
        };
        let moved: Vec<Arc<Moved>> = asked.iter().map(moved).collect();
        let feeds = asked.into_iter().zip(&moved).map(|((server, remote), moved)| Feed {
            foreign: self.clone(),
            key: Key { tenant: query.tenant.clone(), revision: server.created_revision },
            server,
            remote,
            query: query.clone(),
            exchange: exchange.clone(),
            moved: moved.clone(),
        });
        let feeds: Vec<Feed> = feeds.collect();
        let (foreign, query, exchange) = (self.clone(), query.clone(), exchange.clone());
        let all = moved.clone();
        let feeding = async move {
            let started = tokio::select! {
                biased;
                () = crate::query::cancelled(&query.cancel) => return,
                started = foreign.start(feeds) => started,
            };
            if let Err(error) = started {
                all.iter().for_each(|moved| moved.fails(&error));
                exchange.fail((&error).into());
            }
        };
        tokio::spawn(feeding.in_current_span());
        moved
    }

    async fn start(&self, feeds: Vec<Feed>) -> Result<()> {
        let mut wanted: HashMap<Key, usize> = HashMap::new();
        feeds.iter().for_each(|feed| *wanted.entry(feed.key.clone()).or_default() += 1);
        let mut wanted: Vec<(Key, usize)> = wanted.into_iter().collect();
        let mut permits = self.pool.permits(&mut wanted).await?;
        for feed in feeds {
            let permit = permits.get_mut(&feed.key).and_then(Vec::pop);
            let permit = permit.ok_or_else(|| Error::Internal("a connection without a permit".into()))?;
            let watch = Watch::start(&feed.query.cancel);
            spawn(permit, move || feed.run(&watch))?;
        }
        Ok(())
    }
}

/// Runs what may block, for as long as a permit is held.
pub(super) fn spawn(permit: Permits, work: impl FnOnce() + Send + 'static) -> Result<()> {
    // Its log lines are the statement's that it works for.
    let span = Span::current();
    let held = move || {
        let _permit = permit;
        span.in_scope(work);
    };
    let spawned = std::thread::Builder::new().name("foreign".into()).spawn(held);
    spawned.map(drop).map_err(|error| Error::Environment(format!("no thread for a foreign server: {error}")))
}

impl Feed {
    fn run(self, watch: &Watch) {
        let begun = Instant::now();
        let (server, engine) = (&self.server.name, &self.server.wrapper);
        let span = work!(
            &self.query.span,
            "remote query",
            server,
            engine,
            rows = Empty,
            bytes = Empty,
            error = Empty,
            error.type = Empty,
        );
        let fed = catch_unwind(AssertUnwindSafe(|| self.send_all(watch)));
        watch.over();
        self.moved.ends();
        // Not by server: their names are the tenants' to choose.
        let labels = [("tenant", self.key.tenant.clone()), ("kind", self.server.wrapper.clone())];
        metrics::counter!("tundra_foreign_rows_total", &labels).increment(self.moved.rows());
        metrics::counter!("tundra_foreign_bytes_total", &labels).increment(self.moved.bytes());
        metrics::histogram!("tundra_foreign_seconds", &labels).record(begun.elapsed().as_secs_f64());
        span.record("rows", self.moved.rows());
        span.record("bytes", self.moved.bytes());
        let edge = self.edge();
        match fed {
            Ok(Ok(())) => self.exchange.finish(edge),
            Ok(Err(error)) => {
                self.moved.fails(&error);
                trace::attempt_failed(&span, &error);
                let error = match self.query.check() {
                    // What it fails with then is that it was ended.
                    Err(ended) => ended,
                    Ok(()) => (&error).into(),
                };
                metrics::counter!("tundra_foreign_failures_total", &labels).increment(1);
                self.exchange.fail(error);
            }
            Err(_) => {
                let what = format!("a thread for the server {} panicked", self.server.name);
                self.exchange.fail(exec::error::Error::Internal(what));
            }
        }
    }

    fn edge(&self) -> Edge {
        Edge { fragment: self.remote.fragment, from: 0, to: 0 }
    }

    fn send_all(&self, watch: &Watch) -> Result<()> {
        let mut remote = self.foreign.using(&self.key, &self.server, watch, |remote| {
            let left = self.query.deadline.map(|deadline| deadline.saturating_sub(self.query.now()));
            remote.limit(left, watch)?;
            self.check_tables(remote, watch)
        })?;
        let mut held = self.query.memory.reservation("foreign rows");
        held.grow(2 * BATCH_BYTES)?;
        let mut asked = remote.ask(&self.remote.sql, watch)?;
        let wanted = self.hand_on(&mut asked, &remote, watch);
        if !matches!(wanted, Ok(true)) {
            // The rest is not read, and the connection not used again.
            watch.cancel_now();
            return wanted.map(drop);
        }
        watch.ends();
        drop(asked);
        // A cancellation that is on its way would end what the connection does next.
        if watch.check().is_ok() {
            self.foreign.pool.give_back(&self.key, remote);
        }
        Ok(())
    }

    /// Hands rows on as they come; whether all of them were wanted.
    fn hand_on(&self, asked: &mut Asked, remote: &Remote, watch: &Watch) -> Result<bool> {
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let mut on_their_way: VecDeque<(usize, Reservation)> = VecDeque::new();
        for rows in &mut asked.rows {
            let rows = rows.map_err(|error| remote.arrow_failed(&error))?;
            watch.check()?;
            let imported = import(
                &rows,
                &self.remote.types,
                &self.remote.not_null,
                &self.server.name,
                &self.query.memory,
            )?;
            drop(rows);
            self.moved.rows.fetch_add(imported.batch.rows as u64, Ordering::Relaxed);
            self.moved.bytes.fetch_add(imported.bytes, Ordering::Relaxed);
            let (batch, step) = (imported.batch, self.query.settings.batch_rows.max(1));
            let mut pieces = 0;
            for start in (0..batch.rows).step_by(step) {
                if !self.send(batch.slice(start, step.min(batch.rows - start)), &waker, watch)? {
                    return Ok(false);
                }
                pieces += 1;
            }
            on_their_way.push_back((pieces, imported.reservation));
            // What is not the newest of so many pieces was taken.
            while on_their_way.iter().skip(1).map(|(pieces, _)| pieces).sum::<usize>() >= ON_THEIR_WAY {
                on_their_way.pop_front();
            }
        }
        Ok(true)
    }

    /// Whether more is wanted.
    fn send(&self, batch: columnar::Batch, waker: &Waker, watch: &Watch) -> Result<bool> {
        let mut batch = Some(batch);
        loop {
            match self.exchange.send(self.edge(), &mut batch, waker)? {
                Progress::Finished => return Ok(false),
                Progress::Blocked | Progress::Yield if batch.is_some() => {
                    watch.check()?;
                    std::thread::park_timeout(LOOK);
                }
                _ => return Ok(true),
            }
        }
    }

    /// That the tables still are what the query takes them for.
    fn check_tables(&self, remote: &mut Remote, watch: &Watch) -> Result<()> {
        if self.remote.engine == Engine::Plain {
            return Ok(());
        }
        let names = self.remote.tables.iter().filter_map(|table| table.foreign.as_ref());
        let names = names.map(|foreign| (foreign.remote_schema.clone(), foreign.remote_name.clone()));
        let wrapper = Wrapper::of(remote.server())?;
        let question = describe::question(wrapper, &Which::Tables(names.collect()))?;
        let tables = describe::tables(wrapper, remote.texts(&question, watch)?)?;
        self.remote.tables.iter().try_for_each(|table| describe::check(&tables, table))
    }
}
