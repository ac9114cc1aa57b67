//! Refreshes that nobody waits for: by the clock, and when the object store tells of changes.
//!
//! Of several coordinators the one that leads keeps the clock ([`timetable`]), and takes what the store tells the others,
//! so that there is one refresh of a dataset at a time. Two at once would do no harm: of two versions of one number the
//! store takes one. What is accepted is run also by one that does not lead any more. Each tells the others what it has
//! done ([`Refreshes::heard`]): all show it, and whoever leads next knows what was missed.

mod history;
mod schedules;
mod timetable;

use crate::catalog::{CatalogState, TableSchedule};
use crate::datasets::{Datasets, Refreshed, now_us, to_the_end};
use crate::error::{Error, Result};
use crate::tenants::Tenants;
use crate::trace;
use flight_proto::Message;
use flight_proto::catalog::{Dataset, Refresh, RefreshMode};
use flight_proto::node::{
    AskRefreshes, RefreshCause, RefreshOutcome, RefreshRun, Refreshes as Told, Service,
};
use flight_proto::policy::DEFAULT_TENANT;
use flight_proto::trace::CALL;
use history::History;
use parking_lot::Mutex;
use planner::catalog::Table;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use timetable::{Begun, Now, Task, Timetable};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::field::Empty;
use tracing::{Instrument, Span, info_span};

/// Refreshes that run at once.
const AT_ONCE: usize = 4;
/// How soon another leader is noticed.
const LOOK: Duration = Duration::from_millis(250);
/// How soon it is noticed that the clock on the wall was set.
const LOOK_AT_CLOCK: Duration = Duration::from_secs(30);
/// How long another coordinator may take to answer.
const ANSWER: Duration = Duration::from_secs(2);

/// The refreshes of a coordinator.
pub(crate) struct Refreshes {
    tenants: Arc<Tenants>,
    started: Instant,
    state: Mutex<State>,
    /// Something was asked for, or is to be told.
    changed: Notify,
    slots: Semaphore,
}

#[derive(Default)]
struct State {
    timetable: Timetable,
    /// The latest of each dataset, on whatever coordinator.
    runs: BTreeMap<u64, RefreshRun>,
    history: History,
    /// What the others are to be told.
    untold: Vec<RefreshRun>,
    /// Whose datasets are that were told of by their manifests; the catalog may not know them yet.
    tenants: HashMap<u64, String>,
}

/// How a dataset is refreshed, and what came of the last time.
pub(crate) struct RefreshSummary {
    pub(crate) refresh: Refresh,
    pub(crate) last: Option<RefreshRun>,
    /// Microseconds since 1970.
    pub(crate) next_us: Option<i64>,
}

impl Refreshes {
    pub(crate) fn new(tenants: Arc<Tenants>) -> Refreshes {
        Refreshes {
            tenants,
            started: Instant::now(),
            state: Mutex::default(),
            changed: Notify::new(),
            slots: Semaphore::new(AT_ONCE),
        }
    }

    fn now(&self) -> Now {
        Now { running: self.started.elapsed(), wall_us: now_us() }
    }

    /// `REFRESH TABLE`.
    pub(crate) async fn by_statement(&self, table: &Table) -> Result<()> {
        let mode = RefreshMode::Incremental;
        let run = self.begin(table.dataset, RefreshCause::Statement, mode, None, 1);
        let begun = Instant::now();
        let outcome = self.datasets_of(table.dataset)?.refresh(table.dataset, mode, None).await;
        self.end(run, begun, &outcome, u32::from(outcome.is_err()));
        outcome.map(drop)
    }

