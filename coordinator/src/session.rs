//! A session: who asks, with which settings, and the statements it runs.

mod allowed;
mod change;
mod hedged;
mod predicted;
mod prepared;
mod retries;
mod routed;
mod rows;
mod spending;
mod waking;

use crate::access::Rights;
use crate::admission::{Limits, Slot};
use crate::coordinator::{AskedBy, Coordinator, ListedQuery};
use crate::error::{Error, Result};
use crate::explain::{self, Measured};
use crate::login::Caller;
use crate::losses::Losses;
use crate::plans::Asked;
use crate::progress::Stage;
use crate::quarantine::statement_id;
use crate::query::{Registered, RunningQuery, cancelled, result_schema};
use crate::result::{Rows, changed_schema, text_rows, text_schema, written_schema};
use crate::routing::TUNDRA;
use crate::routing::choice::{self, Routed};
use crate::settings::{SessionSettings, checked_label};
use crate::system::Names;
use crate::tenants::Tenant;
use crate::trace;
use crate::trail::{Action, Deed};
use crate::usage::{Account, Who};
use crate::view::View;
use arrow::datatypes::SchemaRef;
use columnar::{DataType, Value};
use exec::context::{Cancel, QueryContext};
use exec::memory::MemoryPool;
use exec::meter::thread_time;
use flight_proto::policy::Routes;
use flight_proto::trace as traces;
use flight_proto::work;
use parking_lot::Mutex;
use planner::catalog::Table;
use planner::{PlannedQuery, PlannerOptions, Prepared, Statement};
use prepared::PreparedStatements;
use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};
use tracing::field::Empty;
use tracing::{Instrument, Span};

/// A client's conversation with the coordinator; cheap to clone.
#[derive(Clone)]
pub struct Session {
    /// What tells it from the others of this process.
    id: u64,
    coordinator: Arc<Coordinator>,
    tenant: Arc<Tenant>,
    principal: Arc<str>,
    caller: Arc<Caller>,
    settings: Arc<Mutex<SessionSettings>>,
    prepared: Arc<Mutex<PreparedStatements>>,
    /// Of a call, in place of the setting.
    label: Option<Arc<str>>,
}

/// A statement that is planned and can be run, against the versions that were current when it was planned.
pub(crate) struct Planned {
    sql: String,
    parameters: Vec<Value>,
    routed: Routed,
    /// The version of the routes that it was planned by.
    routes: u64,
    /// The revision of roles, grants and policies.
    access: u64,
    /// The time zone that it was planned for.
    zone: String,
    view: Arc<View>,
    planning: Duration,
}

/// A planned statement, and what it was planned against.
struct BoundTo {
    routed: Routed,
    view: Arc<View>,
    routes: u64,
    access: u64,
    zone: String,
}

/// What is known of a statement before its parameters are.
pub(crate) struct Outline {
    pub(crate) schema: SchemaRef,
    pub(crate) parameters: Vec<DataType>,
    /// Whether it changes something.
    pub(crate) changes: bool,
}

/// A statement on its way, however often it is tried.
struct Call {
    id: u128,
    /// What is asked.
    statement: u128,
    /// The shards that its attempts lost.
    losses: Arc<Losses>,
    cancel: Cancel,
    /// On the coordinator's clock.
    deadline: Option<Duration>,
    listed: Arc<ListedQuery>,
    account: Arc<Account>,
    /// Where its trace is kept.
    span: Span,
}

/// Cancels an attempt with its statement.
struct CancelAttempt(Cancel);

impl Wake for CancelAttempt {
    fn wake(self: Arc<CancelAttempt>) {
        self.0.cancel();
    }
}

/// Cancels when it is dropped, unless it was taken out.
struct EndsWith(Option<Cancel>);

impl Drop for EndsWith {
    fn drop(&mut self) {
        if let Some(cancel) = &self.0 {
            cancel.cancel();
        }
    }
}

/// A slot, and the query's place in the list of those that run.
struct Started {
    query: Arc<QueryContext>,
    memory: Arc<MemoryPool>,
    running: RunningQuery,
}

