//! The schema `system`: what the coordinator knows of the cluster, as tables. They are of the moment in which a query
//! is planned, so plans that read them are not kept.

mod access;
mod audit;
mod comments;
mod functions;
mod schedules;
mod usage;

use crate::access::Rights;
use crate::catalog::{DEFAULT_SCHEMA, SYSTEM_SCHEMA};
use crate::coordinator::Coordinator;
use crate::datasets::now_us;
use crate::facts;
use crate::information_schema;
use crate::pg_catalog;
use crate::quarantine::Refused;
use crate::tenants::Tenant;
use crate::view::{View, named, text, wide};
use columnar::{DataType, Scalar, Value};
use flight_proto::admin::Speaks;
use flight_proto::policy::DEFAULT_TENANT;
use planner::catalog::{Catalog, RowFilter, Table, VirtualTable};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use storage::ColumnSchema;

/// The names that a query may use: those of its view, and the tables of the system.
pub(crate) struct Names {
    view: Arc<View>,
    coordinator: Arc<Coordinator>,
    tenant: Arc<Tenant>,
    rights: Arc<Rights>,
    /// Something was read that others see otherwise, or that is otherwise at another moment.
    momentary: AtomicBool,
}

impl Names {
    pub(crate) fn new(
        view: Arc<View>,
        coordinator: Arc<Coordinator>,
        tenant: Arc<Tenant>,
        rights: Arc<Rights>,
    ) -> Names {
        Names { view, coordinator, tenant, rights, momentary: AtomicBool::new(false) }
    }

    /// Whether what was planned holds for this moment alone.
    pub(crate) fn are_momentary(&self) -> bool {
        self.momentary.load(Ordering::Relaxed)
    }

    /// Whether something is the tenant's that asks; of other tenants it sees nothing.
    fn owns(&self, tenant: &str) -> bool {
        tenant == &**self.tenant.name()
    }

    /// Whether the user may see what concerns a table.
    fn sees(&self, schema: &str, table: &str) -> bool {
        self.rights.sees_name(schema, table, &self.view)
    }

    /// Whether the user may see what a user has done.
    fn sees_user(&self, user: &str) -> bool {
        self.rights.are_all() || user == self.rights.principal()
    }

    fn datasets(&self) -> VirtualTable {
        let mut columns: Vec<ColumnSchema> =
            ["schema_name", "table_name", "placement", "state", "location"].into_iter().map(text).collect();
        columns.extend(["dataset", "version", "rows", "size_bytes"].into_iter().map(wide));
        let rows = facts::datasets(&self.view, &self.coordinator).into_iter();
        let rows = rows.filter(|dataset| self.sees(&dataset.schema, &dataset.table)).map(|dataset| {
            let texts = [dataset.schema, dataset.table, dataset.placement, dataset.state, dataset.location];
            let counts = [dataset.dataset, dataset.version, dataset.rows, dataset.size_bytes];
            row(&texts, &counts)
        });
        VirtualTable { name: "datasets".into(), rows: rows.collect(), columns }
    }

    fn shards(&self) -> VirtualTable {
        let mut columns: Vec<ColumnSchema> = ["shard", "address", "status"].into_iter().map(text).collect();
        columns.push(yes_or_no("alive"));
        columns.extend(["buckets", "rows"].into_iter().map(wide));
        columns.extend(versions());
        columns.push(text("pool"));
        let (snapshot, all) =
            (self.coordinator.tenants.catalog().snapshot(), self.coordinator.tenants.shards());
        let (tenant, pool) = (self.tenant.name(), snapshot.pool_of(self.tenant.name()));
        let view = self.tenant.datasets.view();
        let read_in = view.seating.as_ref().map_or(pool, |seating| &seating.pool);
        let rows = facts::shards_of(tenant, &[pool, read_in], all).into_iter().map(|shard| {
            let mut row = row(&[shard.id, shard.address, shard.status], &[shard.buckets, shard.rows]);
            row.insert(3, Value::boolean(shard.alive));
            row.extend(spoken(shard.speaks));
            row.push(Value::varchar(&shard.pool));
            row
        });
        VirtualTable { name: "shards".into(), rows: rows.collect(), columns }
    }