    /// Notes that the store has told of changes; where another coordinator leads, that one does. Once this returns,
    /// the refreshes will be run, unless the coordinator that noted them is lost.
    pub(crate) async fn ask(&self, ask: AskRefreshes) -> Result<()> {
        let catalog = self.tenants.catalog();
        let Some(nodes) = self.tenants.shards().nodes().filter(|_| !catalog.leadership().leads) else {
            self.note(&ask);
            return Ok(());
        };
        let status = catalog.status();
        let leader = status.members.into_iter().find(|member| Some(member.id) == status.leader);
        let leader = leader
            .ok_or_else(|| Error::Unavailable("no coordinator leads at the moment; try again".into()))?;
        let service = network::Service(Service::AskRefreshes as u16);
        let answer = nodes.peers.call(&leader.address, service, ask.encode_to_vec().into(), ANSWER).await;
        answer.map(drop).map_err(|error| {
            Error::Unavailable(format!(
                "coordinator {}, which leads, does not answer: {error}; try again",
                leader.id
            ))
        })
    }

    /// As [`Refreshes::ask`], of this coordinator whether it leads or not.
    pub(crate) fn note(&self, ask: &AskRefreshes) {
        let now = self.now();
        let mut state = self.state.lock();
        let untold = std::iter::repeat_with(|| DEFAULT_TENANT.to_string());
        state.tenants.extend(ask.manifests.iter().copied().zip(ask.tenants.iter().cloned().chain(untold)));
        let tasks = ask.files.iter().map(|&dataset| Task::Refresh(dataset));
        for task in tasks.chain(ask.manifests.iter().map(|&dataset| Task::Reconcile(dataset))) {
            state.timetable.ask(task, now);
        }
        let snapshot = self.tenants.catalog().snapshot();
        for name in &ask.schedules {
            if let Some((dataset, schedule)) = schedules::named(&snapshot, name) {
                state.timetable.run(dataset, schedule.clone(), now);
            }
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Takes in what another coordinator tells.
    pub(crate) fn heard(&self, told: Told) {
        let snapshot = self.tenants.catalog().snapshot();
        let mut state = self.state.lock();
        for run in told.runs {
            let known = state.runs.get(&run.dataset);
            // That one has begun may be heard of after its end.
            let is_late = |known: &RefreshRun| known.began_us == run.began_us && known.outcome.is_some();
            if run.outcome.is_some() || !known.is_some_and(is_late) {
                state.keep(run, &snapshot);
            }
        }
    }

    /// What is known of a dataset's refreshes; `None`: it has no setting, and none has run.
    pub(crate) fn summary(&self, dataset: u64, refresh: Option<Refresh>) -> Option<RefreshSummary> {
        let now = self.now();
        let state = self.state.lock();
        let last = state.runs.get(&dataset).cloned();
        if refresh.is_none() && last.is_none() {
            return None;
        }
        let refresh = refresh.unwrap_or_default();
        // What failed is tried again at moments that its coordinator alone knows.
        let again = last
            .as_ref()
            .filter(|run| run.failures > 0 && (refresh.every_us > 0 || run.cause() == RefreshCause::Event));
        let told = again.and_then(|run| run.next_us).filter(|&next_us| next_us >= now.wall_us);
        let ticks =
            (refresh.every_us > 0).then(|| timetable::next_tick(dataset, refresh.every_us, now.wall_us));
        let next_us = state.timetable.next_of(dataset, now).or(told).or(ticks);
        Some(RefreshSummary { refresh, last, next_us })
    }

    /// How soon shards are needed for a refresh of these datasets, as far as it is known here; zero: one runs.
    pub(crate) fn next_in(&self, is_of: impl Fn(u64) -> bool) -> Option<Duration> {
        let (now, state) = (self.now(), self.state.lock());
        match state.timetable.is_running(&is_of) {
            true => Some(Duration::ZERO),
            false => state.timetable.next_of_any(now, &is_of).map(|next| next.saturating_sub(now.running)),
        }
    }

    /// Runs what is due, and tells the others, for as long as it is polled.
    pub(crate) async fn run(self: Arc<Refreshes>) {
        let mut catalog = self.tenants.catalog().changes();
        let (mut running, mut tasks) = (JoinSet::new(), HashMap::new());
        let mut telling = JoinSet::new();
        loop {
            let snapshot = catalog.borrow_and_update().clone();
            let (begun, next, is_scheduled) = self.look(&snapshot);
            for begun in begun {
                let work = running.spawn(self.clone().traced_work(begun.clone()));
                tasks.insert(work.id(), begun);
            }
            self.tell(&mut telling);
            let is_clustered = self.tenants.shards().nodes().is_some();
            let look = is_scheduled.then(|| Instant::now() + if is_clustered { LOOK } else { LOOK_AT_CLOCK });
            let until = next.map(|next| self.started + next).into_iter().chain(look).min();
            tokio::select! {
                biased;
                changed = catalog.changed() => if changed.is_err() { return },
                () = self.changed.notified() => {},
                Some(ended) = running.join_next_with_id() => {
                    let id = ended.as_ref().map_or_else(|error| error.id(), |(id, ())| *id);
                    if let (Some(begun), Err(error)) = (tasks.remove(&id), ended) {
                        tracing::error!("a refresh broke off: {error}");
                        self.state.lock().timetable.ended(begun.task, false, self.now());
                    }
                }
                Some(_) = telling.join_next() => {},
                () = tokio::time::sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => {},
            }
        }
    }

    /// What is to be begun, when there is something to do next, and whether any dataset is refreshed by the clock.
    fn look(&self, snapshot: &CatalogState) -> (Vec<Begun>, Option<Duration>, bool) {
        let now = self.now();
        let known = snapshot.tenants().flat_map(|tenant| snapshot.datasets(tenant));
        let datasets: BTreeMap<u64, Refresh> =
            known.map(|dataset| (dataset.id, dataset.refresh.unwrap_or_default())).collect();
        let leads = self.tenants.catalog().leadership().leads;
        let schedules = schedules::by_dataset(snapshot);
        let mut state = self.state.lock();
        let State { timetable, runs, history, .. } = &mut *state;
        runs.retain(|dataset, _| datasets.contains_key(dataset));
        history.forget_deleted(snapshot);
        let last_us = |dataset| runs.get(&dataset).map(|run| run.began_us);
        timetable.follow(&datasets, leads, now, last_us);
        timetable.follow_schedules(&schedules, now, |schedule| history.last_us(schedule));
        let is_scheduled = !schedules.is_empty() || datasets.values().any(|refresh| refresh.every_us > 0);
        (timetable.begin(now), timetable.next(now), is_scheduled)
    }

    async fn traced_work(self: Arc<Refreshes>, begun: Begun) {
        let dataset = begun.task.dataset();
        let datasets = self.datasets_of(dataset);
        let tenant = datasets.as_ref().map_or("", |datasets| datasets.tenant());
        let cause = tracing::field::debug(begun.cause);
        let table = self.name_of(dataset);
        let span =
            info_span!(target: CALL, parent: None, "refresh", tenant, dataset, table, cause, error = Empty);
        self.work(begun).instrument(span).await;
    }

    async fn work(self: Arc<Refreshes>, begun: Begun) {
        // The semaphore is never closed.
        let _slot = self.slots.acquire().await;
        let (datasets, mode) = (self.datasets_of(begun.task.dataset()), begun.mode);
        let schedule = begun.schedule.as_deref();
        let run = self.begin(begun.task.dataset(), begun.cause, mode, schedule, begun.attempt);
        let began = Instant::now();
        match begun.task {
            Task::Refresh(dataset) => {
                let limit = schedule.and_then(TableSchedule::limit);
                let outcome = to_the_end(async move { datasets?.refresh(dataset, mode, limit).await }).await;
                // One that was dropped has nothing to be refreshed.
                let succeeded = matches!(outcome, Ok(_) | Err(Error::NotFound(_)));
                let failures = self.state.lock().timetable.ended(begun.task, succeeded, self.now());
                if let Err(error) = &outcome {
                    trace::attempt_failed(&Span::current(), error);
                    tracing::warn!("table '{}' was not refreshed: {error}", self.name_of(dataset));
                }
                self.end(run, began, &outcome, failures);
            }
            Task::Reconcile(dataset) => {
                let outcome = to_the_end(async move { datasets?.reconcile_one(dataset).await }).await;
                if let Err(error) = &outcome {
                    trace::attempt_failed(&Span::current(), error);
                    tracing::warn!("dataset {dataset} could not be compared with the object store: {error}");
                }
                let mut state = self.state.lock();
                let failures = state.timetable.ended(begun.task, outcome.is_ok(), self.now());
                if outcome.is_ok() {
                    state.tenants.remove(&dataset);
                }
                drop(state);
                self.end(run, began, &outcome, failures);
            }
        }
    }

    /// The datasets of the tenant that one is of.
    fn datasets_of(&self, dataset: u64) -> Result<Arc<Datasets>> {
        if let Some(datasets) = self.tenants.of_dataset(dataset) {
            return Ok(datasets);
        }
        let told = self.state.lock().tenants.get(&dataset).cloned();
        let datasets = told.and_then(|tenant| self.tenants.known(&tenant));
        datasets.ok_or_else(|| Error::NotFound(format!("dataset {dataset} was dropped")))
    }

    fn name_of(&self, dataset: u64) -> String {
        let snapshot = self.tenants.catalog().snapshot();
        let name = |(_, known): (&str, &Dataset)| format!("{}.{}", known.schema, known.name);
        snapshot.find(dataset).map_or_else(|| dataset.to_string(), name)
    }

    fn begin(
        &self,
        dataset: u64,
        cause: RefreshCause,
        mode: RefreshMode,
        schedule: Option<&TableSchedule>,
        attempt: u32,
    ) -> RefreshRun {
        let (cause, mode) = (cause.into(), mode.into());
        let schedule = schedule.map(|schedule| schedule.schedule.name.clone()).unwrap_or_default();
        let run = RefreshRun {
            dataset,
            began_us: now_us(),
            cause,
            mode,
            schedule,
            attempt,
            ..RefreshRun::default()
        };
        self.note_run(run.clone());
        run
    }

    fn end(&self, run: RefreshRun, begun: Instant, outcome: &Result<Refreshed>, failures: u32) {
        let (outcome, files_changed) = match outcome {
            Ok(Refreshed::Unchanged) => (RefreshOutcome::Unchanged(true), 0),
            &Ok(Refreshed::Version { version, files_changed }) => {
                (RefreshOutcome::Version(version), files_changed)
            }
            Err(error) => (RefreshOutcome::Failed(error.to_string()), 0),
        };
        let elapsed_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let next_us = self.state.lock().timetable.next_of(run.dataset, self.now());
        self.note_run(RefreshRun {
            outcome: Some(outcome),
            elapsed_ms,
            failures,
            next_us,
            files_changed,
            ..run
        });
    }

    fn note_run(&self, run: RefreshRun) {
        let snapshot = self.tenants.catalog().snapshot();
        let run = history::with_names(run, &snapshot);
        let mut state = self.state.lock();
        if self.tenants.shards().nodes().is_some() {
            state.untold.push(run.clone());
        }
        state.keep(run, &snapshot);
        drop(state);
        self.changed.notify_one();
    }

    /// Tells the other coordinators what they have not been told yet. One that is not reached does without.
    fn tell(&self, telling: &mut JoinSet<()>) {
        let runs = std::mem::take(&mut self.state.lock().untold);
        let Some(nodes) = self.tenants.shards().nodes().filter(|_| !runs.is_empty()) else { return };
        let request = bytes::Bytes::from(Told { runs }.encode_to_vec());
        let status = self.tenants.catalog().status();
        for member in status.members.into_iter().filter(|member| member.id != status.id) {
            let (peers, request) = (nodes.peers.clone(), request.clone());
            telling.spawn(async move {
                let service = network::Service(Service::TellRefreshes as u16);
                if let Err(error) = peers.call(&member.address, service, request, ANSWER).await {
                    tracing::debug!("coordinator {} was not told of refreshes: {error}", member.id);
                }
            });
        }
    }
}

impl State {
    /// Keeps what was done here or elsewhere.
    fn keep(&mut self, run: RefreshRun, snapshot: &CatalogState) {
        // A version that others committed tells nothing of when files were looked at.
        if run.cause() != RefreshCause::Manifest {
            self.runs.insert(run.dataset, run.clone());
        }
        self.history.add(history::with_names(run, snapshot));
    }
}