impl Session {
    pub(crate) fn new(coordinator: Arc<Coordinator>, tenant: Arc<Tenant>, caller: &Caller) -> Session {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let settings = defaults(&coordinator);
        Session {
            id,
            coordinator,
            tenant,
            principal: caller.principal.as_str().into(),
            caller: Arc::new(caller.clone()),
            settings: Arc::new(Mutex::new(settings)),
            prepared: Arc::default(),
            label: None,
        }
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// The session, for a call whose use is counted under a label.
    pub(crate) fn labelled(self, label: &str) -> Result<Session> {
        let label = checked_label(label)?;
        Ok(Session { label: Some(label.into()), ..self })
    }

    /// Whether another session has logged in as the same, with the same roles.
    pub(crate) fn is_as(&self, other: &Session) -> bool {
        let (own, other) = (&self.caller, &other.caller);
        own.is_admin() == other.is_admin() && own.roles == other.roles
    }

    pub fn principal(&self) -> &str {
        &self.principal
    }

    /// Whose datasets it sees.
    pub fn tenant(&self) -> &str {
        self.tenant.name()
    }

    /// What queries see now.
    pub(crate) async fn current_view(&self) -> Result<Arc<View>> {
        let view = self.tenant.datasets.current_view().await?;
        self.coordinator.tenants.check_open(self.tenant())?;
        Ok(view)
    }

    /// Runs one statement. A statement that changes something has done so, durably, when this returns; a
    /// query has started, and its rows come as they are computed.
    pub async fn execute(&self, sql: &str) -> Result<Rows> {
        self.execute_with(sql, Vec::new()).await
    }

    /// As [`Session::execute`], with the values of its parameters.
    pub async fn execute_with(&self, sql: &str, parameters: Vec<Value>) -> Result<Rows> {
        let planned = self.plan(sql, parameters).await?;
        self.run(planned, self.coordinator.random()?).await
    }

    /// Ends a query that runs in any session of the tenant, of another user where this one administers.
    pub(crate) fn cancel(&self, query_id: u128) -> bool {
        let asked_by = self.coordinator.asked_by(query_id);
        let own = asked_by.is_some_and(|(tenant, principal)| {
            *tenant == *self.tenant()
                && (principal == self.principal || self.rights().is_ok_and(|rights| rights.are_all()))
        });
        own && self.coordinator.cancel(query_id)
    }

    /// Sets a setting as `SET` does.
    pub(crate) fn set(&self, name: &str, value: Option<&str>) -> Result<()> {
        if let Some(engine) = value.filter(|_| name.eq_ignore_ascii_case("engine")) {
            self.check_engine(engine)?;
        }
        self.settings.lock().set(name, value, &defaults(&self.coordinator))
    }

    /// The value of a setting as `SHOW` gives it.
    pub(crate) fn show(&self, name: &str) -> Result<String> {
        self.settings.lock().show(name)
    }

    /// Every setting and its value.
    pub(crate) fn settings(&self) -> Result<Vec<(String, String)>> {
        self.settings.lock().all()
    }

    /// What a statement gives and takes; its parameters are not known yet.
    pub(crate) async fn outline(&self, sql: &str) -> Result<Outline> {
        let span = work!(&traces::current(), "planning", cached = Empty, error.type = Empty);
        let bound = self.bind(sql, None, &span).await?;
        let statement = &*bound.routed.statement;
        if let Statement::Prepared(Prepared::Execute { name, values }) = statement {
            let (sql, _) = self.prepared.lock().called(name, values)?;
            let outline = Box::pin(self.outline(&sql)).await?;
            return Ok(Outline { parameters: Vec::new(), ..outline });
        }
        let query = explain::query_of(statement);
        Ok(Outline {
            schema: schema_of(statement),
            parameters: query.map(|query| query.parameters.clone()).unwrap_or_default(),
            changes: changes(statement),
        })
    }

    pub(crate) async fn plan(&self, sql: &str, parameters: Vec<Value>) -> Result<Planned> {
        let planned = self.plan_numbered(sql, parameters).await;
        planned.inspect_err(|error| trace::not_planned(self.tenant(), error))
    }

    /// Plans a statement that has a number already, by which its errors are logged.
    async fn plan_numbered(&self, sql: &str, parameters: Vec<Value>) -> Result<Planned> {
        let begun = Instant::now();
        let span = work!(&traces::current(), "planning", cached = Empty, error.type = Empty);
        let bound = self.bind(sql, Some(parameters.clone()), &span).await;
        let bound = bound.inspect_err(|error| trace::not_bound(&span, error));
        let BoundTo { routed, view, routes, access, zone } =
            bound.inspect_err(|error| self.note(Action::StatementFailed, 0, sql, error))?;
        if let Statement::Prepared(Prepared::Execute { name, values }) = &*routed.statement {
            let (sql, values) = self.prepared.lock().called(name, values)?;
            return Box::pin(self.plan_numbered(&sql, values)).await;
        }
        let planning = begun.elapsed();
        Ok(Planned { sql: sql.into(), parameters, routed, routes, access, zone, view, planning })
    }

    /// Planning takes milliseconds of pure computation: it happens beside the tasks that serve.
    async fn bind(&self, sql: &str, parameters: Option<Vec<Value>>, span: &Span) -> Result<BoundTo> {
        let view = self.current_view().await?;
        let rights = Arc::new(self.rights()?);
        let known = self.routes();
        let routes = known.as_ref().map_or(0, |(version, _)| *version);
        let access = rights.revision();
        let (optimizer, zone) = {
            let settings = self.settings.lock();
            (settings.optimizer, settings.zone.clone())
        };
        let asked = Asked { sql: sql.into(), parameters, routes, access, optimizer, zone: zone.clone() };
        let known_plan = self.tenant.plans.get(&asked, &view);
        span.record("cached", known_plan.is_some());
        if let Some(routed) = known_plan {
            // Whoever it was planned for, it means the same; not everybody may run it.
            rights.check(&routed.statement, routed.reads.as_deref())?;
            return Ok(BoundTo { routed, view, routes, access, zone });
        }
        let (routed, lasts) = self.plan_on(&view, asked.clone(), known, &rights).await?;
        rights.check(&routed.statement, routed.reads.as_deref())?;
        if lasts {
            self.tenant.plans.keep(asked, &view, &routed);
        }
        Ok(BoundTo { routed, view, routes, access, zone })
    }

    /// Plans against a view; whether the plan holds for longer than this moment.
    async fn plan_on(
        &self,
        view: &Arc<View>,
        asked: Asked,
        routes: Option<(u64, Arc<Routes>)>,
        rights: &Arc<Rights>,
    ) -> Result<(Routed, bool)> {
        let Asked { sql, parameters, optimizer, zone, .. } = asked;
        let (coordinator, tenant) = (self.coordinator.clone(), self.tenant.clone());
        let names = Arc::new(Names::new(view.clone(), coordinator, tenant, rights.clone()));
        let catalog = names.clone();
        let snapshot = self.coordinator.tenants.catalog().snapshot();
        let options = PlannerOptions {
            shards: view.shards(self.coordinator.config.shards),
            version: snapshot.cluster_version(),
            parameters,
            optimizer,
            zone,
            ..PlannerOptions::default()
        };
        // It is never closed.
        let _turn = self.tenant.planning.acquire().await;
        let (usage, who) = (self.coordinator.usage.clone(), self.who());
        let (tenant, of_view) = (self.tenant.clone(), view.clone());
        let planned = shard::blocking(move || {
            let begun = thread_time();
            let planned = planner::parse_one(&sql).and_then(|parsed| match routes {
                Some((version, routes)) if parsed.reads() => {
                    // There may be thousands.
                    let twins = tenant.routing.twins(&of_view, version, &routes);
                    choice::plan(&sql, &parsed, &catalog, &options, &routes, &twins)
                }
                _ => planner::bind(&parsed, &*catalog, &options).map(Routed::as_written),
            });
            usage.add_planning(who, thread_time().saturating_sub(begun));
            planned
        });
        match planned.await {
            Ok(Ok(routed)) => Ok((routed, !names.are_momentary())),
            Ok(Err(error)) => Err(plan_error(error)),
            Err(panic) => Err(Error::Internal(format!("the planner failed: {panic}"))),
        }
    }

    /// Runs a planned statement. What it was planned against may have changed since: then it is planned anew.
    pub(crate) async fn run(&self, planned: Planned, query_id: u128) -> Result<Rows> {
        let sql = planned.sql.clone();
        self.note(Action::Statement, query_id, &sql, &"");
        let span = trace::of_statement(query_id, self.tenant(), &self.principal, &sql);
        let counted = self.run_counted(planned, query_id).instrument(span.clone()).await;
        let failed = move |error: &Error| trace::failed(&span, error);
        let counted = counted.inspect_err(|error| {
            failed(error);
            self.note(Action::StatementFailed, query_id, &sql, error);
        });
        let outcome = if counted.is_ok() { "started" } else { "failed" };
        metrics::counter!("tundra_statements_total", "outcome" => outcome).increment(1);
        let session = self.clone();
        let told = move |error: &Error| {
            failed(error);
            session.note(Action::StatementFailed, query_id, &sql, error);
        };
        counted.map(|rows| rows.on_error(told))
    }

    /// Writes down what is done with a statement; `query`: 0 where it has no number.
    fn note(&self, action: Action, query: u128, sql: &str, detail: &dyn Display) {
        let deed = Deed {
            principal: self.principal.clone(),
            action,
            subject: if query == 0 { String::new() } else { format!("{query:032x}") },
            text: planner::listed_text(sql).into(),
            detail: detail.to_string(),
        };
        self.coordinator.trail.add(self.tenant(), deed);
    }

    /// Whose use its statements are.
    fn who(&self) -> Who {
        let label = match &self.label {
            Some(label) => label.clone(),
            None => self.settings.lock().query_label.as_str().into(),
        };
        Who { tenant: self.tenant.name().clone(), user: self.principal.clone(), label }
    }

    /// Lists a statement, from now on until its rows are read.
    fn call(&self, id: u128, planned: &Planned) -> Result<Call> {
        let cancel = Cancel::default();
        let asked = AskedBy {
            tenant: self.tenant.name().clone(),
            principal: self.principal.clone(),
            sql: planner::listed_text(&planned.sql).into(),
        };
        let listed = Arc::new(self.coordinator.list(id, asked, cancel.clone())?);
        // Listed by now, it ends as the tenant is suspended.
        self.coordinator.tenants.check_open(self.tenant())?;
        let timeout = self.settings.lock().query_timeout;
        let account = self.coordinator.usage.open(self.who(), cancel.clone());
        let deadline = timeout.map(|timeout| self.coordinator.now() + timeout);
        let deleted = self.coordinator.tenants.catalog().snapshot().deleted_up_to(self.tenant());
        let statement = statement_id(self.tenant(), deleted, &planned.sql, &planned.parameters);
        let span = traces::current();
        Ok(Call { id, statement, losses: Arc::default(), cancel, deadline, listed, account, span })
    }

    async fn run_once(&self, planned: Planned, call: &Call) -> Result<Rows> {
        let current = Arc::ptr_eq(&planned.view, &self.tenant.datasets.view())
            && (planned.routes, planned.access) == (self.routes_version(), self.rights()?.revision());
        let planned = match current {
            true => planned,
            false => self.plan_numbered(&planned.sql, planned.parameters).await?,
        };
        let statement = &planned.routed.statement;
        // Rights may have changed since it was planned.
        let rights = self.rights()?;
        rights.check(statement, planned.routed.reads.as_deref())?;
        let schema = schema_of(statement);
        self.coordinator.does(call.id, statement);
        if let Statement::Change(_) = &**statement {
            return self.change_rows(planned, call).await;
        }
        match &**statement {
            Statement::Query(query) => {
                if let Some(choice) = &planned.routed.choice {
                    return self.run_routed(&planned, choice, call).await;
                }
                self.check_forced(query)?;
                call.span.record("engine", TUNDRA);
                let started = self.begin(query, &planned, call).await?;
                Ok(started.running.into_rows(schema))
            }
            Statement::Explain { analyze, json, query } => {
                text_rows(schema, vec![self.explain(&planned, *analyze, *json, query, call).await?])
            }
            Statement::ExplainRoute { query } => {
                text_rows(schema, vec![self.explain_route(&planned, query)?])
            }
            Statement::ExplainCost(query) => self.predict(query, &planned, call),
            Statement::ShowTables { schema: of } => {
                show(schema, &planned.view, &rights, of.as_deref(), |_| true)
            }
            Statement::ShowViews { schema: of } => {
                show(schema, &planned.view, &rights, of.as_deref(), |table| table.is_view())
            }
            Statement::DescribeQuery(query) => {
                let names = query.columns.iter().map(|column| column.name.clone());
                let types = query.columns.iter().map(|column| column.data_type.to_string());
                let nulls = query.columns.iter().map(|column| yes_or_no(column.nullable));
                text_rows(schema, vec![names.collect(), types.collect(), nulls.collect()])
            }
            Statement::Describe { table } => {
                let seen = rights.columns_seen(table);
                let columns = || seen.iter().map(|(_, column)| column);
                let names = columns().map(|column| column.name.clone());
                let types = columns().map(|column| column.data_type.to_string());
                let nulls = columns().map(|column| yes_or_no(column.nullable));
                text_rows(schema, vec![names.collect(), types.collect(), nulls.collect()])
            }
            Statement::Set { name, value } => {
                self.set(name, value.as_deref())?;
                Ok(Rows::changed())
            }
            Statement::Show { name } => {
                let settings = self.settings.lock().clone();
                let shown = match name.eq_ignore_ascii_case("all") {
                    true => settings.all()?,
                    false => vec![(name.to_ascii_lowercase(), settings.show(name)?)],
                };
                let (names, values) = shown.into_iter().unzip();
                text_rows(schema, vec![names, values])
            }
            Statement::Prepared(prepared) => {
                self.prepared.lock().change(prepared)?;
                Ok(Rows::changed())
            }
            Statement::Access(access) => self.change_access(access, &planned.view, call).await,
            _ => self.change(statement, &planned.view, &rights, call).await,
        }
    }

    /// What is waited for until the statement's deadline; a client that goes away ends that, too.
    async fn in_time<T>(&self, call: &Call, asked: impl Future<Output = Result<T>>) -> Result<T> {
        let mut ends = EndsWith(Some(call.cancel.clone()));
        let answer = match call.deadline {
            None => asked.await,
            Some(deadline) => {
                let left = deadline.saturating_sub(self.coordinator.now());
                let answer = tokio::time::timeout(left, asked).await;
                answer.map_err(|_| exec::error::Error::DeadlineExceeded)?
            }
        };
        ends.0 = None;
        answer
    }

    /// Waits for a slot and starts the fragments.
    async fn start(&self, query: &PlannedQuery, view: &Arc<View>, call: &Call) -> Result<Started> {
        let coordinator = &self.coordinator;
        self.need_shards(query, call)?;
        for table in &query.tables {
            view.check(table)?;
        }
        call.listed.progress().comes_to(Stage::Queued);
        let (group, limits) = self.group(call);
        let queued = work!(&call.span, "queue", workload_group = &*group);
        let entering = coordinator.admission.enter(&group, limits);
        let late = async {
            match call.deadline {
                None => std::future::pending().await,
                Some(deadline) => tokio::time::sleep(deadline.saturating_sub(coordinator.now())).await,
            }
        };
        let slot = tokio::select! {
            biased;
            slot = entering => slot?,
            () = cancelled(&call.cancel) => return Err(exec::error::Error::Cancelled.into()),
            () = late => return Err(exec::error::Error::DeadlineExceeded.into()),
        };
        drop(queued);
        call.listed.progress().comes_to(Stage::Running);
        self.start_in(slot, query, view, call)
    }

    /// What the tenant's workload group may have.
    fn limits(&self) -> Limits {
        let snapshot = self.coordinator.tenants.catalog().snapshot();
        let tenant = snapshot.policy().tenant(self.tenant());
        let workload = tenant.and_then(|tenant| tenant.workload).unwrap_or_default();
        Limits {
            concurrency: workload.concurrency as usize,
            queue: workload.queue as usize,
            queue_timeout: Duration::from_millis(workload.queue_timeout_ms),
            share: workload.share,
            last: false,
        }
    }

    /// Starts the fragments.
    fn start_in(&self, slot: Slot, query: &PlannedQuery, view: &Arc<View>, call: &Call) -> Result<Started> {
        let coordinator = &self.coordinator;
        // An attempt that ends takes its fragments with it, and not the attempts that follow.
        let (deadline, cancel) = (call.deadline, Cancel::default());
        call.cancel.on_cancel(&Waker::from(Arc::new(CancelAttempt(cancel.clone()))));
        let settings = self.settings.lock().clone();
        let memory = coordinator.memory.child(u64::MAX);
        let started = coordinator.started;
        let context = Arc::new(QueryContext {
            query_id: call.id,
            tenant: self.tenant().into(),
            principal: self.principal.to_string(),
            roles: self.caller.roles.clone(),
            workload_group: self.tenant().into(),
            epoch: 0,
            deadline,
            cancel,
            memory: memory.clone(),
            meter: call.account.meter().clone(),
            settings: settings.execution,
            clock: Arc::new(move || started.elapsed()),
            span: trace::of_attempt(&call.span),
        });
        // A client may have cancelled it while it queued.
        context.check()?;
        let registered: Registered = Box::new(call.listed.clone());
        let told = (&call.losses, &call.account);
        let running = RunningQuery::start(query, view, coordinator, context.clone(), slot, registered, told)?;
        Ok(Started { query: context, memory, running })
    }

    /// Runs a query for its counters.
    async fn measure(&self, query: &PlannedQuery, planned: &Planned, call: &Call) -> Result<Measured> {
        let mut started = self.start(query, &planned.view, call).await?;
        let begun = started.query.now();
        while started.running.next().await?.is_some() {}
        Ok(Measured {
            profiles: started.running.profiles(),
            planning: planned.planning,
            execution: started.query.now() - begun,
            memory_peak_bytes: started.memory.peak_bytes(),
            exchanged_bytes: started.running.exchanged_bytes(),
            foreign: started.running.moved().to_vec(),
        })
    }
}

impl Planned {
    pub(crate) fn schema(&self) -> SchemaRef {
        schema_of(&self.routed.statement)
    }