    fn coordinators(&self) -> VirtualTable {
        let mut columns = vec![wide("coordinator")];
        columns.extend(["address", "role"].into_iter().map(text));
        columns.extend([yes_or_no("here"), wide("term")]);
        columns.push(or_null(wide("applied")));
        columns.extend(versions());
        let members = facts::coordinators(self.coordinator.tenants.catalog());
        let rows = members.into_iter().map(|member| {
            let mut row = vec![
                count(member.id),
                Value::varchar(&member.address),
                Value::varchar(&member.role),
                Value::boolean(member.here),
                count(member.term),
                // It counts the changes of all tenants.
                member
                    .applied
                    .filter(|_| self.owns(DEFAULT_TENANT) && self.rights.are_all())
                    .map_or(Value::null(DataType::Int64), count),
            ];
            row.extend(spoken(member.speaks));
            row
        });
        VirtualTable { name: "coordinators".into(), rows: rows.collect(), columns }
    }

    fn hydrations(&self) -> VirtualTable {
        let texts = ["shard", "schema_name", "table_name", "state", "error"];
        let counts = ["dataset", "version", "rows_done", "rows_total", "bytes_read", "elapsed_ms"];
        let columns = texts.into_iter().map(text).chain(counts.into_iter().map(wide)).collect();
        let rows = facts::hydrations(&self.coordinator.tenants).into_iter().filter(|one| {
            // Those that the tenant of that name had before have no names any more.
            self.owns(&one.tenant)
                && (!one.table.is_empty() || self.owns(DEFAULT_TENANT))
                && self.sees(&one.schema, &one.table)
        });
        let rows = rows.map(|one| {
            let counts = [one.rows_done, one.rows_total, one.bytes_read, one.elapsed_ms];
            let counts = [&[one.dataset, one.version], &counts[..]].concat();
            row(&[one.shard, one.schema, one.table, one.state, one.error], &counts)
        });
        VirtualTable { name: "hydrations".into(), rows: rows.collect(), columns }
    }

    fn refreshes(&self) -> VirtualTable {
        let mut columns: Vec<ColumnSchema> = ["schema_name", "table_name"].into_iter().map(text).collect();
        columns.push(wide("dataset"));
        columns.push(or_null(text("refresh_every")));
        columns.push(text("refresh_mode"));
        columns.push(or_null(timestamp("next_at")));
        columns.push(or_null(timestamp("last_at")));
        columns.extend(["last_started_by", "last_mode", "last_state"].map(text).map(or_null));
        columns.push(or_null(wide("last_version")));
        columns.push(or_null(text("last_error")));
        columns.extend(["last_elapsed_ms", "failures"].map(wide).map(or_null));
        let words = |words: Option<&str>| words.map_or(Value::null(DataType::Varchar), Value::varchar);
        let number = |number: Option<u64>| number.map_or(Value::null(DataType::Int64), count);
        let rows = facts::datasets(&self.view, &self.coordinator).into_iter().filter_map(|dataset| {
            let refresh = dataset.refresh.filter(|_| self.sees(&dataset.schema, &dataset.table))?;
            let last = refresh.last.as_ref();
            Some(vec![
                Value::varchar(&dataset.schema),
                Value::varchar(&dataset.table),
                count(dataset.dataset),
                words(refresh.every.as_deref()),
                Value::varchar(&refresh.mode),
                moment(refresh.next_at_us),
                moment(last.map(|last| last.began_at_us)),
                words(last.map(|last| &*last.started_by)),
                words(last.map(|last| &*last.mode)),
                words(last.map(|last| &*last.state)),
                number(last.and_then(|last| last.version)),
                words(last.map(|last| &*last.error).filter(|error| !error.is_empty())),
                number(last.map(|last| last.elapsed_ms)),
                number(last.map(|last| last.failures.into())),
            ])
        });
        VirtualTable { name: "refreshes".into(), rows: rows.collect(), columns }
    }

    fn quarantine(&self) -> VirtualTable {
        let mut columns: Vec<ColumnSchema> =
            ["statement", "principal", "sql"].into_iter().map(text).collect();
        columns.extend(["since", "until"].into_iter().map(timestamp));
        columns.push(text("shards"));
        let refused = facts::quarantine(&self.coordinator).into_iter();
        let own = |refused: &Refused| self.owns(&refused.tenant) && self.sees_user(&refused.principal);
        let rows = refused.filter(|(_, refused, _)| own(refused)).map(|(statement, refused, until_us)| {
            let mut row = row(&[statement, refused.principal, refused.sql], &[]);
            row.extend([refused.since_us, until_us].map(|at_us| moment(Some(at_us))));
            row.push(Value::varchar(&refused.shards.join(", ")));
            row
        });
        VirtualTable { name: "quarantine".into(), rows: rows.collect(), columns }
    }

