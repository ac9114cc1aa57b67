//! The database: SQLite in a file, or PostgreSQL; the same queries on both.
//!
//! What was decided is kept as the documents that are published, signed; tables beside them have what is not published.
//! Everything that is decided goes through a [`Change`].

pub(crate) mod audit;
mod change;
mod providers;
mod scaling;
mod secrets;
pub(crate) mod usage;

pub(crate) use change::Change;
pub(crate) use providers::JwksSource;
pub(crate) use scaling::SCALE;

use crate::error::{Error, Result};
use crate::hex;
use crate::signing::SigningKey;
use flight_proto::policy::{Document, Signed};
use prost::Message;
use sqlx::any::{AnyPoolOptions, AnyRow};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AnyPool, AssertSqlSafe, Executor, Row, SqlSafeStr};
use std::fs;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;
use tokio::sync::Notify;

/// In the folder that `--data` names.
const FILE: &str = "control.sqlite";
/// Connections of an instance.
const CONNECTIONS: u32 = 8;
/// How long a call waits for one.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
const MIGRATION_TRIES: u32 = 4;
const MIGRATION_PAUSE: Duration = Duration::from_millis(100);
/// The time of SQLite's machine, which has milliseconds.
const SQLITE_NOW: &str = "CAST(ROUND((julianday('now') - 2440587.5) * 86400000) AS INTEGER) * 1000";
const POSTGRES_NOW: &str = "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)";

/// An open database, at this version's tables.
pub(crate) struct Database {
    pool: AnyPool,
    /// The database's time in microseconds since 1970, in its SQL.
    now: &'static str,
    policy_key: SigningKey,
    /// Told when this instance has decided something.
    pub(crate) changed: Notify,
}

/// A document as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Held {
    pub(crate) document: Document,
    pub(crate) signed: Signed,
}

/// The URL of the file in a folder, which is made where it is missing: both for this user alone.
pub(crate) fn file_url(data: &Path) -> Result<String> {
    let failed = |error| Error::Environment(format!("cannot use the folder {}: {error}", data.display()));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(data).map_err(failed)?;
    let path = data.canonicalize().map_err(failed)?.join(FILE);
    fs::OpenOptions::new().append(true).create(true).mode(0o600).open(&path).map_err(failed)?;
    let url = reqwest::Url::from_file_path(&path);
    let url = url.map_err(|()| Error::Environment(format!("{} is no path of a file", path.display())))?;
    Ok(format!("sqlite{}", url.as_str().trim_start_matches("file")))
}

impl Database {
    /// Opens `sqlite:` or `postgresql:` URLs, makes the tables that are missing and, once, the key that signs documents.
    pub(crate) async fn open(url: &str) -> Result<Database> {
        let sqlite = url.starts_with("sqlite:");
        if !sqlite && !url.starts_with("postgresql://") && !url.starts_with("postgres://") {
            let expected = "expected a database such as postgresql://user:password@host/name";
            return Err(Error::Invalid(expected.into()));
        }
        sqlx::any::install_default_drivers();
        let pool = AnyPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    if sqlite {
                        let settings = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
                                        PRAGMA foreign_keys = ON; PRAGMA busy_timeout = 30000";
                        connection.execute(settings).await?;
                    }
                    Ok(())
                })
            })
            .connect(url)
            .await?;
        migrate(&pool).await?;
        let policy_key = secrets::policy_key(&pool).await?;
        let now = if sqlite { SQLITE_NOW } else { POSTGRES_NOW };
        Ok(Database { pool, now, policy_key, changed: Notify::new() })
    }

    /// The public half of the key that signs documents.
    pub(crate) fn policy_key(&self) -> &[u8] {
        self.policy_key.public()
    }

    /// Begins a change in somebody's name; others wait until it is committed or dropped.
    pub(crate) async fn change(&self, who: &str) -> Result<Change<'_>> {
        Change::begin(self, who).await
    }

    /// The highest version that was given.
    pub(crate) async fn version(&self) -> Result<u64> {
        let row = sqlx::query("SELECT version FROM state WHERE id = 1").fetch_one(&self.pool).await?;
        number(row.try_get(0)?)
    }

    /// Documents of a later version, in the order of versions.
    pub(crate) async fn documents_after(&self, version: u64) -> Result<Vec<Held>> {
        let query = "SELECT signed FROM documents WHERE version > $1 ORDER BY version";
        let rows = sqlx::query(query).bind(signed_number(version)?).fetch_all(&self.pool).await?;
        rows.iter().map(held).collect()
    }

    pub(crate) async fn document(&self, name: &str) -> Result<Option<Held>> {
        let query = sqlx::query("SELECT signed FROM documents WHERE name = $1").bind(name);
        query.fetch_optional(&self.pool).await?.as_ref().map(held).transpose()
    }

    /// How many documents have a later version.
    pub(crate) async fn count_after(&self, version: u64) -> Result<u64> {
        let query = sqlx::query("SELECT COUNT(*) FROM documents WHERE version > $1");
        let row = query.bind(signed_number(version)?).fetch_one(&self.pool).await?;
        number(row.try_get(0)?)
    }

    /// The time by the database's clock, in microseconds since 1970.
    pub(crate) async fn now_us(&self) -> Result<i64> {
        let query = AssertSqlSafe(format!("SELECT {}", self.now));
        Ok(sqlx::query(query).fetch_one(&self.pool).await?.try_get(0)?)
    }

    pub(crate) fn pool(&self) -> &AnyPool {
        &self.pool
    }

    /// A query with the database's time in place of `{now}`.
    pub(crate) fn with_now(&self, query: &str) -> AssertSqlSafe<String> {
        AssertSqlSafe(query.replace("{now}", self.now))
    }

    /// Ends all connections.
    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }
}

/// Makes the tables that are missing.
async fn migrate(pool: &AnyPool) -> Result<()> {
    let files = [
        (1, "decisions", include_str!("../../migrations/0001_decisions.sql")),
        (2, "scaling", include_str!("../../migrations/0002_scaling.sql")),
        (3, "usage", include_str!("../../migrations/0003_usage.sql")),
    ];
    let migrations = files.map(|(number, name, sql)| {
        Migration::new(number, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    });
    let mut migrator = Migrator::with_migrations(migrations.into());
    // A later version only adds tables: an instance of this one goes on beside it.
    migrator.set_ignore_missing(true);
    // SQLite has no lock for it: an instance that starts at the same time may be quicker, and has done it then.
    for _ in 1..MIGRATION_TRIES {
        if migrator.run(pool).await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(MIGRATION_PAUSE).await;
    }
    Ok(migrator.run(pool).await?)
}

/// A row of `documents.signed`.
fn held(row: &AnyRow) -> Result<Held> {
    let signed = hex::decode(row.try_get(0)?).and_then(|bytes| Signed::decode(&*bytes).ok());
    let signed = signed.ok_or_else(|| Error::Damaged("a document cannot be read".into()))?;
    let document = signed.read().map_err(|error| Error::Damaged(error.to_string()))?;
    Ok(Held { document, signed })
}

fn number(number: i64) -> Result<u64> {
    u64::try_from(number).map_err(|_| Error::Damaged(format!("{number} where a number from 0 is expected")))
}

fn signed_number(number: u64) -> Result<i64> {
    i64::try_from(number).map_err(|_| Error::Invalid(format!("{number} is no version: it is too high")))
}
