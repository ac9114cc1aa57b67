//! Engines beside Tundra, reached through ADBC drivers: what tenants may reach ([`allow`], [`options`]), connections
//! ([`connection`], [`pool`]), what tables there are ([`describe`]), and rows that come into queries ([`feed`],
//! [`import`]).
//!
//! Drivers are C libraries that block: every call of them is made on a thread of its own, whose number is bounded, and
//! no query waits for such a thread once it has ended ([`watch`]). Nothing outside this folder knows of ADBC.

mod allow;
mod connection;
mod describe;
mod feed;
mod import;
mod options;
mod pool;
pub(crate) mod secrets;
mod watch;

pub use allow::AllowedHost;
pub(crate) use describe::RemoteTable;
pub(crate) use feed::Moved;

use crate::catalog::CatalogState;
use crate::config::ForeignAccess;
use crate::error::{Error, Result};
use crate::query::cancelled;
use adbc_core::options::AdbcVersion;
use adbc_driver_manager::ManagedDriver;
use columnar::DataType;
use connection::Remote;
use describe::Which;
use exec::context::Cancel;
use flight_proto::catalog::{ForeignServer, ForeignTable};
use flight_proto::sealed::SecretKeys;
use options::Wrapper;
use parking_lot::Mutex;
use planner::CreateServer;
use planner::catalog::{self, Partitioning, Table};
use pool::{Key, Pool};
use shard::schema::columns_from_stored;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use storage::{ColumnSchema, TableStatistics};
use watch::Watch;

/// How often connections are looked for that nobody uses.
const SWEEP: Duration = Duration::from_secs(15);
/// How long a server may take to say what tables it has.
const DESCRIBED_WITHIN: Duration = Duration::from_secs(30);
/// Rows of a table of which its server does not say how many it has.
const UNKNOWN_ROWS: u64 = 10_000;

/// The engines that a coordinator reaches.
pub(crate) struct Foreign {
    access: ForeignAccess,
    pool: Pool,
    /// What servers' passwords are encrypted with.
    secret_keys: SecretKeys,
    /// Drivers that are loaded, by name.
    drivers: Mutex<HashMap<&'static str, ManagedDriver>>,
}

impl Foreign {
    pub(crate) fn new(access: ForeignAccess, secret_keys: SecretKeys) -> Result<Arc<Foreign>> {
        allow::check_environment(&access)?;
        Ok(Arc::new(Foreign { access, pool: Pool::new(), secret_keys, drivers: Mutex::default() }))
    }

    /// The server that a tenant's statement describes, if it may be reached, as it is kept.
    pub(crate) fn server_of(&self, tenant: &str, create: &CreateServer) -> Result<ForeignServer> {
        let server = options::server_of(create)?;
        self.check(&server)?;
        secrets::seal(&self.secret_keys, tenant, server)
    }

    /// What was allowed once need not be any longer.
    fn check(&self, server: &ForeignServer) -> Result<()> {
        allow::driver(&self.access, Wrapper::of(server)?)?;
        allow::check_address(&self.access, &options::address_of(server)?)
    }

    /// All tables of a schema of a server.
    pub(crate) async fn tables(
        self: &Arc<Foreign>,
        tenant: &str,
        server: &ForeignServer,
        schema: &str,
        cancel: &Cancel,
    ) -> Result<Vec<RemoteTable>> {
        self.ask(tenant, server, Which::Schema(schema.into()), cancel).await
    }

    /// One table of a server.
    pub(crate) async fn table(
        self: &Arc<Foreign>,
        tenant: &str,
        server: &ForeignServer,
        schema: &str,
        name: &str,
        cancel: &Cancel,
    ) -> Result<RemoteTable> {
        let which = Which::Tables(vec![(schema.into(), name.into())]);
        let found = self.ask(tenant, server, which, cancel).await?.into_iter().next();
        found.ok_or_else(|| Error::NotFound(format!("server {} has no table {schema}.{name}", server.name)))
    }

    /// Whether a server tells what tables it has.
    pub(crate) fn describes(server: &ForeignServer) -> bool {
        Wrapper::of(server).is_ok_and(|wrapper| wrapper != Wrapper::FlightSql)
    }