    fn foreign_servers(&self) -> VirtualTable {
        let snapshot = self.coordinator.tenants.catalog().snapshot();
        let columns = ["server_name", "wrapper", "options", "secret_key"].into_iter().map(text).collect();
        let servers = snapshot.servers(self.tenant.name());
        let rows = servers.filter(|server| self.rights.uses_server(&server.name)).map(|server| {
            let options = server.options.iter().map(|(name, value)| format!("{name}={value}"));
            let hidden =
                server.secrets.keys().map(|name| format!("{}=…", crate::foreign::secrets::option_of(name)));
            let options: Vec<String> = options.chain(hidden).collect();
            let mut keys = server.secrets.iter();
            let keys = keys.find_map(|(name, kept)| crate::foreign::secrets::key_of(name, kept));
            let keys = keys.unwrap_or_default();
            row(&[server.name.clone(), server.wrapper.clone(), options.join(", "), keys], &[])
        });
        VirtualTable { name: "foreign_servers".into(), rows: rows.collect(), columns }
    }

    fn foreign_tables(&self) -> VirtualTable {
        let snapshot = self.coordinator.tenants.catalog().snapshot();
        let texts = ["schema_name", "table_name", "server_name", "remote_schema", "remote_table"];
        let columns = texts.into_iter().map(text).chain([wide("rows_about")]).collect();
        let tables = snapshot.foreign_tables(self.tenant.name());
        let rows = tables.filter(|table| self.sees(&table.schema, &table.name)).map(|table| {
            let texts = [&table.schema, &table.name, &table.server, &table.remote_schema, &table.remote_name];
            row(&texts.map(String::clone), &[table.rows])
        });
        VirtualTable { name: "foreign_tables".into(), rows: rows.collect(), columns }
    }

    fn routes(&self) -> VirtualTable {
        let mut columns: Vec<ColumnSchema> = ["shape", "engine", "sql"].into_iter().map(text).collect();
        columns.extend(["samples", "failures"].into_iter().map(wide));
        columns.extend(["median_ms", "p95_ms", "last_ms"].map(real).map(or_null));
        // They have the texts of everybody's queries.
        let known = if self.rights.are_all() { self.tenant.routing.history.list() } else { Vec::new() };
        let rows = known.into_iter().map(|one| {
            let texts = [format!("{:016x}", one.fingerprint), one.engine.to_string(), one.text.to_string()];
            let mut row = row(&texts, &[one.measured.count, one.failures]);
            let times = [one.measured.median_ms, one.measured.p95_ms, one.measured.last_ms];
            let known = one.measured.count > 0;
            row.extend(
                times.map(|ms| if known { Value::float64(ms) } else { Value::null(DataType::Float64) }),
            );
            row
        });
        VirtualTable { name: "routes".into(), rows: rows.collect(), columns }
    }

    fn queries(&self) -> VirtualTable {
        let mut columns: Vec<ColumnSchema> = ["query", "principal", "sql"].into_iter().map(text).collect();
        columns.extend([wide("elapsed_ms"), text("state")]);
        let queries = facts::queries(&self.coordinator)
            .into_iter()
            .filter(|query| self.owns(&query.tenant) && self.sees_user(&query.principal));
        let rows = queries.map(|query| {
            let mut row = row(&[query.query, query.principal, query.sql], &[query.elapsed_ms]);
            row.push(Value::varchar(&query.state));
            row
        });
        VirtualTable { name: "queries".into(), rows: rows.collect(), columns }
    }
}

/// The versions that a node speaks; null where it has not told.
fn versions() -> [ColumnSchema; 2] {
    ["least_version", "most_version"].map(|name| ColumnSchema { nullable: true, ..wide(name) })
}

fn spoken(speaks: Option<Speaks>) -> [Value; 2] {
    let number = |version: Option<u32>| version.map_or(Value::null(DataType::Int64), |one| count(one.into()));
    [number(speaks.map(|speaks| speaks.least)), number(speaks.map(|speaks| speaks.most))]
}

fn yes_or_no(name: &str) -> ColumnSchema {
    ColumnSchema { name: name.into(), data_type: DataType::Boolean, nullable: false }
}

fn real(name: &str) -> ColumnSchema {
    ColumnSchema { name: name.into(), data_type: DataType::Float64, nullable: false }
}

fn or_null(column: ColumnSchema) -> ColumnSchema {
    ColumnSchema { nullable: true, ..column }
}

