//! Where the keys of OpenID providers are fetched from, and how that went; their keys are in the document `issuers`.

use super::{Change, Database};
use crate::error::Result;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

/// Where a provider's keys come from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct JwksSource {
    pub(crate) issuer: String,
    pub(crate) jwks_url: String,
    /// When its keys came last, in microseconds since 1970.
    pub(crate) fetched_at_us: i64,
    /// Why they did not come since; empty: they did.
    pub(crate) failure: String,
}

const ALL: &str = "SELECT issuer, jwks_url, fetched_at_us, failure FROM providers ORDER BY issuer";

fn read(row: &AnyRow) -> Result<JwksSource> {
    Ok(JwksSource {
        issuer: row.try_get(0)?,
        jwks_url: row.try_get(1)?,
        fetched_at_us: row.try_get(2)?,
        failure: row.try_get(3)?,
    })
}

impl Database {
    pub(crate) async fn jwks_sources(&self) -> Result<Vec<JwksSource>> {
        sqlx::query(ALL).fetch_all(self.pool()).await?.iter().map(read).collect()
    }

    /// Notes why keys did not come.
    pub(crate) async fn note_jwks_failure(&self, issuer: &str, failure: &str) -> Result<()> {
        let query = sqlx::query("UPDATE providers SET failure = $1 WHERE issuer = $2").bind(failure);
        query.bind(issuer).execute(self.pool()).await?;
        Ok(())
    }
}

impl Change<'_> {
    pub(crate) async fn jwks_sources(&mut self) -> Result<Vec<JwksSource>> {
        sqlx::query(ALL).fetch_all(self.connection()).await?.iter().map(read).collect()
    }

    pub(crate) async fn put_jwks_source(&mut self, source: &JwksSource) -> Result<()> {
        let query = "INSERT INTO providers (issuer, jwks_url, fetched_at_us, failure) VALUES ($1, $2, $3, $4) \
                     ON CONFLICT (issuer) DO UPDATE SET jwks_url = excluded.jwks_url, \
                     fetched_at_us = excluded.fetched_at_us, failure = excluded.failure";
        let query = sqlx::query(query)
            .bind(source.issuer.as_str())
            .bind(source.jwks_url.as_str())
            .bind(source.fetched_at_us)
            .bind(source.failure.as_str());
        query.execute(self.connection()).await?;
        self.dirty = true;
        Ok(())
    }

    pub(crate) async fn remove_jwks_source(&mut self, issuer: &str) -> Result<()> {
        let query = sqlx::query("DELETE FROM providers WHERE issuer = $1").bind(issuer);
        self.dirty |= query.execute(self.connection()).await?.rows_affected() > 0;
        Ok(())
    }

    fn connection(&mut self) -> &mut AnyConnection {
        &mut self.transaction
    }
}
