//! Databases to test on.

use super::postgres::Postgres;
use crate::database::{Database, file_url};
use crate::decisions;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::TempDir;

/// A place for one database, which ends with it.
pub(crate) struct Place {
    pub(crate) url: String,
    folder: TempDir,
    _server: Option<Arc<Postgres>>,
}

impl Place {
    pub(crate) fn sqlite() -> Option<Place> {
        let folder = tempfile::tempdir().unwrap();
        Some(Place { url: file_url(folder.path()).unwrap(), folder, _server: None })
    }

    pub(crate) fn postgres() -> Option<Place> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let server = Postgres::shared()?;
        let url = server.database(&format!("control_{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
        Some(Place { url, folder: tempfile::tempdir().unwrap(), _server: Some(server) })
    }

    /// The database, with what is there from the beginning.
    pub(crate) async fn open(&self) -> Arc<Database> {
        let database = Database::open(&self.url).await.unwrap();
        decisions::set_up(&database).await.unwrap();
        Arc::new(database)
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.path().into()
    }
}

/// Tests that run on SQLite and on PostgreSQL.
macro_rules! on_both_databases {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                let place = crate::tests::databases::Place::sqlite().unwrap();
                super::$name(&place).await;
            })*
        }
        mod postgres {
            $(#[tokio::test]
            async fn $name() {
                let Some(place) = crate::tests::databases::Place::postgres() else { return };
                super::$name(&place).await;
            })*
        }
    };
}
pub(crate) use on_both_databases;