/// A moment of UTC.
fn timestamp(name: &str) -> ColumnSchema {
    ColumnSchema { name: name.into(), data_type: DataType::TIMESTAMP, nullable: false }
}

fn moment(at_us: Option<i64>) -> Value {
    at_us.map_or(Value::null(DataType::TIMESTAMP), |at_us| {
        Value::new(DataType::TIMESTAMP, Scalar::Integer(at_us.into()))
    })
}

/// Texts, then counts.
fn row(texts: &[String], counts: &[u64]) -> Vec<Value> {
    let texts = texts.iter().map(|text| Value::varchar(text));
    texts.chain(counts.iter().map(|&number| count(number))).collect()
}

fn count(number: u64) -> Value {
    Value::int64(i64::try_from(number).unwrap_or(i64::MAX))
}

impl Catalog for Names {
    fn table(&self, schema: Option<&str>, name: &str) -> Option<Arc<Table>> {
        self.view.table(schema, name)
    }

    fn view(&self, schema: Option<&str>, name: &str) -> Option<Arc<planner::View>> {
        self.view.definitions.view(schema, name).cloned()
    }

    fn macro_named(&self, schema: Option<&str>, name: &str) -> Option<Arc<planner::Macro>> {
        let found = self.view.definitions.macro_named(schema, name)?;
        if self.rights.are_restricted() {
            // Others may not name it.
            self.momentary.store(true, Ordering::Relaxed);
        }
        self.rights.uses_schema(&found.schema).then(|| found.clone())
    }

    fn named_type(&self, schema: Option<&str>, name: &str) -> Option<DataType> {
        let found = self.view.definitions.named_type(schema, name)?;
        if self.rights.are_restricted() {
            // Others may not name it.
            self.momentary.store(true, Ordering::Relaxed);
        }
        self.rights.uses_schema(schema.unwrap_or(DEFAULT_SCHEMA)).then_some(found)
    }

    fn refusal(&self, table: &Table) -> Option<String> {
        self.rights.refusal(table)
    }

    fn sees_column(&self, table: &Table, column: &str) -> bool {
        self.rights.sees_column(table, column)
    }

    fn row_filter(&self, table: &Table) -> Option<RowFilter> {
        if self.rights.has_row_security(table) {
            // Others read other rows.
            self.momentary.store(true, Ordering::Relaxed);
        }
        self.rights.row_filter(table)
    }

    fn current_user(&self) -> Option<String> {
        self.momentary.store(true, Ordering::Relaxed);
        Some(self.rights.principal().into())
    }

    fn now_micros(&self) -> i64 {
        self.momentary.store(true, Ordering::Relaxed);
        now_us()
    }

    fn database(&self) -> String {
        self.view.tenant.to_string()
    }

    fn table_names(&self) -> Vec<String> {
        let seen = self.view.tables_of_all().filter(|table| self.rights.sees(table));
        seen.map(|table| named(table)).collect()
    }

    fn virtual_table(&self, schema: Option<&str>, name: &str) -> Option<VirtualTable> {
        if !schema.is_some_and(|schema| schema.eq_ignore_ascii_case(SYSTEM_SCHEMA)) {
            let found = schema
                .and_then(|schema| information_schema::table(&self.view, &self.rights, schema, name))
                .or_else(|| pg_catalog::table(&self.view, &self.rights, schema, name));
            // Others see others.
            if found.is_some() && self.rights.are_restricted() {
                self.momentary.store(true, Ordering::Relaxed);
            }
            return found;
        }
        self.momentary.store(true, Ordering::Relaxed);
        match name.to_ascii_lowercase().as_str() {
            "audit" => Some(self.audit()),
            "comments" => Some(self.comments()),
            "coordinators" => Some(self.coordinators()),
            "datasets" => Some(self.datasets()),
            "grants" => Some(self.grants()),
            "policies" => Some(self.policies()),
            "roles" => Some(self.roles()),
            "foreign_servers" => Some(self.foreign_servers()),
            "foreign_tables" => Some(self.foreign_tables()),
            "functions" => Some(functions::table()),
            "hydrations" => Some(self.hydrations()),
            "quarantine" => Some(self.quarantine()),
            "queries" => Some(self.queries()),
            "refresh_history" => Some(self.refresh_history()),
            "refreshes" => Some(self.refreshes()),
            "routes" => Some(self.routes()),
            "schedules" => Some(self.schedules()),
            "shards" => Some(self.shards()),
            "usage" => Some(self.usage()),
            "budgets" => Some(self.budgets()),
            _ => None,
        }
    }
}