    /// The schema of a server's tables of which none is named.
    pub(crate) fn default_schema(server: &ForeignServer) -> &'static str {
        Wrapper::of(server).map_or("", Wrapper::default_schema)
    }

    async fn ask(
        self: &Arc<Foreign>,
        tenant: &str,
        server: &ForeignServer,
        which: Which,
        cancel: &Cancel,
    ) -> Result<Vec<RemoteTable>> {
        let wrapper = Wrapper::of(server)?;
        let question = describe::question(wrapper, &which)?;
        let key = Key { tenant: tenant.into(), revision: server.created_revision };
        let mut wanted = [(key.clone(), 1)];
        let permit = tokio::select! {
            biased;
            () = cancelled(cancel) => return Err(exec::error::Error::Cancelled.into()),
            permits = self.pool.permits(&mut wanted) => permits?.remove(&key).and_then(|mut all| all.pop()),
        };
        let permit = permit.ok_or_else(|| Error::Internal("a connection without a permit".into()))?;
        let watch = Watch::start(cancel);
        let (done, answer) = tokio::sync::oneshot::channel();
        let (foreign, server) = (self.clone(), server.clone());
        feed::spawn(permit, move || {
            let mut rows = Vec::new();
            let asked = foreign.using(&key, &server, &watch, |remote| {
                remote.limit(Some(DESCRIBED_WITHIN), &watch)?;
                rows = remote.texts(&question, &watch)?;
                Ok(())
            });
            let asked = asked.and_then(|remote| {
                if watch.check().is_ok() {
                    foreign.pool.give_back(&key, remote);
                }
                describe::tables(wrapper, rows)
            });
            watch.over();
            // Who does not wait any more has gone.
            let _ = done.send(asked);
        })?;
        tokio::select! {
            biased;
            () = cancelled(cancel) => Err(exec::error::Error::Cancelled.into()),
            answer = answer => answer.unwrap_or_else(|_| {
                Err(Error::Internal("a thread for a foreign server ended without an answer".into()))
            }),
        }
    }

    /// A connection to the server on which `begin` went well; blocks. One that has waited may be lost: then all that
    /// wait are, and it begins on a new one.
    fn using(
        &self,
        key: &Key,
        server: &ForeignServer,
        watch: &Watch,
        mut begin: impl FnMut(&mut Remote) -> Result<()>,
    ) -> Result<Remote> {
        self.check(server)?;
        while let Some(mut remote) = self.pool.take(key) {
            match begin(&mut remote) {
                Ok(()) => return Ok(remote),
                Err(_) => watch.check()?,
            }
        }
        let mut driver = self.driver(Wrapper::of(server)?)?;
        watch.check()?;
        let server = secrets::open(&self.secret_keys, &key.tenant, server)?;
        let mut remote = Remote::open(&mut driver, &server, watch)?;
        begin(&mut remote)?;
        Ok(remote)
    }

    fn driver(&self, wrapper: Wrapper) -> Result<ManagedDriver> {
        let path = allow::driver(&self.access, wrapper)?;
        let mut drivers = self.drivers.lock();
        if let Some(driver) = drivers.get(wrapper.driver()) {
            return Ok(driver.clone());
        }
        let driver = ManagedDriver::load_dynamic_from_filename(&path, None, AdbcVersion::V110);
        // Where it lies is the operator's to know.
        let driver = driver.map_err(|error| {
            tracing::error!("the driver {} cannot be loaded: {}", path.display(), error.message);
            Error::Environment(format!(
                "the driver for {} cannot be loaded; the log says why",
                wrapper.name()
            ))
        })?;
        drivers.insert(wrapper.driver(), driver.clone());
        Ok(driver)
    }

    /// Closes connections that nobody has used for a while, for as long as it is polled.
    pub(crate) async fn sweep(self: Arc<Foreign>, catalog: impl Fn() -> Arc<CatalogState>) {
        loop {
            tokio::time::sleep(SWEEP).await;
            let snapshot = catalog();
            let exists = |key: &Key| {
                snapshot.servers(&key.tenant).any(|server| server.created_revision == key.revision)
            };
            let tired = self.pool.tired(exists);
            if !tired.is_empty() {
                // Closing says goodbye to the server.
                let closing =
                    std::thread::Builder::new().name("foreign-close".into()).spawn(move || drop(tired));
                if let Err(error) = closing {
                    tracing::warn!("no thread to close connections of foreign servers: {error}");
                }
            }
        }
    }
}

/// A foreign table as queries see it; `None`: of a server that this version does not speak with.
pub(crate) fn table(tenant: &str, server: &ForeignServer, stored: &ForeignTable) -> Option<Arc<Table>> {
    let wrapper = Wrapper::of(server).ok()?;
    let described = Foreign::describes(server);
    let columns = columns_from_stored(&stored.columns).ok()?.into_iter();
    // What is not looked at before each query is not proven.
    let columns = columns.map(|column| ColumnSchema { nullable: column.nullable || !described, ..column });
    let rows = if stored.rows == 0 { UNKNOWN_ROWS } else { stored.rows };
    Some(Arc::new(Table {
        tenant: tenant.into(),
        schema: stored.schema.clone(),
        name: stored.name.clone(),
        dataset: 0,
        version: 0,
        columns: columns.collect(),
        statistics: Arc::new(TableStatistics { rows, columns: Vec::new(), sample: None }),
        facts: Vec::new(),
        partitioning: Partitioning::Spread,
        addressed: false,
        foreign: Some(catalog::ForeignTable {
            server: server.name.clone(),
            server_revision: server.created_revision,
            engine: wrapper.engine(),
            remote_schema: stored.remote_schema.clone(),
            remote_name: stored.remote_name.clone(),
        }),
    }))
}

/// The types that columns of foreign tables may have.
pub(crate) fn check_types(columns: &[ColumnSchema]) -> Result<()> {
    let refused = |column: &&ColumnSchema| matches!(column.data_type, DataType::Interval | DataType::Null);
    match columns.iter().find(refused) {
        Some(column) => Err(Error::Refused(format!(
            "column \"{}\": {} is not supported in a foreign table",
            column.name, column.data_type
        ))),
        None => Ok(()),
    }
}