    /// Whether it changes something.
    pub(crate) fn changes(&self) -> bool {
        changes(&self.routed.statement)
    }
}

fn defaults(coordinator: &Coordinator) -> SessionSettings {
    let config = &coordinator.config;
    SessionSettings {
        execution: config.settings.clone(),
        query_timeout: config.query_timeout,
        ..SessionSettings::default()
    }
}

/// Whether a statement changes something.
fn changes(statement: &Statement) -> bool {
    !matches!(
        statement,
        Statement::Query(_)
            | Statement::Explain { .. }
            | Statement::ExplainRoute { .. }
            | Statement::ExplainCost(_)
            | Statement::ShowTables { .. }
            | Statement::ShowViews { .. }
            | Statement::Describe { .. }
            | Statement::DescribeQuery(_)
            | Statement::Show { .. }
    )
}

/// The schema of a statement's result.
fn schema_of(statement: &Statement) -> SchemaRef {
    match statement {
        Statement::Query(query) => result_schema(query),
        Statement::Explain { .. } => text_schema(&["plan"]),
        Statement::ExplainRoute { .. } => text_schema(&["route"]),
        Statement::ExplainCost(_) => predicted::schema(),
        Statement::ShowTables { .. } | Statement::ShowViews { .. } => text_schema(&["schema", "name"]),
        Statement::Describe { .. } | Statement::DescribeQuery(_) => {
            text_schema(&["column_name", "data_type", "is_nullable"])
        }
        Statement::Show { .. } => text_schema(&["name", "value"]),
        Statement::CreateTableAs { .. } | Statement::Insert { .. } | Statement::Change(_) => written_schema(),
        _ => changed_schema(),
    }
}

/// The tables and views that are wanted, those of a schema where one is named.
fn show(
    schema: SchemaRef,
    view: &View,
    rights: &Rights,
    of: Option<&str>,
    wanted: impl Fn(&Table) -> bool,
) -> Result<Rows> {
    let sees = |schema: &String| rights.sees_schema(schema);
    if let Some(name) = of
        && !view.schemas.iter().any(|schema| schema.eq_ignore_ascii_case(name) && sees(schema))
    {
        return Err(Error::NotFound(format!("there is no schema '{name}'")));
    }
    let tables =
        view.tables_of_all().filter(|table| of.is_none_or(|name| table.schema.eq_ignore_ascii_case(name)));
    let tables = tables.filter(|table| wanted(table) && rights.sees(table));
    let (schemas, names) = tables.map(|table| (table.schema.clone(), table.name.clone())).unzip();
    text_rows(schema, vec![schemas, names])
}

fn yes_or_no(yes: bool) -> String {
    if yes { "YES".into() } else { "NO".into() }
}

/// The planner's error by whose fault it is.
fn plan_error(error: planner::Error) -> Error {
    let message = error.to_string();
    match error.kind {
        planner::ErrorKind::Unsupported => Error::Refused(message),
        planner::ErrorKind::Denied => Error::Denied(message),
        planner::ErrorKind::Internal => Error::Internal(message),
        planner::ErrorKind::Name => Error::NotFound(message),
        planner::ErrorKind::Syntax | planner::ErrorKind::Value => Error::Statement(message),
    }
}
